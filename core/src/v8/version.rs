//! V8's version, by which every layout is chosen: never Node's, whose majors span several.

use core::fmt;

/// V8's version, from `v8::internal::Version::{major_,minor_,build_,patch_}`.
///
/// Only major and minor order it: Node 0.12.0 carries 3.28.73 and Node 0.12.18 carries 3.28.71.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Version {
    /// Major number.
    pub major: u16,
    /// Minor number.
    pub minor: u16,
    /// Build number.
    pub build: u16,
    /// Patch level.
    pub patch: u16,
}

impl Version {
    /// The mangled names of the four parts, each a 4-byte int.
    pub const SYMBOLS: [&'static str; 4] = [
        "_ZN2v88internal7Version6major_E",
        "_ZN2v88internal7Version6minor_E",
        "_ZN2v88internal7Version6build_E",
        "_ZN2v88internal7Version6patch_E",
    ];

    /// Major and minor, as layouts are keyed.
    pub const fn key(self) -> (u16, u16) {
        (self.major, self.minor)
    }

    /// At or after `major.minor`.
    pub fn since(self, major: u16, minor: u16) -> bool {
        self.key() >= (major, minor)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}.{}", self.major, self.minor, self.build, self.patch)
    }
}

/// Values that hold from a version on, until the next row: how a layout's history is written down.
pub type Since<T> = &'static [((u16, u16), T)];

/// The value that holds at `version`; `None` before the first row.
pub fn at<T: Copy>(history: Since<T>, version: Version) -> Option<T> {
    history.iter().rev().find(|row| row.0 <= version.key()).map(|row| row.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_holds_until_the_next_one() {
        const HISTORY: Since<u8> = &[((6, 8), 1), ((11, 3), 2)];
        let at = |major, minor| at(HISTORY, Version { major, minor, ..Version::default() });
        assert_eq!(
            [at(6, 7), at(6, 8), at(11, 2), at(11, 3), at(15, 0)],
            [None, Some(1), Some(1), Some(2), Some(2)]
        );
    }
}
