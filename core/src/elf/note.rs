//! Notes: the build-id.

use super::{Elf, SegmentKind, read};

/// `NT_GNU_BUILD_ID`.
const BUILD_ID: u32 = 3;

impl<'a> Elf<'a> {
    /// The build-id, by which separate debug files are found. At most 64 bytes; usually 20.
    pub fn build_id(&self) -> Option<&'a [u8]> {
        self.segments()
            .filter(|segment| segment.kind == SegmentKind::Note)
            .find_map(|segment| {
                let notes = read::range(self.data, segment.offset, segment.filesz)?;
                find_build_id(notes, if segment.align == 8 { 8 } else { 4 })
            })
            .or_else(|| {
                let section = self.section(b".note.gnu.build-id")?;
                find_build_id(self.section_data(&section)?, 4)
            })
    }
}

/// The GNU build-id among `notes`, whose parts are padded to `align` bytes.
fn find_build_id(notes: &[u8], align: u64) -> Option<&[u8]> {
    let mut at = 0;
    loop {
        let name_len = u64::from(read::u32_at(notes, at)?);
        let len = u64::from(read::u32_at(notes, at + 4)?);
        let kind = read::u32_at(notes, at + 8)?;
        let name_at = at + 12;
        let data_at = (name_at + name_len).next_multiple_of(align);
        if kind == BUILD_ID && read::range(notes, name_at, name_len) == Some(b"GNU\0") {
            return read::range(notes, data_at, len).filter(|id| (1..=64).contains(&id.len()));
        }
        at = (data_at + len).next_multiple_of(align);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_build_id_is_found_behind_another_note() {
        let mut notes = alloc::vec![4, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0];
        notes.extend(b"GNU\0abcd");
        notes.extend([4, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0]);
        notes.extend(b"GNU\0\x01\x02\x03");
        assert_eq!(find_build_id(&notes, 4), Some(&[1, 2, 3][..]));
        notes.pop();
        assert_eq!(find_build_id(&notes, 4), None);
    }
}
