//! All words for users about what went wrong: the cause, the evidence seen, and what to do.

use crate::command::Misuse;
use crate::output::{OutputCause, OutputError};
use flame_core::v8::Unsupported;
use flame_render::{DiffError, Format, Printable};
use flame_sys::attach::{Evidence, Refusal};
use flame_sys::session::{End, ProcessEnd};
use flame_sys::tracer::Exit;
use rustix::fs::FileType;
use rustix::io::Errno;
use std::fmt::{self, Display, Formatter};
use std::io;
use std::path::PathBuf;

/// Why a command could not be carried out.
#[derive(Debug)]
pub enum Failure {
    /// The command line was not understood.
    Usage(Misuse),
    /// The profile could not be written.
    Output(OutputError),
    /// A file of stacks could not be opened.
    Read(PathBuf, io::Error),
    /// Two files of stacks could not be compared.
    Diff(DiffError),
    /// The command of `run` could not be started.
    Start(String, io::Error),
    /// No Node process was seen in the command of `run`, and whether that has ended.
    NoNode(bool),
    /// No Node process was seen in this one's family, or those that were never ran.
    NoNodeBelow(u32, bool),
    /// The process cannot be profiled.
    Refused(u32, Refusal),
    /// The process runs something else than Node.
    NotNode(u32, Program),
    /// It is not known whether the process is Node: a file of its code could not be read.
    Unread(u32, Unread),
    /// The process runs Node, but with a V8 that is not known.
    Unsupported(u32, Unsupported),
}

/// What a process that is not Node runs.
#[derive(Debug)]
pub struct Program {
    /// Path of its executable, as it sees it.
    pub exe: String,
    /// The Node processes among its descendants.
    pub nodes: Vec<u32>,
    /// A file of its code that was deleted or replaced and could not be read.
    pub unread: Option<String>,
}

/// A file of a process' code that could not be read.
#[derive(Debug)]
pub struct Unread {
    /// Its path, as the process sees it.
    pub file: String,
    /// What failed: to `open` or to `map` it.
    pub doing: &'static str,
    /// Why.
    pub errno: Errno,
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
            Failure::Read(path, error) => {
                write!(f, "cannot read {}: {}", Printable(&path.display().to_string()), system_words(error))
            }
            Failure::Diff(DiffError::Read { file, error }) => {
                write!(f, "{} cannot be read: {}", Printable(file), system_words(error))
            }
            Failure::Diff(error) => write!(f, "{}", Printable(&error.to_string())),
            Failure::Start(program, error) => {
                write!(f, "cannot start {}: {}", Printable(program), system_words(error))
            }
            Failure::NoNode(has_ended) => {
                f.write_str(match has_ended {
                    true => "the command ended before a Node.js process was seen in it",
                    false => "no Node.js process was seen in the command until now",
                })?;
                f.write_str(": nothing was profiled")
            }
            Failure::NoNodeBelow(pid, are_idle) => {
                write!(
                    f,
                    "no Node.js process that ran was seen in {pid} and what it started: nothing was profiled"
                )?;
                f.write_str(if *are_idle { "; `--wall` shows where those wait that are there" } else { "" })
            }
            Failure::Refused(pid, refusal) => refused(f, *pid, refusal),
            Failure::NotNode(pid, program) => not_node(f, *pid, program),
            Failure::Unread(pid, Unread { file, doing, errno }) => {
                let file = Printable(file);
                write!(
                    f,
                    "cannot tell whether {pid} is a Node.js process: could not {doing} {file}, which it runs: {}{}",
                    reason(*errno),
                    remedy(*errno)
                )
            }
            Failure::Unsupported(pid, unsupported) => {
                write!(f, "{pid} runs a Node.js whose V8 cannot be read: {unsupported}")
            }
        }
    }
}

