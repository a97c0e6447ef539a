//! System calls that wait: each counts how often one was broken off.

use crate::{count, counter, ready, stopping};
use std::cell::Cell;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::thread;

thread_local! {
    /// Which kind of call this thread makes.
    static KIND: Cell<usize> = const { Cell::new(0) };
}

fn check(result: i64) {
    count(counter::DONE);
    count(counter::CALLS + KIND.get());
    // SAFETY: reads this thread's errno.
    if result == -1 && unsafe { *libc::__errno_location() } == libc::EINTR {
        count(counter::BROKEN_OFF);
        count(counter::CALLS_BROKEN_OFF + KIND.get());
    }
}

/// What waits on a socket gives up after 20 ms: the kernel does not go on with such a call by itself.
unsafe fn in_time(socket: i32) {
    let time = libc::timeval { tv_sec: 0, tv_usec: 20_000 };
    for option in [libc::SO_RCVTIMEO, libc::SO_SNDTIMEO] {
        // SAFETY: a timeval of this length; as the caller promises, a socket.
        unsafe {
            let len = size_of_val(&time) as u32;
            libc::setsockopt(socket, libc::SOL_SOCKET, option, (&raw const time).cast(), len);
        }
    }
}

/// A socket that listens under a name of its own, without a file, and has room for one caller.
unsafe fn listener(name: u8) -> (i32, libc::sockaddr_un, u32) {
    // SAFETY: valid arguments; an address of zeros is an abstract one.
    unsafe {
        let socket = libc::socket(libc::AF_UNIX, libc::SOCK_STREAM, 0);
        let mut address: libc::sockaddr_un = std::mem::zeroed();
        address.sun_family = libc::AF_UNIX as u16;
        for (to, from) in address.sun_path[1..].iter_mut().zip(std::process::id().to_le_bytes()) {
            *to = from as libc::c_char;
        }
        address.sun_path[5] = name as libc::c_char;
        let len = (std::mem::offset_of!(libc::sockaddr_un, sun_path) + 6) as u32;
        libc::bind(socket, (&raw const address).cast(), len);
        libc::listen(socket, 0);
        in_time(socket);
        (socket, address, len)
    }
}

/// Waits in calls of each kind, in an order that the test knows, until told to stop.
pub fn all() -> i32 {
    let pause = libc::timespec { tv_sec: 0, tv_nsec: 20_000_000 };
    let mut pipe = [0; 2];
    // SAFETY: room for two file descriptors.
    unsafe { libc::pipe(pipe.as_mut_ptr()) };
    let read_end = pipe[0];
    // SAFETY: nobody else closes it. That its writer closes it in the end lets the reader end.
    let write_end = unsafe { OwnedFd::from_raw_fd(pipe[1]) };
    // SAFETY: names that are told apart.
    let ((quiet, ..), (_, address, len)) = unsafe { (listener(1), listener(2)) };
    let loops: Vec<Box<dyn Fn() + Send>> = vec![
        // SAFETY: each makes system calls with valid arguments of its own.
        Box::new(move || unsafe {
            let mut byte = 0u8;
            check(libc::read(read_end, (&raw mut byte).cast(), 1) as i64);
        }),
        // SAFETY: as above.
        Box::new(move || unsafe {
            check(i64::from(libc::nanosleep(&pause, std::ptr::null_mut())));
            libc::write(write_end.as_raw_fd(), (&raw const pause).cast(), 1);
        }),
        // SAFETY: as above.
        Box::new(move || unsafe {
            check(i64::from(libc::accept(quiet, std::ptr::null_mut(), std::ptr::null_mut())));
        }),
        // SAFETY: as above; nobody accepts, so there is room for the first callers only.
        Box::new(move || unsafe {
            let caller = libc::socket(libc::AF_UNIX, libc::SOCK_STREAM, 0);
            in_time(caller);
            check(i64::from(libc::connect(caller, (&raw const address).cast(), len)));
            libc::close(caller);
        }),
        // SAFETY: as above; the child makes two system calls.
        Box::new(move || unsafe {
            let child = libc::fork();
            if child == 0 {
                libc::nanosleep(&pause, std::ptr::null_mut());
                libc::_exit(0);
            }
            check(i64::from(libc::waitpid(child, std::ptr::null_mut(), 0)));
        }),
        // SAFETY: as above; nobody reads what is sent.
        Box::new(move || unsafe {
            let mut pair = [0; 2];
            libc::socketpair(libc::AF_UNIX, libc::SOCK_STREAM, 0, pair.as_mut_ptr());
            in_time(pair[0]);
            let file = libc::open(c"/proc/self/exe".as_ptr(), libc::O_RDONLY);
            while libc::sendfile(pair[0], file, std::ptr::null_mut(), 1 << 16) > 0 {
                libc::lseek(file, 0, libc::SEEK_SET);
            }
            check(-1);
            for file in [pair[0], pair[1], file] {
                libc::close(file);
            }
        }),
        // SAFETY: each makes one system call with valid arguments of its own.
        Box::new(move || unsafe {
            let poll = libc::epoll_create1(0);
            let mut event: libc::epoll_event = std::mem::zeroed();
            check(i64::from(libc::epoll_wait(poll, &mut event, 1, 20)));
            libc::close(poll);
        }),
        // SAFETY: as above.
        Box::new(|| check(i64::from(unsafe { libc::poll(std::ptr::null_mut(), 0, 20) }))),
        // SAFETY: as above.
        Box::new(move || check(i64::from(unsafe { libc::nanosleep(&pause, std::ptr::null_mut()) }))),
        Box::new(move || {
            let word = 0u32;
            // SAFETY: as above.
            let result = unsafe {
                libc::syscall(libc::SYS_futex, &raw const word, libc::FUTEX_WAIT, 0, &raw const pause)
            };
            check(result);
        }),
        // SAFETY: as above; the receive has a timeout.
        Box::new(move || unsafe {
            let mut pair = [0; 2];
            libc::socketpair(libc::AF_UNIX, libc::SOCK_DGRAM, 0, pair.as_mut_ptr());
            in_time(pair[0]);
            let mut byte = 0u8;
            check(libc::recv(pair[0], (&raw mut byte).cast(), 1, 0) as i64);
            libc::close(pair[0]);
            libc::close(pair[1]);
        }),
    ];
    let threads: Vec<_> = loops
        .into_iter()
        .enumerate()
        .map(|(kind, call)| {
            thread::spawn(move || {
                KIND.set(kind);
                while !stopping() {
                    call();
                }
            })
        })
        .collect();
    ready();
    for thread in threads {
        let _ = thread.join();
    }
    47
}
