//! From the frames that the walk found to what they are, by V8's heap.

use super::arguments::Arguments;
use super::codes::{Codes, KnownCode};
use super::found::{Found, JsFrame, StubFrame, Where};
use super::functions::{Function, Functions};
use super::live::{Handler, Live, Moment};
use super::places::{At, Places};
use super::raw::{FunctionId, Position, RawFrame};
use super::recall::Mark;
use super::wasm::WasmTable;
use crate::limits::{LIVE_BYTECODES, STACK_FRAMES};
use crate::memory::Memory;
use crate::profile::Kind;
use crate::v8::builtins::{BuiltinId, Builtins, Role};
use crate::v8::bytecode::BytecodeSizes;
use crate::v8::heap::smi;
use crate::v8::layout::{CodeKind, FrameType};
use crate::v8::{Decode, Heap};
use alloc::vec::Vec;
use core::ops::Range;

/// What could not be told, over a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// JavaScript frames whose function could not be read.
    pub functions: u64,
    /// Leaves without a frame whose function could not be told: left out.
    pub leaves: u64,
    /// Compiled frames whose code object was not found.
    pub codes: u64,
    /// JavaScript frames whose objects moved in the moment of the stop.
    pub stale: u64,
    /// Optimized frames whose code says another function than their frame.
    pub mismatches: u64,
}

/// What identifying works with.
pub struct Identify<'w, 'a, M> {
    /// V8's heap.
    pub heap: Heap<'w, M>,
    /// V8's builtins.
    pub builtins: &'w Builtins<'a>,
    /// Sizes of bytecodes.
    pub sizes: Option<BytecodeSizes<'a>>,
    /// Functions and scripts.
    pub functions: &'w mut Functions,
    /// Code objects.
    pub codes: &'w mut Codes,
    /// WebAssembly.
    pub wasm: &'w mut WasmTable,
    /// Places in code.
    pub places: &'w mut Places,
    /// The instruction that an interpreted top frame runs.
    pub live: &'w mut Live,
    /// Registers and stack.
    pub moment: Moment<'w>,
    /// What could not be told.
    pub losses: &'w mut Losses,
    /// Frames, leaf first.
    pub out: &'w mut Vec<RawFrame>,
    /// Where those of JavaScript have their arguments, if that is to be known.
    pub arguments: Option<&'w mut Arguments>,
}

/// A frame with a function, and what it came to.
struct Told {
    frame: JsFrame,
    /// Its frames' numbers.
    frames: Range<usize>,
    /// It is one of optimized code: its pc and its function say it all.
    is_told_by_pc: bool,
}

