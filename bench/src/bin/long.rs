//! A long run at 997 Hz on 64 busy threads: whether node-flame stays within its bounds. `long MINUTES`.

use bench::command::{anonymous_kib, cpu_time, on};
use bench::live::{NODE, command};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tests::process::{Running, Target};
use tests::report::Report;

const THREADS: u32 = 64;
const RATE: u32 = 997;

/// Between looks at node-flame.
const LOOK: Duration = Duration::from_millis(500);

/// Anonymous memory that it may have, whatever the run: 16 MiB.
const MEMORY_KIB: u64 = 16 << 10;

/// Rows of the table.
const PARTS: u32 = 10;

fn main() -> ExitCode {
    let minutes: f64 = std::env::args().nth(1).map_or(10.0, |word| word.parse().expect("long MINUTES"));
    let length = Duration::from_secs_f64(minutes * 60.0);
    // Built before the threads want both CPUs.
    tests::binary::node_flame();
    let mut program = command(NODE, &[], "workers.js", &[THREADS.to_string(), "30".to_owned()]);
    let target = Target::ready(&mut program).expect("the program says READY");
    let mut flame = Running::start(&mut on(target.pid(), "folded", length, RATE));
    target.until_traced();
    println!("### A long run\n");
    println!("{RATE} Hz on {THREADS} busy threads for {minutes} minutes.\n");
    println!("| minutes | anonymous memory, most | share of a CPU |");
    println!("|---|---|---|");
    let mut most = 0;
    for part in 0..PARTS {
        let (begin, before) = (Instant::now(), cpu_time(flame.pid()).unwrap_or_default());
        let (mut here, mut used) = (0, before);
        while begin.elapsed() < length / PARTS && flame.alive() {
            std::thread::sleep(LOOK.min(length / PARTS / 4));
            here = here.max(anonymous_kib(flame.pid()).unwrap_or(0));
            used = used.max(cpu_time(flame.pid()).unwrap_or(used));
        }
        let share = (used - before).as_secs_f64() / begin.elapsed().as_secs_f64();
        let until = minutes * f64::from(part + 1) / f64::from(PARTS);
        println!("| {until:.2} | {:.1} MiB | {share:.3} |", here as f64 / 1024.0);
        most = most.max(here);
    }
    let ended = flame.ended();
    println!("\n```\n{}\n```", ended.stderr.trim_end());
    let Some(report) = Report::parse(&ended.stderr).filter(|_| ended.ok()) else {
        println!("\nnode-flame failed: {}.", ended.status);
        return ExitCode::FAILURE;
    };
    let asked = report.taken + report.lost;
    let share = report.taken as f64 * 100.0 / asked.max(1) as f64;
    println!(
        "\n{} of {asked} samples taken of threads that ran ({share:.1} %), at most {:.1} MiB of anonymous memory.",
        report.taken,
        most as f64 / 1024.0
    );
    if most < MEMORY_KIB && report.adds_up() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
