//! A target outlives the profiler, however that ends.

use std::{
    fs, thread,
    time::{Duration, SystemTime},
};

use tests::{
    binary::node_flame,
    matrix::alone,
    process::{Running, Target, command, status},
    tiers::Tier,
    version::Version,
    workload::Workload,
};

/// The target's threads that are stopped or traced, in words.
fn held_threads(target: &Target) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{}/task", target.pid())).expect("the target's threads");
    tasks
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|tid: u32| {
            let (tracer, state) = (status(tid, "TracerPid")?, status(tid, "State")?);
            let held = tracer != "0" || state.starts_with(['t', 'T']);
            held.then(|| format!("{tid}: TracerPid {tracer}, {state}"))
        })
        .collect()
}

/// Whether the target comes to use processor time within 5 s.
fn runs_on(target: &Target) -> bool {
    let before = target.cpu_ticks();
    (0..500).any(|_| {
        thread::sleep(Duration::from_millis(10));
        target.cpu_ticks() > before
    })
}

#[test]
fn a_target_runs_on_when_the_profiler_is_killed_at_any_moment() {
    let _alone = alone();
    let version = Version::new(22, 23, 3);
    let workload = Workload::load("worker.js", version).unwrap();
    let mut target = Target::start(version, Tier::Default, &workload.path).unwrap();
    let seed = SystemTime::UNIX_EPOCH.elapsed().map_or(1, |since| since.as_nanos() as u64) | 1;
    println!("seed {seed}");
    let mut random = seed;
    for round in 0..50 {
        // xorshift64
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let pid = target.pid().to_string();
        let mut profiler =
            Running::start(&mut command(node_flame(), &[&pid, "folded", "30", "--rate", "1000"]));
        let after = Duration::from_micros(random % 400_000);
        thread::sleep(after);
        assert!(profiler.alive(), "round {round}, seed {seed}: node-flame ended by itself");
        profiler.kill();
        // The kernel frees the threads while the tracer exits, so it is over when the kill is.
        assert_eq!(held_threads(&target), [""; 0], "round {round}, seed {seed}, killed after {after:?}");
        assert!(target.alive() && runs_on(&target), "round {round}, seed {seed}: the target is stuck");
    }
}