impl<M: Memory> Identify<'_, '_, M> {
    /// Identifies frames, leaf first. Marks among the found frames become marks among those that came of
    /// them.
    pub fn all(&mut self, found: &[Found], marks: &mut [Mark]) {
        let functions = found.iter().filter_map(|found| match found {
            Found::Js(frame) => Some(frame.function),
            _ => None,
        });
        self.functions.prepare(&self.heap, functions);
        let handler = self.handler(found);
        let mut marks = marks.iter_mut().peekable();
        let mut last = None;
        for (at, found) in found.iter().enumerate() {
            while let Some(mark) = marks.next_if(|mark| mark.frames as usize == at) {
                mark.frames = self.out.len() as u32;
            }
            match *found {
                Found::Native(place) => self.push(RawFrame::Native(place)),
                Found::Nowhere(pc) => self.push(RawFrame::Nowhere(pc)),
                Found::Builtin(Some(builtin)) => self.push(RawFrame::Builtin(builtin)),
                Found::Builtin(None) => self.push(RawFrame::UnnamedBuiltin),
                Found::Stub(StubFrame { at: Where::Builtin(Some(builtin)), .. }) => {
                    self.push(RawFrame::Builtin(builtin))
                }
                Found::Stub(StubFrame { at: Where::Builtin(None), .. }) => {
                    self.push(RawFrame::UnnamedBuiltin)
                }
                Found::Stub(_) => self.push(RawFrame::Glue(FrameType::Stub)),
                Found::Typed(FrameType::RegExp) => self.push(RawFrame::RegExp),
                Found::Wasm { pc, instance } => {
                    let function = self.wasm.find(&self.heap, self.moment.arch, pc, instance);
                    self.push(RawFrame::Wasm(function));
                }
                Found::Typed(FrameType::Wasm) => self.push(RawFrame::Wasm(None)),
                Found::Typed(frame_type) => self.push(RawFrame::Glue(frame_type)),
                Found::Elided => self.push(RawFrame::Elided),
                Found::Frameless { code, callee } => self.frameless(&code, callee),
                Found::Js(frame) => {
                    let handler = handler.filter(|(top, _)| *top == at).map(|(_, handler)| handler);
                    last = Some(self.call(frame, handler, last));
                }
                Found::Repeats(count) => {
                    for _ in 0..count {
                        match &last {
                            Some(same) if same.is_told_by_pc && self.arguments.is_none() => {
                                same.frames.clone().for_each(|at| self.push(self.out[at]));
                            }
                            _ => {
                                let called = last.as_ref().map(|last| &last.frame);
                                let frame = called.and_then(|called| called.repeated(&self.moment.stack));
                                last = frame.map(|frame| self.call(frame, None, last));
                            }
                        }
                    }
                }
            }
        }
    }

    /// A frame with a function, and those of what is inlined there. `last`: the one before.
    fn call(&mut self, frame: JsFrame, handler: Option<Handler>, last: Option<Told>) -> Told {
        let before = self.out.len();
        let told = match last {
            // What calls itself has frames that say the same, one after the other.
            Some(last) if last.is_told_by_pc && self.is_same_call(&last.frame, &frame) => {
                last.frames.clone().for_each(|at| self.push(self.out[at]));
                Told { frame, ..last }
            }
            _ => {
                self.javascript(&frame, handler);
                let is_optimized = matches!(
                    self.out[before..].last(),
                    Some(RawFrame::JavaScript { kind: Kind::Optimized | Kind::Maglev, .. })
                );
                let is_told_by_pc = is_optimized && self.is_same_call(&frame, &frame);
                Told { frame, frames: before..self.out.len(), is_told_by_pc }
            }
        };
        // Of inlined functions the last one has the frame.
        if let Some(arguments) = &mut self.arguments
            && self.out.len() > before
            && let Some(RawFrame::JavaScript { .. }) = self.out.last()
        {
            arguments.met(self.out.len() - 1, frame.fp, frame.slots[0]);
        }
        told
    }

    /// Whether two frames of optimized code say the same: what they say depends on no other word of theirs.
    fn is_same_call(&self, one: &JsFrame, other: &JsFrame) -> bool {
        one.pc == other.pc
            && one.function == other.function
            && one.at == other.at
            && one.pc.is_some_and(|pc| pc != self.moment.registers.pc)
            && !one.under_builtin
            && !other.under_builtin
    }

    /// The interpreter's handler that runs on the topmost frame of JavaScript, and that frame's number.
    fn handler(&mut self, found: &[Found]) -> Option<(usize, Handler)> {
        let top = found.iter().position(|found| matches!(found, Found::Js(_)))?;
        let (at, pc, frame) = match (top.checked_sub(1).and_then(|above| found.get(above)), found.get(top)?) {
            (Some(Found::Stub(stub)), _) => (stub.at, stub.pc, Some(stub.fp)),
            (None, Found::Js(frame)) => (frame.at, frame.pc?, None),
            _ => return None,
        };
        let start = match at {
            // In a stripped build it may be one.
            Where::Builtin(None) => None,
            Where::Builtin(Some(builtin)) if self.builtins.get(builtin)?.role == Role::Handler => None,
            Where::Jit { lowest } => {
                let known = self.codes.find(&self.heap, pc, lowest).ok()?;
                (known.code.kind == CodeKind::BytecodeHandler).then_some(Some(known.code.start))?
            }
            _ => return None,
        };
        Some((top, Handler { pc, start, frame, is_top: top < 2 }))
    }

