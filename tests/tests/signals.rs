//! What reaches a Node process, and how it ends, while it is profiled at 1000 Hz.

use std::{
    fs,
    os::unix::process::{CommandExt, ExitStatusExt},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use tests::{
    binary::{node_flame, workspace},
    matrix::{alone, tell},
    nodes::node,
    process::{Running, Target, command, rounds},
    report::Report,
    version::Version,
};

const SECOND: Duration = Duration::from_secs(1);

fn program(name: &str, version: Version, argument: &str) -> Command {
    let mut command = Command::new(node(version));
    command.args(["--inspect-port=0"]).arg(workspace().join("tests/programs").join(name)).arg(argument);
    // As a shell starts a job: a SIGTSTP does nothing in a group that was started by nothing that could
    // continue it.
    command.process_group(0);
    command
}

fn profiler(target: &Target) -> Running {
    let pid = target.pid().to_string();
    let profiler = Running::start(&mut command(node_flame(), &[&pid, "folded", "120", "--rate", "1000"]));
    target.until_traced();
    profiler
}

#[test]
fn handlers_children_and_the_inspector_work_as_ever() {
    let _alone = alone();
    let (signals, children) = (rounds(40), if rounds(0) > 0 { 1000 } else { 150 });
    let target =
        Target::ready(&mut program("signals.js", Version::new(22, 23, 3), &children.to_string())).unwrap();
    let mut profiler = profiler(&target);
    for round in 1..=signals {
        for name in ["USR2", "TERM", "INT", "WINCH", "HUP"] {
            target.send(name);
            assert!(target.says(&format!("{name} {round}\n"), 10 * SECOND), "{}", target.stdout());
        }
    }
    assert!(target.says(&format!("CHILDREN {children}\n"), 60 * SECOND), "{}", target.stdout());
    target.send("USR1");
    let deadline = Instant::now() + 10 * SECOND;
    while !target.stderr().contains("Debugger listening on ws://") {
        assert!(Instant::now() < deadline, "{}", target.stderr());
        thread::sleep(Duration::from_millis(10));
    }
    // As a shell's Ctrl-Z and `fg`.
    for round in 0..rounds(4) {
        target.send(if round % 2 == 0 { "STOP" } else { "TSTP" });
        let stands = || {
            let held = target.held_threads();
            !held.is_empty() && held.iter().all(|line| line.contains(", t") || line.contains(", T"))
        };
        let deadline = Instant::now() + 10 * SECOND;
        while !stands() {
            assert!(Instant::now() < deadline, "it does not stand: {:?}", target.held_threads());
            thread::sleep(Duration::from_millis(2));
        }
        let ticks = target.cpu_ticks();
        thread::sleep(Duration::from_millis(30));
        assert_eq!(target.cpu_ticks(), ticks, "it runs though it was stopped");
        target.send("CONT");
        assert!(target.runs_on());
    }
    profiler.send("INT");
    let ended = profiler.ended();
    assert!(ended.ok() && Report::parse(&ended.stderr).is_some_and(|report| report.adds_up()), "{ended:?}");
    let handled = target.stdout().lines().filter(|line| !line.contains("CHILDREN")).count() as u32 - 1;
    assert_eq!(handled, signals * 5, "a signal was handled twice");
    assert!(target.held_threads().is_empty() && target.runs_on());
    tell(&format!(
        "{handled} signals of five kinds handled once, {children} children untraced, the inspector"
    ));
}

#[test]
fn ten_thousand_signals_to_node_are_handled_once_each() {
    let _alone = alone();
    let mut chain = program("signals.js", Version::new(22, 23, 3), "0");
    let target = Target::ready(chain.arg("10000")).unwrap();
    let mut profiler = profiler(&target);
    target.send("USR2");
    // Each handler sends the next one: one that is lost ends the chain, one that comes twice makes two of it.
    assert!(target.says("CHAIN 10000 ", 100 * SECOND), "{}", target.stdout());
    thread::sleep(SECOND / 2);
    profiler.send("INT");
    let ended = profiler.ended();
    assert!(ended.ok() && Report::parse(&ended.stderr).is_some_and(|report| report.adds_up()), "{ended:?}");
    let text = target.stdout();
    assert!(text.contains("CHAIN 10000 10000\n") && text.matches("CHAIN").count() == 1, "{text}");
    assert!(target.held_threads().is_empty() && target.runs_on());
    tell("10000 SIGUSR2 sent to Node, 10000 handled");
}

/// Milliseconds that each child took which a target has run so far.
fn childrens_times(target: &Target) -> Vec<f64> {
    let text = target.stdout();
    text.lines().filter_map(|line| line.strip_prefix("CHILD ")?.parse().ok()).collect()
}

#[test]
fn children_run_at_full_speed() {
    let _alone = alone();
    let target = Target::ready(
        Command::new(node(Version::new(22, 23, 3))).arg(workspace().join("tests/programs/spawns.js")),
    )
    .unwrap();
    let median = |mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    let part = || {
        let before = childrens_times(&target).len();
        thread::sleep(SECOND);
        median(childrens_times(&target).split_off(before))
    };
    let mut ratios = Vec::new();
    for _ in 0..rounds(5).min(30) {
        let free = part();
        let mut profiler = profiler(&target);
        let traced = part();
        profiler.send("INT");
        assert!(profiler.ended().ok());
        ratios.push(traced / free);
    }
    let (pairs, count, ratio) = (ratios.len(), childrens_times(&target).len(), median(ratios));
    tell(&format!(
        "{count} children in {pairs} pairs: each takes {:.1} % of the time it takes untraced",
        ratio * 100.0
    ));
    // A traced child would be stopped a thousand times a second, and at each of its system calls' signals: it would
    // take several times as long. What the machine's other work does to a part is far less.
    assert!(ratio < 1.5, "{ratio}");
}

#[test]
fn a_target_ends_as_it_would_and_its_parent_hears_of_it() {
    let _alone = alone();
    let version = Version::new(22, 23, 3);
    // Each takes two seconds.
    let rounds = rounds(2).min(50);
    for (how, words) in [
        ("code", "exited with code 7"),
        ("throws", "exited with code 1"),
        ("abort", "was killed by SIGABRT"),
        ("kill", "was killed by SIGKILL"),
    ] {
        let expected = Running::start(&mut program("ends.js", version, how)).ended().status;
        for round in 0..rounds {
            let mut target = Target::ready(&mut program("ends.js", version, how)).unwrap();
            let mut profiler = profiler(&target);
            let ended = target.ended();
            assert_eq!(ended.status, expected, "{how}, round {round}: {}", ended.stderr);
            told(&mut profiler, words);
        }
    }
    tell(&format!("{rounds} ends of each kind: exit code, exception, abort, SIGKILL"));
}

/// Waits for a profiler whose target has ended.
fn told(profiler: &mut Running, words: &str) {
    let ended = profiler.ended();
    assert!(ended.ok() && ended.stderr.contains(words), "{}", ended.stderr);
    assert!(!ended.stdout.is_empty(), "{}", ended.stderr);
    assert!(Report::parse(&ended.stderr).is_some_and(|report| report.adds_up()), "{}", ended.stderr);
}

/// A memory cgroup of 150 MB, removed at the end.
struct MemoryGroup(PathBuf);

impl MemoryGroup {
    /// `None` where this user may not make one.
    fn new() -> Option<Self> {
        const LIMIT: &str = "157286400";
        for (root, limit) in
            [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")]
        {
            let group = Self(Path::new(root).join(format!("node-flame-{}", std::process::id())));
            if fs::create_dir(&group.0).is_ok() && fs::write(group.0.join(limit), LIMIT).is_ok() {
                // Else it would be the swap that fills up. Absent where there is none.
                let _ = fs::write(group.0.join("memory.swap.max"), "0");
                return Some(group);
            }
        }
        None
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        // The last process may not be gone yet.
        let gone = || fs::remove_dir(&self.0).is_ok() || !self.0.exists();
        (0..100).any(|_| {
            gone() || {
                thread::sleep(Duration::from_millis(10));
                false
            }
        });
    }
}

#[test]
fn a_target_without_memory_is_killed_and_told_of() {
    let _alone = alone();
    let Some(group) = MemoryGroup::new() else {
        tell(
            "NOT TESTED: a target killed for want of memory, as no memory cgroup can be made here (that takes root)",
        );
        return;
    };
    let processes = group.0.join("cgroup.procs");
    let rounds = rounds(2).min(20);
    for _ in 0..rounds {
        let target = program("ends.js", Version::new(22, 23, 3), "memory");
        let mut member = Command::new("sh");
        member.args(["-c", r#"echo $$ > "$0" && exec "$@""#]).arg(&processes);
        member.arg(target.get_program()).args(target.get_args());
        let mut target = Target::ready(&mut member).unwrap();
        let mut profiler = profiler(&target);
        assert_eq!(target.ended().status.signal(), Some(9));
        told(&mut profiler, "was killed by SIGKILL");
    }
    tell(&format!("{rounds} targets killed for want of memory in a cgroup"));
}

#[test]
fn a_target_that_becomes_another_program_is_left_to_it() {
    let _alone = alone();
    let rounds = rounds(2).min(50);
    for _ in 0..rounds {
        let mut target = Target::ready(&mut program("ends.js", Version::new(26, 10, 0), "execve")).unwrap();
        let mut profiler = profiler(&target);
        assert!(target.says("NEW\n", 20 * SECOND), "{} {}", target.stdout(), target.stderr());
        told(&mut profiler, "replaced itself by another program");
        assert!(target.alive() && target.held_threads().is_empty());
    }
    tell(&format!("{rounds} Nodes became another program by process.execve"));
}

/// Has core dumps go through a pipe to a reader that takes its time, as to `systemd-coredump`; for all of the host, so
/// what was before is put back at the end.
#[cfg(feature = "sweeps")]
struct PipedDumps {
    before: String,
    size: PathBuf,
}

#[cfg(feature = "sweeps")]
impl PipedDumps {
    const PATTERN: &'static str = "/proc/sys/kernel/core_pattern";

    /// `None` where this user may not.
    fn new() -> Option<Self> {
        use std::os::unix::fs::PermissionsExt;
        let size = std::env::temp_dir().join(format!("node-flame-dump-{}", std::process::id()));
        let (reader, text) = (size.with_extension("py"), size.display());
        let script = format!(
            "#!/usr/bin/python3
import os, sys, time
size = 0
while some := sys.stdin.buffer.read1(65536):
    size += len(some)
    time.sleep(0.0005)
open('{text}.new', 'w').write(str(size))
os.rename('{text}.new', '{text}')
"
        );
        fs::write(&reader, script).ok()?;
        fs::set_permissions(&reader, fs::Permissions::from_mode(0o755)).ok()?;
        let before = fs::read_to_string(Self::PATTERN).ok()?;
        fs::write(Self::PATTERN, format!("|{}", reader.display())).ok()?;
        Some(Self { before, size })
    }

    /// Bytes of the next dump.
    fn next(&self) -> u64 {
        let deadline = Instant::now() + 60 * SECOND;
        loop {
            if let Some(size) = fs::read_to_string(&self.size).ok().and_then(|text| text.parse().ok()) {
                let _ = fs::remove_file(&self.size);
                return size;
            }
            assert!(Instant::now() < deadline, "no core dump came");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

#[cfg(feature = "sweeps")]
impl Drop for PipedDumps {
    fn drop(&mut self) {
        let _ = fs::write(Self::PATTERN, self.before.trim_end());
        let _ = fs::remove_file(self.size.with_extension("py"));
    }
}

#[cfg(feature = "sweeps")]
#[test]
fn a_core_dump_through_a_pipe_is_as_large_as_without_a_profiler() {
    let _alone = alone();
    let Some(dumps) = PipedDumps::new() else {
        return tell("NOT TESTED: core dumps through a pipe, which root alone can have made");
    };
    let start = || {
        let version = Version::new(22, 23, 3);
        let mut shell = Command::new("sh");
        shell.args(["-c", "ulimit -c unlimited && exec \"$0\" \"$@\""]).arg(node(version));
        let program = workspace().join("tests/programs/ends.js");
        Target::ready(shell.arg(program).arg("abort")).unwrap()
    };
    start().ended();
    let whole = dumps.next();
    for round in 0..rounds(10).min(10) {
        let mut target = start();
        let mut profiler = profiler(&target);
        target.ended();
        let size = dumps.next();
        assert!(size * 10 > whole * 9, "round {round}: {size} bytes of {whole}");
        told(&mut profiler, "was killed by SIGABRT");
    }
    tell(&format!("core dumps of {whole} bytes through a pipe were whole"));
}
