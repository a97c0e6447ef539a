//! What the last stop of a thread showed, for the frames that still stand as they did.
//!
//! From one sample to the next most of a stack stays: its outer frames, often all but a few. Where the
//! walk comes to a JavaScript frame at which the last one of this thread was too, with the same
//! registers and with the same bytes of stack from there outwards, the rest of the walk and all names
//! are what they were. So a stop's cost grows with what changed and not with the stack's depth. The
//! innermost JavaScript frame is always looked at: registers and its callees' frames tell of it too.
//!
//! That the objects behind the frames are still the same is compared after the resume, as for every
//! cache ([`Functions::vouch`](super::functions::Functions::vouch)).

use super::raw::RawFrame;
use crate::limits::{RECALLED_BYTES, RECALLED_FRAMES, RECALLED_THREADS};
use crate::profile::NodeId;
use crate::unwind::StackCopy;
use alloc::vec::Vec;

/// Where a walk stood before a JavaScript frame that had called another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Stack pointer, frame pointer and pc.
    pub registers: [u64; 3],
    /// The newest exit frame above, or 0.
    pub exit_fp: u64,
    /// What stands where such frames have their function.
    pub function: u64,
    /// While a stop lasts: frames found before this one, and then frames identified before it. Once kept:
    /// frames from the outermost one up to and with this one.
    pub frames: u32,
}

impl Mark {
    fn sp(&self) -> u64 {
        self.registers[0]
    }
}

/// The last stop of a thread, as its next walk sees it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Past<'a> {
    /// Outermost first.
    marks: &'a [Mark],
    /// From here outwards the stack is as it was.
    from: u64,
    /// Where the stack ended.
    end: u64,
}

impl Past<'_> {
    /// The number of the mark at which the last walk stood as this one does, and where its stack ended.
    /// Asked from the inside outwards.
    pub fn find(&mut self, now: &Mark) -> Option<(usize, u64)> {
        if now.sp() < self.from {
            return None;
        }
        while let Some((innermost, outer)) = self.marks.split_last() {
            if innermost.sp() >= now.sp() {
                let same = innermost.registers == now.registers && innermost.exit_fp == now.exit_fp;
                return same.then_some((outer.len(), self.end));
            }
            self.marks = outer;
        }
        None
    }

    /// The lowest stack pointer, not below `sp`, at which [`find`](Self::find) may find something.
    pub fn next_from(&mut self, sp: u64) -> u64 {
        let lowest = sp.max(self.from);
        while let Some((innermost, outer)) = self.marks.split_last() {
            if innermost.sp() >= lowest {
                return innermost.sp();
            }
            self.marks = outer;
        }
        u64::MAX
    }
}

/// The last stop of one thread.
#[derive(Default)]
struct Memo {
    /// Number of the thread; `None`: nothing is known.
    thread: Option<usize>,
    /// Address of the first of `bytes`.
    base: u64,
    bytes: Vec<u8>,
    /// All outermost first.
    marks: Vec<Mark>,
    frames: Vec<RawFrame>,
    nodes: Vec<NodeId>,
}

/// The last stops of some threads. All memory is asked for at the start and touched when it is needed.
pub struct Recall(Vec<Memo>);

impl Default for Recall {
    fn default() -> Self {
        let memo = || Memo {
            bytes: Vec::with_capacity(RECALLED_BYTES),
            marks: Vec::with_capacity(RECALLED_FRAMES),
            frames: Vec::with_capacity(RECALLED_FRAMES),
            nodes: Vec::with_capacity(RECALLED_FRAMES),
            ..Memo::default()
        };
        Recall((0..RECALLED_THREADS).map(|_| memo()).collect())
    }
}

impl Recall {
    /// Forgets everything: addresses may mean something else now.
    pub fn clear(&mut self) {
        self.0.iter_mut().for_each(|memo| memo.thread = None);
    }

    /// Forgets one thread.
    pub fn forget(&mut self, thread: usize) {
        if let Some(memo) = self.memo(thread) {
            memo.thread = None;
        }
    }

    fn memo(&mut self, thread: usize) -> Option<&mut Memo> {
        self.0.get_mut(thread % RECALLED_THREADS).filter(|memo| memo.thread == Some(thread))
    }

    fn known(&self, thread: usize) -> Option<&Memo> {
        self.0.get(thread % RECALLED_THREADS).filter(|memo| memo.thread == Some(thread))
    }

    /// What is known of a thread whose stack is `stack` now.
    pub fn past(&self, thread: usize, stack: &StackCopy<'_>) -> Past<'_> {
        let Some(memo) = self.known(thread) else { return Past::default() };
        let end = memo.base.saturating_add(memo.bytes.len() as u64);
        let len = end.checked_sub(stack.base).and_then(|len| usize::try_from(len).ok());
        let Some(now) = len.and_then(|len| stack.bytes.get(..len)) else { return Past::default() };
        Past { marks: &memo.marks, from: end - same_end(now, &memo.bytes) as u64, end }
    }

    /// The frames from a mark outwards, outermost first.
    pub fn frames(&self, thread: usize, mark: usize) -> &[RawFrame] {
        let known = self.known(thread).and_then(|memo| Some((memo, memo.marks.get(mark)?)));
        known.and_then(|(memo, mark)| memo.frames.get(..mark.frames as usize)).unwrap_or_default()
    }

    /// What stands in the function slots of the frames from a mark outwards.
    pub fn functions(&self, thread: usize, mark: usize) -> impl Iterator<Item = u64> + '_ {
        let marks = self.known(thread).and_then(|memo| memo.marks.get(..=mark));
        marks.unwrap_or_default().iter().map(|mark| mark.function)
    }

