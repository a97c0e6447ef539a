//! pprof's profile.proto, gzipped: for `go tool pprof`, Pyroscope, Parca, Grafana.
//!
//! The numbers of the messages' fields are those of github.com/google/pprof's profile.proto. Every
//! message is written as soon as it is known, strings included, so that nothing is collected.

use crate::View;
use crate::gzip::Gzip;
use crate::label::{Style, escape, push};
use crate::times::period_us;
use crate::tree::{Labels, Shown, merge};
use flame_core::profile::{CallTree, Frame, FrameId, NodeId, Profile, Sample};
use std::collections::HashMap;
use std::io::{self, Write};

/// Writes the profile: for each path and thread its samples and their time.
pub fn write(profile: &Profile, view: &View, out: &mut dyn Write) -> io::Result<()> {
    let mut gzip = Gzip::new(out)?;
    let mut proto = Proto { out: &mut gzip, strings: HashMap::new(), scratch: Message::default() };
    proto.profile(profile, view)?;
    gzip.finish()
}

/// One message's bytes.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value > 127 {
            self.0.push(value as u8 | 128);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    /// A number; zero is what a field is when it is absent.
    fn number(&mut self, field: u64, value: u64) {
        if value > 0 {
            self.varint(field << 3);
            self.varint(value);
        }
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn packed(&mut self, field: u64, values: impl IntoIterator<Item = u64>) {
        let mut list = Message::default();
        values.into_iter().for_each(|value| list.varint(value));
        self.bytes(field, &list.0);
    }
}

/// The whole profile as it is written.
struct Proto<'a, 'b> {
    out: &'a mut Gzip<'b>,
    strings: HashMap<String, u64>,
    scratch: Message,
}

impl Proto<'_, '_> {
    fn profile(&mut self, profile: &Profile, view: &View) -> io::Result<()> {
        // String 0 is the empty one.
        self.string("")?;
        let period_ns = period_us(profile).saturating_mul(1000);
        self.value_type(1, "samples", "count")?;
        let kind = if profile.meta.wall { "wall" } else { "cpu" };
        self.value_type(1, kind, "nanoseconds")?;
        let (tree, places) = self.locations(profile, view)?;
        self.samples(profile, &tree, &places, period_ns)?;
        self.value_type(11, kind, "nanoseconds")?;
        let comment = comment(profile);
        let (comment, default) = (self.string(&comment)?, self.string(kind)?);
        let mut tail = Message::default();
        tail.number(9, profile.meta.started.saturating_mul(1_000_000_000));
        tail.number(10, profile.meta.duration_us.saturating_mul(1000));
        tail.number(12, period_ns);
        tail.packed(13, [comment]);
        tail.number(14, default);
        self.out.write_all(&tail.0)
    }

    /// The number of a string, which is written when it is new, with what could act on a terminal escaped:
    /// pprof shows its strings as they are.
    fn string(&mut self, text: &str) -> io::Result<u64> {
        let mut shown = String::with_capacity(text.len());
        escape(text, &mut shown);
        if let Some(number) = self.strings.get(&shown) {
            return Ok(*number);
        }
        let number = self.strings.len() as u64;
        self.field(6, shown.as_bytes())?;
        self.strings.insert(shown, number);
        Ok(number)
    }

    fn field(&mut self, field: u64, bytes: &[u8]) -> io::Result<()> {
        self.scratch.0.clear();
        self.scratch.bytes(field, bytes);
        self.out.write_all(&self.scratch.0)
    }

    fn value_type(&mut self, field: u64, kind: &str, unit: &str) -> io::Result<()> {
        let mut message = Message::default();
        message.number(1, self.string(kind)?);
        message.number(2, self.string(unit)?);
        self.field(field, &message.0)
    }

    /// Writes functions, mappings and locations, and gives the tree of locations with the new
    /// number of every old node. A location is a function at a line.
    fn locations(&mut self, profile: &Profile, view: &View) -> io::Result<(CallTree, Vec<NodeId>)> {
        let shown = Shown { glue: false, native: view.native };
        let labels = Labels::new(profile, Style::default(), false);
        let mut locations: HashMap<(u32, u32), u32> = HashMap::new();
        // The id of each label's function, from 1 on.
        let mut functions: Vec<u64> = vec![0; labels.len() as usize];
        let mut last = 0;
        let mut mappings: HashMap<&str, u64> = HashMap::new();
        let mut of: Vec<Option<FrameId>> = Vec::with_capacity(profile.frames().len());
        for (id, frame) in profile.frames().iter().enumerate() {
            let Some(label) = labels.of(FrameId(id as u32)).filter(|_| shown.holds(frame.kind)) else {
                of.push(None);
                continue;
            };
            let line = match frame {
                Frame { executing: 0, line, .. } => *line,
                Frame { executing, .. } => *executing,
            };
            let next = locations.len() as u32;
            let number = *locations.entry((label, line)).or_insert(next);
            of.push(Some(FrameId(number)));
            if number < next {
                continue;
            }
            let function = &mut functions[label as usize];
            if *function == 0 {
                last += 1;
                *function = last;
                self.function(profile, &labels, label, last)?;
            }
            let function = *function;
            let object = if frame.kind.is_native() { profile.text(frame.file) } else { "" };
            let mapping = match mappings.get(object) {
                Some(mapping) => *mapping,
                None => {
                    let mapping = mappings.len() as u64 + 1;
                    mappings.insert(object, mapping);
                    self.mapping(object, mapping)?;
                    mapping
                }
            };
            self.location(number, function, mapping, line)?;
        }
        let native = locations.len() as u32;
        let merged = merge(profile, FrameId(native), |id| of.get(id.0 as usize).copied().flatten());
        if merged.0.nodes().any(|node| node.frame == Some(FrameId(native))) {
            self.function(profile, &labels, labels.len() - 1, last + 1)?;
            self.location(native, last + 1, 0, 0)?;
        }
        Ok(merged)
    }

