//! One word of the command line as what it stands for: a path, a number, a length of time.

use crate::command::Misuse;
use flame_render::Format;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::time::Duration;

/// Longest run, a year. Longer is a slip of the finger.
const MAX_SECONDS: f64 = 31_536_000.0;

/// One argument as argh takes it: an option's value apart from its name, and each byte as the
/// character of that number, since argh takes nothing but UTF-8 and a path may be anything.
pub fn separated(argument: &[u8]) -> Vec<String> {
    let at = match argument {
        [b'-', b'-', name @ ..] => name.iter().position(|byte| *byte == b'=').map(|at| (at + 2, at + 3)),
        [b'-', b'r' | b'o', _, ..] => Some((2, 2)),
        _ => None,
    };
    let text = |bytes: &[u8]| bytes.iter().map(|byte| char::from(*byte)).collect();
    match at {
        Some((end, value)) => vec![text(&argument[..end]), text(&argument[value..])],
        None => vec![text(argument)],
    }
}

/// Options that take no value.
const SWITCHES: [&str; 11] = [
    "--wall",
    "--lines",
    "--annotate",
    "--source",
    "--json",
    "--threads",
    "--args",
    "--children",
    "--quiet",
    "--version",
    "--help",
];

/// The switch that an argument gives a value to (`--wall=1`), which would else be a word of its own.
pub fn switch_with_value(argument: &[u8]) -> Option<&'static str> {
    let name = &argument[..argument.iter().position(|byte| *byte == b'=')?];
    SWITCHES.into_iter().find(|switch| switch.as_bytes() == name)
}

/// The bytes that [`separated`] made characters of.
pub fn bytes(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(c).unwrap_or(b'?')).collect()
}

/// The argument as a path.
pub fn path(text: &str) -> PathBuf {
    OsString::from_vec(bytes(text)).into()
}

/// The argument as text for people.
pub fn lossy(text: &str) -> String {
    OsStr::from_bytes(&bytes(text)).to_string_lossy().into_owned()
}

/// A process id: digits alone, from 1 to `i32::MAX`. `None` for any other word.
pub fn pid(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|pid| digits && (1..=i32::MAX as u32).contains(pid))
}

/// A format by its name.
///
/// # Errors
/// [`Misuse::Format`] for a word that is none.
pub fn format(name: &str) -> Result<Format, Misuse> {
    name.parse().map_err(|_| Misuse::Format(name.into()))
}

/// A length of time: digits with at most one point, a microsecond to a year.
///
/// # Errors
/// [`Misuse::Seconds`] for all else.
pub fn seconds(text: &str) -> Result<Duration, Misuse> {
    let decimal = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let length = text.parse().ok().filter(|seconds: &f64| decimal && *seconds <= MAX_SECONDS);
    length
        .map(Duration::from_secs_f64)
        .filter(|length| *length >= Duration::from_micros(1))
        .ok_or_else(|| Misuse::Seconds(text.into()))
}

/// Samples a second: a whole number from 1 to 10000.
///
/// # Errors
/// [`Misuse::Rate`] for all else.
pub fn rate(text: &str) -> Result<u32, Misuse> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|rate| digits && (1..=10_000).contains(rate))
        .ok_or_else(|| Misuse::Rate(text.into()))
}

/// A share in percent: digits with at most one point, above 0 and at most 100.
///
/// # Errors
/// [`Misuse::MaxPause`] for all else.
pub fn percent(text: &str) -> Result<f64, Misuse> {
    let decimal = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let share = text.parse().ok().filter(|share: &f64| decimal && *share > 0.0 && *share <= 100.0);
    share.ok_or_else(|| Misuse::MaxPause(text.into()))
}

/// Whether something is switched on: `on` or `off`.
///
/// # Errors
/// [`Misuse::Native`], the one option of this kind, for all else.
pub fn switch(text: &str) -> Result<bool, Misuse> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(Misuse::Native(text.into())),
    }
}
