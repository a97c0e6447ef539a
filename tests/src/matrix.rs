//! node-flame held against workloads: many Node versions and tiers, each cell a target of its own.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
    process::Command,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use crate::{
    binary::node_flame,
    process::{Ended, Target, command, run},
    stacks::{self, Frame, Stack},
    tiers::Tier,
    verdict::{Lines, Tally, percent},
    version::Version,
    workload::{self, Workload},
};

/// Least share of frames that called another with a right line, in percent.
pub const CALLERS: f64 = 98.0;

/// Least share of innermost frames with a right line, in percent: where code has positions of calls and loops
/// alone, what runs between two of them is at the one before.
pub const LEAVES: f64 = 95.0;

/// Least share of samples whose stack is whole, in percent, where that is asked for.
pub const WHOLE: f64 = 98.0;

/// Least share of samples with an inlined function, in percent, where that is asked for: V8 has inlined.
pub const INLINED: f64 = 30.0;

/// One target: which Node runs what, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The Node version.
    pub version: Version,
    /// The workload's file name.
    pub workload: String,
    /// What V8 is forced to.
    pub tier: Tier,
}

/// How a cell is measured.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Sampling time, in seconds; again and again, five times at most, until there are `least` samples.
    pub seconds: f64,
    /// Samples with the workload's file that are enough.
    pub least: u64,
    /// Samples a second.
    pub rate: u32,
    /// Time for V8 to optimize, between the target's READY and the first sample, in seconds.
    pub warm_up: f64,
    /// Whether labels name executing lines (`--lines`).
    pub lines: bool,
    /// Whether stacks have to reach from their leaf to the process' start.
    pub whole: bool,
    /// Whether there have to be inlined functions.
    pub inlined: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { seconds: 0.7, least: 250, rate: 500, warm_up: 0.3, lines: false, whole: false, inlined: false }
    }
}

/// What a cell came to.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The samples' verdict. With `lines`, stacks are not judged: all of them are wrong here.
    pub tally: Tally,
    /// The lines' verdict, with `lines`.
    pub lines: Option<Lines>,
    /// The share of samples with a whole stack, in percent, with `whole`.
    pub whole: Option<f64>,
    /// The most frequent stacks that are not whole.
    pub cut: String,
    /// The share of samples with an inlined function, in percent, with `inlined`.
    pub inlined: Option<f64>,
    /// What node-flame reported.
    pub report: String,
}

/// A cell and its outcome, or why there is none.
pub type Measured = (Cell, Result<Outcome, String>);

/// Every cell of these versions, workloads (all if empty) and tiers that exists.
///
/// # Errors
/// A workload whose statement cannot be read.
pub fn cells(versions: &[Version], workloads: &[&str], tiers: &[Tier]) -> Result<Vec<Cell>, String> {
    let all = workload::names();
    let names: Vec<&str> =
        if workloads.is_empty() { all.iter().map(String::as_str).collect() } else { workloads.to_vec() };
    let mut cells = Vec::new();
    for &version in versions {
        for &name in &names {
            if !Workload::load(name, version)?.versions.contains(version) {
                continue;
            }
            let existing = tiers.iter().filter(|tier| tier.flags(version).is_some());
            cells.extend(existing.map(|&tier| Cell { version, workload: name.to_owned(), tier }));
        }
    }
    Ok(cells)
}

