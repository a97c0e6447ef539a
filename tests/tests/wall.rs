//! `--wall`: threads that wait are sampled too, and are not stopped for it.

use std::{path::Path, process::Command, time::Duration};

use tests::{
    binary::node_flame,
    matrix::{alone, in_parallel, tell},
    nodes::node,
    process::{Target, command, run},
    stacks::{self, Frame, Stack},
    version::Version,
};

const VERSIONS: [Version; 3] = [Version::new(16, 20, 2), Version::new(22, 23, 3), Version::new(26, 10, 0)];

/// Profiles a target with `--wall` at this rate for four seconds.
fn sleeping(target: &Target, rate: &str) -> (Vec<Stack>, String) {
    let pid = target.pid().to_string();
    let arguments = [&pid, "folded", "4", "--wall", "--rate", rate];
    let ended = run(&mut command(node_flame(), &arguments), Duration::from_secs(30));
    assert!(ended.ok(), "{}", ended.stderr);
    (stacks::folded(&ended.stdout).unwrap(), ended.stderr)
}

#[test]
fn a_waiting_thread_shows_what_it_waits_for() {
    let _alone = alone();
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs/waiting.js");
    let path = program.display().to_string();
    in_parallel(&VERSIONS, VERSIONS.len(), |&version| {
        let target = Target::ready(Command::new(node(version)).arg(&program)).unwrap();
        let (stacks, report) = sleeping(&target, "99");
        let (mut dozes, mut child, mut idle, mut other) = (0, 0, 0, 0);
        for stack in &stacks {
            let own: Vec<&str> = stack
                .frames
                .iter()
                .filter_map(|label| Frame::in_scripts(label, &[&path]))
                .map(|frame| frame.name)
                .filter(|name| *name != "(anonymous)")
                .collect();
            let has = |name: &str| stack.frames.iter().any(|label| label.starts_with(name));
            let is_whole = stack.frames[0].starts_with("_start");
            match own.as_slice() {
                _ if !is_whole => other += stack.count,
                ["turn", "dozes"] if has("v8::internal::FutexEmulation") => dozes += stack.count,
                ["turn", "waitsForChild"] if has("execFileSync") => child += stack.count,
                [] if has("uv__io_poll") && has("epoll_") => idle += stack.count,
                _ => other += stack.count,
            }
        }
        let all = dozes + child + idle + other;
        tell(&format!("{version}: dozes {dozes}, waits for a child {child}, idle {idle}, other {other}"));
        assert!(all > 250, "{version}: too few samples\n{report}");
        // Some milliseconds of each turn go to the start of the child.
        assert!(other * 20 < all, "{version}: {stacks:#?}\n{report}");
        // A child takes longer to start where the machine is busy.
        assert!(
            dozes * 100 > all * 15 && child * 100 > all * 20 && idle * 100 > all * 15,
            "{version}\n{report}"
        );
    });
}

#[test]
fn an_event_loop_that_waits_reads_idle() {
    let _alone = alone();
    const PROGRAM: &str = "const { performance } = require('perf_hooks'); let last = performance.eventLoopUtilization();
        console.log('READY');
        setInterval(() => { const now = performance.eventLoopUtilization();
            console.log('ELU', performance.eventLoopUtilization(now, last).utilization); last = now; }, 1000);";
    for (rate, least) in [("125", 350), ("1000", 2500)] {
        // All at once, as they hardly run.
        in_parallel(&VERSIONS, VERSIONS.len(), |&version| {
            let target = Target::ready(Command::new(node(version)).args(["-e", PROGRAM])).unwrap();
            let (stacks, report) = sleeping(&target, rate);
            let samples = stacks.iter().map(|stack| stack.count).sum::<u64>();
            assert!(samples > least, "{version}, {rate} Hz\n{report}");
            let text = target.stdout();
            let seen: Vec<f64> =
                text.lines().filter_map(|line| line.strip_prefix("ELU ")?.trim().parse().ok()).collect();
            tell(&format!("{version}, {rate} Hz: {samples} samples, event loop utilization {seen:?}"));
            let mean = seen.iter().sum::<f64>() / seen.len() as f64;
            assert!(seen.len() >= 3 && mean < 0.02, "{version}, {rate} Hz: {seen:?}");
        });
    }
}
