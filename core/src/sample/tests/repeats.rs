//! Frames of compiled code that calls itself.

use super::*;

/// Puts frames of compiled code outside of those of [`target`], innermost first, all called from one place: each with
/// one of two functions and one of two contexts.
fn put_calls(heap: &mut FakeHeap, functions: [u64; 2], frames: &[(bool, bool)]) {
    const CALLED_FROM: u64 = 0x70_0101;
    let contexts = [heap.string(""), heap.string("")];
    let mut fp = STACK + 0x280;
    let last = frames.len();
    for (at, (function, context)) in frames.iter().enumerate() {
        heap.memory.put_word(fp + 8, CALLED_FROM);
        heap.memory.put_word(fp, STACK + 0x400 + 0x40 * at as u64);
        fp = STACK + 0x400 + 0x40 * at as u64;
        heap.memory.put_word(fp - 8, contexts[usize::from(*context)]);
        heap.memory.put_word(fp - 16, functions[usize::from(*function)]);
        heap.memory.put_word(fp + 8, CODE + BLOB.start + 0x100);
    }
    let entry = STACK + 0x400 + 0x40 * last as u64;
    heap.memory.put_word(fp, entry);
    heap.memory.put_word(entry - 8, 1 << 1);
    heap.memory.put(entry, &[0; 16]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn each_frame_of_what_calls_itself_is_found(
        stops in proptest::collection::vec(
            proptest::collection::vec((proptest::bool::weighted(0.1), proptest::bool::weighted(0.1)), 0..80),
            1..6,
        ),
    ) {
        let (mut heap, registers) = target();
        let [here, there] = ["here", "there"].map(|name| {
            let (name, empty) = (heap.string(name), heap.string(""));
            let scope = heap.scope_info(&[], name, empty, 71, 75);
            let shared = heap.shared(scope, 0, 1);
            heap.function(shared)
        });
        let file = executable();
        let mut sampler = sampler(&file);
        for (at, frames) in stops.iter().enumerate() {
            put_calls(&mut heap, [here, there], frames);
            sampler.held(0, &registers, &heap.memory);
            sampler.released(0, at as u64 * APART_US, &heap.memory);
            let id = |frame: &RawFrame| match frame {
                RawFrame::JavaScript { function, .. } => {
                    let function = sampler.functions.function(*function).unwrap();
                    sampler.functions.strings.get(function.name)
                }
                _ => "",
            };
            let names: Vec<&str> = sampler.last().iter().map(id).filter(|name| !name.is_empty()).collect();
            let expected = frames.iter().map(|frame| if frame.0 { "there" } else { "here" });
            let expected: Vec<&str> = ["leaf", "middle", "root"].into_iter().chain(expected).collect();
            prop_assert_eq!(names, expected);
        }
    }
}
