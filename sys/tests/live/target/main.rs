//! The other process of a live test: what is traced, or the tracer. `live-target ROLE [ARGUMENT…]`.
//!
//! What a role counts goes to a page shared with the test, in the file that `COUNTERS` names.

mod calls;
#[path = "../counter.rs"]
mod counter;
mod tracer;

use std::hint::black_box;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

fn counters() -> &'static [AtomicU64; 64] {
    static COUNTERS: OnceLock<&'static [AtomicU64; 64]> = OnceLock::new();
    COUNTERS.get_or_init(|| {
        let path = std::env::var("COUNTERS").expect("COUNTERS names a file");
        let file = std::fs::File::options().read(true).write(true).open(path).expect("the file is there");
        use std::os::fd::AsRawFd;
        // SAFETY: a shared mapping of a file of this size, never unmapped, used as atomics alone.
        unsafe {
            let flags = libc::PROT_READ | libc::PROT_WRITE;
            let page = libc::mmap(std::ptr::null_mut(), 512, flags, libc::MAP_SHARED, file.as_raw_fd(), 0);
            assert_ne!(page, libc::MAP_FAILED);
            &*page.cast()
        }
    })
}

fn count(counter: usize) {
    counters()[counter].fetch_add(1, Relaxed);
}

fn ready() {
    counters()[counter::READY].store(1, Relaxed);
}

fn stopping() -> bool {
    counters()[counter::STOP].load(Relaxed) != 0
}

fn work() {
    let mut sum = 0u64;
    for number in 0..2000u64 {
        sum = black_box(sum.wrapping_mul(31) + number);
    }
}

fn spin() {
    while !stopping() {
        work();
        count(counter::PROGRESS);
    }
}

extern "C" fn on_signal(signal: i32, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    match signal {
        libc::SIGUSR2 => count(counter::USR2),
        libc::SIGTRAP => count(counter::TRAPS),
        libc::SIGALRM => count(counter::ALARMS),
        _ => {
            count(counter::QUEUED);
            // SAFETY: the kernel hands over a valid siginfo_t; the sender queued an integer.
            let value = unsafe { (*info).si_value().sival_ptr } as u64 & 0xffff_ffff;
            counters()[counter::QUEUED_SUM].fetch_add(value, Relaxed);
        }
    }
}

fn handle(signal: i32) {
    // SAFETY: installs a handler that only adds to shared atomics.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_signal as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
        libc::sigaction(signal, &action, std::ptr::null_mut());
    }
}

/// Counts the signals it gets, while it spins.
fn signals() -> i32 {
    handle(libc::SIGUSR2);
    handle(libc::SIGTRAP);
    handle(libc::SIGALRM);
    handle(libc::SIGRTMIN() + 3);
    let every = libc::timeval { tv_sec: 0, tv_usec: 5000 };
    let timer = libc::itimerval { it_interval: every, it_value: every };
    if std::env::args().nth(2).is_some_and(|word| word == "alarm") {
        // SAFETY: a valid itimerval.
        unsafe { libc::setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut()) };
    }
    ready();
    spin();
    42
}

/// Starts and ends threads all the time.
fn churn() -> i32 {
    ready();
    while !stopping() {
        let batch = (0..8).map(|_| {
            std::thread::spawn(|| {
                let until = Instant::now() + Duration::from_millis(3);
                while Instant::now() < until {
                    work();
                }
            })
        });
        for thread in batch.collect::<Vec<_>>() {
            thread.join().expect("a thread that only spins");
            count(counter::DONE);
        }
    }
    43
}

/// The first thread ends, at once or when it was traced for a while; another one goes on.
fn leader_ends(when: &str) -> i32 {
    std::thread::spawn(|| {
        spin();
        std::process::exit(44);
    });
    ready();
    if when != "at-once" {
        work_while_traced(Duration::from_secs(1));
    }
    // SAFETY: ends this thread alone; it holds nothing.
    unsafe { libc::syscall(libc::SYS_exit, 0) };
    unreachable!()
}

fn is_traced() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    !status.contains("TracerPid:\t0\n")
}

/// Works for a while that begins when it is traced, or in three seconds.
fn work_while_traced(time: Duration) {
    let begin = Instant::now();
    while !is_traced() && begin.elapsed() < Duration::from_secs(3) {
        work();
    }
    let until = Instant::now() + time;
    while Instant::now() < until {
        work();
    }
}

/// Starts children in each of the three ways, and waits for them.
fn forks() -> i32 {
    ready();
    while !stopping() {
        // fork and exec, or posix_spawn, as std sees fit.
        let untraced = ["-q", "^TracerPid:\t0$", "/proc/self/status"];
        if std::process::Command::new("grep").args(untraced).status().is_ok_and(|status| status.success()) {
            count(counter::DONE);
        } else {
            count(counter::BROKEN_OFF);
        }
        // SAFETY: the child ends at once.
        unsafe {
            let child = libc::fork();
            if child == 0 {
                work();
                libc::_exit(if is_traced() { 6 } else { 5 });
            }
            let mut status = 0;
            if libc::waitpid(child, &mut status, 0) == child && libc::WEXITSTATUS(status) == 5 {
                count(counter::DONE);
            } else {
                count(counter::BROKEN_OFF);
            }
        }
    }
    45
}

