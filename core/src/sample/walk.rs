//! From registers and a copied stack to the frames of a thread, leaf first.
//!
//! JavaScript, builtins and stubs are walked by frame pointer, native code by its unwind information.
//! Nothing is read of V8's heap but what the top frame needs to tell whether it stands yet: every
//! other frame is told by words on the stack.

use super::codes::Codes;
use super::found::{Found, JsFrame, StubFrame, Where};
use super::functions::Functions;
use super::natives::Natives;
use super::recall::{Mark, Past};
use super::wasm::WasmTable;
use crate::arch::{Arch, Registers};
use crate::limits::{SIGNAL_STACKS, STACK_FRAMES};
use crate::maps::Maps;
use crate::memory::Memory;
use crate::unwind::{StackCopy, fallback};
use crate::v8::Heap;
use crate::v8::builtins::Builtins;
use crate::v8::heap::smi;
use crate::v8::layout::{FrameType, MarkerForm};

/// A walk's end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Walked {
    /// The outermost frame of the thread was reached.
    pub is_whole: bool,
    /// The walk ended where the copy did, though more can be copied.
    pub left_copy: bool,
    /// A frame of JavaScript, or one that C++ entered it by, was met.
    pub has_javascript: bool,
    /// A pc lay outside all known regions: the table of regions may be old.
    pub met_unknown: bool,
    /// The top frame ran on V8's heap or builtins, with this in the root register.
    pub root: Option<u64>,
    /// From this mark of the last stop outwards, all is as it was: the walk ended there.
    pub recalled: Option<usize>,
}

/// What a walk works with.
pub struct Walk<'w, 'a, M> {
    /// Processor of the target.
    pub arch: Arch,
    /// V8's heap.
    pub heap: Heap<'w, M>,
    /// Regions.
    pub maps: &'w Maps,
    /// The module that holds V8.
    pub v8: crate::maps::ModuleId,
    /// V8's builtins.
    pub builtins: &'w Builtins<'a>,
    /// Code objects.
    pub codes: &'w mut Codes,
    /// WebAssembly.
    pub wasm: &'w WasmTable,
    /// Functions.
    pub functions: &'w mut Functions,
    /// Object files.
    pub natives: &'w mut Natives<'a>,
    /// The copied stack.
    pub stack: StackCopy<'w>,
    /// The stack goes on behind the copy, and more of it can be copied: a walk that gets there ends.
    pub may_grow: bool,
    /// The newest exit frame, by the isolate; 0 if there is none.
    pub c_entry_fp: u64,
    /// Where the isolate says which of WebAssembly's stacks the thread is on; 0 if that is not known.
    pub active_stack: u64,
    /// What the last stop of this thread showed.
    pub past: Past<'w>,
    /// JavaScript frames that this walk came to, for the next stop.
    pub marks: &'w mut alloc::vec::Vec<Mark>,
    /// Frames found so far.
    pub out: &'w mut alloc::vec::Vec<Found>,
}

/// Where the walk stands.
pub(super) struct Cursor {
    pub(super) registers: Registers,
    /// The pc is a return address.
    pub(super) is_return: bool,
    /// The newest exit frame below the last entry frame, or the isolate's; 0 if there is none.
    exit_fp: u64,
    /// Frames that may still lead to a stack at lower addresses.
    descents: u8,
    /// The stack that the last of WebAssembly's own ones was entered from; 0: none was met.
    stack: u64,
    /// Frames that others stand for, beyond one each.
    pub(super) repeated: usize,
    /// The last pc, and where it points: what calls itself comes again and again from there.
    last: (u64, Option<Where>),
    pub(super) walked: Walked,
}

/// Whether the walk goes on.
pub(super) enum Next {
    Caller,
    /// The caller may be on another stack: it was interrupted by a signal, or WebAssembly switched.
    Interrupted,
    End,
}

impl<M: Memory> Walk<'_, '_, M> {
    /// Walks until the thread's outermost frame, or as far as can be. Gives also the highest address of
    /// the stack that was looked at.
    pub fn walk(&mut self, registers: &Registers) -> (Walked, u64) {
        let mut cursor = Cursor {
            registers: *registers,
            is_return: false,
            exit_fp: self.c_entry_fp,
            descents: SIGNAL_STACKS,
            stack: 0,
            repeated: 0,
            last: (0, None),
            walked: Walked::default(),
        };
        let end = self.walk_on(&mut cursor);
        // What stands on two stacks is not told by the copy of one.
        (cursor.walked, if cursor.stack == 0 { end } else { u64::MAX })
    }

