//! Whether a thread runs, asked without disturbing it.

use super::status::{Running, Stat, hexadecimal};
use super::{Process, open_at};
use crate::Errno;
use std::cell::OnceCell;
use std::ffi::CStr;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::OnceLock;

/// What a thread does at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// It runs, or waits for a CPU.
    Running(Running),
    /// It waits, in a system call or a page fault, or stands stopped.
    Waiting,
    /// It has ended.
    Ended,
}

/// Of a thread's file `stat`: 52 numbers and a name of 15 bytes, 200 to 400 bytes in all.
const STAT_BYTES: usize = 1024;

/// A thread's files in /proc, kept open: 4 µs a question with `stat`, 2 µs with the others.
#[derive(Debug)]
pub struct Gauge {
    stat: OwnedFd,
    /// How long it has run; opened by the first question.
    schedstat: OnceCell<Option<OwnedFd>>,
    /// Where it waits; `None` if that is not wanted, or the kernel does not tell.
    syscall: Option<OwnedFd>,
}

impl Gauge {
    /// Opens them. `wall`: it will be asked where the thread waits, too.
    pub fn open(process: &Process, tid: u32, wall: bool) -> Result<Self, Errno> {
        let open = |name: &str| open_at(Some(&process.dir), &format!("task/{tid}/{name}"));
        let syscall = (wall && syscall_file_is_safe()).then(|| open("syscall").ok()).flatten();
        Ok(Gauge { stat: open("stat")?, schedstat: OnceCell::new(), syscall })
    }

    /// [`waits_at`](Self::waits_at) may tell.
    pub fn tells_where_it_waits(&self) -> bool {
        self.syscall.is_some()
    }

    /// What the thread does now.
    pub fn activity(&self) -> Activity {
        let mut buffer = [0; STAT_BYTES];
        let length = rustix::io::pread(&self.stat, &mut buffer[..], 0).unwrap_or(0);
        let text = &buffer[..length];
        match Stat::state_of(text) {
            Some(b'R') => Activity::Running(Stat::running(text).unwrap_or_default()),
            None | Some(b'X' | b'Z') => Activity::Ended,
            Some(_) => Activity::Waiting,
        }
    }

    /// As [`cpu_time_ns`], for its own process and thread.
    pub fn cpu_time_ns(&self, process: &Process, tid: u32) -> Option<u64> {
        let file = self.schedstat.get_or_init(|| open_schedstat(process, tid).ok());
        nanoseconds(file.as_ref()?)
    }

    /// Program counter and stack pointer of a thread that waits, from its file `syscall`; `None` if it
    /// runs, or if the kernel does not tell.
    pub fn waits_at(&self) -> Option<(u64, u64)> {
        let mut buffer = [0; 256];
        pc_and_sp(self.waits(&mut buffer)?)
    }

    /// What a thread that waits has asked the kernel for, from its file `syscall`: a system call's number,
    /// or -1 where it is in none; `None` if it runs, or if the kernel does not tell.
    pub fn call(&self) -> Option<i64> {
        let mut buffer = [0; 256];
        let text = self.waits(&mut buffer)?;
        std::str::from_utf8(text.split(|byte| byte.is_ascii_whitespace()).next()?).ok()?.parse().ok()
    }

    /// The file `syscall`. Opening it needs no permission, reading does.
    fn waits<'a>(&self, buffer: &'a mut [u8; 256]) -> Option<&'a [u8]> {
        let length = rustix::io::pread(self.syscall.as_ref()?, &mut buffer[..], 0).ok()?;
        buffer.get(..length)
    }
}

/// CPU time that a thread has used, in nanoseconds: exact while it does not run, else a scheduler's tick
/// behind. `None` if it has ended, or if the kernel does not tell.
///
/// Allocates nothing: threads may stand while this is asked.
pub fn cpu_time_ns(process: &Process, tid: u32) -> Option<u64> {
    nanoseconds(&open_schedstat(process, tid).ok()?)
}

fn open_schedstat(process: &Process, tid: u32) -> Result<OwnedFd, Errno> {
    let mut path = [0; 32];
    write!(&mut path[..], "task/{tid}/schedstat\0").map_err(|_| Errno::NAMETOOLONG)?;
    let path = CStr::from_bytes_until_nul(&path).map_err(|_| Errno::INVAL)?;
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC;
    rustix::fs::openat(&process.dir, path, flags, rustix::fs::Mode::empty())
}

