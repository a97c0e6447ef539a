//! Prologues and epilogues of V8's compiled code, by the instructions' bytes.

use crate::arch::Edge;

/// `push rbp; mov rbp, rsp` in both encodings of the move.
const PROLOGUES: [[u8; 4]; 2] = [[0x55, 0x48, 0x89, 0xe5], [0x55, 0x48, 0x8b, 0xec]];

/// The prologue lies in the first bytes: checks for deoptimization and tiering may come before it.
const PROLOGUE_WITHIN: usize = 256;

/// Longest run of instructions between leaving the frame and returning.
const EPILOGUE_BYTES: usize = 48;

/// `mov rsp, rbp; pop rbp` in both encodings of the move, and `leave`.
const LEAVES: [&[u8]; 3] = [&[0x48, 0x89, 0xec, 0x5d], &[0x48, 0x8b, 0xe5, 0x5d], &[0xc9]];

/// Where in its frame's life a function is at `offset` of its code. `code` holds the first bytes of
/// it, at least up to a little behind `offset`.
pub fn edge(first: &[u8], around: &[u8], around_at: usize, offset: usize) -> Edge {
    let prologue = first.get(..first.len().min(PROLOGUE_WITHIN)).and_then(|first| {
        first.windows(4).position(|four| PROLOGUES.iter().any(|prologue| prologue == four))
    });
    if let Some(prologue) = prologue {
        if offset <= prologue {
            return Edge::BeforePush;
        }
        if offset == prologue + 1 {
            return Edge::AfterPush;
        }
    }
    epilogue(around, offset.wrapping_sub(around_at)).unwrap_or(Edge::Inside)
}

/// Where in its frame's life a function is, by the bytes around `at` alone: before and after its push, and at
/// its return.
pub fn edge_nearby(around: &[u8], at: usize) -> Option<Edge> {
    match around.get(at.checked_sub(1)?..)? {
        // push rbp; mov rbp, rsp
        [_, 0x55, 0x48, 0x89, 0xe5, ..] => Some(Edge::BeforePush),
        [0x55, 0x48, 0x89, 0xe5, ..] => Some(Edge::AfterPush),
        // ret
        [_, 0xc2 | 0xc3, ..] => Some(Edge::BeforeReturn),
        _ => None,
    }
}

/// Whether `at` lies behind a leave and before its return: instructions are decoded from each
/// candidate on, one must start exactly at `at`, and a return must follow.
fn epilogue(code: &[u8], at: usize) -> Option<Edge> {
    let from = at.saturating_sub(EPILOGUE_BYTES);
    (from..at).rev().find_map(|start| {
        let leave =
            LEAVES.iter().find(|leave| code.get(start..).is_some_and(|rest| rest.starts_with(leave)))?;
        follow(code, start + leave.len(), at)
    })
}

/// What an instruction between the leave and the return does.
enum Instruction {
    /// Takes the return address off the stack into this register.
    Pop(usize),
    /// Puts it back.
    Push,
    /// Drops arguments, or compares their numbers.
    Other,
    /// Returns.
    Return,
}

/// One instruction and its length; `None` if it is none of an epilogue's.
fn decode(rest: &[u8]) -> Option<(Instruction, usize)> {
    use Instruction::{Other, Pop, Push, Return};
    Some(match rest {
        [0xc3, ..] => (Return, 1),
        [0xc2, ..] => (Return, 3),
        [0x59, ..] => (Pop(super::RCX), 1),
        [0x41, 0x5a, ..] => (Pop(super::R8 + 2), 2),
        [0x51, ..] => (Push, 1),
        [0x41, 0x52, ..] => (Push, 2),
        // lea rsp, [rsp + r * 8 (+ disp8 or disp32)]
        [0x48 | 0x4a, 0x8d, 0x24, ..] => (Other, 4),
        [0x48 | 0x4a, 0x8d, 0x64, ..] => (Other, 5),
        [0x48 | 0x4a, 0x8d, 0xa4, ..] => (Other, 8),
        // add rsp, imm
        [0x48, 0x83, 0xc4, ..] => (Other, 4),
        [0x48, 0x81, 0xc4, ..] => (Other, 7),
        // cmp r, imm; cmp r, r
        [0x48 | 0x49, 0x83, 0xf8..=0xff, ..] => (Other, 4),
        [0x48 | 0x49, 0x81, 0xf8..=0xff, ..] => (Other, 7),
        [0x48 | 0x49 | 0x4c | 0x4d, 0x39 | 0x3b, 0xc0..=0xff, ..] => (Other, 3),
        // mov r, imm32; mov r, r; cmov
        [0xb8..=0xbf, ..] => (Other, 5),
        [0x48 | 0x49 | 0x4c | 0x4d, 0x89 | 0x8b, 0xc0..=0xff, ..] => (Other, 3),
        [0x48 | 0x49 | 0x4c | 0x4d, 0x0f, 0x4c..=0x4f, 0xc0..=0xff, ..] => (Other, 4),
        // A short jump forward on a comparison of sizes.
        [0x72 | 0x73 | 0x76 | 0x77 | 0x7c..=0x7f, 0..=0x1f, ..] => (Other, 2),
        _ => return None,
    })
}

