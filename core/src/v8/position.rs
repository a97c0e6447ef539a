//! Source position tables: from an offset in code to an offset in the source.

use super::layout::{PositionForm, PositionLayout};

/// A position as V8 writes it in its tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourcePosition {
    /// Offset in the source of the script, in characters; `None`: V8 has none for this code.
    pub offset: Option<u32>,
    /// Which inlined call it lies in, from 1; 0: in the function itself.
    pub inlining: u16,
}

impl SourcePosition {
    /// Takes apart a raw position (`src/codegen/source-position.h`): the script offset plus one in
    /// the low 31 bits (above a flag since 7.4), the inlining's number plus one from bit 31 on.
    pub fn from_raw(raw: u64, layout: &PositionLayout) -> SourcePosition {
        let offset = ((raw & 0x7fff_ffff) >> layout.shift) as u32;
        SourcePosition { offset: offset.checked_sub(1), inlining: (raw >> 31) as u16 }
    }
}

/// One entry: from this code offset on, this position holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Offset in the code or bytecode.
    pub code: i64,
    /// Raw position.
    pub position: u64,
}

/// Entries of a table, in the order of their code offsets. A table that is cut off or garbled ends
/// early.
pub struct Entries<'a> {
    bytes: &'a [u8],
    form: PositionForm,
    code: i64,
    position: i64,
}

impl<'a> Entries<'a> {
    /// The entries of a table's bytes; none where this V8 has no such tables.
    pub fn new(bytes: &'a [u8], layout: &PositionLayout) -> Self {
        let (bytes, form) = match layout.form {
            Some(form) => (bytes, form),
            None => (&[][..], PositionForm::SignedDelta),
        };
        Entries { bytes, form, code: layout.first_code_offset.into(), position: 0 }
    }

    fn varint(&mut self) -> Option<u64> {
        varint(&mut self.bytes)
    }
}

/// Takes an unsigned varint: 7 bits a byte, low ones first, bit 7 says that more follow.
pub fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn zigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

impl Iterator for Entries<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        let code = self.varint()?;
        let delta = match self.form {
            PositionForm::SignedDelta => match zigzag(code) {
                // An expression's entry.
                negative @ ..0 => !negative,
                delta => delta,
            },
            // Bit 0: a statement. Bit 1: another flag.
            PositionForm::FlagBits => (code >> 2) as i64,
        };
        let position = zigzag(self.varint()?);
        self.code = self.code.checked_add(delta)?;
        self.position = self.position.checked_add(position)?;
        Some(Entry { code: self.code, position: self.position as u64 })
    }
}

/// The entry that holds at a code offset: the last one at or before it.
pub fn entry_at(entries: Entries<'_>, offset: i64) -> Option<Entry> {
    entries.take_while(|entry| entry.code <= offset).last()
}

/// The position that holds at a code offset.
pub fn at_or_before(entries: Entries<'_>, offset: i64) -> Option<u64> {
    entry_at(entries, offset).map(|entry| entry.position)
}

/// What a table tells of a place where optimized code was interrupted: raw positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupted {
    /// The one that holds there.
    pub here: u64,
    /// The one that held before it.
    pub before: Option<u64>,
    /// The one that holds behind it.
    pub behind: Option<u64>,
}

impl Interrupted {
    /// At a code offset. The function's start, the position of a table's first entry, is none in the midst of its
    /// code: V8 12.4 gives it to some instructions of a loop (arm64, Node 22).
    pub fn at(mut entries: Entries<'_>, offset: i64) -> Option<Interrupted> {
        let first = entries.next().filter(|entry| entry.code <= offset)?.position;
        let mut found = Interrupted { here: first, before: None, behind: None };
        for entry in entries.filter(|entry| entry.position != first) {
            if entry.code > offset {
                found.behind = Some(entry.position);
                break;
            }
            found = Interrupted { here: entry.position, before: Some(found.here), behind: None };
        }
        Some(found)
    }

    /// The position, which is not that of the instruction's own function where V8 12.4 has moved it there from
    /// elsewhere (arm64, Node 22): between others of one inlined function stands one of the call at which that was
    /// inlined, or of a function that this call is not in. `call`: where the function of a position was inlined.
    pub fn position(self, layout: &PositionLayout, call: impl FnOnce(u16) -> Option<u64>) -> u64 {
        let inlining = |raw: u64| SourcePosition::from_raw(raw, layout).inlining;
        let Some(before) = self.before.filter(|before| !matches!(inlining(*before), 0)) else {
            return self.here;
        };
        let function = inlining(before);
        if function == inlining(self.here) {
            return self.here;
        }
        let Some(call) = call(function) else { return self.here };
        let goes_on = self.behind.is_some_and(|behind| inlining(behind) == function);
        let is_strange = call == self.here || goes_on && inlining(call) != inlining(self.here);
        if is_strange { before } else { self.here }
    }
}

