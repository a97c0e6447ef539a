//! From code and an offset in it to the functions there, innermost first, with their positions.
//!
//! Looking one up reads and decodes a table of the target, so each is kept: offsets recur.

use super::codes::KnownCode;
use super::functions::Functions;
use super::raw::{FunctionId, Position};
use crate::limits::{PLACE_FRAMES, PLACES, POSITION_TABLE_BYTES};
use crate::memory::Memory;
use crate::profile::pool::hash;
use crate::v8::bytecode::BytecodeSizes;
use crate::v8::inlining::{MAX_DEPTH, Place};
use crate::v8::layout::CodeKind;
use crate::v8::position::{Entries, SourcePosition, at_or_before};
use crate::v8::{Decode, Heap};
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;
use smallvec::SmallVec;

/// What a place is looked up by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key {
    /// An offset in a code object; of a return address, one less.
    Code { id: u32, offset: u32 },
    /// An offset in a function's bytecode.
    Bytecode { function: FunctionId, offset: u32 },
}

#[derive(Clone, Copy)]
struct Known {
    key: Key,
    first: u32,
    count: u16,
}

/// Places that were looked up before.
pub struct Places {
    known: Vec<Option<Known>>,
    frames: Vec<(FunctionId, Position)>,
    table: Vec<u8>,
    bytecodes: Vec<u8>,
    /// Tables that could not be read, or were too long.
    unread: u64,
    /// Positions that V8 has not collected.
    lazy: u64,
}

impl Default for Places {
    fn default() -> Self {
        Places {
            known: vec![None; PLACES],
            frames: Vec::with_capacity(PLACE_FRAMES),
            table: vec![0; POSITION_TABLE_BYTES],
            bytecodes: vec![0; POSITION_TABLE_BYTES],
            unread: 0,
            lazy: 0,
        }
    }
}

impl Places {
    /// The functions at an offset in optimized code, innermost first; the code's own is the last.
    ///
    /// Where positions cannot be had it is the own function alone, without one.
    pub fn in_optimized<M: Memory>(
        &mut self,
        heap: &Heap<'_, M>,
        functions: &mut Functions,
        known: &KnownCode,
        own: FunctionId,
        own_shared: u64,
        offset: u32,
    ) -> &[(FunctionId, Position)] {
        let key = Key::Code { id: known.id.0, offset };
        if let Some(range) = self.get(key) {
            return &self.frames[range];
        }
        let mut chain: SmallVec<[Place; MAX_DEPTH]> = SmallVec::new();
        let found = self.code_position(heap, known, offset).and_then(|raw| {
            let position = SourcePosition::from_raw(raw, &heap.layout.positions);
            heap.inlined_chain(&known.code, own_shared, position, |place| chain.push(place))
        });
        let mut frames: SmallVec<[(FunctionId, Position); MAX_DEPTH]> = SmallVec::new();
        if found.is_ok() {
            for place in &chain {
                match functions.of_shared(heap, place.shared) {
                    Ok(function) => frames.push((function, Position::new(place.offset))),
                    Err(_) => frames.clear(),
                }
            }
        }
        if frames.is_empty() {
            self.unread += 1;
            frames.push((own, Position::NONE));
        }
        self.keep(key, &frames)
    }

    /// The position at an offset in the bytecode of an interpreted function.
    pub fn in_bytecode<M: Memory>(
        &mut self,
        heap: &Heap<'_, M>,
        function: FunctionId,
        bytecode_array: u64,
        offset: u32,
    ) -> Position {
        let key = Key::Bytecode { function, offset };
        if let Some(range) = self.get(key) {
            return self.frames[range].first().map_or(Position::NONE, |frame| frame.1);
        }
        let position = match self.bytecode_position(heap, bytecode_array, offset) {
            Ok(raw) => Position::new(SourcePosition::from_raw(raw, &heap.layout.positions).offset),
            Err(_) => {
                self.unread += 1;
                Position::NONE
            }
        };
        self.keep(key, &[(function, position)]);
        position
    }

