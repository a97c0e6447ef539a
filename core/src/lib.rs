//! What a sample of a Node.js process means.
//!
//! Registers and memory go in, named frames and a call tree come out. Nothing here makes a system
//! call: memory is a [`Memory`](memory::Memory), object files are byte slices, `/proc` texts are
//! byte slices. So all of it runs in tests on recorded or made-up bytes, for either architecture.
//!
//! Every table, arena and depth has a fixed bound that stands in [`limits`]; a full one is counted
//! and reported, never grown. No input can make this crate panic.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod arch;
pub mod blocks;
pub mod elf;
#[cfg(any(test, fuzzing, feature = "lies"))]
pub mod lies;
pub mod limits;
pub mod maps;
pub mod memory;
pub mod profile;
pub mod sample;
pub mod symbols;
pub mod unwind;
pub mod v8;
