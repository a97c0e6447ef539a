//! V8's `JSEntry`: how C++ enters JavaScript.

use super::{R13, R15, RBX};
use crate::arch::EntryFrame;

/// `Generate_JSEntryVariant` in V8's `src/builtins/x64/builtins-x64.cc`; from 12.9 on two more words follow.
pub static FRAME: EntryFrame = EntryFrame {
    previous_exit: -64,
    saved: &[(-24, 12), (-32, R13), (-40, 14), (-48, R15), (-56, RBX)],
    end: 16,
};

/// Places of `c_entry_fp` and `js_entry_sp` from the root register's value.
pub fn fields(code: &[u8]) -> [Option<i32>; 2] {
    // push [r13 + d]; mov rax, [r13 + d]
    [[0x41, 0xff, 0xb5], [0x49, 0x8b, 0x85]].map(|pattern| {
        let at = memchr::memmem::find(code, &pattern)? + pattern.len();
        code.get(at..at + 4)?.try_into().ok().map(i32::from_le_bytes)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_stand_in_the_loads_from_the_root_register() {
        // push rbp; push [r13 + 0x100]; mov rax, [r13 + 0x128]
        let code = [0x55, 0x41, 0xff, 0xb5, 0, 1, 0, 0, 0x49, 0x8b, 0x85, 0x28, 1, 0, 0];
        assert_eq!(fields(&code), [Some(0x100), Some(0x128)]);
        assert_eq!(fields(&code[..9]), [Some(0x100), None]);
    }
}
