//! Processes as /proc shows them.

mod calls;
mod family;
mod files;
mod state;
mod status;
mod tree;

use crate::Errno;
use rustix::fs::{Mode, OFlags};
use std::os::fd::{AsFd, OwnedFd};

pub use calls::call_name;
pub use family::{Family, Look};
pub use files::{FileId, Image, Root, map_file, map_whole, open_file};
pub use state::{Activity, Gauge, cpu_time_ns};
pub use status::{Stat, Status};
pub use tree::{ancestors, children, pids};

/// A process, held by its directory in /proc: once it is gone every question fails, even if its number
/// has been given to another one.
#[derive(Debug)]
pub struct Process {
    pid: u32,
    dir: OwnedFd,
}

impl Process {
    /// The process with this number, as this pid namespace counts. A thread's id is taken too;
    /// [`Status::tgid`] tells.
    pub fn open(pid: u32) -> Result<Self, Errno> {
        if pid == 0 || i32::try_from(pid).is_err() {
            return Err(Errno::NOENT);
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::open(format!("/proc/{pid}"), flags, Mode::empty())?;
        Ok(Process { pid, dir })
    }

    /// Its id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// One of its files, read-only.
    pub fn file(&self, name: &str) -> Result<OwnedFd, Errno> {
        open_at(Some(&self.dir), name)
    }

    /// Reads one of its text files whole, into a buffer that can be used again.
    pub fn text(&self, name: &str, into: &mut Vec<u8>) -> Result<(), Errno> {
        into.clear();
        let file = self.file(name)?;
        loop {
            into.reserve(4096);
            // Texts of /proc come a page or so at a time, so a short read is not their end.
            if rustix::io::read(&file, rustix::buffer::spare_capacity(into))? == 0 {
                return Ok(());
            }
        }
    }

    /// `maps`: its mappings, one a line, as core's reader wants them.
    pub fn maps(&self, into: &mut Vec<u8>) -> Result<(), Errno> {
        self.text("maps", into)
    }

    /// Bytes of address space that it has mapped, whatever for; 0 for a kernel thread and for a zombie. Costs a
    /// part of what `maps` does, and any user may ask.
    pub fn virtual_size(&self, buffer: &mut Vec<u8>) -> Result<u64, Errno> {
        self.text("statm", buffer)?;
        let pages = buffer.split(|byte| *byte == b' ').next().and_then(status::decimal).unwrap_or(0);
        // SAFETY: a call that reads a number of the system's.
        let page_size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        Ok(pages.saturating_mul(page_size.cast_unsigned()))
    }

    /// `status`: names, ids, state, tracer, capabilities.
    pub fn status(&self) -> Result<Status, Errno> {
        let mut text = Vec::new();
        self.text("status", &mut text)?;
        Ok(Status::parse(&text))
    }

    /// `stat`: state, parent, times. `None` if the kernel's line does not look like one.
    pub fn stat(&self) -> Result<Option<Stat>, Errno> {
        let mut text = Vec::new();
        self.text("stat", &mut text)?;
        Ok(Stat::parse(&text))
    }

    /// What it executes, as a path in its own mount namespace, with ` (deleted)` after it where that is
    /// so. `ENOENT` for a kernel thread and for a zombie.
    pub fn exe(&self) -> Result<Vec<u8>, Errno> {
        self.link("exe")
    }

    /// Where one of its links leads.
    pub fn link(&self, name: &str) -> Result<Vec<u8>, Errno> {
        Ok(rustix::fs::readlinkat(&self.dir, name, Vec::new())?.into_bytes())
    }

    /// Its arguments, each ended by a zero byte; empty where it has overwritten them or is a zombie.
    pub fn arguments(&self) -> Result<Vec<u8>, Errno> {
        let mut text = Vec::new();
        self.text("cmdline", &mut text)?;
        Ok(text)
    }

    /// The ids of its threads, ascending; the process' own among them.
    pub fn threads(&self, into: &mut Vec<u32>) -> Result<(), Errno> {
        into.clear();
        tree::numbers(&self.file("task")?, into)?;
        into.sort_unstable();
        Ok(())
    }

    /// It has a thread with this id, if only one that has ended and was not waited for.
    pub fn has_thread(&self, tid: u32) -> bool {
        rustix::fs::statat(&self.dir, format!("task/{tid}"), rustix::fs::AtFlags::empty()).is_ok()
    }

    /// A thread's name, as the kernel has it: 15 bytes at most, control characters replaced.
    pub fn thread_name(&self, tid: u32) -> Result<String, Errno> {
        let mut text = Vec::new();
        self.text(&format!("task/{tid}/comm"), &mut text)?;
        let name = String::from_utf8_lossy(text.strip_suffix(b"\n").unwrap_or(&text)).into_owned();
        Ok(name.replace(|c: char| c.is_control(), "\u{fffd}"))
    }

    /// Whether the file's owner is root although the process is not: so the kernel shows a process that
    /// has made itself non-dumpable (`task_dump_owner` in `fs/proc/base.c`).
    pub fn owner_of(&self, name: &str) -> Result<u32, Errno> {
        Ok(rustix::fs::statat(&self.dir, name, rustix::fs::AtFlags::empty())?.st_uid)
    }

    /// It has ended: no thread of it is left that could do anything.
    pub fn has_ended(&self) -> bool {
        let stat = self.stat().ok().flatten();
        // The first thread stays behind as a zombie while others live.
        stat.is_none_or(|stat| matches!(stat.state, b'Z' | b'X') && stat.threads <= 1)
    }
}

/// Opens a file for reading, by its name in `dir` or its whole path.
pub(crate) fn open_at(dir: Option<&OwnedFd>, name: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    match dir {
        Some(dir) => rustix::fs::openat(dir.as_fd(), name, flags, Mode::empty()),
        None => rustix::fs::open(name, flags, Mode::empty()),
    }
}
