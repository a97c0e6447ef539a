//! A command that is started to be profiled.

use crate::process::{FileId, Process, children};
use crate::signals::{Blocked, Taken};
use crate::tracer::Exit;
use crate::{Errno, last_error};
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Processes that are looked at for one command: a wrapper's own children and theirs.
const FAMILY: usize = 4096;

/// After so long somebody will wonder.
const LATE: Duration = Duration::from_secs(3);

/// Exits that the tracer was told, of children of node-flame itself: whoever traces a child of its own
/// process reaps it for both.
static REAPED: Mutex<Vec<(u32, Exit)>> = Mutex::new(Vec::new());

/// A started command. It is left alone when this is dropped.
///
/// It is in node-flame's own process group, with its terminal, standard streams and signal mask as
/// node-flame got them: a Ctrl-C reaches both, as under `time`.
#[derive(Debug)]
pub struct Child {
    pid: u32,
    exit: Option<Exit>,
}

/// What a process is to the search for the one to profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// Not that one.
    No,
    /// It cannot be told yet: its libraries may not be loaded. It is asked about again and again.
    Later,
    /// That one, unless one below it turns up in the time given: a wrapper that could be meant itself.
    Perhaps,
    /// That one.
    Yes,
}

/// What was said of a process as one program.
struct Judged {
    pid: u32,
    image: FileId,
    arguments: Vec<u8>,
    since: Instant,
    verdict: Match,
}

/// What a search ended with.
#[derive(Debug)]
pub enum Found {
    /// The process to profile.
    Process(Process),
    /// The command has ended before.
    Ended(Exit),
    /// node-flame got this signal.
    Signal(Taken),
}

