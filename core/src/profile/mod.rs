//! The profile: interned frames, the call tree, counts and samples.
//!
//! While a run goes on, a [`Recorder`] takes stacks of raw frames, whose meaning it does not know.
//! At the end [`Recorder::finish`] has each distinct raw frame resolved once and gives the
//! [`Profile`] from which every format is rendered.

pub mod frame;
pub mod merge;
pub mod meta;
pub mod pool;
pub mod samples;
pub mod sources;
pub mod strings;
pub mod tree;

use crate::limits;
use alloc::vec::Vec;
use core::hash::Hash;
pub use frame::{Frame, FrameId, Kind, NO_INDEX};
pub use merge::Merger;
pub use meta::{Counts, Meta, Pauses, Receipt, Thread};
pub use pool::{Full, Pool};
pub use samples::{Activity, Sample, SampleLog, ThreadId};
pub use sources::{Source, Sources};
pub use strings::{Strings, Text};
pub use tree::{CallTree, Node, NodeId};

/// Takes stacks of raw frames `K` while a run goes on. Nothing in it grows beyond its start.
pub struct Recorder<K> {
    frames: Pool<K>,
    tree: CallTree,
    samples: SampleLog,
    threads: Vec<Thread>,
    activity: [u64; Activity::ALL.len()],
    cut: u64,
}

impl<K: Copy + Eq + Hash> Recorder<K> {
    /// An empty recorder with the bounds of [`limits`]. `elided` is the raw frame that stands for
    /// frames cut by a bound.
    pub fn new(elided: K) -> Self {
        Self::with_room(elided, limits::FRAMES, limits::NODES, limits::SAMPLES)
    }

    /// The same with other bounds: of frames, call paths and samples kept one by one.
    pub fn with_room(elided: K, frames: usize, nodes: usize, samples: usize) -> Self {
        let mut frames = Pool::new(frames);
        // It has number 0, by which the tree knows it.
        let _ = frames.intern(elided);
        Recorder {
            frames,
            tree: CallTree::new(nodes),
            samples: SampleLog::new(samples),
            threads: Vec::new(),
            activity: [0; Activity::ALL.len()],
            cut: 0,
        }
    }

    /// Makes a thread known. When there are too many, the last entry stands for the rest.
    pub fn thread(&mut self, thread: Thread) -> ThreadId {
        if self.threads.len() < limits::THREADS {
            self.threads.push(thread);
        }
        ThreadId((self.threads.len() - 1) as u16)
    }

    /// What is known of the threads, each at its number.
    pub fn threads(&self) -> &[Thread] {
        &self.threads
    }

    /// The same, to be named.
    pub fn threads_mut(&mut self) -> &mut [Thread] {
        &mut self.threads
    }

    /// The node right below the root for a frame; the root itself where there is no room.
    pub fn root_of(&mut self, raw: K) -> NodeId {
        self.child(NodeId::ROOT, raw).unwrap_or(NodeId::ROOT)
    }

    fn child(&mut self, node: NodeId, raw: K) -> Result<NodeId, Full> {
        self.frames.intern(raw).and_then(|frame| self.tree.path(node, FrameId(frame)))
    }

    /// The paths so far.
    pub fn tree(&self) -> &CallTree {
        &self.tree
    }

    /// Adds one stack, root first.
    ///
    /// Where the frames or the tree are full, the path ends in the `elided` frame.
    pub fn record(
        &mut self,
        at_us: u64,
        thread: ThreadId,
        activity: Activity,
        stack: impl IntoIterator<Item = K>,
    ) -> NodeId {
        self.record_below(NodeId::ROOT, at_us, thread, activity, stack, |_| ())
    }

    /// The same for a stack whose outer frames lead to `node`: the frames below them, outermost first.
    /// `passed` is given the node of each frame that fitted.
    pub fn record_below(
        &mut self,
        mut node: NodeId,
        at_us: u64,
        thread: ThreadId,
        activity: Activity,
        stack: impl IntoIterator<Item = K>,
        mut passed: impl FnMut(NodeId),
    ) -> NodeId {
        for raw in stack {
            match self.child(node, raw) {
                Ok(child) => {
                    passed(child);
                    node = child;
                }
                Err(Full) => {
                    self.cut += 1;
                    node = self.tree.end(node);
                    break;
                }
            }
        }
        self.tree.count(node, 1);
        self.samples.push(at_us, node, thread, activity);
        self.activity[activity as usize] += 1;
        node
    }

