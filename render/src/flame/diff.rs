//! The difference of two files of stacks, as a page.
//!
//! The files are folded lines or the stacks that stackcollapse.pl takes, from this tool or any
//! other. Each profile is measured by its own total, so that runs of different length compare.

use super::encode::{Data, Encoder, Function, Interner, KINDS, PLAIN, PageFrame, kind_number};
use super::{list, template};
use crate::json;
use flame_core::profile::{CallTree, FrameId, Kind, NodeId};
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::io::{self, BufRead, Read, Write};

/// Nodes of both call trees together; the rest of a path beyond them is left out and counted.
const NODES: usize = 1 << 20;

/// Bytes of one line: the deepest stack with names of 1 KiB has 16 MiB.
const LINE_BYTES: u64 = 32 << 20;

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
    /// The page could not be written.
    Write(io::Error),
}

impl fmt::Display for DiffError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DiffError::Read { file, error } => write!(formatter, "{file} cannot be read: {error}"),
            DiffError::NoStacks { file } => write!(
                formatter,
                "{file} holds no stacks: it should be the output of the format folded or fullraw, \
                 or any tool's folded stacks (root;…;leaf COUNT)"
            ),
            DiffError::Write(error) => write!(formatter, "the page cannot be written: {error}"),
        }
    }
}

impl std::error::Error for DiffError {}

