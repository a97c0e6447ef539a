//! What the benches share: targets, their stops, a bare sampler to compare with, recorded stacks.
//!
//! No bench asserts a time: each prints its figure beside its reference's, taken in turns in the same
//! run, so that what else the machine does falls on both.

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
