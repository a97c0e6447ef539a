//! From a finished profile to bytes.
//!
//! [`write()`] turns a [`Profile`] into any [`Format`] as a stream, in memory that is linear in the
//! profile's bounded size. What a format shows beyond the profile itself stands in [`View`].
//! [`diff()`] compares two files of stacks on a page.
#![forbid(unsafe_code)]

mod cpuprofile;
pub mod dump;
mod flame;
mod gzip;
mod json;
mod label;
pub mod listing;
pub mod live;
mod pprof;
mod speedscope;
mod stacks;
mod text;
mod times;
mod tree;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod properties;
#[cfg(test)]
#[path = "../build/sha256.rs"]
mod sha256;
#[cfg(test)]
mod testing;

pub use flame::{DiffError, diff};
use flame_core::profile::Profile;
pub use label::Printable;
use std::fmt;
use std::io::{self, Write};
use std::str::FromStr;

/// An output format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// A tree for the terminal.
    Text,
    /// One self-contained interactive HTML page.
    Flame,
    /// What FlameGraph's stackcollapse.pl takes, with base names.
    Raw,
    /// The same with whole paths and V8's glue.
    FullRaw,
    /// `root;…;leaf COUNT` lines.
    Folded,
    /// V8's profile format: Chrome DevTools, VS Code.
    CpuProfile,
    /// speedscope's file format.
    Speedscope,
    /// Gzipped profile.proto: `go tool pprof`, Pyroscope, Parca, Grafana.
    Pprof,
}

impl Format {
    /// All formats, in the order of the usage text.
    pub const ALL: [Format; 8] = [
        Format::Text,
        Format::Flame,
        Format::Raw,
        Format::FullRaw,
        Format::Folded,
        Format::CpuProfile,
        Format::Speedscope,
        Format::Pprof,
    ];

    /// The word on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Format::Text => "text",
            Format::Flame => "flame",
            Format::Raw => "raw",
            Format::FullRaw => "fullraw",
            Format::Folded => "folded",
            Format::CpuProfile => "cpuprofile",
            Format::Speedscope => "speedscope",
            Format::Pprof => "pprof",
        }
    }

    /// What it is for, in a few words.
    pub const fn purpose(self) -> &'static str {
        match self {
            Format::Text => "a tree on the terminal",
            Format::Flame => "one self-contained interactive HTML page",
            Format::Raw => "stacks for FlameGraph's stackcollapse.pl, base names",
            Format::FullRaw => "the same with whole paths and V8's glue frames",
            Format::Folded => "root;…;leaf COUNT lines: flamegraph.pl, inferno, speedscope, Pyroscope",
            Format::CpuProfile => "Chrome DevTools, VS Code",
            Format::Speedscope => "speedscope.app",
            Format::Pprof => "gzipped profile.proto: go tool pprof, Pyroscope, Parca, Grafana",
        }
    }

    /// Not text: nothing for a terminal.
    pub const fn is_binary(self) -> bool {
        matches!(self, Format::Pprof)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A word that names no format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownFormat(pub String);

impl fmt::Display for UnknownFormat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = Format::ALL.iter().map(|format| format.name()).collect();
        write!(formatter, "unknown format {:?}; the formats are {}", self.0, names.join(", "))
    }
}

impl std::error::Error for UnknownFormat {}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(word: &str) -> Result<Self, UnknownFormat> {
        let known = Format::ALL.into_iter().find(|format| format.name() == word);
        known.ok_or_else(|| UnknownFormat(word.to_string()))
    }
}

/// What is shown of a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// JavaScript frames are labelled by the line being executed, not by their first line.
    pub lines: bool,
    /// Frames that are not JavaScript are shown too.
    pub native: bool,
    /// `folded` marks frames by kind: `_[j]`, `_[i]`, `_[k]`.
    pub annotate: bool,
}

impl Default for View {
    fn default() -> Self {
        View { lines: false, native: true, annotate: false }
    }
}

/// Writes `profile` to `out`, in many small pieces: buffer it.
///
/// # Errors
/// Those of `out`.
pub fn write(format: Format, profile: &Profile, view: &View, out: &mut dyn Write) -> io::Result<()> {
    match format {
        Format::Text => text::write(profile, view, out),
        Format::Flame => flame::write(profile, view, out),
        Format::Raw => stacks::raw(profile, view, false, out),
        Format::FullRaw => stacks::raw(profile, view, true, out),
        Format::Folded => stacks::folded(profile, view, out),
        Format::CpuProfile => cpuprofile::write(profile, view, out),
        Format::Speedscope => speedscope::write(profile, view, out),
        Format::Pprof => pprof::write(profile, view, out),
    }
}
