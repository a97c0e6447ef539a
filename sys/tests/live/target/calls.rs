//! System calls that wait: each counts how often one was broken off.

use crate::{count, counter, ready, stopping};
use std::thread;

fn check(result: i64) {
    count(counter::DONE);
    // SAFETY: reads this thread's errno.
    if result == -1 && unsafe { *libc::__errno_location() } == libc::EINTR {
        count(counter::BROKEN_OFF);
    }
}

/// Waits in epoll_wait, poll, nanosleep, futex, read and accept until told to stop.
pub fn all() -> i32 {
    let pause = libc::timespec { tv_sec: 0, tv_nsec: 20_000_000 };
    let loops: Vec<Box<dyn Fn() + Send>> = vec![
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
            let time = libc::timeval { tv_sec: 0, tv_usec: 20_000 };
            let len = size_of_val(&time) as u32;
            libc::setsockopt(pair[0], libc::SOL_SOCKET, libc::SO_RCVTIMEO, (&raw const time).cast(), len);
            let mut byte = 0u8;
            check(libc::recv(pair[0], (&raw mut byte).cast(), 1, 0) as i64);
            libc::close(pair[0]);
            libc::close(pair[1]);
        }),
    ];
    let threads: Vec<_> = loops
        .into_iter()
        .map(|call| {
            thread::spawn(move || {
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
