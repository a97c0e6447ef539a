//! Compares the whole stacks of a Node process with gdb's, while gdb holds it.
//!
//! Started by `tests/native/whole.py` with the process' id. It says on its first line where V8's builtins are
//! mapped. Each line of its input is one stop of the main
//! thread, in hexadecimal: pc, thread pointer, the 16 general registers by DWARF number, then gdb's frames,
//! leaf first, each by an address in its function. For each it answers with a line: `same`, or how the stacks
//! differ. Its last line is the number of stops in which gdb came through V8's code to the thread's start.
//!
//! What is compared is native code, function by function: from the leaf to the first frame of V8's code, and all
//! native frames beyond that, up to the thread's start. gdb steps through V8's code by frame pointers (see the
//! script), but cannot know where V8's code has no frame yet; frames in it are left out on both sides.
//! Where gdb does not come to the thread's start, only the part before V8's code is compared. A stack of ours
//! that does not reach the thread's start differs, whatever gdb's does.
use std::io::{BufRead, Write};

use flame_core::arch::Registers;
use flame_core::elf::Elf;
use flame_core::maps::{FilePlace, Maps, ModuleId, Region};
use flame_core::profile::Thread;
use flame_core::sample::raw::RawFrame;
use flame_core::sample::sampler::{Outcome, Sampler};
use flame_core::symbols::Lookup;
use flame_core::unwind::ModuleUnwind;
use flame_core::v8::image::{Image, version_in};
use flame_sys::memory::ProcessMemory;
use flame_sys::process::{Process, map_file};

/// A frame, as far as both know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Frame {
    /// A native function, by its start where that is known.
    Native(FilePlace),
    /// V8's code, of any kind.
    V8,
    /// Left out, or in no file.
    Unknown,
}

struct Target {
    maps: Maps,
    objects: Vec<Option<Elf<'static>>>,
    v8: ModuleId,
    image: Image<'static>,
}

impl Target {
    fn open(process: &Process) -> Target {
        let mut text = Vec::new();
        process.maps(&mut text).expect("mappings");
        let mut maps = Maps::new();
        maps.update(&text, &[]);
        let object = |id: ModuleId| {
            let region = maps.regions_of(id).next()?;
            let (bytes, _) = map_file(process, maps.path(id), region).ok()?;
            Elf::parse(bytes).ok()
        };
        let ids = (0..maps.modules().len() as u16).map(ModuleId);
        let objects: Vec<_> = ids.map(object).collect();
        let v8 = objects.iter().position(|elf| elf.as_ref().is_some_and(|elf| version_in(elf).is_some()));
        let v8 = ModuleId(v8.expect("one of its files holds V8") as u16);
        let elf = objects[usize::from(v8.0)].expect("it was opened");
        let image = Image::of(&elf).expect("it holds V8").expect("a V8 that is known");
        Target { maps, objects, v8, image }
    }

