//! The time that each format takes, by the size of the call tree; the plainest of them, `folded`, in turns
//! with it.

#[allow(dead_code, reason = "the tests of `render` use more of it")]
#[path = "../../render/src/fixture.rs"]
mod fixture;
#[path = "../../render/examples/fixtures/wide.rs"]
mod wide;

use bench::is_quick;
use bench::pair::Pair;
use criterion::{BenchmarkId, Criterion, Throughput};
use flame_core::profile::Profile;
use flame_render::{Format, View};
use std::io::{self, Write};
use std::time::{Duration, Instant};

/// Nodes of the call trees.
const NODES: [usize; 3] = [1_000, 20_000, 200_000];

/// Larger ones take criterion seconds each: a quick run takes two turns.
const SLOW: usize = 10_000;

/// Takes bytes and counts them.
struct Counter(u64);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How long it takes to write a profile, and how many bytes that are.
fn written(profile: &Profile, format: Format) -> (Duration, u64) {
    let start = Instant::now();
    let mut counter = Counter(0);
    let mut out = io::BufWriter::with_capacity(1 << 16, &mut counter);
    let outcome = flame_render::write(format, profile, &View::default(), &mut out).and_then(|()| out.flush());
    outcome.expect("counting does not fail");
    drop(out);
    (start.elapsed(), counter.0)
}

fn formats(c: &mut Criterion) {
    let mut table = Vec::new();
    for nodes in NODES {
        let profile = wide::wide(nodes);
        let nodes = profile.tree().len();
        let mut group = c.benchmark_group(format!("render {nodes} nodes"));
        group.sample_size(10).throughput(Throughput::Elements(nodes as u64));
        for format in Format::ALL {
            let (_, bytes) = written(&profile, format);
            let mut pair = Pair::default();
            let mut turn = || {
                pair.reference.push(written(&profile, Format::Folded).0);
                let time = written(&profile, format).0;
                pair.subject.push(time);
                time
            };
            if is_quick() && nodes > SLOW {
                turn();
                turn();
            } else {
                group.bench_function(BenchmarkId::from_parameter(format), |b| {
                    b.iter_custom(|rounds| (0..rounds).map(|_| turn()).sum());
                });
            }
            let time = pair.subject.quantile(0.5).as_secs_f64();
            table.push(format!(
                "| {nodes} | {format} | {:.1} ms | {:.0} ns | {:.2} | {bytes} |",
                time * 1e3,
                time * 1e9 / nodes as f64,
                pair.ratio(),
            ));
        }
        group.finish();
    }
    println!("### Formats\n");
    println!("From a finished profile to the last byte; medians, `folded` in turns with each.\n");
    println!("| nodes | format | time | a node | against folded | bytes |");
    println!("|---|---|---|---|---|---|");
    table.iter().for_each(|row| println!("{row}"));
}

fn main() {
    let (warm_up, measurement) = bench::times(Duration::from_millis(200), Duration::from_millis(1500));
    let mut criterion =
        Criterion::default().warm_up_time(warm_up).measurement_time(measurement).configure_from_args();
    formats(&mut criterion);
    criterion.final_summary();
}
