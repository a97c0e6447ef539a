//! The epilogue that all of V8's baseline code shares: a builtin that leaves the frame of the function that
//! jumped to it.
//!
//! The shared prologue needs nothing of that kind: the function's own code has pushed the link register and
//! set the frame pointer before it calls it (`BaselineCompiler::Prologue` in V8's
//! `src/baseline/arm64/baseline-compiler-arm64-inl.h`).

use super::{SP, X29, X30, instructions};
use crate::arch::{Back, Frameless, Registers};

/// `mov sp, x29`; `ldp x29, x30, [sp], #16`.
const LEAVE: [u32; 2] = [0x9100_03bf, 0xa8c1_7bfd];

/// `ret`.
const RETURN: u32 = 0xd65f_03c0;

/// Most instructions from the leave to the return: a count of arguments is rounded up and dropped.
const WITHIN: usize = 8;

/// The register whose words `add sp, sp, r, lsl #3` drops.
fn drops(word: u32) -> Option<usize> {
    (word & 0xffe0_ffff == 0x8b20_6fff).then_some((word >> 16 & 31) as usize)
}

/// In the shared epilogue, whose first bytes are `code`: how things stand `offset` bytes behind its start, once
/// the stack pointer has left the frame (`BaselineAssembler::EmitReturn` in
/// `src/baseline/arm64/baseline-assembler-arm64-inl.h`). Nothing is pushed after that, but the kernel does not
/// keep off what lies below the stack pointer: what stood in the frame has to be proved by who reads it.
pub fn leaving(code: &[u8], offset: usize, registers: &Registers) -> Option<Frameless> {
    let leave =
        instructions(code).zip(instructions(code.get(4..)?)).position(|two| two == (LEAVE[0], LEAVE[1]))?;
    let behind = || instructions(code.get((leave + 2) * 4..).unwrap_or(&[])).take(WITHIN);
    let drop = behind().position(|word| drops(word).is_some())?;
    let dropped = behind().find_map(drops)?;
    let end = behind().position(|word| word == RETURN)?;
    if drop + 1 != end || !offset.is_multiple_of(4) {
        return None;
    }
    let (fp, sp) = (registers.general[X29], registers.general[SP]);
    let frame = match (offset / 4).checked_sub(leave)? {
        1 if fp == sp => {
            let back = Back::At(fp.wrapping_add(8));
            return Some(Frameless { frame: Some(fp), saved: Some(fp), back, sp: fp.wrapping_add(16) });
        }
        done if (2..=drop + 2).contains(&done) => sp.checked_sub(16),
        done if done == drop + 3 => {
            let dropped = registers.general[dropped].checked_mul(8);
            dropped.and_then(|dropped| sp.checked_sub(dropped)?.checked_sub(16))
        }
        _ => return None,
    };
    Some(Frameless { frame, saved: None, back: Back::In(registers.general[X30]), sp })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::aarch64::X16;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    const SP_THEN: u64 = 0x7000;

    /// nop; mov sp, x29; ldp x29, x30, [sp], #16; add x16, x3, #1; and x16, x16, #~1;
    /// add sp, sp, x16, lsl #3; ret; nop
    const CODE: [u32; 8] =
        [0xd503_201f, LEAVE[0], LEAVE[1], 0x9100_0470, 0x927f_fa10, 0x8b30_6fff, RETURN, 0xd503_201f];

    fn registers(sp: u64, fp: u64) -> Registers {
        let mut registers = Registers::default();
        registers.general[SP] = sp;
        registers.general[X29] = fp;
        registers.general[X30] = 0xbac;
        registers.general[X16] = 4;
        registers
    }

    #[test]
    fn a_function_that_is_left_is_found_where_its_frame_was() {
        let code: Vec<u8> = CODE.iter().flat_map(|word| word.to_le_bytes()).collect();
        // The frame stands at SP_THEN; four words of arguments are dropped.
        let at = |instruction: usize, sp, fp| leaving(&code, instruction * 4, &registers(sp, fp));
        assert_eq!([at(0, SP_THEN - 64, SP_THEN), at(1, SP_THEN - 64, SP_THEN)], [None; 2]);
        let back = Back::At(SP_THEN + 8);
        let set = Frameless { frame: Some(SP_THEN), saved: Some(SP_THEN), back, sp: SP_THEN + 16 };
        assert_eq!(at(2, SP_THEN, SP_THEN), Some(set));
        let sp = SP_THEN + 16;
        let left = Frameless { frame: Some(SP_THEN), saved: None, back: Back::In(0xbac), sp };
        assert_eq!([3, 4, 5].map(|instruction| at(instruction, sp, 0x8000)), [Some(left); 3]);
        assert_eq!(at(6, sp + 32, 0x8000), Some(Frameless { sp: sp + 32, ..left }));
        assert_eq!(at(7, sp + 32, 0x8000), None);
    }

    #[test]
    fn code_that_leaves_otherwise_is_not_believed() {
        let code = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
        let at_return = |words: &[u32]| leaving(&code(words), 6 * 4, &registers(SP_THEN, 0x8000));
        assert!(at_return(&CODE).is_some());
        let mut other = CODE;
        other[5] = CODE[0];
        assert_eq!(at_return(&other), None);
        other = CODE;
        other[2] = CODE[0];
        assert_eq!((at_return(&other), at_return(&CODE[..6]), at_return(&[])), (None, None, None));
    }

    proptest! {
        #[test]
        fn any_bytes_give_an_answer(
            code in proptest::collection::vec(any::<u8>(), 0..64),
            offset in 0usize..80,
            general in any::<[u64; 32]>(),
        ) {
            let registers = Registers { general, ..Registers::default() };
            let _ = leaving(&code, offset, &registers);
            let whole: Vec<u8> = CODE.iter().flat_map(|word| word.to_le_bytes()).collect();
            let _ = leaving(&whole, offset, &registers);
        }
    }
}
