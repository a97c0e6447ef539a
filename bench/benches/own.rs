//! What node-flame itself takes on one busy thread: system calls for each sample, as strace counts them,
//! CPU time and memory.

use bench::command::{Quiet, anonymous_kib, arguments, cpu_time, on};
use bench::is_quick;
use bench::live::{NODE, command};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use tests::binary::node_flame;
use tests::native::Folder;
use tests::process::{Target, run};
use tests::report::Report;

const RATES: [u32; 2] = [99, 997];

/// Calls that are named in the table.
const NAMED: usize = 8;

/// System calls of a run, by their names.
type Calls = BTreeMap<String, u64>;

/// Reads the table that `strace -c` writes.
fn read_calls(text: &str) -> Calls {
    let row = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let count = words.get(3)?.parse().ok()?;
        let name = words.last().filter(|name| **name != "total")?;
        Some(((*name).to_owned(), count))
    };
    text.lines().filter_map(row).collect()
}

/// A run under strace: its calls and its report. `None` where there is no strace.
fn traced(target: &Target, length: Duration, rate: u32, out: &Path) -> Option<(Calls, Report)> {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-c", "-o"]).arg(out).arg(node_flame());
    // strace makes every call longer, those in a stop too.
    strace.args(arguments(target.pid(), "folded", length, rate)).args(["--max-pause", "100"]);
    let ended = run(&mut strace, length + Duration::from_secs(30));
    let report = Report::parse(&ended.stderr)?;
    Some((read_calls(&std::fs::read_to_string(out).ok()?), report))
}

fn calls(target: &Target, lengths: [Duration; 2], folder: &Folder) {
    println!("### System calls of a sample\n");
    if Command::new("strace").arg("-V").output().is_err() {
        println!("Not counted: strace is not installed.");
        return;
    }
    println!(
        "All of node-flame's, its watchdog's too, by `strace -c -f`: the difference between runs of {:?} and {:?}.\n",
        lengths[1], lengths[0]
    );
    println!("| rate | samples | calls a sample | of these |");
    println!("|---|---|---|---|");
    for rate in RATES {
        let out = folder.file("calls");
        let counted = lengths.map(|length| traced(target, length, rate, &out));
        let [Some((short, few)), Some((long, many))] = counted else {
            println!("| {rate} Hz | | strace could not trace it | |");
            continue;
        };
        let samples = many.taken.saturating_sub(few.taken);
        let a_sample = |count: u64| count as f64 / samples.max(1) as f64;
        let mut more: Vec<(u64, &str)> = long
            .iter()
            .map(|(name, count)| (count.saturating_sub(*short.get(name).unwrap_or(&0)), name.as_str()))
            .collect();
        more.sort_unstable_by(|a, b| b.cmp(a));
        let all: u64 = more.iter().map(|(count, _)| count).sum();
        let named: Vec<String> =
            more.iter().take(NAMED).map(|(count, name)| format!("{name} {:.2}", a_sample(*count))).collect();
        println!("| {rate} Hz | {samples} | {:.1} | {} |", a_sample(all), named.join(", "));
    }
}

fn cpu_and_memory(target: &Target, length: Duration) {
    println!("\n### node-flame's own CPU and memory\n");
    println!("On one busy thread for {length:?}, its watchdog aside; its first tenth does not count.\n");
    println!("| rate | share of a CPU | anonymous memory |");
    println!("|---|---|---|");
    for rate in RATES {
        let flame = Quiet::start(&mut on(target.pid(), "folded", Duration::from_secs(600), rate));
        target.until_traced();
        std::thread::sleep(length / 10);
        let (begin, before) = (Instant::now(), cpu_time(flame.pid()).unwrap_or_default());
        std::thread::sleep(length);
        let used = cpu_time(flame.pid()).unwrap_or_default().saturating_sub(before);
        let share = used.as_secs_f64() / begin.elapsed().as_secs_f64();
        let memory = anonymous_kib(flame.pid()).unwrap_or(0) as f64 / 1024.0;
        println!("| {rate} Hz | {share:.3} | {memory:.1} MiB |");
    }
}

fn main() {
    let (lengths, length) = if is_quick() {
        ([Duration::from_millis(500), Duration::from_millis(1500)], Duration::from_secs(1))
    } else {
        ([Duration::from_secs(5), Duration::from_secs(25)], Duration::from_secs(20))
    };
    let mut program = command(NODE, &[], "deep.js", &["30".to_owned()]);
    let target = Target::ready(&mut program).expect("it says READY");
    calls(&target, lengths, &Folder::new("calls"));
    cpu_and_memory(&target, length);
}
