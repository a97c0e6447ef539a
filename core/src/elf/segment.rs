//! Program headers: what the kernel maps where.

use super::read;

/// Bytes of a program header in a 64-bit file.
pub(crate) const HEADER_BYTES: u64 = 56;

/// What a segment is for (`p_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentKind {
    /// `PT_LOAD`: mapped into memory.
    Load,
    /// `PT_DYNAMIC`: the dynamic linker's table.
    Dynamic,
    /// `PT_INTERP`: the path of the program that loads this one.
    Interpreter,
    /// `PT_NOTE`: notes, the build-id among them.
    Note,
    /// `PT_TLS`: the image of the thread-local variables.
    Tls,
    /// `PT_GNU_EH_FRAME`: the search table of the unwind information.
    EhFrameHdr,
    /// Any other.
    Other(u32),
}

/// A program header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// What it is for.
    pub kind: SegmentKind,
    /// `PF_X` (1), `PF_W` (2), `PF_R` (4).
    pub flags: u32,
    /// First byte in the file.
    pub offset: u64,
    /// First address, before the load bias is added.
    pub vaddr: u64,
    /// Bytes in the file.
    pub filesz: u64,
    /// Bytes in memory: what exceeds `filesz` is zero.
    pub memsz: u64,
    /// Alignment in memory.
    pub align: u64,
}

impl Segment {
    pub(super) fn read(data: &[u8], at: u64) -> Option<Segment> {
        let header = read::range(data, at, HEADER_BYTES)?;
        let word = |offset| read::u64_at(header, offset);
        Some(Segment {
            kind: match read::u32_at(header, 0)? {
                1 => SegmentKind::Load,
                2 => SegmentKind::Dynamic,
                3 => SegmentKind::Interpreter,
                4 => SegmentKind::Note,
                7 => SegmentKind::Tls,
                0x6474_e550 => SegmentKind::EhFrameHdr,
                other => SegmentKind::Other(other),
            },
            flags: read::u32_at(header, 4)?,
            offset: word(8)?,
            vaddr: word(16)?,
            filesz: word(32)?,
            memsz: word(40)?,
            align: word(48)?,
        })
    }

    /// Whether its pages are executable.
    pub const fn executable(&self) -> bool {
        self.flags & 1 != 0
    }

    /// Whether its pages are writable.
    pub const fn writable(&self) -> bool {
        self.flags & 2 != 0
    }

    /// Whether `vaddr` lies in its memory, file-backed or zero.
    pub const fn contains(&self, vaddr: u64) -> bool {
        vaddr >= self.vaddr && vaddr - self.vaddr < self.memsz
    }

    /// The place in the file of `vaddr`, if it has one.
    pub const fn offset_of(&self, vaddr: u64) -> Option<u64> {
        if vaddr >= self.vaddr && vaddr - self.vaddr < self.filesz {
            self.offset.checked_add(vaddr - self.vaddr)
        } else {
            None
        }
    }

    /// The address of the file's byte at `offset`, if this segment maps it.
    pub const fn vaddr_of(&self, offset: u64) -> Option<u64> {
        if offset >= self.offset && offset - self.offset < self.filesz {
            self.vaddr.checked_add(offset - self.offset)
        } else {
            None
        }
    }
}
