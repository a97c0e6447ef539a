//! Nothing is allocated while a thread is held, the first time no more than later.

use bench::live::Live;
use bench::session::{Sampling, run};
use flame_core::arch::Registers;
use flame_sys::memory::ProcessMemory;
use flame_sys::session::{Control, Flow, Options, ThreadKey, Verdict, Visitor};
use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::sync::Mutex;
use std::time::Duration;

/// The system's allocator, which tells where it is used while a thread is held.
struct Watchful;

#[global_allocator]
static ALLOCATOR: Watchful = Watchful;

thread_local! {
    static HOLDS: Cell<bool> = const { Cell::new(false) };
}

/// What was done, with how many bytes, and where: told in words after the session, as that takes long.
static SEEN: Mutex<Vec<(&str, usize, Backtrace)>> = Mutex::new(Vec::new());

fn used(what: &'static str, size: usize) {
    if HOLDS.replace(false) {
        let trace = Backtrace::force_capture();
        SEEN.lock().unwrap().push((what, size, trace));
        HOLDS.set(true);
    }
}

// SAFETY: hands everything on to the system's allocator.
unsafe impl GlobalAlloc for Watchful {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        used("allocation", layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        used("release", layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        used("growth", size);
        // SAFETY: as the caller promises.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// Watches while a thread is looked at; between that and its resume stands one system call.
struct Watched(Sampling);

impl Visitor for Watched {
    fn started(&mut self, thread: ThreadKey) -> bool {
        self.0.started(thread)
    }

    fn held(&mut self, thread: ThreadKey, registers: &Registers, memory: &ProcessMemory) -> Verdict {
        HOLDS.set(true);
        let verdict = self.0.held(thread, registers, memory);
        HOLDS.set(false);
        verdict
    }

    fn released(&mut self, thread: ThreadKey, at_us: u64) {
        self.0.released(thread, at_us);
    }

    fn tick(&mut self, control: &mut Control<'_>) -> Flow {
        self.0.tick(control)
    }
}

#[test]
fn nothing_is_allocated_while_a_thread_is_held() {
    let programs = ["recursion.js", "garbage.js", "dynamic.js", "exceptions.js", "inlined.js", "worker.js"];
    for program in programs {
        let live = Live::start(tests::workload::folder().join(program), &[]);
        let options =
            Options { rate_hz: 500, duration: Duration::from_secs(1), max_pause_percent: 50.0, wall: false };
        let mut watched = Watched(Sampling::new(&live));
        run(live.pid(), options, &mut watched);
        assert!(watched.0.sampler.taken() > 50, "{program}: {} samples", watched.0.sampler.taken());
        let seen = std::mem::take(&mut *SEEN.lock().unwrap());
        if let Some((what, size, trace)) = seen.first() {
            panic!("{program}: {} times, first: {what} of {size} bytes\n{trace}", seen.len());
        }
    }
}