/// The hint after wrong usage.
const USAGE: &str = "\
usage: node-flame <pid> <format> <seconds> [options]
       node-flame run <format> <seconds> -o FILE [options] -- <command>...
       node-flame <pid> dump | top
       node-flame ps
       node-flame diff <before> <after> [-o FILE]
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
            Misuse::NoValue(switch) => write!(f, "`{switch}` takes no value"),
            Misuse::Twice(option) => write!(f, "{} is given more than once", Quoted(option)),
            Misuse::NoOutput => {
                f.write_str("`-o` names no file: `-o FILE`, or leave it out for standard output")
            }
            Misuse::PidFirst(verb, pid) => {
                write!(f, "the process id comes first: node-flame {} {verb}", Printable(pid))
            }
            Misuse::FirstWord(word) => write!(f, "neither a process id nor a command: {}", Quoted(word)),
            Misuse::NoFormat => write!(f, "in which format? One of {}", Formats),
            Misuse::Format(word) => write!(f, "no format {}; there are {}", Quoted(word), Formats),
            Misuse::NoSeconds => f.write_str("for how many seconds?"),
            Misuse::Seconds(word) => {
                write!(f, "seconds are a decimal number above 0 (and at most a year's), not {}", Quoted(word))
            }
            Misuse::Rate(word) => write!(f, "a rate is a whole number from 1 to 10000, not {}", Quoted(word)),
            Misuse::MaxPause(word) => {
                write!(
                    f,
                    "`--max-pause` is a share in percent, above 0 and at most 100, not {}",
                    Quoted(word)
                )
            }
            Misuse::Native(word) => write!(f, "`--native` is on or off, not {}", Quoted(word)),
            Misuse::Extra(word) => write!(f, "one word too many: {}", Quoted(word)),
            Misuse::OptionFor(option, verb) => write!(f, "`{option}` has no meaning for {}", Quoted(verb)),
            Misuse::NoFiles => {
                f.write_str("compare which two files? node-flame diff before.folded after.folded")
            }
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

fn refused(f: &mut Formatter<'_>, pid: u32, refusal: &Refusal) -> fmt::Result {
    match refusal {
        Refusal::NoSuchProcess => {
            write!(
                f,
                "no process {pid} (in a container, pids are those that `ps` shows where node-flame runs)"
            )
        }
        Refusal::Hidden => write!(
            f,
            "there is a process {pid}, but /proc is mounted so that this user does not see it (hidepid); run \
             node-flame as root"
        ),
        Refusal::Thread { of } => write!(f, "{pid} is a thread; its process is {of}: node-flame {of} ..."),
        Refusal::Zombie => write!(f, "{pid} has ended: its parent has only not asked for its exit code yet"),
        Refusal::Kernel => write!(f, "{pid} is not a Node.js process: it is a thread of the kernel"),
        Refusal::Ourselves => f.write_str("node-flame cannot profile itself"),
        Refusal::TracesUs => write!(f, "{pid} traces node-flame: each would wait for the other"),
        Refusal::WaitsForUs => {
            write!(
                f,
                "{pid} waits for node-flame to end, so there is nothing to profile: another pid was meant?"
            )
        }
        Refusal::Bits32 => write!(f, "{pid} is a 32-bit process; node-flame reads 64-bit ones alone"),
        Refusal::NotElf => write!(f, "{pid} is not a Node.js process: it executes no ELF file of this host"),
        Refusal::Machine { machine } => write!(
            f,
            "{pid} is built for another processor (ELF machine {machine}); use the node-flame of that one"
        ),
        Refusal::Emulated { by } => write!(
            f,
            "{pid} is the emulator {}: the program in it is built for another processor and cannot be seen from \
             outside; profile it on a host of that processor",
            Printable(by.as_str())
        ),
        Refusal::Traced { by: 0, .. } => write!(
            f,
            "cannot attach to {pid}: it is already traced by a process outside of this container; a process \
             has one tracer at a time"
        ),
        Refusal::Traced { by, name } => write!(
            f,
            "cannot attach to {pid}: it is already traced by {} ({by}); a process has one tracer at a time, \
             so end that one first",
            Printable(name.as_str())
        ),
        Refusal::NotPermitted(evidence) => {
            let (why, remedy) = permission(evidence);
            write!(f, "cannot attach to {pid}: Operation not permitted; {why}; {remedy}")
        }
        Refusal::Failed { doing, errno } => {
            write!(f, "cannot attach to {pid}: could not {doing}: {}", reason(*errno))
        }
    }
}

