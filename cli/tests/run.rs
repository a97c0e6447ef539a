//! `run`: the command behaves as if it had been started without node-flame, and its Node is profiled.

mod common;

use common::{Ended, NODE_FLAME, Scratch, wait_until};
use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Keeps a CPU busy for a while in a function with a name of its own.
const BUSY: &str = "
    function burnForTheTest(until) { let sum = 0; while (Date.now() < until) sum += Math.sqrt(sum + 1); }
    burnForTheTest(Date.now() + Number(process.argv[2] || 700));
";

fn busy(scratch: &Scratch) -> String {
    scratch.file("busy.js", BUSY)
}

/// node-flame running a command, the profile as `folded` in `output`.
fn run(seconds: &str, output: &Path, command: &[&str]) -> Command {
    let mut run = Command::new(NODE_FLAME);
    run.args(["run", "folded", seconds, "-o"]).arg(output).arg("--").args(command).stdin(Stdio::null());
    run
}

fn ended(command: &mut Command) -> Ended {
    command.output().expect("node-flame starts").into()
}

/// Samples in lines that hold `name`, and in all.
fn samples(profile: &Path, name: &str) -> (u64, u64) {
    let text = fs::read_to_string(profile).expect("a profile was written");
    let count =
        |line: &str| line.rsplit(' ').next().and_then(|count| count.parse::<u64>().ok()).expect("a count");
    let all = text.lines().map(count).sum();
    (text.lines().filter(|line| line.contains(name)).map(count).sum(), all)
}

#[test]
fn a_command_is_profiled_from_its_start_to_its_end() {
    let _turn = common::turn();
    let scratch = Scratch::new("whole");
    let output = scratch.path("out");
    let ended = ended(&mut run("30", &output, &["node", &busy(&scratch)]));
    ended.assert(0, &["Sampling ", "exited with code 0", "Samples: ", "Wrote "]);
    let (named, all) = samples(&output, "burnForTheTest:");
    assert!(named > 5 && named * 3 > all, "{named} of {all}");
    // Node's own start is seen, too.
    assert!(samples(&output, "node::LoadEnvironment").0 > 0);
}

#[test]
fn the_commands_streams_and_exit_code_are_its_own() {
    let _turn = common::turn();
    let scratch = Scratch::new("streams");
    let program = "
        const until = Date.now() + 1000; while (Date.now() < until);
        process.stdin.on('data', (data) => process.stdout.write(`out ${data}`)).on('end', () => {
            process.stderr.write('err\\n'); process.exit(7);
        });";
    let mut child = run("30", &scratch.path("out"), &["node", "-e", program])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"line\n").unwrap();
    let ended = Ended::from(child.wait_with_output().unwrap());
    ended.assert(7, &["err\n", "exited with code 7"]);
    assert_eq!(ended.stdout, "out line\n");
}

/// Keeps a CPU busy in a function, in one that is inlined into it, and in system calls.
const KINDS: &str = "
    function addForTheTest(a, b) { return a + Math.sqrt(b); }
    function burnForTheTest(until) {
        let sum = 0;
        while (Date.now() < until) for (let at = 0; at < 1e5; at++) sum = addForTheTest(sum, at) % 1e6;
        return sum;
    }
    burnForTheTest(Date.now() + 1200);
    const until = Date.now() + 600;
    while (Date.now() < until) try { require('fs').readdirSync('/proc/self/task'); } catch {}
";

