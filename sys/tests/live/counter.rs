//! Numbers of the counters on the page that a live test shares with its target.

pub const READY: usize = 0;
pub const PROGRESS: usize = 1;
pub const USR2: usize = 2;
pub const QUEUED: usize = 3;
pub const QUEUED_SUM: usize = 4;
pub const ALARMS: usize = 5;
pub const DONE: usize = 6;
pub const BROKEN_OFF: usize = 7;
pub const ADDRESS: usize = 8;
pub const STOP: usize = 9;