/// Runs one cell and judges its stacks.
///
/// # Errors
/// Why there is no profile: what the target or node-flame said instead.
///
/// # Panics
/// When the Node build is missing from the cache.
pub fn measure(cell: &Cell, options: Options) -> Result<Outcome, String> {
    let workload = Workload::load(&cell.workload, cell.version)?;
    let (mut stacks, report) = sample(cell, &workload, options)?;
    let share = |is: &dyn Fn(&Stack) -> bool| {
        let (mut of, mut all) = (0, 0);
        for stack in &stacks {
            all += stack.count;
            of += if is(stack) { stack.count } else { 0 };
        }
        percent(of, all)
    };
    let inlined = |stack: &Stack| stack.frames.iter().any(|label| label.ends_with("_[i]"));
    let inlined = options.inlined.then(|| share(&inlined));
    let whole = options.whole.then(|| share(&is_whole));
    let mut cut: Vec<&Stack> = stacks.iter().filter(|stack| options.whole && !is_whole(stack)).collect();
    cut.sort_by_key(|stack| u64::MAX - stack.count);
    let cut = cut.iter().take(4).map(|stack| format!("{:6}  {}\n", stack.count, stack.frames.join(" > ")));
    let cut = cut.collect();
    for label in stacks.iter_mut().flat_map(|stack| &mut stack.frames) {
        label.truncate(unmarked(label).len());
    }
    Ok(Outcome {
        tally: Tally::of_stacks(&workload, &stacks),
        lines: options.lines.then(|| Lines::of_stacks(&workload, &stacks)),
        whole,
        cut,
        inlined,
        report,
    })
}

/// Whether a main thread's stack has all of its native frames, by unwind information alone: the process' start,
/// the C library's, Node's own, and nothing left out below them.
fn is_whole(stack: &Stack) -> bool {
    let is_hole = |label: &String| label == "[frames elided]" || label == "[unknown]";
    let has = |name: &str| stack.frames.iter().any(|label| label.starts_with(name));
    stack.frames.first().is_some_and(|label| label == "_start:[native]")
        && has("__libc_start")
        && has("node::Start:")
        && !stack.frames.iter().any(is_hole)
}

/// A label without the mark of its kind (`--annotate`).
fn unmarked(label: &str) -> &str {
    ["_[j]", "_[i]", "_[k]", "_[w]"].iter().find_map(|mark| label.strip_suffix(mark)).unwrap_or(label)
}

/// Runs one cell; gives the sampled stacks and what node-flame reported.
///
/// # Errors
/// Why there is no profile: what the target or node-flame said instead.
///
/// # Panics
/// When the Node build is missing from the cache.
pub fn sample(cell: &Cell, workload: &Workload, options: Options) -> Result<(Vec<Stack>, String), String> {
    sample_target(&mut Target::start(cell.version, cell.tier, &workload.path)?, workload, options)
}

/// Samples a target that runs a workload; gives the stacks and what node-flame reported.
///
/// # Errors
/// Why there is no profile: what the target or node-flame said instead.
pub fn sample_target(
    target: &mut Target,
    workload: &Workload,
    options: Options,
) -> Result<(Vec<Stack>, String), String> {
    let pid = target.pid().to_string();
    let sampled = sample_by(workload, options, || command(node_flame(), &[&pid]))?;
    if target.alive() { Ok(sampled) } else { Err(format!("the target ended\n{}", sampled.1.trim_end())) }
}

/// Samples a process that runs a workload, by commands that end in node-flame and the process' id.
///
/// # Errors
/// Why there is no profile: what node-flame said instead.
pub fn sample_by(
    workload: &Workload,
    options: Options,
    profiler: impl Fn() -> Command,
) -> Result<(Vec<Stack>, String), String> {
    thread::sleep(Duration::from_secs_f64(options.warm_up));
    let scripts = workload.scripts();
    let own = |stack: &Stack| stack.frames.iter().any(|l| Frame::in_scripts(unmarked(l), &scripts).is_some());
    let (mut stacks, mut report, mut samples) = (Vec::new(), String::new(), 0);
    // A busy machine gives a target, and so its profile, little time.
    for _ in 0..5 {
        let ended = profile(profiler(), options);
        if !ended.ok() {
            let how = if ended.overran { "did not end in time".into() } else { ended.status.to_string() };
            return Err(format!("node-flame: {how}\n{}", ended.stderr.trim_end()));
        }
        let more = stacks::folded(&ended.stdout)?;
        samples += more.iter().filter(|s| own(s)).map(|s| s.count).sum::<u64>();
        stacks.extend(more);
        report += &ended.stderr;
        if samples >= options.least {
            break;
        }
    }
    Ok((stacks, report))
}

