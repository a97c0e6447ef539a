//! V8's heap as a reader from outside finds it.

pub mod builtins;
pub mod bytecode;
pub mod code;
pub mod crankshaft;
pub mod deopt;
pub mod dispatch;
#[cfg(any(test, fuzzing, feature = "lies"))]
pub(crate) mod fixture;
pub mod function;
pub mod heap;
pub mod image;
pub mod inlining;
pub mod isolate;
pub mod layout;
pub mod own_name;
pub mod position;
pub mod relocation;
pub mod safepoint;
pub mod script;
pub mod string;
pub mod translation;
pub mod version;
pub mod wasm;

pub use heap::{Decode, Heap};
pub use layout::{Constants, Layout, Unsupported};
pub use version::Version;
