//! Numbers of the counters on the page that a live test shares with its target.

/// 1 once the target is ready.
pub const READY: usize = 0;
/// Rounds of work.
pub const PROGRESS: usize = 1;
/// SIGUSR2 received.
pub const USR2: usize = 2;
/// Queued signals received.
pub const QUEUED: usize = 3;
/// Sum of their numbers.
pub const QUEUED_SUM: usize = 4;
/// SIGALRM received.
pub const ALARMS: usize = 5;
/// Tasks done: threads joined, children waited for, calls made.
pub const DONE: usize = 6;
/// Calls that were broken off.
pub const BROKEN_OFF: usize = 7;
/// An address that the test reads from.
pub const ADDRESS: usize = 8;
/// Set by the test: the target is to end.
pub const STOP: usize = 9;
/// SIGTRAP received.
pub const TRAPS: usize = 10;
/// Calls of each kind that were made; of sixteen kinds at most.
pub const CALLS: usize = 16;
/// Those of them that were broken off.
pub const CALLS_BROKEN_OFF: usize = 32;
