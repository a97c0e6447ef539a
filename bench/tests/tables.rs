//! All tables of a sampler together, when all of them are full, stay within the bound on node-flame's memory.

use bench::live::Live;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The system's allocator, which knows how much is in use.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;
static USED: AtomicUsize = AtomicUsize::new(0);

// SAFETY: hands everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        USED.fetch_add(layout.size(), Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        USED.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// As `core/src/limits.rs` says: it leaves 1 MiB of the promised 16 to the session and the command.
const BOUND: usize = 15 << 20;

#[test]
fn all_tables_of_a_sampler_take_less_than_15_mib() {
    let live = Live::start("deep.js", &["10".into()]);
    let before = USED.load(Relaxed);
    let sampler = live.sampler();
    let taken = USED.load(Relaxed) - before;
    println!("{taken} bytes");
    assert!(taken < BOUND, "{taken} bytes");
    drop(sampler);
}
