//! Stubs by which an object calls functions of others: its procedure linkage table, which has no symbols.

use crate::arch::Arch;
use crate::elf::Elf;
use core::ops::Range;

/// Sections that hold them: with lazy binding, without, and where the processor checks targets of jumps.
const SECTIONS: [&[u8]; 3] = [b".plt", b".plt.sec", b".plt.got"];

/// Sections that say of which function a stub's address is.
const RELOCATIONS: [&[u8]; 2] = [b".rela.plt", b".rela.dyn"];

/// Bytes of a stub, but for the first one's of a section on arm64, which are twice as many; those of `.plt.got` may be
/// half as many.
const STUB: u64 = 16;

/// Bytes of a relocation: `Elf64_Rela`.
const RELOCATION: usize = 24;

/// Addresses of the file between which an object's stubs lie: each kind of them has one piece of unwind information, as
/// if it were one function.
pub fn range(elf: &Elf<'_>) -> Range<u64> {
    let sections = SECTIONS.iter().filter_map(|name| elf.section(name));
    let ranges = sections.map(|section| section.vaddr..section.vaddr.saturating_add(section.size));
    ranges.reduce(|all, more| all.start.min(more.start)..all.end.max(more.end)).unwrap_or(0..0)
}

/// Where the stub begins that an address lies in, which is among them.
pub const fn start(address: u64) -> u64 {
    address & !(STUB - 1)
}

/// The name of the function, mangled as it stands, that the stub at an address of the file calls.
pub fn callee<'a>(elf: &Elf<'a>, address: u64) -> Option<&'a [u8]> {
    let section = SECTIONS
        .iter()
        .filter_map(|name| elf.section(name))
        .find(|section| (section.vaddr..section.vaddr.saturating_add(section.size)).contains(&address))?;
    let within = address - section.vaddr;
    // A stub of half the size may be the second one of these bytes.
    let place = [8, STUB].into_iter().find_map(|size| {
        let stub = section.vaddr.wrapping_add(within / size * size);
        slot(elf.machine(), elf.bytes_at(stub, size)?, stub)
    })?;
    let tables = RELOCATIONS.iter().filter_map(|name| elf.section_data(&elf.section(name)?));
    let symbol = tables.flat_map(|table| table.chunks_exact(RELOCATION)).find_map(|relocation| {
        let (at, info) = relocation.split_first_chunk()?;
        let info = u64::from_le_bytes(*info.first_chunk()?);
        (u64::from_le_bytes(*at) == place).then_some(info >> 32)
    })?;
    let name = elf.dynamic_symbols().get(usize::try_from(symbol).ok()?)?.name();
    (!name.is_empty()).then_some(name)
}

/// Where the address stands that a stub of these bytes jumps to.
fn slot(arch: Arch, stub: &[u8], at: u64) -> Option<u64> {
    match arch {
        // jmp [rip + distance], behind endbr64 or with a prefix.
        Arch::X86_64 => {
            let jump = stub.windows(6).position(|bytes| bytes.starts_with(&[0xff, 0x25]))?;
            let (_, rest) = stub.get(jump..)?.split_at_checked(2)?;
            let distance = i32::from_le_bytes(*rest.first_chunk()?);
            Some(at.wrapping_add(jump as u64 + 6).wrapping_add_signed(distance.into()))
        }
        // adrp x16, page; ldr x17, [x16, offset]; behind bti or not.
        Arch::Aarch64 => {
            let words = stub.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word));
            let mut pairs = (0..).step_by(4).zip(words.clone().zip(words.skip(1)));
            pairs.find_map(|(offset, (page, load))| {
                let is_pair = page & 0x9f00_001f == 0x9000_0010 && load & 0xffc0_03ff == 0xf940_0211;
                let pages = (page >> 5 & 0x7_ffff) << 2 | page >> 29 & 3;
                // Its 21 bits are signed.
                let pages = i64::from((pages << 11).cast_signed() >> 11);
                let base = at.wrapping_add(offset) & !0xfff;
                let offset = u64::from(load >> 10 & 0xfff) * 8;
                is_pair.then_some(base.wrapping_add_signed(pages << 12).wrapping_add(offset))
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_stub_says_where_the_address_stands_that_it_jumps_to() {
        // As in Node 22.23.3: mlock@plt, and one behind endbr64.
        let plain = [0xff, 0x25, 0xb2, 0xce, 0xcd, 0x05, 0x68, 0, 0, 0, 0, 0xe9, 0xe0, 0xff, 0xff, 0xff];
        assert_eq!(slot(Arch::X86_64, &plain, 0xe3_7030), Some(0x6b1_3ee8));
        let checked = [0xf3, 0x0f, 0x1e, 0xfa, 0xf2, 0xff, 0x25, 0x10, 0, 0, 0, 0x0f, 0x1f, 0x44, 0, 0];
        assert_eq!(slot(Arch::X86_64, &checked, 0x1000), Some(0x101b));
        assert_eq!(slot(Arch::X86_64, &[0x90; 16], 0x1000), None);
        // adrp x16, +0x11000; ldr x17, [x16, 0x18]; add x16, x16, 0x18; br x17.
        let arm: [u32; 4] = [0xb000_0090, 0xf940_0e11, 0x9100_6210, 0xd61f_0220];
        let bytes: [u8; 16] = arm.map(u32::to_le_bytes).as_flattened().try_into().unwrap();
        assert_eq!(slot(Arch::Aarch64, &bytes, 0x2_0460), Some(0x3_1018));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_stub_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..20), at: u64) {
            let _ = (slot(Arch::X86_64, &bytes, at), slot(Arch::Aarch64, &bytes, at));
        }
    }
}
