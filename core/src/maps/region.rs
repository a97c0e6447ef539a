//! A range of addresses and the file behind it.

use super::line::Line;
use crate::elf::Elf;

/// What is behind a range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegionKind {
    /// A file, or memory that has a file's name (memfd, System V shared memory).
    File,
    /// Memory without a name, or with one given by `PR_SET_VMA_ANON_NAME`; JIT code if executable.
    Anonymous,
    /// The kernel's `[vdso]`: a whole ELF image in memory.
    Vdso,
    /// The kernel's `[vsyscall]` page of old system calls.
    Vsyscall,
    /// The main thread's `[stack]`.
    Stack,
    /// Any other name in brackets.
    Other,
}

impl RegionKind {
    pub(super) fn of(line: &Line<'_>) -> RegionKind {
        match line.name {
            b"" | b"[heap]" => RegionKind::Anonymous,
            b"[vdso]" => RegionKind::Vdso,
            b"[vsyscall]" => RegionKind::Vsyscall,
            name if name.starts_with(b"[anon") => RegionKind::Anonymous,
            // Linux 3.4 to 4.4 name threads' stacks too: [stack:TID].
            name if name.starts_with(b"[stack") => RegionKind::Stack,
            name if name.starts_with(b"[") => RegionKind::Other,
            _ => RegionKind::File,
        }
    }
}

/// A module's number: its place in [`Maps::modules`](super::Maps::modules), stable for the whole run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModuleId(pub u16);

/// A range of addresses of the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// First address.
    pub start: u64,
    /// Address behind the last.
    pub end: u64,
    /// Offset in the file of the first byte; 0 where there is no file.
    pub offset: u64,
    /// What is behind it.
    pub kind: RegionKind,
    /// Whether it can be read.
    pub readable: bool,
    /// Whether it can be written.
    pub writable: bool,
    /// Whether it holds code.
    pub executable: bool,
    /// The file, or the vdso.
    pub module: Option<ModuleId>,
    /// Of JIT code, the address behind what follows it and was set aside without any permission: V8 reserves the
    /// addresses of all code there will be, and makes pages of it as code comes. Else the region's end.
    pub reserved_end: u64,
}

impl Region {
    /// Whether `address` lies in it.
    pub const fn contains(&self, address: u64) -> bool {
        address >= self.start && address < self.end
    }

    /// The offset in the file of the byte at `address`, which must lie in the region.
    pub const fn file_offset(&self, address: u64) -> u64 {
        address.wrapping_sub(self.start).wrapping_add(self.offset)
    }

    /// What must be added to an address of the file to get the target's, in this region alone: V8's
    /// second mapping of its builtins has another one than the rest of the file.
    pub fn bias(&self, elf: &Elf<'_>) -> Option<u64> {
        self.shared(elf).max_by_key(|(_, shared)| *shared).map(|(bias, _)| bias)
    }

    /// For each segment that can be behind this region, the bias that it would mean and the bytes that
    /// both have. Neighbouring segments share a page of the file, so several can be.
    pub(super) fn shared<'a>(&self, elf: &Elf<'a>) -> impl Iterator<Item = (u64, u64)> + use<'a> {
        let region = *self;
        let region_end = region.offset.saturating_add(region.end.saturating_sub(region.start));
        elf.loads().filter(move |load| load.executable() == region.executable).filter_map(move |load| {
            let end = load.offset.saturating_add(load.filesz).min(region_end);
            let shared = end.checked_sub(load.offset.max(region.offset)).filter(|shared| *shared > 0)?;
            let start = region.start.wrapping_sub(region.offset);
            Some((start.wrapping_add(load.offset).wrapping_sub(load.vaddr), shared))
        })
    }

    /// Whether it is executable memory without a file: JIT code.
    pub const fn is_jit(&self) -> bool {
        self.executable && matches!(self.kind, RegionKind::Anonymous)
    }
}

/// A file that is mapped executable, or the vdso.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Module {
    /// Its device: major number in the upper half, minor in the lower. 0 for the vdso.
    pub device: u64,
    /// Its inode. 0 for the vdso.
    pub inode: u64,
    /// Whether the file was deleted, or replaced by another of its name.
    pub deleted: bool,
    /// Whether the last update saw it mapped.
    pub mapped: bool,
    /// Where its path starts in the pool of paths, and its bytes.
    pub(super) path: (u32, u32),
}
