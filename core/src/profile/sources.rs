//! Texts of scripts, as V8 holds them, in one arena of fixed size.

use super::strings::Text;
use crate::limits::{SOURCE_BYTES, SOURCE_PIECES};
use alloc::vec::Vec;

/// Characters that stood side by side in the target.
#[derive(Clone, Copy, Debug)]
struct Piece {
    start: u32,
    end: u32,
    /// One byte a character (Latin-1); else two (UTF-16).
    one_byte: bool,
}

/// A script's text, as its place in the pieces.
#[derive(Clone, Copy, Debug)]
struct Entry {
    script: u32,
    file: Text,
    line_offset: i32,
    first: u32,
    end: u32,
}

/// Texts of scripts, by the scripts' numbers.
#[derive(Debug, Default)]
pub struct Sources {
    arena: Vec<u8>,
    pieces: Vec<Piece>,
    entries: Vec<Entry>,
    refused: u64,
}

/// No room is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom;

impl Sources {
    /// Room for the texts of a run. Made by [`default`](Default::default) there is none, and nothing is kept.
    pub fn with_room() -> Self {
        Sources {
            arena: Vec::with_capacity(SOURCE_BYTES),
            pieces: Vec::with_capacity(SOURCE_PIECES),
            entries: Vec::with_capacity(crate::limits::SCRIPTS),
            refused: 0,
        }
    }

    /// Whether texts are kept at all.
    pub fn are_wanted(&self) -> bool {
        self.arena.capacity() > 0
    }

    /// Whether a script's text is here.
    pub fn has(&self, script: u32) -> bool {
        self.entries.iter().any(|entry| entry.script == script)
    }

    /// Adds a script's text, which `fill` gives piece by piece; without all of it, nothing is added.
    ///
    /// # Errors
    /// That of `fill`. A text that finds no room is counted as [`refused`](Self::refused), and is no error.
    pub fn add<E>(
        &mut self,
        script: u32,
        (file, line_offset): (Text, i32),
        fill: impl FnOnce(&mut Filling<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let (bytes, first) = (self.arena.len(), self.pieces.len());
        let mut filling = Filling { sources: self, is_full: false };
        let outcome = fill(&mut filling);
        let is_full = filling.is_full || self.entries.len() == self.entries.capacity();
        if outcome.is_err() || is_full {
            self.arena.truncate(bytes);
            self.pieces.truncate(first);
            self.refused += u64::from(outcome.is_ok());
            return outcome;
        }
        let (first, end) = (first as u32, self.pieces.len() as u32);
        self.entries.push(Entry { script, file, line_offset, first, end });
        outcome
    }

    /// Texts that found no room.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// All texts.
    pub fn iter(&self) -> impl Iterator<Item = Source<'_>> {
        self.entries.iter().map(|entry| Source { entry, sources: self })
    }
}

/// A text that is being taken.
pub struct Filling<'s> {
    sources: &'s mut Sources,
    is_full: bool,
}

impl Filling<'_> {
    /// Adds characters: `read` fills their bytes, and says whether it could.
    ///
    /// # Errors
    /// [`NoRoom`]: the text will be refused.
    pub fn piece<E>(
        &mut self,
        characters: u32,
        one_byte: bool,
        read: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<Result<(), E>, NoRoom> {
        let Sources { arena, pieces, .. } = &mut *self.sources;
        let start = arena.len();
        let end = start.saturating_add(characters as usize * if one_byte { 1 } else { 2 });
        if end > arena.capacity() || pieces.len() == pieces.capacity() {
            self.is_full = true;
            return Err(NoRoom);
        }
        arena.resize(end, 0);
        pieces.push(Piece { start: start as u32, end: end as u32, one_byte });
        Ok(read(&mut arena[start..end]))
    }
}

/// A script's text.
#[derive(Clone, Copy)]
pub struct Source<'s> {
    entry: &'s Entry,
    sources: &'s Sources,
}

impl<'s> Source<'s> {
    /// The script's name, as frames have it.
    pub fn file(self) -> Text {
        self.entry.file
    }

    /// Number of the text's first line in its file, from 1; less where V8 put a head before it.
    pub fn first_line(self) -> i64 {
        i64::from(self.entry.line_offset) + 1
    }

