//! What a Node process measures of itself is what it would measure without us: its event loop's utilization.

use std::{
    io::{Read, Write},
    net::TcpStream,
    process::Command,
    thread,
    time::Duration,
};

use tests::{
    binary::{node_flame, workspace},
    matrix::{alone, tell},
    nodes::node,
    process::{Running, Target, command, rounds},
    version::Version,
};

const VERSIONS: [Version; 8] = [
    Version::new(12, 22, 12),
    // 14.0 to 14.9 do not have the measure.
    Version::new(14, 21, 3),
    Version::new(16, 20, 2),
    Version::new(18, 20, 8),
    Version::new(20, 20, 2),
    Version::new(22, 23, 3),
    Version::new(24, 21, 0),
    Version::new(26, 10, 0),
];

/// The majors between those: looked at where there is time. 13 does not have the measure.
#[cfg(feature = "sweeps")]
const BETWEEN: [Version; 6] = [
    Version::new(15, 14, 0),
    Version::new(17, 9, 1),
    Version::new(19, 8, 1),
    Version::new(21, 7, 3),
    Version::new(23, 11, 1),
    Version::new(25, 9, 0),
];

/// Idle and busy parts of a run are this long.
const PART: Duration = Duration::from_secs(3);

fn server(version: Version, share: &str) -> Target {
    let program = workspace().join("tests/programs/idle.js");
    // Else what other programs do is in the figures. Without the right to that it starts as it is.
    let mut server = Command::new("nice");
    server.args(["-n", "-20"]).arg(node(version)).arg(program).arg(share);
    Target::ready(&mut server).unwrap()
}

fn profiler(target: &Target, rate: &str, seconds: u64) -> Running {
    let (pid, seconds) = (target.pid().to_string(), seconds.to_string());
    Running::start(&mut command(node_flame(), &[&pid, "folded", &seconds, "--rate", rate]))
}

/// Its utilization since this was last asked.
fn told(target: &Target) -> f64 {
    let text = target.stdout();
    let port = text.lines().find_map(|line| line.strip_prefix("PORT ")?.parse::<u16>().ok()).expect("PORT");
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the server listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout can be set");
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").expect("the server reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the server answers");
    answer.lines().find_map(|line| line.strip_prefix("ELU ")?.parse().ok()).expect("ELU NUMBER")
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len().max(1) as f64;
    values.sum::<f64>() / count
}

/// Utilizations without node-flame and with it, of each server: attach, a whole run, release, and a run that
/// ends by SIGKILL, all of it counts.
fn idle(servers: &mut [Target], rate: &str) -> Vec<(f64, f64)> {
    servers.iter().map(told).for_each(drop);
    thread::sleep(PART);
    let free: Vec<f64> = servers.iter().map(told).collect();
    let seconds = if rounds(0) > 0 { 10 } else { 4 };
    let mut profilers: Vec<Running> = servers.iter().map(|server| profiler(server, rate, seconds)).collect();
    for profiler in &mut profilers {
        let ended = profiler.ended();
        assert!(ended.ok(), "{}", ended.stderr);
    }
    let mut killed: Vec<Running> = servers.iter().map(|server| profiler(server, rate, 60)).collect();
    thread::sleep(Duration::from_secs(1));
    killed.iter_mut().for_each(Running::kill);
    thread::sleep(Duration::from_secs(1));
    let traced: Vec<f64> = servers.iter().map(told).collect();
    assert!(servers.iter_mut().all(|server| server.alive() && server.held_threads().is_empty()));
    free.into_iter().zip(traced).collect()
}

