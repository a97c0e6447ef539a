//! node-flame names exactly the call chains that the workloads state, on Node 0.8 to 15.
//!
//! A sweep: it takes some minutes, so it runs with `--features sweeps` alone.
#![cfg(feature = "sweeps")]

use tests::{
    matrix::{Options, alone, cells, failures, look_again, measure_all, table, tell},
    tiers::Tier,
    version::CLASSIC,
};

/// Least share of exact samples, in percent.
const BAR: f64 = 99.0;

/// Least samples with the workload's file in a cell.
const SAMPLES: u64 = 150;

#[test]
fn classic_versions_show_exact_chains() {
    let _alone = alone();
    let workloads = [
        "nested.js",
        "methods.js",
        "callbacks.js",
        "recursion.js",
        "toplevel.js",
        "tiny.js",
        // From Node 8 on.
        "classes.js",
        "promises.js",
    ];
    let cells = cells(&CLASSIC, &workloads, &[Tier::NotInlined, Tier::Unoptimized]).unwrap();
    let mut measured = measure_all(cells, Options::default(), 2, |_, _| ());
    look_again(&mut measured, Options::default(), BAR);
    tell(&table(&measured));
    let failures = failures(&measured, BAR, SAMPLES);
    assert!(failures.is_empty(), "{failures}");
}
