//! From code and an offset in it to the functions there, innermost first, with their positions.
//!
//! Looking one up reads and decodes a table of the target, so each is kept: offsets recur.

use super::cache::{Cache, Entry};
use super::codes::KnownCode;
use super::raw::{FunctionId, Position};
use crate::arch::Arch;
use crate::limits::{PLACE_FRAMES, PLACES, POSITION_TABLE_BYTES};
use crate::memory::Memory;
use crate::v8::bytecode::BytecodeSizes;
use crate::v8::position::{Entries, SourcePosition, at_or_before, first_behind};
use crate::v8::{Decode, Heap, relocation};
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

/// A place in machine code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct At {
    /// Offset of the pc; of a return address, one less.
    pub offset: u32,
    /// A call returns to behind it.
    pub is_return: bool,
}

/// What a place is looked up by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// A place in a code object.
    Code { id: u32, at: At },
    /// An offset in a function's bytecode.
    Bytecode { function: FunctionId, offset: u32 },
    /// Nothing: what is kept is not found again.
    None,
}

#[derive(Clone, Copy)]
struct Known {
    key: Key,
    first: u32,
    count: u16,
}

impl Entry for Known {
    type Key = Key;
    fn key(&self) -> Key {
        self.key
    }
    /// Where its frames stand tells how old it is.
    fn used(&self) -> u32 {
        self.first
    }
}

/// Places that were looked up before.
pub struct Places {
    pub(super) arch: Arch,
    known: Cache<Known>,
    pub(super) frames: Vec<(FunctionId, Position)>,
    pub(super) table: Vec<u8>,
    pub(super) bytecodes: Vec<u8>,
    /// Tables that could not be read, or were too long.
    pub(super) unread: u64,
}

impl Places {
    /// An empty table for machine code of this processor.
    pub fn new(arch: Arch) -> Self {
        Places {
            arch,
            known: Cache::new(PLACES),
            frames: Vec::with_capacity(PLACE_FRAMES),
            table: vec![0; POSITION_TABLE_BYTES],
            bytecodes: vec![0; POSITION_TABLE_BYTES],
            unread: 0,
        }
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
        let found = self.bytecode_position(heap, bytecode_array, offset);
        self.take(key, function, found)
    }

    /// The position at an offset in a function's baseline code.
    pub fn in_baseline<M: Memory>(
        &mut self,
        heap: &Heap<'_, M>,
        sizes: Option<BytecodeSizes<'_>>,
        known: &KnownCode,
        function: FunctionId,
        bytecode_array: u64,
        at: At,
    ) -> Position {
        let key = Key::Code { id: known.id.0, at };
        if let Some(range) = self.get(key) {
            return self.frames[range].first().map_or(Position::NONE, |frame| frame.1);
        }
        let bytecode = sizes.ok_or(Decode::Bound).and_then(|sizes| {
            let length = self.table(heap, known.code.positions)?;
            let bytecodes = self.bytecode(heap, bytecode_array)?;
            let (table, bytecodes) = (&self.table[..length], &self.bytecodes[..bytecodes]);
            // None for the shared prologue's place.
            Ok(sizes.of_baseline(table, bytecodes, at.offset))
        });
        if let Ok(Some(bytecode)) = bytecode {
            let position = self.in_bytecode(heap, function, bytecode_array, bytecode);
            if position != Position::NONE {
                self.keep(key, &[(function, position)]);
            }
            return position;
        }
        self.take(key, function, bytecode.map(|_| Position::NONE))
    }

    /// The position at a place in a function's full-codegen code.
    pub fn in_full_codegen<M: Memory>(
        &mut self,
        heap: &Heap<'_, M>,
        known: &KnownCode,
        function: FunctionId,
        at: At,
    ) -> Position {
        let key = Key::Code { id: known.id.0, at };
        if let Some(range) = self.get(key) {
            return self.frames[range].first().map_or(Position::NONE, |frame| frame.1);
        }
        let found = self.full_codegen_position(heap, known.code.positions, at.offset, false);
        self.take(key, function, found.map(|position| Position::new(u32::try_from(position).ok())))
    }

