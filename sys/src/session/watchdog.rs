//! A second process that frees the target when node-flame cannot.
//!
//! The kernel lets go of a traced thread when its tracer dies, but not when the tracer is merely stopped:
//! a SIGSTOP to node-flame would leave a held thread held, and every signal to the target undelivered.
//! So a small child looks at node-flame's state every 40 ms. If it is stopped, it is continued, sees who
//! did that, ends its tracing thread and only then stops itself again; tracing goes on when the user
//! continues it. If the tracing thread is stuck outside of its one place to sleep for a second, node-flame is killed,
//! which frees the target; for ten seconds while it looks at files and has asked no thread to stop. It is stuck for ever
//! where it seizes a thread of a process that is in an exec: that holds what both need (`cred_guard_mutex`), and waits
//! for threads that are traced to be reaped.
//!
//! The child is in a session of its own, so that a stop for the whole job or process group misses it, and
//! goes when node-flame goes.

use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect, munmap};
use rustix::process::{Pid, Signal, getpid, getppid, kill_process, set_parent_process_death_signal, setsid};
use std::ffi::{CString, c_int, c_void};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

const PERIOD: Duration = Duration::from_millis(40);

/// Periods without progress until node-flame is killed: time in which the watchdog itself ran, so that a
/// clock that jumps does no harm.
const PATIENCE: u32 = 25;

/// The same while nothing but signals to the target waits for node-flame.
const LONG_PATIENCE: u32 = 250;

/// What is said where node-flame itself cannot any more.
const LAST_WORD: &[u8] =
    b"node-flame: stuck while it traced; killed by its own watchdog, so that the process runs on\n";

/// Bytes of the child's stack, and of those the lowest, which nobody may touch: a page, where pages are largest.
const STACK: usize = 256 << 10;
const GUARD: usize = 64 << 10;

/// What the two processes share.
struct Shared {
    /// Some thread is traced.
    tracing: AtomicBool,
    /// Odd while the tracing thread does something, even while it sleeps.
    steps: AtomicU32,
    /// What it does may take long, and no thread stands meanwhile.
    is_patient: AtomicBool,
    /// node-flame itself.
    parent: Pid,
    /// The file that tells its state.
    path: CString,
}

/// The watchdog, for as long as this lives.
pub(super) struct Watchdog {
    shared: Arc<Shared>,
    child: Option<Child>,
}

struct Child {
    pid: Pid,
    stack: *mut c_void,
}

impl Watchdog {
    /// Starts it. Without memory or processes to be had the session goes on without one.
    ///
    /// It lives in this process' own memory: a copy, as `fork` makes it, would have each first write to a page of the
    /// sampler's tables be a fault of a microsecond, in a stop.
    pub fn start() -> Self {
        let parent = getpid();
        let path = CString::new(format!("/proc/{}/stat", parent.as_raw_nonzero())).unwrap_or_default();
        let (tracing, steps) = (AtomicBool::new(false), AtomicU32::new(0));
        let is_patient = AtomicBool::new(false);
        let shared = Arc::new(Shared { tracing, steps, is_patient, parent, path });
        let child = Child::start(&shared);
        Watchdog { shared, child }
    }

    /// Its process id.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(|child| child.pid.as_raw_nonzero().get() as u32)
    }

    /// Some thread is traced from now on, or none any more.
    pub fn tracing(&self, tracing: bool) {
        self.shared.tracing.store(tracing, Ordering::SeqCst);
    }

    /// What the tracing thread does from now on may take long, or no longer.
    pub fn patient(&self, is_patient: bool) {
        self.shared.is_patient.store(is_patient, Ordering::Relaxed);
    }

    /// The tracing thread goes to sleep, or has woken up.
    pub fn step(&self) {
        self.shared.steps.fetch_add(1, Ordering::Relaxed);
    }
}

