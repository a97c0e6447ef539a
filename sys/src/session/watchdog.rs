//! A second process that frees the target when node-flame cannot.
//!
//! The kernel lets go of a traced thread when its tracer dies, but not when the tracer is merely stopped:
//! a SIGSTOP to node-flame would leave a held thread held, and every signal to the target undelivered.
//! So a small child looks at node-flame's state every 40 ms. If it is stopped, it is continued, sees who
//! did that, ends its tracing thread and only then stops itself again; tracing goes on when the user
//! continues it. If the tracing thread is stuck outside of its one place to sleep for a second (in a
//! kernel before 5.11 an exec of the target can block it), node-flame is killed, which frees the target.
//!
//! The child is in a session of its own, so that a stop for the whole job or process group misses it, and
//! goes when node-flame goes.

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use rustix::process::{Pid, Signal, getpid, getppid, kill_process};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

const PERIOD: Duration = Duration::from_millis(40);

/// Periods without progress until node-flame is killed: time in which the watchdog itself ran, so that a
/// clock that jumps does no harm.
const PATIENCE: u32 = 25;

/// What the two processes share.
#[derive(Default)]
struct Shared {
    /// Some thread is traced.
    tracing: AtomicBool,
    /// Odd while the tracing thread does something, even while it sleeps.
    steps: AtomicU32,
}

/// The watchdog, for as long as this lives.
pub(super) struct Watchdog {
    shared: *mut Shared,
    child: Option<Pid>,
}

impl Watchdog {
    /// Starts it. Without memory or processes to be had the session goes on without one.
    pub fn start() -> Self {
        // SAFETY: a new mapping at an address of the kernel's choice; zero bytes are a valid `Shared`.
        let page = unsafe {
            mmap_anonymous(
                std::ptr::null_mut(),
                size_of::<Shared>(),
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
            )
        };
        let Ok(page) = page else { return Watchdog { shared: std::ptr::null_mut(), child: None } };
        let shared = page.cast::<Shared>();
        let state = format!("/proc/{}/stat\0", getpid().as_raw_nonzero());
        let parent = getpid();
        // SAFETY: the child makes system calls alone, through rustix's raw ones: it takes no lock, allocates
        // nothing and never returns from `watch`.
        let child = unsafe {
            match libc::fork() {
                0 => watch(&*shared, parent, &state),
                child => Pid::from_raw(child).filter(|_| child > 0),
            }
        };
        Watchdog { shared, child }
    }

    /// Its process id.
    pub fn pid(&self) -> Option<u32> {
        self.child.map(|child| child.as_raw_nonzero().get() as u32)
    }

    /// Some thread is traced from now on, or none any more.
    pub fn tracing(&self, tracing: bool) {
        if let Some(shared) = self.shared() {
            shared.tracing.store(tracing, Ordering::SeqCst);
        }
    }

    /// The tracing thread goes to sleep, or has woken up.
    pub fn step(&self) {
        if let Some(shared) = self.shared() {
            shared.steps.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn shared(&self) -> Option<&Shared> {
        // SAFETY: null, or the page mapped at the start, which lives until the drop; all fields are atomic.
        unsafe { self.shared.as_ref() }
    }
}

// SAFETY: the page is shared memory of atomics, made to be used from several threads at once.
unsafe impl Sync for Watchdog {}

impl Drop for Watchdog {
    fn drop(&mut self) {
        if let Some(child) = self.child {
            let _ = kill_process(child, Signal::KILL);
            let _ = rustix::process::waitpid(Some(child), rustix::process::WaitOptions::empty());
        }
        if !self.shared.is_null() {
            // SAFETY: mapped by `start` with this size, and not used after this.
            let _ = unsafe { munmap(self.shared.cast(), size_of::<Shared>()) };
        }
    }
}

/// The child's life.
fn watch(shared: &Shared, parent: Pid, state: &str) -> ! {
    // SAFETY: numbers and a string that lives as long as the process.
    unsafe {
        libc::syscall(libc::SYS_prctl, libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0);
        libc::syscall(libc::SYS_prctl, libc::PR_SET_NAME, c"flame-watchdog".as_ptr(), 0, 0, 0);
        libc::syscall(libc::SYS_setsid);
        // Above all standard output: who reads it waits for its last writer.
        libc::syscall(libc::SYS_close_range, 0, u32::MAX, 0);
    }
    let path = std::ffi::CStr::from_bytes_with_nul(state.as_bytes()).unwrap_or(c"");
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, rustix::fs::Mode::empty());
    let (mut seen, mut stuck) = (0, 0);
    while getppid() == Some(parent) {
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
                let _ = kill_process(parent, Signal::CONT);
                stuck = 0;
                continue;
            }
        }
        let steps = shared.steps.load(Ordering::Relaxed);
        stuck = if steps == seen && steps % 2 == 1 { stuck + 1 } else { 0 };
        seen = steps;
        if stuck > PATIENCE {
            let _ = kill_process(parent, Signal::KILL);
        }
    }
    // SAFETY: ends this process, without running what its parent wants to be run at its own end.
    unsafe { libc::_exit(0) }
}
