//! One step of sampling: a stopped thread's registers and memory become frames.
//!
//! [`Sampler::held`](sampler::Sampler::held) runs while the thread is stopped: it copies the stack
//! once, [walks](walk) it, and [identifies](identify) what it found by a few reads of V8's heap, with
//! caches whose entries are compared with the target before they are believed.
//! [`Sampler::released`](sampler::Sampler::released) does the rest once the thread runs again.

pub mod arguments;
mod baseline;
mod cache;
pub mod codes;
pub mod found;
pub mod functions;
pub mod identify;
mod known;
mod leaf;
pub mod lines;
pub mod live;
pub mod natives;
pub mod news;
pub mod optimized;
pub mod places;
pub mod raw;
pub mod recall;
mod repeats;
pub mod resolve;
pub mod roles;
pub mod sampler;
pub mod sites;
pub mod sources;
#[cfg(test)]
mod tests;
mod top;
pub mod verify;
pub mod walk;
pub mod wasm;
