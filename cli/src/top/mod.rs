//! `top`: the hottest functions of a process, live.
//!
//! Two threads: the session's takes samples and hands over what is new once a second; the view's names it,
//! draws it and listens to keys. The session never waits for the terminal.

mod view;

use crate::command;
use crate::followed::Followed;
use crate::message::{self, Failure};
use crate::narrator::say;
use crate::symbols::DebugFiles;
use crate::target::{Files, Objects, Target};
use flame_core::arch::Registers;
use flame_core::elf::Elf;
use flame_core::maps::{Maps, ModuleId};
use flame_core::profile::Thread;
use flame_core::sample::news::{News, Seen};
use flame_core::sample::sampler::{Outcome as Stopped, Sampler};
use flame_core::v8::image::Image;
use flame_render::live::{Usage, Used};
use flame_sys::memory::ProcessMemory;
use flame_sys::process::cpu_time_ns;
use flame_sys::session::{self, Control, Flow, Options, ThreadKey, Verdict, Visitor};
use flame_sys::signals::Blocked;
use flame_sys::terminal;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};
use view::View;

/// Between two pictures.
const REFRESH: Duration = Duration::from_secs(1);

/// The view has so long to come to the end of a picture, which a terminal that was halted, or whose line is dead,
/// may hold up.
const PATIENCE: Duration = Duration::from_secs(1);

/// Between two looks whether it has.
const LOOK: Duration = Duration::from_millis(10);

/// What the session hands over.
struct Update {
    news: News,
    usage: Usage,
    /// Numbers begin anew.
    is_first: bool,
    maps: Maps,
    objects: Objects,
}

/// What both threads know.
#[derive(Default)]
struct Shared {
    update: Mutex<Option<Update>>,
    /// The view has ended, or the session has.
    over: AtomicBool,
    /// The session is to begin anew: its tables are full.
    reset: AtomicBool,
    /// node-flame is suspended: the terminal is another's.
    is_suspended: AtomicBool,
    /// Held while something is drawn.
    drawing: Mutex<()>,
    /// The terminal is to be taken over, before anything is drawn. The view does that: whoever writes may be held up.
    enter: AtomicBool,
    /// All that is on the screen has to be drawn again.
    redraw: AtomicBool,
}

/// Shows the view until a key, a signal or the process' end.
pub fn top(wanted: &command::Top) -> Result<ExitCode, Failure> {
    let signals = Blocked::new();
    let mut files = Files::default();
    let Target { process, maps, objects, v8, elf, image, command, .. } =
        Target::open(wanted.pid, &mut files)?;
    let pid = process.pid();
    let options = Options {
        rate_hz: wanted.rate,
        duration: Duration::MAX,
        max_pause_percent: wanted.max_pause,
        wall: false,
    };
    let is_plain = !terminal::is_one() || std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    let shared = Arc::new(Shared { enter: AtomicBool::new(!is_plain), ..Shared::default() });
    let view =
        View::new(Arc::clone(&shared), (pid, &command), wanted.native, DebugFiles::of(&process), is_plain);
    let followed = Followed::new(pid, objects);
    let mut topping = Topping {
        sampler: followed.sampler(&elf, image.clone(), maps, v8),
        followed,
        remake: (elf, image, v8),
        threads: Vec::new(),
        files: &mut files,
        next: Instant::now(),
        seen: Seen::default(),
        is_first: true,
        sampled: false,
        shared: Arc::clone(&shared),
        is_plain,
    };
    if !is_plain {
        give_back_on_panic();
    }
    let (ended, end) = std::sync::mpsc::sync_channel(1);
    let spawned = std::thread::Builder::new().name("view".into()).spawn(move || {
        view.run();
        // Nobody listens any more if it took too long.
        let _ = ended.send(());
    });
    let outcome = session::run(&signals, process, options, &mut topping);
    shared.over.store(true, Ordering::Relaxed);
    if spawned.is_ok() {
        let _ = end.recv_timeout(PATIENCE);
    }
    terminal::leave();
    // A second signal has waited for that.
    drop(signals);
    let outcome = outcome.map_err(|refusal| Failure::Refused(pid, refusal))?;
    if let Some(ended) = message::end(&outcome.end) {
        say(&format!("{pid} {ended}."));
    }
    Ok(ExitCode::SUCCESS)
}

/// A panic would leave the terminal as it is: it ends the process at once.
fn give_back_on_panic() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        terminal::leave();
        before(panic);
    }));
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a session's calls lead to.
struct Topping<'f> {
    followed: Followed,
    sampler: Sampler<'static>,
    /// What another sampler is made of.
    remake: (Elf<'static>, Image<'static>, ModuleId),
    threads: Vec<(usize, Thread)>,
    files: &'f mut Files,
    /// When the view gets what is new.
    next: Instant,
    seen: Seen,
    is_first: bool,
    /// The last stop gave a sample.
    sampled: bool,
    shared: Arc<Shared>,
    is_plain: bool,
}