    fn push(&mut self, frame: RawFrame) {
        if self.out.len() < STACK_FRAMES {
            self.out.push(frame);
        }
    }

    fn function(&mut self, function: u64) -> Result<(FunctionId, u64), Decode> {
        self.functions.of_function(&self.heap, function)
    }

    fn is_builtin(&self, function: FunctionId) -> bool {
        self.functions.function(function).is_some_and(Function::is_builtin)
    }

    fn javascript(&mut self, frame: &JsFrame, handler: Option<Handler>) {
        let known = self.function(frame.function);
        if let Ok((function, _)) = known
            && self.is_builtin(function)
        {
            return self.builtin(frame, function);
        }
        let code = match (frame.at, frame.pc) {
            (Where::Jit { lowest }, Some(pc)) => self.codes.find(&self.heap, pc, lowest).ok(),
            _ => None,
        };
        let Ok((function, shared)) = known else { return self.no_function(frame, code.as_ref()) };
        if let Where::Builtin(Some(builtin)) = frame.at
            && let Some(builtin) = self.builtins.get(builtin)
            && matches!(builtin.role, Role::BaselinePrologue | Role::BaselineEpilogue)
        {
            let is_leaving = builtin.role == Role::BaselineEpilogue && frame.pc.is_none();
            let position = if is_leaving { self.at_return(frame, function) } else { Position::NONE };
            return self.push_at(function, position, Kind::Baseline);
        }
        let code = code.and_then(|code| self.current(frame, code, shared));
        match (frame.at, code, frame.pc) {
            (Where::Jit { .. }, Some(code), Some(pc)) => {
                self.compiled(frame, handler, &code, pc, function, shared)
            }
            (Where::Jit { .. } | Where::Unknown, None, Some(_)) => {
                self.losses.codes += 1;
                self.push_at(function, Position::NONE, Kind::JavaScript);
            }
            _ => self.interpreted(frame, handler, function),
        }
    }

    /// The code object that a frame runs, if it agrees with the frame; else the one that stands there
    /// now: code dies and other code takes its place.
    fn current(&mut self, frame: &JsFrame, code: KnownCode, shared: u64) -> Option<KnownCode> {
        let agrees = match code.code.kind {
            CodeKind::Maglev | CodeKind::Optimized => {
                self.heap.layout.deopt.shared.is_none() || self.is_code_of(&code, shared)
            }
            CodeKind::Baseline if self.heap.layout.code.baseline_has_bytecode => {
                code.code.deopt == self.bytecode_array(frame)
            }
            _ => true,
        };
        let (false, Where::Jit { lowest }, Some(pc)) = (agrees, frame.at, frame.pc) else {
            return Some(code);
        };
        self.codes.forget(&code);
        self.codes.find(&self.heap, pc, lowest).ok()
    }

    fn is_code_of(&mut self, code: &KnownCode, shared: u64) -> bool {
        code.shared == Some(shared) || self.codes.reread_shared(&self.heap, code) == Some(shared)
    }

    fn push_at(&mut self, function: FunctionId, position: Position, kind: Kind) {
        self.push(RawFrame::JavaScript { function, position, kind });
    }

    fn no_function(&mut self, frame: &JsFrame, code: Option<&KnownCode>) {
        match (frame.at, code.map(|code| code.code.kind)) {
            (_, Some(CodeKind::RegExp)) => self.push(RawFrame::RegExp),
            (_, Some(kind)) if kind.is_javascript() => {
                self.losses.functions += 1;
                self.push(RawFrame::Unread);
            }
            (Where::Builtin(Some(builtin)), _) if !frame.under_builtin => {
                self.push(RawFrame::Builtin(builtin))
            }
            _ => self.push(RawFrame::Glue(FrameType::Unknown)),
        }
    }

