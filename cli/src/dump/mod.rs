//! `dump`: every thread's stack, once.
//!
//! A thread that waits is read where it waits; one that runs is held while its registers and its stack are
//! copied. The copy is walked when it runs again; objects that moved meanwhile are noticed, as they are for
//! every sample. Arguments are values and not things that can be compared: for them a thread is held a second
//! time, until they are read. By the walk of its copy its functions are known then: to learn them is most of
//! the work.

mod memory;

use crate::command;
use crate::followed::Followed;
use crate::message::{self, Failure};
use crate::narrator::say;
use crate::output::Output;
use crate::symbols::{DebugFiles, Names};
use crate::target::{Files, Target};
use flame_core::arch::{Arch, Registers};
use flame_core::memory::Memory;
use flame_core::profile::{Meta, Receipt};
use flame_core::sample::sampler::{Outcome as Stopped, Sampler, Sleeper};
use flame_render::dump::{self, Doing, Dumped, Held};
use flame_sys::clock;
use flame_sys::memory::ProcessMemory;
use flame_sys::process::{Process, call_name};
use flame_sys::session::{self, Asleep, End, Options, ThreadKey, Verdict, Visitor};
use flame_sys::signals::Blocked;
use memory::{BLOCK, BLOCKS, Block, Near, Overlaid};
use std::cell::RefCell;
use std::process::ExitCode;
use std::time::Duration;

/// Looks, each at those threads that were not read before: how long, and how often a second. The first one
/// is enough unless the host is so busy that a thread waits for a CPU before it can stop.
const LOOKS: [(Duration, u32); 3] =
    [(Duration::from_millis(20), 250), (Duration::from_millis(200), 50), (Duration::from_secs(2), 20)];

/// Bytes of a stack that are copied in the stop. What lies above is of callers that have long called, and
/// can be read later.
const COPY_BYTES: usize = 64 << 10;

