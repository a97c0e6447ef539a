//! What is said on stderr, and when: one line, a progress line on a terminal, a report; nothing if it is quiet.

mod common;

use common::{NODE_FLAME, Scratch, Target, node_flame};
use std::fs;
use std::io::Read;
use std::process::{Command, Stdio};

#[test]
fn the_first_line_says_what_is_done_and_the_last_ones_what_came_of_it() {
    let _turn = common::turn();
    let mut target = Target::node();
    let ended = node_flame(&format!("{} folded 0.5", target.pid()));
    ended.assert(0, &["Samples: ", "Pause per sample: ", "Frames: "]);
    let first = ended.stderr.lines().next().unwrap_or_default();
    assert_eq!(first, format!("Sampling {} for 0.5s, outputting folded.", target.pid()));
    // No terminal, no progress.
    assert!(!ended.stderr.contains('\r'), "{}", ended.stderr);
    target.assert_unharmed();
}

#[test]
fn quiet_means_nothing_but_errors() {
    let _turn = common::turn();
    let mut target = Target::node();
    let ended = node_flame(&format!("{} text 0.3 --quiet", target.pid()));
    ended.assert(0, &[]);
    assert_eq!(ended.stderr, "");
    assert!(ended.stdout.starts_with("Total samples: "), "{}", ended.stdout);
    node_flame("4194304 text 0.3 -q").assert(1, &["4194304"]);
    target.assert_unharmed();
}

#[test]
fn that_the_kernel_does_not_tell_where_threads_wait_is_said_at_the_start_and_at_the_end() {
    let _turn = common::turn();
    let mut target = Target::node();
    let line = format!("{} flame 0.3 --wall", target.pid());
    let words = "threads that wait count as idle in spite of --wall: Linux tells where they are from 5.7 on, \
                 to root and to the user of the process";
    for (ended, times) in [
        (common::node_flame_on_an_old_kernel(&line), 2),
        (common::node_flame_on_an_old_kernel(&format!("{line} --children")), 2),
        (common::node_flame_on_an_old_kernel(&line.replace(" --wall", "")), 0),
        (node_flame(&line), 0),
    ] {
        ended.assert(0, &[]);
        assert_eq!(ended.stderr.matches(words).count(), times, "{ended:?}");
        assert_eq!(ended.stdout.contains(words), times > 0);
    }
    target.assert_unharmed();
}

#[test]
fn a_terminal_is_told_how_far_it_is() {
    let _turn = common::turn();
    let scratch = Scratch::new("progress");
    let (mut target, output) = (Target::node(), scratch.path("out"));
    let line = format!("{NODE_FLAME} {} folded 1.5 -o {}", target.pid(), output.display());
    // `script` gives it a terminal.
    let shown = Command::new("script").args(["-qec", &line, "/dev/null"]).output().expect("script runs");
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    let states = shown.split(['\r', '\n']).filter(|state| state.contains("samples")).count();
    assert!(states >= 2, "{shown:?}");
    assert!(shown.contains("Samples: ") && shown.contains("(Ctrl-C ends and writes)"), "{shown:?}");
    target.assert_unharmed();
}

#[test]
fn where_a_ctrl_c_would_end_the_reader_too_another_way_to_end_is_shown() {
    let _turn = common::turn();
    let scratch = Scratch::new("pipe");
    let (mut target, output) = (Target::node(), scratch.path("out"));
    let line = format!("{NODE_FLAME} {} folded 30 | cat > {}", target.pid(), output.display());
    let mut terminal = Command::new("script");
    terminal.args(["-qec", &line, "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut terminal = terminal.spawn().expect("script runs");
    let (mut shown, mut bytes) = (String::new(), [0; 256]);
    let pid = common::eventually("the progress line is there", || {
        let length = terminal.stdout.as_mut().unwrap().read(&mut bytes).unwrap();
        shown.push_str(&String::from_utf8_lossy(&bytes[..length]));
        shown.split("(kill -INT ").nth(1)?.split_once(" ends and writes)")?.0.parse().ok()
    });
    common::kill(pid, "INT");
    let ended = common::Ended::from(terminal.wait_with_output().unwrap());
    assert!(ended.stdout.contains("Samples: "), "{shown:?} {ended:?}");
    assert!(fs::read_to_string(output).unwrap().contains("burn:"));
    target.assert_unharmed();
}
