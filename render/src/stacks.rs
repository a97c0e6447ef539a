//! Stacks with their counts, for FlameGraph and its kin: `raw`, `fullraw` and `folded`.
//!
//! `raw` is written for the real stackcollapse.pl, whose rules would harm some labels: it drops
//! blanks and one `L` at a frame's start, cuts a frame at its last `+`, cuts from the last `(` or
//! `<` that follows a `::`, splits at `->`, turns `;` into `:`, and takes a line of digits for a
//! count. [`protect`] writes each label so that the script gives back the one of `folded`.

use crate::View;
use crate::label::{Style, escape, push};
use crate::tree::{Shown, Tree};
use flame_core::profile::Profile;
use std::io::{self, Write};

/// Writes `root;…;leaf COUNT` lines.
pub fn folded(profile: &Profile, view: &View, out: &mut dyn Write) -> io::Result<()> {
    let style = Style { base_name: false, lines: view.lines };
    let tree = Tree::new(profile, Shown { glue: false, native: view.native }, style, view);
    each_stack(&tree, &fold, &mut |path, own| writeln!(out, "{} {own}", path.text))
}

/// Writes three lines of header, then for each stack its frames, leaf first, its count and a
/// blank line. `full` gives whole paths and V8's glue.
pub fn raw(profile: &Profile, view: &View, full: bool, out: &mut dyn Write) -> io::Result<()> {
    let style = Style { base_name: !full, lines: view.lines };
    let tree = Tree::new(profile, Shown { glue: full, native: view.native }, style, view);
    header(profile, out)?;
    each_stack(&tree, &protect, &mut |path, own| {
        for frame in path.frames().rev() {
            writeln!(out, "{frame}")?;
        }
        writeln!(out, "{own}\n")
    })
}

/// Calls `visit` with the path to every node that samples ended in, and their number. `shown` makes of a
/// frame's label what the path holds of it.
fn each_stack(
    tree: &Tree<'_>,
    shown: &dyn Fn(&str) -> String,
    visit: &mut dyn FnMut(&Path, u64) -> io::Result<()>,
) -> io::Result<()> {
    let mut path = Path::default();
    let mut label = String::new();
    for (node, depth) in tree.walk() {
        path.cut(depth);
        if let Some(number) = tree.label(node) {
            label.clear();
            tree.labels.write(number, &mut label);
            path.push(&shown(&label));
        }
        let own = tree.own(node);
        if own > 0 {
            visit(&path, own)?;
        }
    }
    Ok(())
}

/// The three lines that stackcollapse.pl skips.
fn header(profile: &Profile, out: &mut dyn Write) -> io::Result<()> {
    let meta = &profile.meta;
    let mut line = format!("# node-flame: pid {} (", meta.pid);
    escape(&meta.command, &mut line);
    line.push(')');
    // Old versions do not tell Node's own.
    let known = [("Node", &meta.node), ("V8", &meta.v8)].into_iter().find(|known| !known.1.is_empty());
    if let Some((name, version)) = known {
        push(&mut line, format_args!(", {name} "));
        escape(version, &mut line);
    }
    writeln!(out, "{line}, {} Hz", meta.rate_hz)?;
    writeln!(out, "# stacks, leaf first, each with its count of samples; {} in all", profile.total())?;
    writeln!(out)
}

/// A label as a folded line can hold it, without what parts frames.
fn fold(label: &str) -> String {
    label.replace(';', ":").replace("->", "→")
}

/// A label of `raw`, written so that stackcollapse.pl gives back what [`fold`] makes of it. Nothing of a C++
/// name is left for that script to cut: its arguments are gone, and a bracket in it is part of the name.
fn protect(label: &str) -> String {
    let mut line = label.replace("->", "→");
    // The script drops one L, and blanks only where no L stands before them.
    if line.starts_with(['L', ' ', '\t', '\x0b', '\x0c']) || line.bytes().all(|byte| byte.is_ascii_digit()) {
        line.insert(0, 'L');
    }
    // It looks for `::` first and turns `;` into `:` later.
    if line.split_once("::").is_some_and(|(_, rest)| rest.contains(['(', '<'])) {
        line = line.replace("::", ":;");
    }
    if line.contains('+') {
        line.push_str("+0x0");
    }
    line
}

/// The labels from the root to the current node, with `;` between them.
#[derive(Default)]
struct Path {
    text: String,
    ends: Vec<usize>,
}

impl Path {
    /// Leaves the frames above a node of this depth, the root being 0.
    fn cut(&mut self, depth: u32) {
        self.ends.truncate((depth as usize).saturating_sub(1));
        self.text.truncate(self.ends.last().copied().unwrap_or(0));
    }

    fn push(&mut self, label: &str) {
        if !self.ends.is_empty() {
            self.text.push(';');
        }
        self.text.push_str(label);
        self.ends.push(self.text.len());
    }

    fn frames(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.ends.iter().enumerate().map(|(number, end)| {
            let start = number.checked_sub(1).map_or(0, |before| self.ends[before] + 1);
            &self.text[start..*end]
        })
    }
}

#[cfg(test)]
mod tests;
