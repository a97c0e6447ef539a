//! ptrace, as types.
//!
//! [`Seized`] is a thread that this thread traces: while the value lives it runs, or listens in a
//! group-stop. [`Stop`] is such a thread held at a stop; letting it go on is a move, and dropping the
//! stop does it too, with the signal that belongs to it: the guard is there before the first step that
//! can fail.
//!
//! Threads are seized without any option that would trace their children or stop them on their way out,
//! and never with `PTRACE_O_EXITKILL`. There is no call that releases a running thread: ptrace can
//! detach only what stands still, and a last stop just for that would break off a sleeping system call.
//! The kernel releases everything when the tracing thread ends; so a session runs on a thread of its own.
//!
//! Stops are looked at with `WNOWAIT`. A wait that consumes a signal-delivery-stop clears the signal in
//! the kernel (`wait_task_stopped` in `kernel/exit.c`), and a tracer that is killed between that and
//! `PTRACE_CONT` loses the target a signal. Left unconsumed, the kernel delivers it.

use crate::{Errno, arch, last_error};
use flame_core::arch::Registers;
use std::marker::PhantomData;

/// `PTRACE_EVENT_STOP` (`include/uapi/linux/ptrace.h`), which libc's crate has not for musl.
const EVENT_STOP: i32 = 128;

/// One ptrace request.
///
/// # Safety
///
/// `data` must be what `request` wants: where that is a pointer, a valid one.
pub(crate) unsafe fn ptrace(request: u32, tid: u32, address: usize, data: usize) -> Result<(), Errno> {
    // SAFETY: as the caller promises.
    let result = unsafe {
        libc::syscall(libc::SYS_ptrace, libc::c_long::from(request), libc::c_long::from(tid), address, data)
    };
    if result == -1 { Err(last_error()) } else { Ok(()) }
}

/// A request without a pointer.
fn request(request: i32, tid: u32, data: usize) -> Result<(), Errno> {
    // SAFETY: every request in this module takes a number or nothing as its data.
    unsafe { ptrace(request as u32, tid, 0, data) }
}

/// A thread traced by the thread that holds this value.
#[derive(Debug)]
pub struct Seized {
    tid: u32,
    /// ptrace knows tracers by thread, so the value stays on its own.
    thread_bound: PhantomData<*const ()>,
}

impl Seized {
    /// Begins to trace a thread. It is not stopped by this.
    ///
    /// The one option is to be told of an exec, which ends all that is known of the process.
    pub fn seize(tid: u32) -> Result<Self, Errno> {
        request(libc::PTRACE_SEIZE as _, tid, libc::PTRACE_O_TRACEEXEC as usize)?;
        Ok(Seized { tid, thread_bound: PhantomData })
    }

    /// Its id.
    pub fn tid(&self) -> u32 {
        self.tid
    }

    /// Asks it to stop. Any stop that comes answers, whatever it is for: in the kernel every stop clears
    /// the request.
    pub fn interrupt(&self) -> Result<(), Errno> {
        request(libc::PTRACE_INTERRUPT as _, self.tid, 0)
    }
}

/// Why a thread stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It was asked to, or a group-stop has ended.
    Interrupted,
    /// A signal is about to be delivered to it.
    Signal(i32),
    /// All of its process was stopped by this signal.
    Group(i32),
    /// Its process has become another program.
    Exec,
    /// An event that was not asked for.
    Other,
}

/// A traced thread that stands still until this value is gone.
#[derive(Debug)]
pub struct Stop {
    tid: u32,
    why: Why,
    thread_bound: PhantomData<*const ()>,
}

impl Stop {
    /// Its id. After an exec this is the process' id, whichever thread it was.
    pub fn tid(&self) -> u32 {
        self.tid
    }

    /// What it stopped for.
    pub fn why(&self) -> Why {
        self.why
    }

