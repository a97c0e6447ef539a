//! Whether a process can be profiled, and if not, the facts that say why.

use crate::memory::ProcessMemory;
use crate::process::{Process, Status, ancestors};
use crate::{Errno, arch};
use std::fmt;

/// Bit of `CAP_SYS_PTRACE` (`include/uapi/linux/capability.h`).
const CAP_SYS_PTRACE: u32 = 19;

/// Why a process cannot be profiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no process with this id.
    NoSuchProcess,
    /// There is one, but /proc does not show it to us (mounted with `hidepid`).
    Hidden,
    /// It is the id of a thread of this process.
    Thread {
        /// The process.
        of: u32,
    },
    /// It has ended, and its parent has not asked for its exit code yet.
    Zombie,
    /// It executes nothing: a thread of the kernel.
    Kernel,
    /// It is node-flame itself.
    Ourselves,
    /// It traces node-flame, so each would wait for the other.
    TracesUs,
    /// It is an ancestor of node-flame that does nothing but wait for node-flame's end.
    WaitsForUs,
    /// It is a 32-bit process.
    Bits32,
    /// It executes no ELF file of this host's byte order.
    NotElf,
    /// It is made for another processor, or by a user-mode emulator of one.
    Machine {
        /// `e_machine` of its executable.
        machine: u16,
    },
    /// Its executable is a user-mode emulator (`qemu-…`): what runs in it is not this processor's code.
    Emulated {
        /// The emulator, `qemu-PROCESSOR`.
        by: Name,
    },
    /// Another process traces it already.
    Traced {
        /// The tracer, 0 if it is outside of this pid namespace.
        by: u32,
        /// The tracer's name.
        name: Name,
    },
    /// The kernel does not permit it.
    NotPermitted(Evidence),
    /// Something else did not work.
    Failed {
        /// What was tried.
        doing: &'static str,
        /// What came of it.
        errno: Errno,
    },
}

/// What bears on a refused permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Evidence {
    /// Our effective user.
    pub our_uid: u32,
    /// The target's real, effective and saved user: all must be ours.
    pub their_uid: [u32; 3],
    /// Our effective group.
    pub our_gid: u32,
    /// The target's real, effective and saved group: all must be ours.
    pub their_gid: [u32; 3],
    /// We have `CAP_SYS_PTRACE` in our own user namespace.
    pub sys_ptrace: bool,
    /// The target may use capabilities that we may not.
    pub more_capable: bool,
    /// The target may use some capability.
    pub capable: bool,
    /// The target has made itself, or its exec has made it, non-dumpable.
    pub not_dumpable: bool,
    /// The target is in our user namespace; `None` if that cannot be seen.
    pub same_user_namespace: Option<bool>,
    /// yama's `ptrace_scope`, if this kernel has it: 0 off, 1 descendants only, 2 needs the capability,
    /// 3 nobody.
    pub yama: Option<u8>,
    /// Our own seccomp mode: 0 none, 2 filtered.
    pub our_seccomp: u8,
    /// The call itself is refused to us, even on a process of our own.
    pub no_ptrace: bool,
}

/// A process' name, 15 bytes at most.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Name([u8; 16]);

