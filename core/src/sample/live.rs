//! Which instruction an interpreted function on the top runs.
//!
//! Its frame's slot is written before calls and at loops' ends alone, so it tells an earlier
//! instruction. While a handler runs, the offset is in some register, or in a slot of the handler's own
//! frame. A number counts as one if the instruction there is run by the very handler that the pc lies
//! in.

use crate::arch::{Arch, Registers};
use crate::limits::LIVE_BYTECODES;
use crate::memory::Memory;
use crate::unwind::StackCopy;
use crate::v8::Heap;
use crate::v8::bytecode::BytecodeSizes;
use crate::v8::dispatch::{Dispatch, DispatchTables};
use crate::v8::heap::{smi, untag, word};
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;
use smallvec::SmallVec;

/// The moment of a stop.
#[derive(Clone, Copy)]
pub struct Moment<'a> {
    /// Processor.
    pub arch: Arch,
    /// Registers.
    pub registers: &'a Registers,
    /// The stack.
    pub stack: StackCopy<'a>,
}

/// A handler of the interpreter that runs on an interpreted frame.
#[derive(Clone, Copy, Debug)]
pub struct Handler {
    /// The pc in it.
    pub pc: u64,
    /// Where it starts, if it is a code object.
    pub start: Option<u64>,
    /// Its own frame, if it has pushed one.
    pub frame: Option<u64>,
    /// It was running itself: the registers are its own, unless a frame of a callee lies above.
    pub is_top: bool,
}

/// Slots of a handler's own frame that are looked at: from -16 downwards.
const FRAME_SLOTS: u64 = 12;

/// Bytes of a bytecode array that are read at first: most have less.
const FIRST_BYTES: usize = 1024;

/// Numbers that may be the offset: general registers, and slots of a handler's frame.
type Candidates = SmallVec<[u32; 64]>;

/// Reads the live instruction.
pub struct Live {
    tables: DispatchTables,
    bytes: Vec<u8>,
}

impl Default for Live {
    fn default() -> Self {
        Live { tables: DispatchTables::default(), bytes: vec![0; LIVE_BYTECODES] }
    }
}

impl Live {
    /// The offset, in a function's bytecode, of the instruction that a handler runs. `bytecode_array` is
    /// tagged.
    pub fn offset<M: Memory>(
        &mut self,
        heap: &Heap<'_, M>,
        sizes: Option<BytecodeSizes<'_>>,
        moment: &Moment<'_>,
        handler: &Handler,
        bytecode_array: u64,
    ) -> Option<u32> {
        let registers = &moment.registers.general;
        let table = *registers.get(moment.arch.dispatch_register())?;
        let data = heap.layout.positions.bytecode_data;
        let address = untag(bytecode_array)?;
        let code = Self::code(&mut self.bytes, heap.memory, address, data.into())?;
        let (dispatch, start) = self.tables.find(heap.memory, table, handler.pc, handler.start)?;
        let code = self.bytes.get(code)?;
        let mut candidates = Candidates::new();
        let mut add = |value: u64| {
            // Counted from the array's tagged pointer.
            let offset = value.wrapping_sub(u64::from(data) - 1);
            if offset <= code.len() as u64 {
                candidates.push(offset as u32);
            }
        };
        if handler.is_top {
            add(registers[moment.arch.bytecode_offset_register()]);
            registers.iter().copied().for_each(&mut add);
        }
        for at in 2..2 + FRAME_SLOTS {
            let slot = handler.frame.map(|frame| frame.wrapping_sub(at * 8));
            if let Some(value) = slot.and_then(|slot| moment.stack.word(slot)) {
                add(value);
            }
        }
        choose(dispatch, start, sizes, code, &candidates)
    }