/// One thread spins, the other stands in vfork, which nothing but death ends before the child has become another
/// program: that takes it a second.
fn vforks() -> i32 {
    extern "C" fn child(_: *mut libc::c_void) -> i32 {
        let second = libc::timespec { tv_sec: 1, tv_nsec: 0 };
        let words = [c"grep", c"-q", c"^TracerPid:\t0$", c"/proc/self/status"].map(std::ffi::CStr::as_ptr);
        let words = [words[0], words[1], words[2], words[3], std::ptr::null()];
        // SAFETY: valid arguments; nothing is allocated, and no lock taken.
        unsafe {
            libc::nanosleep(&second, std::ptr::null_mut());
            libc::execvp(words[0], words.as_ptr());
            libc::_exit(1)
        }
    }
    std::thread::spawn(|| {
        let mut stack = vec![0u128; 8192];
        while !stopping() {
            let mut status = 0;
            // SAFETY: a stack of the child's own, which it leaves before this thread goes on.
            unsafe {
                let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
                let top = stack.as_mut_ptr_range().end.cast();
                let pid = libc::clone(child, top, flags, std::ptr::null_mut());
                libc::waitpid(pid, &mut status, 0);
            }
            count(if status == 0 { counter::DONE } else { counter::BROKEN_OFF });
        }
    });
    ready();
    spin();
    50
}

/// Becomes another program after a while: this one again, spinning. From its first thread or another.
fn exec(from: &str) -> i32 {
    use std::os::unix::process::CommandExt;
    let become_other = || {
        work_while_traced(Duration::from_millis(300));
        let program = std::env::current_exe().expect("this program has a path");
        panic!("{}", std::process::Command::new(program).arg("spin").exec());
    };
    ready();
    if from == "first" {
        become_other();
    }
    let threads: Vec<_> = (0..3).map(|_| std::thread::spawn(spin)).collect();
    std::thread::spawn(become_other);
    spin();
    drop(threads);
    0
}

/// Ends after a while, with threads that spin.
fn end(how: &str) -> i32 {
    for _ in 0..3 {
        std::thread::spawn(spin);
    }
    // SAFETY: a valid limit.
    unsafe {
        let limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
        libc::setrlimit(libc::RLIMIT_CORE, &limit);
    }
    ready();
    work_while_traced(Duration::from_millis(200));
    match how {
        // With so much memory that its core dump takes a while.
        "abort" => {
            let _kept = std::hint::black_box(vec![1_u8; 64 << 20]);
            std::process::abort()
        }
        // SAFETY: makes this process end, as wanted.
        "segv" => unsafe { libc::kill(libc::getpid(), libc::SIGSEGV) },
        code => return code.parse().expect("an exit code"),
    };
    // Any of the threads may be the one that is given the signal.
    spin();
    0
}

/// Has three children that spin, one of them from later on.
fn brood() -> i32 {
    let child = || {
        let program = std::env::current_exe().expect("this program has a path");
        std::process::Command::new(program).arg("spin").spawn().expect("a child")
    };
    let mut children = vec![child(), child()];
    ready();
    std::thread::sleep(Duration::from_millis(300));
    children.push(child());
    for mut child in children {
        let _ = child.wait();
    }
    48
}

/// Two readable pages around one that is not; each byte of them is known.
fn pages() -> i32 {
    // SAFETY: a new mapping of three pages, of which the middle one is made unreadable.
    unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let start = libc::mmap(std::ptr::null_mut(), 3 * 4096, protection, flags, -1, 0).cast::<u8>();
        for at in 0..3 * 4096 {
            *start.add(at) = (at % 251) as u8;
        }
        libc::mprotect(start.add(4096).cast(), 4096, libc::PROT_NONE);
        counters()[counter::ADDRESS].store(start as u64, Relaxed);
    }
    ready();
    while !stopping() {
        std::thread::sleep(Duration::from_millis(10));
    }
    0
}

fn main() {
    // Rust's runtime has a handler that takes the first one for itself.
    // SAFETY: no handler is installed.
    unsafe { libc::signal(libc::SIGSEGV, libc::SIG_DFL) };
    let argument = |at: usize| std::env::args().nth(at).unwrap_or_default();
    let code = match argument(1).as_str() {
        "spin" => {
            for _ in 0..argument(2).parse().unwrap_or(0) {
                std::thread::spawn(spin);
            }
            ready();
            spin();
            41
        }
        "signals" => signals(),
        "churn" => churn(),
        "leader-ends" => leader_ends(&argument(2)),
        "forks" => forks(),
        "exec" => exec(&argument(2)),
        "end" => end(&argument(2)),
        "pages" => pages(),
        "calls" => calls::all(),
        "sleep" => {
            ready();
            while !stopping() {
                std::thread::sleep(Duration::from_millis(500));
            }
            46
        }
        "brood" => brood(),
        "vforks" => vforks(),
        "trace" => tracer::trace(),
        "seizes" => tracer::seizes(),
        "command" => tracer::command(),
        role => panic!("no role {role:?}"),
    };
    std::process::exit(code);
}