    /// The frame of a builtin that is a JavaScript function. The walk has already given the builtin
    /// that the pc lies in where that may run on another's frame.
    fn builtin(&mut self, frame: &JsFrame, function: FunctionId) {
        match frame.at {
            Where::Builtin(Some(builtin)) if !frame.under_builtin => self.push(RawFrame::Builtin(builtin)),
            Where::Builtin(Some(builtin)) if self.is_named_alike(builtin, function) => {}
            _ => self.push(RawFrame::BuiltinFunction(function)),
        }
    }

    /// Whether a builtin's symbol ends in the name of the function: `ArrayMap` and `map`.
    fn is_named_alike(&self, builtin: BuiltinId, function: FunctionId) -> bool {
        let symbol = self.builtins.get(builtin).map_or("", |builtin| builtin.name);
        let name = self
            .functions
            .function(function)
            .map_or("", |function| self.functions.strings.get(function.name));
        let tail = symbol.len().checked_sub(name.len()).and_then(|at| symbol.get(at..));
        !name.is_empty() && tail.is_some_and(|tail| tail.eq_ignore_ascii_case(name))
    }

    fn slot(frame: &JsFrame, offset: i32) -> u64 {
        match offset {
            -24 => frame.slots[0],
            -32 => frame.slots[1],
            -40 => frame.slots[2],
            _ => 0,
        }
    }

    fn bytecode_array(&self, frame: &JsFrame) -> u64 {
        self.heap.layout.frames.interpreted.map_or(0, |slots| Self::slot(frame, slots.bytecode_array))
    }

    /// Where a baseline function on the top returns, while the shared epilogue leaves its frame: what is
    /// added to the interrupt budget is the negative offset of the bytecode's end (`VisitReturn` in
    /// `src/baseline/baseline-compiler.cc`).
    fn at_return(&mut self, frame: &JsFrame, function: FunctionId) -> Position {
        let array = self.bytecode_array(frame);
        let weight = self.moment.registers.general[self.moment.arch.weight_register()];
        let offset = (weight as u32).wrapping_neg().wrapping_sub(1);
        match self.heap.byte_array(array, LIVE_BYTECODES) {
            Ok((_, length)) if (offset as usize) < length => {
                self.places.in_bytecode(&self.heap, function, array, offset)
            }
            _ => Position::NONE,
        }
    }

    /// Whether a frame is that of the interpreter's entry: none of compiled code's is.
    fn is_entry(&self, frame: &JsFrame) -> bool {
        matches!(frame.at, Where::Builtin(Some(builtin)) if !frame.under_builtin
            && self.builtins.get(builtin).is_some_and(|builtin| builtin.role == Role::InterpreterEntry))
    }

    /// A frame of the interpreter; or, under a builtin, one of compiled code whose pc was not found.
    fn interpreted(&mut self, frame: &JsFrame, handler: Option<Handler>, function: FunctionId) {
        let Some(slots) = self.heap.layout.frames.interpreted else {
            return self.push_at(function, Position::NONE, Kind::JavaScript);
        };
        let header = i64::from(self.heap.layout.positions.bytecode_data) - 1;
        let array = Self::slot(frame, slots.bytecode_array);
        let offset = smi(Self::slot(frame, slots.bytecode_offset))
            .and_then(|offset| u32::try_from(i64::from(offset) - header).ok());
        let live = handler
            .filter(|_| offset.is_some())
            .and_then(|handler| self.live.offset(&self.heap, self.sizes, &self.moment, &handler, array));
        match live.or(offset) {
            Some(offset) => {
                let position = self.places.in_bytecode(&self.heap, function, array, offset);
                self.push_at(function, position, Kind::Interpreted);
            }
            None => {
                let is_array = self
                    .heap
                    .layout
                    .types
                    .bytecode_array
                    .is_some_and(|bytecode_array| self.heap.expect(array, bytecode_array).is_ok());
                let kind = match (is_array, self.is_entry(frame)) {
                    // Its frame is being built.
                    (_, true) => Kind::Interpreted,
                    (true, false) => Kind::Baseline,
                    (false, false) => Kind::JavaScript,
                };
                self.push_at(function, Position::NONE, kind);
            }
        }
    }

