//! Labels of stacks, from this tool and others, as functions.

use crate::flame::encode::{PLAIN, kind_number};
use crate::tree::NATIVE;
use flame_core::limits::NAME_BYTES;
use flame_core::profile::Kind;
use std::borrow::Cow;

/// Bytes of a label that are looked at: a name and a file of [`NAME_BYTES`] each, and a line.
pub(super) const LABEL_BYTES: usize = 2 * NAME_BYTES + 32;

/// A line of a stack without what it has for stackcollapse.pl: an offset, an `L` before an `L`.
pub(super) fn unprotected(line: &str) -> String {
    let line = line.trim_start();
    let line = match line.rsplit_once('+') {
        Some((label, offset)) if offset.starts_with("0x") => label,
        _ => line,
    };
    let line = if line.starts_with("LL") || line.starts_with("L ") { &line[1..] } else { line };
    line.replace(":;", "::")
}

/// A label as this tool writes it, so that the same function in two files is one: without the marks that
/// tell kinds, and with V8's names for perf, `LazyCompile:*NAME SCRIPT:LINE` or `JS:~NAME SCRIPT:LINE:COLUMN`,
/// turned into `NAME:SCRIPT:LINE`.
pub(super) fn as_ours(label: &str) -> Cow<'_, str> {
    let marks = ["_[j]", "_[i]", "_[k]", "_[w]"];
    let bare = marks.iter().find_map(|mark| label.strip_suffix(mark)).unwrap_or(label);
    from_perf(bare).map_or(Cow::Borrowed(bare), Cow::Owned)
}

fn from_perf(label: &str) -> Option<String> {
    let prefixes = ["JS:", "LazyCompile:", "Function:", "Script:", "Eval:"];
    let rest = prefixes.iter().find_map(|prefix| label.strip_prefix(prefix))?;
    let rest = rest.trim_start_matches(['*', '~', '^', '+']);
    // Names may hold blanks, and so may paths.
    let mut blanks = rest.match_indices(' ').map(|(at, _)| at);
    let at = blanks.find(|at| is_script(&rest[at + 1..])).or_else(|| rest.rfind(' '))?;
    let name = Some(&rest[..at]).filter(|name| !name.is_empty()).unwrap_or("(anonymous)");
    let numbered = |text| str::rsplit_once(text, ':').filter(|(_, number)| number.parse::<u32>().is_ok());
    let (script, line) = numbered(&rest[at + 1..])?;
    let (script, line) = numbered(script).unwrap_or((script, line));
    Some(format!("{name}:{script}:{line}"))
}

fn is_script(text: &str) -> bool {
    ["/", "[", "node:", "file:", "http:", "https:", "evalmachine"].iter().any(|start| text.starts_with(start))
}

/// A label in parts, as far as it is one of ours.
pub(super) struct Parts<'a> {
    pub(super) kind: u8,
    pub(super) name: &'a str,
    pub(super) file: &'a str,
    pub(super) line: u32,
}

impl<'a> Parts<'a> {
    /// Of the root of a thread or process, `NAME (ID)`, without its id: that is another one in each run.
    pub(super) fn of_root(label: &'a str) -> Option<Self> {
        let (name, id) = label.strip_suffix(')')?.rsplit_once(" (")?;
        id.parse::<u32>().ok()?;
        Some(Parts { kind: kind_number(Kind::Thread), name, file: "", line: 0 })
    }

    /// Of a label without marks.
    pub(super) fn of(bare: &'a str) -> Self {
        let whole = |kind| Parts { kind, name: bare, file: "", line: 0 };
        for (end, kind) in
            [(":[native]", Kind::Native), (":[builtin]", Kind::Builtin), (":[wasm]", Kind::Wasm)]
        {
            if let Some(name) = bare.strip_suffix(end).filter(|name| !name.starts_with("[0x")) {
                return Parts { kind: kind_number(kind), name, file: "", line: 0 };
            }
        }
        match bare {
            "[regexp]" => whole(kind_number(Kind::RegExp)),
            "[frames elided]" => whole(kind_number(Kind::Elided)),
            NATIVE => whole(kind_number(Kind::Native)),
            _ => Parts::of_javascript(bare).unwrap_or_else(|| whole(PLAIN)),
        }
    }

    /// `NAME:SCRIPT:LINE`, where the script begins as scripts do.
    fn of_javascript(label: &'a str) -> Option<Self> {
        let (rest, line) = label.rsplit_once(':')?;
        let line = line.parse().ok()?;
        let mut colons = rest.match_indices(':').map(|(at, _)| at);
        let at = colons.find(|at| is_script(&rest[at + 1..])).or_else(|| rest.find(':'))?;
        let name = if ["(anonymous)", "<anonymous>"].contains(&&rest[..at]) { "" } else { &rest[..at] };
        Some(Parts { kind: kind_number(Kind::JavaScript), name, file: &rest[at + 1..], line })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flame::encode::KINDS;

    #[test]
    fn labels_are_parted_where_scripts_begin() {
        let parts = |label| {
            let Parts { kind, name, file, line } = Parts::of(label);
            (KINDS[kind as usize], name, file, line)
        };
        assert_eq!(parts("a:b:/x/y:z.js:12"), ("javascript", "a:b", "/x/y:z.js", 12));
        assert_eq!(parts("(anonymous):node:fs:3"), ("javascript", "", "node:fs", 3));
        assert_eq!(parts("uv_run:[native]"), ("native", "uv_run", "", 0));
        assert_eq!(parts("[0x12 in /bin/node]:[native]"), ("plain", "[0x12 in /bin/node]:[native]", "", 0));
        assert_eq!(parts("(native)"), ("native", "(native)", "", 0));
        assert_eq!(parts("plain"), ("plain", "plain", "", 0));
    }

    #[test]
    fn labels_of_perf_and_marked_ones_are_the_functions_of_plain_ones() {
        for (label, ours) in [
            ("JS:*handle /srv/my app.js:12:7", "handle:/srv/my app.js:12"),
            ("LazyCompile:~get size node:buffer:40", "get size:node:buffer:40"),
            ("Function:^ file:///a.mjs:1:1", "(anonymous):file:///a.mjs:1"),
            ("Script:~ app.js:1:1", "(anonymous):app.js:1"),
            ("main:/a.js:1_[j]", "main:/a.js:1"),
            ("do_syscall_64_[k]", "do_syscall_64"),
            ("JS:nothing like it", "JS:nothing like it"),
            ("operator new(unsigned long)", "operator new(unsigned long)"),
        ] {
            assert_eq!(as_ours(label), ours);
        }
    }
}
