//! WebAssembly's code and its functions' names, in V8's own memory.
//!
//! A `NativeModule` keeps its code in a `std::map` from start addresses, and the module's bytes as they came.
//! Where in it they stand differs with the C++ library and the compiler's options, so both are searched for:
//! the map by a root that leads back to the module, the bytes by their magic number.

use super::heap::{Decode, Heap, half, untag, word};
use crate::limits::{NAME_BYTES, WASM_LIST_LOOKS, WASM_MAP_STEPS, WASM_NAME_ENTRIES, WASM_SECTIONS};
use crate::memory::Memory;

/// Words of a `NativeModule` that are searched: the map ends at 0x1e0 where it is latest.
const MODULE_WORDS: usize = 0x400 / 8;

/// Bytes of the largest list of new code.
const LIST_BYTES: u64 = 1 << 20;
/// Bytes of a `WasmCode` that are read.
const CODE_BYTES: usize = 64;

/// Bytes of a node of libstdc++'s map: color, parent, left, right, then key and value.
const NODE_BYTES: usize = 48;

/// Parts of a module's bytes that tell it from others, and bytes of one.
const PARTS: u64 = 4;
const PART_BYTES: u64 = 64;

/// Bytes of a module that are read at once.
const READ_BYTES: usize = 8 << 10;

/// Machine code of a WebAssembly function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WasmCode {
    /// Address of the `WasmCode`.
    pub object: u64,
    /// The `NativeModule` that it is of.
    pub module: u64,
    /// First address of the instructions.
    pub start: u64,
    /// Bytes of them.
    pub size: u32,
    /// Index of the function in its module, imports counted; `None` for code that is of no function.
    pub index: Option<u32>,
}

impl WasmCode {
    /// Whether an address lies in its instructions.
    pub const fn contains(&self, pc: u64) -> bool {
        pc.wrapping_sub(self.start) < self.size as u64
    }
}

/// The bytes of a module as they came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireBytes {
    start: u64,
    end: u64,
    /// A sum over some of them: those of another module may have come to the same place.
    sum: u64,
}