    /// Gives the highest address looked at, now or when a recalled frame was.
    fn walk_on(&mut self, cursor: &mut Cursor) -> u64 {
        while self.out.len() + cursor.repeated < STACK_FRAMES && cursor.registers.pc != 0 {
            let (before, is_top) = (cursor.registers.sp(self.arch), !cursor.is_return);
            if cursor.walked.has_javascript
                && cursor.is_return
                && let Some((mark, end)) = self.past.find(&self.mark(cursor, 0))
            {
                cursor.walked.recalled = Some(mark);
                cursor.walked.is_whole = true;
                return end;
            }
            match self.step(cursor) {
                Next::Caller if cursor.registers.sp(self.arch) > before => {}
                // Its return address may be in a register.
                Next::Caller if is_top && cursor.registers.sp(self.arch) == before => {}
                Next::Interrupted if cursor.descents > 0 => {
                    cursor.descents -= u8::from(cursor.registers.sp(self.arch) <= before);
                }
                Next::Caller | Next::Interrupted | Next::End => return cursor.registers.sp(self.arch),
            }
        }
        if cursor.registers.pc == 0 {
            cursor.walked.is_whole = true;
        } else if let Some(last) = self.out.last_mut() {
            *last = Found::Elided;
        }
        cursor.registers.sp(self.arch)
    }

    /// Where the walk stands, as far as frames of V8's code and those beyond them depend on it: an entry
    /// frame sets the other registers, and an exit frame below is never gone back to.
    fn mark(&self, cursor: &Cursor, function: u64) -> Mark {
        let (fp, sp) = (cursor.registers.fp(self.arch), cursor.registers.sp(self.arch));
        let exit_fp = if cursor.exit_fp >= sp { cursor.exit_fp } else { 0 };
        let frames = self.out.len() as u32;
        Mark { registers: [sp, fp, cursor.registers.pc], exit_fp, function, frames }
    }

    /// Marks a frame that had called another: all that it is told by stands at its stack pointer or above.
    pub(super) fn leave_mark(&mut self, cursor: &Cursor) {
        let (fp, sp) = (cursor.registers.fp(self.arch), cursor.registers.sp(self.arch));
        if fp.wrapping_sub(16) >= sp
            && self.marks.len() < self.marks.capacity()
            && let Some(function) = self.stack.word(fp.wrapping_sub(16))
        {
            let mark = self.mark(cursor, function);
            self.marks.push(mark);
        }
    }

    /// Where an address points.
    pub fn place(&self, pc: u64) -> Where {
        self.place_in_region(pc).unwrap_or_else(|| self.place_beyond(pc))
    }

    fn place_in_region(&self, pc: u64) -> Option<Where> {
        let region = self.maps.find(pc).filter(|region| region.executable)?;
        let Some(module) = region.module else { return Some(Where::Jit { lowest: region.start }) };
        let offset = region.file_offset(pc);
        if module == self.v8 && self.builtins.contains(offset) {
            return Some(Where::Builtin(self.builtins.at(offset)));
        }
        Some(Where::Native(crate::maps::FilePlace { module, offset }))
    }

    /// Where an address points that no region of code held when they were read.
    fn place_beyond(&self, pc: u64) -> Where {
        self.maps.reserved(pc).map_or(Where::Unknown, |lowest| Where::Jit { lowest })
    }

    fn step(&mut self, cursor: &mut Cursor) -> Next {
        // The next frame's words are read behind the stack pointer, and below the frame pointer's end.
        let end = self.stack.base.saturating_add(self.stack.bytes.len() as u64);
        let (fp, sp) = (cursor.registers.fp(self.arch), cursor.registers.sp(self.arch));
        let is_near = |address: u64| address < end.saturating_add(crate::limits::STACK_BYTES as u64);
        if self.may_grow
            && ((sp >= end && is_near(sp)) || (fp >= sp && fp.saturating_add(16) > end && is_near(fp)))
        {
            cursor.walked.left_copy = true;
            return Next::End;
        }
        let pc = cursor.registers.pc.wrapping_sub(cursor.is_return.into());
        if cursor.last.0 != pc {
            cursor.last = (pc, self.place_in_region(pc));
        }
        let place = cursor.last.1;
        cursor.walked.met_unknown |= place.is_none();
        match place.unwrap_or_else(|| self.place_beyond(pc)) {
            Where::Native(place) => self.native(cursor, place),
            Where::Unknown => {
                // Code mapped since the regions were read: most likely V8's.
                if self.out.is_empty() || self.is_v8_frame(fp, sp) {
                    return self.javascript(cursor, Where::Jit { lowest: pc.saturating_sub(1 << 20) });
                }
                self.out.push(Found::Nowhere(pc));
                self.lost(cursor)
            }
            at => {
                // The innermost function's position is told by what lies below its frame, too.
                if cursor.walked.has_javascript && cursor.is_return {
                    self.leave_mark(cursor);
                }
                let next = self.javascript(cursor, at);
                if matches!(next, Next::Caller) {
                    self.repeats(cursor);
                }
                next
            }
        }
    }

