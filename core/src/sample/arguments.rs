//! Arguments of JavaScript functions, where they are simple values: numbers, strings, `true`, `null`...
//!
//! Read in the stop, by types alone: nothing is followed but the map of a value and the parts of a string.
//! A parameter that was assigned to shows its new value; optimized code may have left the old one.

use crate::limits::{ARGUMENT_CHARACTERS, ARGUMENT_FRAMES, ARGUMENTS};
use crate::memory::Memory;
use crate::unwind::StackCopy;
use crate::v8::Heap;
use crate::v8::heap::{is_smi, smi};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::ops::Range;

/// Bytes of all strings of one stop: three at most for a UTF-16 unit.
const TEXT_BYTES: usize = ARGUMENT_FRAMES * ARGUMENTS * ARGUMENT_CHARACTERS as usize * 3;

/// Arguments of functions are no more than V8's `Code::kMaxArguments`; what is above is no number of them.
const MOST: u64 = (1 << 16) - 2;

/// The arguments of one frame, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameArguments {
    /// The frame's number in its stack, from the leaf's 0.
    pub frame: usize,
    /// Each as a program would write it; `…` for what is no simple value, or was not read.
    pub values: Vec<String>,
}

/// Where a frame has its arguments.
#[derive(Clone, Copy, Debug)]
struct Place {
    frame: usize,
    fp: u64,
    count: u64,
}

#[derive(Clone, Debug)]
enum Value {
    Number(f64),
    /// A string, in the arena, and whether it goes on.
    Text(Range<usize>, bool),
    /// The name of a value that has one.
    Named(Range<usize>),
    Function,
    Other,
}

/// The arguments of the last stop. Nothing in it grows beyond its start.
#[derive(Clone, Debug)]
pub struct Arguments {
    places: Vec<Place>,
    /// With the number of its frame.
    values: Vec<(usize, Value)>,
    text: String,
}

impl Arguments {
    /// None yet.
    pub fn with_room() -> Self {
        Arguments {
            places: Vec::with_capacity(ARGUMENT_FRAMES),
            values: Vec::with_capacity(ARGUMENT_FRAMES * (ARGUMENTS + 1)),
            text: String::with_capacity(TEXT_BYTES),
        }
    }

    /// A stop begins.
    pub fn begin(&mut self) {
        self.places.clear();
        self.values.clear();
        self.text.clear();
    }

    /// A frame was met; `count` stands where it has the number of its arguments.
    pub fn met(&mut self, frame: usize, fp: u64, count: u64) {
        if self.places.len() < ARGUMENT_FRAMES {
            self.places.push(Place { frame, fp, count });
        }
    }

    /// Reads the arguments of the frames that were met, while the thread stands.
    pub fn read<M: Memory>(&mut self, heap: &Heap<'_, M>, stack: &StackCopy<'_>) {
        let Some(slots) = heap.layout.frames.arguments else { return };
        for place in &self.places {
            let count = place.count.checked_sub(slots.counts_receiver.into());
            let Some(count) = count.filter(|count| *count <= MOST) else { continue };
            for argument in 0..count.min(ARGUMENTS as u64) {
                let slot = stack.word(place.fp.wrapping_add(24 + 8 * argument));
                let value = slot.and_then(|slot| value(heap, slot, &mut self.text));
                self.values.push((place.frame, value.unwrap_or(Value::Other)));
            }
            if count > ARGUMENTS as u64 {
                self.values.push((place.frame, Value::Other));
            }
        }
    }

    /// All of them, in words.
    pub fn words(&self) -> Vec<FrameArguments> {
        let of_frames = self.values.chunk_by(|a, b| a.0 == b.0);
        let words = of_frames.filter_map(|values| {
            let frame = values.first()?.0;
            Some(FrameArguments { frame, values: values.iter().map(|(_, value)| self.word(value)).collect() })
        });
        words.collect()
    }

