//! Starts the processes of a test and looks at them.

pub use crate::counter;
use flame_sys::process::Process;
use rustix::process::{Pid, Signal, kill_process};
use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// How often tests of chance repeat: `FLAME_ROUNDS`, or few enough for every run.
pub fn rounds(default: u32) -> u32 {
    std::env::var("FLAME_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(default)
}

/// Prints what a passing test has to tell too: the test harness does not hold this back.
pub fn tell(text: &str) {
    // Where stderr is gone, nobody listens.
    let _ = writeln!(std::io::stderr(), "{text}");
}

pub fn pause(milliseconds: u64) {
    std::thread::sleep(Duration::from_millis(milliseconds));
}

/// A process to be traced. Killed when it is dropped.
pub struct Target {
    child: Child,
    path: PathBuf,
    page: &'static [AtomicU64; 64],
}

impl Target {
    pub fn start(role: &[&str]) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Relaxed);
        let path = std::env::temp_dir().join(format!("flame-live-{}-{number}", std::process::id()));
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
        file.set_len(512).unwrap();
        // SAFETY: a shared mapping of the file, never unmapped, used as atomics alone.
        let page = unsafe {
            use rustix::mm::{MapFlags, ProtFlags, mmap};
            let rights = ProtFlags::READ | ProtFlags::WRITE;
            &*mmap(std::ptr::null_mut(), 512, rights, MapFlags::SHARED, file.as_fd(), 0).unwrap().cast()
        };
        let child = Command::new(env!("CARGO_BIN_EXE_live-target"))
            .args(role)
            .env("COUNTERS", &path)
            // For its core dumps.
            .current_dir(std::env::temp_dir())
            // As a job of a shell: one of an orphaned group is not stopped by SIGTSTP.
            .process_group(0)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let target = Target { child, path, page };
        target.until("it is ready", || target.get(counter::READY) == 1);
        target
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn get(&self, counter: usize) -> u64 {
        self.page[counter].load(Relaxed)
    }

    pub fn send(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.pid() as i32).unwrap(), signal).unwrap();
    }

    /// Queues a signal with a number.
    pub fn queue(&self, number: u32) {
        let value = libc::sigval { sival_ptr: std::ptr::without_provenance_mut(number as usize) };
        loop {
            // SAFETY: plain numbers.
            let queued = unsafe { libc::sigqueue(self.pid() as i32, libc::SIGRTMIN() + 3, value) };
            if queued == 0 {
                return;
            }
            // As many as may be pending are.
            pause(1);
        }
    }

    /// Waits for what takes microseconds, without a sleep.
    pub fn soon(&self, what: &str, is: impl Fn() -> bool) {
        let end = Instant::now() + Duration::from_secs(10);
        while !is() {
            assert!(Instant::now() < end, "ten seconds without: {what}; {}", self.describe());
            std::thread::yield_now();
        }
    }

    /// Waits until it is so, for ten seconds.
    pub fn until(&self, what: &str, is: impl Fn() -> bool) {
        let end = Instant::now() + Duration::from_secs(10);
        while !is() {
            assert!(Instant::now() < end, "ten seconds without: {what}; {}", self.describe());
            pause(1);
        }
    }

    /// Tells it to end and gives its exit status.
    pub fn stop(&mut self) -> ExitStatus {
        self.page[counter::STOP].store(1, Relaxed);
        self.wait()
    }

    /// Its exit status, within ten seconds; and once its first thread has ended, at once: a traced one whose end
    /// nobody takes note of holds it back.
    pub fn wait(&mut self) -> ExitStatus {
        let end = Instant::now() + Duration::from_secs(10);
        let (first, mut ended) = (self.pid(), None);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            if ended.is_none() && self.states().iter().any(|state| state.0 == first && state.1 == b'Z') {
                ended = Some(Instant::now());
            }
            let is_late = ended.is_some_and(|at| at.elapsed() > Duration::from_secs(1));
            assert!(
                !is_late && Instant::now() < end,
                "its parent is not told of its end: {}",
                self.describe()
            );
            pause(1);
        }
    }

    /// State and tracer of each thread.
    pub fn states(&self) -> Vec<(u32, u8, u32)> {
        let process = Process::open(self.pid()).unwrap();
        let (mut tids, mut text) = (Vec::new(), Vec::new());
        process.threads(&mut tids).unwrap_or_default();
        tids.into_iter()
            .filter_map(|tid| {
                process.text(&format!("task/{tid}/status"), &mut text).ok()?;
                let status = flame_sys::process::Status::parse(&text);
                Some((tid, status.state, status.tracer))
            })
            .collect()
    }

    fn describe(&self) -> String {
        let states = self.states();
        format!("{:?}", states.iter().map(|s| (s.0, s.1 as char, s.2)).collect::<Vec<_>>())
    }

    /// As [`is_unharmed`](Target::is_unharmed), where the first thread has ended.
    pub fn is_unharmed_but_for_its_first_thread(&self) {
        assert!(self.states().iter().any(|(tid, state, _)| *tid == self.pid() && *state == b'Z'));
        self.is_unharmed();
    }

    /// Nobody traces it, none of its threads stands still, and it gets on.
    pub fn is_unharmed(&self) {
        let free = |(_, state, tracer): &(u32, u8, u32)| *tracer == 0 && !matches!(state, b't' | b'T');
        self.until("it is free", || self.states().iter().all(free));
        let before = self.get(counter::PROGRESS);
        self.until("it gets on", || self.get(counter::PROGRESS) > before);
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.path);
        // What a dumped target left behind, where `core_pattern` is one of these.
        for name in ["core".into(), format!("core.{}", self.pid())] {
            let _ = std::fs::remove_file(std::env::temp_dir().join(name));
        }
    }
}

