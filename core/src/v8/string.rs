//! V8's strings: sequential, cons, sliced, thin and external, in one byte or two a character.

use super::heap::{Decode, Heap, smi};
use crate::limits::{STRING_PENDING, STRING_STEPS};
use crate::memory::Memory;
use alloc::string::String;
use smallvec::SmallVec;

/// Longest string that V8 can have (`String::kMaxLength`).
const MAX_LENGTH: u32 = (1 << 29) - 24;

/// Characters of a string that stand side by side in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Address of the first character.
    pub address: u64,
    /// Number of characters.
    pub length: u32,
    /// One byte a character (Latin-1); else two (UTF-16).
    pub one_byte: bool,
}

/// A string's header.
struct Header {
    kind: u16,
    length: u32,
    payload: u64,
    second: u64,
}

impl<M: Memory> Heap<'_, M> {
    /// Whether a tagged value is a string.
    pub fn is_string(&self, tagged: u64) -> bool {
        self.object(tagged).is_ok_and(|(_, kind)| self.layout.types.is_string(kind))
    }

    /// A string's length in characters.
    pub fn string_length(&self, tagged: u64) -> Result<u32, Decode> {
        Ok(self.header(tagged)?.1.length)
    }

    fn header(&self, tagged: u64) -> Result<(u64, Header), Decode> {
        let shape = &self.layout.string;
        let (address, kind) = self.object(tagged)?;
        if !self.layout.types.is_string(kind) {
            return Err(Decode::WrongType { address, found: kind });
        }
        let mut bytes = [0; 40];
        let size = usize::from(shape.second) + 8;
        let bytes = bytes.get_mut(..size).ok_or(Decode::Bound)?;
        // A short sequential string may be smaller than this and end its page.
        let got = self.memory.read_prefix(address, bytes);
        if got < usize::from(shape.payload) {
            return Err(Decode::Fault(crate::memory::Fault { address }));
        }
        let length = if shape.length_is_smi {
            smi(super::heap::word(bytes, shape.length)).ok_or(Decode::Bound)? as u32
        } else {
            super::heap::half(bytes, shape.length)
        };
        if length > MAX_LENGTH {
            return Err(Decode::Bound);
        }
        let payload = super::heap::word(bytes, shape.payload);
        let second = super::heap::word(bytes, shape.second);
        Ok((address, Header { kind, length, payload, second }))
    }

    /// Calls `visit` for each run of a string's first `limit` characters, in order; it stops when
    /// `visit` says so by returning `false`.
    pub fn string_runs(
        &self,
        tagged: u64,
        limit: u32,
        mut visit: impl FnMut(Run) -> bool,
    ) -> Result<(), Decode> {
        const SEQUENTIAL: u16 = 0;
        const CONS: u16 = 1;
        const EXTERNAL: u16 = 2;
        const SLICED: u16 = 3;
        const THIN: u16 = 5;
        let shape = &self.layout.string;
        let mut left = limit;
        // What is still to be read, the next one last: string, first character, number of characters.
        let mut pending: SmallVec<[(u64, u32, u32); STRING_PENDING]> = SmallVec::new();
        pending.push((tagged, 0, u32::MAX));
        for _ in 0..STRING_STEPS {
            let Some((tagged, skip, take)) = pending.pop() else { return Ok(()) };
            if left == 0 {
                return Ok(());
            }
            let (address, header) = self.header(tagged)?;
            let length = header.length.saturating_sub(skip).min(take);
            if length == 0 {
                continue;
            }
            let one_byte = header.kind & shape.one_byte != 0;
            let width = if one_byte { 1 } else { 2 };
            let characters = match header.kind & shape.representation {
                SEQUENTIAL => address.wrapping_add(shape.payload.into()),
                EXTERNAL if header.kind & shape.uncached == 0 => header.second,
                // The resource's first word is its vtable; V8's and Node's resources keep the data next.
                EXTERNAL => self.memory.word(header.payload.wrapping_add(8))?,
                CONS => {
                    if pending.len() + 2 > STRING_PENDING {
                        return Err(Decode::Bound);
                    }
                    let (first, second) = (header.payload, header.second);
                    let first_length = self.header(first)?.1.length;
                    let from_first = first_length.saturating_sub(skip).min(length);
                    if from_first < length {
                        pending.push((second, skip.saturating_sub(first_length), length - from_first));
                    }
                    if from_first > 0 {
                        pending.push((first, skip, from_first));
                    }
                    continue;
                }
                SLICED => {
                    let offset = smi(header.second).and_then(|offset| u32::try_from(offset).ok());
                    let skip = offset.and_then(|offset| offset.checked_add(skip)).ok_or(Decode::Bound)?;
                    pending.push((header.payload, skip, length));
                    continue;
                }
                THIN => {
                    pending.push((header.payload, skip, length));
                    continue;
                }
                _ => return Err(Decode::WrongType { address, found: header.kind }),
            };
            let length = length.min(left);
            left -= length;
            let run = Run { address: characters.wrapping_add(u64::from(skip) * width), length, one_byte };
            if !visit(run) {
                return Ok(());
            }
        }
        if pending.is_empty() { Ok(()) } else { Err(Decode::Bound) }
    }

    /// Appends a string's first `limit` characters to `into`. Half a surrogate pair becomes U+FFFD.
    pub fn string(&self, tagged: u64, limit: u32, into: &mut String) -> Result<(), Decode> {
        let mut failed = None;
        self.string_runs(tagged, limit, |run| match self.append(run, into) {
            Ok(()) => true,
            Err(error) => {
                failed = Some(error);
                false
            }
        })?;
        failed.map_or(Ok(()), Err)
    }

    fn append(&self, run: Run, into: &mut String) -> Result<(), Decode> {
        let mut buffer = [0; 512];
        let width = if run.one_byte { 1 } else { 2 };
        let (mut address, mut left) = (run.address, run.length as usize);
        while left > 0 {
            let mut count = left.min(buffer.len() / width);
            self.memory.read(address, &mut buffer[..count * width])?;
            if run.one_byte {
                into.extend(buffer[..count].iter().map(|byte| char::from(*byte)));
            } else {
                // The first half of a surrogate pair is left to the chunk that has the second.
                let last = u16::from_le_bytes([buffer[2 * count - 2], buffer[2 * count - 1]]);
                if (0xd800..0xdc00).contains(&last) && left > count && count > 1 {
                    count -= 1;
                }
                let units = buffer[..2 * count].chunks_exact(2);
                let units = units.map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
                let characters = char::decode_utf16(units);
                into.extend(characters.map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)));
            }
            address = address.wrapping_add((count * width) as u64);
            left -= count;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v8::fixture::{FakeHeap, layout, smi_word};
    use proptest::prelude::*;

    fn read(heap: &FakeHeap, tagged: u64) -> Result<String, Decode> {
        let mut text = String::new();
        heap.heap().string(tagged, 1000, &mut text).map(|()| text)
    }

    #[test]
    fn every_representation_reads_as_one_text() {
        let mut heap = FakeHeap::new(layout());
        let (left, right) = (heap.string("left "), heap.wide_string("ри\u{1f600}ght"));
        let cons = heap.composed(1 | 8, 13, left, right);
        assert_eq!(read(&heap, cons).as_deref(), Ok("left ри\u{1f600}ght"));
        let sliced = heap.composed(3 | 8, 3, left, smi_word(1));
        assert_eq!(read(&heap, sliced).as_deref(), Ok("eft"));
        let thin = heap.composed(5, 5, left, 0);
        assert_eq!(read(&heap, thin).as_deref(), Ok("left "));
        heap.memory.put(0x9000, b"outside");
        let external = heap.composed(2 | 8, 7, 0x8000, 0x9000);
        assert_eq!(read(&heap, external).as_deref(), Ok("outside"));
        heap.memory.put_word(0x8008, 0x9000);
        let uncached = heap.composed(2 | 8 | 0x10, 7, 0x8000, 0);
        assert_eq!(read(&heap, uncached).as_deref(), Ok("outside"));
        let slice_of_cons = heap.composed(3, 4, cons, smi_word(3));
        assert_eq!(read(&heap, slice_of_cons).as_deref(), Ok("t ри"));
    }

    #[test]
    fn a_surrogate_pair_across_two_reads_stays_whole() {
        let mut heap = FakeHeap::new(layout());
        let text = alloc::format!("{}\u{1f600}{}", "x".repeat(255), "y".repeat(300));
        let wide = heap.wide_string(&text);
        assert_eq!(read(&heap, wide).as_deref(), Ok(text.as_str()));
    }

    #[test]
    fn a_cons_of_itself_ends() {
        let mut heap = FakeHeap::new(layout());
        let cons = heap.composed(1, 1 << 20, 0, 0);
        heap.memory.put_word((cons & !1) + 16, cons);
        heap.memory.put_word((cons & !1) + 24, cons);
        assert_eq!(read(&heap, cons), Err(Decode::Bound));
        let thin = heap.composed(5, 5, 0, 0);
        heap.memory.put_word((thin & !1) + 16, thin);
        assert_eq!(read(&heap, thin), Err(Decode::Bound));
    }

    #[test]
    fn what_is_no_string_is_refused() {
        let mut heap = FakeHeap::new(layout());
        let script = heap.script(0, 0, 1);
        assert!(matches!(read(&heap, script), Err(Decode::WrongType { found: 167, .. })));
        assert_eq!(read(&heap, smi_word(3)), Err(Decode::NotAnObject(smi_word(3))));
        let huge = heap.composed(8, u32::MAX, 0, 0);
        assert_eq!(read(&heap, huge), Err(Decode::Bound));
    }

    proptest! {
        #[test]
        fn a_limit_cuts_the_text_at_its_start(text in "[a-z]{0,40}", limit in 0u32..50) {
            let mut heap = FakeHeap::new(layout());
            let string = heap.string(&text);
            let mut read = String::new();
            heap.heap().string(string, limit, &mut read).unwrap();
            prop_assert_eq!(&read, &text[..text.len().min(limit as usize)]);
        }
    }
}
