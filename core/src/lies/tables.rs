//! V8's own tables, full of lies: source positions, bytecode, safepoints, frame translations, code.

use super::Choices;
use crate::arch::Arch;
use crate::arch::x86_64::edges::edge;
use crate::memory::Recorded;
use crate::unwind::fallback::{follows_call, is_signal_return};
use crate::v8::bytecode::BytecodeSizes;
use crate::v8::code::Code;
use crate::v8::dispatch::DispatchTables;
use crate::v8::fixture::layout_of;
use crate::v8::heap::Heap;
use crate::v8::layout::CodeKind;
use crate::v8::position::{Entries, SourcePosition, at_or_before};
use crate::v8::translation::frames;
use alloc::vec;

/// Reads the bytes as each of these tables.
pub fn tables(bytes: &[u8]) {
    const TABLE: u64 = 0x5000;

    let mut choices = Choices(bytes);
    let (major, minor) = [(5, 1), (9, 4), (11, 3), (12, 4), (14, 6)][choices.below(5)];
    let layout = layout_of(major, minor);
    let (offset, number, word) = (choices.half(), choices.number(), choices.number());
    let split = choices.half() as usize;
    let bytes = choices.rest();
    let (left, right) = bytes.split_at(split % (bytes.len() + 1));

    let entries = || Entries::new(bytes, &layout.positions);
    assert!(entries().count() <= bytes.len());
    let _ = at_or_before(entries(), number as i64);
    let _ = SourcePosition::from_raw(number, &layout.positions);

    let sizes = BytecodeSizes::new(left, layout.bytecode);
    assert!(sizes.instructions(right).count() <= right.len());
    let _ = (sizes.of_baseline(right, right, offset), sizes.instruction(right, offset));

    if let Some(translation) = &layout.translation {
        let mut told = 0;
        let _ = frames(bytes, split % (bytes.len() + 1), &translation.ops, |_| told += 1);
        assert!(told <= 4096, "{told} frames");
    }
    let mut memory = Recorded::new();
    memory.put(TABLE, bytes);
    let heap = Heap { memory: &memory, layout: &layout };
    let code = Code {
        address: TABLE,
        start: if offset.is_multiple_of(2) { TABLE } else { word },
        size: if offset.is_multiple_of(3) { number as u32 } else { 0 },
        kind: CodeKind::Other,
        deopt: number,
        positions: TABLE | 1,
        flags: 0,
    };
    let mut buffer = vec![0; 512];
    if let Ok(points) = heap.safepoints(&code, &mut buffer) {
        let _ = points.at(offset);
    }
    let mut known = DispatchTables::default();
    let _ = known.find(&memory, TABLE, number, None);
    let _ = known.find(&memory, word, number, Some(word));

    let at = offset as usize % 600;
    let _ = (edge(left, right, at, at), edge(right, right, 0, at));
    for arch in [Arch::X86_64, Arch::Aarch64] {
        let _ = (follows_call(bytes, arch), is_signal_return(bytes, arch));
        let _ = arch.frame_sizes(bytes, number).as_slice().len();
    }
}
