//! `run`: a command that is started here, and the Node process that it is or starts.
//!
//! The command has stdin, stdout and stderr as if node-flame were not there, and its exit code becomes
//! node-flame's. Signals that somebody sends to node-flame are passed on to it; those of the terminal
//! reach it anyway.

use crate::called;
use crate::command;
use crate::message::Failure;
use crate::narrator::{complain, say};
use crate::output::Output;
use crate::sampling;
use crate::target::{self, Files, Target};
use flame_sys::attach::{self, Refusal};
use flame_sys::process::Process;
use flame_sys::session::End;
use flame_sys::signals::{Blocked, Taken};
use flame_sys::spawn::{Child, Found, Match};
use flame_sys::tracer::Exit;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// Programs in Node whose work is to start another one.
const WRAPPERS: [&str; 16] = [
    "npm",
    "npm-cli.js",
    "npx",
    "npx-cli.js",
    "yarn",
    "yarn.js",
    "yarnpkg",
    "pnpm",
    "pnpm.cjs",
    "pnpx",
    "corepack",
    "cross-env",
    "dotenv",
    "nodemon",
    "nodemon.js",
    "tsx",
];

/// A wrapper that has started no other Node for so long is profiled itself: `npm install`.
const PATIENCE: Duration = Duration::from_secs(2);

/// After so long a program has all its libraries, libnode.so among them if it is Node.
const LOADING: Duration = Duration::from_millis(500);

/// Between looks at a command that runs on.
const LOOK: Duration = Duration::from_millis(500);

/// Starts the command, profiles its Node, waits for its end and gives its exit code; 1 if that was 0 and
/// there is no profile.
pub fn run(wanted: &command::Profile, command: &[OsString], output: Output) -> Result<ExitCode, Failure> {
    let signals = Blocked::new();
    let mut child =
        Child::start(command, &signals).map_err(|error| Failure::Start(name_of(command), error))?;
    let mut files = Files::default();
    let heir = Heir::new(child.pid());
    let run = if wanted.children {
        target::command_of(child.pid()).and_then(|name| {
            // A script whose first line calls `env` is that for a moment.
            let name = if name == "env" { called::program("", &name_of(command)) } else { name };
            sampling::sample_family(&signals, child.pid(), name, &mut files, wanted, Some(&heir))
        })
    } else {
        node(&mut child, &heir, &signals, &mut files, wanted)
            .and_then(|target| sampling::sample(&signals, target, &mut files, wanted, Some(&heir)))
    };
    let written = run
        .map_err(|failure| match failure {
            Failure::Refused(_, Refusal::NoSuchProcess | Refusal::Zombie)
            | Failure::NoNodeBelow(_, false)
            | Failure::NoNode(_) => Failure::NoNode(child.try_wait().is_some()),
            other => other,
        })
        .and_then(|run| {
            if let End::Signal(taken) = run.end {
                heir.pass(taken);
            }
            sampling::write(output, &run.profile, wanted)
        });
    if let Err(failure) = &written {
        complain(failure);
    }
    if !wanted.quiet && child.try_wait().is_none() {
        say(&format!("The command ({}) runs on; node-flame ends with it.", child.pid()));
    }
    let code = wait(&mut child, &heir, &signals);
    Ok(ExitCode::from(if written.is_err() && code == 0 { 1 } else { code }))
}

