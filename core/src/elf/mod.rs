//! ELF files: segments, symbols, sections, notes, and where the unwind information lies.
//!
//! Everything is a bounds-checked little-endian read at whatever alignment the file has: single
//! executable applications move the program headers to odd offsets, patchelf moves the dynamic
//! section into segments of its own. Nothing is copied and nothing is kept but offsets, so an
//! [`Elf`] of a 150 MB file costs a few reads.

mod dynamic;
#[cfg(any(test, fuzzing, feature = "lies"))]
pub(crate) mod fixture;
mod note;
pub(crate) mod read;
mod section;
mod segment;
mod symbol;

use core::fmt;

pub use section::{DebugLink, Section};
pub use segment::{Segment, SegmentKind};
pub use symbol::{Binding, SECTION_ABSOLUTE, Symbol, SymbolKind, SymbolTable, Variable};

use crate::arch::Arch;
use crate::limits;
use dynamic::Dynamic;

/// Why bytes are not an ELF file that can be read here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElfError {
    /// It ends within its header.
    TooShort,
    /// It does not start with ELF's magic number.
    NotElf,
    /// Not 64-bit: `EI_CLASS`.
    Class(u8),
    /// Not little-endian: `EI_DATA`.
    Endianness(u8),
    /// A processor that is not known here: `e_machine`.
    Machine(u16),
    /// The program headers, at this offset, do not lie in the file.
    ProgramHeaders(u64),
    /// More program headers than [`limits::ELF_SEGMENTS`].
    TooManySegments(u32),
}

impl fmt::Display for ElfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ElfError::TooShort => write!(f, "the file ends within its ELF header"),
            ElfError::NotElf => write!(f, "not an ELF file"),
            ElfError::Class(1) => write!(f, "a 32-bit ELF file; only 64-bit ones can be read"),
            ElfError::Class(class) => write!(f, "an ELF file of unknown class {class}"),
            ElfError::Endianness(_) => write!(f, "an ELF file that is not little-endian"),
            ElfError::Machine(machine) => {
                write!(f, "an ELF file for machine {machine}; only x86-64 (62) and arm64 (183) are known")
            }
            ElfError::ProgramHeaders(at) => {
                write!(f, "the program headers, at offset {at:#x}, lie outside the file")
            }
            ElfError::TooManySegments(count) => {
                write!(f, "{count} program headers; at most {} are read", limits::ELF_SEGMENTS)
            }
        }
    }
}

impl core::error::Error for ElfError {}

/// Bytes at an address of the file's own address space (load bias not added).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed<'a> {
    /// Address of the first byte.
    pub vaddr: u64,
    /// The bytes.
    pub bytes: &'a [u8],
}

/// A 64-bit little-endian ELF file, or the image of one in memory (the vdso).
#[derive(Clone, Copy, Debug)]
pub struct Elf<'a> {
    data: &'a [u8],
    arch: Arch,
    kind: u16,
    program_headers: u64,
    program_stride: u64,
    program_count: usize,
    section_headers: u64,
    section_stride: u64,
    section_count: usize,
    section_names: usize,
    dynamic: Dynamic<'a>,
}

