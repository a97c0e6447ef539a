//! Places in optimized code of which V8 knows what it would go on in, as it must where it may leave the
//! code: calls, checks that jump to an exit, and jumps to deferred code that calls. And where deferred code is
//! left for and comes back to.

use crate::arch::Arch;
use crate::v8::deopt::Exits;
use crate::v8::safepoint::Safepoints;

/// Bytes of code before a pc among which the last check is looked for.
const WITHIN: usize = 4096;

/// Bytes behind a pc that may still be of the instruction there.
const INSTRUCTION: usize = 15;

/// Bytes of a block of deferred code.
const DEFERRED: usize = 256;

/// Bytes from a jump to deferred code to where that comes back.
const COMES_BACK: i64 = 64;

/// Bytes behind a place in deferred code among which that comes back.
const BEHIND: usize = 128;

/// Jumps back that are looked at: bytes of other instructions may look like one.
const JUMPS: usize = 4;

/// A block of deferred code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deferred {
    /// Offset of its first instruction.
    pub start: u32,
    /// Offset that it comes back to.
    pub back: u32,
}

/// The block of deferred code that the instruction at an offset is in: one that comes back to a place right
/// behind a jump to it. `read` reads code from an offset on and says how many bytes it got.
///
/// TurboFan writes such blocks without source positions, behind all others (`OutOfLineCode` in
/// `src/compiler/backend/code-generator.cc`): a store's write barrier, above all.
pub fn deferred_at(
    arch: Arch,
    offset: u32,
    mut read: impl FnMut(u32, &mut [u8]) -> usize,
) -> Option<Deferred> {
    let step = arch.instruction_step();
    let mut behind = [0; BEHIND + INSTRUCTION];
    let got = read(offset, &mut behind);
    let behind = behind.get(..got)?;
    let back = |at: usize| {
        let to = arch.jump_near(behind, at)?.saturating_add(offset.into());
        u32::try_from(to).ok().filter(|to| *to < offset)
    };
    (0..got.min(BEHIND)).step_by(step).filter_map(back).take(JUMPS).find_map(|back| {
        let mut body = [0; COMES_BACK as usize];
        let from = back.saturating_sub(COMES_BACK as u32);
        let got = read(from, body.get_mut(..(back - from) as usize)?);
        let start = |at: usize| {
            let start = arch.jump(body.get(..got)?, at)?.saturating_add(from.into());
            u32::try_from(start).ok().filter(|start| (back + 1..=offset).contains(start))
        };
        let start = (0..got).step_by(step).filter_map(start).max()?;
        (offset - start <= DEFERRED as u32).then_some(Deferred { start, back })
    })
}

/// The deoptimization of the last site at or before an offset in code.
pub fn before(arch: Arch, code: &[u8], offset: u32, points: &Safepoints<'_>, exits: Exits) -> Option<u32> {
    let mut call = None;
    points.find(|point| {
        if point.pc <= offset
            && let Some(deopt) = point.deopt
        {
            call = Some((point.pc, deopt));
        }
        (point.pc > offset).then_some(())
    });
    let from = (offset as usize).saturating_sub(WITHIN);
    let end = (offset as usize).saturating_add(INSTRUCTION).min(code.len());
    let check = (from..end).step_by(arch.instruction_step()).rev().find_map(|at| {
        let target = arch.jump(code.get(..end)?, at)?;
        let at = u32::try_from(at).ok().filter(|at| *at <= offset)?;
        let deopt = exits.eager_at(target).or_else(|| deferred(arch, code, at, target, points))?;
        Some((at, deopt))
    });
    call.into_iter().chain(check).max_by_key(|site| site.0).map(|site| site.1)
}