impl Child {
    fn start(shared: &Arc<Shared>) -> Option<Self> {
        // SAFETY: a new mapping at an address of the kernel's choice, whose lowest part is then closed.
        let stack = unsafe {
            let protection = ProtFlags::READ | ProtFlags::WRITE;
            let stack = mmap_anonymous(std::ptr::null_mut(), STACK, protection, MapFlags::PRIVATE).ok()?;
            let _ = mprotect(stack, GUARD, MprotectFlags::empty());
            stack
        };
        let argument = Arc::as_ptr(shared).cast_mut().cast();
        // SAFETY: the child runs on a stack of its own, and `shared` lives until it is gone. It makes system calls
        // alone, through rustix's raw ones, which know no errno: it takes no lock, allocates nothing and never
        // returns from `watch`.
        let pid =
            unsafe { libc::clone(watch, stack.byte_add(STACK), libc::CLONE_VM | libc::SIGCHLD, argument) };
        let child = Pid::from_raw(pid).filter(|_| pid > 0).map(|pid| Child { pid, stack });
        if child.is_none() {
            // SAFETY: mapped above, and nobody runs on it.
            let _ = unsafe { munmap(stack, STACK) };
        }
        child
    }
}

// SAFETY: the stack is the child's own, and only the drop gives it back.
unsafe impl Sync for Watchdog {}

impl Drop for Watchdog {
    fn drop(&mut self) {
        let Some(Child { pid, stack }) = self.child.take() else { return };
        let _ = kill_process(pid, Signal::KILL);
        let wait = || rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty());
        match rustix::io::retry_on_intr(wait) {
            // SAFETY: mapped at the start with this size; who ran on it is gone.
            Ok(_) => drop(unsafe { munmap(stack, STACK) }),
            // Nobody knows whether it is.
            Err(_) => std::mem::forget(Arc::clone(&self.shared)),
        }
    }
}

/// The child's life.
extern "C" fn watch(argument: *mut c_void) -> c_int {
    // SAFETY: what `start` gave, which lives until this process is gone.
    let shared = unsafe { &*argument.cast::<Shared>() };
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    let _ = rustix::thread::set_name(c"flame-watchdog");
    let _ = setsid();
    // SAFETY: numbers, and of this process' own table of files. Above all standard output: who reads it waits for its
    // last writer. (Before Linux 5.9 it fails, and sets the errno of the thread that waits for the session's end.)
    // Standard error is kept, for a last word.
    unsafe {
        libc::syscall(libc::SYS_close_range, 0, 1, 0);
        libc::syscall(libc::SYS_close_range, 3, u32::MAX, 0);
    };
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC;
    let file = rustix::fs::open(shared.path.as_c_str(), flags, rustix::fs::Mode::empty());
    let (mut seen, mut stuck) = (0, 0);
    while getppid() == Some(shared.parent) {
        let _ = rustix::thread::nanosleep(&rustix::time::Timespec {
            tv_sec: 0,
            tv_nsec: PERIOD.subsec_nanos().into(),
        });
        if !shared.tracing.load(Ordering::SeqCst) {
            stuck = 0;
            continue;
        }
        if let Ok(file) = &file {
            let mut text = [0; 128];
            let len = rustix::io::pread(file, &mut text, 0).unwrap_or(0);
            let is_stopped = crate::process::Stat::state_of(&text[..len]) == Some(b'T');
            // Asked again: it says that it traces no more before it stops itself, and may have since.
            if is_stopped && shared.tracing.load(Ordering::SeqCst) {
                let _ = kill_process(shared.parent, Signal::CONT);
                stuck = 0;
                continue;
            }
        }
        let steps = shared.steps.load(Ordering::Relaxed);
        stuck = if steps == seen && steps % 2 == 1 { stuck + 1 } else { 0 };
        seen = steps;
        let patience = if shared.is_patient.load(Ordering::Relaxed) { LONG_PATIENCE } else { PATIENCE };
        if stuck > patience {
            // SAFETY: if it is not open, the write fails.
            let stderr = unsafe { rustix::fd::BorrowedFd::borrow_raw(libc::STDERR_FILENO) };
            let _ = rustix::io::write(stderr, LAST_WORD);
            let _ = kill_process(shared.parent, Signal::KILL);
        }
    }
    // SAFETY: ends this process, without running what its parent wants to be run at its own end.
    unsafe { libc::_exit(0) }
}
