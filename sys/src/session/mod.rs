//! A profiling session: who is sampled when, and how it goes on in between.
//!
//! One thread does all of it but to hold CPUs at a tick, since ptrace knows tracers by thread: [`run`] starts it and waits for its
//! end, by which the kernel releases every thread that it traced. Between ticks it sleeps in one place
//! where both the next tick and whatever the target does wake it. A tick asks all threads that run to
//! stop and goes on; each stop is served the moment it is reported. So no thread waits for another one,
//! signals to the target pass through at once, and a thread that does not stop costs nothing but its
//! own samples.

mod awake;
mod beat;
mod calls;
mod census;
mod engine;
mod holders;
mod pauses;
mod serve;
mod state;
mod table;
mod tick;
mod watchdog;
mod work;

use crate::attach::Refusal;
use crate::memory::ProcessMemory;
use crate::process::{Gauge, Process};
use crate::signals::{Blocked, Taken};
use crate::tracer::Exit;
use flame_core::arch::Registers;
use flame_core::profile::{Counts, Pauses};
use std::time::Duration;

pub use state::Control;

/// How to sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Ticks a second, 1 to 10,000.
    pub rate_hz: u32,
    /// Length of the session.
    pub duration: Duration,
    /// Share of wall time, in percent, that a thread may be held. Ticks that would go beyond it are
    /// lost.
    pub max_pause_percent: f64,
    /// Visit threads that wait, too. They are not stopped for that.
    pub wall: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options { rate_hz: 99, duration: Duration::from_secs(10), max_pause_percent: 5.0, wall: false }
    }
}

/// Names a thread within a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ThreadKey {
    /// Number of its process: 0 for the one the session began with, then as
    /// [`Control::add`] gave them. Another one gets it after its end.
    pub process: u16,
    /// Number of the thread among those alive; another one gets it after its end. Below
    /// [`THREADS`](flame_core::limits::THREADS).
    pub index: u16,
    /// Its id.
    pub tid: u32,
}

/// What a visitor made of a stopped thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A sample was taken.
    Sampled,
    /// No sample could be taken.
    Lost,
    /// This stop is of no interest: its tick does not count.
    Skipped,
    /// This thread is of no interest: it is released right there, for good, and its tick does not count.
    NotWanted,
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Go on.
    Continue,
    /// End the session.
    Stop,
}

/// A thread that waits, seen without being stopped.
#[derive(Clone, Copy, Debug)]
pub struct Asleep<'a> {
    /// Where it will go on in user mode.
    pub pc: u64,
    /// Its stack pointer there.
    pub sp: u64,
    /// Its process has used no CPU time since the last tick: what was read of it then still holds.
    pub unchanged: bool,
    /// Microseconds since the session's start.
    pub at_us: u64,
    pub(super) gauge: &'a Gauge,
}

impl Asleep<'_> {
    /// Whether the thread waits there still. One that does so before and after it is read has, as good as
    /// surely, not run in between.
    pub fn holds(&self) -> bool {
        self.gauge.waits_at() == Some((self.pc, self.sp))
    }

    /// The number of the system call that it waits in; -1 for none, as in a page fault or a group-stop.
    pub fn call(&self) -> Option<i64> {
        self.gauge.call()
    }
}

/// What samples are made of.
///
/// All calls come from the session's own thread, one after the other.
pub trait Visitor: Send {
    /// A thread was found. Whether it should be sampled.
    fn started(&mut self, _thread: ThreadKey) -> bool {
        true
    }

    /// A thread stands still and can be read, until this returns. The one place where every microsecond
    /// is the target's: no allocation, nothing that can wait until [`released`](Visitor::released).
    /// Reads of `memory` fail once the stop has lasted 20 ms (longer where a thread may be held for more than
    /// 20 % of the time).
    fn held(&mut self, thread: ThreadKey, registers: &Registers, memory: &ProcessMemory) -> Verdict;

    /// The thread runs again. `at_us`: when it was held, in microseconds since the session's start.
    fn released(&mut self, _thread: ThreadKey, _at_us: u64) {}

    /// No thread is held, nor asked to stop: what takes long can be done now.
    fn quiet(&mut self) {}

    /// A thread waits, and the session is to visit those too. If this was no sample, the tick counts as
    /// idle; a thread that is not wanted is not visited again until it runs. What is read can change while
    /// it is read: see [`Asleep::holds`].
    fn asleep(&mut self, _thread: ThreadKey, _at: Asleep<'_>, _memory: &ProcessMemory) -> Verdict {
        Verdict::Lost
    }

