//! The call tree as a format shows it: frames that are not shown are spliced out, frames with the
//! same label are one, the heaviest child comes first.
//!
//! Everything here is linear in the profile's size and iterative: a stack may be 12,288 deep.

use crate::View;
use crate::label::Style;
use flame_core::profile::{CallTree, Frame, FrameId, Kind, NodeId, Profile};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

/// What a sample ends in of whose stack nothing is shown but roots.
pub const NATIVE: &str = "(native)";

/// Which frames of a profile are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// V8's entry, exit, adaptor and stub frames.
    pub glue: bool,
    /// Frames that are not JavaScript.
    pub native: bool,
}

impl Shown {
    /// Whether a frame of this kind is shown. Roots of threads and processes, and what stands for
    /// frames that were cut, always are.
    pub fn holds(self, kind: Kind) -> bool {
        match kind {
            Kind::Thread | Kind::Process | Kind::Elided => true,
            Kind::Glue => self.glue && self.native,
            _ => self.native || kind.is_javascript(),
        }
    }
}

/// Labels by number: frames with equal labels share one.
pub struct Labels<'a> {
    profile: &'a Profile,
    style: Style,
    annotate: bool,
    /// A frame for each label.
    frames: Vec<FrameId>,
    /// The label of each frame that is in a stack.
    of: Vec<Option<u32>>,
}

impl<'a> Labels<'a> {
    /// Numbers the labels of all frames that are in a stack: what stands for cut ones is always known.
    pub fn new(profile: &'a Profile, style: Style, annotate: bool) -> Self {
        let mut labels = Labels { profile, style, annotate, frames: Vec::new(), of: Vec::new() };
        let mut occurs = vec![false; profile.frames().len()];
        for frame in profile.tree().nodes().filter_map(|node| node.frame) {
            occurs.get_mut(frame.0 as usize).into_iter().for_each(|occurs| *occurs = true);
        }
        let hasher = RandomState::new();
        let mut numbers: HashMap<u64, u32> = HashMap::new();
        let (mut text, mut other) = (String::new(), String::new());
        for ((id, frame), occurs) in profile.frames().iter().enumerate().zip(occurs) {
            if !occurs {
                labels.of.push(None);
                continue;
            }
            text.clear();
            labels.write_frame(frame, &mut text);
            let mut hash = hasher.hash_one(&text);
            let number = loop {
                let number = *numbers.entry(hash).or_insert(labels.frames.len() as u32);
                if number as usize == labels.frames.len() {
                    labels.frames.push(FrameId(id as u32));
                    break number;
                }
                other.clear();
                labels.write(number, &mut other);
                if other == text {
                    break number;
                }
                hash = hash.wrapping_add(1);
            };
            labels.of.push(Some(number));
        }
        labels
    }

    /// Number of labels; their numbers are all below it. The last one is [`NATIVE`].
    pub fn len(&self) -> u32 {
        self.frames.len() as u32 + 1
    }

    /// Appends the label of a number.
    pub fn write(&self, number: u32, out: &mut String) {
        match self.frames.get(number as usize) {
            Some(id) => self.write_frame(&self.profile.frame(*id), out),
            None => out.push_str(NATIVE),
        }
    }

    /// One of the frames with this label.
    pub fn frame(&self, number: u32) -> Frame {
        let known = self.frames.get(number as usize);
        known.map_or(Frame::new(Kind::Native), |id| self.profile.frame(*id))
    }

    fn write_frame(&self, frame: &Frame, out: &mut String) {
        self.style.write(self.profile, frame, out);
        if self.annotate {
            out.push_str(annotation(frame.kind));
        }
    }

    /// The label's number of a frame.
    pub fn of(&self, frame: FrameId) -> Option<u32> {
        self.of.get(frame.0 as usize).copied().flatten()
    }
}

/// FlameGraph's mark for a kind: compiled at run time, inlined, or the kernel's edge.
fn annotation(kind: Kind) -> &'static str {
    match kind {
        Kind::Inlined => "_[i]",
        Kind::Libc => "_[k]",
        Kind::Builtin | Kind::RegExp | Kind::Wasm => "_[j]",
        _ if kind.is_javascript() => "_[j]",
        _ => "",
    }
}

/// A profile's call tree, merged by label.
pub struct Tree<'a> {
    /// The labels that the nodes' numbers stand for.
    pub labels: Labels<'a>,
    nodes: CallTree,
    /// The node that the samples of each of the profile's nodes end in.
    places: Vec<NodeId>,
    totals: Vec<u64>,
    children: Children,
}

