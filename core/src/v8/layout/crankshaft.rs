//! Crankshaft's safepoints and frame translations (`src/safepoint-table.h`, `src/deoptimizer.h` of each
//! version).

use crate::v8::version::{Since, Version, at};

/// What is known of Crankshaft's code of one V8.
#[derive(Clone, Copy, Debug)]
pub struct CrankshaftLayout {
    /// Lowest bit of the word behind a Code's flags that holds the safepoint table's offset.
    pub safepoints_shift: u8,
    /// Number of its bits.
    pub safepoints_bits: u8,
    /// DeoptimizationData's element with the translations.
    pub translations: u8,
    /// Its element with the first entry: each has four, the second is the translation's place.
    pub first_entry: u8,
    /// Number of operands of each instruction of a translation. The first begins one, the second is a
    /// function's frame.
    pub operands: &'static [u8],
}

impl CrankshaftLayout {
    pub(super) fn of(version: Version) -> Option<CrankshaftLayout> {
        const SAFEPOINTS: Since<(u8, u8)> =
            &[((3, 11), (0, 32)), ((3, 14), (6, 26)), ((3, 28), (1, 24)), ((4, 6), (1, 30))];
        // (translations, first entry)
        const ENTRIES: Since<(u8, u8)> = &[((3, 11), (0, 5)), ((3, 28), (2, 9)), ((4, 5), (0, 8))];
        const OPERANDS: Since<&[u8]> = &[
            ((3, 11), &[2, 3, 2, 2, 1, 1, 1, 1, 1, 1, 1, 0, 0]),
            ((3, 14), &[2, 3, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 0]),
            ((3, 28), &[2, 3, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]),
            ((4, 5), &[2, 3, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0]),
            ((5, 0), &[2, 3, 3, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]),
            ((5, 1), &[2, 3, 3, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]),
            ((5, 4), &[2, 3, 3, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]),
        ];
        if version.since(5, 6) {
            return None;
        }
        let (safepoints_shift, safepoints_bits) = at(SAFEPOINTS, version)?;
        let (translations, first_entry) = at(ENTRIES, version)?;
        Some(CrankshaftLayout {
            safepoints_shift,
            safepoints_bits,
            translations,
            first_entry,
            operands: at(OPERANDS, version)?,
        })
    }
}
