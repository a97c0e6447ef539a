//! What node-flame says when it cannot do what was asked, its exit code, and that the process it was
//! pointed at is alive, running and untraced afterwards.

mod common;

use common::{
    Scratch, Target, assert_free, is_traced, kill, need, node_flame, start_node_flame, state, tell,
    wait_until,
};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[test]
fn wrong_usage_is_one_line_a_hint_and_exit_code_2() {
    for (line, words) in [
        ("", "which process"),
        ("frobnicate text 1", "neither a process id nor a command: `frobnicate`"),
        ("1 svg 1", "no format `svg`; there are text, flame, raw, fullraw, folded, "),
        ("1 text 0", "seconds are a decimal number above 0"),
        ("1 text 1 --rate 0", "a rate is a whole number from 1 to 10000, not `0`"),
        ("1 text --wall=0.2", "`--wall` takes no value"),
        ("1 text 1 -r 50 -r 60", "`-r` is given more than once"),
        ("1 text -1", "seconds are a decimal number above 0 (and at most a year's), not `-1`"),
        ("1 text 1 --output=", "`-o` names no file"),
        ("top 1234", "the process id comes first: node-flame 1234 top"),
        ("1 top -q", "`--quiet` has no meaning for `top`"),
        ("1 text 1 --frob", "unrecognized argument: --frob"),
        ("run text 1 -- node", "name a file for the profile by `-o FILE`"),
    ] {
        let ended = node_flame(line);
        ended.assert(2, &["node-flame: ", words, "usage: node-flame <pid> <format> <seconds>"]);
        assert_eq!(ended.stdout, "");
        assert_eq!(ended.stderr.lines().count(), 7, "{}", ended.stderr);
    }
}

#[test]
fn a_pid_that_nobody_has_is_said() {
    let mut gone = Command::new("true").spawn().unwrap();
    gone.wait().unwrap();
    node_flame(&format!("{} text 1", gone.id())).assert(1, &["no process", &gone.id().to_string()]);
}

#[test]
fn a_process_that_is_not_node_is_told_by_what_it_runs() {
    let mut target = Target::start(&mut Command::new("cat"));
    let ended = node_flame(&format!("{} text 1", target.pid()));
    ended.assert(1, &[&format!("{} is not a Node.js process", target.pid()), "/cat"]);
    target.assert_unharmed();
}

#[test]
fn an_executable_that_cannot_be_mapped_is_not_taken_for_something_else() {
    let mut target = Target::node();
    let script = format!("ulimit -v 65536; exec {} {} text 1", common::NODE_FLAME, target.pid());
    let ended = common::Ended::from(Command::new("sh").args(["-c", &script]).output().unwrap());
    let words =
        ["cannot tell whether", "could not map /", "Out of memory; node-flame needs more address space"];
    ended.assert(1, &words);
    target.assert_unharmed();
}

#[test]
fn other_javascript_engines_are_told_by_name() {
    for (name, words) in [("bun", "JavaScriptCore"), ("deno", "Deno"), ("java", "async-profiler")] {
        let scratch = Scratch::new(name);
        let path = scratch.path(name);
        fs::copy(found("cat"), &path).unwrap();
        let mut target = Target::start(&mut Command::new(&path));
        node_flame(&format!("{} text 1", target.pid())).assert(1, &["is not a Node.js process", words]);
        target.assert_unharmed();
    }
}

#[test]
fn an_emulated_program_is_told_by_its_emulator() {
    let scratch = Scratch::new("emulated");
    let path = scratch.path("qemu-aarch64-static");
    fs::copy(found("cat"), &path).unwrap();
    let mut target = Target::start(&mut Command::new(&path));
    let words = "is the emulator qemu-aarch64: the program in it is built for another processor";
    node_flame(&format!("{} text 1", target.pid())).assert(1, &[words]);
    target.assert_unharmed();
}

