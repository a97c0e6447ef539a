//! Whether standard output was open when node-flame was started.
//!
//! Before `main`, Rust's runtime opens `/dev/null` in the place of a standard stream that is closed, so
//! that no file takes its number. What is written there vanishes, and node-flame would say that all went
//! well. So it is looked at before that, by a constructor of the executable.

use std::sync::atomic::{AtomicBool, Ordering};

static STDOUT_CLOSED: AtomicBool = AtomicBool::new(false);

// SAFETY: what stands in `.init_array` is called with arguments that a function without parameters
// leaves alone, before `main`, when libc is ready; `look` needs nothing of Rust's runtime.
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

extern "C" fn look() {
    // SAFETY: asks for a number; no pointers.
    let is_closed = unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_GETFD) } == -1;
    STDOUT_CLOSED.store(is_closed, Ordering::Relaxed);
}

/// Standard output was closed when node-flame was started.
pub fn stdout_was_closed() -> bool {
    STDOUT_CLOSED.load(Ordering::Relaxed)
}
