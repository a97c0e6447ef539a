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

/// Where in its frame's life a function is at `offset` of its code. `first` holds the first bytes of it,
/// `around` those around `offset`, from `around_at` on.
pub fn edge(first: &[u8], around: &[u8], around_at: usize, offset: usize) -> Edge {
    let first = first.get(..first.len().min(PROLOGUE_WITHIN)).unwrap_or(&[]);
    if instructions(first).position(sets_frame_pointer).is_some_and(|at| offset <= at * 4) {
        return Edge::BeforePush;
    }
    let before = offset.checked_sub(around_at).and_then(|end| around.get(end % 4..end)).unwrap_or(&[]);
    let left = before
        .rchunks_exact(4)
        .take(EPILOGUE)
        .flat_map(instructions)
        .take_while(|word| !ends(*word) && !sets_frame_pointer(*word))
        .any(leaves);
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

    proptest! {
        #[test]
        fn any_bytes_give_an_answer(
            code in proptest::collection::vec(any::<u8>(), 0..128),
            around_at in 0usize..100,
            offset in 0usize..200,
        ) {
            let _ = edge(&code, &code, around_at, offset);
        }
    }
}
