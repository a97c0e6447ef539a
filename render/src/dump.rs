//! Every thread's stack, once.

use crate::View;
use crate::json;
use crate::label::{Style, escape};
use crate::tree::Shown;
use flame_core::profile::{Frame, FrameId, Kind, NodeId, Profile, Thread};
use flame_core::sample::arguments::FrameArguments;
use std::io::{self, Write};

/// What a thread did when it was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// It ran, and was held for its stack to be read.
    Running,
    /// It waited in a system call of this name, and was read where it waited.
    Waiting(&'static str),
    /// It could not be read: it did not stop in time, or ended.
    Unread,
}

/// A thread of a dump. Its stack is its one sample in the profile.
#[derive(Clone, Debug, PartialEq)]
pub struct Dumped {
    /// Its id, and its name if the profile has none.
    pub thread: Thread,
    /// What it did.
    pub doing: Doing,
    /// Arguments of its frames.
    pub arguments: Vec<FrameArguments>,
}

/// How long threads were held for a dump.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// How many were.
    pub threads: u64,
    /// All of them together, in nanoseconds.
    pub total_ns: u64,
    /// The one that was held longest, in nanoseconds.
    pub longest_ns: u64,
}

/// Frames of a dump are told by the line executed.
const STYLE: Style = Style { base_name: false, lines: true };

/// A thread as it is shown.
struct Shape<'a> {
    dumped: &'a Dumped,
    name: &'a str,
    /// Leaf first, each with its number in the whole stack.
    frames: Vec<(usize, Frame)>,
}

impl<'a> Shape<'a> {
    fn of(profile: &'a Profile, dumped: &'a Dumped, view: &View) -> Self {
        let known = profile.threads().iter().rposition(|thread| thread.tid == dumped.thread.tid);
        let name = known.and_then(|known| profile.threads().get(known)).map_or("", |thread| &thread.name);
        let sample = profile.samples().iter().find(|sample| Some(usize::from(sample.thread.0)) == known);
        let shown = Shown { glue: false, native: view.native };
        let whole = sample.into_iter().flat_map(|sample| stack(profile, sample.node));
        let frames = whole.map(|id| profile.frame(id)).enumerate().filter(|(_, frame)| {
            !matches!(frame.kind, Kind::Thread | Kind::Process) && shown.holds(frame.kind)
        });
        let frames = frames.collect();
        let name = match [name, &dumped.thread.name].into_iter().find(|name| !name.is_empty()) {
            None if dumped.thread.tid == profile.meta.pid => "main",
            known => known.unwrap_or("thread"),
        };
        Shape { dumped, name, frames }
    }

    fn arguments(&self, number: usize) -> Option<&'a [String]> {
        let found = self.dumped.arguments.iter().find(|arguments| arguments.frame == number);
        found.map(|arguments| arguments.values.as_slice())
    }

    fn is_javascript(&self) -> bool {
        self.frames.iter().any(|(_, frame)| frame.kind.is_javascript())
    }
}

/// The frames of a path, leaf first.
fn stack(profile: &Profile, leaf: NodeId) -> impl Iterator<Item = FrameId> + '_ {
    let mut next = leaf;
    std::iter::from_fn(move || {
        let node = profile.tree().node(next);
        next = node.parent;
        node.frame
    })
}

/// Threads that run JavaScript first, each in the order given.
fn shapes<'a>(profile: &'a Profile, threads: &'a [Dumped], view: &View) -> Vec<Shape<'a>> {
    let mut others = Vec::new();
    let mut shapes = Vec::with_capacity(threads.len());
    for thread in threads {
        let shape = Shape::of(profile, thread, view);
        let is_first = shape.is_javascript() || thread.thread.tid == profile.meta.pid;
        if is_first { &mut shapes } else { &mut others }.push(shape);
    }
    shapes.append(&mut others);
    shapes
}

/// Writes a dump as text: for each thread a line, and its frames below it, the innermost first.
///
/// # Errors
/// Those of `out`.
pub fn text(profile: &Profile, threads: &[Dumped], view: &View, out: &mut dyn Write) -> io::Result<()> {
    let meta = &profile.meta;
    let mut line = String::new();
    escape(&meta.command, &mut line);
    writeln!(out, "{}: {line}", meta.pid)?;
    for shape in shapes(profile, threads, view) {
        line.clear();
        escape(shape.name, &mut line);
        write!(out, "\n{line} ({}): ", shape.dumped.thread.tid)?;
        match shape.dumped.doing {
            Doing::Running => writeln!(out, "running")?,
            Doing::Waiting(call) => writeln!(out, "waiting in {call}")?,
            Doing::Unread => writeln!(out, "could not be read")?,
        }
        for (number, frame) in &shape.frames {
            line.clear();
            STYLE.write(profile, frame, &mut line);
            if let Some(arguments) = shape.arguments(*number) {
                line.push_str(" (");
                escape(&arguments.join(", "), &mut line);
                line.push(')');
            }
            writeln!(out, "    {line}")?;
        }
    }
    Ok(())
}

