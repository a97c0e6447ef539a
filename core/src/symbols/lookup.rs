//! Names for many addresses of one file, in one pass over its symbols.
//!
//! No table of all symbols is built: the addresses are few (those seen in samples), the symbols of a
//! Node executable some 170,000. Each symbol looks for the addresses it covers, not the other way.

use alloc::vec;
use alloc::vec::Vec;

use crate::elf::{Binding, Elf, SECTION_ABSOLUTE, Symbol, SymbolKind, SymbolTable};
use crate::limits;

/// The symbol that an address belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found<'a> {
    /// Its name, mangled as it stands.
    pub name: &'a [u8],
    /// Its first address.
    pub start: u64,
    /// Bytes it covers; 0 where the file does not say.
    pub size: u64,
}

/// A symbol that may be the answer, with what it is judged by.
#[derive(Clone, Copy, Debug)]
struct Candidate<'a> {
    symbol: Symbol<'a>,
    /// The end of its section, up to which a symbol without a size reaches.
    limit: u64,
}

/// Names being looked up for a sorted list of addresses.
#[derive(Clone, Debug)]
pub struct Lookup<'q, 'a> {
    addresses: &'q [u64],
    /// For each address the innermost symbol that covers it by its size.
    covering: Vec<Option<Candidate<'a>>>,
    /// For each address the last symbol that starts behind the previous address and not behind it.
    starting: Vec<Option<Candidate<'a>>>,
    /// Visits left: symbols that overlap one another without end would cost their product.
    visits: usize,
}

impl<'q, 'a> Lookup<'q, 'a> {
    /// Prepares for `addresses`: the file's own (load bias not added), in ascending order.
    pub fn new(addresses: &'q [u64]) -> Self {
        Lookup {
            addresses,
            covering: vec![None; addresses.len()],
            starting: vec![None; addresses.len()],
            visits: limits::SYMBOL_VISITS,
        }
    }

    /// Passes over a file's symbols: `.symtab`, then `.dynsym`.
    pub fn pass(&mut self, elf: &Elf<'a>) {
        self.pass_table(elf, elf.symtab_symbols());
        self.pass_table(elf, elf.dynamic_symbols());
    }

    /// Passes over the symbols of a separate debug file, which has none but those in `.symtab`.
    pub fn pass_debug_file(&mut self, elf: &Elf<'a>) {
        self.pass_table(elf, elf.symtab_symbols());
    }

    fn pass_table(&mut self, elf: &Elf<'a>, table: SymbolTable<'a>) {
        let Some(last) = self.addresses.last() else { return };
        for symbol in table.iter() {
            if symbol.value > *last || !names_code(&symbol) {
                continue;
            }
            self.enter(elf, symbol);
        }
    }

    fn enter(&mut self, elf: &Elf<'a>, symbol: Symbol<'a>) {
        let end = symbol.value.saturating_add(symbol.size);
        let at = self.addresses.partition_point(|address| *address < symbol.value);
        let candidate = Candidate { symbol, limit: end };
        if let Some(slot) = self.starting.get_mut(at)
            && is_better(&symbol, slot)
            && !is_label(&symbol)
        {
            let limit = if symbol.size > 0 { end } else { section_end(elf, &symbol) };
            *slot = Some(Candidate { symbol, limit });
        }
        if symbol.size == 0 {
            return;
        }
        for (address, slot) in self.addresses.iter().zip(&mut self.covering).skip(at) {
            if *address >= end || self.visits == 0 {
                return;
            }
            self.visits -= 1;
            if is_better(&symbol, slot) && !is_label(&symbol) {
                *slot = Some(candidate);
            }
        }
    }

    /// The answers, one for each address in their order.
    pub fn finish(self) -> Vec<Option<Found<'a>>> {
        let mut below = None;
        let answers = self.addresses.iter().zip(self.covering).zip(self.starting);
        answers
            .map(|((address, covering), starting)| {
                below = starting.or(below);
                // A symbol without a size reaches to the next symbol: one below says nothing if it
                // has a size and has ended.
                covering.or_else(|| below.filter(|below| *address < below.limit))
            })
            .map(|candidate| {
                candidate.map(|Candidate { symbol, .. }| Found {
                    name: symbol.name(),
                    start: symbol.value,
                    size: symbol.size,
                })
            })
            .collect()
    }
}

/// Whether a symbol can name code. Data never does; assembler labels and V8's builtins may have no type.
fn names_code(symbol: &Symbol<'_>) -> bool {
    matches!(symbol.kind, SymbolKind::Function | SymbolKind::IndirectFunction | SymbolKind::Untyped)
        && symbol.is_defined()
        && symbol.section_index != SECTION_ABSOLUTE
}

/// Whether it marks a place for the assembler or the disassembler, not a function.
fn is_label(symbol: &Symbol<'_>) -> bool {
    let name = symbol.name();
    name.is_empty() || name.starts_with(b"$") || name.starts_with(b".L")
}

/// Whether a symbol is the better answer: the one that starts later, and of those that start at the
/// same address the one that people know.
fn is_better(symbol: &Symbol<'_>, than: &Option<Candidate<'_>>) -> bool {
    let Some(Candidate { symbol: old, .. }) = than else { return true };
    if symbol.value != old.value {
        return symbol.value > old.value;
    }
    rank(symbol) > rank(old)
}

/// Of aliases: with a size, typed, seen from outside, with fewer leading underscores.
fn rank(symbol: &Symbol<'_>) -> (bool, bool, Binding, usize) {
    let name = symbol.name();
    let underscores = name.iter().take_while(|byte| **byte == b'_').count().min(8);
    (symbol.size > 0, symbol.kind != SymbolKind::Untyped, symbol.binding, 8 - underscores)
}

/// The end of a symbol's section; without section headers that of the segment in the file.
fn section_end(elf: &Elf<'_>, symbol: &Symbol<'_>) -> u64 {
    let section = elf.section_at(symbol.section_index.into()).filter(|section| section.vaddr != 0);
    section
        .map(|section| section.vaddr.saturating_add(section.size))
        .or_else(|| {
            let segment = elf.loads().find(|load| load.contains(symbol.value))?;
            Some(segment.vaddr.saturating_add(segment.filesz))
        })
        .unwrap_or(0)
}
