//! The functions and scripts met so far, each read once and recognised again by its address.
//!
//! Objects move, so what is known of an address is a guess until the target confirms it. A function
//! object may be a closure that lives for a moment: its words are read while the thread is stopped
//! until it has stood still for some stops. After that, and for the rest, the words are read and
//! compared once the thread runs again ([`verify`](super::verify)): what was there before the stop and is
//! there after it, was there in between. So was what has been moved from there meanwhile; where another function
//! stands, the frame is that one's, unless the stop was in a collection, which brings others.

use super::cache::Cache;
use super::known::{KnownFunction, KnownMap, KnownScript, KnownShared, OwnName, PROPERTIES};
use super::raw::{FunctionId, Position, ScriptId};
use super::verify::ComparedAt;
use crate::limits::{
    FUNCTION_CACHE, FUNCTION_MAPS, FUNCTIONS, NAME_BYTES, SCRIPT_CACHE, SCRIPTS, UNREAD_SCRIPTS, WITNESSES,
};
use crate::memory::{Memory, Span};
use crate::profile::{Pool, Strings, Text};
use crate::v8::function::SharedInfo;
use crate::v8::heap::{is_forwarding, untag, word};
use crate::v8::own_name::NameSlot;
use crate::v8::script::Script;
use crate::v8::{Decode, Heap};
use alloc::string::String;
use alloc::vec::Vec;
use smallvec::SmallVec;

/// Where a function's source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Home {
    /// In a script.
    Script(ScriptId),
    /// It has none: V8 wrote it.
    Builtin,
    /// In no script that is known.
    Unknown,
}

/// A function: what it is called, and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Function {
    /// Its name; empty for an anonymous one.
    pub name: Text,
    /// Where its source is.
    pub home: Home,
    /// Where it starts.
    pub start: Position,
    /// Where it ends, if V8 keeps that beside the start.
    pub end: Position,
}

impl Function {
    /// Its script.
    pub const fn script(&self) -> Option<ScriptId> {
        if let Home::Script(script) = self.home { Some(script) } else { None }
    }

    /// It has no source: V8 wrote it.
    pub const fn is_builtin(&self) -> bool {
        matches!(self.home, Home::Builtin)
    }
}

/// A script: two isolates may have the same one, with objects of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ScriptInfo {
    /// Whole path, URL, `node:` name, `[eval]` or `[unknown]`.
    pub name: Text,
    /// V8's number for it.
    pub id: i32,
    /// Length of its source in characters.
    pub length: u32,
    /// Its first line's number in its file, from 0.
    pub line_offset: i32,
    /// Its first column's number in that line, from 0.
    pub column_offset: i32,
}

/// A script whose lines are still to be read, from this object.
#[derive(Clone, Copy, Debug)]
pub struct Unread {
    /// Its number.
    pub id: ScriptId,
    /// Its object, as it stood when it was met.
    pub script: Script,
    /// Times that its source could not be read.
    tries: u8,
}

/// A guess of this stop that is to be confirmed.
#[derive(Clone, Copy)]
enum Witness {
    Function(u32),
    Shared(u32),
}

/// Functions and scripts, their names, and caches by their objects' addresses.
pub struct Functions {
    /// Names and paths.
    pub strings: Strings,
    functions: Pool<Function>,
    scripts: Pool<ScriptInfo>,
    by_function: Cache<KnownFunction>,
    by_shared: Cache<KnownShared>,
    by_script: Cache<KnownScript>,
    /// Maps that functions have, and where those have a name of their own.
    function_maps: Cache<KnownMap>,
    unread: Vec<Unread>,
    /// Scripts whose source could not be read in this stop.
    later: Vec<Unread>,
    witnesses: Vec<Witness>,
    buffer: String,
    stop: u32,
    /// The collector runs: what it has moved stands where others were, and is read in the stop.
    in_gc: bool,
}

/// Times that a script's source is tried to be read: a collector may just be moving it.
const TRIES: u8 = 8;

/// Stops after which a function object is believed to stay where it is.
const STEADY: u8 = 4;

/// Objects whose words are read at once.
const BATCH: usize = 64;

/// Bytes of a buffer into which the words of a batch are read.
pub(super) const WITNESS_ROOM: usize = BATCH * SharedInfo::MAX_SIZE;

/// What names of WebAssembly modules' scripts begin with (`WasmEngine::GetOrCreateScript`, V8 8.0; before, without a
/// second part).
const WASM_SCRIPT: &str = "wasm://wasm/";

/// What V8's own profiler calls the functions through which JavaScript calls WebAssembly.
const JS_TO_WASM: &str = "js-to-wasm";

