//! The page's data as compact text.
//!
//! Numbers are base-64 digits, low ones first: five bits each, the sixth says that more follow, as
//! in source maps. Strings are front-coded: sorted, each line the length it shares with the one
//! before (in UTF-16 units, the page's), then the rest. Nodes come callers first, heaviest first,
//! and take three or four bytes each.

use crate::label::escape;
use crate::tree::{Children, totals};
use flame_core::profile::{CallTree, Kind, NodeId, Sample};
use std::io::{self, Write};

/// Kinds by number, as the page's script names them.
pub const KINDS: [&str; 19] = [
    "interpreted",
    "baseline",
    "maglev",
    "optimized",
    "inlined",
    "javascript",
    "builtin",
    "regexp",
    "wasm",
    "native",
    "v8",
    "gc",
    "compiler",
    "libc",
    "glue",
    "elided",
    "thread",
    "process",
    "plain",
];

/// A frame of another tool, of which only its name is known.
pub const PLAIN: u8 = 18;

/// A kind's number.
pub const fn kind_number(kind: Kind) -> u8 {
    match kind {
        Kind::Interpreted => 0,
        Kind::Baseline => 1,
        Kind::Maglev => 2,
        Kind::Optimized => 3,
        Kind::Inlined => 4,
        Kind::JavaScript => 5,
        Kind::Builtin => 6,
        Kind::RegExp => 7,
        Kind::Wasm => 8,
        Kind::Native => 9,
        Kind::V8 => 10,
        Kind::Gc => 11,
        Kind::Compiler => 12,
        Kind::Libc => 13,
        Kind::Glue => 14,
        Kind::Elided => 15,
        Kind::Thread => 16,
        Kind::Process => 17,
    }
}

/// What the page's data blocks are made of.
#[derive(Default)]
pub struct Data {
    /// All strings, as shown.
    pub strings: Vec<String>,
    /// What is merged: functions, by number.
    pub functions: Vec<Function>,
    /// What a node runs, by number.
    pub frames: Vec<PageFrame>,
}

/// A function: its label in parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function {
    /// Number of its name's string.
    pub name: u32,
    /// Number of its file's string.
    pub file: u32,
    /// First line of JavaScript, else an offset, index or id.
    pub number: u64,
}

/// A function in a tier, at a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PageFrame {
    /// The function's number.
    pub function: u32,
    /// Number of its kind.
    pub kind: u8,
    /// The line being executed, 0 if unknown.
    pub line: u32,
}

/// Writes numbers and strings.
pub struct Encoder<'a> {
    out: &'a mut dyn Write,
}

impl<'a> Encoder<'a> {
    /// Writes to `out`, in small pieces.
    pub fn new(out: &'a mut dyn Write) -> Self {
        Encoder { out }
    }

    /// One number of 0 or more.
    pub fn number(&mut self, mut value: u64) -> io::Result<()> {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut text = [0; 13];
        let mut length = 0;
        loop {
            let more = if value > 31 { 32 } else { 0 };
            text[length] = DIGITS[(value & 31 | more) as usize];
            length += 1;
            value >>= 5;
            if more == 0 {
                return self.out.write_all(&text[..length]);
            }
        }
    }

    /// One number of either sign.
    pub fn signed(&mut self, value: i64) -> io::Result<()> {
        self.number((value << 1 ^ value >> 63) as u64)
    }

    /// All strings: on lines, front-coded. They should be sorted.
    pub fn strings(&mut self, strings: &mut dyn Iterator<Item = &str>) -> io::Result<()> {
        let mut before = "";
        for string in strings {
            let shared: usize = string
                .chars()
                .zip(before.chars())
                .take_while(|(char, other)| char == other)
                .map(|(char, _)| char.len_utf8())
                .sum();
            let (prefix, rest) = string.split_at(shared);
            self.number(prefix.encode_utf16().count() as u64)?;
            // `<` never stands in the block, so nothing in it can end the script element.
            self.out.write_all(rest.replace('\\', "\\\\").replace('<', "\\l").as_bytes())?;
            self.out.write_all(b"\n")?;
            before = string;
        }
        Ok(())
    }

    /// All functions.
    pub fn functions(&mut self, functions: &mut dyn Iterator<Item = Function>) -> io::Result<()> {
        let mut file = 0;
        for function in functions {
            self.number(function.name.into())?;
            self.signed(i64::from(function.file) - file)?;
            self.number(function.number)?;
            file = i64::from(function.file);
        }
        Ok(())
    }

    /// All frames; a known line as its distance from the function's first, which `first` tells.
    pub fn frames(
        &mut self,
        frames: &mut dyn Iterator<Item = PageFrame>,
        first: &dyn Fn(u32) -> u64,
    ) -> io::Result<()> {
        for frame in frames {
            self.number(frame.function.into())?;
            self.number(frame.kind.into())?;
            let distance = i64::from(frame.line) - first(frame.function) as u32 as i64;
            self.number(if frame.line == 0 { 0 } else { 1 + (distance << 1 ^ distance >> 63) as u64 })?;
        }
        Ok(())
    }

