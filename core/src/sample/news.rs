//! A view of a run that goes on: what has come since it was last brought up to date.

use super::raw::RawFrame;
use super::resolve::{Resolver, Symbols, line_columns};
use super::sampler::Sampler;
use crate::maps::FilePlace;
use crate::profile::{Frame, Kind, NodeId, Sample, Thread};
use alloc::string::String;
use alloc::vec::Vec;

/// How far a view is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    frames: usize,
    nodes: usize,
    threads: usize,
}

/// A frame with its texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFrame {
    /// The frame. Of native code its name is not looked up, nor is its kind.
    pub frame: Frame,
    /// Its name.
    pub name: String,
    /// Its file.
    pub file: String,
    /// Where native code lies, by which it can be named.
    pub place: Option<FilePlace>,
}

/// What is new. Frames, nodes and threads have the numbers that follow those known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// Frames.
    pub frames: Vec<NewFrame>,
    /// Nodes of the call tree: each one's parent, and its frame's number; the root has none.
    pub nodes: Vec<(u32, Option<u32>)>,
    /// Threads with samples.
    pub threads: Vec<Thread>,
    /// Samples.
    pub samples: Vec<Sample>,
    /// A table is full: what comes from now on may be cut.
    pub is_full: bool,
}

/// Leaves native code without a name.
struct Unnamed;

impl Symbols for Unnamed {
    fn name(&mut self, _: FilePlace, _: &mut String) -> Kind {
        Kind::Native
    }
    fn path(&mut self, _: FilePlace, _: &mut String) {}
}

impl Sampler<'_> {
    /// What is new to a view that is as far as `seen`. Samples are forgotten here.
    pub fn news(&mut self, seen: &mut Seen) -> News {
        let raw = self.recorder.raw_frames().get(seen.frames..).unwrap_or_default();
        let mut frames = Vec::with_capacity(raw.len());
        if !raw.is_empty() {
            let lines = line_columns(&self.functions, &self.lines, raw);
            let mut strings = core::mem::take(&mut self.functions.strings);
            let mut resolver = Resolver {
                functions: &self.functions,
                builtins: &self.image.builtins,
                wasm: &self.wasm,
                lines: &lines,
                threads: self.recorder.threads(),
                buffer: String::new(),
            };
            for raw in raw {
                let frame = resolver.frame(*raw, &mut strings, &mut Unnamed);
                let place = if let RawFrame::Native(place) = raw { Some(*place) } else { None };
                let (name, file) = (strings.get(frame.name).into(), strings.get(frame.file).into());
                frames.push(NewFrame { frame, name, file, place });
            }
            self.functions.strings = strings;
        }
        let tree = self.recorder.tree();
        let nodes: Vec<_> = (seen.nodes..tree.len())
            .map(|number| {
                let node = tree.node(NodeId(number as u32));
                (node.parent.0, node.frame.map(|frame| frame.0))
            })
            .collect();
        let threads = self.recorder.threads().get(seen.threads..).unwrap_or_default().to_vec();
        let (functions, scripts) = self.functions.refused();
        let is_full = self.recorder.cut() + functions + scripts + self.functions.strings.refused() > 0;
        seen.frames += frames.len();
        seen.nodes += nodes.len();
        seen.threads += threads.len();
        News { frames, nodes, threads, samples: self.recorder.take_samples(), is_full }
    }
}