#[test]
fn an_executable_with_a_hostile_name_never_reaches_the_terminal_raw() {
    let scratch = Scratch::new("hostile");
    let path = scratch.path("a\u{1b}[2Jb\n");
    fs::copy(found("cat"), &path).unwrap();
    let mut target = Target::start(&mut Command::new(&path));
    let ended = node_flame(&format!("{} text 1", target.pid()));
    ended.assert(1, &["is not a Node.js process", r"a\x1b[2Jb\n"]);
    assert!(!ended.stderr.contains('\u{1b}'));
    target.assert_unharmed();
}

#[test]
fn the_name_of_an_output_cannot_forge_a_line() {
    let target = Target::node();
    let scratch = Scratch::new("forged");
    let output = Command::new(common::NODE_FLAME)
        .args([&target.pid().to_string(), "text", "0.2", "-o"])
        .arg(scratch.path("a\nNote: b"))
        .output();
    let ended = common::Ended::from(output.unwrap());
    ended.assert(0, &[r"/a\nNote: b."]);
    assert!(!ended.stderr.lines().any(|line| line.starts_with("Note: b")), "{ended:?}");
}

#[test]
fn a_32_bit_process_is_refused() {
    let scratch = Scratch::new("i386");
    let path = scratch.path("pause32");
    fs::write(&path, pausing_i386_executable()).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    /// "Exec format error": a kernel without 32-bit support has no such processes.
    const ENOEXEC: i32 = 8;
    let target = match Target::try_start(&mut Command::new(&path)) {
        Err(error) if error.raw_os_error() == Some(ENOEXEC) => {
            return tell("NOT TESTED: a 32-bit process, as this kernel runs none");
        }
        started => started.expect("it starts"),
    };
    node_flame(&format!("{} text 1", target.pid())).assert(1, &["32-bit"]);
    assert_free(target.pid());
}

#[test]
fn a_zombie_is_told_as_ended() {
    let mut child = Command::new("true").spawn().unwrap();
    let stat = format!("/proc/{}/stat", child.id());
    wait_until("it is a zombie", || fs::read_to_string(&stat).unwrap().contains(") Z "));
    let ended = node_flame(&format!("{} text 1", child.id()));
    child.wait().unwrap();
    ended.assert(1, &["has ended"]);
}

#[test]
fn node_flame_does_not_profile_itself() {
    let script = format!("exec {} $$ text 1", common::NODE_FLAME);
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    common::Ended::from(output).assert(1, &["node-flame cannot profile itself"]);
}

#[test]
fn a_stopped_process_is_told_as_such_and_sampled_once_it_goes_on() {
    let mut target = Target::node();
    let note = format!("Note: {} is stopped; samples begin when it is continued (SIGCONT).\n", target.pid());
    kill(target.pid(), "STOP");
    wait_until("it stands", || state(target.pid()) == Some('T'));
    for quiet in [false, true] {
        let ended = node_flame(&format!("{} text 0.3{}", target.pid(), if quiet { " -q" } else { "" }));
        ended.assert(0, &[]);
        assert_eq!(ended.stderr.matches(&note).count(), usize::from(!quiet), "{ended:?}");
        // The kernel wakes it for its way from the tracer's stop back into its own.
        wait_until("it stands as before", || state(target.pid()) == Some('T') && !is_traced(target.pid()));
    }
    let profiler = start_node_flame(&format!("{} folded 60", target.pid()));
    wait_until("it has attached", || is_traced(target.pid()));
    std::thread::sleep(Duration::from_millis(200));
    kill(target.pid(), "CONT");
    std::thread::sleep(Duration::from_millis(800));
    kill(profiler.id(), "INT");
    let ended = common::Ended::from(profiler.wait_with_output().unwrap());
    ended.assert(0, &[&note, "Samples: "]);
    assert!(ended.stdout.lines().count() > 0, "{ended:?}");
    target.assert_unharmed();
}

#[test]
fn a_shell_that_waits_for_node_flame_is_not_what_was_meant() {
    // By then the shell waits for what stands in parentheses.
    let script = format!("(sleep 0.3; exec {} $$ text 60); true", common::NODE_FLAME);
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    let words = ["waits for node-flame to end, so there is nothing to profile: another pid was meant?"];
    let ended = common::Ended::from(output);
    assert_eq!((ended.code, ended.stderr.lines().count()), (Some(0), 1), "{ended:?}");
    ended.assert(0, &words);
}

