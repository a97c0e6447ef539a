//! ELF files made up for tests: as awkward as real ones are, or more.

use alloc::vec;
use alloc::vec::Vec;

/// How the dynamic symbols can be looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hash {
    None,
    Sysv,
    Gnu,
}

/// A symbol to be.
#[derive(Clone, Debug)]
pub(crate) struct NewSymbol {
    pub(crate) name: Vec<u8>,
    pub(crate) value: u64,
    pub(crate) size: u64,
    /// Binding in the upper, type in the lower half.
    pub(crate) info: u8,
    pub(crate) section: u16,
}

impl NewSymbol {
    /// A global function in section 1.
    pub(crate) fn function(name: &str, value: u64, size: u64) -> Self {
        NewSymbol { name: name.into(), value, size, info: 0x12, section: TEXT_SECTION }
    }
}

/// Addresses of the code, of the data (two integers, then zeros), and of the dynamic section, each in
/// a segment of its own.
pub(crate) const TEXT: u64 = 0x40_1000;
pub(crate) const TEXT_SIZE: u64 = 0x1000;
pub(crate) const DATA: u64 = 0x60_2000;
pub(crate) const DYNAMIC: u64 = 0x7a_0000;
pub(crate) const TEXT_SECTION: u16 = 1;

/// A file whose `.dynamic` is in a late segment and whose program headers lie at an odd offset, as
/// patchelf and postject leave them.
pub(crate) fn file(dynamic: &[NewSymbol], hash: Hash, symtab: &[NewSymbol]) -> Vec<u8> {
    let mut out = vec![0; 64];
    out.extend([0xcc; TEXT_SIZE as usize]);
    let data_at = out.len();
    out.extend(7_i32.to_le_bytes());
    out.extend((-9_i32).to_le_bytes());

    // The dynamic segment: its parts' addresses follow from their offsets.
    let dynamic_at = out.len() as u64 + 3;
    out.resize(dynamic_at as usize, 0);
    let vaddr = |offset: usize| DYNAMIC + (offset as u64 - dynamic_at);
    let tags_at = out.len();
    out.extend([0; 8 * 16]);
    let mut tags: Vec<(u64, u64)> = Vec::new();
    let (symbols, strings) = table(dynamic);
    tags.push((6, vaddr(out.len())));
    out.extend(&symbols);
    tags.push((10, strings.len() as u64));
    tags.push((5, vaddr(out.len())));
    out.extend(&strings);
    match hash {
        Hash::None => {}
        Hash::Sysv => {
            tags.push((4, vaddr(out.len())));
            out.extend(sysv_hash(dynamic));
        }
        Hash::Gnu => {
            tags.push((0x6fff_fef5, vaddr(out.len())));
            out.extend(gnu_hash(dynamic));
        }
    }
    let dynamic_size = out.len() as u64 - dynamic_at;
    for (index, (tag, value)) in tags.into_iter().enumerate() {
        let at = tags_at + index * 16;
        out[at..at + 8].copy_from_slice(&tag.to_le_bytes());
        out[at + 8..at + 16].copy_from_slice(&value.to_le_bytes());
    }

    let (symbols, strings) = table(symtab);
    let (symtab_at, strtab_at) = (out.len() as u64, (out.len() + symbols.len()) as u64);
    out.extend(&symbols);
    out.extend(&strings);

    out.resize(out.len() | 1, 0);
    let headers_at = out.len() as u64;
    for (kind, flags, offset, vaddr, filesz, memsz) in [
        (1_u32, 5_u32, 64, TEXT, TEXT_SIZE, TEXT_SIZE),
        (1, 6, data_at as u64, DATA, 8, 64),
        (1, 6, dynamic_at, DYNAMIC, dynamic_size, dynamic_size),
        (2, 6, dynamic_at, DYNAMIC, 8 * 16, 8 * 16),
    ] {
        out.extend(kind.to_le_bytes());
        out.extend(flags.to_le_bytes());
        for word in [offset, vaddr, vaddr, filesz, memsz, 1] {
            out.extend(word.to_le_bytes());
        }
    }
    let sections_at = out.len() as u64;
    for (kind, vaddr, offset, size, link) in [
        (0_u32, 0, 0, 0, 0_u32),
        (1, TEXT, 64, TEXT_SIZE, 0),
        (2, 0, symtab_at, symbols.len() as u64, 3),
        (3, 0, strtab_at, strings.len() as u64, 0),
    ] {
        let at = out.len();
        out.resize(at + 64, 0);
        out[at + 4..at + 8].copy_from_slice(&kind.to_le_bytes());
        out[at + 16..at + 24].copy_from_slice(&u64::to_le_bytes(vaddr));
        out[at + 24..at + 32].copy_from_slice(&u64::to_le_bytes(offset));
        out[at + 32..at + 40].copy_from_slice(&u64::to_le_bytes(size));
        out[at + 40..at + 44].copy_from_slice(&link.to_le_bytes());
    }
    out[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    out[16..20].copy_from_slice(&[3, 0, 62, 0]);
    out[32..40].copy_from_slice(&headers_at.to_le_bytes());
    out[40..48].copy_from_slice(&sections_at.to_le_bytes());
    out[54..64].copy_from_slice(&[56, 0, 4, 0, 64, 0, 4, 0, 0, 0]);
    out
}

/// The head of a program with one segment of this kind and these flags, and nothing else: its offset, address and size.
#[cfg(test)]
pub fn head(kind: u32, flags: u32, [offset, vaddr, size]: [u64; 3]) -> Vec<u8> {
    let mut out = vec![0; 64];
    out[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    out[16..20].copy_from_slice(&[2, 0, 62, 0]);
    out[32..40].copy_from_slice(&64_u64.to_le_bytes());
    out[54..58].copy_from_slice(&[56, 0, 1, 0]);
    out.extend([kind, flags].map(u32::to_le_bytes).as_flattened());
    out.extend([offset, vaddr, 0, size, size, 0].map(u64::to_le_bytes).as_flattened());
    out
}

/// The bytes of a symbol table, the null symbol first, and of its strings.
fn table(symbols: &[NewSymbol]) -> (Vec<u8>, Vec<u8>) {
    let (mut table, mut strings) = (vec![0; 24], vec![0]);
    for symbol in symbols {
        table.extend((strings.len() as u32).to_le_bytes());
        table.extend([symbol.info, 0]);
        table.extend(symbol.section.to_le_bytes());
        table.extend(symbol.value.to_le_bytes());
        table.extend(symbol.size.to_le_bytes());
        strings.extend(&symbol.name);
        strings.push(0);
    }
    (table, strings)
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// One bucket: the whole table is one chain.
fn sysv_hash(symbols: &[NewSymbol]) -> Vec<u8> {
    let count = symbols.len() as u32 + 1;
    let mut table = vec![1, count, count - 1, 0];
    table.extend(0..count - 1);
    words(&table)
}

/// One bucket, and a Bloom filter that lets everything through.
fn gnu_hash(symbols: &[NewSymbol]) -> Vec<u8> {
    let mut table = vec![1, 1, 1, 5, u32::MAX, u32::MAX, u32::from(!symbols.is_empty())];
    for (index, symbol) in symbols.iter().enumerate() {
        let hash = symbol.name.iter().fold(5381_u32, |hash, byte| {
            hash.wrapping_shl(5).wrapping_add(hash).wrapping_add(u32::from(*byte))
        });
        table.push(if index + 1 == symbols.len() { hash | 1 } else { hash & !1 });
    }
    words(&table)
}
