//! Section headers, and what only they lead to: `.symtab` and `.gnu_debuglink`.

use super::{Elf, SymbolTable, read};
use crate::limits;

/// Bytes of a section header in a 64-bit file.
pub(super) const HEADER_BYTES: u64 = 64;

/// `SHT_NOBITS`: takes no bytes in the file.
const NO_BITS: u32 = 8;

/// A section header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section {
    /// Offset of the name in the section that holds the names.
    pub(super) name_at: u32,
    /// `sh_type`.
    pub kind: u32,
    /// Address before the load bias is added; 0 where it is not loaded.
    pub vaddr: u64,
    /// First byte in the file.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
    /// `sh_link`: for a symbol table, the section of its strings.
    pub link: u32,
    /// `sh_info`.
    pub info: u32,
}

impl Section {
    fn read(data: &[u8], at: u64) -> Option<Section> {
        let header = read::range(data, at, HEADER_BYTES)?;
        Some(Section {
            name_at: read::u32_at(header, 0)?,
            kind: read::u32_at(header, 4)?,
            vaddr: read::u64_at(header, 16)?,
            offset: read::u64_at(header, 24)?,
            size: read::u64_at(header, 32)?,
            link: read::u32_at(header, 40)?,
            info: read::u32_at(header, 44)?,
        })
    }
}

/// The name and checksum of the file with this file's debug information (`.gnu_debuglink`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DebugLink<'a> {
    /// File name without a directory.
    pub name: &'a [u8],
    /// CRC-32 of that file.
    pub crc: u32,
}

impl<'a> Elf<'a> {
    /// The section with a number.
    pub fn section_at(&self, index: usize) -> Option<Section> {
        if index >= self.section_count {
            return None;
        }
        let at = self.section_stride.checked_mul(index as u64)?.checked_add(self.section_headers)?;
        Section::read(self.data, at)
    }

    /// All sections; none in a file without section headers.
    pub fn sections(&self) -> impl Iterator<Item = Section> + use<'a> {
        let elf = *self;
        (0..elf.section_count).map_while(move |index| elf.section_at(index))
    }

    /// The first section with a name.
    pub fn section(&self, name: &[u8]) -> Option<Section> {
        let names = self.section_data(&self.section_at(self.section_names)?)?;
        self.sections().find(|section| read::text_is(names, section.name_at.into(), name))
    }

    /// A section's bytes; `None` where they are not in this file, as in one with debug information alone.
    pub fn section_data(&self, section: &Section) -> Option<&'a [u8]> {
        if section.kind == NO_BITS {
            return None;
        }
        read::range(self.data, section.offset, section.size)
    }

    /// The symbols of a section of symbols.
    pub(super) fn symbol_table(&self, section: &Section) -> Option<SymbolTable<'a>> {
        let strings = self.section_at(usize::try_from(section.link).ok()?)?;
        Some(SymbolTable::new(self.section_data(section)?, self.section_data(&strings)?))
    }

    /// `.gnu_debuglink`: the name of the separate file with the symbols that were stripped.
    pub fn debug_link(&self) -> Option<DebugLink<'a>> {
        let data = self.section_data(&self.section(b".gnu_debuglink")?)?;
        let name = read::text_at(data, 0).filter(|name| !name.is_empty() && !name.contains(&b'/'))?;
        let crc_at = (name.len() as u64 + 1).next_multiple_of(4);
        Some(DebugLink { name, crc: read::u32_at(data, crc_at)? })
    }

    pub(super) fn read_section_headers(&mut self) {
        let header = self.data;
        let offset = read::u64_at(header, 40).unwrap_or(0);
        let stride = read::u16_at(header, 58).unwrap_or(0);
        if offset == 0 || u64::from(stride) < HEADER_BYTES {
            return;
        }
        self.section_headers = offset;
        self.section_stride = stride.into();
        self.section_count = 1;
        let Some(first) = self.section_at(0) else {
            self.section_count = 0;
            return;
        };
        // Numbers that do not fit their 16 bits stand in the first section.
        let count = match read::u16_at(header, 60).unwrap_or(0) {
            0 => first.size,
            count => count.into(),
        };
        self.section_names = match read::u16_at(header, 62).unwrap_or(0) {
            0xffff => first.link as usize,
            index => index.into(),
        };
        self.section_count = usize::try_from(count).unwrap_or(usize::MAX).min(limits::ELF_SECTIONS);
    }
}
