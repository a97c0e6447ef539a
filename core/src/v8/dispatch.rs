//! The interpreter's dispatch table: which machine code, a handler, runs which instruction.
//!
//! Each isolate has one: 256 addresses for each operand scale (`src/interpreter/interpreter.h`).

use super::heap::word;
use crate::limits::DISPATCH_TABLES;
use crate::memory::Memory;
use alloc::vec;
use alloc::vec::Vec;

/// Entries of a table: an address for each opcode at each of three operand scales.
const ENTRIES: usize = 3 * 256;

/// Bytes that a handler has at most, where only its start is known. The longest of any version have
/// less than 8 KiB.
const MAX_HANDLER: u64 = 16 << 10;

/// Distinct handlers without which a table is none: V8 has more than 100 instructions.
const MIN_HANDLERS: usize = 64;

/// An isolate's dispatch table.
#[derive(Clone, Debug)]
pub struct Dispatch {
    address: u64,
    entries: Vec<u64>,
    /// Where handlers start, sorted.
    starts: Vec<u64>,
}

impl Dispatch {
    /// Whether the handler that starts at `handler` runs an opcode at an operand scale of `1 << scale`.
    pub fn runs(&self, handler: u64, opcode: u8, scale: u8) -> bool {
        self.entries.get(usize::from(scale) * 256 + usize::from(opcode)) == Some(&handler)
    }

    /// The start of the handler that `pc` lies in.
    pub fn handler_at(&self, pc: u64) -> Option<u64> {
        let after = self.starts.partition_point(|start| *start <= pc);
        let start = *self.starts.get(after.checked_sub(1)?)?;
        (start != 0 && pc - start < MAX_HANDLER).then_some(start)
    }

    fn take(&mut self, address: u64, bytes: &[u8]) -> bool {
        for (at, entry) in self.entries.iter_mut().enumerate() {
            *entry = word(bytes, (at * 8) as u16);
        }
        self.starts.clear();
        self.starts.extend_from_slice(&self.entries);
        self.starts.sort_unstable();
        self.starts.dedup();
        let is_table = self.starts.len() >= MIN_HANDLERS;
        self.address = if is_table { address } else { 0 };
        is_table
    }
}

/// The dispatch tables met so far.
#[derive(Clone, Debug)]
pub struct DispatchTables {
    tables: Vec<Dispatch>,
    bytes: Vec<u8>,
    oldest: usize,
}

impl Default for DispatchTables {
    fn default() -> Self {
        let none = Dispatch { address: 0, entries: vec![0; ENTRIES], starts: Vec::with_capacity(ENTRIES) };
        // A clone of an empty vector would have no room.
        let tables = (0..DISPATCH_TABLES)
            .map(|_| Dispatch { starts: Vec::with_capacity(ENTRIES), ..none.clone() })
            .collect();
        DispatchTables { tables, bytes: vec![0; ENTRIES * 8], oldest: 0 }
    }
}

impl DispatchTables {
    /// The table in which `pc` lies in a handler, and that handler's start: the table at `address`, the
    /// value of the register that holds it while the interpreter runs; else one that is known.
    ///
    /// `start`: where the handler starts, if it is known as a code object.
    pub fn find<M: Memory>(
        &mut self,
        memory: &M,
        address: u64,
        pc: u64,
        start: Option<u64>,
    ) -> Option<(&Dispatch, u64)> {
        let handler = |table: &Dispatch| {
            let handler = table.handler_at(pc)?;
            (table.address != 0 && start.is_none_or(|start| start == handler)).then_some(handler)
        };
        let here = self.tables.iter().position(|table| table.address == address);
        if here.and_then(|at| handler(&self.tables[at])).is_none()
            && address.is_multiple_of(8)
            && memory.read(address, &mut self.bytes).is_ok()
        {
            // Unknown, or of a V8 that fills its table bit by bit: 6.6 to 7.3.
            let at = here.unwrap_or(self.oldest);
            if self.tables[at].take(address, &self.bytes) && here.is_none() {
                self.oldest = (self.oldest + 1) % DISPATCH_TABLES;
            }
        }
        let first = self.tables.iter().filter(|table| table.address == address);
        let (table, start) = first.chain(&self.tables).find_map(|table| Some((table, handler(table)?)))?;
        Some((table, start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Recorded;
    use proptest::prelude::*;

    const TABLE: u64 = 0x9000;

    /// Opcode n has the handler at 0x10_0000 + 0x100 n; opcodes from 200 on share one.
    fn memory() -> Recorded {
        let mut memory = Recorded::new();
        for at in 0..ENTRIES as u64 {
            memory.put_word(TABLE + at * 8, 0x10_0000 + 0x100 * at.min(200));
        }
        memory
    }

    #[test]
    fn a_handler_is_known_by_the_pc_in_it() {
        let mut tables = DispatchTables::default();
        let (table, handler) = tables.find(&memory(), TABLE, 0x10_0580, None).unwrap();
        assert_eq!(handler, 0x10_0500);
        assert!(table.runs(handler, 5, 0) && !table.runs(handler, 6, 0) && !table.runs(handler, 5, 1));
        assert_eq!(table.handler_at(0xf_ffff), None);
        assert_eq!(table.handler_at(0x20_0000), None);
    }

    #[test]
    fn a_known_table_serves_where_the_register_holds_something_else() {
        let mut tables = DispatchTables::default();
        assert!(tables.find(&memory(), TABLE, 0x10_0580, Some(0x10_0500)).is_some());
        assert!(tables.find(&memory(), 0x1234, 0x10_0581, None).is_some());
        assert!(tables.find(&memory(), 0x1234, 0x10_0581, Some(0x10_0540)).is_none());
        let mut fresh = DispatchTables::default();
        assert!(fresh.find(&memory(), 0x1238, 0x10_0581, None).is_none());
    }

    proptest! {
        #[test]
        fn any_memory_gives_an_answer(words in proptest::collection::vec(any::<u64>(), 768), pc: u64) {
            let mut memory = Recorded::new();
            for (at, word) in words.iter().enumerate() {
                memory.put_word(TABLE + at as u64 * 8, *word);
            }
            let mut tables = DispatchTables::default();
            let _ = tables.find(&memory, TABLE, pc, None);
            let _ = tables.find(&memory, TABLE, words[0], Some(words[0]));
        }
    }
}
