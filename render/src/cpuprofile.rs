//! V8's own profile format, for Chrome DevTools and VS Code.
//!
//! It knows one thread. When several were sampled, their samples follow one thread after the other,
//! so that each thread's time adds up and its chart is whole. Where a thread did not run, `(idle)`
//! takes the time, as in V8's profiles: with as many hits as it would have had, since DevTools parts
//! the whole time by hits. Native code that is not shown is `(program)`, as in those too.

use crate::View;
use crate::json;
use crate::label::Style;
use crate::times::Times;
use crate::tree::{Shown, Tree};
use flame_core::profile::{Frame, Profile};
use std::io::{self, Write};

/// Writes the profile. Nodes are numbered from 1, the root.
pub fn write(profile: &Profile, view: &View, out: &mut dyn Write) -> io::Result<()> {
    let shown = Shown { glue: false, native: view.native };
    let tree = Tree::new(profile, shown, Style::default(), &View { annotate: false, ..*view });
    let ticks = own_lines(profile, &tree, shown);
    let times = Times::new(profile);
    let idle = Idle::new(&times, profile, tree.len() as u32 + 1);

    out.write_all(b"{\"nodes\":[")?;
    let mut ticks = Groups { rest: &ticks };
    for node in 0..tree.len() as u32 {
        write!(out, "{}{{\"id\":{},\"callFrame\":", if node > 0 { ",\n" } else { "" }, node + 1)?;
        match tree.label(node) {
            Some(label) => call_frame(profile, &tree, label, out)?,
            None => meta_frame("(root)", out)?,
        }
        write!(out, ",\"hitCount\":{}", tree.own(node))?;
        let children = tree.children(node).iter().map(|child| child + 1);
        list(out, "children", children.chain((node == 0 && idle.hits > 0).then_some(idle.node)))?;
        let lines = ticks.take(node);
        if !lines.is_empty() {
            out.write_all(b",\"positionTicks\":[")?;
            for (number, (_, line, count)) in lines.iter().enumerate() {
                let comma = if number > 0 { "," } else { "" };
                write!(out, "{comma}{{\"line\":{line},\"ticks\":{count}}}")?;
            }
            out.write_all(b"]")?;
        }
        out.write_all(b"}")?;
    }
    if idle.hits > 0 {
        write!(out, ",\n{{\"id\":{},\"callFrame\":", idle.node)?;
        meta_frame("(idle)", out)?;
        write!(out, ",\"hitCount\":{}}}", idle.hits)?;
    }
    let start = profile.meta.started.saturating_mul(1_000_000);
    let end = times.length_us().saturating_add(idle.tail_us);
    write!(out, "],\n\"startTime\":{start},\"endTime\":{}", start.saturating_add(end))?;
    list(out, "samples", steps(&times, &tree, &idle).map(|step| step.0))?;
    list(out, "timeDeltas", steps(&times, &tree, &idle).map(|step| step.1))?;
    out.write_all(b"}\n")
}

/// The time in which nothing ran.
struct Idle {
    node: u32,
    hits: u64,
    /// What is left of the run after the last sample.
    tail_us: u64,
}

impl Idle {
    fn new(times: &Times, profile: &Profile, node: u32) -> Self {
        let period = times.period_us();
        let left = profile.meta.duration_us.saturating_sub(times.length_us());
        let tail_us = if left > period { left } else { 0 };
        let gaps = times.stretches().fold(tail_us, |sum, stretch| sum.saturating_add(stretch.idle_us));
        Idle { node, hits: gaps.div_ceil(period), tail_us }
    }
}

/// For each sample, and each gap before one, its node and the microseconds since the last one's
/// begin: to V8's readers a sample lasts until the next.
fn steps<'a>(times: &'a Times, tree: &'a Tree<'a>, idle: &'a Idle) -> impl Iterator<Item = (u32, u64)> + 'a {
    times
        .stretches()
        .flat_map(move |stretch| {
            let gap = (stretch.idle_us > 0).then_some((idle.node, stretch.idle_us));
            gap.into_iter().chain([(tree.place(stretch.node) + 1, stretch.busy_us)])
        })
        .chain((idle.tail_us > 0).then_some((idle.node, idle.tail_us)))
        .scan(0, |last, (node, length)| Some((node, std::mem::replace(last, length))))
}

fn call_frame(profile: &Profile, tree: &Tree<'_>, label: u32, out: &mut dyn Write) -> io::Result<()> {
    if label + 1 == tree.labels.len() {
        return meta_frame("(program)", out);
    }
    let frame = tree.labels.frame(label);
    out.write_all(b"{\"functionName\":")?;
    if !frame.kind.is_javascript() {
        let mut name = String::new();
        tree.labels.write(label, &mut name);
        json::string(out, &name)?;
        return out.write_all(b",\"scriptId\":\"0\",\"url\":\"\",\"lineNumber\":-1,\"columnNumber\":-1}");
    }
    json::string(out, profile.text(frame.name))?;
    write!(out, ",\"scriptId\":\"{}\",\"url\":", frame.offset)?;
    json::string(out, &url(profile.text(frame.file)))?;
    let Frame { line, column, .. } = frame;
    let from_zero = |number: u32| i64::from(number) - 1;
    write!(out, ",\"lineNumber\":{},\"columnNumber\":{}}}", from_zero(line), from_zero(column))
}

