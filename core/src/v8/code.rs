//! Code objects: what machine code in V8's heap belongs to.

use super::heap::{Decode, Heap, half, smi, untag, word};
use super::layout::{CodeKind, Placement};
use crate::limits::{CODE_BYTES, CODE_SCAN_BYTES};
use crate::memory::{Fault, Memory};

/// A code object, as it stands in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// Address of its Code object, untagged.
    pub address: u64,
    /// Address of the first instruction.
    pub start: u64,
    /// Size of the instructions in bytes.
    pub size: u32,
    /// What it is.
    pub kind: CodeKind,
    /// Deoptimization data, or a baseline code's BytecodeArray; tagged.
    pub deopt: u64,
    /// Source positions, or a baseline code's bytecode offset table; tagged. 0 where there is none.
    pub positions: u64,
    /// Its flags.
    pub flags: u32,
}

impl Code {
    /// Whether an address lies in its instructions. A return address may stand at their very end.
    pub fn contains(&self, pc: u64) -> bool {
        (self.start..=self.start + u64::from(self.size)).contains(&pc)
    }
}

/// Largest Code header that is read.
pub const MAX_HEADER: usize = 128;

impl<M: Memory> Heap<'_, M> {
    /// Reads the code whose instructions' header starts at an untagged address (that of its
    /// InstructionStream, else of Code itself), whose map the caller has checked.
    pub fn code_at(&self, holder: u64) -> Result<Code, Decode> {
        let layout = &self.layout.code;
        let address = match layout.placement {
            Placement::Inline(_) => holder,
            Placement::Stream { .. } => {
                let code = self.field(holder, super::layout::STREAM_CODE)?;
                self.expect(code, self.layout.types.code)?
            }
        };
        let mut bytes = [0; MAX_HEADER];
        let bytes = bytes.get_mut(..usize::from(layout.header)).ok_or(Decode::Bound)?;
        self.memory.read(address, bytes)?;
        self.code_from(holder, address, bytes)
    }

    /// The same from the bytes of the Code object at an untagged address.
    pub fn code_from(&self, holder: u64, address: u64, bytes: &[u8]) -> Result<Code, Decode> {
        let layout = &self.layout.code;
        let start = match layout.placement {
            Placement::Inline(header) => holder.wrapping_add(header.into()),
            Placement::Stream { header, start } => {
                let start = word(bytes, start);
                if start != holder.wrapping_add(header.into()) {
                    return Err(Decode::Bound);
                }
                start
            }
        };
        let size = half(bytes, layout.size);
        if size > CODE_BYTES || start.checked_add(size.into()).is_none() {
            return Err(Decode::Bound);
        }
        let flags = half(bytes, layout.flags);
        Ok(Code {
            address,
            start,
            size,
            kind: layout.kind(flags),
            deopt: word(bytes, layout.deopt),
            positions: layout.positions.or(layout.relocation).map_or(0, |offset| word(bytes, offset)),
            flags,
        })
    }

    /// The code object whose instructions contain `pc`: scans back for the map word of its header.
    ///
    /// `known` tells of a map word whether it is the one of code (`Some(true)`), is not, or has not
    /// been seen yet; `learn` is told what an unseen one turned out to be. `lowest` bounds the scan.
    pub fn code_of(&self, pc: u64, lowest: u64, maps: &mut impl CodeMaps) -> Result<Code, Decode> {
        const CHUNK: usize = 4096;
        let fault = Decode::Fault(Fault { address: pc });
        let lowest = lowest.max(pc.saturating_sub(CODE_SCAN_BYTES as u64)) & !7;
        let mut chunk = [0; CHUNK];
        let mut end = pc & !7;
        while end > lowest {
            let from = lowest.max((end - 1) & !(CHUNK as u64 - 1));
            let bytes = chunk.get_mut(..(end - from) as usize).ok_or(Decode::Bound)?;
            self.memory.read(from, bytes)?;
            for at in (0..bytes.len() / 8).rev() {
                let map = word(bytes, (at * 8) as u16);
                if map & 3 != 1 || !maps.is_code(self, map) {
                    continue;
                }
                if let Ok(code) = self.code_at(from + at as u64 * 8)
                    && code.contains(pc)
                {
                    return Ok(code);
                }
            }
            end = from;
        }
        Err(fault)
    }

    /// The SharedFunctionInfo, tagged, that optimized code was compiled for, from its
    /// deoptimization data; its type is checked.
    pub fn shared_of_code(&self, code: &Code) -> Result<u64, Decode> {
        let index = self.layout.deopt.shared.ok_or(Decode::Bound)?;
        let mut shared = self.element(code.deopt, index.into())?;
        if self.layout.deopt.shared_is_wrapped {
            let wrapper = untag(shared).ok_or(Decode::NotAnObject(shared))?;
            shared = self.field(wrapper, 8)?;
        }
        self.expect(shared, self.layout.types.shared)?;
        Ok(shared)
    }

    /// Address of the first element and number of elements of an array-like object (FixedArray and its
    /// kin): map, length as a Smi, elements.
    pub fn array(&self, array: u64) -> Result<(u64, u32), Decode> {
        let address = untag(array).ok_or(Decode::NotAnObject(array))?;
        let length = smi(self.field(address, 8)?).and_then(|length| u32::try_from(length).ok());
        Ok((address.wrapping_add(16), length.ok_or(Decode::Bound)?))
    }

    /// An element of such an object.
    pub fn element(&self, array: u64, index: u32) -> Result<u64, Decode> {
        let (from, length) = self.array(array)?;
        if index >= length {
            return Err(Decode::Bound);
        }
        Ok(self.memory.word(from.wrapping_add(u64::from(index) * 8))?)
    }

    /// Address and length of a ByteArray's bytes (or of its trusted kin's).
    pub fn byte_array(&self, array: u64, limit: usize) -> Result<(u64, usize), Decode> {
        let address = untag(array).ok_or(Decode::NotAnObject(array))?;
        let length = smi(self.field(address, 8)?).and_then(|length| usize::try_from(length).ok());
        let length = length.filter(|length| *length <= limit).ok_or(Decode::Bound)?;
        Ok((address.wrapping_add(16), length))
    }
}

/// Which map words mean code: V8 has one such map in an isolate, and it never moves.
pub trait CodeMaps {
    /// Whether `map` is the map of code objects.
    fn is_code<M: Memory>(&mut self, heap: &Heap<'_, M>, map: u64) -> bool;
}

/// Looks at every candidate's map: slow, for the first look-up and for tests.
pub struct EveryMap;

impl CodeMaps for EveryMap {
    fn is_code<M: Memory>(&mut self, heap: &Heap<'_, M>, map: u64) -> bool {
        heap.type_of_map(map) == Ok(heap.layout.types.instructions) && heap.is_map(map)
    }
}
