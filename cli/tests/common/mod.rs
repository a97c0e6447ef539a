//! Processes for tests of the command line: the real binary, real targets, and their state afterwards.
#![allow(dead_code, reason = "every test file uses a part of it")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// The binary under test.
pub const NODE_FLAME: &str = env!("CARGO_BIN_EXE_node-flame");

/// A program that burns CPU, answers each line on stdin by itself, and ends when stdin does.
const ECHO: &str = "
    process.stdin.on('data', (data) => process.stdout.write(data)).on('end', () => process.exit(0));
    function burn(until) { let sum = 0; while (Date.now() < until) sum += Math.sqrt(sum + 1); return sum; }
    (function turn() { burn(Date.now() + 4); setTimeout(turn, 1); })();
    console.log('ready');
";

/// A target. It ends when this is dropped.
pub struct Target {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Target {
    /// A busy Node process that has started up.
    pub fn node() -> Target {
        Target::script(ECHO, &[])
    }

    /// A Node process with this program, which says `ready` when it is.
    pub fn script(program: &str, arguments: &[&str]) -> Target {
        let mut target = Target::start(Command::new("node").arg("-e").arg(program).args(arguments));
        assert_eq!(target.line(), "ready");
        target
    }

    /// Any process.
    pub fn start(command: &mut Command) -> Target {
        Target::try_start(command).expect("the target starts")
    }

    /// The same, where it may be that it cannot be started.
    pub fn try_start(command: &mut Command) -> std::io::Result<Target> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (stdin, stdout) = (child.stdin.take(), BufReader::new(child.stdout.take().expect("is piped")));
        Ok(Target { child, stdin, stdout })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line that it writes.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("the target writes a line");
        line.trim_end().to_owned()
    }

    /// Fails unless it answers, and no thread of it is stopped or traced.
    pub fn assert_unharmed(&mut self) {
        self.stdin.as_mut().expect("is piped").write_all(b"ping\n").expect("the target reads");
        assert_eq!(self.line(), "ping");
        assert_free(self.pid());
    }

    /// Ends it by SIGKILL, and leaves it a zombie.
    pub fn kill(&mut self) {
        self.child.kill().expect("it is a child");
    }

    /// Closes its stdin and waits for its end.
    pub fn end(mut self) -> Option<i32> {
        self.stdin.take();
        self.child.wait().expect("it is a child").code()
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Fails if a thread of the process is stopped or traced.
pub fn assert_free(pid: u32) {
    for task in fs::read_dir(format!("/proc/{pid}/task")).expect("the process lives") {
        let path = task.expect("a thread").path().join("status");
        // A thread may end in between.
        let Ok(status) = fs::read_to_string(&path) else { continue };
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
            line[name.len().min(line.len())..].trim().to_owned()
        };
        assert_eq!(field("TracerPid:"), "0", "{}", path.display());
        assert!(!field("State:").starts_with(['T', 't']), "{}: {status}", path.display());
    }
}

/// node-flame's end: exit code, stdout, stderr.
#[derive(Debug)]
pub struct Ended {
    /// Exit code.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Ended {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Ended {
    /// Fails unless it ended so, with a message that holds all of these.
    #[track_caller]
    pub fn assert(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{}", self.stderr);
        for word in words {
            assert!(self.stderr.contains(word), "no {word:?} in:\n{}", self.stderr);
        }
    }
}

/// Runs node-flame with these words to its end, which comes within a minute.
#[track_caller]
pub fn node_flame(line: &str) -> Ended {
    let child = start_node_flame(line);
    let pid = child.id();
    let (send, receive) = mpsc::channel();
    thread::spawn(move || send.send(child.wait_with_output()));
    match receive.recv_timeout(Duration::from_secs(60)) {
        Ok(output) => output.expect("it is a child").into(),
        Err(_) => {
            kill(pid, "KILL");
            panic!("node-flame {line}: no end in a minute");
        }
    }
}

/// Runs node-flame as on a kernel that does not tell where threads wait: it believes to be on Linux 2.6.
pub fn node_flame_on_an_old_kernel(line: &str) -> Ended {
    let mut command = Command::new("setarch");
    command.args([std::env::consts::ARCH, "--uname-2.6", NODE_FLAME]).args(line.split_whitespace());
    command.stdin(Stdio::null()).output().expect("setarch, of util-linux, starts").into()
}

/// Starts node-flame with these words.
pub fn start_node_flame(line: &str) -> Child {
    Command::new(NODE_FLAME)
        .args(line.split_whitespace())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("node-flame starts")
}

/// Waits until `condition` holds, at most 10 seconds.
#[track_caller]
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What `find` gives once it gives something, after at most 30 seconds.
#[track_caller]
pub fn eventually<T>(what: &str, mut find: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(found) = find() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Whether some thread of the process is traced.
pub fn is_traced(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/status")).is_ok_and(|status| {
        status.lines().any(|line| line.starts_with("TracerPid:") && !line.ends_with("\t0"))
    })
}

/// Makes sure that a program is there: as root on Debian it is installed.
pub fn need(program: &str) {
    let install = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/install");
    let status = Command::new(install).args([program, program]).status().expect("it starts");
    assert!(status.success(), "{program} is missing");
}

/// The state of a process' first thread, by its letter.
pub fn state(pid: u32) -> Option<char> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("State:\t")?.chars().next())
}

/// All that can still be read.
pub fn rest(from: impl Read) -> String {
    std::io::read_to_string(from).expect("is UTF-8")
}

/// Sends a signal by its name.
pub fn kill(pid: u32, signal: &str) {
    let done = Command::new("kill").args([&format!("-{signal}"), &pid.to_string()]).status();
    assert!(done.expect("kill starts").success());
}

/// Sends a signal to a process group.
pub fn kill_group(group: u32, signal: &str) {
    let done = Command::new("kill").args([&format!("-{signal}"), "--", &format!("-{group}")]).status();
    assert!(done.expect("kill starts").success());
}

/// Prints what a passing test has to tell too: the test harness does not hold this back.
pub fn tell(text: &str) {
    // Where stderr is gone, nobody listens.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// A directory of its own, removed at the end.
pub struct Scratch(PathBuf);

impl Scratch {
    /// An empty one.
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("node-flame-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).expect("a directory can be made");
        Scratch(path)
    }

    /// A path in it.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.join(name)
    }

    /// The path of a new file in it.
    pub fn file(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::write(&path, text).expect("a file can be written");
        path.into_os_string().into_string().expect("is UTF-8")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Holds back other tests of this file: those that burn CPU would take each other's samples.
pub fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    // A test that failed while it had its turn is no reason for the next one to fail.
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}
