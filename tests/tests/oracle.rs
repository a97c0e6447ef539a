//! node-flame and V8's own profiler agree on where a program spends its time.

use std::collections::BTreeMap;

use tests::{
    matrix::{Cell, Options, alone, sample, tell},
    stacks::{Frame, Stack, by_leaf},
    tiers::Tier,
    truth,
    verdict::total_variation,
    version::{MODERN, Version},
    workload::Workload,
};

/// Self time of the workload's own functions (whose lines are their first ones), or of its lines.
fn self_time(workload: &Workload, stacks: &[Stack]) -> BTreeMap<String, u64> {
    let scripts = workload.scripts();
    by_leaf(stacks, |label| Frame::in_scripts(label, &scripts).map(|f| format!("{}:{}", f.name, f.line)))
}

fn apart(version: Version, name: &str, lines: bool) -> f64 {
    let workload = Workload::load(name, version).unwrap();
    let cell = Cell { version, workload: name.into(), tier: Tier::NotInlined };
    let options = Options { seconds: 2.0, rate: 1000, lines, ..Options::default() };
    let (stacks, report) = sample(&cell, &workload, options).unwrap();
    let theirs = truth::profile(&workload, version, cell.tier, 2.5).unwrap();
    let ours = self_time(&workload, &stacks);
    let theirs = self_time(&workload, if lines { &theirs.lines } else { &theirs.stacks });
    assert!(ours.values().sum::<u64>() > 600, "{version} {name}: too few samples\n{report}");
    assert!(theirs.values().sum::<u64>() > 600, "{version} {name}: too few samples of V8");
    total_variation(&ours, &theirs)
}

#[test]
fn self_time_agrees_with_the_profiler_of_v8() {
    let _alone = alone();
    let old = [Version::new(12, 22, 12), Version::new(14, 21, 3)];
    let mut wrong = Vec::new();
    for version in old.into_iter().chain(MODERN.into_iter().filter(|v| v.major % 2 == 0)) {
        for name in ["lines.js", "methods.js"] {
            for (what, lines, limit) in [("function", false, 0.05), ("line", true, 0.10)] {
                let apart = apart(version, name, lines);
                let text = format!("{version} {name}: {:.1} % apart by {what}", apart * 100.0);
                tell(&text);
                if apart >= limit {
                    wrong.push(text);
                }
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
}