impl<'a> Tree<'a> {
    /// Merges the tree of `profile` for a format that shows `shown` in `style`.
    pub fn new(profile: &'a Profile, shown: Shown, style: Style, view: &View) -> Self {
        let labels = Labels::new(profile, style, view.annotate);
        let native = FrameId(labels.len() - 1);
        let (nodes, places) = merge(profile, native, |id| {
            shown.holds(profile.frame(id).kind).then(|| labels.of(id)).flatten().map(FrameId)
        });
        let totals = totals(&nodes);
        let children =
            Children::new(&nodes, |a, b| totals[b as usize].cmp(&totals[a as usize]).then(a.cmp(&b)));
        Tree { labels, nodes, places, totals, children }
    }

    /// Samples whose stack ends in a node.
    pub fn own(&self, node: u32) -> u64 {
        self.nodes.node(NodeId(node)).own
    }

    /// Samples whose stack holds a node.
    pub fn total(&self, node: u32) -> u64 {
        self.totals.get(node as usize).copied().unwrap_or(0)
    }

    /// A node's label; `None` for the root.
    pub fn label(&self, node: u32) -> Option<u32> {
        self.nodes.node(NodeId(node)).frame.map(|frame| frame.0)
    }

    /// A node's caller; the root is its own.
    pub fn parent(&self, node: u32) -> u32 {
        self.nodes.node(NodeId(node)).parent.0
    }

    /// What a node calls, heaviest first.
    pub fn children(&self, node: u32) -> &[u32] {
        self.children.of(node)
    }

    /// The node that the samples of one of the profile's nodes end in.
    pub fn place(&self, node: NodeId) -> u32 {
        self.places.get(node.0 as usize).map_or(0, |place| place.0)
    }

    /// Number of nodes, the root included.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// All nodes with their depth (0 for the root), callers before callees, heaviest first.
    pub fn walk(&self) -> Walk<'_> {
        self.children.walk()
    }
}

/// The profile's tree with each frame replaced by what `key` gives for it, or left out: then its
/// samples are its caller's, or where that is the root, or the root of a thread or process, those of `native`
/// below it. With it, the new node that the samples of every old one end in.
pub fn merge(
    profile: &Profile,
    native: FrameId,
    key: impl Fn(FrameId) -> Option<FrameId>,
) -> (CallTree, Vec<NodeId>) {
    let old = profile.tree();
    // Each node of `native` stands for one that is left out, or for an empty stack.
    let mut tree = CallTree::new(old.len() + 1);
    let mut places: Vec<(NodeId, bool)> = Vec::with_capacity(old.len());
    let mut ends = Vec::with_capacity(old.len());
    for node in old.nodes() {
        let (parent, is_root) = places.get(node.parent.0 as usize).copied().unwrap_or((NodeId::ROOT, true));
        let key = node.frame.and_then(|id| Some((key(id)?, profile.frame(id).kind)));
        // There is room.
        let place = match key {
            Some((key, kind)) => {
                let is_root = is_root && matches!(kind, Kind::Thread | Kind::Process);
                (tree.child(parent, key).unwrap_or(parent), is_root)
            }
            None => (parent, is_root),
        };
        let is_native = node.own > 0 && place.1;
        let end = if is_native { tree.child(place.0, native).unwrap_or(place.0) } else { place.0 };
        tree.count(end, node.own);
        places.push(place);
        ends.push(end);
    }
    (tree, ends)
}

/// Samples in and below each node.
pub fn totals(tree: &CallTree) -> Vec<u64> {
    let mut totals: Vec<u64> = tree.nodes().map(|node| node.own).collect();
    for (number, node) in tree.nodes().enumerate().skip(1).rev() {
        totals[node.parent.0 as usize] += totals[number];
    }
    totals
}

/// Each node's children, in the order asked for.
pub struct Children {
    nodes: Vec<u32>,
    /// Where each node's children begin in `nodes`; they end where the next one's begin.
    starts: Vec<u32>,
}

impl Children {
    /// The children of every node of `tree`, sorted by `order`.
    pub fn new(tree: &CallTree, order: impl Fn(u32, u32) -> std::cmp::Ordering) -> Self {
        let mut starts = vec![0; tree.len() + 1];
        for node in tree.nodes().skip(1) {
            starts[node.parent.0 as usize + 1] += 1;
        }
        for number in 1..starts.len() {
            starts[number] += starts[number - 1];
        }
        let mut next = starts.clone();
        let mut nodes = vec![0; tree.len() - 1];
        for (number, node) in tree.nodes().enumerate().skip(1) {
            let slot = &mut next[node.parent.0 as usize];
            nodes[*slot as usize] = number as u32;
            *slot += 1;
        }
        for range in starts.windows(2) {
            nodes[range[0] as usize..range[1] as usize].sort_unstable_by(|a, b| order(*a, *b));
        }
        Children { nodes, starts }
    }

