//! What was found out about a pc, so that it costs one look next time.

use alloc::boxed::Box;
use alloc::vec;

use super::rule::Rule;
use crate::limits;

/// How often the cache helped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStatistics {
    /// Steps by a rule that was in the cache.
    pub hits: u64,
    /// Steps for which the unwind information was read.
    pub misses: u64,
    /// Of these, steps whose rows have no short form and so are never cached.
    pub evaluated: u64,
}

/// What is known about a pc.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    /// Start of its function, as an address of the file.
    pub(super) function: u64,
    /// How to get to the caller; `None` where the file says nothing about the pc.
    pub(super) rule: Option<Rule>,
}

/// A direct-mapped table.
#[derive(Debug)]
pub(super) struct Cache {
    entries: Box<[(u64, Known)]>,
}

impl Cache {
    pub(super) fn new() -> Cache {
        let empty = (u64::MAX, Known { function: 0, rule: None });
        Cache { entries: vec![empty; limits::UNWIND_RULES].into_boxed_slice() }
    }

    pub(super) fn clear(&mut self) {
        self.entries.fill((u64::MAX, Known { function: 0, rule: None }));
    }

    fn slot(address: u64) -> usize {
        // The upper bits of the product depend on all bits of the address.
        let hash = address.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (hash >> (64 - limits::UNWIND_RULES.trailing_zeros())) as usize
    }

    pub(super) fn get(&self, address: u64) -> Option<&Known> {
        self.entries.get(Self::slot(address)).filter(|entry| entry.0 == address).map(|entry| &entry.1)
    }

    pub(super) fn put(&mut self, address: u64, known: Known) {
        if let Some(entry) = self.entries.get_mut(Self::slot(address)) {
            *entry = (address, known);
        }
    }
}