    fn sampler(&self) -> Sampler<'static> {
        let elf = self.objects[usize::from(self.v8.0)].expect("it was opened");
        let mut sampler = Sampler::new(&elf, self.image.clone(), self.maps.clone(), self.v8);
        for (number, elf) in (0..).zip(&self.objects) {
            sampler.module(ModuleId(number), *elf);
        }
        sampler.thread(0, Thread { tid: 1, name: "main".into() }, true);
        sampler
    }

    /// The function that a place in a file belongs to.
    fn function(&self, place: FilePlace) -> FilePlace {
        let start = || {
            let elf = self.objects[usize::from(place.module.0)]?;
            let (start, _) = ModuleUnwind::new(&elf)?.function(elf.vaddr_of(place.offset)?)?;
            elf.offset_of(start)
        };
        FilePlace { offset: start().unwrap_or(place.offset), ..place }
    }

    fn frame_at(&self, address: u64) -> Frame {
        match self.maps.find(address) {
            Some(region) if region.is_jit() => Frame::V8,
            Some(region) if region.executable => match self.maps.place(address) {
                Some(place) if place.module == self.v8 && self.image.builtins.contains(place.offset) => {
                    Frame::V8
                }
                Some(place) => Frame::Native(self.function(place)),
                None => Frame::Unknown,
            },
            _ => Frame::Unknown,
        }
    }

    /// The ranges of addresses of V8's builtins.
    fn mapped_builtins(&self) -> String {
        let of_v8 = self.maps.regions_of(self.v8).filter(|region| region.executable);
        let pages = |region: &Region| {
            let is_v8 = |address: &u64| self.frame_at(*address) == Frame::V8;
            let mut inside = (region.start..region.end).step_by(64).filter(is_v8);
            let first = inside.next()?;
            Some(format!("{first:x}-{:x}", inside.last().unwrap_or(first) + 64))
        };
        of_v8.filter_map(pages).collect::<Vec<_>>().join(" ")
    }

    fn is_start(&self, frame: Frame) -> bool {
        let Frame::Native(place) = frame else { return false };
        let Some(elf) = self.objects[usize::from(place.module.0)] else { return false };
        let start = elf.offset_of(elf.entry());
        start.is_some_and(|start| (start..start + 64).contains(&place.offset))
    }

    fn name(&self, frame: Frame) -> String {
        let Frame::Native(place) = frame else { return format!("{frame:?}") };
        let symbol = || {
            let elf = self.objects[usize::from(place.module.0)]?;
            let address = [elf.vaddr_of(place.offset)?];
            let mut lookup = Lookup::new(&address);
            lookup.pass(&elf);
            let name = lookup.finish().first().copied().flatten()?.name;
            Some(String::from_utf8_lossy(name).into_owned())
        };
        symbol().unwrap_or_else(|| format!("{place:x?}"))
    }

    /// How ours and gdb's differ, both leaf first.
    fn difference(&self, ours: &[Frame], gdb: &[Frame]) -> Option<String> {
        let tell = |what: &str| {
            let names = |frames: &[Frame]| frames.iter().map(|f| self.name(*f)).collect::<Vec<_>>().join(" ");
            Some(format!("{what}; ours: {} | gdb: {}", names(ours), names(gdb)))
        };
        let leaf_part = |frames: &[Frame]| frames.iter().take_while(|f| **f != Frame::V8).count();
        let native =
            |frames: &[Frame]| frames.iter().copied().filter(|frame| *frame != Frame::V8).collect::<Vec<_>>();
        if !ours.last().is_some_and(|last| self.is_start(*last)) {
            return tell("ours does not reach the start");
        }
        if gdb.last().is_some_and(|last| self.is_start(*last)) {
            return if native(ours) == native(gdb) { None } else { tell("differs") };
        }
        let len = leaf_part(gdb);
        if ours.get(..len) == gdb.get(..len) { None } else { tell("differs at its leaf") }
    }
}

fn main() {
    let pid = std::env::args().nth(1).and_then(|pid| pid.parse().ok()).expect("a process id");
    let process = Process::open(pid).expect("the process");
    let target = Target::open(&process);
    let mut sampler = target.sampler();
    let memory = ProcessMemory::new(pid);
    println!("{}", target.mapped_builtins());
    let (mut text, mut through) = (Vec::new(), 0);
    for (at_us, line) in (0..).step_by(10_000).zip(std::io::stdin().lock().lines()) {
        let line = line.expect("a line");
        let numbers: Vec<u64> =
            line.split(' ').map(|word| u64::from_str_radix(word, 16).expect("a number")).collect();
        let mut registers =
            Registers { pc: numbers[0], tls: numbers[1], syscall: -1, ..Registers::default() };
        registers.general[..16].copy_from_slice(&numbers[2..18]);
        let gdb: Vec<Frame> = numbers[18..].iter().map(|address| target.frame_at(*address)).collect();
        // V8 gets itself memory for code all the time.
        process.maps(&mut text).expect("mappings");
        sampler.update_maps(&text);
        let outcome = sampler.held(0, &registers, &memory);
        let ours: Vec<Frame> = sampler
            .last()
            .iter()
            .map(|frame| match frame {
                RawFrame::Native(place) => Frame::Native(target.function(*place)),
                RawFrame::Nowhere(_) | RawFrame::Elided => Frame::Unknown,
                _ => Frame::V8,
            })
            .collect();
        sampler.released(0, at_us, &memory);
        through += u32::from(gdb.last().is_some_and(|last| target.is_start(*last)));
        let answer = match outcome {
            Outcome::Sampled => target.difference(&ours, &gdb).unwrap_or_else(|| "same".into()),
            other => format!("{other:?}"),
        };
        println!("{answer}");
        std::io::stdout().flush().expect("somebody reads");
    }
    println!("{through}");
}
