//! Frame translations: the functions that an optimized frame holds, as V8 would rebuild them.

use super::layout::TranslationOps;
use super::position::varint;
use crate::limits::TRANSLATED_FRAMES;

/// A function's frame in a translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TranslatedFrame {
    /// Number of the function among the code's literals.
    pub literal: u32,
    /// Offset in its bytecode; -1 is its entry.
    pub offset: i32,
}

/// Where a translation is read. Its instructions may stand in an earlier one.
struct Cursor<'a> {
    bytes: &'a [u8],
    ops: &'a TranslationOps,
    at: usize,
    /// In the earlier translation.
    before: usize,
    /// Instructions still to be taken from the earlier translation, the current one counted.
    repeated: u64,
    /// Instructions by which `before` lags.
    behind: u32,
}

/// Calls `frame` for each function's frame of the translation that begins at `start`, the outermost first.
///
/// `None`: the bytes are no translation; some frames may have been told of.
pub fn frames(
    bytes: &[u8],
    start: usize,
    ops: &TranslationOps,
    mut frame: impl FnMut(TranslatedFrame),
) -> Option<()> {
    let mut cursor = Cursor { bytes, ops, at: start, before: 0, repeated: 0, behind: 0 };
    let mut left = cursor.begin()?;
    while left > 0 {
        let op = cursor.next()?;
        let count = *ops.operands.get(usize::from(op))?;
        let is_function = ops.function.contains(&op);
        let mut operands = [0; 2];
        for at in 0..usize::from(count) {
            let value = cursor.operand()?;
            if let Some(operand) = operands.get_mut(at) {
                *operand = signed(value);
            }
        }
        if is_function {
            let [offset, literal] = operands;
            frame(TranslatedFrame {
                literal: u32::try_from(literal).ok()?,
                offset: i32::try_from(offset).ok()?,
            });
        }
        left -= u64::from(is_function || ops.builtin.contains(&op));
    }
    Some(())
}

impl Cursor<'_> {
    /// Takes the first instruction and gives the number of JavaScript frames.
    fn begin(&mut self) -> Option<u64> {
        let op = *self.bytes.get(self.at)?;
        if !self.ops.begin.contains(&op) {
            return None;
        }
        let begin = self.at;
        self.at += 1;
        let back = self.operand()?;
        self.operand()?;
        let frames = signed(self.operand()?);
        if back > 0 {
            self.before = begin.checked_sub(usize::try_from(back).ok()?)?;
        }
        self.behind = 1;
        u64::try_from(frames).ok().filter(|frames| *frames <= TRANSLATED_FRAMES)
    }

    fn next(&mut self) -> Option<u8> {
        self.repeated = self.repeated.saturating_sub(1);
        if self.repeated > 0 {
            return self.op_before();
        }
        let op = *self.bytes.get(self.at)?;
        self.at += 1;
        if self.ops.begin.contains(&op) {
            return None;
        }
        self.repeated = match usize::from(op).checked_sub(self.ops.operands.len()) {
            Some(repeated) => repeated as u64,
            None if op == self.ops.repeat => take(self.bytes, &mut self.at)?,
            None => {
                self.behind += 1;
                return Some(op);
            }
        };
        for _ in 0..core::mem::take(&mut self.behind) {
            let op = self.op_before()?;
            for _ in 0..*self.ops.operands.get(usize::from(op))? {
                take(self.bytes, &mut self.before)?;
            }
        }
        // One that repeats nothing is none.
        if self.repeated == 0 { None } else { self.op_before() }
    }

    fn op_before(&mut self) -> Option<u8> {
        let op = *self.bytes.get(self.before)?;
        self.before += 1;
        Some(op)
    }

    fn operand(&mut self) -> Option<u64> {
        take(self.bytes, if self.repeated > 0 { &mut self.before } else { &mut self.at })
    }
}

/// The unsigned number at an offset, which then stands behind it.
fn take(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let rest = bytes.get(*at..)?;
    let mut after = rest;
    let value = varint(&mut after)?;
    *at += rest.len() - after.len();
    Some(value)
}

/// A signed operand: its lowest bit is the sign.
fn signed(value: u64) -> i64 {
    let magnitude = (value >> 1) as i64;
    if value & 1 == 1 { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v8::fixture::layout_of;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    const BEGIN: u8 = 14;
    const FUNCTION: u8 = 1;
    const CONSTRUCT: u8 = 4;
    const LITERAL: u8 = 39;
    const REPEAT: u8 = 44;

    fn ops() -> TranslationOps {
        layout_of(13, 6).translation.unwrap().ops
    }

    /// A signed operand.
    fn int(value: i8) -> u8 {
        value.unsigned_abs() << 1 | u8::from(value < 0)
    }

    fn begin(back: u8, frames: i8) -> [u8; 4] {
        [BEGIN, back, int(frames + 1), int(frames)]
    }

    fn function(offset: i8, literal: i8) -> [u8; 5] {
        [FUNCTION, int(offset), int(literal), int(0), 3]
    }

    fn read(bytes: &[u8], start: usize) -> Option<Vec<(u32, i32)>> {
        let mut found = Vec::new();
        frames(bytes, start, &ops(), |frame| found.push((frame.literal, frame.offset)))?;
        Some(found)
    }

    /// Two functions with a constructor's frame and values between them.
    fn basis() -> Vec<u8> {
        let values = [LITERAL, int(5), 42, int(1)];
        [&begin(0, 2)[..], &function(17, 9), &values, &[CONSTRUCT, int(2), 1], &values, &function(-1, 4)]
            .concat()
    }

    #[test]
    fn functions_are_told_from_the_outermost_on() {
        assert_eq!(read(&basis(), 0), Some([(9, 17), (4, -1)].to_vec()));
    }

    #[test]
    fn what_an_earlier_translation_has_is_not_written_again() {
        let ops = ops().operands.len() as u8;
        let mut bytes = basis();
        let start = bytes.len();
        // All but the last frame, in the short form and in the long one.
        bytes.extend(begin(start as u8, 2));
        bytes.extend([&[ops + 6][..], &function(3, 4)].concat());
        let third = bytes.len();
        bytes.extend(begin(third as u8, 2));
        bytes.extend([&function(5, 9)[..], &[REPEAT, 6]].concat());
        assert_eq!(read(&bytes, start), Some([(9, 17), (4, 3)].to_vec()));
        assert_eq!(read(&bytes, third), Some([(9, 5), (4, -1)].to_vec()));
    }

    #[test]
    fn a_translation_that_is_cut_off_or_begins_elsewhere_is_none() {
        let bytes = basis();
        assert_eq!(read(&bytes[..bytes.len() - 1], 0), None);
        assert_eq!(read(&bytes, 1), None);
        assert_eq!(read(&bytes, 1000), None);
    }

    proptest! {
        #[test]
        fn any_bytes_end(mut bytes in proptest::collection::vec(0u8..60, 1..300), start in 0usize..300) {
            let at = start % bytes.len();
            bytes[at] = BEGIN;
            let mut count = 0;
            let _ = frames(&bytes, start, &ops(), |_| count += 1);
            prop_assert!(count <= TRANSLATED_FRAMES);
        }
    }
}
