//! A file's code in memory that has no file.
//!
//! Node moves its own code to huge pages (`--use-largepages`, 12 to 24), and V8, which has its builtins next to
//! the heap's code, copies them there where it cannot map the file again: on huge pages, or if its path has
//! led elsewhere since the start.

use core::ops::Range;

use super::line::Line;
use super::{FilePlace, Maps, ModuleId, Region, RegionKind};
use crate::elf::Elf;
use crate::limits;

/// No piece of such code is smaller: a huge page has 2 MiB, V8's builtins have 1 to 2.
const SMALLEST: u64 = 512 << 10;

/// What may be such code, and what is.
#[derive(Clone, Debug, Default)]
pub(super) struct Copies {
    candidates: [Range<u64>; limits::CODE_COPIES],
    count: usize,
    known: [Option<Region>; limits::CODE_COPIES],
}

impl Copies {
    /// Looks at a line; false if there is no room for it.
    pub(super) fn consider(&mut self, line: &Line<'_>) -> bool {
        let is_code = line.executable && !line.writable && RegionKind::of(line) == RegionKind::Anonymous;
        if !is_code || line.end - line.start < SMALLEST {
            return true;
        }
        let slot = self.candidates.get_mut(self.count);
        self.count += usize::from(slot.is_some());
        slot.map(|slot| *slot = line.start..line.end).is_some()
    }

    /// The copy an address lies in.
    pub(super) fn find(&self, address: u64) -> Option<&Region> {
        self.known.iter().map_while(Option::as_ref).find(|copy| copy.contains(address))
    }
}

impl Maps {
    /// Large regions of code that is neither a file's nor written to now, each as the kernel told it: a
    /// copy of a file's code may begin there.
    pub fn code_without_file(&self) -> &[Range<u64>] {
        self.copies.candidates.get(..self.copies.count).unwrap_or_default()
    }

    /// Takes a range for a copy of a file's code from a place on, until the next update.
    pub fn enter_copy(&mut self, range: Range<u64>, place: FilePlace) {
        let Some(slot) = self.copies.known.iter_mut().find(|slot| slot.is_none()) else {
            self.dropped.regions += 1;
            return;
        };
        *slot = Some(Region {
            start: range.start,
            end: range.end,
            offset: place.offset,
            kind: RegionKind::File,
            readable: true,
            writable: false,
            executable: true,
            module: Some(place.module),
            reserved_end: range.end,
        });
    }

    /// Takes code without a file for a file's where the file's own is to be: nothing else can be there
    /// as long as the rest of the file is mapped around it.
    pub fn find_moved_code(&mut self, module: ModuleId, elf: &Elf<'_>, bias: u64) {
        for load in elf.loads().filter(|load| load.executable()) {
            let start = load.vaddr.wrapping_add(bias);
            let end = start.saturating_add(load.filesz);
            for number in 0..self.copies.count {
                let Some(found) = self.copies.candidates.get(number) else { break };
                let moved = found.start.max(start)..found.end.min(end);
                if let Some(offset) = load.offset.checked_add(moved.start.wrapping_sub(start))
                    && !moved.is_empty()
                {
                    self.enter_copy(moved, FilePlace { module, offset });
                }
            }
        }
    }
}
