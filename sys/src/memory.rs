//! A live process' memory.

use crate::{Errno, clock};
use flame_core::memory::{Fault, Memory, Span};
use std::cell::Cell;
use std::os::fd::OwnedFd;

/// Ranges given to the kernel in one call. The kernel's own bound is 1024 (`UIO_MAXIOV`); the arrays stand
/// on the stack, 16 bytes an entry.
const RANGES: usize = 256;

/// The memory of another process, by `process_vm_readv`.
///
/// Reading needs the permission to trace the process, but no tracing. Nothing is allocated. After
/// [`until`](ProcessMemory::until) all reads fail: so a reader that was made for memory that lies is
/// bounded in time too.
pub struct ProcessMemory {
    pid: u32,
    /// The thread that is looked at, 0 for none.
    thread: Cell<u32>,
    /// `/proc/PID/mem`, where the kernel or a seccomp filter has no `process_vm_readv` for us.
    file: Option<Result<OwnedFd, Errno>>,
    deadline: Cell<u64>,
    late: Cell<u64>,
    calls: Cell<u64>,
}

impl ProcessMemory {
    /// The memory of `pid`. Whether it can be read shows at the first read.
    pub fn new(pid: u32) -> Self {
        let mut memory = ProcessMemory {
            pid,
            thread: Cell::new(0),
            file: None,
            deadline: Cell::new(u64::MAX),
            late: Cell::new(0),
            calls: Cell::new(0),
        };
        let mut byte = 0u8;
        let local = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
        // Nothing is at that address, but whether there is may be asked. Who wants no byte is not asked for permission.
        // SAFETY: `byte` is there for nothing else.
        let refused = unsafe { memory.vectored(&[local], &[remote_piece(0, 1)]) };
        if matches!(refused, Err(Errno::NOSYS | Errno::PERM)) {
            memory.file = Some(crate::process::open_at(None, &format!("/proc/{pid}/mem")));
        }
        memory
    }

    /// Whether it may be read, as it was asked at first: for that a process needs the right to trace the other one.
    ///
    /// # Errors
    /// What opening `/proc/PID/mem` says, where `process_vm_readv` was refused, too: it alone asks for less, as the
    /// file has an owner and rights of its own.
    pub fn is_permitted(&self) -> Result<(), Errno> {
        self.file.as_ref().map_or(Ok(()), |file| file.as_ref().map(drop).map_err(|errno| *errno))
    }

    /// A thread of the process is looked at: once the first one has ended, the kernel knows the memory by others alone.
    pub fn through(&self, tid: u32) {
        self.thread.set(tid);
    }

    /// Lets reads fail from `at_ns` on, on the monotonic clock; `u64::MAX` for never.
    pub fn until(&self, at_ns: u64) {
        self.deadline.set(at_ns);
    }

    /// Reads that were refused because they came after the deadline, so far.
    pub fn late(&self) -> u64 {
        self.late.get()
    }

    /// System calls made, so far.
    pub fn calls(&self) -> u64 {
        self.calls.get()
    }

    fn is_late(&self) -> bool {
        let deadline = self.deadline.get();
        let late = deadline != u64::MAX && clock::monotonic_ns() > deadline;
        if late {
            self.late.set(self.late.get() + 1);
        }
        late
    }

    /// Bytes read: the leading ones, up to the first that cannot be read.
    ///
    /// # Safety
    ///
    /// The local ranges must be of buffers that the caller has for itself, or empty. Remote ones may be anything.
    unsafe fn vectored(&self, local: &[libc::iovec], remote: &[libc::iovec]) -> Result<usize, Errno> {
        let read = |tid: u32| {
            self.calls.set(self.calls.get() + 1);
            // SAFETY: local ranges are as the caller promises; remote addresses are only looked up in the other
            // process. Array lengths are those of the slices.
            let read = unsafe {
                libc::process_vm_readv(
                    tid as libc::pid_t,
                    local.as_ptr(),
                    local.len() as libc::c_ulong,
                    remote.as_ptr(),
                    remote.len() as libc::c_ulong,
                    0,
                )
            };
            usize::try_from(read).map_err(|_| crate::last_error())
        };
        match read(self.pid) {
            Err(Errno::SRCH) if self.thread.get() != 0 => read(self.thread.get()),
            result => result,
        }
    }

