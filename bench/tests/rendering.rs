//! Formats are written as a stream: the memory that takes is bounded by the call tree, not by the output.

#[allow(dead_code, reason = "the tests of `render` use more of it")]
#[path = "../../render/src/fixture.rs"]
mod fixture;
#[path = "../../render/examples/fixtures/wide.rs"]
mod wide;

use flame_render::{Format, View};
use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The system's allocator, which knows how much is in use and was at most.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;
static USED: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: hands everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let used = USED.fetch_add(layout.size(), Relaxed) + layout.size();
        MOST.fetch_max(used, Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        USED.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Counts bytes.
struct Counter(usize);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn no_format_takes_more_memory_than_a_bound_for_each_node() {
    const NODES: usize = 100_000;
    /// Bytes for each node, and for what every page and gzip stream has.
    const FOR_EACH: usize = 64;
    const FOR_ALL: usize = 2 << 20;
    let profile = wide::wide(NODES);
    let mut longest = 0;
    for format in Format::ALL {
        let before = USED.load(Relaxed);
        MOST.store(before, Relaxed);
        let mut out = Counter(0);
        flame_render::write(format, &profile, &View::default(), &mut out).expect("counting does not fail");
        let most = MOST.load(Relaxed) - before;
        println!("{format}: {most} bytes at most for an output of {}", out.0);
        assert!(most < FOR_ALL + FOR_EACH * NODES, "{format} took {most} bytes for {NODES} nodes");
        longest = longest.max(out.0 / most.max(1));
    }
    assert!(longest > 1, "no output was larger than what it took: a stream would not be told from a buffer");
}
