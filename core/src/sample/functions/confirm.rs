//! Functions that a stop took from the tables, compared with the target once the thread runs again.

use super::{BATCH, Functions, KnownShared, STEADY, Witness};
use crate::limits::WITNESSES;
use crate::memory::{Memory, Span};
use crate::sample::cache::Entry;
use crate::sample::known::OwnName;
use crate::sample::raw::FunctionId;
use crate::sample::verify::{ComparedAt, Spans};
use crate::v8::Heap;
use crate::v8::function::SharedInfo;
use crate::v8::heap::word;

impl Functions {
    /// Has [`verify`](super::super::verify::verify) compare the function of a frame that this stop recalled, if it is one
    /// that is known and stays where it is.
    pub fn vouch(&mut self, function: u64) {
        let Some(slot) = self.by_function.find(function) else { return };
        let known = self.by_function.at_mut(slot);
        let Some(known) = known.filter(|known| known.used != self.stop) else { return };
        if known.steady < STEADY {
            // Its frame was the same for one stop more.
            known.steady += u8::from(known.own_name != OwnName::Anywhere);
            known.used = self.stop;
            return;
        }
        if self.witnesses.len() + 2 > WITNESSES {
            return;
        }
        known.used = self.stop;
        let shared = known.shared;
        self.witnesses.push(Witness::Function(slot as u32));
        let Some(slot) = self.by_shared.find(shared) else { return };
        if let Some(known) = self.by_shared.at_mut(slot).filter(|known| known.used != self.stop) {
            known.used = self.stop;
            self.witnesses.push(Witness::Shared(slot as u32));
        }
    }

    /// Shows when each guess of this stop was compared last.
    pub(in crate::sample) fn each_compared(&mut self, mut show: impl FnMut(&mut ComparedAt)) {
        let Functions { witnesses, by_function, by_shared, .. } = self;
        for witness in witnesses {
            let at = match witness {
                Witness::Function(slot) => {
                    by_function.at_mut(*slot as usize).map(|known| &mut known.compared)
                }
                Witness::Shared(slot) => by_shared.at_mut(*slot as usize).map(|known| &mut known.compared),
            };
            at.into_iter().for_each(&mut show);
        }
    }

    /// Appends what is to be read to compare one batch of the guesses of this stop with the target, into
    /// [`WITNESS_ROOM`] bytes of a buffer. None in a batch behind the last.
    pub(in crate::sample) fn witness_spans<M: Memory>(
        &self,
        heap: &Heap<'_, M>,
        batch: usize,
        spans: &mut Spans,
    ) {
        for (at, witness) in self.witnesses.chunks(BATCH).nth(batch).unwrap_or_default().iter().enumerate() {
            let (address, len) = match witness {
                Witness::Function(slot) => {
                    let known = self.by_function.at(*slot as usize);
                    let len = known.map_or(0, |known| known.own_name.bytes());
                    (known.map(Entry::key), len.max(self.function_bytes(heap)))
                }
                Witness::Shared(slot) => (
                    self.by_shared.at(*slot as usize).map(Entry::key),
                    usize::from(heap.layout.shared.size).min(SharedInfo::MAX_SIZE),
                ),
            };
            spans.push(Span::new(address.unwrap_or(0) & !3, at * SharedInfo::MAX_SIZE, len));
        }
    }

    /// Compares what was read of a batch, and calls `other` for each function in whose place another one stands, if
    /// that is known.
    pub(in crate::sample) fn confirm_batch<M: Memory>(
        &mut self,
        heap: &Heap<'_, M>,
        batch: usize,
        (spans, buffer): (&[Span], &[u8]),
        other: &mut impl FnMut(FunctionId, Option<FunctionId>),
    ) {
        let witnesses = core::mem::take(&mut self.witnesses);
        let of_batch = witnesses.chunks(BATCH).nth(batch).unwrap_or_default();
        for (witness, span) in of_batch.iter().zip(spans) {
            let bytes = buffer.get(span.at as usize..).and_then(|bytes| bytes.get(..span.len as usize));
            let bytes = bytes.filter(|_| span.done).unwrap_or(&[]);
            let (was, now) = match witness {
                Witness::Function(slot) => self.confirm_function(heap, *slot as usize, bytes),
                Witness::Shared(slot) => self.confirm_shared(heap, *slot as usize, bytes),
            };
            if let Some(was) = was
                && now != Some(was)
                && !self.in_gc
            {
                other(was, now);
            }
        }
        self.witnesses = witnesses;
    }

    /// The function that was taken to stand in a slot, and the one that does by its words now; neither where they say
    /// nothing against it.
    fn confirm_function<M: Memory>(
        &mut self,
        heap: &Heap<'_, M>,
        slot: usize,
        bytes: &[u8],
    ) -> (Option<FunctionId>, Option<FunctionId>) {
        // A slot that another function took over in this stop was read then.
        let known = self.by_function.at(slot).filter(|known| known.steady >= STEADY).copied();
        let Some(known) = known else { return (None, None) };
        let (map, shared) = (word(bytes, 0), word(bytes, heap.layout.function.shared));
        if (map, shared) == (known.map, known.shared) && known.own_name.is_in(bytes) {
            return (None, None);
        }
        // The next stop reads it anew, and its name.
        self.by_function.remove(slot);
        if shared == known.shared || self.function_maps.get(map).is_none() {
            return (None, None);
        }
        let info = heap.shared_info(shared);
        let now = info.and_then(|info| self.read_function(heap, &info));
        (Some(known.id), now.ok().map(|(id, _)| id))
    }

    /// The same of a SharedFunctionInfo.
    fn confirm_shared<M: Memory>(
        &mut self,
        heap: &Heap<'_, M>,
        slot: usize,
        bytes: &[u8],
    ) -> (Option<FunctionId>, Option<FunctionId>) {
        let Some(known) = self.by_shared.at(slot).copied() else { return (None, None) };
        let now = heap.shared_info_from(bytes);
        if now.is_same_function(&known.info) {
            return (None, None);
        }
        self.by_shared.remove(slot);
        if now.map != known.info.map {
            return (None, None);
        }
        // What it points to may have moved.
        match self.read_function(heap, &now) {
            Ok((id, is_named)) => {
                let used = self.stop;
                self.by_shared.put(KnownShared { info: now, id, is_named, used, ..known });
                (Some(known.id), Some(id))
            }
            Err(_) if now.numbers == known.info.numbers => (None, None),
            Err(_) => (Some(known.id), None),
        }
    }
}
