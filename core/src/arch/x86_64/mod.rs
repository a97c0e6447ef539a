//! x86-64: DWARF register numbers (System V psABI, figure 3.36).

/// rax.
pub const RAX: usize = 0;
/// rdx.
pub const RDX: usize = 1;
/// rcx.
pub const RCX: usize = 2;
/// rbx.
pub const RBX: usize = 3;
/// rsi.
pub const RSI: usize = 4;
/// rdi.
pub const RDI: usize = 5;
/// rbp, the frame pointer.
pub const RBP: usize = 6;
/// rsp, the stack pointer.
pub const RSP: usize = 7;
/// r8; r9 to r15 follow.
pub const R8: usize = 8;
/// r9: the offset of the instruction, at the start of an interpreter's handler.
pub const R9: usize = 9;
/// r13: V8's root register.
pub const R13: usize = 13;
/// r15: V8's dispatch table in the interpreter.
pub const R15: usize = 15;
/// The column of the return address.
pub const RETURN_ADDRESS: usize = 16;

pub mod baseline;
pub mod edges;
pub mod entry;
pub mod jumps;
pub mod prologue;
