//! Inlined functions are frames of their own, and every frame knows the line it executes.
//!
//! A few versions always; all of them in a sweep of some minutes, with `--features sweeps`.

use std::{path::Path, thread, time::Duration};

use tests::{
    binary::node_flame,
    matrix::{
        CALLERS, LEAVES, Measured, Options, alone, cells, failures, look_again, measure_all, table, tell,
    },
    process::{Target, command, run},
    stacks,
    tiers::Tier,
    verdict::percent,
    version::{MODERN, Version},
};

/// Versions whose inlining and positions differ most: before Maglev, with it, and with its newer tables.
const FEW: [Version; 2] = [Version::new(20, 20, 2), Version::new(26, 10, 0)];

/// The last release of each even major from 10 on, and two whose tables differ from both their neighbours'.
#[cfg(feature = "sweeps")]
const VERSIONS: [Version; 11] = [
    Version::new(10, 24, 1),
    Version::new(12, 13, 1),
    Version::new(12, 22, 12),
    Version::new(14, 5, 0),
    Version::new(14, 21, 3),
    Version::new(16, 20, 2),
    Version::new(18, 20, 8),
    Version::new(20, 20, 2),
    Version::new(22, 23, 3),
    Version::new(24, 21, 0),
    Version::new(26, 10, 0),
];

/// Versions with full-codegen whose source positions are written in ways of their own.
#[cfg(feature = "sweeps")]
const FULL_CODEGEN: [Version; 5] = [
    Version::new(4, 9, 1),
    Version::new(5, 12, 0),
    Version::new(6, 17, 1),
    Version::new(7, 10, 1),
    Version::new(8, 0, 0),
];

/// Versions with Crankshaft, whose safepoints and translations are written in ways of their own.
#[cfg(feature = "sweeps")]
const CRANKSHAFT: [Version; 6] = [
    Version::new(0, 10, 48),
    Version::new(0, 12, 18),
    Version::new(4, 9, 1),
    Version::new(5, 12, 0),
    Version::new(6, 17, 1),
    Version::new(7, 10, 1),
];

/// Versions with Maglev: with positions in its tables, and (22.0, 23, 24.0) without any.
const MAGLEV: [Version; 5] = [
    Version::new(22, 0, 0),
    Version::new(23, 11, 1),
    Version::new(24, 0, 0),
    Version::new(24, 21, 0),
    Version::new(26, 10, 0),
];

/// A workload whose small functions V8 inlines in a tier shows whole chains, and the same ones as without
/// inlining.
fn judge_inlining(versions: &[Version], tier: Tier, warm_up: f64) {
    let _alone = alone();
    let options = Options { warm_up, inlined: true, ..Options::default() };
    let cells = cells(versions, &["inlined.js"], &[tier, Tier::NotInlined]).unwrap();
    let mut measured = measure_all(cells, options, 2, |_, _| ());
    // Shares of inlined functions are judged below: where nothing is to be inlined there has to be none.
    let take_shares = |measured: &mut [Measured]| -> Vec<Option<f64>> {
        measured.iter_mut().map(|(_, result)| result.as_mut().ok()?.inlined.take()).collect()
    };
    let first = take_shares(&mut measured);
    look_again(&mut measured, options, 97.0);
    let again = take_shares(&mut measured).into_iter().zip(first);
    let shares: Vec<Option<f64>> = again.map(|(again, first)| again.or(first)).collect();
    tell(&table(&measured));
    let failures = failures(&measured, 97.0, 150);
    assert!(failures.is_empty(), "{failures}");
    for (pair, shares) in measured.chunks(2).zip(shares.chunks(2)) {
        let [(cell, Ok(inlined)), (_, Ok(not_inlined))] = pair else { panic!("{pair:?}") };
        // Every chain is long in its leaf, so both have met all of them.
        assert_eq!(inlined.tally.met, not_inlined.tally.met, "{}", cell.version);
        let &[Some(share), Some(without)] = shares else { panic!("{}: no shares", cell.version) };
        tell(&format!(
            "{} {}: {:.1} % of the samples have inlined frames, {:.1} % without inlining",
            cell.version, cell.tier, share, without
        ));
        assert!(share > 50.0 && without == 0.0, "{} {}: {shares:?}", cell.version, cell.tier);
    }
}

