//! What native code is called: symbols for addresses, readable names, groups of work.

mod demangle;
mod lookup;

pub use demangle::{Style, demangle};
pub use lookup::{Found, Lookup};

#[cfg(test)]
mod tests;
