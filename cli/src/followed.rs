//! A Node process that is looked at again and again, by whichever command: its threads' names, its mappings, and
//! the object files behind them.

use crate::target::{Files, Objects};
use flame_core::elf::Elf;
use flame_core::maps::{Maps, ModuleId};
use flame_core::profile::Thread;
use flame_core::sample::sampler::Sampler;
use flame_core::v8::image::Image;
use flame_sys::memory::ProcessMemory;
use flame_sys::process::Process;
use std::time::Instant;

/// Reading the mappings takes at most one part in this many of the time.
const MAPS_SHARE: u32 = 50;

/// A process that is followed.
pub struct Followed {
    /// Its id.
    pub pid: u32,
    /// Its memory.
    pub memory: ProcessMemory,
    /// The object files of its modules, as far as they were met.
    pub objects: Objects,
    /// It, as long as it lives.
    pub process: Option<Process>,
    maps_text: Vec<u8>,
    /// Before this the mappings are not read again.
    next_maps: Instant,
}

impl Followed {
    /// Follows a process whose object files are these.
    pub fn new(pid: u32, objects: Objects) -> Followed {
        Followed {
            pid,
            memory: ProcessMemory::new(pid),
            objects,
            process: Process::open(pid).ok(),
            maps_text: Vec::new(),
            next_maps: Instant::now(),
        }
    }

    /// A sampler that knows its object files. `v8`: the module of `elf`, which holds V8 as `image` has it.
    pub fn sampler(
        &self,
        elf: &Elf<'static>,
        image: Image<'static>,
        maps: Maps,
        v8: ModuleId,
    ) -> Sampler<'static> {
        let mut sampler = Sampler::new(elf, image, maps, v8);
        for (number, elf) in (0..).zip(&self.objects) {
            sampler.module(ModuleId(number), *elf);
        }
        sampler
    }

    /// A thread with its own name; empty for the first thread, and for one that was given none: it has its process'.
    pub fn thread(&self, tid: u32) -> Thread {
        let name_of = |tid| self.process.as_ref().and_then(|process| process.thread_name(tid).ok());
        let name = name_of(tid).filter(|name| name_of(self.pid).as_ref() != Some(name));
        Thread { tid, name: name.unwrap_or_default() }
    }

    /// Reads the mappings anew where the sampler asks for it: the process has loaded an addon, or V8 has got itself
    /// more memory for code.
    ///
    /// With thousands of mappings that takes many milliseconds, in which nobody serves the target: so it
    /// is done for a small share of the time only.
    pub fn look_after(&mut self, sampler: &mut Sampler<'static>, files: &mut Files) {
        let started = Instant::now();
        if !sampler.wants_maps() || started < self.next_maps {
            return;
        }
        let Some(process) = &self.process else { return };
        if process.maps(&mut self.maps_text).is_err() {
            return;
        }
        sampler.update_maps(&self.maps_text);
        for number in self.objects.len()..sampler.maps().modules().len() {
            let module = ModuleId(number as u16);
            let elf = files.object(process, sampler.maps(), module);
            self.objects.push(elf);
            sampler.module(module, elf);
        }
        self.next_maps = Instant::now() + MAPS_SHARE * started.elapsed();
    }
}