impl<'a> Elf<'a> {
    /// Reads the headers.
    pub fn parse(data: &'a [u8]) -> Result<Elf<'a>, ElfError> {
        let magic = data.first_chunk::<4>().ok_or(ElfError::TooShort)?;
        if magic != b"\x7fELF" {
            return Err(ElfError::NotElf);
        }
        let short = |value: Option<u16>| value.ok_or(ElfError::TooShort);
        match read::u8_at(data, 4).ok_or(ElfError::TooShort)? {
            2 => {}
            class => return Err(ElfError::Class(class)),
        }
        match read::u8_at(data, 5).ok_or(ElfError::TooShort)? {
            1 => {}
            endianness => return Err(ElfError::Endianness(endianness)),
        }
        let arch = match short(read::u16_at(data, 18))? {
            machine if machine == Arch::X86_64.elf_machine() => Arch::X86_64,
            machine if machine == Arch::Aarch64.elf_machine() => Arch::Aarch64,
            machine => return Err(ElfError::Machine(machine)),
        };
        // The last field of the header is at 62.
        short(read::u16_at(data, 62))?;
        let mut elf = Elf {
            data,
            arch,
            kind: short(read::u16_at(data, 16))?,
            program_headers: read::u64_at(data, 32).ok_or(ElfError::TooShort)?,
            program_stride: short(read::u16_at(data, 54))?.into(),
            program_count: 0,
            section_headers: 0,
            section_stride: 0,
            section_count: 0,
            section_names: 0,
            dynamic: Dynamic::default(),
        };
        elf.read_section_headers();
        elf.read_program_headers()?;
        elf.dynamic = Dynamic::read(&elf);
        Ok(elf)
    }

    fn read_program_headers(&mut self) -> Result<(), ElfError> {
        let mut count = u32::from(read::u16_at(self.data, 56).unwrap_or(0));
        if count == 0xffff {
            // PN_XNUM: the number stands in the first section.
            count = self.section_at(0).map_or(count, |first| first.info);
        }
        if count as usize > limits::ELF_SEGMENTS {
            return Err(ElfError::TooManySegments(count));
        }
        let outside = ElfError::ProgramHeaders(self.program_headers);
        if count > 0 {
            if self.program_stride < segment::HEADER_BYTES {
                return Err(outside);
            }
            read::range(self.data, self.program_headers, self.program_stride * u64::from(count))
                .ok_or(outside)?;
        }
        self.program_count = count as usize;
        Ok(())
    }

    /// The processor.
    pub const fn machine(&self) -> Arch {
        self.arch
    }

    /// Whether it is `ET_DYN`: a library or a position-independent executable.
    pub const fn is_dyn(&self) -> bool {
        self.kind == 3
    }

    /// All of the file's bytes.
    pub const fn data(&self) -> &'a [u8] {
        self.data
    }

