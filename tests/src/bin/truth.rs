//! Checks the workloads' statements against V8 itself, without node-flame:
//! `truth [--seconds S] [--tier TIER] [VERSION|WORKLOAD]...`

use std::process::ExitCode;

use tests::{
    stacks::Frame,
    tiers::Tier,
    truth,
    verdict::{Lines, Tally, percent},
    version::{CLASSIC, MODERN, Version},
    workload::{self, EVAL, Workload},
};

fn main() -> ExitCode {
    let (mut versions, mut workloads, mut seconds, mut tier) = (Vec::new(), Vec::new(), 1.5, Tier::Default);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--seconds" => seconds = args.next().and_then(|s| s.parse().ok()).expect("--seconds S"),
            "--tier" => tier = args.next().and_then(|s| s.parse().ok()).expect("--tier TIER"),
            _ => match arg.parse::<Version>() {
                Ok(version) => versions.push(version),
                Err(_) => workloads.push(arg),
            },
        }
    }
    if versions.is_empty() {
        versions = CLASSIC.into_iter().chain(MODERN).collect();
    }
    if workloads.is_empty() {
        workloads = workload::names();
    }
    let mut wrong = false;
    for version in versions {
        for name in &workloads {
            let workload = match Workload::load(name, version) {
                Ok(workload) if workload.versions.contains(version) => workload,
                Ok(_) => continue,
                Err(message) => {
                    eprintln!("{message}");
                    return ExitCode::FAILURE;
                }
            };
            let verdict = if version < Version::new(8, 0, 0) {
                names(&workload, version, seconds)
            } else {
                chains(&workload, version, tier, seconds)
            };
            let (good, text) = verdict.unwrap_or_else(|message| (false, message));
            for (i, line) in text.lines().enumerate() {
                let head = if i == 0 { format!("{version:9} {name:15}") } else { String::new() };
                println!("{head} {}", line.chars().take(180).collect::<String>());
            }
            wrong |= !good;
        }
    }
    ExitCode::from(u8::from(wrong))
}

fn chains(workload: &Workload, version: Version, tier: Tier, seconds: f64) -> Result<(bool, String), String> {
    let profile = truth::profile(workload, version, tier, seconds)?;
    let tally = Tally::of_stacks(workload, &profile.stacks);
    let lines = Lines::of_stacks(workload, &profile.lines);
    let unmet: Vec<String> = (workload.chains.iter())
        .map(|chain| chain.iter().map(|&f| workload.label(f)).collect::<Vec<_>>())
        .filter(|chain| !tally.met.contains(chain))
        .map(|chain| format!(" never: {}\n", chain.join(" > ").replace(&workload.script, "")))
        .collect();
    let text = format!(
        "{:6.2} % of {:5}; leaf lines {:6.2} %\n{}{}{}",
        tally.percent(),
        tally.samples,
        percent(lines.leaves_right, lines.leaves),
        tally.worst(4),
        lines.worst(4),
        unmet.join("")
    );
    Ok((tally.percent() >= 97.0, text.trim_end().to_owned()))
}

fn names(workload: &Workload, version: Version, seconds: f64) -> Result<(bool, String), String> {
    let compiled = truth::compiled(workload, version, seconds)?;
    let stated: Vec<String> = (0..workload.functions.len())
        .filter(|&f| !workload.functions[f].eval)
        .map(|f| workload.label(f))
        .collect();
    let missing: Vec<&String> = stated.iter().filter(|label| !compiled.contains(*label)).collect();
    let scripts = [workload.script.as_str(), EVAL];
    let mut text = format!("{} of {} names in V8's log", stated.len() - missing.len(), stated.len());
    for label in &missing {
        let line = Frame::in_scripts(label, &scripts).map(|f| f.line);
        let there = compiled.iter().filter(|c| Frame::in_scripts(c, &scripts).map(|f| f.line) == line);
        text += &format!("\n        {label} is {:?}", there.collect::<Vec<_>>());
    }
    Ok((missing.is_empty(), text))
}