fn follow(code: &[u8], start: usize, at: usize) -> Option<Edge> {
    let mut here = start;
    let mut popped = None;
    let mut edge = None;
    while here < start + EPILOGUE_BYTES {
        if here == at {
            edge = Some(popped.map_or(Edge::BeforeReturn, Edge::ReturnIn));
        }
        let (instruction, len) = decode(code.get(here..)?)?;
        match instruction {
            Instruction::Pop(register) => popped = Some(register),
            Instruction::Push => popped = None,
            Instruction::Other => {}
            Instruction::Return if here >= at => return edge,
            // A comparison may have led over this return.
            Instruction::Return => popped = None,
        }
        here += len;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// push rbp; mov rbp, rsp; push rsi; nop; mov rsp, rbp; pop rbp; cmp rcx, 3; jg +; ret 16; pop r10;
    /// lea rsp, [rsp + rcx * 8]; push r10; ret
    const CODE: &[u8] = &[
        0x55, 0x48, 0x89, 0xe5, 0x56, 0x90, 0x48, 0x8b, 0xe5, 0x5d, 0x48, 0x83, 0xf9, 0x03, 0x7f, 0x03, 0xc2,
        0x10, 0x00, 0x41, 0x5a, 0x48, 0x8d, 0x24, 0xcc, 0x41, 0x52, 0xc3,
    ];

    fn at(offset: usize) -> Edge {
        edge(CODE, CODE, 0, offset)
    }

    #[test]
    fn a_frame_is_followed_from_its_first_instruction_to_its_last() {
        assert_eq!(at(0), Edge::BeforePush);
        assert_eq!(at(1), Edge::AfterPush);
        assert_eq!(at(4), Edge::Inside);
        assert_eq!(at(6), Edge::Inside);
        assert_eq!(at(10), Edge::BeforeReturn);
        assert_eq!(at(14), Edge::BeforeReturn);
        assert_eq!(at(16), Edge::BeforeReturn);
    }

    #[test]
    fn a_return_address_in_a_register_is_found_there() {
        let code = [&[0xc9][..], &CODE[19..]].concat();
        let at = |offset| edge(&[], &code, 0, offset);
        assert_eq!(at(1), Edge::BeforeReturn);
        assert_eq!(at(3), Edge::ReturnIn(10));
        assert_eq!(at(7), Edge::ReturnIn(10));
        assert_eq!(at(9), Edge::BeforeReturn);
    }

    #[test]
    fn an_edge_is_seen_where_the_start_is_not_known() {
        let at = |offset| edge_nearby(&[&[0xcc], CODE].concat(), offset + 1);
        let edges = [Some(Edge::BeforePush), Some(Edge::AfterPush), None, None, Some(Edge::BeforeReturn)];
        assert_eq!([0, 1, 4, 6, CODE.len() - 1].map(at), edges);
        assert_eq!((edge_nearby(CODE, 0), edge_nearby(CODE, CODE.len() + 1)), (None, None));
    }

    #[test]
    fn a_leave_that_is_the_end_of_another_instruction_is_none() {
        // vcvttsd2si rcx, xmm1; cmp rcx, 1; jo; mov ecx, ecx; mov [rbp - 48], rcx
        let code = [
            0xc4, 0xe1, 0xfb, 0x2c, 0xc9, 0x48, 0x83, 0xf9, 0x01, 0x0f, 0x80, 0x4d, 0x02, 0x00, 0x00, 0x8b,
            0xc9, 0x48, 0x89, 0x4d, 0xd0,
        ];
        assert_eq!([5, 9, 15].map(|offset| edge(&[], &code, 0, offset)), [Edge::Inside; 3]);
    }

    proptest! {
        #[test]
        fn any_bytes_give_an_answer(code in proptest::collection::vec(any::<u8>(), 0..128), offset in 0usize..200) {
            let _ = (edge(&code, &code, 0, offset), edge_nearby(&code, offset));
        }
    }
}