    /// Plain offsets in the source, without the flags of later versions. `is_behind`: what holds is the
    /// first position from there on.
    pub(super) fn full_codegen_position<M: Memory>(
        &mut self,
        heap: &Heap<'_, M>,
        table: u64,
        offset: u32,
        is_behind: bool,
    ) -> Result<u64, Decode> {
        let length = self.table(heap, table)?;
        let (table, layout) = (&self.table[..length], &heap.layout.positions);
        let offset = i64::from(offset);
        let position = match (layout.relocation, is_behind) {
            (Some(form), false) => relocation::at_or_before(relocation::Entries::new(table, form), offset),
            (Some(form), true) => first_behind(relocation::Entries::new(table, form), offset),
            (None, false) => at_or_before(Entries::new(table, layout), offset),
            (None, true) => first_behind(Entries::new(table, layout), offset),
        };
        position.ok_or(Decode::Bound)
    }

    /// Keeps what a look-up of one function's position gave. Memory that could not be read may be readable
    /// in the next stop.
    fn take(&mut self, key: Key, function: FunctionId, found: Result<Position, Decode>) -> Position {
        self.unread += u64::from(found.is_err());
        let position = found.unwrap_or(Position::NONE);
        if !matches!(found, Err(Decode::Fault(_))) {
            self.keep(key, &[(function, position)]);
        }
        position
    }

    fn bytecode_position<M: Memory>(
        &mut self,
        heap: &Heap<'_, M>,
        bytecode_array: u64,
        offset: u32,
    ) -> Result<Position, Decode> {
        let address = self.bytecode_array(heap, bytecode_array)?;
        let table = heap.field(address, heap.layout.positions.bytecode_table)?;
        let length = match self.table(heap, table) {
            Ok(length) => length,
            Err(Decode::Fault(fault)) => return Err(fault.into()),
            // In the table's place stands an oddball.
            Err(_) => return Ok(Position::UNCOLLECTED),
        };
        let entries = Entries::new(&self.table[..length], &heap.layout.positions);
        let raw = at_or_before(entries, offset.into()).ok_or(Decode::Bound)?;
        Ok(Position::new(SourcePosition::from_raw(raw, &heap.layout.positions).offset))
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
    pub(super) fn table<M: Memory>(&mut self, heap: &Heap<'_, M>, tagged: u64) -> Result<usize, Decode> {
        let (from, length) = heap.byte_array(tagged, self.table.len()).or_else(|error| {
            let address = crate::v8::heap::untag(tagged).ok_or(error)?;
            let behind = heap.field(address, 8)?;
            heap.byte_array(behind, self.table.len())
        })?;
        heap.memory.read(from, &mut self.table[..length])?;
        Ok(length)
    }

    pub(super) fn get(&self, key: Key) -> Option<Range<usize>> {
        let known = self.known.get(key)?;
        let first = known.first as usize;
        Some(first..first + usize::from(known.count))
    }

    pub(super) fn keep(&mut self, key: Key, frames: &[(FunctionId, Position)]) -> &[(FunctionId, Position)] {
        if self.frames.len() + frames.len() > PLACE_FRAMES {
            self.frames.clear();
            self.known.clear();
        }
        let first = self.frames.len();
        self.frames.extend_from_slice(frames);
        self.known.put(Known { key, first: first as u32, count: frames.len() as u16 });
        &self.frames[first..]
    }

    /// Look-ups that found no position.
    pub fn unread(&self) -> u64 {
        self.unread
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v8::fixture::{FakeHeap, layout};

    #[test]
    fn bytecode_whose_positions_v8_has_not_collected_is_told_from_what_cannot_be_read() {
        let mut fake = FakeHeap::new(layout());
        // `undefined`, whose first field is the number that it is converted to: not one. Since V8 12 a Smi.
        let oddball = fake.object(131, &[f64::NAN.to_bits(), 0, 0, 0]);
        let types = fake.layout.types.bytecode_array.expect("V8 11.3 has bytecode");
        let at = usize::from(fake.layout.positions.bytecode_table) / 8 - 1;
        let mut with_table = |table: u64| {
            let mut words = [0; 8];
            words[at] = table;
            fake.object(types, &words)
        };
        let [undefined, zero, unreadable] = [oddball, 0, 0xdead_0001].map(&mut with_table);
        let mut places = Places::new(Arch::X86_64);
        let heap = fake.heap();
        assert_eq!(places.in_bytecode(&heap, FunctionId(1), undefined, 4), Position::UNCOLLECTED);
        assert_eq!(places.in_bytecode(&heap, FunctionId(2), zero, 4), Position::UNCOLLECTED);
        assert_eq!(places.unread(), 0);
        assert_eq!(places.in_bytecode(&heap, FunctionId(3), unreadable, 4), Position::NONE);
        assert_eq!(places.unread(), 1);
        // Both are shown at the function's first line.
        assert_eq!([Position::UNCOLLECTED.offset(), Position::NONE.offset()], [None, None]);
    }
}
