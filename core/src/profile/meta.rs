//! What a run was and how it went: the head of every output and the closing report.

use alloc::string::String;
use alloc::vec::Vec;

/// What was profiled, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// Process id, as seen by node-flame.
    pub pid: u32,
    /// Name of the process: its executable and script, without arguments.
    pub command: String,
    /// Node's version, such as `20.20.2`; empty if unknown.
    pub node: String,
    /// V8's version, such as `11.3.244.8`; empty if unknown.
    pub v8: String,
    /// The host's name.
    pub host: String,
    /// Start of the run, in seconds since 1970.
    pub started: u64,
    /// Length of the run in microseconds.
    pub duration_us: u64,
    /// Samples a second asked for.
    pub rate_hz: u32,
    /// Waiting threads were sampled too.
    pub wall: bool,
    /// The target's end, if it ended first: `exited`, `was killed by SIGKILL`, …
    pub ended: Option<String>,
}

/// How many samples were wanted, and what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Ticks times threads: `taken + idle + lost`.
    pub wanted: u64,
    /// In the call tree.
    pub taken: u64,
    /// The thread was not running, so it was left alone.
    pub idle: u64,
    /// The thread ran but could not be read in time, or ended.
    pub lost: u64,
    /// Threads that were asleep by the time they stopped, a part of `idle`.
    pub disturbed: u64,
}

/// How long threads were held, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pauses {
    /// Median of a stop.
    pub p50_ns: u64,
    /// 99th percentile of a stop.
    pub p99_ns: u64,
    /// Longest stop.
    pub max_ns: u64,
    /// Sum over all stops.
    pub total_ns: u64,
    /// The time that the wanted samples stand for, of all threads together: a thread's is counted from when it first
    /// ran, or was first waited for.
    pub observed_ns: u64,
}

/// A sampled thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thread {
    /// Its id, as seen by node-flame.
    pub tid: u32,
    /// Its name: `main`, `worker 1`, or the one the kernel has.
    pub name: String,
}

/// The truth about a run beyond its samples: what was cut, unresolved or full.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// Samples.
    pub counts: Counts,
    /// Stops.
    pub pauses: Pauses,
    /// Threads that came while it was sampled.
    pub came: u64,
    /// Threads that ended meanwhile.
    pub went: u64,
    /// Sentences about everything that is not as it should be, each with its number.
    pub remarks: Vec<String>,
}