    /// The node of the path from the outermost frame to a mark's.
    pub fn node(&self, thread: usize, mark: usize) -> Option<NodeId> {
        let memo = self.known(thread)?;
        let frames = memo.marks.get(mark)?.frames as usize;
        memo.nodes.get(frames.checked_sub(1)?).copied()
    }

    /// Keeps a stop: `frames` and `marks`, innermost first, came before the one `recalled`, if any, and
    /// the path through `frames` went through `nodes`, outermost first.
    pub fn keep(
        &mut self,
        thread: usize,
        recalled: Option<usize>,
        stack: StackCopy<'_>,
        (frames, marks): (&[RawFrame], &[Mark]),
        nodes: &[NodeId],
    ) {
        let Some(memo) = self.0.get_mut(thread % RECALLED_THREADS) else { return };
        let mark = recalled.filter(|_| memo.thread == Some(thread)).and_then(|mark| memo.marks.get(mark));
        let outer = mark.map_or(0, |mark| mark.frames as usize);
        let total = outer + frames.len();
        memo.thread = None;
        if total > RECALLED_FRAMES
            || outer > memo.nodes.len()
            || stack.bytes.len() > RECALLED_BYTES
            || nodes.len() != frames.len()
            || recalled.is_some() != mark.is_some()
        {
            return;
        }
        memo.marks.truncate(recalled.map_or(0, |mark| mark + 1));
        let marks = marks.iter().rev().take(RECALLED_FRAMES - memo.marks.len());
        let depth = |frames: u32| total as u32 - frames.min(total as u32);
        memo.marks.extend(marks.map(|mark| Mark { frames: depth(mark.frames), ..*mark }));
        memo.frames.truncate(outer);
        memo.frames.extend(frames.iter().rev());
        memo.nodes.truncate(outer);
        memo.nodes.extend(nodes);
        memo.base = stack.base;
        memo.bytes.clear();
        memo.bytes.extend_from_slice(stack.bytes);
        memo.thread = Some(thread);
    }
}

/// Bytes at the end of both that are the same, in whole steps. By words: musl's `memcmp`, which slices and arrays
/// are compared by, goes byte by byte.
fn same_end(a: &[u8], b: &[u8]) -> usize {
    const WORDS: usize = 8;
    let ((_, a), (_, b)) = (a.as_rchunks::<8>(), b.as_rchunks::<8>());
    let differ = |(a, b): (&[u8; 8], &[u8; 8])| u64::from_ne_bytes(*a) ^ u64::from_ne_bytes(*b);
    let steps = a.rchunks_exact(WORDS).zip(b.rchunks_exact(WORDS));
    let is_same = |(a, b): &(&[_], &[_])| a.iter().zip(*b).map(differ).fold(0, |all, one| all | one) == 0;
    steps.take_while(is_same).count() * WORDS * 8
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    const END: u64 = 0x2000;

    fn mark(sp: u64, frames: u32) -> Mark {
        Mark { registers: [sp, sp + 0x20, 7], exit_fp: 0, function: 1, frames }
    }

    /// A thread's stop with frames at 0x1800 and 0x1c00.
    fn kept(bytes: &[u8]) -> Recall {
        let mut recall = Recall::default();
        let frames = [RawFrame::RegExp, RawFrame::Wasm(None), RawFrame::Unread];
        let stack = StackCopy { base: END - bytes.len() as u64, bytes };
        let nodes = [NodeId(1), NodeId(2), NodeId(3)];
        recall.keep(3, None, stack, (&frames, &[mark(0x1800, 1), mark(0x1c00, 2)]), &nodes);
        recall
    }

    #[test]
    fn frames_are_known_from_the_first_mark_above_all_that_changed() {
        let old = vec![1; 0x1000];
        let recall = kept(&old);
        let mut new = vec![1; 0x1800];
        new[0x1100] = 2;
        let mut past = recall.past(3, &StackCopy { base: END - 0x1800, bytes: &new });
        assert_eq!(past.find(&mark(0x1800, 0)), None, "0x1900 changed");
        assert_eq!(past.find(&mark(0x1c00, 0)), Some((0, END)));
        assert_eq!(recall.frames(3, 0), [RawFrame::Unread]);
        assert_eq!(recall.node(3, 0), Some(NodeId(1)));
        let mut other = mark(0x1c00, 0);
        other.registers[2] += 1;
        assert_eq!(recall.past(3, &StackCopy { base: END - 0x1000, bytes: &old }).find(&other), None);
    }

    #[test]
    fn new_frames_come_on_top_of_those_recalled() {
        let old = vec![1; 0x1000];
        let mut recall = kept(&old);
        let stack = StackCopy { base: END - 0x1000, bytes: &old };
        recall.keep(3, Some(0), stack, (&[RawFrame::Elided], &[mark(0x1700, 0)]), &[NodeId(9)]);
        assert_eq!(recall.frames(3, 1), [RawFrame::Unread, RawFrame::Elided]);
        assert_eq!(recall.node(3, 1), Some(NodeId(9)));
        assert_eq!(recall.past(3, &stack).find(&mark(0x1700, 0)), Some((1, END)));
    }

    #[test]
    fn another_thread_or_a_shorter_copy_knows_nothing() {
        let old = vec![1; 0x1000];
        let mut recall = kept(&old);
        let stack = StackCopy { base: END - 0x1000, bytes: &old };
        assert_eq!(recall.past(3 + RECALLED_THREADS, &stack).find(&mark(0x1c00, 0)), None);
        let short = StackCopy { base: END - 0x1000, bytes: &old[..0xfff] };
        assert_eq!(recall.past(3, &short).find(&mark(0x1c00, 0)), None);
        recall.forget(3);
        assert_eq!(recall.past(3, &stack).find(&mark(0x1c00, 0)), None);
    }
}
