//! A tree for the terminal.

use crate::View;
use crate::label::Style;
use crate::tree::{Shown, Tree};
use flame_core::profile::{Activity, Profile};
use std::io::{self, Write};

/// Writes `Total samples: N`, then the tree as `COUNT LABEL` with two spaces a level, and last,
/// after a blank line, what V8 was doing: there it is seen first on a terminal, and a script that
/// reads the tree has ended.
pub fn write(profile: &Profile, view: &View, out: &mut dyn Write) -> io::Result<()> {
    let style = Style { base_name: false, lines: view.lines };
    let tree = Tree::new(profile, Shown { glue: false, native: view.native }, style, view);
    writeln!(out, "Total samples: {}", tree.total(0))?;
    let mut label = String::new();
    let mut blanks = String::new();
    for (node, depth) in tree.walk().skip(1) {
        label.clear();
        if let Some(number) = tree.label(node) {
            tree.labels.write(number, &mut label);
        }
        let indent = (depth as usize).saturating_sub(1) * 2;
        blanks.extend(std::iter::repeat_n(' ', indent.saturating_sub(blanks.len())));
        writeln!(out, "{}{} {label}", &blanks[..indent], tree.total(node))?;
    }
    match summary(profile) {
        Some(summary) => writeln!(out, "\n{summary}"),
        None => Ok(()),
    }
}

/// Shares of what V8 was doing, such as `GC 7 %, compile 3 %, JavaScript 81 %, native 9 %`.
pub fn summary(profile: &Profile) -> Option<String> {
    let total = profile.total();
    if total == 0 {
        return None;
    }
    let share = |activity| (profile.activity(activity) as f64 * 100.0 / total as f64).round();
    let mut words: Vec<String> = [
        ("GC", Activity::Gc),
        ("compile", Activity::Compile),
        ("JavaScript", Activity::JavaScript),
        ("native", Activity::Native),
    ]
    .into_iter()
    .map(|(word, activity)| format!("{word} {} %", share(activity)))
    .collect();
    if profile.activity(Activity::Waiting) > 0 {
        words.push(format!("waiting {} %", share(Activity::Waiting)));
    }
    Some(words.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Build;
    use crate::testing::rendered;
    use flame_core::profile::Kind;

    #[test]
    fn the_tree_is_indented_by_two_and_starts_at_the_margin() {
        let mut build = Build::default();
        let main = build.frame(Kind::Optimized, "main", "/app/a.js");
        let map = build.frame(Kind::Builtin, "ArrayMap", "");
        let native = build.frame(Kind::Native, "uv_run", "");
        build.stack(&[native, main, map]);
        build.stack(&[native, main]);
        build.stack_in(Activity::Gc, &[native]);
        let expected = "Total samples: 3\n3 uv_run:[native]\n  2 main:/app/a.js:1\n    1 ArrayMap:[builtin]\n\n\
                        GC 33 %, compile 0 %, JavaScript 67 %, native 0 %\n";
        assert_eq!(rendered(&build.finish(), |profile, out| write(profile, &View::default(), out)), expected);
    }

    #[test]
    fn an_empty_profile_is_its_first_line() {
        let text = rendered(&Build::default().finish(), |profile, out| write(profile, &View::default(), out));
        assert_eq!(text, "Total samples: 0\n");
    }
}
