//! node-flame names exactly the call chains that the workloads state, on Node 0.8 to 15 and 16.5.
//!
//! A sweep: it takes some minutes, so it runs with `--features sweeps` alone.
#![cfg(feature = "sweeps")]

use tests::{
    binary::node_flame,
    matrix::{Options, alone, cells, failures, look_again, measure_all, sample_by, table, tell},
    process::{Target, command},
    tiers::Tier,
    version::{BETWEEN, CLASSIC},
    workload::Workload,
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
    let mut all = cells(&CLASSIC, &workloads, &[Tier::NotInlined, Tier::Unoptimized]).unwrap();
    // V8 6.1 inlines whatever the flags say, and has no positions of leaves in optimized code.
    all.extend(cells(&BETWEEN, &workloads, &[Tier::Unoptimized]).unwrap());
    let mut measured = measure_all(all, Options::default(), 2, |_, _| ());
    look_again(&mut measured, Options::default(), BAR);
    tell(&table(&measured));
    let failures = failures(&measured, BAR, SAMPLES);
    assert!(failures.is_empty(), "{failures}");
}

/// V8's own functions that `callbacks.js` calls: scripts named `native …` have lines, what has no script is a builtin.
#[test]
fn functions_of_v8_itself_have_lines_or_are_builtins() {
    let _alone = alone();
    for version in [&CLASSIC[..], &BETWEEN].concat() {
        let workload = Workload::load("callbacks.js", version).unwrap();
        let target = Target::start(version, Tier::NotInlined, &workload.path).unwrap();
        let profiler = || command(node_flame(), &[&target.pid().to_string()]);
        let (stacks, _) =
            sample_by(&workload, Options { lines: true, ..Options::default() }, profiler).unwrap();
        let labels =
            || stacks.iter().flat_map(|stack| stack.frames.iter().map(move |label| (label, stack.count)));
        let is_own = |label: &str| label.contains(":native ") || label.ends_with(":[builtin]");
        let is_wrong = |label: &str| {
            label.contains(":native ") && label.ends_with(":0")
                || label.ends_with(":[unknown]:0") && label.len() > 12
        };
        let count = |is: &dyn Fn(&str) -> bool| {
            labels().filter(|label| is(label.0)).map(|label| label.1).sum::<u64>()
        };
        let (own, wrong) = (count(&is_own), count(&is_wrong));
        tell(&format!("{version}: {own} frames of V8's own functions, {wrong} without a place"));
        // A function that the collector moved has no name.
        assert!(own > 20 && wrong * 50 <= own, "{version}: {own}, {wrong}");
    }
}