#[test]
fn a_node_that_waits_for_node_flame_is_idle_and_goes_on_afterwards() {
    const PROGRAM: &str = "
        const { spawnSync } = require('child_process');
        const ended = spawnSync(process.argv[1], [process.pid, 'text', '1'], { encoding: 'utf8' });
        process.stderr.write(ended.stderr);
        process.exit(ended.status === 0 ? 7 : 8);";
    let started = Instant::now();
    let output = Command::new("node").args(["-e", PROGRAM, common::NODE_FLAME]).output().unwrap();
    let ended = common::Ended::from(output);
    ended.assert(7, &["Sampling ", "Samples: ", " idle, 0 lost"]);
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_debugger_of_node_flame_itself_is_refused() {
    need("gdb");
    let gdb = "gdb -nx -batch -return-child-result -ex run --args";
    let script = format!("exec {gdb} {} $$ text 60", common::NODE_FLAME);
    let output = Command::new("sh").args(["-c", &script]).stdin(Stdio::null()).output().unwrap();
    common::Ended::from(output).assert(1, &["traces node-flame: each would wait for the other"]);
}

#[test]
fn a_missing_permission_says_which_and_what_helps() {
    let mut target = Target::node();
    let line = format!("{} text 1", target.pid());
    let ended = as_another_user(&line, &[]);
    ended.assert(
        1,
        &[&format!("cannot attach to {}", target.pid()), "Operation not permitted", "CAP_SYS_PTRACE", "root"],
    );
    target.assert_unharmed();
}

/// Files of /proc have an owner and rights of their own, for which it takes other capabilities.
#[test]
fn the_capability_to_trace_is_all_that_it_takes() {
    let mut target = Target::node();
    let words = ["--inh-caps=-all,+sys_ptrace", "--ambient-caps=-all,+sys_ptrace"];
    // Its thread is not always in that function.
    for (command, found) in [("folded 1", "burn:"), ("dump", "main (")] {
        let ended = as_another_user(&format!("{} {command}", target.pid()), &words);
        ended.assert(0, &[]);
        assert!(ended.stdout.contains(found), "{command}: {}", ended.stdout);
    }
    let ended = as_another_user(&format!("{} folded 0.3 --wall", target.pid()), &words);
    ended.assert(0, &["Note: threads that wait count as idle in spite of --wall"]);
    target.assert_unharmed();
}

#[test]
fn a_process_that_is_traced_already_names_its_tracer() {
    let mut target = Target::node();
    let mut first = start_node_flame(&format!("{} text 60", target.pid()));
    wait_until("the first one has attached", || is_traced(target.pid()));
    let ended = node_flame(&format!("{} text 1", target.pid()));
    kill(first.id(), "TERM");
    assert_eq!(first.wait().unwrap().code(), Some(0));
    ended.assert(1, &["already traced", &first.id().to_string(), "node-flame"]);
    target.assert_unharmed();
}

#[test]
fn a_process_under_a_debugger_or_strace_is_refused_by_that_ones_name() {
    need("gdb");
    need("strace");
    let mut target = Target::node();
    let pid = target.pid().to_string();
    let tracers =
        [("gdb", vec!["-nx", "-q", "-p", &pid]), ("strace", vec!["-f", "-o", "/dev/null", "-p", &pid])];
    for (name, arguments) in tracers {
        let mut tracer = Command::new(name);
        tracer.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut tracer = tracer.spawn().unwrap();
        wait_until("it is traced", || is_traced(target.pid()));
        let ended = node_flame(&format!("{pid} text 1"));
        // Both let go of it on their way out.
        tracer.stdin.take().unwrap().write_all(b"detach\nquit\n").unwrap();
        if name == "strace" {
            kill(tracer.id(), "INT");
        }
        tracer.wait().unwrap();
        ended.assert(
            1,
            &[&format!("cannot attach to {pid}: it is already traced by {name} ({})", tracer.id())],
        );
        assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
        target.assert_unharmed();
    }
}

#[test]
fn a_target_that_ends_half_way_is_written_and_said() {
    let target = Target::script(
        "console.log('ready'); const until = Date.now() + 1500; while (Date.now() < until);",
        &[],
    );
    let started = Instant::now();
    let ended = node_flame(&format!("{} folded 30", target.pid()));
    assert!(started.elapsed() < Duration::from_secs(10));
    ended.assert(0, &[&format!("{} exited", target.pid()), "Samples: "]);
    assert!(ended.stdout.lines().count() > 0, "{ended:?}");
}

#[test]
fn a_target_that_is_killed_half_way_is_written_and_said() {
    let mut target = Target::node();
    let profiler = start_node_flame(&format!("{} folded 30", target.pid()));
    wait_until("it has attached", || is_traced(target.pid()));
    std::thread::sleep(Duration::from_millis(500));
    target.kill();
    let ended = common::Ended::from(profiler.wait_with_output().unwrap());
    ended.assert(0, &["was killed by SIGKILL", "Samples: "]);
    assert!(ended.stdout.lines().count() > 0, "{ended:?}");
}

#[test]
fn an_interrupt_ends_early_and_writes() {
    // The last two by mistake: they were meant for the process.
    for signal in ["INT", "TERM", "HUP", "QUIT", "USR1", "USR2"] {
        let mut target = Target::node();
        let profiler = start_node_flame(&format!("{} folded 30", target.pid()));
        wait_until("it has attached", || is_traced(target.pid()));
        std::thread::sleep(Duration::from_millis(500));
        kill(profiler.id(), signal);
        let ended = common::Ended::from(profiler.wait_with_output().unwrap());
        ended.assert(0, &["Sampling ", "Samples: "]);
        assert!(ended.stdout.lines().count() > 0, "{ended:?}");
        target.assert_unharmed();
    }
}

#[test]
fn a_closed_stdout_is_said() {
    let mut target = Target::node();
    let mut profiler = start_node_flame(&format!("{} text 1", target.pid()));
    drop(profiler.stdout.take());
    let ended = common::Ended::from(profiler.wait_with_output().unwrap());
    ended.assert(1, &["cannot write standard output: Broken pipe"]);
    target.assert_unharmed();
}

#[test]
fn a_pipe_that_does_not_block_gets_the_whole_profile_however_slow_its_reader_is() {
    let mut target = Target::node();
    let (mut reader, writer) = std::io::pipe().unwrap();
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    let mut profiler = Command::new(common::NODE_FLAME)
        .args([&target.pid().to_string(), "flame", "0.3"])
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The page is larger than a pipe: its writer has met a full one by then.
    std::thread::sleep(Duration::from_secs(2));
    assert!(profiler.try_wait().unwrap().is_none());
    let mut page = String::new();
    reader.read_to_string(&mut page).unwrap();
    common::Ended::from(profiler.wait_with_output().unwrap()).assert(0, &[]);
    assert!(page.starts_with("<!doctype html>") && page.trim_end().ends_with("</html>"));
    target.assert_unharmed();
}

#[test]
fn a_stdout_that_was_never_open_is_said() {
    let mut target = Target::node();
    let script = format!("exec {} {} text 1 >&-", common::NODE_FLAME, target.pid());
    let ended = common::Ended::from(Command::new("sh").args(["-c", &script]).output().unwrap());
    ended.assert(1, &["cannot write standard output: it is closed"]);
    target.assert_unharmed();
}

#[test]
fn a_full_disk_is_said() {
    let mut target = Target::node();
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = Command::new(common::NODE_FLAME)
        .args([&target.pid().to_string(), "text", "1"])
        .stdout(Stdio::from(full))
        .output();
    common::Ended::from(output.unwrap()).assert(1, &["standard output: No space left on device"]);
    let ended = node_flame(&format!("{} text 1 -o /dev/full", target.pid()));
    ended.assert(1, &["cannot write /dev/full: No space left on device"]);
    target.assert_unharmed();
}

#[test]
fn a_file_beyond_the_limit_of_its_size_is_said_and_a_command_meets_the_limit_as_before() {
    let mut target = Target::node();
    let scratch = Scratch::new("limit");
    let (output, other) = (scratch.path("out"), scratch.path("other"));
    let limited = |words: &str| {
        let script = format!("ulimit -f 8; exec {} {words}", common::NODE_FLAME);
        common::Ended::from(Command::new("sh").args(["-c", &script]).output().unwrap())
    };
    let ended = limited(&format!("{} flame 0.3 -o {}", target.pid(), output.display()));
    ended.assert(1, &[&format!("cannot write {}: File too large", output.display())]);
    assert!(!output.exists());
    target.assert_unharmed();
    let command = format!("sh -c 'head -c 100000 /dev/zero > {}'", other.display());
    let ended = limited(&format!("run text 1 -q -o {} -- {command}", output.display()));
    assert_eq!(ended.code, Some(128 + 25), "{ended:?}");
}

#[test]
fn an_output_that_cannot_be_made_is_said_before_the_sampling() {
    let mut target = Target::node();
    let started = Instant::now();
    let ended = node_flame(&format!("{} text 60 -o /no/such/place", target.pid()));
    ended.assert(1, &["cannot write /no/such/place", "No such file or directory"]);
    assert!(started.elapsed() < Duration::from_secs(5));
    target.assert_unharmed();
}

#[test]
fn a_file_that_may_not_be_replaced_is_said_before_the_sampling_and_left_alone() {
    let mut target = Target::node();
    let scratch = Scratch::new("sticky");
    fs::set_permissions(scratch.path(""), fs::Permissions::from_mode(0o1777)).unwrap();
    let file = scratch.file("out", "of somebody else");
    let started = Instant::now();
    let ended = as_another_user(&format!("{} text 60 -o {file}", target.pid()), &[]);
    ended.assert(1, &[&format!("cannot write {file}: the file that is there may not be replaced")]);
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(fs::read_to_string(&file).unwrap(), "of somebody else");
    // Its own user replaces it there.
    node_flame(&format!("{} folded 0.3 -o {file}", target.pid())).assert(0, &["Wrote "]);
    assert!(fs::read_to_string(&file).unwrap().contains("burn:"));
    target.assert_unharmed();
}

#[test]
fn a_file_that_is_a_mount_of_its_own_is_written_as_it_is() {
    let mut target = Target::node();
    let scratch = Scratch::new("mount");
    let (outside, inside) = (scratch.file("outside", &"old\n".repeat(100_000)), scratch.file("inside", ""));
    let line = format!("{} {} folded 0.3 -o {inside}", common::NODE_FLAME, target.pid());
    let script = format!("mount --bind {outside} {inside} && {line}");
    let ended = Command::new("unshare").args(["--mount", "sh", "-c", &script]).output().unwrap();
    common::Ended::from(ended).assert(0, &["Wrote "]);
    let profile = fs::read_to_string(&outside).unwrap();
    assert!(profile.contains("burn:") && !profile.contains("old\n"), "{profile}");
    assert_eq!(fs::read_to_string(&inside).unwrap(), "");
    target.assert_unharmed();
}

#[test]
fn a_family_of_idle_nodes_is_told_what_shows_them() {
    let idle = "process.stdin.on('data', (data) => process.stdout.write(data)); console.log('ready');";
    let mut target = Target::script(idle, &[]);
    let line = format!("{} folded 0.5 --children", target.pid());
    node_flame(&line).assert(1, &["no Node.js process that ran was seen", "`--wall` shows where those wait"]);
    node_flame(&format!("{line} --wall")).assert(0, &["Samples: "]);
    target.assert_unharmed();
}

#[test]
fn a_node_of_a_family_that_is_refused_is_said_whatever_it_is_called_and_after_an_upgrade() {
    let scratch = Scratch::new("upgraded");
    let path = scratch.path("node22");
    fs::copy(fs::canonicalize(found("node")).unwrap(), &path).unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-c", "\"$0\" -e \"console.log('ready'); process.stdin.resume()\"; true"]).arg(&path);
    let mut shell = Target::start(&mut shell);
    assert_eq!(shell.line(), "ready");
    fs::remove_file(&path).unwrap();
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", shell.pid())).unwrap();
    let node: u32 = children.trim().parse().unwrap();
    let first = start_node_flame(&format!("{node} text 60"));
    wait_until("the first one has attached", || is_traced(node));
    let ended = node_flame(&format!("{} text 0.5 --children", shell.pid()));
    kill(first.id(), "TERM");
    common::Ended::from(first.wait_with_output().unwrap()).assert(0, &[]);
    ended.assert(1, &[&format!("cannot attach to {node}: it is already traced by node-flame")]);
    shell.end();
}

