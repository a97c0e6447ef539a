//! V8's embedded builtins: machine code in the object file, since V8 7.4.
//!
//! Places are offsets in the file, not addresses: since Node 20 the code is mapped a second time,
//! next to the heap's code.

use crate::elf::Elf;
use crate::limits;
use crate::unwind::ModuleUnwind;
use alloc::vec::Vec;
use core::ops::Range;

/// What a builtin's frames mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Enters the interpreter: its frames are those of interpreted functions.
    InterpreterEntry,
    /// Runs one bytecode in an interpreted function's frame.
    Handler,
    /// Builds a baseline function's frame.
    BaselinePrologue,
    /// Leaves a baseline function's frame.
    BaselineEpilogue,
    /// Goes from or to baseline code.
    BaselineEdge,
    /// Calls, constructs, enters and leaves: V8's glue, no work of its own.
    Glue,
    /// Work that is worth a frame of its own.
    Work,
}

/// Names and beginnings of names that say what a builtin is for; the first match counts.
const ROLES: &[(&str, bool, Role)] = &[
    ("InterpreterEntryTrampoline", true, Role::InterpreterEntry),
    ("InterpreterEnterAt", true, Role::InterpreterEntry),
    ("InterpreterEnterBytecode", false, Role::InterpreterEntry),
    ("BaselineOutOfLinePrologue", false, Role::BaselinePrologue),
    ("BaselineOutOfLinePrologue", true, Role::BaselineEdge),
    ("BaselineLeaveFrame", false, Role::BaselineEpilogue),
    ("BaselineOrInterpreterEnter", true, Role::BaselineEdge),
    ("BaselineOnStackReplacement", false, Role::BaselineEdge),
    ("Interpreter", true, Role::Glue),
    ("JSEntry", true, Role::Glue),
    ("JSConstructEntry", true, Role::Glue),
    ("JSRunMicrotasksEntry", true, Role::Glue),
    ("JSConstructStub", true, Role::Glue),
    ("JSBuiltinsConstructStub", true, Role::Glue),
    ("CEntry", true, Role::Glue),
    ("WasmCEntry", true, Role::Glue),
    ("Call_", true, Role::Glue),
    ("CallFunction_", true, Role::Glue),
    ("CallBoundFunction", true, Role::Glue),
    ("CallWithArrayLike", true, Role::Glue),
    ("CallWithSpread", true, Role::Glue),
    ("CallVarargs", true, Role::Glue),
    ("CallForwardVarargs", true, Role::Glue),
    ("CallFunctionForwardVarargs", true, Role::Glue),
    ("CallApiCallback", true, Role::Glue),
    ("CallApiGetter", true, Role::Glue),
    ("Call", true, Role::Glue),
    ("Construct", true, Role::Glue),
    ("FastNewObject", false, Role::Work),
    ("ArgumentsAdaptorTrampoline", false, Role::Glue),
    ("AdaptorWithBuiltinExitFrame", true, Role::Glue),
    ("HandleApiCall", true, Role::Glue),
    ("CompileLazy", true, Role::Glue),
    ("ContinueTo", true, Role::Glue),
    ("DeoptimizationEntry", true, Role::Glue),
    ("DirectCEntry", false, Role::Glue),
    ("GenericJSToWasmWrapper", true, Role::Glue),
    ("JSToWasmWrapper", true, Role::Glue),
    ("WasmToJsWrapper", true, Role::Glue),
    ("MaglevFunctionEntryStackCheck", true, Role::Glue),
    ("ResumeGeneratorTrampoline", false, Role::Glue),
];

fn role_of(name: &str) -> Role {
    if name.ends_with("Handler") && !name.contains("IC_") {
        return Role::Handler;
    }
    ROLES
        .iter()
        .find(|(pattern, prefix, _)| if *prefix { name.starts_with(pattern) } else { name == *pattern })
        .map_or(Role::Work, |row| row.2)
}

/// One builtin.
#[derive(Clone, Copy, Debug)]
pub struct Builtin<'a> {
    /// Offset of its code in the file.
    pub offset: u64,
    /// Bytes of its code.
    pub size: u32,
    /// The symbol without `Builtins_`.
    pub name: &'a str,
    /// What its frames mean.
    pub role: Role,
}

impl Builtin<'_> {
    /// The first bytes of its code.
    pub(super) fn code<'e>(&self, elf: &Elf<'e>) -> Option<&'e [u8]> {
        let start = usize::try_from(self.offset).ok()?;
        elf.data().get(start..start.checked_add(self.size.min(512) as usize)?)
    }
}

/// A builtin's number in its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BuiltinId(pub u16);

/// The builtins of an object file, sorted by place.
#[derive(Clone, Debug, Default)]
pub struct Builtins<'a> {
    list: Vec<Builtin<'a>>,
    blob: Range<u64>,
    refused: u32,
}