#[test]
fn annotate_marks_each_frame_by_its_kind_and_is_off_unless_asked_for() {
    let _turn = common::turn();
    let scratch = Scratch::new("annotate");
    let (program, output) = (scratch.file("kinds.js", KINDS), scratch.path("out"));
    let frames = |options: &[&str]| -> BTreeSet<String> {
        let mut command = Command::new(NODE_FLAME);
        command.args(["run", "folded", "30", "-r", "500", "-o"]).arg(&output).args(options);
        ended(command.args(["--", "node", &program]).stdin(Stdio::null())).assert(0, &["Wrote "]);
        let text = fs::read_to_string(&output).expect("a profile was written");
        let stacks = text.lines().filter_map(|line| Some(line.rsplit_once(' ')?.0));
        stacks.flat_map(|stack| stack.split(';')).map(str::to_owned).collect()
    };
    let marked = frames(&["--annotate"]);
    let all = format!("{marked:#?}");
    let has =
        |start: &str, end: &str| marked.iter().any(|label| label.starts_with(start) && label.ends_with(end));
    assert!(has("burnForTheTest:", "kinds.js:3_[j]"), "{all}");
    assert!(has("addForTheTest:", "kinds.js:2_[i]"), "{all}");
    assert!(has("node::", ":[native]"), "{all}");
    assert!(has("", ":[native]_[k]"), "the C library: {all}");
    for label in &marked {
        let is_marked = ["_[j]", "_[i]", "_[k]"].iter().any(|mark| label.ends_with(mark));
        assert!(is_marked || label.ends_with(":[native]") || label == "[frames elided]", "{label}");
    }
    let plain = frames(&[]);
    assert!(plain.iter().all(|label| !label.contains("_[")), "{plain:#?}");
    assert!(plain.iter().any(|label| label.ends_with("kinds.js:3")), "{plain:#?}");
}

#[test]
fn a_command_that_is_killed_gives_the_code_that_a_shell_gives() {
    let _turn = common::turn();
    let scratch = Scratch::new("killed");
    let program = "const until = Date.now() + 1000; while (Date.now() < until); process.kill(process.pid, 'SIGTERM');\
                   setTimeout(() => {}, 9999);";
    let ended = ended(&mut run("30", &scratch.path("out"), &["node", "-e", program]));
    ended.assert(128 + 15, &["was killed by SIGTERM"]);
}

#[test]
fn node_is_found_behind_shells() {
    let _turn = common::turn();
    let scratch = Scratch::new("shells");
    let output = scratch.path("out");
    let script = format!("true; sh -c 'node \"{0}\"; true'; exit 3", busy(&scratch));
    ended(&mut run("30", &output, &["sh", "-c", &script])).assert(3, &["exited with code 0"]);
    assert!(samples(&output, "burnForTheTest:").0 > 5);
}

#[test]
fn a_package_managers_own_node_is_passed_over() {
    let _turn = common::turn();
    let scratch = Scratch::new("npm");
    let output = scratch.path("out");
    let npm = scratch.file(
        "npm",
        "const until = Date.now() + 300; while (Date.now() < until);
         const { status } = require('child_process').spawnSync('node', process.argv.slice(2), { stdio: 'inherit' });
         process.exit(status + 4);",
    );
    ended(&mut run("30", &output, &["node", &npm, &busy(&scratch)])).assert(4, &["Wrote "]);
    let (named, all) = samples(&output, "burnForTheTest:");
    assert!(named > 5 && named * 3 > all, "{named} of {all}");
}

#[test]
fn a_command_that_outlives_the_sampling_runs_on_with_its_profile_written() {
    let _turn = common::turn();
    let scratch = Scratch::new("outlives");
    let output = scratch.path("out");
    let started = Instant::now();
    let mut child =
        run("0.5", &output, &["node", &busy(&scratch), "3000"]).stderr(Stdio::piped()).spawn().unwrap();
    wait_until("the profile is there", || output.exists());
    assert!(child.try_wait().unwrap().is_none());
    let ended = Ended::from(child.wait_with_output().unwrap());
    ended.assert(0, &["runs on"]);
    assert!(started.elapsed() >= Duration::from_millis(3000));
}

#[test]
fn a_signal_is_passed_on_and_the_profile_is_written() {
    let _turn = common::turn();
    let scratch = Scratch::new("signal");
    let (output, ready) = (scratch.path("out"), scratch.path("ready"));
    let program = format!(
        "process.on('SIGTERM', () => process.exit(9));
         setInterval(() => {{ const until = Date.now() + 20; while (Date.now() < until); }}, 21);
         setTimeout(() => require('fs').writeFileSync('{}', ''), 500);",
        ready.display()
    );
    for seconds in ["30", "0.2"] {
        let _ = fs::remove_file(&ready);
        let child = run(seconds, &output, &["node", "-e", &program])
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        wait_until("the command runs", || ready.exists());
        common::kill(child.id(), "TERM");
        Ended::from(child.wait_with_output().unwrap()).assert(9, &["Wrote "]);
        assert!(output.exists());
    }
}

