//! V8's `JSEntry`: how C++ enters JavaScript.

use super::{SP, X26, instructions};
use crate::arch::EntryFrame;

/// `Generate_JSEntryVariant` in V8's `src/builtins/arm64/builtins-arm64.cc`: x19 to x28 and d8 to d15 stand
/// above the frame pointer, the type's marker and `c_entry_fp` below.
pub static FRAME: EntryFrame = EntryFrame {
    previous_exit: -24,
    saved: &[
        (16, 19),
        (24, 20),
        (32, 21),
        (40, 22),
        (48, 23),
        (56, 24),
        (64, 25),
        (72, X26),
        (80, 27),
        (88, 28),
    ],
    end: 160,
};

/// Places of `c_entry_fp` and `js_entry_sp` from the root register's value: they are loaded into x10 and x11,
/// the first loads into these, from an address that is made of x26 and a constant in x16.
pub fn fields(code: &[u8]) -> [Option<i32>; 2] {
    let mut scratch = 0;
    // Distance from x26 of what registers point to.
    let mut distance: [Option<i32>; 32] = [None; 32];
    distance[X26] = Some(0);
    let mut found = [None; 2];
    for word in instructions(code) {
        let (to, from) = (word as usize & 31, word as usize >> 5 & 31);
        let immediate = (word >> 10 & 0xfff) as i32;
        match word & 0xffc0_0000 {
            // movz x16, #n
            0xd280_0000 if to == 16 => scratch = (word >> 5 & 0xffff) as i32,
            // add d, n, x16
            0x8b00_0000 if word >> 10 & 0x7ff == 16 << 6 && to != SP => {
                distance[to] = distance[from].map(|base| base.saturating_add(scratch));
            }
            // add d, n, #m; sub d, n, #m
            0x9100_0000 if to != SP => {
                distance[to] = distance[from].map(|base| base.saturating_add(immediate));
            }
            0xd100_0000 if to != SP => {
                distance[to] = distance[from].map(|base| base.saturating_sub(immediate));
            }
            // ldr d, [n, #8 * m]
            0xf940_0000 => {
                if let Some(field) = to.checked_sub(10).and_then(|at| found.get_mut(at))
                    && field.is_none()
                {
                    *field = distance[from].map(|base| base.saturating_add(immediate * 8));
                }
                distance[to] = None;
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn code(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn fields_are_read_in_every_form_that_v8_writes() {
        // Node 16: mov x16, #0x35b8; add x11, x26, x16; ldr x10, [x11]; mov x16, #0x35e0; add x12, x26, x16;
        // ldr x11, [x12]
        let far = [0xd286_b710, 0x8b10_034b, 0xf940_016a, 0xd286_bc10, 0x8b10_034c, 0xf940_018b];
        assert_eq!(fields(&code(&far)), [Some(0x35b8), Some(0x35e0)]);
        // Node 20: add x11, x26, #0x80; ldr x10, [x11]; add x12, x26, #0xa0; ldr x11, [x12]
        let near = [0x9102_034b, 0xf940_016a, 0x9102_834c, 0xf940_018b];
        assert_eq!(fields(&code(&near)), [Some(0x80), Some(0xa0)]);
        // Node 26: ldr x10, [x26, #72]; ldr x11, [x26, #224]
        assert_eq!(fields(&code(&[0xf940_274a, 0xf940_734b])), [Some(72), Some(224)]);
    }

    proptest! {
        #[test]
        fn any_bytes_give_an_answer(code in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = fields(&code);
        }
    }
}
