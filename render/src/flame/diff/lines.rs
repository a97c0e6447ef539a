//! Lines of files of stacks, however long they are, and their counts.

use super::labels::LABEL_BYTES;
use std::io::{self, BufRead};

/// Bytes of one stack's lines that are kept: 85 for each frame of the deepest stack.
pub(super) const LINE_BYTES: usize = 1 << 20;

/// Of a longer line, so many of its last bytes are: its count is among them.
const TAIL_BYTES: usize = 32;

/// A larger count is none of samples.
pub(super) const MOST: f64 = 1e15;

/// Lines, of each as much as is looked at.
pub(super) struct Lines<'a> {
    reader: &'a mut dyn BufRead,
    /// The number of the last one, from 1 on.
    pub(super) number: u64,
    /// The last one, without its end.
    pub(super) line: Vec<u8>,
    /// It has more than [`LINE_BYTES`]: the line has those labels that are whole among them, and its count.
    pub(super) is_long: bool,
}

impl<'a> Lines<'a> {
    /// Those that come from `reader`.
    pub(super) fn of(reader: &'a mut dyn BufRead) -> Self {
        Lines { reader, number: 0, line: Vec::new(), is_long: false }
    }

    /// Reads the next line, if there is one.
    pub(super) fn next(&mut self) -> io::Result<bool> {
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
pub(super) fn folded_line(line: &[u8]) -> Option<(&[u8], u64)> {
    let at = last(line, b" \t")?;
    Some((line.get(..at)?, count_of(line.get(at + 1..)?)?))
}

/// A count; fractions, as some tools have them, are rounded.
pub(super) fn count_of(text: &[u8]) -> Option<u64> {
    let number: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    (number.is_finite() && number >= 0.0).then(|| number.min(MOST).round() as u64)
}
