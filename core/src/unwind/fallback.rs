//! Steps where there is no unwind information: JIT code, builtins, musl's libc, hand-written
//! assembly. The caller decides which of them fits; none of them is ever taken silently.

use super::{StackCopy, StepError};
use crate::arch::{Arch, Registers};
use crate::memory::Memory;

/// Steps by the frame pointer: saved frame pointer at `[fp]`, return address behind it.
///
/// The frame must lie at or above the stack pointer and be aligned. `return_mask` is cleared in the
/// return address ([`Unwinder::return_mask`](super::Unwinder::return_mask)).
pub fn step_frame_pointer(
    registers: &mut Registers,
    arch: Arch,
    return_mask: u64,
    stack: &StackCopy<'_>,
    memory: &impl Memory,
) -> Result<(), StepError> {
    let (fp, sp) = (registers.fp(arch), registers.sp(arch));
    let next = fp.checked_add(16).filter(|_| fp >= sp && fp.is_multiple_of(8) && fp != 0);
    let next = next.ok_or(StepError::NoProgress { cfa: fp })?;
    let caller = stack.word_or_read(fp, memory)?;
    let back = stack.word_or_read(fp + 8, memory)?;
    registers.general[arch.frame_pointer()] = caller;
    registers.general[arch.stack_pointer()] = next;
    set_pc(registers, arch, back & !return_mask);
    Ok(())
}

/// Steps out of a function that has made no frame yet, or no longer has one: the return address is
/// at the stack pointer, or on arm64 in the link register.
pub fn step_leaf(
    registers: &mut Registers,
    arch: Arch,
    return_mask: u64,
    stack: &StackCopy<'_>,
    memory: &impl Memory,
) -> Result<(), StepError> {
    let back = match arch {
        Arch::X86_64 => {
            let sp = registers.sp(arch);
            let back = stack.word_or_read(sp, memory)?;
            registers.general[arch.stack_pointer()] = sp.wrapping_add(8);
            back
        }
        Arch::Aarch64 => registers.general[30],
    };
    set_pc(registers, arch, back & !return_mask);
    Ok(())
}

/// Steps to the next word on the stack that is a return address by the look of it: `is_return`
/// is asked about each word, at most `words` of them, from the stack pointer upwards.
///
/// For functions that have neither unwind information nor a frame pointer, as all of musl's. The
/// frame pointer is left as it is: such functions preserve it, or keep data in it. See
/// [`follows_call`] for what a good `is_return` looks at.
pub fn step_scan(
    registers: &mut Registers,
    arch: Arch,
    return_mask: u64,
    stack: &StackCopy<'_>,
    words: usize,
    mut is_return: impl FnMut(u64) -> bool,
) -> Result<(), StepError> {
    let sp = registers.sp(arch).next_multiple_of(8);
    for at in (0..words as u64).map_while(|index| sp.checked_add(index * 8)) {
        let Some(word) = stack.word(at) else { break };
        let back = word & !return_mask;
        if back != 0 && is_return(back) {
            registers.general[arch.stack_pointer()] = at.wrapping_add(8);
            set_pc(registers, arch, back);
            return Ok(());
        }
    }
    Err(StepError::NoReturnAddress)
}

/// Whether the code that ends at a return address ends in a call. `before` is at least the 7 bytes
/// in front of that address.
pub fn follows_call(before: &[u8], arch: Arch) -> bool {
    match arch {
        Arch::X86_64 => match before {
            // call rel32
            [.., 0xe8, _, _, _, _] => true,
            // call [rip+disp32], call [reg+disp32]
            [.., 0xff, modrm, _, _, _, _]
                if modrm & 0x38 == 0x10 && (modrm >> 6 == 2 || modrm & 0xc7 == 5) =>
            {
                true
            }
            // call [base+index*scale+disp32]
            [.., 0xff, 0x94, _, _, _, _, _] => true,
            // call [base+index*scale+disp8]
            [.., 0xff, 0x54, _, _] => true,
            // call [reg+disp8], call [base+index*scale]
            [.., 0xff, modrm, _] if modrm & 0xf8 == 0x50 || *modrm == 0x14 => true,
            // call reg, call [reg]
            [.., 0xff, modrm] => modrm & 0xf8 == 0xd0 || modrm & 0xf8 == 0x10,
            _ => false,
        },
        Arch::Aarch64 => before.last_chunk().is_some_and(|word| {
            let word = u32::from_le_bytes(*word);
            // bl; blr, and with pointer authentication blraa and its like
            word >> 26 == 0b10_0101 || word >> 16 | 0x100 == 0xd73f
        }),
    }
}

/// Whether code is the return from a signal handler: `rt_sigreturn`, as the C libraries and the
/// kernel write it. musl's has no unwind information.
pub fn is_signal_return(code: &[u8], arch: Arch) -> bool {
    match arch {
        // mov $15, %rax; syscall
        Arch::X86_64 => {
            code.starts_with(&[0x48, 0xc7, 0xc0, 15, 0, 0, 0, 0x0f, 5])
                || code.starts_with(&[0xb8, 15, 0, 0, 0, 0x0f, 5])
        }
        // mov x8, #139; svc #0
        Arch::Aarch64 => code.starts_with(&[0x68, 0x11, 0x80, 0xd2, 1, 0, 0, 0xd4]),
    }
}

/// Steps over a signal handler's return code to what the signal interrupted, by the registers that
/// the kernel saved at the stack pointer (`struct rt_sigframe`). The new pc is exact, no return
/// address.
pub fn step_signal(
    registers: &mut Registers,
    arch: Arch,
    stack: &StackCopy<'_>,
    memory: &impl Memory,
) -> Result<(), StepError> {
    let sp = registers.sp(arch);
    let word = |offset: u64| stack.word_or_read(sp.wrapping_add(offset), memory);
    match arch {
        Arch::X86_64 => {
            // ucontext: flags, link, stack_t, then r8 to r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip.
            const ORDER: [usize; 16] = [8, 9, 10, 11, 12, 13, 14, 15, 5, 4, 6, 3, 1, 0, 2, 7];
            let mut general = registers.general;
            for (index, register) in ORDER.into_iter().enumerate() {
                general[register] = word(40 + index as u64 * 8)?;
            }
            registers.pc = word(40 + 16 * 8)?;
            registers.general = general;
        }
        Arch::Aarch64 => {
            // siginfo (128 bytes), ucontext up to its mcontext (176), fault address, x0 to x30, sp, pc.
            const X0: u64 = 128 + 176 + 8;
            let mut general = registers.general;
            for (index, register) in general.iter_mut().enumerate() {
                *register = word(X0 + index as u64 * 8)?;
            }
            registers.pc = word(X0 + 32 * 8)?;
            registers.general = general;
        }
    }
    Ok(())
}

fn set_pc(registers: &mut Registers, arch: Arch, pc: u64) {
    registers.pc = pc;
    if arch == Arch::Aarch64 {
        registers.general[30] = pc;
    }
}
