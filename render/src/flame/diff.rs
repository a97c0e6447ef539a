//! The difference of two files of stacks, as a page.
//!
//! The files are folded lines or the stacks that stackcollapse.pl takes, from this tool or any
//! other. Each profile is measured by its own total, so that runs of different length compare.

mod labels;
mod lines;

use super::encode::{Encoder, Function, KINDS, PageFrame, kind_number, sorted};
use super::{list, template};
use crate::json;
use crate::label::escape;
use flame_core::limits::{NAME_BYTES, STACK_FRAMES};
use flame_core::profile::{CallTree, FrameId, Kind, NodeId, Pool, Strings, Text};
use labels::{LABEL_BYTES, Parts, as_ours, unprotected};
use lines::{LINE_BYTES, Lines, count_of, folded_line};
use std::fmt;
use std::io::{self, BufRead, Write};

/// Nodes of both call trees together; the rest of a path beyond them is left out and counted.
const NODES: usize = 1 << 20;

/// Nodes that there is room for at first.
const FIRST_NODES: usize = 1 << 12;

/// Distinct functions of both files, and distinct names and files among them. A path ends where one has no room.
const FUNCTIONS: usize = 1 << 18;

/// Bytes of all names and files together.
const TEXT_BYTES: usize = 8 << 20;

/// The most that the counts of one file come to: what is added up of two files, and doubled for the page, is a
/// number still.
const MOST_TOGETHER: u64 = 1 << 60;

/// A file with so many lines for each stack in it is something else.
const STRAY_LINES: u64 = 10;

/// How the output of the format `text` begins.
const TEXT_START: &[u8] = b"Total samples: ";

/// What a file should be.
const EXPECTED: &str = "it should be the output of the format folded or fullraw, or any tool's folded stacks \
     (root;…;leaf COUNT)";

/// Why two files could not be compared.
#[derive(Debug)]
pub enum DiffError {
    /// A file could not be read.
    Read {
        /// Its name.
        file: String,
        /// Why.
        error: io::Error,
    },
    /// A file has no stack that could be read.
    NoStacks {
        /// Its name.
        file: String,
    },
    /// A file is something else, even if a few of its lines look like stacks.
    SomethingElse {
        /// Its name.
        file: String,
        /// What it is.
        what: &'static str,
    },
    /// The page could not be written.
    Write(io::Error),
}

impl fmt::Display for DiffError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DiffError::Read { file, error } => write!(formatter, "{file} cannot be read: {error}"),
            DiffError::NoStacks { file } => write!(formatter, "{file} holds no stacks: {EXPECTED}"),
            DiffError::SomethingElse { file, what } => write!(formatter, "{file} {what}: {EXPECTED}"),
            DiffError::Write(error) => write!(formatter, "the page cannot be written: {error}"),
        }
    }
}

impl std::error::Error for DiffError {}

/// Writes a page that compares two files of stacks, each given by its name and its bytes. Gives what was left
/// out, in sentences, which stand in the page too.
///
/// # Errors
/// [`DiffError`]: a file cannot be read or has no stacks, or `out` fails.
pub fn diff<'a>(
    before: (&str, &'a mut dyn BufRead),
    after: (&str, &'a mut dyn BufRead),
    out: &mut dyn Write,
) -> Result<Vec<String>, DiffError> {
    let mut both = Both::default();
    let names = [before.0, after.0];
    let mut totals = [0; 2];
    for (side, (name, reader)) in [before, after].into_iter().enumerate() {
        let file = || String::from(name);
        match both.read(side, reader) {
            Err(error) => return Err(DiffError::Read { file: file(), error }),
            Ok(Content::Other(what)) => return Err(DiffError::SomethingElse { file: file(), what }),
            Ok(Content::Stacks(0)) => return Err(DiffError::NoStacks { file: file() }),
            Ok(Content::Stacks(total)) => totals[side] = total,
        }
    }
    let remarks = both.remarks();
    both.write(names, totals, &remarks, out).map_err(DiffError::Write)?;
    Ok(remarks)
}

/// A function of either file.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Label {
    name: Text,
    file: Text,
    line: u32,
    kind: u8,
}

