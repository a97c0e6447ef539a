//! The README's compatibility table: generated from measurements, never typed.
//!
//! arm64 is emulated, which takes an hour, so its figures come from the file that `tests/arm64/run all` writes.

use std::fs;

use crate::{
    binary::workspace,
    matrix::{Cell, Measured, Options, cells, figure, measure_all},
    tiers::Tier,
    version::{CLASSIC, MODERN, Version},
};

const BEGIN: &str = "<!-- compatibility: begin (generated) -->";
const END: &str = "<!-- compatibility: end -->";

/// Measures every version and puts the table into the README, between its marks.
///
/// # Errors
/// What could not be read, measured or written.
pub fn rewrite(options: Options, at_once: usize) -> Result<(), String> {
    let path = workspace().join("README.md");
    let readme = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let (head, rest) = readme.split_once(BEGIN).ok_or_else(|| format!("no {BEGIN:?} in the README"))?;
    let (_, tail) = rest.split_once(END).ok_or_else(|| format!("no {END:?} in the README"))?;
    let versions: Vec<Version> = CLASSIC.into_iter().chain(MODERN).collect();
    let cells = cells(&versions, &[], &[Tier::NotInlined, Tier::Unoptimized])?;
    let measured = measure_all(cells, options, at_once, |cell, result| {
        let percent = result.as_ref().map(|o| figure(o.tally.percent()));
        println!("{} {} {} {percent:?}", cell.version, cell.tier, cell.workload);
    });
    let results = workspace().join("tests/arm64/results");
    let results = fs::read_to_string(&results).map_err(|e| format!("{}: {e}", results.display()))?;
    let text = format!("{head}{BEGIN}\n{}{END}{tail}", markdown(&versions, &measured, &emulated(&results)));
    fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))
}

/// A cell that was measured in the emulated arm64 machine.
struct Emulated {
    /// qemu's name of the processor.
    processor: String,
    version: Version,
    /// Share of exact samples.
    percent: f64,
}

/// Processors of the arm64 columns: with and without signed return addresses.
const EMULATED: [(&str, &str); 2] = [("max", "arm64"), ("cortex-a72", "arm64 without PAC")];

/// Reads `PROCESSOR VERSION TIER WORKLOAD PERCENT % of SAMPLES`, one a line.
fn emulated(text: &str) -> Vec<Emulated> {
    let cell = |line: &str| {
        let mut words = line.split_whitespace();
        let (processor, version) = (words.next()?.to_owned(), words.next()?.parse().ok()?);
        let percent = words.nth(2)?.parse().ok()?;
        Some(Emulated { processor, version, percent })
    };
    text.lines().filter(|line| !line.starts_with('#')).filter_map(cell).collect()
}

/// The least share of any cell of a major version, whose arm64 build may be of another release.
fn least(emulated: &[Emulated], processor: &str, version: Version) -> String {
    let here = emulated.iter().filter(|e| e.processor == processor && e.version.major == version.major);
    let Some(least) = here.min_by(|a, b| a.percent.total_cmp(&b.percent)) else { return "–".into() };
    let release = if least.version == version { String::new() } else { format!(" ({})", least.version) };
    figure(least.percent) + &release
}

/// A row for each version, newest first; a column for each workload with the exact shares of optimized and of
/// unoptimized code, and one for each arm64 processor with the least of these.
fn markdown(versions: &[Version], measured: &[Measured], emulated: &[Emulated]) -> String {
    let mut names: Vec<&str> = measured.iter().map(|(cell, _)| cell.workload.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let short = |name: &str| name.split('.').next().unwrap_or(name).to_owned();
    let mut titles: Vec<String> = names.iter().map(|name| short(name)).collect();
    titles.extend(EMULATED.map(|(_, title)| title.to_owned()));
    let mut text = format!("| Node | {} |\n|---|{}\n", titles.join(" | "), "---|".repeat(titles.len()));
    for version in versions.iter().rev() {
        let value = |name: &str, tier: Tier| {
            let here = |c: &Cell| c.version == *version && c.tier == tier && c.workload == name;
            match measured.iter().find(|(cell, _)| here(cell)) {
                None => String::from("–"),
                Some((_, Err(_))) => String::from("✗"),
                Some((_, Ok(outcome))) => figure(outcome.tally.percent()),
            }
        };
        let both = |name: &&str| {
            let (hot, cold) = (value(name, Tier::NotInlined), value(name, Tier::Unoptimized));
            if hot == cold { hot } else { format!("{hot} / {cold}") }
        };
        let mut row: Vec<String> = names.iter().map(both).collect();
        row.extend(EMULATED.map(|(processor, _)| least(emulated, processor, *version)));
        text += &format!("| {version} | {} |\n", row.join(" | "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{matrix::Outcome, verdict::Tally};

    #[test]
    fn a_cell_shows_two_figures_only_where_they_differ() {
        let version = Version::new(22, 23, 3);
        let at = |workload: &str, tier, exact| {
            let tally = Tally { samples: 200, exact, ..Tally::default() };
            (Cell { version, workload: workload.into(), tier }, Ok(Outcome { tally, ..Outcome::default() }))
        };
        let measured = [
            at("a.js", Tier::NotInlined, 200),
            at("a.js", Tier::Unoptimized, 200),
            at("b.mjs", Tier::NotInlined, 199),
            at("b.mjs", Tier::Unoptimized, 200),
        ];
        let arm64 = "# a comment\nmax 22.23.3 not-inlined a.js 100.00 % of 50\nmax 22.1.0 optimized b.js 98.76 % of 60\n";
        let table = markdown(&[version], &measured, &emulated(arm64));
        let head = "| Node | a | b | arm64 | arm64 without PAC |\n|---|---|---|---|---|\n";
        assert_eq!(table, format!("{head}| 22.23.3 | 100 | 99.5 / 100 | 98.7 (22.1.0) | – |\n"));
    }
}
