//! What a sample costs by the depth of the stack, by the number of threads and by the time that the run has
//! lasted, as a table; `--picture FILE` draws it too.

use bench::is_quick;
use bench::live::Live;
use bench::meter::{Cost, Meter};
use bench::plot::{Axis, Panel, svg};
use bench::session::{Sampling, run};
use flame_sys::session::Options;
use std::time::Duration;

const RATE: u32 = 997;

/// JavaScript frames of the stacks; in a short run every third.
const FRAMES: [usize; 7] = [10, 50, 100, 200, 400, 700, 1000];

/// Threads that are busy at once, with 30 JavaScript frames each; in a short run every third.
const THREADS: [usize; 7] = [1, 2, 4, 8, 16, 32, 64];

/// Parts of a long run.
const PARTS: usize = 10;

fn measured(live: &Live, length: Duration) -> Meter<Sampling> {
    let mut meter = Meter::new(Sampling::new(live));
    run(live.pid(), Options { rate_hz: RATE, duration: length, ..Options::default() }, &mut meter);
    meter
}

/// The cost of what comes once the first third is over, in which tables fill.
fn settled(live: &Live, length: Duration) -> Cost {
    measured(live, length).cost(0.33, 1.0).expect("samples were taken")
}

fn us(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// Costs along one axis.
struct Series {
    title: &'static str,
    axis: Axis,
    values: Vec<f64>,
    costs: Vec<Cost>,
}

impl Series {
    fn rows(&self) {
        for (value, cost) in self.values.iter().zip(&self.costs) {
            println!(
                "| {} | {value} | {:.1} | {:.1} | {:.1} | {:.3} | {} |",
                self.title,
                us(cost.held.quantile(0.5)),
                us(cost.held.quantile(0.99)),
                us(cost.cpu),
                cost.share,
                cost.held.len(),
            );
        }
    }

    fn held(&self) -> Vec<f64> {
        self.costs.iter().map(|cost| us(cost.held.quantile(0.5))).collect()
    }

    fn cpu(&self) -> Vec<f64> {
        self.costs.iter().map(|cost| us(cost.cpu)).collect()
    }

    fn panel(&self) -> Panel {
        let (title, axis, values) = (self.title.to_owned(), self.axis, self.values.clone());
        Panel { title, axis, values, lines: vec![("held, p50", self.held()), ("CPU a sample", self.cpu())] }
    }

    /// What one more unit of the axis adds: the slope of the straight line that fits best.
    fn slope(&self, heights: &[f64]) -> f64 {
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let (x, y) = (mean(&self.values), mean(heights));
        let pairs = self.values.iter().zip(heights);
        let both: f64 = pairs.map(|(value, height)| (value - x) * (height - y)).sum();
        both / self.values.iter().map(|value| (value - x).powi(2)).sum::<f64>()
    }
}

/// One measurement for each of `values`, of the program that `live` starts.
fn series(
    title: &'static str,
    axis: Axis,
    values: &[usize],
    length: Duration,
    live: impl Fn(usize) -> Live,
) -> Series {
    let values: Vec<usize> = values.iter().copied().step_by(if is_quick() { 3 } else { 1 }).collect();
    Series {
        title,
        axis,
        values: values.iter().map(|value| *value as f64).collect(),
        costs: values.iter().map(|value| settled(&live(*value), length)).collect(),
    }
}

fn by_frames(length: Duration) -> Series {
    let live = |frames: usize| Live::start("deep.js", &[frames.to_string()]);
    series("JavaScript frames", Axis::Linear, &FRAMES, length, live)
}

fn by_threads(length: Duration) -> Series {
    let live = |threads: usize| Live::start("workers.js", &[threads.to_string(), "30".to_owned()]);
    series("busy threads", Axis::Even, &THREADS, length, live)
}

fn by_time(length: Duration) -> Series {
    let meter = measured(&Live::start("load.js", &["json".to_owned()]), length);
    let share = |part: usize| part as f64 / PARTS as f64;
    let parts = 0..PARTS;
    Series {
        title: "seconds of running",
        axis: Axis::Linear,
        values: parts
            .clone()
            .map(|part| (share(part + 1) * length.as_secs_f64() * 10.0).round() / 10.0)
            .collect(),
        costs: parts.filter_map(|part| meter.cost(share(part), share(part + 1))).collect(),
    }
}

fn main() {
    let (length, long) = if is_quick() {
        (Duration::from_millis(500), Duration::from_secs(2))
    } else {
        (Duration::from_secs(6), Duration::from_secs(300))
    };
    println!("### Cost of a sample\n");
    println!(
        "{RATE} Hz. Held: from when the registers are known to when the thread runs again, in µs. CPU: of the \
         sampling thread for each sample, in µs, all between samples included. {length:?} for each row; the time \
         is that of one run of {long:?} over JSON work, by its tenths.\n"
    );
    println!("| what | | held, p50 | held, p99 | CPU | share of a CPU | samples |");
    println!("|---|---|---|---|---|---|---|");
    let all = [by_frames(length), by_threads(length), by_time(long)];
    all.iter().for_each(Series::rows);
    let [frames, threads, time] = &all;
    let growth = |figures: &[f64]| figures[figures.len() - 1] / figures[0];
    println!(
        "\nEach further frame adds {:.0} ns to the stop and {:.0} ns of CPU. With 64 threads a sample takes {:.2} \
         times the CPU that it takes with one. The last tenth of the long run against its first: held {:.2}, CPU \
         {:.2}.",
        frames.slope(&frames.held()) * 1e3,
        frames.slope(&frames.cpu()) * 1e3,
        growth(&threads.cpu()),
        growth(&time.held()),
        growth(&time.cpu()),
    );
    let mut arguments = std::env::args().skip_while(|argument| argument != "--picture").skip(1);
    if let Some(file) = arguments.next() {
        let panels: Vec<Panel> = all.iter().map(Series::panel).collect();
        std::fs::write(&file, svg(&panels, "µs")).unwrap_or_else(|error| panic!("{file}: {error}"));
    }
}
