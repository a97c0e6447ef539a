//! The dynamic linker's view of a file: `PT_DYNAMIC`, `.dynsym` and its hash tables.
//!
//! It is found through the program headers, because section headers may be stripped and because
//! patchelf moves `.dynamic` and `.dynstr` into segments of their own at the end of the file.

use super::symbol::{SYMBOL_BYTES, Symbol, SymbolTable};
use super::{Elf, SegmentKind, read};
use crate::limits;

/// `SHT_DYNSYM`.
const SECTION_DYNSYM: u32 = 11;

/// What the dynamic section leads to. Parts that are missing or broken are empty.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Dynamic<'a> {
    pub(super) symbols: SymbolTable<'a>,
    gnu_hash: Option<GnuHash<'a>>,
    hash: Option<SysvHash<'a>>,
    pub(super) soname: Option<&'a [u8]>,
}

impl<'a> Dynamic<'a> {
    pub(super) fn read(elf: &Elf<'a>) -> Dynamic<'a> {
        let tags = Tags::read(elf);
        let at = |vaddr: Option<u64>| vaddr.and_then(|vaddr| elf.bytes_from(vaddr));
        let gnu_hash = at(tags.gnu_hash).and_then(GnuHash::read);
        let hash = at(tags.hash).and_then(SysvHash::read);
        let strings = at(tags.strings)
            .map(|bytes| read::up_to(bytes, 0, tags.strings_size.unwrap_or(u64::MAX)).unwrap_or_default());
        let section = elf.sections().find(|section| section.kind == SECTION_DYNSYM);
        let count = section
            .map(|section| section.size / SYMBOL_BYTES as u64)
            .or_else(|| hash.map(|hash| hash.chains.into()))
            .or_else(|| gnu_hash.and_then(|hash| hash.symbol_count()));
        let symbols = match (at(tags.symbols), strings) {
            (Some(symbols), Some(strings)) => {
                let bytes = count.and_then(|count| count.checked_mul(SYMBOL_BYTES as u64));
                let symbols = read::up_to(symbols, 0, bytes.unwrap_or(u64::MAX)).unwrap_or_default();
                SymbolTable::new(symbols, strings)
            }
            _ => section.and_then(|section| elf.symbol_table(&section)).unwrap_or_default(),
        };
        let soname = strings.zip(tags.soname).and_then(|(strings, at)| read::text_at(strings, at));
        Dynamic { symbols, gnu_hash, hash, soname }
    }

    /// The defined symbol of this name: by hash, or by a pass over the table where there is no hash.
    pub(super) fn find(&self, name: &[u8]) -> Option<Symbol<'a>> {
        if let Some(hash) = self.gnu_hash {
            hash.find(name, &self.symbols)
        } else if let Some(hash) = self.hash {
            hash.find(name, &self.symbols)
        } else {
            self.symbols.iter().find(|symbol| symbol.is_defined() && symbol.is_named(name))
        }
    }
}

#[derive(Default)]
struct Tags {
    symbols: Option<u64>,
    strings: Option<u64>,
    strings_size: Option<u64>,
    gnu_hash: Option<u64>,
    hash: Option<u64>,
    soname: Option<u64>,
}

impl Tags {
    fn read(elf: &Elf<'_>) -> Tags {
        let mut tags = Tags::default();
        let Some(segment) = elf.segments().find(|segment| segment.kind == SegmentKind::Dynamic) else {
            return tags;
        };
        let table = read::up_to(elf.data, segment.offset, segment.filesz).unwrap_or_default();
        for entry in table.as_chunks::<16>().0 {
            let (Some(tag), Some(value)) = (read::u64_at(entry, 0), read::u64_at(entry, 8)) else { break };
            match tag {
                0 => break,
                4 => tags.hash = Some(value),
                5 => tags.strings = Some(value),
                6 => tags.symbols = Some(value),
                10 => tags.strings_size = Some(value),
                14 => tags.soname = Some(value),
                0x6fff_fef5 => tags.gnu_hash = Some(value),
                _ => {}
            }
        }
        tags
    }
}

/// `DT_GNU_HASH`: a Bloom filter, buckets, and chains whose last entry has an odd hash.
#[derive(Clone, Copy, Debug)]
struct GnuHash<'a> {
    /// Number of the first symbol that is hashed.
    first: u32,
    bloom: &'a [u8],
    bloom_shift: u32,
    buckets: &'a [u8],
    chains: &'a [u8],
}