impl<M: Memory> Heap<'_, M> {
    /// The `NativeModule` behind the instance that a frame holds.
    pub fn native_module(&self, instance: u64) -> Result<u64, Decode> {
        /// In a `Managed`: its C++ object; in that, the pointer to a shared pointer.
        const MANAGED: (u16, u64) = (8, 0x18);
        let layout = self.layout.wasm.ok_or(Decode::Bound)?;
        let mut object = instance;
        for field in layout.path.into_iter().filter(|field| *field != 0) {
            object = self.field(untag(object).ok_or(Decode::NotAnObject(object))?, field)?;
        }
        let managed = self.field(untag(object).ok_or(Decode::NotAnObject(object))?, MANAGED.0)?;
        let shared = self.memory.word(managed.wrapping_add(MANAGED.1))?;
        Ok(self.memory.word(shared)?)
    }

    /// The `WasmCode` at an address, if it is one of this module.
    #[inline(never)]
    pub fn wasm_code(&self, object: u64, module: u64) -> Result<WasmCode, Decode> {
        let layout = self.layout.wasm.ok_or(Decode::Bound)?;
        let mut bytes = [0; CODE_BYTES];
        self.memory.read(object, &mut bytes)?;
        if word(&bytes, 0) != module {
            return Err(Decode::NotAnObject(object));
        }
        let index = half(&bytes, layout.index);
        Ok(WasmCode {
            object,
            module,
            start: word(&bytes, 8),
            size: half(&bytes, layout.size),
            index: Some(index).filter(|index| index.cast_signed() >= 0),
        })
    }

    /// The code of a module that holds an address, and whether it stood in the module's map.
    ///
    /// `place`: which word of a module is its map's root, which is the same one in all; `None` until it was found.
    pub fn find_wasm_code(
        &self,
        module: u64,
        pc: u64,
        place: &mut Option<usize>,
    ) -> Result<(WasmCode, bool), Decode> {
        let words = self.module_words(module);
        if place.is_none() {
            *place = self.code_map(module, &words);
        }
        let root = place.and_then(|place| words.get(place)).filter(|root| is_pointer(**root));
        let in_map = root.and_then(|root| self.code_in_map(*root, module, pc));
        let in_list = || self.code_in_list(&words, module, pc).map(|code| (code, false));
        in_map.map(|code| (code, true)).or_else(in_list).ok_or(Decode::Bound)
    }

    #[inline(never)]
    fn module_words(&self, module: u64) -> [u64; MODULE_WORDS] {
        let mut bytes = [0; MODULE_WORDS * 8];
        // What lies beyond may not be readable; it stays 0, which is no pointer.
        let len = self.memory.read_prefix(module, &mut bytes);
        bytes[len..].fill(0);
        let mut words = [0; MODULE_WORDS];
        let values = bytes.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes));
        words.iter_mut().zip(values).for_each(|(word, value)| *word = value);
        words
    }

    #[inline(never)]
    fn map_node(&self, node: u64) -> Option<[u8; NODE_BYTES]> {
        let mut bytes = [0; NODE_BYTES];
        self.memory.read(node, &mut bytes).ok()?;
        Some(bytes)
    }

    /// Which word is the root of the map of a module's code: a node whose parent is in the module, and whose value
    /// is code of the module that starts where the key says.
    fn code_map(&self, module: u64, words: &[u64; MODULE_WORDS]) -> Option<usize> {
        // The header of the map: a color, the root, the first and the last node.
        let is_root = |at: usize, root: u64| {
            let node = self.map_node(root)?;
            let code = self.wasm_code(word(&node, 40), module).ok()?;
            let header = module.wrapping_add((at as u64).wrapping_sub(1).wrapping_mul(8));
            (word(&node, 8) == header && word(&node, 32) == code.start).then_some(())
        };
        let mut roots = words.iter().enumerate().skip(1).filter(|(_, word)| is_pointer(**word));
        roots.find(|(at, root)| is_root(*at, **root).is_some()).map(|(at, _)| at)
    }

    fn code_in_map(&self, root: u64, module: u64, pc: u64) -> Option<WasmCode> {
        let mut node = root;
        let mut below = None;
        for _ in 0..WASM_MAP_STEPS {
            if node == 0 {
                break;
            }
            let bytes = self.map_node(node)?;
            if word(&bytes, 32) > pc {
                node = word(&bytes, 16);
            } else {
                below = Some(word(&bytes, 40));
                node = word(&bytes, 24);
            }
        }
        self.wasm_code(below?, module).ok().filter(|code| code.contains(pc))
    }

    /// Code that was compiled since V8 itself looked for code last: it stands in a vector, from which that
    /// takes it into the map.
    fn code_in_list(&self, words: &[u64; MODULE_WORDS], module: u64, pc: u64) -> Option<WasmCode> {
        let vectors = words.windows(3).filter_map(|window| match *window {
            [start, end, room] if is_pointer(start) && start < end && end <= room => {
                (room - start <= LIST_BYTES && end.is_multiple_of(8)).then_some((start, end))
            }
            _ => None,
        });
        let code = |at: u64| self.wasm_code(self.memory.word(at).ok()?, module).ok();
        let lists = vectors.filter(|(start, _)| code(*start).is_some());
        // The newest are last.
        let mut places = lists.flat_map(|(start, end)| {
            (1..=(end - start) / 8).take(WASM_LIST_LOOKS).map(move |back| end - back * 8)
        });
        places.find_map(|at| code(at).filter(|code| code.contains(pc)))
    }

    /// The bytes that a module was made of; none, at its own address, where they are not found. `place`: which word of
    /// a module leads to them, as in [`find_wasm_code`](Self::find_wasm_code).
    #[inline(never)]
    pub fn wire_bytes(&self, module: u64, place: &mut Option<usize>) -> WireBytes {
        const MAGIC: u64 = u64::from_le_bytes(*b"\0asm\x01\0\0\0");
        let word = |address: u64| self.memory.word(address).ok();
        let of = |at: usize| {
            let vector = word(module.wrapping_add(at as u64 * 8)).filter(|word| is_pointer(*word))?;
            let (start, size) = (word(vector)?, word(vector.wrapping_add(8))?);
            let end = start.checked_add(size).filter(|_| (8..1 << 31).contains(&size))?;
            let sum = if word(start)? == MAGIC { self.sum_of_parts(start, size)? } else { return None };
            Some((at, WireBytes { start: start + 8, end, sum }))
        };
        let Some((at, bytes)) = place.iter().copied().chain(0..MODULE_WORDS).find_map(of) else {
            return WireBytes { start: module, end: module, sum: 0 };
        };
        *place = Some(at);
        bytes
    }

    /// A sum over the first and the last bytes and some between: over all, of a small module.
    fn sum_of_parts(&self, start: u64, size: u64) -> Option<u64> {
        let mut part = [0; PART_BYTES as usize];
        let mut sum = 0u64;
        for number in 0..PARTS {
            let at = size.saturating_sub(PART_BYTES) * number / (PARTS - 1);
            self.memory.read(start + at, part.get_mut(..size.min(PART_BYTES) as usize)?).ok()?;
            for word in part.as_chunks().0 {
                sum = (sum.rotate_left(5) ^ u64::from_le_bytes(*word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            }
        }
        Some(sum)
    }

    /// The names that a module's name section has for its functions; `None` if it has none.
    pub fn wasm_names(&self, bytes: WireBytes) -> Option<WasmNames> {
        const FUNCTION_NAMES: u8 = 1;
        let mut reader = Reader::new(self.memory, bytes.start, bytes.end);
        reader.end = (0..WASM_SECTIONS).find_map(|_| reader.section_is_names())??;
        for _ in 0..WASM_SECTIONS {
            let (id, size) = (reader.byte()?, reader.number()?);
            if id == FUNCTION_NAMES {
                let left = reader.number()?.min(WASM_NAME_ENTRIES);
                return Some(WasmNames { at: reader.at, end: reader.end, left });
            }
            reader.skip(size)?;
        }
        None
    }

    /// Passes over the next names, which come in the order of their functions' indices, until some `bytes` are behind
    /// it. `wants` says of an index whose name it is, if that is of interest, and `take` gets it then, at most
    /// [`NAME_BYTES`]. Whether there are more up to index `last`.
    pub fn next_wasm_names<T>(
        &self,
        names: &mut WasmNames,
        bytes: u64,
        last: u32,
        mut wants: impl FnMut(u32) -> Option<T>,
        mut take: impl FnMut(T, &[u8]),
    ) -> bool {
        let mut reader = Reader::new(self.memory, names.at, names.end);
        let until = names.at.saturating_add(bytes);
        let mut next = || {
            let (index, len) = (reader.number()?, reader.number()?);
            if index > last {
                return None;
            }
            if let Some(whose) = wants(index) {
                let mut name = [0; NAME_BYTES];
                let name = name.get_mut(..(len as usize).min(NAME_BYTES))?;
                name.iter_mut().try_for_each(|byte| reader.byte().map(|next| *byte = next))?;
                take(whose, name);
                reader.skip(len - name.len() as u32)?;
            } else {
                reader.skip(len)?;
            }
            Some(reader.at)
        };
        while names.left > 0 && names.at < until {
            match next() {
                Some(at) => (names.at, names.left) = (at, names.left - 1),
                None => names.left = 0,
            }
        }
        names.left > 0
    }
}

/// How far a pass over a module's names is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WasmNames {
    /// Address of the next entry.
    at: u64,
    end: u64,
    /// Entries to come.
    left: u32,
}