fn profile(mut profiler: Command, options: Options) -> Ended {
    profiler.args(["folded", &options.seconds.to_string(), "--rate", &options.rate.to_string()]);
    // The matrix asks what the stacks say; how long the target may be held is other tests' matter.
    profiler.args(["--max-pause", "50"]);
    if options.lines {
        profiler.arg("--lines");
    }
    if options.inlined {
        profiler.arg("--annotate");
    }
    run(&mut profiler, Duration::from_secs_f64(options.seconds + 30.0))
}

/// Runs all cells, `at_once` at a time, and hands each to `done` as it ends; in the end, all in order.
pub fn measure_all(
    cells: Vec<Cell>,
    options: Options,
    at_once: usize,
    done: impl Fn(&Cell, &Result<Outcome, String>) + Sync,
) -> Vec<Measured> {
    let measured = in_parallel(&cells, at_once, |cell| {
        let outcome = measure(cell, options);
        done(cell, &outcome);
        outcome
    });
    cells.into_iter().zip(measured).collect()
}

/// Does something that profiles with each of `items`, `at_once` at a time; the results come in order.
pub fn in_parallel<T: Sync, R: Send>(items: &[T], at_once: usize, each: impl Fn(&T) -> R + Sync) -> Vec<R> {
    // Built before the clock matters.
    node_flame();
    let next = AtomicUsize::new(0);
    let results: Vec<Mutex<Option<R>>> = items.iter().map(|_| Mutex::default()).collect();
    thread::scope(|scope| {
        for _ in 0..at_once.max(1) {
            scope.spawn(|| {
                while let Some((item, result)) = {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    items.get(i).zip(results.get(i))
                } {
                    let done = each(item);
                    *result.lock().unwrap_or_else(PoisonError::into_inner) = Some(done);
                }
            });
        }
    });
    // A thread that panicked has ended the scope by its panic.
    results.into_iter().filter_map(|r| r.into_inner().unwrap_or_else(PoisonError::into_inner)).collect()
}

/// Measures anew, one at a time and with many more samples, the cells that missed the bar: among hundreds of
/// cells of a few hundred samples, some miss it by chance.
pub fn look_again(measured: &mut [Measured], options: Options, bar: f64) {
    let closer = Options { seconds: options.seconds * 3.0, least: options.least * 6, ..options };
    for (cell, result) in measured {
        if !result.as_ref().is_ok_and(|outcome| holds(outcome, bar, options.least)) {
            *result = measure(cell, closer);
        }
    }
}

/// Keeps timing-sensitive tests of one process apart: held while targets run.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Prints what a passing test has to tell too: the test harness does not hold this back.
pub fn tell(text: &str) {
    // Where stderr is gone, nobody listens.
    let _ = writeln!(io::stderr(), "{}", text.trim_end());
}

/// The share of exact samples of every cell, in percent: a row for each version and tier, a column for each
/// workload.
pub fn table(measured: &[Measured]) -> String {
    let mut columns: Vec<&str> = Vec::new();
    let mut rows: Vec<(Version, Tier)> = Vec::new();
    for (cell, _) in measured {
        if !columns.contains(&cell.workload.as_str()) {
            columns.push(&cell.workload);
        }
        if !rows.contains(&(cell.version, cell.tier)) {
            rows.push((cell.version, cell.tier));
        }
    }
    let mut text = String::from("exact %                  ");
    for column in &columns {
        let name = column.split('.').next().unwrap_or(column);
        let _ = write!(text, " {name:>10}");
    }
    text.push('\n');
    for (version, tier) in rows {
        let _ = write!(text, "{:9} {tier:15}", version.to_string());
        for column in &columns {
            let here = |c: &&Measured| c.0.version == version && c.0.tier == tier && c.0.workload == *column;
            let value = match measured.iter().find(here) {
                None => String::from("-"),
                Some((_, Err(_))) => "error".into(),
                Some((_, Ok(outcome))) => figure(outcome.tally.percent()),
            };
            let _ = write!(text, " {value:>10}");
        }
        text.push('\n');
    }
    text
}

