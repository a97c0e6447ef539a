//! Small reads out of blocks that are read whole.
//!
//! What tells a function is many words in a few places: objects, their maps, names. Each read of another process'
//! memory is a system call, and one of 512 bytes takes no longer than one of eight.

use crate::limits::BLOCKS;
use crate::memory::{Fault, Memory, Span};
use crate::profile::pool::touch;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::RefCell;

/// Bytes of a block, at addresses that are multiples of it: none lies across two pages.
const BLOCK: usize = 512;

/// Reads of more are made as they are.
const SMALL: usize = 256;

/// No block's address.
const NONE: u64 = u64::MAX;

/// The blocks that were read, in memory that is asked for once.
pub struct Blocks(RefCell<Kept>);

struct Kept {
    addresses: [u64; BLOCKS],
    bytes: Vec<u8>,
    is_empty: bool,
}

impl Default for Blocks {
    fn default() -> Self {
        let mut bytes = vec![0; BLOCK * BLOCKS];
        touch(&mut bytes);
        Blocks(RefCell::new(Kept { addresses: [NONE; BLOCKS], bytes, is_empty: true }))
    }
}

impl Blocks {
    /// Memory that stands still for as long as this is used. What was read before is forgotten.
    pub fn over<M: Memory>(&mut self, memory: M) -> InBlocks<'_, M> {
        let kept = self.0.get_mut();
        if !kept.is_empty {
            kept.addresses = [NONE; BLOCKS];
            kept.is_empty = true;
        }
        InBlocks { memory, blocks: self }
    }
}

/// A process' memory, small reads of which are made by the block.
pub struct InBlocks<'a, M> {
    memory: M,
    blocks: &'a Blocks,
}

impl<M: Memory> InBlocks<'_, M> {
    /// Fills `into` from a block or two; `false`: one of them cannot be read, or not as a whole.
    fn fill(&self, address: u64, into: &mut [u8]) -> bool {
        let offset = (address % BLOCK as u64) as usize;
        let (here, behind) = into.split_at_mut(into.len().min(BLOCK - offset));
        self.fill_from_one(address - offset as u64, offset, here)
            && (behind.is_empty()
                || address.checked_add(here.len() as u64).is_some_and(|address| self.fill(address, behind)))
    }

    /// Fills `into` from `offset` of a block on, within it.
    fn fill_from_one(&self, block: u64, offset: usize, into: &mut [u8]) -> bool {
        let Ok(mut kept) = self.blocks.0.try_borrow_mut() else { return false };
        // Heap pages of 256 KiB look alike: the upper bits count too.
        let number = block / BLOCK as u64;
        let slot = (number ^ number >> 9 ^ number >> 18) as usize % BLOCKS;
        let bytes = slot * BLOCK..(slot + 1) * BLOCK;
        let Kept { addresses, bytes: all, is_empty } = &mut *kept;
        let (Some(known), Some(bytes)) = (addresses.get_mut(slot), all.get_mut(bytes)) else { return false };
        if *known != block {
            *known = NONE;
            if self.memory.read(block, bytes).is_err() {
                return false;
            }
            *known = block;
            *is_empty = false;
        }
        bytes.get(offset..offset + into.len()).inspect(|bytes| into.copy_from_slice(bytes)).is_some()
    }
}

impl<M: Memory> Memory for InBlocks<'_, M> {
    fn read(&self, address: u64, into: &mut [u8]) -> Result<(), Fault> {
        if into.len() <= SMALL && self.fill(address, into) {
            return Ok(());
        }
        self.memory.read(address, into)
    }

    fn read_prefix(&self, address: u64, into: &mut [u8]) -> usize {
        self.memory.read_prefix(address, into)
    }

    fn read_batch(&self, spans: &mut [Span], buffer: &mut [u8]) {
        self.memory.read_batch(spans, buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Recorded;
    use core::cell::Cell;
    use proptest::prelude::*;

    /// Counts the reads of what is below.
    struct Counted<'a>(&'a Recorded, Cell<u32>);

    impl Memory for Counted<'_> {
        fn read(&self, address: u64, into: &mut [u8]) -> Result<(), Fault> {
            self.1.set(self.1.get() + 1);
            self.0.read(address, into)
        }
    }

    #[test]
    fn words_of_one_block_take_one_read_until_the_next_stop() {
        let mut recorded = Recorded::new();
        recorded.put(0x1000, &[7; 1024]);
        let (memory, mut blocks) = (Counted(&recorded, Cell::new(0)), Blocks::default());
        let view = blocks.over(&memory);
        assert!((0..60).all(|word| view.word(0x1000 + word * 8) == Ok(0x0707_0707_0707_0707)));
        assert_eq!(memory.1.get(), 1);
        assert!(blocks.over(&memory).word(0x1000).is_ok());
        assert_eq!(memory.1.get(), 2);
    }

    proptest! {
        #[test]
        fn every_read_gives_what_memory_holds(
            pieces in proptest::collection::vec((0u64..4096, proptest::collection::vec(any::<u8>(), 1..900)), 0..6),
            reads in proptest::collection::vec((0u64..5000, 0usize..300), 0..60),
            base in prop_oneof![Just(0u64), Just(1 << 40), Just(u64::MAX - 6000)],
        ) {
            let mut recorded = Recorded::new();
            for (address, bytes) in &pieces {
                recorded.put(base + address, bytes);
            }
            let mut blocks = Blocks::default();
            let view = blocks.over(&recorded);
            for (address, len) in reads {
                let (mut now, mut truth) = (vec![0; len], vec![0; len]);
                let result = view.read(base + address, &mut now);
                prop_assert_eq!(result, recorded.read(base + address, &mut truth));
                prop_assert!(result.is_err() || now == truth);
            }
        }
    }
}
