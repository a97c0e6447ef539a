//! Names and paths, each kept once.

use super::pool::{Full, hash, touch};
use crate::limits::{NAME_BYTES, STRING_BYTES, STRINGS};
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

/// A string's number. [`Text::EMPTY`] is the empty string in every profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Text(pub u32);

impl Text {
    /// The empty string.
    pub const EMPTY: Text = Text(0);
}

/// An arena of distinct strings, bounded in bytes and number.
#[derive(Clone, Debug)]
pub struct Strings {
    arena: String,
    /// End of each string in the arena; it starts where the one before ends.
    ends: Vec<u32>,
    /// Open addressing, at most half full; number + 1, or 0 for a free slot.
    index: Vec<u32>,
    byte_limit: usize,
    refused: u64,
    cut: u64,
}

impl Default for Strings {
    fn default() -> Self {
        Self::new(STRINGS, STRING_BYTES)
    }
}

impl Strings {
    /// An arena for `limit` strings (at least the empty one) of `bytes` bytes together.
    pub fn new(limit: usize, bytes: usize) -> Self {
        let limit = limit.max(1);
        let mut strings = Strings {
            arena: String::with_capacity(bytes),
            ends: Vec::with_capacity(limit),
            index: vec![0; (limit * 2).next_power_of_two()],
            byte_limit: bytes,
            refused: 0,
            cut: 0,
        };
        // The empty string always fits.
        let _ = strings.intern("");
        strings
    }

    /// [`touch`]es what new strings are entered in at random.
    pub fn touch(&mut self) {
        touch(&mut self.index);
    }

    /// The number of `text`, new or known. What goes beyond [`NAME_BYTES`] is cut off, at a
    /// character's start, and counted.
    pub fn intern(&mut self, text: &str) -> Result<Text, Full> {
        let text = if text.len() > NAME_BYTES {
            self.cut += 1;
            &text[..text.floor_char_boundary(NAME_BYTES)]
        } else {
            text
        };
        let mask = self.index.len() - 1;
        let mut slot = hash(text.as_bytes()) as usize & mask;
        while let Some(number) = self.index[slot].checked_sub(1) {
            if self.get(Text(number)) == text {
                return Ok(Text(number));
            }
            slot = (slot + 1) & mask;
        }
        if self.ends.len() == self.ends.capacity() || self.arena.len() + text.len() > self.byte_limit {
            self.refused += 1;
            return Err(Full);
        }
        let number = self.ends.len() as u32;
        self.arena.push_str(text);
        self.ends.push(self.arena.len() as u32);
        self.index[slot] = number + 1;
        Ok(Text(number))
    }

    /// The string of a number; empty for a number that is not from here.
    pub fn get(&self, text: Text) -> &str {
        let number = text.0 as usize;
        let start =
            number.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |end| *end as usize);
        self.ends.get(number).and_then(|end| self.arena.get(start..*end as usize)).unwrap_or("")
    }

    /// Number of distinct strings; their numbers are all below it.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Never: the empty string is always there.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// How often a new string found no room.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// How often a string was longer than [`NAME_BYTES`] and was cut.
    pub fn cut(&self) -> u64 {
        self.cut
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_strings_share_a_number_and_read_back() {
        let mut strings = Strings::new(10, 100);
        let a = strings.intern("alpha").unwrap();
        let b = strings.intern("beta").unwrap();
        assert_eq!(strings.intern("alpha"), Ok(a));
        assert_eq!((strings.get(a), strings.get(b), strings.get(Text::EMPTY)), ("alpha", "beta", ""));
        assert_eq!(strings.get(Text(99)), "");
    }

    #[test]
    fn both_bounds_refuse_and_count() {
        let mut strings = Strings::new(2, 100);
        assert!(strings.intern("a").is_ok());
        assert_eq!(strings.intern("b"), Err(Full));
        let mut strings = Strings::new(10, 3);
        assert!(strings.intern("ab").is_ok());
        assert_eq!(strings.intern("cd"), Err(Full));
        assert_eq!(strings.refused(), 1);
    }

    #[test]
    fn a_long_name_is_cut_between_characters() {
        let mut strings = Strings::default();
        let long = "é".repeat(NAME_BYTES);
        let text = strings.intern(&long).unwrap();
        assert!(strings.get(text).len() <= NAME_BYTES && long.starts_with(strings.get(text)));
        assert_eq!(strings.cut(), 1);
    }
}
