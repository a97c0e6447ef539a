//! What is looked up in files: names for the addresses of a profile, V8's symbols, the callers of native
//! frames. Each in turns with another way to the same answer.

use bench::live::Live;
use bench::native::NativeStack;
use bench::pair::Pair;
use bench::recording::Recording;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion};
use flame_core::elf::{Elf, Symbol, SymbolKind};
use flame_core::symbols::Lookup;
use flame_core::unwind::Unwinder;
use std::collections::BTreeSet;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Addresses to be named: those of a small profile, of a large one, and more than any has had.
const ADDRESSES: [usize; 3] = [100, 1_000, 10_000];

/// Of V8's some hundred symbols with layouts, these many are looked up.
const SYMBOLS: usize = 32;

/// Repetitions of what takes less than a clock can tell.
const TIMES: usize = 100;

/// Times two ways in turns, each `times` in a row.
fn in_turns<A, B>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    times: usize,
    mut reference: impl FnMut() -> A,
    mut subject: impl FnMut() -> B,
) -> Pair {
    let mut pair = Pair::default();
    group.bench_function(name, |b| {
        b.iter_custom(|rounds| {
            let mut round = || {
                pair.reference.push(timed(times, &mut reference));
                let time = timed(times, &mut subject);
                pair.subject.push(time);
                time
            };
            (0..rounds).map(|_| round()).sum()
        });
    });
    pair
}

fn timed<T>(times: usize, work: &mut impl FnMut() -> T) -> Duration {
    let begin = Instant::now();
    (0..times).for_each(|_| {
        black_box(work());
    });
    begin.elapsed()
}

/// A row of the table: medians for one of `units`.
fn row(what: &str, reference: &str, pair: &Pair, units: usize) -> String {
    let show = |time: Duration| match time.as_secs_f64() / units as f64 {
        time if time >= 1e-3 => format!("{:.1} ms", time * 1e3),
        time if time >= 1e-6 => format!("{:.1} µs", time * 1e6),
        time => format!("{:.0} ns", time * 1e9),
    };
    let [subject, other] = [&pair.subject, &pair.reference].map(|times| show(times.quantile(0.5)));
    format!("| {what} | {subject} | {reference} | {other} | {:.3} |", pair.ratio())
}