/// Holds idle servers of these versions against what they read without us, at both rates.
fn stay_idle(versions: &[Version]) {
    for rate in ["125", "1000"] {
        let mut all: Vec<(Version, Vec<(f64, f64)>)> = versions.iter().map(|v| (*v, Vec::new())).collect();
        let more = |pairs: &[(f64, f64)]| mean(pairs.iter().map(|(free, traced)| traced - free));
        // A machine that is busy with something else delays the few steps of some: those are looked at again, and
        // judged by all that was seen of them. What we do is always there.
        for _ in 0..3 {
            let mut left: Vec<_> =
                all.iter_mut().filter(|(_, pairs)| pairs.is_empty() || more(pairs) > 0.01).collect();
            if left.is_empty() {
                break;
            }
            let mut servers: Vec<Target> = left.iter().map(|(version, _)| server(*version, "0")).collect();
            // The servers' own start.
            thread::sleep(Duration::from_secs(2));
            for ((version, pairs), (free, traced)) in left.iter_mut().zip(idle(&mut servers, rate)) {
                tell(&format!("Node {version}, {rate} Hz: {free:.4} without, {traced:.4} with node-flame"));
                pairs.push((free, traced));
            }
        }
        for (version, pairs) in &all {
            assert!(more(pairs) <= 0.01, "Node {version}, {rate} Hz: {pairs:?}");
        }
    }
}

#[test]
fn an_idle_servers_event_loop_utilization_stays_as_it_is() {
    let _alone = alone();
    stay_idle(&VERSIONS);
}

#[cfg(feature = "sweeps")]
#[test]
fn an_idle_servers_event_loop_utilization_stays_as_it_is_in_every_other_major() {
    let _alone = alone();
    stay_idle(&BETWEEN);
}

/// A server that is busy for a good third of the time by its own measure, which is found out at its start.
#[cfg(feature = "sweeps")]
fn third(version: Version) -> Target {
    (0..5)
        .map(|_| server(version, "0.32"))
        .find(|target| {
            told(target);
            thread::sleep(Duration::from_secs(1));
            (0.3..=0.4).contains(&told(target))
        })
        .unwrap_or_else(|| {
            panic!("Node {version} is not busy for a third of the time: is the machine a quiet one?")
        })
}

/// The middle of these, and its standard error.
#[cfg(feature = "sweeps")]
fn middle(mut values: Vec<f64>) -> (f64, f64) {
    values.sort_by(f64::total_cmp);
    let middle = values[values.len() / 2];
    let mut apart: Vec<f64> = values.iter().map(|value| (value - middle).abs()).collect();
    apart.sort_by(f64::total_cmp);
    // Of a normal distribution: what lies between half the values, and how a median's error is to a mean's.
    (middle, 1.4826 * 1.2533 * apart[apart.len() / 2] / (values.len() as f64).sqrt())
}

/// In turns, since what else the machine does is in the figure, too; it has to be a quiet one.
#[cfg(feature = "sweeps")]
#[test]
fn a_busy_event_loops_utilization_stays_as_it_is() {
    let _alone = alone();
    let every: Vec<Version> = VERSIONS.into_iter().chain(BETWEEN).collect();
    let versions = if rounds(0) > 0 { &every[..] } else { &VERSIONS[7..] };
    for version in versions {
        for rate in ["125", "1000"] {
            let target = third(*version);
            let mut pairs = Vec::new();
            let (apart, error) = loop {
                told(&target);
                thread::sleep(PART);
                let free = told(&target);
                // All of a run: its start, attach and release.
                let ended = profiler(&target, rate, PART.as_secs()).ended();
                assert!(ended.ok(), "{}", ended.stderr);
                pairs.push((free, told(&target)));
                let (apart, error) = middle(pairs.iter().map(|(free, traced)| traced - free).collect());
                // As many as it takes to tell, whatever that is: not until it is what was hoped for.
                if pairs.len() >= 5 && error <= 0.004 || pairs.len() >= 25 {
                    break (apart, error);
                }
            };
            let free = mean(pairs.iter().map(|pair| pair.0));
            tell(&format!(
                "Node {version}, {rate} Hz, {} pairs: {free:.3} without, {apart:+.4} (+-{error:.4}) with node-flame",
                pairs.len()
            ));
            assert!((0.3..=0.4).contains(&free), "{version}, {rate} Hz: not busy as wanted: {pairs:?}");
            assert!(apart.abs() <= 0.02, "{version}, {rate} Hz: {pairs:?}");
        }
    }
}