fn name_of(command: &[OsString]) -> String {
    command.first().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Waits until the command is a Node process, or has started one.
fn node(
    child: &mut Child,
    heir: &Heir,
    signals: &Blocked,
    files: &mut Files,
    wanted: &command::Profile,
) -> Result<Target, Failure> {
    let mut judge = |process: &Process, age| {
        if files.is_node(process.pid()) {
            return if wrapper(process).is_some() { Match::Perhaps } else { Match::Yes };
        }
        if age < LOADING {
            return Match::Later;
        }
        match attach::check(process.pid()) {
            // What it is can never be seen. Now is when to say so: a server does not end.
            Err(Refusal::NotPermitted(_)) => Match::Yes,
            _ => Match::No,
        }
    };
    let mut is_told = wanted.quiet;
    let mut late = |pid| {
        if !std::mem::replace(&mut is_told, true) {
            let name = target::command_of(pid).unwrap_or_default();
            let words = "and no Node.js yet; the sampling begins with one";
            say(&format!("Note: the command runs {name} ({pid}), {words}."));
        }
    };
    loop {
        match child.find(signals, PATIENCE, &mut judge, &mut late) {
            Found::Process(process) => {
                if let Some(name) = wrapper(&process).filter(|_| !wanted.quiet) {
                    say(&format!(
                        "Note: {name} itself is sampled: it has started no other Node.js in 2 s (`--children` \
                         follows what it starts)."
                    ));
                }
                return Target::open(process.pid(), files);
            }
            Found::Ended(_) => return Err(Failure::NoNode(true)),
            Found::Signal(taken) => {
                heir.take(taken, signals);
                if ends(taken) {
                    return Err(Failure::NoNode(false));
                }
            }
        }
    }
}

/// Waits for the command's end and gives its exit code as a shell would.
fn wait(child: &mut Child, heir: &Heir, signals: &Blocked) -> u8 {
    let exit = loop {
        if let Some(exit) = child.try_wait() {
            break exit;
        }
        if let Some(taken) = signals.wait(LOOK) {
            heir.take(taken, signals);
        }
    };
    match exit {
        Exit::Code(code) => code as u8,
        Exit::Signal(signal) => 128u8.saturating_add(signal as u8),
    }
}

/// Whether a signal ends the search for Node and the sampling; the others are the command's alone.
pub fn ends(taken: Taken) -> bool {
    let others = [Signal::CHILD, Signal::CONT, Signal::TSTP, Signal::USR1, Signal::USR2];
    !others.iter().any(|other| other.as_raw() == taken.signal)
}

/// The command: what node-flame is sent is meant for it.
///
/// It is held, since its number is not it: with `--children` the tracer reaps a command that ends before what
/// it started, and the kernel may give the number to another process then.
pub struct Heir {
    pid: u32,
    process: Option<Process>,
    /// Since Linux 5.3.
    handle: Option<OwnedFd>,
}

impl Heir {
    /// A child that was not waited for yet.
    fn new(pid: u32) -> Heir {
        let handle = Pid::from_raw(pid as i32).map(|pid| pidfd_open(pid, PidfdFlags::empty()));
        Heir { pid, process: Process::open(pid).ok(), handle: handle.and_then(Result::ok) }
    }

    /// Passes a signal on. One of the terminal, which the kernel sends, has reached the command.
    pub fn pass(&self, taken: Taken) {
        if taken.signal != Signal::CHILD.as_raw() && !taken.is_kernels && taken.sender != self.pid {
            self.send(taken.signal);
        }
    }

    /// node-flame goes on after a suspension. A shell has had the command go on too; `kill` has not.
    pub fn resume(&self) {
        if self.state() == Some(b'T') {
            self.send(Signal::CONT.as_raw());
        }
    }

    /// Passes a signal on, and suspends node-flame if it is for that.
    fn take(&self, taken: Taken, signals: &Blocked) {
        self.pass(taken);
        if taken.signal == Signal::TSTP.as_raw() {
            signals.suspend(taken.signal);
            self.resume();
        }
    }

    /// Its state; `None` once it was reaped, whoever has its number now.
    fn state(&self) -> Option<u8> {
        self.process.as_ref()?.stat().ok().flatten().map(|stat| stat.state)
    }

    fn send(&self, signal: i32) {
        let Some(signal) = Signal::from_named_raw(signal) else { return };
        match self.handle.as_ref().map(|handle| pidfd_send_signal(handle, signal)) {
            Some(Ok(()) | Err(Errno::SRCH)) => {}
            // Unknown to the kernel, or to a container's filter. Who passes signals on is who reaps the command, so
            // that it keeps its number from the look to the signal.
            _ => {
                if let (Some(_), Some(pid)) = (self.state(), Pid::from_raw(self.pid as i32)) {
                    // An error means that it is another user's now.
                    let _ = kill_process(pid, signal);
                }
            }
        }
    }
}

/// What a process is called that is a program that starts others. Such programs also put their name in the place of
/// the arguments: `npm run build`.
fn wrapper(process: &Process) -> Option<String> {
    let arguments = process.arguments().unwrap_or_default();
    let arguments = String::from_utf8_lossy(&arguments);
    let mut words = arguments.split('\0');
    let title = words.next().unwrap_or_default().split(' ').next().unwrap_or_default();
    let names = [title, words.next().unwrap_or_default()];
    names.into_iter().find(|name| is_wrapper_name(name)).map(str::to_owned)
}

fn is_wrapper_name(path: &str) -> bool {
    let name = Path::new(path).file_name().unwrap_or_default();
    WRAPPERS.iter().any(|wrapper| name == *wrapper)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    #[test]
    fn wrappers_are_known_by_their_base_name() {
        assert!(is_wrapper_name("/usr/bin/npm") && is_wrapper_name("npx") && is_wrapper_name("a/tsx"));
        assert!(!is_wrapper_name("/srv/npm/server.js") && !is_wrapper_name(""));
    }

    /// A process that lives until it is sent a signal.
    fn sleeper() -> std::process::Child {
        std::process::Command::new("sleep").arg("60").spawn().unwrap()
    }

    #[test]
    fn a_signal_reaches_the_command_and_never_one_that_has_its_number_later() {
        for by_number in [false, true] {
            let of = |pid| {
                let heir = Heir::new(pid);
                Heir { handle: heir.handle.filter(|_| !by_number), ..heir }
            };
            let (mut command, mut stranger) = (sleeper(), sleeper());
            let heir = of(command.id());
            heir.send(Signal::TERM.as_raw());
            assert_eq!(command.wait().unwrap().signal(), Some(Signal::TERM.as_raw()));
            // As if the kernel had given the number anew.
            let heir = Heir { pid: stranger.id(), ..heir };
            heir.pass(Taken {
                signal: Signal::TERM.as_raw(),
                sender: 0,
                is_kernels: false,
                interrupted: None,
            });
            heir.resume();
            stranger.kill().unwrap();
            assert_eq!(stranger.wait().unwrap().signal(), Some(Signal::KILL.as_raw()));
        }
    }
}
