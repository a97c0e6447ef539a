//! The process to sample: whether it is Node, which, and the object files behind its code.

use crate::called;
use crate::message::{Failure, Program, Unread};
use flame_core::elf::Elf;
use flame_core::maps::{Maps, ModuleId, Region, RegionKind};
use flame_core::memory::Memory;
use flame_core::v8::Unsupported;
use flame_core::v8::image::Image;
use flame_sys::Errno;
use flame_sys::attach::{self, Refusal};
use flame_sys::memory::ProcessMemory;
use flame_sys::process::{FileId, Process, children, map_whole, open_file};

/// Processes that are looked at below one that is not Node.
const DESCENDANTS: usize = 1000;

/// Bytes of a version's text, such as `20.20.2-nightly20260101abcdef0123`.
const VERSION_BYTES: usize = 64;

/// Bytes of the kernel's code in a process, which takes two pages.
const VDSO_BYTES: usize = 64 << 10;

/// The ELF file of each module of a process, by the module's number, where it is one.
pub type Objects = Vec<Option<Elf<'static>>>;

/// A Node process.
pub struct Target {
    /// The process.
    pub process: Process,
    /// Its mappings.
    pub maps: Maps,
    /// The object files of those.
    pub objects: Objects,
    /// The module that holds V8.
    pub v8: ModuleId,
    /// Its file.
    pub elf: Elf<'static>,
    /// What that says of its V8.
    pub image: Image<'static>,
    /// Where its version stands.
    pub version: NodeVersion,
    /// Its executable, and its script if that is called as Node is, without arguments.
    pub command: String,
}

impl Target {
    /// The Node process of this number, or why it cannot be profiled.
    pub fn open(pid: u32, files: &mut Files) -> Result<Target, Failure> {
        if let Some(target) = Target::find(pid, files)? {
            return Ok(target);
        }
        let process = Process::open(pid).map_err(|_| Failure::Refused(pid, Refusal::NoSuchProcess))?;
        Err(Failure::NotNode(pid, program(&process, files)))
    }

    /// The same; `None` for a process that is not Node.
    pub fn find(pid: u32, files: &mut Files) -> Result<Option<Target>, Failure> {
        files.unread = None;
        let refused = |refusal| Failure::Refused(pid, refusal);
        let process = attach::check(pid).map_err(refused)?;
        let maps = maps(&process).map_err(|errno| refused(attach::refused(&process, errno)))?;
        let objects = files.objects(&process, &maps);
        let Some((v8, elf)) = files.holder_of_v8(&objects) else {
            // What could not be read may hold it all the same.
            return files.unread.take().map_or(Ok(None), |unread| Err(Failure::Unread(pid, unread)));
        };
        let image = match files.image(&elf) {
            None => return Ok(None),
            Some(Err(unsupported)) => return Err(Failure::Unsupported(pid, *unsupported)),
            Some(Ok(image)) => image.clone(),
        };
        let version = NodeVersion::of(&elf, maps.load_bias(v8, &elf).unwrap_or(0), pid);
        let command = name(&process);
        Ok(Some(Target { process, maps, objects, v8, elf, image, version, command }))
    }
}

/// The object files of processes, each mapped and looked at once. Which file it is says `stat`: device and inode
/// in `maps` can be those of another file in another process. Tables of some hundred entries: all are searched from
/// their start.
#[derive(Default)]
pub struct Files {
    elves: Vec<(FileId, Option<Elf<'static>>)>,
    /// The kernel's own, the same in each process.
    vdso: Option<Elf<'static>>,
    /// What each says of its V8.
    images: Vec<(Place, Engine)>,
    /// The first file that may hold V8 and could not be read.
    unread: Option<Unread>,
}

/// What a file says of its V8; `None` if it holds none.
type Engine = Option<Result<Image<'static>, Unsupported>>;

/// Where a file is mapped, which tells it from all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place(usize);

/// The place of a file.
pub fn place_of(elf: &Elf<'static>) -> Place {
    Place(elf.data().as_ptr().addr())
}

impl Files {
    /// The ELF file of each module. One that cannot be opened, or is none, has no names.
    fn objects(&mut self, process: &Process, maps: &Maps) -> Objects {
        (0..maps.modules().len() as u16).map(|number| self.object(process, maps, ModuleId(number))).collect()
    }

