//! Functions that have no frame, by the return address that a call has left.

use super::found::Where;
use super::natives::Natives;
use super::walk::{Cursor, Walk};
use crate::arch::{Arch, Registers};
use crate::limits::STACK_BYTES;
use crate::maps::FilePlace;
use crate::memory::Memory;
use crate::unwind::fallback::{self, Callee, Word};

/// Words of a stack among which the return address of a function without unwind information is looked for: frames of
/// musl's functions are small, but for those of printf and the like.
const WORDS: u64 = 128;

/// Bytes of a signal's return code, and of a stub of the linkage table.
const CODE_BYTES: u64 = 16;

/// Bytes of a function among which it may jump to another one at its end.
const JUMP_WITHIN: usize = 48;

impl<M: Memory> Walk<'_, '_, M> {
    /// The return address of a function without a frame.
    pub(super) fn unframed_return(&self, cursor: &Cursor) -> Option<u64> {
        match self.arch.link_register() {
            Some(link) => Some(cursor.registers.general[link] & !cursor.registers.return_mask),
            None => self.word(cursor.registers.sp(self.arch)),
        }
    }

    /// Whether an address may be one that a call returns to.
    pub(super) fn may_be_return(&self, natives: &Natives<'_>, back: u64) -> bool {
        match self.place(back.wrapping_sub(1)) {
            Where::Native(place) => natives.follows_call(FilePlace { offset: place.offset + 1, ..place }),
            Where::Builtin(_) | Where::Jit { .. } => true,
            _ => false,
        }
    }

    /// Leaves native code that was interrupted and has no unwind information by the link register: the
    /// linkage table's stubs, arm64's vdso. A function that has made a call holds an address of its own
    /// there, which has no unwind information either.
    pub(super) fn leave_leaf(&mut self, cursor: &mut Cursor) -> bool {
        if cursor.is_return || self.arch.link_register().is_none() {
            return false;
        }
        let Some(back) = self.unframed_return(cursor).filter(|back| self.may_be_return(self.natives, *back))
        else {
            return false;
        };
        let mut caller = cursor.registers;
        caller.pc = back;
        if let Some(pushed) = self.pushed(&caller) {
            caller = pushed;
        } else if self.beyond_native(&caller).is_none() {
            return false;
        }
        cursor.registers = caller;
        cursor.is_return = true;
        true
    }

    /// The caller of a function without unwind information that has pushed its frame: `caller`'s pc, the return
    /// address, stands in that. OpenSSL's assembly does so in leaves, V8's where it looks for references on the
    /// stack. Where the frame ends is known of the smallest alone; else the caller's own frame begins at its stack
    /// pointer, as a compiler's does.
    pub(super) fn pushed(&mut self, caller: &Registers) -> Option<Registers> {
        let fp = caller.fp(self.arch);
        let is_pushed = fp >= caller.sp(self.arch)
            && self.word(fp.wrapping_add(8)).is_some_and(|back| back & !caller.return_mask == caller.pc);
        let callers = self.word(fp).filter(|_| is_pushed)?;
        let ends = [fp.wrapping_add(16), callers];
        ends.into_iter().filter(|end| *end > fp).find_map(|end| {
            let mut caller = *caller;
            caller.general[self.arch.frame_pointer()] = callers;
            caller.general[self.arch.stack_pointer()] = end;
            let pc = self.beyond_native(&caller)?;
            (pc == 0 || self.may_be_return(self.natives, pc)).then_some(caller)
        })
    }

    /// The pc of a caller's own caller, if the caller is native: 0 at the outermost, and if it is not. `None`: it
    /// cannot be told.
    fn beyond_native(&mut self, caller: &Registers) -> Option<u64> {
        let Where::Native(place) = self.place(caller.pc.wrapping_sub(1)) else { return Some(0) };
        let mut beyond = *caller;
        let stepped = self.natives.step(&mut beyond, true, place, &self.stack, self.heap.memory);
        stepped.step.ok().map(|step| if step.is_root { 0 } else { beyond.pc })
    }