/// Writes a dump as one JSON object.
///
/// # Errors
/// Those of `out`.
pub fn json(
    profile: &Profile,
    threads: &[Dumped],
    held: &Held,
    view: &View,
    out: &mut dyn Write,
) -> io::Result<()> {
    let meta = &profile.meta;
    write!(out, "{{\"pid\":{}", meta.pid)?;
    for (name, text) in [("command", &meta.command), ("node", &meta.node), ("v8", &meta.v8)] {
        write!(out, ",\"{name}\":")?;
        json::string_or_null(out, text)?;
    }
    write!(
        out,
        ",\"held\":{{\"threads\":{},\"totalNs\":{},\"longestNs\":{}}},\"threads\":",
        held.threads, held.total_ns, held.longest_ns
    )?;
    let mut label = String::new();
    let mut start = "[\n";
    for shape in shapes(profile, threads, view) {
        write!(out, "{start}{{\"tid\":{},\"name\":", shape.dumped.thread.tid)?;
        json::string(out, shape.name)?;
        let (state, call) = match shape.dumped.doing {
            Doing::Running => ("running", ""),
            Doing::Waiting(call) => ("waiting", call),
            Doing::Unread => ("unread", ""),
        };
        write!(out, ",\"state\":\"{state}\",\"call\":")?;
        json::string_or_null(out, call)?;
        out.write_all(b",\"frames\":[")?;
        for (at, (number, frame)) in shape.frames.iter().enumerate() {
            label.clear();
            STYLE.write(profile, frame, &mut label);
            out.write_all(if at == 0 { b"{\"label\":" } else { b",{\"label\":" })?;
            json::string(out, &label)?;
            for (name, text) in [("name", frame.name), ("file", frame.file)] {
                write!(out, ",\"{name}\":")?;
                json::string_or_null(out, profile.text(text))?;
            }
            if frame.kind.is_javascript() {
                write!(out, ",\"line\":{},\"functionLine\":{}", frame.executing, frame.line)?;
            }
            if let Some(arguments) = shape.arguments(*number) {
                for (at, value) in arguments.iter().enumerate() {
                    out.write_all(if at == 0 { b",\"arguments\":[" } else { b"," })?;
                    json::string(out, value)?;
                }
                out.write_all(b"]")?;
            }
            out.write_all(b"}")?;
        }
        out.write_all(b"]}")?;
        start = ",\n";
    }
    out.write_all(if threads.is_empty() { b"[]}\n" } else { b"\n]}\n" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Build;
    use crate::testing::rendered;
    use flame_core::profile::{Activity, ThreadId};

    fn dump() -> (Profile, [Dumped; 3]) {
        let mut build = Build::default();
        let helper = build.thread(101, "V8 worker");
        let main = build.frame(Kind::Optimized, "ma\u{1b}in", "/app/a.js");
        let main = Frame { line: 3, executing: 9, ..main };
        let glue = build.frame(Kind::Glue, "EntryFrame", "");
        let native = build.frame(Kind::Native, "uv_run", "");
        build.stack_of(helper, Activity::Waiting, &[native]);
        build.stack_of(ThreadId(0), Activity::JavaScript, &[native, glue, main]);
        let thread =
            |tid, doing, arguments| Dumped { thread: Thread { tid, name: "node".into() }, doing, arguments };
        let arguments = FrameArguments { frame: 0, values: vec!["1".into(), "\"\u{202e}\"".into()] };
        let threads = [
            thread(101, Doing::Waiting("futex"), Vec::new()),
            thread(100, Doing::Running, vec![arguments]),
            thread(102, Doing::Unread, Vec::new()),
        ];
        (build.finish(), threads)
    }

    #[test]
    fn each_thread_has_its_state_and_its_frames_innermost_first() {
        let (profile, threads) = dump();
        let expected = "\
100: node app.js

main (100): running
    ma\\x1bin:/app/a.js:9 (1, \"\\u202e\")
    uv_run:[native]

V8 worker (101): waiting in futex
    uv_run:[native]

node (102): could not be read
";
        let view = View::default();
        assert_eq!(rendered(&profile, |profile, out| text(profile, &threads, &view, out)), expected);
        let view = View { native: false, ..view };
        let without = rendered(&profile, |profile, out| text(profile, &threads, &view, out));
        assert!(!without.contains("uv_run") && without.contains("V8 worker (101): waiting in futex\n\n"));
    }

    #[test]
    fn json_holds_the_same() {
        let (profile, threads) = dump();
        let held = Held { threads: 1, total_ns: 7000, longest_ns: 7000 };
        let text = rendered(&profile, |profile, out| json(profile, &threads, &held, &View::default(), out));
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&read["pid"], &read["held"]["totalNs"]), (&100.into(), &7000.into()));
        let main = &read["threads"][0];
        assert_eq!((&main["name"], &main["state"]), (&"main".into(), &"running".into()));
        assert_eq!((&main["frames"][0]["line"], &main["frames"][0]["functionLine"]), (&9.into(), &3.into()));
        assert_eq!(main["frames"][0]["arguments"][1], "\"\u{202e}\"");
        assert_eq!(main["frames"][1]["label"], "uv_run:[native]");
        assert_eq!(read["threads"][1]["call"], "futex");
        assert_eq!(read["threads"][2]["frames"].as_array().unwrap().len(), 0);
        let none = rendered(&profile, |profile, out| json(profile, &[], &held, &View::default(), out));
        assert!(serde_json::from_str::<serde_json::Value>(&none).is_ok(), "{none}");
    }
}