    /// The ELF file of a module, mapped if it was not.
    pub fn object(&mut self, process: &Process, maps: &Maps, id: ModuleId) -> Option<Elf<'static>> {
        let module = maps.module(id)?;
        let region = maps.regions_of(id).find(|region| region.executable)?;
        if region.kind == RegionKind::Vdso {
            self.vdso = self.vdso.or_else(|| vdso(process, region));
            return self.vdso;
        }
        if module.inode == 0 {
            return None;
        }
        let mut path = maps.path(id).to_vec();
        if module.deleted {
            path.extend_from_slice(b" (deleted)");
        }
        let (file, file_id) = match open_file(process, &path, region) {
            Ok(opened) => opened,
            Err(errno) => {
                self.note_unread(process, maps, id, ("open", errno));
                return None;
            }
        };
        if let Some((_, known)) = self.elves.iter().find(|known| known.0 == file_id) {
            return *known;
        }
        let elf = match map_whole(&file) {
            Ok(bytes) => Elf::parse(bytes).ok(),
            Err(errno) => {
                self.note_unread(process, maps, id, ("map", errno));
                return None;
            }
        };
        self.elves.push((file_id, elf));
        elf
    }

    /// Keeps why a file could not be read, if it is one in which V8 can be. Of one that was deleted or replaced
    /// [`Program`] tells.
    fn note_unread(&mut self, process: &Process, maps: &Maps, id: ModuleId, what: (&'static str, Errno)) {
        let path = maps.path(id);
        let is_deleted = maps.module(id).is_none_or(|module| module.deleted);
        let may_hold_v8 = || maps.is_large(id) || process.exe().is_ok_and(|exe| exe == path);
        // What is no regular file is no object file.
        if self.unread.is_none() && !is_deleted && what.1 != Errno::INVAL && may_hold_v8() {
            let (doing, errno) = what;
            self.unread = Some(Unread { file: String::from_utf8_lossy(path).into_owned(), doing, errno });
        }
    }

    /// The first object with V8 in it: the executable, or libnode.so, whatever their names.
    fn holder_of_v8(&mut self, objects: &[Option<Elf<'static>>]) -> Option<(ModuleId, Elf<'static>)> {
        (0..).zip(objects).find_map(|(number, elf)| {
            let (id, elf) = (ModuleId(number), (*elf)?);
            self.image(&elf).as_ref().map(|_| (id, elf))
        })
    }

    /// What a file says of its V8.
    fn image(&mut self, elf: &Elf<'static>) -> &Engine {
        let place = place_of(elf);
        let known = self.images.iter().position(|known| known.0 == place).unwrap_or(self.images.len());
        if known == self.images.len() {
            self.images.push((place, Image::of(elf)));
        }
        &self.images[known].1
    }

    /// Whether a process holds V8, without a word about what else may be wrong with it.
    pub fn is_node(&mut self, pid: u32) -> bool {
        let holds_v8 = |process: Process| {
            let maps = maps(&process).ok()?;
            let objects = self.objects(&process, &maps);
            self.holder_of_v8(&objects).map(|_| ())
        };
        attach::check(pid).ok().and_then(holds_v8).is_some()
    }
}

/// The first file that could not be read, if that can be because it is no longer at its path.
fn unread(maps: &Maps, objects: &Objects) -> Option<String> {
    let (module, _) = (0..)
        .map(ModuleId)
        .zip(objects)
        .find(|(module, elf)| elf.is_none() && maps.module(*module).is_some_and(|module| module.deleted))?;
    Some(String::from_utf8_lossy(maps.path(module)).into_owned())
}

/// The code that the kernel maps into a process, for its clock: an ELF file that is in memory alone.
fn vdso(process: &Process, region: &Region) -> Option<Elf<'static>> {
    let size = usize::try_from(region.end.saturating_sub(region.start)).ok()?;
    let mut image = vec![0; size.min(VDSO_BYTES)];
    ProcessMemory::new(process.pid()).read(region.start, &mut image).ok()?;
    Elf::parse(image.leak()).ok()
}

fn maps(process: &Process) -> Result<Maps, Errno> {
    let mut text = Vec::new();
    process.maps(&mut text)?;
    let mut maps = Maps::new();
    maps.update(&text, &[]);
    Ok(maps)
}

fn program(process: &Process, files: &mut Files) -> Program {
    let exe = process.exe().unwrap_or_default();
    let below = descendants(process.pid());
    Program {
        exe: String::from_utf8_lossy(&exe).into_owned(),
        nodes: below.into_iter().filter(|pid| files.is_node(*pid)).collect(),
        unread: maps(process).ok().and_then(|maps| unread(&maps, &files.objects(process, &maps))),
    }
}

/// The processes below one, parents before their children.
fn descendants(pid: u32) -> Vec<u32> {
    let (mut found, mut looked_at, mut below) = (vec![pid], 0, Vec::new());
    while let Some(pid) = found.get(looked_at).copied().filter(|_| looked_at < DESCENDANTS) {
        looked_at += 1;
        if Process::open(pid).and_then(|parent| children(&parent, &mut below)).is_ok() {
            found.append(&mut below);
        }
    }
    found.remove(0);
    found
}

/// Where a process keeps Node's version: `node::per_process::metadata` (since 11), whose first member is
/// the version as a `std::string`, in libstdc++'s form a pointer and a length.
pub struct NodeVersion {
    at: Option<u64>,
    memory: ProcessMemory,
}

impl NodeVersion {
    /// Of a process whose V8 is in `elf`, loaded with this bias.
    pub fn of(elf: &Elf<'_>, bias: u64, pid: u32) -> Self {
        let metadata = elf.symbol(b"_ZN4node11per_process8metadataE");
        NodeVersion {
            at: metadata.map(|symbol| symbol.value.wrapping_add(bias)),
            memory: ProcessMemory::new(pid),
        }
    }

