//! `ps`: which processes it lists, and what it says of them.

mod common;

use common::{NODE_FLAME, Scratch, Target, node_flame, start_node_flame, wait_until};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

/// A Node process that waits for its stdin's end.
const IDLE: &str = "process.stdin.resume(); console.log('ready')";

/// The line about a process, split at blanks.
fn line_of(list: &str, pid: u32) -> Option<Vec<String>> {
    let lines = list.lines().map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    lines.into_iter().find(|words| words.first() == Some(&pid.to_string()))
}

fn version() -> String {
    let output = Command::new("node").arg("--version").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().trim_start_matches('v').to_owned()
}

#[test]
fn node_processes_are_listed_and_others_are_not() {
    let node = Target::script(IDLE, &[]);
    let other = Target::start(&mut Command::new("cat"));
    let ended = node_flame("ps");
    ended.assert(0, &[]);
    let words = line_of(&ended.stdout, node.pid()).unwrap_or_else(|| panic!("{}", ended.stdout));
    assert!(words.contains(&version()) && words.contains(&"yes".into()), "{words:?}");
    assert_eq!(words.last().map(String::as_str), Some("[eval]"), "{words:?}");
    let threads = fs::read_dir(format!("/proc/{}/task", node.pid())).unwrap().count();
    assert!(words.contains(&threads.to_string()), "{threads} threads: {words:?}");
    assert!(line_of(&ended.stdout, other.pid()).is_none(), "{}", ended.stdout);
}

#[test]
fn a_busy_process_is_told_from_an_idle_one() {
    let (busy, idle) = (Target::node(), Target::script(IDLE, &[]));
    let cpu = |pid: u32| -> f64 {
        let list = node_flame("ps --json").stdout;
        let line = list.lines().find(|line| line.contains(&format!("{{\"pid\":{pid},"))).unwrap();
        line.split("\"cpuPercent\":").nth(1).unwrap().split(',').next().unwrap().parse().unwrap()
    };
    wait_until("the busy one takes CPU and the idle one none", || {
        cpu(busy.pid()) > 5.0 && cpu(idle.pid()) == 0.0
    });
}

#[test]
fn titles_stand_where_a_process_has_given_itself_one() {
    let titled = Target::script(&format!("process.title = 'a \\x1b[2J title'; {IDLE}"), &[]);
    let list = node_flame("ps").stdout;
    assert!(list.contains(r"a \x1b[2J title") && !list.contains('\u{1b}'), "{list}");
    drop(titled);
}

#[test]
fn a_process_in_a_container_is_listed_with_its_pid_there() {
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--kill-child", "node", "-e", IDLE]);
    let mut container = Target::start(&mut command);
    assert_eq!(container.line(), "ready", "this test runs as root");
    let children = format!("/proc/{0}/task/{0}/children", container.pid());
    let inner: u32 = fs::read_to_string(children).unwrap().trim().parse().unwrap();
    let list = node_flame("ps").stdout;
    let words = line_of(&list, inner).unwrap_or_else(|| panic!("{list}"));
    assert_eq!(words[1], "1", "{list}");
    assert!(node_flame("ps --json").stdout.contains(&format!("{{\"pid\":{inner},\"pidInside\":1,")));
}

#[test]
fn what_cannot_be_profiled_says_why() {
    let mut node = Target::script(IDLE, &[]);
    let mut first = start_node_flame(&format!("{} text 60", node.pid()));
    wait_until("it is traced", || common::is_traced(node.pid()));
    let list = node_flame("ps").stdout;
    common::kill(first.id(), "INT");
    first.wait().unwrap();
    let words = line_of(&list, node.pid()).unwrap_or_else(|| panic!("{list}")).join(" ");
    assert!(words.contains(" no [eval] [it is already traced by "), "{words}");

    // Another user sees no more of it than its name.
    let scratch = Scratch::new("ps");
    fs::set_permissions(scratch.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    let binary = scratch.path("node-flame");
    fs::copy(NODE_FLAME, &binary).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"]);
    let ended = common::Ended::from(command.arg(&binary).arg("ps").output().unwrap());
    ended.assert(0, &[]);
    let words = line_of(&ended.stdout, node.pid()).unwrap_or_else(|| panic!("{}", ended.stdout)).join(" ");
    assert!(words.contains("it runs as user 0 and node-flame as user 65534"), "{words}");
    node.kill();
}

#[test]
fn nothing_is_stopped_or_traced() {
    let mut node = Target::node();
    for _ in 0..20 {
        node_flame("ps").assert(0, &[]);
    }
    node.assert_unharmed();
}