    fn native(&mut self, cursor: &mut Cursor, place: crate::maps::FilePlace) -> Next {
        let stepped =
            self.natives.step(&mut cursor.registers, cursor.is_return, place, &self.stack, self.heap.memory);
        let offset = match stepped.step {
            // The unwind information of a signal's return begins one byte early, for unwinders that take its
            // pc for a return address.
            Ok(step) if step.is_signal => place.offset.wrapping_add(cursor.is_return.into()),
            _ => stepped.function.unwrap_or(place.offset),
        };
        self.out.push(Found::Native(crate::maps::FilePlace { offset, ..place }));
        match stepped.step {
            Ok(step) if step.is_root => {
                cursor.walked.is_whole = true;
                Next::End
            }
            Ok(step) if step.is_signal => {
                cursor.is_return = false;
                Next::Interrupted
            }
            Ok(_) => {
                cursor.is_return = true;
                Next::Caller
            }
            Err(_) if self.natives.is_start(place) => {
                cursor.walked.is_whole = true;
                Next::End
            }
            Err(_) if cursor.registers.fp(self.arch) == 0 && self.find_frame(cursor, place) => {
                self.out.pop();
                self.native(cursor, place)
            }
            Err(_) if self.leave_signal(cursor, place) => Next::Interrupted,
            Err(_) if self.leave_leaf(cursor) || self.leave_by_call(cursor) => Next::Caller,
            Err(_) => self.lost(cursor),
        }
    }

    /// Finds the frame pointer of a native frame, which nobody knows of a thread that was not stopped.
    fn find_frame(&self, cursor: &mut Cursor, place: crate::maps::FilePlace) -> bool {
        let returns_to = |natives: &Natives<'_>, back: u64| self.may_be_return(natives, back);
        let found = self.natives.frame_pointer(
            &cursor.registers,
            cursor.is_return,
            place,
            &self.stack,
            self.heap.memory,
            returns_to,
        );
        cursor.registers.general[self.arch.frame_pointer()] = found.unwrap_or(0);
        found.is_some_and(|fp| fp != 0)
    }

    /// Goes on where unwind information ends: by frame pointer if that leads to code, else at the
    /// newest exit frame, of which V8 keeps the place.
    fn lost(&mut self, cursor: &mut Cursor) -> Next {
        let (fp, sp) = (cursor.registers.fp(self.arch), cursor.registers.sp(self.arch));
        let mask = cursor.registers.return_mask;
        // A frame without a variable of its own begins at the stack pointer.
        let back =
            if fp >= sp && fp != 0 { self.word(fp.wrapping_add(8)).map(|back| back & !mask) } else { None };
        let reach = cursor.exit_fp;
        if back.is_some_and(|back| self.is_code(back.wrapping_sub(1)))
            && (reach == 0 || fp <= reach || reach < sp)
        {
            let caller = Registers { pc: back.unwrap_or(0), ..cursor.registers };
            if self.arch.link_register().is_some()
                && let Some(caller) = self.pushed(&caller)
            {
                cursor.registers = caller;
                cursor.is_return = true;
                return Next::Caller;
            }
            let stepped = fallback::step_frame_pointer(
                &mut cursor.registers,
                self.arch,
                mask,
                &self.stack,
                self.heap.memory,
            );
            cursor.is_return = true;
            return if stepped.is_ok() { Next::Caller } else { Next::End };
        }
        if reach >= sp && reach != 0 {
            self.out.push(Found::Elided);
            return self.leave_frame(cursor, reach);
        }
        Next::End
    }

