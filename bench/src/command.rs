//! The node-flame command at work, and what it takes.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tests::binary::node_flame;
use tests::process::status;

/// node-flame's command line for a process.
///
/// # Panics
/// When the command does not build.
pub fn on(pid: u32, format: &str, length: Duration, rate_hz: u32) -> Command {
    let mut command = Command::new(node_flame());
    command.args(arguments(pid, format, length, rate_hz));
    command
}

/// The arguments of that.
pub fn arguments(pid: u32, format: &str, length: Duration, rate_hz: u32) -> [String; 5] {
    let seconds = format!("{:.1}", length.as_secs_f64());
    [pid.to_string(), format.into(), seconds, "--rate".into(), rate_hz.to_string()]
}

/// A child process that is killed when this is dropped.
#[derive(Debug)]
pub struct Quiet(pub Child);

impl Quiet {
    /// Starts a command with nothing to read and nobody to read what it writes.
    ///
    /// # Panics
    /// When there is no such command.
    pub fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Quiet(command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")))
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When that was not a good one.
    pub fn ended(&mut self) {
        let status = self.0.wait().expect("a child can be waited for");
        assert!(status.success(), "it ended with {status}");
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // Errors mean that it has ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// KiB of memory that a process has for itself: `RssAnon`.
pub fn anonymous_kib(pid: u32) -> Option<u64> {
    status(pid, "RssAnon")?.strip_suffix("kB")?.trim().parse().ok()
}

/// CPU time that the threads of a process have used, those that ended aside.
pub fn cpu_time(pid: u32) -> Option<Duration> {
    let tasks = std::fs::read_dir(Path::new("/proc").join(pid.to_string()).join("task")).ok()?;
    let times = tasks.flatten().filter_map(|task| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
    });
    Some(times.sum())
}
