//! A made-up V8 heap for tests.

#[cfg(test)]
use super::heap::Heap;
use super::layout::{Constants, Layout};
use super::version::Version;
use crate::memory::Recorded;
use alloc::vec::Vec;

/// Types of the made-up V8, by their symbol.
const TYPES: &[(&str, i32)] = &[
    ("type_Map__MAP_TYPE", 255),
    ("type_JSFunction__JS_FUNCTION_TYPE", 2066),
    ("type_SharedFunctionInfo__SHARED_FUNCTION_INFO_TYPE", 262),
    ("type_Script__SCRIPT_TYPE", 167),
    ("type_Code__CODE_TYPE", 245),
    ("type_InstructionStream__INSTRUCTION_STREAM_TYPE", 252),
    ("type_ScopeInfo__SCOPE_INFO_TYPE", 261),
    ("type_BytecodeArray__BYTECODE_ARRAY_TYPE", 191),
    ("type_FixedArray__FIXED_ARRAY_TYPE", 175),
    ("FirstNonstringType", 128),
    ("frametype_EntryFrame", 1),
    ("frametype_ExitFrame", 3),
    ("frametype_StubFrame", 17),
    ("frametype_StackSwitchFrame", 19),
    ("frametype_InternalFrame", 22),
    ("CodeKindBaseline", 11),
];

/// The layout of V8 11.3 (Node 20).
#[cfg(test)]
pub(crate) fn layout() -> Layout {
    layout_of(11, 3)
}

/// The layout of a version, with the types above.
pub(crate) fn layout_of(major: u16, minor: u16) -> Layout {
    layout_with(Version { major, minor, ..Version::default() }, &|_, value| value).unwrap()
}

/// The layout of a version where `lie` changes what symbols say: it is given a name and the true value.
pub(crate) fn layout_with(
    version: Version,
    lie: &dyn Fn(&str, Option<i32>) -> Option<i32>,
) -> Option<Layout> {
    let truth = |name: &str| TYPES.iter().find(|row| row.0 == name).map(|row| row.1);
    let constants: &dyn Constants = &|name: &str| lie(name, truth(name));
    Layout::of(version, constants).ok()
}

/// Objects at rising addresses.
pub(crate) struct FakeHeap {
    pub(crate) layout: Layout,
    pub(crate) memory: Recorded,
    next: u64,
    maps: Vec<(u16, u64)>,
}

impl FakeHeap {
    pub(crate) fn new(layout: Layout) -> Self {
        FakeHeap { layout, memory: Recorded::new(), next: 0x10_0000, maps: Vec::new() }
    }

    #[cfg(test)]
    pub(crate) fn heap(&self) -> Heap<'_, Recorded> {
        Heap { memory: &self.memory, layout: &self.layout }
    }

    /// Each type with its tagged map.
    pub(crate) fn maps(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        self.maps.iter().copied()
    }

    /// Room for an object; gives its untagged address.
    pub(crate) fn room(&mut self, size: u64) -> u64 {
        let at = self.next;
        self.next += size.next_multiple_of(32) + 32;
        at
    }

    /// The tagged map of a type.
    pub(crate) fn map(&mut self, kind: u16) -> u64 {
        if let Some(known) = self.maps.iter().find(|known| known.0 == kind) {
            return known.1;
        }
        let at = self.room(64);
        self.maps.push((kind, at | 1));
        let meta = if kind == self.layout.types.map { at | 1 } else { self.map(self.layout.types.map) };
        self.memory.put(at, &[0; 64]);
        self.memory.put_word(at, meta);
        self.memory.put(at + 12, &kind.to_le_bytes());
        at | 1
    }

    /// An object of a type whose words follow its map; gives its tagged pointer.
    pub(crate) fn object(&mut self, kind: u16, words: &[u64]) -> u64 {
        let map = self.map(kind);
        let at = self.room(8 + 8 * words.len() as u64);
        self.memory.put_word(at, map);
        for (index, word) in words.iter().enumerate() {
            self.memory.put_word(at + 8 + 8 * index as u64, *word);
        }
        at | 1
    }

    /// A sequential one-byte string.
    pub(crate) fn string(&mut self, text: &str) -> u64 {
        let map = self.map(8);
        let at = self.room(24 + text.len() as u64);
        self.memory.put(at, &[0; 40]);
        self.memory.put_word(at, map);
        self.memory.put(at + 12, &(text.len() as u32).to_le_bytes());
        self.memory.put(at + 16, text.as_bytes());
        at | 1
    }

    /// A sequential two-byte string.
    pub(crate) fn wide_string(&mut self, text: &str) -> u64 {
        let units: Vec<u16> = text.encode_utf16().collect();
        let map = self.map(0);
        let at = self.room(24 + 2 * units.len() as u64);
        self.memory.put(at, &[0; 40]);
        self.memory.put_word(at, map);
        self.memory.put(at + 12, &(units.len() as u32).to_le_bytes());
        let bytes: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        self.memory.put(at + 16, &bytes);
        at | 1
    }

    /// A string of a representation with a payload and a second word.
    pub(crate) fn composed(&mut self, kind: u16, length: u32, payload: u64, second: u64) -> u64 {
        let map = self.map(kind);
        let at = self.room(40);
        self.memory.put(at, &[0; 40]);
        self.memory.put_word(at, map);
        self.memory.put(at + 12, &length.to_le_bytes());
        self.memory.put_word(at + 16, payload);
        self.memory.put_word(at + 24, second);
        at | 1
    }

    /// A Script with a name and a source.
    pub(crate) fn script(&mut self, name: u64, source: u64, id: i32) -> u64 {
        let mut words = [0; 15];
        words[0] = source;
        words[1] = name;
        words[7] = smi_word(id);
        self.object(self.layout.types.script, &words)
    }

    /// A ScopeInfo with context locals, a name, an inferred name, and positions.
    pub(crate) fn scope_info(
        &mut self,
        locals: &[u64],
        name: u64,
        inferred: u64,
        start: i32,
        end: i32,
    ) -> u64 {
        let kind = self.layout.types.scope_info.unwrap_or(self.layout.types.fixed_array);
        let outer = self.object(kind, &[0; 4]);
        let mut words = Vec::from([smi_word(1), smi_word(0), smi_word(locals.len() as i32)]);
        words.extend_from_slice(locals);
        words.extend(locals.iter().map(|_| smi_word(7)));
        words.extend([name, smi_word(0), inferred, smi_word(start), smi_word(end), outer]);
        self.object(kind, &words)
    }

    /// A SharedFunctionInfo.
    pub(crate) fn shared(&mut self, name: u64, script: u64, data: u64) -> u64 {
        self.object(self.layout.types.shared, &[data, name, 0, script, 0, 0, 0, 0])
    }

    /// A JSFunction.
    pub(crate) fn function(&mut self, shared: u64) -> u64 {
        self.object(self.layout.types.function_first, &[0, 0, shared, 0, 0, 0])
    }
}

/// A Smi as a word.
pub(crate) fn smi_word(value: i32) -> u64 {
    (i64::from(value) << 32) as u64
}
