//! The page, from a program that runs to what a browser shows of it.

mod common;

use common::{Ended, NODE_FLAME, Scratch};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// Keeps a CPU busy in line 5, and is over before its sampling is.
const HOT: &str = "\
// Only the source has this.
const until = Date.now() + 1200;
function weigh(sum) {
  // Its hottest line follows.
  for (let at = 0; at < 1e6; at++) sum += Math.sqrt(sum + at); // größer </script>
  return sum;
}
let sum = 0;
while (Date.now() < until) sum = weigh(sum);
";

/// The page of a run of [`HOT`].
fn page(scratch: &Scratch, name: &str, options: &[&str]) -> String {
    let mut run = Command::new(NODE_FLAME);
    run.args(["run", "flame", "30", "-o"]).arg(scratch.path(name)).args(options);
    run.args(["--", "node", &scratch.file("hot.js", HOT)]);
    let ended: Ended = run.stdin(Stdio::null()).output().expect("node-flame starts").into();
    ended.assert(0, &["Wrote "]);
    fs::read_to_string(scratch.path(name)).expect("a page was written")
}

#[test]
fn hot_functions_show_their_source_where_that_was_asked_for() {
    let scratch = Scratch::new("source");
    assert!(page(&scratch, "hot.html", &["--source"]).contains("Its hottest line follows"));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/browser/run");
    let shown = Command::new(script).arg("live/sources.test.js").env("FIXTURES", scratch.path("")).output();
    let shown = Ended::from(shown.expect("the script runs"));
    assert_eq!(shown.code, Some(0), "{}{}", shown.stdout, shown.stderr);
}

#[test]
fn no_source_stands_in_a_page_unless_it_was_asked_for() {
    let scratch = Scratch::new("no-source");
    let page = page(&scratch, "hot.html", &[]);
    assert!(page.contains("weigh") && !page.contains("hottest line") && !page.contains("Math.sqrt(sum"));
}
