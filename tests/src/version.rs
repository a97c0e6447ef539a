//! Node.js versions, ranges of them, and the lists that the tests go through.

use std::{fmt, str::FromStr};

/// The last release of every major from 16 on.
pub const MODERN: [Version; 11] = [
    Version::new(16, 20, 2),
    Version::new(17, 9, 1),
    Version::new(18, 20, 8),
    Version::new(19, 8, 1),
    Version::new(20, 20, 2),
    Version::new(21, 7, 3),
    Version::new(22, 23, 3),
    Version::new(23, 11, 1),
    Version::new(24, 21, 0),
    Version::new(25, 9, 0),
    Version::new(26, 10, 0),
];

/// The versions before 16 that are supported: last releases, and firsts where V8's layouts moved.
pub const CLASSIC: [Version; 22] = [
    Version::new(0, 8, 28),
    Version::new(0, 10, 0),
    Version::new(0, 10, 24),
    Version::new(0, 10, 48),
    Version::new(0, 12, 0),
    Version::new(0, 12, 18),
    Version::new(4, 9, 1),
    Version::new(5, 12, 0),
    Version::new(6, 17, 1),
    Version::new(7, 10, 1),
    Version::new(8, 0, 0),
    Version::new(8, 17, 0),
    Version::new(9, 11, 2),
    Version::new(10, 0, 0),
    Version::new(10, 24, 1),
    Version::new(11, 15, 0),
    Version::new(12, 0, 0),
    Version::new(12, 22, 12),
    Version::new(13, 14, 0),
    Version::new(14, 0, 0),
    Version::new(14, 21, 3),
    Version::new(15, 14, 0),
];

/// Releases between those of [`CLASSIC`] and [`MODERN`] whose V8 (6.0, 6.1, 6.7, 7.7, 8.3, 9.1) has a layout of its
/// own.
pub const BETWEEN: [Version; 6] = [
    Version::new(8, 4, 0),
    Version::new(8, 9, 4),
    Version::new(10, 4, 1),
    Version::new(12, 13, 1),
    Version::new(14, 5, 0),
    Version::new(16, 5, 0),
];

/// Releases whose Maglev writes no source positions, beside 23.
pub const MAGLEV_FIRST: [Version; 2] = [Version::new(22, 0, 0), Version::new(24, 0, 0)];

/// A Node.js release: `major.minor.patch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// The first number; for releases before 1.0 it is 0.
    pub major: u32,
    /// The second number.
    pub minor: u32,
    /// The third number.
    pub patch: u32,
}

impl Version {
    /// The release with these three numbers.
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self { major, minor, patch }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl FromStr for Version {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        let mut numbers = s.strip_prefix('v').unwrap_or(s).splitn(3, '.').map(str::parse);
        match (numbers.next(), numbers.next(), numbers.next()) {
            (Some(Ok(major)), Some(Ok(minor)), Some(Ok(patch))) => Ok(Self { major, minor, patch }),
            _ => Err(format!("{s:?} is no Node.js version; write it as 22.23.3")),
        }
    }
}

/// Versions from a first to a last one, both included, each given as a major or `major.minor`: `8..`,
/// `..0.12`, `16.11..20`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    first: (u32, u32),
    last: (u32, u32),
}

impl Range {
    /// Every version.
    pub const ALL: Self = Self { first: (0, 0), last: (u32::MAX, u32::MAX) };

    /// Whether `version` lies in the range; patch numbers do not matter.
    pub fn contains(&self, version: Version) -> bool {
        let v = (version.major, version.minor);
        self.first <= v && v <= self.last
    }
}

impl FromStr for Range {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        let bound = |text: &str, absent: u32| -> Result<(u32, u32), String> {
            let number = |n: &str| n.parse().map_err(|_| format!("{s:?} is no range of versions"));
            match text.split_once('.') {
                _ if text.is_empty() => Ok((absent, absent)),
                Some((major, minor)) => Ok((number(major)?, number(minor)?)),
                None => Ok((number(text)?, absent)),
            }
        };
        let (first, last) = s.split_once("..").ok_or_else(|| format!("{s:?} has no `..`"))?;
        Ok(Self { first: bound(first, 0)?, last: bound(last, u32::MAX)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_reads_back_as_it_prints() {
        let v: Version = "0.10.48".parse().unwrap();
        assert_eq!((v, v.to_string().as_str()), (Version::new(0, 10, 48), "0.10.48"));
        assert!("22".parse::<Version>().is_err());
    }

    #[test]
    fn a_range_holds_every_patch_and_minor_of_its_ends() {
        let range: Range = "12.22..14".parse().unwrap();
        assert!(!range.contains(Version::new(12, 0, 0)));
        assert!(range.contains(Version::new(12, 22, 12)) && range.contains(Version::new(14, 21, 3)));
        assert!(!range.contains(Version::new(15, 0, 0)));
        let old: Range = "..0.12".parse().unwrap();
        assert!(old.contains(Version::new(0, 12, 18)) && !old.contains(Version::new(4, 9, 1)));
    }
}