/// What every builtin's symbol starts with.
pub const PREFIX: &str = "Builtins_";

impl<'a> Builtins<'a> {
    /// The builtins that `.symtab` names; none in a stripped file.
    pub fn of(elf: &Elf<'a>) -> Builtins<'a> {
        let mut builtins = Builtins::default();
        // They come from one object file. To look at all names would take milliseconds.
        let symbols = elf.symtab_symbols();
        let run = symbols.run_with_prefix(PREFIX.as_bytes()).unwrap_or(0..symbols.len());
        for symbol in symbols.within(run) {
            if !symbol.is_defined() || !symbol.starts_with(PREFIX.as_bytes()) {
                continue;
            }
            let name = core::str::from_utf8(symbol.name()).ok().and_then(|name| name.strip_prefix(PREFIX));
            let (Some(name), Some(offset)) = (name, elf.offset_of(symbol.value)) else { continue };
            if builtins.list.len() >= limits::BUILTINS {
                builtins.refused += 1;
                continue;
            }
            let size = u32::try_from(symbol.size).unwrap_or(u32::MAX);
            builtins.list.push(Builtin { offset, size, name, role: role_of(name) });
        }
        builtins.list.sort_unstable_by_key(|builtin| builtin.offset);
        builtins.list.dedup_by_key(|builtin| builtin.offset);
        if let (Some(first), Some(last)) = (builtins.list.first(), builtins.list.last()) {
            builtins.blob = first.offset..last.offset.saturating_add(last.size.into());
        }
        builtins
    }

    /// The place of the code in the file, where only that is known: a stripped build.
    pub fn unnamed(blob: Range<u64>) -> Builtins<'a> {
        Builtins { list: Vec::new(), blob, refused: 0 }
    }

    /// The place of the code in a stripped build: the builtins are by far the largest stretch of code
    /// without unwind information (1 to 2 MiB; OpenSSL's assembly comes next).
    pub fn in_gap(elf: &Elf<'a>) -> Builtins<'a> {
        const SMALLEST: u64 = 512 << 10;
        let text = elf.section(b".text").map(|text| text.vaddr..text.vaddr.saturating_add(text.size));
        let text = text.unwrap_or(0..u64::MAX);
        let gap = ModuleUnwind::new(elf).and_then(|unwind| unwind.largest_gap(&text));
        let blob = gap.and_then(|gap| Some(elf.offset_of(gap.start)?..elf.offset_of(gap.end)?));
        Builtins::unnamed(blob.filter(|blob| blob.end.saturating_sub(blob.start) >= SMALLEST).unwrap_or(0..0))
    }

    /// The place of all the code in the file, which begins on a page; `None` if it is not known.
    pub fn blob(&self) -> Option<Range<u64>> {
        const PAGE: u64 = 4096;
        let start = self.blob.start.checked_next_multiple_of(PAGE)?;
        Some(start..self.blob.end).filter(|blob| !blob.is_empty())
    }

    /// Whether a place in the file lies in the builtins' code.
    pub fn contains(&self, offset: u64) -> bool {
        self.blob.contains(&offset)
    }

    /// The builtin at a place in the file: the last one that starts at or before it.
    pub fn at(&self, offset: u64) -> Option<BuiltinId> {
        if !self.contains(offset) {
            return None;
        }
        let after = self.list.partition_point(|builtin| builtin.offset <= offset);
        after.checked_sub(1).and_then(|before| u16::try_from(before).ok()).map(BuiltinId)
    }

    /// A builtin by number.
    pub fn get(&self, id: BuiltinId) -> Option<&Builtin<'a>> {
        self.list.get(usize::from(id.0))
    }

    /// A builtin by name.
    pub fn named(&self, name: &str) -> Option<&Builtin<'a>> {
        self.list.iter().find(|builtin| builtin.name == name)
    }

    /// Number of builtins with a name.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether none has a name.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Builtins beyond the bound.
    pub fn refused(&self) -> u32 {
        self.refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_follow_the_names() {
        let roles = [
            ("AddHandler", Role::Handler),
            ("CallPropertyWideHandler", Role::Handler),
            ("InterpreterEntryTrampoline_12", Role::InterpreterEntry),
            ("InterpreterPushArgsThenCall", Role::Glue),
            ("CEntry_Return1_ArgvOnStack_NoBuiltinExit", Role::Glue),
            ("Call_ReceiverIsAny", Role::Glue),
            ("ArrayMap", Role::Work),
            ("KeyedLoadIC_Megamorphic", Role::Work),
            ("ArrayForEach", Role::Work),
        ];
        for (name, role) in roles {
            assert_eq!(role_of(name), role, "{name}");
        }
    }
}
