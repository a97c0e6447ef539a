//! What native code is called: symbols for addresses, readable names, groups of work.

pub mod debug_file;
mod demangle;
mod group;
mod lookup;
pub mod stubs;

pub use demangle::{Style, demangle};
pub use group::kind_of;
pub use lookup::{Found, Lookup};

#[cfg(test)]
mod tests;
