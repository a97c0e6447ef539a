//! Linux for node-flame: ptrace, process_vm_readv, /proc, clocks and signals, thin and typed.
//!
//! The one crate with `unsafe`. It knows processes and threads, and nothing of V8 or of formats: what a
//! stopped thread's registers and memory mean is told by a [`session::Visitor`].
//!
//! The rule above all others: the target comes to no harm. Threads are seized, never stopped by
//! signals; only a thread that runs is interrupted; what it is sent is delivered at once; and when
//! node-flame dies, however it dies, the kernel lets go of all of them.

pub mod arch;
pub mod attach;
pub mod clock;
pub mod files;
pub mod memory;
pub mod process;
pub mod session;
pub mod signals;
pub mod spawn;
pub mod streams;
pub mod terminal;
pub mod tracer;

pub use rustix::io::Errno;

/// What the last failed call into libc on this thread said.
pub(crate) fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL)
}