    /// Leaves a signal handler to what the signal interrupted, where its return code has no unwind information.
    pub(super) fn leave_signal(&self, cursor: &mut Cursor, place: FilePlace) -> bool {
        let place = FilePlace { offset: place.offset.wrapping_add(cursor.is_return.into()), ..place };
        let is_return = |code: &[u8]| fallback::is_signal_return(code, self.arch);
        let stepped = self.natives.code_at(place, CODE_BYTES).is_some_and(is_return)
            && fallback::step_signal(&mut cursor.registers, self.arch, &self.stack, self.heap.memory).is_ok();
        if stepped {
            cursor.is_return = false;
        }
        stepped
    }

    /// Leaves native code without unwind information by the return address behind a call of it, where that is not
    /// where the frame pointer has it.
    pub(super) fn leave_by_call(&self, cursor: &mut Cursor) -> bool {
        if self.arch != Arch::X86_64 {
            return false;
        }
        let pc = cursor.registers.pc.wrapping_sub(cursor.is_return.into());
        let look = |word: u64| self.look_at(word & !cursor.registers.return_mask, pc);
        let found = fallback::find_return(&cursor.registers, self.arch, pc, WORDS, |at| self.word(at), look);
        let Some((at, back)) = found.and_then(|at| Some((at, self.word(at)?))) else { return false };
        let (fp, sp) = (cursor.registers.fp(self.arch), cursor.registers.sp(self.arch));
        // One that has put data there has saved the caller's, which lies further out.
        let end = at.saturating_add(STACK_BYTES as u64);
        let is_outer = |fp: &u64| (at..end).contains(fp) && fp.is_multiple_of(8);
        if fp == at.wrapping_sub(8) {
            cursor.registers.general[self.arch.frame_pointer()] = self.word(fp).unwrap_or(0);
        } else if !is_outer(&fp) {
            let saved = (sp..at).step_by(8).filter_map(|slot| self.word(slot));
            let mut saved = saved.filter(is_outer);
            if let Some(only) = saved.next().filter(|only| saved.all(|other| other == *only)) {
                cursor.registers.general[self.arch.frame_pointer()] = only;
            }
        }
        cursor.registers.general[self.arch.stack_pointer()] = at.wrapping_add(8);
        cursor.registers.pc = back & !cursor.registers.return_mask;
        cursor.is_return = true;
        true
    }

    /// What a word on the stack is to a function that runs at `pc`.
    fn look_at(&self, back: u64, pc: u64) -> Word {
        let Where::Native(last) = self.place(back.wrapping_sub(1)) else {
            // V8's code calls C++ by registers.
            return if self.may_be_return(self.natives, back) { Word::Return } else { Word::Data };
        };
        let place = FilePlace { offset: last.offset + 1, ..last };
        if !self.natives.follows_call(place) {
            let code = self.natives.code_at(place, CODE_BYTES);
            let is_signal = code.is_some_and(|code| fallback::is_signal_return(code, self.arch));
            return if is_signal { Word::Return } else { Word::Data };
        }
        let mut callee = self
            .natives
            .before(place)
            .map_or(Callee::Unknown, |code| fallback::callee(code, back, self.arch));
        if let Callee::At(address) = callee
            // In the stub itself, nothing has been jumped to yet.
            && !(address..address.saturating_add(CODE_BYTES)).contains(&pc)
            && let Where::Native(place) = self.place(address)
            && let Some(code) = self.natives.code_at(place, CODE_BYTES)
        {
            callee = fallback::stub(code, address, self.arch);
        }
        let called = match callee {
            Callee::At(address) => address,
            Callee::In(slot) => match self.word(slot) {
                Some(address) => address,
                None => return Word::Return,
            },
            Callee::Unknown => return Word::Return,
        };
        // What was called may have jumped here at its end.
        let Where::Native(place) = self.place(called) else { return Word::ReturnFrom(called) };
        let code = self.natives.code_at(place, JUMP_WITHIN as u64).unwrap_or_default();
        let jumps = fallback::jumps(code, called, self.arch);
        let here = jumps.filter(|to| *to <= pc && called > pc).max();
        Word::ReturnFrom(here.unwrap_or(called))
    }
}
