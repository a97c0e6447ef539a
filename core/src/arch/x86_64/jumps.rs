//! Jumps in machine code, by the instructions' bytes.

/// The offset that a jump with a 32-bit distance at an offset of code leads to: conditional ones, and `jmp`.
///
/// Instructions are not followed from their start, so what looks like a jump may be part of another
/// instruction: the target must tell.
pub fn jump(code: &[u8], at: usize) -> Option<i64> {
    let (length, distance) = match code.get(at..)? {
        [0x0f, 0x80..=0x8f, a, b, c, d, ..] => (6, [*a, *b, *c, *d]),
        [0xe9, a, b, c, d, ..] => (5, [*a, *b, *c, *d]),
        _ => return None,
    };
    Some(at as i64 + length + i64::from(i32::from_le_bytes(distance)))
}

/// The same for one whose distance is a single byte.
pub fn short(code: &[u8], at: usize) -> Option<i64> {
    match code.get(at..)? {
        [0x70..=0x7f | 0xeb, distance, ..] => Some(at as i64 + 2 + i64::from(*distance as i8)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn a_jump_tells_where_it_leads() {
        // nop; jo +16; jmp -11; a jump that is cut off
        let code = [0x90, 0x0f, 0x80, 16, 0, 0, 0, 0xe9, 0xf5, 0xff, 0xff, 0xff, 0x0f, 0x84, 0];
        let found: Vec<_> = (0..=code.len()).filter_map(|at| Some((at, jump(&code, at)?))).collect();
        assert_eq!(found, [(1, 23), (7, 1)]);
        // nop; jmp -3; jle +16; cut off
        let code = [0x90, 0xeb, 0xfd, 0x7e, 16, 0xeb];
        let found: Vec<_> = (0..=code.len()).filter_map(|at| Some((at, short(&code, at)?))).collect();
        assert_eq!(found, [(1, 0), (3, 21)]);
    }
}
