//! `dump`: every thread's stack, once.
//!
//! A thread that waits is read where it waits; one that runs is held while its registers and its stack are
//! copied. The copy is walked when it runs again; objects that moved meanwhile are noticed, as they are for
//! every sample. Arguments are values and not things that can be compared: for them a thread is held until
//! they are read.

use crate::args;
use crate::member::name_of;
use crate::message::{self, Failure};
use crate::narrator::say;
use crate::output::Output;
use crate::symbols::{DebugFiles, Names};
use crate::target::{Files, Target};
use flame_core::arch::{Arch, Registers};
use flame_core::maps::ModuleId;
use flame_core::memory::{Fault, Memory, Span};
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

/// Bytes of a stack that are copied in the stop. What lies above is of callers that have long called, and
/// can be read later.
const COPY_BYTES: usize = 64 << 10;

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
    let mut dumping = Dumping {
        pid,
        arch: elf.machine(),
        process: Process::open(pid).ok(),
        sampler,
        threads: Vec::new(),
        arguments: wanted.arguments,
        sampled: false,
        copied: None,
        // Written once, so that no page of it has to be found in a stop.
        stack: vec![1; COPY_BYTES],
        pending: Vec::new(),
    };
    let mut held = Held::default();
    let mut process = Some(process);
    for (duration, rate_hz) in LOOKS {
        let Some(process) = process.take().or_else(|| Process::open(pid).ok()) else { break };
        let options = Options { rate_hz, duration, max_pause_percent: 100.0, wall: true };
        let outcome = session::run(&signals, process, options, &mut dumping)
            .map_err(|refusal| Failure::Refused(pid, refusal))?;
        dumping.quiet();
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
    arch: Arch,
    process: Option<Process>,
    sampler: Sampler<'a>,
    threads: Vec<Dumped>,
    arguments: bool,
    /// The last stop gave a stack.
    sampled: bool,
    /// The last stop's registers, and how much of its stack was copied.
    copied: Option<(Registers, usize)>,
    stack: Vec<u8>,
    /// Threads that run again and are to be walked: their registers, and the copies of their stacks.
    pending: Vec<(ThreadKey, u64, Registers, Vec<u8>)>,
}

/// The memory of a process, with a part of it as it was.
struct Overlaid<'a> {
    memory: &'a ProcessMemory,
    base: u64,
    copy: &'a [u8],
}

impl Overlaid<'_> {
    /// What the copy has from an address on.
    fn from(&self, address: u64) -> &[u8] {
        let at = address.checked_sub(self.base).and_then(|at| usize::try_from(at).ok());
        at.and_then(|at| self.copy.get(at..)).unwrap_or_default()
    }

    fn copied(&self, address: u64, into: &mut [u8]) -> bool {
        let from = self.from(address).get(..into.len());
        from.map(|from| into.copy_from_slice(from)).is_some()
    }
}

impl Memory for Overlaid<'_> {
    fn read(&self, address: u64, into: &mut [u8]) -> Result<(), Fault> {
        if self.copied(address, into) { Ok(()) } else { self.memory.read(address, into) }
    }

    fn read_prefix(&self, address: u64, into: &mut [u8]) -> usize {
        let len = self.from(address).len().min(into.len());
        let (first, rest) = into.split_at_mut(len);
        if !self.copied(address, first) || rest.is_empty() {
            return len;
        }
        len + self.memory.read_prefix(address.wrapping_add(len as u64), rest)
    }

    fn read_batch(&self, spans: &mut [Span], buffer: &mut [u8]) {
        self.memory.read_batch(spans, buffer);
        for span in spans {
            let at = span.at as usize;
            let into = buffer.get_mut(at..at.saturating_add(span.len as usize));
            span.done |= into.is_some_and(|into| self.copied(span.address, into));
        }
    }
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
        if !self.arguments {
            let copied = memory.read_prefix(registers.sp(self.arch), &mut self.stack);
            self.copied = Some((*registers, copied));
            return Verdict::NotWanted;
        }
        let stopped = self.sampler.held(usize::from(thread.index), registers, memory);
        self.sampled = stopped == Stopped::Sampled;
        if self.sampled { Verdict::NotWanted } else { Verdict::Lost }
    }

    fn released(&mut self, thread: ThreadKey, at_us: u64) {
        // Others may stand yet: their turn comes first.
        if let Some((registers, copied)) = self.copied.take() {
            let copy = self.stack.get(..copied).unwrap_or_default();
            self.pending.push((thread, at_us, registers, copy.to_vec()));
            return;
        }
        if !std::mem::take(&mut self.sampled) {
            return;
        }
        let memory = ProcessMemory::new(self.pid);
        if self.sampler.released(usize::from(thread.index), at_us, &memory).is_some() {
            self.read(thread.tid, Doing::Running);
        }
    }

    fn quiet(&mut self) {
        for (thread, at_us, registers, copy) in std::mem::take(&mut self.pending) {
            let memory = ProcessMemory::new(self.pid);
            let overlaid = Overlaid { memory: &memory, base: registers.sp(self.arch), copy: &copy };
            let index = usize::from(thread.index);
            if self.sampler.held(index, &registers, &overlaid) == Stopped::Sampled
                && self.sampler.released(index, at_us, &memory).is_some()
            {
                self.read(thread.tid, Doing::Running);
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_lies_over_the_memory_below_it() {
        let memory = ProcessMemory::new(std::process::id());
        let now = [7u8; 64];
        let base = now.as_ptr() as u64;
        let overlaid = Overlaid { memory: &memory, base, copy: &[1; 16] };
        let mut into = [0; 24];
        assert_eq!(overlaid.read_prefix(base + 8, &mut into), 24);
        assert_eq!((into[7], into[8], into[23]), (1, 7, 7));
        assert_eq!(overlaid.word(base + 8), Ok(u64::from_le_bytes([1; 8])));
        assert_eq!(overlaid.word(base + 16), Ok(u64::from_le_bytes([7; 8])));
        let mut spans = [Span::new(base, 0, 8), Span::new(base + 16, 8, 8), Span::new(8, 16, 8)];
        overlaid.read_batch(&mut spans, &mut into);
        assert_eq!(spans.map(|span| span.done), [true, true, false]);
        assert_eq!((into[0], into[8]), (1, 7));
    }
}
