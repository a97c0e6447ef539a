//! Code objects met so far, found again by a pc without a scan.
//!
//! Code moves and dies, but only in a full garbage collection. So an entry is used at once, and its
//! object is compared with the target after the thread runs again ([`verify`](super::verify)).

use super::cache::{Cache, Entry};
use super::raw::FunctionId;
use super::verify::{ComparedAt, Spans};
use crate::arch::Edge;
use crate::limits::{CODE_EDGES, CODE_FAILURES, CODE_MAPS, CODES, WITNESSES};
use crate::memory::{Memory, Span};
use crate::v8::Heap;
use crate::v8::code::{Code, CodeMaps, EveryMap, MAX_HEADER};
use crate::v8::heap::{Decode, untag, word};
use crate::v8::layout::{CodeKind, Placement, STREAM_CODE};
use alloc::vec::Vec;
use core::ops::Range;

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
    /// The SharedFunctionInfo that optimized code was compiled for, tagged.
    pub shared: Option<u64>,
    /// The function whose frames it has, learned from a frame.
    pub owner: Option<FunctionId>,
    /// Object at whose start its map stands.
    holder: u64,
    used: u32,
    compared: ComparedAt,
}

/// Code objects by their instructions' addresses.
pub struct Codes {
    /// Sorted by the instructions' start; none overlap.
    known: Vec<KnownCode>,
    maps: KnownMaps,
    edges: Cache<KnownEdge>,
    /// Starts of the code objects used in this stop.
    witnesses: Vec<u64>,
    stop: u32,
    /// Where no code object was found in this stop, the last ones, and how many look-ups may still fail.
    nowhere: [u64; 4],
    failures: u32,
    next: u32,
    flushes: u64,
    missing: u64,
}

/// Where in its frame's life a function is at an offset of its code.
#[derive(Clone, Copy)]
struct KnownEdge {
    id: CodeId,
    offset: u32,
    edge: Edge,
}

impl Entry for KnownEdge {
    type Key = (CodeId, u32);
    fn key(&self) -> Self::Key {
        (self.id, self.offset)
    }
}

