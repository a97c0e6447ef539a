//! `dump`: every thread's stack, once.
//!
//! A thread that waits is read where it waits; one that runs is held for its registers, its stack and the
//! few heap words that its frames need. Names are looked up when all of them run again.

use crate::args;
use crate::member::name_of;
use crate::message::{self, Failure};
use crate::narrator::say;
use crate::output::Output;
use crate::symbols::{DebugFiles, Names};
use crate::target::{Files, Target};
use flame_core::arch::Registers;
use flame_core::maps::ModuleId;
use flame_core::profile::{Meta, Receipt, Thread};
use flame_core::sample::sampler::{Outcome as Stopped, Sampler, Sleeper};
use flame_render::dump::{self, Doing, Dumped, Held};
use flame_sys::clock;
use flame_sys::memory::ProcessMemory;
use flame_sys::process::{Process, call_name};
use flame_sys::session::{self, Asleep, End, Options, ThreadKey, Verdict, Visitor};
use flame_sys::signals::Blocked;
use std::process::ExitCode;
use std::time::Duration;

/// Looks, each at those threads that were not read before: how long, and how often a second. The first one
/// is enough unless the host is so busy that a thread waits for a CPU before it can stop.
const LOOKS: [(Duration, u32); 3] =
    [(Duration::from_millis(20), 250), (Duration::from_millis(200), 50), (Duration::from_secs(2), 20)];

/// Writes the dump.
pub fn dump(wanted: &args::Dump) -> Result<ExitCode, Failure> {
    let output = Output::open(wanted.output.as_deref())?;
    let signals = Blocked::new();
    let mut files = Files::default();
    let Target { process, maps, objects, v8, elf, image, version, command } =
        Target::open(wanted.pid, &mut files)?;
    let pid = process.pid();
    let debug_files = DebugFiles::of(&process);
    let meta = Meta {
        pid,
        command,
        node: version.read().unwrap_or_default(),
        v8: image.layout.version.to_string(),
        host: clock::host_name(),
        started: clock::wall_seconds(),
        ..Meta::default()
    };
    let mut sampler = Sampler::new(&elf, image, maps, v8);
    sampler.split_by_thread();
    if wanted.arguments {
        sampler.keep_arguments();
    }
    for (number, elf) in (0..).zip(&objects) {
        sampler.module(ModuleId(number), *elf);
    }
    let mut dumping =
        Dumping { pid, process: Process::open(pid).ok(), sampler, threads: Vec::new(), sampled: false };
    let mut held = Held::default();
    let mut process = Some(process);
    for (duration, rate_hz) in LOOKS {
        let Some(process) = process.take().or_else(|| Process::open(pid).ok()) else { break };
        let options = Options { rate_hz, duration, max_pause_percent: 100.0, wall: true };
        let outcome = session::run(&signals, process, options, &mut dumping)
            .map_err(|refusal| Failure::Refused(pid, refusal))?;
        held.total_ns += outcome.pauses.total_ns;
        held.longest_ns = held.longest_ns.max(outcome.pauses.max_ns);
        if outcome.end != End::Time {
            if let Some(ended) = message::end(&outcome.end) {
                say(&format!("{pid} {ended}."));
            }
            break;
        }
        if dumping.threads.iter().all(|thread| thread.doing != Doing::Unread) {
            break;
        }
    }
    let Dumping { sampler, threads, .. } = dumping;
    held.threads = threads.iter().filter(|thread| thread.doing == Doing::Running).count() as u64;
    let mut symbols = Names::of(sampler.native_places(), sampler.maps().clone(), &objects, &debug_files);
    let profile = sampler.finish(meta, Receipt::default(), &mut symbols);
    output.write(|to| match wanted.json {
        true => dump::json(&profile, &threads, &held, &wanted.view, to),
        false => dump::text(&profile, &threads, &wanted.view, to),
    })?;
    if !wanted.quiet {
        say(&report(&threads, &held));
    }
    Ok(ExitCode::SUCCESS)
}

fn report(threads: &[Dumped], held: &Held) -> String {
    let asleep = threads.iter().filter(|thread| matches!(thread.doing, Doing::Waiting(_))).count();
    let millis = |ns: u64| ns as f64 / 1e6;
    format!(
        "Threads: {}; {asleep} read where they wait, without a stop; {} held for {:.3} ms together, {:.3} ms \
         at most.",
        threads.len(),
        held.threads,
        millis(held.total_ns),
        millis(held.longest_ns)
    )
}

/// What a session's calls lead to.
struct Dumping<'a> {
    pid: u32,
    process: Option<Process>,
    sampler: Sampler<'a>,
    threads: Vec<Dumped>,
    /// The last stop gave a stack.
    sampled: bool,
}

impl Dumping<'_> {
    fn thread(&mut self, tid: u32) -> Option<&mut Dumped> {
        self.threads.iter_mut().find(|thread| thread.thread.tid == tid)
    }

    fn is_read(&mut self, tid: u32) -> bool {
        self.thread(tid).is_none_or(|thread| thread.doing != Doing::Unread)
    }

    fn read(&mut self, tid: u32, doing: Doing) {
        let arguments = self.sampler.arguments();
        if let Some(thread) = self.thread(tid) {
            (thread.doing, thread.arguments) = (doing, arguments);
        }
    }
}

impl Visitor for Dumping<'_> {
    fn started(&mut self, thread: ThreadKey) -> bool {
        let known = self.thread(thread.tid).map(|known| known.thread.clone());
        let known = known.unwrap_or_else(|| {
            let name = self.process.as_ref().map(|process| name_of(process, thread.tid)).unwrap_or_default();
            let thread = Thread { tid: thread.tid, name };
            self.threads.push(Dumped { thread: thread.clone(), doing: Doing::Unread, arguments: Vec::new() });
            thread
        });
        if self.is_read(thread.tid) {
            return false;
        }
        self.sampler.thread(usize::from(thread.index), known, thread.tid == self.pid);
        true
    }

    fn held(&mut self, thread: ThreadKey, registers: &Registers, memory: &ProcessMemory) -> Verdict {
        if self.is_read(thread.tid) {
            return Verdict::NotWanted;
        }
        let stopped = self.sampler.held(usize::from(thread.index), registers, memory);
        self.sampled = stopped == Stopped::Sampled;
        if self.sampled { Verdict::NotWanted } else { Verdict::Lost }
    }

    fn released(&mut self, thread: ThreadKey, at_us: u64) {
        if !std::mem::take(&mut self.sampled) {
            return;
        }
        let memory = ProcessMemory::new(self.pid);
        if self.sampler.released(usize::from(thread.index), at_us, &memory).is_some() {
            self.read(thread.tid, Doing::Running);
        }
    }

    fn asleep(&mut self, thread: ThreadKey, at: Asleep<'_>, memory: &ProcessMemory) -> Verdict {
        if self.is_read(thread.tid) {
            return Verdict::NotWanted;
        }
        let call = at.call();
        let sleeper = Sleeper { pc: at.pc, sp: at.sp };
        let index = usize::from(thread.index);
        match self.sampler.asleep(index, sleeper, at.unchanged, at.at_us, memory, &|| at.holds()) {
            Stopped::Sampled => {
                let name = match call {
                    Some(-1) | None => "no system call: a page fault, or stopped",
                    Some(number) => call_name(number).unwrap_or("a system call"),
                };
                self.read(thread.tid, Doing::Waiting(name));
                Verdict::NotWanted
            }
            _ => Verdict::Lost,
        }
    }
}