    /// The version, such as `20.20.2`; `None` if it is older, or has not come so far in its start.
    pub fn read(&self) -> Option<String> {
        let at = self.at?;
        let text = self.memory.word(at).ok()?;
        // A string of the C++ library has its length beside the characters' address, or before the characters: so
        // in Node's own builds up to 17, which are for the library of an older host.
        [at.wrapping_add(8), text.wrapping_sub(24)].into_iter().find_map(|length| self.text(text, length))
    }

    fn text(&self, text: u64, length: u64) -> Option<String> {
        let length = usize::try_from(self.memory.word(length).ok()?).ok()?;
        let mut bytes = [0; VERSION_BYTES];
        let bytes = bytes.get_mut(..length)?;
        self.memory.read(text, bytes).ok()?;
        let version = std::str::from_utf8(bytes).ok()?;
        version.starts_with(|c: char| c.is_ascii_digit()).then(|| version.to_owned())
    }
}

/// What a process is called that need not be Node itself, or why it cannot be followed.
pub fn command_of(pid: u32) -> Result<String, Failure> {
    let process = attach::check(pid).map_err(|refusal| Failure::Refused(pid, refusal))?;
    Ok(name(&process))
}

/// Its executable's name, and its script if it is Node.
fn name(process: &Process) -> String {
    let [arguments, exe] = [process.arguments(), process.exe()].map(Result::unwrap_or_default);
    called::program(&String::from_utf8_lossy(&arguments), &String::from_utf8_lossy(&exe))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_apart_where_maps_shows_them_as_one() {
        let mut files = Files::default();
        let mut code_of = |command: &[&str]| {
            let (program, arguments) = command.split_first().unwrap();
            let mut child = std::process::Command::new(program)
                .args(arguments)
                .stdin(std::process::Stdio::piped())
                .spawn()
                .unwrap();
            let process = Process::open(child.id()).unwrap();
            let (mut text, mut maps) = (Vec::new(), Maps::new());
            process.maps(&mut text).unwrap();
            // The device and inode of all files.
            let line = |line: &str| {
                let mut fields: Vec<&str> = line.splitn(6, ' ').collect();
                if fields[4] != "0" {
                    (fields[3], fields[4]) = ("00:2f", "7");
                }
                fields.join(" ") + "\n"
            };
            let text: String = String::from_utf8(text).unwrap().lines().map(line).collect();
            maps.update(text.as_bytes(), &[]);
            let exe = maps.modules().iter().position(|module| module.inode == 7).unwrap();
            let elf = files.object(&process, &maps, ModuleId(exe as u16)).unwrap();
            child.kill().unwrap();
            child.wait().unwrap();
            place_of(&elf)
        };
        let commands: [&[&str]; 3] = [&["sleep", "60"], &["sleep", "60"], &["sh", "-c", "read line"]];
        let [one, same, other] = commands.map(&mut code_of);
        assert_eq!(one, same);
        assert_ne!(one, other);
    }
}
