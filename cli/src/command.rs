//! What a command line asks for, and why one was not understood.

use flame_render::{Format, View};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// Samples a second when nothing else is asked: not a divisor of anybody's timer.
pub const DEFAULT_RATE: u32 = 99;

/// Percent of wall time that a thread may be held when nothing else is asked.
pub const DEFAULT_MAX_PAUSE: f64 = 5.0;

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Print the help.
    Help,
    /// Print the version.
    Version,
    /// Sample a process and write its profile.
    Profile(Profile),
    /// Compare two files of stacks.
    Diff(Diff),
    /// List the processes with V8 in them.
    Ps(Ps),
    /// Write every thread's stack, once.
    Dump(Dump),
    /// Show the hottest functions, live.
    Top(Top),
}

/// A live view.
#[derive(Clone, Debug, PartialEq)]
pub struct Top {
    /// Of this process.
    pub pid: u32,
    /// As in [`Profile`].
    pub rate: u32,
    /// As in [`Profile`].
    pub max_pause: f64,
    /// Frames that are not JavaScript are shown.
    pub native: bool,
}

/// Every thread's stack.
#[derive(Clone, Debug, PartialEq)]
pub struct Dump {
    /// Of this process.
    pub pid: u32,
    /// With the values of arguments.
    pub arguments: bool,
    /// As JSON.
    pub json: bool,
    /// What is shown.
    pub view: View,
    /// The dump's file; standard output if `None`.
    pub output: Option<PathBuf>,
    /// Nothing but errors on stderr.
    pub quiet: bool,
}

/// A list of processes.
#[derive(Clone, Debug, PartialEq)]
pub struct Ps {
    /// As JSON.
    pub json: bool,
    /// The list's file; standard output if `None`.
    pub output: Option<PathBuf>,
}

/// A comparison of two files of stacks, as a page.
#[derive(Clone, Debug, PartialEq)]
pub struct Diff {
    /// Stacks before.
    pub before: PathBuf,
    /// Stacks after.
    pub after: PathBuf,
    /// The page's file; standard output if `None`.
    pub output: Option<PathBuf>,
    /// Nothing but errors on stderr.
    pub quiet: bool,
}

/// A sampling run.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// Which process.
    pub target: Target,
    /// The output's format.
    pub format: Format,
    /// How long.
    pub length: Duration,
    /// Samples a second of each thread, 1 to 10000.
    pub rate: u32,
    /// The output's file; standard output if `None`.
    pub output: Option<PathBuf>,
    /// Share of wall time, in percent, that a thread may be held: above 0, at most 100.
    pub max_pause: f64,
    /// Threads that wait are sampled too.
    pub wall: bool,
    /// What the output shows of the profile.
    pub view: View,
    /// The page holds the lines of hot functions.
    pub source: bool,
    /// Every thread has a root of its own, helpers too.
    pub threads: bool,
    /// Every Node among the process and all that descends from it is sampled.
    pub children: bool,
    /// Nothing but errors on stderr.
    pub quiet: bool,
}

/// The process to sample.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// One that runs.
    Pid(u32),
    /// One that this command starts, or that is found among its descendants. Never empty.
    Run(Vec<OsString>),
}

/// Why a command line was not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Misuse {
    /// No words at all.
    Nothing,
    /// argh's own sentence about an option.
    Option(String),
    /// A switch with a value.
    NoValue(&'static str),
    /// An option that is given more than once.
    Twice(String),
    /// An output without a name.
    NoOutput,
    /// A verb of a process that stands before its pid: the verb and the pid.
    PidFirst(&'static str, String),
    /// The first word is neither a pid nor a verb.
    FirstWord(String),
    /// A pid or verb without a format.
    NoFormat,
    /// Not a format.
    Format(String),
    /// A format without a length.
    NoSeconds,
    /// Not a length.
    Seconds(String),
    /// Not a rate.
    Rate(String),
    /// Not a share.
    MaxPause(String),
    /// Neither `on` nor `off`.
    Native(String),
    /// One word too many.
    Extra(String),
    /// An option that has no meaning for this verb or format.
    OptionFor(&'static str, String),
    /// `diff` without its two files.
    NoFiles,
    /// `run` and no command.
    NoCommand,
    /// `run` with a command that does not stand after `--`.
    CommandWithoutDashes(String),
    /// A command after `--` for a process that runs already.
    CommandForPid,
    /// `run` without `-o`: the command writes to stdout itself.
    RunNeedsOutput,
}