/// A percentage that says 100 only of the whole.
pub fn figure(percent: f64) -> String {
    if percent >= 100.0 { "100".into() } else { format!("{:.1}", (percent * 10.0).floor() / 10.0) }
}

/// The cells that miss the bar, each with what went wrong; empty if all is well.
pub fn failures(measured: &[Measured], bar: f64, least_samples: u64) -> String {
    let mut text = String::new();
    for (cell, result) in measured {
        let head = format!("{} {} {}", cell.version, cell.tier, cell.workload);
        match result {
            Err(message) => {
                let _ = writeln!(text, "{head}: {message}");
            }
            Ok(outcome) if holds(outcome, bar, least_samples) => {}
            Ok(outcome) => {
                let tally = &outcome.tally;
                let (what, worst) = match &outcome.lines {
                    None => {
                        let (others, missed) = (tally.others, &tally.roots_missed);
                        (
                            format!("{} ({others} others; none from {missed:?})", verdict(outcome)),
                            tally.worst(8),
                        )
                    }
                    Some(lines) => {
                        (format!("{}, {} unknown", verdict(outcome), lines.unknown), lines.worst(8))
                    }
                };
                let few = tally.samples < least_samples;
                let report = if few { outcome.report.as_str() } else { "" };
                let _ = writeln!(text, "{head}: {what}\n{worst}{}{report}", outcome.cut);
            }
        }
    }
    text
}

/// Whether a cell keeps its bars, with enough samples: `bar` for the share of exact ones.
pub fn holds(outcome: &Outcome, bar: f64, least_samples: u64) -> bool {
    let exact = match &outcome.lines {
        None => {
            outcome.tally.percent() >= bar
                && outcome.tally.samples >= least_samples
                && !outcome.tally.misses_a_root()
        }
        Some(lines) => {
            percent(lines.callers_right, lines.callers) >= CALLERS
                && percent(lines.leaves_right, lines.leaves) >= LEAVES
                && lines.leaves >= least_samples
                && lines.unknown * 20 <= lines.leaves
        }
    };
    let keeps = |share: Option<f64>, least: f64| share.is_none_or(|share| share >= least);
    exact && keeps(outcome.whole, WHOLE) && keeps(outcome.inlined, INLINED)
}

/// A cell and what it came to, in a line. `lines`: executing lines were asked for.
pub fn row(cell: &Cell, result: &Result<Outcome, String>, lines: bool) -> String {
    let text = match result {
        Ok(outcome) => verdict(outcome),
        Err(message) => {
            let kind = if lines { "lines " } else { "" };
            format!("{kind}error: {}", message.lines().next().unwrap_or_default())
        }
    };
    format!("{:9} {:15} {:15} {text}", cell.version.to_string(), cell.tier, cell.workload)
}

