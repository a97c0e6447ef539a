//! One sampling run: from a process to a profile.

use crate::args;
use crate::message::{self, Failure};
use crate::narrator::{Narrator, Teller, Word, say};
use crate::output::Output;
use crate::report;
use crate::symbols::{DebugFiles, Names};
use crate::target::{Files, NodeVersion, Objects, Target};
use flame_core::arch::Registers;
use flame_core::maps::ModuleId;
use flame_core::profile::{Meta, Profile, Thread};
use flame_core::sample::sampler::{Outcome as Stopped, Sampler, Sleeper};
use flame_sys::clock;
use flame_sys::memory::ProcessMemory;
use flame_sys::process::Process;
use flame_sys::session::{self, Asleep, Control, Flow, Options, ThreadKey, Verdict, Visitor};
use flame_sys::signals::Blocked;
use std::time::Instant;

/// Reading the mappings takes at most one part in this many of the time.
const MAPS_SHARE: u32 = 50;

/// A finished run.
pub struct Run {
    /// What it found.
    pub profile: Profile,
    /// Why it ended.
    pub end: session::End,
}

/// Samples `target` as `wanted`.
pub fn sample(
    signals: &Blocked,
    target: Target,
    files: &mut Files,
    wanted: &args::Profile,
) -> Result<Run, Failure> {
    let Target { process, maps, objects, v8, elf, image, version, command } = target;
    let pid = process.pid();
    let mut meta = Meta {
        pid,
        command,
        v8: image.layout.version.to_string(),
        host: clock::host_name(),
        started: clock::wall_seconds(),
        rate_hz: wanted.rate,
        wall: wanted.wall,
        ..Meta::default()
    };
    let options = Options {
        rate_hz: wanted.rate,
        duration: wanted.length,
        max_pause_percent: wanted.max_pause,
        wall: wanted.wall,
    };
    let mut sampler = Sampler::new(&elf, image, maps, v8);
    for (number, elf) in (0..).zip(&objects) {
        sampler.module(ModuleId(number), *elf);
    }
    if wanted.source {
        sampler.keep_sources();
    }
    if wanted.threads {
        sampler.split_by_thread();
    }
    let debug_files = DebugFiles::of(&process);
    let narrator = Narrator::new(pid, wanted);
    let mut sampling = Sampling {
        pid,
        process: Process::open(pid).ok(),
        memory: ProcessMemory::new(pid),
        sampler,
        files,
        objects,
        maps_text: Vec::new(),
        next_maps: Instant::now(),
        version,
        node: None,
        sampled: false,
        teller: narrator.teller(),
    };
    let outcome = session::run(signals, process, options, &mut sampling);
    let Sampling { sampler, objects, node, teller, .. } = sampling;
    drop(teller);
    narrator.end();
    let outcome = outcome.map_err(|refusal| Failure::Refused(pid, refusal))?;
    meta.duration_us = outcome.length_ns / 1000;
    meta.node = node.unwrap_or_default();
    meta.ended = message::end(&outcome.end);
    let receipt = report::receipt(&outcome);
    let mut symbols = Names::of(sampler.native_places(), sampler.maps().clone(), &objects, &debug_files);
    let profile = sampler.finish(meta, receipt, &mut symbols);
    Ok(Run { profile, end: outcome.end })
}

/// Writes the profile and says how the run went.
pub fn write(output: Output, profile: &Profile, wanted: &args::Profile) -> Result<(), Failure> {
    let path = output.path().map(|path| path.display().to_string());
    let written = output.write(|to| flame_render::write(wanted.format, profile, &wanted.view, to));
    if !wanted.quiet {
        if let Some(ended) = &profile.meta.ended {
            say(&format!("{} {ended}.", profile.meta.pid));
        }
        say(&report::report(profile));
        if let (Some(path), Ok(())) = (path, &written) {
            say(&format!("Wrote {path}."));
        }
    }
    Ok(written?)
}

/// A thread's own name; empty for the first thread, and for one that was given none: it has its process'.
pub fn name_of(process: &Process, tid: u32) -> String {
    let name = process.thread_name(tid).unwrap_or_default();
    if process.thread_name(process.pid()).as_ref() == Ok(&name) { String::new() } else { name }
}

/// What a session's calls lead to.
struct Sampling<'f> {
    pid: u32,
    process: Option<Process>,
    memory: ProcessMemory,
    sampler: Sampler<'static>,
    files: &'f mut Files,
    objects: Objects,
    maps_text: Vec<u8>,
    /// Before this the mappings are not read again.
    next_maps: Instant,
    version: NodeVersion,
    node: Option<String>,
    /// The last stop gave a sample.
    sampled: bool,
    teller: Teller,
}

impl Sampling<'_> {
    /// Reads the mappings anew: the process has loaded an addon, or V8 has got itself more memory for code.
    ///
    /// With thousands of mappings that takes many milliseconds, in which nobody serves the target: so it
    /// is done for a small share of the time only.
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
}

impl Visitor for Sampling<'_> {
    fn started(&mut self, thread: ThreadKey) -> bool {
        if thread.tid == self.pid {
            self.node = self.version.read();
            self.teller.tell(Word::Attached);
        }
        let name = self.process.as_ref().map(|process| name_of(process, thread.tid)).unwrap_or_default();
        let known = Thread { tid: thread.tid, name };
        self.sampler.thread(usize::from(thread.index), known, thread.tid == self.pid);
        true
    }

    fn held(&mut self, thread: ThreadKey, registers: &Registers, memory: &ProcessMemory) -> Verdict {
        let stopped = self.sampler.held(usize::from(thread.index), registers, memory);
        self.sampled = stopped == Stopped::Sampled;
        match stopped {
            Stopped::Sampled => Verdict::Sampled,
            Stopped::Lost => Verdict::Lost,
            Stopped::NeverJavaScript if thread.tid != self.pid => Verdict::NotWanted,
            // A process' first thread has its isolate late, and may use no V8 for long.
            Stopped::NotJavaScript | Stopped::NeverJavaScript => Verdict::Skipped,
        }
    }

    fn released(&mut self, thread: ThreadKey, at_us: u64) {
        if self.sampled {
            self.sampler.released(usize::from(thread.index), at_us, &self.memory);
        }
    }

    fn asleep(&mut self, thread: ThreadKey, at: Asleep<'_>, memory: &ProcessMemory) -> Verdict {
        let sleeper = Sleeper { pc: at.pc, sp: at.sp };
        let index = usize::from(thread.index);
        match self.sampler.asleep(index, sleeper, at.unchanged, at.at_us, memory, &|| at.holds()) {
            Stopped::Sampled => Verdict::Sampled,
            Stopped::Lost => Verdict::Lost,
            Stopped::NotJavaScript | Stopped::NeverJavaScript => Verdict::NotWanted,
        }
    }

    fn tick(&mut self, _: &mut Control<'_>) -> Flow {
        if self.sampler.wants_maps() {
            self.read_maps();
        }
        if self.node.is_none() {
            self.node = self.version.read();
        }
        self.teller.tell(Word::Taken(self.sampler.taken()));
        Flow::Continue
    }
}
