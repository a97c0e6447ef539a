//! Source lines of hot functions, for the page's details.

use super::encode::Data;
use crate::json;
use crate::label::escape;
use flame_core::profile::{Profile, Source};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::RangeInclusive;

/// Lines of a function that is given whole, from its first line or its first hot one.
const FUNCTION_LINES: u32 = 400;

/// UTF-16 units of one line at most: minified scripts have lines of megabytes.
const LINE_UNITS: usize = 240;

/// Writes the lines of the profile's sources in which a function of `data` was found, with the two that
/// follow: `{"file":{"line":"text",…},…}`; nothing where there are none.
pub fn write(data: &Data, profile: &Profile, out: &mut dyn Write) -> io::Result<()> {
    let texts = texts(profile);
    if texts.is_empty() {
        return Ok(());
    }
    let mut before = b"{";
    for (file, ranges) in hot(data) {
        let Some(Some(source)) = texts.get(file) else { continue };
        out.write_all(before)?;
        before = b",";
        json::string(out, file)?;
        out.write_all(b":{")?;
        lines(*source, &ranges, out)?;
        out.write_all(b"}")?;
    }
    if before == b"," { out.write_all(b"}") } else { Ok(()) }
}

/// The sources by their files' names as shown. Of a name that several texts have, as `[eval]`, nobody knows
/// which one a frame means.
fn texts(profile: &Profile) -> BTreeMap<String, Option<Source<'_>>> {
    let mut texts: BTreeMap<String, Option<Source<'_>>> = BTreeMap::new();
    for source in profile.sources.iter() {
        let mut file = String::new();
        escape(profile.text(source.file()), &mut file);
        let known = texts.entry(file).or_insert(Some(source));
        *known = known.filter(|known| known.is_same(source));
    }
    texts
}

/// The lines wanted of each file, in order, none twice.
fn hot(data: &Data) -> BTreeMap<&str, Vec<RangeInclusive<u32>>> {
    let mut functions: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for frame in data.frames.iter().filter(|frame| frame.line > 0) {
        functions.entry(frame.function).or_default().push(frame.line);
    }
    let mut files: BTreeMap<&str, Vec<RangeInclusive<u32>>> = BTreeMap::new();
    for (number, lines) in functions {
        let Some(function) = data.functions.get(number as usize) else { continue };
        let Some(file) = data.strings.get(function.file as usize) else { continue };
        let ranges = files.entry(file).or_default();
        let (first, last) =
            lines.iter().fold((u32::MAX, 0), |(first, last), line| (first.min(*line), last.max(*line)));
        let start = u32::try_from(function.number).ok().filter(|line| (1..=first).contains(line));
        let start = start.unwrap_or(first.saturating_sub(2));
        if last - start < FUNCTION_LINES {
            ranges.push(start..=last.saturating_add(2));
        } else {
            // A function too long to be shown whole is shown around its hot lines.
            ranges.push(start..=start);
            ranges.extend(lines.iter().map(|line| line.saturating_sub(2)..=line.saturating_add(2)));
        }
    }
    for ranges in files.values_mut() {
        ranges.sort_unstable_by_key(|range| *range.start());
        let mut before = 0;
        for range in ranges.iter_mut() {
            *range = (*range.start()).max(before)..=*range.end();
            before = before.max(range.end().saturating_add(1));
        }
    }
    files
}

/// Writes those lines of a text that lie in `ranges`.
fn lines(source: Source<'_>, ranges: &[RangeInclusive<u32>], out: &mut dyn Write) -> io::Result<()> {
    let mut lines = Lines {
        number: source.first_line(),
        ranges,
        after_return: false,
        units: Vec::with_capacity(LINE_UNITS + 1),
        comma: "",
        out,
    };
    for (bytes, one_byte) in source.pieces() {
        if lines.ranges.is_empty() {
            break;
        }
        if one_byte { lines.narrow(bytes)? } else { lines.wide(bytes)? }
    }
    lines.end()
}

/// The line of a text that is being read. Lines end where V8 counts an end.
struct Lines<'a> {
    number: i64,
    /// The lines wanted of those that come.
    ranges: &'a [RangeInclusive<u32>],
    /// The last character was a `\r`, which with a `\n` is one end.
    after_return: bool,
    units: Vec<u16>,
    comma: &'static str,
    out: &'a mut dyn Write,
}

