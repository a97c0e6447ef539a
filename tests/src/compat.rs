//! The README's compatibility table: generated from measurements, never typed.
//!
//! They stand in two files, a cell a line: [`measure`] writes x86-64's, in half an hour; arm64 is emulated, which takes
//! an hour, and `tests/arm64/run all` writes that one.

use std::{fmt::Write as _, fs};

use crate::{
    binary::workspace,
    matrix::{Cell, Options, Outcome, cells, failures, figure, look_again, measure_all, row},
    tiers::Tier,
    version::{CLASSIC, MODERN, Version},
};

const BEGIN: &str = "<!-- compatibility: begin (generated) -->";
const END: &str = "<!-- compatibility: end -->";

/// What was measured on this processor, and in the emulated machine.
const RESULTS: [&str; 2] = ["tests/x86_64/results", "tests/arm64/results"];

/// How this processor is called in its file.
const NATIVE: &str = "x86-64";

/// Measures every version of Node, optimized and not, writes what came of it, and gives the cells that miss the bar.
///
/// # Errors
/// What could not be read or written.
pub fn measure(options: Options, at_once: usize, bar: f64) -> Result<String, String> {
    let versions: Vec<Version> = CLASSIC.into_iter().chain(MODERN).collect();
    let cells = cells(&versions, &[], &[Tier::NotInlined, Tier::Unoptimized])?;
    let tell = |cell: &Cell, result: &Result<Outcome, String>| print!("{}", line(cell, result));
    let mut measured = measure_all(cells, options, at_once, tell);
    look_again(&mut measured, options, bar);
    let mut text = String::from(
        "# Processor, Node, tier, workload, share of exact samples: what the matrix measured.\n",
    );
    measured.iter().for_each(|(cell, result)| text += &line(cell, result));
    let path = workspace().join(RESULTS[0]);
    fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(failures(&measured, bar, 50))
}

fn line(cell: &Cell, result: &Result<Outcome, String>) -> String {
    format!("{NATIVE} {}\n", row(cell, result, false))
}

/// Puts the table of what was measured into the README, between its marks.
///
/// # Errors
/// What could not be read or written.
pub fn rewrite() -> Result<(), String> {
    let path = workspace().join("README.md");
    let readme = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let (head, rest) = readme.split_once(BEGIN).ok_or_else(|| format!("no {BEGIN:?} in the README"))?;
    let (_, tail) = rest.split_once(END).ok_or_else(|| format!("no {END:?} in the README"))?;
    let mut measured = String::new();
    for results in RESULTS {
        let results = workspace().join(results);
        measured += &fs::read_to_string(&results).map_err(|e| format!("{}: {e}", results.display()))?;
    }
    let versions: Vec<Version> = CLASSIC.into_iter().chain(MODERN).collect();
    let mut text = format!("{head}{BEGIN}\n");
    let _ = write!(text, "{}{END}{tail}", markdown(&versions, &rows(&measured)));
    fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))
}

/// What was measured in one cell.
struct Row {
    /// [`NATIVE`], or qemu's name of the processor.
    processor: String,
    version: Version,
    tier: String,
    workload: String,
    measure: Measure,
    /// Share of what is right, in percent; `None`: it could not be measured.
    percent: Option<f64>,
}

/// What a share is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Measure {
    /// Samples with a stated chain.
    Exact,
    /// The same, with V8's inlining.
    Inlined,
    /// Frames that called another, by executing line.
    Callers,
    /// Innermost frames, by executing line.
    Leaves,
    /// Samples with native frames down to the process' start.
    Whole,
}

/// The arm64 columns: processor, what is measured, title.
const EMULATED: [(&str, &[Measure], &str); 5] = [
    ("max", &[Measure::Exact], "arm64"),
    ("max", &[Measure::Inlined], "arm64, inlined"),
    ("max", &[Measure::Callers, Measure::Leaves], "arm64, lines"),
    ("max", &[Measure::Whole], "arm64, whole stacks"),
    ("cortex-a72", &[Measure::Exact], "arm64 without PAC"),
];

/// Reads `PROCESSOR VERSION TIER WORKLOAD VERDICT`, one a line, with the verdict as `matrix` prints it.
fn rows(text: &str) -> Vec<Row> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .flat_map(|line| one_row(line).unwrap_or_default())
        .collect()
}

fn one_row(line: &str) -> Option<Vec<Row>> {
    let mut words = line.split_whitespace();
    let (processor, version) = (words.next()?, words.next()?.parse().ok()?);
    let (tier, workload) = (words.next()?, words.next()?);
    let rest: Vec<&str> = words.collect();
    // The number before a `%` and some words.
    let share = |what: &[&str]| {
        let at = rest.windows(what.len() + 1).position(|words| words[0] == "%" && &words[1..] == what)?;
        rest.get(at.checked_sub(1)?)?.parse().ok()
    };
    let of = |measure, percent| Row {
        processor: processor.to_owned(),
        version,
        tier: tier.to_owned(),
        workload: workload.to_owned(),
        measure,
        percent,
    };
    let exact = if tier == "default" { Measure::Inlined } else { Measure::Exact };
    let mut found = match rest.first() {
        Some(&"lines") => vec![
            of(Measure::Callers, share(&["of", "callers',"])),
            // The count stands between.
            of(
                Measure::Leaves,
                rest.iter().rposition(|word| *word == "%").and_then(|at| rest[at - 1].parse().ok()),
            ),
        ],
        _ => vec![of(exact, share(&["of"]))],
    };
    found.extend(share(&["whole"]).map(|whole| of(Measure::Whole, Some(whole))));
    Some(found)
}

