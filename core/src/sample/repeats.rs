//! The frames of compiled code that calls itself: they stand one above the other with the same pc, function and
//! context, so that the first one tells all that the walk must know of the others.

use super::found::{Found, JsFrame, Where};
use super::walk::{Cursor, Walk};
use crate::limits::STACK_FRAMES;
use crate::memory::Memory;
use crate::unwind::StackCopy;

/// Frames that are taken as one: between them stands a mark for the next stop.
const RUN: usize = 16;

impl<M: Memory> Walk<'_, '_, M> {
    /// Takes all callers that are as the frame that was just left. It ends where the copied stack does, and where the
    /// last walk may be met.
    pub(super) fn repeats(&mut self, cursor: &mut Cursor) {
        let Some(Found::Js(called)) = self.out.last().copied() else { return };
        let back = cursor.registers.pc;
        if called.under_builtin
            || !matches!(called.at, Where::Jit { .. })
            || called.pc != Some(back.wrapping_sub(1))
            || !cursor.is_return
        {
            return;
        }
        let Some(context) = self.stack.word(called.fp.wrapping_sub(8)) else { return };
        let until = self.past.next_from(cursor.registers.sp(self.arch));
        loop {
            let room = (STACK_FRAMES - 1).saturating_sub(self.out.len() + cursor.repeated).min(RUN);
            let (mut fp, mut sp) = (cursor.registers.fp(self.arch), cursor.registers.sp(self.arch));
            let (mut pc, mut count) = (back, 0);
            while count < room
                && pc == back
                && sp < until
                && sp.saturating_add(16) <= fp
                && fp.is_multiple_of(8)
                && let Some([function, its_context, caller, its_back]) = self.stack.words(fp - 16)
                && (function, its_context) == (called.function, context)
            {
                (sp, fp, pc) = (fp.wrapping_add(16), caller, its_back & !cursor.registers.return_mask);
                count += 1;
            }
            if count == 0 {
                return;
            }
            self.leave_mark(cursor);
            self.out.push(Found::Repeats(count));
            cursor.repeated += count - 1;
            cursor.registers.general[self.arch.frame_pointer()] = fp;
            cursor.registers.general[self.arch.stack_pointer()] = sp;
            cursor.registers.pc = pc;
            if pc != back {
                return;
            }
        }
    }
}

impl JsFrame {
    /// The frame of this one's caller, where that is one of its [`Repeats`](Found::Repeats).
    pub(super) fn repeated(&self, stack: &StackCopy<'_>) -> Option<JsFrame> {
        let fp = stack.word(self.fp)?;
        // What stands below the stack pointer is an older frame's.
        let sp = self.fp.wrapping_add(16);
        let slots = [24, 32, 40].map(|offset| {
            let at = fp.wrapping_sub(offset);
            stack.word(at).filter(|_| at >= sp).unwrap_or(0)
        });
        Some(JsFrame { fp, slots, ..*self })
    }
}
