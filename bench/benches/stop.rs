//! The cost of one stop: unwinding and naming a recorded stack, and a whole stop of a live process
//! beside one of the bare sampler.

use bench::live::{Live, OTHER_THREAD, THREAD};
use bench::pair::Pair;
use bench::recording::{APART_US, Recording, WARM};
use bench::stop::{Took, Tracer};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use flame_core::sample::sampler::Sampler;
use std::cell::Cell;
use std::time::Duration;

/// JavaScript frames of the stacks; Node's start and native code come on top.
const FRAMES: [usize; 4] = [10, 30, 200, 1000];

/// Between two stops, so that the thread runs as it does between samples.
const BETWEEN: Duration = Duration::from_micros(300);

fn deep(frames: usize) -> Live {
    Live::start("deep.js", &[frames.to_string()])
}

fn recorded(c: &mut Criterion) {
    let mut group = c.benchmark_group("recorded stack");
    for frames in FRAMES {
        let live = deep(frames);
        let recording = Recording::of(&live);
        // It would only take CPU time from what is measured.
        let seen = live.end();
        let Recording { registers, memory, .. } = &recording;
        let mut sampler = seen.sampler();
        let at_us = Cell::new(0);
        let stop = |sampler: &mut Sampler<'static>, thread| {
            sampler.held(thread, registers, memory);
            at_us.set(at_us.get() + APART_US);
            sampler.released(thread, at_us.get(), memory);
        };
        (0..WARM).for_each(|_| stop(&mut sampler, THREAD));
        assert_eq!(sampler.last(), recording.frames, "the recording shows what the process did");
        let label = format!("{frames} ({} in all)", recording.frames.len());
        group.throughput(Throughput::Elements(recording.frames.len() as u64));
        group.bench_function(BenchmarkId::new("held, as it stood", &label), |b| {
            b.iter(|| sampler.held(THREAD, registers, memory));
        });
        group.bench_function(BenchmarkId::new("held and released, as it stood", &label), |b| {
            b.iter(|| stop(&mut sampler, THREAD));
        });
        (0..WARM).for_each(|_| stop(&mut sampler, OTHER_THREAD));
        group.bench_function(BenchmarkId::new("held, all changed", &label), |b| {
            b.iter(|| sampler.held(THREAD, registers, memory));
        });
        group.bench_function(BenchmarkId::new("held and released, all changed", &label), |b| {
            let mut turn = [THREAD, OTHER_THREAD].into_iter().cycle();
            b.iter(|| stop(&mut sampler, turn.next().unwrap_or(THREAD)));
        });
        group.bench_function(BenchmarkId::new("held, nothing known", &label), |b| {
            let held = |mut sampler: Sampler<'static>| {
                sampler.held(THREAD, registers, memory);
                sampler
            };
            b.iter_batched(|| seen.sampler(), held, BatchSize::PerIteration);
        });
    }
    group.finish();
}

fn live(c: &mut Criterion) {
    let mut group = c.benchmark_group("live stop");
    let mut table = Vec::new();
    for frames in FRAMES {
        let live = deep(frames);
        let memory = live.memory();
        let tracer = Tracer::new(live.pid());
        let mut sampler = live.sampler();
        let (mut whole, mut held) = (Pair::default(), Pair::default());
        let mut calls = Vec::new();
        // A round stops the thread both ways, one after the other.
        let mut round = |whole: &mut Pair, held: &mut Pair| -> (Took, Took) {
            std::thread::sleep(BETWEEN);
            let bare = tracer.bare(&memory);
            std::thread::sleep(BETWEEN);
            let before = memory.calls();
            let flame = tracer.stop(|registers| {
                sampler.held(THREAD, registers, &memory);
            });
            calls.push(memory.calls() - before);
            sampler.released(THREAD, calls.len() as u64 * APART_US, &memory);
            whole.reference.push(bare.whole);
            whole.subject.push(flame.whole);
            held.reference.push(bare.held);
            held.subject.push(flame.held);
            (bare, flame)
        };
        for _ in 0..WARM {
            round(&mut Pair::default(), &mut Pair::default());
        }
        group.bench_function(BenchmarkId::new("bare", frames), |b| {
            b.iter_custom(|rounds| (0..rounds).map(|_| round(&mut whole, &mut held).0.whole).sum());
        });
        group.bench_function(BenchmarkId::new("node-flame", frames), |b| {
            b.iter_custom(|rounds| (0..rounds).map(|_| round(&mut whole, &mut held).1.whole).sum());
        });
        calls.sort_unstable();
        let median = calls[calls.len() / 2];
        println!("{frames} frames, whole stop: {whole}\n{frames} frames, held: {held}\n");
        table.push(format!(
            "| {frames} ({} in all) | {:.2} | {} | {:.2} | {} | {median} |",
            sampler.last().len(),
            whole.ratio(),
            whole.medians(),
            held.ratio(),
            held.medians(),
        ));
    }
    group.finish();
    println!("### One stop\n\nOf a live process, in turns with one of the bare sampler; medians.\n");
    println!(
        "| JavaScript frames | whole stop, ratio | node-flame / bare | held, ratio | node-flame / bare | reads |"
    );
    println!("|---|---|---|---|---|---|");
    table.iter().for_each(|row| println!("{row}"));
}

fn main() {
    let (warm_up, measurement) = bench::times(Duration::from_millis(500), Duration::from_secs(2));
    let mut criterion =
        Criterion::default().warm_up_time(warm_up).measurement_time(measurement).configure_from_args();
    recorded(&mut criterion);
    live(&mut criterion);
    criterion.final_summary();
}