    /// The stop of a traced thread that was reported to stand because it was asked to
    /// ([`Taken::interrupted`](crate::signals::Taken::interrupted)), and its registers. `None` if it does not stand.
    ///
    /// Only for a report of a stop that has not been looked at: after that the thread may stand for another reason,
    /// and a signal would be lost to it.
    pub(crate) fn reported(tid: u32) -> Option<(Self, Registers)> {
        let registers = arch::registers(tid).ok()?;
        Some((Stop { tid, why: Why::Interrupted, thread_bound: PhantomData }, registers))
    }

    /// Its registers as they were in user mode.
    pub fn registers(&self) -> Result<Registers, Errno> {
        arch::registers(self.tid)
    }

    /// Lets it go on as if nobody had looked: its signal is delivered, a group-stop stays one.
    pub fn resume(self) {}

    /// Lets it go on and traces it no longer.
    pub fn detach(self) {
        // ESRCH: it was killed where it stood. Nothing is left to do.
        let _ = request(libc::PTRACE_DETACH as _, self.tid, self.signal());
        std::mem::forget(self);
    }

    fn signal(&self) -> usize {
        match self.why {
            Why::Signal(signal) => signal as usize,
            _ => 0,
        }
    }
}

impl Drop for Stop {
    fn drop(&mut self) {
        // ESRCH: it was killed where it stood.
        let _ = match self.why {
            Why::Group(_) => request(libc::PTRACE_LISTEN as _, self.tid, 0),
            _ => request(libc::PTRACE_CONT as _, self.tid, self.signal()),
        };
    }
}

/// How a process, or one of its threads, ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By a signal.
    Signal(i32),
}

/// What a wait found.
#[derive(Debug)]
pub enum Event {
    /// A thread stands still.
    Stopped(Stop),
    /// A thread has ended and has been reaped. For a process' first thread: the process has.
    Ended(u32, Exit),
}

/// The next event of a thread traced by this one, if there is one. Never blocks.
pub fn next_event() -> Option<Event> {
    let seen = wait(libc::P_ALL, 0, libc::WEXITED | libc::WSTOPPED | libc::WNOWAIT)?;
    // SAFETY: the kernel filled these fields in: this is a report of a child.
    let (tid, status) = unsafe { (seen.si_pid() as u32, seen.si_status()) };
    match seen.si_code {
        libc::CLD_EXITED | libc::CLD_KILLED | libc::CLD_DUMPED => {
            // A process' last thread must not linger, or its parent would not hear of its end.
            wait(libc::P_PID, tid, libc::WEXITED);
            let exit =
                if seen.si_code == libc::CLD_EXITED { Exit::Code(status) } else { Exit::Signal(status) };
            Some(Event::Ended(tid, exit))
        }
        _ => Some(Event::Stopped(Stop { tid, why: why(status), thread_bound: PhantomData })),
    }
}

fn wait(kind: libc::idtype_t, id: u32, options: i32) -> Option<libc::siginfo_t> {
    // SAFETY: a struct of integers and pointers that nobody follows; zero is a value.
    let mut found: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let options = options | libc::WNOHANG | libc::__WALL | libc::__WNOTHREAD;
    // SAFETY: `found` is a valid siginfo_t to write to.
    let result = unsafe { libc::waitid(kind, id, &mut found, options) };
    // SAFETY: si_pid is 0 where the kernel found nothing.
    (result == 0 && unsafe { found.si_pid() } != 0).then_some(found)
}

/// A stop's status: the signal, with the event above it.
fn why(status: i32) -> Why {
    let (signal, event) = (status & 0xff, status >> 8);
    match (event, signal) {
        (0, signal) => Why::Signal(signal),
        (EVENT_STOP, libc::SIGTRAP) => Why::Interrupted,
        (EVENT_STOP, signal) => Why::Group(signal),
        (libc::PTRACE_EVENT_EXEC, _) => Why::Exec,
        _ => Why::Other,
    }
}