fn functions(elf: &Elf<'static>) -> impl Iterator<Item = Symbol<'static>> {
    let all = elf.symtab_symbols().iter().chain(elf.dynamic_symbols().iter());
    all.filter(|symbol| symbol.kind == SymbolKind::Function && symbol.is_defined() && symbol.size > 0)
}

/// Addresses inside of functions from all over a file, ascending.
fn addresses(elf: &Elf<'static>, wanted: usize) -> Vec<u64> {
    let all: Vec<Symbol<'_>> = functions(elf).collect();
    let mut chosen = BTreeSet::new();
    let mut state = 1_u64;
    while chosen.len() < wanted.min(all.len() / 2) {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let symbol = all[(state >> 33) as usize % all.len()];
        chosen.insert(symbol.value + symbol.size / 2);
    }
    chosen.into_iter().collect()
}

/// The usual way: a sorted table of all functions, in which each address is searched for.
fn by_table(elf: &Elf<'static>, addresses: &[u64]) -> Vec<Option<&'static [u8]>> {
    let mut table: Vec<Symbol<'_>> = functions(elf).collect();
    table.sort_unstable_by_key(|symbol| symbol.value);
    let name = |address: &u64| {
        let after = table.partition_point(|symbol| symbol.value <= *address);
        let symbol = table.get(after.checked_sub(1)?)?;
        (*address - symbol.value < symbol.size).then(|| symbol.name())
    };
    addresses.iter().map(name).collect()
}

fn by_pass(elf: &Elf<'static>, addresses: &[u64]) -> Vec<Option<&'static [u8]>> {
    let mut lookup = Lookup::new(addresses);
    lookup.pass(elf);
    lookup.finish().into_iter().map(|found| found.map(|found| found.name)).collect()
}

fn symbols(c: &mut Criterion, elf: &Elf<'static>, table: &mut Vec<String>) {
    let mut group = c.benchmark_group("symbols");
    group.sample_size(10);
    for wanted in ADDRESSES {
        let addresses = addresses(elf, wanted);
        let named = |names: Vec<Option<&[u8]>>| names.into_iter().flatten().count();
        assert_eq!(named(by_pass(elf, &addresses)), addresses.len(), "all addresses have names");
        let name = format!("{} addresses", addresses.len());
        let pair = in_turns(&mut group, &name, 1, || by_table(elf, &addresses), || by_pass(elf, &addresses));
        let what = format!("names of {name}, one pass over the symbols");
        table.push(row(&what, "sorted table of all", &pair, 1));
    }
    group.finish();
}

fn elf(c: &mut Criterion, elf: &Elf<'static>, table: &mut Vec<String>) {
    let mut group = c.benchmark_group("elf");
    group.sample_size(10);
    let mut names: Vec<&[u8]> = Vec::new();
    elf.for_each_variable_with_prefix(b"v8dbg_", |symbol| names.push(symbol.name()));
    let names: Vec<&[u8]> =
        names.iter().copied().step_by((names.len() / SYMBOLS).max(1)).take(SYMBOLS).collect();
    let all = elf.dynamic_symbols();
    let by_scan = || {
        let find = |name: &&[u8]| all.iter().find(|symbol| symbol.is_defined() && symbol.is_named(name));
        names.iter().filter_map(find).map(|symbol| symbol.value).sum::<u64>()
    };
    let by_hash = || names.iter().filter_map(|name| elf.symbol(name)).map(|symbol| symbol.value).sum::<u64>();
    assert_eq!(by_scan(), by_hash(), "both ways find the same");
    let pair = in_turns(&mut group, "symbols by name", 1, by_scan, by_hash);
    table.push(row("a `v8dbg_` symbol by `.gnu.hash`", "scan of `.dynsym`", &pair, names.len()));
    let parse = || Elf::parse(elf.data()).map(|elf| elf.symbol(b"v8dbg_SmiTag").map(|symbol| symbol.value));
    let sum = || elf.data().iter().step_by(4096).fold(0_u64, |sum, byte| sum + u64::from(*byte));
    let pair = in_turns(&mut group, "parse", 1, sum, parse);
    table.push(row("the file opened, and one symbol", "a look at each of its pages", &pair, 1));
    group.finish();
}

fn unwinding(c: &mut Criterion, live: &Live, table: &mut Vec<String>) {
    let mut group = c.benchmark_group("unwinding");
    let stack = NativeStack::of(live, Recording::of(live));
    let mut unwinder = Unwinder::default();
    let by_frame_pointer = || stack.step_by_frame_pointer();
    assert!(stack.len() > 3, "{} native frames", stack.len());
    assert_eq!(stack.step_by_cfi(&mut unwinder), by_frame_pointer(), "both ways lead to one place");
    let warm =
        in_turns(&mut group, "known pcs", TIMES, by_frame_pointer, || stack.step_by_cfi(&mut unwinder));
    let steps = stack.len() * TIMES;
    table.push(row("a step by CFI, pc met before", "frame pointer", &warm, steps));
    // An unwinder's table is made anew outside of the time that is taken.
    let mut fresh: Vec<Unwinder> = Vec::new();
    let mut cold = Pair::default();
    group.bench_function("new pcs", |b| {
        b.iter_custom(|rounds| {
            let mut sum = Duration::ZERO;
            for _ in 0..rounds {
                fresh.push(Unwinder::default());
                cold.reference.push(timed(1, &mut || stack.step_by_frame_pointer()));
                let time = timed(1, &mut || fresh.last_mut().map(|unwinder| stack.step_by_cfi(unwinder)));
                fresh.clear();
                cold.subject.push(time);
                sum += time;
            }
            sum
        });
    });
    table.push(row("a step by CFI, pc not met before", "frame pointer", &cold, stack.len()));
    group.finish();
}

fn main() {
    let (warm_up, measurement) = bench::times(Duration::from_millis(200), Duration::from_millis(1500));
    let mut criterion =
        Criterion::default().warm_up_time(warm_up).measurement_time(measurement).configure_from_args();
    let live = Live::start("deep.js", &["10".to_owned()]);
    let file = live.v8();
    let mut table = Vec::new();
    unwinding(&mut criterion, &live, &mut table);
    // It would only take CPU time from what is measured.
    live.end();
    symbols(&mut criterion, &file, &mut table);
    elf(&mut criterion, &file, &mut table);
    criterion.final_summary();
    println!("### Look-ups\n");
    println!("In Node {}'s executable; medians, each in turns with its reference.\n", bench::live::NODE);
    println!("| what | time | reference | its time | ratio |");
    println!("|---|---|---|---|---|");
    table.iter().for_each(|row| println!("{row}"));
}