/// Both call trees in one: the nodes' own counts are those after, `before` has the others.
struct Both {
    tree: CallTree,
    /// Nodes that `tree` has room for.
    room: usize,
    before: Vec<u64>,
    /// By the numbers that the tree knows them by.
    functions: Pool<Label>,
    strings: Strings,
    /// The label that is looked at, as it is shown.
    shown: String,
    /// The frames of the last folded stack, and of each where its label ends there, and its node: the next stack
    /// often begins with the same.
    last: (Vec<u8>, Vec<(usize, NodeId)>),
    ignored: u64,
    cut: u64,
    long: u64,
}

impl Default for Both {
    fn default() -> Self {
        Both {
            tree: CallTree::new(FIRST_NODES),
            room: FIRST_NODES,
            before: Vec::new(),
            functions: Pool::new(FUNCTIONS),
            strings: Strings::new(FUNCTIONS, TEXT_BYTES),
            shown: String::new(),
            last: (Vec::new(), Vec::new()),
            ignored: 0,
            cut: 0,
            long: 0,
        }
    }
}

/// What a file holds.
#[derive(Debug, PartialEq, Eq)]
enum Content {
    /// Stacks, so many samples together.
    Stacks(u64),
    /// Something else, in words that go on after the file's name.
    Other(&'static str),
}

impl Both {
    /// Adds a file's stacks.
    fn read(&mut self, side: usize, reader: &mut dyn BufRead) -> io::Result<Content> {
        let mut lines = Lines::of(reader);
        let mut total = 0;
        // Lines of a stack, leaf first, where the file turns out not to be folded.
        let mut stack: Vec<u8> = Vec::new();
        let mut is_cut = false;
        let mut folded = None;
        let (mut stacks_met, ignored) = (0u64, self.ignored);
        while lines.next()? {
            let line = lines.line.trim_ascii();
            let stacks = folded_line(line);
            // A header's; but a stack may begin with a private method, `#name`.
            let is_comment = line.starts_with(b"#") && (stacks.is_none() || line.starts_with(b"# "));
            if line.is_empty() || (is_comment && lines.number <= 3) {
                continue;
            }
            if folded.is_none() && line.strip_prefix(TEXT_START).and_then(count_of).is_some() {
                return Ok(Content::Other("is the output of the format text, which has no whole stacks"));
            }
            if *folded.get_or_insert(stacks.is_some()) {
                let Some((frames, count)) = stacks else {
                    self.ignored += 1;
                    continue;
                };
                stacks_met += 1;
                self.long += u64::from(lines.is_long);
                let node = self.folded(frames);
                self.count(side, node, &mut total, count);
            } else if lines.number > 3 {
                if let Some(count) = count_of(line).filter(|_| line.iter().all(u8::is_ascii_digit)) {
                    self.long += u64::from(std::mem::take(&mut is_cut));
                    let node = self.unfolded(&stack);
                    self.count(side, node, &mut total, count);
                    stack.clear();
                    continue;
                }
                let line = line.get(..LABEL_BYTES).unwrap_or(line);
                is_cut |= stack.len() + line.len() >= LINE_BYTES;
                if !is_cut {
                    stack.extend_from_slice(line);
                    stack.push(b'\n');
                }
            }
        }
        if stacks_met > 0 && self.ignored - ignored >= STRAY_LINES * stacks_met {
            return Ok(Content::Other("has nearly no line that is a stack"));
        }
        Ok(Content::Stacks(total))
    }