/// A tracing process.
pub struct Tracer {
    child: Option<Child>,
}

impl Tracer {
    /// Samples `pid` for some milliseconds.
    pub fn start(pid: u32, rate: u32, milliseconds: u64, more: &[&str]) -> Self {
        let words = ["trace".into(), pid.to_string(), rate.to_string(), milliseconds.to_string()];
        Self::play(Command::new(env!("CARGO_BIN_EXE_live-target")).args(words).args(more))
    }

    /// Samples commands that it starts itself, which use the counters of `target`.
    pub fn command(target: &Target, rate: u32, milliseconds: u64) -> Self {
        let words = ["command".into(), "-".into(), rate.to_string(), milliseconds.to_string()];
        let mut command = Command::new(env!("CARGO_BIN_EXE_live-target"));
        Self::play(command.args(words).env("COUNTERS", &target.path))
    }

    fn play(command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // As a shell starts a job: in the group of a test that was started by nothing that could continue it, a
        // SIGTSTP would do nothing.
        let child = command.process_group(0).spawn().unwrap();
        Tracer { child: Some(child) }
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    pub fn send(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.pid() as i32).unwrap(), signal).unwrap();
    }

    /// Waits until it traces `target`.
    pub fn attached(self, target: &Target) -> Self {
        target.until("it is traced", || self.traces(target));
        self
    }

    /// A thread of this process traces one of the target's.
    pub fn traces(&self, target: &Target) -> bool {
        let (mut tids, tracer) = (Vec::new(), Process::open(self.pid()).unwrap());
        tracer.threads(&mut tids).unwrap_or_default();
        target.states().iter().any(|state| tids.contains(&state.2))
    }

    /// Waits for its end: the signal that killed it, if one did.
    pub fn killed(self) -> Option<i32> {
        self.last_words().0
    }

    /// Waits for its end: the signal that killed it, if one did, and what was written to its standard error.
    pub fn last_words(mut self) -> (Option<i32>, String) {
        let output = self.child.take().unwrap().wait_with_output().unwrap();
        (output.status.signal(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// Waits for its report.
    pub fn report(mut self) -> Report {
        let output = self.child.take().unwrap().wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let lines = text.lines().filter_map(|line| line.split_once(' '));
        let report = Report(lines.map(|(key, value)| (key.into(), value.into())).collect());
        assert!(
            report.0.contains_key("end") || report.0.contains_key("refused"),
            "{:?}: {text}{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        report
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// What a tracer said at its end.
#[derive(Debug)]
pub struct Report(HashMap<String, String>);

impl Report {
    pub fn text(&self, key: &str) -> &str {
        self.0.get(key).map_or("", String::as_str)
    }

    pub fn number(&self, key: &str) -> u64 {
        self.text(key).parse().unwrap_or_else(|_| panic!("no number {key} in {self:?}"))
    }

    /// No sample is unaccounted for, every visit was closed, and none found nothing to read for another reason than
    /// that it came too late.
    pub fn adds_up(&self) {
        self.is_complete();
        assert!(self.number("unreadable") <= self.number("late_reads"), "{self:?}");
    }

    /// No sample is unaccounted for, and every visit was closed.
    pub fn is_complete(&self) {
        let sum = self.number("taken") + self.number("idle") + self.number("lost");
        assert_eq!(self.number("wanted"), sum, "{self:?}");
        assert_eq!(self.number("visits"), self.number("released"), "{self:?}");
        assert!(self.number("disturbed") <= self.number("idle"), "{self:?}");
    }
}
