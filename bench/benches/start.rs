//! The command's ends: from its exec to the first sample, and from the end of sampling to its exit, with
//! everything written.

use bench::command::{Quiet, on};
use bench::is_quick;
use bench::live::{NODE, command};
use bench::pair::{Pair, Times};
use bench::turns::send;
use rustix::process::Signal;
use std::process::Command;
use std::time::{Duration, Instant};
use tests::binary::node_flame;
use tests::nodes::{Processor, cache};
use tests::process::{Target, status};
use tests::version::Version;

/// The versions on which it is measured, where they were fetched.
const VERSIONS: [Version; 2] = [NODE, Version::new(26, 10, 0)];

/// Between two looks at the target: each takes time of the CPU on which the command starts.
const LOOK: Duration = Duration::from_micros(300);

/// A rate at which the wait for the first tick is short.
const RATE: u32 = 997;

fn is_fetched(version: Version) -> bool {
    let processor = if Processor::host() == Processor::Arm64 { "arm64" } else { "x64" };
    cache().join(format!("node/linux-{processor}-{version}/bin/node")).is_file()
}

fn target(version: Version, program: &str, arguments: &[&str]) -> Target {
    let arguments: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
    let target = Target::ready(&mut command(version, &[], program, &arguments)).expect("it says READY");
    std::thread::sleep(Duration::from_millis(300));
    target
}

/// How often a process has slept or was stopped. A busy one does neither.
fn stops(pid: u32) -> u64 {
    status(pid, "voluntary_ctxt_switches").and_then(|count| count.parse().ok()).unwrap_or(0)
}

/// How long it takes from the command's start to when it traces a busy process, and to the first sample.
fn started(target: &Target) -> (Duration, Duration) {
    let mut flame = on(target.pid(), "folded", Duration::from_secs(60), RATE);
    let before = stops(target.pid());
    let begin = Instant::now();
    let mut flame = Quiet::start(&mut flame);
    let mut attached = None;
    loop {
        let traced = || status(target.pid(), "TracerPid").is_some_and(|tracer| tracer != "0");
        if attached.is_none() && traced() {
            attached = Some(begin.elapsed());
        }
        if stops(target.pid()) > before {
            break;
        }
        assert!(begin.elapsed() < Duration::from_secs(20), "no sample is taken");
        std::thread::sleep(LOOK);
    }
    let sampled = begin.elapsed();
    send(flame.pid(), Signal::INT);
    flame.ended();
    (attached.unwrap_or(sampled), sampled)
}

/// How long a command takes that has nothing to do.
fn version() -> Duration {
    let begin = Instant::now();
    Quiet::start(Command::new(node_flame()).arg("--version")).ended();
    begin.elapsed()
}

/// How long it takes from the end of sampling to the command's exit.
fn finished(target: &Target, format: &str, length: Duration) -> Duration {
    let mut flame = Quiet::start(&mut on(target.pid(), format, Duration::from_secs(600), RATE));
    target.until_traced();
    std::thread::sleep(length);
    let begin = Instant::now();
    send(flame.pid(), Signal::INT);
    flame.ended();
    begin.elapsed()
}

fn ms(times: &Times, share: f64) -> f64 {
    times.quantile(share).as_secs_f64() * 1e3
}

fn starts(rounds: u32) {
    println!("### Start to first sample\n");
    println!(
        "From the command's exec, in turns with `node-flame --version`; a busy target, {RATE} Hz, {rounds} starts.\n"
    );
    println!("| Node | attached | first sample, median | longest | `--version` | ratio |");
    println!("|---|---|---|---|---|---|");
    for node in VERSIONS.into_iter().filter(|node| is_fetched(*node)) {
        let target = target(node, "deep.js", &["30"]);
        // Files come from the cache from here on.
        started(&target);
        let (mut pair, mut attached) = (Pair::default(), Times::default());
        for _ in 0..rounds {
            pair.reference.push(version());
            let (attach, sample) = started(&target);
            attached.push(attach);
            pair.subject.push(sample);
        }
        println!(
            "| {node} | {:.1} ms | {:.1} ms | {:.1} ms | {:.2} ms | {:.1} |",
            ms(&attached, 0.5),
            ms(&pair.subject, 0.5),
            ms(&pair.subject, 1.0),
            ms(&pair.reference, 0.5),
            pair.ratio(),
        );
    }
}

fn ends(works: &[&str], rounds: u32, length: Duration) {
    println!("\n### End of sampling to exit\n");
    println!(
        "From Ctrl-C, after {length:?} at {RATE} Hz, to the command's exit, in turns with `folded`; {rounds} times.\n"
    );
    println!("| Node | work | `flame`, median | longest | `folded` | ratio |");
    println!("|---|---|---|---|---|---|");
    for node in VERSIONS.into_iter().filter(|node| is_fetched(*node)) {
        for work in works {
            let target = target(node, "load.js", &[work]);
            let mut pair = Pair::default();
            for _ in 0..rounds {
                pair.reference.push(finished(&target, "folded", length));
                pair.subject.push(finished(&target, "flame", length));
            }
            println!(
                "| {node} | {work} | {:.0} ms | {:.0} ms | {:.0} ms | {:.2} |",
                ms(&pair.subject, 0.5),
                ms(&pair.subject, 1.0),
                ms(&pair.reference, 0.5),
                pair.ratio(),
            );
        }
    }
}

fn main() {
    if is_quick() {
        starts(5);
        ends(&["http"], 2, Duration::from_millis(300));
    } else {
        starts(40);
        ends(&["http", "garbage"], 10, Duration::from_secs(5));
    }
}
