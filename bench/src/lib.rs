//! What the benches share: targets, their stops, a bare sampler to compare with, recorded stacks.
//!
//! No bench asserts a time: each prints its figure beside its reference's, taken in turns in the same
//! run, so that what else the machine does falls on both.

use std::time::Duration;

pub mod command;
pub mod dialog;
pub mod live;
pub mod meter;
pub mod native;
pub mod pair;
pub mod peers;
pub mod plot;
pub mod recording;
pub mod session;
pub mod stop;
pub mod turns;

/// Whether a short run was asked for, which measures roughly: `--quick`.
pub fn is_quick() -> bool {
    std::env::args().any(|argument| argument == "--quick")
}

/// How long a bench warms up and measures: as long as is said here, or a moment in a [quick](is_quick) run.
pub fn times(warm_up: Duration, measurement: Duration) -> (Duration, Duration) {
    match is_quick() {
        true => (Duration::from_millis(50), Duration::from_millis(250)),
        false => (warm_up, measurement),
    }
}
