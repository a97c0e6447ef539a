//! WebAssembly functions met so far, and the code that they run.

use super::raw::{RawFrame, WasmId};
use crate::arch::Arch;
use crate::limits::{WASM_CODES, WASM_FUNCTIONS, WASM_LOOKS, WASM_NAME_BYTES};
use crate::memory::Memory;
use crate::profile::{Strings, Text};
use crate::v8::Heap;
use crate::v8::wasm::{WasmCode, WasmNames, WireBytes};
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

/// What it takes to look for code in vain, or in the list of what is not in the map yet, in look-ups of the map.
const LIST_LOOK: u32 = 16;

/// Bytes that hold a jump.
const JUMP_BYTES: usize = 8;

/// A function of a module.
#[derive(Clone, Copy, Debug)]
pub struct WasmFunction {
    module: u64,
    /// What its module was made of: another may come to a freed one's address.
    bytes: WireBytes,
    /// Its index in the module, imports counted.
    pub index: u32,
    /// Its name, once that was looked for and found.
    pub name: Text,
    is_looked_for: bool,
}

/// Code that was met.
#[derive(Clone, Copy, Debug)]
struct Known {
    code: WasmCode,
    function: Option<WasmId>,
    /// The stop in which it was compared with the target.
    checked: u32,
}

/// A pass over the names of a module.
#[derive(Debug)]
struct Pass {
    names: WasmNames,
    /// How many of those that are looked for are behind it.
    done: usize,
}

/// Functions and code of WebAssembly.
#[derive(Debug)]
pub struct WasmTable {
    /// Sorted by the instructions' start.
    codes: Vec<Known>,
    functions: Vec<WasmFunction>,
    /// Before these all functions' names were looked for.
    named: usize,
    /// The pass that is under way, and what it looks for: indices in the module, ascending, and functions.
    pass: Option<Pass>,
    wanted: Vec<(u32, WasmId)>,
    /// Which word of a module its map of code begins at, once that is known.
    map_place: Option<usize>,
    /// The same for the module's bytes.
    bytes_place: Option<usize>,
    stop: u32,
    /// What may be looked for in this stop.
    looks: u32,
    refused: u64,
    unseen: u64,
}

impl Default for WasmTable {
    fn default() -> Self {
        WasmTable {
            codes: Vec::with_capacity(WASM_CODES),
            functions: Vec::with_capacity(WASM_FUNCTIONS),
            named: 0,
            pass: None,
            wanted: Vec::with_capacity(WASM_FUNCTIONS),
            map_place: None,
            bytes_place: None,
            stop: 0,
            looks: 0,
            refused: 0,
            unseen: 0,
        }
    }
}

impl WasmTable {
    /// Begins a stop: code that was freed since may have made room for other code.
    pub fn begin(&mut self) {
        self.stop = self.stop.wrapping_add(1);
        self.looks = WASM_LOOKS;
    }

    /// Whether code of WebAssembly lay at `pc` when it was looked at last.
    pub fn is_known(&self, pc: u64) -> bool {
        self.at(pc).is_some()
    }

    /// Whether some lay in a range of addresses.
    pub fn is_in(&self, range: &Range<u64>) -> bool {
        let at = self.codes.partition_point(|known| known.code.start < range.start);
        self.codes.get(at).is_some_and(|known| known.code.start < range.end)
    }

    fn at(&self, pc: u64) -> Option<usize> {
        let at = self.codes.partition_point(|known| known.code.start <= pc).checked_sub(1)?;
        self.codes.get(at).is_some_and(|known| known.code.contains(pc)).then_some(at)
    }

    /// The function that runs at `pc`, in a frame that holds `instance` (0 where it is not known).
    pub fn find<M: Memory>(
        &mut self,
        heap: &Heap<'_, M>,
        arch: Arch,
        pc: u64,
        instance: u64,
    ) -> Option<WasmId> {
        let known = self.code(heap, pc, instance)?;
        if known.code.index.is_some() {
            return known.function;
        }
        // A call goes through a table of jumps, each to a function.
        let mut jump = [0; JUMP_BYTES];
        let read = heap.memory.read_prefix(pc, &mut jump);
        let to = arch.jump(jump.get(..read)?, 0)?;
        self.code(heap, pc.wrapping_add_signed(to), instance)?.function
    }

    /// The code that holds `pc`.
    fn code<M: Memory>(&mut self, heap: &Heap<'_, M>, pc: u64, instance: u64) -> Option<Known> {
        let mut module = None;
        if let Some(at) = self.at(pc)
            && let Some(known) = self.codes.get_mut(at)
        {
            if known.checked == self.stop
                || heap.wasm_code(known.code.object, known.code.module) == Ok(known.code)
            {
                known.checked = self.stop;
                return Some(*known);
            }
            module = Some(known.code.module);
            self.codes.remove(at);
        }
        if self.looks == 0 {
            self.unseen += 1;
            return None;
        }
        let module = heap.native_module(instance).ok().or(module)?;
        let found = heap.find_wasm_code(module, pc, &mut self.map_place);
        let cost = if found.is_ok_and(|(_, is_mapped)| is_mapped) { 1 } else { LIST_LOOK };
        self.looks = self.looks.saturating_sub(cost);
        let (code, _) = found.ok()?;
        let end = code.start.saturating_add(code.size.into());
        self.codes.retain(|old| old.code.start >= end || !old.code.contains(code.start));
        if self.codes.len() == WASM_CODES {
            self.codes.clear();
        }
        let bytes = heap.wire_bytes(code.module, &mut self.bytes_place);
        let known = Known { code, function: self.function(code, bytes), checked: self.stop };
        let at = self.codes.partition_point(|old| old.code.start <= code.start);
        self.codes.insert(at, known);
        Some(known)
    }

