//! Source lines of hot functions, for the page's details.

use super::encode::Data;
use crate::{Source, json};
use std::collections::BTreeMap;
use std::io::{self, Write};

/// Lines given for one function at most, from its first line or its first hot one.
const FUNCTION_LINES: u32 = 400;

/// Characters of one line at most: minified scripts have lines of megabytes.
const LINE_CHARS: usize = 240;

/// Writes the lines of `sources` in which a function of `data` was found, with the two that
/// follow: `{"file":{"line":"text",…},…}`; nothing where there are none.
pub fn write(data: &Data, sources: &[Source], out: &mut dyn Write) -> io::Result<()> {
    let mut wanted: BTreeMap<u32, (u32, u32)> = BTreeMap::new();
    for frame in data.frames.iter().filter(|frame| frame.line > 0) {
        let range = wanted.entry(frame.function).or_insert((frame.line, frame.line));
        *range = (range.0.min(frame.line), range.1.max(frame.line));
    }
    let mut files: BTreeMap<&str, Vec<(u32, u32)>> = BTreeMap::new();
    for (number, (first, last)) in wanted {
        let Some(function) = data.functions.get(number as usize) else { continue };
        let Some(file) = data.strings.get(function.file as usize) else { continue };
        let start = u32::try_from(function.number).ok().filter(|line| (1..=first).contains(line));
        // A function too long to be shown whole is shown around its hot lines.
        let start = start.filter(|start| last - start < FUNCTION_LINES).unwrap_or(first.saturating_sub(2));
        files.entry(file).or_default().push((start, last.min(start + FUNCTION_LINES).saturating_add(2)));
    }
    let mut open = false;
    for source in sources {
        let Some(ranges) = files.remove(source.file.as_str()) else { continue };
        out.write_all(if open { b"," } else { b"{" })?;
        open = true;
        json::string(out, &source.file)?;
        out.write_all(b":{")?;
        let mut comma = "";
        for (text, line) in source.text.lines().zip(1u32..) {
            if !ranges.iter().any(|(first, last)| (*first..=*last).contains(&line)) {
                continue;
            }
            write!(out, "{comma}\"{line}\":")?;
            comma = ",";
            match text.char_indices().nth(LINE_CHARS) {
                Some((end, _)) => json::string(out, &format!("{}…", &text[..end]))?,
                None => json::string(out, text)?,
            }
        }
        out.write_all(b"}")?;
    }
    if open { out.write_all(b"}") } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::super::encode::{Function, PageFrame};
    use super::*;
    use crate::testing::written;

    #[test]
    fn hot_functions_have_their_lines_from_the_first_to_two_past_the_last() {
        let data = Data {
            strings: vec!["/a.js".into(), "f".into()],
            functions: vec![Function { name: 1, file: 0, number: 2 }],
            frames: vec![
                PageFrame { function: 0, kind: 3, line: 4 },
                PageFrame { function: 0, kind: 3, line: 0 },
            ],
        };
        let text = "one\n</script>\nthree\nfour\nfive\nsix\nseven\n".into();
        let sources = [Source { file: "/a.js".into(), text }];
        assert_eq!(
            written(|out| write(&data, &sources, out)),
            r#"{"/a.js":{"2":"\u003c/script\u003e","3":"three","4":"four","5":"five","6":"six"}}"#
        );
        assert_eq!(written(|out| write(&data, &[], out)), "");
    }

    #[test]
    fn a_minified_line_is_cut() {
        let data = Data {
            strings: vec!["/a.js".into()],
            functions: vec![Function { name: 0, file: 0, number: 1 }],
            frames: vec![PageFrame { function: 0, kind: 3, line: 1 }],
        };
        let sources = [Source { file: "/a.js".into(), text: "é".repeat(100_000) }];
        assert!(written(|out| write(&data, &sources, out)).len() < 600);
    }
}
