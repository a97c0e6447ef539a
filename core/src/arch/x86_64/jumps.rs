//! Jumps in machine code, by the instructions' bytes.

/// The places in `code`, from its end backwards, at which a jump with a 32-bit distance may stand, each
/// with the offset that it leads to: conditional ones and `jmp`.
///
/// Instructions are not followed from their start, so what looks like a jump may be part of another
/// instruction: the target must tell.
pub fn backwards(code: &[u8]) -> impl Iterator<Item = (usize, i64)> + '_ {
    (0..code.len()).rev().filter_map(|at| jump(code, at))
}

/// The same from the start on.
pub fn forwards(code: &[u8]) -> impl Iterator<Item = (usize, i64)> + '_ {
    (0..code.len()).filter_map(|at| jump(code, at))
}

fn jump(code: &[u8], at: usize) -> Option<(usize, i64)> {
    let (length, distance) = match code.get(at..)? {
        [0x0f, 0x80..=0x8f, a, b, c, d, ..] => (6, [*a, *b, *c, *d]),
        [0xe9, a, b, c, d, ..] => (5, [*a, *b, *c, *d]),
        _ => return None,
    };
    Some((at, at as i64 + length + i64::from(i32::from_le_bytes(distance))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn jumps_are_met_from_the_end() {
        // nop; jo +16; jmp -11; a jump that is cut off
        let code = [0x90, 0x0f, 0x80, 16, 0, 0, 0, 0xe9, 0xf5, 0xff, 0xff, 0xff, 0x0f, 0x84, 0];
        let found: Vec<_> = backwards(&code).collect();
        assert_eq!(found, [(7, 1), (1, 23)]);
        assert!(forwards(&code).eq(found.into_iter().rev()));
    }
}
