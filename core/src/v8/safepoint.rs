//! Safepoints: what V8 knows of optimized code at the return addresses of its calls.

use super::code::Code;
use super::heap::{Decode, Heap, half};
use super::layout::SafepointForm;
use crate::memory::Memory;

/// A safepoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Safepoint {
    /// Offset in the code of the return address.
    pub pc: u32,
    /// Number of the deoptimization that may happen there.
    pub deopt: Option<u32>,
    /// Offset of the code that V8 has the call return to instead, once the code is to be left.
    pub trampoline: Option<u32>,
}

/// A table of safepoints, in the order of their offsets.
#[derive(Clone, Copy, Debug)]
pub struct Safepoints<'b> {
    entries: &'b [u8],
    config: Config,
}

/// Sizes of an entry's parts in bytes.
#[derive(Clone, Copy, Debug)]
struct Config {
    pc: usize,
    /// 0: there are no deoptimizations.
    deopt: usize,
    has_deopts: bool,
    registers: usize,
}

impl Config {
    fn from_bits(bits: u32) -> Config {
        let size = |shift: u32| (bits >> shift & 7) as usize;
        Config { has_deopts: bits & 1 == 1, registers: size(1), pc: size(4), deopt: size(7) }
    }

    fn entry(self) -> usize {
        let deopt = if self.has_deopts { self.deopt + self.pc } else { 0 };
        // A byte for the number of pushed registers.
        self.pc + deopt + 1 + self.registers
    }
}

impl Safepoints<'_> {
    /// Calls `each` for every safepoint until it gives something.
    pub fn find<T>(&self, mut each: impl FnMut(Safepoint) -> Option<T>) -> Option<T> {
        self.entries.chunks_exact(self.config.entry()).find_map(|entry| each(self.config.read(entry)))
    }

    /// The safepoint of a return address at an offset in the code.
    pub fn at(&self, offset: u32) -> Option<Safepoint> {
        self.find(|point| (point.pc == offset || point.trampoline == Some(offset)).then_some(point))
    }
}

impl Config {
    fn read(self, mut entry: &[u8]) -> Safepoint {
        let mut number = |size: usize| {
            let (bytes, rest) = entry.split_at(size.min(entry.len()));
            entry = rest;
            bytes.iter().rev().fold(0u64, |value, byte| value << 8 | u64::from(*byte))
        };
        let pc = number(self.pc) as u32;
        // Written plus one, so that none is 0.
        let mut optional =
            |size: usize| number(size).checked_sub(1).and_then(|value| u32::try_from(value).ok());
        let (deopt, trampoline) =
            if self.has_deopts { (optional(self.deopt), optional(self.pc)) } else { (None, None) };
        Safepoint { pc, deopt, trampoline }
    }
}

impl<M: Memory> Heap<'_, M> {
    /// The safepoints of optimized code, read into `buffer`, which bounds them.
    pub fn safepoints<'b>(&self, code: &Code, buffer: &'b mut [u8]) -> Result<Safepoints<'b>, Decode> {
        let layout = self.layout.translation.ok_or(Decode::Bound)?;
        let SafepointForm::Maglev { length } = layout.safepoints;
        let mut header = [0; 16];
        let table = code.start.wrapping_add(code.size.into());
        self.memory.read(table, &mut header)?;
        let config = Config::from_bits(half(&header, u16::from(length) + 4));
        let size = usize::try_from(half(&header, length.into()))
            .ok()
            .and_then(|count| count.checked_mul(config.entry()));
        let entries = size.and_then(|size| buffer.get_mut(..size)).ok_or(Decode::Bound)?;
        self.memory.read(table.wrapping_add(16), entries)?;
        Ok(Safepoints { entries, config })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Recorded;
    use crate::v8::fixture::layout_of;
    use crate::v8::layout::CodeKind;
    use alloc::vec;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    const START: u64 = 0x5000;
    const CODE: Code = Code {
        address: 0x4000,
        start: START,
        size: 64,
        kind: CodeKind::Maglev,
        deopt: 0,
        positions: 0,
        flags: 0,
    };

    /// Two bytes for a pc, one for a deoptimization, one for registers.
    const CONFIG: u32 = 1 | 1 << 1 | 2 << 4 | 1 << 7;

    fn entry(pc: u16, deopt: Option<u8>, trampoline: u16) -> Vec<u8> {
        let deopt = deopt.map_or(0, |deopt| deopt + 1);
        let trampoline = if deopt == 0 { 0 } else { trampoline + 1 };
        [&pc.to_le_bytes()[..], &[deopt], &trampoline.to_le_bytes(), &[3, 0x41]].concat()
    }

    fn table(header: [u32; 4]) -> Recorded {
        let mut bytes: Vec<u8> = header.into_iter().flat_map(u32::to_le_bytes).collect();
        bytes.extend(entry(9, None, 0));
        bytes.extend(entry(0x120, Some(0), 0x400));
        bytes.extend(entry(0x130, Some(7), 0x404));
        let mut memory = Recorded::new();
        memory.put(START + 64, &bytes);
        memory
    }

    #[test]
    fn a_call_is_found_by_its_return_address_or_its_trampoline() {
        for (version, header) in [((12, 4), [3, CONFIG, 2, 2]), ((13, 6), [18, 3, CONFIG, 2])] {
            let (memory, layout) = (table(header), layout_of(version.0, version.1));
            let heap = Heap { memory: &memory, layout: &layout };
            let mut buffer = [0; 64];
            let points = heap.safepoints(&CODE, &mut buffer).unwrap();
            let deopt = |offset| points.at(offset).map(|point| point.deopt);
            assert_eq!([deopt(9), deopt(0x120), deopt(0x130)], [Some(None), Some(Some(0)), Some(Some(7))]);
            assert_eq!([deopt(0x404), deopt(0x405)], [Some(Some(7)), None]);
        }
    }

    #[test]
    fn a_table_beyond_its_bound_is_not_read() {
        let (memory, layout) = (table([u32::MAX, CONFIG, 2, 2]), layout_of(12, 4));
        let heap = Heap { memory: &memory, layout: &layout };
        assert_eq!(heap.safepoints(&CODE, &mut [0; 64]).err(), Some(Decode::Bound));
    }

    proptest! {
        #[test]
        fn any_table_ends(bytes in proptest::collection::vec(any::<u8>(), 0..400), config: u32, count in 0u32..60) {
            let layout = layout_of(12, 4);
            let mut memory = Recorded::new();
            memory.put(START + 64, &[&count.to_le_bytes()[..], &config.to_le_bytes(), &bytes].concat());
            let heap = Heap { memory: &memory, layout: &layout };
            let mut buffer = vec![0; 512];
            if let Ok(points) = heap.safepoints(&CODE, &mut buffer) {
                let mut found = 0;
                points.find(|_| { found += 1; None::<()> });
                prop_assert_eq!(found, count);
            }
        }
    }
}
