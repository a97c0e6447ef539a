//! arm64: DWARF register numbers (DWARF for the Arm 64-bit Architecture, table 1).

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