/// Which of the kernel's rules it was that forbade it, and what helps.
fn permission(evidence: &Evidence) -> (String, String) {
    const PRIVILEGE: &str =
        "run as root or give the binary CAP_SYS_PTRACE (setcap cap_sys_ptrace=ep node-flame)";
    const CONTAINER: &str = "run it on the host as root, or start the container with --cap-add SYS_PTRACE \
         (Kubernetes: securityContext.capabilities.add: [SYS_PTRACE])";
    const WITHOUT: &str = "node-flame is root, but without CAP_SYS_PTRACE (as in a container)";
    let Evidence { our_uid, our_gid, their_uid, their_gid, .. } = *evidence;
    let same_uid = their_uid.iter().all(|uid| *uid == our_uid);
    let same_user = same_uid && their_gid.iter().all(|gid| *gid == our_gid);
    let remedy = String::from(if our_uid == 0 { CONTAINER } else { PRIVILEGE });
    if evidence.yama == Some(3) {
        return (
            "yama's ptrace_scope is 3: nobody may trace on this host".into(),
            "that lasts until the next boot: see kernel.yama.ptrace_scope in sysctl.d".into(),
        );
    }
    if evidence.no_ptrace {
        let mode = evidence.our_seccomp;
        return (
            format!("ptrace is refused to node-flame altogether (its seccomp mode is {mode})"),
            CONTAINER.into(),
        );
    }
    if evidence.sys_ptrace {
        let (why, remedy) = match evidence.same_user_namespace {
            Some(true) => (
                "node-flame has CAP_SYS_PTRACE, so a security module (SELinux, AppArmor) forbids it",
                "the kernel's log or the audit log names the rule",
            ),
            Some(false) => (
                "the process is in another user namespace, where node-flame's CAP_SYS_PTRACE does not count",
                "run it on the host as root, or inside of that namespace",
            ),
            None => (
                "node-flame has CAP_SYS_PTRACE, but not over this process: it is in another user namespace, \
                 or a security module (SELinux, AppArmor) forbids it",
                "run it on the host as root; the audit log names a rule of a security module",
            ),
        };
        return (why.into(), remedy.into());
    }
    if !same_user {
        let why = match their_uid[0] {
            user if our_uid == 0 => format!("{WITHOUT}, and the process runs as user {user}"),
            user if !same_uid => format!("it runs as user {user} and node-flame as user {our_uid}"),
            _ => format!("it runs with group {} and node-flame with group {our_gid}", their_gid[0]),
        };
        return (why, as_its_user(evidence) + &remedy);
    }
    match evidence.yama {
        Some(scope @ 1..) => (
            format!(
                "yama's ptrace_scope is {scope}: node-flame needs CAP_SYS_PTRACE even for its own user's processes"
            ),
            "run as root, give the binary CAP_SYS_PTRACE, or `sysctl kernel.yama.ptrace_scope=0`".into(),
        ),
        _ if evidence.not_dumpable => {
            ("the process has made itself undumpable (prctl, or a change of user)".into(), remedy)
        }
        _ if evidence.more_capable && our_uid == 0 => (
            "the process has capabilities that node-flame lacks, CAP_SYS_PTRACE among those missing".into(),
            remedy,
        ),
        _ if evidence.more_capable => ("the process has capabilities that node-flame lacks".into(), remedy),
        _ if our_uid == 0 => (WITHOUT.into(), remedy),
        _ => ("node-flame has no CAP_SYS_PTRACE".into(), remedy),
    }
}

/// The kernel lets a user trace processes of its own, unless one has a reason against it.
fn as_its_user(evidence: &Evidence) -> String {
    let [user, ..] = evidence.their_uid;
    let is_one = evidence.their_uid == [user; 3] && evidence.their_gid == [evidence.their_gid[0]; 3];
    let is_plain = !evidence.not_dumpable && !evidence.capable && evidence.yama.unwrap_or(0) == 0;
    match is_one && is_plain && user != 0 {
        true => format!("run it as that user (docker exec --user {user}:{}), or ", evidence.their_gid[0]),
        false => String::new(),
    }
}

fn not_node(f: &mut Formatter<'_>, pid: u32, program: &Program) -> fmt::Result {
    let exe = Printable(&program.exe);
    write!(f, "{pid} is not a Node.js process: it runs {exe}")?;
    let name = program_name(&program.exe);
    let hint = match name {
        "bun" => "Bun's engine is JavaScriptCore, not V8",
        "java" => "for Java there is async-profiler",
        "python" | "pypy" => "for Python there is py-spy",
        "ruby" => "for Ruby there is rbspy",
        _ => bare_v8(name).unwrap_or_default(),
    };
    match (hint, &program.unread) {
        ("", Some(unread)) => write!(
            f,
            " and perhaps holds V8, but {} was deleted or replaced since it started: such a file is readable \
             to root on the host (CAP_CHECKPOINT_RESTORE, CAP_SYS_ADMIN)",
            Printable(unread)
        )?,
        ("", None) => f.write_str(" and holds no V8")?,
        (hint, _) => write!(f, "; {hint}")?,
    }
    match program.nodes.as_slice() {
        [] => Ok(()),
        [node] => write!(f, "; but its descendant {node} is Node: node-flame {node} ..."),
        [first, ..] => {
            let all: Vec<String> = program.nodes.iter().map(u32::to_string).collect();
            write!(f, "; but its descendants {} are Node: node-flame {first} ...", all.join(", "))
        }
    }
}

