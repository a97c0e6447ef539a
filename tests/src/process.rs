//! Child processes of a test: bounded in time, killed by pid when the test is done with them.

use std::{
    ffi::OsStr,
    fs,
    io::Read,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{nodes, tiers::Tier, version::Version};

const SECOND: Duration = Duration::from_secs(1);

/// What a program that has ended left behind.
#[derive(Debug)]
pub struct Ended {
    /// Its exit status; killed by this process if it took too long.
    pub status: ExitStatus,
    /// Whether it had to be killed.
    pub overran: bool,
    /// All of its standard output.
    pub stdout: String,
    /// All of its standard error.
    pub stderr: String,
}

impl Ended {
    /// Whether the program ended by itself with exit code 0.
    pub fn ok(&self) -> bool {
        self.status.success() && !self.overran
    }
}

/// Runs `command` to its end, for at most `limit`; then kills it.
///
/// # Panics
/// When it cannot be started.
pub fn run(command: &mut Command, limit: Duration) -> Ended {
    Running::start(command).until_end(limit)
}

/// A running child process with its output gathered in the background; killed on drop.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdout: Output,
    stderr: Output,
}

impl Running {
    /// Starts `command` with nothing on its standard input.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let stdout = Output::gather(child.stdout.take());
        let stderr = Output::gather(child.stderr.take());
        Self { child, stdout, stderr }
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills the process by SIGKILL and waits for its end.
    pub fn kill(&mut self) {
        // Errors mean that it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Sends the process a signal.
    ///
    /// # Panics
    /// When there is no `kill` to be run.
    pub fn send(&self, signal: &str) {
        // It may have ended by itself: then the signal is too late.
        let _ = run(&mut command("kill", &[&format!("-{signal}"), &self.pid().to_string()]), SECOND * 10);
    }

    /// Waits for the process' end and gives what it left behind.
    ///
    /// # Panics
    /// When it takes more than three minutes, which nothing does that a test waits for; by then it is killed.
    pub fn ended(&mut self) -> Ended {
        let ended = self.until_end(SECOND * 180);
        assert!(!ended.overran, "it had to be killed: {ended:?}");
        ended
    }

    /// Waits for the process' end for at most `limit`, and then kills it.
    fn until_end(&mut self, limit: Duration) -> Ended {
        let deadline = Instant::now() + limit;
        let (status, overran) = loop {
            match self.child.try_wait().expect("a child can be waited for") {
                Some(status) => break (status, false),
                None if Instant::now() >= deadline => {
                    // An error here means that it has just ended.
                    let _ = self.child.kill();
                    break (self.child.wait().expect("a killed child can be waited for"), true);
                }
                None => thread::sleep(Duration::from_millis(2)),
            }
        };
        Ended { status, overran, stdout: self.stdout.all(), stderr: self.stderr.all() }
    }

    /// Whether the process still runs.
    pub fn alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

#[derive(Debug)]
struct Output {
    text: Arc<(Mutex<Vec<u8>>, Condvar)>,
    closed: Arc<AtomicBool>,
}

impl Output {
    fn gather(pipe: Option<impl Read + Send + 'static>) -> Self {
        let text = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
        let closed = Arc::new(AtomicBool::new(false));
        let (shared, done) = (Arc::clone(&text), Arc::clone(&closed));
        thread::spawn(move || {
            let mut chunk = [0; 8192];
            if let Some(mut pipe) = pipe {
                while let Ok(n @ 1..) = pipe.read(&mut chunk) {
                    shared.0.lock().expect("no holder panics").extend_from_slice(&chunk[..n]);
                    shared.1.notify_all();
                }
            }
            done.store(true, Ordering::Release);
            shared.1.notify_all();
        });
        Self { text, closed }
    }

    /// Waits until the output holds `wanted`; false if it ended or `limit` passed before.
    fn wait_for(&self, wanted: &str, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut text = self.text.0.lock().expect("no holder panics");
        loop {
            if String::from_utf8_lossy(&text).contains(wanted) {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.closed.load(Ordering::Acquire) {
                return false;
            }
            // Short waits, so that a close between the check and the wait is seen.
            text = self.text.1.wait_timeout(text, left.min(Duration::from_millis(50))).expect("no panic").0;
        }
    }

    /// Everything, once the writers have closed their end (a second at most: a grandchild may hold it open).
    fn all(&self) -> String {
        let deadline = Instant::now() + Duration::from_secs(1);
        while !self.closed.load(Ordering::Acquire) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
        self.so_far()
    }

    fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.text.0.lock().expect("no holder panics")).into_owned()
    }
}

/// A Node.js process that is profiled; killed on drop.
#[derive(Debug)]
pub struct Target {
    running: Running,
}

impl Target {
    /// Starts `program` on the official build of `version` under a tier's flags, and waits until it says
    /// READY.
    ///
    /// # Errors
    /// The output of a target that ended or stayed silent for 20 s.
    ///
    /// # Panics
    /// When the build is missing from the cache.
    pub fn start(version: Version, tier: Tier, program: &Path) -> Result<Self, String> {
        let flags = tier.flags(version).ok_or_else(|| format!("Node {version} has no tier {tier}"))?;
        Self::ready(Command::new(nodes::node(version)).args(flags).arg(program))
    }

