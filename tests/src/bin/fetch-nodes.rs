//! Fetches official Node.js builds into the tests' cache: `fetch-nodes [VERSION...]`, by default every version
//! that the tests use.

use std::process::ExitCode;

use tests::{
    nodes,
    version::{CLASSIC, MODERN, Version},
};

fn main() -> ExitCode {
    let asked: Result<Vec<Version>, String> = std::env::args().skip(1).map(|v| v.parse()).collect();
    let versions = match asked {
        Ok(versions) if versions.is_empty() => CLASSIC.into_iter().chain(MODERN).collect(),
        Ok(versions) => versions,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    let mut failed = false;
    for version in versions {
        match nodes::fetch(version) {
            Ok(true) => println!("{version} fetched"),
            Ok(false) => println!("{version} is there"),
            Err(message) => {
                eprintln!("{version}: {message}");
                failed = true;
            }
        }
    }
    ExitCode::from(u8::from(failed))
}