    fn word(&self, value: &Value) -> String {
        let text = |range: &Range<usize>| self.text.get(range.clone()).unwrap_or_default();
        match value {
            Value::Number(number) if number.is_infinite() => {
                (if *number > 0.0 { "Infinity" } else { "-Infinity" }).into()
            }
            Value::Number(number) if number.abs() >= 1e21 => format!("{number:e}"),
            Value::Number(number) => number.to_string(),
            Value::Text(range, false) => format!("{:?}", text(range)),
            Value::Text(range, true) => format!("{:?}…", text(range)),
            Value::Named(range) => text(range).into(),
            Value::Function => "function".into(),
            Value::Other => "…".into(),
        }
    }
}

fn value<M: Memory>(heap: &Heap<'_, M>, tagged: u64, text: &mut String) -> Option<Value> {
    if is_smi(tagged) {
        return smi(tagged).map(|number| Value::Number(number.into()));
    }
    let types = &heap.layout.types;
    let (address, kind) = heap.object(tagged).ok()?;
    let start = text.len();
    if types.is_string(kind) {
        let length = heap.string_length(tagged).ok()?;
        heap.string(tagged, ARGUMENT_CHARACTERS, text).ok()?;
        return Some(Value::Text(start..text.len(), length > ARGUMENT_CHARACTERS));
    }
    if types.heap_number == Some(kind) {
        return heap.field(address, 8).ok().map(|bits| Value::Number(f64::from_bits(bits)));
    }
    if types.oddball == Some(kind) {
        // A double for itself, and then its name.
        heap.string(heap.field(address, 16).ok()?, ARGUMENT_CHARACTERS, text).ok()?;
        return Some(Value::Named(start..text.len()));
    }
    types.is_function(kind).then_some(Value::Function)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v8::fixture::{FakeHeap, layout, smi_word};
    use proptest::prelude::*;

    const FP: u64 = 0x7fff_0000;

    fn read(heap: &FakeHeap, count: u64, values: &[u64]) -> Vec<FrameArguments> {
        let mut words = alloc::vec![0u64; 3];
        words.extend(values);
        let bytes: Vec<u8> = words.into_iter().flat_map(u64::to_le_bytes).collect();
        let mut arguments = Arguments::with_room();
        arguments.begin();
        arguments.met(2, FP, count);
        arguments.read(&heap.heap(), &StackCopy { base: FP, bytes: &bytes });
        arguments.words()
    }

    #[test]
    fn simple_values_are_written_as_a_program_would() {
        let mut heap = FakeHeap::new(layout());
        (heap.layout.types.heap_number, heap.layout.types.oddball) = (Some(130), Some(131));
        let name = heap.string("undefined");
        let values = [
            smi_word(-3),
            heap.object(130, &[2.5f64.to_bits()]),
            heap.object(130, &[f64::NEG_INFINITY.to_bits()]),
            heap.string("a\"b\u{1b}"),
            heap.string(&"x".repeat(41)),
            heap.object(131, &[0, name]),
            heap.object(175, &[]),
        ];
        let long = format!("\"{}\"…", "x".repeat(40));
        let words = ["-3", "2.5", "-Infinity", "\"a\\\"b\\u{1b}\"", &long, "undefined", "…"];
        let read = read(&heap, 8, &values);
        assert_eq!(read, [FrameArguments { frame: 2, values: words.map(String::from).into() }]);
    }

    #[test]
    fn a_number_of_arguments_that_cannot_be_is_not_believed() {
        let heap = FakeHeap::new(layout());
        assert_eq!(read(&heap, 0, &[]), []);
        assert_eq!(read(&heap, 1, &[smi_word(1)]), []);
        assert_eq!(read(&heap, 1 << 40, &[smi_word(1)]), []);
        let many = read(&heap, 21, &[smi_word(7); 20]);
        assert_eq!(many[0].values, [["7"; ARGUMENTS].as_slice(), &["…"]].concat());
    }

    proptest! {
        #[test]
        fn any_memory_gives_an_answer(
            count: u64, values in proptest::collection::vec(any::<u64>(), 0..10), bytes in proptest::collection::vec(any::<u8>(), 0..512)
        ) {
            let mut heap = FakeHeap::new(layout());
            heap.memory.put(0x2_0000, &bytes);
            let values: Vec<u64> = values.iter().map(|value| if value % 2 == 0 { *value } else { 0x2_0001 + value % 512 / 8 * 8 }).collect();
            let _ = (read(&heap, count, &values), read(&heap, 9, &values));
        }
    }
}