    /// The node of a folded stack, as far as there is room for its functions.
    fn folded(&mut self, frames: &[u8]) -> NodeId {
        let (mut last, mut path) = std::mem::take(&mut self.last);
        let same = last.iter().zip(frames).take_while(|(a, b)| a == b).count();
        let is_whole = |end: usize| end <= same && frames.get(end).is_none_or(|byte| *byte == b';');
        path.truncate(path.iter().take_while(|(end, _)| is_whole(*end)).count());
        let (mut end, mut node) = path.last().copied().unwrap_or((0, NodeId::ROOT));
        while let Some(rest) = frames.get(end..).filter(|rest| !rest.is_empty()) {
            let start = end + usize::from(rest.starts_with(b";"));
            end = memchr::memchr(b';', &frames[start..]).map_or(frames.len(), |len| start + len);
            if start == end {
                continue;
            }
            let Some(child) = self.frame(node, path.len(), &frames[start..end], true) else { break };
            node = child;
            path.push((end, node));
        }
        last.clear();
        last.extend_from_slice(frames);
        self.last = (last, path);
        node
    }

    /// The node of a stack of lines, leaf first.
    fn unfolded(&mut self, lines: &[u8]) -> NodeId {
        let mut node = NodeId::ROOT;
        let labels = lines.rsplit(|byte| *byte == b'\n').filter(|label| !label.is_empty());
        for (depth, label) in labels.enumerate() {
            let Some(child) = self.frame(node, depth, label, false) else { break };
            node = child;
        }
        node
    }

    /// The node of a label at a depth; where there is no room for it, the stack is cut.
    fn frame(&mut self, node: NodeId, depth: usize, label: &[u8], is_folded: bool) -> Option<NodeId> {
        // Below the root of a process that of a thread may stand.
        let above =
            self.tree.node(node).frame.and_then(|frame| self.functions.values().get(frame.0 as usize));
        let is_root = depth < 2 && above.is_none_or(|above| above.kind == kind_number(Kind::Thread));
        let function = if depth < STACK_FRAMES { self.function(label, is_folded, is_root) } else { None };
        let child = function.and_then(|function| self.child(node, function));
        self.cut += u64::from(child.is_none());
        child
    }

    fn count(&mut self, side: usize, node: NodeId, total: &mut u64, count: u64) {
        let count = count.min(MOST_TOGETHER - *total);
        *total += count;
        self.before.resize(self.tree.len(), 0);
        match self.before.get_mut(node.0 as usize) {
            Some(before) if side == 0 => *before += count,
            _ => self.tree.count(node, count),
        }
    }

    fn child(&mut self, node: NodeId, function: u32) -> Option<NodeId> {
        if self.tree.len() == self.room && self.room < NODES {
            self.grow();
        }
        self.tree.child(node, FrameId(function)).ok()
    }

    /// Makes the room for nodes larger, by a half and by a third in turn: memory is in proportion to the nodes.
    fn grow(&mut self) {
        self.room = if self.room.is_power_of_two() { self.room / 2 * 3 } else { self.room / 3 * 4 };
        let mut tree = CallTree::new(self.room);
        for node in self.tree.nodes() {
            // In the order of their numbers, which so are the same.
            let place = node.frame.map_or(Ok(NodeId::ROOT), |frame| tree.child(node.parent, frame));
            tree.count(place.unwrap_or(NodeId::ROOT), node.own);
        }
        self.tree = tree;
        self.before.reserve_exact(self.room - self.before.len());
    }

    /// The number of a label's function, `None` if there is no room for it. Where the tree is full no new one
    /// has a node, and so none is kept.
    fn function(&mut self, label: &[u8], is_folded: bool, is_root: bool) -> Option<u32> {
        let label = String::from_utf8_lossy(label.get(..LABEL_BYTES).unwrap_or(label));
        let label = if is_folded { label } else { unprotected(&label).into() };
        self.shown.clear();
        escape(&as_ours(&label), &mut self.shown);
        let root = Parts::of_root(&self.shown).filter(|_| is_root);
        let Parts { kind, name, file, line } = root.unwrap_or_else(|| Parts::of(&self.shown));
        let (name, file) = (self.strings.intern(name).ok()?, self.strings.intern(file).ok()?);
        let label = Label { name, file, line, kind };
        if self.tree.len() < NODES { self.functions.intern(label).ok() } else { self.functions.get(&label) }
    }

