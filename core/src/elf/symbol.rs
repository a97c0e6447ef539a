//! Symbols and symbol tables.

use super::read;

/// Bytes of a symbol in a 64-bit file.
pub(crate) const SYMBOL_BYTES: usize = 24;

/// `SHN_ABS`: the value is no address.
pub const SECTION_ABSOLUTE: u16 = 0xfff1;

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
        let strings = self.strings;
        self.symbols.as_chunks().0.iter().map(move |entry| decode(entry, strings))
    }

    /// The first defined variable for each of `names`: one pass, whatever the number of names.
    ///
    /// `found` must be as long as `names`; what it already holds is not looked for again.
    pub fn find_variables(&self, names: &[&[u8]], found: &mut [Option<Symbol<'a>>]) {
        let mut missing = found.iter().take(names.len()).filter(|slot| slot.is_none()).count();
        if missing == 0 {
            return;
        }
        for symbol in self.iter().filter(Symbol::is_variable) {
            for (name, slot) in names.iter().zip(found.iter_mut()) {
                if slot.is_none() && symbol.is_named(name) {
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
