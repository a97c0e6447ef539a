//! From a frame of native code to its caller.
//!
//! [`Unwinder::step`] goes by the file's call frame information (`.eh_frame`), with the rules of
//! each pc kept in a small table. Where there is none, [`fallback`] has the other ways, each by its
//! own name: the frame pointer, the leaf's return address, a search of the stack, the kernel's
//! signal frame. The walker above decides; nothing here guesses.
//!
//! A leaf without unwind information and with data in its frame pointer (musl's libc; the kernel's
//! old vsyscall page) can only be left by a search of the stack, which finds too much rather than
//! too little when a stale return address lies in a hole of a frame.

mod cache;
mod evaluate;
pub mod fallback;
mod module;
mod rule;
mod stack;

use alloc::boxed::Box;
use core::fmt;

pub use cache::CacheStatistics;
pub use module::ModuleUnwind;
pub use stack::StackCopy;

use crate::arch::{Arch, Registers};
use crate::memory::{Fault, Memory};
use cache::{Cache, Known};
use evaluate::Frame;
use module::Context;
use rule::Rule;

/// Why there is no way from a frame to its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepError {
    /// The file has no unwind information for this address.
    NoInformation {
        /// The address in the file.
        vaddr: u64,
    },
    /// The unwind information for this address is broken or of an unknown kind.
    Malformed {
        /// The address in the file.
        vaddr: u64,
    },
    /// The rules do not say where the return address is, or no word looked like one.
    NoReturnAddress,
    /// The caller's frame would not lie above this one.
    NoProgress {
        /// Where it would lie.
        cfa: u64,
    },
    /// A word that is needed cannot be read.
    Memory(Fault),
}

impl From<Fault> for StepError {
    fn from(fault: Fault) -> Self {
        StepError::Memory(fault)
    }
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StepError::NoInformation { vaddr } => write!(f, "no unwind information for {vaddr:#x}"),
            StepError::Malformed { vaddr } => write!(f, "broken unwind information for {vaddr:#x}"),
            StepError::NoReturnAddress => write!(f, "no return address to be found"),
            StepError::NoProgress { cfa } => {
                write!(f, "the caller's frame at {cfa:#x} lies below its callee's")
            }
            StepError::Memory(fault) => fault.fmt(f),
        }
    }
}

impl core::error::Error for StepError {}

/// A step that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Start of the function that was left, as an address of its file.
    pub function: u64,
    /// It was the outermost function of its thread: the registers are as they were, or its pc is 0.
    pub is_root: bool,
    /// It was a signal frame: the caller's pc is where it was interrupted, not a return address.
    pub is_signal: bool,
}

/// The file that a pc lies in, as the unwinder needs it.
#[derive(Clone, Copy, Debug)]
pub struct Code<'a> {
    /// Its unwind information.
    pub module: &'a ModuleUnwind<'a>,
    /// What is added to an address of the file to get the address in memory, for the mapping that
    /// holds the pc.
    pub bias: u64,
}

/// How the frame of a function with a frame pointer lies on the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameShape {
    /// Start of the function, as an address of its file.
    pub function: u64,
    /// Bytes from where the frame pointer points to the CFA.
    pub frame_pointer: u64,
    /// Bytes from the return address to the CFA.
    pub back: u64,
    /// Bytes from the lowest register saved to the CFA.
    pub saved: u64,
}

/// Steps through native frames of one process, for either architecture.
#[derive(Debug)]
pub struct Unwinder {
    /// Bits of a return address that are a signature (arm64, `NT_ARM_PAC_MASK`), else 0. Addresses in
    /// user space do not use them, so they are cleared whether the frame says it was signed or not.
    pub return_mask: u64,
    context: Box<Context>,
    cache: Cache,
    statistics: CacheStatistics,
}

impl Default for Unwinder {
    fn default() -> Self {
        Self::new(0)
    }
}

impl Unwinder {
    /// An unwinder with an empty cache. All that it needs is allocated here.
    pub fn new(return_mask: u64) -> Self {
        Unwinder {
            return_mask,
            context: Box::new(Context::new_in()),
            cache: Cache::new(),
            statistics: CacheStatistics::default(),
        }
    }

    /// Forgets the rules of all pcs: files were mapped or unmapped.
    pub fn clear(&mut self) {
        self.cache.clear();
    }

