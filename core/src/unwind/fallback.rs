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

/// What a word on the stack is, seen from the function whose caller is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// No return address.
    Data,
    /// A return address behind a call of nobody knows which function, or a signal handler's.
    Return,
    /// A return address behind a call of the function at this address.
    ReturnFrom(u64),
}

/// Bytes of one function, at most.
const FUNCTION_BYTES: u64 = 64 << 10;

/// Where on the stack the return address of a function is that has neither unwind information nor, as far as is
/// known, a frame pointer of its own: all of musl's, functions that call nobody, and any at its start and end.
///
/// `words` of the stack are looked at, from the stack pointer up to the place behind the frame pointer, where that
/// points to one: a frame that stands keeps it there, and else it belongs to one that lies further out. The
/// right one is known by the function it calls, which is the one that was left: of all calls that go to where it may
/// start, the one that goes nearest to `pc`, since no other function starts in between. Where none does, the frame
/// pointer is believed, unless what it leads to has called another function; then it is the first return address.
///
/// `None`: none is known, or it is the one behind the frame pointer anyway.
pub fn find_return(
    registers: &Registers,
    arch: Arch,
    pc: u64,
    words: u64,
    word: impl Fn(u64) -> Option<u64>,
    look: impl Fn(u64) -> Word,
) -> Option<u64> {
    let (fp, sp) = (registers.fp(arch), registers.sp(arch).next_multiple_of(8));
    let called_here = |start: u64| start <= pc && pc - start < FUNCTION_BYTES;
    let behind = fp.wrapping_add(8);
    let is_frame = fp >= sp && fp.is_multiple_of(8);
    let by_fp = if is_frame { word(behind).map_or(Word::Data, &look) } else { Word::Data };
    let (mut first, mut nearest) = (None, None);
    for at in (0..words).map_while(|index| sp.checked_add(index * 8)) {
        if by_fp != Word::Data && at >= behind {
            break;
        }
        let Some(found) = word(at) else { break };
        match look(found) {
            Word::Data => {}
            Word::Return => first = first.or(Some(at)),
            Word::ReturnFrom(start) => {
                first = first.or(Some(at));
                if called_here(start) && nearest.is_none_or(|(known, _)| known < start) {
                    nearest = Some((start, at));
                }
            }
        }
    }
    match by_fp {
        Word::ReturnFrom(start) if called_here(start) => {
            nearest.filter(|(other, _)| *other > start).map(|(_, at)| at)
        }
        Word::ReturnFrom(_) => nearest.map(|(_, at)| at).or(first),
        Word::Return | Word::Data => nearest.map(|(_, at)| at),
    }
}

/// Where the function called in front of a return address is. `before` is what [`follows_call`] wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Callee {
    /// At this address.
    At(u64),
    /// Where the word at this address says.
    In(u64),
    /// Not known: it was in a register, or in a table.
    Unknown,
}

/// The callee of the call that returns to `back`.
pub fn callee(before: &[u8], back: u64, arch: Arch) -> Callee {
    let away = |distance: [u8; 4]| back.wrapping_add_signed(i32::from_le_bytes(distance).into());
    match (arch, before) {
        (Arch::X86_64, [.., 0xe8, a, b, c, d]) => Callee::At(away([*a, *b, *c, *d])),
        (Arch::X86_64, [.., 0xff, 0x15, a, b, c, d]) => Callee::In(away([*a, *b, *c, *d])),
        _ => Callee::Unknown,
    }
}

/// Where code at `address` may jump to without a condition: each place in it that looks like such a jump.
pub fn jumps(code: &[u8], address: u64, arch: Arch) -> impl Iterator<Item = u64> {
    let is_known = arch == Arch::X86_64;
    (0..code.len()).filter(move |_| is_known).filter_map(move |at| {
        let (length, distance) = match code.get(at..)? {
            [0xe9, a, b, c, d, ..] => (5, i32::from_le_bytes([*a, *b, *c, *d])),
            [0xeb, distance, ..] => (2, i32::from(*distance as i8)),
            _ => return None,
        };
        Some(address.wrapping_add(at as u64 + length).wrapping_add_signed(distance.into()))
    })
}

/// Where the code at `address` jumps to, if that is a stub of the linkage table.
pub fn stub(code: &[u8], address: u64, arch: Arch) -> Callee {
    // endbr64 and the prefix that goes with it may come first.
    let unmarked = code.strip_prefix(&[0xf3, 0x0f, 0x1e, 0xfa]).unwrap_or(code);
    match (arch, unmarked.strip_prefix(&[0xf2]).unwrap_or(unmarked)) {
        (Arch::X86_64, [0xff, 0x25, a, b, c, d, rest @ ..]) => {
            let end = address.wrapping_add((code.len() - rest.len()) as u64);
            Callee::In(end.wrapping_add_signed(i32::from_le_bytes([*a, *b, *c, *d]).into()))
        }
        _ => Callee::At(address),
    }
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
