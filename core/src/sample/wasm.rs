//! WebAssembly functions met so far, and the code that they run.

use super::raw::WasmId;
use crate::limits::{WASM_CODES, WASM_FUNCTIONS};
use crate::memory::Memory;
use crate::profile::{Strings, Text};
use crate::v8::Heap;
use crate::v8::wasm::{WasmCode, WireBytes};
use alloc::string::String;
use alloc::vec::Vec;

/// A function of a module.
#[derive(Clone, Copy, Debug)]
pub struct WasmFunction {
    module: u64,
    /// Its index in the module, imports counted.
    pub index: u32,
    /// Its name, once that was looked for and found.
    pub name: Text,
}

/// Functions and code of WebAssembly.
#[derive(Debug)]
pub struct WasmTable {
    /// Sorted by the instructions' start; with the stop in which each was compared with the target.
    codes: Vec<(WasmCode, u32)>,
    functions: Vec<WasmFunction>,
    /// Functions whose names were looked for.
    named: usize,
    /// The last module that was asked for a name, and its bytes.
    module: Option<(u64, WireBytes)>,
    stop: u32,
    refused: u64,
}

impl Default for WasmTable {
    fn default() -> Self {
        WasmTable {
            codes: Vec::with_capacity(WASM_CODES),
            functions: Vec::with_capacity(WASM_FUNCTIONS),
            named: 0,
            module: None,
            stop: 0,
            refused: 0,
        }
    }
}

impl WasmTable {
    /// Begins a stop: code that was freed since may have made room for other code.
    pub fn begin(&mut self) {
        self.stop = self.stop.wrapping_add(1);
    }

    /// Whether code of WebAssembly lay at `pc` when it was looked at last.
    pub fn is_known(&self, pc: u64) -> bool {
        let after = self.codes.partition_point(|(code, _)| code.start <= pc);
        after.checked_sub(1).and_then(|at| self.codes.get(at)).is_some_and(|(code, _)| code.contains(pc))
    }

    /// The function that runs at `pc`, in a frame that holds `instance` (0 where it is not known).
    pub fn find<M: Memory>(&mut self, heap: &Heap<'_, M>, pc: u64, instance: u64) -> Option<WasmId> {
        let after = self.codes.partition_point(|(code, _)| code.start <= pc);
        if let Some(at) = after.checked_sub(1)
            && let Some((code, checked)) = self.codes.get_mut(at)
            && code.contains(pc)
        {
            if *checked == self.stop || heap.wasm_code(code.object, code.module) == Ok(*code) {
                *checked = self.stop;
                let code = *code;
                return self.function(code);
            }
            self.codes.remove(at);
        }
        let code = heap.find_wasm_code(heap.native_module(instance).ok()?, pc).ok()?;
        self.codes
            .retain(|(old, _)| old.start >= code.start + u64::from(code.size) || !old.contains(code.start));
        if self.codes.len() == WASM_CODES {
            self.codes.clear();
        }
        let at = self.codes.partition_point(|(old, _)| old.start <= code.start);
        self.codes.insert(at, (code, self.stop));
        self.function(code)
    }

    fn function(&mut self, code: WasmCode) -> Option<WasmId> {
        let index = code.index?;
        let is_it = |function: &WasmFunction| function.module == code.module && function.index == index;
        let known = self.functions.iter().position(is_it);
        let number = known.or_else(|| {
            if self.functions.len() == WASM_FUNCTIONS {
                self.refused += 1;
                return None;
            }
            self.functions.push(WasmFunction { module: code.module, index, name: Text::EMPTY });
            Some(self.functions.len() - 1)
        })?;
        Some(WasmId(number as u32))
    }

    /// Looks for the names of the functions that are new.
    pub fn read_names<M: Memory>(&mut self, heap: &Heap<'_, M>, strings: &mut Strings) {
        while let Some(function) = self.functions.get_mut(self.named) {
            self.named += 1;
            if self.module.is_none_or(|(module, _)| module != function.module) {
                let bytes = heap.wire_bytes(function.module).ok();
                self.module = bytes.map(|bytes| (function.module, bytes));
            }
            let mut name = String::new();
            if let Some((_, bytes)) = self.module
                && heap.wasm_function_name(bytes, function.index, &mut name).is_some()
            {
                function.name = strings.intern(&name).unwrap_or(Text::EMPTY);
            }
        }
    }

    /// A function by number.
    pub fn get(&self, id: WasmId) -> Option<&WasmFunction> {
        self.functions.get(id.0 as usize)
    }

    /// Functions for which there was no room.
    pub fn refused(&self) -> u64 {
        self.refused
    }
}
