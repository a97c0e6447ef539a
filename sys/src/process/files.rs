//! The files behind a process' mappings.

use super::Process;
use crate::Errno;
use flame_core::arch::Arch;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat};
use rustix::mm::{MapFlags, ProtFlags};
use std::ffi::OsStr;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

/// Which file it is, on this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileId {
    /// Device.
    pub device: u64,
    /// Inode.
    pub inode: u64,
}

/// What a process executes, by the head of its ELF file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Image {
    /// Pointers have 64 bits.
    pub is_64_bit: bool,
    /// `e_machine`.
    pub machine: u16,
    /// Which file it is.
    pub id: FileId,
}

impl Image {
    /// A processor that node-flame can read, in its 64-bit mode.
    pub fn arch(&self) -> Option<Arch> {
        [Arch::X86_64, Arch::Aarch64]
            .into_iter()
            .find(|arch| self.is_64_bit && arch.elf_machine() == self.machine)
    }

    fn parse(head: &[u8; 20], id: FileId) -> Option<Self> {
        // Little-endian files alone: both architectures are.
        (head.starts_with(b"\x7fELF") && head[5] == 1).then(|| Image {
            is_64_bit: head[4] == 2,
            machine: u16::from_le_bytes([head[18], head[19]]),
            id,
        })
    }
}

impl Process {
    /// What it executes, read through `/proc/PID/exe`, which works in other mount namespaces and for
    /// deleted files. `None` if that is no little-endian ELF file.
    pub fn image(&self) -> Result<Option<Image>, Errno> {
        let file = self.file("exe")?;
        let mut head = [0; 20];
        let len = rustix::io::pread(&file, &mut head, 0)?;
        let id = id(&file)?;
        Ok(if len == head.len() { Image::parse(&head, id) } else { None })
    }

    /// Which file it executes and that file's size in bytes, without opening it. `ENOENT` for a kernel
    /// thread and for a zombie.
    pub fn exe_id(&self) -> Result<(FileId, u64), Errno> {
        let stat = rustix::fs::statat(&self.dir, "exe", rustix::fs::AtFlags::empty())?;
        Ok((FileId { device: stat.st_dev, inode: stat.st_ino }, stat.st_size.cast_unsigned()))
    }
}

/// Maps the file behind the process' mapping at `range`, read-only, with the file's identity.
///
/// `path` is what stands in `maps`, in the process' own mount namespace; ` (deleted)` at its end is
/// known. Tried in turn: `/proc/PID/map_files/…`, which is the file itself wherever it is and whether or
/// not it was deleted, but needs a capability; the path under `/proc/PID/root`; `/proc/PID/exe` if the
/// path is what that says. A path can lead to another file by now: the caller compares what it reads
/// with the process' memory where that matters (`maps` shows another device than `stat` on overlayfs of
/// older kernels, so device and inode decide nothing).
///
/// The bytes stay mapped until node-flame ends. Each file of a process is mapped once, and names point
/// into it until the last byte of output is written: there is no earlier moment to unmap it, and what
/// is mapped is the page cache, not memory of ours. A file that is truncated while it is mapped makes
/// reading it fatal (SIGBUS), as for every program that runs from it; replacing a file by rename, as
/// installers do, does not.
pub fn map_file(process: &Process, path: &[u8], range: Range<u64>) -> Result<(&'static [u8], FileId), Errno> {
    map_whole(&open_mapped(process, path, range)?)
}

/// A root directory: a process' own, whatever mount namespace it is in, or node-flame's.
///
/// It is held open, so that files below it can be had when the process is gone.
#[derive(Debug)]
pub struct Root(OwnedFd);

impl Root {
    /// The root of a process.
    pub fn of(process: &Process) -> Result<Self, Errno> {
        let root = rustix::fs::openat(&process.dir, "root", Self::FLAGS, Mode::empty())?;
        Ok(Root(root))
    }

    /// The root of node-flame itself.
    pub fn own() -> Result<Self, Errno> {
        Ok(Root(rustix::fs::open("/", Self::FLAGS, Mode::empty())?))
    }

    const FLAGS: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

    /// Maps the regular file at an absolute path below this root, read-only and for ever, as
    /// [`map_file`] does. Symbolic links are followed as the process would, where the kernel can
    /// (`openat2`, Linux 5.6).
    pub fn map(&self, path: &[u8]) -> Result<(&'static [u8], FileId), Errno> {
        let path = OsStr::from_bytes(path.strip_prefix(b"/").ok_or(Errno::INVAL)?);
        let inside = rustix::fs::openat2(&self.0, path, ANYTHING, Mode::empty(), ResolveFlags::IN_ROOT);
        let file = match inside {
            // Unknown, or refused by a container's filter that does not know it.
            Err(Errno::NOSYS | Errno::PERM) => rustix::fs::openat(&self.0, path, ANYTHING, Mode::empty())?,
            opened => opened?,
        };
        map_whole(&file)
    }
}

