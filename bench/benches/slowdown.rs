//! What sampling costs the target: its throughput unsampled, under the bare sampler, under node-flame and
//! under other profilers, in turns. Says it as a table; `--quick` makes it a short one.

use bench::is_quick;
use bench::live::Live;
use bench::peers::{self, Peer};
use bench::session::{Bare, Sampling, run};
use bench::turns::Turns;
use flame_sys::clock;
use flame_sys::session::{Options, Visitor};
use std::time::Duration;
use tests::native::Folder;
use tests::process::Target;

const KINDS: [&str; 7] = ["numeric", "json", "regexp", "recursion", "garbage", "promises", "http"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Unsampled,
    /// A session on another process, which stands: nothing but its ticks.
    Ticks(u32),
    Bare(u32),
    Flame(u32),
    Perf,
    /// The inspector is connected and does nothing: what its profiler is compared with.
    Connected,
    Inspector,
    CpuProf,
}

const WAYS: [Way; 10] = [
    Way::Unsampled,
    Way::Ticks(997),
    Way::Bare(997),
    Way::Flame(99),
    Way::Flame(250),
    Way::Flame(997),
    Way::Perf,
    Way::Connected,
    Way::Inspector,
    Way::CpuProf,
];

impl Way {
    /// Which of the three targets it is about.
    fn target(self) -> usize {
        match self {
            Way::Connected | Way::Inspector => 1,
            Way::CpuProf => 2,
            _ => 0,
        }
    }

    fn reference(self) -> Way {
        if self == Way::Inspector { Way::Connected } else { Way::Unsampled }
    }

    /// Its number in [`WAYS`].
    fn number(self) -> usize {
        WAYS.iter().position(|way| *way == self).expect("all ways are there")
    }
}

/// The columns of the tables.
const SHOWN: [Way; 8] = [
    Way::Ticks(997),
    Way::Bare(997),
    Way::Flame(99),
    Way::Flame(250),
    Way::Flame(997),
    Way::Perf,
    Way::Inspector,
    Way::CpuProf,
];

const HEADS: &str = "ticks alone, 997 Hz | bare, 997 Hz | node-flame, 99 Hz | 250 Hz | 997 Hz | perf, 997 Hz | \
                     inspector, 1 kHz | `--cpu-prof`, 1 kHz |";

/// The target's lines: time in ns, units of work so far, p99 of its event loop's delay in ns.
struct Progress(Vec<(u64, f64, f64)>);

