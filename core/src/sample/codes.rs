//! Code objects met so far, found again by a pc without a scan.
//!
//! Code moves and dies with garbage collection: an entry is used only after its object was read again
//! and is the same.

use super::raw::FunctionId;
use crate::limits::{CODE_MAPS, CODES};
use crate::memory::Memory;
use crate::v8::Heap;
use crate::v8::code::{Code, CodeMaps, EveryMap};
use crate::v8::heap::Decode;
use crate::v8::layout::Placement;
use alloc::vec::Vec;

/// A code object's number: one that was compiled anew, or moved, has another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CodeId(pub u32);

/// A code object that was found, and what was learned of it.
#[derive(Clone, Copy, Debug)]
pub struct KnownCode {
    /// The object.
    pub code: Code,
    /// Its number.
    pub id: CodeId,
    /// The function whose frames it has: from its deoptimization data, or learned from a frame.
    pub owner: Option<FunctionId>,
    /// Object at whose start its map stands.
    holder: u64,
}

/// Code objects by their instructions' addresses.
pub struct Codes {
    /// Sorted by the instructions' start; none overlap.
    known: Vec<KnownCode>,
    maps: KnownMaps,
    next: u32,
    flushes: u64,
    missing: u64,
}

impl Default for Codes {
    fn default() -> Self {
        Codes {
            known: Vec::with_capacity(CODES),
            maps: KnownMaps { words: Vec::with_capacity(CODE_MAPS), may_learn: true },
            next: 0,
            flushes: 0,
            missing: 0,
        }
    }
}

/// The map words that code objects have. There is one in each isolate.
struct KnownMaps {
    words: Vec<u64>,
    /// Whether a word that is not known may be looked at: costly, so only for a pc in code that
    /// no known word led to.
    may_learn: bool,
}

impl CodeMaps for KnownMaps {
    fn is_code<M: Memory>(&mut self, heap: &Heap<'_, M>, map: u64) -> bool {
        if self.words.contains(&map) {
            return true;
        }
        if !self.may_learn || !EveryMap.is_code(heap, map) {
            return false;
        }
        if self.words.len() < CODE_MAPS {
            self.words.push(map);
        }
        true
    }
}

impl Codes {
    /// The code object whose instructions contain `pc`. The scan for one that is not known goes no
    /// lower than `lowest`.
    pub fn find<M: Memory>(&mut self, heap: &Heap<'_, M>, pc: u64, lowest: u64) -> Result<KnownCode, Decode> {
        let after = self.known.partition_point(|known| known.code.start <= pc);
        if let Some(at) = after.checked_sub(1)
            && self.known[at].code.contains(pc)
        {
            let known = self.known[at];
            if self.is_unchanged(heap, &known) {
                return Ok(known);
            }
            self.known.remove(at);
        }
        self.maps.may_learn = self.maps.words.is_empty();
        let mut found = heap.code_of(pc, lowest, &mut self.maps);
        if found.is_err() && !self.maps.may_learn && self.maps.words.len() < CODE_MAPS {
            // An isolate that was not met yet has a map of its own: rare, so looked for only where
            // a first look in the nearest pages may decide.
            self.maps.may_learn = true;
            found = heap.code_of(pc, lowest.max(pc.saturating_sub(FIRST_LOOK)), &mut self.maps);
        }
        match found {
            Ok(code) => Ok(self.enter(heap, code)),
            Err(error) => {
                self.missing += 1;
                Err(error)
            }
        }
    }

    /// Learns to which function a code object belongs.
    pub fn learn(&mut self, id: CodeId, owner: FunctionId) {
        if let Some(known) = self.known.iter_mut().find(|known| known.id == id) {
            known.owner = Some(owner);
        }
    }

    fn is_unchanged<M: Memory>(&self, heap: &Heap<'_, M>, known: &KnownCode) -> bool {
        let Ok(map) = heap.memory.word(known.holder) else { return false };
        let now = heap.code_at(known.holder);
        let same = |now: &Code| {
            (now.start, now.size, now.kind, now.deopt, now.positions)
                == (
                    known.code.start,
                    known.code.size,
                    known.code.kind,
                    known.code.deopt,
                    known.code.positions,
                )
        };
        self.maps.words.contains(&map) && now.is_ok_and(|now| same(&now))
    }

    fn enter<M: Memory>(&mut self, heap: &Heap<'_, M>, code: Code) -> KnownCode {
        let id = CodeId(self.next);
        self.next = self.next.wrapping_add(1);
        let known = KnownCode { code, id, owner: None, holder: heap.holder_of(&code) };
        if self.known.len() >= CODES {
            self.known.clear();
            self.flushes += 1;
        }
        let end = code.start + u64::from(code.size);
        let from =
            self.known.partition_point(|known| known.code.start + u64::from(known.code.size) <= code.start);
        let to = self.known.partition_point(|known| known.code.start < end).max(from);
        self.known.drain(from..to);
        self.known.insert(from, known);
        known
    }

    /// How often the table was full and emptied, and look-ups that found no code object.
    pub fn losses(&self) -> (u64, u64) {
        (self.flushes, self.missing)
    }
}

/// Bytes before a pc in which an unknown map is looked for once others are known.
const FIRST_LOOK: u64 = 16 << 10;

impl<M: Memory> Heap<'_, M> {
    /// The untagged address at which a code object's map stands: its instructions' header.
    fn holder_of(&self, code: &Code) -> u64 {
        match self.layout.code.placement {
            Placement::Inline(_) => code.address,
            Placement::Stream { header, .. } => code.start.wrapping_sub(header.into()),
        }
    }
}
