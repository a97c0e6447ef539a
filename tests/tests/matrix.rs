//! node-flame names exactly the call chains that the workloads state, on every supported Node version.

use tests::{
    matrix::{Cell, Measured, Options, alone, cells, failures, look_again, measure_all, table, tell},
    tiers::Tier,
    version::{MODERN, Version},
};

/// Least share of exact samples, in percent.
const BAR: f64 = 99.0;

/// Least samples with the workload's file in a cell.
const SAMPLES: u64 = 150;

fn measured(cells: Vec<Cell>) -> Vec<Measured> {
    measure_all(cells, Options::default(), 2, |_, _| ())
}

/// Judges cells, after a second look at those that fail; prints the table.
fn judge(mut measured: Vec<Measured>) {
    look_again(&mut measured, Options::default(), BAR);
    tell(&table(&measured));
    let failures = failures(&measured, BAR, SAMPLES);
    assert!(failures.is_empty(), "{failures}");
}

/// Of all workloads, those that are run where not all are.
const SOME: [&str; 6] = ["nested.js", "callbacks.js", "recursion.js", "classes.js", "promises.js", "tiny.js"];

/// Versions with long-term support, and the others.
fn long_term(is_long: bool) -> Vec<Version> {
    MODERN.into_iter().filter(|version| version.major.is_multiple_of(2) == is_long).collect()
}

#[test]
fn modern_versions_show_exact_chains() {
    let _alone = alone();
    let mut all = cells(&long_term(true), &[], &[Tier::NotInlined]).unwrap();
    all.extend(cells(&long_term(false), &SOME, &[Tier::NotInlined]).unwrap());
    judge(measured(all));
}

const FORCED: [Tier; 4] = [Tier::Unoptimized, Tier::Sparkplug, Tier::Maglev, Tier::Optimized];

#[test]
fn each_forced_tier_shows_exact_chains() {
    let _alone = alone();
    judge(measured(cells(&long_term(true), &SOME, &FORCED).unwrap()));
}

#[cfg(feature = "sweeps")]
#[test]
fn modern_versions_show_exact_chains_with_inlining() {
    let _alone = alone();
    judge(measured(cells(&MODERN, &[], &[Tier::Default]).unwrap()));
}

#[cfg(feature = "sweeps")]
#[test]
fn versions_without_long_term_support_show_exact_chains_of_every_workload() {
    let _alone = alone();
    judge(measured(cells(&long_term(false), &[], &[Tier::NotInlined]).unwrap()));
}

#[cfg(feature = "sweeps")]
#[test]
fn each_forced_tier_shows_exact_chains_of_every_workload_on_every_version() {
    let _alone = alone();
    judge(measured(cells(&MODERN, &[], &FORCED).unwrap()));
}
