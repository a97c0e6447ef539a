//! The functions at a place in optimized code: its own, and those inlined there.
//!
//! Three ways lead to them. Source positions tell all where the compiler writes them for every
//! instruction. Where it does not, a return address is a safepoint, whose translation says what V8
//! would go on in. And on the top, the last place before the pc with a translation tells: a call, or a
//! check that jumps to an exit.

use super::codes::KnownCode;
use super::functions::Functions;
use super::places::{At, Key, Places};
use super::raw::{FunctionId, Position};
use super::sites;
use crate::limits::INLINING_DEPTH;
use crate::memory::Memory;
use crate::v8::crankshaft::{self, AstFrame};
use crate::v8::inlining::Place;
use crate::v8::layout::CodeKind;
use crate::v8::position::{Entries, Interrupted, SourcePosition, at_or_before, entry_at};
use crate::v8::translation::TranslatedFrame;
use crate::v8::{Decode, Heap};
use smallvec::SmallVec;

type Frames = SmallVec<[(FunctionId, Position); INLINING_DEPTH]>;

/// The function whose code it is, and its SharedFunctionInfo, tagged.
pub type Own = (FunctionId, u64);

/// The function of a SharedFunctionInfo that optimized code holds.
fn function_of<M: Memory>(
    heap: &Heap<'_, M>,
    functions: &mut Functions,
    known: &KnownCode,
    own: Own,
    shared: u64,
) -> Result<FunctionId, Decode> {
    if shared == own.1 {
        return Ok(own.0);
    }
    let literals = heap.element(known.code.deopt, heap.layout.deopt.literals.into())?;
    functions.of_inlined(heap, shared, literals)
}

impl Places {
    /// The functions at a place in optimized code, innermost first; the code's own is the last.
    ///
    /// Where positions cannot be had it is the own function alone, without one.
    pub fn in_optimized<M: Memory>(
        &mut self,
        heap: &Heap<'_, M>,
        functions: &mut Functions,
        known: &KnownCode,
        own: Own,
        at: At,
    ) -> &[(FunctionId, Position)] {
        let key = Key::Code { id: known.id.0, at };
        if let Some(range) = self.get(key) {
            return &self.frames[range];
        }
        let is_maglev = known.code.kind == CodeKind::Maglev && heap.layout.translation.is_some();
        let found = match is_maglev {
            false if heap.layout.crankshaft.is_some() => self.in_crankshaft(heap, functions, known, own, at),
            false => self.by_position(heap, functions, known, own, at),
            true if at.is_return => self
                .by_safepoint(heap, functions, known, own, at.offset)
                .or_else(|_| self.by_position(heap, functions, known, own, at)),
            true => self.in_maglev(heap, functions, known, own, at.offset),
        };
        // Memory that could not be read may be readable in the next stop.
        let is_lasting = !matches!(found, Err(Decode::Fault(_)));
        let frames = found.ok().filter(|frames| frames.last().is_some_and(|last| last.0 == own.0));
        let frames = frames.unwrap_or_else(|| {
            self.unread += 1;
            SmallVec::from_iter([(own.0, Position::NONE)])
        });
        self.keep(if is_lasting { key } else { Key::None }, &frames)
    }

    /// The top frame in Maglev code. Its positions are those of a loop's end for all that stands in a loop
    /// whose first round was peeled off, so they tell the function, and the last check tells the place
    /// in it.
    fn in_maglev<M: Memory>(
        &mut self,
        heap: &Heap<'_, M>,
        functions: &mut Functions,
        known: &KnownCode,
        own: Own,
        offset: u32,
    ) -> Result<Frames, Decode> {
        let by_site = self.by_site(heap, functions, known, own, offset);
        let by_position = self.by_position(heap, functions, known, own, At { offset, is_return: false });
        match (by_site, by_position) {
            (Ok(site), Ok(position)) => {
                let is_same = site.iter().map(|frame| frame.0).eq(position.iter().map(|frame| frame.0));
                Ok(if is_same { site } else { position })
            }
            (site, position) => site.or(position),
        }
    }

    fn by_position<M: Memory>(
        &mut self,
        heap: &Heap<'_, M>,
        functions: &mut Functions,
        known: &KnownCode,
        own: Own,
        at: At,
    ) -> Result<Frames, Decode> {
        let length = self.table(heap, known.code.positions)?;
        let entries = || Entries::new(&self.table[..length], &heap.layout.positions);
        let back = || heap.call_of(self.arch, &known.code, at.offset.saturating_add(1)).saturating_sub(1);
        let at = At { offset: if at.is_return { back() } else { at.offset }, ..at };
        let offset = i64::from(at.offset);
        let here = entry_at(entries(), offset).ok_or(Decode::Bound)?;
        // Deferred code without an entry of its own stands for where it was left, not for what stands before it.
        let instruction = at.offset.saturating_add(at.is_return.into());
        let deferred = sites::deferred_at(self.arch, instruction, |from, into| {
            let rest = known.code.size.saturating_sub(from) as usize;
            let length = into.len().min(rest);
            heap.memory.read_prefix(known.code.start.wrapping_add(from.into()), &mut into[..length])
        });
        let deferred = deferred.filter(|deferred| here.code < i64::from(deferred.start));
        let offset = deferred.map_or(offset, |deferred| i64::from(deferred.back) - 1);
        let raw = if at.is_return {
            at_or_before(entries(), offset)
        } else {
            let call = |inlining| heap.inlined_call(&known.code, inlining).ok();
            Interrupted::at(entries(), offset).map(|found| found.position(&heap.layout.positions, call))
        };
        let position = SourcePosition::from_raw(raw.ok_or(Decode::Bound)?, &heap.layout.positions);
        let mut chain: SmallVec<[Place; INLINING_DEPTH]> = SmallVec::new();
        heap.inlined_chain(&known.code, own.1, position, |place| chain.push(place))?;
        let function = |place: &Place| {
            let function = function_of(heap, functions, known, own, place.shared)?;
            Ok((function, Position::new(place.offset)))
        };
        chain.iter().map(function).collect()
    }

