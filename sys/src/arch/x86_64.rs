//! x86-64.

use super::{InCall, register_set};
use crate::Errno;
use flame_core::arch::{Arch, Registers};
use flame_core::memory::Memory;

pub(super) const fn host() -> Arch {
    Arch::X86_64
}

/// System calls that block and that newer processors have under other names alone.
pub(crate) const CALLS: &[(libc::c_long, &str)] = &[
    (libc::SYS_epoll_wait, "epoll_wait"),
    (libc::SYS_open, "open"),
    (libc::SYS_pause, "pause"),
    (libc::SYS_poll, "poll"),
    (libc::SYS_rename, "rename"),
    (libc::SYS_select, "select"),
    (libc::SYS_stat, "stat"),
    (libc::SYS_unlink, "unlink"),
];

const NT_PRSTATUS: i32 = 1;

pub(super) fn read(tid: u32) -> Result<Registers, Errno> {
    // SAFETY: a struct of integers, for which zero is a value.
    let mut raw: libc::user_regs_struct = unsafe { std::mem::zeroed() };
    // SAFETY: a struct of integers.
    if unsafe { register_set(tid, NT_PRSTATUS, &mut raw) }? < size_of_val(&raw) {
        // A thread in 32-bit mode has a smaller set.
        return Err(Errno::NOEXEC);
    }
    let mut registers =
        Registers { pc: raw.rip, tls: raw.fs_base, syscall: raw.orig_rax as i64, ..Registers::default() };
    let by_number = [
        raw.rax, raw.rdx, raw.rcx, raw.rbx, raw.rsi, raw.rdi, raw.rbp, raw.rsp, raw.r8, raw.r9, raw.r10,
        raw.r11, raw.r12, raw.r13, raw.r14, raw.r15,
    ];
    registers.general[..by_number.len()].copy_from_slice(&by_number);
    Ok(registers)
}

/// Whether the thread is in a system call.
pub(crate) fn in_call(registers: &Registers, _memory: &impl Memory) -> InCall {
    match registers.syscall {
        ..0 => InCall::No,
        _ if super::broken_off(registers.general[flame_core::arch::x86_64::RAX] as i64) => InCall::Asleep,
        _ => InCall::Yes,
    }
}