const fn is_pointer(word: u64) -> bool {
    word > 0xffff && word.is_multiple_of(8)
}

/// Reads a module's bytes from front to back, a part at a time.
struct Reader<'m, M> {
    memory: &'m M,
    buffer: [u8; READ_BYTES],
    /// Address of the buffer's first byte, and how many it holds.
    base: u64,
    len: usize,
    at: u64,
    end: u64,
}

impl<'m, M: Memory> Reader<'m, M> {
    fn new(memory: &'m M, at: u64, end: u64) -> Self {
        Reader { memory, buffer: [0; READ_BYTES], base: at, len: 0, at, end }
    }

    #[inline(never)]
    fn byte(&mut self) -> Option<u8> {
        if self.at >= self.end {
            return None;
        }
        let offset = self.at.wrapping_sub(self.base);
        if offset >= self.len as u64 {
            let wanted = (self.end - self.at).min(self.buffer.len() as u64) as usize;
            self.base = self.at;
            self.len = self.memory.read_prefix(self.at, self.buffer.get_mut(..wanted)?);
        }
        let byte = self.buffer.get((self.at - self.base) as usize).filter(|_| self.len > 0).copied();
        self.at += 1;
        byte
    }

    /// An unsigned LEB128 number of 32 bits.
    #[inline(never)]
    fn number(&mut self) -> Option<u32> {
        let mut value = 0;
        for shift in (0..35).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(value).ok();
            }
        }
        None
    }

    fn skip(&mut self, bytes: u32) -> Option<()> {
        self.at = self.at.checked_add(bytes.into()).filter(|at| *at <= self.end)?;
        Some(())
    }

    /// Passes a section. `Some(Some(end))`: it is that of names, and the reader stands at its content;
    /// `Some(None)`: there are no more.
    fn section_is_names(&mut self) -> Option<Option<u64>> {
        const CUSTOM: u8 = 0;
        let head = (self.byte(), self.number());
        let (Some(id), Some(size)) = head else { return Some(None) };
        let Some(end) = self.at.checked_add(size.into()).filter(|end| *end <= self.end) else {
            return Some(None);
        };
        let is_names = id == CUSTOM && self.number() == Some(4) && {
            let name = [self.byte(), self.byte(), self.byte(), self.byte()];
            name == [Some(b'n'), Some(b'a'), Some(b'm'), Some(b'e')]
        };
        if is_names {
            return Some(Some(end));
        }
        self.at = end;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Recorded;
    use crate::v8::fixture::layout;
    use crate::v8::layout::WasmLayout;
    use alloc::string::String;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    const MODULE: u64 = 0x10_0000;
    const BYTES: u64 = 0x20_0000;
    const WASM: WasmLayout = WasmLayout { path: [0x18, 0, 0], size: 24, index: 44 };

    fn heap_of<'m>(memory: &'m Recorded, layout: &'m crate::v8::Layout) -> Heap<'m, Recorded> {
        Heap { memory, layout }
    }

    /// A module whose map of code has a node for each of these starts, the second one its root.
    fn module(memory: &mut Recorded, starts: [u64; 3]) {
        let node = |number: usize| 0x30_0000 + number as u64 * 0x100;
        let code = |number: usize| 0x40_0000 + number as u64 * 0x100;
        memory.put(MODULE, &[0; MODULE_WORDS * 8]);
        memory.put_word(MODULE + 0x140, node(1));
        for (number, start) in starts.into_iter().enumerate() {
            let (parent, left, right) = match number {
                1 => (MODULE + 0x138, node(0), node(2)),
                _ => (node(1), 0, 0),
            };
            for (at, word) in (0..).zip([1, parent, left, right, start, code(number)]) {
                memory.put_word(node(number) + at * 8, word);
            }
            memory.put(code(number), &[0; CODE_BYTES]);
            memory.put_word(code(number), MODULE);
            memory.put_word(code(number) + 8, start);
            memory.put_word(code(number) + 24, 0x80);
            memory.put(code(number) + 44, &(number as u32).to_le_bytes());
        }
    }

    #[test]
    fn code_is_found_by_any_of_its_addresses_and_nowhere_else() {
        let mut memory = Recorded::new();
        module(&mut memory, [0x1000, 0x2000, 0x3000]);
        let layout = crate::v8::Layout { wasm: Some(WASM), ..layout() };
        let heap = heap_of(&memory, &layout);
        let mut place = None;
        for (pc, index) in
            [(0x1000, Some(0)), (0x207f, Some(1)), (0x3001, Some(2)), (0x2080, None), (0xfff, None)]
        {
            assert_eq!(
                heap.find_wasm_code(MODULE, pc, &mut place).ok().and_then(|found| found.0.index),
                index,
                "{pc:#x}"
            );
        }
        assert_eq!(place, Some(0x140 / 8));
        memory.put_word(0x40_0100, MODULE + 8);
        let found = heap_of(&memory, &layout).find_wasm_code(MODULE, 0x2000, &mut place);
        assert!(found.is_err(), "code of another module");
    }

    #[test]
    fn code_that_is_not_in_the_map_yet_is_found_in_the_list() {
        let mut memory = Recorded::new();
        module(&mut memory, [0x1000, 0x2000, 0x3000]);
        memory.put(0x50_0000, &[0; CODE_BYTES]);
        for (at, word) in
            [(0x50_0000, MODULE), (0x50_0008, 0x4000), (0x50_0018, 0x40), (0x60_0000, 0x50_0000)]
        {
            memory.put_word(at, word);
        }
        for (at, word) in (0..).zip([0x60_0000, 0x60_0008, 0x60_0010]) {
            memory.put_word(MODULE + 0x180 + at * 8, word);
        }
        let layout = crate::v8::Layout { wasm: Some(WASM), ..layout() };
        let found =
            |pc| heap_of(&memory, &layout).find_wasm_code(MODULE, pc, &mut None).map(|found| found.0.object);
        assert_eq!(found(0x4010), Ok(0x50_0000));
        assert!(found(0x4040).is_err());
    }

    /// The names of these functions, found in parts of so many bytes.
    fn names(sections: &[&[u8]], wanted: &[u32], part: u64) -> Vec<(u32, String)> {
        let mut memory = Recorded::new();
        let bytes: Vec<u8> = [b"\0asm\x01\0\0\0", &sections.concat()[..]].concat();
        memory.put(MODULE, &[0; MODULE_WORDS * 8]);
        memory.put_word(MODULE + 0x80, MODULE + 0x200);
        memory.put_word(MODULE + 0x200, BYTES);
        memory.put_word(MODULE + 0x208, bytes.len() as u64);
        memory.put(BYTES, &bytes);
        let layout = crate::v8::Layout { wasm: Some(WASM), ..layout() };
        let heap = heap_of(&memory, &layout);
        let mut found = Vec::new();
        let Some(mut names) = heap.wasm_names(heap.wire_bytes(MODULE, &mut None)) else { return found };
        let last = wanted.iter().copied().max().unwrap_or(0);
        let mut take = |index, name: &[u8]| found.push((index, String::from_utf8_lossy(name).into()));
        let wants = |index| wanted.contains(&index).then_some(index);
        while heap.next_wasm_names(&mut names, part, last, wants, &mut take) {}
        found
    }

    #[test]
    fn functions_have_the_names_of_the_name_section() {
        let other = b"\x01\x02\x60\x00";
        let names_section = b"\x00\x15\x04name\x00\x02\x01m\x01\x0a\x02\x01\x03one\x04\x02\xc3\xa9";
        let (one, four) = ((1, String::from("one")), (4, String::from("é")));
        for part in [1, 6, 1000] {
            assert_eq!(names(&[other, names_section], &[0, 1, 3, 4, 9], part), [one.clone(), four.clone()]);
            assert_eq!(names(&[other, names_section], &[4], part), core::slice::from_ref(&four));
            assert_eq!(names(&[other], &[1], part), []);
            assert_eq!(names(&[names_section.split_last().unwrap().1], &[1, 4], part), [], "cut");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_as_names_or_not(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = names(&[b"\0\xff\x01\x04name", &bytes], &[1], 64);
            let _ = names(&[&bytes], &[1], 64);
        }
    }
}