#[test]
fn an_executable_of_a_family_that_cannot_be_mapped_is_said() {
    let mut target = Target::node();
    let line = format!("{} text 1 --children", target.pid());
    let script = format!("ulimit -v 65536; exec {} {line}", common::NODE_FLAME);
    let ended = common::Ended::from(Command::new("sh").args(["-c", &script]).output().unwrap());
    ended.assert(1, &["cannot tell whether", "could not map /", "Out of memory"]);
    target.assert_unharmed();
}

#[test]
fn files_that_cannot_be_compared_are_said() {
    let scratch = Scratch::new("diff");
    let (stacks, empty) = (scratch.file("stacks", "a;b 3\na;c 1\n"), scratch.file("empty", ""));
    node_flame(&format!("diff {stacks} /no/such/file"))
        .assert(1, &["cannot read /no/such/file: No such file"]);
    let output = scratch.path("out");
    let ended = node_flame(&format!("diff {stacks} {empty} -o {}", output.display()));
    ended.assert(1, &["empty holds no stacks"]);
    assert!(!output.exists());
    for (name, text, words) in [
        ("text", "Total samples: 9\n\nGC 0 %\n9 main:a.js:1\n", "is the output of the format text"),
        (
            "log",
            &("x 1\n".to_owned() + &"a line of a log\n".repeat(30)),
            "has nearly no line that is a stack",
        ),
    ] {
        let other = scratch.file(name, text);
        let ended = node_flame(&format!("diff {stacks} {other} -o {}", output.display()));
        ended.assert(1, &[&format!("{name} {words}"), "it should be the output of the format folded"]);
        assert!(!output.exists());
    }
    let ended = node_flame(&format!("diff {} {stacks}", scratch.path("").display()));
    ended.assert(1, &["cannot be read: Is a directory\n"]);
    node_flame(&format!("diff {stacks} {stacks} -o {}", output.display())).assert(0, &[]);
    assert!(fs::read_to_string(&output).unwrap().starts_with("<!doctype html>"));
    let partly = scratch.file("partly", "a;b 3\nno count\n");
    node_flame(&format!("diff {stacks} {partly} -o {}", output.display()))
        .assert(0, &["Note: 1 lines are no stacks and were left out"]);
}