impl Topping<'_> {
    /// Begins anew, with empty tables.
    fn reset(&mut self) {
        let (elf, image, v8) = &self.remake;
        self.sampler = self.followed.sampler(elf, image.clone(), self.sampler.maps().clone(), *v8);
        for (index, thread) in &self.threads {
            self.sampler.thread(*index, thread.clone(), thread.tid == self.followed.pid);
        }
        (self.seen, self.is_first) = (Seen::default(), true);
    }

    fn usage(&self, control: &Control<'_>) -> Usage {
        let living = control.threads().into_iter().filter(|report| !report.has_ended);
        let used = living.filter_map(|report| {
            let tid = report.thread.tid;
            let cpu_ns = cpu_time_ns(self.followed.process.as_ref()?, tid)?;
            Some(Used { tid, cpu_ns, idle: report.counts.idle, lost: report.counts.lost })
        });
        Usage { at_us: control.at_us(), threads: used.collect() }
    }
}

impl Visitor for Topping<'_> {
    fn started(&mut self, thread: ThreadKey) -> bool {
        let known = self.followed.thread(thread.tid);
        let index = usize::from(thread.index);
        self.threads.retain(|other| other.0 != index);
        self.threads.push((index, known.clone()));
        self.sampler.thread(index, known, thread.tid == self.followed.pid);
        true
    }

    fn held(&mut self, thread: ThreadKey, registers: &Registers, memory: &ProcessMemory) -> Verdict {
        let stopped = self.sampler.held(usize::from(thread.index), registers, memory);
        self.sampled = stopped == Stopped::Sampled;
        match stopped {
            Stopped::Sampled => Verdict::Sampled,
            Stopped::Lost => Verdict::Lost,
            Stopped::NeverJavaScript if thread.tid != self.followed.pid => Verdict::NotWanted,
            Stopped::NotJavaScript | Stopped::NeverJavaScript => Verdict::Skipped,
        }
    }

    fn released(&mut self, thread: ThreadKey, at_us: u64) {
        if self.sampled {
            self.sampler.released(usize::from(thread.index), at_us, &self.followed.memory);
        }
    }

    fn suspended(&mut self, is_so: bool) {
        if self.is_plain {
            return;
        }
        let shared = &self.shared;
        if !is_so {
            shared.enter.store(true, Ordering::SeqCst);
            shared.redraw.store(true, Ordering::SeqCst);
            shared.is_suspended.store(false, Ordering::SeqCst);
            return;
        }
        shared.is_suspended.store(true, Ordering::SeqCst);
        let until = Instant::now() + PATIENCE;
        // Signals wait meanwhile, and a line may stay dead.
        let _drawing = loop {
            match shared.drawing.try_lock() {
                Err(TryLockError::WouldBlock) if Instant::now() < until => std::thread::sleep(LOOK),
                drawing => break drawing,
            }
        };
        terminal::leave();
    }

    fn tick(&mut self, control: &mut Control<'_>) -> Flow {
        if self.shared.over.load(Ordering::Relaxed) {
            return Flow::Stop;
        }
        self.followed.look_after(&mut self.sampler, self.files);
        if self.shared.reset.swap(false, Ordering::Relaxed) {
            self.reset();
        }
        if Instant::now() >= self.next {
            let shared = Arc::clone(&self.shared);
            let mut slot = locked(&shared.update);
            // A view that is held up has not taken the last one.
            if slot.is_none() {
                self.next = Instant::now() + REFRESH;
                *slot = Some(Update {
                    news: self.sampler.news(&mut self.seen),
                    usage: self.usage(control),
                    is_first: std::mem::take(&mut self.is_first),
                    maps: self.sampler.maps().clone(),
                    objects: self.followed.objects.clone(),
                });
            }
        }
        Flow::Continue
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    /// Looks at the terminal's settings once it has taken it over, and panics.
    fn takes_a_terminal_over_and_panics() -> ! {
        give_back_on_panic();
        terminal::enter();
        let _ = Command::new("stty").arg("-g").status();
        panic!("as it may happen");
    }

    #[test]
    fn a_panic_gives_the_terminal_back() {
        // This test again, on a terminal of its own.
        if std::env::var_os("PANICS").is_some() {
            takes_a_terminal_over_and_panics();
        }
        let us = std::env::current_exe().unwrap();
        let panics = "--nocapture --exact top::tests::a_panic_gives_the_terminal_back";
        let line = format!("stty -g; PANICS=1 {} {panics}; stty -g", us.display());
        let mut terminal = Command::new("script")
            .args(["-qec", &line, "/dev/null"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("script, of bsdutils, starts");
        let keyboard = terminal.stdin.take();
        let output = terminal.wait_with_output().unwrap();
        drop(keyboard);
        let text = String::from_utf8_lossy(&output.stdout);
        let is_look = |line: &&str| line.matches(':').count() > 30 && !line.contains(' ');
        let looks: Vec<&str> =
            text.lines().map(|line| line.trim_start_matches("\x1b[?1049h")).filter(is_look).collect();
        let [before, taken_over, after] = looks[..] else { panic!("{text}") };
        assert_eq!(before, after);
        assert_ne!(before, taken_over);
        let at = |part: &str| text.find(part).unwrap_or_else(|| panic!("no {part:?} in {text}"));
        // The message stands on the screen that is left.
        assert!(
            at("\x1b[?1049h") < at("\x1b[?1049l") && at("\x1b[?1049l") < at("as it may happen"),
            "{text}"
        );
    }
}
