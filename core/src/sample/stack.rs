//! The copied part of a stack.

use crate::memory::Memory;

/// A stack's words: from the copy where it reaches, else from the target.
#[derive(Clone, Copy)]
pub struct Stack<'a, M> {
    /// Address of the copy's first byte: the stack pointer.
    pub base: u64,
    /// The copy.
    pub bytes: &'a [u8],
    /// The target.
    pub memory: &'a M,
}

impl<M: Memory> Stack<'_, M> {
    /// The word at an address.
    pub fn word(&self, address: u64) -> Option<u64> {
        self.copied(address).or_else(|| self.memory.word(address).ok())
    }

    /// The word at an address, if the copy has it.
    pub fn copied(&self, address: u64) -> Option<u64> {
        let at = usize::try_from(address.checked_sub(self.base)?).ok()?;
        let bytes = self.bytes.get(at..at.checked_add(8)?)?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    }
}
