//! Profiles workloads on many Node versions and tells which share of the samples holds exactly a stated call
//! chain.
//!
//!     matrix [--versions V,V…|classic|modern|all] [--workloads W,W…] [--tiers T,T…] [--seconds S] [--least SAMPLES]
//!            [--rate HZ] [--warm-up S] [--at-once N] [--bar PERCENT] [--again] [--quiet]
//!            [--lines] [--whole] [--inlined]
//!     matrix --builds [--workloads W,W…] [--tiers T,T…] [options]     other builds than the official executables
//!     matrix --compat-table [options]     measures for the README's compatibility table, and writes it
//!     matrix --compat-table --measured    writes it from what was measured before
//!
//! With `--lines` the executing lines are judged instead of the chains. `--whole` asks for native frames down to
//! the process' start as well, `--inlined` for inlined functions. `--again` gives cells that miss a bar a second,
//! longer look. Exit code 1: a cell missed a bar, or could not be measured.

use std::{process::ExitCode, thread::available_parallelism};

use tests::{
    builds, compat,
    matrix::{Cell, Options, Outcome, cells, failures, holds, look_again, measure_all, row, table},
    tiers::Tier,
    version::{CLASSIC, MODERN, Version},
    workload,
};

struct Asked {
    versions: Vec<Version>,
    workloads: Vec<String>,
    tiers: Vec<Tier>,
    options: Options,
    at_once: usize,
    bar: f64,
    again: bool,
    quiet: bool,
    compat: bool,
    measured: bool,
    builds: bool,
}

fn main() -> ExitCode {
    match asked().and_then(|asked| carry_out(&asked)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("matrix: {message}");
            ExitCode::from(2)
        }
    }
}

fn asked() -> Result<Asked, String> {
    let mut asked = Asked {
        versions: MODERN.to_vec(),
        workloads: Vec::new(),
        tiers: vec![Tier::NotInlined],
        options: Options::default(),
        at_once: available_parallelism().map_or(2, usize::from),
        bar: 99.0,
        again: false,
        quiet: false,
        compat: false,
        measured: false,
        builds: false,
    };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
        match arg.as_str() {
            "--versions" => asked.versions = versions(&value()?)?,
            "--workloads" => asked.workloads = value()?.split(',').map(file_name).collect(),
            "--tiers" => asked.tiers = tiers(&value()?)?,
            "--seconds" => asked.options.seconds = number(&value()?)?,
            "--least" => asked.options.least = number(&value()?)?,
            "--rate" => asked.options.rate = number(&value()?)?,
            "--warm-up" => asked.options.warm_up = number(&value()?)?,
            "--at-once" => asked.at_once = number(&value()?)?,
            "--bar" => asked.bar = number(&value()?)?,
            "--lines" => asked.options.lines = true,
            "--whole" => asked.options.whole = true,
            "--inlined" => asked.options.inlined = true,
            "--again" => asked.again = true,
            "--quiet" => asked.quiet = true,
            "--builds" => asked.builds = true,
            "--compat-table" => asked.compat = true,
            "--measured" => asked.measured = true,
            _ => return Err(format!("unknown option {arg}; see the head of tests/src/bin/matrix.rs")),
        }
    }
    Ok(asked)
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text:?} is no number"))
}

fn versions(text: &str) -> Result<Vec<Version>, String> {
    match text {
        "classic" => Ok(CLASSIC.to_vec()),
        "modern" => Ok(MODERN.to_vec()),
        "all" => Ok(CLASSIC.into_iter().chain(MODERN).collect()),
        _ => text.split(',').map(one_version).collect(),
    }
}

/// A whole version, or a major for its last release.
fn one_version(text: &str) -> Result<Version, String> {
    let major: Option<u32> = text.parse().ok();
    let known = CLASSIC.into_iter().chain(MODERN).filter(|v| Some(v.major) == major).max();
    known.map_or_else(|| text.parse(), Ok)
}

fn tiers(text: &str) -> Result<Vec<Tier>, String> {
    if text == "all" { Ok(Tier::ALL.to_vec()) } else { text.split(',').map(str::parse).collect() }
}

/// A workload's file name, given with or without its ending.
fn file_name(workload: &str) -> String {
    let names = workload::names();
    let named = |name: &&String| name.as_str() == workload || name.split('.').next() == Some(workload);
    names.iter().find(named).cloned().unwrap_or_else(|| workload.to_owned())
}

fn all_builds(asked: &Asked) -> Result<bool, String> {
    let names = if asked.workloads.is_empty() { workload::names() } else { asked.workloads.clone() };
    let mut cells = Vec::new();
    for build in builds::ALL {
        for name in &names {
            for &tier in &asked.tiers {
                if build.runs(name, tier) {
                    cells.push((build, name.as_str(), tier));
                }
            }
        }
    }
    if cells.is_empty() {
        return Err("no such cell exists".into());
    }
    let tell = |line: &str| println!("{line}");
    let failures = builds::measure_all(&cells, asked.options, asked.bar, 50, tell);
    println!("\n{failures}");
    Ok(failures.is_empty())
}

fn carry_out(asked: &Asked) -> Result<bool, String> {
    if asked.compat {
        let failures = match asked.measured {
            true => String::new(),
            false => compat::measure(asked.options, asked.at_once, asked.bar)?,
        };
        compat::rewrite()?;
        println!("{failures}");
        return Ok(failures.is_empty());
    }
    if asked.builds {
        return all_builds(asked);
    }
    let workloads: Vec<&str> = asked.workloads.iter().map(String::as_str).collect();
    let cells = cells(&asked.versions, &workloads, &asked.tiers)?;
    if cells.is_empty() {
        return Err("no such cell exists".into());
    }
    let tell = |cell: &Cell, result: &Result<Outcome, String>| {
        if !asked.quiet {
            println!("{}", row(cell, result, asked.options.lines));
        }
    };
    let mut measured = measure_all(cells, asked.options, asked.at_once, tell);
    // A busy machine may give fewer samples than were asked for.
    let enough = asked.options.least * 3 / 5;
    let misses = |(_, result): &(Cell, Result<Outcome, String>)| {
        !result.as_ref().is_ok_and(|outcome| holds(outcome, asked.bar, asked.options.least))
    };
    if asked.again && measured.iter().any(misses) {
        let missed: Vec<bool> = measured.iter().map(misses).collect();
        println!("looked at again:\n{}", failures(&measured, asked.bar, enough));
        look_again(&mut measured, asked.options, asked.bar);
        for ((cell, result), _) in measured.iter().zip(missed).filter(|(_, missed)| *missed) {
            tell(cell, result);
        }
    }
    let failures = failures(&measured, asked.bar, enough);
    if !asked.options.lines {
        println!("\n{}", table(&measured));
    }
    println!("{failures}");
    Ok(failures.is_empty())
}
