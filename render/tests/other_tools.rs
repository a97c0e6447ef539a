//! The formats in the hands of the programs that they are for.
//!
//! Both tests need Node.js, npm and Chromium; as root on Debian they install the last.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Made-up profiles in every format, written by this crate's example.
fn fixtures(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    // Cargo builds examples together with tests, into the directory beside theirs.
    let test = std::env::current_exe().expect("the test's own path");
    let example = test.ancestors().nth(2).expect("a build directory").join("examples/fixtures");
    let status = Command::new(&example).arg(&directory).status();
    let status = status.unwrap_or_else(|error| {
        panic!("{}: {error}; `cargo test -p flame-render` builds it", example.display())
    });
    assert!(status.success(), "{} failed", example.display());
    directory
}

/// Runs one of the scripts in `tests/`, whose output says which of its checks failed.
fn passes(script: &str, name: &str) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests").join(script);
    let output = Command::new(&script).env("FIXTURES", fixtures(name)).output().expect("the script runs");
    let text = String::from_utf8_lossy(&output.stdout);
    for line in text.lines().filter(|line| line.starts_with("# ") && !line.starts_with("# Subtest")) {
        println!("{line}");
    }
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_page_shows_in_a_real_browser_what_it_should() {
    passes("browser/run", "browser");
}

#[test]
fn other_tools_readers_give_back_what_was_written() {
    passes("formats/run", "formats");
}
