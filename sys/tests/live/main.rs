//! The session against real processes: what it counts, and that nothing ever happens to them.

pub mod counter;
mod counts;
mod harm;
mod memory;
mod stage;
