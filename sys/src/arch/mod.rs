//! What differs between processors: registers as the kernel hands them over, and how to see that a
//! stopped thread had been asleep in a system call.

use flame_core::arch::{Arch, Registers};

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "aarch64")]
pub(crate) use aarch64::*;
#[cfg(target_arch = "x86_64")]
pub(crate) use x86_64::*;

/// The processor that this program was built for: the only one whose processes it can trace.
pub const HOST: Arch = host();

/// What a stop found of system calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InCall {
    /// The thread was in none.
    No,
    /// It was in one, or about to return from it.
    Yes,
    /// It slept in one, which the stop broke off.
    Asleep,
}

/// Error numbers of system calls that a signal broke off, as they stand in the result register before
/// the kernel decides whether to restart the call (`include/linux/errno.h`).
///
/// `ERESTARTNOINTR` (513) is left out: it is what `clone` and `fork` answer when they have not begun, so
/// the thread was running.
pub(crate) fn broken_off(result: i64) -> bool {
    const EINTR: i64 = -4;
    const ERESTARTSYS: i64 = -512;
    const ERESTARTNOHAND: i64 = -514;
    const ERESTART_RESTARTBLOCK: i64 = -516;
    matches!(result, EINTR | ERESTARTSYS | ERESTARTNOHAND | ERESTART_RESTARTBLOCK)
}

/// Reads one register set of a stopped thread into `set` and says how many bytes the kernel has of it.
///
/// # Safety
///
/// Any bytes must be a value of `T`, as of integers and structs of them.
pub(crate) unsafe fn register_set<T: Copy>(tid: u32, which: i32, set: &mut T) -> Result<usize, crate::Errno> {
    let mut piece = libc::iovec { iov_base: (set as *mut T).cast(), iov_len: size_of::<T>() };
    // SAFETY: the kernel writes at most `iov_len` bytes into `set`, which lives here and takes any.
    unsafe {
        crate::tracer::ptrace(libc::PTRACE_GETREGSET as _, tid, which as usize, (&raw mut piece) as usize)?
    };
    Ok(piece.iov_len)
}

/// Registers of a stopped thread.
pub(crate) fn registers(tid: u32) -> Result<Registers, crate::Errno> {
    read(tid)
}