impl Lines<'_> {
    fn is_wanted(&self) -> bool {
        self.ranges.first().is_some_and(|range| i64::from(*range.start()) <= self.number)
    }

    /// Most texts are of this kind and long, and most of their lines are not wanted.
    fn narrow(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while let Some(at) = memchr::memchr2(b'\n', b'\r', bytes) {
            self.take(bytes[..at].iter().map(|byte| u16::from(*byte)));
            self.terminator(bytes[at].into())?;
            bytes = &bytes[at + 1..];
            if self.ranges.is_empty() {
                return Ok(());
            }
        }
        self.take(bytes.iter().map(|byte| u16::from(*byte)));
        Ok(())
    }

    fn wide(&mut self, bytes: &[u8]) -> io::Result<()> {
        for pair in bytes.chunks_exact(2) {
            match u16::from_le_bytes([pair[0], pair[1]]) {
                unit @ (0x0a | 0x0d | 0x2028 | 0x2029) => self.terminator(unit)?,
                unit => self.take(std::iter::once(unit)),
            }
        }
        Ok(())
    }

    fn take(&mut self, mut units: impl Iterator<Item = u16>) {
        let Some(first) = units.next() else { return };
        self.after_return = false;
        if self.is_wanted() {
            let room = LINE_UNITS + 1 - self.units.len();
            self.units.extend(std::iter::once(first).chain(units).take(room));
        }
    }

    fn terminator(&mut self, unit: u16) -> io::Result<()> {
        if std::mem::replace(&mut self.after_return, unit == 0x0d) && unit == 0x0a {
            return Ok(());
        }
        self.end()?;
        self.number += 1;
        let left = self.ranges.iter().position(|range| i64::from(*range.end()) >= self.number);
        self.ranges = &self.ranges[left.unwrap_or(self.ranges.len())..];
        Ok(())
    }

    /// Writes the line, if it is wanted.
    fn end(&mut self) -> io::Result<()> {
        if self.is_wanted() {
            let is_cut = self.units.len() > LINE_UNITS;
            self.units.truncate(LINE_UNITS);
            let mut text = String::from_utf16_lossy(&self.units);
            text.extend(is_cut.then_some('…'));
            write!(self.out, "{}\"{}\":", self.comma, self.number)?;
            json::string(self.out, &text)?;
            self.comma = ",";
        }
        self.units.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::encode::{Function, PageFrame};
    use super::*;
    use crate::fixture::Build;
    use crate::testing::written;
    use proptest::prelude::*;

    /// What is written of these files, all of which have one function that starts at line 2 and was found at
    /// line 4.
    fn page(files: &[(&str, i32, &str)]) -> String {
        let mut build = Build::default();
        for (file, line_offset, text) in files {
            build.source(file, *line_offset, text);
        }
        let mut strings: Vec<String> = files.iter().map(|file| file.0.to_string()).collect();
        strings.dedup();
        let functions = (0..strings.len() as u32).map(|file| Function { name: file, file, number: 2 });
        let frames = (0..strings.len() as u32).flat_map(|function| {
            [PageFrame { function, kind: 3, line: 4 }, PageFrame { function, kind: 3, line: 0 }]
        });
        let data = Data { functions: functions.collect(), frames: frames.collect(), strings };
        let profile = build.finish();
        written(|out| write(&data, &profile, out))
    }

    #[test]
    fn hot_functions_have_their_lines_from_the_first_to_two_past_the_last() {
        let text = "one\n</script>\nthree\nfour\nfive\nsix\nseven\n";
        assert_eq!(
            page(&[("/a.js", 0, text)]),
            r#"{"/a.js":{"2":"\u003c/script\u003e","3":"three","4":"four","5":"five","6":"six"}}"#
        );
        assert_eq!(page(&[]), "");
    }

    #[test]
    fn lines_are_counted_as_v8_counts_them() {
        let text = "one\r\n2\u{2028}three\rfour\n\r\u{2029}";
        assert_eq!(
            page(&[("/a.js", 0, text)]),
            r#"{"/a.js":{"2":"2","3":"three","4":"four","5":"","6":""}}"#
        );
        // The script begins in line 4 of its file, or has a head of two lines before line 1.
        assert_eq!(page(&[("/a.js", 3, "four\nfive")]), r#"{"/a.js":{"4":"four","5":"five"}}"#);
        assert_eq!(page(&[("/a.js", -2, "a\nb\n1\n2\n3")]), r#"{"/a.js":{"2":"2","3":"3"}}"#);
    }

    proptest! {
        // Each case makes the profile's pools anew.
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn lines_are_those_of_a_plain_count(text in "[abé\r\n]{0,30}", wide: bool, line_offset in -3..4i32) {
            let text = if wide { format!("{text}ж") } else { text };
            let lines = text.replace("\r\n", "\n").replace('\r', "\n");
            let numbered = lines.split('\n').zip(i64::from(line_offset) + 1..);
            let wanted = numbered.filter(|(_, number)| (2..=6).contains(number));
            let wanted: Vec<String> = wanted.map(|(line, number)| format!("\"{number}\":\"{line}\"")).collect();
            prop_assert_eq!(
                page(&[("/a.js", line_offset, &text)]),
                format!("{{\"/a.js\":{{{}}}}}", wanted.join(","))
            );
        }
    }

    #[test]
    fn a_name_that_two_texts_have_shows_neither() {
        let two = [("[eval]", 0, "1\n2"), ("[eval]", 0, "1\nb")];
        assert_eq!(page(&two), "");
        // A worker has the same file as another script.
        let same = [("/a.js", 0, "1\n2"), ("/a.js", 0, "1\n2")];
        assert_eq!(page(&same), r#"{"/a.js":{"2":"2"}}"#);
    }

    #[test]
    fn a_function_too_long_to_be_whole_has_its_hot_lines_with_those_around_them() {
        let data = Data {
            strings: vec!["/a.js".into()],
            functions: vec![Function { name: 0, file: 0, number: 10 }],
            frames: [500, 20, 501].map(|line| PageFrame { function: 0, kind: 3, line }).to_vec(),
        };
        let numbers = |file| hot(&data)[file].iter().cloned().flatten().collect::<Vec<u32>>();
        let around = [10, 18, 19, 20, 21, 22, 498, 499, 500, 501, 502, 503];
        assert_eq!(numbers("/a.js"), around);
    }

    #[test]
    fn a_minified_line_is_cut() {
        let text = format!("\n{}", "é".repeat(100_000));
        assert!(page(&[("/a.js", 0, &text)]).len() < 600);
    }
}
