//! The formats in the hands of the programs that they are for.
//!
//! Both tests need Node.js, npm and Chromium; as root on Debian they install the last.

use std::io::Write;
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

/// Runs one of the scripts in `tests/`, whose output says which of its checks failed. What it measured, and
/// what it had to leave out, is shown also where it passes, past the harness, which keeps back what is printed.
fn passes(script: &str, name: &str) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests").join(script);
    let output = Command::new(&script).env("FIXTURES", fixtures(name)).output().expect("the script runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let counts =
        ["tests", "suites", "pass", "fail", "cancelled", "skipped", "todo", "duration_ms", "Subtest"];
    let notes = text.lines().filter_map(|line| line.trim_start().strip_prefix("# "));
    for note in notes.filter(|note| !counts.iter().any(|count| note.starts_with(count))) {
        let _ = writeln!(std::io::stderr(), "{name}: {note}");
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
