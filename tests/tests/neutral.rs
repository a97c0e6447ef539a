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

#[cfg(feature = "sweeps")]
fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

#[cfg(feature = "sweeps")]
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
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

#[test]
fn an_idle_servers_event_loop_utilization_stays_as_it_is() {
    let _alone = alone();
    for rate in ["125", "1000"] {
        let mut left: Vec<Version> = VERSIONS.into();
        // A machine that is busy with something else delays the few steps of some; what we do is always there.
        for attempt in 1..=3 {
            let mut servers: Vec<Target> = left.iter().map(|version| server(*version, "0")).collect();
            // The servers' own start.
            thread::sleep(Duration::from_secs(2));
            let found = idle(&mut servers, rate);
            let told = left.iter().zip(&found).map(|(version, (free, traced))| {
                tell(&format!("Node {version}, {rate} Hz: {free:.4} without, {traced:.4} with node-flame"));
                (*version, traced - free)
            });
            left = told.filter(|(_, more)| *more > 0.01).map(|(version, _)| version).collect();
            if left.is_empty() {
                break;
            }
            assert!(attempt < 3, "{left:?}");
        }
    }
}

/// In turns, since what else the machine does is in the figure, too; it has to be a quiet one.
#[cfg(feature = "sweeps")]
#[test]
fn a_busy_event_loops_utilization_stays_as_it_is() {
    let _alone = alone();
    let versions = if rounds(0) > 0 { &VERSIONS[..] } else { &VERSIONS[7..] };
    for version in versions {
        for rate in ["125", "1000"] {
            let target = server(*version, "0.35");
            let mut apart = Vec::new();
            let deadline = std::time::Instant::now() + Duration::from_secs(60);
            let apart = loop {
                for _ in 0..3 {
                    let part = |target: &Target| {
                        told(target);
                        thread::sleep(PART);
                        told(target)
                    };
                    let free = part(&target);
                    let mut profiler = profiler(&target, rate, 60);
                    target.until_traced();
                    let traced = part(&target);
                    profiler.send("INT");
                    profiler.ended();
                    apart.push((traced - free, free));
                }
                let middle = median(apart.iter().map(|pair| pair.0).collect());
                // Where the machine's other work scatters the figures, more of them.
                if middle.abs() <= 0.02 || std::time::Instant::now() > deadline {
                    break apart;
                }
            };
            let (pairs, middle) = (apart.len(), median(apart.iter().map(|pair| pair.0).collect()));
            let free = mean(&apart.iter().map(|pair| pair.1).collect::<Vec<_>>());
            tell(&format!(
                "Node {version}, {rate} Hz, {pairs} pairs: {free:.3} without, {middle:+.4} with node-flame"
            ));
            assert!(middle.abs() <= 0.02, "{version}, {rate} Hz: {apart:?}");
        }
    }
}
