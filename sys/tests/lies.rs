//! What a target can hold does not make its readers take memory: the lies of `flame_core::lies`, with an allocator
//! that counts. Here, as that takes `unsafe`, which `core` has none of.

use flame_core::lies::{KINDS, Kind};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::Write;
use std::path::Path;

/// Counts what each thread holds, and the most that it has held.
struct Counting;

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
    static MOST: Cell<usize> = const { Cell::new(0) };
}

/// Some bytes more, some less. A thread that ends frees what it has after these are gone.
fn took(more: usize, less: usize) {
    let _ = HELD.try_with(|held| {
        held.set((held.get() + more).saturating_sub(less));
        let _ = MOST.try_with(|most| most.set(most.get().max(held.get())));
    });
}

// SAFETY: passes everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        took(layout.size(), 0);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        took(layout.size(), 0);
        // SAFETY: as the caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        took(0, layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Both are there for a moment.
        took(size, 0);
        took(0, layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most that reading an input holds at once.
fn most(kind: Kind, bytes: &[u8]) -> usize {
    let before = HELD.get();
    MOST.set(before);
    (kind.read)(bytes);
    MOST.get() - before
}

/// What a kind of input may take, in KiB.
fn bound(kind: &str) -> usize {
    match kind {
        // All tables, the texts of scripts, and the made-up process itself.
        "sampler" => (15 + 16 + 4) << 10,
        _ => 1 << 10,
    }
}

/// splitmix64.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

#[test]
fn no_lie_of_a_target_takes_more_memory_than_the_limits_say() {
    let seed = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_nanos() as u64);
    let cases = std::env::var("FLAME_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(3000u64);
    let found = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/src/lies/found");
    let mut told = String::new();
    for kind in KINDS {
        let (mut state, mut highest, mut count) = (seed, 0, 0);
        let kept = std::fs::read_dir(&found).unwrap().map(|file| file.unwrap().path());
        let of_kind = |path: &std::path::PathBuf| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(kind.name))
        };
        let kept = kept.filter(of_kind).map(|path| std::fs::read(path).unwrap());
        let drawn = (0..cases * kind.share / 1000).map(|_| {
            let len = random(&mut state) as usize % (kind.most + 1);
            (0..len).map(|_| random(&mut state) as u8).collect::<Vec<u8>>()
        });
        for bytes in kept.chain(drawn) {
            let most = most(kind, &bytes).div_ceil(1024);
            assert!(most <= bound(kind.name), "{}: {most} KiB for {bytes:?}", kind.name);
            (highest, count) = (highest.max(most), count + 1);
        }
        told += &format!("; {} {highest} KiB in {count} inputs", kind.name);
    }
    // The test harness does not hold this back. Where stderr is gone, nobody listens.
    let _ = writeln!(std::io::stderr(), "most memory held at once: {}", told.trim_start_matches("; "));
}
