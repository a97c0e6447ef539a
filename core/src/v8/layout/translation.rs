//! Safepoints and frame translations: by what V8 itself tells which functions an optimized frame holds.

use crate::v8::version::{Since, Version, at};

/// How safepoint tables are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SafepointForm {
    /// Maglev's (`src/codegen/maglev-safepoint-table.h`), behind the instructions: a header of four
    /// words, then entries of the sizes that the header tells.
    Maglev {
        /// Offset in the header of the number of entries; the entries' configuration follows.
        length: u8,
    },
}

/// The instructions of frame translations, by number (`src/deoptimizer/translation-opcode.h`). They are
/// bytes with varints as operands, whose bit 7 says that more follow.
#[derive(Clone, Copy, Debug)]
pub struct TranslationOps {
    /// Number of operands of each. All beyond mean that as many instructions as their number is greater
    /// are those of an earlier translation.
    pub operands: &'static [u8],
    /// Begin a translation. Their operands: how far back an earlier one begins, or 0; the number of
    /// frames; the number of JavaScript's among them.
    pub begin: &'static [u8],
    /// A function's frame. Its first operands: offset in its code, number of the literal that it is.
    pub function: &'static [u8],
    /// A builtin's frame, which counts as JavaScript's.
    pub builtin: &'static [u8],
    /// As many instructions as the operand says are those of the earlier translation.
    pub repeat: u8,
}

/// Safepoints and translations of one V8.
#[derive(Clone, Copy, Debug)]
pub struct TranslationLayout {
    /// Form of the safepoint tables.
    pub safepoints: SafepointForm,
    /// Instructions of the translations.
    pub ops: TranslationOps,
    /// DeoptimizationData's element with the translations, a ByteArray.
    pub translations: u8,
}

/// What DeoptimizationData says of a code's exits (`src/objects/code.h`, later `deoptimization-data.h`), in element
/// indices.
#[derive(Clone, Copy, Debug)]
pub struct ExitLayout {
    /// Offset in the code of the first exit for a deoptimization; the numbers of eager and of lazy ones follow.
    pub start: u8,
    /// First entry: an exit's offset in the function's bytecode, the place of its translation, and the offset in the
    /// code that its call returns to.
    pub first_entry: u8,
    /// Elements of an entry.
    pub entry_size: u8,
    /// Bytes of an exit on x86-64, a call by the root register (`src/deoptimizer/x64/deoptimizer-x64.cc`). On arm64 it
    /// is one instruction.
    pub size: u8,
}

impl ExitLayout {
    pub(super) fn of(version: Version) -> Option<ExitLayout> {
        // (start, first entry). Before, exits of x86-64 had sizes of their own.
        const ELEMENTS: Since<Option<(u8, u8)>> =
            &[((3, 11), None), ((9, 0), Some((8, 11))), ((13, 6), Some((9, 12)))];
        // Since 9.5 what is called stands near the root register.
        const SIZE: Since<u8> = &[((9, 0), 7), ((9, 5), 4)];
        let (start, first_entry) = at(ELEMENTS, version)??;
        Some(ExitLayout { start, first_entry, entry_size: 3, size: at(SIZE, version)? })
    }
}

impl TranslationLayout {
    pub(super) fn of(version: Version) -> Option<TranslationLayout> {
        // Node has WebAssembly always, and with it the instructions for its frames.
        const OF_12_4: TranslationOps = TranslationOps {
            operands: &[
                5, 3, 3, 3, 2, 1, 3, 4, 3, 2, 1, 0, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                1, 0, 1, 1, 1, 1, 1, 2, 1,
            ],
            begin: &[12, 13],
            function: &[0, 1],
            builtin: &[2, 3],
            repeat: 39,
        };
        const OF_12_9: TranslationOps = TranslationOps {
            operands: &[
                5, 3, 3, 3, 2, 1, 3, 4, 3, 3, 2, 1, 0, 0, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 2, 1,
            ],
            begin: &[14, 15],
            repeat: 43,
            ..OF_12_4
        };
        const OF_13_6: TranslationOps = TranslationOps {
            operands: &[
                6, 4, 3, 3, 2, 1, 3, 4, 3, 3, 3, 1, 0, 0, 3, 3, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 2, 1,
            ],
            begin: &[14, 15],
            repeat: 44,
            ..OF_12_4
        };
        const OPS: Since<Option<TranslationOps>> =
            &[((3, 11), None), ((12, 4), Some(OF_12_4)), ((12, 9), Some(OF_12_9)), ((13, 6), Some(OF_13_6))];
        const LENGTH: Since<u8> = &[((3, 11), 0), ((13, 6), 4)];
        Some(TranslationLayout {
            safepoints: SafepointForm::Maglev { length: at(LENGTH, version)? },
            ops: at(OPS, version)??,
            translations: 0,
        })
    }
}
