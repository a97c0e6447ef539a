//! Source positions of full-codegen up to V8 5.1: records among others in the code's relocation info.

use super::layout::RelocationForm;
use super::position::Entry;

/// Entries of relocation info, which is written and read backwards. One that is cut off or garbled ends
/// early.
pub struct Entries<'a> {
    bytes: &'a [u8],
    form: RelocationForm,
    code: i64,
    position: i64,
}

/// What the data of a long record are.
enum Data {
    None,
    Position,
    Skip(usize),
}

impl<'a> Entries<'a> {
    /// The positions in relocation info.
    pub fn new(bytes: &'a [u8], form: RelocationForm) -> Self {
        Entries { bytes, form, code: 0, position: 0 }
    }

    fn byte(&mut self) -> Option<u8> {
        let (last, rest) = self.bytes.split_last()?;
        self.bytes = rest;
        Some(*last)
    }

    fn word(&mut self) -> Option<i32> {
        let mut bytes = [0; 4];
        for byte in &mut bytes {
            *byte = self.byte()?;
        }
        Some(i32::from_le_bytes(bytes))
    }

    /// Bits above the lowest six of a distance: seven a byte, low ones first; bit 0 says that it is the last.
    fn jump(&mut self) -> Option<()> {
        for shift in [6, 13, 20, 27] {
            let byte = self.byte()?;
            self.code = self.code.checked_add(i64::from(byte >> 1) << shift)?;
            if byte & 1 == 1 {
                break;
            }
        }
        Some(())
    }

    /// What follows a long record, once its distance is taken.
    fn long(&mut self, record: u8) -> Option<Data> {
        let what = record >> 2;
        match self.form {
            RelocationForm::Modes { jump, .. } if what == jump => return self.jump().map(|()| Data::None),
            RelocationForm::Modes { comment, words, .. } => {
                self.code = self.code.checked_add(self.byte()?.into())?;
                return Some(match what {
                    _ if what == comment => Data::Skip(8),
                    _ if what == comment + 1 || what == comment + 2 => Data::Position,
                    _ if words.contains(&what) => Data::Skip(4),
                    _ => Data::None,
                });
            }
            RelocationForm::Extra { .. } => {}
        }
        let has_pools = matches!(self.form, RelocationForm::Extra { has_pools: true });
        Some(match (what & 15, what >> 4) {
            (15, 1) => return self.jump().map(|()| Data::None),
            (14, 1 | 2) => Data::Position,
            (14, 0) => Data::Skip(4),
            (14, _) => Data::Skip(8),
            (13, top) if has_pools || top == 3 => Data::Skip(4),
            _ => {
                self.code = self.code.checked_add(self.byte()?.into())?;
                Data::None
            }
        })
    }
}

impl Iterator for Entries<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        loop {
            let record = self.byte()?;
            let delta = if record & 3 == 3 {
                match self.long(record)? {
                    Data::None => continue,
                    Data::Position => i64::from(self.word()?),
                    Data::Skip(bytes) => {
                        self.bytes = self.bytes.get(..self.bytes.len().checked_sub(bytes)?)?;
                        continue;
                    }
                }
            } else {
                self.code = self.code.checked_add(i64::from(record >> 2))?;
                if record & 3 != 2 {
                    continue;
                }
                let data = self.byte()?;
                if !matches!(data & 3, 1 | 2) {
                    continue;
                }
                i64::from(data.cast_signed() >> 2)
            };
            self.position = self.position.checked_add(delta)?;
            return Some(Entry { code: self.code, position: self.position.cast_unsigned() });
        }
    }
}

/// The position that holds at a code offset: that of the last entry at or before it, the largest if there
/// are several.
pub fn at_or_before(entries: Entries<'_>, offset: i64) -> Option<u64> {
    let before = entries.take_while(|entry| entry.code <= offset);
    before.max_by_key(|entry| (entry.code, entry.position)).map(|entry| entry.position)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    const EXTRA: RelocationForm = RelocationForm::Extra { has_pools: false };
    const MODES: RelocationForm = RelocationForm::Modes { comment: 7, jump: 21, words: &[1, 18, 19] };

    fn read(form: RelocationForm, records: &[&[u8]]) -> Vec<(i64, u64)> {
        let mut bytes = records.concat();
        bytes.reverse();
        Entries::new(&bytes, form).map(|entry| (entry.code, entry.position)).collect()
    }

    #[test]
    fn short_records_are_the_same_in_all_versions() {
        for form in [EXTRA, MODES] {
            // An object, a call, two positions, one of them back, a call's id.
            let records: [&[u8]; 5] =
                [&[3 << 2], &[5 << 2 | 1], &[7 << 2 | 2, 9 << 2 | 1], &[2, 0xfc | 2], &[2 << 2 | 2, 5 << 2]];
            assert_eq!(read(form, &records), [(15, 9), (15, 8)]);
        }
    }

    #[test]
    fn long_records_carry_far_distances_and_positions() {
        let far = [3 << 1, 1 << 1 | 1];
        let position = [&[0x10, 0x27, 0, 0][..]].concat();
        let extra: [&[u8]; 6] = [
            &[1 << 6 | 15 << 2 | 3, far[0], far[1]],
            &[2, 1 << 2 | 1],
            &[14 << 2 | 3, 9, 9, 9, 9],
            &[15 << 2 | 3, 100],
            &[2 << 6 | 14 << 2 | 3, position[0], position[1], position[2], position[3]],
            &[3 << 6 | 14 << 2 | 3, 1, 1, 1, 1, 1, 1, 1, 1],
        ];
        let at = (3 << 6) + (1 << 13);
        assert_eq!(read(EXTRA, &extra), [(at, 1), (at + 100, 10_001)]);
        let modes: [&[u8]; 5] = [
            &[21 << 2 | 3, far[0], far[1]],
            &[2, 1 << 2 | 1],
            &[1 << 2 | 3, 0, 9, 9, 9, 9],
            &[7 << 2 | 3, 0, 1, 1, 1, 1, 1, 1, 1, 1],
            &[8 << 2 | 3, 100, position[0], position[1], position[2], position[3]],
        ];
        assert_eq!(read(MODES, &modes), [(at, 1), (at + 100, 10_001)]);
    }

    #[test]
    fn of_several_positions_at_one_place_the_largest_holds() {
        let mut bytes = [&[4 << 2 | 2, 9 << 2 | 1][..], &[2, 0xfc | 2], &[4 << 2 | 2, 4 << 2 | 1]].concat();
        bytes.reverse();
        let at = |offset| at_or_before(Entries::new(&bytes, EXTRA), offset);
        assert_eq!([at(3), at(4), at(7), at(8)], [None, Some(9), Some(9), Some(12)]);
    }

    proptest! {
        #[test]
        fn garbage_ends(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            for form in [EXTRA, MODES, RelocationForm::Extra { has_pools: true }] {
                prop_assert!(Entries::new(&bytes, form).count() <= bytes.len());
            }
        }
    }
}
