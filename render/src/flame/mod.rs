//! The HTML page: one file, no network, all its code and data inside.
//!
//! The template with its style and scripts stands in `page/` and is put together at build; here its
//! places are filled in while it is written. Names from the target are data, never markup: they
//! stand in script elements of a type that no browser runs, and the page's policy lets only its own
//! script run, by its hash.

mod diff;
mod encode;
mod sources;

pub use diff::{DiffError, diff};

use crate::label::Style;
use crate::tree::{Labels, NATIVE, Shown, merge};
use crate::{View, json};
use encode::{Data, Encoder, Function, Interner, KINDS, PageFrame, kind_number};
use flame_core::profile::{CallTree, FrameId, Kind, NodeId, Profile};
use miniz_oxide::inflate::decompress_to_vec;
use std::collections::HashMap;
use std::io::{self, Write};

/// The page without its data, compressed by `build/main.rs`.
const PAGE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/page.deflate"));

/// Writes the page of a profile, with those lines of its sources that were hot.
pub fn write(profile: &Profile, view: &View, out: &mut dyn Write) -> io::Result<()> {
    let (data, tree, places) = collect(profile, view);
    template(&profile.meta.command, out, |place, out| match place {
        "META" => meta(profile, view, out),
        "STRINGS" => Encoder::new(out).strings(&mut data.strings.iter().map(String::as_str)),
        "FUNCTIONS" => Encoder::new(out).functions(&mut data.functions.iter().copied()),
        "FRAMES" => {
            let first = |function: u32| data.functions.get(function as usize).map_or(0, |known| known.number);
            Encoder::new(out).frames(&mut data.frames.iter().copied(), &first)
        }
        "NODES" => {
            let numbers = Encoder::new(out).nodes(&tree, None)?;
            out.write_all(b"</script>\n<script type=\"text/plain\" id=\"samples\">")?;
            let number = |node: NodeId| {
                let place = places.get(node.0 as usize).copied().unwrap_or(NodeId::ROOT);
                numbers.get(place.0 as usize).copied().unwrap_or(0)
            };
            Encoder::new(out).samples(profile.samples().iter(), number)
        }
        "SOURCES" => sources::write(&data, profile, out),
        _ => Ok(()),
    })
}

