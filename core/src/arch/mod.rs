//! What differs between processors: the only place in this crate that knows.
//!
//! Both architectures are in every build, chosen by value, so that a recorded stack of the other
//! one can be read in a test.

pub mod aarch64;
pub mod x86_64;

use smallvec::SmallVec;

/// A thread's registers, general ones by their DWARF number (System V psABI, AAPCS64).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Registers {
    /// General registers by DWARF number: x86-64 0 to 15 (rax rdx rcx rbx rsi rdi rbp rsp r8 …),
    /// arm64 0 to 31 (x0 … x30, sp).
    pub general: [u64; 32],
    /// Program counter.
    pub pc: u64,
    /// Thread pointer: `fs_base`, `TPIDR_EL0`.
    pub tls: u64,
    /// The system call that the thread is in, or -1 (x86-64 `orig_rax`).
    pub syscall: i64,
    /// Bits of a return address that may be a signature (arm64, `NT_ARM_PAC_MASK`), else 0. Addresses in
    /// user space do not use them.
    pub return_mask: u64,
}

/// A processor that node-flame can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arch {
    /// `EM_X86_64`.
    X86_64,
    /// `EM_AARCH64`.
    Aarch64,
}

impl Arch {
    /// DWARF number of the frame pointer.
    pub const fn frame_pointer(self) -> usize {
        match self {
            Arch::X86_64 => x86_64::RBP,
            Arch::Aarch64 => aarch64::X29,
        }
    }

    /// DWARF number of the stack pointer.
    pub const fn stack_pointer(self) -> usize {
        match self {
            Arch::X86_64 => x86_64::RSP,
            Arch::Aarch64 => aarch64::SP,
        }
    }

    /// DWARF number of the register in which V8's interpreter enters a handler with the offset of its
    /// instruction (`src/codegen/ARCH/register-ARCH.h`).
    pub const fn bytecode_offset_register(self) -> usize {
        match self {
            Arch::X86_64 => x86_64::R9,
            Arch::Aarch64 => aarch64::X19,
        }
    }

    /// DWARF number of the register that holds the interpreter's dispatch table in its handlers.
    pub const fn dispatch_register(self) -> usize {
        match self {
            Arch::X86_64 => x86_64::R15,
            Arch::Aarch64 => aarch64::X21,
        }
    }

    /// The distances from the stack pointer to the CFA that a C or C++ function can have made by its first
    /// instructions; it saved its registers in the `saved` bytes below the CFA.
    pub fn frame_sizes(self, code: &[u8], saved: u64) -> FrameSizes {
        match self {
            Arch::X86_64 => x86_64::prologue::frame_sizes(code, saved),
            Arch::Aarch64 => aarch64::prologue::frame_sizes(code),
        }
    }

    /// DWARF number of the register in which baseline code gives the shared epilogue what to add to the
    /// interrupt budget (`BaselineLeaveFrameDescriptor::WeightRegister`).
    pub const fn weight_register(self) -> usize {
        match self {
            Arch::X86_64 => x86_64::RCX,
            Arch::Aarch64 => aarch64::X4,
        }
    }

    /// DWARF number of the register in which a call leaves the return address; `None`: on the stack.
    pub const fn link_register(self) -> Option<usize> {
        match self {
            Arch::X86_64 => None,
            Arch::Aarch64 => Some(aarch64::X30),
        }
    }

    /// Bits of a return address that may be a signature, where the kernel cannot be asked, since the thread is
    /// not stopped: those above what the highest address of code takes, up to the byte that the processor
    /// ignores (`user_pac_mask` in Linux' `arch/arm64/include/asm/pointer_auth.h`).
    pub fn return_mask(self, highest: u64) -> u64 {
        match self {
            Arch::X86_64 => 0,
            Arch::Aarch64 => {
                u64::MAX.checked_shl(64 - highest.leading_zeros()).unwrap_or(0) & aarch64::NOT_IGNORED
            }
        }
    }

