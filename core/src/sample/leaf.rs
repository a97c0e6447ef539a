//! Functions that have no frame, by the return address that a call has left.

use super::found::Where;
use super::natives::Natives;
use super::walk::{Cursor, Walk};
use crate::arch::Registers;
use crate::maps::FilePlace;
use crate::memory::Memory;

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
        if let Some(pushed) = self.pushed_leaf(&caller) {
            caller = pushed;
        } else if self.beyond_native(&caller).is_none() {
            return false;
        }
        cursor.registers = caller;
        cursor.is_return = true;
        true
    }

    /// The caller of a leaf that has pushed its frame all the same, as OpenSSL's assembly does: the address that
    /// is in the link register stands in the frame, too. Where the frame ends is known of the smallest alone; else
    /// the caller's own frame begins at its stack pointer, as a compiler's does.
    fn pushed_leaf(&mut self, caller: &Registers) -> Option<Registers> {
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
}
