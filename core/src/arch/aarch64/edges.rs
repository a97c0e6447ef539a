//! Prologues and epilogues of V8's compiled code, by the instructions.
//!
//! The link register holds the return address until the frame stands, and again once it is gone: a function
//! that calls has a frame.

use super::instructions;
use crate::arch::Edge;

/// The prologue lies in the first bytes: checks for deoptimization and tiering may come before it.
const PROLOGUE_WITHIN: usize = 256;

/// Longest run of instructions between leaving the frame and returning.
const EPILOGUE: usize = 16;

/// `add x29, sp, #n`; `mov x29, sp` is one with 0.
fn sets_frame_pointer(word: u32) -> bool {
    word & 0xffc0_03ff == 0x9100_03fd
}

/// `ldp x29, x30, [sp], #n` or `ldp x29, x30, [sp, #n]`.
fn leaves(word: u32) -> bool {
    matches!(word & 0xffc0_7fff, 0xa8c0_7bfd | 0xa940_7bfd)
}

/// `ret`, `br` or `b`: what stands behind is not reached from what stands before.
fn ends(word: u32) -> bool {
    word & 0xffff_fc1f == 0xd65f_0000 || word & 0xffff_fc1f == 0xd61f_0000 || word >> 26 == 0b00_0101
}

/// `stp x29, x30, [sp, #-16]!`, with the frame pointer set by the next instruction.
const PUSH: u32 = 0xa9bf_7bfd;

/// `movz x16, #n` or `movz x17, #n`: the marker of a frame that is begun.
fn is_marker(word: u32) -> bool {
    word & 0xffe0_001e == 0xd280_0010
}

/// Whether `at` lies behind a leave, with no end and no new frame between them.
fn is_left(around: &[u8], at: usize) -> bool {
    around
        .get(at % 4..at)
        .unwrap_or(&[])
        .rchunks_exact(4)
        .take(EPILOGUE)
        .flat_map(instructions)
        .take_while(|word| !ends(*word) && !sets_frame_pointer(*word))
        .any(leaves)
}

/// Where in its frame's life a function is, by the instructions around `at` alone: in WebAssembly's code, a
/// frame is begun by its marker and the push.
pub fn edge_nearby(around: &[u8], at: usize) -> Option<Edge> {
    let mut ahead = instructions(around.get(at..)?).skip_while(|word| is_marker(*word));
    let mut here = instructions(around.get(at.checked_sub(4)?..)?);
    if ahead.next() == Some(PUSH) {
        return Some(Edge::BeforePush);
    }
    if here.next() == Some(PUSH) && here.next().is_some_and(sets_frame_pointer) {
        return Some(Edge::AfterPush);
    }
    is_left(around, at).then_some(Edge::BeforeReturn)
}

/// Where in its frame's life a function is at `offset` of its code. `first` holds the first bytes of it,
/// `around` those around `offset`, from `around_at` on.
pub fn edge(first: &[u8], around: &[u8], around_at: usize, offset: usize) -> Edge {
    let first = first.get(..first.len().min(PROLOGUE_WITHIN)).unwrap_or(&[]);
    if instructions(first).position(sets_frame_pointer).is_some_and(|at| offset <= at * 4) {
        return Edge::BeforePush;
    }
    let left = offset.checked_sub(around_at).is_some_and(|at| is_left(around, at));
    if left { Edge::BeforeReturn } else { Edge::Inside }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    /// stp x1, x27, [sp, #-32]!; stp x29, x30, [sp, #16]; add x29, sp, #16; nop; mov sp, x29;
    /// ldp x29, x30, [sp], #16; add sp, sp, #16; ret; nop
    const CODE: [u32; 9] = [
        0xa9be_6fe1,
        0xa901_7bfd,
        0x9100_43fd,
        0xd503_201f,
        0x9100_03bf,
        0xa8c1_7bfd,
        0x9100_43ff,
        0xd65f_03c0,
        0xd503_201f,
    ];

    #[test]
    fn a_frame_is_followed_from_its_first_instruction_to_its_last() {
        let code: Vec<u8> = CODE.iter().flat_map(|word| word.to_le_bytes()).collect();
        let at: Vec<Edge> = (0..CODE.len()).map(|at| edge(&code, &code[4..], 4, at * 4)).collect();
        let mut expected = [Edge::Inside; 9];
        expected[..3].fill(Edge::BeforePush);
        expected[6..8].fill(Edge::BeforeReturn);
        assert_eq!(at, expected);
    }

    #[test]
    fn an_edge_is_seen_where_the_start_is_not_known() {
        // b; mov x16, #22; stp x29, x30, [sp, #-16]!; mov x29, sp; stp x7, x16, [sp, #-16]!; mov sp, x29;
        // ldp x29, x30, [sp], #16; ret; nop
        let code = [
            0x1400_0001_u32,
            0xd280_02d0,
            PUSH,
            0x9100_03fd,
            0xa9bf_43e7,
            0x9100_03bf,
            0xa8c1_7bfd,
            0xd65f_03c0,
            0xd503_201f,
        ];
        let bytes: Vec<u8> = code.iter().flat_map(|word| word.to_le_bytes()).collect();
        let at: Vec<_> = (0..code.len()).map(|at| edge_nearby(&bytes, at * 4)).collect();
        let mut expected = [None; 9];
        expected[1..3].fill(Some(Edge::BeforePush));
        expected[3] = Some(Edge::AfterPush);
        expected[7] = Some(Edge::BeforeReturn);
        assert_eq!(at, expected);
        assert_eq!((edge_nearby(&bytes, 2), edge_nearby(&bytes, 99)), (None, None));
    }

    proptest! {
        #[test]
        fn any_bytes_give_an_answer(
            code in proptest::collection::vec(any::<u8>(), 0..128),
            around_at in 0usize..100,
            offset in 0usize..200,
        ) {
            let _ = (edge(&code, &code, around_at, offset), edge_nearby(&code, offset));
        }
    }
}
