//! The difference of two files of stacks, as a page.
//!
//! The files are folded lines or the stacks that stackcollapse.pl takes, from this tool or any
//! other. Each profile is measured by its own total, so that runs of different length compare.

use super::encode::{Encoder, Function, KINDS, PLAIN, PageFrame, kind_number, sorted};
use super::{list, template};
use crate::json;
use crate::label::escape;
use crate::tree::NATIVE;
use flame_core::limits::{NAME_BYTES, STACK_FRAMES};
use flame_core::profile::{CallTree, FrameId, Kind, NodeId, Pool, Strings, Text};
use std::borrow::Cow;
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

/// Bytes of a label that are looked at: a name and a file of [`NAME_BYTES`] each, and a line.
const LABEL_BYTES: usize = 2 * NAME_BYTES + 32;

/// Bytes of one stack's lines that are kept: 85 for each frame of the deepest stack.
const LINE_BYTES: usize = 1 << 20;

/// Of a longer line, so many of its last bytes are: its count is among them.
const TAIL_BYTES: usize = 32;

/// A larger count is none of samples.
const MOST: f64 = 1e15;

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
        let mut lines = Lines { reader, number: 0, line: Vec::new(), is_long: false };
        let mut total = 0;
        // Lines of a stack, leaf first, where the file turns out not to be folded.
        let mut stack: Vec<u8> = Vec::new();
        let mut is_cut = false;
        let mut folded = None;
        let (mut stacks_met, ignored) = (0u64, self.ignored);
        while lines.next()? {
            let line = lines.line.trim_ascii();
            if line.is_empty() || (line.starts_with(b"#") && lines.number <= 3) {
                continue;
            }
            let stacks = folded_line(line);
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
        let function = if depth < STACK_FRAMES { self.function(label, is_folded) } else { None };
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
    fn function(&mut self, label: &[u8], is_folded: bool) -> Option<u32> {
        let label = String::from_utf8_lossy(label.get(..LABEL_BYTES).unwrap_or(label));
        let label = if is_folded { label } else { unprotected(&label).into() };
        self.shown.clear();
        escape(&as_ours(&label), &mut self.shown);
        let Parts { kind, name, file, line } = Parts::of(&self.shown);
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

/// Lines, of each as much as is looked at.
struct Lines<'a> {
    reader: &'a mut dyn BufRead,
    number: u64,
    line: Vec<u8>,
    /// It has more than [`LINE_BYTES`]: the line has those labels that are whole among them, and its count.
    is_long: bool,
}

impl Lines<'_> {
    /// Reads the next line, if there is one.
    fn next(&mut self) -> io::Result<bool> {
        self.line.clear();
        self.number += 1;
        let mut tail: Vec<u8> = Vec::new();
        let mut is_there = false;
        loop {
            let bytes = match self.reader.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                bytes => bytes?,
            };
            let end = memchr::memchr(b'\n', bytes);
            let piece = &bytes[..end.unwrap_or(bytes.len())];
            let (kept, rest) = piece.split_at(piece.len().min(LINE_BYTES - self.line.len()));
            self.line.extend_from_slice(kept);
            tail.extend_from_slice(&rest[rest.len().saturating_sub(TAIL_BYTES)..]);
            tail.drain(..tail.len().saturating_sub(TAIL_BYTES));
            let used = piece.len() + usize::from(end.is_some());
            is_there |= used > 0;
            self.reader.consume(used);
            if end.is_some() || used == 0 {
                break;
            }
        }
        let tail = tail.trim_ascii_end();
        self.is_long = !tail.is_empty();
        if self.is_long {
            self.line.truncate(last(&self.line, b";").unwrap_or(LABEL_BYTES));
            if let Some(count) = last(tail, b" \t") {
                self.line.extend_from_slice(&tail[count..]);
            }
        }
        Ok(is_there)
    }
}

/// The last place of one of these bytes.
fn last(text: &[u8], bytes: &[u8]) -> Option<usize> {
    text.iter().rposition(|byte| bytes.contains(byte))
}

/// A folded line's frames and count.
fn folded_line(line: &[u8]) -> Option<(&[u8], u64)> {
    let at = last(line, b" \t")?;
    Some((line.get(..at)?, count_of(line.get(at + 1..)?)?))
}

/// A count; fractions, as some tools have them, are rounded.
fn count_of(text: &[u8]) -> Option<u64> {
    let number: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    (number.is_finite() && number >= 0.0).then(|| number.min(MOST).round() as u64)
}

/// A line of a stack without what it has for stackcollapse.pl: an offset, an `L` before an `L`.
fn unprotected(line: &str) -> String {
    let line = line.trim_start();
    let line = match line.rsplit_once('+') {
        Some((label, offset)) if offset.starts_with("0x") => label,
        _ => line,
    };
    let line = if line.starts_with("LL") || line.starts_with("L ") { &line[1..] } else { line };
    line.replace(":;", "::")
}

/// A label as this tool writes it, so that the same function in two files is one: without the marks that
/// tell kinds, and with V8's names for perf, `LazyCompile:*NAME SCRIPT:LINE` or `JS:~NAME SCRIPT:LINE:COLUMN`,
/// turned into `NAME:SCRIPT:LINE`.
fn as_ours(label: &str) -> Cow<'_, str> {
    let marks = ["_[j]", "_[i]", "_[k]", "_[w]"];
    let bare = marks.iter().find_map(|mark| label.strip_suffix(mark)).unwrap_or(label);
    from_perf(bare).map_or(Cow::Borrowed(bare), Cow::Owned)
}

