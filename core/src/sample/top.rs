//! The top frame in V8's code: its own frame may not stand yet, or no longer.

use super::codes::KnownCode;
use super::found::{Found, Where};
use super::walk::{Cursor, Next, Walk};
use crate::arch::Edge;
use crate::memory::Memory;
use crate::v8::builtins::Role;
use crate::v8::heap::untag;
use crate::v8::layout::{CodeKind, FrameType};

/// Words between the stack pointer and a frame in which the pc of a frame under a builtin is looked for.
const PC_WITHIN: u64 = 64;

impl<M: Memory> Walk<'_, '_, M> {
    /// The top frame in V8's heap: compiled JavaScript may not have its frame yet, or no longer.
    /// `None`: the frame stands.
    pub(super) fn top_in_heap(&mut self, cursor: &mut Cursor, lowest: u64) -> Option<Next> {
        let pc = cursor.registers.pc;
        if self.is_wasm(pc) {
            return self.top_in_wasm(cursor).or_else(|| self.under_wasm(cursor));
        }
        let Ok(known) = self.codes.find(&self.heap, pc, lowest) else { return self.top_in_wasm(cursor) };
        if !known.code.kind.is_javascript() && known.code.kind != CodeKind::RegExp {
            return self.top_in_builtin(cursor, Where::Jit { lowest });
        }
        let (fp, sp) = (cursor.registers.fp(self.arch), cursor.registers.sp(self.arch));
        let edge = self.edge(&known, pc);
        if edge == Edge::Inside {
            if fp.wrapping_sub(16) < sp && sp <= fp.wrapping_add(8) {
                // The frame pointer is set, its slots are not pushed yet, or are popped already.
                self.frameless(known, None);
                return Some(self.leave_frame(cursor, fp));
            }
            return None;
        }
        let (back, popped) = self.beyond(cursor, edge)?;
        if !self.is_code(back.wrapping_sub(1)) {
            // Instructions only looked like an edge.
            return None;
        }
        let callee = match edge {
            Edge::BeforePush | Edge::AfterPush => Some(cursor.registers.general[self.arch.callee_register()]),
            _ => None,
        };
        self.frameless(known, callee);
        Some(self.return_to(cursor, back, popped))
    }

    /// Takes the caller of a function without a frame.
    fn return_to(&self, cursor: &mut Cursor, back: u64, popped: u64) -> Next {
        let sp = cursor.registers.sp(self.arch);
        cursor.registers.general[self.arch.stack_pointer()] = sp.wrapping_add(popped);
        cursor.registers.pc = back;
        cursor.is_return = true;
        Next::Caller
    }

    /// The return address of a function without a frame, and what its caller's stack pointer is above the
    /// present one. `None`: the frame stands.
    fn beyond(&self, cursor: &Cursor, edge: Edge) -> Option<(u64, u64)> {
        let sp = cursor.registers.sp(self.arch);
        Some(match edge {
            Edge::BeforePush | Edge::BeforeReturn => {
                let popped = if self.arch.link_register().is_some() { 0 } else { 8 };
                (self.unframed_return(cursor)?, popped)
            }
            Edge::AfterPush => (self.word(sp.wrapping_add(8))?, 16),
            Edge::ReturnIn(register) => (*cursor.registers.general.get(register)?, 0),
            Edge::Inside => return None,
        })
    }

    /// The top frame in WebAssembly's code, which has no object on the heap: at its function's start and end
    /// its frame does not stand. `None`: it does, or the code is none of WebAssembly's.
    fn top_in_wasm(&mut self, cursor: &mut Cursor) -> Option<Next> {
        const BEFORE: usize = 64;
        let (fp, sp) = (cursor.registers.fp(self.arch), cursor.registers.sp(self.arch));
        let pc = cursor.registers.pc;
        let mut around = [0; BEFORE + 24];
        self.heap.layout.wasm?;
        let read = self.heap.memory.read_prefix(pc.wrapping_sub(BEFORE as u64), &mut around);
        let around = around.get(..read).filter(|around| around.len() > BEFORE)?;
        if fp.wrapping_sub(8) < sp && fp >= sp {
            // The frame pointer is set, nothing is pushed yet.
            self.out.push(Found::Wasm { pc, instance: 0 });
            return Some(self.leave_frame(cursor, fp));
        }
        let edge = self.arch.edge_nearby(around, BEFORE)?;
        if fp < sp {
            return None;
        }
        self.leave_wasm(cursor, edge)
    }

