//! A function's name, script and start, from its SharedFunctionInfo and ScopeInfo.

use super::heap::{Decode, Heap, half, is_smi, smi, word};
use super::layout::{SharedLayout, StartPosition};
use crate::limits::{CONTEXT_LOCALS, NAME_BYTES};
use crate::memory::Memory;
use alloc::string::String;

/// What a SharedFunctionInfo says, as it stands in memory: tagged pointers and numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedInfo {
    /// Its map, tagged.
    pub map: u64,
    /// Name: a String or a ScopeInfo, tagged.
    pub name: u64,
    /// Script or DebugInfo, tagged.
    pub script: u64,
    /// What it runs, tagged; a Smi is a builtin's id.
    pub data: u64,
    /// Inferred name, where it is a field; else 0.
    pub inferred: u64,
    /// Parameter counts or, in old versions, start and end position: numbers that never change.
    pub numbers: u64,
    /// Start position, where it is a field.
    pub start: Option<u32>,
}

impl SharedInfo {
    /// Largest SharedFunctionInfo that is read, in bytes.
    pub const MAX_SIZE: usize = 160;

    /// Whether a function that has no script is a builtin: it has an id, or is of a V8 whose builtins have none.
    pub fn is_builtin(&self, layout: &SharedLayout) -> bool {
        !layout.has_builtin_ids || is_smi(self.data)
    }

    /// End position, where the start is a field.
    pub fn end(&self) -> Option<u32> {
        self.start.map(|_| (self.numbers >> 32) as u32 & i32::MAX.cast_unsigned())
    }

    /// Whether both are the same function, wherever it stands: what it runs may change.
    pub fn is_same_function(&self, other: &SharedInfo) -> bool {
        (self.map, self.name, self.script, self.numbers, self.inferred)
            == (other.map, other.name, other.script, other.numbers, other.inferred)
    }
}

/// A function's name and where it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Start {
    /// Offset in the script's source of the parameter list's `(`; `None` if the object has none.
    pub position: Option<u32>,
    /// Its source names it: the name is not one that V8 inferred.
    pub is_named: bool,
}

/// Slots of a ScopeInfo read at once: header, and enough for most functions' names.
const FIRST_SLOTS: usize = 48;

/// Slots read behind the context locals: saved class variable, receiver, name and its slot, inferred
/// name, start, end, outer ScopeInfo.
const TAIL_SLOTS: usize = 12;

