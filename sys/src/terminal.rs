//! The terminal that node-flame draws on: taken over, given back.
//!
//! What it was is kept in one place for the whole process, so that every way out can give it back: the end
//! of the view, a suspension, a panic.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::stdio::{stdin, stdout};
use rustix::termios::{
    Action, LocalModes, OptionalActions, Termios, isatty, tcflow, tcgetattr, tcgetwinsize, tcsetattr,
};
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What the terminal was, while it is taken over.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// The other screen, where nothing that stands on the first one is lost.
const ENTER: &[u8] = b"\x1b[?1049h";
const LEAVE: &[u8] = b"\x1b[?1049l";

/// What came from the keyboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// So many bytes.
    Bytes(usize),
    /// Nothing in the time given.
    Nothing,
    /// The terminal is gone.
    Closed,
}

/// Both keyboard and screen are a terminal.
pub fn is_one() -> bool {
    isatty(stdin()) && isatty(stdout())
}

/// Takes it over: keys come one by one and are not shown. Ctrl-C and Ctrl-Z still send their signals.
pub fn enter() {
    let mut before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
    let Ok(was) = tcgetattr(stdin()) else { return };
    let mut is = was.clone();
    is.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
    if before.is_none() && tcsetattr(stdin(), OptionalActions::Now, &is).is_ok() {
        *before = Some(was);
        let _ = draw(ENTER);
    }
}

/// Gives it back as it was, if it was taken.
pub fn leave() {
    // A panic in between must not wait for itself.
    let Ok(mut before) = BEFORE.try_lock() else { return };
    if let Some(was) = before.take() {
        let _ = tcsetattr(stdin(), OptionalActions::Now, &was);
        // Ctrl-S may have halted it: who waits to write would wait for ever.
        let _ = tcflow(stdout(), Action::OOn);
        let stdout = stdout();
        let patience = Timespec { tv_sec: 1, tv_nsec: 0 };
        // By no lock: whoever draws may be held up by a line that is dead, and no signal ends us here.
        if let Ok(1..) = poll(&mut [PollFd::new(&stdout, PollFlags::OUT)], Some(&patience)) {
            let _ = rustix::io::write(stdout, LEAVE);
        }
    }
}

/// Columns and rows.
pub fn size() -> Option<(u16, u16)> {
    tcgetwinsize(stdout()).ok().map(|size| (size.ws_col, size.ws_row)).filter(|size| size.0 > 0 && size.1 > 0)
}

/// Writes to the screen.
pub fn draw(bytes: &[u8]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

/// Waits for keys, at most `timeout`.
pub fn keys(into: &mut [u8], timeout: Duration) -> Input {
    let stdin = stdin();
    let timeout = Timespec { tv_sec: 0, tv_nsec: timeout.subsec_nanos().into() };
    let mut fds = [PollFd::new(&stdin, PollFlags::IN)];
    match poll(&mut fds, Some(&timeout)) {
        Ok(0) | Err(rustix::io::Errno::INTR) => Input::Nothing,
        Ok(_) => match rustix::io::read(stdin, into) {
            Ok(0) | Err(rustix::io::Errno::IO) => Input::Closed,
            Ok(len) => Input::Bytes(len),
            Err(_) => Input::Nothing,
        },
        Err(_) => Input::Closed,
    }
}
