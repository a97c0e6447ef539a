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

    /// Whether it is another profiler's, whose loss need not be known as exactly.
    fn is_peer(self) -> bool {
        matches!(self, Way::Perf | Way::Inspector | Way::CpuProf)
    }
}

/// The columns of the tables.
const WAYS: [Way; 10] = [
    Way::Ticks(997),
    Way::Bare(99),
    Way::Flame(99),
    Way::Bare(250),
    Way::Flame(250),
    Way::Bare(997),
    Way::Flame(997),
    Way::Perf,
    Way::Inspector,
    Way::CpuProf,
];

/// Other profilers have a turn in each such round.
const PEER_ROUNDS: usize = 3;

/// From a way's beginning to where the work done under it is counted from: it has its threads and its caches by then.
const SETTLING: Duration = Duration::from_millis(30);

const HEADS: &str = "ticks alone, 997 Hz | bare, 99 Hz | node-flame | bare, 250 Hz | node-flame | bare, 997 Hz | \
                     node-flame | perf, 997 Hz | inspector, 1 kHz | `--cpu-prof`, 1 kHz |";

/// From when to when, in ns.
type Window = (u64, u64);

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

/// What many rounds gave.
#[derive(Clone, Copy)]
struct Figure {
    /// Work done as a share of the reference's: the mean of the middle half.
    share: f64,
    /// Standard error of that, from the quartiles' distance.
    error: f64,
    /// Event loop's delay, in ns.
    delay: f64,
}

impl Figure {
    fn of(mut shares: Vec<f64>, delays: Vec<f64>) -> Option<Self> {
        shares.sort_by(f64::total_cmp);
        let count = shares.len();
        let middle = shares.get(count / 4..count - count / 4).filter(|middle| !middle.is_empty())?;
        let share = middle.iter().sum::<f64>() / middle.len() as f64;
        // Of a normal distribution the quartiles lie 1.35 standard deviations apart, and that mean scatters by 1.09
        // of what the mean of all does.
        let error = (middle[middle.len() - 1] - middle[0]) / 1.35 * 1.09 / (count as f64).sqrt();
        Some(Figure { share, error, delay: median(delays)? })
    }
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

    /// Lets the work be done for a while in a way. From when to when it counts; `None` where that way cannot be gone.
    fn go(&mut self, way: Way) -> Option<Window> {
        self.turns.give(way.target());
        let length = self.window;
        let window = || {
            let from = clock::monotonic_ns() + SETTLING.as_nanos() as u64;
            (from, from + length.as_nanos() as u64)
        };
        let session = |pid, rate_hz, visitor: &mut dyn Visitor| {
            let window = window();
            run(pid, Options { rate_hz, duration: SETTLING + length, ..Options::default() }, visitor);
            window
        };
        let wait = || {
            let window = window();
            std::thread::sleep(SETTLING + length);
            window
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

    /// A way and what it is compared with, one right after the other: what else the machine does changes within a
    /// second. `backwards`: that comes first.
    fn pair(&mut self, way: Way, backwards: bool) -> Option<[Window; 2]> {
        if backwards {
            let reference = self.go(way.reference())?;
            return Some([self.go(way)?, reference]);
        }
        Some([self.go(way)?, self.go(way.reference())?])
    }

    /// What each way gave, and the delay of the event loop unsampled.
    fn measure(&mut self, rounds: usize) -> ([Option<Figure>; WAYS.len()], Option<f64>) {
        let mut pairs = [const { Vec::new() }; WAYS.len()];
        for round in 0..rounds {
            for turn in 0..WAYS.len() {
                let number = (round + turn) % WAYS.len();
                if !WAYS[number].is_peer() || round % PEER_ROUNDS == 0 {
                    pairs[number].extend(self.pair(WAYS[number], round % 2 == 1));
                }
            }
        }
        let said = [self.live.stdout(), self.inspected.stdout(), self.by_flag.stdout()];
        let progress = said.map(|text| Progress::of(&text));
        let done = |way: Way, window: Window| progress[way.target()].between(window.0, window.1);
        let mut unsampled = Vec::new();
        let figures = std::array::from_fn(|number| {
            let way = WAYS[number];
            let mut figures = (Vec::new(), Vec::new());
            for [window, reference] in pairs[number].iter().copied() {
                if let (Some((rate, delay)), Some((reference, calm))) =
                    (done(way, window), done(way.reference(), reference))
                {
                    figures.0.push(rate / reference);
                    figures.1.push(delay);
                    unsampled.extend((way.reference() == Way::Unsampled).then_some(calm));
                }
            }
            Figure::of(figures.0, figures.1)
        });
        (figures, median(unsampled))
    }
}

fn main() {
    let (rounds, window) =
        if is_quick() { (2_usize, Duration::from_millis(60)) } else { (48, Duration::from_millis(150)) };
    println!("### Loss of throughput\n");
    println!(
        "Against the same program unsampled right before or after: the mean of the middle half of {rounds} pairs of \
         {window:?} each (HTTP: three times that), of other profilers of {}, and its standard error. Ticks alone: a \
         session on another process, which stands; its timer and what it asks are a floor for all that do as much. The \
         inspector against a process whose inspector is connected and does nothing; `--cpu-prof` against another process.\n",
        rounds.div_ceil(PEER_ROUNDS)
    );
    println!("| work | {HEADS}");
    println!("{}|", "|---".repeat(1 + WAYS.len()));
    let folder = Folder::new("peers");
    let mut delays = Vec::new();
    let named: Vec<String> = std::env::args().filter(|argument| KINDS.contains(&argument.as_str())).collect();
    for kind in KINDS.into_iter().filter(|kind| named.is_empty() || named.iter().any(|name| name == kind)) {
        // Many small jobs of two processes: their rate scatters as it does at random, so that only time helps.
        let window = if kind == "http" { 3 * window } else { window };
        let (figures, unsampled) = Stage::of(kind, window, &folder).measure(rounds);
        let loss =
            |figure: Figure| format!("{:.1} ±{:.1} %", (1.0 - figure.share) * 100.0, figure.error * 100.0);
        println!("| {kind} | {} |", row(figures.iter().map(|figure| figure.map(loss))));
        if unsampled.is_some_and(|delay| delay > 0.0) {
            let all =
                [unsampled].into_iter().chain(figures.iter().map(|figure| Some(figure.as_ref()?.delay)));
            let cells = all.map(|delay| delay.map(|delay| format!("{:.2} ms", delay / 1e6)));
            delays.push(format!("| {kind} | {} |", row(cells)));
        }
    }
    println!("\nDelay of the event loop, p99 of each 10 ms, median:\n");
    println!("| work | unsampled | {HEADS}");
    println!("{}|", "|---".repeat(2 + WAYS.len()));
    delays.iter().for_each(|row| println!("{row}"));
}

fn row(cells: impl Iterator<Item = Option<String>>) -> String {
    let cells: Vec<String> = cells.map(|cell| cell.unwrap_or_else(|| "not here".into())).collect();
    cells.join(" | ")
}
