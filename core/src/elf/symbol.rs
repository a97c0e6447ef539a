//! Symbols and symbol tables.

use super::read;
use core::ops::{Range, RangeInclusive};

/// Bytes of a symbol in a 64-bit file.
pub(crate) const SYMBOL_BYTES: usize = 24;

/// `SHN_ABS`: the value is no address.
pub const SECTION_ABSOLUTE: u16 = 0xfff1;

/// Symbols in a run, at least; and others that may stand between two of them.
const RUN_LEAST: usize = 1024;
const RUN_GAP: usize = 16;

/// What a symbol names (`STT_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SymbolKind {
    /// `STT_NOTYPE`: assembler labels, V8's builtins in some builds.
    Untyped,
    /// `STT_OBJECT`: a variable.
    Object,
    /// `STT_FUNC`.
    Function,
    /// `STT_GNU_IFUNC`: code that chooses a function when it is linked.
    IndirectFunction,
    /// `STT_TLS`: an offset in the thread-local variables.
    ThreadLocal,
    /// Sections, files and whatever else.
    Other,
}

/// How far a symbol is seen (`STB_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Binding {
    /// In its object file alone.
    Local,
    /// Everywhere, unless a global one of the name exists.
    Weak,
    /// Everywhere (`STB_GLOBAL`, `STB_GNU_UNIQUE`).
    Global,
}

/// A symbol.
#[derive(Clone, Copy, Debug)]
pub struct Symbol<'a> {
    /// Address before the load bias is added; for a thread-local one the offset in the module's block.
    pub value: u64,
    /// Bytes it covers; 0 where the assembler was not told.
    pub size: u64,
    /// What it names.
    pub kind: SymbolKind,
    /// How far it is seen.
    pub binding: Binding,
    /// `st_shndx`: 0 for an undefined one, [`SECTION_ABSOLUTE`] for a constant.
    pub section_index: u16,
    name_at: u32,
    strings: &'a [u8],
}

impl<'a> Symbol<'a> {
    /// Its name, mangled as it stands; empty when it has none or lies outside the string table.
    pub fn name(&self) -> &'a [u8] {
        read::text_at(self.strings, self.name_at.into()).unwrap_or_default()
    }

    /// Whether its name is `name`, without looking for the name's end first.
    pub fn is_named(&self, name: &[u8]) -> bool {
        read::text_is(self.strings, self.name_at.into(), name)
    }

    /// Whether its name starts with `prefix`.
    pub fn starts_with(&self, prefix: &[u8]) -> bool {
        // Its last byte first: to compare takes a call.
        let ends_like =
            |name: &[u8]| prefix.len().checked_sub(1).is_none_or(|at| name.get(at) == prefix.last());
        let name = self.strings.get(self.name_at as usize..);
        name.is_some_and(|name| ends_like(name) && name.starts_with(prefix))
    }

    /// Whether this file holds it, and it is no function: most symbols are, and to look at a name costs more than
    /// to look at the symbol.
    pub const fn is_variable(&self) -> bool {
        self.is_defined() && !matches!(self.kind, SymbolKind::Function | SymbolKind::IndirectFunction)
    }

    /// Whether this file holds it.
    pub const fn is_defined(&self) -> bool {
        self.section_index != 0
    }
}

/// A variable that is looked for: all but its name is told without a look at names, of which there are very many.
#[derive(Clone, Debug)]
pub struct Variable<'n> {
    /// Its symbol's name, mangled as it stands.
    pub name: &'n [u8],
    /// What it may be.
    pub kind: SymbolKind,
    /// Bytes that it may have.
    pub sizes: RangeInclusive<u64>,
}

impl<'n> Variable<'n> {
    /// An `STT_OBJECT` of as many bytes.
    pub const fn object(name: &'n [u8], sizes: RangeInclusive<u64>) -> Self {
        Variable { name, kind: SymbolKind::Object, sizes }
    }

    /// Whether a symbol may be it, by all but its name.
    fn is_like(&self, symbol: &Symbol<'_>) -> bool {
        self.kind == symbol.kind && self.sizes.contains(&symbol.size)
    }
}

/// A table of symbols (`.dynsym`, `.symtab`) and its strings.
#[derive(Clone, Copy, Debug, Default)]
pub struct SymbolTable<'a> {
    symbols: &'a [u8],
    strings: &'a [u8],
}

