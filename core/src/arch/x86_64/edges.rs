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

/// Whether `at` lies behind a leave and before its return: instructions are decoded from each
/// candidate on, and one must start exactly at `at`.
fn epilogue(code: &[u8], at: usize) -> Option<Edge> {
    let from = at.saturating_sub(EPILOGUE_BYTES);
    (from..at).rev().find_map(|start| {
        let rest = code.get(start..)?;
        let leave = LEAVES.iter().find(|leave| rest.starts_with(leave))?;
        follow(code, start + leave.len(), at)
    })
}

/// Registers into which V8 pops the return address while it drops arguments.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Popped {
    Rcx,
    R10,
}

fn follow(code: &[u8], mut here: usize, at: usize) -> Option<Edge> {
    let mut popped: Option<Popped> = None;
    while here < at {
        let rest = code.get(here..)?;
        here += match rest {
            [0x59, ..] => {
                popped = Some(Popped::Rcx);
                1
            }
            [0x41, 0x5a, ..] => {
                popped = Some(Popped::R10);
                2
            }
            [0x51, ..] => {
                popped = None;
                1
            }
            [0x41, 0x52, ..] => {
                popped = None;
                2
            }
            // lea rsp, [rsp + r * 8 (+ disp8 or disp32)]
            [0x48 | 0x4a | 0x4c | 0x4e, 0x8d, modrm, ..] => match modrm & 0xc7 {
                0x04 => 4,
                0x44 => 5,
                0x84 => 8,
                _ => return None,
            },
            // add rsp, imm
            [0x48, 0x83, 0xc4, _, ..] => 4,
            [0x48, 0x81, 0xc4, ..] => 7,
            // cmp r, imm; cmp r, r
            [0x48 | 0x49, 0x83, 0xf8..=0xff, _, ..] => 4,
            [0x48 | 0x49, 0x81, 0xf8..=0xff, ..] => 7,
            [0x48 | 0x49 | 0x4c | 0x4d, 0x39 | 0x3b, 0xc0..=0xff, ..] => 3,
            // mov r, imm32; cmov; mov r, r
            [0x48 | 0x49 | 0x4c | 0x4d, 0x89 | 0x8b, 0xc0..=0xff, ..] => 3,
            [0x48 | 0x49 | 0x4c | 0x4d, 0x0f, 0x40..=0x4f, 0xc0..=0xff, ..] => 4,
            // short conditional jumps, within the epilogue
            [0x70..=0x7f, _, ..] => 2,
            [0x0f, 0x80..=0x8f, ..] => 6,
            _ => return None,
        };
    }
    if here != at || !returns(code.get(at..)?, popped.is_some()) {
        return None;
    }
    Some(match popped {
        None => Edge::BeforeReturn,
        Some(Popped::Rcx) => Edge::ReturnIn(super::RCX),
        Some(Popped::R10) => Edge::ReturnIn(super::R8 + 2),
    })
}

/// Whether what follows still belongs to an epilogue: a return, or what drops arguments first.
fn returns(rest: &[u8], popped: bool) -> bool {
    match rest {
        [0xc3 | 0xc2, ..] | [0x59, ..] | [0x41, 0x5a, ..] => true,
        [0x51, ..] | [0x41, 0x52, ..] => popped,
        [0x48 | 0x4a | 0x4c | 0x4e, 0x8d, ..] => popped,
        [0x48, 0x83 | 0x81, 0xc4, ..] => true,
        [0x48 | 0x49, 0x83 | 0x81, 0xf8..=0xff, ..] => true,
        [0x48 | 0x49 | 0x4c | 0x4d, 0x39 | 0x3b, 0xc0..=0xff, ..] => true,
        [0x48 | 0x49 | 0x4c | 0x4d, 0x89 | 0x8b, 0xc0..=0xff, ..] => true,
        [0x48 | 0x49 | 0x4c | 0x4d, 0x0f, 0x40..=0x4f, ..] => true,
        [0x70..=0x7f, ..] | [0x0f, 0x80..=0x8f, ..] => true,
        _ => false,
    }
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

    proptest! {
        #[test]
        fn any_bytes_give_an_answer(code in proptest::collection::vec(any::<u8>(), 0..128), offset in 0usize..200) {
            let _ = edge(&code, &code, 0, offset);
        }
    }
}