    /// Its pieces, in order: bytes, and whether one is a character (Latin-1) or two (UTF-16).
    pub fn pieces(self) -> impl Iterator<Item = (&'s [u8], bool)> {
        let Source { entry, sources } = self;
        let pieces = sources.pieces.get(entry.first as usize..entry.end as usize).unwrap_or_default();
        pieces.iter().map(|piece| {
            let bytes = sources.arena.get(piece.start as usize..piece.end as usize).unwrap_or_default();
            (bytes, piece.one_byte)
        })
    }

    /// Its UTF-16 units.
    pub fn units(self) -> impl Iterator<Item = u16> {
        self.pieces().flat_map(|(bytes, one_byte)| {
            let (narrow, wide) = if one_byte { (bytes, &[][..]) } else { (&[][..], bytes) };
            let wide = wide.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
            narrow.iter().map(|byte| u16::from(*byte)).chain(wide)
        })
    }

    /// Whether another one has the same text at the same lines.
    pub fn is_same(self, other: Source<'_>) -> bool {
        let has_same = |other: Source<'_>| self.pieces().eq(other.pieces()) || self.units().eq(other.units());
        self.first_line() == other.first_line() && has_same(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use alloc::vec;

    fn put(sources: &mut Sources, script: u32, pieces: &[(&[u8], bool)]) {
        let whole = sources.add(script, (Text::EMPTY, 0), |filling| {
            for (bytes, one_byte) in pieces {
                let characters = if *one_byte { bytes.len() } else { bytes.len() / 2 };
                let read = |into: &mut [u8]| -> Result<(), ()> {
                    into.copy_from_slice(bytes);
                    Ok(())
                };
                if filling.piece(characters as u32, *one_byte, read).is_err() {
                    break;
                }
            }
            Ok::<(), ()>(())
        });
        assert_eq!(whole, Ok(()));
    }

    fn texts(sources: &Sources) -> Vec<String> {
        let text = |source: Source<'_>| String::from_utf16_lossy(&source.units().collect::<Vec<_>>());
        sources.iter().map(text).collect()
    }

    #[test]
    fn pieces_of_either_width_make_one_text() {
        let mut sources = Sources::with_room();
        // U+1F600, its halves in two pieces.
        put(&mut sources, 3, &[(b"caf\xe9 ", true), (b"\x3d\xd8", false), (b"\x00\xde!\0", false)]);
        put(&mut sources, 4, &[(b"\x3d\xd8", false)]);
        assert_eq!(texts(&sources), ["caf\u{e9} \u{1f600}!", "\u{fffd}"]);
        assert!(sources.has(3) && !sources.has(5));
        put(&mut sources, 5, &[(b"\x3d\xd8", false)]);
        let [pair, half, same] = [0, 1, 2].map(|at| sources.iter().nth(at).unwrap());
        assert!(half.is_same(same) && !half.is_same(pair));
    }

    #[test]
    fn what_finds_no_room_is_counted_and_leaves_room_for_others() {
        let mut sources = Sources::with_room();
        let large = vec![b'x'; SOURCE_BYTES - 2];
        put(&mut sources, 1, &[(b"abc", true), (&large, true)]);
        put(&mut sources, 2, &[(b"abc", true)]);
        assert!(!sources.has(1) && sources.refused() == 1);
        assert_eq!(sources.iter().map(|source| source.units().count()).collect::<Vec<_>>(), [3]);
    }

    #[test]
    fn a_text_that_could_not_be_read_leaves_nothing() {
        let mut sources = Sources::with_room();
        let outcome = sources.add(1, (Text::EMPTY, 0), |filling| {
            filling.piece(3, true, |_| Err("unreadable")).unwrap_or(Ok(()))
        });
        assert_eq!(outcome, Err("unreadable"));
        assert!(!sources.has(1) && sources.pieces.is_empty() && sources.refused() == 0);
    }

    #[test]
    fn nothing_is_kept_unless_wanted() {
        let mut sources = Sources::default();
        put(&mut sources, 1, &[(b"abc", true)]);
        assert!(!sources.are_wanted() && texts(&sources).is_empty());
    }
}