/// Bytes of a JSFunction up to its SharedFunctionInfo, in every version.
const FUNCTION_BYTES: usize = 48;

mod confirm;

impl Default for Functions {
    fn default() -> Self {
        let mut functions = Functions {
            strings: Strings::default(),
            functions: Pool::new(FUNCTIONS),
            scripts: Pool::new(SCRIPTS),
            by_function: Cache::new(FUNCTION_CACHE),
            by_shared: Cache::new(FUNCTION_CACHE),
            by_script: Cache::new(SCRIPT_CACHE),
            function_maps: Cache::new(FUNCTION_MAPS),
            unread: Vec::with_capacity(UNREAD_SCRIPTS),
            later: Vec::with_capacity(UNREAD_SCRIPTS),
            witnesses: Vec::with_capacity(WITNESSES),
            buffer: String::with_capacity(8 * crate::limits::NAME_BYTES),
            stop: 0,
            in_gc: false,
        };
        // The first stop enters many.
        functions.strings.touch();
        functions.functions.touch();
        functions.scripts.touch();
        functions
    }
}

impl Functions {
    /// Begins a stop: what was confirmed in an earlier one is a guess again.
    pub fn begin(&mut self) {
        self.stop = self.stop.wrapping_add(1);
        self.in_gc = false;
        self.witnesses.clear();
        let room = UNREAD_SCRIPTS - self.unread.len();
        self.unread.extend(self.later.drain(..self.later.len().min(room)));
    }

    /// This stop is in a collection.
    pub fn collecting(&mut self) {
        self.in_gc = true;
    }

    /// Whether it is.
    pub fn is_collecting(&self) -> bool {
        self.in_gc
    }

    /// Reads at once the words of all functions among `tagged` that are not known well.
    pub fn prepare<M: Memory>(&mut self, heap: &Heap<'_, M>, tagged: impl Iterator<Item = u64>) {
        let mut unsure: SmallVec<[u64; BATCH]> = SmallVec::new();
        let mut last = 0;
        for function in tagged {
            // What calls itself is met again and again.
            if core::mem::replace(&mut last, function) == function {
                continue;
            }
            let known = self.by_function.get(function);
            let is_sure =
                known.is_some_and(|known| known.used == self.stop || (known.steady >= STEADY && !self.in_gc));
            if !is_sure && untag(function).is_some() && !unsure.contains(&function) {
                unsure.push(function);
                if unsure.len() == BATCH {
                    break;
                }
            }
        }
        if unsure.len() < 2 {
            return;
        }
        let mut buffer = [0; BATCH * FUNCTION_BYTES];
        let mut spans: SmallVec<[Span; BATCH]> = unsure
            .iter()
            .enumerate()
            .map(|(at, function)| Span::new(function & !3, at * FUNCTION_BYTES, self.function_bytes(heap)))
            .collect();
        heap.memory.read_batch(&mut spans, &mut buffer);
        for (function, span) in unsure.iter().zip(&spans).filter(|(_, span)| span.done) {
            let bytes = &buffer[span.at as usize..][..FUNCTION_BYTES];
            let words = (word(bytes, 0), word(bytes, PROPERTIES), word(bytes, heap.layout.function.shared));
            // One that is no function is met again, and named, when its frame is looked at.
            let _ = self.take(heap, *function, words);
        }
    }

    fn function_bytes<M: Memory>(&self, heap: &Heap<'_, M>) -> usize {
        (usize::from(heap.layout.function.shared) + 8).min(FUNCTION_BYTES)
    }

    /// The function that a tagged JSFunction is, and its tagged SharedFunctionInfo.
    ///
    /// # Errors
    /// It is no function, cannot be read, or the table of functions is full ([`Decode::Bound`]).
    pub fn of_function<M: Memory>(
        &mut self,
        heap: &Heap<'_, M>,
        function: u64,
    ) -> Result<(FunctionId, u64), Decode> {
        let mut guess = None;
        if let Some(slot) = self.by_function.find(function)
            && let Some(known) = self.by_function.at_mut(slot)
        {
            if known.used == self.stop {
                return Ok((known.id, known.shared));
            }
            guess = Some((known.id, known.shared));
            if known.steady >= STEADY && self.witnesses.len() < WITNESSES && !self.in_gc {
                known.used = self.stop;
                let found = (known.id, known.shared);
                self.witnesses.push(Witness::Function(slot as u32));
                self.of_shared(heap, found.1)?;
                return Ok(found);
            }
        }
        // Where the collector has left nothing, it was the one that was there.
        let guess = guess.filter(|_| self.in_gc);
        self.read_object(heap, function).or_else(|error| guess.ok_or(error))
    }