/// The first number of a file `schedstat`. A kernel that does not count says 0.
fn nanoseconds(schedstat: &OwnedFd) -> Option<u64> {
    let mut buffer = [0; 64];
    let len = rustix::io::pread(schedstat, &mut buffer, 0).ok()?;
    let number: u64 = std::str::from_utf8(buffer.get(..len)?).ok()?.split(' ').next()?.parse().ok()?;
    (number > 0).then_some(number)
}

impl Process {
    /// Whether its threads can be seen where they wait.
    pub fn tells_where_it_waits(&self) -> bool {
        syscall_file_is_safe() && self.file("syscall").is_ok()
    }

    /// Whether the kernel writes a core dump of it at this moment. A request to stop would break that off where
    /// it goes through a pipe, to `systemd-coredump` for one. Before Linux 4.15 nobody can tell.
    pub fn is_dumping_core(&self) -> bool {
        let mut buffer = [0; 4096];
        let file = open_at(Some(&self.dir), "status");
        let len = file.ok().and_then(|file| rustix::io::pread(&file, &mut buffer, 0).ok()).unwrap_or(0);
        memchr::memmem::find(&buffer[..len], b"\nCoreDumping:\t1\n").is_some()
    }
}

/// Whether threads may be asked where they wait, by their files `syscall`: from Linux 5.7 on.
///
/// Before (`lock_trace` in `fs/proc/base.c`) the file takes the mutex that an exec holds while it waits for all other
/// threads of the process to be reaped; those are reaped by us, if we trace them. `stat` takes no such lock.
fn syscall_file_is_safe() -> bool {
    static SAFE: OnceLock<bool> = OnceLock::new();
    *SAFE.get_or_init(|| {
        let name = rustix::system::uname();
        let mut parts = name.release().to_bytes().split(|byte| !byte.is_ascii_digit());
        let mut part = || -> Option<u32> { std::str::from_utf8(parts.next()?).ok()?.parse().ok() };
        (part().unwrap_or(0), part().unwrap_or(0)) >= (5, 7)
    })
}

/// The last two fields: stack pointer and program counter.
fn pc_and_sp(text: &[u8]) -> Option<(u64, u64)> {
    let mut fields = text.trim_ascii().rsplit(|byte| *byte == b' ');
    let mut field = || fields.next()?.strip_prefix(b"0x").map(hexadecimal);
    let (pc, sp) = (field()?, field()?);
    (pc != 0 && sp != 0).then_some((pc, sp))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn where_a_thread_waits_stands_at_the_end_of_the_line() {
        let line = b"0 0x3 0x7f98 0x20000 0x7f98 0xffffffff 0x0 0x7fff6254dd58 0x7f9886ed92ad\n";
        assert_eq!(pc_and_sp(line), Some((0x7f98_86ed_92ad, 0x7fff_6254_dd58)));
        assert_eq!(pc_and_sp(b"-1 0x7ffd 0x7f01\n"), Some((0x7f01, 0x7ffd)));
        assert_eq!(pc_and_sp(b"-1 0x0 0x0\n"), None);
        assert_eq!(pc_and_sp(b"running\n"), None);
    }

    #[test]
    fn a_thread_that_asks_about_itself_runs() {
        let process = Process::open(std::process::id()).unwrap();
        let tid = rustix::thread::gettid().as_raw_nonzero().get() as u32;
        let gauge = Gauge::open(&process, tid, false).unwrap();
        let Activity::Running(running) = gauge.activity() else { panic!("{:?}", gauge.activity()) };
        assert!(running.threads >= 1, "{running:?}");
    }

    #[test]
    fn a_process_that_runs_dumps_no_core() {
        assert!(!Process::open(std::process::id()).unwrap().is_dumping_core());
    }

    #[test]
    fn cpu_time_is_told_for_living_threads() {
        let process = Process::open(std::process::id()).unwrap();
        assert!(cpu_time_ns(&process, process.pid()).is_some());
        assert_eq!(cpu_time_ns(&process, u32::MAX), None);
    }

    proptest! {
        #[test]
        fn no_text_can_break_the_reader(text in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = pc_and_sp(&text);
        }
    }
}
