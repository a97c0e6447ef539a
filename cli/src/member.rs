//! One process of a session: what its samples are taken with.

use crate::command;
use crate::symbols::{DebugFiles, Names};
use crate::target::{Files, NodeVersion, Objects, Target};
use flame_core::maps::ModuleId;
use flame_core::profile::{Meta, Profile, Receipt, Thread};
use flame_core::sample::sampler::Sampler;
use flame_sys::memory::ProcessMemory;
use flame_sys::process::Process;
use flame_sys::session::ThreadKey;
use std::time::Instant;

/// Reading the mappings takes at most one part in this many of the time.
const MAPS_SHARE: u32 = 50;

/// A Node process that is sampled.
pub struct Member {
    /// Its id.
    pub pid: u32,
    /// Its executable and script.
    pub command: String,
    /// V8's version.
    pub v8: String,
    /// Node's version, once it is known.
    pub node: Option<String>,
    /// Takes its samples.
    pub sampler: Sampler<'static>,
    /// Its memory.
    pub memory: ProcessMemory,
    process: Option<Process>,
    objects: Objects,
    debug_files: DebugFiles,
    maps_text: Vec<u8>,
    /// Before this the mappings are not read again.
    next_maps: Instant,
    version: NodeVersion,
}

impl Member {
    /// Makes ready to sample a target as `wanted`; the process itself is for the session.
    pub fn new(target: Target, wanted: &command::Profile) -> (Member, Process) {
        let Target { process, maps, objects, v8, elf, image, version, command } = target;
        let pid = process.pid();
        let version_of_v8 = image.layout.version.to_string();
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
        let member = Member {
            pid,
            command,
            v8: version_of_v8,
            node: None,
            sampler,
            memory: ProcessMemory::new(pid),
            process: Process::open(pid).ok(),
            objects,
            debug_files: DebugFiles::of(&process),
            maps_text: Vec::new(),
            next_maps: Instant::now(),
            version,
        };
        (member, process)
    }

    /// A thread of it was found.
    pub fn started(&mut self, thread: ThreadKey) {
        let name = self.process.as_ref().map(|process| name_of(process, thread.tid)).unwrap_or_default();
        let known = Thread { tid: thread.tid, name };
        self.sampler.thread(usize::from(thread.index), known, thread.tid == self.pid);
        self.read_version();
    }

    /// What is done now and then, with no thread held.
    pub fn look_after(&mut self, files: &mut Files) {
        if self.sampler.wants_maps() {
            self.read_maps(files);
        }
        self.read_version();
    }

    fn read_version(&mut self) {
        if self.node.is_none() {
            self.node = self.version.read();
        }
    }

    /// Reads the mappings anew: the process has loaded an addon, or V8 has got itself more memory for code.
    ///
    /// With thousands of mappings that takes many milliseconds, in which nobody serves the target: so it
    /// is done for a small share of the time only.
    fn read_maps(&mut self, files: &mut Files) {
        let started = Instant::now();
        let Some(process) = self.process.as_ref().filter(|_| started >= self.next_maps) else { return };
        if process.maps(&mut self.maps_text).is_err() {
            return;
        }
        self.sampler.update_maps(&self.maps_text);
        for number in self.objects.len()..self.sampler.maps().modules().len() {
            let module = ModuleId(number as u16);
            let elf = files.object(process, self.sampler.maps(), module);
            self.objects.push(elf);
            self.sampler.module(module, elf);
        }
        self.next_maps = Instant::now() + MAPS_SHARE * started.elapsed();
    }

    /// It has ended: releases what only a living process needs.
    pub fn close(&mut self) {
        self.process = None;
    }

    /// Its profile. Native symbols are looked up now.
    pub fn finish(self, meta: Meta, receipt: Receipt) -> Profile {
        let places = self.sampler.native_places();
        let mut symbols = Names::of(places, self.sampler.maps().clone(), &self.objects, &self.debug_files);
        self.sampler.finish(meta, receipt, &mut symbols)
    }
}

/// A thread's own name; empty for the first thread, and for one that was given none: it has its process'.
pub fn name_of(process: &Process, tid: u32) -> String {
    let name = process.thread_name(tid).unwrap_or_default();
    if process.thread_name(process.pid()).as_ref() == Ok(&name) { String::new() } else { name }
}