impl<'a> SymbolTable<'a> {
    /// The table whose bytes and strings are these. A cut last symbol does not count.
    pub const fn new(symbols: &'a [u8], strings: &'a [u8]) -> Self {
        SymbolTable { symbols, strings }
    }

    /// Number of symbols, the null symbol included.
    pub const fn len(&self) -> usize {
        self.symbols.len() / SYMBOL_BYTES
    }

    /// Whether it holds none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The symbol with a number.
    pub fn get(&self, index: usize) -> Option<Symbol<'a>> {
        let at = index.checked_mul(SYMBOL_BYTES)?;
        self.symbols.get(at..)?.first_chunk().map(|entry| decode(entry, self.strings))
    }

    /// All symbols, in the file's order.
    pub fn iter(&self) -> impl Iterator<Item = Symbol<'a>> + use<'a> {
        self.within(0..self.len())
    }

    /// Those of a range of numbers that there are, in the file's order.
    pub fn within(&self, numbers: Range<usize>) -> impl Iterator<Item = Symbol<'a>> + use<'a> {
        let strings = self.strings;
        let entries: &[[u8; SYMBOL_BYTES]] = self.symbols.as_chunks().0;
        let entries = entries.get(numbers).unwrap_or_default();
        entries.iter().map(move |entry| decode(entry, strings))
    }

    /// The numbers of at least [`RUN_LEAST`] symbols that stand together, as those of one object file do, and whose
    /// names start with `prefix`, but for a few between them: found without a look at all names.
    pub fn run_with_prefix(&self, prefix: &[u8]) -> Option<Range<usize>> {
        let is_one = |at: usize| self.get(at).is_some_and(|symbol| symbol.starts_with(prefix));
        let first = (0..self.len()).step_by(RUN_LEAST / 4).find(|at| is_one(*at))?;
        let last_of = |numbers: &mut dyn Iterator<Item = usize>| {
            let mut last = first;
            for at in numbers {
                if is_one(at) {
                    last = at;
                } else if at.abs_diff(last) > RUN_GAP {
                    break;
                }
            }
            last
        };
        let run = last_of(&mut (0..first).rev())..last_of(&mut (first..self.len())) + 1;
        (run.len() >= RUN_LEAST).then_some(run)
    }

    /// The first defined variable for each of `wanted`: one pass, whatever their number.
    ///
    /// `found` must be as long as `wanted`; what it already holds is not looked for again.
    pub fn find_variables(&self, wanted: &[Variable<'_>], found: &mut [Option<Symbol<'a>>]) {
        let mut missing = found.iter().take(wanted.len()).filter(|slot| slot.is_none()).count();
        if missing == 0 {
            return;
        }
        for symbol in self.iter().filter(Symbol::is_variable) {
            for (variable, slot) in wanted.iter().zip(found.iter_mut()) {
                if slot.is_none() && variable.is_like(&symbol) && symbol.is_named(variable.name) {
                    *slot = Some(symbol);
                    missing -= 1;
                }
            }
            if missing == 0 {
                return;
            }
        }
    }
}

fn decode<'a>(entry: &[u8; SYMBOL_BYTES], strings: &'a [u8]) -> Symbol<'a> {
    let [n0, n1, n2, n3, info, _visibility, s0, s1, v @ ..] = *entry;
    let [v0, v1, v2, v3, v4, v5, v6, v7, size @ ..] = v;
    Symbol {
        value: u64::from_le_bytes([v0, v1, v2, v3, v4, v5, v6, v7]),
        size: u64::from_le_bytes(size),
        kind: match info & 15 {
            0 => SymbolKind::Untyped,
            1 => SymbolKind::Object,
            2 => SymbolKind::Function,
            6 => SymbolKind::ThreadLocal,
            10 => SymbolKind::IndirectFunction,
            _ => SymbolKind::Other,
        },
        binding: match info >> 4 {
            0 => Binding::Local,
            2 => Binding::Weak,
            _ => Binding::Global,
        },
        section_index: u16::from_le_bytes([s0, s1]),
        name_at: u32::from_le_bytes([n0, n1, n2, n3]),
        strings,
    }
}