    /// What was left out, in sentences.
    fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if self.ignored > 0 {
            remarks.push(format!("{} lines are no stacks and were left out", self.ignored));
        }
        if self.long > 0 {
            remarks.push(format!("{} stacks were cut: they take more than {LINE_BYTES} bytes", self.long));
        }
        if self.strings.cut() > 0 {
            remarks.push(format!("{} names were cut at {NAME_BYTES} bytes", self.strings.cut()));
        }
        if self.cut > 0 {
            remarks.push(format!(
                "{} stacks were cut: both files together have more than {NODES} call paths, {FUNCTIONS} functions \
                 or {} MiB of names, or a stack has more than {STACK_FRAMES} frames",
                self.cut,
                TEXT_BYTES >> 20,
            ));
        }
        remarks
    }

    fn write(
        &self,
        names: [&str; 2],
        totals: [u64; 2],
        remarks: &[String],
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let text = |number: u32| self.strings.get(Text(number));
        let (order, places) = sorted(self.strings.len(), &text);
        let place = |text: Text| places.get(text.0 as usize).copied().unwrap_or(0);
        let labels = self.functions.values();
        let function = |label: &Label| Function {
            name: place(label.name),
            file: place(label.file),
            number: label.line.into(),
        };
        let frames =
            || (0..).zip(labels).map(|(function, label)| PageFrame { function, kind: label.kind, line: 0 });
        template(&format!("{} → {}", names[0], names[1]), out, |part, out| match part {
            "META" => meta(names, totals, remarks, out),
            "STRINGS" => Encoder::new(out).strings(&mut order.iter().map(|number| text(*number))),
            "FUNCTIONS" => Encoder::new(out).functions(&mut labels.iter().map(function)),
            "FRAMES" => Encoder::new(out).frames(&mut frames(), &|_| 0),
            "NODES" => Encoder::new(out).nodes(&self.tree, Some(&self.before)).map(|_| ()),
            _ => Ok(()),
        })
    }
}

fn meta(names: [&str; 2], totals: [u64; 2], remarks: &[String], out: &mut dyn Write) -> io::Result<()> {
    write!(out, "{{\"tool\":\"node-flame {}\",\"command\":", env!("CARGO_PKG_VERSION"))?;
    json::shown(out, &format!("{} → {}", names[0], names[1]))?;
    out.write_all(b",\"rate\":0,\"duration\":0,\"stride\":1,\"threads\":[],\"diff\":{\"before\":")?;
    json::shown(out, names[0])?;
    out.write_all(b",\"after\":")?;
    json::shown(out, names[1])?;
    write!(out, ",\"samples\":[{},{}]}}", totals[0], totals[1])?;
    list(out, "remarks", remarks.iter(), |out, remark| json::shown(out, remark))?;
    list(out, "kinds", KINDS.iter(), |out, name| json::string(out, name))?;
    out.write_all(b"}")
}

#[cfg(test)]
mod tests {
    use super::lines::MOST;
    use super::*;

    fn compared(before: &str, after: &str) -> Both {
        let mut both = Both::default();
        both.read(0, &mut before.as_bytes()).unwrap();
        both.read(1, &mut after.as_bytes()).unwrap();
        both
    }

    /// Paths with their counts before and after.
    fn paths(both: &Both) -> Vec<(String, u64, u64)> {
        let name = |function: u32| {
            let label = both.functions.values()[function as usize];
            match (both.strings.get(label.name), both.strings.get(label.file)) {
                (name, "") => name.to_string(),
                (name, file) => format!("{name}:{file}:{}", label.line),
            }
        };
        let nodes = both.tree.nodes().enumerate();
        nodes
            .filter(|(number, node)| node.own > 0 || both.before[*number] > 0)
            .map(|(number, node)| {
                let mut path = Vec::new();
                let mut at = node;
                while let Some(frame) = at.frame {
                    path.push(name(frame.0));
                    at = both.tree.node(at.parent);
                }
                path.reverse();
                (path.join(";"), both.before[number], node.own)
            })
            .collect()
    }

