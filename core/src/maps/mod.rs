//! `/proc/PID/maps` as a table: what lies at an address, and where in which file.
//!
//! Only what classification and unwinding need is kept: executable regions, the other regions of
//! the files that have executable ones (the load bias follows from them), stacks. V8's heap makes
//! thousands of other mappings. Code pages that follow one another without a gap become one region.
//!
//! A pc becomes a file offset by the region it lies in, never by one bias for a file: V8 maps its
//! builtins a second time, far away from the rest of the executable.

mod copies;
mod line;
mod region;

use alloc::vec::Vec;

use memchr::memchr_iter;

pub use region::{Module, ModuleId, Region, RegionKind};

use crate::elf::Elf;
use crate::limits;
use copies::Copies;
use line::Line;

/// Suffix of a path whose file is gone.
const DELETED: &[u8] = b" (deleted)";

/// What did not fit or could not be read, over all updates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Regions beyond [`limits::REGIONS`].
    pub regions: u64,
    /// Files beyond [`limits::MODULES`], or whose path did not fit in [`limits::MODULE_PATH_BYTES`].
    pub modules: u64,
    /// Lines that are no mapping or are out of order.
    pub lines: u64,
}

/// A place in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilePlace {
    /// The file.
    pub module: ModuleId,
    /// Offset in it; in the vdso, offset in its image.
    pub offset: u64,
}

/// The regions of a process that matter, sorted, and the files behind them.
#[derive(Clone, Debug, Default)]
pub struct Maps {
    regions: Vec<Region>,
    modules: Vec<Module>,
    paths: Vec<u8>,
    copies: Copies,
    dropped: Dropped,
}

impl Maps {
    /// An empty table with its space reserved, so that no update allocates.
    pub fn new() -> Self {
        Maps {
            regions: Vec::with_capacity(limits::REGIONS),
            modules: Vec::with_capacity(limits::MODULES),
            paths: Vec::with_capacity(limits::MODULE_PATH_BYTES),
            copies: Copies::default(),
            dropped: Dropped::default(),
        }
    }

    /// Replaces the regions by those of a text of `/proc/PID/maps`. Modules keep their numbers.
    ///
    /// Regions that contain one of the addresses in `keep` (stack pointers) are kept whatever they
    /// are. A line that was cut at the end of the text is left out. Says whether files' code was
    /// mapped, unmapped or moved, so that what was learnt about a pc there no longer holds.
    pub fn update(&mut self, text: &[u8], keep: &[u64]) -> bool {
        let before = self.code_fingerprint();
        self.regions.clear();
        self.copies = Copies::default();
        for module in &mut self.modules {
            module.mapped = false;
        }
        for line in lines(text).filter_map(Line::parse).filter(|line| line.executable) {
            if has_module(RegionKind::of(&line)) {
                self.enter_module(&line);
            }
        }
        for text in lines(text) {
            match Line::parse(text) {
                Some(line) => self.enter_region(&line, keep),
                None => self.dropped.lines += 1,
            }
        }
        before != self.code_fingerprint()
    }

    /// A hash of all executable regions that have a module.
    fn code_fingerprint(&self) -> u64 {
        let code = self.regions.iter().filter(|region| region.executable && region.module.is_some());
        code.fold(0, |hash, region| {
            let module = region.module.map_or(0, |module| module.0.into());
            [region.start, region.end, region.offset, module].iter().fold(hash, |hash: u64, word| {
                (hash.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15)
            })
        })
    }

    /// The region an address lies in, if it is one of those kept; or the copy of a file's code.
    pub fn find(&self, address: u64) -> Option<&Region> {
        if let Some(copy) = self.copies.find(address) {
            return Some(copy);
        }
        self.last_from(address).filter(|region| region.contains(address))
    }

    /// The last region that starts at an address or before it.
    fn last_from(&self, address: u64) -> Option<&Region> {
        let after = self.regions.partition_point(|region| region.start <= address);
        self.regions.get(after.checked_sub(1)?)
    }

    /// Behind which address code may have come, since the last update, up to a pc that no region holds: the end of the
    /// JIT code before it, behind which the target keeps room for more.
    pub fn reserved(&self, pc: u64) -> Option<u64> {
        let before = self.last_from(pc)?;
        (before.end..before.reserved_end).contains(&pc).then_some(before.end)
    }

    /// The place of a pc in a file (or in the vdso); `None` in JIT code and outside code.
    pub fn place(&self, pc: u64) -> Option<FilePlace> {
        let region = self.find(pc).filter(|region| region.executable)?;
        Some(FilePlace { module: region.module?, offset: region.file_offset(pc) })
    }

    /// All regions, by address.
    pub fn regions(&self) -> &[Region] {
        &self.regions
    }

    /// The regions of one module, by address.
    pub fn regions_of(&self, module: ModuleId) -> impl Iterator<Item = &Region> {
        self.regions.iter().filter(move |region| region.module == Some(module))
    }

    /// Whether a module has enough code to hold V8: see [`may_hold_v8`].
    pub fn is_large(&self, module: ModuleId) -> bool {
        self.regions_of(module).any(|region| region.executable && region.end - region.start >= LEAST_V8)
    }

    /// All modules that were ever mapped; a module's number is its place.
    pub fn modules(&self) -> &[Module] {
        &self.modules
    }

    /// A module by number.
    pub fn module(&self, module: ModuleId) -> Option<&Module> {
        self.modules.get(usize::from(module.0))
    }