    /// The position at an offset in a function's baseline code.
    pub fn in_baseline<M: Memory>(
        &mut self,
        heap: &Heap<'_, M>,
        sizes: Option<BytecodeSizes<'_>>,
        known: &KnownCode,
        function: FunctionId,
        bytecode_array: u64,
        offset: u32,
    ) -> Position {
        let key = Key::Code { id: known.id.0, offset };
        if let Some(range) = self.get(key) {
            return self.frames[range].first().map_or(Position::NONE, |frame| frame.1);
        }
        let bytecode = sizes.ok_or(Decode::Bound).and_then(|sizes| {
            let length = self.table(heap, known.code.positions)?;
            let bytecodes = self.bytecode(heap, bytecode_array)?;
            let (table, bytecodes) = (&self.table[..length], &self.bytecodes[..bytecodes]);
            sizes.of_baseline(table, bytecodes, offset).ok_or(Decode::Bound)
        });
        let position = bytecode
            .map_or(Position::NONE, |bytecode| self.in_bytecode(heap, function, bytecode_array, bytecode));
        self.keep(key, &[(function, position)]);
        position
    }

    fn code_position<M: Memory>(
        &mut self,
        heap: &Heap<'_, M>,
        known: &KnownCode,
        offset: u32,
    ) -> Result<u64, Decode> {
        let length = self.table(heap, known.code.positions)?;
        let entries = Entries::new(&self.table[..length], &heap.layout.positions);
        at_or_before(entries, offset.into()).ok_or(Decode::Bound)
    }

    fn bytecode_position<M: Memory>(
        &mut self,
        heap: &Heap<'_, M>,
        bytecode_array: u64,
        offset: u32,
    ) -> Result<u64, Decode> {
        let address = self.bytecode_array(heap, bytecode_array)?;
        let table = heap.field(address, heap.layout.positions.bytecode_table)?;
        let length = self.table(heap, table).inspect_err(|_| self.lazy += 1)?;
        let entries = Entries::new(&self.table[..length], &heap.layout.positions);
        at_or_before(entries, offset.into()).ok_or(Decode::Bound)
    }

    fn bytecode_array<M: Memory>(&self, heap: &Heap<'_, M>, tagged: u64) -> Result<u64, Decode> {
        heap.expect(tagged, heap.layout.types.bytecode_array.ok_or(Decode::Bound)?)
    }

    fn bytecode<M: Memory>(&mut self, heap: &Heap<'_, M>, tagged: u64) -> Result<usize, Decode> {
        let address = self.bytecode_array(heap, tagged)?;
        let (_, length) = heap.byte_array(tagged, self.bytecodes.len())?;
        let data = address.wrapping_add(heap.layout.positions.bytecode_data.into());
        heap.memory.read(data, &mut self.bytecodes[..length])?;
        Ok(length)
    }

    /// Reads a source position table; up to V8 7.x it may stand behind a frame cache.
    fn table<M: Memory>(&mut self, heap: &Heap<'_, M>, tagged: u64) -> Result<usize, Decode> {
        let (from, length) = heap.byte_array(tagged, self.table.len()).or_else(|error| {
            let address = crate::v8::heap::untag(tagged).ok_or(error)?;
            let behind = heap.field(address, 8)?;
            heap.byte_array(behind, self.table.len())
        })?;
        heap.memory.read(from, &mut self.table[..length])?;
        Ok(length)
    }

    fn get(&self, key: Key) -> Option<Range<usize>> {
        let known = self.known[hash(&key) as usize % PLACES].filter(|known| known.key == key)?;
        let first = known.first as usize;
        Some(first..first + usize::from(known.count))
    }

    fn keep(&mut self, key: Key, frames: &[(FunctionId, Position)]) -> &[(FunctionId, Position)] {
        if self.frames.len() + frames.len() > PLACE_FRAMES {
            self.frames.clear();
            self.known.fill(None);
        }
        let first = self.frames.len();
        self.frames.extend_from_slice(frames);
        let known = Known { key, first: first as u32, count: frames.len() as u16 };
        self.known[hash(&key) as usize % PLACES] = Some(known);
        &self.frames[first..]
    }

    /// Tables that could not be read, and positions that V8 has not collected.
    pub fn losses(&self) -> (u64, u64) {
        (self.unread, self.lazy)
    }
}

/// Whether a tier's code has a position for its own function's inlined calls.
pub fn has_inlining(kind: CodeKind) -> bool {
    matches!(kind, CodeKind::Maglev | CodeKind::Optimized)
}
