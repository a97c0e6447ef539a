//! Deoptimizations: for places in optimized code, the functions that V8 would go on in.

use super::code::Code;
use super::heap::{Decode, Heap, smi, untag};
use super::layout::{CodeKind, ExitLayout};
use super::translation::{self, TranslatedFrame};
use crate::arch::Arch;
use crate::memory::Memory;

/// Exits for deoptimizations: each calls V8, the eager ones first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exits {
    /// Offset in the code of the first.
    pub start: u32,
    /// Number of eager ones: those that the code itself jumps to.
    pub eager: u32,
    /// Number of lazy ones, which follow: those that calls return to.
    pub lazy: u32,
    /// Bytes of one.
    pub size: u32,
}

impl Exits {
    /// The number of the eager deoptimization whose exit is at an offset in the code.
    pub fn eager_at(&self, offset: i64) -> Option<u32> {
        self.at(offset).filter(|number| *number < self.eager)
    }

    /// The number of the lazy one.
    fn lazy_at(&self, offset: i64) -> Option<u32> {
        let end = self.eager.saturating_add(self.lazy);
        self.at(offset).filter(|number| (self.eager..end).contains(number))
    }

    fn at(&self, offset: i64) -> Option<u32> {
        let distance = u32::try_from(offset.checked_sub(self.start.into())?).ok()?;
        distance.checked_div(self.size).filter(|_| distance.is_multiple_of(self.size))
    }
}

impl<M: Memory> Heap<'_, M> {
    fn exit_layout(&self) -> Result<&ExitLayout, Decode> {
        self.layout.exits.as_ref().ok_or(Decode::Bound)
    }

    fn small(&self, array: u64, index: u32) -> Result<u32, Decode> {
        smi(self.element(array, index)?).and_then(|value| u32::try_from(value).ok()).ok_or(Decode::Bound)
    }

    /// The exits of optimized code.
    pub fn exits(&self, arch: Arch, code: &Code) -> Result<Exits, Decode> {
        let layout = self.exit_layout()?;
        let at = u32::from(layout.start);
        Ok(Exits {
            start: self.small(code.deopt, at)?,
            eager: self.small(code.deopt, at + 1)?,
            lazy: self.small(code.deopt, at + 2)?,
            size: arch.instruction_size().unwrap_or(layout.size).into(),
        })
    }

    /// A field of a deoptimization's entry.
    fn entry(&self, code: &Code, deopt: u32, field: u32) -> Result<u32, Decode> {
        let layout = self.exit_layout()?;
        let at = deopt.checked_mul(layout.entry_size.into());
        let at = at.and_then(|at| at.checked_add(u32::from(layout.first_entry) + field));
        self.small(code.deopt, at.ok_or(Decode::Bound)?)
    }

    /// The offset that a call returns to, by the one that stands in its frame. When code is to be left, V8 has all
    /// calls in it return to lazy exits instead (`ActivationsFinder` in `src/deoptimizer/deoptimizer.cc`), which
    /// stand behind all code with positions.
    pub fn call_of(&self, arch: Arch, code: &Code, back: u32) -> u32 {
        let exit = self.exits(arch, code).ok().and_then(|exits| exits.lazy_at(back.into()));
        exit.and_then(|exit| self.entry(code, exit, 2).ok()).unwrap_or(back)
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
        let layout = self.layout.translation.as_ref().ok_or(Decode::Bound)?;
        let start = self.entry(code, deopt, 1)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v8::fixture::{FakeHeap, layout_of, smi_word};
    use alloc::vec;

    #[test]
    fn a_lazy_exit_tells_the_call_that_it_stands_for() {
        use Arch::{Aarch64, X86_64};
        let versions = [(9, 4, X86_64, 7), (9, 4, Aarch64, 4), (11, 3, X86_64, 4), (14, 6, Aarch64, 4)];
        for (major, minor, arch, size) in versions {
            let at = if major < 13 { 8 } else { 9 };
            let mut fake = FakeHeap::new(layout_of(major, minor));
            // Exits from 200 on: one eager, for no call, and two lazy ones, for calls that return to 60 and 90.
            let mut words = vec![smi_word(at + 12); at as usize + 13];
            for (slot, value) in [(0, 200), (1, 1), (2, 2), (5, -1), (8, 60), (11, 90)] {
                words[(at + 1 + slot) as usize] = smi_word(value);
            }
            let deopt = fake.object(fake.layout.types.fixed_array, &words);
            let kind = CodeKind::Optimized;
            let code = Code { address: 0, start: 0, size: 256, kind, deopt, positions: 0, flags: 0 };
            let call = |back| fake.heap().call_of(arch, &code, back);
            assert_eq!([1, 2].map(|exit| call(200 + exit * size)), [60, 90], "{major}.{minor}, {arch:?}");
            // An eager exit, between exits, behind them, and a call of its own.
            let others = [200, 202 + size, 200 + 3 * size, 60];
            assert_eq!(others.map(call), others);
        }
    }
}
