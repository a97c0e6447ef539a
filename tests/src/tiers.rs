//! The tiers of V8 that a test can force by flags on the target.

use std::{fmt, str::FromStr};

use crate::version::Version;

/// What the target's flags let V8 do with its functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tier {
    /// No flags: what users run.
    Default,
    /// Every tier, but no function is inlined into another.
    NotInlined,
    /// The interpreter alone; before Node 8.2 the full code generator alone.
    Unoptimized,
    /// Sparkplug for every function at once.
    Sparkplug,
    /// Maglev as the last tier, without inlining.
    Maglev,
    /// Maglev as the last tier, which inlines.
    MaglevInlining,
    /// The optimizing compiler for every function at its first call, without inlining.
    Optimized,
}

impl Tier {
    /// Every tier, in the order of tables.
    pub const ALL: [Self; 7] = [
        Self::Default,
        Self::NotInlined,
        Self::Unoptimized,
        Self::Sparkplug,
        Self::Maglev,
        Self::MaglevInlining,
        Self::Optimized,
    ];

    /// The flags that force the tier on `version`; `None` where that Node cannot do it.
    pub fn flags(self, version: Version) -> Option<Vec<&'static str>> {
        let major = version.major;
        // V8 5.8 in Node 8.0 is the last with Crankshaft, whose flags went with it.
        let crankshaft = version < Version::new(8, 2, 0);
        // In 20, 21 and later 22 the flag is known but Maglev is not built in.
        let has_maglev = major >= 23 || (22, 0) == (major, version.minor);
        let not_inlined = || {
            let mut flags = Vec::new();
            if crankshaft {
                flags.push("--nouse_inlining");
            }
            if major >= 4 {
                flags.push("--noturbo_inlining");
            }
            if major >= 20 {
                flags.push("--no-maglev-inlining");
            }
            flags
        };
        let with = |more: &[&'static str]| {
            let mut flags = not_inlined();
            flags.extend(more);
            flags
        };
        match self {
            Self::Default => Some(Vec::new()),
            Self::NotInlined => Some(not_inlined()),
            Self::Unoptimized if crankshaft => Some(vec!["--nocrankshaft", "--noopt"]),
            Self::Unoptimized if major < 16 => Some(vec!["--noopt"]),
            Self::Unoptimized if major < 20 => Some(vec!["--no-opt", "--no-sparkplug"]),
            Self::Unoptimized => Some(vec!["--no-opt", "--no-maglev", "--no-sparkplug"]),
            Self::Sparkplug if major < 16 => None,
            Self::Sparkplug if major < 20 => Some(vec!["--no-opt", "--always-sparkplug"]),
            Self::Sparkplug => Some(vec!["--no-opt", "--no-maglev", "--always-sparkplug"]),
            Self::Maglev | Self::MaglevInlining if !has_maglev => None,
            Self::Maglev => Some(with(&["--maglev", "--no-turbofan"])),
            Self::MaglevInlining => Some(vec!["--maglev", "--no-turbofan"]),
            Self::Optimized if major < 19 => Some(with(&["--always_opt"])),
            Self::Optimized if major < 25 => Some(with(&["--always-turbofan"])),
            // V8 14 dropped the flag.
            Self::Optimized => None,
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Default => "default",
            Self::NotInlined => "not-inlined",
            Self::Unoptimized => "unoptimized",
            Self::Sparkplug => "sparkplug",
            Self::Maglev => "maglev",
            Self::MaglevInlining => "maglev-inlining",
            Self::Optimized => "optimized",
        })
    }
}

impl FromStr for Tier {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|tier| tier.to_string() == s).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(Self::to_string).collect();
            format!("{s:?} is no tier; the tiers are {}", names.join(" "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tier_has_a_name_that_reads_back() {
        for tier in Tier::ALL {
            assert_eq!(tier.to_string().parse(), Ok(tier));
        }
    }
}
