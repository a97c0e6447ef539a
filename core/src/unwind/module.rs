//! The unwind information of one file: which function holds an address, and its rules there.

use gimli::{
    BaseAddresses, EhFrame, EhFrameOffset, EndianSlice, FrameDescriptionEntry, LittleEndian, UnwindContext,
    UnwindContextStorage, UnwindSection, UnwindTableRow, Vendor,
};

use super::StepError;
use crate::arch::Arch;
use crate::elf::{Elf, Placed, read};
use crate::limits;

pub(super) type Bytes<'a> = EndianSlice<'a, LittleEndian>;

/// Storage of gimli's row of rules, in place: arm64 has rules for 12 general and 8 vector registers.
#[derive(Debug)]
pub(super) struct Fixed;

impl UnwindContextStorage<usize> for Fixed {
    type Rules = [(gimli::Register, gimli::RegisterRule<usize>); 64];
    type Stack = [UnwindTableRow<usize, Self>; 8];
}

pub(super) type Context = UnwindContext<usize, Fixed>;
pub(super) type Row = UnwindTableRow<usize, Fixed>;
type Fde<'a> = FrameDescriptionEntry<Bytes<'a>>;

/// `.eh_frame` and its search table, at the file's own addresses.
#[derive(Clone, Copy, Debug)]
pub struct ModuleUnwind<'a> {
    arch: Arch,
    eh_frame: Placed<'a>,
    /// Pairs of function start and entry, each relative to `table_base`, sorted.
    table: &'a [[u8; 8]],
    table_base: u64,
}

impl<'a> ModuleUnwind<'a> {
    /// The unwind information of a file, or of the vdso's image; `None` where there is none.
    pub fn new(elf: &Elf<'a>) -> Option<ModuleUnwind<'a>> {
        let section = elf
            .section(b".eh_frame")
            .and_then(|section| Some(Placed { vaddr: section.vaddr, bytes: elf.section_data(&section)? }));
        let arch = elf.machine();
        if let Some((table_base, pointer, table)) = elf.eh_frame_hdr().and_then(search_table) {
            let whole = section.filter(|section| section.vaddr == pointer);
            let eh_frame = match whole {
                Some(whole) => whole,
                None => Placed { vaddr: pointer, bytes: elf.bytes_from(pointer)? },
            };
            return Some(ModuleUnwind { arch, eh_frame, table, table_base });
        }
        section.map(|eh_frame| ModuleUnwind { arch, eh_frame, table: &[], table_base: 0 })
    }

    /// Looks at every page of it, so that a stop has none of them to wait for: the target itself hardly ever
    /// reads them, and from a disk each takes milliseconds.
    pub fn warm(&self) {
        const PAGE: usize = 4096;
        const MOST: usize = 64 << 20;
        let pages = self.eh_frame.bytes.iter().take(MOST).step_by(PAGE);
        let entries = self.table.iter().take(MOST / 8).step_by(PAGE / 8).map(|entry| &entry[0]);
        core::hint::black_box(pages.chain(entries).fold(0, |sum, byte| sum ^ byte));
    }

    /// Unwind information without a search table, as a test made it up.
    #[cfg(any(test, fuzzing, feature = "lies"))]
    pub(crate) const fn of_section(arch: Arch, eh_frame: Placed<'a>) -> ModuleUnwind<'a> {
        ModuleUnwind { arch, eh_frame, table: &[], table_base: 0 }
    }

    /// The processor.
    pub const fn arch(&self) -> Arch {
        self.arch
    }

    /// Start and end of the function that holds an address, as the unwind information has it.
    pub fn function(&self, vaddr: u64) -> Option<(u64, u64)> {
        let fde = self.fde(vaddr).ok()?;
        Some((fde.initial_address(), fde.end_address()))
    }

    /// The largest stretch between two functions in `within` without unwind information: from the end of
    /// one to the start of the next. `None` without a search table.
    pub fn largest_gap(&self, within: &core::ops::Range<u64>) -> Option<core::ops::Range<u64>> {
        let start = |entry: &[u8; 8]| self.table_base.wrapping_add_signed(low(entry).into());
        let gap = |pair: &&[[u8; 8]]| start(&pair[1]).saturating_sub(start(&pair[0]));
        // A function may be large itself, so the widest few distances are looked at.
        let mut widest: [Option<&[[u8; 8]]>; 8] = [None; 8];
        let is_within =
            |pair: &&[[u8; 8]]| within.contains(&start(&pair[0])) && within.contains(&start(&pair[1]));
        for pair in self.table.windows(2).filter(is_within) {
            let least = widest.iter_mut().min_by_key(|pair| pair.as_ref().map_or(0, gap))?;
            if gap(&pair) > least.as_ref().map_or(0, gap) {
                *least = Some(pair);
            }
        }
        let gaps = widest.iter().flatten().filter_map(|pair| {
            let (_, end) = self.function(start(&pair[0]))?;
            Some(end..start(&pair[1]))
        });
        gaps.max_by_key(|gap| gap.end.saturating_sub(gap.start))
    }

    /// Number of functions in the search table.
    pub const fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is no search table.
    pub const fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    pub(super) fn section(&self) -> EhFrame<Bytes<'a>> {
        let mut section = EhFrame::new(self.eh_frame.bytes, LittleEndian);
        section.set_address_size(8);
        if self.arch == Arch::Aarch64 {
            // Opcode 0x2d is the state of pointer authentication there, register windows elsewhere.
            section.set_vendor(Vendor::AArch64);
        }
        section
    }

    /// The row of rules at an address, with the function's entry. `context` holds the row.
    pub(super) fn row<'c>(
        &self,
        vaddr: u64,
        context: &'c mut Context,
    ) -> Result<(Fde<'a>, &'c Row), StepError> {
        let fde = self.fde(vaddr)?;
        let row = fde
            .unwind_info_for_address(&self.section(), &self.bases(), context, vaddr)
            .map_err(|_| StepError::Malformed { vaddr })?;
        Ok((fde, row))
    }

