//! Fetches official Node.js builds into the tests' cache, and makes the other builds of them:
//! `fetch-nodes [VERSION|builds...]`, by default all that the tests use; `fetch-nodes --arm64 VERSION...` the
//! builds for arm64.

use std::{fmt::Display, process::ExitCode};

use tests::{
    builds, containers,
    nodes::{self, Processor},
    version::{BETWEEN, CLASSIC, MAGLEV_FIRST, MODERN, Version},
};

fn main() -> ExitCode {
    let mut asked: Vec<String> = std::env::args().skip(1).collect();
    let is_arm64 = asked.first().is_some_and(|word| word == "--arm64");
    asked.retain(|word| word != "--arm64");
    let processor = if is_arm64 { Processor::Arm64 } else { Processor::host() };
    let (builds, versions): (Vec<_>, Vec<_>) = asked.iter().partition(|word| *word == "builds");
    let versions: Result<Vec<Version>, String> = versions.into_iter().map(|word| word.parse()).collect();
    let versions = match versions {
        Ok(_) if asked.is_empty() => {
            CLASSIC.into_iter().chain(BETWEEN).chain(MODERN).chain(MAGLEV_FIRST).collect()
        }
        Ok(versions) => versions,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    let mut failed = false;
    let mut tell = |what: &dyn Display, result| match result {
        Ok(true) => println!("{what} fetched"),
        Ok(false) => println!("{what} is there"),
        Err(message) => {
            eprintln!("{what}: {message}");
            failed = true;
        }
    };
    for version in versions {
        tell(&version, nodes::fetch_for(version, processor));
    }
    if asked.is_empty() || !builds.is_empty() {
        for build in builds::ALL {
            tell(&build, build.fetch());
        }
        tell(&"the containers' image", containers::fetch());
    }
    ExitCode::from(u8::from(failed))
}
