//! Tables of fixed size of what is known, by its key.

use crate::profile::pool::{hash, touch};
use alloc::vec;
use alloc::vec::Vec;
use core::hash::Hash;

/// Slots in which an entry may stand, from the one that its key's hash tells. With one alone, sixty-four isolates
/// that fill half of a table would take a third of each other's entries.
const WAYS: usize = 8;

/// What a [`Cache`] keeps.
pub(super) trait Entry: Copy {
    /// What it is found by.
    type Key: Copy + Eq + Hash;

    /// Its key.
    fn key(&self) -> Self::Key;

    /// When it was last of use, in any unit: where all its slots are taken, the earliest goes.
    fn used(&self) -> u32 {
        0
    }
}

/// A table in which a new entry may take an old one's place.
#[derive(Debug)]
pub(super) struct Cache<T>(Vec<Option<T>>);

impl<T: Entry> Cache<T> {
    /// An empty one for at most so many entries, not none. Its memory is there at once, since entries come in stops.
    pub(super) fn new(size: usize) -> Self {
        let mut entries = vec![None; size.max(1)];
        touch(&mut entries);
        Cache(entries)
    }

    fn slots(&self, key: &T::Key) -> impl Iterator<Item = usize> + use<T> {
        let (size, first) = (self.0.len(), hash(key) as usize);
        let first = first % size;
        (0..WAYS.min(size)).map(move |way| if first + way < size { first + way } else { first + way - size })
    }

    /// The slot of an entry: it stays there until it is replaced or removed.
    pub(super) fn find(&self, key: T::Key) -> Option<usize> {
        self.slots(&key).find(|slot| self.at(*slot).is_some_and(|entry| entry.key() == key))
    }

    /// What stands in a slot.
    pub(super) fn at(&self, slot: usize) -> Option<&T> {
        self.0.get(slot)?.as_ref()
    }

    /// As [`at`](Self::at); the key must stay as it is.
    pub(super) fn at_mut(&mut self, slot: usize) -> Option<&mut T> {
        self.0.get_mut(slot)?.as_mut()
    }

    /// An entry by its key.
    pub(super) fn get(&self, key: T::Key) -> Option<&T> {
        self.at(self.find(key)?)
    }

    /// Puts an entry in the place of the one with its key, or else of the one that was of use the longest ago.
    pub(super) fn put(&mut self, entry: T) {
        let slot = self.find(entry.key()).or_else(|| {
            let used = |slot: &usize| self.at(*slot).map(Entry::used);
            self.slots(&entry.key()).min_by_key(used)
        });
        if let Some(place) = slot.and_then(|slot| self.0.get_mut(slot)) {
            *place = Some(entry);
        }
    }

    /// Empties a slot.
    pub(super) fn remove(&mut self, slot: usize) {
        if let Some(place) = self.0.get_mut(slot) {
            *place = None;
        }
    }

    /// Empties all.
    pub(super) fn clear(&mut self) {
        self.0.fill(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Numbered(u64, u32);

    impl Entry for Numbered {
        type Key = u64;
        fn key(&self) -> u64 {
            self.0
        }
        fn used(&self) -> u32 {
            self.1
        }
    }

    #[test]
    fn a_table_that_is_half_full_keeps_nearly_all() {
        let mut cache = Cache::new(6144);
        (0..3072).for_each(|key| cache.put(Numbered(key << 18 | 1, 1)));
        let kept = (0..3072).filter(|key| cache.get(key << 18 | 1).is_some()).count();
        assert!(kept > 3040, "{kept}");
    }

    #[test]
    fn the_one_unused_the_longest_goes() {
        let mut cache = Cache::new(WAYS);
        (1..=WAYS as u64).for_each(|key| cache.put(Numbered(key, key as u32)));
        cache.put(Numbered(1, 100));
        cache.put(Numbered(99, 101));
        assert_eq!((cache.get(1), cache.get(2)), (Some(&Numbered(1, 100)), None));
        assert_eq!(cache.get(99), Some(&Numbered(99, 101)));
    }

    proptest! {
        #[test]
        fn what_is_found_is_what_was_put_last(
            size in 0usize..20,
            steps in proptest::collection::vec((0u64..30, any::<u32>(), any::<bool>()), 0..100),
        ) {
            let (mut cache, mut last) = (Cache::new(size), [None; 30]);
            for (key, value, is_put) in steps {
                if is_put {
                    cache.put(Numbered(key, value));
                    last[key as usize] = Some(Numbered(key, value));
                    prop_assert_eq!(cache.get(key), last[key as usize].as_ref());
                } else if let Some(slot) = cache.find(key) {
                    cache.remove(slot);
                    prop_assert_eq!(cache.get(key), None);
                }
                for key in 0..30 {
                    prop_assert!(cache.get(key).is_none() || cache.get(key) == last[key as usize].as_ref());
                }
            }
        }
    }
}