    pub(super) fn is_code(&self, pc: u64) -> bool {
        self.maps.find(pc).is_some_and(|region| region.executable) || self.maps.reserved(pc).is_some()
    }

    /// Whether the frame at `fp` is one of V8's by its own words: a frame's type, or a function.
    fn is_v8_frame(&mut self, fp: u64, sp: u64) -> bool {
        if fp < sp || !fp.is_multiple_of(8) {
            return false;
        }
        let words = self.word(fp.wrapping_sub(8)).zip(self.word(fp.wrapping_sub(16)));
        words.is_some_and(|(context, function)| match self.marker(context, function) {
            Some(frame_type) => frame_type != FrameType::Unknown,
            None => self.functions.of_function(&self.heap, function).is_ok(),
        })
    }

    pub(super) fn word(&self, address: u64) -> Option<u64> {
        self.stack.word_or_read(address, self.heap.memory).ok()
    }

    /// Takes the caller of the frame at `fp`.
    pub(super) fn leave_frame(&mut self, cursor: &mut Cursor, fp: u64) -> Next {
        let (Some(caller), Some(back)) = (self.word(fp), self.word(fp.wrapping_add(8))) else {
            return Next::End;
        };
        cursor.registers.general[self.arch.frame_pointer()] = caller;
        cursor.registers.general[self.arch.stack_pointer()] = fp.wrapping_add(16);
        cursor.registers.pc = back & !cursor.registers.return_mask;
        cursor.is_return = true;
        Next::Caller
    }

    /// A frame of V8's code: JavaScript, a builtin, a stub.
    fn javascript(&mut self, cursor: &mut Cursor, at: Where) -> Next {
        let (fp, sp) = (cursor.registers.fp(self.arch), cursor.registers.sp(self.arch));
        if !cursor.is_return && self.out.is_empty() {
            cursor.walked.root = Some(cursor.registers.general[self.arch.root_register()]);
        }
        if !cursor.is_return {
            match at {
                Where::Jit { lowest } => {
                    if let Some(next) = self.top_in_heap(cursor, lowest) {
                        return next;
                    }
                }
                Where::Builtin(_) => {
                    if let Some(next) = self.top_in_builtin(cursor, at) {
                        return next;
                    }
                }
                _ => {}
            }
        }
        let is_switch = fp < sp && cursor.is_return && self.is_on_another_stack(fp, sp);
        if (fp < sp && !is_switch) || !fp.is_multiple_of(8) {
            return Next::End;
        }
        if let (true, Where::Jit { lowest }) = (cursor.is_return, at)
            && let Some(next) = self.stub_without_frame(cursor, lowest)
        {
            return next;
        }
        let pc = cursor.registers.pc.wrapping_sub(cursor.is_return.into());
        match self.frame(cursor, fp, at, Some(pc), false) {
            Next::Caller if is_switch => Next::Interrupted,
            next => next,
        }
    }

    /// Whether the frame at `fp`, below the stack pointer, is one that called from another stack: WebAssembly on a
    /// stack of its own calls JavaScript and C++ on the thread's (`SwitchToTheCentralStackIfNeeded` in
    /// `src/builtins/ARCH/`), which is as far away as stacks are.
    fn is_on_another_stack(&self, fp: u64, sp: u64) -> bool {
        self.active_stack != 0
            && fp.saturating_add(crate::limits::STACK_BYTES as u64) < sp
            && matches!(self.marker_at(fp), Some(Some(frame_type)) if frame_type != FrameType::Unknown)
    }

    /// Goes on where a stack of WebAssembly was entered or resumed: the isolate's active one has a jump buffer
    /// in which its parent stands, and that one's has the registers (`StackMemory` in `src/wasm/stacks.h`).
    fn parent_stack(&self, cursor: &mut Cursor) -> Next {
        const PARENT: u64 = 56;
        let stack = if cursor.stack == 0 { self.word(self.active_stack) } else { Some(cursor.stack) };
        let parent =
            stack.and_then(|stack| self.word(stack.wrapping_add(PARENT))).filter(|parent| *parent != 0);
        let Some(parent) = parent else { return Next::End };
        let [sp, fp, pc] = [24, 32, 40].map(|at| self.word(parent.wrapping_add(at)).unwrap_or(0));
        cursor.stack = parent;
        cursor.registers.general[self.arch.stack_pointer()] = sp;
        cursor.registers.general[self.arch.frame_pointer()] = fp;
        cursor.registers.pc = pc;
        cursor.is_return = true;
        // Where nothing could be read, that is no thread's end.
        if pc == 0 { Next::End } else { Next::Interrupted }
    }

