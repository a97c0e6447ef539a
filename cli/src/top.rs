//! `top`: the hottest functions of a process, live.
//!
//! Two threads: the session's takes samples and hands over what is new once a second; the view's names it,
//! draws it and listens to keys. The session never waits for the terminal.

use crate::command;
use crate::member::name_of;
use crate::message::{self, Failure};
use crate::narrator::say;
use crate::symbols::{DebugFiles, Names};
use crate::target::{Files, Objects, Target};
use flame_core::arch::Registers;
use flame_core::elf::Elf;
use flame_core::maps::{Maps, ModuleId};
use flame_core::profile::Thread;
use flame_core::sample::news::{News, Seen};
use flame_core::sample::sampler::{Outcome as Stopped, Sampler};
use flame_core::v8::image::Image;
use flame_render::live::{Live, Look, Usage, Used};
use flame_sys::memory::ProcessMemory;
use flame_sys::process::{Process, cpu_time_ns};
use flame_sys::session::{self, Control, Flow, Options, ThreadKey, Verdict, Visitor};
use flame_sys::signals::Blocked;
use flame_sys::terminal::{self, Input};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Between two pictures.
const REFRESH: Duration = Duration::from_secs(1);

/// Between two looks at the keyboard, the screen's size and the session's end.
const LOOK: Duration = Duration::from_millis(100);

/// The view has so long to come to its end, which a terminal that was halted may hold up.
const PATIENCE: Duration = Duration::from_secs(1);

/// Lines of a picture where there is no screen to fill.
const PLAIN_LINES: usize = 14;

/// Columns of such a line.
const PLAIN_COLUMNS: usize = 1024;

/// Reading the mappings takes at most one part in this many of the time.
const MAPS_SHARE: u32 = 50;

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
    /// The terminal is ours: node-flame is not suspended. Held while something is drawn.
    is_ours: Mutex<bool>,
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
    let shared = Arc::new(Shared { is_ours: Mutex::new(true), ..Shared::default() });
    let is_plain = !terminal::is_one() || std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    let view = View {
        shared: Arc::clone(&shared),
        live: Live::new(pid, &command),
        look: Look { native: wanted.native, ..Look::default() },
        debug_files: DebugFiles::of(&process),
        size: (PLAIN_COLUMNS, PLAIN_LINES),
        is_plain,
    };
    let mut topping = Topping {
        pid,
        process: Process::open(pid).ok(),
        memory: ProcessMemory::new(pid),
        sampler: sampler(&elf, &image, maps, v8, &objects),
        remake: (elf, image, v8),
        threads: Vec::new(),
        files: &mut files,
        objects,
        maps_text: Vec::new(),
        next_maps: Instant::now(),
        next: Instant::now(),
        seen: Seen::default(),
        is_first: true,
        sampled: false,
        shared: Arc::clone(&shared),
        is_plain,
    };
    if !is_plain {
        give_back_on_panic();
        terminal::enter();
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

fn sampler(
    elf: &Elf<'static>,
    image: &Image<'static>,
    maps: Maps,
    v8: ModuleId,
    objects: &Objects,
) -> Sampler<'static> {
    let mut sampler = Sampler::new(elf, image.clone(), maps, v8);
    for (number, elf) in (0..).zip(objects) {
        sampler.module(ModuleId(number), *elf);
    }
    sampler
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a session's calls lead to.
struct Topping<'f> {
    pid: u32,
    process: Option<Process>,
    memory: ProcessMemory,
    sampler: Sampler<'static>,
    /// What another sampler is made of.
    remake: (Elf<'static>, Image<'static>, ModuleId),
    threads: Vec<(usize, Thread)>,
    files: &'f mut Files,
    objects: Objects,
    maps_text: Vec<u8>,
    /// Before this the mappings are not read again.
    next_maps: Instant,
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
    fn read_maps(&mut self) {
        let started = Instant::now();
        let Some(process) = self.process.as_ref().filter(|_| started >= self.next_maps) else { return };
        if process.maps(&mut self.maps_text).is_err() {
            return;
        }
        self.sampler.update_maps(&self.maps_text);
        for number in self.objects.len()..self.sampler.maps().modules().len() {
            let module = ModuleId(number as u16);
            let elf = self.files.object(process, self.sampler.maps(), module);
            self.objects.push(elf);
            self.sampler.module(module, elf);
        }
        self.next_maps = Instant::now() + MAPS_SHARE * started.elapsed();
    }

    /// Begins anew, with empty tables.
    fn reset(&mut self) {
        let (elf, image, v8) = &self.remake;
        self.sampler = sampler(elf, image, self.sampler.maps().clone(), *v8, &self.objects);
        for (index, thread) in &self.threads {
            self.sampler.thread(*index, thread.clone(), thread.tid == self.pid);
        }
        (self.seen, self.is_first) = (Seen::default(), true);
    }

    fn usage(&self, control: &Control<'_>) -> Usage {
        let living = control.threads().into_iter().filter(|report| report.until_us.is_none());
        let used = living.filter_map(|report| {
            let tid = report.thread.tid;
            let cpu_ns = cpu_time_ns(self.process.as_ref()?, tid)?;
            Some(Used { tid, cpu_ns, idle: report.counts.idle, lost: report.counts.lost })
        });
        Usage { at_us: control.at_us(), threads: used.collect() }
    }
}

impl Visitor for Topping<'_> {
    fn started(&mut self, thread: ThreadKey) -> bool {
        let name = self.process.as_ref().map(|process| name_of(process, thread.tid)).unwrap_or_default();
        let known = Thread { tid: thread.tid, name };
        let index = usize::from(thread.index);
        self.threads.retain(|other| other.0 != index);
        self.threads.push((index, known.clone()));
        self.sampler.thread(index, known, thread.tid == self.pid);
        true
    }

    fn held(&mut self, thread: ThreadKey, registers: &Registers, memory: &ProcessMemory) -> Verdict {
        let stopped = self.sampler.held(usize::from(thread.index), registers, memory);
        self.sampled = stopped == Stopped::Sampled;
        match stopped {
            Stopped::Sampled => Verdict::Sampled,
            Stopped::Lost => Verdict::Lost,
            Stopped::NeverJavaScript if thread.tid != self.pid => Verdict::NotWanted,
            Stopped::NotJavaScript | Stopped::NeverJavaScript => Verdict::Skipped,
        }
    }

    fn released(&mut self, thread: ThreadKey, at_us: u64) {
        if self.sampled {
            self.sampler.released(usize::from(thread.index), at_us, &self.memory);
        }
    }

    fn suspended(&mut self, is_so: bool) {
        if self.is_plain {
            return;
        }
        let mut is_ours = locked(&self.shared.is_ours);
        *is_ours = !is_so;
        if is_so {
            terminal::leave();
        } else {
            terminal::enter();
            self.shared.redraw.store(true, Ordering::Relaxed);
        }
    }

    fn tick(&mut self, control: &mut Control<'_>) -> Flow {
        if self.shared.over.load(Ordering::Relaxed) {
            return Flow::Stop;
        }
        if self.sampler.wants_maps() {
            self.read_maps();
        }
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
                    objects: self.objects.clone(),
                });
            }
        }
        Flow::Continue
    }
}

/// The view's side.
struct View {
    shared: Arc<Shared>,
    live: Live,
    look: Look,
    debug_files: DebugFiles,
    /// Columns and lines.
    size: (usize, usize),
    is_plain: bool,
}

impl View {
    fn run(mut self) {
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
        let is_ours = locked(&self.shared.is_ours);
        if *is_ours { terminal::draw(picture.as_bytes()) } else { Ok(()) }
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