    /// Takes the caller of WebAssembly's code that has no frame. `None`: what is to be the return address leads to no
    /// code.
    fn leave_wasm(&mut self, cursor: &mut Cursor, edge: Edge) -> Option<Next> {
        let (back, popped) = self.beyond(cursor, edge)?;
        if !self.is_code(back.wrapping_sub(1)) {
            return None;
        }
        self.out.push(Found::Wasm { pc: cursor.registers.pc, instance: 0 });
        Some(self.return_to(cursor, back, popped))
    }

    /// Whether a pc is in code of WebAssembly: that is known to be, or lies among such code alone.
    fn is_wasm(&self, pc: u64) -> bool {
        let Some(region) = self.maps.find(pc) else { return self.wasm.is_known(pc) };
        let region = region.start..region.end;
        self.wasm.is_known(pc) || (self.wasm.is_in(&region) && !self.codes.are_in(&region))
    }

    /// The top frame in WebAssembly's code that is at no edge of a function, as in its table of jumps: where the frame
    /// that stands is another's, the return address is on the top of the stack. `None`: it is its own.
    fn under_wasm(&mut self, cursor: &mut Cursor) -> Option<Next> {
        let marker = self.marker_at(cursor.registers.fp(self.arch))?;
        if matches!(marker, Some(FrameType::Wasm | FrameType::WasmGlue)) {
            return None;
        }
        self.leave_wasm(cursor, Edge::BeforePush)
    }

    fn frameless(&mut self, code: KnownCode, callee: Option<u64>) {
        self.out.push(match code.code.kind {
            CodeKind::RegExp => Found::Typed(FrameType::RegExp),
            _ => Found::Frameless { code, callee },
        });
    }

    fn edge(&mut self, known: &KnownCode, pc: u64) -> Edge {
        const BEFORE: u64 = 48;
        let start = known.code.start;
        let offset = (pc - start) as u32;
        if let Some(edge) = self.codes.known_edge(known.id, offset) {
            return edge;
        }
        let mut first = [0; 256];
        let mut around = [0; 80];
        let len = first.len().min(known.code.size as usize);
        let read = self.heap.memory.read_prefix(start, &mut first[..len]);
        let from = pc.saturating_sub(BEFORE).max(start);
        let len = around.len().min((start + u64::from(known.code.size)).saturating_sub(from) as usize);
        let near = self.heap.memory.read_prefix(from, &mut around[..len]);
        let from = (from - start) as usize;
        let edge = self.arch.edge(&first[..read], &around[..near], from, offset as usize);
        self.codes.learn_edge(known.id, offset, edge);
        edge
    }

    /// The top frame in a builtin, a stub or a bytecode handler: the frame at the frame pointer is its
    /// own or still its caller's. `None`: nothing special.
    pub(super) fn top_in_builtin(&mut self, cursor: &mut Cursor, at: Where) -> Option<Next> {
        let (fp, sp) = (cursor.registers.fp(self.arch), cursor.registers.sp(self.arch));
        let pc = cursor.registers.pc;
        if let Some(next) = self.top_at_baseline_edge(cursor, at) {
            return Some(next);
        }
        let is_typed = self.marker_at(fp).map(|marker| marker.is_some());
        if fp.wrapping_sub(8) < sp || (fp.wrapping_sub(16) < sp && is_typed == Some(false)) {
            // Being built or taken down: what stands in its slots is an older frame's.
            self.push_code(at);
            return Some(if fp >= sp { self.leave_frame(cursor, fp) } else { Next::End });
        }
        if is_typed? {
            return None;
        }
        if self.role(at) == Some(Role::Handler) {
            return None;
        }
        // A frame with a function: the interpreter's own, a JavaScript builtin's own, or the caller's.
        match self.pc_under_builtin(cursor) {
            Some((pc, place)) => {
                self.push_code(at);
                Some(self.frame(cursor, fp, place, Some(pc), true))
            }
            None if self.role(at) == Some(Role::InterpreterEntry) => None,
            None => {
                self.push_code(at);
                let pc = matches!(at, Where::Jit { .. }).then_some(pc);
                Some(self.frame(cursor, fp, at, pc, true))
            }
        }
    }