/// Writes a page that compares two files of stacks, each given by its name and its bytes.
///
/// # Errors
/// [`DiffError`]: a file cannot be read or has no stacks, or `out` fails.
pub fn diff<'a>(
    before: (&str, &'a mut dyn BufRead),
    after: (&str, &'a mut dyn BufRead),
    out: &mut dyn Write,
) -> Result<(), DiffError> {
    let mut both = Both::default();
    let names = [before.0, after.0];
    let mut totals = [0; 2];
    for (side, (name, reader)) in [before, after].into_iter().enumerate() {
        totals[side] =
            both.read(side, reader).map_err(|error| DiffError::Read { file: name.into(), error })?;
        if totals[side] == 0 {
            return Err(DiffError::NoStacks { file: name.into() });
        }
    }
    both.write(names, totals, out).map_err(DiffError::Write)
}

/// Both call trees in one: the nodes' own counts are those after, `before` has the others.
struct Both {
    tree: CallTree,
    before: Vec<u64>,
    labels: HashMap<String, u32>,
    strings: Interner,
    functions: Vec<Function>,
    kinds: Vec<u8>,
    ignored: u64,
    cut: u64,
}

impl Default for Both {
    fn default() -> Self {
        Both {
            tree: CallTree::new(NODES),
            before: Vec::new(),
            labels: HashMap::new(),
            strings: Interner::default(),
            functions: Vec::new(),
            kinds: Vec::new(),
            ignored: 0,
            cut: 0,
        }
    }
}

impl Both {
    /// Adds a file's stacks and returns their count.
    fn read(&mut self, side: usize, reader: &mut dyn BufRead) -> io::Result<u64> {
        let mut lines = Lines { reader, number: 0 };
        let mut total = 0;
        // Lines of stacks, leaf first, where the file turns out not to be folded.
        let mut stack: Vec<String> = Vec::new();
        let mut folded = None;
        while let Some(line) = lines.next()? {
            if line.trim().is_empty() || (line.starts_with('#') && lines.number <= 3) {
                continue;
            }
            let count = folded_line(&line);
            if *folded.get_or_insert(count.is_some()) {
                match count {
                    Some((frames, count)) => {
                        total += count;
                        self.add(side, frames.split(';'), count);
                    }
                    None => self.ignored += 1,
                }
            } else if lines.number > 3 {
                match line.trim().parse::<u64>() {
                    Ok(count) => {
                        total += count;
                        let frames = stack.iter().rev().map(String::as_str);
                        self.add(side, frames, count);
                        stack.clear();
                    }
                    Err(_) if stack.len() < flame_core::limits::STACK_FRAMES => {
                        stack.push(unprotected(&line))
                    }
                    Err(_) => self.ignored += 1,
                }
            }
        }
        Ok(total)
    }

    fn add<'a>(&mut self, side: usize, frames: impl Iterator<Item = &'a str>, count: u64) {
        let mut node = NodeId::ROOT;
        for label in frames.filter(|label| !label.is_empty()) {
            let function = self.function(&as_ours(label));
            match function.and_then(|function| self.tree.child(node, FrameId(function)).ok()) {
                Some(child) => node = child,
                None => {
                    self.cut += 1;
                    break;
                }
            }
        }
        self.before.resize(self.tree.len(), 0);
        match self.before.get_mut(node.0 as usize) {
            Some(before) if side == 0 => *before += count,
            _ => self.tree.count(node, count),
        }
    }

    /// The number of a label's function. Where the tree is full no new one has a node, and so none is kept.
    fn function(&mut self, label: &str) -> Option<u32> {
        if let Some(number) = self.labels.get(label) {
            return Some(*number);
        }
        if self.tree.len() >= NODES {
            return None;
        }
        let parts = Parts::of(label);
        let number = self.functions.len() as u32;
        let (name, file) = (self.strings.number(parts.name), self.strings.number(parts.file));
        self.functions.push(Function { name, file, number: parts.line.into() });
        self.kinds.push(parts.kind);
        self.labels.insert(label.to_string(), number);
        Some(number)
    }

    fn write(mut self, names: [&str; 2], totals: [u64; 2], out: &mut dyn Write) -> io::Result<()> {
        let (strings, places) = std::mem::take(&mut self.strings).finish();
        for function in &mut self.functions {
            function.name = places[function.name as usize];
            function.file = places[function.file as usize];
        }
        let frames =
            (0..).zip(&self.kinds).map(|(function, kind)| PageFrame { function, kind: *kind, line: 0 });
        let data = Data { frames: frames.collect(), strings, functions: std::mem::take(&mut self.functions) };
        template(&format!("{} → {}", names[0], names[1]), out, |place, out| match place {
            "META" => self.meta(names, totals, out),
            "STRINGS" => Encoder::new(out).strings(&data.strings),
            "FUNCTIONS" => Encoder::new(out).functions(&data.functions),
            "FRAMES" => Encoder::new(out).frames(&data),
            "NODES" => Encoder::new(out).nodes(&self.tree, Some(&self.before)).map(|_| ()),
            _ => Ok(()),
        })
    }

    fn meta(&self, names: [&str; 2], totals: [u64; 2], out: &mut dyn Write) -> io::Result<()> {
        write!(out, "{{\"tool\":\"node-flame {}\",\"command\":", env!("CARGO_PKG_VERSION"))?;
        json::string(out, &format!("{} → {}", names[0], names[1]))?;
        out.write_all(b",\"rate\":0,\"duration\":0,\"stride\":1,\"threads\":[],\"diff\":{\"before\":")?;
        json::string(out, names[0])?;
        out.write_all(b",\"after\":")?;
        json::string(out, names[1])?;
        write!(out, ",\"samples\":[{},{}]}}", totals[0], totals[1])?;
        let mut remarks = Vec::new();
        if self.ignored > 0 {
            remarks.push(format!("{} lines are no stacks and were left out", self.ignored));
        }
        if self.cut > 0 {
            remarks.push(format!(
                "{} stacks were cut: both files together have more than {NODES} call paths",
                self.cut
            ));
        }
        list(out, "remarks", remarks.iter(), |out, remark| json::string(out, remark))?;
        list(out, "kinds", KINDS.iter(), |out, name| json::string(out, name))?;
        out.write_all(b"}")
    }
}

/// Lines of bounded length, as text.
struct Lines<'a> {
    reader: &'a mut dyn BufRead,
    number: u64,
}

impl Lines<'_> {
    fn next(&mut self) -> io::Result<Option<String>> {
        let mut line = Vec::new();
        (&mut self.reader).take(LINE_BYTES).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Ok(None);
        }
        self.number += 1;
        if line.len() as u64 == LINE_BYTES {
            let message = format!("line {} has more than {LINE_BYTES} bytes", self.number);
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        let text = String::from_utf8_lossy(&line);
        Ok(Some(text.trim_end_matches(['\n', '\r']).to_string()))
    }
}

/// A folded line's frames and count; fractions, as some tools have them, are rounded.
fn folded_line(line: &str) -> Option<(&str, u64)> {
    let (frames, count) = line.trim_end().rsplit_once([' ', '\t'])?;
    let count = count.parse().ok().or_else(|| {
        let fraction: f64 = count.parse().ok().filter(|number| (0.0..1e15).contains(number))?;
        Some(fraction.round() as u64)
    })?;
    Some((frames, count))
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
            let found = both.labels.iter().find(|(_, number)| **number == function);
            found.map(|(label, _)| label.as_str()).unwrap_or("?")
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
}
