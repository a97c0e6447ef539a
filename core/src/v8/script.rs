//! A script's name, its place in its file, and the ends of its lines.

use super::heap::{Decode, Heap, smi, untag, word};
use super::string::Run;
use crate::limits::NAME_BYTES;
use crate::memory::{Fault, Memory};
use alloc::string::String;

/// What a Script says, as it stands in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Script {
    /// The object's address, untagged.
    pub address: u64,
    /// Source text, tagged.
    pub source: u64,
    /// Name, tagged.
    pub name: u64,
    /// `//# sourceURL=`, tagged; 0 where there is no such field.
    pub source_url: u64,
    /// Number of the source's first line in its file, from 0.
    pub line_offset: i32,
    /// Number of the source's first column in its file's line, from 0.
    pub column_offset: i32,
    /// V8's number for the script.
    pub id: i32,
    /// Compiled by eval or `new Function`.
    pub is_eval: bool,
}

/// Words behind a DebugInfo's map among which its script, or its function's, stands.
const DEBUG_INFO_WORDS: u16 = 4;

impl<M: Memory> Heap<'_, M> {
    /// The Script that a SharedFunctionInfo's script slot leads to: itself, or behind a DebugInfo
    /// (inspector or coverage, up to 11.3). `None` for a function without one.
    pub fn script(&self, tagged: u64) -> Result<Option<Script>, Decode> {
        if untag(tagged).is_none() {
            return Ok(None);
        }
        let (address, kind) = self.object(tagged)?;
        if kind == self.layout.types.script {
            return self.read_script(address).map(Some);
        }
        for slot in 1..=DEBUG_INFO_WORDS {
            let Ok(value) = self.field(address, slot * 8) else { return Ok(None) };
            if let Ok(script) = self.expect(value, self.layout.types.script) {
                return self.read_script(script).map(Some);
            }
        }
        Ok(None)
    }

    /// Reads a Script's fields at an untagged address whose type was checked.
    pub fn read_script(&self, address: u64) -> Result<Script, Decode> {
        let layout = &self.layout.script;
        let mut bytes = [0; 160];
        let bytes = bytes.get_mut(..usize::from(layout.size)).ok_or(Decode::Bound)?;
        self.memory.read(address, bytes)?;
        let number = |offset: u16| smi(word(bytes, offset)).unwrap_or(0);
        Ok(Script {
            address,
            source: word(bytes, layout.source),
            name: word(bytes, layout.name),
            source_url: layout.source_url.map_or(0, |url| word(bytes, url)),
            line_offset: number(layout.line_offset),
            column_offset: number(layout.column_offset),
            id: number(layout.id),
            is_eval: layout.flags.is_some_and(|flags| number(flags) & 1 == 1),
        })
    }

    /// Appends the script's name to `into`: path or URL, else its source URL, else `[eval]` or
    /// `[unknown]`.
    pub fn script_name(&self, script: &Script, into: &mut String) -> Result<(), Decode> {
        let before = into.len();
        for name in [script.name, script.source_url] {
            if into.len() == before && self.is_string(name) {
                self.string(name, NAME_BYTES as u32, into)?;
            }
        }
        if into.len() == before {
            into.push_str(if script.is_eval { "[eval]" } else { "[unknown]" });
        }
        Ok(())
    }

    /// Calls `line_end` with the offset of each line terminator in a source text, in order, and
    /// gives the text's length: `\n`, `\r\n` (once, at the `\n`), `\r`, U+2028 and U+2029, as V8
    /// counts lines (`IsLineTerminatorSequence`).
    pub fn line_ends(
        &self,
        source: u64,
        chunk: &mut [u8],
        mut line_end: impl FnMut(u32),
    ) -> Result<u32, Decode> {
        let mut at = 0u32;
        let mut after_return = false;
        let mut failed: Option<Fault> = None;
        self.string_runs(source, u32::MAX, |run| {
            let outcome = self.run_line_ends(run, chunk, &mut at, &mut after_return, &mut line_end);
            failed = outcome.err();
            failed.is_none()
        })?;
        if let Some(fault) = failed {
            return Err(fault.into());
        }
        if after_return {
            line_end(at - 1);
        }
        Ok(at)
    }

    fn run_line_ends(
        &self,
        run: Run,
        chunk: &mut [u8],
        at: &mut u32,
        after_return: &mut bool,
        line_end: &mut impl FnMut(u32),
    ) -> Result<(), Fault> {
        let width = if run.one_byte { 1 } else { 2 };
        let most = (chunk.len() / width).max(1);
        let (mut address, mut left) = (run.address, run.length as usize);
        while left > 0 {
            let count = left.min(most);
            let bytes = chunk.get_mut(..count * width).ok_or(Fault { address })?;
            self.memory.read(address, bytes)?;
            let first =
                if run.one_byte { u16::from(bytes[0]) } else { u16::from_le_bytes([bytes[0], bytes[1]]) };
            // A `\r` at the end of the last chunk waited for what follows it.
            if *after_return && first != u16::from(b'\n') {
                line_end(*at - 1);
            }
            *after_return = false;
            if run.one_byte {
                for index in memchr::memchr2_iter(b'\n', b'\r', bytes) {
                    if bytes[index] == b'\n' {
                        line_end(*at + index as u32);
                    } else if index + 1 == count {
                        *after_return = true;
                    } else if bytes[index + 1] != b'\n' {
                        line_end(*at + index as u32);
                    }
                }
            } else {
                let unit = |index: usize| u16::from_le_bytes([bytes[2 * index], bytes[2 * index + 1]]);
                for index in 0..count {
                    match unit(index) {
                        0x0a | 0x2028 | 0x2029 => line_end(*at + index as u32),
                        0x0d if index + 1 == count => *after_return = true,
                        0x0d if unit(index + 1) != 0x0a => line_end(*at + index as u32),
                        _ => {}
                    }
                }
            }
            *at = at.saturating_add(count as u32);
            address = address.wrapping_add((count * width) as u64);
            left -= count;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v8::fixture::{FakeHeap, layout};
    use alloc::vec;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn ends(heap: &FakeHeap, source: u64, chunk: usize) -> (Vec<u32>, u32) {
        let mut ends = Vec::new();
        let length = heap.heap().line_ends(source, &mut vec![0; chunk], |end| ends.push(end)).unwrap();
        (ends, length)
    }

    #[test]
    fn every_line_terminator_ends_a_line_once() {
        let mut heap = FakeHeap::new(layout());
        let source = heap.string("a\nb\r\nc\rd\r\r\n\r");
        assert_eq!(ends(&heap, source, 64), (vec![1, 4, 6, 8, 10, 11], 12));
        let wide = heap.wide_string("a\u{2028}b\r\nc\u{2029}я\r");
        assert_eq!(ends(&heap, wide, 64), (vec![1, 4, 6, 8], 9));
    }

    #[test]
    fn a_script_is_named_by_name_then_url_then_kind() {
        let mut heap = FakeHeap::new(layout());
        let undefined = heap.object(131, &[0; 4]);
        let (path, url) = (heap.string("/srv/app.js"), heap.string("webpack://a"));
        let mut named = |name: u64, url: u64, flags: u64| {
            let tagged = heap.script(name, undefined, 7);
            heap.memory.put_word((tagged & !1) + 112, url);
            heap.memory.put_word((tagged & !1) + 104, flags);
            let script = heap.heap().script(tagged).unwrap().unwrap();
            let mut text = String::new();
            heap.heap().script_name(&script, &mut text).unwrap();
            assert_eq!(script.id, 7);
            text
        };
        assert_eq!(named(path, url, 0), "/srv/app.js");
        assert_eq!(named(undefined, url, 0), "webpack://a");
        assert_eq!(named(undefined, undefined, 1 << 32), "[eval]");
        assert_eq!(named(undefined, undefined, 0), "[unknown]");
    }

    #[test]
    fn a_debug_info_in_the_scripts_place_leads_to_it() {
        let mut heap = FakeHeap::new(layout());
        let path = heap.string("/srv/app.js");
        let script = heap.script(path, 0, 3);
        let debug_info = heap.object(153, &[0, script, 0, 0]);
        assert_eq!(heap.heap().script(debug_info).unwrap().map(|script| script.id), Some(3));
        let none = heap.object(153, &[0, 0, 0, 0]);
        assert_eq!(heap.heap().script(none), Ok(None));
    }

    proptest! {
        #[test]
        fn lines_are_those_of_a_plain_count(text in "[ab\r\n]{0,60}", half in 1usize..20) {
            let mut oracle = Vec::new();
            let bytes = text.as_bytes();
            for (at, byte) in bytes.iter().enumerate() {
                if *byte == b'\n' || (*byte == b'\r' && bytes.get(at + 1) != Some(&b'\n')) {
                    oracle.push(at as u32);
                }
            }
            let mut heap = FakeHeap::new(layout());
            let (narrow, wide) = (heap.string(&text), heap.wide_string(&text));
            prop_assert_eq!(&ends(&heap, narrow, 2 * half).0, &oracle);
            prop_assert_eq!(&ends(&heap, wide, 2 * half).0, &oracle);
        }
    }
}
