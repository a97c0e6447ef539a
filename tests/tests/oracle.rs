//! node-flame and V8's own profiler agree on where a program spends its time.

use std::{collections::BTreeMap, thread};

use tests::{
    matrix::{Cell, Options, alone, sample, tell},
    stacks::{Frame, Stack, by_leaf},
    tiers::Tier,
    truth,
    verdict::total_variation,
    version::{MODERN, Version},
    workload::Workload,
};

/// Self time of the workload's own functions, or of their lines.
fn self_time(workload: &Workload, stacks: &[Stack], by_line: bool) -> BTreeMap<String, u64> {
    let scripts = workload.scripts();
    by_leaf(stacks, |label| {
        let frame = Frame::in_scripts(label, &scripts)?;
        Some(if by_line { format!("{}:{}", frame.name, frame.line) } else { frame.name.to_owned() })
    })
}

/// How far the two profilers are apart, by function and by line.
fn apart(version: Version, name: &str) -> (f64, f64) {
    let workload = Workload::load(name, version).unwrap();
    let cell = Cell { version, workload: name.into(), tier: Tier::NotInlined };
    let options = Options { seconds: 2.5, rate: 1000, lines: true, ..Options::default() };
    let ((ours, report), theirs) = thread::scope(|scope| {
        let ours = scope.spawn(|| sample(&cell, &workload, options).unwrap());
        let theirs = truth::profile(&workload, version, cell.tier, 3.0).unwrap();
        (ours.join().unwrap(), theirs)
    });
    let apart = |by_line| {
        let ours = self_time(&workload, &ours, by_line);
        let theirs = self_time(&workload, &theirs.lines, by_line);
        assert!(ours.values().sum::<u64>() > 600, "{version} {name}: too few samples\n{report}");
        assert!(theirs.values().sum::<u64>() > 600, "{version} {name}: too few samples of V8");
        let apart = total_variation(&ours, &theirs);
        if apart >= 0.05 {
            tell(&format!("here {ours:?}\nV8   {theirs:?}"));
        }
        apart
    };
    (apart(false), apart(true))
}

#[test]
fn self_time_agrees_with_the_profiler_of_v8() {
    let _alone = alone();
    let old = [Version::new(10, 24, 1), Version::new(12, 22, 12), Version::new(14, 21, 3)];
    let every = old.into_iter().chain(MODERN.into_iter().filter(|v| v.major % 2 == 0));
    // Two whose neighbours are near to them, where there is time.
    let is_chosen = |version: &Version| cfg!(feature = "sweeps") || ![12, 18].contains(&version.major);
    let mut wrong = Vec::new();
    for version in every.filter(is_chosen) {
        for name in ["phases.js", "methods.js"] {
            let (by_function, by_line) = apart(version, name);
            let text = format!(
                "{version} {name}: {:.1} % apart by function, {:.1} % by line",
                by_function * 100.0,
                by_line * 100.0
            );
            tell(&text);
            if by_function >= 0.05 || by_line >= 0.10 {
                wrong.push(text);
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
}