    /// The same of one that is not known, or not for sure.
    fn read_object<M: Memory>(
        &mut self,
        heap: &Heap<'_, M>,
        function: u64,
    ) -> Result<(FunctionId, u64), Decode> {
        let mut address = untag(function).ok_or(Decode::NotAnObject(function))?;
        let mut bytes = [0; FUNCTION_BYTES];
        let bytes = &mut bytes[..self.function_bytes(heap)];
        heap.memory.read(address, bytes)?;
        if is_forwarding(word(bytes, 0)) {
            address = word(bytes, 0);
            heap.memory.read(address, bytes)?;
        }
        let words = (word(bytes, 0), word(bytes, PROPERTIES), word(bytes, heap.layout.function.shared));
        self.take(heap, function, words)
    }

    /// Takes a function whose map, properties and SharedFunctionInfo were just read.
    fn take<M: Memory>(
        &mut self,
        heap: &Heap<'_, M>,
        function: u64,
        (map, properties, shared): (u64, u64, u64),
    ) -> Result<(FunctionId, u64), Decode> {
        let name_slot = self.name_slot(heap, function, map)?;
        let mut id = self.of_shared(heap, shared)?;
        let mut own_name = OwnName::InMap;
        if name_slot != NameSlot::Shared && !self.is_named(shared) {
            let name;
            (id, name) = self.of_own_name(heap, function, name_slot, id);
            own_name = OwnName::of(name_slot, properties, name);
        }
        let before = self.by_function.get(function);
        let now = (map, shared, id, own_name);
        let before = before.filter(|known| (known.map, known.shared, known.id, known.own_name) == now);
        let is_steady = own_name != OwnName::Anywhere;
        let steady = before.map_or(0, |known| known.steady.saturating_add(u8::from(is_steady)));
        let used = self.stop;
        let compared = ComparedAt::default();
        self.by_function.put(KnownFunction { function, map, shared, id, own_name, steady, used, compared });
        Ok((id, shared))
    }

    /// Where a function with this map has its own name, once the map is known to be a function's.
    fn name_slot<M: Memory>(
        &mut self,
        heap: &Heap<'_, M>,
        function: u64,
        map: u64,
    ) -> Result<NameSlot, Decode> {
        if let Some(known) = self.function_maps.get(map) {
            return Ok(known.slot);
        }
        let found = heap.type_of_map(map)?;
        if !heap.layout.types.is_function(found) || !heap.is_map(map) {
            return Err(Decode::WrongType { address: function & !3, found });
        }
        let slot = heap.name_slot(map).unwrap_or(NameSlot::Shared);
        self.function_maps.put(KnownMap { map, slot });
        Ok(slot)
    }

    /// A function that its source does not name, whose map says that it may have a name of its own. With the
    /// object that this is, tagged, if there is one.
    fn of_own_name<M: Memory>(
        &mut self,
        heap: &Heap<'_, M>,
        function: u64,
        slot: NameSlot,
        id: FunctionId,
    ) -> (FunctionId, Option<u64>) {
        let name = heap.object(function).and_then(|(address, _)| heap.own_name(address, slot));
        let (Ok(Some(name)), Some(function)) = (name, self.function(id).copied()) else { return (id, None) };
        self.buffer.clear();
        if heap.string(name, NAME_BYTES as u32, &mut self.buffer).is_err() || self.buffer.is_empty() {
            return (id, None);
        }
        let Ok(text) = self.strings.intern(&self.buffer) else { return (id, None) };
        let id = self.functions.intern(Function { name: text, ..function }).map_or(id, FunctionId);
        (id, Some(name))
    }

    /// Whether the source names the function of a tagged SharedFunctionInfo that was just looked up.
    fn is_named(&self, shared: u64) -> bool {
        self.by_shared.get(shared).is_some_and(|known| known.is_named)
    }

    /// The function of a tagged SharedFunctionInfo that was inlined into code with these literals: if its
    /// source does not name it, one of them may be the function object that was called.
    pub fn of_inlined<M: Memory>(
        &mut self,
        heap: &Heap<'_, M>,
        shared: u64,
        literals: u64,
    ) -> Result<FunctionId, Decode> {
        let id = self.of_shared(heap, shared)?;
        if heap.layout.properties.is_none() || self.is_named(shared) {
            return Ok(id);
        }
        let function = self.in_literals(heap, shared, literals);
        Ok(function.and_then(|function| self.of_function(heap, function).ok()).map_or(id, |named| named.0))
    }

