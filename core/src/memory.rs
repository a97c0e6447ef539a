//! The target's memory, as the unwinder and the V8 readers see it.

use alloc::vec::Vec;
use core::fmt;

/// Memory that could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// First address that was asked for.
    pub address: u64,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no readable memory at {:#x}", self.address)
    }
}

impl core::error::Error for Fault {}

/// One range of a batched read: where from, how much, and where its bytes go in the shared buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// First address in the target.
    pub address: u64,
    /// Offset of its first byte in the buffer given with the batch.
    pub at: u32,
    /// Bytes wanted.
    pub len: u32,
    /// Set by the read: all of it is in the buffer.
    pub done: bool,
}

impl Span {
    /// A range not read yet.
    pub const fn new(address: u64, at: usize, len: usize) -> Self {
        Span { address, at: at as u32, len: len as u32, done: false }
    }
}

/// A process' memory, or a recording of it.
pub trait Memory {
    /// Fills `into` from `address` on, or fails; what stands in `into` after a failure is undefined.
    fn read(&self, address: u64, into: &mut [u8]) -> Result<(), Fault>;

    /// Reads as many leading bytes as can be read and says how many.
    ///
    /// The default halves the length until a read succeeds.
    fn read_prefix(&self, address: u64, into: &mut [u8]) -> usize {
        let mut len = into.len();
        while len > 0 {
            if self.read(address, &mut into[..len]).is_ok() {
                return len;
            }
            len /= 2;
        }
        0
    }

    /// Reads many ranges into one buffer, with as few system calls as there can be.
    ///
    /// A span that lies outside `buffer` or cannot be read stays not [`done`](Span::done).
    fn read_batch(&self, spans: &mut [Span], buffer: &mut [u8]) {
        for span in spans {
            let at = span.at as usize;
            let into = buffer.get_mut(at..at.saturating_add(span.len as usize));
            span.done = into.is_some_and(|into| self.read(span.address, into).is_ok());
        }
    }

    /// The little-endian word at `address`.
    fn word(&self, address: u64) -> Result<u64, Fault> {
        let mut bytes = [0; 8];
        self.read(address, &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// The little-endian 32-bit value at `address`.
    fn half(&self, address: u64) -> Result<u32, Fault> {
        let mut bytes = [0; 4];
        self.read(address, &mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }
}

impl<M: Memory + ?Sized> Memory for &M {
    fn read(&self, address: u64, into: &mut [u8]) -> Result<(), Fault> {
        (**self).read(address, into)
    }
    fn read_prefix(&self, address: u64, into: &mut [u8]) -> usize {
        (**self).read_prefix(address, into)
    }
    fn read_batch(&self, spans: &mut [Span], buffer: &mut [u8]) {
        (**self).read_batch(spans, buffer);
    }
}

/// Pieces of memory kept in order: a recording, or one that a test made up.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    pieces: Vec<(u64, Vec<u8>)>,
}

impl Recorded {
    /// Memory in which nothing can be read.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a piece. Where pieces overlap, the one that starts later counts.
    pub fn put(&mut self, address: u64, bytes: &[u8]) {
        let at = self.pieces.partition_point(|piece| piece.0 <= address);
        self.pieces.insert(at, (address, bytes.to_vec()));
    }

    /// Adds one word.
    pub fn put_word(&mut self, address: u64, word: u64) {
        self.put(address, &word.to_le_bytes());
    }
}

impl Memory for Recorded {
    fn read(&self, address: u64, into: &mut [u8]) -> Result<(), Fault> {
        let fault = Fault { address };
        let mut filled = 0;
        while filled < into.len() {
            let here = address.checked_add(filled as u64).ok_or(fault)?;
            let before = self.pieces.partition_point(|piece| piece.0 <= here);
            let (piece, offset) = self.pieces[..before]
                .iter()
                .rev()
                .map(|piece| (piece, (here - piece.0) as usize))
                .find(|(piece, offset)| *offset < piece.1.len())
                .ok_or(fault)?;
            // A piece that starts inside this one takes over where it starts.
            let until = self.pieces.get(before).map_or(usize::MAX, |next| (next.0 - piece.0) as usize);
            let bytes = &piece.1[offset..piece.1.len().min(until)];
            let len = bytes.len().min(into.len() - filled);
            into[filled..filled + len].copy_from_slice(&bytes[..len]);
            filled += len;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_spans_adjacent_pieces_and_stops_at_a_gap() {
        let mut memory = Recorded::new();
        memory.put(0x1000, &[1, 2, 3, 4]);
        memory.put(0x1004, &[5, 6, 7, 8]);
        let mut into = [0; 6];
        assert_eq!(memory.read(0x1002, &mut into), Ok(()));
        assert_eq!(into, [3, 4, 5, 6, 7, 8]);
        assert_eq!(memory.read(0x1003, &mut into), Err(Fault { address: 0x1003 }));
    }

    #[test]
    fn a_later_piece_covers_an_earlier_one() {
        let mut memory = Recorded::new();
        memory.put(0x1000, &[0; 16]);
        memory.put_word(0x1008, 7);
        assert_eq!(memory.word(0x1008), Ok(7));
        assert_eq!(memory.word(0x1000), Ok(0));
    }

    #[test]
    fn a_batch_marks_what_it_could_not_read() {
        let mut memory = Recorded::new();
        memory.put_word(0x1000, 42);
        let mut spans = [Span::new(0x1000, 0, 8), Span::new(0x2000, 8, 8), Span::new(0x1000, 12, 8)];
        let mut buffer = [0; 16];
        memory.read_batch(&mut spans, &mut buffer);
        assert_eq!(spans.map(|span| span.done), [true, false, false]);
        assert_eq!(buffer[0], 42);
    }

    #[test]
    fn addresses_at_the_end_of_memory_are_a_fault() {
        let mut memory = Recorded::new();
        memory.put(u64::MAX - 3, &[1, 2, 3, 4]);
        let mut into = [0; 8];
        assert!(memory.read(u64::MAX - 3, &mut into).is_err());
        assert_eq!(memory.read_prefix(u64::MAX - 3, &mut into), 4);
    }
}
