//! The words of a stack: from the copy taken in the stop, else from the target.

use crate::memory::{Fault, Memory};

/// A copy of a stack's bytes, from the stack pointer upwards.
///
/// Below lies what a function has popped at its end: still where it was, but the stack pointer has passed
/// it. It is needed so seldom that those words are read from memory.
#[derive(Clone, Copy, Debug, Default)]
pub struct StackCopy<'a> {
    /// Address of the first byte.
    pub base: u64,
    /// The bytes.
    pub bytes: &'a [u8],
}

impl StackCopy<'_> {
    /// The word at `address`, if all of it was copied.
    pub fn word(&self, address: u64) -> Option<u64> {
        self.words(address).map(|[word]| word)
    }

    /// The words from `address` on, if all of them were copied.
    pub fn words<const COUNT: usize>(&self, address: u64) -> Option<[u64; COUNT]> {
        let at = usize::try_from(address.checked_sub(self.base)?).ok()?;
        let words = self.bytes.get(at..)?.as_chunks().0.first_chunk::<COUNT>()?;
        Some(words.map(u64::from_le_bytes))
    }

    /// The word at `address` from the copy, else from memory: an alternative signal stack, or a frame
    /// beyond the copy's bound.
    pub fn word_or_read(&self, address: u64, memory: &impl Memory) -> Result<u64, Fault> {
        self.word(address).map_or_else(|| memory.word(address), Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Recorded;

    #[test]
    fn a_word_outside_the_copy_is_read_from_memory() {
        let bytes = [1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0];
        let stack = StackCopy { base: 0x1000, bytes: &bytes };
        let mut memory = Recorded::new();
        memory.put_word(0x1008, 7);
        assert_eq!(stack.word_or_read(0x1000, &memory), Ok(1));
        assert_eq!(stack.word_or_read(0x1008, &memory), Ok(7), "half of it was copied");
        assert_eq!(stack.word_or_read(0xff8, &memory), Err(Fault { address: 0xff8 }));
        assert_eq!(stack.word(u64::MAX), None);
    }
}
