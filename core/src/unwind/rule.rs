//! The rules of nearly all functions in 32 bytes: the canonical frame address (CFA) is a register
//! plus an offset, and each register that a callee must preserve lies at a distance from it or was
//! not touched.

use gimli::{CfaRule, RegisterRule};

use super::module::Row;
use super::{StackCopy, StepError};
use crate::arch::{Arch, Registers, aarch64, x86_64};
use crate::memory::Memory;

/// Most registers that are followed from frame to frame: x19 to x30.
const SAVED: usize = 12;

/// DWARF numbers of the registers that a callee preserves, the return address's column last.
const fn saved_registers(arch: Arch) -> &'static [usize] {
    match arch {
        Arch::X86_64 => &[x86_64::RBX, x86_64::RBP, 12, 13, 14, 15, x86_64::RETURN_ADDRESS],
        Arch::Aarch64 => &[19, 20, 21, 22, 23, 24, 25, 26, 27, 28, aarch64::X29, aarch64::X30],
    }
}

/// Column of the return address.
pub(super) const fn return_column(arch: Arch) -> usize {
    match arch {
        Arch::X86_64 => x86_64::RETURN_ADDRESS,
        Arch::Aarch64 => aarch64::X30,
    }
}

/// Whether a register is followed at all: vector registers and the state of pointer authentication
/// are not.
pub(super) const fn is_general(arch: Arch, register: u16) -> bool {
    match arch {
        Arch::X86_64 => register <= x86_64::RETURN_ADDRESS as u16,
        Arch::Aarch64 => register < 32,
    }
}

/// How the caller's pc is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Return {
    /// At a distance from the CFA that stands in the last slot.
    Saved,
    /// Still in the link register: only possible in the frame that runs or was interrupted.
    InLinkRegister,
    /// There is no caller: the entry of a thread or process.
    None,
}

/// The rules at one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    cfa_offset: i32,
    cfa_register: u8,
    back: Return,
    /// Words between the CFA and where the register was saved; 0 where it was not.
    saved: [i16; SAVED],
}

impl Rule {
    /// The short form of a row, if it has one.
    pub(super) fn of(row: &Row, arch: Arch) -> Option<Rule> {
        let CfaRule::RegisterAndOffset { register, offset } = row.cfa() else { return None };
        let registers = saved_registers(arch);
        let mut rule = Rule {
            cfa_offset: i32::try_from(*offset).ok()?,
            cfa_register: u8::try_from(register.0).ok().filter(|register| *register < 32)?,
            back: Return::InLinkRegister,
            saved: [0; SAVED],
        };
        for (register, how) in row.registers() {
            let slot = registers.iter().position(|saved| *saved == usize::from(register.0));
            match how {
                RegisterRule::Undefined if slot == Some(registers.len() - 1) => rule.back = Return::None,
                RegisterRule::Undefined | RegisterRule::SameValue => {}
                _ if !is_general(arch, register.0) => {}
                RegisterRule::Offset(offset) if offset % 8 == 0 && *offset != 0 => {
                    let slot = slot?;
                    *rule.saved.get_mut(slot)? = i16::try_from(offset / 8).ok()?;
                    if slot == registers.len() - 1 {
                        rule.back = Return::Saved;
                    }
                }
                _ => return None,
            }
        }
        (arch == Arch::Aarch64 || rule.back != Return::InLinkRegister).then_some(rule)
    }

    /// Whether the frame has no caller.
    pub(super) const fn is_root(&self) -> bool {
        matches!(self.back, Return::None)
    }

    /// For a frame that is told by its frame pointer: bytes from there, from the return address and from the
    /// lowest register saved, to the CFA.
    pub(super) fn below_cfa(&self, arch: Arch) -> Option<[u64; 3]> {
        let is_told = usize::from(self.cfa_register) == arch.frame_pointer() && self.back == Return::Saved;
        let back = self.saved[saved_registers(arch).len() - 1];
        let lowest = self.saved.iter().copied().min().filter(|words| is_told && *words < 0)?;
        let bytes = |words: i16| u64::from(words.unsigned_abs()) * 8;
        Some([u64::try_from(self.cfa_offset).ok()?, bytes(back), bytes(lowest)])
    }

    /// Gives the registers of the caller, its pc as it stands in memory.
    pub(super) fn apply(
        &self,
        registers: &Registers,
        arch: Arch,
        is_return_address: bool,
        stack: &StackCopy<'_>,
        memory: &impl Memory,
    ) -> Result<Registers, StepError> {
        let base = registers.general[usize::from(self.cfa_register) % 32];
        let cfa = base.wrapping_add_signed(self.cfa_offset.into());
        let mut caller = *registers;
        let link = registers.general[aarch64::X30];
        for (register, words) in saved_registers(arch).iter().zip(self.saved) {
            if words == 0 {
                continue;
            }
            let address = cfa.wrapping_add_signed(i64::from(words) * 8);
            let value = match stack.word_or_read(address, memory) {
                Ok(value) => value,
                // Its function is about to return: the register was popped already and has its value.
                Err(_) if address < registers.sp(arch) && *register != return_column(arch) => continue,
                Err(fault) => return Err(fault.into()),
            };
            if *register == return_column(arch) {
                caller.pc = value;
            }
            if let Some(slot) = caller.general.get_mut(*register)
                && (arch == Arch::Aarch64 || *register < x86_64::RETURN_ADDRESS)
            {
                *slot = value;
            }
        }
        caller.general[arch.stack_pointer()] = cfa;
        if self.back == Return::InLinkRegister {
            if is_return_address {
                return Err(StepError::NoReturnAddress);
            }
            caller.pc = link;
        }
        Ok(caller)
    }
}