    /// The frame that stands at `fp`, whose pc is `pc`, and then its caller.
    pub(super) fn frame(
        &mut self,
        cursor: &mut Cursor,
        fp: u64,
        at: Where,
        pc: Option<u64>,
        under_builtin: bool,
    ) -> Next {
        let slot = |offset: i64| self.word(fp.wrapping_add_signed(offset));
        let (Some(context), Some(function)) = (slot(-8), slot(-16)) else { return Next::End };
        match self.marker(context, function) {
            Some(frame_type) => {
                self.out.push(match (frame_type, at, pc) {
                    (FrameType::Wasm, Where::Jit { .. } | Where::Unknown, Some(pc)) => {
                        Found::Wasm { pc, instance: function }
                    }
                    (FrameType::Stub, _, Some(pc)) if !under_builtin => Found::Stub(StubFrame { fp, at, pc }),
                    // Where builtins have no names, the frame's type is what tells glue.
                    (glue, Where::Builtin(None), _) if glue.is_glue() => Found::Typed(glue),
                    (_, Where::Builtin(builtin), _) if !under_builtin => Found::Builtin(builtin),
                    _ => Found::Typed(frame_type),
                });
                // The outermost one of a stack of WebAssembly has no caller on it.
                if frame_type == FrameType::WasmGlue && self.word(fp) == Some(0) {
                    return self.parent_stack(cursor);
                }
                if frame_type == FrameType::Entry {
                    cursor.walked.has_javascript = true;
                    return self.enter_native(cursor, fp);
                }
            }
            None => {
                cursor.walked.has_javascript = true;
                // What stands below the stack pointer is an older frame's.
                let sp = cursor.registers.sp(self.arch);
                let is_pushed = |offset: &i64| fp.wrapping_add_signed(*offset) >= sp;
                let slots =
                    [-24, -32, -40].map(|offset| Some(offset).filter(is_pushed).and_then(slot).unwrap_or(0));
                self.out.push(Found::Js(JsFrame { fp, at, pc, function, slots, under_builtin }));
            }
        }
        self.leave_frame(cursor, fp)
    }

    /// The frame type that a frame's first two slots tell; `None`: they hold a context and a function.
    pub(super) fn marker(&self, context: u64, function: u64) -> Option<FrameType> {
        let frames = &self.heap.layout.frames;
        let typed = |number: u64| frames.frame_type(number);
        let small = |value: u64| {
            smi(value).and_then(|number| u64::try_from(number).ok()).filter(|number| *number < 64)
        };
        match frames.marker {
            MarkerForm::ShiftedAtContext => (context & 1 == 0).then(|| typed(context >> 1)),
            MarkerForm::SmiAtContext => small(context).map(typed),
            MarkerForm::SmiAtFunction => match small(context).map(typed) {
                Some(FrameType::ArgumentsAdaptor) => Some(FrameType::ArgumentsAdaptor),
                _ if function & 1 == 0 => Some(small(function).map_or(FrameType::Unknown, typed)),
                // The exit frame has no marker: its context slot is the saved stack pointer.
                _ if context & 1 == 0 => Some(FrameType::Exit),
                _ => None,
            },
        }
    }

    /// The same of the frame at `fp`; `None` if its slots cannot be read.
    pub(super) fn marker_at(&self, fp: u64) -> Option<Option<FrameType>> {
        Some(self.marker(self.word(fp.wrapping_sub(8))?, self.word(fp.wrapping_sub(16))?))
    }

    /// An entry frame: C++ called from here. It saved C++'s registers and the exit frame before it.
    fn enter_native(&mut self, cursor: &mut Cursor, fp: u64) -> Next {
        let frame = self.arch.entry_frame();
        for (offset, register) in frame.saved {
            if let Some(value) = self.word(fp.wrapping_add_signed(*offset)) {
                cursor.registers.general[*register] = value;
            }
        }
        let exit = self.word(fp.wrapping_add_signed(frame.previous_exit));
        cursor.exit_fp = exit.filter(|exit| *exit > fp).unwrap_or(0);
        let next = self.leave_frame(cursor, fp);
        cursor.registers.general[self.arch.stack_pointer()] = fp.wrapping_add(frame.end);
        next
    }
}
