//! A Node process to sample, and what a sampler needs to know of it.

use flame_core::elf::Elf;
use flame_core::maps::{Maps, ModuleId};
use flame_core::profile::Thread;
use flame_core::sample::sampler::Sampler;
use flame_core::v8::image::{Image, version_in};
use flame_sys::memory::ProcessMemory;
use flame_sys::process::{Process, map_file};
use flame_sys::signals::Blocked;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tests::process::Target;
use tests::version::Version;

/// The Node version that is sampled where a bench is not about versions.
pub const NODE: Version = Version::new(24, 21, 0);

/// The first thread's number in a sampler.
pub const THREAD: usize = 0;

/// Another number for it: a stop by this one has the sampler forget the last stop by the first.
pub const OTHER_THREAD: usize = flame_core::limits::RECALLED_THREADS;

/// Until a program does what it does for the rest of its life.
const SETTLING: Duration = Duration::from_millis(300);

/// The command that runs a program, of `bench/programs` if it is a plain name, under a version's Node and its
/// `flags`.
///
/// # Panics
/// When that version was not fetched.
pub fn command(version: Version, flags: &[&str], program: impl AsRef<Path>, arguments: &[String]) -> Command {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs").join(program.as_ref());
    let mut command = Command::new(tests::nodes::node(version));
    command.args(flags).arg(path).args(arguments);
    command
}

/// A running Node program. Killed when it is dropped.
pub struct Live {
    node: Target,
    seen: Seen,
}

/// What a sampler needs to know of a Node process, which may be gone by now.
pub struct Seen {
    maps_text: Vec<u8>,
    maps: Maps,
    objects: Vec<Option<Elf<'static>>>,
    v8: ModuleId,
    image: Image<'static>,
}

/// Starts a target and waits until it says READY.
///
/// The threads that listen to it are started with the signals blocked that a session takes: else they would take a
/// report of a stop now and then, and a thread would stand until the next tick.
///
/// # Panics
/// When it does not.
pub fn ready(command: &mut Command) -> Target {
    let _signals = Blocked::new();
    Target::ready(command).expect("the program says READY")
}

impl Live {
    /// Starts a program, of `bench/programs` if it is a plain name, and waits until it says READY.
    ///
    /// # Panics
    /// When it cannot be started, or cannot be sampled.
    pub fn start(program: impl AsRef<Path>, arguments: &[String]) -> Self {
        Self::started(&mut command(NODE, &[], program, arguments))
    }

    /// The same for any command that runs Node.
    ///
    /// # Panics
    /// As that.
    pub fn started(command: &mut Command) -> Self {
        let node = ready(command);
        // Until all is compiled and mapped that will be.
        std::thread::sleep(SETTLING);
        let process = Process::open(node.pid()).expect("the process is there");
        let mut text = Vec::new();
        process.maps(&mut text).expect("its mappings can be read");
        let mut maps = Maps::new();
        maps.update(&text, &[]);
        let object = |id: ModuleId| {
            let region = maps.regions_of(id).find(|region| region.executable)?;
            let (bytes, _) = map_file(&process, maps.path(id), region).ok()?;
            Elf::parse(bytes).ok()
        };
        let objects: Vec<_> =
            (0..maps.modules().len() as u16).map(|number| object(ModuleId(number))).collect();
        let v8 = objects.iter().position(|elf| elf.as_ref().is_some_and(|elf| version_in(elf).is_some()));
        let v8 = ModuleId(v8.expect("one of its files holds V8") as u16);
        let elf = objects[usize::from(v8.0)].expect("it was opened");
        let image = Image::of(&elf).expect("it holds V8").expect("a V8 that is known");
        Live { node, seen: Seen { maps_text: text, maps, objects, v8, image } }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.node.pid()
    }

    /// What it wrote to its standard output so far.
    pub fn stdout(&self) -> String {
        self.node.stdout()
    }

    /// Its memory.
    pub fn memory(&self) -> ProcessMemory {
        ProcessMemory::new(self.pid())
    }

    /// Its mappings, as the kernel wrote them.
    pub fn maps_text(&self) -> &[u8] {
        &self.seen.maps_text
    }

    /// The object file that holds its V8.
    pub fn v8(&self) -> Elf<'static> {
        self.seen.objects[usize::from(self.seen.v8.0)].expect("it was opened")
    }

    /// The object file that a pc lies in, and what is added to an address of that to get the process'.
    pub fn code_at(&self, pc: u64) -> Option<(Elf<'static>, u64)> {
        let place = self.seen.maps.place(pc)?;
        let elf = self.seen.objects.get(usize::from(place.module.0)).copied().flatten()?;
        Some((elf, pc.wrapping_sub(elf.vaddr_of(place.offset)?)))
    }

    /// A sampler that has seen nothing of it yet.
    pub fn sampler(&self) -> Sampler<'static> {
        self.seen.sampler()
    }

    /// Ends it.
    pub fn end(self) -> Seen {
        self.seen
    }
}

impl Seen {
    /// A sampler that has seen nothing of the process yet, with two numbers for its first thread.
    pub fn sampler(&self) -> Sampler<'static> {
        let elf = self.objects[usize::from(self.v8.0)].expect("it was opened");
        let mut sampler = Sampler::new(&elf, self.image.clone(), self.maps.clone(), self.v8);
        for (number, elf) in (0..).zip(&self.objects) {
            sampler.module(ModuleId(number), *elf);
        }
        for number in [THREAD, OTHER_THREAD] {
            sampler.thread(number, Thread { tid: 1, name: "main".into() }, true);
        }
        sampler
    }
}