impl Progress {
    fn of(text: &str) -> Self {
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
        let delay = median(inside.iter().map(|line| line.2).collect())?;
        (last.0 > first.0).then(|| ((last.1 - first.1) / ((last.0 - first.0) as f64 / 1e9), delay))
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// One kind of work, done by three processes, each alone when it is its turn.
struct Stage {
    live: Live,
    inspected: Target,
    by_flag: Target,
    turns: Turns,
    bare: Bare,
    flame: Sampling,
    perf: Option<Peer>,
    inspector: Option<Peer>,
    window: Duration,
}

impl Stage {
    fn of(kind: &str, window: Duration, folder: &Folder) -> Self {
        let kind = [kind.to_owned()];
        let live = Live::start("load.js", &kind);
        let flame = Sampling::new(&live);
        let perf = Peer::perf(live.pid(), folder);
        let inspected = peers::inspectable("load.js", &kind);
        let inspector = Peer::inspector(&inspected);
        let by_flag = peers::by_flag("load.js", &kind, folder);
        let mut turns = Turns::of(&[live.pid(), inspected.pid(), by_flag.pid()]);
        for target in 0..3 {
            turns.give(target);
            std::thread::sleep(window);
        }
        Stage { live, inspected, by_flag, turns, bare: Bare::default(), flame, perf, inspector, window }
    }

    /// Lets the work be done for a while in a way. From when to when; `None` where that way cannot be gone.
    fn go(&mut self, way: Way) -> Option<(u64, u64)> {
        self.turns.give(way.target());
        let options = |rate_hz| Options { rate_hz, duration: self.window, ..Options::default() };
        let session = |pid, rate_hz, visitor: &mut dyn Visitor| {
            let from = clock::monotonic_ns();
            run(pid, options(rate_hz), visitor);
            (from, clock::monotonic_ns())
        };
        let wait = || {
            let from = clock::monotonic_ns();
            std::thread::sleep(self.window);
            (from, clock::monotonic_ns())
        };
        let by = |peer: &mut Option<Peer>| {
            let peer = peer.as_mut()?;
            peer.begin();
            let window = wait();
            peer.end();
            Some(window)
        };
        match way {
            Way::Unsampled | Way::CpuProf => Some(wait()),
            Way::Connected => self.inspector.is_some().then(wait),
            Way::Ticks(rate) => Some(session(self.inspected.pid(), rate, &mut self.bare)),
            Way::Bare(rate) => Some(session(self.live.pid(), rate, &mut self.bare)),
            Way::Flame(rate) => Some(session(self.live.pid(), rate, &mut self.flame)),
            Way::Perf => by(&mut self.perf),
            Way::Inspector => by(&mut self.inspector),
        }
    }

    /// For each way, medians of the work done in a second as a share of that in its reference's turn of the same
    /// round, and of the event loop's delay.
    fn measure(&mut self, rounds: usize) -> [Option<(f64, f64)>; WAYS.len()] {
        let mut windows = vec![[None; WAYS.len()]; rounds];
        for (round, windows) in windows.iter_mut().enumerate() {
            for turn in 0..WAYS.len() {
                let number = (round + turn) % WAYS.len();
                windows[number] = self.go(WAYS[number]);
            }
        }
        let said = [self.live.stdout(), self.inspected.stdout(), self.by_flag.stdout()];
        let progress = said.map(|text| Progress::of(&text));
        let done = |windows: &[Option<(u64, u64)>; WAYS.len()], way: Way| {
            let (from, to) = windows[way.number()]?;
            progress[way.target()].between(from, to)
        };
        WAYS.map(|way| {
            let (shares, delays) = windows
                .iter()
                .filter_map(|windows| {
                    let ((rate, delay), (reference, _)) =
                        (done(windows, way)?, done(windows, way.reference())?);
                    Some((rate / reference, delay))
                })
                .unzip();
            median(shares).zip(median(delays))
        })
    }
}

fn main() {
    let (rounds, window) =
        if is_quick() { (2, Duration::from_millis(80)) } else { (15, Duration::from_millis(600)) };
    println!("### Loss of throughput\n");
    println!(
        "Against the same program unsampled in the same round, median of {rounds} rounds of {window:?} each. Ticks alone: a \
         session on another process, which stands; its timer and what it asks are a floor for all that do as much. The \
         inspector against a process whose inspector is connected and does nothing; `--cpu-prof` against another process.\n"
    );
    println!("| work | {HEADS}");
    println!("{}|", "|---".repeat(1 + SHOWN.len()));
    let folder = Folder::new("peers");
    let mut delays = Vec::new();
    for kind in KINDS {
        let figures = Stage::of(kind, window, &folder).measure(rounds);
        let figure = |way: Way| figures[way.number()];
        let loss = |way: Way| Some(format!("{:.1} %", (1.0 - figure(way)?.0) * 100.0));
        println!("| {kind} | {} |", row(SHOWN.iter().map(|way| loss(*way))));
        let delay = |way: Way| Some(format!("{:.2} ms", figure(way)?.1 / 1e6));
        if figure(Way::Unsampled).is_some_and(|figure| figure.1 > 0.0) {
            let ways = [Way::Unsampled].into_iter().chain(SHOWN);
            delays.push(format!("| {kind} | {} |", row(ways.map(delay))));
        }
    }
    println!("\nDelay of the event loop, p99 of each 10 ms, median:\n");
    println!("| work | unsampled | {HEADS}");
    println!("{}|", "|---".repeat(2 + SHOWN.len()));
    delays.iter().for_each(|row| println!("{row}"));
}

fn row(cells: impl Iterator<Item = Option<String>>) -> String {
    let cells: Vec<String> = cells.map(|cell| cell.unwrap_or_else(|| "not here".into())).collect();
    cells.join(" | ")
}