/// Counts the signals it gets, and ends with 5 a while after the first.
const COUNTER: &str = "
    let count = 0;
    for (const signal of ['SIGINT', 'SIGHUP', 'SIGTERM', 'SIGQUIT']) process.on(signal, () => {
        if (count++ === 0) setTimeout(() => { console.log(`${signal} came ${count} times`); process.exit(5); }, 700);
    });
    setInterval(() => { const until = Date.now() + 20; while (Date.now() < until); }, 21);
    setTimeout(() => require('fs').writeFileSync(process.argv[1], ''), 300);
";

#[test]
fn every_signal_that_ends_programs_is_passed_on_once() {
    let _turn = common::turn();
    let scratch = Scratch::new("signals");
    let (output, ready) = (scratch.path("out"), scratch.path("ready"));
    for (signal, more) in
        [("INT", None), ("HUP", Some("--children")), ("TERM", Some("--threads")), ("QUIT", None)]
    {
        let _ = fs::remove_file(&ready);
        let file = ready.display().to_string();
        let mut command = Command::new(NODE_FLAME);
        command.args(["run", "folded", "30", "-o"]).arg(&output).args(more);
        command.args(["--", "node", "-e", COUNTER, &file]).stdin(Stdio::null());
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        wait_until("the command runs", || ready.exists());
        common::kill(child.id(), signal);
        let ended = Ended::from(child.wait_with_output().unwrap());
        ended.assert(5, &["Wrote "]);
        assert_eq!(ended.stdout, format!("SIG{signal} came 1 times\n"));
    }
}

/// Counts a signal that ends nothing, computes after the first one, and ends with 6.
const GOES_ON: &str = "
    let count = 0;
    function burnAfterTheSignal() { const until = Date.now() + 20; while (Date.now() < until); }
    for (const signal of ['SIGUSR1', 'SIGUSR2', 'SIGCONT']) process.on(signal, () => {
        if (count++ > 0) return;
        setInterval(burnAfterTheSignal, 21);
        setTimeout(() => { console.log(`${signal} came ${count} times`); process.exit(6); }, 1500);
    });
    setInterval(() => {}, 1000);
    setTimeout(() => require('fs').writeFileSync(process.argv[1], `${process.pid}\\n`), 300);
";

/// The process id that a program wrote into a file, as a whole line.
fn pid_in(ready: &Path) -> u32 {
    common::eventually("the command runs", || {
        fs::read_to_string(ready).ok()?.strip_suffix('\n').map(|pid| pid.parse().expect("a process id"))
    })
}

#[test]
fn after_signals_that_end_nothing_the_command_is_sampled_on() {
    let _turn = common::turn();
    let scratch = Scratch::new("goes-on");
    let (output, ready) = (scratch.path("out"), scratch.path("ready"));
    for (signal, more) in [("USR1", None), ("USR2", Some("--children")), ("CONT", None)] {
        let _ = fs::remove_file(&ready);
        let file = ready.display().to_string();
        let mut command = Command::new(NODE_FLAME);
        command.args(["run", "folded", "30", "-o"]).arg(&output).args(more);
        command.args(["--", "node", "-e", GOES_ON, &file]).stdin(Stdio::null());
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        pid_in(&ready);
        common::kill(child.id(), signal);
        let ended = Ended::from(child.wait_with_output().unwrap());
        ended.assert(6, &["Wrote "]);
        assert_eq!(ended.stdout, format!("SIG{signal} came 1 times\n"));
        let (after, all) = samples(&output, "burnAfterTheSignal:");
        assert!(after > 20, "SIG{signal}: {after} of {all}");
    }
}

