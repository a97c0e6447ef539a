//! V8's `JSEntry`: how C++ enters JavaScript.

use super::{R13, R15, RBX};
use crate::arch::EntryFrame;

/// `Generate_JSEntryVariant` in V8's `src/builtins/x64/builtins-x64.cc`; from 12.9 on two more words follow.
pub static FRAME: EntryFrame = EntryFrame {
    previous_exit: -64,
    saved: &[(-24, 12), (-32, R13), (-40, 14), (-48, R15), (-56, RBX)],
    end: 16,
};

/// mov rax, [r13 + d]
const LOAD: [u8; 3] = [0x49, 0x8b, 0x85];

/// Places of `c_entry_fp` and `js_entry_sp` from the root register's value.
pub fn fields(code: &[u8]) -> [Option<i32>; 2] {
    // push [r13 + d]
    [[0x41, 0xff, 0xb5], LOAD].map(|pattern| {
        let at = memchr::memmem::find(code, &pattern)? + pattern.len();
        code.get(at..at + 4)?.try_into().ok().map(i32::from_le_bytes)
    })
}

/// Place of `active_stack` from the root register's value: after the address of a C++ function, which makes a stack
/// the active one, that is loaded (`SwitchToAllocatedStack` in `src/builtins/x64/builtins-x64.cc`).
pub fn active_stack(code: &[u8]) -> Option<i32> {
    let at = memchr::memmem::find_iter(code, &LOAD).nth(1)? + LOAD.len();
    code.get(at..at + 4)?.try_into().ok().map(i32::from_le_bytes)
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

    #[test]
    fn the_active_stack_is_what_is_loaded_after_a_function() {
        // mov rax, [r13 + 0x2a68]; call rax; mov rax, [r13 + 0xf290]; mov rsp, [rax + 0x18]
        let code =
            [0x49, 0x8b, 0x85, 0x68, 0x2a, 0, 0, 0xff, 0xd0, 0x49, 0x8b, 0x85, 0x90, 0xf2, 0, 0, 0x48, 0x8b];
        assert_eq!([active_stack(&code), active_stack(&code[..15])], [Some(0xf290), None]);
    }
}
