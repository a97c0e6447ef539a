//! Where the lines of each script end, packed into one arena.
//!
//! V8 computes line ends only for a script of which a stack trace was asked; a process that was
//! not asked has none. So the source text is read once and its line terminators are counted.

use super::raw::ScriptId;
use crate::limits::{LINE_BYTES, SCRIPTS};
use crate::memory::Memory;
use crate::v8::script::Script;
use crate::v8::{Decode, Heap};
use alloc::vec;
use alloc::vec::Vec;

/// Line ends of one script in the arena: varints of the lines' lengths.
#[derive(Clone, Copy, Default)]
struct Table {
    start: u32,
    end: u32,
    is_read: bool,
}

/// Line ends of all scripts.
pub struct Lines {
    tables: Vec<Table>,
    arena: Vec<u8>,
    chunk: Vec<u8>,
    refused: u64,
}

/// Bytes of source read at once.
const CHUNK: usize = 64 << 10;

impl Default for Lines {
    fn default() -> Self {
        Lines {
            tables: vec![Table::default(); SCRIPTS],
            arena: Vec::with_capacity(LINE_BYTES),
            chunk: vec![0; CHUNK],
            refused: 0,
        }
    }
}

impl Lines {
    /// Whether a script's lines are known.
    pub fn has(&self, id: ScriptId) -> bool {
        self.tables.get(id.0 as usize).is_some_and(|table| table.is_read)
    }

    /// Reads a script's lines from its source, while the target may run: what was read counts only if
    /// the script's object is the same afterwards. False if another time may have more luck.
    pub fn read<M: Memory>(&mut self, heap: &Heap<'_, M>, id: ScriptId, script: &Script) -> bool {
        if self.has(id) || id.0 as usize >= self.tables.len() {
            return true;
        }
        match self.try_read(heap, script) {
            Ok(Some(table)) => self.tables[id.0 as usize] = table,
            Ok(None) => self.refused += 1,
            Err(_) => return false,
        }
        true
    }

    fn try_read<M: Memory>(&mut self, heap: &Heap<'_, M>, met: &Script) -> Result<Option<Table>, Decode> {
        // Its source may have been moved since it was met.
        let script = heap.read_script(heap.expect(met.address | 1, heap.layout.types.script)?)?;
        if script.id != met.id {
            return Err(Decode::Bound);
        }
        let start = self.arena.len();
        let mut last = 0;
        let mut full = false;
        let (arena, chunk) = (&mut self.arena, &mut self.chunk);
        let outcome = heap.line_ends(script.source, chunk, |end| {
            let mut length = end - last;
            last = end;
            if arena.capacity() - arena.len() < 5 {
                full = true;
                return;
            }
            while length >= 0x80 {
                arena.push(length as u8 | 0x80);
                length >>= 7;
            }
            arena.push(length as u8);
        });
        let unchanged = outcome.and_then(|_| heap.read_script(script.address)).map(|after| after == script);
        if full || unchanged != Ok(true) {
            self.arena.truncate(start);
        }
        match unchanged {
            Ok(true) if full => Ok(None),
            Ok(true) => Ok(Some(Table { start: start as u32, end: self.arena.len() as u32, is_read: true })),
            Ok(false) => Err(Decode::Bound),
            Err(error) => Err(error),
        }
    }

    /// The ends of a script's lines, in order; `None` if they are not known.
    pub fn ends(&self, id: ScriptId) -> Option<impl Iterator<Item = u32> + '_> {
        let table = self.tables.get(id.0 as usize).filter(|table| table.is_read)?;
        let mut bytes = self.arena.get(table.start as usize..table.end as usize)?;
        let mut end = 0u32;
        Some(core::iter::from_fn(move || {
            let length = crate::v8::position::varint(&mut bytes)?;
            end = end.wrapping_add(length as u32);
            Some(end)
        }))
    }

    /// Scripts that found the arena full.
    pub fn refused(&self) -> u64 {
        self.refused
    }
}