impl Child {
    /// Starts `command`, a program and its arguments, found as a shell would.
    pub fn start(command: &[OsString], signals: &Blocked) -> io::Result<Self> {
        let (program, arguments) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let before = signals.before();
        let mut command = Command::new(program);
        command.args(arguments);
        // SAFETY: the closure runs in the child between fork and exec and makes four system calls, which are
        // safe there.
        unsafe {
            command.pre_exec(move || {
                before.restore();
                crate::files::restore_limit();
                crate::signals::restore_file_too_large();
                Ok(())
            })
        };
        Ok(Child { pid: command.spawn()?.id(), exit: None })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// How it ended, if it has.
    pub fn try_wait(&mut self) -> Option<Exit> {
        self.wait_with(libc::WNOHANG)
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> Exit {
        // Without an answer there is nothing left that could be waited for.
        self.wait_with(0).unwrap_or(Exit::Code(0))
    }

    fn wait_with(&mut self, options: i32) -> Option<Exit> {
        while self.exit.is_none() {
            let mut status = 0;
            // SAFETY: `status` is a valid int to write to.
            match unsafe { libc::waitpid(self.pid as libc::pid_t, &mut status, options) } {
                0 => return None,
                -1 if last_error() == Errno::INTR => {}
                -1 => {
                    self.exit = taken(self.pid);
                    break;
                }
                _ if libc::WIFSIGNALED(status) => self.exit = Some(Exit::Signal(libc::WTERMSIG(status))),
                _ => self.exit = Some(Exit::Code(libc::WEXITSTATUS(status))),
            }
        }
        self.exit
    }

    /// Looks for the process to profile, in the command and in all that it starts, until there is one or
    /// the command ends. `judge` is asked about each process once for each program that it becomes, and told how long
    /// it has been that one. `patience`: what a process that is [`Match::Perhaps`] the one has to start another.
    /// `late` is told who was started last, again and again once three seconds have brought nothing.
    pub fn find(
        &mut self,
        signals: &Blocked,
        patience: Duration,
        mut judge: impl FnMut(&Process, Duration) -> Match,
        mut late: impl FnMut(u32),
    ) -> Found {
        let start = Instant::now();
        let mut since = start;
        let mut judged: Vec<Judged> = Vec::new();
        loop {
            if let Some(exit) = self.try_wait() {
                return Found::Ended(exit);
            }
            let family = family(self.pid);
            judged.retain(|known| family.iter().any(|process| process.pid() == known.pid));
            let last = family.last().map_or(self.pid, Process::pid);
            let mut perhaps = None;
            for process in family {
                // The command before its exec is still node-flame; a process that is just going has nothing.
                let Ok(Some(image)) = process.image() else { continue };
                if image.id == own_image() {
                    continue;
                }
                // The arguments too: between its fork and its exec a child looks like its parent.
                let arguments = process.arguments().unwrap_or_default();
                let pid = process.pid();
                let is_it = |known: &Judged| {
                    (known.pid, known.image) == (pid, image.id) && known.arguments == arguments
                };
                let at = judged.iter().position(is_it).unwrap_or_else(|| {
                    judged.retain(|known| known.pid != pid);
                    let (since, verdict) = (Instant::now(), Match::Later);
                    judged.push(Judged { pid, image: image.id, arguments, since, verdict });
                    judged.len() - 1
                });
                let Some(known) = judged.get_mut(at) else { continue };
                if known.verdict == Match::Later {
                    known.verdict = judge(&process, known.since.elapsed());
                }
                match known.verdict {
                    Match::Yes => return Found::Process(process),
                    Match::Perhaps => perhaps = Some(process),
                    Match::No | Match::Later => {}
                }
            }
            let waited = start.elapsed();
            match perhaps {
                Some(process) if since.elapsed() >= patience => return Found::Process(process),
                Some(_) => {}
                None => {
                    since = Instant::now();
                    if waited >= LATE {
                        late(last);
                    }
                }
            }
            // Node runs its first JavaScript after 15 ms at the earliest; a wrapper can take seconds.
            let pause = (waited / 50).clamp(Duration::from_millis(1), Duration::from_millis(50));
            if let Some(taken) = signals.wait(pause)
                && taken.signal != libc::SIGCHLD
            {
                return Found::Signal(taken);
            }
        }
    }
}

/// `root` and all that descends from it, parents first.
pub fn family(root: u32) -> Vec<Process> {
    let mut family: Vec<Process> = Process::open(root).into_iter().collect();
    let (mut next, mut pids) = (0, Vec::new());
    while next < family.len() && family.len() < FAMILY {
        if children(&family[next], &mut pids).is_ok() {
            family.extend(pids.iter().filter_map(|pid| Process::open(*pid).ok()));
        }
        next += 1;
    }
    family
}

/// The tracer has reaped a child of node-flame's own.
pub(crate) fn reaped(pid: u32, exit: Exit) {
    if let Ok(mut reaped) = REAPED.lock() {
        reaped.push((pid, exit));
    }
}

fn taken(pid: u32) -> Option<Exit> {
    let mut reaped = REAPED.lock().ok()?;
    let at = reaped.iter().position(|entry| entry.0 == pid)?;
    Some(reaped.swap_remove(at).1)
}

fn own_image() -> FileId {
    use std::sync::OnceLock;
    static OWN: OnceLock<FileId> = OnceLock::new();
    *OWN.get_or_init(|| {
        let image = Process::open(std::process::id()).and_then(|us| us.image());
        image.ok().flatten().map_or(FileId { device: 0, inode: 0 }, |image| image.id)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    #[test]
    fn the_exit_code_and_the_signal_of_a_command_come_through() {
        let signals = Blocked::new();
        let mut child = Child::start(&command(&["sh", "-c", "exit 7"]), &signals).unwrap();
        assert_eq!(child.wait(), Exit::Code(7));
        let mut child = Child::start(&command(&["sh", "-c", "kill -9 $$"]), &signals).unwrap();
        assert_eq!(child.wait(), Exit::Signal(9));
        assert_eq!(child.try_wait(), Some(Exit::Signal(9)));
    }

    #[test]
    fn a_command_that_is_not_there_is_an_error() {
        let error = Child::start(&command(&["/nowhere/to/be/found"]), &Blocked::new()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(Child::start(&[], &Blocked::new()).is_err());
    }

    #[test]
    fn a_child_gets_the_signal_mask_that_node_flame_got() {
        let signals = Blocked::new();
        // Blocked as node-flame has them, SIGTERM would stay pending.
        let mut child = Child::start(&command(&["sh", "-c", "kill -TERM $$; exit 3"]), &signals).unwrap();
        assert_eq!(child.wait(), Exit::Signal(libc::SIGTERM));
    }

    #[test]
    fn the_process_is_found_behind_its_wrappers() {
        let signals = Blocked::new();
        let script = "true; sh -c 'true; sleep 20; true'; true";
        let mut child = Child::start(&command(&["sh", "-c", script]), &signals).unwrap();
        let is_sleep = |process: &Process, _| {
            let arguments = process.arguments().unwrap_or_default();
            if arguments.starts_with(b"sleep") { Match::Yes } else { Match::No }
        };
        let Found::Process(found) = child.find(&signals, Duration::ZERO, is_sleep, |_| ()) else { panic!() };
        assert_ne!(found.pid(), child.pid());
        for process in family(child.pid()) {
            let pid = rustix::process::Pid::from_raw(process.pid() as i32).unwrap();
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        assert_eq!(child.wait(), Exit::Signal(9));
    }

    #[test]
    fn a_command_that_ends_before_it_is_found_says_how() {
        let signals = Blocked::new();
        let mut child = Child::start(&command(&["sh", "-c", "exit 4"]), &signals).unwrap();
        let found = child.find(&signals, Duration::ZERO, |_, _| Match::No, |_| ());
        assert!(matches!(found, Found::Ended(Exit::Code(4))), "{found:?}");
    }

    #[test]
    fn a_wrapper_that_could_be_meant_is_taken_once_nothing_below_it_turns_up() {
        let signals = Blocked::new();
        let mut child = Child::start(&command(&["sleep", "20"]), &signals).unwrap();
        let started = Instant::now();
        // Met after a while only, it has its time nevertheless.
        let judge = |_: &Process, age| {
            if age < Duration::from_millis(100) { Match::Later } else { Match::Perhaps }
        };
        let Found::Process(found) = child.find(&signals, Duration::from_millis(50), judge, |_| ()) else {
            panic!()
        };
        // Since the look before that.
        assert!(started.elapsed() >= Duration::from_millis(130));
        assert_eq!(found.pid(), child.pid());
        let pid = rustix::process::Pid::from_raw(found.pid() as i32).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        child.wait();
    }
}