fn from_perf(label: &str) -> Option<String> {
    let prefixes = ["JS:", "LazyCompile:", "Function:", "Script:", "Eval:"];
    let rest = prefixes.iter().find_map(|prefix| label.strip_prefix(prefix))?;
    let rest = rest.trim_start_matches(['*', '~', '^', '+']);
    // Names may hold blanks, and so may paths.
    let mut blanks = rest.match_indices(' ').map(|(at, _)| at);
    let at = blanks.find(|at| is_script(&rest[at + 1..])).or_else(|| rest.rfind(' '))?;
    let name = Some(&rest[..at]).filter(|name| !name.is_empty()).unwrap_or("(anonymous)");
    let numbered = |text| str::rsplit_once(text, ':').filter(|(_, number)| number.parse::<u32>().is_ok());
    let (script, line) = numbered(&rest[at + 1..])?;
    let (script, line) = numbered(script).unwrap_or((script, line));
    Some(format!("{name}:{script}:{line}"))
}

fn is_script(text: &str) -> bool {
    ["/", "[", "node:", "file:", "http:", "https:", "evalmachine"].iter().any(|start| text.starts_with(start))
}

/// A label in parts, as far as it is one of ours.
struct Parts<'a> {
    kind: u8,
    name: &'a str,
    file: &'a str,
    line: u32,
}

impl<'a> Parts<'a> {
    fn of(bare: &'a str) -> Self {
        let whole = |kind| Parts { kind, name: bare, file: "", line: 0 };
        for (end, kind) in
            [(":[native]", Kind::Native), (":[builtin]", Kind::Builtin), (":[wasm]", Kind::Wasm)]
        {
            if let Some(name) = bare.strip_suffix(end).filter(|name| !name.starts_with("[0x")) {
                return Parts { kind: kind_number(kind), name, file: "", line: 0 };
            }
        }
        match bare {
            "[regexp]" => whole(kind_number(Kind::RegExp)),
            "[frames elided]" => whole(kind_number(Kind::Elided)),
            NATIVE => whole(kind_number(Kind::Native)),
            _ => Parts::of_javascript(bare).unwrap_or_else(|| whole(PLAIN)),
        }
    }

    /// `NAME:SCRIPT:LINE`, where the script begins as scripts do.
    fn of_javascript(label: &'a str) -> Option<Self> {
        let (rest, line) = label.rsplit_once(':')?;
        let line = line.parse().ok()?;
        let mut colons = rest.match_indices(':').map(|(at, _)| at);
        let at = colons.find(|at| is_script(&rest[at + 1..])).or_else(|| rest.find(':'))?;
        let name = if ["(anonymous)", "<anonymous>"].contains(&&rest[..at]) { "" } else { &rest[..at] };
        Some(Parts { kind: kind_number(Kind::JavaScript), name, file: &rest[at + 1..], line })
    }
}

#[cfg(test)]
mod tests {
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
    fn other_tools_stacks_are_taken_too() {
        let both = compared("start_thread;[libc.so];foo(int, char) 2.6\nno count\n", "a;b\t7\n");
        assert_eq!(both.ignored, 1);
        assert_eq!(
            paths(&both),
            [("start_thread;[libc.so];foo(int, char)".to_string(), 3, 0), ("a;b".to_string(), 0, 7)]
        );
    }

    #[test]
    fn labels_are_parted_where_scripts_begin() {
        let parts = |label| {
            let Parts { kind, name, file, line } = Parts::of(label);
            (KINDS[kind as usize], name, file, line)
        };
        assert_eq!(parts("a:b:/x/y:z.js:12"), ("javascript", "a:b", "/x/y:z.js", 12));
        assert_eq!(parts("(anonymous):node:fs:3"), ("javascript", "", "node:fs", 3));
        assert_eq!(parts("uv_run:[native]"), ("native", "uv_run", "", 0));
        assert_eq!(parts("[0x12 in /bin/node]:[native]"), ("plain", "[0x12 in /bin/node]:[native]", "", 0));
        assert_eq!(parts("(native)"), ("native", "(native)", "", 0));
        assert_eq!(parts("plain"), ("plain", "plain", "", 0));
    }

    #[test]
    fn labels_of_perf_and_marked_ones_are_the_functions_of_plain_ones() {
        for (label, ours) in [
            ("JS:*handle /srv/my app.js:12:7", "handle:/srv/my app.js:12"),
            ("LazyCompile:~get size node:buffer:40", "get size:node:buffer:40"),
            ("Function:^ file:///a.mjs:1:1", "(anonymous):file:///a.mjs:1"),
            ("Script:~ app.js:1:1", "(anonymous):app.js:1"),
            ("main:/a.js:1_[j]", "main:/a.js:1"),
            ("do_syscall_64_[k]", "do_syscall_64"),
            ("JS:nothing like it", "JS:nothing like it"),
            ("operator new(unsigned long)", "operator new(unsigned long)"),
        ] {
            assert_eq!(as_ours(label), ours);
        }
        let both = compared("JS:*f /a.js:1:2 3\nJS:~f /a.js:1:2 1\n", "f:/a.js:1_[j] 5\n");
        assert_eq!(paths(&both), [("f:/a.js:1".to_string(), 4, 5)]);
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
