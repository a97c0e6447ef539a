//! Formats are written as a stream: the memory that takes is bounded by the call tree, not by the output, nor
//! by the files that are compared.

#[allow(dead_code, reason = "the tests of `render` use more of it")]
#[path = "../../render/src/fixture.rs"]
mod fixture;
#[path = "../../render/examples/fixtures/wide.rs"]
mod wide;

use flame_render::{Format, View};
use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{self, BufReader, Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard};

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

/// Holds back the other tests of this file: they share the allocator.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// What `action` took at most beyond what was in use before it.
fn most_during(action: impl FnOnce()) -> usize {
    let before = USED.load(Relaxed);
    MOST.store(before, Relaxed);
    action();
    MOST.load(Relaxed) - before
}

const NODES: usize = 100_000;
/// Bytes for each node, and for what every page and gzip stream has.
const FOR_EACH: usize = 64;
const FOR_ALL: usize = 2 << 20;

#[test]
fn no_format_takes_more_memory_than_a_bound_for_each_node() {
    let _turn = turn();
    let profile = wide::wide(NODES);
    let mut longest = 0;
    for format in Format::ALL {
        let mut out = Counter(0);
        let most = most_during(|| {
            flame_render::write(format, &profile, &View::default(), &mut out)
                .expect("counting does not fail");
        });
        println!("{format}: {most} bytes at most for an output of {}", out.0);
        assert!(most < FOR_ALL + FOR_EACH * NODES, "{format} took {most} bytes for {NODES} nodes");
        longest = longest.max(out.0 / most.max(1));
    }
    assert!(longest > 1, "no output was larger than what it took: a stream would not be told from a buffer");
}

#[test]
fn a_page_with_sources_takes_no_copy_of_their_texts() {
    let _turn = turn();
    let text = "f(1);\n".repeat(920);
    // Those that the functions of `wide` stand in: 2,400 scripts.
    let files = (0..60).flat_map(|package| (0..40).map(move |module| (package, module)));
    let files = files
        .map(|(package, module)| format!("/srv/app/node_modules/package-{package}/lib/module-{module}.js"));
    let files: Vec<String> = files.collect();
    let page = |files: &[String]| {
        let add = |build: &mut fixture::Build| files.iter().for_each(|file| build.source(file, 0, &text));
        let profile = wide::wide_with(NODES, add);
        let mut out = Counter(0);
        let most = most_during(|| {
            flame_render::write(Format::Flame, &profile, &View::default(), &mut out)
                .expect("counting does not fail");
        });
        (most, out.0)
    };
    let (bare, without) = page(&[]);
    let (most, with) = page(&files);
    let texts = files.len() * text.len();
    println!(
        "flame with {texts} bytes of sources: {most} bytes at most, {bare} without; a page of {with}, {without}"
    );
    assert!(with > without + (1 << 18), "the page has lines of them: {without} bytes, then {with}");
    assert!(most < FOR_ALL + FOR_EACH * NODES && most < bare + texts / 10, "{bare} bytes, then {most}");
}

/// The most that `diff` took for these two files, and the length of its page.
fn diff(before: impl Read, after: impl Read) -> (usize, usize) {
    let (mut before, mut after) = (BufReader::new(before), BufReader::new(after));
    let mut out = Counter(0);
    let most = most_during(|| {
        let done = flame_render::diff(("before", &mut before), ("after", &mut after), &mut out);
        done.expect("both files hold stacks");
    });
    (most, out.0)
}

/// Room for the names and functions of both files, as `diff` asks for it at once: what is not used is never
/// touched.
const DIFF_FOR_ALL: usize = 24 << 20;

#[test]
fn diff_takes_memory_for_its_tree_and_none_for_the_length_of_the_files() {
    let _turn = turn();
    let mut folded = Vec::new();
    let profile = wide::wide(NODES);
    flame_render::write(Format::Folded, &profile, &View::default(), &mut folded).expect("a vector takes it");
    let (most, page) = diff(&folded[..], &folded[..]);
    println!("diff: {most} bytes at most for a page of {page} and files of {} each", folded.len());
    assert!(most < DIFF_FOR_ALL + FOR_ALL + FOR_EACH * NODES, "{most} bytes for {NODES} nodes");
    let thrice = || folded.chain(&folded[..]).chain(&folded[..]);
    let (longer, _) = diff(thrice(), thrice());
    assert!(longer < most + most / 100, "{most} bytes, and {longer} for files three times as long");
}

/// Pieces of text one after the other, each made when it is read.
struct Pieces<F> {
    numbers: std::ops::Range<usize>,
    make: F,
    piece: io::Cursor<Vec<u8>>,
}