/// Writes the dump.
pub fn dump(wanted: &command::Dump) -> Result<ExitCode, Failure> {
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
    let followed = Followed::new(pid, objects);
    let mut sampler = followed.sampler(&elf, image, maps, v8);
    sampler.split_by_thread();
    if wanted.arguments {
        sampler.keep_arguments();
    }
    let mut dumping = Dumping {
        arch: elf.machine(),
        followed,
        sampler,
        threads: Vec::new(),
        indices: Vec::new(),
        arguments: wanted.arguments,
        learns: false,
        learnt: Vec::new(),
        stopped: Vec::new(),
        sampled: false,
        copied: None,
        // Written once, so that no page of it has to be found in a stop.
        stack: vec![1; COPY_BYTES],
        blocks: RefCell::new(vec![(1, [1; BLOCK as usize]); BLOCKS]),
        pending: Vec::new(),
    };
    let mut held = Held::default();
    let mut process = Some(process);
    'looks: for learns in [true, false].into_iter().skip(usize::from(!wanted.arguments)) {
        dumping.learns = learns;
        for (duration, rate_hz) in LOOKS {
            let Some(process) = process.take().or_else(|| Process::open(pid).ok()) else { break 'looks };
            let options = Options { rate_hz, duration, max_pause_percent: 100.0, wall: true };
            let outcome = session::run(&signals, process, options, &mut dumping)
                .map_err(|refusal| Failure::Refused(pid, refusal))?;
            dumping.quiet();
            held.total_ns += outcome.pauses.total_ns;
            held.longest_ns = held.longest_ns.max(outcome.pauses.max_ns);
            if outcome.end != End::Time {
                if let Some(ended) = message::end(&outcome.end).filter(|_| !wanted.quiet) {
                    say(&format!("{pid} {ended}."));
                }
                break 'looks;
            }
            if dumping.threads.iter().all(|thread| dumping.is_done_with(thread)) {
                break;
            }
        }
    }
    let Dumping { followed, sampler, threads, stopped, .. } = dumping;
    held.threads = stopped.len() as u64;
    let mut symbols =
        Names::of(sampler.native_places(), sampler.maps().clone(), &followed.objects, &debug_files);
    let profile = sampler.finish(meta, Receipt::default(), &mut symbols);
    // As for a profile: a reader of stdout may let us wait for ever.
    let _blocked = output.path().map(|_| signals);
    output.write(&mut |to| match wanted.json {
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
    followed: Followed,
    arch: Arch,
    sampler: Sampler<'a>,
    threads: Vec<Dumped>,
    /// Which thread the sampler knows by each index: what it has learnt of one is kept from look to look.
    indices: Vec<u32>,
    arguments: bool,
    /// These looks are for the functions that threads run, so that the looks for their arguments are short.
    learns: bool,
    /// Threads that need no such look any more.
    learnt: Vec<u32>,
    /// Threads that were held.
    stopped: Vec<u32>,
    /// The last stop gave a stack.
    sampled: bool,
    /// The last stop's registers, and how much of its stack was copied.
    copied: Option<(Registers, usize)>,
    stack: Vec<u8>,
    /// Memory that was read in a stop, by its address.
    blocks: RefCell<Vec<Block>>,
    /// Threads that run again and are to be walked: their registers, and the copies of their stacks.
    pending: Vec<(ThreadKey, u64, Registers, Vec<u8>)>,
}

impl Dumping<'_> {
    fn thread(&mut self, tid: u32) -> Option<&mut Dumped> {
        self.threads.iter_mut().find(|thread| thread.thread.tid == tid)
    }

    fn is_done_with(&self, thread: &Dumped) -> bool {
        if self.learns { self.learnt.contains(&thread.thread.tid) } else { thread.doing != Doing::Unread }
    }

    fn is_done(&self, tid: u32) -> bool {
        let known = self.threads.iter().find(|thread| thread.thread.tid == tid);
        known.is_none_or(|thread| self.is_done_with(thread))
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
            let thread = self.followed.thread(thread.tid);
            self.threads.push(Dumped { thread: thread.clone(), doing: Doing::Unread, arguments: Vec::new() });
            thread
        });
        if self.is_done(thread.tid) {
            return false;
        }
        let index = usize::from(thread.index);
        if self.indices.get(index) != Some(&thread.tid) {
            self.indices.resize(self.indices.len().max(index + 1), 0);
            self.indices[index] = thread.tid;
            self.sampler.thread(index, known, thread.tid == self.followed.pid);
        }
        true
    }

    fn held(&mut self, thread: ThreadKey, registers: &Registers, memory: &ProcessMemory) -> Verdict {
        if self.is_done(thread.tid) {
            return Verdict::NotWanted;
        }
        if self.learns || !self.arguments {
            let copied = memory.read_prefix(registers.sp(self.arch), &mut self.stack);
            self.copied = Some((*registers, copied));
            return Verdict::NotWanted;
        }
        self.blocks.borrow_mut().clear();
        let memory = Near { memory, blocks: &self.blocks };
        let stopped = self.sampler.held(usize::from(thread.index), registers, &memory);
        self.sampled = stopped == Stopped::Sampled;
        if self.sampled { Verdict::NotWanted } else { Verdict::Lost }
    }

    fn released(&mut self, thread: ThreadKey, at_us: u64) {
        if !self.stopped.contains(&thread.tid) {
            self.stopped.push(thread.tid);
        }
        // Others may stand yet: their turn comes first.
        if let Some((registers, copied)) = self.copied.take() {
            let copy = self.stack.get(..copied).unwrap_or_default();
            self.pending.push((thread, at_us, registers, copy.to_vec()));
            return;
        }
        if !std::mem::take(&mut self.sampled) {
            return;
        }
        if self.sampler.released(usize::from(thread.index), at_us, &self.followed.memory).is_some() {
            self.read(thread.tid, Doing::Running);
        }
    }

    fn quiet(&mut self) {
        for (thread, at_us, registers, copy) in std::mem::take(&mut self.pending) {
            let memory = &self.followed.memory;
            let overlaid = Overlaid { memory, base: registers.sp(self.arch), copy: &copy };
            let index = usize::from(thread.index);
            let is_sampled = self.sampler.held(index, &registers, &overlaid) == Stopped::Sampled;
            if self.learns {
                self.learnt.push(thread.tid);
            } else if is_sampled && self.sampler.released(index, at_us, memory).is_some() {
                self.read(thread.tid, Doing::Running);
            }
        }
    }

    fn asleep(&mut self, thread: ThreadKey, at: Asleep<'_>, memory: &ProcessMemory) -> Verdict {
        if self.is_done(thread.tid) {
            return Verdict::NotWanted;
        }
        if self.learns {
            // It is not held at all.
            self.learnt.push(thread.tid);
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
