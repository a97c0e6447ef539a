//! Stops of many threads that all want to run: a session by node-flame and one by the bare sampler, in turns.

use bench::is_quick;
use bench::live::Live;
use bench::session::{Bare, Sampling, run};
use flame_core::profile::{Counts, Pauses};
use flame_sys::session::{Options, Outcome, Visitor};
use std::time::Duration;

const THREADS: [usize; 3] = [1, 8, 64];

/// JavaScript frames of each thread's stack.
const FRAMES: usize = 30;

/// Sessions of one kind: what they counted, and their pauses.
#[derive(Default)]
struct Sessions {
    counts: Counts,
    starved: u64,
    pauses: Vec<Pauses>,
}

impl Sessions {
    fn add(&mut self, outcome: &Outcome) {
        self.counts.wanted += outcome.counts.wanted;
        self.counts.taken += outcome.counts.taken;
        self.counts.idle += outcome.counts.idle;
        self.counts.lost += outcome.counts.lost;
        self.starved += outcome.starved;
        self.pauses.push(outcome.pauses);
    }

    /// Of all sessions' figures the median, in microseconds.
    fn us(&self, figure: impl Fn(&Pauses) -> u64) -> f64 {
        let mut all: Vec<u64> = self.pauses.iter().map(figure).collect();
        all.sort_unstable();
        all[all.len() / 2] as f64 / 1e3
    }

    fn row(&self, threads: usize, name: &str, ratio: &str) {
        let Counts { wanted, taken, idle, lost, .. } = self.counts;
        let share = taken as f64 * 100.0 / (taken + lost).max(1) as f64;
        println!(
            "| {threads} | {name} | {taken} of {} ({share:.1} %) | {} of {wanted} | {:.1} | {:.1} | {:.0} | {ratio} |",
            wanted - idle,
            self.starved,
            self.us(|pauses| pauses.p50_ns),
            self.us(|pauses| pauses.p99_ns),
            self.us(|pauses| pauses.max_ns),
        );
    }
}

fn main() {
    let (rounds, length) =
        if is_quick() { (2, Duration::from_millis(400)) } else { (7, Duration::from_secs(3)) };
    let options = Options { rate_hz: 997, duration: length, ..Options::default() };
    println!("### Stops of many busy threads\n");
    println!(
        "997 Hz, {FRAMES} JavaScript frames each; {rounds} sessions of {length:?} by each sampler, in turns. \
         Held: from when the stop could be known to when the thread ran again, in µs; medians of the sessions.\n"
    );
    println!("| threads | sampler | samples | ticks that waited for a CPU | p50 | p99 | max | p50, ratio |");
    println!("|---|---|---|---|---|---|---|---|");
    for threads in THREADS {
        let live = Live::start("workers.js", &[threads.to_string(), FRAMES.to_string()]);
        let (mut bare, mut flame) = (Bare::default(), Sampling::new(&live));
        let warm = Options { duration: length / 2, ..options };
        run(live.pid(), warm, &mut flame);
        let (mut bares, mut flames) = (Sessions::default(), Sessions::default());
        for round in 0..rounds {
            let session = |sessions: &mut Sessions, visitor: &mut dyn Visitor| {
                sessions.add(&run(live.pid(), options, visitor));
            };
            if round % 2 == 0 {
                session(&mut bares, &mut bare);
                session(&mut flames, &mut flame);
            } else {
                session(&mut flames, &mut flame);
                session(&mut bares, &mut bare);
            }
        }
        let median = |sessions: &Sessions| sessions.us(|pauses| pauses.p50_ns);
        bares.row(threads, "bare", "");
        flames.row(threads, "node-flame", &format!("{:.2}", median(&flames) / median(&bares)));
    }
}