/// Of each number what `make` writes.
fn pieces<F: FnMut(usize, &mut Vec<u8>)>(numbers: std::ops::Range<usize>, make: F) -> Pieces<F> {
    Pieces { numbers, make, piece: io::Cursor::default() }
}

impl<F: FnMut(usize, &mut Vec<u8>)> Read for Pieces<F> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.piece.position() as usize == self.piece.get_ref().len() {
            let Some(number) = self.numbers.next() else { return Ok(0) };
            let mut piece = std::mem::take(&mut self.piece).into_inner();
            piece.clear();
            (self.make)(number, &mut piece);
            self.piece = io::Cursor::new(piece);
        }
        self.piece.read(into)
    }
}

/// Appends formatted text.
fn push(piece: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    piece.write_fmt(text).expect("a vector takes it");
}

#[test]
fn diff_keeps_no_function_that_it_has_no_room_for() {
    let _turn = turn();
    let functions = |numbers| {
        pieces(numbers, |number, piece| push(piece, format_args!("function{number}:/srv/app.js:1 1\n")))
    };
    let (most, _) = diff(functions(0..1 << 19), functions(1 << 19..1 << 20));
    let (more, _) = diff(functions(0..1 << 20), functions(1 << 20..2 << 20));
    println!("diff: {most} bytes at most with 1,048,576 functions, {more} with twice as many");
    assert!(more < most + most / 50, "{most} bytes with 1,048,576 functions, {more} with twice as many");
}

/// Fails if `diff` takes more than its bound for two such files, the second of other numbers than the first.
/// `nodes`: the call paths of both.
fn assert_bounded(what: &str, nodes: usize, of: impl Fn(bool) -> Box<dyn Read>) {
    let (most, page) = diff(of(false), of(true));
    let bound = DIFF_FOR_ALL + FOR_ALL + FOR_EACH * nodes;
    println!("diff of {what}: {most} bytes at most for a page of {page}, by a bound of {bound}");
    assert!(most < bound, "{what}: {most} bytes, but {bound} are the bound");
}

#[test]
fn diff_takes_no_more_whatever_the_files_hold() {
    let _turn = turn();
    // More functions than there is room for, and more text.
    const FUNCTIONS: usize = 1 << 18;
    let numbers = |is_after| if is_after { 450_000..900_000 } else { 0..450_000 };
    assert_bounded("900,000 functions", FUNCTIONS, move |is_after| {
        Box::new(pieces(numbers(is_after), |number, piece| {
            push(piece, format_args!("f{number}:/a.js:1 1\n"))
        }))
    });
    let long = |number, piece: &mut Vec<u8>| {
        push(piece, format_args!("{number:01000}:/{number}{number:01000}:1 1\n"))
    };
    assert_bounded("long names", 8 << 10, move |is_after| {
        Box::new(pieces(if is_after { 10_000..20_000 } else { 0..10_000 }, long))
    });
    // Few functions, and call paths up to each size at which there is room for more.
    for nodes in [2 * FUNCTIONS, 3 * FUNCTIONS, 4 * FUNCTIONS, 8 * FUNCTIONS] {
        assert_bounded("many call paths", nodes.min(1 << 20), move |is_after| {
            let (from, to) = if is_after { (FUNCTIONS / 2, FUNCTIONS) } else { (0, FUNCTIONS / 2) };
            let below = nodes / FUNCTIONS - 1;
            Box::new(pieces(from..to, move |number, piece| {
                push(piece, format_args!("{number:027}"));
                (0..below)
                    .for_each(|depth| push(piece, format_args!(";{:027}", (number + depth) % FUNCTIONS)));
                piece.extend(b" 1\n");
            }))
        });
    }
    // Lines of 30 MB: of one label, of many short ones, of bytes that are no text.
    for (what, label) in [("one label", "x"), ("many labels", "x;"), ("bytes that are no text", "\u{7f}")] {
        assert_bounded(&format!("lines of {what}"), 12 << 10, move |_| {
            Box::new(pieces(0..2 * 31, move |number, piece| match number % 31 {
                30 => piece.extend(b" 1\n"),
                _ => (0..1_000_000 / label.len()).for_each(|_| match label {
                    "\u{7f}" => piece.push(0xff),
                    label => piece.extend(label.as_bytes()),
                }),
            }))
        });
    }
    assert_bounded("stacks of long lines", 12 << 10, move |_| {
        Box::new(pieces(0..1000, |number, piece| match number {
            0 => piece.extend(b"# head\n# head\n\n"),
            999 => piece.extend(b"1\n\n"),
            _ => {
                push(piece, format_args!("f{number}"));
                piece.extend(std::iter::repeat_n(b'x', 100_000));
                piece.push(b'\n');
            }
        }))
    });
}
