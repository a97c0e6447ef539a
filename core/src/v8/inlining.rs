//! From a position in optimized code to the chain of functions inlined there.

use super::code::Code;
use super::heap::{Decode, Heap, untag};
use super::position::SourcePosition;
use crate::limits::INLINING_DEPTH;
use crate::memory::Memory;

/// Bytes of one record: position of the call (u64), literal's number (i32), padding.
const RECORD: u64 = 16;

/// A place in a function: `shared` is tagged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The function's SharedFunctionInfo.
    pub shared: u64,
    /// Offset in its script's source.
    pub offset: Option<u32>,
}

/// Where the record of an inlining stands, by its number, from 1.
fn record((records, length): (u64, usize), inlining: u16) -> Result<u64, Decode> {
    let record = u64::from(inlining).checked_sub(1).ok_or(Decode::Bound)?;
    let is_inside = (record + 1) * RECORD <= length as u64;
    is_inside.then(|| records.wrapping_add(record * RECORD)).ok_or(Decode::Bound)
}

impl<M: Memory> Heap<'_, M> {
    /// The raw position of the call at which a function was inlined, by the number of the inlining, from 1.
    pub fn inlined_call(&self, code: &Code, inlining: u16) -> Result<u64, Decode> {
        Ok(self.memory.word(record(self.inlinings(code)?, inlining)?)?)
    }

    /// Where the records of code's inlinings stand, and their bytes.
    fn inlinings(&self, code: &Code) -> Result<(u64, usize), Decode> {
        let slot = self.layout.deopt.inlining.ok_or(Decode::Bound)?;
        self.byte_array(self.element(code.deopt, slot.into())?, 1 << 20)
    }

    /// Calls `place` for each function at a position of optimized code, the innermost inlined one
    /// first, the code's own function last.
    pub fn inlined_chain(
        &self,
        code: &Code,
        own: u64,
        position: SourcePosition,
        mut place: impl FnMut(Place),
    ) -> Result<(), Decode> {
        let layout = &self.layout.deopt;
        let mut position = position;
        if position.inlining > 0 {
            let inlinings = self.inlinings(code)?;
            let literals = self.element(code.deopt, layout.literals.into())?;
            for _ in 0..INLINING_DEPTH {
                if position.inlining == 0 {
                    break;
                }
                let at = record(inlinings, position.inlining)?;
                let call = self.memory.word(at)?;
                let literal = self.memory.half(at.wrapping_add(8))? as i32;
                let shared = match u32::try_from(literal) {
                    Ok(literal) => self.element(literals, literal)?,
                    Err(_) => own,
                };
                // The literal may be a weak reference.
                let shared = untag(shared).ok_or(Decode::NotAnObject(shared))? | 1;
                self.expect(shared, self.layout.types.shared)?;
                place(Place { shared, offset: position.offset });
                position = SourcePosition::from_raw(call, &self.layout.positions);
            }
            if position.inlining > 0 {
                return Err(Decode::Bound);
            }
        }
        place(Place { shared: own, offset: position.offset });
        Ok(())
    }
}
