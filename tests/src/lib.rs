//! Fixtures for the tests of the real node-flame binary on real Node.js processes.
//!
//! A [`workload`] is a JavaScript program that states in comments which call chains it can be caught in. A
//! [`matrix`] runs workloads on many [`nodes`] under forced [`tiers`], lets node-flame profile them, and
//! tells how many samples hold exactly a stated chain. [`truth`] asks V8's own profiler and log the same, so
//! that a workload's statement is known to be right without node-flame.

pub mod binary;
pub mod builds;
pub mod compat;
pub mod containers;
pub mod loads;
pub mod matrix;
pub mod native;
pub mod nodes;
pub mod process;
pub mod report;
pub mod stacks;
pub mod tiers;
pub mod truth;
pub mod verdict;
pub mod version;
pub mod workload;