/// Writes the template, filling each `{{PLACE}}` by `fill`.
fn template(
    title: &str,
    out: &mut dyn Write,
    mut fill: impl FnMut(&str, &mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let page = decompress_to_vec(PAGE).map_err(|_| io::Error::other("the page's template is damaged"))?;
    let page = String::from_utf8(page).map_err(io::Error::other)?;
    let mut rest = page.as_str();
    while let Some((before, after)) = rest.split_once("{{") {
        out.write_all(before.as_bytes())?;
        let Some((place, after)) = after.split_once("}}") else { break };
        match place {
            "TITLE" => text(out, title)?,
            place => fill(place, out)?,
        }
        rest = after;
    }
    out.write_all(rest.as_bytes())
}

/// Text of an element.
fn text(out: &mut dyn Write, text: &str) -> io::Result<()> {
    let mut shown = String::new();
    crate::label::escape(text, &mut shown);
    out.write_all(shown.replace('&', "&amp;").replace('<', "&lt;").as_bytes())
}

/// The profile as the page has it: functions are what shares a label, frames what shares function,
/// kind and line. With them, the tree of such frames, and the new number of every old node.
fn collect(profile: &Profile, view: &View) -> (Data, CallTree, Vec<NodeId>) {
    let shown = Shown { glue: false, native: view.native };
    let labels = Labels::new(profile, Style::default(), false);
    let mut numbers: HashMap<PageFrame, u32> = HashMap::new();
    let mut frames: Vec<PageFrame> = Vec::new();
    let of: Vec<Option<u32>> = profile
        .frames()
        .iter()
        .enumerate()
        .map(|(id, frame)| {
            let function = labels.of(FrameId(id as u32)).filter(|_| shown.holds(frame.kind))?;
            let line = if frame.kind.is_javascript() { frame.executing } else { 0 };
            let frame = PageFrame { function, kind: kind_number(frame.kind), line };
            Some(*numbers.entry(frame).or_insert_with(|| {
                frames.push(frame);
                frames.len() as u32 - 1
            }))
        })
        .collect();
    // With no uses of its own, its place is the last one.
    let native = frames.len() as u32;
    frames.push(PageFrame { function: labels.len() - 1, kind: kind_number(Kind::Native), line: 0 });

    // Frames and functions that many nodes have get small numbers, and so short ones.
    let mut uses = vec![0u32; frames.len()];
    let key = |id: FrameId| of.get(id.0 as usize).copied().flatten();
    for node in profile.tree().nodes() {
        if let Some(frame) = node.frame.and_then(key) {
            uses[frame as usize] += 1;
        }
    }
    let places = by_use(&uses);
    let place = |frame: u32| FrameId(places[frame as usize]);
    let (tree, nodes) = merge(profile, place(native), |id| key(id).map(place));
    if !tree.nodes().any(|node| node.frame == Some(place(native))) {
        frames.pop();
    }

    let mut functions: Vec<Option<u32>> = vec![None; labels.len() as usize];
    let mut data =
        Data { frames: vec![PageFrame { function: 0, kind: 0, line: 0 }; frames.len()], ..Data::default() };
    let mut interner = Interner::default();
    let mut order: Vec<usize> = (0..frames.len()).collect();
    order.sort_unstable_by_key(|frame| places[*frame]);
    for frame in order {
        let label = frames[frame].function;
        let function = *functions[label as usize].get_or_insert_with(|| {
            let frame = labels.frame(label);
            let is_native = label + 1 == labels.len();
            data.functions.push(Function {
                name: interner.number(if is_native { NATIVE } else { profile.text(frame.name) }),
                file: interner.number(profile.text(frame.file)),
                number: if frame.kind.is_javascript() { frame.line.into() } else { frame.offset },
            });
            data.functions.len() as u32 - 1
        });
        data.frames[places[frame] as usize] = PageFrame { function, ..frames[frame] };
    }
    let (strings, sorted) = interner.finish();
    for function in &mut data.functions {
        function.name = sorted[function.name as usize];
        function.file = sorted[function.file as usize];
    }
    data.strings = strings;
    (data, tree, nodes)
}

/// The place of each number when the most used come first.
fn by_use(uses: &[u32]) -> Vec<u32> {
    let mut order: Vec<u32> = (0..uses.len() as u32).collect();
    order.sort_by_key(|number| std::cmp::Reverse(uses[*number as usize]));
    let mut places = vec![0; uses.len()];
    for (place, number) in order.into_iter().enumerate() {
        places[number as usize] = place as u32;
    }
    places
}

/// What was profiled and how it went, as JSON.
fn meta(profile: &Profile, view: &View, out: &mut dyn Write) -> io::Result<()> {
    let meta = &profile.meta;
    let receipt = &profile.receipt;
    write!(out, "{{\"tool\":\"node-flame {}\",\"pid\":{}", env!("CARGO_PKG_VERSION"), meta.pid)?;
    for (key, text) in
        [("command", &meta.command), ("node", &meta.node), ("v8", &meta.v8), ("host", &meta.host)]
    {
        write!(out, ",\"{key}\":")?;
        json::shown(out, text)?;
    }
    if let Some(ended) = &meta.ended {
        out.write_all(b",\"ended\":")?;
        json::shown(out, ended)?;
    }
    let counts = receipt.counts;
    let pauses = receipt.pauses;
    write!(
        out,
        ",\"started\":{},\"duration\":{},\"rate\":{},\"wall\":{},\"lines\":{},\"stride\":{}",
        meta.started,
        meta.duration_us,
        meta.rate_hz,
        meta.wall,
        view.lines,
        profile.samples().stride(),
    )?;
    write!(
        out,
        ",\"counts\":{{\"wanted\":{},\"taken\":{},\"idle\":{},\"lost\":{}}}",
        counts.wanted, counts.taken, counts.idle, counts.lost,
    )?;
    write!(
        out,
        ",\"pauses\":{{\"p50\":{},\"p99\":{},\"max\":{},\"total\":{},\"observed\":{}}}",
        pauses.p50_ns, pauses.p99_ns, pauses.max_ns, pauses.total_ns, pauses.observed_ns,
    )?;
    list(out, "remarks", receipt.remarks.iter(), |out, remark| json::shown(out, remark))?;
    list(out, "threads", profile.threads().iter(), |out, thread| {
        write!(out, "[{},", thread.tid)?;
        json::shown(out, &thread.name)?;
        out.write_all(b"]")
    })?;
    list(out, "kinds", KINDS.iter(), |out, name| json::string(out, name))?;
    out.write_all(b"}")
}

fn list<T>(
    out: &mut dyn Write,
    key: &str,
    items: impl Iterator<Item = T>,
    mut write: impl FnMut(&mut dyn Write, T) -> io::Result<()>,
) -> io::Result<()> {
    write!(out, ",\"{key}\":[")?;
    for (number, item) in items.enumerate() {
        if number > 0 {
            out.write_all(b",")?;
        }
        write(out, item)?;
    }
    out.write_all(b"]")
}

#[cfg(test)]
mod tests;
