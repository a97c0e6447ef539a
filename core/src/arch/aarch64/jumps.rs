//! Jumps in machine code, by the instructions.

/// The offset that a jump at an offset of code leads to: conditional ones, and `b`.
pub fn jump(code: &[u8], at: usize) -> Option<i64> {
    let word = u32::from_le_bytes(*code.get(at..)?.first_chunk()?);
    // A distance in instructions that stands from bit `low` on.
    let distance = |low: u32, bits: u32| i64::from((word >> low) as i32) << (64 - bits) >> (64 - bits);
    let words = match word >> 24 {
        // b.cond, cbz, cbnz
        0x54 if word & 0x10 == 0 => distance(5, 19),
        0x34 | 0x35 | 0xb4 | 0xb5 => distance(5, 19),
        // tbz, tbnz
        0x36 | 0x37 | 0xb6 | 0xb7 => distance(5, 14),
        0x14..=0x17 => distance(0, 26),
        _ => return None,
    };
    Some(at as i64 + words * 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_jump_tells_where_it_leads() {
        let jumps = [
            // b.ne +8; cbz x0, -4; cbnz w3, +0x100; tbnz w1, #3, -8; b -12; b +0x20000
            (0x5400_0041, 8),
            (0xb4ff_ffe0, -4),
            (0x3500_0803, 0x100),
            (0x371f_ffc1, -8),
            (0x17ff_fffd, -12),
            (0x1400_8000, 0x2_0000),
        ];
        for (word, distance) in jumps {
            let code = [[0; 4], u32::to_le_bytes(word)].concat();
            assert_eq!(jump(&code, 4), Some(4 + distance), "{word:08x}");
        }
        // bl, ret, add, cut off
        for word in [0x9400_0001u32, 0xd65f_03c0, 0x9100_43fd] {
            assert_eq!(jump(&word.to_le_bytes(), 0), None, "{word:08x}");
        }
        assert_eq!(jump(&[0x14; 3], 0), None);
    }
}
