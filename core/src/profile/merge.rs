//! Several processes' profiles as one: each below a root frame of its process.

use super::{Activity, Frame, Full, Kind, Meta, NodeId, Profile, Receipt, Recorder, Strings, Text, Thread};
use crate::limits::THREADS;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

/// Takes profiles as their processes end, in the memory of one.
pub struct Merger {
    recorder: Recorder<Frame>,
    strings: Strings,
}

impl Default for Merger {
    fn default() -> Self {
        Merger { recorder: Recorder::new(Frame::ELIDED), strings: Strings::default() }
    }
}

impl Merger {
    /// Adds the profile of a process, by its name and id. Times of all profiles count from the same moment.
    pub fn add(&mut self, part: &Profile, name: &str, pid: u32) {
        let text = |text: Text, strings: &mut Strings| strings.intern(part.text(text)).unwrap_or(Text::EMPTY);
        let frames: Vec<Frame> = part
            .frames
            .iter()
            .map(|frame| Frame {
                name: text(frame.name, &mut self.strings),
                file: text(frame.file, &mut self.strings),
                ..*frame
            })
            .collect();
        let process = self.strings.intern(name).unwrap_or(Text::EMPTY);
        let process = Frame { name: process, offset: pid.into(), ..Frame::new(Kind::Process) };
        let recorder = &mut self.recorder;
        // Parents come before their children.
        let mut nodes: Vec<NodeId> = vec![recorder.root_of(process)];
        recorder.tree.count(nodes[0], part.tree.node(NodeId::ROOT).own);
        for node in part.tree.nodes().skip(1) {
            let above = nodes.get(node.parent.0 as usize).copied().unwrap_or(NodeId::ROOT);
            let frame = node.frame.and_then(|frame| frames.get(frame.0 as usize)).copied();
            let node_here = match recorder.child(above, frame.unwrap_or(Frame::ELIDED)) {
                Ok(child) => child,
                Err(Full) => {
                    recorder.cut += node.own;
                    recorder.tree.end(above)
                }
            };
            recorder.tree.count(node_here, node.own);
            nodes.push(node_here);
        }
        let threads: Vec<_> = part
            .threads
            .iter()
            .map(|thread| {
                recorder.thread(Thread { tid: thread.tid, name: format!("{name} ({pid}): {}", thread.name) })
            })
            .collect();
        let samples = part.samples.iter().filter_map(|mut sample| {
            sample.node = *nodes.get(sample.node.0 as usize)?;
            sample.thread = *threads.get(usize::from(sample.thread.0).min(THREADS - 1))?;
            Some(sample)
        });
        recorder.samples.absorb(samples, part.samples.stride());
        for activity in Activity::ALL {
            recorder.activity[activity as usize] += part.activity(activity);
        }
    }

    /// Samples so far.
    pub fn taken(&self) -> u64 {
        self.recorder.taken()
    }

    /// All of it as one profile.
    pub fn finish(mut self, meta: Meta, mut receipt: Receipt) -> Profile {
        self.recorder.samples.sort();
        let cut = self.recorder.cut();
        if cut > 0 {
            receipt.remarks.push(format!("{cut} samples lost their innermost frames: the call tree is full"));
        }
        self.recorder.finish(self.strings, meta, receipt, |frame, _| frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    fn part(functions: &[(&str, u64)]) -> Profile {
        let mut recorder = Recorder::new(u32::MAX);
        let main = recorder.thread(Thread { tid: 7, name: "main".into() });
        for (number, (_, at)) in (0..).zip(functions) {
            recorder.record(*at, main, Activity::Gc, [number]);
        }
        recorder.finish(Strings::default(), Meta::default(), Receipt::default(), |raw, strings| {
            let name = functions.get(raw as usize).map_or("", |function| function.0);
            Frame { name: strings.intern(name).unwrap(), ..Frame::new(Kind::Native) }
        })
    }

    #[test]
    fn stacks_that_find_no_room_end_in_the_elided_frame() {
        let mut recorder = Recorder::new(u32::MAX);
        let main = recorder.thread(Thread { tid: 7, name: "main".into() });
        recorder.record(0, main, Activity::Native, (0..60_000).map(|number| number % 1000));
        let part = recorder.finish(Strings::default(), Meta::default(), Receipt::default(), |raw, _| Frame {
            offset: raw.into(),
            ..Frame::new(Kind::Native)
        });
        let mut merger = Merger::default();
        merger.add(&part, "node a.js", 100);
        merger.add(&part, "node a.js", 200);
        let profile = merger.finish(Meta::default(), Receipt::default());
        let ends = profile.tree().nodes().filter(|node| node.own > 0);
        let ends: Vec<_> = ends.map(|node| profile.frame(node.frame.unwrap()).kind).collect();
        assert_eq!(ends, [Kind::Native, Kind::Elided]);
        let remark = "1 samples lost their innermost frames: the call tree is full";
        assert_eq!(profile.receipt.remarks, [remark]);
    }

    fn labels(profile: &Profile, mut at: NodeId) -> String {
        let mut path = String::new();
        while let Some(frame) = profile.tree().node(at).frame.map(|id| profile.frame(id)) {
            path = format!("/{}{path}", profile.text(frame.name));
            at = profile.tree().node(at).parent;
        }
        path
    }

    #[test]
    fn each_process_has_its_stacks_below_its_root_in_the_order_of_time() {
        let mut merger = Merger::default();
        merger.add(&part(&[("f", 10), ("g", 30)]), "node a.js", 100);
        merger.add(&part(&[("g", 20)]), "node b.js", 200);
        assert_eq!(merger.taken(), 3);
        let profile = merger.finish(Meta::default(), Receipt::default());
        let samples: Vec<_> =
            profile.samples().iter().map(|sample| (sample.at_us, labels(&profile, sample.node))).collect();
        let sample = |at, path: &str| (at, String::from(path));
        assert_eq!(
            samples,
            [sample(10, "/node a.js/f"), sample(20, "/node b.js/g"), sample(30, "/node a.js/g")]
        );
        assert_eq!((profile.total(), profile.activity(Activity::Gc)), (3, 3));
        let names: Vec<_> = profile.threads().iter().map(|thread| thread.name.as_str()).collect();
        assert_eq!(names, ["node a.js (100): main", "node b.js (200): main"]);
        // The same function of two processes is one frame: elided, two roots, f, g.
        assert_eq!(profile.frames().len(), 5);
    }
}