impl Name {
    fn new(name: &str) -> Self {
        let mut bytes = [0; 16];
        let len = name.floor_char_boundary(15);
        bytes[..len].copy_from_slice(&name.as_bytes()[..len]);
        Name(bytes)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        let len = self.0.iter().position(|byte| *byte == 0).unwrap_or(0);
        std::str::from_utf8(&self.0[..len]).unwrap_or("")
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NoSuchProcess => f.write_str("there is no such process"),
            Refusal::Hidden => f.write_str("/proc does not show it to this user"),
            Refusal::Thread { of } => write!(f, "it is a thread of process {of}"),
            Refusal::Zombie => f.write_str("it has already ended (a zombie)"),
            Refusal::Kernel => f.write_str("it is a thread of the kernel"),
            Refusal::Ourselves => f.write_str("it is node-flame itself"),
            Refusal::TracesUs => f.write_str("it traces node-flame"),
            Refusal::WaitsForUs => f.write_str("it is waiting for node-flame to end"),
            Refusal::Bits32 => f.write_str("it is a 32-bit process"),
            Refusal::NotElf => f.write_str("it executes no ELF file of this host"),
            Refusal::Machine { machine } => {
                write!(f, "its executable is for another processor (ELF machine {machine})")
            }
            Refusal::Emulated { by } => {
                write!(f, "it is {}, which runs code of another processor", by.as_str())
            }
            Refusal::Traced { by: 0, .. } => f.write_str("it is traced from another pid namespace"),
            Refusal::Traced { by, name } => write!(f, "it is already traced by {} ({by})", name.as_str()),
            Refusal::NotPermitted(_) => f.write_str("the kernel does not permit to trace it"),
            Refusal::Failed { doing, errno } => write!(f, "could not {doing}: {errno}"),
        }
    }
}

impl std::error::Error for Refusal {}

/// Looks at a process before anything is done to it: all refusals that need no attempt.
#[inline(never)]
pub fn check(pid: u32) -> Result<Process, Refusal> {
    let process = Process::open(pid).map_err(|errno| match errno {
        Errno::NOENT | Errno::SRCH | Errno::PERM | Errno::ACCESS if is_hidden(pid) => Refusal::Hidden,
        errno => gone(errno),
    })?;
    let status = process.status().map_err(gone)?;
    let own = std::process::id();
    if status.tgid == own {
        return Err(Refusal::Ourselves);
    }
    if status.tgid != pid {
        return Err(Refusal::Thread { of: status.tgid });
    }
    if matches!(status.state, b'Z' | b'X') {
        return Err(Refusal::Zombie);
    }
    let us = own_status();
    if process_of(us.tracer) == pid {
        return Err(Refusal::TracesUs);
    }
    if status.tracer != 0 {
        return Err(traced(status.tracer));
    }
    if waits_for_us(&process) {
        return Err(Refusal::WaitsForUs);
    }
    let image = match process.image() {
        Ok(image) => image.ok_or(Refusal::NotElf)?,
        Err(Errno::NOENT) => return Err(Refusal::Kernel),
        Err(Errno::ACCESS | Errno::PERM) => return Err(not_permitted(&process)),
        Err(errno) => return Err(Refusal::Failed { doing: "read its executable", errno }),
    };
    if !image.is_64_bit {
        return Err(Refusal::Bits32);
    }
    if image.machine != arch::HOST.elf_machine() {
        return Err(Refusal::Machine { machine: image.machine });
    }
    let exe = process.exe().map_err(gone)?;
    let base = exe.rsplit(|byte| *byte == b'/').next().unwrap_or(&exe);
    if base.starts_with(b"qemu-") && !base.starts_with(b"qemu-system") {
        let name = String::from_utf8_lossy(base);
        return Err(Refusal::Emulated { by: Name::new(name.trim_end_matches("-static")) });
    }
    match ProcessMemory::new(pid).is_permitted() {
        Err(errno @ (Errno::ACCESS | Errno::PERM)) => Err(refused(&process, errno)),
        _ => Ok(process),
    }
}

/// /proc has no such process, but there is one to send signals to, if one may.
fn is_hidden(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    pid.is_some_and(|pid| matches!(rustix::process::test_kill_process(pid), Ok(()) | Err(Errno::PERM)))
}

/// Why something that needs the right to trace it failed.
pub fn refused(process: &Process, errno: Errno) -> Refusal {
    let status = match process.status() {
        Ok(status) => status,
        Err(errno) => return gone(errno),
    };
    match errno {
        Errno::SRCH => Refusal::NoSuchProcess,
        _ if matches!(status.state, b'Z' | b'X') => Refusal::Zombie,
        _ if status.tracer != 0 && process_of(status.tracer) != std::process::id() => traced(status.tracer),
        Errno::PERM | Errno::ACCESS | Errno::NOSYS => not_permitted(process),
        errno => Refusal::Failed { doing: "trace it", errno },
    }
}