/// The least share of any cell of a major version, whose arm64 build may be of another release.
fn least(rows: &[Row], processor: &str, measure: Measure, version: Version) -> (String, Option<Version>) {
    let is_here =
        |e: &&Row| e.processor == processor && e.measure == measure && e.version.major == version.major;
    let here = rows.iter().filter(is_here);
    let Some(least) = here.min_by(|a, b| a.percent.unwrap_or(-1.0).total_cmp(&b.percent.unwrap_or(-1.0)))
    else {
        return ("–".into(), None);
    };
    let release = Some(least.version).filter(|release| *release != version);
    (least.percent.map_or_else(|| "✗".into(), figure), release)
}

/// A cell of an arm64 column.
fn emulated_cell(rows: &[Row], processor: &str, measures: &[Measure], version: Version) -> String {
    let all: Vec<_> = measures.iter().map(|measure| least(rows, processor, *measure, version)).collect();
    let mut figures: Vec<&str> = all.iter().map(|(figure, _)| figure.as_str()).collect();
    figures.dedup();
    let release = all.iter().find_map(|(_, release)| *release);
    figures.join(" / ") + &release.map_or_else(String::new, |release| format!(" ({release})"))
}

/// A row for each version, newest first; a column for each workload with the exact shares of optimized and of
/// unoptimized code, and those of arm64 with the least share of any cell.
fn markdown(versions: &[Version], rows: &[Row]) -> String {
    let native = || rows.iter().filter(|row| row.processor == NATIVE);
    let mut names: Vec<&str> = native().map(|row| row.workload.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let short = |name: &str| name.split('.').next().unwrap_or(name).to_owned();
    let mut titles: Vec<String> = names.iter().map(|name| short(name)).collect();
    titles.extend(EMULATED.map(|(_, _, title)| title.to_owned()));
    let mut text = format!("| Node | {} |\n|---|{}\n", titles.join(" | "), "---|".repeat(titles.len()));
    for version in versions.iter().rev() {
        let value = |name: &str, tier: Tier| {
            let tier = tier.to_string();
            let here = |row: &&Row| row.version == *version && row.tier == tier && row.workload == name;
            match native().find(here).map(|row| row.percent) {
                None => String::from("–"),
                Some(None) => String::from("✗"),
                Some(Some(percent)) => figure(percent),
            }
        };
        let both = |name: &&str| {
            let (hot, cold) = (value(name, Tier::NotInlined), value(name, Tier::Unoptimized));
            if hot == cold { hot } else { format!("{hot} / {cold}") }
        };
        let mut row: Vec<String> = names.iter().map(both).collect();
        row.extend(EMULATED.map(|(processor, what, _)| emulated_cell(rows, processor, what, *version)));
        text += &format!("| {version} | {} |\n", row.join(" | "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_shows_two_figures_only_where_they_differ() {
        let version = Version::new(22, 23, 3);
        let text = "# a comment
            x86-64 22.23.3 not-inlined a.js 100.00 % of 200
            x86-64 22.23.3 unoptimized a.js 100.00 % of 200
            x86-64 22.23.3 not-inlined b.mjs  99.50 % of  200
            x86-64 22.23.3 unoptimized b.mjs 100.00 % of 200
            max 22.23.3 not-inlined a.js 100.00 % of 50
            max 22.1.0 optimized b.js  98.76 % of    60, 97.50 % whole
            max 22.23.3 default inlined.js 99.00 % of 200, 80.00 % with inlined functions
            max 22.23.3 not-inlined lines.js lines 100.00 % of callers',  96.40 % of 210 leaves'
            cortex-a72 22.23.3 not-inlined a.js 100.00 % of 50
            cortex-a72 22.23.3 not-inlined b.js error: node-flame: exit status: 1";
        let table = markdown(&[version], &rows(text));
        let head = "| Node | a | b | arm64 | arm64, inlined | arm64, lines | arm64, whole stacks | arm64 without PAC |
|---|---|---|---|---|---|---|---|
";
        let row = "| 22.23.3 | 100 | 99.5 / 100 | 98.7 (22.1.0) | 99.0 | 100 / 96.4 | 97.5 (22.1.0) | ✗ |\n";
        assert_eq!(table, format!("{head}{row}"));
    }

    #[test]
    fn what_was_not_measured_on_arm64_is_told_from_what_failed() {
        let version = Version::new(26, 10, 0);
        let cell = |text: &str, at: usize| emulated_cell(&rows(text), "max", EMULATED[at].1, version);
        let lost = "max 26.10.0 not-inlined lines.js lines error: gone\nmax 26.10.0 - - error: the machine ended with 124";
        assert_eq!([0, 1, 2].map(|at| cell(lost, at)), ["✗", "–", "✗"]);
        assert_eq!(cell("", 0), "–");
    }
}