    /// The program headers, in the file's order.
    pub fn segments(&self) -> impl Iterator<Item = Segment> + use<'a> {
        let (data, at, stride) = (self.data, self.program_headers, self.program_stride);
        // The range was checked when it was parsed.
        (0..self.program_count as u64).map_while(move |index| Segment::read(data, at + index * stride))
    }

    /// The segments that are mapped.
    pub fn loads(&self) -> impl Iterator<Item = Segment> + use<'a> {
        self.segments().filter(|segment| segment.kind == SegmentKind::Load)
    }

    /// The address at which a process of it starts: `_start`; 0 in most libraries.
    pub fn entry(&self) -> u64 {
        read::u64_at(self.data, 24).unwrap_or(0)
    }

    /// The segment of the thread-local variables.
    pub fn tls(&self) -> Option<Segment> {
        self.segments().find(|segment| segment.kind == SegmentKind::Tls)
    }

    /// The place in the file of an address; `None` in the zero-filled part of a segment too.
    pub fn offset_of(&self, vaddr: u64) -> Option<u64> {
        self.loads().find_map(|segment| segment.offset_of(vaddr))
    }

    /// The address of the file's byte at `offset`: in an executable segment where one maps it.
    pub fn vaddr_of(&self, offset: u64) -> Option<u64> {
        let place = |executable| {
            self.loads()
                .filter(move |segment| segment.executable() == executable)
                .find_map(|segment| segment.vaddr_of(offset))
        };
        place(true).or_else(|| place(false))
    }

    /// `len` bytes at an address, if the file holds all of them.
    pub fn bytes_at(&self, vaddr: u64, len: u64) -> Option<&'a [u8]> {
        read::range(self.bytes_from(vaddr)?, 0, len)
    }

    /// The bytes from an address to the end of its segment in the file.
    pub fn bytes_from(&self, vaddr: u64) -> Option<&'a [u8]> {
        self.loads().find_map(|segment| {
            let offset = segment.offset_of(vaddr)?;
            read::up_to(self.data, offset, segment.filesz - (offset - segment.offset))
        })
    }

    /// The 32-bit integer at an address. In the zero-filled part of a segment (`.bss`) it is 0.
    pub fn int_at(&self, vaddr: u64) -> Option<i32> {
        if let Some(bytes) = self.bytes_at(vaddr, 4) {
            return read::u32_at(bytes, 0).map(u32::cast_signed);
        }
        self.loads().any(|segment| segment.contains(vaddr) && segment.offset_of(vaddr).is_none()).then_some(0)
    }

    /// The 64-bit word at an address, under the same rule as [`int_at`](Self::int_at).
    pub fn word_at(&self, vaddr: u64) -> Option<u64> {
        if let Some(bytes) = self.bytes_at(vaddr, 8) {
            return read::u64_at(bytes, 0);
        }
        self.loads().any(|segment| segment.contains(vaddr) && segment.offset_of(vaddr).is_none()).then_some(0)
    }

    /// `.dynsym`: what the dynamic linker sees. Empty in a static executable.
    pub const fn dynamic_symbols(&self) -> SymbolTable<'a> {
        self.dynamic.symbols
    }

    /// `.symtab`: all symbols. Empty in a stripped file.
    pub fn symtab_symbols(&self) -> SymbolTable<'a> {
        // SHT_SYMTAB
        let section = self.sections().find(|section| section.kind == 2);
        section.and_then(|section| self.symbol_table(&section)).unwrap_or_default()
    }

    /// The defined dynamic symbol of a name, by `.gnu.hash`: well under a microsecond.
    ///
    /// `.symtab` has no hash: names that may be there alone are for [`find_variables`](Self::find_variables), which
    /// passes over it once for all of them.
    pub fn symbol(&self, name: &[u8]) -> Option<Symbol<'a>> {
        self.dynamic.find(name)
    }

    /// The defined variable for each of `wanted`: by hash, and by one pass over `.symtab` for those that are not
    /// dynamic (about a millisecond in Node's executable).
    pub fn find_variables<const N: usize>(&self, wanted: &[Variable<'_>; N]) -> [Option<Symbol<'a>>; N] {
        let mut found = wanted.each_ref().map(|variable| self.symbol(variable.name));
        self.symtab_symbols().find_variables(wanted, &mut found);
        found
    }

    /// Calls `each` for the defined variables whose name starts with `prefix`, in one pass over
    /// `.dynsym`, or over `.symtab` where `.dynsym` has none. Says how many there were.
    pub fn for_each_variable_with_prefix(&self, prefix: &[u8], mut each: impl FnMut(Symbol<'a>)) -> usize {
        let mut pass = |table: SymbolTable<'a>| {
            let matching = table.iter().filter(|symbol| symbol.is_variable() && symbol.starts_with(prefix));
            matching.map(&mut each).count()
        };
        match pass(self.dynamic_symbols()) {
            0 => pass(self.symtab_symbols()),
            count => count,
        }
    }

    /// The library's own name (`DT_SONAME`).
    pub const fn soname(&self) -> Option<&'a [u8]> {
        self.dynamic.soname
    }

    /// The path of the program that loads it (`PT_INTERP`): the C library's; a library has none.
    pub fn interpreter(&self) -> Option<&'a [u8]> {
        let segment = self.segments().find(|segment| segment.kind == SegmentKind::Interpreter)?;
        read::range(self.data, segment.offset, segment.filesz)
    }

    /// `.eh_frame_hdr`: the sorted table of functions with unwind information.
    pub fn eh_frame_hdr(&self) -> Option<Placed<'a>> {
        let segment = self.segments().find(|segment| segment.kind == SegmentKind::EhFrameHdr)?;
        let bytes = read::range(self.data, segment.offset, segment.filesz)?;
        Some(Placed { vaddr: segment.vaddr, bytes })
    }
}

#[cfg(test)]
mod tests;
