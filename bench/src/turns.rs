//! Several programs, of which one works at a time.

use rustix::process::{Pid, Signal, kill_process};
use std::time::Duration;

/// Until a program that goes on has its caches and its clients back.
const BEGINNING: Duration = Duration::from_millis(100);

/// Processes that stand, but for the one whose turn it is: what they do with the CPUs is not to be seen in
/// each other's figures.
#[derive(Debug)]
pub struct Turns {
    pids: Vec<u32>,
    working: Option<usize>,
}

impl Turns {
    /// Stops all of them.
    pub fn of(pids: &[u32]) -> Self {
        pids.iter().for_each(|pid| send(*pid, Signal::STOP));
        Turns { pids: pids.to_vec(), working: None }
    }

    /// Lets one work, and it alone.
    pub fn give(&mut self, number: usize) {
        if self.working == Some(number) {
            return;
        }
        if let Some(working) = self.working.replace(number) {
            send(self.pids[working], Signal::STOP);
        }
        send(self.pids[number], Signal::CONT);
        std::thread::sleep(BEGINNING);
    }
}

/// Sends a signal to a process.
///
/// # Panics
/// When the process is gone.
pub fn send(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(pid as i32).expect("a process has a number");
    kill_process(pid, signal).expect("the process is there");
}