    /// DWARF number of the register from which V8's code addresses its isolate.
    pub const fn root_register(self) -> usize {
        match self {
            Arch::X86_64 => x86_64::R13,
            Arch::Aarch64 => aarch64::X26,
        }
    }

    /// How far into the isolate the root register points (`kRootRegisterBias` in
    /// `src/codegen/ARCH/macro-assembler-ARCH.h`).
    pub const fn root_bias(self) -> u64 {
        match self {
            Arch::X86_64 => 0x80,
            Arch::Aarch64 => 0x100,
        }
    }

    /// DWARF number of the register that holds the function when JavaScript calls it.
    pub const fn callee_register(self) -> usize {
        match self {
            Arch::X86_64 => x86_64::RDI,
            Arch::Aarch64 => aarch64::X1,
        }
    }

    /// The frame by which C++ enters JavaScript.
    pub const fn entry_frame(self) -> &'static EntryFrame {
        match self {
            Arch::X86_64 => &x86_64::entry::FRAME,
            Arch::Aarch64 => &aarch64::entry::FRAME,
        }
    }

    /// Places of `c_entry_fp` and `js_entry_sp` from the root register's value, by the machine code of V8's
    /// `JSEntry`.
    pub fn isolate_fields(self, entry: &[u8]) -> [Option<i32>; 2] {
        match self {
            Arch::X86_64 => x86_64::entry::fields(entry),
            Arch::Aarch64 => aarch64::entry::fields(entry),
        }
    }

    /// Place of `active_stack` from the root register's value, by the machine code of V8's
    /// `WasmReturnPromiseOnSuspendAsm`. On arm64 so large a distance takes several instructions, which nobody reads.
    pub fn active_stack(self, promise: &[u8]) -> Option<i32> {
        match self {
            Arch::X86_64 => x86_64::entry::active_stack(promise),
            Arch::Aarch64 => None,
        }
    }

    /// Where in its frame's life a compiled function is at `offset` of its code. `first` holds the first
    /// bytes of the code, `around` those around `offset`, from `around_at` on.
    pub fn edge(self, first: &[u8], around: &[u8], around_at: usize, offset: usize) -> Edge {
        match self {
            Arch::X86_64 => x86_64::edges::edge(first, around, around_at, offset),
            Arch::Aarch64 => aarch64::edges::edge(first, around, around_at, offset),
        }
    }

    /// Where in its frame's life a compiled function is at `at` of its code, where its start is not known: by
    /// the instructions around that place alone. `None`: at neither edge.
    pub fn edge_nearby(self, around: &[u8], at: usize) -> Option<Edge> {
        match self {
            Arch::X86_64 => x86_64::edges::edge_nearby(around, at),
            Arch::Aarch64 => aarch64::edges::edge_nearby(around, at),
        }
    }

    /// In the prologue that V8's baseline code shares, whose first bytes are `code`: how things stand
    /// `offset` bytes behind its start, before the frame pointer is set. `None`: it is set.
    pub fn entering_baseline(self, code: &[u8], offset: usize, registers: &Registers) -> Option<Frameless> {
        match self {
            Arch::X86_64 => x86_64::baseline::entering(code, offset, registers),
            // The function's own code sets it.
            Arch::Aarch64 => None,
        }
    }

    /// The same of the shared epilogue, once the stack pointer has left the frame. `None`: it has not.
    pub fn leaving_baseline(self, code: &[u8], offset: usize, registers: &Registers) -> Option<Frameless> {
        match self {
            Arch::X86_64 => x86_64::baseline::leaving(code, offset, registers),
            Arch::Aarch64 => aarch64::baseline::leaving(code, offset, registers),
        }
    }

    /// Bytes between two places at which an instruction may start.
    pub const fn instruction_step(self) -> usize {
        match self {
            Arch::X86_64 => 1,
            Arch::Aarch64 => 4,
        }
    }

    /// Bytes of an instruction, where all have the same.
    pub fn instruction_size(self) -> Option<u8> {
        match self {
            Arch::X86_64 => None,
            Arch::Aarch64 => Some(4),
        }
    }

    /// The offset that a jump at an offset of code leads to, if one stands there.
    pub fn jump(self, code: &[u8], at: usize) -> Option<i64> {
        match self {
            Arch::X86_64 => x86_64::jumps::jump(code, at),
            Arch::Aarch64 => aarch64::jumps::jump(code, at),
        }
    }

    /// The same with a distance of any length, as jumps have whose target stands before them.
    pub fn jump_near(self, code: &[u8], at: usize) -> Option<i64> {
        match self {
            Arch::X86_64 => x86_64::jumps::short(code, at).or_else(|| x86_64::jumps::jump(code, at)),
            Arch::Aarch64 => aarch64::jumps::jump(code, at),
        }
    }

    /// `e_machine` of its ELF files.
    pub const fn elf_machine(self) -> u16 {
        match self {
            Arch::X86_64 => 62,
            Arch::Aarch64 => 183,
        }
    }
}