impl<'a> GnuHash<'a> {
    fn read(bytes: &'a [u8]) -> Option<GnuHash<'a>> {
        let buckets = u64::from(read::u32_at(bytes, 0)?);
        let bloom = u64::from(read::u32_at(bytes, 8)?);
        let bloom_end = 16 + bloom * 8;
        let buckets_end = bloom_end + buckets * 4;
        Some(GnuHash {
            first: read::u32_at(bytes, 4)?,
            bloom: read::range(bytes, 16, bloom * 8)?,
            bloom_shift: read::u32_at(bytes, 12)?,
            buckets: read::range(bytes, bloom_end, buckets * 4)?,
            chains: read::up_to(bytes, buckets_end, u64::MAX)?,
        })
    }

    fn find<'s>(&self, name: &[u8], symbols: &SymbolTable<'s>) -> Option<Symbol<'s>> {
        let hash =
            name.iter().fold(5381_u32, |hash, byte| hash.wrapping_mul(33).wrapping_add((*byte).into()));
        let words = (self.bloom.len() / 8) as u64;
        if words > 0 {
            let word = read::u64_at(self.bloom, u64::from(hash / 64) % words * 8)?;
            let second = hash.checked_shr(self.bloom_shift).unwrap_or(0);
            if word >> (hash % 64) & word >> (second % 64) & 1 == 0 {
                return None;
            }
        }
        let buckets = (self.buckets.len() / 4) as u64;
        let bucket = u64::from(hash).checked_rem(buckets)?;
        let start = read::u32_at(self.buckets, bucket * 4)?;
        let mut index = start.checked_sub(self.first)?;
        for _ in 0..limits::ELF_HASH_STEPS {
            let entry = read::u32_at(self.chains, u64::from(index) * 4)?;
            if entry | 1 == hash | 1
                && let Some(symbol) = symbols.get(index as usize + self.first as usize)
                && symbol.is_defined()
                && symbol.is_named(name)
            {
                return Some(symbol);
            }
            if entry & 1 != 0 {
                return None;
            }
            index = index.checked_add(1)?;
        }
        None
    }

    /// One more than the highest number in a chain: the table itself does not say.
    fn symbol_count(&self) -> Option<u64> {
        let highest =
            self.buckets.as_chunks().0.iter().map(|bucket| u32::from_le_bytes(*bucket)).max().unwrap_or(0);
        if highest < self.first {
            return Some(self.first.into());
        }
        let from = u64::from(highest - self.first);
        let rest = read::up_to(self.chains, from * 4, u64::MAX)?;
        let more = rest.as_chunks::<4>().0.iter().position(|entry| entry[0] & 1 != 0)?;
        Some(u64::from(highest) + more as u64 + 1)
    }
}

/// `DT_HASH`: buckets and chains of symbol numbers.
#[derive(Clone, Copy, Debug)]
struct SysvHash<'a> {
    buckets: &'a [u8],
    chain: &'a [u8],
    /// Entries of `chain`, which is the number of symbols.
    chains: u32,
}

impl<'a> SysvHash<'a> {
    fn read(bytes: &'a [u8]) -> Option<SysvHash<'a>> {
        let buckets = u64::from(read::u32_at(bytes, 0)?) * 4;
        let chains = read::u32_at(bytes, 4)?;
        Some(SysvHash {
            buckets: read::range(bytes, 8, buckets)?,
            chain: read::range(bytes, 8 + buckets, u64::from(chains) * 4)?,
            chains,
        })
    }

    fn find<'s>(&self, name: &[u8], symbols: &SymbolTable<'s>) -> Option<Symbol<'s>> {
        let hash = name.iter().fold(0_u32, |hash, byte| {
            let hash = (hash << 4).wrapping_add((*byte).into());
            let high = hash & 0xf000_0000;
            (hash ^ high >> 24) & !high
        });
        let bucket = u64::from(hash).checked_rem((self.buckets.len() / 4) as u64)?;
        let mut index = read::u32_at(self.buckets, bucket * 4)?;
        for _ in 0..limits::ELF_HASH_STEPS {
            if index == 0 {
                return None;
            }
            if let Some(symbol) = symbols.get(index as usize)
                && symbol.is_defined()
                && symbol.is_named(name)
            {
                return Some(symbol);
            }
            index = read::u32_at(self.chain, u64::from(index) * 4)?;
        }
        None
    }
}