    /// The function object with this SharedFunctionInfo among optimized code's first literals, tagged.
    fn in_literals<M: Memory>(&self, heap: &Heap<'_, M>, shared: u64, literals: u64) -> Option<u64> {
        let (from, length) = heap.array(literals).ok()?;
        let mut words = [0; 8 * BATCH];
        let words = words.get_mut(..8 * (length as usize).min(BATCH))?;
        heap.memory.read(from, words).ok()?;
        let mut buffer = [0; BATCH * FUNCTION_BYTES];
        let mut spans: SmallVec<[Span; BATCH]> = SmallVec::new();
        for literal in words.chunks_exact(8) {
            // It may be a weak reference.
            if let Some(address) = untag(word(literal, 0)) {
                spans.push(Span::new(address, spans.len() * FUNCTION_BYTES, self.function_bytes(heap)));
            }
        }
        heap.memory.read_batch(&mut spans, &mut buffer);
        let is_it = |span: &&Span| {
            let bytes = buffer.get(span.at as usize..).unwrap_or(&[]);
            span.done && word(bytes, heap.layout.function.shared) == shared
        };
        spans.iter().find(is_it).map(|span| span.address | 1)
    }

    /// The function that a tagged SharedFunctionInfo describes.
    ///
    /// # Errors
    /// As for [`of_function`](Self::of_function).
    pub fn of_shared<M: Memory>(&mut self, heap: &Heap<'_, M>, shared: u64) -> Result<FunctionId, Decode> {
        if let Some(slot) = self.by_shared.find(shared)
            && let Some(known) = self.by_shared.at_mut(slot)
        {
            if known.used == self.stop {
                return Ok(known.id);
            }
            if self.witnesses.len() < WITNESSES {
                known.used = self.stop;
                self.witnesses.push(Witness::Shared(slot as u32));
                return Ok(known.id);
            }
        }
        let info = heap.shared_info(shared)?;
        let (id, is_named) = self.read_function(heap, &info)?;
        let (used, compared) = (self.stop, ComparedAt::default());
        self.by_shared.put(KnownShared { shared, info, id, is_named, used, compared });
        Ok(id)
    }

    fn read_function<M: Memory>(
        &mut self,
        heap: &Heap<'_, M>,
        info: &SharedInfo,
    ) -> Result<(FunctionId, bool), Decode> {
        let script = heap.script(info.script)?;
        let script = script.map(|script| self.of_script(heap, info.script, script)).transpose()?;
        self.buffer.clear();
        if script.is_some_and(|script| self.is_wasm(script)) {
            // What the module exports is called through a function of V8's own, whose name is a number.
            let name = self.strings.intern(JS_TO_WASM).unwrap_or(Text::EMPTY);
            let function = Function { name, home: Home::Builtin, start: Position::NONE, end: Position::NONE };
            let id = self.functions.intern(function).map_err(|_| Decode::Bound)?;
            return Ok((FunctionId(id), true));
        }
        let start = heap.function_name(info, &mut self.buffer)?;
        if self.buffer.is_empty() {
            // Is there none, or do reads fail by now, as they do late in a stop?
            heap.type_of_map(info.map)?;
        }
        let function = Function {
            name: self.strings.intern(&self.buffer).unwrap_or(Text::EMPTY),
            start: Position::new(start.position.filter(|_| script.is_some())),
            end: Position::new(info.end().filter(|_| script.is_some())),
            home: match script {
                Some(script) => Home::Script(script),
                None if info.is_builtin(&heap.layout.shared) => Home::Builtin,
                None => Home::Unknown,
            },
        };
        let id = self.functions.intern(function).map(FunctionId).map_err(|_| Decode::Bound)?;
        Ok((id, start.is_named))
    }

    fn of_script<M: Memory>(
        &mut self,
        heap: &Heap<'_, M>,
        tagged: u64,
        script: Script,
    ) -> Result<ScriptId, Decode> {
        if let Some(known) = self.by_script.get(tagged).filter(|known| known.script == script) {
            return Ok(known.id);
        }
        self.buffer.clear();
        heap.script_name(&script, &mut self.buffer)?;
        let info = ScriptInfo {
            name: self.strings.intern(&self.buffer).unwrap_or(Text::EMPTY),
            id: script.id,
            length: heap.string_length(script.source).unwrap_or(0),
            line_offset: script.line_offset,
            column_offset: script.column_offset,
        };
        let id = self.scripts.intern(info).map(ScriptId).map_err(|_| Decode::Bound)?;
        self.by_script.put(KnownScript { tagged, script, id });
        if self.unread.len() < UNREAD_SCRIPTS && !self.is_wasm(id) {
            self.unread.push(Unread { id, script, tries: 0 });
        }
        Ok(id)
    }