    fn bases(&self) -> BaseAddresses {
        BaseAddresses::default().set_eh_frame(self.eh_frame.vaddr)
    }

    fn fde(&self, vaddr: u64) -> Result<Fde<'a>, StepError> {
        let none = StepError::NoInformation { vaddr };
        if self.table.is_empty() {
            return self.fde_by_scan(vaddr);
        }
        // Entries are 32-bit distances, so differences of more than that lie outside the table.
        let target = vaddr.wrapping_sub(self.table_base).cast_signed();
        let after = self.table.partition_point(|entry| i64::from(low(entry)) <= target);
        let entry = after.checked_sub(1).and_then(|at| self.table.get(at)).ok_or(none)?;
        let at = self.table_base.wrapping_add_signed(high(entry).into()).wrapping_sub(self.eh_frame.vaddr);
        let offset = usize::try_from(at).map_err(|_| StepError::Malformed { vaddr })?;
        let fde = self
            .section()
            .fde_from_offset(&self.bases(), EhFrameOffset(offset), EhFrame::cie_from_offset)
            .map_err(|_| StepError::Malformed { vaddr })?;
        if fde.contains(vaddr) { Ok(fde) } else { Err(none) }
    }

    /// Without a search table: entry after entry, which is good enough for the few small files without.
    fn fde_by_scan(&self, vaddr: u64) -> Result<Fde<'a>, StepError> {
        let (section, bases) = (self.section(), self.bases());
        let mut entries = section.entries(&bases);
        for _ in 0..limits::UNWIND_SCANNED_ENTRIES {
            let entry = entries.next().map_err(|_| StepError::Malformed { vaddr })?;
            if let Some(gimli::CieOrFde::Fde(partial)) = &entry {
                let fde = partial.parse(EhFrame::cie_from_offset);
                if let Ok(fde) = fde
                    && fde.contains(vaddr)
                {
                    return Ok(fde);
                }
            }
            if entry.is_none() {
                break;
            }
        }
        Err(StepError::NoInformation { vaddr })
    }
}

fn low(entry: &[u8; 8]) -> i32 {
    let [a, b, c, d, ..] = *entry;
    i32::from_le_bytes([a, b, c, d])
}

fn high(entry: &[u8; 8]) -> i32 {
    let [.., a, b, c, d] = *entry;
    i32::from_le_bytes([a, b, c, d])
}

/// The address of `.eh_frame` and the sorted table, in the one encoding that linkers write:
/// 32-bit distances, from the field for the section and from the header for the table.
fn search_table(header: Placed<'_>) -> Option<(u64, u64, &[[u8; 8]])> {
    const PCREL_SDATA4: u8 = 0x1b;
    const UDATA4: u8 = 0x03;
    const DATAREL_SDATA4: u8 = 0x3b;
    let bytes = header.bytes;
    if bytes.first_chunk() != Some(&[1, PCREL_SDATA4, UDATA4, DATAREL_SDATA4]) {
        return None;
    }
    let distance = read::u32_at(bytes, 4)?.cast_signed();
    let eh_frame = header.vaddr.wrapping_add(4).wrapping_add_signed(distance.into());
    let count = u64::from(read::u32_at(bytes, 8)?);
    let table = read::up_to(bytes, 12, count * 8)?.as_chunks().0;
    Some((header.vaddr, eh_frame, table))
}
