//! A target outlives the profiler, however that ends.

use std::{
    thread,
    time::{Duration, Instant, SystemTime},
};

use tests::{
    binary::node_flame,
    matrix::{alone, tell},
    process::{Running, Target, command, rounds},
    version::Version,
};

const VERSION: Version = Version::new(22, 23, 3);

fn profiler(target: &Target) -> Running {
    let pid = target.pid().to_string();
    Running::start(&mut command(node_flame(), &[&pid, "folded", "90", "--rate", "1000", "--max-pause", "50"]))
}

#[test]
fn a_target_runs_on_when_the_profiler_is_killed_at_any_moment() {
    let _alone = alone();
    let mut target = Target::ready(
        command(tests::nodes::node(VERSION), &[])
            .arg(tests::binary::workspace().join("tests/programs/sums.js")),
    )
    .unwrap();
    let seed = SystemTime::UNIX_EPOCH.elapsed().map_or(1, |since| since.as_nanos() as u64) | 1;
    let (mut random, rounds, mut traced) = (seed, rounds(12), 0);
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
        traced += u32::from(target.status("TracerPid").is_some_and(|tracer| tracer != "0"));
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
    target.send("TERM");
    let ended = target.ended();
    assert_eq!((ended.status.code(), ended.stderr.as_str()), (Some(9), ""), "{}", ended.stdout);
    let told = right_sums(&ended.stdout);
    tell(&format!(
        "node-flame was sent each of {signals:?} {rounds} times, {traced} of {} times while it traced; the target \
         told {told} numbers, all of them right, and ended as it was to",
        rounds * 4
    ));
    assert!(traced * 2 > rounds * 4, "traced in {traced} rounds of {}", rounds * 4);
}

/// The numbers that `sums.js` told, each of which must follow from those before: as many as there are.
fn right_sums(text: &str) -> usize {
    let (mut at, mut steps, mut told) = (1u32, 0u64, 0);
    let lines: Vec<&str> = text.lines().filter(|line| *line != "READY").collect();
    let Some(("END", numbers)) = lines.split_last().map(|(last, rest)| (*last, rest)) else {
        panic!("it did not end as it was to: {:?}", lines.last())
    };
    for line in numbers {
        let (wanted, found) =
            line.strip_prefix("AT ").and_then(|rest| rest.split_once(' ')).expect("AT STEPS NUMBER");
        let (wanted, found) =
            (wanted.parse::<u64>().expect("a number"), found.parse::<u32>().expect("a number"));
        while steps < wanted {
            at = at.wrapping_mul(1_103_515_245).wrapping_add(12_345) & 0x7fff_ffff;
            steps += 1;
        }
        assert_eq!((steps, at), (wanted, found), "after {told} lines");
        told += 1;
    }
    told
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
    let last = times.len() - 1;
    let (rounds, median, nearly_all, most) =
        (times.len(), times[last / 2], times[last * 95 / 100], times[last]);
    tell(&format!(
        "stopped {rounds} times, {met_held} with a thread held: free after {median:.0?}, 95 % after \
         {nearly_all:.0?}, {most:.0?} at most"
    ));
    // Who wakes it may have to wait for a CPU itself, on a busy machine for longer.
    assert!(nearly_all <= Duration::from_millis(250) && most <= Duration::from_secs(1), "{times:?}");
    assert!(met_held > 0, "none of {rounds} stops met a held thread");
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
    let longest = pauses.split("max ").nth(1).and_then(|rest| rest.split(' ').next()?.parse::<f64>().ok());
    let share = pauses.rsplit(" held ").next().and_then(|rest| rest.split(' ').next()?.parse::<f64>().ok());
    let deepest = ended.stdout.lines().map(|line| line.matches("down:").count()).max().unwrap_or(0);
    tell(&format!("{pauses} {} Deepest stack: {deepest} frames.", line("beyond its share")));
    // One stop of 20 ms may go beyond what was left of the share. Without a bound it would be most of the time.
    assert!(share.is_some_and(|share| share > 0.0 && share <= 7.0), "{}", ended.stderr);
    assert!(deepest > 5000, "{deepest} frames");
    // What is read by then is still made sense of.
    assert!(longest.is_some_and(|longest| longest > 0.0 && longest < 30.0), "{}", ended.stderr);
    assert!(!line("would have held a thread beyond its share").is_empty(), "{}", ended.stderr);
    assert!(target.held_threads().is_empty() && target.runs_on());
}