    /// Samples taken so far.
    pub fn taken(&self) -> u64 {
        self.activity.iter().sum()
    }

    /// Stacks that ended early because a pool was full.
    pub fn cut(&self) -> u64 {
        self.cut
    }

    /// The samples since the last call, which are forgotten.
    pub fn take_samples(&mut self) -> Vec<Sample> {
        self.samples.take()
    }

    /// All distinct raw frames, in the order of their numbers.
    pub fn raw_frames(&self) -> &[K] {
        self.frames.values()
    }

    /// Ends the recording: `resolve` turns each distinct raw frame into what people see.
    pub fn finish(
        self,
        mut strings: Strings,
        meta: Meta,
        receipt: Receipt,
        mut resolve: impl FnMut(K, &mut Strings) -> Frame,
    ) -> Profile {
        let frames = self.frames.values().iter().map(|raw| resolve(*raw, &mut strings)).collect();
        Profile {
            meta,
            receipt,
            strings,
            sources: Sources::default(),
            frames,
            tree: self.tree,
            samples: self.samples,
            threads: self.threads,
            activity: self.activity,
        }
    }
}

/// A finished profile: all that any output is made from.
pub struct Profile {
    /// What was profiled, and how.
    pub meta: Meta,
    /// Counts, pauses and remarks.
    pub receipt: Receipt,
    strings: Strings,
    /// Texts of scripts, where they were asked for.
    pub sources: Sources,
    frames: Vec<Frame>,
    tree: CallTree,
    samples: SampleLog,
    threads: Vec<Thread>,
    activity: [u64; Activity::ALL.len()],
}

impl Profile {
    /// The call tree. Paths run from the root; frames that differ only in tier or executing line
    /// are nodes of their own.
    pub fn tree(&self) -> &CallTree {
        &self.tree
    }

    /// A frame by its number; the elided frame for a number that is not from here.
    pub fn frame(&self, id: FrameId) -> Frame {
        self.frames.get(id.0 as usize).copied().unwrap_or(Frame::ELIDED)
    }

    /// All frames, each at its number.
    pub fn frames(&self) -> &[Frame] {
        &self.frames
    }

    /// A string by its number.
    pub fn text(&self, text: Text) -> &str {
        self.strings.get(text)
    }

    /// The samples one by one, in the order of their taking.
    pub fn samples(&self) -> &SampleLog {
        &self.samples
    }

    /// The sampled threads, each at its number.
    pub fn threads(&self) -> &[Thread] {
        &self.threads
    }

    /// Samples by what V8 was doing.
    pub fn activity(&self, activity: Activity) -> u64 {
        self.activity[activity as usize]
    }

    /// Has each sample of a helper thread count as what its frames say. Such threads have no isolate whose
    /// state would tell; their stacks stand below a root frame of the thread.
    pub fn classify_helpers(&mut self, is_helper: impl Fn(ThreadId) -> bool) {
        let helpers: Vec<u64> = (0u16..)
            .zip(&self.threads)
            .filter(|(number, _)| is_helper(ThreadId(*number)))
            .map(|(_, thread)| thread.tid.into())
            .collect();
        // Parents come first: each node takes over what its parent found.
        let mut found: Vec<Option<Activity>> = Vec::with_capacity(self.tree.len());
        for node in self.tree.nodes() {
            let frame = node.frame.map(|frame| self.frame(frame));
            let above = found.get(node.parent.0 as usize).copied().flatten();
            found.push(match frame.map(|frame| (frame.kind, frame.offset)) {
                Some((Kind::Thread, tid)) => helpers.contains(&tid).then_some(Activity::Native),
                Some((Kind::Gc, _)) => above.map(|_| Activity::Gc),
                Some((Kind::Compiler, _)) if above == Some(Activity::Native) => Some(Activity::Compile),
                _ => above,
            });
        }
        let counts = &mut self.activity;
        self.samples.classify(|sample| {
            let found = found.get(sample.node.0 as usize).copied().flatten();
            let Some(activity) = found.filter(|_| sample.activity == Activity::Native) else {
                return sample.activity;
            };
            // Where the log was thinned out a sample stands for some that were others.
            let moved = u64::from(sample.weight).min(counts[Activity::Native as usize]);
            counts[Activity::Native as usize] -= moved;
            counts[activity as usize] += moved;
            activity
        });
    }