/// The file of a command on the PATH.
fn found(command: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path).map(|folder| folder.join(command)).find(|file| file.exists()).unwrap()
}

/// Runs node-flame as another user than the target's, with no capability but what these words give it.
fn as_another_user(line: &str, capabilities: &[&str]) -> common::Ended {
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"]).args(capabilities);
    // The build directory may be closed to others.
    let scratch = Scratch::new("unprivileged");
    fs::set_permissions(scratch.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    let binary = scratch.path("node-flame");
    fs::copy(common::NODE_FLAME, &binary).unwrap();
    command.arg(&binary).args(line.split_whitespace()).output().unwrap().into()
}

/// An i386 program that calls pause(2) for ever: headers and 11 bytes of code.
fn pausing_i386_executable() -> Vec<u8> {
    const BASE: u32 = 0x0804_8000;
    const CODE: [u8; 11] = [
        0xb8, 29, 0, 0, 0, // mov eax, 29
        0xcd, 0x80, // int 0x80
        0xeb, 0xf7, // jmp back
        0x90, 0x90,
    ];
    let mut file = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    file.extend([2, 0, 3, 0, 1, 0, 0, 0]);
    for word in [BASE + 84, 52, 0, 0] {
        file.extend(word.to_le_bytes());
    }
    file.extend([52, 0, 32, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    let size = 84 + CODE.len() as u32;
    for word in [1, 0, BASE, BASE, size, size, 5, 0x1000] {
        file.extend(word.to_le_bytes());
    }
    file.extend(CODE);
    file
}
