//! A table of fixed size that gives each distinct value a number.

use alloc::vec;
use alloc::vec::Vec;
use core::hash::{Hash, Hasher};

/// The table is full: the value was not taken, and [`Pool::refused`] counted it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// Distinct values numbered from 0 in the order of their first appearance.
///
/// All memory is asked for at once and touched only as it fills.
#[derive(Clone, Debug)]
pub struct Pool<T> {
    values: Vec<T>,
    /// Open addressing, at most three quarters full; number + 1, or 0 for a free slot.
    index: Vec<u32>,
    limit: usize,
    refused: u64,
}

impl<T: Copy + Eq + Hash> Pool<T> {
    /// A pool for at most `limit` values.
    pub fn new(limit: usize) -> Self {
        let slots = (limit.max(1) * 4).div_ceil(3).next_power_of_two();
        Pool { values: Vec::with_capacity(limit), index: vec![0; slots], limit, refused: 0 }
    }

    /// [`touch`]es what new values are entered in at random.
    pub fn touch(&mut self) {
        touch(&mut self.index);
    }

    /// The number of `value`, new or known.
    pub fn intern(&mut self, value: T) -> Result<u32, Full> {
        self.intern_within(self.limit, value)
    }

    /// The same where a new value has room only among the first `limit`, which the pool has.
    pub fn intern_within(&mut self, limit: usize, value: T) -> Result<u32, Full> {
        let slot = match self.find(&value) {
            Ok(number) => return Ok(number),
            Err(slot) => slot,
        };
        if self.values.len() >= limit {
            self.refused += 1;
            return Err(Full);
        }
        let number = self.values.len() as u32;
        self.values.push(value);
        self.index[slot] = number + 1;
        Ok(number)
    }

    /// The number of `value` if it is known.
    pub fn get(&self, value: &T) -> Option<u32> {
        self.find(value).ok()
    }

    fn find(&self, value: &T) -> Result<u32, usize> {
        let mask = self.index.len() - 1;
        let mut slot = hash(value) as usize & mask;
        loop {
            match self.index[slot] {
                0 => return Err(slot),
                number if self.values[number as usize - 1] == *value => return Ok(number - 1),
                _ => slot = (slot + 1) & mask,
            }
        }
    }

    /// All values, each at its number.
    pub fn values(&self) -> &[T] {
        &self.values
    }

    /// How often a new value found the pool full.
    pub fn refused(&self) -> u64 {
        self.refused
    }
}

/// Has the kernel provide a table's memory now. It does so at the first write to each page, which takes a
/// microsecond, and must not be in a stop.
pub fn touch<T: Copy>(table: &mut [T]) {
    let step = (4096 / size_of::<T>().max(1)).max(1);
    for slot in table.iter_mut().step_by(step) {
        *slot = core::hint::black_box(*slot);
    }
}

/// A quick hash for table look-ups: nothing an attacker gains by collisions but a slower profile.
pub fn hash<T: Hash + ?Sized>(value: &T) -> u64 {
    let mut hasher = Mixer(0);
    value.hash(&mut hasher);
    hasher.finish()
}

/// Multiplies and folds, as FxHash and wyhash do.
struct Mixer(u64);

impl Mixer {
    fn mix(&mut self, word: u64) {
        let wide = u128::from(self.0 ^ word ^ 0x9e37_79b9_7f4a_7c15) * 0xd6e8_feb8_6659_fd93;
        self.0 = (wide as u64) ^ ((wide >> 64) as u64);
    }
}

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.mix(u64::from_le_bytes(word) ^ ((chunk.len() as u64) << 56));
        }
    }
    fn write_u8(&mut self, value: u8) {
        self.mix(value.into());
    }
    fn write_u16(&mut self, value: u16) {
        self.mix(value.into());
    }
    fn write_u32(&mut self, value: u32) {
        self.mix(value.into());
    }
    fn write_u64(&mut self, value: u64) {
        self.mix(value);
    }
    fn write_usize(&mut self, value: usize) {
        self.mix(value as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use proptest::prelude::*;

    #[test]
    fn a_full_pool_keeps_what_it_has_and_counts_what_it_refuses() {
        let mut pool = Pool::new(2);
        assert_eq!(pool.intern(7u64), Ok(0));
        assert_eq!(pool.intern(8), Ok(1));
        assert_eq!(pool.intern(9), Err(Full));
        assert_eq!(pool.intern(7), Ok(0));
        assert_eq!((pool.values(), pool.refused()), (&[7, 8][..], 1));
    }

    #[test]
    fn a_pool_for_nothing_refuses_all() {
        let mut pool = Pool::new(0);
        assert_eq!(pool.intern(1u32), Err(Full));
        assert_eq!(pool.get(&1), None);
    }

    proptest! {
        #[test]
        fn numbers_are_those_of_a_map(values in proptest::collection::vec(0u64..50, 0..200)) {
            let mut pool = Pool::new(50);
            let mut oracle = BTreeMap::new();
            for value in values {
                let next = oracle.len() as u32;
                let number = *oracle.entry(value).or_insert(next);
                prop_assert_eq!(pool.intern(value), Ok(number));
            }
        }
    }
}
