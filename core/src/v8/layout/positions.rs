//! Source position tables and bytecode arrays.

use super::{Constants, offset};
use crate::v8::version::{Since, Version, at};

/// How a source position table is written (`src/codegen/source-position-table.cc`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PositionForm {
    /// Zigzag varints; a negative code delta marks an expression.
    SignedDelta,
    /// Unsigned varints whose two low bits are flags, since 14.1.
    FlagBits,
}

/// How relocation info is written, in which full-codegen's source positions stand up to 5.1
/// (`src/assembler.cc`): records from the last byte to the first, whose lowest two bits are a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelocationForm {
    /// A long record has four bits for what it is and two more for which of them.
    Extra {
        /// Pools of constants have records of their own.
        has_pools: bool,
    },
    /// A long record has six bits for what it is.
    Modes {
        /// A comment; a position and a statement's position follow.
        comment: u8,
        /// A distance in several bytes.
        jump: u8,
        /// Others with four bytes of data.
        words: &'static [u8],
    },
}

/// How instructions of bytecode, and V8's table of their sizes, are written
/// (`src/interpreter/bytecodes.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BytecodeForm {
    /// Bytes of one size in the table.
    pub width: u8,
    /// The table has the three sizes of an opcode side by side; else all opcodes' of a scale.
    pub by_opcode: bool,
    /// Opcodes 2 and 3 widen operands as 0 and 1 do: those of a debugger's break.
    pub has_debug_prefixes: bool,
}

impl BytecodeForm {
    pub(super) fn of(version: Version) -> BytecodeForm {
        BytecodeForm {
            width: if version.since(9, 0) { 1 } else { 4 },
            by_opcode: !version.since(6, 2),
            has_debug_prefixes: version.since(6, 8),
        }
    }

    /// The operand scale of what follows an opcode, as a power of two: 0 where it is no prefix.
    pub const fn scale_after(self, opcode: u8) -> u8 {
        match opcode {
            0 => 1,
            1 => 2,
            2 if self.has_debug_prefixes => 1,
            3 if self.has_debug_prefixes => 2,
            _ => 0,
        }
    }
}

/// Positions of one V8.
#[derive(Clone, Copy, Debug)]
pub struct PositionLayout {
    /// Form of the tables; `None` where positions stand in the relocation info.
    pub form: Option<PositionForm>,
    /// Form of the relocation info that positions stand in.
    pub relocation: Option<RelocationForm>,
    /// Code offset before the first entry: -1 since 8.3, for the function's entry.
    pub first_code_offset: i32,
    /// Bits of a position below the script offset: since 7.4 bit 0 says that it is external.
    pub shift: u8,
    /// Offset of the table in a BytecodeArray.
    pub bytecode_table: u16,
    /// Offset of the first bytecode in a BytecodeArray.
    pub bytecode_data: u16,
}

impl PositionLayout {
    pub(super) fn of(version: Version, constants: &dyn Constants) -> Option<PositionLayout> {
        const FORM: Since<Option<PositionForm>> = &[
            ((3, 11), None),
            ((5, 4), Some(PositionForm::SignedDelta)),
            ((14, 1), Some(PositionForm::FlagBits)),
        ];
        const RELOCATION: Since<Option<RelocationForm>> = &[
            ((3, 11), Some(RelocationForm::Extra { has_pools: false })),
            ((4, 5), Some(RelocationForm::Extra { has_pools: true })),
            ((4, 6), Some(RelocationForm::Modes { comment: 7, jump: 21, words: &[1, 12, 18, 19] })),
            ((5, 0), Some(RelocationForm::Modes { comment: 6, jump: 19, words: &[1, 16, 17] })),
            ((5, 1), Some(RelocationForm::Modes { comment: 7, jump: 21, words: &[1, 18, 19] })),
            ((5, 4), None),
        ];
        const FIRST: Since<i32> = &[((3, 11), 0), ((8, 3), -1)];
        const SHIFT: Since<u8> = &[((3, 11), 0), ((7, 4), 1)];
        const TABLE: Since<u16> = &[((3, 11), 32), ((12, 4), 24)];
        const DATA: Since<u16> = &[
            ((3, 11), 53),
            ((5, 8), 54),
            ((6, 2), 58),
            ((7, 5), 54),
            ((10, 2), 56),
            ((10, 8), 54),
            ((11, 8), 52),
            ((12, 4), 64),
        ];
        let data = offset(constants.get("class_BytecodeArray__data__uintptr_t")).or(at(DATA, version))?;
        Some(PositionLayout {
            form: at(FORM, version)?,
            relocation: at(RELOCATION, version)?,
            first_code_offset: at(FIRST, version)?,
            shift: at(SHIFT, version)?,
            bytecode_table: at(TABLE, version)?,
            bytecode_data: data,
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::v8::fixture::layout_of;

    #[test]
    fn bytecode_begins_earlier_since_7_5_and_its_positions_since_8_3() {
        let of = |(major, minor)| layout_of(major, minor).positions;
        let data = [(7, 4), (7, 5), (7, 6), (7, 7), (7, 8)].map(|version| of(version).bytecode_data);
        assert_eq!(data, [58, 54, 54, 54, 54]);
        let first = [(7, 9), (8, 1), (8, 3), (8, 4)].map(|version| of(version).first_code_offset);
        assert_eq!(first, [0, 0, -1, -1]);
    }
}