    fn by_safepoint<M: Memory>(
        &mut self,
        heap: &Heap<'_, M>,
        functions: &mut Functions,
        known: &KnownCode,
        own: Own,
        offset: u32,
    ) -> Result<Frames, Decode> {
        let points = heap.safepoints(&known.code, &mut self.table)?;
        let point = points.at(offset.saturating_add(1)).ok_or(Decode::Bound)?;
        self.translated(heap, functions, known, own, point.deopt.ok_or(Decode::Bound)?)
    }

    /// By the last call or check before the pc.
    fn by_site<M: Memory>(
        &mut self,
        heap: &Heap<'_, M>,
        functions: &mut Functions,
        known: &KnownCode,
        own: Own,
        offset: u32,
    ) -> Result<Frames, Decode> {
        let points = heap.safepoints(&known.code, &mut self.table)?;
        let exits = heap.exits(self.arch, &known.code)?;
        let length = (known.code.size as usize).min(self.bytecodes.len());
        let code = &mut self.bytecodes[..length];
        heap.memory.read(known.code.start, code)?;
        let deopt = sites::before(self.arch, code, offset, &points, exits).ok_or(Decode::Bound)?;
        self.translated(heap, functions, known, own, deopt)
    }

    /// The functions that a deoptimization would go on in.
    fn translated<M: Memory>(
        &mut self,
        heap: &Heap<'_, M>,
        functions: &mut Functions,
        known: &KnownCode,
        own: Own,
        deopt: u32,
    ) -> Result<Frames, Decode> {
        let mut translated: SmallVec<[TranslatedFrame; INLINING_DEPTH]> = SmallVec::new();
        heap.deopt_frames(&known.code, deopt, &mut self.table, |frame| translated.push(frame))?;
        let frame = |frame: &TranslatedFrame| {
            let shared = heap.function_literal(&known.code, frame.literal)?;
            let function = function_of(heap, functions, known, own, shared)?;
            let position = match u32::try_from(frame.offset) {
                Ok(offset) => self.in_bytecode(heap, function, heap.bytecode_of(shared)?, offset),
                // At the function's entry.
                Err(_) => Position::NONE,
            };
            Ok((function, position))
        };
        translated.iter().rev().map(frame).collect()
    }

    /// By the safepoint of a return address; on the top, by the last call or loop before the pc.
    fn in_crankshaft<M: Memory>(
        &mut self,
        heap: &Heap<'_, M>,
        functions: &mut Functions,
        known: &KnownCode,
        own: Own,
        at: At,
    ) -> Result<Frames, Decode> {
        let points = heap.crankshaft_points(&known.code, &mut self.table)?;
        let points = &self.table[..points];
        let deopt = if at.is_return {
            let back = at.offset.saturating_add(1);
            crankshaft::points(points).find(|point| point.pc == back).map(|point| (point.deopt, false))
        } else {
            let length = (known.code.size as usize).min(self.bytecodes.len());
            let code = &mut self.bytecodes[..length];
            heap.memory.read(known.code.start, code)?;
            crankshaft::site(code, at.offset, points)
        };
        let mut translated: SmallVec<[AstFrame; INLINING_DEPTH]> = SmallVec::new();
        let (deopt, is_loop) = deopt.ok_or(Decode::Bound)?;
        heap.crankshaft_frames(&known.code, deopt, &mut self.table, |frame| translated.push(frame))?;
        let frame = |(at, frame): (usize, &AstFrame)| {
            let shared = heap.crankshaft_function(&known.code, *frame, own.1)?;
            let function = if shared == own.1 { own.0 } else { functions.of_shared(heap, shared)? };
            let unoptimized = heap.unoptimized(shared, frame.node, &mut self.table);
            let position = unoptimized.and_then(|(code, back)| {
                self.full_codegen_position(heap, code.positions, back.saturating_sub(1), is_loop && at == 0)
            });
            Ok((function, Position::new(position.ok().and_then(|offset| u32::try_from(offset).ok()))))
        };
        translated.iter().rev().enumerate().map(frame).collect()
    }
}