/// The position of the first entry behind a code offset.
pub fn first_behind(mut entries: impl Iterator<Item = Entry>, offset: i64) -> Option<u64> {
    entries.find(|entry| entry.code > offset).map(|entry| entry.position)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v8::layout::{Constants, Layout};
    use crate::v8::version::Version;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn layout(form: PositionForm) -> PositionLayout {
        let constants: &dyn Constants = &|_: &str| None;
        let version = Version { major: 3, minor: 14, ..Version::default() };
        let layout = Layout::of(version, constants).unwrap();
        PositionLayout { form: Some(form), first_code_offset: -1, shift: 1, ..layout.positions }
    }

    #[test]
    fn the_functions_start_in_the_midst_of_its_code_is_no_place() {
        let layout = layout(PositionForm::SignedDelta);
        let mut table = Vec::new();
        // Code offsets 0, 8, 16, 24 with positions 10, 20, 10, 30.
        for (code, position) in [(1, 10), (8, 10), (8, -10), (8, 20)] {
            put(fold(code), &mut table);
            put(fold(position), &mut table);
        }
        let at = |offset| {
            Interrupted::at(Entries::new(&table, &layout), offset)
                .map(|found| found.position(&layout, |_| None))
        };
        assert_eq!([at(-1), at(0), at(9), at(17), at(30)], [None, Some(10), Some(20), Some(20), Some(30)]);
        assert_eq!(at_or_before(Entries::new(&table, &layout), 17), Some(10));
    }

    #[test]
    fn a_place_of_another_function_amid_an_inlined_one_is_none() {
        let layout = layout(PositionForm::SignedDelta);
        let raw = |offset: u64, inlining: u64| (offset + 1) << 1 | inlining << 31;
        // Function 2 was inlined into function 1, that into the code's own, at 50; function 3 as well.
        let call = |function| Some(if function == 2 { raw(60, 1) } else { raw(50, 0) });
        let position = |here, behind| {
            let found = Interrupted { here, before: Some(raw(7, 2)), behind: Some(behind) };
            found.position(&layout, call)
        };
        let (same, other) = (raw(8, 2), raw(9, 3));
        assert_eq!(position(raw(60, 1), other), raw(7, 2), "the call itself");
        assert_eq!(position(raw(61, 1), same), raw(61, 1), "its caller, in a loop around it");
        assert_eq!([position(raw(51, 0), same), position(other, same)], [raw(7, 2); 2]);
        assert_eq!([position(raw(51, 0), other), position(other, other)], [raw(51, 0), other]);
    }

    fn put(mut value: u64, into: &mut Vec<u8>) {
        while value >= 0x80 {
            into.push(value as u8 | 0x80);
            value >>= 7;
        }
        into.push(value as u8);
    }

    fn fold(value: i64) -> u64 {
        (value << 1 ^ value >> 63) as u64
    }

    proptest! {
        #[test]
        fn what_v8_would_write_is_read_back(
            deltas in proptest::collection::vec((0i64..5000, -100_000i64..100_000, any::<bool>()), 0..50)
        ) {
            let (mut signed, mut flagged, mut oracle) = (Vec::new(), Vec::new(), Vec::new());
            let (mut code, mut position) = (-1i64, 0i64);
            for (delta, step, statement) in deltas {
                put(fold(if statement { delta } else { -delta - 1 }), &mut signed);
                put((delta << 2 | i64::from(statement)) as u64, &mut flagged);
                put(fold(step), &mut signed);
                put(fold(step), &mut flagged);
                code += delta;
                position += step;
                oracle.push(Entry { code, position: position as u64 });
            }
            let signed: Vec<_> = Entries::new(&signed, &layout(PositionForm::SignedDelta)).collect();
            let flagged: Vec<_> = Entries::new(&flagged, &layout(PositionForm::FlagBits)).collect();
            prop_assert_eq!(&signed, &oracle);
            prop_assert_eq!(&flagged, &oracle);
        }

        #[test]
        fn garbage_ends(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let entries = Entries::new(&bytes, &layout(PositionForm::FlagBits));
            prop_assert!(entries.count() <= bytes.len());
        }
    }

    #[test]
    fn a_position_tells_offset_and_inlining() {
        let layout = layout(PositionForm::SignedDelta);
        let raw = (41 + 1) << 1 | 3 << 31;
        assert_eq!(SourcePosition::from_raw(raw, &layout), SourcePosition { offset: Some(41), inlining: 3 });
        assert_eq!(SourcePosition::from_raw(0, &layout).offset, None);
    }
}