    /// All samples in the tree.
    pub fn total(&self) -> u64 {
        self.activity.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn a_recording_keeps_paths_counts_times_and_threads() {
        let mut recorder = Recorder::new(u32::MAX);
        let main = recorder.thread(Thread { tid: 10, name: "main".into() });
        recorder.record(5, main, Activity::JavaScript, [1, 2]);
        recorder.record(9, main, Activity::Gc, [1, 2]);
        recorder.record(12, main, Activity::JavaScript, [1]);
        let profile =
            recorder.finish(Strings::default(), Meta::default(), Receipt::default(), |raw, strings| {
                let name = strings.intern(&format!("f{raw}")).unwrap_or(Text::EMPTY);
                Frame { name, ..Frame::new(Kind::Native) }
            });
        let paths: Vec<_> = profile
            .tree()
            .nodes()
            .filter_map(|node| Some((profile.text(profile.frame(node.frame?).name), node.own)))
            .collect();
        assert_eq!(paths, [("f1", 1), ("f2", 2)]);
        assert_eq!((profile.total(), profile.activity(Activity::Gc)), (3, 1));
        let times: Vec<_> = profile.samples().iter().map(|sample| (sample.at_us, sample.node)).collect();
        assert_eq!(times, [(5, NodeId(2)), (9, NodeId(2)), (12, NodeId(1))]);
    }

    #[test]
    fn a_helpers_samples_are_what_its_frames_say() {
        let mut recorder = Recorder::new(u32::MAX);
        let main = recorder.thread(Thread { tid: 10, name: "main".into() });
        let helper = recorder.thread(Thread { tid: 11, name: "V8 worker".into() });
        for (at, stack) in [[11u32, 1, 3], [11, 2, 3], [11, 3, 3]].into_iter().enumerate() {
            recorder.record(at as u64, helper, Activity::Native, stack);
        }
        recorder.record(3, main, Activity::Native, [10, 1, 3]);
        let mut profile =
            recorder.finish(Strings::default(), Meta::default(), Receipt::default(), |raw, _| match raw {
                1 => Frame::new(Kind::Gc),
                2 => Frame::new(Kind::Compiler),
                10 | 11 => Frame { offset: raw.into(), ..Frame::new(Kind::Thread) },
                _ => Frame::new(Kind::Native),
            });
        profile.classify_helpers(|id| id == helper);
        let activities: Vec<_> = profile.samples().iter().map(|sample| sample.activity).collect();
        let expected = [Activity::Gc, Activity::Compile, Activity::Native, Activity::Native];
        assert_eq!(activities, expected);
        assert_eq!(expected.map(|activity| profile.activity(activity)), [1, 1, 2, 2]);
    }

    #[test]
    fn a_stack_without_frames_counts_at_the_root() {
        let mut recorder = Recorder::new(0u8);
        let thread = recorder.thread(Thread { tid: 1, name: "main".into() });
        assert_eq!(recorder.record(0, thread, Activity::Native, []), NodeId::ROOT);
        assert_eq!(recorder.taken(), 1);
    }

    #[test]
    fn a_full_tree_cuts_the_path_and_counts_the_cut() {
        let mut recorder = Recorder::new(u32::MAX);
        let thread = recorder.thread(Thread { tid: 1, name: "main".into() });
        let deep = limits::NODES as u32 + 10;
        recorder.record(0, thread, Activity::Native, (0..deep).map(|number| number % 1000));
        recorder.record(1, thread, Activity::Native, (0..deep).map(|number| number % 999));
        assert_eq!((recorder.taken(), recorder.cut()), (2, 2));
    }

    #[test]
    fn a_cut_path_ends_in_the_elided_frame_and_never_in_a_caller() {
        let mut recorder = Recorder::with_room(u32::MAX, 2000, 1024, 16);
        let thread = recorder.thread(Thread { tid: 1, name: "main".into() });
        recorder.record(0, thread, Activity::Native, 0..1500);
        // More ends than there is room for.
        for depth in 1..200 {
            recorder.record(depth.into(), thread, Activity::Native, (0..depth).chain([5000]));
        }
        let worker = recorder.root_of(6000);
        assert_ne!(worker, NodeId::ROOT);
        recorder.record_below(worker, 200, thread, Activity::Native, [0, 1], |_| ());
        assert_eq!((recorder.taken(), recorder.cut()), (201, 201));
        let mut ends = recorder.tree().nodes().filter(|node| node.own > 0);
        assert!(ends.all(|node| node.frame == Some(FrameId(0))), "{:?}", recorder.tree());
    }
}