    /// How often the cache helped.
    pub const fn statistics(&self) -> CacheStatistics {
        self.statistics
    }

    /// Steps to the caller of the frame in `registers`, by the unwind information of its file.
    ///
    /// `is_return_address` says that the pc is one, and so may lie behind the end of its function;
    /// it is false for a thread's own pc and for the frame that a signal interrupted. When the frame is
    /// the outermost, the registers are left as they are. After an error they are, too.
    pub fn step(
        &mut self,
        registers: &mut Registers,
        is_return_address: bool,
        code: Code<'_>,
        stack: &StackCopy<'_>,
        memory: &impl Memory,
    ) -> Result<Step, StepError> {
        // The instruction that calls, not the one behind it, which may be another function's.
        let address = registers.pc.wrapping_sub(is_return_address.into());
        if let Some(known) = self.cache.get(address) {
            self.statistics.hits += 1;
            let function = known.function;
            let rule =
                known.rule.ok_or(StepError::NoInformation { vaddr: address.wrapping_sub(code.bias) })?;
            return self.step_by_rule(&rule, function, registers, is_return_address, code, stack, memory);
        }
        self.statistics.misses += 1;
        let vaddr = address.wrapping_sub(code.bias);
        let arch = code.module.arch();
        let (fde, row) = match code.module.row(vaddr, &mut self.context) {
            Ok(found) => found,
            Err(error) => {
                if matches!(error, StepError::NoInformation { .. }) {
                    self.cache.put(address, Known { function: 0, rule: None });
                }
                return Err(error);
            }
        };
        let function = fde.initial_address();
        let is_signal = fde.is_signal_trampoline();
        if !is_signal && let Some(rule) = Rule::of(row, arch) {
            self.cache.put(address, Known { function, rule: Some(rule) });
            return self.step_by_rule(&rule, function, registers, is_return_address, code, stack, memory);
        }
        self.statistics.evaluated += 1;
        let frame = Frame { module: code.module, registers, is_return_address, vaddr, stack, memory };
        let Some(caller) = frame.caller(row)? else {
            return Ok(Step { function, is_root: true, is_signal: false });
        };
        self.enter(registers, caller, arch, is_signal)?;
        Ok(Step { function, is_root: registers.pc == 0, is_signal })
    }

    /// How a frame that is told by its frame pointer lies, of a pc at which [`step`](Self::step) was tried
    /// just now. `None`: it is told by its stack pointer, or by nothing.
    pub fn frame_shape(&self, pc: u64, is_return_address: bool, arch: Arch) -> Option<FrameShape> {
        let known = self.cache.get(pc.wrapping_sub(is_return_address.into()))?;
        let [frame_pointer, back, saved] = known.rule?.below_cfa(arch)?;
        Some(FrameShape { function: known.function, frame_pointer, back, saved })
    }

    #[allow(clippy::too_many_arguments, reason = "the frame in its parts, on the hot path")]
    fn step_by_rule(
        &self,
        rule: &Rule,
        function: u64,
        registers: &mut Registers,
        is_return_address: bool,
        code: Code<'_>,
        stack: &StackCopy<'_>,
        memory: &impl Memory,
    ) -> Result<Step, StepError> {
        if rule.is_root() {
            return Ok(Step { function, is_root: true, is_signal: false });
        }
        let arch = code.module.arch();
        let caller = rule.apply(registers, arch, is_return_address, stack, memory)?;
        self.enter(registers, caller, arch, false)?;
        Ok(Step { function, is_root: registers.pc == 0, is_signal: false })
    }

    /// Takes over the caller's registers if they make sense.
    fn enter(
        &self,
        registers: &mut Registers,
        mut caller: Registers,
        arch: Arch,
        is_signal: bool,
    ) -> Result<(), StepError> {
        // A signal frame may lead to another stack. Only on arm64 does a call leave the stack as it is.
        let (cfa, sp) = (caller.sp(arch), registers.sp(arch));
        let goes_up = cfa > sp || (arch == Arch::Aarch64 && cfa == sp && caller.pc != registers.pc);
        if !is_signal && !goes_up {
            return Err(StepError::NoProgress { cfa });
        }
        caller.pc &= !self.return_mask;
        *registers = caller;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