    #[test]
    fn folded_and_fullraw_of_the_same_stacks_are_equal() {
        let folded = "main:/a.js:1;Lazy+1:/a.js:2 3\nmain:/a.js:1 2\n";
        let raw = "# head\n# head\n\nLLazy+1:/a.js:2+0x0\nmain:/a.js:1\n3\n\nmain:/a.js:1\n2\n\n";
        let expected =
            [("main:/a.js:1".to_string(), 2, 2), ("main:/a.js:1;Lazy+1:/a.js:2".to_string(), 3, 3)];
        let mut found = paths(&compared(folded, raw));
        found.sort();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_stack_that_begins_with_a_private_method_is_no_header() {
        let folded = "#poll:/srv/a.js:12 450\n#poll:/srv/a.js:12;read:/srv/a.js:20 3\nmain:/srv/a.js:1 5\n";
        let raw = "# node-flame: pid 7 (node a.js), 99 Hz\n# stacks, leaf first; 450 in all\n\n\
            #poll:/srv/a.js:12\n450\n\nread:/srv/a.js:20\n#poll:/srv/a.js:12\n3\n\nmain:/srv/a.js:1\n5\n\n";
        let expected = [
            ("#poll:/srv/a.js:12", 450),
            ("#poll:/srv/a.js:12;read:/srv/a.js:20", 3),
            ("main:/srv/a.js:1", 5),
        ];
        let expected = expected.map(|(path, count)| (path.to_string(), count, count));
        assert_eq!(paths(&compared(folded, raw)), expected);
        assert_eq!(paths(&compared(&format!("# samples: 9\n#\n{folded}"), raw)), expected);
    }

    #[test]
    fn other_tools_stacks_are_taken_too() {
        let both = compared("start_thread;[libc.so];foo(int, char) 2.6\nno count\n", "a;b\t7\n");
        assert_eq!(both.ignored, 1);
        assert_eq!(
            paths(&both),
            [("start_thread;[libc.so];foo(int, char)".to_string(), 3, 0), ("a;b".to_string(), 0, 7)]
        );
    }

    #[test]
    fn labels_of_perf_and_marked_ones_are_one_function() {
        let both = compared("JS:*f /a.js:1:2 3\nJS:~f /a.js:1:2 1\n", "f:/a.js:1_[j] 5\n");
        assert_eq!(paths(&both), [("f:/a.js:1".to_string(), 4, 5)]);
    }

    #[test]
    fn roots_of_threads_and_processes_are_compared_by_their_names() {
        let before = "node a.js (88);main (88);f:/a.js:1;g (2) 3\nmain (4711);f:/a.js:1 2\nstart;h (7) 1\n";
        let after = "# head\n# head\n\ng (2)\nf:/a.js:1\nmain (90)\nnode a.js (90)\n4\n\n\
            f:/a.js:1\nmain (12)\n5\n\nh (7)\nstart\n6\n\n";
        let expected =
            [("node a.js;main;f:/a.js:1;g (2)", 3, 4), ("main;f:/a.js:1", 2, 5), ("start;h (7)", 1, 6)];
        let expected = expected.map(|(path, before, after)| (path.to_string(), before, after));
        assert_eq!(paths(&compared(before, after)), expected);
    }

    #[test]
    fn a_file_without_stacks_is_an_error_that_names_it() {
        let mut out = Vec::new();
        let error = diff(("a.txt", &mut "nothing\n".as_bytes()), ("b", &mut "x 1\n".as_bytes()), &mut out)
            .unwrap_err();
        assert!(error.to_string().starts_with("a.txt holds no stacks"), "{error}");
        assert!(out.is_empty());
    }

    #[test]
    fn a_page_has_both_counts() {
        let mut out = Vec::new();
        diff(("a", &mut "x;y 1\n".as_bytes()), ("b", &mut "x;y 3\n".as_bytes()), &mut out).unwrap();
        let page = String::from_utf8(out).unwrap();
        assert!(page.contains("\"diff\":{\"before\":\"a\",\"after\":\"b\",\"samples\":[1,3]}"));
    }

    #[test]
    fn counts_beyond_all_measure_are_the_largest_and_do_not_wrap() {
        let both = compared("a 18446744073709551615\na 1\n", "b 9223372036854775808\nb 1e300\nc inf\n");
        let largest = MOST as u64;
        assert_eq!(paths(&both), [("a".to_string(), largest + 1, 0), ("b".to_string(), 0, 2 * largest)]);
        assert_eq!(both.ignored, 1);
        let raw = format!("# head\n# head\n\na\n{}\n\n", u64::MAX);
        assert_eq!(paths(&compared(&raw, "a 1\n")), [("a".to_string(), largest, 1)]);
        let mut both = Both::default();
        let many = "a 1e15\n".repeat(2000);
        assert_eq!(both.read(0, &mut many.as_bytes()).unwrap(), Content::Stacks(MOST_TOGETHER));
        assert_eq!(both.read(1, &mut many.as_bytes()).unwrap(), Content::Stacks(MOST_TOGETHER));
        let mut out = Vec::new();
        both.write(["a", "b"], [MOST_TOGETHER; 2], &[], &mut out).unwrap();
    }

    #[test]
    fn a_line_that_is_too_long_keeps_its_first_labels_and_its_count() {
        let long = format!("main;{}last 7\n", "f;".repeat(LINE_BYTES / 2));
        let both = compared(&long, "main 1\n");
        assert_eq!((both.long, both.cut), (1, 1), "the stack is too deep, too");
        assert_eq!(both.before.iter().sum::<u64>(), 7);
        let label = format!("main;{} 3\n", "x".repeat(2 * LINE_BYTES));
        let both = compared(&label, "main 1\n");
        assert_eq!(paths(&both), [("main".to_string(), 3, 1)]);
        assert_eq!(both.remarks(), ["1 stacks were cut: they take more than 1048576 bytes"]);
    }

    #[test]
    fn a_long_name_is_cut_and_that_is_said() {
        let long = "n".repeat(NAME_BYTES + 9);
        let both = compared(&format!("{long}:/a.js:7 1\n"), "b 1\n");
        let cut = format!("{}:/a.js:7", &long[..NAME_BYTES]);
        assert_eq!(paths(&both), [(cut, 1, 0), ("b".to_string(), 0, 1)]);
        assert_eq!(both.remarks(), ["1 names were cut at 1024 bytes"]);
    }

    #[test]
    fn a_tree_that_grows_keeps_its_nodes_and_their_counts() {
        let lines: String = (0..3 * FIRST_NODES).map(|number| format!("a;f{number} {number}\n")).collect();
        let both = compared(&lines, &lines);
        let found = paths(&both);
        assert_eq!(found.len(), 3 * FIRST_NODES - 1, "one has no samples");
        assert!(found.iter().all(|(path, before, after)| *path == format!("a;f{before}") && before == after));
    }

    #[test]
    fn a_stack_that_begins_as_the_last_one_did_has_its_nodes() {
        let lines = "a;b;c 1\na;b;c 2\na;b 4\na;bb;c 8\na;;b;c;d 16\nab 32\na 64\n;a;b;c; 128\n";
        let mut found = paths(&compared(lines, "z 1\n"));
        found.retain(|path| path.1 > 0);
        found.sort();
        let expected = [("a", 64), ("a;b", 4), ("a;b;c", 131), ("a;b;c;d", 16), ("a;bb;c", 8), ("ab", 32)];
        assert_eq!(found, expected.map(|(path, count)| (path.to_string(), count, 0)));
    }
}
