//! A target outlives the profiler, however that ends.

use std::{
    thread,
    time::{Duration, Instant, SystemTime},
};

use tests::{
    binary::node_flame,
    matrix::{alone, tell},
    process::{Running, Target, command, rounds},
    tiers::Tier,
    version::Version,
    workload::Workload,
};

const VERSION: Version = Version::new(22, 23, 3);

fn profiler(target: &Target) -> Running {
    let pid = target.pid().to_string();
    Running::start(&mut command(node_flame(), &[&pid, "folded", "90", "--rate", "1000", "--max-pause", "50"]))
}

fn with_workers() -> Target {
    let workload = Workload::load("worker.js", VERSION).unwrap();
    Target::start(VERSION, Tier::Default, &workload.path).unwrap()
}

#[test]
fn a_target_runs_on_when_the_profiler_is_killed_at_any_moment() {
    let _alone = alone();
    let mut target = with_workers();
    let seed = SystemTime::UNIX_EPOCH.elapsed().map_or(1, |since| since.as_nanos() as u64) | 1;
    let (mut random, rounds) = (seed, rounds(12));
    // The kernel's own killer of processes, when memory runs out, sends SIGKILL.
    // A job in the background of a script ignores SIGINT, and so does what it starts.
    let ignored = tests::process::status(std::process::id(), "SigIgn").expect("the kernel tells");
    let ignores_int = u64::from_str_radix(&ignored, 16).expect("hexadecimal") & 2 != 0;
    let signals = ["KILL", "TERM", if ignores_int { "HUP" } else { "INT" }, "SEGV"];
    for round in 0..rounds * 4 {
        // xorshift64
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let mut profiler = profiler(&target);
        let after = Duration::from_micros(random % 400_000);
        thread::sleep(after);
        let signal = signals[round as usize % 4];
        assert!(profiler.alive(), "round {round}, seed {seed}: node-flame ended by itself");
        profiler.send(signal);
        // Rust's runtime takes the first one for a fault that will come again.
        while signal == "SEGV" && profiler.alive() {
            thread::sleep(Duration::from_millis(10));
            profiler.send(signal);
        }
        // The kernel frees the threads while the tracer exits, so that is over when the wait for it is.
        profiler.ended();
        let held = target.held_threads();
        assert_eq!(held, [""; 0], "round {round}, seed {seed}: SIG{signal} after {after:?}");
        assert!(target.alive() && target.runs_on(), "round {round}, seed {seed}: the target is stuck");
    }
    tell(&format!("node-flame was sent each of {signals:?} {rounds} times; the target ran on"));
}

#[test]
fn a_profiler_that_is_stopped_while_it_holds_a_thread_sets_the_target_free() {
    let _alone = alone();
    let mut deep = command(tests::nodes::node(VERSION), &["--stack-size=3900"]);
    deep.arg(tests::binary::workspace().join("tests/programs/deep.js")).arg("2");
    let mut target = Target::ready(&mut deep).unwrap();
    let mut profiler = profiler(&target);
    let (mut times, mut met_held) = (Vec::new(), 0);
    for round in 0..rounds(8) {
        target.until_traced();
        thread::sleep(Duration::from_millis(100 + u64::from(round * 37 % 50)));
        profiler.send("STOP");
        let begin = Instant::now();
        let stands = |line: &String| line.contains(", t");
        met_held += u32::from(target.held_threads().iter().any(stands));
        while !target.held_threads().is_empty() {
            assert!(begin.elapsed() < Duration::from_secs(10), "round {round}: {:?}", target.held_threads());
            thread::sleep(Duration::from_millis(1));
        }
        times.push(begin.elapsed());
        assert!(target.runs_on(), "round {round}: the target is stuck");
        while !tests::process::status(profiler.pid(), "State").is_some_and(|state| state.starts_with('T')) {
            assert!(begin.elapsed() < Duration::from_secs(10), "round {round}: node-flame does not stand");
            thread::sleep(Duration::from_millis(5));
        }
        profiler.send("CONT");
    }
    target.until_traced();
    profiler.send("INT");
    let ended = profiler.ended();
    assert!(ended.ok(), "{}", ended.stderr);
    times.sort_unstable();
    let (rounds, median, most) = (times.len(), times[times.len() / 2], times[times.len() - 1]);
    tell(&format!(
        "stopped {rounds} times, {met_held} with a thread held: free after {median:.0?}, {most:.0?} at most"
    ));
    // The longest one may have waited for a CPU.
    assert!(median <= Duration::from_millis(250), "{times:?}");
    assert!(target.alive() && target.held_threads().is_empty());
}

#[test]
fn deep_stacks_at_too_high_a_rate_are_held_within_their_share() {
    let _alone = alone();
    let mut deep = command(tests::nodes::node(VERSION), &["--stack-size=3900"]);
    deep.arg(tests::binary::workspace().join("tests/programs/deep.js")).arg("3");
    let target = Target::ready(&mut deep).unwrap();
    let pid = target.pid().to_string();
    let mut profiler = Running::start(&mut command(node_flame(), &[&pid, "folded", "5", "--rate", "10000"]));
    let ended = profiler.ended();
    assert!(ended.ok(), "{}", ended.stderr);
    let line = |start: &str| ended.stderr.lines().find(|line| line.contains(start)).unwrap_or_default();
    let pauses = line("Pause per sample");
    let share = pauses.rsplit(" held ").next().and_then(|rest| rest.split(' ').next()?.parse::<f64>().ok());
    let deepest = ended.stdout.lines().map(|line| line.matches("down:").count()).max().unwrap_or(0);
    tell(&format!("{pauses} {} Deepest stack: {deepest} frames.", line("beyond its share")));
    assert!(share.is_some_and(|share| share > 0.0 && share <= 5.5), "{}", ended.stderr);
    assert!(deepest > 5000, "{deepest} frames");
    assert!(line("Note: ").contains("would have held a thread beyond its share"), "{}", ended.stderr);
    assert!(target.held_threads().is_empty() && target.runs_on());
}
