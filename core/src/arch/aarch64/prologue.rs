//! How much stack a compiled C or C++ function takes, by its first instructions.

use super::super::FrameSizes;
use super::instructions;

/// The distances from the stack pointer to the CFA that a C or C++ function can have made, by each
/// `sub sp, sp, #size` and each `stp …, [sp, #-size]!`, alone and with those before it. `code`: from its start
/// to where it stands.
pub fn frame_sizes(code: &[u8]) -> FrameSizes {
    let mut sizes = FrameSizes::new(0);
    for word in instructions(code) {
        // sub sp, sp, #imm12{, lsl #12}; stp of two 64-bit registers with write-back, imm7 words
        match word {
            _ if word & 0xff80_03ff == 0xd100_03ff => {
                sizes.take(u64::from(word >> 10 & 0xfff) << (12 * (word >> 22 & 1)));
            }
            _ if word & 0xffe0_03e0 == 0xa9a0_03e0 => sizes.take(u64::from(0x80 - (word >> 15 & 0x7f)) * 8),
            _ => {}
        }
    }
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_frame_is_as_large_as_its_prologue_takes() {
        // stp x29, x30, [sp, #-96]!; mov x29, sp; sub sp, sp, #0x1, lsl #12
        let code = [0xa9ba_7bfd_u32, 0x9100_03fd, 0xd140_07ff].map(u32::to_le_bytes).concat();
        assert_eq!(frame_sizes(&code).as_slice(), [0, 96, 0x1000, 0x1060]);
    }

    proptest! {
        #[test]
        fn any_bytes_give_an_answer(code in proptest::collection::vec(any::<u8>(), 0..256)) {
            prop_assert!(!frame_sizes(&code).as_slice().is_empty());
        }
    }
}