impl<M: Memory> Heap<'_, M> {
    /// The SharedFunctionInfo of a JSFunction, tagged; the function's type is checked.
    pub fn shared_of_function(&self, function: u64) -> Result<u64, Decode> {
        let (address, found) = self.object(function)?;
        if !self.layout.types.is_function(found) {
            return Err(Decode::WrongType { address, found });
        }
        self.field(address, self.layout.function.shared)
    }

    /// Reads a SharedFunctionInfo; its type is checked.
    pub fn shared_info(&self, shared: u64) -> Result<SharedInfo, Decode> {
        let address = self.expect(shared, self.layout.types.shared)?;
        let size = usize::from(self.layout.shared.size);
        let mut bytes = [0; SharedInfo::MAX_SIZE];
        let bytes = bytes.get_mut(..size).ok_or(Decode::Bound)?;
        self.memory.read(address, bytes)?;
        Ok(self.shared_info_from(bytes))
    }

    /// The same from the object's bytes, of which the layout's `shared.size` are needed.
    pub fn shared_info_from(&self, bytes: &[u8]) -> SharedInfo {
        let layout = &self.layout.shared;
        let start = match layout.start {
            StartPosition::Packed { at } => Some(half(bytes, at) >> 2),
            StartPosition::ScopeInfo => None,
        };
        let end = layout.end.map_or(0, |end| half(bytes, end.at) >> end.shift.min(31));
        let numbers = match start {
            Some(start) => u64::from(start) | u64::from(end & i32::MAX.cast_unsigned()) << 32 | 1 << 63,
            // Behind the script stand two parameter counts, and after 8 more bytes the number of the
            // function's literal in its script.
            None => {
                u64::from(half(bytes, layout.script + 8)) | u64::from(half(bytes, layout.script + 20)) << 32
            }
        };
        SharedInfo {
            map: word(bytes, 0),
            name: word(bytes, layout.name),
            script: word(bytes, layout.script),
            data: word(bytes, layout.data),
            inferred: layout.inferred.map_or(0, |inferred| word(bytes, inferred)),
            numbers,
            start,
        }
    }

    /// Appends a function's display name to `into` and says where it starts: its own name, else
    /// the name V8 inferred, else nothing.
    pub fn function_name(&self, info: &SharedInfo, into: &mut String) -> Result<Start, Decode> {
        let before = into.len();
        let mut start = Start { position: info.start, is_named: false };
        if self.is_string(info.name) {
            self.string(info.name, NAME_BYTES as u32, into)?;
            start.is_named = into.len() > before;
        } else if let Some(scope_info) = self.layout.types.scope_info {
            match self.expect(info.name, scope_info) {
                Ok(address) => {
                    let in_scope = self.scope_name(address, into)?;
                    start.position = start.position.or(in_scope.position);
                    start.is_named = in_scope.is_named;
                }
                // An Oddball or a Smi: the function has no name.
                Err(Decode::NotAnObject(_) | Decode::WrongType { .. }) => {}
                Err(fault) => return Err(fault),
            }
        }
        if into.len() == before && self.layout.shared.inferred.is_some() && self.is_string(info.inferred) {
            self.string(info.inferred, NAME_BYTES as u32, into)?;
        }
        Ok(start)
    }

    /// Reads name and start position from a ScopeInfo: after the context locals, the first string
    /// within a few slots is the name; if it is empty, a string two slots further is the inferred
    /// one. The two Smis behind them that end at a pointer (the outer scope) are the positions.
    fn scope_name(&self, address: u64, into: &mut String) -> Result<Start, Decode> {
        let layout = &self.layout.scope_info;
        let slots = address.wrapping_add(layout.slots.into());
        let mut head = [0; 8 * FIRST_SLOTS];
        let got = self.memory.read_prefix(slots, &mut head) / 8;
        if got <= usize::from(layout.first_variable) {
            return Err(Decode::Fault(crate::memory::Fault { address }));
        }
        let count = |slot: u8| {
            let count = smi(word(&head, u16::from(slot) * 8)).and_then(|count| u32::try_from(count).ok());
            count.filter(|count| *count <= CONTEXT_LOCALS).ok_or(Decode::Bound)
        };
        let locals = count(layout.local_count)?;
        let mut first = u32::from(layout.first_variable);
        if layout.has_stack_names {
            // Parameter names, the first stack slot's number, stack locals' names.
            first += count(1)? + 1 + count(2)?;
        }
        if locals > 0 && is_smi(self.slot(&head, got, slots, first)?) {
            // A module's scope has the number of its variables before the names.
            first += 1;
        }
        let tail = match layout.hashed_from {
            Some(hashed) if locals >= hashed => first + 1 + locals,
            _ => first + 2 * locals,
        };
        let mut words = [0; TAIL_SLOTS];
        let mut filled = 0;
        for (word, slot) in words.iter_mut().zip(tail..) {
            let Ok(value) = self.slot(&head, got, slots, slot) else { break };
            *word = value;
            filled += 1;
        }
        self.tail_name(&words[..filled], &head, into)
    }

    fn slot(&self, head: &[u8], got: usize, slots: u64, slot: u32) -> Result<u64, Decode> {
        if (slot as usize) < got {
            return Ok(word(head, (slot * 8) as u16));
        }
        Ok(self.memory.word(slots.wrapping_add(u64::from(slot) * 8))?)
    }

    fn tail_name(&self, words: &[u64], head: &[u8], into: &mut String) -> Result<Start, Decode> {
        const NAME_WITHIN: usize = 4;
        let before = into.len();
        let mut name = None;
        for (at, word) in words.iter().enumerate().take(NAME_WITHIN) {
            if is_smi(*word) {
                continue;
            }
            if self.is_string(*word) {
                self.string(*word, NAME_BYTES as u32, into)?;
                name = Some(at);
            }
            break;
        }
        let is_first_named = into.len() > before;
        // In place of a name that only function objects have stands a Smi, so that the first string is the
        // inferred name: it has no slot number and no other name behind it.
        let at = |behind: usize| words.get(name? + behind).map(|word| is_smi(*word));
        let is_named = is_first_named && (at(1), at(2)) == (Some(true), Some(false));
        if let Some(inferred) = name.and_then(|name| words.get(name + 2))
            && !is_first_named
            && !is_smi(*inferred)
            && self.is_string(*inferred)
        {
            self.string(*inferred, NAME_BYTES as u32, into)?;
        }
        if let Some(slot) = self.layout.scope_info.start {
            let start = smi(word(head, u16::from(slot) * 8));
            return Ok(Start { position: start.and_then(|start| u32::try_from(start).ok()), is_named });
        }
        let from = name.map_or(0, |name| name + 1);
        let position = words.get(from..).unwrap_or(&[]).windows(3).find_map(|window| {
            let (start, end) = (smi(window[0])?, smi(window[1])?);
            // A default constructor has both at its class.
            (!is_smi(window[2]) && 0 <= start && start <= end).then_some(start as u32)
        });
        Ok(Start { position, is_named })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v8::fixture::{FakeHeap, layout, layout_of, smi_word};
    use alloc::vec;

    fn name(heap: &FakeHeap, shared: u64) -> (String, Option<u32>) {
        let info = heap.heap().shared_info(shared).unwrap();
        let mut name = String::new();
        let start = heap.heap().function_name(&info, &mut name).unwrap();
        (name, start.position)
    }

    #[test]
    fn a_function_has_its_name_and_start_from_its_scope() {
        let mut heap = FakeHeap::new(layout());
        let (own, empty, local) = (heap.string("deposit"), heap.string(""), heap.string("local"));
        let inferred = heap.string("Account.deposit");
        for locals in [vec![], vec![local], vec![local; 40]] {
            let scope = heap.scope_info(&locals, own, inferred, 30, 90);
            let shared = heap.shared(scope, 0, 1);
            assert_eq!(name(&heap, shared), ("deposit".into(), Some(30)), "{} locals", locals.len());
            let scope = heap.scope_info(&locals, empty, inferred, 31, 90);
            let shared = heap.shared(scope, 0, 1);
            assert_eq!(name(&heap, shared), ("Account.deposit".into(), Some(31)), "{} locals", locals.len());
        }
    }

    #[test]
    fn a_function_without_any_name_is_anonymous() {
        let mut heap = FakeHeap::new(layout());
        let empty = heap.string("");
        let undefined = heap.object(131, &[0; 4]);
        let scope = heap.scope_info(&[], empty, undefined, 0, 500);
        let shared = heap.shared(scope, 0, 1);
        assert_eq!(name(&heap, shared), (String::new(), Some(0)));
    }

    #[test]
    fn a_compiled_native_has_its_name_in_place() {
        let mut heap = FakeHeap::new(layout());
        let map = heap.string("map");
        let shared = heap.shared(map, 0, smi_word(812));
        assert_eq!(name(&heap, shared), ("map".into(), None));
        assert!(heap.heap().shared_info(shared).unwrap().is_builtin(&heap.layout.shared));
    }

    #[test]
    fn old_versions_keep_start_and_end_in_one_word() {
        for (major, minor, end) in [(6, 0, 90 << 1), (6, 2, 90)] {
            let heap = FakeHeap::new(layout_of(major, minor));
            let layout = heap.layout.shared;
            let StartPosition::Packed { at } = layout.start else { panic!("{major}.{minor}") };
            let mut bytes = [0; SharedInfo::MAX_SIZE];
            bytes[usize::from(at)..][..4].copy_from_slice(&u32::to_le_bytes(40 << 2));
            bytes[usize::from(layout.end.unwrap().at)..][..4].copy_from_slice(&u32::to_le_bytes(end));
            let info = heap.heap().shared_info_from(&bytes);
            assert_eq!((info.start, info.end()), (Some(40), Some(90)), "{major}.{minor}");
        }
    }

    #[test]
    fn where_builtins_have_no_ids_the_missing_script_tells_them() {
        let heap = FakeHeap::new(layout_of(6, 2));
        // What it runs is no Smi.
        let info = heap.heap().shared_info_from(&[1; SharedInfo::MAX_SIZE]);
        assert!(info.is_builtin(&heap.layout.shared));
        assert!(!info.is_builtin(&layout_of(6, 6).shared));
    }

    #[test]
    fn a_function_is_told_from_what_is_none() {
        let mut heap = FakeHeap::new(layout());
        let text = heap.string("f");
        let shared = heap.shared(text, 0, 1);
        let function = heap.function(shared);
        assert_eq!(heap.heap().shared_of_function(function), Ok(shared));
        assert!(matches!(heap.heap().shared_of_function(shared), Err(Decode::WrongType { .. })));
        assert!(matches!(heap.heap().shared_info(function), Err(Decode::WrongType { .. })));
    }

    #[test]
    fn a_scope_with_an_absurd_number_of_locals_is_refused() {
        let mut heap = FakeHeap::new(layout());
        let kind = heap.layout.types.scope_info.unwrap();
        let scope = heap.object(kind, &[smi_word(1), smi_word(0), smi_word(i32::MAX), 0, 0, 0, 0, 0]);
        let shared = heap.shared(scope, 0, 1);
        let info = heap.heap().shared_info(shared).unwrap();
        assert_eq!(heap.heap().function_name(&info, &mut String::new()), Err(Decode::Bound));
    }
}
