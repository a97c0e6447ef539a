//! What a stop took from its caches, compared with the target once the thread runs again: functions and code
//! objects together, in one read unless there are very many, or none where that was done a moment ago.

use super::codes::{self, Codes};
use super::functions::{self, Functions};
use super::raw::FunctionId;
use crate::memory::{Memory, Span};
use crate::v8::Heap;
use smallvec::SmallVec;

/// Where all was compared so short a time ago, nothing is compared again: to be wrong then, an object that had stood
/// still for some stops must have gone, and another one that stacks hold must have come to its place, all since. After a
/// collection that a stop was in nothing from before it counts.
const RECENT_US: u64 = 2_000;

/// When an object was compared with the target, in microseconds since sampling began. It wraps.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ComparedAt(u32);

/// When a stop's objects are compared, and for how long before that it counts that one was.
#[derive(Clone, Copy, Debug)]
pub struct Comparison {
    now_us: u32,
    recent_us: u32,
}

impl Comparison {
    fn is_due(self, last: ComparedAt) -> bool {
        self.now_us.wrapping_sub(last.0) >= self.recent_us
    }
}

/// When a stop was in a collection last, in microseconds since sampling began.
#[derive(Clone, Copy, Debug, Default)]
pub struct Collected(Option<u64>);

impl Collected {
    /// The comparison of a stop at that time.
    pub fn comparison(&mut self, at_us: u64, in_gc: bool) -> Comparison {
        if in_gc {
            self.0 = Some(at_us);
        }
        let since_us = self.0.map_or(RECENT_US, |collected| at_us.saturating_sub(collected));
        Comparison { now_us: at_us as u32, recent_us: since_us.min(RECENT_US) as u32 }
    }
}

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
    comparison: Comparison,
    mut other: impl FnMut(FunctionId, Option<FunctionId>),
) {
    let mut is_any_due = false;
    functions.each_compared(|at| is_any_due |= comparison.is_due(*at));
    codes.each_compared(|at| is_any_due |= comparison.is_due(*at));
    if !is_any_due {
        return;
    }
    functions.each_compared(|at| at.0 = comparison.now_us);
    codes.each_compared(|at| at.0 = comparison.now_us);
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