/// A path can name anything by now; opening a pipe or a device must not block or act.
const ANYTHING: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

fn map_whole(file: &OwnedFd) -> Result<(&'static [u8], FileId), Errno> {
    let stat = fstat(file)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Errno::INVAL);
    }
    let len = usize::try_from(stat.st_size).map_err(|_| Errno::FBIG)?;
    let id = FileId { device: stat.st_dev, inode: stat.st_ino };
    if len == 0 {
        return Ok((&[], id));
    }
    // SAFETY: a new mapping at an address of the kernel's choice that is never unmapped, so a slice of it
    // is valid for ever. Private and read-only; that its bytes can change if somebody writes the file is
    // accepted: they are parsed as bytes that lie.
    let bytes = unsafe {
        let address =
            rustix::mm::mmap(std::ptr::null_mut(), len, ProtFlags::READ, MapFlags::PRIVATE, file.as_fd(), 0)?;
        std::slice::from_raw_parts(address.cast::<u8>(), len)
    };
    Ok((bytes, id))
}

fn open_mapped(process: &Process, path: &[u8], range: Range<u64>) -> Result<OwnedFd, Errno> {
    let by_range = process.file(&format!("map_files/{:x}-{:x}", range.start, range.end));
    if by_range.is_ok() {
        return by_range;
    }
    let plain = path.strip_suffix(b" (deleted)").unwrap_or(path);
    if plain.len() == path.len() && plain.starts_with(b"/") {
        let mut below_root = b"root".to_vec();
        below_root.extend_from_slice(plain);
        let opened =
            rustix::fs::openat(&process.dir, OsStr::from_bytes(&below_root), ANYTHING, Mode::empty());
        if opened.is_ok() {
            return opened;
        }
    }
    match process.exe() {
        Ok(exe) if exe.strip_suffix(b" (deleted)").unwrap_or(&exe) == plain => process.file("exe"),
        _ => by_range,
    }
}

fn id(file: &OwnedFd) -> Result<FileId, Errno> {
    let stat = fstat(file)?;
    Ok(FileId { device: stat.st_dev, inode: stat.st_ino })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: FileId = FileId { device: 1, inode: 2 };

    #[test]
    fn an_image_is_told_by_the_head_of_its_file() {
        let mut head = *b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0";
        let image = Image::parse(&head, ID).unwrap();
        assert_eq!(image.arch(), Some(Arch::X86_64));
        head[4] = 1;
        assert_eq!(Image::parse(&head, ID).unwrap().arch(), None);
        head[0] = b'#';
        assert_eq!(Image::parse(&head, ID), None);
    }

    #[test]
    fn a_file_below_a_root_is_mapped_and_nothing_else_is() {
        let process = Process::open(std::process::id()).unwrap();
        let exe = process.exe().unwrap();
        let (bytes, id) = Root::of(&process).unwrap().map(&exe).unwrap();
        assert!(bytes.starts_with(b"\x7fELF"));
        assert_eq!(Root::own().unwrap().map(&exe).map(|(_, id)| id), Ok(id));
        for path in [&b"/dev/null"[..], b"/proc/self", b"/no/such/file", b"relative", b""] {
            assert!(Root::own().unwrap().map(path).is_err());
        }
    }

    #[test]
    fn the_file_behind_a_mapping_of_our_own_is_found_by_range_and_by_path() {
        let process = Process::open(std::process::id()).unwrap();
        let mut maps = Vec::new();
        process.maps(&mut maps).unwrap();
        let exe = process.exe().unwrap();
        let (by_path, path_id) = map_file(&process, &exe, 1..2).unwrap();
        assert!(by_path.starts_with(b"\x7fELF"));
        let line = String::from_utf8_lossy(&maps);
        let line = line.lines().find(|line| line.as_bytes().ends_with(&exe)).unwrap();
        let (start, end) = line.split_once(' ').unwrap().0.split_once('-').unwrap();
        let range = u64::from_str_radix(start, 16).unwrap()..u64::from_str_radix(end, 16).unwrap();
        let (by_range, range_id) = map_file(&process, b"/nowhere", range).unwrap();
        assert_eq!((by_range.len(), range_id), (by_path.len(), path_id));
        assert!(map_file(&process, b"/nowhere", 1..2).is_err());
    }
}