/// What a cell came to.
fn verdict(outcome: &Outcome) -> String {
    let mut text = match &outcome.lines {
        None => format!("{:6.2} % of {:5}", outcome.tally.percent(), outcome.tally.samples),
        Some(lines) => format!(
            "lines {:6.2} % of callers', {:6.2} % of {} leaves'",
            percent(lines.callers_right, lines.callers),
            percent(lines.leaves_right, lines.leaves),
            lines.leaves
        ),
    };
    for (share, what) in [(outcome.whole, "whole"), (outcome.inlined, "with inlined functions")] {
        if let Some(share) = share {
            let _ = write!(text, ", {share:.2} % {what}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(tier: Tier) -> Cell {
        Cell { version: Version::new(22, 23, 3), workload: "nested.js".into(), tier }
    }

    fn outcome(samples: u64, exact: u64) -> Result<Outcome, String> {
        Ok(Outcome { tally: Tally { samples, exact, ..Tally::default() }, ..Outcome::default() })
    }

    #[test]
    fn only_the_tiers_that_exist_make_cells() {
        let versions = [Version::new(14, 21, 3), Version::new(26, 10, 0)];
        let cells = cells(&versions, &["nested.js", "private.js"], &Tier::ALL).unwrap();
        let of = |major| cells.iter().filter(move |c| c.version.major == major);
        assert_eq!((of(14).count(), of(26).count()), (4, 12));
        assert!(of(14).all(|c| c.workload == "nested.js"));
    }

    #[test]
    fn a_cell_fails_by_share_by_too_few_samples_and_by_error() {
        let measured = vec![
            (cell(Tier::Default), outcome(1000, 990)),
            (cell(Tier::NotInlined), outcome(1000, 989)),
            (cell(Tier::Sparkplug), outcome(9, 9)),
            (cell(Tier::Maglev), Err("gone".into())),
        ];
        let text = failures(&measured, 99.0, 10);
        let heads: Vec<&str> = text.lines().filter(|l| l.starts_with("22")).collect();
        assert_eq!(heads.len(), 3, "{text}");
        assert!(table(&measured).contains("98.9"));
        assert!(failures(&measured[..1], 99.0, 10).is_empty());
    }

    #[test]
    fn lines_whole_stacks_and_inlined_functions_have_bars_of_their_own() {
        let lines = |callers_right, leaves_right, leaves, unknown| {
            let lines =
                Lines { callers: 100, callers_right, leaves, leaves_right, unknown, ..Lines::default() };
            Outcome { lines: Some(lines), ..Outcome::default() }
        };
        let holds = |outcome: &Outcome| holds(outcome, 99.0, 100);
        assert!(holds(&lines(98, 190, 200, 10)));
        let bad = [
            lines(97, 200, 200, 0),
            lines(100, 189, 200, 0),
            lines(100, 99, 99, 0),
            lines(100, 200, 200, 11),
        ];
        assert!(bad.iter().all(|outcome| !holds(outcome)));
        assert_eq!(verdict(&bad[1]), "lines 100.00 % of callers',  94.50 % of 200 leaves'");

        let with = |whole, inlined| Outcome { whole, inlined, ..outcome(200, 200).unwrap() };
        assert!(holds(&with(None, None)) && holds(&with(Some(99.0), Some(80.0))));
        assert!(!holds(&with(Some(97.0), None)) && !holds(&with(None, Some(2.0))));
        assert_eq!(verdict(&with(Some(99.0), None)), "100.00 % of   200, 99.00 % whole");
        let text = failures(&[(cell(Tier::Default), Ok(with(Some(9.0), None)))], 99.0, 100);
        assert!(text.contains("100.00 % of   200, 9.00 % whole"), "{text}");
    }

    #[test]
    fn a_stack_is_whole_from_the_start_of_the_process_on() {
        let is_whole = |frames: &[&str]| {
            let frames = frames.iter().map(|&frame| frame.to_owned()).collect();
            super::is_whole(&Stack { frames, count: 1 })
        };
        let start =
            ["_start:[native]", "__libc_start_main:[native]", "main:[native]", "node::Start:[native]"];
        assert!(is_whole(&start) && !is_whole(&start[1..]) && !is_whole(&start[..3]));
        assert!(!is_whole(&[&start[..], &["[frames elided]", "f:/a.js:1"]].concat()));
        assert!(!is_whole(&["f:/a.js:1"]) && !is_whole(&[]));
    }

    #[test]
    fn a_figure_rounds_down() {
        assert_eq!((figure(99.99), figure(100.0)), ("99.9".into(), "100".into()));
    }
}
