//! Where the symbols of a stripped file may be: the places that distributions put them.

use alloc::format;
use alloc::vec::Vec;

use crate::elf::Elf;

/// Root of separate debug files.
const DEBUG_ROOT: &str = "/usr/lib/debug";

/// Paths, as the target sees them, of files that may hold the symbols of `elf`, whose own path is
/// `object`; the best first. To be opened where the target's files are, and checked by
/// [`belongs_to`].
///
/// First by build-id, then by the name in `.gnu_debuglink`: beside the file, in `.debug`, and under
/// the root with the file's own directory.
pub fn candidates(elf: &Elf<'_>, object: &[u8]) -> Vec<Vec<u8>> {
    let mut paths = Vec::new();
    if let Some([first, rest @ ..]) = elf.build_id()
        && !rest.is_empty()
    {
        let mut path = format!("{DEBUG_ROOT}/.build-id/{first:02x}/");
        rest.iter().for_each(|byte| path += &format!("{byte:02x}"));
        path += ".debug";
        paths.push(path.into_bytes());
    }
    let slash = object.iter().rposition(|byte| *byte == b'/');
    if let (Some(link), Some(slash)) = (elf.debug_link(), slash) {
        let directory = &object[..=slash];
        for path in [
            [directory, link.name].concat(),
            [directory, b".debug/", link.name].concat(),
            [DEBUG_ROOT.as_bytes(), directory, link.name].concat(),
        ] {
            if path != object {
                paths.push(path);
            }
        }
    }
    paths
}

/// Whether `debug` holds the symbols of `elf`: by build-id, or by the checksum of `.gnu_debuglink`
/// where one of them has none (which reads all of the file).
pub fn belongs_to(debug: &Elf<'_>, elf: &Elf<'_>) -> bool {
    if debug.machine() != elf.machine() {
        return false;
    }
    match (debug.build_id(), elf.build_id()) {
        (Some(theirs), Some(ours)) => theirs == ours,
        _ => elf.debug_link().is_some_and(|link| link.crc == crc32(debug.data())),
    }
}

/// CRC-32 as in `.gnu_debuglink` (that of zlib, gzip and Ethernet).
pub fn crc32(bytes: &[u8]) -> u32 {
    !crc32_with(!0, bytes)
}

/// The same of more bytes: from what the ones before gave to what all give, neither of them inverted yet; `!0` for
/// none.
pub fn crc32_with(crc: u32, bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut index = 0;
        while index < 256 {
            let mut value = index as u32;
            let mut bit = 0;
            while bit < 8 {
                value = if value & 1 == 1 { value >> 1 ^ 0xedb8_8320 } else { value >> 1 };
                bit += 1;
            }
            table[index] = value;
            index += 1;
        }
        table
    };
    bytes.iter().fold(crc, |crc: u32, byte| TABLE[usize::from(crc as u8 ^ byte)] ^ crc >> 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_usual_one() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }
}
