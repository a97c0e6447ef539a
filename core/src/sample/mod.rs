//! One step of sampling: a stopped thread's registers and memory become frames.

pub mod codes;
pub mod functions;
pub mod lines;
pub mod places;
pub mod raw;
