//! All words for users about what went wrong: the cause, the evidence seen, and what to do.

use crate::args::Misuse;
use crate::output::{OutputCause, OutputError};
use crate::printable::Printable;
use flame_render::Format;
use rustix::fs::FileType;
use std::fmt::{self, Display, Formatter};
use std::io;

/// Why a command could not be carried out.
#[derive(Debug)]
pub enum Failure {
    /// The command line was not understood.
    Usage(Misuse),
    /// The profile could not be written.
    Output(OutputError),
    /// Sampling is not wired to the command line.
    Unwired(crate::args::Profile),
}

impl Failure {
    /// 2 for wrong usage, 1 for all else.
    pub fn exit_code(&self) -> u8 {
        match self {
            Failure::Usage(_) => 2,
            _ => 1,
        }
    }
}

impl From<Misuse> for Failure {
    fn from(misuse: Misuse) -> Self {
        Failure::Usage(misuse)
    }
}

impl From<OutputError> for Failure {
    fn from(error: OutputError) -> Self {
        Failure::Output(error)
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Usage(misuse) => {
                write!(f, "{misuse}\n{USAGE}")
            }
            Failure::Output(error) => error.fmt(f),
            Failure::Unwired(profile) => {
                let _ = crate::output::Output::open(profile.output.as_deref());
                write!(f, "{profile:?} cannot be sampled yet")
            }
        }
    }
}

/// The hint after wrong usage.
const USAGE: &str = "\
usage: node-flame <pid> <format> <seconds> [options]
       node-flame run <format> <seconds> -o FILE [options] -- <command>...
`node-flame --help` tells more.";

impl Display for Misuse {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Misuse::Nothing => f.write_str("which process, in which format, for how long?"),
            Misuse::Option(sentence) => {
                let mut chars = sentence.trim_end_matches('.').chars();
                let first = chars.next().map(|c| c.to_lowercase().to_string()).unwrap_or_default();
                write!(f, "{}", Printable(&(first + chars.as_str())))
            }
            Misuse::FirstWord(word) => write!(f, "neither a process id nor a command: {}", Quoted(word)),
            Misuse::NoFormat => write!(f, "in which format? One of {}", Formats),
            Misuse::Format(word) => write!(f, "no format {}; there are {}", Quoted(word), Formats),
            Misuse::NoSeconds => f.write_str("for how many seconds?"),
            Misuse::Seconds(word) => {
                write!(f, "seconds are a decimal number above 0 (and at most a year's), not {}", Quoted(word))
            }
            Misuse::Rate(word) => write!(f, "a rate is a whole number from 1 to 10000, not {}", Quoted(word)),
            Misuse::Native(word) => write!(f, "`--native` is on or off, not {}", Quoted(word)),
            Misuse::Extra(word) => write!(f, "one word too many: {}", Quoted(word)),
            Misuse::NoCommand => f.write_str("run which command? It stands after `--`"),
            Misuse::CommandWithoutDashes(word) => {
                write!(f, "the command to run stands after `--`: ... -- {}", Printable(word))
            }
            Misuse::CommandForPid => {
                f.write_str("a command after `--` is for `run`, not for a process that runs already")
            }
            Misuse::RunNeedsOutput => f.write_str(
                "standard output belongs to the command that is run: name a file for the profile by \
                 `-o FILE` (`-o -` mixes both)",
            ),
        }
    }
}

/// A word of the user's, marked as such.
struct Quoted<'a>(&'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", Printable(self.0))
    }
}

/// The names of all formats.
struct Formats;

impl Display for Formats {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (at, format) in Format::ALL.iter().enumerate() {
            f.write_str(if at == 0 { "" } else { ", " })?;
            f.write_str(format.name())?;
        }
        Ok(())
    }
}

impl Display for OutputError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let path = self.path.as_ref().map(|path| path.display().to_string());
        let file = Printable(path.as_deref().unwrap_or("standard output"));
        match &self.cause {
            OutputCause::NoFileName => write!(f, "cannot write {file}: it names no file"),
            OutputCause::NotAFile(FileType::Directory) => write!(f, "cannot write {file}: it is a directory"),
            OutputCause::NotAFile(_) => write!(
                f,
                "cannot write {file}: it is a symbolic link, and those are not followed; name the file \
                 itself, or leave `-o` out for standard output"
            ),
            OutputCause::Directory(error) => {
                write!(f, "cannot write {file}: its directory cannot be opened: {}", reason(*error))
            }
            OutputCause::Create(error) => write!(f, "cannot write {file}: {}", reason(*error)),
            OutputCause::Write(error) => {
                write!(f, "cannot write {file}: {}", system_words(error))?;
                match error.kind() {
                    io::ErrorKind::BrokenPipe => f.write_str("; its reader has gone"),
                    io::ErrorKind::StorageFull if path.is_some() => {
                        f.write_str("; the file is as it was before")
                    }
                    _ => Ok(()),
                }
            }
        }
    }
}

fn reason(error: rustix::io::Errno) -> String {
    system_words(&error.into())
}

/// What the system calls an error, without Rust's `(os error N)`.
pub fn system_words(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::Errno;

    #[test]
    fn wrong_usage_is_one_clear_line_and_a_hint() {
        let message = Failure::from(Misuse::Format("s\u{1b}vg".into())).to_string();
        let mut lines = message.lines();
        let first = lines.next().unwrap();
        assert_eq!(first, r"no format `s\u{1b}vg`; there are text, flame, raw, fullraw, folded");
        assert!(lines.next().unwrap().starts_with("usage: node-flame <pid> <format> <seconds>"));
    }

    #[test]
    fn exit_codes_tell_usage_from_failure() {
        assert_eq!(Failure::from(Misuse::Nothing).exit_code(), 2);
        let error = OutputError { path: None, cause: OutputCause::Create(Errno::ACCESS) };
        assert_eq!(Failure::from(error).exit_code(), 1);
    }

    #[test]
    fn a_write_error_names_the_file_and_the_reason() {
        let error =
            OutputError { path: Some("/tmp/o\nut".into()), cause: OutputCause::Write(Errno::NOSPC.into()) };
        assert_eq!(
            error.to_string(),
            r"cannot write /tmp/o\nut: No space left on device; the file is as it was before"
        );
        let error = OutputError { path: None, cause: OutputCause::Write(Errno::PIPE.into()) };
        assert_eq!(error.to_string(), "cannot write standard output: Broken pipe; its reader has gone");
    }
}