fn gone(errno: Errno) -> Refusal {
    match errno {
        Errno::NOENT | Errno::SRCH => Refusal::NoSuchProcess,
        errno => Refusal::Failed { doing: "look at it in /proc", errno },
    }
}

fn traced(tracer: u32) -> Refusal {
    let by = process_of(tracer);
    let name = Process::open(by).and_then(|tracer| tracer.thread_name(by)).unwrap_or_default();
    Refusal::Traced { by, name: Name::new(&name) }
}

/// The process that a thread is of: a tracer is told by its thread.
fn process_of(tid: u32) -> u32 {
    Process::open(tid).and_then(|thread| thread.status()).map_or(tid, |status| status.tgid)
}

fn own_status() -> Status {
    Process::open(std::process::id()).and_then(|us| us.status()).unwrap_or_default()
}

/// An ancestor with one thread, which stands in a wait for a child, has nothing to profile, and a user who asks
/// for it means another process: so says a shell's pid given by mistake.
///
/// A Node that waits for node-flame, by `execFileSync`, is not refused: it waits in its event loop, as an idle
/// server does that has merely started node-flame. It is idle for the whole run, which ends by its time.
fn waits_for_us(process: &Process) -> bool {
    if !ancestors(std::process::id()).any(|pid| pid == process.pid()) {
        return false;
    }
    let mut text = Vec::new();
    let threads = process.stat().ok().flatten().map_or(0, |stat| stat.threads);
    let waits = process.text("syscall", &mut text).is_ok()
        && text.split(|byte| *byte == b' ').next().is_some_and(|number| {
            [libc::SYS_wait4, libc::SYS_waitid].iter().any(|call| number == call.to_string().as_bytes())
        });
    threads == 1 && waits
}

fn not_permitted(process: &Process) -> Refusal {
    let (us, them) = (own_status(), process.status().unwrap_or_default());
    let namespace = |process: &Process| process.link("ns/user").ok();
    let ours = Process::open(std::process::id()).ok().and_then(|us| namespace(&us));
    let theirs = namespace(process);
    Refusal::NotPermitted(Evidence {
        our_uid: us.uid[1],
        their_uid: [them.uid[0], them.uid[1], them.uid[2]],
        our_gid: us.gid[1],
        their_gid: [them.gid[0], them.gid[1], them.gid[2]],
        sys_ptrace: us.cap_effective >> CAP_SYS_PTRACE & 1 == 1,
        more_capable: them.cap_permitted & !us.cap_permitted != 0,
        capable: them.cap_permitted != 0,
        not_dumpable: them.uid[1] != 0 && process.owner_of("stat") == Ok(0),
        same_user_namespace: ours.zip(theirs).map(|(ours, theirs)| ours == theirs),
        yama: yama(),
        our_seccomp: us.seccomp,
        no_ptrace: !ptrace_is_there(),
    })
}

fn yama() -> Option<u8> {
    std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").ok()?.trim().parse().ok()
}

/// A filter may refuse the call whatever it is used for: then a thread that does not exist is not what
/// it complains of.
fn ptrace_is_there() -> bool {
    crate::tracer::Seized::seize(i32::MAX as u32).err() == Some(Errno::SRCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_profiled_is_named() {
        assert_eq!(check(std::process::id()).err(), Some(Refusal::Ourselves));
        assert_eq!(check(0).err(), Some(Refusal::NoSuchProcess));
        assert_eq!(check(u32::MAX).err(), Some(Refusal::NoSuchProcess));
        let kernel = Process::open(2).and_then(|two| two.status());
        if kernel.is_ok_and(|two| two.parent == 0 && two.name == "kthreadd") {
            assert_eq!(check(2).err(), Some(Refusal::Kernel));
        }
    }

    #[test]
    fn the_call_itself_is_there() {
        assert!(ptrace_is_there());
    }

    #[test]
    fn long_names_are_cut_between_characters() {
        assert_eq!(Name::new("fourteen bytes\u{e9}").as_str(), "fourteen bytes");
    }
}
