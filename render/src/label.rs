//! How a frame is called.
//!
//! One label for each frame, the same in every format but for what a format cannot hold. A label
//! is one line: control characters and what would reorder or break a line are escaped.

use flame_core::profile::{Frame, Kind, NO_INDEX, Profile};
use std::fmt::{self, Write};

/// What a label says beyond the frame's name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Scripts and objects by base name, not by their whole path.
    pub base_name: bool,
    /// JavaScript frames by the line being executed, where it is known.
    pub lines: bool,
}

impl Style {
    /// Appends the label of `frame` to `out`.
    pub fn write(self, profile: &Profile, frame: &Frame, out: &mut String) {
        self.write_with(frame, profile.text(frame.name), profile.text(frame.file), out);
    }

    /// The same for a frame whose name and file are these.
    pub fn write_with(self, frame: &Frame, name: &str, file: &str, out: &mut String) {
        match frame.kind {
            kind if kind.is_javascript() => {
                escape(if name.is_empty() { "(anonymous)" } else { name }, out);
                out.push(':');
                escape(if file.is_empty() { "[unknown]" } else { self.path(file) }, out);
                let line = if self.lines && frame.executing > 0 { frame.executing } else { frame.line };
                push(out, format_args!(":{line}"));
            }
            Kind::Builtin | Kind::Glue if name.is_empty() => out.push_str("[builtin]"),
            Kind::Builtin | Kind::Glue => {
                escape(name, out);
                out.push_str(":[builtin]");
            }
            Kind::RegExp => out.push_str("[regexp]"),
            Kind::Wasm if name.is_empty() && frame.offset == NO_INDEX => out.push_str("[wasm]"),
            Kind::Wasm if name.is_empty() => {
                push(out, format_args!("wasm-function[{}]:[wasm]", frame.offset));
            }
            Kind::Wasm => {
                escape(name, out);
                out.push_str(":[wasm]");
            }
            Kind::Elided => out.push_str("[frames elided]"),
            Kind::Thread | Kind::Process => {
                escape(name, out);
                push(out, format_args!(" ({})", frame.offset));
            }
            _ if name.is_empty() => {
                push(out, format_args!("[0x{:x}", frame.offset));
                let object = self.path(file);
                if !object.is_empty() {
                    out.push_str(" in ");
                    escape(object, out);
                }
                out.push_str("]:[native]");
            }
            _ => {
                escape(name, out);
                out.push_str(":[native]");
            }
        }
    }

    fn path(self, path: &str) -> &str {
        match path.rsplit_once('/') {
            Some((_, base)) if self.base_name && !base.is_empty() => base,
            _ => path,
        }
    }
}

/// Text of which nothing acts on a terminal, as [`escape`] has it.
pub struct Printable<'a>(pub &'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut escaped = String::new();
        escape(self.0, &mut escaped);
        formatter.write_str(&escaped)
    }
}

/// Whether a character would break a line or rule the terminal.
pub fn acts(char: char) -> bool {
    matches!(
        char,
        '\0'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{61c}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
    )
}

/// Appends `text` with everything escaped that would break a line or rule the terminal: control
/// characters, line separators, and marks that reorder what follows them.
pub fn escape(text: &str, out: &mut String) {
    // Nearly all text is so.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        out.push_str(text);
        return;
    }
    for char in text.chars() {
        match char {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ if !acts(char) => out.push(char),
            '\0'..='\u{9f}' => push(out, format_args!("\\x{:02x}", u32::from(char))),
            _ => push(out, format_args!("\\u{:04x}", u32::from(char))),
        }
    }
}

/// Appends formatted text.
pub fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = out.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Build;

    fn label(kind: Kind, name: &str, file: &str, style: Style) -> String {
        let mut build = Build::default();
        let frame = Frame { line: 7, executing: 9, offset: 0x1f, ..build.frame(kind, name, file) };
        let profile = build.finish();
        let mut out = String::new();
        style.write(&profile, &frame, &mut out);
        out
    }

    #[test]
    fn every_kind_has_the_label_of_the_table() {
        let whole = Style::default();
        for (kind, name, file, expected) in [
            (Kind::Optimized, "Account.deposit", "/app/a.js", "Account.deposit:/app/a.js:7"),
            (Kind::Inlined, "", "[eval]", "(anonymous):[eval]:7"),
            (Kind::Interpreted, "load", "node:internal/load", "load:node:internal/load:7"),
            (Kind::Builtin, "ArrayMap", "", "ArrayMap:[builtin]"),
            (Kind::Builtin, "", "", "[builtin]"),
            (Kind::RegExp, "", "", "[regexp]"),
            (Kind::Wasm, "fib", "", "fib:[wasm]"),
            (Kind::Wasm, "", "", "wasm-function[31]:[wasm]"),
            (Kind::Native, "uv_run", "/usr/bin/node", "uv_run:[native]"),
            (Kind::Gc, "", "/usr/bin/node", "[0x1f in /usr/bin/node]:[native]"),
            (Kind::Libc, "", "", "[0x1f]:[native]"),
            (Kind::Elided, "", "", "[frames elided]"),
            (Kind::Thread, "worker 1", "", "worker 1 (31)"),
        ] {
            assert_eq!(label(kind, name, file, whole), expected);
        }
    }

    #[test]
    fn base_names_replace_whole_paths() {
        let style = Style { base_name: true, ..Style::default() };
        assert_eq!(label(Kind::Baseline, "f", "/app/lib/a.js", style), "f:a.js:7");
        assert_eq!(label(Kind::Baseline, "f", "node:fs", style), "f:node:fs:7");
        assert_eq!(label(Kind::Baseline, "f", "/app/", style), "f:/app/:7");
        assert_eq!(label(Kind::Native, "", "/lib/libc.so.6", style), "[0x1f in libc.so.6]:[native]");
    }

    #[test]
    fn lines_are_the_executing_ones_where_known() {
        let style = Style { lines: true, ..Style::default() };
        assert_eq!(label(Kind::Baseline, "f", "/a.js", style), "f:/a.js:9");
        assert_eq!(label(Kind::Builtin, "f", "", style), "f:[builtin]");
    }

    #[test]
    fn a_label_is_one_line_that_leaves_the_terminal_alone() {
        let hostile = "a\nb\r\t\x1b[31m\u{7f}\u{9b}\u{2028}\u{202e}\u{61c}\u{200f}é";
        let expected = "a\\nb\\r\\t\\x1b[31m\\x7f\\x9b\\u2028\\u202e\\u061c\\u200fé";
        assert_eq!(label(Kind::Native, hostile, "", Style::default()), format!("{expected}:[native]"));
        assert_eq!(Printable(hostile).to_string(), expected);
        assert_eq!(Printable("/srv/naïve café/日本.js").to_string(), "/srv/naïve café/日本.js");
    }
}
