//! The files behind a process' mappings.

use super::Process;
use crate::Errno;
use crate::memory::ProcessMemory;
use flame_core::arch::Arch;
use flame_core::maps::Region;
use flame_core::memory::Memory;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat};
use rustix::mm::{MapFlags, ProtFlags};
use std::ffi::OsStr;
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

/// Opens the file behind a region of the process, and tells which it is.
///
/// `path` is what stands in `maps`; ` (deleted)` at its end is known. Tried in turn:
/// `/proc/PID/map_files/…`, which is the file itself wherever it is and whether or not it was deleted, but
/// needs a capability over this host (`CAP_CHECKPOINT_RESTORE` or `CAP_SYS_ADMIN`); the path under
/// `/proc/PID/root`, which is that of another mount namespace or, less the root's own path, of a `chroot`; the
/// path as it is; `/proc/PID/exe` if the path is what that says. A path can lead to another file by now, so
/// what it leads to must hold the bytes that the process has at the region's start, which should be code
/// (`maps` shows another device than `stat` on btrfs and on overlayfs of older kernels, so device and inode
/// decide nothing there: two files may have the same).
pub fn open_file(process: &Process, path: &[u8], region: &Region) -> Result<(OwnedFd, FileId), Errno> {
    let by_range = process.file(&format!("map_files/{:x}-{:x}", region.start, region.end));
    let file = by_range.or_else(|errno| open_by_path(process, path, region).ok_or(errno))?;
    let id = id(&file)?;
    Ok((file, id))
}

/// Maps the file that [`open_file`] opens, read-only, with its identity.
pub fn map_file(process: &Process, path: &[u8], region: &Region) -> Result<(&'static [u8], FileId), Errno> {
    let (file, id) = open_file(process, path, region)?;
    Ok((map_whole(&file)?, id))
}

/// Maps a regular file, read-only.
///
/// The bytes stay mapped until node-flame ends. Each file of a process is mapped once, and names point
/// into it until the last byte of output is written: there is no earlier moment to unmap it, and what
/// is mapped is the page cache, not memory of ours. A file that is truncated while it is mapped makes
/// reading it fatal (SIGBUS), as for every program that runs from it; replacing a file by rename, as
/// installers do, does not.
pub fn map_whole(file: &OwnedFd) -> Result<&'static [u8], Errno> {
    let stat = fstat(file)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Errno::INVAL);
    }
    let len = usize::try_from(stat.st_size).map_err(|_| Errno::FBIG)?;
    if len == 0 {
        return Ok(&[]);
    }
    // SAFETY: a new mapping at an address of the kernel's choice that is never unmapped, so a slice of it
    // is valid for ever. Private and read-only; that its bytes can change if somebody writes the file is
    // accepted: they are parsed as bytes that lie.
    let bytes = unsafe {
        let address =
            rustix::mm::mmap(std::ptr::null_mut(), len, ProtFlags::READ, MapFlags::PRIVATE, file.as_fd(), 0)?;
        std::slice::from_raw_parts(address.cast::<u8>(), len)
    };
    Ok(bytes)
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
    /// [`map_whole`] does. Symbolic links are followed as the process would, where the kernel can
    /// (`openat2`, Linux 5.6).
    pub fn map(&self, path: &[u8]) -> Result<(&'static [u8], FileId), Errno> {
        let path = OsStr::from_bytes(path.strip_prefix(b"/").ok_or(Errno::INVAL)?);
        let inside = rustix::fs::openat2(&self.0, path, ANYTHING, Mode::empty(), ResolveFlags::IN_ROOT);
        let file = match inside {
            // Unknown, or refused by a container's filter that does not know it.
            Err(Errno::NOSYS | Errno::PERM) => rustix::fs::openat(&self.0, path, ANYTHING, Mode::empty())?,
            opened => opened?,
        };
        Ok((map_whole(&file)?, id(&file)?))
    }
}

