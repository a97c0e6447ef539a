//! Functions that have no frame, by the return address that a call has left.

use super::found::Where;
use super::natives::Natives;
use super::walk::{Cursor, Walk};
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
        if let Where::Native(place) = self.place(back.wrapping_sub(1)) {
            let mut callers_caller = caller;
            let stepped = self.natives.step(&mut callers_caller, true, place, &self.stack, self.heap.memory);
            if stepped.step.is_err() {
                return false;
            }
        }
        cursor.registers = caller;
        cursor.is_return = true;
        true
    }
}