    fn compiled(
        &mut self,
        frame: &JsFrame,
        handler: Option<Handler>,
        code: &KnownCode,
        pc: u64,
        function: FunctionId,
        shared: u64,
    ) {
        let is_return = pc != self.moment.registers.pc;
        let at = At { offset: pc.saturating_sub(code.code.start) as u32, is_return };
        match code.code.kind {
            CodeKind::Maglev | CodeKind::Optimized => self.optimized(code, at, function, shared),
            CodeKind::Baseline => {
                self.codes.learn(code, function);
                let array = self.bytecode_array(frame);
                let position = self.places.in_baseline(&self.heap, self.sizes, code, function, array, at);
                self.push_at(function, position, Kind::Baseline);
            }
            CodeKind::FullCodegen => {
                self.codes.learn(code, function);
                let position = self.places.in_full_codegen(&self.heap, code, function, at);
                self.push_at(function, position, Kind::Baseline);
            }
            CodeKind::RegExp => self.push(RawFrame::RegExp),
            _ => self.interpreted(frame, handler, function),
        }
    }

    fn optimized(&mut self, code: &KnownCode, at: At, function: FunctionId, shared: u64) {
        let own = kind_of(code.code.kind);
        let layout = self.heap.layout;
        if layout.deopt.inlining.is_none() && layout.crankshaft.is_none() {
            return self.push_at(function, Position::NONE, own);
        }
        // Up to 3.14 the code does not say whose it is.
        if layout.deopt.shared.is_some() && !self.is_code_of(code, shared) {
            self.losses.mismatches += 1;
            return self.push_at(function, Position::NONE, own);
        }
        self.codes.learn(code, function);
        let chain = self.places.in_optimized(&self.heap, self.functions, code, (function, shared), at);
        let outermost = chain.len().saturating_sub(1);
        for (at, (inlined, position)) in chain.iter().enumerate() {
            // Closures that share the code may have names of their own.
            let (function, kind) = if at == outermost { (function, own) } else { (*inlined, Kind::Inlined) };
            if self.out.len() < STACK_FRAMES {
                self.out.push(RawFrame::JavaScript { function, position: *position, kind });
            }
        }
    }

    /// Compiled code on the top without a frame: it names its function itself, or the callee's register
    /// does, or an earlier frame of it did.
    fn frameless(&mut self, code: &KnownCode, callee: Option<u64>) {
        let mut of_shared = |shared: u64| self.functions.of_shared(&self.heap, shared).ok();
        let by_code = code.shared.and_then(&mut of_shared);
        let by_code = by_code.or_else(|| self.codes.reread_shared(&self.heap, code).and_then(of_shared));
        // A function object that a frame showed may have told more than its code does.
        let is_owner = by_code.is_some_and(|id| self.functions.differ_by_name(id, code.owner));
        let function = if is_owner { code.owner } else { by_code.or(code.owner) }.or_else(|| {
            let (function, _) = self.function(callee?).ok()?;
            Some(function).filter(|function| !self.is_builtin(*function))
        });
        match function {
            Some(function) => self.push_at(function, Position::NONE, kind_of(code.code.kind)),
            None => self.losses.leaves += 1,
        }
    }
}

fn kind_of(kind: CodeKind) -> Kind {
    match kind {
        CodeKind::Maglev => Kind::Maglev,
        CodeKind::Optimized => Kind::Optimized,
        CodeKind::Baseline | CodeKind::FullCodegen => Kind::Baseline,
        _ => Kind::JavaScript,
    }
}
