//! How much stack a compiled C or C++ function takes, by its first instructions.

use super::super::FrameSizes;

/// The distances from the stack pointer to the CFA that a function can have made where `saved` bytes of
/// registers and return address stand below the CFA. `code`: from its start to where it stands.
///
/// They are those of each `sub rsp, immediate`, alone and with those before it, and of none. What is data
/// in other instructions may look like one.
pub fn frame_sizes(code: &[u8], saved: u64) -> FrameSizes {
    let taken = code.windows(7).filter_map(|bytes| match *bytes {
        [0x48, 0x83, 0xec, size @ 0..=0x7f, ..] => Some(u64::from(size)),
        [0x48, 0x81, 0xec, a, b, c, d @ 0..=0x7f] => Some(u32::from_le_bytes([a, b, c, d]).into()),
        _ => None,
    });
    let mut sizes = FrameSizes::new(saved);
    taken.for_each(|size| sizes.take(size));
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_frame_is_as_large_as_its_prologue_takes() {
        // push rbp; mov rbp, rsp; push r15; sub rsp, 0x18; call +0
        let code = [0x55, 0x48, 0x89, 0xe5, 0x41, 0x57, 0x48, 0x83, 0xec, 0x18, 0xe8, 0, 0, 0, 0, 0x90, 0x90];
        assert_eq!(frame_sizes(&code, 24).as_slice(), [24, 24 + 0x18]);
        assert_eq!(frame_sizes(&code[..6], 24).as_slice(), [24], "its registers are all it has saved");
    }

    #[test]
    fn a_large_frame_is_taken_page_by_page() {
        // sub rsp, 0x1000; or qword [rsp], 0; sub rsp, 0x1000; sub rsp, 0x58
        let page = [0x48, 0x81, 0xec, 0, 0x10, 0, 0];
        let code =
            [&page[..], &[0x48, 0x83, 0x0c, 0x24, 0], &page, &[0x48, 0x83, 0xec, 0x58, 0, 0, 0]].concat();
        assert_eq!(frame_sizes(&code, 0).as_slice(), [0, 0x1000, 0x2000, 0x58, 0x2058]);
    }

    proptest! {
        #[test]
        fn any_bytes_give_an_answer(code in proptest::collection::vec(any::<u8>(), 0..256), saved: u64) {
            prop_assert!(!frame_sizes(&code, saved).as_slice().is_empty());
        }
    }
}
