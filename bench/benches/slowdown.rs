//! What sampling costs the target: its throughput unsampled, under the bare sampler, and under node-flame,
//! in turns. Says it as a table; `--quick` makes it a short one.

use bench::live::Live;
use bench::session::{Bare, Sampling, run};
use flame_sys::clock;
use flame_sys::session::{Options, Visitor};
use std::time::Duration;

const KINDS: [&str; 7] = ["numeric", "json", "regexp", "recursion", "garbage", "promises", "http"];

#[derive(Clone, Copy, Debug)]
enum Way {
    Unsampled,
    Bare(u32),
    Flame(u32),
}

const WAYS: [Way; 5] = [Way::Unsampled, Way::Bare(997), Way::Flame(99), Way::Flame(250), Way::Flame(997)];

/// The target's lines: time in ns, units of work so far, p99 of its event loop's delay in ns.
struct Progress(Vec<(u64, f64, f64)>);

impl Progress {
    fn of(live: &Live) -> Self {
        let text = live.stdout();
        let line = |line: &str| {
            let mut words = line.split(' ');
            Some((
                words.next()?.parse().ok()?,
                words.next()?.parse().ok()?,
                words.next()?.trim().parse().ok()?,
            ))
        };
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        Progress(whole.lines().filter_map(line).collect())
    }

    /// Units of work in a second between two times, and the delay's median.
    fn between(&self, from: u64, to: u64) -> Option<(f64, f64)> {
        let inside: Vec<_> = self.0.iter().filter(|line| (from..=to).contains(&line.0)).collect();
        let (first, last) = (inside.first()?, inside.last()?);
        let delay = median(inside.iter().map(|line| line.2).collect());
        (last.0 > first.0).then(|| ((last.1 - first.1) / ((last.0 - first.0) as f64 / 1e9), delay))
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let (rounds, window) =
        if quick { (2, Duration::from_millis(200)) } else { (15, Duration::from_millis(600)) };
    println!(
        "Loss of throughput against the unsampled target, median of {rounds} rounds of {window:?} each\n"
    );
    println!("| work | bare, 997 Hz | 99 Hz | 250 Hz | 997 Hz | event loop's p99, unsampled / 997 Hz |");
    println!("|---|---|---|---|---|---|");
    for kind in KINDS {
        let live = Live::start("load.js", &[kind.to_owned()]);
        std::thread::sleep(window);
        let (mut bare, mut flame) = (Bare::default(), Sampling::new(&live));
        let mut windows = Vec::new();
        for round in 0..rounds {
            for turn in 0..WAYS.len() {
                let way = WAYS[(round + turn) % WAYS.len()];
                let from = clock::monotonic_ns();
                let session = |rate_hz, visitor: &mut dyn Visitor| {
                    run(&live, Options { rate_hz, duration: window, ..Options::default() }, visitor);
                };
                match way {
                    Way::Unsampled => std::thread::sleep(window),
                    Way::Bare(rate) => session(rate, &mut bare),
                    Way::Flame(rate) => session(rate, &mut flame),
                }
                windows.push((round, turn, from, clock::monotonic_ns()));
            }
        }
        let progress = Progress::of(&live);
        let mut rates = vec![Vec::new(); WAYS.len()];
        let mut delays = vec![Vec::new(); WAYS.len()];
        for (round, turn, from, to) in windows {
            let way = (round + turn) % WAYS.len();
            if let Some((rate, delay)) = progress.between(from, to) {
                rates[way].push(rate);
                delays[way].push(delay);
            }
        }
        let rates: Vec<f64> = rates.into_iter().map(median).collect();
        let delays: Vec<f64> = delays.into_iter().map(median).collect();
        let loss = |way: usize| format!("{:.1} %", (1.0 - rates[way] / rates[0]) * 100.0);
        let delay = match delays[0] {
            0.0 => "".to_owned(),
            unsampled => format!("{:.2} / {:.2} ms", unsampled / 1e6, delays[4] / 1e6),
        };
        println!("| {kind} | {} | {} | {} | {} | {delay} |", loss(1), loss(2), loss(3), loss(4));
    }
}
