//! Reading a process' memory.

use crate::stage::{Target, counter};
use flame_core::memory::{Memory, Span};
use flame_sys::memory::ProcessMemory;

const PAGE: u64 = 4096;

fn expected(offset: u64, len: usize) -> Vec<u8> {
    (offset..offset + len as u64).map(|at| (at % 251) as u8).collect()
}

#[test]
fn bytes_are_those_of_the_process_and_bad_addresses_are_faults() {
    let target = Target::start(&["pages"]);
    let (memory, start) = (ProcessMemory::new(target.pid()), target.get(counter::ADDRESS));
    let mut bytes = vec![0; 4096];
    assert!(memory.read(start, &mut bytes).is_ok());
    assert_eq!(bytes, expected(0, 4096));
    assert!(memory.read(start + 1, &mut bytes).is_err());
    assert_eq!(memory.read_prefix(start + 100, &mut bytes), 3996);
    assert_eq!(bytes[..3996], expected(100, 3996));
    for bad in [0, 1, start + PAGE, 1 << 47, (1 << 47) - 4, 1 << 63, u64::MAX, u64::MAX - 3] {
        assert_eq!(memory.word(bad).map_err(|fault| fault.address), Err(bad));
        assert_eq!(memory.read_prefix(bad, &mut bytes), 0, "{bad:#x}");
    }
}

#[test]
fn a_batch_reads_all_that_can_be_read() {
    let target = Target::start(&["pages"]);
    let (memory, start) = (ProcessMemory::new(target.pid()), target.get(counter::ADDRESS));
    // Every seventh is bad in one of four ways, and 700 do not fit into one call.
    let address = |number: u64| match (number % 7, number / 7 % 4) {
        (6, 0) => start + PAGE,
        (6, 1) => start + PAGE - 4,
        (6, 2) => u64::MAX - 2,
        (6, _) => 0,
        _ => start + number % 2 * 2 * PAGE + number,
    };
    let spans = |_| (0..700).map(|number| Span::new(address(number), number as usize * 8, 8)).collect();
    let (mut spans, mut buffer): (Vec<Span>, _) = (spans(()), vec![0; 5600]);
    let before = memory.calls();
    memory.read_batch(&mut spans, &mut buffer);
    for (number, span) in (0..).zip(&spans) {
        assert_eq!(span.done, number % 7 != 6, "{number}");
        if span.done {
            let at = span.at as usize;
            assert_eq!(buffer[at..at + 8], expected(address(number) - start, 8), "{number}");
        }
    }
    // One for each bad one, and one more for each 256.
    assert!(memory.calls() - before <= 103, "{}", memory.calls() - before);

    let mut good: Vec<Span> = (0..200).map(|number| Span::new(start + number, number as usize, 1)).collect();
    let before = memory.calls();
    memory.read_batch(&mut good, &mut buffer);
    assert!(good.iter().all(|span| span.done));
    assert_eq!(memory.calls() - before, 1);
}

#[test]
fn spans_outside_the_buffer_and_empty_ones_do_no_harm() {
    let target = Target::start(&["pages"]);
    let (memory, start) = (ProcessMemory::new(target.pid()), target.get(counter::ADDRESS));
    let mut spans = [
        Span::new(start, 60, 8),
        Span::new(start, 0, 8),
        Span::new(start, u32::MAX as usize, u32::MAX as usize),
        Span::new(start, 8, 0),
        Span::new(0, 8, 0),
        Span::new(start, 56, 8),
    ];
    let mut buffer = [0; 64];
    memory.read_batch(&mut spans, &mut buffer);
    assert_eq!(spans.map(|span| span.done), [false, true, false, true, true, true]);
    assert_eq!(buffer[56..], expected(0, 8));
}

#[test]
fn a_process_that_is_gone_has_no_memory() {
    let mut target = Target::start(&["pages"]);
    let (memory, start) = (ProcessMemory::new(target.pid()), target.get(counter::ADDRESS));
    target.stop();
    let mut spans = vec![Span::new(start, 0, 8); 100];
    let before = memory.calls();
    memory.read_batch(&mut spans, &mut [0; 8]);
    assert!(spans.iter().all(|span| !span.done));
    assert_eq!(memory.calls() - before, 1);
    assert!(memory.word(start).is_err());
}

#[test]
fn after_the_deadline_nothing_is_read() {
    let target = Target::start(&["pages"]);
    let (memory, start) = (ProcessMemory::new(target.pid()), target.get(counter::ADDRESS));
    memory.until(flame_sys::clock::monotonic_ns());
    let mut spans = [Span::new(start, 0, 8)];
    memory.read_batch(&mut spans, &mut [0; 8]);
    assert!(!spans[0].done && memory.word(start).is_err());
    assert_eq!(memory.late(), 2);
    memory.until(u64::MAX);
    assert!(memory.word(start).is_ok());
}