    /// Where in the buffer a function's instructions are, read from its array at an untagged address.
    fn code<M: Memory>(bytes: &mut [u8], memory: &M, address: u64, data: usize) -> Option<Range<usize>> {
        let first = bytes.len().min(FIRST_BYTES);
        let got = memory.read_prefix(address, &mut bytes[..first]);
        let length = smi(word(&bytes[..got], 8)).and_then(|length| usize::try_from(length).ok())?;
        let end = data.checked_add(length)?.min(bytes.len());
        if got == first && end > got {
            let more = memory.read_prefix(address.wrapping_add(got as u64), &mut bytes[got..end]);
            return Some(data..got + more);
        }
        (data < got).then_some(data..end.min(got))
    }
}

/// Among offsets, in order of trust, the one whose instruction the handler runs. One that the handler
/// has already moved on to the next instruction tells by what stands before it.
fn choose(
    dispatch: &Dispatch,
    handler: u64,
    sizes: Option<BytecodeSizes<'_>>,
    code: &[u8],
    candidates: &[u32],
) -> Option<u32> {
    let Some(sizes) = sizes else {
        let runs = |at: &u32| code.get(*at as usize).is_some_and(|opcode| dispatch.runs(handler, *opcode, 0));
        return candidates.iter().copied().find(runs);
    };
    let rank = |offset: u32| candidates.iter().position(|candidate| *candidate == offset);
    let mut best: Option<(usize, u32)> = None;
    let (mut only, mut count) = (None, 0u32);
    for one in sizes.instructions(code) {
        let is_run = dispatch.runs(handler, one.opcode, one.scale);
        let is_widened = one.scale > 0
            && code.get(one.start as usize).is_some_and(|prefix| dispatch.runs(handler, *prefix, 0));
        if !is_run && !is_widened {
            continue;
        }
        (only, count) = (Some(one.start), count + 1);
        let exact = if is_run { rank(one.opcode_at) } else { rank(one.start) };
        let advanced = rank(one.end).map(|rank| rank + candidates.len());
        if let Some(rank) = exact.or(advanced)
            && best.is_none_or(|best| rank < best.0)
        {
            best = Some((rank, one.start));
        }
    }
    best.map(|best| best.1).or(only.filter(|_| count == 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::x86_64;
    use crate::memory::Recorded;
    use crate::v8::fixture::{FakeHeap, layout};
    use proptest::prelude::*;

    const TABLE: u64 = 0x9000;
    const STACK: u64 = 0x7fff_0000;
    /// No operands but for opcode 5, which has one.
    const SIZES: [u8; 36] = {
        let mut sizes = [1; 36];
        (sizes[5], sizes[17], sizes[29]) = (2, 3, 5);
        sizes
    };
    /// Instructions at 0, 2, 3, 5, 8 (widened, so that its opcode is at 9), 12.
    const CODE: [u8; 13] = [5, 1, 4, 5, 2, 5, 9, 6, 0, 5, 9, 9, 6];

    /// The handler of an opcode, at an operand scale.
    fn handler(opcode: u64, scale: u64) -> u64 {
        0x10_0000 + 0x1000 * scale + 0x40 * opcode
    }

    struct Case {
        heap: FakeHeap,
        array: u64,
        registers: Registers,
        live: Live,
    }

    impl Case {
        fn new() -> Self {
            let mut heap = FakeHeap::new(layout());
            for scale in 0..3 {
                for opcode in 0..64 {
                    heap.memory.put_word(TABLE + (scale * 256 + opcode) * 8, handler(opcode, scale));
                }
                heap.memory.put(TABLE + (scale * 256 + 64) * 8, &[0; 192 * 8]);
            }
            let mut bytes = [0; 1024];
            bytes[4] = CODE.len() as u8;
            let data = usize::from(heap.layout.positions.bytecode_data) - 8;
            bytes[data..data + CODE.len()].copy_from_slice(&CODE);
            let words: Vec<u64> = (0..128).map(|at| word(&bytes, at * 8)).collect();
            let array = heap.object(heap.layout.types.bytecode_array.unwrap(), &words);
            let mut registers = Registers::default();
            registers.general[x86_64::R15] = TABLE;
            Case { heap, array, registers, live: Live::default() }
        }

        /// An offset as V8 counts it.
        fn counted(&self, offset: u64) -> u64 {
            offset + u64::from(self.heap.layout.positions.bytecode_data) - 1
        }

        fn at(&mut self, pc: u64, frame: Option<(u64, u64)>) -> Option<u32> {
            let sizes = BytecodeSizes::new(&SIZES, self.heap.layout.bytecode);
            let mut bytes = [0; 0x100];
            if let Some((slot, value)) = frame {
                bytes[0x80 - slot as usize..][..8].copy_from_slice(&value.to_le_bytes());
            }
            let moment = Moment {
                arch: Arch::X86_64,
                registers: &self.registers,
                stack: StackCopy { base: STACK, bytes: &bytes },
            };
            let handler =
                Handler { pc, start: None, frame: frame.map(|_| STACK + 0x80), is_top: frame.is_none() };
            self.live.offset(&self.heap.heap(), Some(sizes), &moment, &handler, self.array)
        }
    }

    #[test]
    fn a_register_tells_which_of_several_alike_runs() {
        let mut case = Case::new();
        for at in [0, 3, 5] {
            case.registers.general[x86_64::RBX] = case.counted(at);
            assert_eq!(case.at(handler(5, 0) + 7, None), Some(at as u32));
        }
        case.registers.general[x86_64::RBX] = case.counted(9);
        assert_eq!(case.at(handler(5, 1), None), Some(8), "the prefix is part of it");
    }

    #[test]
    fn a_handler_that_has_moved_on_is_told_by_what_it_left() {
        let mut case = Case::new();
        case.registers.general[x86_64::R9] = case.counted(7);
        assert_eq!(case.at(handler(5, 0), None), Some(5));
    }

    #[test]
    fn an_instruction_that_stands_once_needs_no_register() {
        let mut case = Case::new();
        assert_eq!(case.at(handler(4, 0), None), Some(2));
        assert_eq!(case.at(handler(5, 0), None), None);
        assert_eq!(case.at(handler(6, 0), None), None);
    }

    #[test]
    fn a_handler_with_a_frame_of_its_own_keeps_the_offset_there() {
        let mut case = Case::new();
        case.registers.general[x86_64::RBX] = case.counted(3);
        let slot = case.counted(5);
        assert_eq!(case.at(handler(5, 0), Some((24, slot))), Some(5));
    }

    #[test]
    fn without_sizes_the_opcode_alone_tells() {
        let mut case = Case::new();
        case.registers.general[x86_64::RDX] = case.counted(3);
        let moment = Moment { arch: Arch::X86_64, registers: &case.registers, stack: StackCopy::default() };
        let handler = Handler { pc: handler(5, 0), start: None, frame: None, is_top: true };
        let offset = case.live.offset(&case.heap.heap(), None, &moment, &handler, case.array);
        assert_eq!(offset, Some(3));
    }

    proptest! {
        #[test]
        fn any_memory_gives_an_answer(
            bytes in proptest::collection::vec(any::<u8>(), 0..4096),
            general in any::<[u64; 32]>(),
            pc: u64,
            array: u64,
        ) {
            let layout = layout();
            let mut memory = Recorded::new();
            memory.put(TABLE, &bytes);
            let heap = Heap { memory: &memory, layout: &layout };
            let mut registers = Registers { general, ..Registers::default() };
            registers.general[x86_64::R15] = TABLE;
            let sizes = BytecodeSizes::new(&bytes, layout.bytecode);
            let moment =
                Moment { arch: Arch::X86_64, registers: &registers, stack: StackCopy { base: pc, bytes: &bytes } };
            let handler = Handler { pc, start: None, frame: Some(pc), is_top: true };
            for array in [array, TABLE | 1] {
                let _ = Live::default().offset(&heap, Some(sizes), &moment, &handler, array);
            }
        }
    }
}
