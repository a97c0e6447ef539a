//! Text as JSON, safe inside HTML too.

use crate::label::{acts, escape};
use std::io::{self, Write};

/// Writes `text` as a JSON string. What could end a script element or a line is escaped, so that the string can
/// stand in a page, and so are marks that reorder what a terminal shows.
pub fn string(out: &mut dyn Write, text: &str) -> io::Result<()> {
    out.write_all(b"\"")?;
    let mut done = 0;
    for (at, char) in text.char_indices() {
        if !is_escaped(char) {
            continue;
        }
        out.write_all(&text.as_bytes()[done..at])?;
        done = at + char.len_utf8();
        match char {
            '"' => out.write_all(b"\\\"")?,
            '\\' => out.write_all(b"\\\\")?,
            _ => write!(out, "\\u{:04x}", u32::from(char))?,
        }
    }
    out.write_all(&text.as_bytes()[done..])?;
    out.write_all(b"\"")
}

fn is_escaped(char: char) -> bool {
    matches!(char, '"' | '\\' | '<' | '>' | '&') || acts(char)
}

/// Text that somebody is to read as a JSON string: what is escaped in a label is so for the reader too.
pub fn shown(out: &mut dyn Write, text: &str) -> io::Result<()> {
    let mut shown = String::new();
    escape(text, &mut shown);
    string(out, &shown)
}

/// The same as [`string`], or `null` for no text at all.
pub fn string_or_null(out: &mut dyn Write, text: &str) -> io::Result<()> {
    if text.is_empty() { out.write_all(b"null") } else { string(out, text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_cannot_leave_its_quotes_its_line_or_its_element() {
        let mut out = Vec::new();
        string(&mut out, "é\"\\\n</script>\u{2028}\u{202e}&").unwrap();
        let expected = r#""é\"\\\u000a\u003c/script\u003e\u2028\u202e\u0026""#;
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
