//! The README's compatibility table: generated from measurements, never typed.

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
    let text = format!("{head}{BEGIN}\n{}{END}{tail}", markdown(&versions, &measured));
    fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))
}

/// A row for each version, newest first; a column for each workload with the exact shares of optimized and of
/// unoptimized code.
fn markdown(versions: &[Version], measured: &[Measured]) -> String {
    let mut names: Vec<&str> = measured.iter().map(|(cell, _)| cell.workload.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let short = |name: &str| name.split('.').next().unwrap_or(name).to_owned();
    let titles: Vec<String> = names.iter().map(|name| short(name)).collect();
    let mut text = format!("| Node | {} |\n|---|{}\n", titles.join(" | "), "---|".repeat(names.len()));
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
        let row: Vec<String> = names.iter().map(both).collect();
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
        let table = markdown(&[version], &measured);
        assert_eq!(table, "| Node | a | b |\n|---|---|---|\n| 22.23.3 | 100 | 99.5 / 100 |\n");
    }
}