/// The deoptimization of the call in the deferred code that a jump at an offset leads to: a block that
/// comes back to where it was left.
fn deferred(arch: Arch, code: &[u8], at: u32, target: i64, points: &Safepoints<'_>) -> Option<u32> {
    let start = usize::try_from(target).ok().filter(|start| *start > at as usize)?;
    let block = code.get(start..code.len().min(start.saturating_add(DEFERRED)))?;
    let comes_back = |jump: &usize| {
        let to = arch.jump(block, *jump).map(|to| to.saturating_add(target) - i64::from(at));
        to.is_some_and(|to| (1..=COMES_BACK).contains(&to))
    };
    let back = (0..block.len()).step_by(arch.instruction_step()).find(comes_back)?;
    let block = start..=start + back;
    let call = points.find(|point| block.contains(&(point.pc as usize)).then_some(point.deopt));
    call.flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Recorded;
    use crate::v8::Heap;
    use crate::v8::code::Code;
    use crate::v8::fixture::layout_of;
    use crate::v8::layout::CodeKind;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    /// Where the exits start: two eager ones.
    const EXITS: Exits = Exits { start: 200, eager: 2, lazy: 0, size: 4 };

    /// Code with a call until 40, a check at 50 that jumps to the second exit, and one at 60 that jumps to
    /// deferred code at 120, which calls until 140 and comes back.
    fn code() -> Vec<u8> {
        let mut code = [0x90; 256].to_vec();
        let mut jump = |at: usize, op: &[u8], to: i32| {
            code[at..at + op.len()].copy_from_slice(op);
            let end = at + op.len() + 4;
            code[end - 4..end].copy_from_slice(&(to - end as i32).to_le_bytes());
        };
        jump(50, &[0x0f, 0x80], 204);
        jump(60, &[0x0f, 0x85], 120);
        jump(70, &[0x0f, 0x8d], 90);
        jump(145, &[0xe9], 66);
        code
    }

    fn deopt_at(code: &[u8], offset: u32) -> Option<u32> {
        // Safepoints at 40 and 140, for deoptimizations 10 and 11.
        let mut memory = Recorded::new();
        let config = 1 | 1 << 4 | 1 << 7;
        let header: Vec<u8> = [2u32, config, 0, 0].into_iter().flat_map(u32::to_le_bytes).collect();
        memory.put(256, &[&header[..], &[40, 11, 0, 0], &[140, 12, 0, 0]].concat());
        let of = Code {
            address: 0,
            start: 0,
            size: 256,
            kind: CodeKind::Maglev,
            deopt: 0,
            positions: 0,
            flags: 0,
        };
        let layout = layout_of(12, 4);
        let mut buffer = [0; 64];
        let points = Heap { memory: &memory, layout: &layout }.safepoints(&of, &mut buffer).unwrap();
        before(Arch::X86_64, code, offset, &points, EXITS)
    }

    #[test]
    fn the_last_call_or_check_tells() {
        let code = code();
        let at = |offset| deopt_at(&code, offset);
        assert_eq!([at(39), at(40), at(49)], [None, Some(10), Some(10)]);
        assert_eq!([at(50), at(59)], [Some(1), Some(1)]);
        // A jump that does not come back, as at 70, is none.
        assert_eq!([at(60), at(100)], [Some(11), Some(11)]);
        assert_eq!(at(5000), Some(11));
    }

    fn deferred_in(code: &[u8], offset: u32) -> Option<Deferred> {
        deferred_at(Arch::X86_64, offset, |from, into| {
            let rest = code.get(from as usize..).unwrap_or_default();
            let got = rest.len().min(into.len());
            into[..got].copy_from_slice(&rest[..got]);
            got
        })
    }

    #[test]
    fn deferred_code_tells_where_it_comes_back_to() {
        let code = code();
        let at = |offset| deferred_in(&code, offset);
        let block = Some(Deferred { start: 120, back: 66 });
        assert_eq!([at(120), at(140), at(145)], [block; 3]);
        // Before it, behind it, in the body, and beyond the code.
        assert_eq!([at(119), at(146), at(60), at(400)], [None; 4]);
        // One whose distance back is a single byte.
        let mut near = code.clone();
        near[145..150].copy_from_slice(&[0xeb, (66 - 147i32) as u8, 0x90, 0x90, 0x90]);
        assert_eq!(deferred_in(&near, 140), block);
        // Without the jump to it, the jump back is a loop's.
        near[60] = 0x90;
        assert_eq!(deferred_in(&near, 140), None);
    }

    proptest! {
        #[test]
        fn any_code_gives_an_answer(code in proptest::collection::vec(any::<u8>(), 0..300), offset in 0u32..400) {
            let _ = deopt_at(&code, offset);
            if let Some(Deferred { start, back }) = deferred_in(&code, offset) {
                prop_assert!(back < start && start <= offset);
            }
        }
    }
}