    fn function(&mut self, code: WasmCode, bytes: WireBytes) -> Option<WasmId> {
        let index = code.index?;
        let is_it = |function: &WasmFunction| {
            (function.module, function.bytes, function.index) == (code.module, bytes, index)
        };
        let known = self.functions.iter().position(is_it);
        let number = known.or_else(|| {
            if self.functions.len() == WASM_FUNCTIONS {
                self.refused += 1;
                return None;
            }
            let (module, name) = (code.module, Text::EMPTY);
            self.functions.push(WasmFunction { module, bytes, index, name, is_looked_for: false });
            Some(self.functions.len() - 1)
        })?;
        Some(WasmId(number as u32))
    }

    /// Compares the modules of a stop's functions with the target, once the thread runs: what a module was made of
    /// before the stop and is after it was so in between. Frames of others lose their function; whether there were any.
    pub fn verify<M: Memory>(&mut self, heap: &Heap<'_, M>, frames: &mut [RawFrame]) -> bool {
        let (mut last, mut are_others) = (None, false);
        for frame in frames {
            let RawFrame::Wasm(Some(id)) = *frame else { continue };
            let Some(WasmFunction { module, bytes, .. }) = self.get(id).copied() else { continue };
            if last.is_none_or(|(known, _)| known != module) {
                last = Some((module, heap.wire_bytes(module, &mut self.bytes_place)));
            }
            if last != Some((module, bytes)) {
                self.codes.retain(|known| known.code.module != module);
                *frame = RawFrame::Wasm(None);
                are_others = true;
            }
        }
        are_others
    }

    /// Goes on looking for the names of functions that are new, in one pass for all of a module's: so much of it that
    /// nobody waits long.
    pub fn read_names<M: Memory>(&mut self, heap: &Heap<'_, M>, strings: &mut Strings) {
        while self.pass.is_some() || self.functions.len() > self.named {
            if self.pass.is_none() {
                self.begin_pass(heap);
            }
            let (Some(pass), functions) = (&mut self.pass, &mut self.functions) else { continue };
            let wanted = self.wanted.get(pass.done..).unwrap_or_default();
            let last = wanted.last().map_or(0, |wanted| wanted.0);
            let mut wanted = wanted.iter().peekable();
            let number = |index: u32| {
                while wanted.next_if(|(missing, _)| *missing < index).is_some() {
                    pass.done += 1;
                }
                wanted.peek().filter(|(wanted, _)| *wanted == index).map(|(_, id)| *id)
            };
            let take = |id: WasmId, name: &[u8]| {
                if let Some(function) = functions.get_mut(id.0 as usize) {
                    let name = String::from_utf8_lossy(name);
                    function.name = strings.intern(&name).unwrap_or(Text::EMPTY);
                }
            };
            let goes_on = heap.next_wasm_names(&mut pass.names, WASM_NAME_BYTES, last, number, take);
            if goes_on {
                return;
            }
            self.pass = None;
        }
    }

    /// Begins the pass for the first function whose name was not looked for, and for all that are new of its module.
    fn begin_pass<M: Memory>(&mut self, heap: &Heap<'_, M>) {
        self.wanted.clear();
        let bytes = self.functions.get(self.named).map(|function| function.bytes);
        for (number, function) in (0..).zip(&mut self.functions).skip(self.named) {
            if Some(function.bytes) == bytes && !function.is_looked_for {
                function.is_looked_for = true;
                self.wanted.push((function.index, WasmId(number)));
            }
        }
        self.wanted.sort_unstable_by_key(|wanted| wanted.0);
        self.named += self.functions.iter().skip(self.named).take_while(|f| f.is_looked_for).count();
        let names = bytes.and_then(|bytes| heap.wasm_names(bytes));
        self.pass = names.map(|names| Pass { names, done: 0 });
    }

    /// A function by number.
    pub fn get(&self, id: WasmId) -> Option<&WasmFunction> {
        self.functions.get(id.0 as usize)
    }

