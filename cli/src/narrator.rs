//! What is said on stderr while a run goes on.
//!
//! A thread of its own writes: a terminal that is paused, or a pipe that nobody reads, must hold up
//! nobody who holds a thread of the target.

use crate::command;
use crate::message::Failure;
use flame_render::Printable;
use rustix::fs::FileType;
use std::io::{IsTerminal, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Between two states of the progress line.
const REFRESH: Duration = Duration::from_millis(500);

/// Words that wait to be said.
const QUEUE: usize = 16;

/// Columns of the progress line at most, which is wiped by blanks: not every terminal knows an escape for it.
const COLUMNS: usize = 70;

/// Columns for it on the terminal as it is now.
fn columns() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stderr());
    columns_of(size.map_or(0, |size| size.ws_col.into()))
}

/// Columns for it on a terminal of this width, 0 if that is not known. The last one stays free: what is written there
/// may begin another line.
fn columns_of(width: usize) -> usize {
    if width == 0 { COLUMNS } else { COLUMNS.min(width - 1) }
}

/// The words of a run.
#[derive(Debug)]
pub enum Word {
    /// The process is attached: the first line can be said.
    Attached,
    /// So many samples so far.
    Taken(u64),
}

/// Tells how a run goes. Nothing is said if it is quiet.
pub struct Narrator {
    thread: Option<(SyncSender<Word>, JoinHandle<()>)>,
}

impl Narrator {
    /// Starts to listen. `pid` is shown once it is attached.
    pub fn new(pid: u32, profile: &command::Profile) -> Narrator {
        if profile.quiet {
            return Narrator { thread: None };
        }
        let (sender, receiver) = sync_channel(QUEUE);
        let length = profile.length;
        // The terminal of a command that is run is its own.
        let show_progress =
            matches!(profile.target, command::Target::Pid(_)) && std::io::stderr().is_terminal();
        let pid_to_end = goes_to_a_pipe(profile).then(std::process::id);
        let first =
            format!("Sampling {pid} for {}s, outputting {}.", length.as_secs_f64(), profile.format.name());
        // Without a thread to speak, the run goes on in silence.
        let thread = std::thread::Builder::new().name("narrator".into());
        let thread =
            thread.spawn(move || narrate(&first, length, show_progress.then_some(pid_to_end), &receiver));
        Narrator { thread: thread.ok().map(|thread| (sender, thread)) }
    }

    /// A way to tell it, for the sampling thread.
    pub fn teller(&self) -> Teller {
        Teller(self.thread.as_ref().map(|(sender, _)| sender.clone()))
    }

    /// Ends the progress line. All [`Teller`]s must be gone.
    pub fn end(self) {
        if let Some((sender, thread)) = self.thread {
            drop(sender);
            // A panic there has said itself what it was.
            let _ = thread.join();
        }
    }
}

/// Tells a [`Narrator`].
#[derive(Clone)]
pub struct Teller(Option<SyncSender<Word>>);

impl Teller {
    /// Tells it, without waiting.
    pub fn tell(&self, word: Word) {
        if let Some(sender) = &self.0 {
            // Behind, because its terminal is paused: it misses a word.
            let _ = sender.try_send(word);
        }
    }
}

/// The profile goes to a program that a Ctrl-C would end too, so that there were nobody to take it.
fn goes_to_a_pipe(profile: &command::Profile) -> bool {
    let is_stdout = profile.output.as_deref().is_none_or(|path| path == "-");
    let stat = rustix::fs::fstat(std::io::stdout()).ok().filter(|_| is_stdout);
    stat.is_some_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo)
}

/// `shows`: the progress line is, and this is who is to be ended where Ctrl-C would end more.
fn narrate(first: &str, length: Duration, shows: Option<Option<u32>>, words: &Receiver<Word>) {
    let mut stderr = std::io::stderr();
    let mut shown: Option<Instant> = None;
    let mut started = Instant::now();
    // A stderr that is gone is not worth ending a run.
    for word in words {
        match word {
            Word::Attached => {
                started = Instant::now();
                let _ = writeln!(stderr, "{first}");
            }
            Word::Taken(taken) => {
                let Some(pid) = shows.filter(|_| shown.is_none_or(|at| at.elapsed() >= REFRESH)) else {
                    continue;
                };
                shown = Some(Instant::now());
                let (line, columns) = (progress(started.elapsed(), length, taken, pid), columns());
                let _ = write!(stderr, "\r{line:columns$.columns$}\r");
            }
        }
    }
    if shown.is_some() {
        let columns = columns();
        let _ = write!(stderr, "\r{:columns$}\r", "");
    }
}

fn progress(elapsed: Duration, length: Duration, taken: u64, pid: Option<u32>) -> String {
    let left = length.saturating_sub(elapsed).as_secs_f64().ceil();
    let mut line = format!("{taken} samples, {left} s left (");
    match pid {
        Some(pid) => line += &format!("kill -INT {pid}"),
        None => line += "Ctrl-C",
    }
    line + " ends and writes)"
}

/// Says on stderr what went wrong. Where that is gone, the exit code still tells.
pub fn complain(failure: &Failure) {
    let _ = writeln!(std::io::stderr(), "node-flame: {failure}");
}

/// Says lines on stderr. Nothing in it can act on a terminal.
pub fn say(line: &str) {
    let mut stderr = std::io::stderr();
    for line in line.lines() {
        let _ = writeln!(stderr, "{}", Printable(line));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_progress_line_fits_its_columns() {
        let line = progress(Duration::from_secs(1), Duration::from_secs(31_536_000), 9_999_999_999, None);
        assert!(line.len() < COLUMNS, "{line}");
        let line = progress(Duration::from_millis(2500), Duration::from_secs(10), 247, Some(4_194_304));
        assert_eq!(line, "247 samples, 8 s left (kill -INT 4194304 ends and writes)");
        assert_eq!([0, 1, 40, 71, 200].map(columns_of), [70, 0, 39, 70, 70]);
    }
}