#[test]
fn a_signal_before_its_node_is_there_reaches_the_command_and_the_search_goes_on() {
    let _turn = common::turn();
    let scratch = Scratch::new("early");
    let (output, ready) = (scratch.path("out"), scratch.path("ready"));
    // The shell starts Node when the signal comes.
    let script = format!(
        "trap 'node \"{}\"; exit 8' USR1; echo $$ > '{}'; while :; do sleep 0.05; done",
        busy(&scratch),
        ready.display()
    );
    let child = run("30", &output, &["sh", "-c", &script]).stderr(Stdio::piped()).spawn().unwrap();
    pid_in(&ready);
    common::kill(child.id(), "USR1");
    Ended::from(child.wait_with_output().unwrap()).assert(8, &["Wrote "]);
    assert!(samples(&output, "burnForTheTest:").0 > 5);
}

/// The state of a process as `/proc` has it: `T` is stopped.
fn state(pid: u32) -> char {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it lives");
    stat.rsplit(") ").next().and_then(|rest| rest.chars().next()).expect("a state")
}

#[test]
fn a_suspension_takes_the_command_along_and_both_go_on_after_it() {
    let _turn = common::turn();
    let scratch = Scratch::new("suspended");
    let (output, ready) = (scratch.path("out"), scratch.path("ready"));
    // As `kill` sends it to node-flame alone, and as a shell does to all of the job.
    for is_job in [false, true] {
        let _ = fs::remove_file(&ready);
        let mut command = run("30", &output, &["node", "-e", GOES_ON, &ready.display().to_string()]);
        // A process group of its own, as a shell gives to a job.
        command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().expect("it starts");
        let (flame, node) = (child.id(), pid_in(&ready));
        wait_until("it is sampled", || common::is_traced(node));
        let send = |signal: &str| match is_job {
            true => common::kill_group(flame, signal),
            false => common::kill(flame, signal),
        };
        send("TSTP");
        wait_until("both are stopped", || state(flame) == 'T' && state(node) == 'T');
        assert!(!common::is_traced(node), "a job: {is_job}");
        send("CONT");
        let ended = Ended::from(child.wait_with_output().unwrap());
        ended.assert(6, &["exited with code 6", "Wrote "]);
        assert_eq!(ended.stdout, "SIGCONT came 1 times\n", "a job: {is_job}");
        let (after, all) = samples(&output, "burnAfterTheSignal:");
        assert!(after > 20, "a job {is_job}: {after} of {all}");
    }
}

