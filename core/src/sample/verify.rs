//! What a stop took from its caches, compared with the target once the thread runs again: functions and code
//! objects together, in one read unless there are very many.

use super::codes::{self, Codes};
use super::functions::{self, Functions};
use super::raw::FunctionId;
use crate::memory::{Memory, Span};
use crate::v8::Heap;
use smallvec::SmallVec;

/// What is read at once.
pub(super) type Spans = SmallVec<[Span; 128]>;

/// Compares them, and calls `other` for each function whose frames are another's, or nobody knows whose.
///
/// What is on a stack stood where it was taken for standing, and can have moved since; that something else had
/// come there before the stop, and is gone again, is next to impossible. In a collection not even something
/// else that stands there now says anything: it has just come.
pub fn verify<M: Memory>(
    heap: &Heap<'_, M>,
    functions: &mut Functions,
    codes: &mut Codes,
    mut other: impl FnMut(FunctionId, Option<FunctionId>),
) {
    let mut buffer = [0; functions::WITNESS_ROOM + codes::WITNESS_ROOM];
    let mut spans = Spans::new();
    for batch in 0.. {
        spans.clear();
        functions.witness_spans(heap, batch, &mut spans);
        let of_functions = spans.len();
        codes.witness_spans(heap, batch, functions::WITNESS_ROOM, &mut spans);
        if spans.is_empty() {
            return;
        }
        heap.memory.read_batch(&mut spans, &mut buffer);
        let (of_functions, of_codes) = spans.split_at(of_functions);
        functions.confirm_batch(heap, batch, (of_functions, &buffer), &mut other);
        let room = &buffer[functions::WITNESS_ROOM..];
        codes.confirm_batch(heap, batch, (of_codes, room), |code| {
            // Whose frame it is, the frame itself says.
            if !functions.is_collecting() {
                code.owner.into_iter().for_each(|owner| other(owner, Some(owner)));
            }
        });
    }
}
