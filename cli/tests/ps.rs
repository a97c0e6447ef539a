//! `ps`: which processes it lists, and what it says of them.

mod common;

use common::{NODE_FLAME, Scratch, Target, node_flame, start_node_flame, wait_until};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A Node process that waits for its stdin's end.
const IDLE: &str = "process.stdin.resume(); console.log('ready')";

/// The line about a process, split at blanks.
fn line_of(list: &str, pid: u32) -> Option<Vec<String>> {
    let lines = list.lines().map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    lines.into_iter().find(|words| words.first() == Some(&pid.to_string()))
}

/// What `ps --json` says of a process.
#[track_caller]
fn entry_of(pid: u32) -> Value {
    let list = node_flame("ps --json").stdout;
    let entries: Vec<Value> = serde_json::from_str(&list).unwrap_or_else(|error| panic!("{error}: {list}"));
    let mut of_pid = entries.iter().filter(|entry| entry["pid"] == pid);
    let entry = of_pid.next().unwrap_or_else(|| panic!("no {pid} in {list}"));
    assert!(of_pid.next().is_none(), "{pid} twice in {list}");
    entry.clone()
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
fn json_holds_what_the_table_does() {
    let node = Target::script(&format!("process.title = 'a \\x1b \"title\"'; {IDLE}"), &[]);
    let entry = entry_of(node.pid());
    assert_eq!((&entry["node"], &entry["user"]), (&version().into(), &"root".into()), "{entry}");
    assert_eq!((&entry["uid"], &entry["pidInside"]), (&0.into(), &Value::Null), "{entry}");
    assert_eq!((&entry["profilable"], &entry["reason"]), (&true.into(), &Value::Null), "{entry}");
    let threads = fs::read_dir(format!("/proc/{}/task", node.pid())).unwrap().count();
    assert_eq!((&entry["threads"], &entry["command"]), (&threads.into(), &"a \u{1b} \"title\"".into()));
    assert!(entry["v8"].as_str().is_some_and(|v8| v8.split('.').count() == 4), "{entry}");
}

#[test]
fn the_user_is_told_by_name_or_by_number() {
    for (uid, shown) in [(0, "root"), (65534, "nobody"), (54321, "54321")] {
        let mut command = Command::new("setpriv");
        command.args([&format!("--reuid={uid}"), "--clear-groups", "node", "-e", IDLE]);
        let mut node = Target::start(&mut command);
        assert_eq!(node.line(), "ready", "this test runs as root");
        let list = node_flame("ps").stdout;
        let words = line_of(&list, node.pid()).unwrap_or_else(|| panic!("{list}"));
        let titles: Vec<&str> = list.lines().next().unwrap().split_whitespace().collect();
        let column = titles.iter().position(|title| *title == "USER").unwrap();
        assert_eq!(words[column], shown, "{list}");
        let entry = entry_of(node.pid());
        assert_eq!(entry["uid"], uid, "{entry}");
        let name = if uid == 54321 { Value::Null } else { shown.into() };
        assert_eq!(entry["user"], name, "{entry}");
    }
}

/// Processes that are not Node. They end with this.
struct Crowd(Vec<Child>);

impl Crowd {
    fn of(count: usize) -> Crowd {
        let sleep = || Command::new("sleep").arg("600").stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        Crowd((0..count).map(|_| sleep().expect("sleep starts")).collect())
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = (child.kill(), child.wait());
        }
    }
}

/// The least time of several times.
fn least(mut once: impl FnMut()) -> Duration {
    let times = (0..15).map(|_| {
        let started = Instant::now();
        once();
        started.elapsed()
    });
    times.min().expect("some")
}

#[test]
fn five_hundred_processes_are_looked_at_in_little_time() {
    let nodes: Vec<Target> = (0..4).map(|_| Target::script(IDLE, &[])).collect();
    let ps = || node_flame("ps").assert(0, &[]);
    let few = least(ps);
    let crowd = Crowd::of(500);
    let many = least(ps);
    // What a look at the mappings of each costs, which `ps` does without.
    let maps: Vec<String> = crowd.0.iter().map(|child| format!("/proc/{}/maps", child.id())).collect();
    let cat = least(|| {
        let read = Command::new("cat").args(&maps).stdout(Stdio::null()).status();
        assert!(read.expect("cat starts").success());
    });
    let all = fs::read_dir("/proc").unwrap().flatten();
    let all =
        all.filter(|entry| entry.file_name().to_string_lossy().starts_with(|c: char| c.is_ascii_digit()));
    common::tell(&format!(
        "ps: {few:?} before, {many:?} with 500 more processes, {} in all; their mappings by cat: {cat:?}",
        all.count()
    ));
    let more = many.saturating_sub(few);
    assert!(more < cat, "{more:?} more, and cat takes {cat:?}");
    let list = node_flame("ps").stdout;
    assert!(nodes.iter().all(|node| line_of(&list, node.pid()).is_some()), "{list}");
    assert!(crowd.0.iter().all(|child| line_of(&list, child.id()).is_none()), "{list}");
}

#[test]
fn a_busy_process_is_told_from_an_idle_one() {
    let (busy, idle) = (Target::node(), Target::script(IDLE, &[]));
    let cpu = |pid: u32| entry_of(pid)["cpuPercent"].as_f64().unwrap();
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
    assert_eq!(entry_of(inner)["pidInside"], 1);
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