/// The base name of an executable, without a version at its end.
pub fn program_name(exe: &str) -> &str {
    let name = exe.rsplit('/').next().unwrap_or_default();
    name.trim_end_matches(" (deleted)").trim_end_matches(|c: char| c.is_ascii_digit() || c == '.')
}

/// What there is to say of a program that is known to hold a V8 without symbols.
pub fn bare_v8(name: &str) -> Option<&'static str> {
    match name {
        "deno" => Some("Deno's V8 comes without the symbols that tell its layout"),
        "electron" | "chrome" | "chromium" | "code" => {
            Some("Chromium's V8 comes without the symbols that tell its layout")
        }
        _ => None,
    }
}

/// Why a process cannot be profiled, in a few words for a list.
pub fn in_short(refusal: &Refusal) -> String {
    match refusal {
        Refusal::NotPermitted(evidence) => permission(evidence).0,
        refusal => refusal.to_string(),
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
            OutputCause::Closed => write!(f, "cannot write {file}: it is closed"),
            OutputCause::Terminal => {
                write!(
                    f,
                    "this format is not text, so nothing for a terminal: name a file by `-o FILE`, or use a pipe"
                )
            }
            OutputCause::NoFileName => write!(f, "cannot write {file}: it names no file"),
            OutputCause::EndsInSlash => {
                write!(
                    f,
                    "cannot write {file}: with a slash at its end it names a directory; name a file in it"
                )
            }
            OutputCause::NotAFile(FileType::Directory) => write!(f, "cannot write {file}: it is a directory"),
            OutputCause::NotAFile(_) => write!(
                f,
                "cannot write {file}: it is a symbolic link, and those are not followed; name the file \
                 itself, or leave `-o` out for standard output"
            ),
            OutputCause::NotReplaceable => write!(
                f,
                "cannot write {file}: the file that is there may not be replaced (another user's, in a directory \
                 with the sticky bit; or immutable); name another file"
            ),
            OutputCause::Directory(error) => {
                write!(f, "cannot write {file}: its directory cannot be opened: {}", reason(*error))
            }
            OutputCause::Create(error) => write!(f, "cannot write {file}: {}", reason(*error)),
            OutputCause::Write(error) => {
                write!(f, "cannot write {file}: {}", Printable(&system_words(error)))?;
                match error.kind() {
                    io::ErrorKind::BrokenPipe => f.write_str("; its reader has gone"),
                    io::ErrorKind::StorageFull if self.is_kept => {
                        f.write_str("; the file is as it was before")
                    }
                    _ => Ok(()),
                }
            }
        }
    }
}

/// How a target's end is told, if it was that which ended the run: `exited with code 0`.
pub fn end(end: &End) -> Option<String> {
    let End::Target(end) = end else { return None };
    Some(match end {
        ProcessEnd::Exit(Exit::Code(code)) => format!("exited with code {code}"),
        ProcessEnd::Exit(Exit::Signal(signal)) => format!("was killed by {}", signal_name(*signal)),
        ProcessEnd::Gone => "exited".into(),
        ProcessEnd::Exec => "replaced itself by another program (exec)".into(),
    })
}

/// `SIGKILL` for 9.
pub fn signal_name(number: i32) -> String {
    const NAMES: [&str; 31] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
        "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
        "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
    ];
    let name = usize::try_from(number).ok().and_then(|number| NAMES.get(number.checked_sub(1)?));
    name.map_or_else(|| format!("signal {number}"), |name| format!("SIG{name}"))
}

fn reason(error: Errno) -> String {
    system_words(&error.into())
}