    /// A node's children.
    pub fn of(&self, node: u32) -> &[u32] {
        let number = node as usize;
        &self.nodes[self.starts[number] as usize..self.starts[number + 1] as usize]
    }

    /// All nodes with their depth, each before its children.
    pub fn walk(&self) -> Walk<'_> {
        Walk { children: self, rest: vec![(0, 0)] }
    }
}

/// A walk through a tree, each node before its children.
pub struct Walk<'a> {
    children: &'a Children,
    rest: Vec<(u32, u32)>,
}

impl Iterator for Walk<'_> {
    type Item = (u32, u32);

    fn next(&mut self) -> Option<Self::Item> {
        let (node, depth) = self.rest.pop()?;
        self.rest.extend(self.children.of(node).iter().rev().map(|child| (*child, depth + 1)));
        Some((node, depth))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Build;

    const ALL: Shown = Shown { glue: false, native: true };

    fn shape(build: Build, shown: Shown) -> Vec<(u32, String, u64, u64)> {
        let profile = build.finish();
        let tree = Tree::new(&profile, shown, Style::default(), &View::default());
        tree.walk()
            .map(|(node, depth)| {
                let mut label = String::new();
                if let Some(number) = tree.label(node) {
                    tree.labels.write(number, &mut label);
                }
                (depth, label, tree.total(node), tree.own(node))
            })
            .collect()
    }

    fn row(depth: u32, label: &str, total: u64, own: u64) -> (u32, String, u64, u64) {
        (depth, label.to_string(), total, own)
    }

    #[test]
    fn frames_with_equal_labels_merge_whatever_their_tier() {
        let mut build = Build::default();
        let cold = build.frame(Kind::Interpreted, "f", "/a.js");
        let hot = Frame { kind: Kind::Optimized, executing: 3, ..cold };
        build.stack(&[cold, hot]);
        build.stack(&[hot]);
        build.stack(&[hot, cold]);
        assert_eq!(
            shape(build, ALL),
            [row(0, "", 3, 0), row(1, "f:/a.js:1", 3, 1), row(2, "f:/a.js:1", 2, 2)]
        );
    }

    #[test]
    fn a_frame_that_is_not_shown_gives_its_samples_to_its_caller_or_to_native_code() {
        let mut build = Build::default();
        let f = build.frame(Kind::Interpreted, "f", "/a.js");
        let glue = build.frame(Kind::Glue, "JSEntry", "");
        let native = build.frame(Kind::Native, "memcpy", "");
        build.stack(&[glue, f, native]);
        build.stack(&[native, glue, f]);
        build.stack(&[native]);
        let main = build.frame(Kind::Thread, "main", "");
        build.stack(&[main, native]);
        build.stack(&[main, native, f]);
        build.stack(&[]);
        assert_eq!(
            shape(build, Shown { glue: false, native: false }),
            [
                row(0, "", 6, 0),
                row(1, "(native)", 2, 2),
                row(1, "f:/a.js:1", 2, 2),
                row(1, "main (0)", 2, 0),
                row(2, "(native)", 1, 1),
                row(2, "f:/a.js:1", 1, 1),
            ]
        );
    }

    #[test]
    fn the_heaviest_child_comes_first_and_the_first_seen_of_equals() {
        let mut build = Build::default();
        let [a, b, c] = ["a", "b", "c"].map(|name| build.frame(Kind::Native, name, ""));
        for frame in [b, a, c, c] {
            build.stack(&[frame]);
        }
        let labels: Vec<_> = shape(build, ALL).into_iter().skip(1).map(|row| row.1).collect();
        assert_eq!(labels, ["c:[native]", "b:[native]", "a:[native]"]);
    }

    #[test]
    fn the_deepest_stack_is_walked_without_recursion() {
        let mut build = Build::default();
        let f = build.frame(Kind::Native, "f", "");
        build.stack(&vec![f; flame_core::limits::STACK_FRAMES]);
        let rows = shape(build, ALL);
        assert_eq!(rows.len(), flame_core::limits::STACK_FRAMES + 1);
        assert_eq!(rows.last().map(|row| (row.0, row.3)), Some((flame_core::limits::STACK_FRAMES as u32, 1)));
    }
}
