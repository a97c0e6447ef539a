//! The memory of a process as a dump reads it: by blocks while a thread stands, or as it was in a copy.

use flame_core::memory::{Fault, Memory, Span};
use flame_sys::memory::ProcessMemory;
use std::cell::RefCell;

/// Arguments are read by blocks of so many bytes, a power of two below a page's size.
pub const BLOCK: u64 = 256;

/// Blocks that are kept: of what is beyond, every word is read by itself.
pub const BLOCKS: usize = 256;

/// A block by its address.
pub type Block = (u64, [u8; BLOCK as usize]);

/// The memory of a thread that stands. A word of it is asked for several times, and others beside it: all that
/// lies around it is read at once, and once.
pub struct Near<'a> {
    /// The process'.
    pub memory: &'a ProcessMemory,
    /// What was read of it: at most [`BLOCKS`].
    pub blocks: &'a RefCell<Vec<Block>>,
}

impl Near<'_> {
    /// Fills `into` from one block; `None` if it cannot be kept.
    fn copy(&self, address: u64, into: &mut [u8]) -> Option<()> {
        let (start, from) = (address & !(BLOCK - 1), (address % BLOCK) as usize);
        let mut blocks = self.blocks.borrow_mut();
        let known = blocks.iter().position(|block| block.0 == start);
        if known.is_none() && blocks.len() < BLOCKS {
            let mut block = [0; BLOCK as usize];
            // All of it is in one page: it can be read, or no part of it.
            self.memory.read(start, &mut block).ok()?;
            blocks.push((start, block));
        }
        let block = blocks.get(known.unwrap_or(blocks.len() - 1)).filter(|block| block.0 == start)?;
        into.copy_from_slice(block.1.get(from..from + into.len())?);
        Some(())
    }
}

impl Memory for Near<'_> {
    fn read(&self, address: u64, into: &mut [u8]) -> Result<(), Fault> {
        let first = into.len().min((BLOCK - address % BLOCK) as usize);
        let (first, rest) = into.split_at_mut(first);
        let next = address.wrapping_add(first.len() as u64);
        if self.copy(address, first).is_some() && (rest.is_empty() || self.copy(next, rest).is_some()) {
            return Ok(());
        }
        self.memory.read(address, into)
    }

    fn read_prefix(&self, address: u64, into: &mut [u8]) -> usize {
        let is_small = into.len() as u64 <= BLOCK;
        if is_small && self.read(address, into).is_ok() {
            return into.len();
        }
        self.memory.read_prefix(address, into)
    }

    fn read_batch(&self, spans: &mut [Span], buffer: &mut [u8]) {
        self.memory.read_batch(spans, buffer);
    }
}

/// The memory of a process, with a part of it as it was.
pub struct Overlaid<'a> {
    /// The process'.
    pub memory: &'a ProcessMemory,
    /// Where the part begins.
    pub base: u64,
    /// What was there.
    pub copy: &'a [u8],
}

impl Overlaid<'_> {
    /// What the copy has from an address on.
    fn from(&self, address: u64) -> &[u8] {
        let at = address.checked_sub(self.base).and_then(|at| usize::try_from(at).ok());
        at.and_then(|at| self.copy.get(at..)).unwrap_or_default()
    }

    fn copied(&self, address: u64, into: &mut [u8]) -> bool {
        let from = self.from(address).get(..into.len());
        from.map(|from| into.copy_from_slice(from)).is_some()
    }
}

impl Memory for Overlaid<'_> {
    fn read(&self, address: u64, into: &mut [u8]) -> Result<(), Fault> {
        if self.copied(address, into) { Ok(()) } else { self.memory.read(address, into) }
    }

    fn read_prefix(&self, address: u64, into: &mut [u8]) -> usize {
        let len = self.from(address).len().min(into.len());
        let (first, rest) = into.split_at_mut(len);
        if !self.copied(address, first) || rest.is_empty() {
            return len;
        }
        len + self.memory.read_prefix(address.wrapping_add(len as u64), rest)
    }

    fn read_batch(&self, spans: &mut [Span], buffer: &mut [u8]) {
        self.memory.read_batch(spans, buffer);
        for span in spans {
            let at = span.at as usize;
            let into = buffer.get_mut(at..at.saturating_add(span.len as usize));
            span.done |= into.is_some_and(|into| self.copied(span.address, into));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_was_read_is_not_read_again() {
        let memory = ProcessMemory::new(std::process::id());
        let blocks = RefCell::new(Vec::new());
        let near = Near { memory: &memory, blocks: &blocks };
        let mut now = vec![7u8; 4 * BLOCK as usize];
        let start = now.as_ptr() as u64;
        assert_eq!(near.word(start + 300), Ok(u64::from_le_bytes([7; 8])));
        now.fill(8);
        assert_eq!(near.word(start + 300), Ok(u64::from_le_bytes([7; 8])));
        // Beyond a block it is read as it is.
        let mut into = [0; 2 * BLOCK as usize];
        assert_eq!(near.read(start + 8, &mut into), Ok(()));
        assert_eq!(into, [8; 2 * BLOCK as usize]);
        assert!(near.word(8).is_err() && near.word(u64::MAX - 3).is_err());
        drop(now);
    }

    #[test]
    fn a_copy_lies_over_the_memory_below_it() {
        let memory = ProcessMemory::new(std::process::id());
        let now = [7u8; 64];
        let base = now.as_ptr() as u64;
        let overlaid = Overlaid { memory: &memory, base, copy: &[1; 16] };
        let mut into = [0; 24];
        assert_eq!(overlaid.read_prefix(base + 8, &mut into), 24);
        assert_eq!((into[7], into[8], into[23]), (1, 7, 7));
        assert_eq!(overlaid.word(base + 8), Ok(u64::from_le_bytes([1; 8])));
        assert_eq!(overlaid.word(base + 16), Ok(u64::from_le_bytes([7; 8])));
        let mut spans = [Span::new(base, 0, 8), Span::new(base + 16, 8, 8), Span::new(8, 16, 8)];
        overlaid.read_batch(&mut spans, &mut into);
        assert_eq!(spans.map(|span| span.done), [true, true, false]);
        assert_eq!((into[0], into[8]), (1, 7));
    }
}
