//! The object files of the target, and how to step through their frames.

use crate::arch::Registers;
use crate::elf::Elf;
use crate::limits::MODULES;
use crate::maps::{FilePlace, ModuleId};
use crate::memory::Memory;
use crate::symbols::stubs;
use crate::unwind::{Code, ModuleUnwind, StackCopy, Step, StepError, Unwinder, fallback};
use alloc::vec::Vec;

/// Bytes of a function in which its prologue lies.
const PROLOGUE_BYTES: u64 = 128;

/// An object file that is open.
#[derive(Clone, Copy)]
struct Open<'a> {
    elf: Elf<'a>,
    unwind: Option<ModuleUnwind<'a>>,
    /// Where its stubs for other objects' functions are: first address in the file, and the one behind the last.
    stubs: (u64, u64),
}

/// Object files by their module's number.
pub struct Natives<'a> {
    open: Vec<Option<Open<'a>>>,
    unwinder: Unwinder,
}

/// A step through native code.
#[derive(Clone, Copy, Debug)]
pub struct Stepped {
    /// The step, or why there was none.
    pub step: Result<Step, StepError>,
    /// Where the function that was left starts in its file, if that is known.
    pub function: Option<u64>,
}

impl Default for Natives<'_> {
    fn default() -> Self {
        Natives { open: Vec::with_capacity(MODULES), unwinder: Unwinder::default() }
    }
}

impl<'a> Natives<'a> {
    /// Takes an object file. `None`: it cannot be opened or read.
    pub fn add(&mut self, module: ModuleId, elf: Option<Elf<'a>>) {
        let at = usize::from(module.0);
        if at >= MODULES {
            return;
        }
        if self.open.len() <= at {
            self.open.resize(at + 1, None);
        }
        let unwind = elf.as_ref().and_then(ModuleUnwind::new);
        unwind.iter().for_each(ModuleUnwind::warm);
        self.open[at] = elf.map(|elf| {
            let stubs = stubs::range(&elf);
            Open { elf, unwind, stubs: (stubs.start, stubs.end) }
        });
        self.unwinder.clear();
    }

    /// The file of a module.
    pub fn elf(&self, module: ModuleId) -> Option<&Elf<'a>> {
        self.open.get(usize::from(module.0)).and_then(|open| open.as_ref()).map(|open| &open.elf)
    }

    /// What is known by address may have moved.
    pub fn moved(&mut self) {
        self.unwinder.clear();
    }

    /// Bits of return addresses that may be a signature ([`Unwinder::return_mask`]).
    pub fn set_return_mask(&mut self, mask: u64) {
        self.unwinder.return_mask = mask;
    }

    /// Whether a place is in `_start`, the outermost code of a process, of which old builds have no
    /// unwind information. arm64's calls at byte 72, where it puts addresses together by instructions.
    pub fn is_start(&self, place: FilePlace) -> bool {
        const START_BYTES: u64 = 96;
        let elf = self.elf(place.module);
        let start = elf.and_then(|elf| elf.offset_of(elf.entry()));
        start.is_some_and(|start| (start..start + START_BYTES).contains(&place.offset))
    }

    /// The frame pointer of a frame at `place` that [`step`](Self::step) could not leave for want of it: of a
    /// thread that waits and was not stopped, pc and stack pointer are all that is known.
    ///
    /// By the size of the frame, as its function's first instructions make it. Exactly one size must lead
    /// to what `returns_to` takes for a return address.
    pub fn frame_pointer<M: Memory>(
        &self,
        registers: &Registers,
        is_return: bool,
        place: FilePlace,
        stack: &StackCopy<'_>,
        memory: &M,
        returns_to: impl Fn(&Self, u64) -> bool,
    ) -> Option<u64> {
        let elf = *self.elf(place.module)?;
        let arch = elf.machine();
        let shape = self.unwinder.frame_shape(registers.pc, is_return, arch)?;
        let len = elf.vaddr_of(place.offset)?.checked_sub(shape.function)?;
        let code = elf.bytes_at(shape.function, len.min(PROLOGUE_BYTES))?;
        let sizes = arch.frame_sizes(code, shape.saved);
        let mut cfas = sizes.as_slice().iter().filter_map(|size| {
            let cfa = registers.sp(arch).checked_add(*size)?;
            let back = stack.word_or_read(cfa.wrapping_sub(shape.back), memory).ok()?;
            returns_to(self, back & !self.unwinder.return_mask).then_some(cfa)
        });
        let cfa = cfas.next().filter(|_| cfas.next().is_none())?;
        cfa.checked_sub(shape.frame_pointer)
    }

    /// Whether the instruction in front of an address is a call.
    pub fn follows_call(&self, place: FilePlace) -> bool {
        let arch = self.elf(place.module).map(Elf::machine);
        self.before(place).zip(arch).is_some_and(|(before, arch)| fallback::follows_call(before, arch))
    }

    /// The bytes in front of an address in which a call stands.
    pub fn before(&self, place: FilePlace) -> Option<&'a [u8]> {
        const CALL_BYTES: u64 = 7;
        let elf = self.elf(place.module)?;
        elf.bytes_at(elf.vaddr_of(place.offset)?.checked_sub(CALL_BYTES)?, CALL_BYTES)
    }

    /// The code at an address, so many bytes of it.
    pub fn code_at(&self, place: FilePlace, bytes: u64) -> Option<&'a [u8]> {
        let elf = self.elf(place.module)?;
        elf.bytes_at(elf.vaddr_of(place.offset)?, bytes)
    }

    /// Steps from a frame at `place` to its caller.
    pub fn step<M: Memory>(
        &mut self,
        registers: &mut Registers,
        is_return: bool,
        place: FilePlace,
        stack: &StackCopy<'_>,
        memory: &M,
    ) -> Stepped {
        let open = self.open.get(usize::from(place.module.0)).and_then(|open| open.as_ref());
        let vaddr = open.and_then(|open| open.elf.vaddr_of(place.offset));
        let (Some(open), Some(vaddr)) = (open, vaddr) else {
            return Stepped { step: Err(StepError::NoInformation { vaddr: place.offset }), function: None };
        };
        let Some(module) = &open.unwind else {
            return Stepped { step: Err(StepError::NoInformation { vaddr }), function: None };
        };
        let bias = registers.pc.wrapping_sub(is_return.into()).wrapping_sub(vaddr);
        let step = self.unwinder.step(registers, is_return, Code { module, bias }, stack, memory);
        let function = step.ok().map(|step| match (open.stubs.0..open.stubs.1).contains(&step.function) {
            true => stubs::start(vaddr),
            false => step.function,
        });
        let function = function.and_then(|function| open.elf.offset_of(function));
        Stepped { step, function }
    }
}
