//! arm64: DWARF register numbers (DWARF for the Arm 64-bit Architecture, table 1).

/// x1: V8's callee.
pub const X1: usize = 1;
/// x4: what baseline code adds to the interrupt budget as it leaves.
pub const X4: usize = 4;
/// x16: what V8's code keeps for a few instructions.
pub const X16: usize = 16;
/// x19: the offset of the instruction, at the start of an interpreter's handler.
pub const X19: usize = 19;
/// x21: V8's dispatch table in the interpreter.
pub const X21: usize = 21;
/// x26: V8's root register.
pub const X26: usize = 26;
/// x29, the frame pointer.
pub const X29: usize = 29;
/// x30, the link register, and the column of the return address.
pub const X30: usize = 30;
/// sp, the stack pointer.
pub const SP: usize = 31;

/// The bits of an address below the byte that may hold anything (`TBI`), and below the one that tells the kernel's
/// addresses from a process'.
pub const NOT_IGNORED: u64 = (1 << 55) - 1;

pub mod baseline;
pub mod edges;
pub mod entry;
pub mod jumps;
pub mod prologue;

/// The instructions in code, each of four bytes.
pub(super) fn instructions(code: &[u8]) -> impl Iterator<Item = u32> + '_ {
    code.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word))
}