fn meta_frame(name: &str, out: &mut dyn Write) -> io::Result<()> {
    write!(out, "{{\"functionName\":\"{name}\",\"scriptId\":\"0\",\"url\":\"\",")?;
    out.write_all(b"\"lineNumber\":-1,\"columnNumber\":-1}")
}

/// A script's name as Node's own profiles have it: a path becomes a `file:` address.
fn url(file: &str) -> String {
    if !file.starts_with('/') {
        return file.to_string();
    }
    let mut url = String::from("file://");
    for byte in file.bytes() {
        match byte {
            b'/' | b'-' | b'.' | b'_' | b'~' | b'@' | b'+' | b':' | b'!' | b'$' | b'&' | b'(' | b')'
            | b',' => {
                url.push(byte.into());
            }
            _ if byte.is_ascii_alphanumeric() => url.push(byte.into()),
            _ => crate::label::push(&mut url, format_args!("%{byte:02X}")),
        }
    }
    url
}

fn list<T: std::fmt::Display>(
    out: &mut dyn Write,
    key: &str,
    items: impl Iterator<Item = T>,
) -> io::Result<()> {
    write!(out, ",\"{key}\":[")?;
    for (number, item) in items.enumerate() {
        write!(out, "{}{item}", if number > 0 { "," } else { "" })?;
    }
    out.write_all(b"]")
}

/// Samples by node and executing line, sorted.
fn own_lines(profile: &Profile, tree: &Tree<'_>, shown: Shown) -> Vec<(u32, u32, u64)> {
    // The line at which each node of the profile runs, hidden frames being their caller's.
    let mut lines: Vec<u32> = Vec::with_capacity(profile.tree().len());
    let mut counts = Vec::new();
    for (number, node) in profile.tree().nodes().enumerate() {
        let frame = node.frame.map(|id| profile.frame(id)).filter(|frame| shown.holds(frame.kind));
        let line = match frame {
            Some(frame) if frame.kind.is_javascript() => frame.executing,
            Some(_) => 0,
            None => lines.get(node.parent.0 as usize).copied().unwrap_or(0),
        };
        lines.push(line);
        if node.own > 0 && line > 0 {
            counts.push((tree.place(flame_core::profile::NodeId(number as u32)), line, node.own));
        }
    }
    counts.sort_unstable();
    counts.dedup_by(|next, kept| {
        let same = (next.0, next.1) == (kept.0, kept.1);
        if same {
            kept.2 += next.2;
        }
        same
    });
    counts
}

/// Takes sorted entries node by node.
struct Groups<'a> {
    rest: &'a [(u32, u32, u64)],
}

impl<'a> Groups<'a> {
    fn take(&mut self, node: u32) -> &'a [(u32, u32, u64)] {
        let end = self.rest.partition_point(|entry| entry.0 <= node);
        let (group, rest) = self.rest.split_at(end);
        self.rest = rest;
        group
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Build;
    use crate::testing::rendered;
    use flame_core::profile::Kind;

    #[test]
    fn nodes_samples_times_and_lines_are_v8s() {
        let mut build = Build::default();
        build.meta.started = 2;
        build.meta.duration_us = 90_000;
        let main = build.frame(Kind::Interpreted, "main", "/app/my app.js");
        let hot = Frame { executing: 9, ..main };
        let native = build.frame(Kind::Native, "uv_run", "/usr/bin/node");
        build.now = 10_000;
        build.stack(&[native, hot]);
        build.now = 60_000;
        build.stack(&[native]);
        let text = rendered(&build.finish(), |profile, out| write(profile, &View::default(), out));
        assert_eq!(
            text,
            r#"{"nodes":[{"id":1,"callFrame":{"functionName":"(root)","scriptId":"0","url":"","lineNumber":-1,"columnNumber":-1},"hitCount":0,"children":[2,4]},
{"id":2,"callFrame":{"functionName":"uv_run:[native]","scriptId":"0","url":"","lineNumber":-1,"columnNumber":-1},"hitCount":1,"children":[3]},
{"id":3,"callFrame":{"functionName":"main","scriptId":"0","url":"file:///app/my%20app.js","lineNumber":0,"columnNumber":-1},"hitCount":1,"children":[],"positionTicks":[{"line":9,"ticks":1}]},
{"id":4,"callFrame":{"functionName":"(idle)","scriptId":"0","url":"","lineNumber":-1,"columnNumber":-1},"hitCount":7}],
"startTime":2000000,"endTime":2090000,"samples":[3,4,2,4],"timeDeltas":[0,10000,40000,10000]}
"#
        );
    }
}
