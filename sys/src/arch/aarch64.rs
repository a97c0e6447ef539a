//! arm64.

use super::{InCall, register_set};
use crate::Errno;
use flame_core::arch::{Arch, Registers};
use flame_core::memory::Memory;
use std::sync::OnceLock;

pub(super) const fn host() -> Arch {
    Arch::Aarch64
}

/// System calls that block, beside those that every processor has: none.
pub(crate) const CALLS: &[(libc::c_long, &str)] = &[];

const NT_PRSTATUS: i32 = 1;
const NT_ARM_TLS: i32 = 0x401;
const NT_ARM_SYSTEM_CALL: i32 = 0x404;
const NT_ARM_PAC_MASK: i32 = 0x406;

/// `struct user_pac_mask` (`arch/arm64/include/uapi/asm/ptrace.h`).
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct PacMask {
    data: u64,
    instructions: u64,
}

/// The bits of a return address that are its signature where the processor has pointer authentication; 0
/// elsewhere. They follow from the size of the address space alone, so they are asked for once.
fn return_mask(tid: u32) -> u64 {
    static MASK: OnceLock<u64> = OnceLock::new();
    if let Some(mask) = MASK.get() {
        return *mask;
    }
    let mut mask = PacMask::default();
    // SAFETY: a struct of integers.
    match unsafe { register_set(tid, NT_ARM_PAC_MASK, &mut mask) } {
        Ok(size) if size == size_of::<PacMask>() => *MASK.get_or_init(|| mask.instructions),
        // No such set of registers.
        Ok(_) | Err(Errno::INVAL) => *MASK.get_or_init(|| 0),
        // The thread was killed where it stood, most likely: another one will tell.
        Err(_) => 0,
    }
}

pub(super) fn read(tid: u32) -> Result<Registers, Errno> {
    // SAFETY: a struct of integers, for which zero is a value.
    let mut raw: libc::user_regs_struct = unsafe { std::mem::zeroed() };
    // SAFETY: a struct of integers.
    if unsafe { register_set(tid, NT_PRSTATUS, &mut raw) }? < size_of_val(&raw) {
        // A thread in 32-bit mode has a smaller set.
        return Err(Errno::NOEXEC);
    }
    let mut tls = 0u64;
    // SAFETY: integers, this and the next.
    unsafe { register_set(tid, NT_ARM_TLS, &mut tls) }?;
    let mut syscall = -1i32;
    // SAFETY: as above.
    unsafe { register_set(tid, NT_ARM_SYSTEM_CALL, &mut syscall) }?;
    let mut registers = Registers { pc: raw.pc, tls, syscall: i64::from(syscall), ..Registers::default() };
    registers.return_mask = return_mask(tid);
    registers.general[..31].copy_from_slice(&raw.regs);
    registers.general[flame_core::arch::aarch64::SP] = raw.sp;
    Ok(registers)
}

/// Whether the thread is in a system call.
///
/// By the time of a stop the kernel has forgotten the call's number, and has already rewound a call that it will
/// restart to its `svc`, with the first argument back in x0 (`do_signal` in `arch/arm64/kernel/signal.c`); so the
/// instruction tells.
pub(crate) fn in_call(registers: &Registers, memory: &impl Memory) -> InCall {
    const SVC_0: u32 = 0xd400_0001;
    let Some(Ok(around)) = registers.pc.checked_sub(4).map(|before| memory.word(before)) else {
        return InCall::No;
    };
    match (around as u32, (around >> 32) as u32) {
        (_, SVC_0) => InCall::Asleep,
        (SVC_0, _) if super::broken_off(registers.general[0] as i64) => InCall::Asleep,
        (SVC_0, _) => InCall::Yes,
        _ => InCall::No,
    }
}
