//! Deoptimizations: for places in optimized code, the functions that V8 would go on in.

use super::code::Code;
use super::heap::{Decode, Heap, smi, untag};
use super::layout::{CodeKind, TranslationLayout};
use super::translation::{self, TranslatedFrame};
use crate::memory::Memory;

/// Exits for deoptimizations: each calls V8, the eager ones first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exits {
    /// Offset in the code of the first.
    pub start: u32,
    /// Number of eager ones: those that the code itself jumps to.
    pub eager: u32,
    /// Bytes of one.
    pub size: u32,
}

impl Exits {
    /// The number of the eager deoptimization whose exit is at an offset in the code.
    pub fn eager_at(&self, offset: i64) -> Option<u32> {
        let distance = u32::try_from(offset.checked_sub(self.start.into())?).ok()?;
        let number = distance.checked_div(self.size)?;
        (distance.is_multiple_of(self.size) && number < self.eager).then_some(number)
    }
}

impl<M: Memory> Heap<'_, M> {
    fn translation_layout(&self) -> Result<&TranslationLayout, Decode> {
        self.layout.translation.as_ref().ok_or(Decode::Bound)
    }

    fn small(&self, array: u64, index: u32) -> Result<u32, Decode> {
        smi(self.element(array, index)?).and_then(|value| u32::try_from(value).ok()).ok_or(Decode::Bound)
    }

    /// The exits of optimized code.
    pub fn exits(&self, code: &Code) -> Result<Exits, Decode> {
        let layout = self.translation_layout()?;
        let at = u32::from(layout.exits);
        Ok(Exits {
            start: self.small(code.deopt, at)?,
            eager: self.small(code.deopt, at + 1)?,
            size: layout.exit_size.into(),
        })
    }

    /// Calls `frame` for each function's frame of a deoptimization, the outermost first. `buffer` bounds
    /// the code's translations.
    pub fn deopt_frames(
        &self,
        code: &Code,
        deopt: u32,
        buffer: &mut [u8],
        frame: impl FnMut(TranslatedFrame),
    ) -> Result<(), Decode> {
        let layout = self.translation_layout()?;
        let entry = deopt.checked_mul(layout.entry_size.into()).ok_or(Decode::Bound)?;
        let entry = entry.checked_add(layout.first_entry.into()).ok_or(Decode::Bound)?;
        let start = self.small(code.deopt, entry.checked_add(1).ok_or(Decode::Bound)?)?;
        let translations = self.element(code.deopt, layout.translations.into())?;
        let (from, length) = self.byte_array(translations, buffer.len())?;
        let bytes = buffer.get_mut(..length).ok_or(Decode::Bound)?;
        self.memory.read(from, bytes)?;
        translation::frames(bytes, start as usize, &layout.ops, frame).ok_or(Decode::Bound)
    }

    /// The literal of optimized code with a number, if it is a SharedFunctionInfo; tagged.
    pub fn function_literal(&self, code: &Code, number: u32) -> Result<u64, Decode> {
        let literals = self.element(code.deopt, self.layout.deopt.literals.into())?;
        // It may be a weak reference.
        let literal = self.element(literals, number)?;
        let shared = untag(literal).ok_or(Decode::NotAnObject(literal))? | 1;
        self.expect(shared, self.layout.types.shared)?;
        Ok(shared)
    }

    /// The BytecodeArray, tagged, of a function whose SharedFunctionInfo is tagged.
    pub fn bytecode_of(&self, shared: u64) -> Result<u64, Decode> {
        let data = self.shared_info(shared)?.data;
        let (address, kind) = self.object(data)?;
        if Some(kind) == self.layout.types.bytecode_array {
            return Ok(data);
        }
        if kind != self.layout.types.code {
            return Err(Decode::WrongType { address, found: kind });
        }
        // Baseline code knows the bytecode that it was made from.
        let layout = &self.layout.code;
        let flags = self.memory.half(address.wrapping_add(layout.flags.into()))?;
        match layout.kind(flags) {
            CodeKind::Baseline => self.field(address, layout.deopt),
            _ => Err(Decode::Bound),
        }
    }
}
