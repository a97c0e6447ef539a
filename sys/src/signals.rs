//! Signals to node-flame itself: blocked, and taken when the session waits.

use std::sync::OnceLock;
use std::time::Duration;

/// The signals that a session takes instead of letting them act; those that node-flame was started to
/// ignore (`nohup`) stay ignored.
const TAKEN: [i32; 9] = [
    libc::SIGCHLD,
    libc::SIGINT,
    libc::SIGTERM,
    libc::SIGHUP,
    libc::SIGQUIT,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGTSTP,
    libc::SIGCONT,
];

/// While it lives, the signals that a session takes are blocked in this thread and in all that it starts.
///
/// Made before other threads are, so that none of them is left to receive one. One that has come and not
/// been taken acts when the guard goes.
pub struct Blocked {
    taken: libc::sigset_t,
    before: Before,
}

/// How signals were handled before.
#[derive(Clone, Copy)]
pub(crate) struct Before {
    mask: libc::sigset_t,
    child: libc::sigaction,
}

/// How SIGXFSZ was handled at the start.
static FILE_TOO_LARGE: OnceLock<libc::sigaction> = OnceLock::new();

/// Has a write beyond the limit of a file's size (`ulimit -f`) fail, so that it is told like every other failure:
/// the signal for it would end node-flame without a word. What it starts handles it as it was handled before.
pub fn ignore_file_too_large() {
    FILE_TOO_LARGE.get_or_init(|| {
        // SAFETY: plain data for which zero is a value; the call reads and writes locals that live here.
        unsafe {
            let mut before: libc::sigaction = std::mem::zeroed();
            let mut ignore: libc::sigaction = std::mem::zeroed();
            ignore.sa_sigaction = libc::SIG_IGN;
            libc::sigaction(libc::SIGXFSZ, &ignore, &mut before);
            before
        }
    });
}

/// Puts it back, in a process that is to become another program: one system call.
pub(crate) fn restore_file_too_large() {
    if let Some(before) = FILE_TOO_LARGE.get() {
        // SAFETY: restores a value that this same call gave.
        unsafe { libc::sigaction(libc::SIGXFSZ, before, std::ptr::null_mut()) };
    }
}

/// A signal that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Its number.
    pub signal: i32,
    /// The process that sent it, 0 for the kernel and for one outside of our pid namespace.
    pub sender: u32,
    /// The kernel sent it, as a Ctrl-C in a terminal: to all of the process group.
    pub is_kernels: bool,
    /// SIGCHLD of a thread that stands because its tracer asked it to: its id. A signal, an exec, a group-stop and an
    /// end are reported in other ways (`do_jobctl_trap` and `do_notify_parent_cldstop` in `kernel/signal.c`, since
    /// Linux 3.4).
    pub interrupted: Option<u32>,
}

impl Blocked {
    /// Blocks them, and sees to it that SIGCHLD is not ignored, as some parents leave it: ptrace would
    /// not report by it.
    pub fn new() -> Self {
        // SAFETY: plain data for which zero is a value; the calls write to locals that live here, with
        // valid signal numbers, and install no handler.
        unsafe {
            let mut mask: libc::sigset_t = std::mem::zeroed();
            let mut child: libc::sigaction = std::mem::zeroed();
            let mut default: libc::sigaction = std::mem::zeroed();
            default.sa_sigaction = libc::SIG_DFL;
            libc::sigaction(libc::SIGCHLD, &default, &mut child);
            let taken = taken();
            libc::pthread_sigmask(libc::SIG_BLOCK, &taken, &mut mask);
            Blocked { taken, before: Before { mask, child } }
        }
    }

    /// Waits for one of them, at most `timeout`. After `None`, as after a SIGCHLD, no earlier SIGCHLD is pending.
    pub fn wait(&self, timeout: Duration) -> Option<Taken> {
        wait(&self.taken, timeout)
    }

    /// Lets a signal that stops do so, on this thread. Returns when node-flame goes on; the SIGCONT that had
    /// it do so is taken with it.
    pub fn suspend(&self, signal: i32) {
        let alone = |signal| {
            // SAFETY: plain data for which zero is a value; the calls write to a local with valid numbers.
            unsafe {
                let mut alone: libc::sigset_t = std::mem::zeroed();
                libc::sigemptyset(&mut alone);
                libc::sigaddset(&mut alone, signal);
                alone
            }
        };
        let stop = alone(signal);
        // SAFETY: the calls read locals that live here, and run no handler: none is installed.
        unsafe {
            libc::raise(signal);
            libc::pthread_sigmask(libc::SIG_UNBLOCK, &stop, std::ptr::null_mut());
            libc::pthread_sigmask(libc::SIG_BLOCK, &stop, std::ptr::null_mut());
        }
        wait(&alone(libc::SIGCONT), Duration::ZERO);
    }

    pub(crate) fn before(&self) -> Before {
        self.before
    }
}

/// Waits for one signal of a set of blocked ones.
fn wait(set: &libc::sigset_t, timeout: Duration) -> Option<Taken> {
    let timeout =
        libc::timespec { tv_sec: timeout.as_secs().min(1 << 30) as _, tv_nsec: timeout.subsec_nanos() as _ };
    // SAFETY: plain data for which zero is a value; the call reads and writes locals that live here, and the
    // fields read are those that the kernel fills for the signals waited for.
    unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        let signal = libc::sigtimedwait(set, &mut info, &timeout);
        let sender = info.si_pid() as u32;
        let is_interrupted =
            signal == libc::SIGCHLD && info.si_code == libc::CLD_STOPPED && info.si_status() == 0;
        (signal > 0).then(|| Taken {
            signal,
            sender,
            is_kernels: info.si_code == libc::SI_KERNEL,
            interrupted: is_interrupted.then_some(sender),
        })
    }
}

impl Before {
    /// Puts it back. Makes only calls that are safe between fork and exec.
    pub(crate) fn restore(&self) {
        // SAFETY: restores values that these same calls gave.
        unsafe {
            libc::sigaction(libc::SIGCHLD, &self.child, std::ptr::null_mut());
            libc::pthread_sigmask(libc::SIG_SETMASK, &self.mask, std::ptr::null_mut());
        }
    }
}

impl Default for Blocked {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        self.before.restore();
    }
}

fn taken() -> libc::sigset_t {
    // SAFETY: plain data for which zero is a value; the calls write to locals with valid numbers.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        for signal in TAKEN {
            libc::sigaction(signal, std::ptr::null(), &mut action);
            if action.sa_sigaction != libc::SIG_IGN {
                libc::sigaddset(&mut set, signal);
            }
        }
        set
    }
}