impl Default for Codes {
    fn default() -> Self {
        Codes {
            known: Vec::with_capacity(CODES),
            maps: KnownMaps { words: Vec::with_capacity(CODE_MAPS), may_learn: true },
            edges: Cache::new(CODE_EDGES),
            witnesses: Vec::with_capacity(WITNESSES),
            stop: 0,
            nowhere: [0; 4],
            failures: 0,
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

/// Code objects whose words are read at once.
const BATCH: usize = 32;

/// Bytes at an instructions' header: its map and, where that is apart, its Code object.
const HOLDER_BYTES: usize = 16;

/// Bytes that are read to compare a code object with what it was.
const WITNESS_BYTES: usize = HOLDER_BYTES + MAX_HEADER;

/// Bytes of a buffer into which the words of a batch are read.
pub(super) const WITNESS_ROOM: usize = BATCH * WITNESS_BYTES;

/// Bytes before a pc in which an unknown map is looked for once others are known.
const FIRST_LOOK: u64 = 16 << 10;

impl Codes {
    /// Begins a stop: what was confirmed in an earlier one is a guess again.
    pub fn begin(&mut self) {
        self.stop = self.stop.wrapping_add(1);
        self.witnesses.clear();
        (self.nowhere, self.failures) = ([0; 4], CODE_FAILURES);
    }

    /// The code object whose instructions contain `pc`. The scan for one that is not known goes no
    /// lower than `lowest`.
    pub fn find<M: Memory>(&mut self, heap: &Heap<'_, M>, pc: u64, lowest: u64) -> Result<KnownCode, Decode> {
        let after = self.known.partition_point(|known| known.code.start <= pc);
        if let Some(known) = after.checked_sub(1).and_then(|at| self.known.get_mut(at))
            && known.code.contains(pc)
            && (known.used == self.stop || self.witnesses.len() < WITNESSES)
        {
            if known.used != self.stop {
                known.used = self.stop;
                self.witnesses.push(known.code.start);
            }
            return Ok(*known);
        }
        if self.failures == 0 || self.nowhere.contains(&pc) {
            self.missing += 1;
            return Err(Decode::Bound);
        }
        self.maps.may_learn = self.maps.words.is_empty();
        let mut found = heap.code_of(pc, lowest, &mut self.maps);
        let is_first = self.failures == CODE_FAILURES;
        if found.is_err() && is_first && !self.maps.may_learn && self.maps.words.len() < CODE_MAPS {
            // An isolate that was not met yet has a map of its own.
            self.maps.may_learn = true;
            found = heap.code_of(pc, lowest.max(pc.saturating_sub(FIRST_LOOK)), &mut self.maps);
        }
        match found {
            Ok(code) => Ok(self.enter(heap, code)),
            Err(error) => {
                self.missing += 1;
                self.failures -= 1;
                self.nowhere.rotate_right(1);
                self.nowhere[0] = pc;
                Err(error)
            }
        }
    }

    /// Whether some that are known lie in a range of addresses.
    pub fn are_in(&self, range: &Range<u64>) -> bool {
        let at = self.known.partition_point(|known| known.code.start < range.start);
        self.known.get(at).is_some_and(|known| known.code.start < range.end)
    }

    /// The SharedFunctionInfo of optimized code, read anew: the one that is known may have moved.
    pub fn reread_shared<M: Memory>(&mut self, heap: &Heap<'_, M>, known: &KnownCode) -> Option<u64> {
        let shared = heap.shared_of_code(&known.code).ok();
        if let Some(entry) = self.entry(known.code.start) {
            entry.shared = shared;
        }
        shared
    }

    /// Forgets a code object: other code stands in its place.
    pub fn forget(&mut self, known: &KnownCode) {
        self.known.retain(|entry| entry.id != known.id);
    }

    /// Learns to which function a code object belongs.
    pub fn learn(&mut self, known: &KnownCode, owner: FunctionId) {
        if known.owner != Some(owner)
            && let Some(entry) = self.entry(known.code.start)
        {
            entry.owner = Some(owner);
        }
    }

    /// Where in its frame's life a function is at an offset of its code, if that was asked before.
    pub fn known_edge(&self, id: CodeId, offset: u32) -> Option<Edge> {
        Some(self.edges.get((id, offset))?.edge)
    }

    /// Remembers it.
    pub fn learn_edge(&mut self, id: CodeId, offset: u32, edge: Edge) {
        self.edges.put(KnownEdge { id, offset, edge });
    }

    /// Shows when each code object of this stop was compared last.
    pub(super) fn each_compared(&mut self, mut show: impl FnMut(&mut ComparedAt)) {
        for number in 0..self.witnesses.len() {
            if let Some(known) = self.entry(self.witnesses[number]) {
                show(&mut known.compared);
            }
        }
    }

    /// Appends what is to be read to compare one batch of the code objects that this stop used with the
    /// target, into [`WITNESS_ROOM`] bytes of a buffer from `room` on. None in a batch behind the last.
    pub(super) fn witness_spans<M>(&self, heap: &Heap<'_, M>, batch: usize, room: usize, spans: &mut Spans) {
        let header = usize::from(heap.layout.code.header).min(MAX_HEADER);
        for (number, start) in self.witnesses.chunks(BATCH).nth(batch).unwrap_or_default().iter().enumerate()
        {
            let known = self.position(*start).and_then(|at| self.known.get(at));
            let (holder, address) = known.map_or((0, 0), |known| (known.holder, known.code.address));
            let at = room + number * WITNESS_BYTES;
            spans.push(Span::new(holder, at, HOLDER_BYTES));
            spans.push(Span::new(address, at + HOLDER_BYTES, header));
        }
    }

    /// Compares what was read of a batch, and calls `other` for each in whose place another one stands, or nobody
    /// knows what.
    pub(super) fn confirm_batch<M: Memory>(
        &mut self,
        heap: &Heap<'_, M>,
        batch: usize,
        (spans, room): (&[Span], &[u8]),
        mut other: impl FnMut(&KnownCode),
    ) {
        let witnesses = core::mem::take(&mut self.witnesses);
        let header = usize::from(heap.layout.code.header).min(MAX_HEADER);
        let of_batch = witnesses.chunks(BATCH).nth(batch).unwrap_or_default();
        for ((start, spans), bytes) in
            of_batch.iter().zip(spans.chunks_exact(2)).zip(room.chunks_exact(WITNESS_BYTES))
        {
            let Some(at) = self.position(*start) else { continue };
            let (known, done) = (self.known[at], spans.iter().all(|span| span.done));
            let (holder, code) = bytes.split_at(HOLDER_BYTES);
            match self.code_now(heap, &known, holder, &code[..header]).filter(|_| done) {
                Some(now) if now == (Code { flags: now.flags, ..known.code }) => {}
                // What it points to was moved.
                Some(now)
                    if (now.start, now.size, now.kind)
                        == (known.code.start, known.code.size, known.code.kind) =>
                {
                    let is_optimized = known.shared.is_some();
                    let shared = if is_optimized { heap.shared_of_code(&now).ok() } else { None };
                    self.known[at] = KnownCode { code: now, shared, ..known };
                }
                _ => {
                    other(&known);
                    self.known.remove(at);
                }
            }
        }
        self.witnesses = witnesses;
    }

    fn position(&self, start: u64) -> Option<usize> {
        self.known.binary_search_by_key(&start, |known| known.code.start).ok()
    }

    fn entry(&mut self, start: u64) -> Option<&mut KnownCode> {
        let at = self.position(start)?;
        self.known.get_mut(at)
    }

    /// The code object that stands where one was, by the first words at its instructions' header and the bytes of its
    /// Code object.
    fn code_now<M: Memory>(
        &self,
        heap: &Heap<'_, M>,
        known: &KnownCode,
        holder: &[u8],
        code: &[u8],
    ) -> Option<Code> {
        let leads_there = match heap.layout.code.placement {
            Placement::Inline(_) => true,
            Placement::Stream { .. } => untag(word(holder, STREAM_CODE)) == Some(known.code.address),
        };
        let is_code = leads_there && self.maps.words.contains(&word(holder, 0));
        is_code.then(|| heap.code_from(known.holder, known.code.address, code).ok()).flatten()
    }

    fn enter<M: Memory>(&mut self, heap: &Heap<'_, M>, code: Code) -> KnownCode {
        let id = CodeId(self.next);
        self.next = self.next.wrapping_add(1);
        let is_optimized = matches!(code.kind, CodeKind::Maglev | CodeKind::Optimized);
        let shared = if is_optimized { heap.shared_of_code(&code).ok() } else { None };
        let holder = holder_of(heap, &code);
        let known = KnownCode {
            code,
            id,
            shared,
            owner: None,
            holder,
            used: self.stop,
            compared: ComparedAt::default(),
        };
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

/// The untagged address at which a code object's map stands: its instructions' header.
fn holder_of<M>(heap: &Heap<'_, M>, code: &Code) -> u64 {
    match heap.layout.code.placement {
        Placement::Inline(_) => code.address,
        Placement::Stream { header, .. } => code.start.wrapping_sub(header.into()),
    }
}