#[test]
fn a_key_of_the_terminal_reaches_the_command_once() {
    let _turn = common::turn();
    let scratch = Scratch::new("terminal");
    let (output, ready) = (scratch.path("out"), scratch.path("ready"));
    let program = scratch.file("counter.js", &COUNTER.replace("argv[1]", "argv[2]"));
    for (key, signal) in [(b"\x03", "SIGINT"), (b"\x1c", "SIGQUIT")] {
        let _ = (fs::remove_file(&ready), fs::remove_file(&output));
        // A shell that stays in between dies of the key itself.
        let line = format!(
            "exec {NODE_FLAME} run folded 30 -o {} -- node {program} {}",
            output.display(),
            ready.display()
        );
        // A terminal of its own, with node-flame and its command in the foreground.
        let mut terminal = Command::new("script")
            .args(["-qec", &line, "/dev/null"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("script, of bsdutils, starts");
        wait_until("the command runs", || ready.exists());
        terminal.stdin.as_mut().unwrap().write_all(key).unwrap();
        let ended = Ended::from(terminal.wait_with_output().unwrap());
        assert_eq!(ended.code, Some(5), "{}", ended.stdout);
        assert!(ended.stdout.contains(&format!("{signal} came 1 times")), "{}", ended.stdout);
        assert!(output.exists());
    }
}

#[test]
fn a_command_without_node_says_so_and_keeps_its_exit_code() {
    let _turn = common::turn();
    let scratch = Scratch::new("other");
    let output = scratch.path("out");
    ended(&mut run("1", &output, &["sh", "-c", "exit 5"])).assert(5, &["before a Node.js process was seen"]);
    ended(&mut run("1", &output, &["true"])).assert(1, &["before a Node.js process was seen"]);
    assert!(!output.exists());
    assert_eq!(fs::read_dir(scratch.path("")).unwrap().count(), 0);
}

#[test]
fn what_runs_is_said_once_where_no_node_comes_for_long_and_the_time_begins_with_one() {
    let _turn = common::turn();
    let scratch = Scratch::new("late");
    let output = scratch.path("out");
    let script = format!("sleep 4; node \"{}\"", busy(&scratch));
    let late = ended(&mut run("3", &output, &["sh", "-c", &script]));
    late.assert(
        0,
        &["Note: the command runs sleep (", ", and no Node.js yet; the sampling begins", "Wrote "],
    );
    assert_eq!(late.stderr.matches("Note: the command runs").count(), 1, "{late:?}");
    assert!(samples(&output, "burnForTheTest:").0 > 5);
}

#[test]
fn a_command_that_has_no_node_yet_is_not_said_to_have_ended() {
    let _turn = common::turn();
    let scratch = Scratch::new("yet");
    let (output, ready) = (scratch.path("out"), scratch.path("ready"));
    let words = ["no Node.js process was seen in the command until now: nothing was profiled", " runs on"];
    let script = format!("trap '' TERM; echo $$ > '{}'; sleep 2", ready.display());
    let child = run("30", &output, &["sh", "-c", &script]).stderr(Stdio::piped()).spawn().unwrap();
    pid_in(&ready);
    common::kill(child.id(), "TERM");
    Ended::from(child.wait_with_output().unwrap()).assert(1, &words);
    let mut family = Command::new(NODE_FLAME);
    family.args(["run", "folded", "0.3", "--children", "-o"]).arg(&output).args(["--", "sleep", "1.5"]);
    ended(family.stdin(Stdio::null())).assert(1, &words);
    assert!(!output.exists());
}

#[test]
fn a_wrapper_that_is_sampled_itself_is_said() {
    let _turn = common::turn();
    let scratch = Scratch::new("wrapper");
    let (output, npm) = (scratch.path("out"), scratch.file("npm", BUSY));
    let ended = ended(&mut run("30", &output, &["node", &npm, "3000"]));
    ended.assert(0, &[&format!("Note: {npm} itself is sampled: it has started no other Node"), "Wrote "]);
    assert!(samples(&output, "burnForTheTest:").0 > 5);
}

#[test]
fn a_command_that_cannot_be_started_is_said() {
    let _turn = common::turn();
    let scratch = Scratch::new("missing");
    let ended = ended(&mut run("1", &scratch.path("out"), &["/no/such/command"]));
    ended.assert(1, &["cannot start /no/such/command: No such file or directory"]);
}

/// As `docker stop` and the kubelet send it: the kernel does not tell a process who it was.
#[test]
fn a_signal_from_outside_of_the_pid_namespace_reaches_the_command() {
    let _turn = common::turn();
    let scratch = Scratch::new("outside");
    let output = scratch.path("out");
    let program = "
        process.on('SIGTERM', () => process.exit(9));
        setInterval(() => { const until = Date.now() + 5; while (Date.now() < until); }, 6);";
    let inner = run("60", &output, &["node", "-e", program]);
    let mut container = Command::new("unshare");
    container.args(["--pid", "--fork", "--kill-child", "--mount-proc"]).arg(inner.get_program());
    let container = common::Target::start(container.args(inner.get_args()));
    let child_of = |pid: u32| -> Option<u32> {
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
        children.split(' ').next()?.parse().ok()
    };
    let node = || child_of(child_of(container.pid())?);
    wait_until("it is traced", || node().is_some_and(common::is_traced));
    std::thread::sleep(Duration::from_millis(500));
    common::kill(child_of(container.pid()).unwrap(), "TERM");
    assert_eq!(container.end(), Some(9));
    assert!(samples(&output, "").1 > 0);
}
