//! speedscope's file format: one sampled profile for each thread, with times.

use crate::View;
use crate::json;
use crate::label::Style;
use crate::times::Times;
use crate::tree::{Shown, Tree};
use flame_core::profile::{Profile, Sample};
use std::io::{self, Write};

/// Writes the file. A stretch in which a thread did not run is a sample with an empty stack.
pub fn write(profile: &Profile, view: &View, out: &mut dyn Write) -> io::Result<()> {
    let style = Style { base_name: false, lines: view.lines };
    let shown = Shown { glue: false, native: view.native };
    let tree = Tree::new(profile, shown, style, &View { annotate: false, ..*view });
    out.write_all(b"{\"$schema\":\"https://www.speedscope.app/file-format-schema.json\",\"name\":")?;
    json::string(out, &profile.meta.command)?;
    write!(out, ",\"exporter\":\"node-flame {}\",\"activeProfileIndex\":0", env!("CARGO_PKG_VERSION"))?;
    out.write_all(b",\n\"shared\":{\"frames\":[")?;
    let numbers = frames(profile, &tree, view, out)?;
    out.write_all(b"]},\n\"profiles\":[")?;
    let times = Times::new(profile);
    let mut any = false;
    for (id, samples) in times.threads() {
        out.write_all(if any { b",\n" } else { b"\n" })?;
        any = true;
        let name = profile.threads().get(usize::from(id.0));
        let name = name
            .map_or_else(|| format!("thread {}", id.0), |thread| format!("{} ({})", thread.name, thread.tid));
        thread(&name, (&tree, &numbers), &times, samples, out)?;
    }
    if !any {
        out.write_all(b"{\"type\":\"sampled\",\"name\":\"no samples\",\"unit\":\"microseconds\",")?;
        out.write_all(b"\"startValue\":0,\"endValue\":0,\"samples\":[],\"weights\":[]}")?;
    }
    out.write_all(b"]}\n")
}

/// Every label that occurs as a frame; gives the frame's number of each label. JavaScript's are in parts, the
/// others' names are whole.
fn frames(profile: &Profile, tree: &Tree<'_>, view: &View, out: &mut dyn Write) -> io::Result<Vec<u32>> {
    let mut label = String::new();
    let mut occurs = vec![false; tree.labels.len() as usize];
    for number in (0..tree.len() as u32).filter_map(|node| tree.label(node)) {
        occurs[number as usize] = true;
    }
    let (mut numbers, mut next) = (Vec::with_capacity(occurs.len()), 0);
    for (number, occurs) in (0..).zip(occurs) {
        numbers.push(next);
        if !occurs {
            continue;
        }
        out.write_all(if next > 0 { b",\n{\"name\":" } else { b"\n{\"name\":" })?;
        next += 1;
        let frame = tree.labels.frame(number);
        if !frame.kind.is_javascript() {
            label.clear();
            tree.labels.write(number, &mut label);
            json::string(out, &label)?;
            out.write_all(b"}")?;
            continue;
        }
        let name = profile.text(frame.name);
        json::string(out, if name.is_empty() { "(anonymous)" } else { name })?;
        out.write_all(b",\"file\":")?;
        json::string(out, profile.text(frame.file))?;
        let line = if view.lines && frame.executing > 0 { frame.executing } else { frame.line };
        if line > 0 {
            write!(out, ",\"line\":{line}")?;
        }
        out.write_all(b"}")?;
    }
    Ok(numbers)
}

fn thread(
    name: &str,
    (tree, numbers): (&Tree<'_>, &[u32]),
    times: &Times,
    samples: &[Sample],
    out: &mut dyn Write,
) -> io::Result<()> {
    let end = times.of(samples).fold(0u64, |end, stretch| end.saturating_add(stretch.length_us()));
    out.write_all(b"{\"type\":\"sampled\",\"name\":")?;
    json::string(out, name)?;
    write!(out, ",\"unit\":\"microseconds\",\"startValue\":0,\"endValue\":{end},\"samples\":[")?;
    let mut stack = Vec::new();
    let mut comma = "";
    for stretch in times.of(samples) {
        if stretch.idle_us > 0 {
            write!(out, "{comma}[]")?;
            comma = ",";
        }
        stack.clear();
        let mut node = tree.place(stretch.node);
        while let Some(label) = tree.label(node) {
            stack.push(numbers.get(label as usize).copied().unwrap_or_default());
            node = tree.parent(node);
        }
        write!(out, "{comma}[")?;
        comma = ",";
        for (number, label) in stack.iter().rev().enumerate() {
            write!(out, "{}{label}", if number > 0 { "," } else { "" })?;
        }
        out.write_all(b"]")?;
    }
    out.write_all(b"],\"weights\":[")?;
    let mut comma = "";
    for stretch in times.of(samples) {
        if stretch.idle_us > 0 {
            write!(out, "{comma}{}", stretch.idle_us)?;
            comma = ",";
        }
        write!(out, "{comma}{}", stretch.busy_us)?;
        comma = ",";
    }
    out.write_all(b"]}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Build;
    use crate::testing::rendered;
    use flame_core::profile::{Activity, Kind};

    #[test]
    fn each_thread_is_a_profile_with_its_gaps() {
        let mut build = Build::default();
        let main = build.frame(Kind::Interpreted, "", "/app/a.js");
        let native = build.frame(Kind::Native, "uv_run", "");
        let worker = build.thread(7, "worker 1");
        build.now = 10_000;
        build.stack(&[native, main]);
        build.now = 50_000;
        build.stack(&[]);
        build.stack_of(worker, Activity::Native, &[native]);
        let text = rendered(&build.finish(), |profile, out| write(profile, &View::default(), out));
        let start = text.find("\n\"shared\"").unwrap();
        assert_eq!(
            &text[start..],
            r#"
"shared":{"frames":[
{"name":"uv_run:[native]"},
{"name":"(anonymous)","file":"/app/a.js","line":1},
{"name":"(native)"}]},
"profiles":[
{"type":"sampled","name":"main (100)","unit":"microseconds","startValue":0,"endValue":50000,"samples":[[0,1],[],[2]],"weights":[10000,30000,10000]},
{"type":"sampled","name":"worker 1 (7)","unit":"microseconds","startValue":0,"endValue":60000,"samples":[[],[0]],"weights":[50000,10000]}]}
"#
        );
    }
}
