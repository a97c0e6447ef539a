//! The prologue and the epilogue that all of V8's baseline code shares: builtins that build and leave the
//! frame of the function that called or left for them.

use super::{R8, RBX, RSP};
use crate::arch::{Back, Frameless, Registers};

/// `push rbp; mov rbp, rsp`, behind a `pop` of where baseline code goes on.
const PUSH: [u8; 4] = [0x55, 0x48, 0x89, 0xe5];

/// `mov rsp, rbp; pop rbp; pop r8`.
const LEAVE: [u8; 6] = [0x48, 0x8b, 0xe5, 0x5d, 0x41, 0x58];

/// `push r8; ret`.
const RETURN: [u8; 3] = [0x41, 0x50, 0xc3];

/// Bytes below the stack pointer that the kernel leaves alone (System V psABI, 3.2.2).
const RED_ZONE: u64 = 128;

fn find(code: &[u8], bytes: &[u8]) -> Option<usize> {
    code.windows(bytes.len()).position(|window| window == bytes)
}

/// In the shared prologue, whose first bytes are `code`: how things stand `offset` bytes behind its start,
/// before the frame pointer is set. Two return addresses lie on the stack at first, the upper one that of
/// the function's caller.
pub fn entering(code: &[u8], offset: usize, registers: &Registers) -> Option<Frameless> {
    let push = find(code, &PUSH)?;
    // pop r8 to r15
    if !matches!(code.get(push.checked_sub(2)?..push)?, [0x41, 0x58..=0x5f]) {
        return None;
    }
    let above = match offset {
        _ if offset < push => 8,
        _ if offset == push => 0,
        _ if offset == push + 1 => 8,
        _ => return None,
    };
    let at = registers.general[RSP].wrapping_add(above);
    Some(Frameless { frame: None, saved: None, back: Back::At(at), sp: at.wrapping_add(8) })
}

/// The same of the shared epilogue, once the stack pointer has left the frame. What was in it stands there
/// still: the kernel keeps off these bytes, and nothing was pushed since.
pub fn leaving(code: &[u8], offset: usize, registers: &Registers) -> Option<Frameless> {
    let leave = find(code, &LEAVE)?;
    let lea = leave + LEAVE.len();
    // lea rsp, [rsp + rbx * 8 (+ disp8)]
    let (length, more) = match code.get(lea..)? {
        [0x48, 0x8d, 0x24, 0xdc, ..] => (4, 0),
        [0x48, 0x8d, 0x64, 0xdc, more @ ..=0x7f, ..] => (5, u64::from(*more)),
        _ => return None,
    };
    let push = lea + length;
    if code.get(push..push + RETURN.len())? != RETURN {
        return None;
    }
    let sp = registers.general[RSP];
    let dropped = registers.general[RBX].saturating_mul(8).saturating_add(more);
    let below = |distance: u64| {
        let is_kept = distance.checked_add(16).is_some_and(|distance| distance <= RED_ZONE);
        is_kept.then(|| sp.wrapping_sub(distance))
    };
    let in_register = Back::In(registers.general[R8]);
    let (frame, back, popped) = match offset.checked_sub(leave)? {
        3 => {
            let back = Back::At(sp.wrapping_add(8));
            return Some(Frameless { frame: Some(sp), saved: Some(sp), back, sp: sp.wrapping_add(16) });
        }
        4 => (below(8), Back::At(sp), 8),
        6 => (below(16), in_register, 0),
        _ if offset == push => (below(dropped.saturating_add(16)), in_register, 0),
        _ if offset == push + 2 => (below(dropped.saturating_add(8)), Back::At(sp), 8),
        _ => return None,
    };
    Some(Frameless { frame, saved: None, back, sp: sp.wrapping_add(popped) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    const SP: u64 = 0x7000;

    fn registers(rsp: u64, rbx: u64) -> Registers {
        let mut registers = Registers::default();
        registers.general[RSP] = rsp;
        registers.general[RBX] = rbx;
        registers.general[R8] = 0xbac;
        registers
    }

    #[test]
    fn a_function_that_is_entered_has_its_callers_address_above_its_own() {
        // mov r8, [rdi + 47]; pop r11; push rbp; mov rbp, rsp; push rsi
        let code = [0x4c, 0x8b, 0x47, 0x2f, 0x41, 0x5b, 0x55, 0x48, 0x89, 0xe5, 0x56];
        let at = |offset| entering(&code, offset, &registers(SP, 0)).map(|found| (found.back, found.sp));
        let above = Some((Back::At(SP + 8), SP + 16));
        assert_eq!([at(0), at(4)], [above; 2]);
        assert_eq!(at(6), Some((Back::At(SP), SP + 8)));
        assert_eq!([at(7), at(10)], [above, None]);
    }

    #[test]
    fn a_function_that_is_left_is_found_where_its_frame_was() {
        // nop; mov rsp, rbp; pop rbp; pop r8; lea rsp, [rsp + rbx * 8 + more]; push r8; ret
        for (lea, more) in [(&[0x48, 0x8d, 0x24, 0xdc][..], 0), (&[0x48, 0x8d, 0x64, 0xdc, 8], 8)] {
            let code: Vec<u8> = [&[0x90][..], &LEAVE, lea, &RETURN].concat();
            // The frame stands at SP; two arguments are dropped.
            let at = |offset, rsp| leaving(&code, offset, &registers(rsp, 2));
            let push = 7 + lea.len();
            let after = SP + 16 + 16 + more;
            assert_eq!([at(0, SP), at(1, SP), at(2, SP)], [None; 3]);
            let back = |found: Option<Frameless>| found.map(|found| (found.frame, found.back, found.sp));
            assert_eq!(back(at(4, SP)), Some((Some(SP), Back::At(SP + 8), SP + 16)));
            assert_eq!(at(4, SP).unwrap().saved, Some(SP));
            assert_eq!(back(at(5, SP + 8)), Some((Some(SP), Back::At(SP + 8), SP + 16)));
            assert_eq!(back(at(7, SP + 16)), Some((Some(SP), Back::In(0xbac), SP + 16)));
            assert_eq!(back(at(push, after)), Some((Some(SP), Back::In(0xbac), after)));
            assert_eq!(back(at(push + 2, after - 8)), Some((Some(SP), Back::At(after - 8), after)));
        }
    }

    #[test]
    fn a_frame_further_below_than_the_kernel_keeps_off_is_not_believed() {
        let code: Vec<u8> = [&LEAVE[..], &[0x48, 0x8d, 0x24, 0xdc], &RETURN].concat();
        let frame = |rbx| leaving(&code, 12, &registers(SP, rbx)).map(|found| found.frame.is_some());
        assert_eq!([frame(12), frame(14), frame(u64::MAX / 8)], [Some(true), Some(false), Some(false)]);
    }

    proptest! {
        #[test]
        fn any_bytes_give_an_answer(
            code in proptest::collection::vec(any::<u8>(), 0..64),
            offset in 0usize..80,
            general in any::<[u64; 32]>(),
        ) {
            let registers = Registers { general, ..Registers::default() };
            let _ = (entering(&code, offset, &registers), leaving(&code, offset, &registers));
            let code = [&code[..], &LEAVE].concat();
            let _ = leaving(&code, offset, &registers);
        }
    }
}