    /// A module's path as the target sees it, or `[vdso]`; empty for an unknown number.
    pub fn path(&self, module: ModuleId) -> &[u8] {
        self.module(module).map_or(&[], |module| self.path_of(module))
    }

    /// What was left out so far.
    pub const fn dropped(&self) -> Dropped {
        self.dropped
    }

    /// What must be added to an address of the file to get the target's: the one that most of the
    /// mapped bytes agree on, so that a second mapping of a part does not count. For variables and
    /// thread-local storage; for code, see [`Region::bias`].
    pub fn load_bias(&self, module: ModuleId, elf: &Elf<'_>) -> Option<u64> {
        if !elf.is_dyn() {
            return Some(0);
        }
        let mut votes = [(0_u64, 0_u64); 32];
        let mut used = 0;
        for region in self.regions_of(module) {
            for (bias, shared) in region.shared(elf) {
                if let Some(vote) = votes[..used].iter_mut().find(|vote| vote.0 == bias) {
                    vote.1 = vote.1.saturating_add(shared);
                } else if used < votes.len() {
                    votes[used] = (bias, shared);
                    used += 1;
                }
            }
        }
        votes[..used].iter().max_by_key(|vote| vote.1).map(|vote| vote.0)
    }

    fn path_of(&self, module: &Module) -> &[u8] {
        let (at, len) = (module.path.0 as usize, module.path.1 as usize);
        self.paths.get(at..at + len).unwrap_or_default()
    }

    fn module_of(&self, line: &Line<'_>) -> Option<usize> {
        let name = line.name.strip_suffix(DELETED).unwrap_or(line.name);
        self.modules.iter().position(|module| {
            module.inode == line.inode
                && module.device == line.device
                && unescaped(name).eq(self.path_of(module).iter().copied())
        })
    }

    fn enter_module(&mut self, line: &Line<'_>) {
        let name = line.name.strip_suffix(DELETED);
        let deleted = name.is_some();
        if let Some(known) = self.module_of(line) {
            self.modules[known].mapped = true;
            self.modules[known].deleted = deleted;
            return;
        }
        let at = self.paths.len();
        let len = unescaped(name.unwrap_or(line.name)).count();
        if self.modules.len() == limits::MODULES || at + len > limits::MODULE_PATH_BYTES {
            self.dropped.modules += 1;
            return;
        }
        self.paths.extend(unescaped(name.unwrap_or(line.name)));
        self.modules.push(Module {
            device: line.device,
            inode: line.inode,
            deleted,
            mapped: true,
            path: (at as u32, len as u32),
        });
    }

    fn enter_region(&mut self, line: &Line<'_>, keep: &[u64]) {
        let kind = RegionKind::of(line);
        let module = if has_module(kind) { self.module_of(line) } else { None };
        let module = module.filter(|index| self.modules[*index].mapped);
        let kept = line.executable
            || module.is_some()
            || kind == RegionKind::Stack
            || keep.iter().any(|address| (line.start..line.end).contains(address));
        if !kept {
            let has_permission = line.readable || line.writable || line.executable;
            if let Some(last) = self.regions.last_mut()
                && last.is_jit()
                && last.reserved_end == line.start
                && kind == RegionKind::Anonymous
                && !has_permission
            {
                last.reserved_end = line.end;
            }
            return;
        }
        self.dropped.regions += u64::from(!self.copies.consider(line));
        if let Some(last) = self.regions.last_mut() {
            if line.start < last.end {
                self.dropped.lines += 1;
                return;
            }
            if last.is_jit() && last.end == line.start && line.executable && kind == RegionKind::Anonymous {
                (last.end, last.reserved_end) = (line.end, line.end);
                last.writable |= line.writable;
                last.readable &= line.readable;
                return;
            }
        }
        if self.regions.len() == limits::REGIONS {
            self.dropped.regions += 1;
            return;
        }
        self.regions.push(Region {
            start: line.start,
            end: line.end,
            offset: if module.is_some() { line.offset } else { 0 },
            kind,
            readable: line.readable,
            writable: line.writable,
            executable: line.executable,
            module: module.map(|index| ModuleId(index as u16)),
            reserved_end: line.end,
        });
    }
}

/// The least code of a file that holds V8, in bytes: Node 0.8 has 7 MB of it, later ones more.
pub const LEAST_V8: u64 = 4 << 20;

/// Whether a text of `/proc/PID/maps` shows a file that can hold V8 by the size of its code, which few do.
pub fn may_hold_v8(text: &[u8]) -> bool {
    lines(text).filter_map(Line::parse).any(|line| is_large(&line))
}

fn is_large(line: &Line<'_>) -> bool {
    line.executable && line.inode != 0 && line.end - line.start >= LEAST_V8
}

/// Whether regions of a kind have a file, or an image that is as good as one.
const fn has_module(kind: RegionKind) -> bool {
    matches!(kind, RegionKind::File | RegionKind::Vdso)
}

/// The lines of a text, without a last one that has no end.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut start = 0;
    memchr_iter(b'\n', text).map(move |end| {
        let line = text.get(start..end).unwrap_or_default();
        start = end + 1;
        line
    })
}

/// A path as the file has it: the kernel writes a newline as `\012`, and nothing else otherwise.
fn unescaped(mut name: &[u8]) -> impl Iterator<Item = u8> {
    core::iter::from_fn(move || {
        if let Some(rest) = name.strip_prefix(b"\\012") {
            name = rest;
            return Some(b'\n');
        }
        let (first, rest) = name.split_first()?;
        name = rest;
        Some(*first)
    })
}

#[cfg(test)]
mod tests;
