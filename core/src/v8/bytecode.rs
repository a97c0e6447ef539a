//! Bytecode: where its instructions start, which the machine code of two tiers is told from.

use super::layout::BytecodeForm;
use super::position::varint;

/// V8's table of instruction sizes, `kBytecodeSizes`: for each opcode the bytes of it and its operands,
/// at operand scales of 1, 2 and 4.
#[derive(Clone, Copy, Debug)]
pub struct BytecodeSizes<'a> {
    bytes: &'a [u8],
    form: BytecodeForm,
}

/// An instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Offset of its first byte: of the prefix that widens its operands, if it has one.
    pub start: u32,
    /// Offset of its opcode.
    pub opcode_at: u32,
    /// Its opcode.
    pub opcode: u8,
    /// Its operands have `1 << scale` times their least size.
    pub scale: u8,
    /// Offset behind its last byte.
    pub end: u32,
}

impl<'a> BytecodeSizes<'a> {
    /// The table's bytes, as this V8 writes them.
    pub fn new(bytes: &'a [u8], form: BytecodeForm) -> Self {
        BytecodeSizes { bytes, form }
    }

    /// Bytes of an opcode and its operands at an operand scale of `1 << scale`; `None` for one that this
    /// V8 does not have.
    pub fn size(&self, opcode: u8, scale: u8) -> Option<u32> {
        let width = usize::from(self.form.width).max(1);
        let opcodes = self.bytes.len() / 3 / width;
        let (opcode, scale) = (usize::from(opcode), usize::from(scale.min(2)));
        if opcode >= opcodes {
            return None;
        }
        let at = if self.form.by_opcode { opcode * 3 + scale } else { scale * opcodes + opcode };
        self.bytes.get(at * width).copied().map(u32::from).filter(|size| *size > 0)
    }

    /// The instruction that starts at an offset.
    pub fn instruction(&self, bytecodes: &[u8], start: u32) -> Option<Instruction> {
        let first = *bytecodes.get(start as usize)?;
        let scale = self.form.scale_after(first);
        let opcode_at = start.checked_add(u32::from(scale > 0))?;
        let opcode = *bytecodes.get(opcode_at as usize)?;
        let end = opcode_at.checked_add(self.size(opcode, scale)?)?;
        Some(Instruction { start, opcode_at, opcode, scale, end })
    }

    /// All instructions, in order; they end where one is not known.
    pub fn instructions<'b>(&self, bytecodes: &'b [u8]) -> impl Iterator<Item = Instruction> + use<'a, 'b> {
        let sizes = *self;
        let mut at = 0;
        core::iter::from_fn(move || {
            let instruction = sizes.instruction(bytecodes, at)?;
            at = instruction.end;
            Some(instruction)
        })
    }

    /// The offset of the instruction whose baseline code contains `offset`; none for the prologue. V8's
    /// table holds the machine code's length of the prologue and then of each instruction, as varints
    /// (`src/baseline/bytecode-offset-iterator.h`).
    pub fn of_baseline(&self, mut table: &[u8], bytecodes: &[u8], offset: u32) -> Option<u32> {
        let mut end = varint(&mut table)?;
        if u64::from(offset) < end {
            return None;
        }
        self.instructions(bytecodes).find_map(|instruction| {
            let Some(after) = varint(&mut table).and_then(|length| end.checked_add(length)) else {
                return Some(None);
            };
            end = after;
            (u64::from(offset) < end).then_some(Some(instruction.start))
        })?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    /// Opcodes: 0 and 1 widen, 2 and 3 too, 4 has no operand, 5 has one.
    const SIZES: [u8; 18] = [1, 1, 1, 1, 1, 2, 1, 1, 1, 1, 1, 3, 1, 1, 1, 1, 1, 5];
    const FORM: BytecodeForm = BytecodeForm { width: 1, by_opcode: false, has_debug_prefixes: true };

    #[test]
    fn a_prefix_belongs_to_the_instruction_that_it_widens() {
        let sizes = BytecodeSizes::new(&SIZES, FORM);
        let code = [4, 5, 9, 0, 5, 9, 9, 1, 5, 9, 9, 9, 9, 4];
        let starts: Vec<_> =
            sizes.instructions(&code).map(|one| (one.start, one.opcode_at, one.scale)).collect();
        assert_eq!(starts, [(0, 0, 0), (1, 1, 0), (3, 4, 1), (7, 8, 2), (13, 13, 0)]);
    }

    #[test]
    fn each_version_writes_its_table_its_own_way() {
        let wide: Vec<u8> = SIZES.iter().flat_map(|size| [*size, 0, 0, 0]).collect();
        let transposed: Vec<u8> =
            (0..6).flat_map(|opcode| [0, 6, 12].map(|scale| SIZES[opcode + scale])).collect();
        let tables = [
            BytecodeSizes::new(&SIZES, FORM),
            BytecodeSizes::new(&wide, BytecodeForm { width: 4, ..FORM }),
            BytecodeSizes::new(&transposed, BytecodeForm { by_opcode: true, ..FORM }),
        ];
        for sizes in tables {
            assert_eq!([0, 1, 2].map(|scale| sizes.size(5, scale)), [Some(2), Some(3), Some(5)]);
            assert_eq!(sizes.size(6, 0), None);
        }
    }

    #[test]
    fn baseline_code_is_counted_along_the_instructions() {
        let sizes = BytecodeSizes::new(&SIZES, FORM);
        // A prologue of 20 bytes, then 200, 10 and 0 bytes for three instructions.
        let (table, code) = ([20, 0xc8, 1, 10, 0], [5, 9, 4, 4]);
        let at = |offset| sizes.of_baseline(&table, &code, offset);
        assert_eq!([at(19), at(20), at(219), at(220), at(230)], [None, Some(0), Some(0), Some(2), None]);
    }

    proptest! {
        #[test]
        fn any_bytes_end(
            code in proptest::collection::vec(any::<u8>(), 0..200),
            sizes in proptest::collection::vec(any::<u8>(), 0..64),
            offset: u32,
        ) {
            let sizes = BytecodeSizes::new(&sizes, FORM);
            prop_assert!(sizes.instructions(&code).count() <= code.len());
            let _ = sizes.of_baseline(&code, &code, offset);
            let _ = sizes.instruction(&code, offset);
        }
    }
}