    fn leading(&self, address: u64, into: &mut [u8]) -> usize {
        if into.is_empty() || self.is_late() {
            return 0;
        }
        if let Some(file) = &self.file {
            self.calls.set(self.calls.get() + 1);
            return file.as_ref().map_or(0, |file| rustix::io::pread(file, into, address).unwrap_or(0));
        }
        let local = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
        // SAFETY: the range of `into`.
        unsafe { self.vectored(&[local], &[remote_piece(address, into.len())]) }.unwrap_or(0)
    }
}

impl Memory for ProcessMemory {
    fn read(&self, address: u64, into: &mut [u8]) -> Result<(), Fault> {
        if self.leading(address, into) == into.len() { Ok(()) } else { Err(Fault { address }) }
    }

    fn read_prefix(&self, address: u64, into: &mut [u8]) -> usize {
        self.leading(address, into)
    }

    fn read_batch(&self, spans: &mut [Span], buffer: &mut [u8]) {
        if self.file.is_some() {
            for span in spans {
                let into = range(span, buffer.len()).and_then(|range| buffer.get_mut(range));
                span.done = into.is_some_and(|into| self.read(span.address, into).is_ok());
            }
            return;
        }
        let mut next = 0;
        while next < spans.len() {
            next += self.batch(&mut spans[next..], buffer);
        }
    }
}

impl ProcessMemory {
    /// One call over the first of `spans`; how many of them have been settled, at least one.
    fn batch(&self, spans: &mut [Span], buffer: &mut [u8]) -> usize {
        let (mut local, mut remote) = ([nowhere(); RANGES], [nowhere(); RANGES]);
        let mut count = 0;
        for span in spans.iter_mut().take(RANGES) {
            span.done = false;
            // One that lies outside the buffer ends the batch before it, and is settled by itself.
            let Some(range) = range(span, buffer.len()) else { break };
            // SAFETY: `range` lies inside `buffer`, so the pointer stays inside it.
            let at = unsafe { buffer.as_mut_ptr().add(range.start) };
            local[count] = libc::iovec { iov_base: at.cast(), iov_len: range.len() };
            remote[count] = remote_piece(span.address, range.len());
            count += 1;
        }
        if count == 0 || self.is_late() {
            return count.max(1);
        }
        // The kernel stops at the first range that it cannot read whole.
        // SAFETY: ranges inside `buffer`, which is borrowed; where they overlap, the kernel writes one after the other.
        let mut bytes = match unsafe { self.vectored(&local[..count], &remote[..count]) } {
            Ok(bytes) => bytes,
            Err(Errno::FAULT) => 0,
            // No process, no permission: nothing more can come.
            Err(_) => return count,
        };
        for (settled, span) in spans[..count].iter_mut().enumerate() {
            let Some(rest) = bytes.checked_sub(span.len as usize) else { return settled + 1 };
            bytes = rest;
            span.done = true;
        }
        count
    }
}

/// Where in a buffer of `len` bytes the span's bytes go.
fn range(span: &Span, len: usize) -> Option<std::ops::Range<usize>> {
    let at = span.at as usize;
    let end = at.checked_add(span.len as usize)?;
    (end <= len).then_some(at..end)
}

/// A range of the other process, whose addresses mean nothing here.
fn remote_piece(address: u64, len: usize) -> libc::iovec {
    libc::iovec { iov_base: std::ptr::without_provenance_mut(address as usize), iov_len: len }
}

fn nowhere() -> libc::iovec {
    libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }
}