    /// All nodes, with a second count for each where two profiles are compared. Returns each
    /// node's place.
    pub fn nodes(&mut self, tree: &CallTree, other: Option<&[u64]>) -> io::Result<Vec<u32>> {
        let totals = match other {
            None => totals(tree),
            Some(other) => {
                let mut both = totals(tree);
                let mut sums = other.to_vec();
                for (number, node) in tree.nodes().enumerate().skip(1).rev() {
                    sums[node.parent.0 as usize] += sums[number];
                    both[number] += sums[number];
                }
                both
            }
        };
        let children =
            Children::new(tree, |a, b| totals[b as usize].cmp(&totals[a as usize]).then(a.cmp(&b)));
        let mut places = vec![0; tree.len()];
        let mut last_depth = 0;
        for (place, (number, depth)) in children.walk().enumerate() {
            places[number as usize] = place as u32;
            let node = tree.node(NodeId(number));
            if let Some(frame) = node.frame {
                self.number(frame.0.into())?;
                let up = last_depth + 1 - depth;
                self.number(node.own * 2 + u64::from(up > 0))?;
                if up > 0 {
                    self.number(u64::from(up) - 1)?;
                }
            } else {
                self.number(node.own)?;
            }
            if let Some(other) = other {
                self.number(other.get(number as usize).copied().unwrap_or(0))?;
            }
            last_depth = depth;
        }
        Ok(places)
    }

    /// All samples: time since the one before in tenths of a millisecond, the node's distance from
    /// the one before, thread and activity.
    pub fn samples(
        &mut self,
        samples: impl Iterator<Item = Sample>,
        place: impl Fn(NodeId) -> u32,
    ) -> io::Result<()> {
        let (mut before, mut node) = (0, 0);
        for sample in samples {
            let now = sample.at_us / 100;
            self.number(now.saturating_sub(before))?;
            before = before.max(now);
            let next = i64::from(place(sample.node));
            self.signed(next - node)?;
            node = next;
            self.number(u64::from(sample.thread.0) << 3 | sample.activity as u64)?;
        }
        Ok(())
    }
}

/// Sorts and numbers strings: each is given a number first, and its place once all are known.
#[derive(Default)]
pub struct Interner {
    numbers: std::collections::HashMap<String, u32>,
}

impl Interner {
    /// A number for what `text` looks like.
    pub fn number(&mut self, text: &str) -> u32 {
        let mut shown = String::with_capacity(text.len());
        escape(text, &mut shown);
        let next = self.numbers.len() as u32;
        *self.numbers.entry(shown).or_insert(next)
    }

    /// The strings sorted, and the place of each number among them.
    pub fn finish(self) -> (Vec<String>, Vec<u32>) {
        let mut strings = vec![String::new(); self.numbers.len()];
        for (string, number) in self.numbers {
            strings[number as usize] = string;
        }
        let (order, places) = sorted(strings.len(), &|number| &strings[number as usize]);
        (order.into_iter().map(|number| std::mem::take(&mut strings[number as usize])).collect(), places)
    }
}

/// The numbers of so many strings in the order of these, and the place of each number in it.
pub fn sorted<'s>(len: usize, string: &dyn Fn(u32) -> &'s str) -> (Vec<u32>, Vec<u32>) {
    let mut order: Vec<u32> = (0..len as u32).collect();
    order.sort_unstable_by(|a, b| string(*a).cmp(string(*b)));
    let mut places = vec![0; len];
    for (place, number) in (0..).zip(&order) {
        places[*number as usize] = place;
    }
    (order, places)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(write: impl FnOnce(&mut Encoder<'_>) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        write(&mut Encoder::new(&mut out)).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_take_a_digit_for_five_bits() {
        let all = |encoder: &mut Encoder<'_>| {
            [0, 31, 32, 1023, u64::MAX].into_iter().try_for_each(|number| encoder.number(number))
        };
        assert_eq!(encoded(all), "AfgB/f////////////P");
        let signs = |encoder: &mut Encoder<'_>| {
            [0, -1, 1, -16].into_iter().try_for_each(|number| encoder.signed(number))
        };
        assert_eq!(encoded(signs), "ABCf");
    }

    #[test]
    fn strings_share_what_they_begin_with_and_never_hold_a_tag() {
        let strings = ["/a/😀b", "/a/😀c</script>", "/a/😀c\\"];
        assert_eq!(
            encoded(|encoder| encoder.strings(&mut strings.into_iter())),
            "A/a/😀b\nFc\\l/script>\nG\\\\\n"
        );
    }
}
