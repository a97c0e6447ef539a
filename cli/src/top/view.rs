//! What `top` shows, and what the keys do.

use super::{Shared, locked};
use crate::symbols::{DebugFiles, Names};
use flame_core::sample::news::News;
use flame_render::live::{Live, Look};
use flame_sys::terminal::{self, Input};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::stdio::stdout;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Between two looks at the keyboard, the screen's size and the session's end.
const LOOK: Duration = Duration::from_millis(100);

/// Lines of a picture where there is no screen to fill.
const PLAIN_LINES: usize = 14;

/// Columns of such a line.
const PLAIN_COLUMNS: usize = 1024;

/// The view's side.
pub struct View {
    shared: Arc<Shared>,
    live: Live,
    look: Look,
    debug_files: DebugFiles,
    /// Columns and lines.
    size: (usize, usize),
    is_plain: bool,
}

impl View {
    /// Of the process of this id and name. `native`: frames that are not JavaScript are shown.
    pub fn new(
        shared: Arc<Shared>,
        (pid, command): (u32, &str),
        native: bool,
        debug_files: DebugFiles,
        is_plain: bool,
    ) -> View {
        View {
            shared,
            live: Live::new(pid, command),
            look: Look { native, ..Look::default() },
            debug_files,
            size: (PLAIN_COLUMNS, PLAIN_LINES),
            is_plain,
        }
    }

    /// Shows what the session hands over, until one of both ends.
    pub fn run(mut self) {
        while !self.shared.over.load(Ordering::Relaxed) {
            let has_news = self.take();
            let has_changed = !self.is_plain && (self.listen() | self.measure());
            if (has_news || has_changed) && self.draw().is_err() {
                break;
            }
            if self.is_plain {
                std::thread::sleep(LOOK);
            }
        }
        self.shared.over.store(true, Ordering::Relaxed);
    }

    /// Takes what the session has handed over. Whether there was something.
    fn take(&mut self) -> bool {
        let Some(update) = locked(&self.shared.update).take() else { return false };
        if update.is_first {
            self.live.clear();
        }
        if self.look.is_paused {
            let kept = News { samples: Vec::new(), ..update.news };
            self.live.learn(kept);
        } else {
            self.live.update(update.news, update.usage);
        }
        let places = self.live.unnamed();
        let mut names = Names::of(places.into_iter(), update.maps, &update.objects, &self.debug_files);
        self.live.name(&mut names);
        !self.look.is_paused
    }

    /// Takes the size of the screen. Whether it has to be drawn again.
    fn measure(&mut self) -> bool {
        let (columns, lines) = terminal::size().unwrap_or((80, 24));
        let size = (usize::from(columns), usize::from(lines));
        let redraw = self.shared.redraw.swap(false, Ordering::Relaxed);
        std::mem::replace(&mut self.size, size) != size || redraw
    }

    /// Waits for keys. Whether they change the picture.
    fn listen(&mut self) -> bool {
        let mut keys = [0; 64];
        match terminal::keys(&mut keys, LOOK) {
            Input::Nothing => false,
            Input::Closed => {
                self.shared.over.store(true, Ordering::Relaxed);
                false
            }
            Input::Bytes(len) => {
                self.press(keys.get(..len).unwrap_or_default());
                true
            }
        }
    }

    fn press(&mut self, mut keys: &[u8]) {
        while let Some((key, rest)) = keys.split_first() {
            keys = rest;
            match *key {
                0x1b => {
                    // An arrow comes as three bytes.
                    match rest {
                        [b'[' | b'O', b'A' | b'D', more @ ..] => {
                            self.switch(false);
                            keys = more;
                        }
                        [b'[' | b'O', b'B' | b'C', more @ ..] => {
                            self.switch(true);
                            keys = more;
                        }
                        _ => {
                            if self.look.is_typing {
                                self.look.filter.clear();
                            }
                            self.look.is_typing = false;
                            keys = &[];
                        }
                    }
                }
                b'\r' | b'\n' if self.look.is_typing => self.look.is_typing = false,
                0x7f | 0x08 if self.look.is_typing => drop(self.look.filter.pop()),
                key @ b' '..=b'~' if self.look.is_typing => self.look.filter.push(key.into()),
                _ if self.look.is_typing => {}
                b'q' => self.shared.over.store(true, Ordering::Relaxed),
                b's' => self.look.by_total = false,
                b't' => self.look.by_total = true,
                b'/' => {
                    self.look.filter.clear();
                    self.look.is_typing = true;
                }
                b' ' => self.look.is_paused = !self.look.is_paused,
                b'n' => self.switch(true),
                b'p' => self.switch(false),
                b'r' => {
                    self.live.reset();
                    self.shared.reset.store(true, Ordering::Relaxed);
                }
                _ => {}
            }
        }
    }

    /// The next thread, or the one before; all of them stand between the last and the first.
    fn switch(&mut self, forward: bool) {
        let tids = self.live.tids();
        let now = self.look.thread.and_then(|tid| tids.iter().position(|other| *other == tid));
        let next = match (now, forward) {
            (None, true) => Some(0),
            (None, false) => tids.len().checked_sub(1),
            (Some(at), true) => Some(at + 1),
            (Some(at), false) => at.checked_sub(1),
        };
        self.look.thread = next.and_then(|next| tids.get(next)).copied();
    }

    fn draw(&self) -> std::io::Result<()> {
        let shared = &self.shared;
        let _drawing = locked(&shared.drawing);
        if !self.is_plain {
            if shared.is_suspended.load(Ordering::SeqCst) {
                return Ok(());
            }
            // Who writes to a line that is halted or dead waits, and draws nothing newer when it goes on.
            if !takes_more() {
                shared.redraw.store(true, Ordering::SeqCst);
                return Ok(());
            }
            if shared.enter.swap(false, Ordering::SeqCst) {
                terminal::enter();
            }
        }
        let (columns, height) = self.size;
        let lines = self.live.draw(&self.look, columns, height, !self.is_plain);
        let mut picture = String::new();
        if self.is_plain {
            for line in lines {
                picture.push_str(&line);
                picture.push('\n');
            }
            picture.push('\n');
        } else {
            picture.push_str("\x1b[H");
            for (at, line) in lines.iter().enumerate() {
                picture.push_str(if at == 0 { "" } else { "\r\n" });
                picture.push_str(line);
                picture.push_str("\x1b[K");
            }
            picture.push_str("\x1b[J");
        }
        terminal::draw(picture.as_bytes())
    }
}

/// Whether the terminal takes something now.
fn takes_more() -> bool {
    let stdout = stdout();
    let now = Timespec::default();
    !matches!(poll(&mut [PollFd::new(&stdout, PollFlags::OUT)], Some(&now)), Ok(0))
}