    /// Starts any command and waits until it says READY on its standard output.
    ///
    /// # Errors
    /// The output of a target that ended or stayed silent for 20 s.
    pub fn ready(command: &mut Command) -> Result<Self, String> {
        let running = Running::start(command.env_remove("NODE_OPTIONS"));
        if running.stdout.wait_for("READY\n", Duration::from_secs(20)) {
            return Ok(Self { running });
        }
        Err(format!("{command:?} did not say READY: {} {}", running.stdout.so_far(), running.stderr.so_far()))
    }

    /// The target's process id.
    pub fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// Whether the target still runs.
    pub fn alive(&mut self) -> bool {
        self.running.alive()
    }

    /// What the target wrote to its standard output so far.
    pub fn stdout(&self) -> String {
        self.running.stdout.so_far()
    }

    /// Waits until the target's standard output holds `text`; false if it ended or `limit` passed before.
    pub fn says(&self, text: &str, limit: Duration) -> bool {
        self.running.stdout.wait_for(text, limit)
    }

    /// A field of `/proc/PID/status`, such as `TracerPid` or `State`.
    pub fn status(&self, field: &str) -> Option<String> {
        status(self.pid(), field)
    }

    /// Sends the target a signal, by its name without `SIG`.
    ///
    /// # Panics
    /// When there is no `kill` to be run.
    pub fn send(&self, signal: &str) {
        self.running.send(signal);
    }

    /// Waits for the target's end.
    ///
    /// # Panics
    /// When it takes more than three minutes.
    pub fn ended(&mut self) -> Ended {
        self.running.ended()
    }

    /// What the target wrote to its standard error so far.
    pub fn stderr(&self) -> String {
        self.running.stderr.so_far()
    }

    /// The target's threads that are stopped or traced, in words.
    ///
    /// # Panics
    /// When the target has ended.
    pub fn held_threads(&self) -> Vec<String> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.pid())).expect("the target's threads");
        let tids = tasks.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        tids.filter_map(|tid: u32| {
            let (tracer, state) = (status(tid, "TracerPid")?, status(tid, "State")?);
            let held = tracer != "0" || state.starts_with(['t', 'T']);
            held.then(|| format!("{tid}: TracerPid {tracer}, {state}"))
        })
        .collect()
    }

    /// Whether the target comes to use processor time within 5 s.
    pub fn runs_on(&self) -> bool {
        let before = self.cpu_ticks();
        (0..500).any(|_| {
            thread::sleep(Duration::from_millis(10));
            self.cpu_ticks() > before
        })
    }

    /// Waits until some thread of the target is traced, for 10 s.
    ///
    /// # Panics
    /// When none comes to be.
    pub fn until_traced(&self) {
        let deadline = Instant::now() + SECOND * 10;
        while self.status("TracerPid").is_none_or(|tracer| tracer == "0") {
            assert!(Instant::now() < deadline, "it is not traced");
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Processor time used so far, user and system, in clock ticks (1/100 s).
    pub fn cpu_ticks(&self) -> Option<u64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).ok()?;
        let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
        Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
    }
}

/// How often tests of chance repeat: `FLAME_ROUNDS`, or few enough for every run.
pub fn rounds(default: u32) -> u32 {
    std::env::var("FLAME_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(default)
}

/// A field of a process's or thread's `/proc/ID/status`.
pub fn status(id: u32, field: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = text.lines().find(|line| line.split(':').next() == Some(field))?;
    Some(line[field.len() + 1..].trim().to_owned())
}

/// A command for `program` with `args`, for [`run`].
pub fn command(program: impl AsRef<OsStr>, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args);
    command
}