/// Lines are those on which a call or a loop stands.
fn judge_lines(versions: &[Version], workloads: &[&str], tiers: &[Tier]) {
    let _alone = alone();
    let options = Options { lines: true, ..Options::default() };
    let cells = cells(versions, workloads, tiers).unwrap();
    let mut wrong = Vec::new();
    for (cell, result) in measure_all(cells, options, 2, |_, _| ()) {
        let lines = result.unwrap_or_else(|e| panic!("{cell:?}: {e}")).lines.unwrap_or_default();
        let callers = percent(lines.callers_right, lines.callers);
        let leaves = percent(lines.leaves_right, lines.leaves);
        let text = format!(
            "{:9} {:12} {:11} {callers:6.2} % of callers' lines and {leaves:6.2} % of {} leaves' are right",
            cell.version.to_string(),
            cell.tier,
            cell.workload,
            lines.leaves
        );
        tell(&text);
        if callers < CALLERS || leaves < LEAVES || lines.leaves < 150 || lines.unknown * 20 > lines.leaves {
            wrong.push(format!("{text}\n{}", lines.worst(6)));
        }
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn inlined_functions_are_frames_of_their_own() {
    judge_inlining(&FEW, Tier::Default, 5.0);
}

#[test]
fn functions_inlined_by_maglev_are_frames_of_their_own() {
    judge_inlining(&MAGLEV, Tier::MaglevInlining, 1.0);
}

#[test]
fn executing_lines_are_those_of_calls_and_loops() {
    judge_lines(&FEW, &["lines.js"], &[Tier::Default, Tier::NotInlined, Tier::Sparkplug, Tier::Maglev]);
}

/// Versions whose write barrier is a builtin on V8's heap, an embedded one without a frame, and, in sweeps, one with a
/// frame.
const BARRIERS: &[Version] = if cfg!(feature = "sweeps") {
    &[Version::new(10, 24, 1), Version::new(12, 22, 12), Version::new(20, 20, 2), Version::new(26, 10, 0)]
} else {
    &[Version::new(10, 24, 1), Version::new(26, 10, 0)]
};

/// Four seconds of a target's stacks, each frame by the line it executes.
fn executing(target: &Target, rate: &str) -> Vec<stacks::Stack> {
    let pid = target.pid().to_string();
    let mut profiler = command(node_flame(), &[&pid, "folded", "4", "--rate", rate, "--lines"]);
    let ended = run(&mut profiler, Duration::from_secs(30));
    assert!(ended.ok(), "{}", ended.stderr);
    stacks::folded(&ended.stdout).unwrap()
}

/// What a store calls: its write barrier, by its name or what it calls, and where its value finds no room.
const CALLED: [&str; 3] = ["RecordWrite", "StoreBufferOverflow", "AllocateInYoungGeneration"];

#[test]
fn what_a_store_calls_behind_its_functions_code_is_on_the_stores_line() {
    let _alone = alone();
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs/stores.js");
    for &version in BARRIERS {
        let target = Target::start(version, Tier::Default, &program).unwrap();
        thread::sleep(Duration::from_secs(1));
        let (mut right, mut wrong) = (0, Vec::new());
        for stack in executing(&target, "500") {
            let is_called = |label: &String| CALLED.iter().any(|name| label.contains(name));
            let Some(called) = stack.frames.iter().position(is_called) else { continue };
            match stack.frames.get(called.wrapping_sub(1)) {
                Some(caller) if caller.starts_with("store:") && caller.ends_with(":15") => {
                    right += stack.count
                }
                _ => wrong.push(stack),
            }
        }
        let wrong_count: u64 = wrong.iter().map(|stack| stack.count).sum();
        tell(&format!("{version}: {right} samples below a store on its line, {wrong_count} elsewhere"));
        assert!(right >= 5 && wrong_count * 10 <= right, "{version}: {right} right, {wrong:#?}");
    }
}

/// Versions of TurboFan whose deoptimization data differ.
const DEOPTS: &[Version] =
    if cfg!(feature = "sweeps") { &MODERN } else { &[Version::new(20, 20, 2), Version::new(26, 10, 0)] };

#[test]
fn optimized_code_that_is_to_be_left_shows_the_call_that_runs() {
    let _alone = alone();
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs/deopts.js");
    for &version in DEOPTS {
        let target = Target::start(version, Tier::Default, &program).unwrap();
        let stacks = executing(&target, "200");
        let at = |stack: &stacks::Stack, label| stack.frames.iter().position(|frame| frame == label);
        let working = stacks.iter().filter_map(|stack| Some((stack, at(stack, "work:round.js:6")?)));
        let (right, wrong): (Vec<_>, Vec<_>) = working.partition(|(stack, work)| {
            stack.frames[..*work].ends_with(&["outer:round.js:16".into(), "helper:round.js:11".into()])
        });
        let count =
            |stacks: &[(&stacks::Stack, usize)]| stacks.iter().map(|stack| stack.0.count).sum::<u64>();
        tell(&format!(
            "{version}: {} samples below the call that runs, {} elsewhere",
            count(&right),
            count(&wrong)
        ));
        assert!(count(&right) >= 300 && count(&wrong) * 50 <= count(&right), "{version}: {wrong:#?}");
    }
}

#[cfg(feature = "sweeps")]
#[test]
fn inlined_functions_are_frames_on_every_version() {
    judge_inlining(&VERSIONS, Tier::Default, 5.0);
}

#[cfg(feature = "sweeps")]
#[test]
fn executing_lines_are_right_on_every_version() {
    judge_lines(&VERSIONS, &["lines.js", "methods.js", "inlined.js"], &Tier::ALL);
}

#[cfg(feature = "sweeps")]
#[test]
fn executing_lines_of_full_codegen_are_right() {
    judge_lines(&FULL_CODEGEN, &["lines.js", "methods.js"], &[Tier::Unoptimized]);
}

#[cfg(feature = "sweeps")]
#[test]
fn functions_inlined_by_crankshaft_are_frames_with_lines() {
    judge_inlining(&CRANKSHAFT, Tier::Default, 5.0);
    judge_lines(&CRANKSHAFT, &["methods.js"], &[Tier::NotInlined]);
}
