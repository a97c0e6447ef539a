//! One line of `/proc/PID/maps`.

/// A mapping as the kernel tells it:
/// `00400000-0048a000 r-xp 00000000 fd:03 960637 /bin/bash`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) readable: bool,
    pub(super) writable: bool,
    pub(super) executable: bool,
    pub(super) offset: u64,
    /// Major number in the upper half, minor number in the lower.
    pub(super) device: u64,
    pub(super) inode: u64,
    /// Path or name as it stands; a newline in a path is `\012`.
    pub(super) name: &'a [u8],
}

impl<'a> Line<'a> {
    /// `None` for what is not such a line, as one that was cut.
    #[inline(never)]
    pub(super) fn parse(line: &'a [u8]) -> Option<Line<'a>> {
        let (start, rest) = hex(line)?;
        let (end, rest) = hex(rest.strip_prefix(b"-")?)?;
        let (&[r, w, x, _shared], rest) = rest.strip_prefix(b" ")?.split_first_chunk()?;
        let (offset, rest) = hex(rest.strip_prefix(b" ")?)?;
        let (major, rest) = hex(rest.strip_prefix(b" ")?)?;
        let (minor, rest) = hex(rest.strip_prefix(b":")?)?;
        let (inode, rest) = decimal(rest.strip_prefix(b" ")?)?;
        if start >= end || !(rest.is_empty() || rest.starts_with(b" ")) {
            return None;
        }
        Some(Line {
            start,
            end,
            readable: r == b'r',
            writable: w == b'w',
            executable: x == b'x',
            offset,
            device: (major & 0xffff_ffff) << 32 | minor & 0xffff_ffff,
            inode,
            name: rest.trim_ascii_start(),
        })
    }
}

fn digits(text: &[u8], radix: u32) -> Option<(u64, &[u8])> {
    let mut value = 0_u64;
    let mut len = 0;
    while let Some(digit) = text.get(len).and_then(|byte| char::from(*byte).to_digit(radix)) {
        value = value.checked_mul(radix.into())?.checked_add(digit.into())?;
        len += 1;
    }
    (len > 0).then(|| (value, text.get(len..).unwrap_or_default()))
}

fn hex(text: &[u8]) -> Option<(u64, &[u8])> {
    digits(text, 16)
}

fn decimal(text: &[u8]) -> Option<(u64, &[u8])> {
    digits(text, 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_whole() {
        let line = Line::parse(b"00400000-00e37000 r-xp 00043000 103:5 960637      /opt/a b/node (deleted)")
            .unwrap();
        assert_eq!((line.start, line.end, line.offset), (0x400000, 0xe37000, 0x43000));
        assert_eq!((line.readable, line.writable, line.executable), (true, false, true));
        assert_eq!((line.device, line.inode), (0x103_0000_0005, 960637));
        assert_eq!(line.name, b"/opt/a b/node (deleted)");
    }

    #[test]
    fn an_anonymous_mapping_has_no_name() {
        assert_eq!(Line::parse(b"1000-2000 rwxp 00000000 00:00 0 ").unwrap().name, b"");
        assert_eq!(Line::parse(b"1000-2000 rwxp 00000000 00:00 0").unwrap().name, b"");
    }

    #[test]
    fn what_is_no_line_is_refused() {
        for text in [
            &b""[..],
            b"1000",
            b"1000-2000",
            b"2000-1000 r-xp 00000000 00:00 0",
            b"1000-2000 r-xp 00000000 00:00",
            b"1000-2000 r-xp 00000000 00:00 0x",
            b"11112222333344445-2000 r-xp 00000000 00:00 0",
            b"1000-2000 r-x",
        ] {
            assert_eq!(Line::parse(text), None);
        }
    }
}