    /// A location by its number in the tree.
    fn location(&mut self, number: u32, function: u64, mapping: u64, line: u32) -> io::Result<()> {
        let mut place = Message::default();
        place.number(1, function);
        place.number(2, line.into());
        let mut location = Message::default();
        location.number(1, u64::from(number) + 1);
        location.number(2, mapping);
        location.bytes(4, &place.0);
        self.field(4, &location.0)
    }

    fn function(&mut self, profile: &Profile, labels: &Labels<'_>, label: u32, id: u64) -> io::Result<()> {
        let frame = labels.frame(label);
        let mut whole = String::new();
        labels.write(label, &mut whole);
        let mut message = Message::default();
        message.number(1, id);
        message.number(2, self.string(&function_name(profile, &frame, &whole))?);
        message.number(3, self.string(&whole)?);
        let file = if frame.kind.is_javascript() { profile.text(frame.file) } else { "" };
        message.number(4, self.string(file)?);
        message.number(5, frame.line.into());
        self.field(5, &message.0)
    }

    /// An object, or with an empty name the code made at run time. Nothing is left to look up.
    fn mapping(&mut self, object: &str, id: u64) -> io::Result<()> {
        let mut message = Message::default();
        message.number(1, id);
        message.number(5, self.string(if object.is_empty() { "[jit]" } else { object })?);
        for has in [7, 8, 9, 10] {
            message.number(has, 1);
        }
        self.field(3, &message.0)
    }

    /// One sample for each path and thread. Counts are those of the tree; where the log of samples
    /// was thinned out, it says only how they are parted among threads.
    fn samples(
        &mut self,
        profile: &Profile,
        tree: &CallTree,
        places: &[NodeId],
        period_ns: u64,
    ) -> io::Result<()> {
        let place = |sample: &Sample| places.get(sample.node.0 as usize).copied().unwrap_or(NodeId::ROOT);
        let mut seen: Vec<(u32, u16)> =
            profile.samples().iter().map(|sample| (place(&sample).0, sample.thread.0)).collect();
        seen.sort_unstable();
        let mut seen = &seen[..];
        let mut stack = Vec::new();
        for (number, node) in tree.nodes().enumerate() {
            let (here, rest) = seen.split_at(seen.partition_point(|entry| entry.0 <= number as u32));
            seen = rest;
            if node.own == 0 {
                continue;
            }
            stack.clear();
            let mut at = node;
            while let Some(location) = at.frame {
                stack.push(u64::from(location.0) + 1);
                at = tree.node(at.parent);
            }
            let mut left = node.own;
            let mut threads = here.chunk_by(|a, b| a == b).peekable();
            if here.is_empty() {
                self.sample(&stack, left, period_ns, None, profile)?;
            }
            while let Some(run) = threads.next() {
                let share = node.own * run.len() as u64 / here.len() as u64;
                let count = if threads.peek().is_some() { share } else { left };
                left -= count;
                if count > 0 {
                    self.sample(&stack, count, period_ns, run.first().map(|entry| entry.1), profile)?;
                }
            }
        }
        Ok(())
    }

    fn sample(
        &mut self,
        stack: &[u64],
        count: u64,
        period_ns: u64,
        thread: Option<u16>,
        profile: &Profile,
    ) -> io::Result<()> {
        let mut message = Message::default();
        message.packed(1, stack.iter().copied());
        message.packed(2, [count, count.saturating_mul(period_ns)]);
        if let Some(thread) = thread.and_then(|number| profile.threads().get(usize::from(number))) {
            let mut name = Message::default();
            name.number(1, self.string("thread")?);
            name.number(2, self.string(&thread.name)?);
            message.bytes(3, &name.0);
            let mut id = Message::default();
            id.number(1, self.string("tid")?);
            id.number(3, thread.tid.into());
            message.bytes(3, &id.0);
        }
        self.field(2, &message.0)
    }
}

/// A function's name as lists of functions show it. Those lists go by name alone, so anonymous
/// functions have their place in it, and what is not JavaScript its whole label.
fn function_name(profile: &Profile, frame: &Frame, label: &str) -> String {
    if !frame.kind.is_javascript() {
        return label.to_string();
    }
    let name = profile.text(frame.name);
    if !name.is_empty() {
        return name.to_string();
    }
    let file = profile.text(frame.file);
    format!("(anonymous) {}:{}", file.rsplit('/').next().unwrap_or(file), frame.line)
}

fn comment(profile: &Profile) -> String {
    let meta = &profile.meta;
    let mut text = format!("node-flame {}: pid {}", env!("CARGO_PKG_VERSION"), meta.pid);
    for (name, value) in [("", &meta.command), ("Node ", &meta.node), ("V8 ", &meta.v8), ("on ", &meta.host)]
    {
        if !value.is_empty() {
            push(&mut text, format_args!(", {name}{value}"));
        }
    }
    text
}

#[cfg(test)]
pub mod tests;