impl Registers {
    /// The frame pointer.
    pub const fn fp(&self, arch: Arch) -> u64 {
        self.general[arch.frame_pointer()]
    }

    /// The stack pointer.
    pub const fn sp(&self, arch: Arch) -> u64 {
        self.general[arch.stack_pointer()]
    }
}

/// Sizes that a frame may have, each once.
#[derive(Clone, Debug)]
pub struct FrameSizes {
    sizes: SmallVec<[u64; 16]>,
    first: u64,
    sum: u64,
}

impl FrameSizes {
    /// The size that a frame has before its function takes more.
    pub fn new(first: u64) -> Self {
        FrameSizes { sizes: SmallVec::from_slice(&[first]), first, sum: first }
    }

    /// An instruction takes more, alone or after those before it. No more than a few are kept.
    pub fn take(&mut self, size: u64) {
        self.sum = self.sum.saturating_add(size);
        for size in [self.first.saturating_add(size), self.sum] {
            if self.sizes.len() < self.sizes.inline_size() && !self.sizes.contains(&size) {
                self.sizes.push(size);
            }
        }
    }

    /// The sizes.
    pub fn as_slice(&self) -> &[u64] {
        &self.sizes
    }
}

/// The frame by which C++ enters JavaScript: V8's `JSEntry`.
#[derive(Clone, Copy, Debug)]
pub struct EntryFrame {
    /// Where the frame pointer of the exit frame before it is kept, from the frame pointer.
    pub previous_exit: i64,
    /// Where C++'s registers are kept, from the frame pointer, and their DWARF numbers.
    pub saved: &'static [(i64, usize)],
    /// Distance of C++'s stack pointer from the frame pointer.
    pub end: u64,
}

/// Where in its frame's life a compiled function is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// Its frame is not begun: the return address is where a call leaves it, the frame pointer is the
    /// caller's.
    BeforePush,
    /// The caller's frame pointer is saved, its own not set yet.
    AfterPush,
    /// Its frame stands.
    Inside,
    /// Its frame is gone: as before the push.
    BeforeReturn,
    /// Its frame is gone, and the return address is in this register (DWARF number).
    ReturnIn(usize),
}

/// Where a return address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Back {
    /// On the stack, at this address.
    At(u64),
    /// In a register, with this value.
    In(u64),
}

/// A function without a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frameless {
    /// Where its frame stood, if it has just been left and what was in it may stand there still.
    pub frame: Option<u64>,
    /// The caller's frame pointer is saved here; else it is in its register.
    pub saved: Option<u64>,
    /// The return address.
    pub back: Back,
    /// The stack pointer behind it, as the caller's.
    pub sp: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_takes_what_addresses_leave() {
        let mask = |highest| Arch::Aarch64.return_mask(highest);
        assert_eq!(mask(0xffff_9000_1000), 0x007f_0000_0000_0000);
        assert_eq!(mask(0x7f_9000_1000), 0x007f_ff80_0000_0000);
        assert_eq!((mask(u64::MAX), Arch::X86_64.return_mask(0x7fff_9000_1000)), (0, 0));
    }
}