    /// Functions for which there was no room.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Frames whose code was not looked for, since too much of a stop was new.
    pub fn unseen(&self) -> u64 {
        self.unseen
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Recorded;
    use crate::v8::Layout;
    use crate::v8::fixture::layout;
    use crate::v8::layout::WasmLayout;
    use alloc::format;

    /// A number as WebAssembly has it.
    fn leb(mut value: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while value > 0x7f {
            bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        bytes.push(value as u8);
        bytes
    }

    fn section(id: u8, content: &[u8]) -> Vec<u8> {
        [&[id][..], &leb(content.len()), content].concat()
    }

    /// A module in memory with names for so many functions.
    fn put_module(memory: &mut Recorded, module: u64, functions: usize) {
        let mut names = leb(functions);
        for index in 0..functions {
            let name = format!("function_{index}_of_{module:x}");
            names.extend([leb(index), leb(name.len()), name.into()].concat());
        }
        let names = section(0, &[&b"\x04name"[..], &section(1, &names)].concat());
        let bytes = [b"\0asm\x01\0\0\0", &names[..]].concat();
        memory.put(module, &[0; 0x400]);
        memory.put_word(module + 0x80, module + 0x800);
        memory.put_word(module + 0x800, module + 0x1000);
        memory.put_word(module + 0x808, bytes.len() as u64);
        memory.put(module + 0x1000, &bytes);
    }

    fn meet(table: &mut WasmTable, heap: &Heap<'_, Recorded>, module: u64, index: u32) -> WasmId {
        let code = WasmCode { object: 0, module, start: 0, size: 0, index: Some(index) };
        let bytes = heap.wire_bytes(module, &mut table.bytes_place);
        table.function(code, bytes).unwrap()
    }

    #[test]
    fn a_large_module_is_passed_once_for_all_names_a_part_at_a_time() {
        let mut memory = Recorded::new();
        let (large, small) = (0x100_0000, 0x200_0000);
        put_module(&mut memory, large, 20_000);
        put_module(&mut memory, small, 3);
        let layout = layout();
        let heap = Heap { memory: &memory, layout: &layout };
        let (mut table, mut strings) = (WasmTable::default(), Strings::default());
        let met: Vec<_> = [(large, 19_999), (small, 2), (large, 0), (large, 10_000), (large, 30_000)]
            .map(|(module, index)| (meet(&mut table, &heap, module, index), module, index))
            .into();
        let mut calls = 0;
        while table.named < table.functions.len() || table.pass.is_some() {
            table.read_names(&heap, &mut strings);
            calls += 1;
            if calls == 1 {
                // What comes meanwhile waits for the next pass.
                meet(&mut table, &heap, large, 1);
            }
        }
        assert!((4..20).contains(&calls), "{calls}");
        for (id, module, index) in met {
            let name = strings.get(table.get(id).unwrap().name);
            let right =
                if index < 30_000 { format!("function_{index}_of_{module:x}") } else { String::new() };
            assert_eq!(name, right);
        }
        assert_eq!(strings.get(table.functions.last().unwrap().name), format!("function_1_of_{large:x}"));
    }

    #[test]
    fn a_module_at_a_freed_ones_address_has_functions_of_its_own() {
        const INSTANCE: u64 = 0x500_0000;
        const START: u64 = 0x700_0000;
        let (module, next) = (0x100_0000, 0x200_0000);
        let mut memory = Recorded::new();
        put_module(&mut memory, module, 3);
        put_module(&mut memory, next, 3);
        // The way from the instance to the module, and the module's list of one function's code.
        for (at, word) in [
            (INSTANCE + 0x18, INSTANCE + 0x101),
            (INSTANCE + 0x108, INSTANCE + 0x200),
            (INSTANCE + 0x218, INSTANCE + 0x300),
            (INSTANCE + 0x300, module),
            (INSTANCE + 0x400, INSTANCE + 0x500),
            (module + 0x180, INSTANCE + 0x400),
            (module + 0x188, INSTANCE + 0x408),
            (module + 0x190, INSTANCE + 0x408),
        ] {
            memory.put_word(at, word);
        }
        memory.put(INSTANCE + 0x500, &[0; 64]);
        for (at, word) in [(0, module), (8, START), (24, 0x80), (40, 1 << 32)] {
            memory.put_word(INSTANCE + 0x500 + at, word);
        }
        let layout =
            Layout { wasm: Some(WasmLayout { path: [0x18, 0, 0], size: 24, index: 44 }), ..layout() };
        let (mut table, mut strings) = (WasmTable::default(), Strings::default());
        let mut name = |memory: &Recorded| {
            let heap = Heap { memory, layout: &layout };
            table.begin();
            let mut frames = [RawFrame::Wasm(table.find(&heap, Arch::X86_64, START + 5, INSTANCE | 1))];
            table.verify(&heap, &mut frames);
            table.read_names(&heap, &mut strings);
            let [RawFrame::Wasm(Some(id))] = frames else { return String::new() };
            String::from(strings.get(table.get(id).unwrap().name))
        };
        let first = format!("function_1_of_{module:x}");
        assert_eq!([name(&memory), name(&memory)], [first.clone(), first]);
        // All is where it was but the bytes.
        memory.put_word(module + 0x80, next + 0x800);
        assert_eq!([name(&memory), name(&memory)], [String::new(), format!("function_1_of_{next:x}")]);
    }
}
