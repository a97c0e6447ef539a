//! The top frame in the prologue or the epilogue that all baseline code shares.
//!
//! While these builtins run, the function that called or left for them has no frame yet, or none any
//! more. The walk by frame pointer alone would take it for its caller.

use super::found::{Found, JsFrame, Where};
use super::walk::{Cursor, Next, Walk};
use crate::arch::{Back, Frameless};
use crate::memory::Memory;
use crate::v8::builtins::Role;

/// Bytes of the builtin that are read: what changes the frame stands within.
const BYTES: usize = 256;

impl<M: Memory> Walk<'_, '_, M> {
    /// `None`: the frame stands, or the thread is elsewhere.
    pub(super) fn top_at_baseline_edge(&mut self, cursor: &mut Cursor, at: Where) -> Option<Next> {
        let Where::Builtin(Some(id)) = at else { return None };
        let builtin = *self.builtins.get(id)?;
        let is_entering = match builtin.role {
            Role::BaselinePrologue => true,
            Role::BaselineEpilogue => false,
            _ => return None,
        };
        let pc = cursor.registers.pc;
        let offset = self.maps.find(pc)?.file_offset(pc).checked_sub(builtin.offset)?;
        let mut bytes = [0; BYTES];
        let read = self.heap.memory.read_prefix(pc.wrapping_sub(offset), &mut bytes);
        let (code, offset) = (&bytes[..read], usize::try_from(offset).ok()?);
        let (found, function) = if is_entering {
            let found = self.arch.entering_baseline(code, offset, &cursor.registers);
            let found = found.or_else(|| self.half_built(cursor))?;
            (found, cursor.registers.general[self.arch.callee_register()])
        } else {
            let found = self.arch.leaving_baseline(code, offset, &cursor.registers)?;
            (found, self.word(found.frame?.wrapping_sub(16))?)
        };
        self.functions.of_function(&self.heap, function).ok()?;
        let back = match found.back {
            Back::At(address) => self.word(address)?,
            Back::In(value) => value,
        };
        if !self.is_code(back.wrapping_sub(1)) {
            return None;
        }
        let fp = match found.saved {
            Some(saved) => self.word(saved)?,
            None => cursor.registers.fp(self.arch),
        };
        if let Some(frame) = found.frame
            && (self.word(frame) != Some(fp) || self.word(frame.wrapping_add(8)) != Some(back))
        {
            // A signal's handler has run on it since.
            return None;
        }
        let slot = |offset| found.frame.and_then(|frame| self.word(frame.wrapping_sub(offset))).unwrap_or(0);
        let slots = [24, 32, 40].map(slot);
        self.push_code(at);
        let frame = found.frame.unwrap_or(found.sp);
        self.out.push(Found::Js(JsFrame { fp: frame, at, pc: None, function, slots, under_builtin: true }));
        cursor.walked.has_javascript = true;
        cursor.registers.general[self.arch.frame_pointer()] = fp;
        cursor.registers.general[self.arch.stack_pointer()] = found.sp;
        cursor.registers.pc = back;
        cursor.is_return = true;
        Some(Next::Caller)
    }

    /// A frame whose frame pointer is set, but whose slots are not pushed yet.
    fn half_built(&self, cursor: &Cursor) -> Option<Frameless> {
        let (fp, sp) = (cursor.registers.fp(self.arch), cursor.registers.sp(self.arch));
        (fp.wrapping_sub(16) < sp && sp <= fp).then(|| Frameless {
            frame: None,
            saved: Some(fp),
            back: Back::At(fp.wrapping_add(8)),
            sp: fp.wrapping_add(16),
        })
    }
}