    /// A stub in V8's heap that called C++ and has no frame, as a write barrier's has none up to V8 6.2
    /// (`RecordWriteStub` in `src/x64/code-stubs-x64.cc`): the frame at the frame pointer is its caller's. `None`:
    /// nothing special.
    pub(super) fn stub_without_frame(&mut self, cursor: &mut Cursor, lowest: u64) -> Option<Next> {
        if !matches!(self.out.last(), Some(Found::Native(_))) {
            return None;
        }
        let fp = cursor.registers.fp(self.arch);
        if self.marker_at(fp)?.is_some() {
            return None;
        }
        let known = self.codes.find(&self.heap, cursor.registers.pc.wrapping_sub(1), lowest).ok()?;
        if !matches!(known.code.kind, CodeKind::Stub | CodeKind::Builtin) {
            return None;
        }
        let (pc, place) = self.pc_under_builtin(cursor)?;
        Some(self.frame(cursor, fp, place, Some(pc), true))
    }

    pub(super) fn push_code(&mut self, at: Where) {
        if let Where::Builtin(builtin) = at {
            self.out.push(Found::Builtin(builtin));
        }
    }

    fn role(&self, at: Where) -> Option<Role> {
        match at {
            Where::Builtin(Some(builtin)) => self.builtins.get(builtin).map(|builtin| builtin.role),
            _ => None,
        }
    }

    /// The pc of a compiled function's frame under a builtin: the first word between the stack pointer
    /// and the frame that lies in compiled code of that function. Whose it is, is told by the caller.
    ///
    /// Where calls leave it in a register, that comes first.
    fn pc_under_builtin(&mut self, cursor: &Cursor) -> Option<(u64, Where)> {
        let (fp, sp) = (cursor.registers.fp(self.arch), cursor.registers.sp(self.arch));
        let function = self.word(fp.wrapping_sub(16))?;
        let (_, shared) = self.functions.of_function(&self.heap, function).ok()?;
        let end = fp.min(sp.saturating_add(PC_WITHIN * 8));
        let linked = self.arch.link_register().and_then(|_| self.unframed_return(cursor));
        linked.and_then(|back| self.call_in(back, shared, fp)).or_else(|| {
            let mut words = (sp.next_multiple_of(8)..end).step_by(8);
            words.find_map(|address| self.call_in(self.word(address)?, shared, fp))
        })
    }

    /// The pc of the call that a word is the return address of, if that lies in compiled code of the function
    /// with this SharedFunctionInfo.
    fn call_in(&mut self, back: u64, shared: u64, fp: u64) -> Option<(u64, Where)> {
        let place @ Where::Jit { lowest } = self.place(back.wrapping_sub(1)) else { return None };
        let known = self.codes.find(&self.heap, back - 1, lowest).ok()?;
        self.belongs(&known, shared, fp).then_some((back - 1, place))
    }

    /// Whether compiled code is of the function with this SharedFunctionInfo, whose frame is at `fp`.
    fn belongs(&mut self, known: &KnownCode, shared: u64, fp: u64) -> bool {
        match known.code.kind {
            CodeKind::Maglev | CodeKind::Optimized => {
                known.shared == Some(shared) || self.codes.reread_shared(&self.heap, known) == Some(shared)
            }
            CodeKind::Baseline => {
                let slots = self.heap.layout.frames.interpreted;
                let array =
                    slots.and_then(|slots| self.word(fp.wrapping_add_signed(slots.bytecode_array.into())));
                let is_its_array = array.is_some_and(|array| array == known.code.deopt);
                is_its_array || self.runs_baseline(shared, known.code.address)
            }
            CodeKind::FullCodegen => self.runs_full_codegen(shared, known.code.address),
            _ => false,
        }
    }

    /// Whether a SharedFunctionInfo's code is this full-codegen code.
    fn runs_full_codegen(&self, shared: u64, code: u64) -> bool {
        let slot = self.heap.layout.shared.code;
        let field = untag(shared).zip(slot).and_then(|(shared, slot)| self.heap.field(shared, slot).ok());
        field.and_then(untag) == Some(code)
    }

    /// Whether a SharedFunctionInfo's data is this baseline code: itself, or since 9.0 and before 9.6
    /// behind a BaselineData.
    fn runs_baseline(&self, shared: u64, code: u64) -> bool {
        let data = self.heap.shared_info(shared).ok().and_then(|info| untag(info.data));
        let behind = data.and_then(|data| self.heap.field(data, 8).ok()).and_then(untag);
        data == Some(code) || behind == Some(code)
    }
}