/// A path can name anything by now; opening a pipe or a device must not block or act.
const ANYTHING: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

fn open_by_path(process: &Process, path: &[u8], region: &Region) -> Option<OwnedFd> {
    let plain = path.strip_suffix(b" (deleted)").unwrap_or(path);
    let open =
        |path: &[u8]| rustix::fs::openat(&process.dir, OsStr::from_bytes(path), ANYTHING, Mode::empty()).ok();
    let is_it = |file: &OwnedFd| holds_bytes_of(file, process, region);
    let by_path = || {
        if plain.len() != path.len() || !plain.starts_with(b"/") {
            return None;
        }
        // A process in a `chroot` has paths of this mount namespace, and its root is one of them.
        let root = process.link("root").unwrap_or_default();
        let inside = plain.strip_prefix(&root[..]).filter(|inside| inside.starts_with(b"/"));
        let below_root = [inside, Some(plain)].map(|path| [b"root", path.unwrap_or_default()].concat());
        [&below_root[0], &below_root[1], plain].into_iter().find_map(|path| open(path).filter(is_it))
    };
    let by_exe = || {
        let exe = process.exe().ok()?;
        let is_exe = exe.strip_suffix(b" (deleted)").unwrap_or(&exe) == plain;
        if is_exe { process.file("exe").ok().filter(is_it) } else { None }
    };
    by_path().or_else(by_exe)
}

/// Whether a file has, where the region begins in it, what the process has there.
fn holds_bytes_of(file: &OwnedFd, process: &Process, region: &Region) -> bool {
    const PAGE: usize = 4096;
    let (mut on_disk, mut in_memory) = ([0; PAGE], [0; PAGE]);
    let is_regular = fstat(file).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_file());
    let len = if is_regular { rustix::io::pread(file, &mut on_disk, region.offset).unwrap_or(0) } else { 0 };
    len > 0
        && ProcessMemory::new(process.pid()).read(region.start, &mut in_memory[..len]).is_ok()
        && on_disk[..len] == in_memory[..len]
}

fn id(file: &OwnedFd) -> Result<FileId, Errno> {
    let stat = fstat(file)?;
    Ok(FileId { device: stat.st_dev, inode: stat.st_ino })
}

#[cfg(test)]
mod tests {
    use super::*;
    use flame_core::maps::Maps;

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

    /// Our own executable's code and path.
    fn own_code() -> (Process, Vec<u8>, Region) {
        let process = Process::open(std::process::id()).unwrap();
        let (mut text, mut maps) = (Vec::new(), Maps::new());
        process.maps(&mut text).unwrap();
        maps.update(&text, &[]);
        let code = maps.find(own_code as *const () as u64).copied().unwrap();
        let path = maps.path(code.module.unwrap()).to_vec();
        (process, path, code)
    }

    #[test]
    fn the_file_behind_a_mapping_of_our_own_is_found_by_range_and_by_path() {
        let (process, path, code) = own_code();
        let (bytes, mapped) = map_file(&process, &path, &code).unwrap();
        assert!(bytes.starts_with(b"\x7fELF"));
        let by_path = open_by_path(&process, &path, &code).unwrap();
        assert_eq!(id(&by_path), Ok(mapped));
        let deleted = [&path[..], b" (deleted)"].concat();
        let by_exe = open_by_path(&process, &deleted, &code).unwrap();
        assert_eq!(id(&by_exe), Ok(mapped));
    }

    #[test]
    fn a_path_that_leads_to_another_file_is_not_taken() {
        let (process, path, code) = own_code();
        for other in [&b"/etc/passwd"[..], b"/dev/zero", b"/proc/self", b"/nowhere", b"relative"] {
            assert!(open_by_path(&process, other, &code).is_none());
        }
        let elsewhere = Region { offset: code.offset + 16, ..code };
        assert!(open_by_path(&process, &path, &elsewhere).is_none());
    }
}