    /// Whether a script is a WebAssembly module, which has no source.
    pub fn is_wasm(&self, script: ScriptId) -> bool {
        self.script(script).is_some_and(|script| self.strings.get(script.name).starts_with(WASM_SCRIPT))
    }

    /// The next script whose lines are to be read, of at most this many characters.
    pub fn next_unread(&mut self, longest: u32) -> Option<Unread> {
        let scripts = self.scripts.values();
        let length = |unread: &Unread| scripts.get(unread.id.0 as usize).map_or(0, |script| script.length);
        let at = self.unread.iter().rposition(|unread| length(unread) <= longest)?;
        Some(self.unread.swap_remove(at))
    }

    /// Keeps a script whose source could not be read, for the next stop.
    pub fn read_later(&mut self, mut unread: Unread) {
        unread.tries += 1;
        if unread.tries < TRIES && self.later.len() < UNREAD_SCRIPTS {
            self.later.push(unread);
        }
    }

    /// A function by number.
    pub fn function(&self, id: FunctionId) -> Option<&Function> {
        self.functions.values().get(id.0 as usize)
    }

    /// A position in a function; none where it lies outside of the function or its script, as one of a function
    /// that was inlined does where V8 does not say whose it is.
    pub fn within(&self, id: FunctionId, position: Position) -> Position {
        let Some(offset) = position.offset() else { return position };
        let Some(function) = self.function(id) else { return position };
        let length =
            function.script().and_then(|script| self.script(script)).map_or(0, |script| script.length);
        let is_in_script = length == 0 || offset <= length;
        let is_in_function = match (function.start.offset(), function.end.offset()) {
            (Some(start), Some(end)) if start < end => (start..=end).contains(&offset),
            _ => true,
        };
        if is_in_script && is_in_function { position } else { Position::NONE }
    }

    /// Whether two functions have the same source and different names.
    pub fn differ_by_name(&self, one: FunctionId, other: Option<FunctionId>) -> bool {
        let (one, other) = (self.function(one), other.and_then(|other| self.function(other)));
        let (Some(one), Some(other)) = (one, other) else { return false };
        one.name != other.name && *one == Function { name: one.name, ..*other }
    }

    /// A script by number.
    pub fn script(&self, id: ScriptId) -> Option<&ScriptInfo> {
        self.scripts.values().get(id.0 as usize)
    }

    /// Functions and scripts that found their tables full.
    pub fn refused(&self) -> (u64, u64) {
        (self.functions.refused(), self.scripts.refused())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v8::fixture::{FakeHeap, layout, smi_word};

    #[test]
    fn a_position_outside_of_its_function_or_script_is_none() {
        let mut functions = Functions::default();
        let script = ScriptInfo { name: Text::EMPTY, id: 1, length: 100, line_offset: 0, column_offset: 0 };
        let script = functions.scripts.intern(script).map(ScriptId).unwrap();
        let mut within = |start, end, offset| {
            let [start, end] = [start, end].map(Position::new);
            let function = Function { name: Text::EMPTY, home: Home::Script(script), start, end };
            let id = functions.functions.intern(function).map(FunctionId).unwrap();
            functions.within(id, Position::new(Some(offset))).offset()
        };
        let known = [10, 49, 50, 60, 61].map(|offset| within(Some(50), Some(60), offset));
        assert_eq!(known, [None, None, Some(50), Some(60), None]);
        // Where the end is not known, the script's is.
        assert_eq!([10, 100, 101].map(|offset| within(Some(50), None, offset)), [Some(10), Some(100), None]);
        // An end before the start is none.
        assert_eq!(within(Some(50), Some(7), 10), Some(10));
        assert_eq!(functions.within(FunctionId(0), Position::UNCOLLECTED), Position::UNCOLLECTED);
    }

    #[test]
    fn a_function_without_a_script_is_a_builtin_if_v8_gives_it_an_id() {
        let mut heap = FakeHeap::new(layout());
        let name = heap.string("map");
        let mut functions = Functions::default();
        for (data, is_builtin) in [(smi_word(7), true), (name, false)] {
            let shared = heap.shared(name, 0, data);
            let id = functions.of_shared(&heap.heap(), shared).unwrap();
            assert_eq!(functions.function(id).map(Function::is_builtin), Some(is_builtin));
        }
    }
}