/// What helps where a file could not be read; empty if that is not known.
fn remedy(error: Errno) -> &'static str {
    match error {
        Errno::NOMEM => "; node-flame needs more address space (`ulimit -v`, `prlimit --as`)",
        Errno::MFILE | Errno::NFILE => "; node-flame needs more open files (`ulimit -n`)",
        Errno::ACCESS | Errno::PERM => "; run node-flame as root, or as a user who may read that file",
        _ => "",
    }
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

    #[test]
    fn wrong_usage_is_one_clear_line_and_a_hint() {
        let message = Failure::from(Misuse::Format("s\u{1b}vg".into())).to_string();
        let mut lines = message.lines();
        let first = lines.next().unwrap();
        assert_eq!(
            first,
            r"no format `s\x1bvg`; there are text, flame, raw, fullraw, folded, cpuprofile, speedscope, pprof"
        );
        assert!(lines.next().unwrap().starts_with("usage: node-flame <pid> <format> <seconds>"));
    }

    #[test]
    fn exit_codes_tell_usage_from_failure() {
        assert_eq!(Failure::from(Misuse::Nothing).exit_code(), 2);
        let error = OutputError { path: None, cause: OutputCause::Create(Errno::ACCESS), is_kept: false };
        assert_eq!(Failure::from(error).exit_code(), 1);
    }

    #[test]
    fn a_refused_permission_names_the_rule_that_refused_it() {
        let other_user = Evidence { our_uid: 1000, our_gid: 1000, ..Evidence::default() };
        let same_user = Evidence { their_uid: [1000; 3], their_gid: [1000; 3], ..other_user };
        let root = Evidence { their_uid: [7; 3], ..Evidence::default() };
        let able = Evidence { sys_ptrace: true, ..Evidence::default() };
        for (evidence, words) in [
            (
                other_user,
                "runs as user 0 and node-flame as user 1000; run as root or give the binary CAP_SYS",
            ),
            (
                root,
                "without CAP_SYS_PTRACE (as in a container), and the process runs as user 7; run it as that \
                 user (docker exec --user 7:0), or run it on the host as root, or start the container with",
            ),
            (Evidence { not_dumpable: true, ..root }, "runs as user 7; run it on the host as root"),
            (Evidence { their_gid: [8; 3], ..same_user }, "runs with group 8 and node-flame with group 1000"),
            (
                Evidence { yama: Some(1), ..same_user },
                "yama's ptrace_scope is 1: node-flame needs CAP_SYS_PTRACE",
            ),
            (Evidence { yama: Some(3), ..same_user }, "yama's ptrace_scope is 3: nobody may trace"),
            (Evidence { not_dumpable: true, ..same_user }, "made itself undumpable"),
            (
                Evidence { more_capable: true, ..same_user },
                "has capabilities that node-flame lacks; run as root",
            ),
            (Evidence { no_ptrace: true, our_seccomp: 2, ..same_user }, "refused to node-flame altogether"),
            (Evidence { same_user_namespace: Some(false), ..able }, "in another user namespace"),
            (Evidence { same_user_namespace: Some(true), ..able }, "so a security module"),
            (able, "another user namespace, or a security module"),
        ] {
            let message = Failure::Refused(2291, Refusal::NotPermitted(evidence)).to_string();
            assert!(message.starts_with("cannot attach to 2291: Operation not permitted; "), "{message}");
            assert!(message.contains(words), "no {words:?} in: {message}");
        }
    }

    #[test]
    fn a_program_that_is_not_node_is_told_with_what_may_have_been_meant() {
        let message = |exe: &str, nodes: &[u32]| {
            Failure::NotNode(7, Program { exe: exe.into(), nodes: nodes.into(), unread: None }).to_string()
        };
        assert_eq!(message("/bin/cat", &[]), "7 is not a Node.js process: it runs /bin/cat and holds no V8");
        assert!(message("/usr/bin/python3.11", &[]).ends_with("; for Python there is py-spy"));
        assert!(message("/opt/bun (deleted)", &[]).contains("JavaScriptCore"));
        assert!(message("/bin/dash", &[8]).ends_with("but its descendant 8 is Node: node-flame 8 ..."));
        assert!(message("/bin/dash", &[8, 9]).ends_with("descendants 8, 9 are Node: node-flame 8 ..."));
    }

    #[test]
    fn a_write_error_names_the_file_and_the_reason() {
        let error = OutputError {
            path: Some("/tmp/o\nut".into()),
            cause: OutputCause::Write(Errno::NOSPC.into()),
            is_kept: true,
        };
        assert_eq!(
            error.to_string(),
            r"cannot write /tmp/o\nut: No space left on device; the file is as it was before"
        );
        let error = OutputError { path: None, cause: OutputCause::Write(Errno::PIPE.into()), is_kept: false };
        assert_eq!(error.to_string(), "cannot write standard output: Broken pipe; its reader has gone");
    }
}