    /// A thread has ended.
    fn ended(&mut self, _thread: ThreadKey) {}

    /// A process of the session has ended, or has become another program.
    fn process_ended(&mut self, _process: u16, _end: ProcessEnd) {}

    /// node-flame got a signal. Whether the session goes on; by SIGCONT it does so anyway, and after SIGTSTP
    /// and the suspension.
    fn signalled(&mut self, _taken: Taken) -> Flow {
        Flow::Stop
    }

    /// node-flame is about to be suspended (Ctrl-Z), or goes on after that. Nothing is traced meanwhile.
    fn suspended(&mut self, _is_so: bool) {}

    /// Processes wait to be added: [`tick`](Visitor::tick) is called soon.
    fn has_more(&mut self) -> bool {
        false
    }

    /// Whether there may be processes to add later, so that a session without any goes on.
    fn expects_more(&mut self) -> bool {
        false
    }

    /// Ten times a second, and when the visitor [has more](Visitor::has_more). Threads that were asked to stop have
    /// nearly always been served by then. It must not block: one that gets a signal stands until this returns, for
    /// nobody else delivers it. So what writes to a terminal does so on a thread of its own.
    fn tick(&mut self, _control: &mut Control<'_>) -> Flow {
        Flow::Continue
    }
}

/// How a process of the session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessEnd {
    /// It ended.
    Exit(Exit),
    /// It ended, and how was told to somebody else.
    Gone,
    /// It has replaced itself by another program, which runs on untouched.
    Exec,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Its time was over.
    Time,
    /// node-flame got this signal.
    Signal(Taken),
    /// The visitor wanted so.
    Visitor,
    /// No process is left; this is how the first one ended.
    Target(ProcessEnd),
}

/// What became of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadReport {
    /// Which one.
    pub thread: ThreadKey,
    /// It is its process' first.
    pub is_first: bool,
    /// It has ended.
    pub has_ended: bool,
    /// The visitor did not want it.
    pub not_wanted: bool,
    /// Its ticks. Those before it first ran are not counted, but for a process' first thread.
    pub counts: Counts,
}

/// What a session did.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Why it ended.
    pub end: End,
    /// Its length in nanoseconds.
    pub length_ns: u64,
    /// Nanoseconds that a tick stands for: from one to the next, in the mean.
    pub period_ns: u64,
    /// Sum over all threads.
    pub counts: Counts,
    /// Stops, from the moment they were reported to the one the thread ran again. `observed_ns` is the
    /// time that all wanted ticks stand for.
    pub pauses: Pauses,
    /// Stops, from the asking to the moment the thread ran again: an upper bound of each pause, since a
    /// thread runs on, or waits for a CPU, until it sees the request.
    pub rounds: Pauses,
    /// Ticks that were lost because the thread had been held for its share already; part of
    /// `counts.lost`.
    pub throttled: u64,
    /// Ticks that were passed over since node-flame itself was at work, or had to rest from it; part of
    /// `counts.lost`.
    pub overworked: u64,
    /// Ticks at which a thread waited for a CPU that others had; part of `counts.idle`.
    pub starved: u64,
    /// Reads that came too late into a stop, and were refused.
    pub late_reads: u64,
    /// Threads that were not followed because there were too many, or no more files could be opened.
    pub untracked: u64,
    /// Threads that could not be traced.
    pub refused: u64,
    /// Threads that are to be seen where they wait and cannot be.
    pub blind: u64,
    /// Threads that were found after their process was.
    pub came: u64,
    /// Threads that ended in the session.
    pub went: u64,
    /// Every thread that was found; the last one stands for all the rest if there were too many. Those that
    /// ended without a tick to count are left out where others need their place.
    pub threads: Vec<ThreadReport>,
}

/// Samples `target` and calls `visitor` until the session ends.
///
/// On the way out nothing is traced any more.
pub fn run(
    signals: &Blocked,
    target: Process,
    options: Options,
    visitor: &mut dyn Visitor,
) -> Result<Outcome, Refusal> {
    engine::run(signals, Some(target), options, visitor)
}

/// The same for processes that `visitor` adds, beginning with none.
pub fn run_several(
    signals: &Blocked,
    options: Options,
    visitor: &mut dyn Visitor,
) -> Result<Outcome, Refusal> {
    engine::run(signals, None, options, visitor)
}
