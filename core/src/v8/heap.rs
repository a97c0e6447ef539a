//! Typed reads of V8's heap: nothing is believed before its map says what it is.

use super::layout::Layout;
use crate::memory::{Fault, Memory};
use core::fmt;

/// Why something in V8's heap could not be made sense of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decode {
    /// Its memory could not be read.
    Fault(Fault),
    /// A value is not a tagged pointer where there must be one.
    NotAnObject(u64),
    /// An object is of another type than its place asks for.
    WrongType {
        /// The object's address, untagged.
        address: u64,
        /// The instance type it has.
        found: u16,
    },
    /// A length, depth or number is beyond its bound.
    Bound,
}

impl From<Fault> for Decode {
    fn from(fault: Fault) -> Self {
        Decode::Fault(fault)
    }
}

impl fmt::Display for Decode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Decode::Fault(fault) => fault.fmt(f),
            Decode::NotAnObject(value) => write!(f, "{value:#x} is no heap object"),
            Decode::WrongType { address, found } => {
                write!(f, "the object at {address:#x} has the unexpected type {found}")
            }
            Decode::Bound => f.write_str("a value in the heap is out of bounds"),
        }
    }
}

impl core::error::Error for Decode {}

/// A strong pointer's tag; a weak one has bit 1 too.
const TAG: u64 = 1;

/// The address of the object that a tagged pointer means, weak or not.
pub fn untag(tagged: u64) -> Option<u64> {
    (tagged & TAG == TAG && tagged > 0xffff).then_some(tagged & !3)
}

/// Whether a map word is the address to which the collector has moved the object.
pub const fn is_forwarding(map: u64) -> bool {
    map & 3 == 0 && map > 0xffff
}

/// Whether a value is a Smi: a signed 32-bit value in the upper half of a word.
pub const fn is_smi(value: u64) -> bool {
    value & TAG == 0
}

/// The value of a 32-bit Smi.
pub const fn smi(value: u64) -> Option<i32> {
    if value & 0xffff_ffff == 0 { Some((value >> 32) as i32) } else { None }
}

/// A little-endian word of an object's bytes; 0 beyond their end.
pub fn word(bytes: &[u8], offset: u16) -> u64 {
    let at = usize::from(offset);
    bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes)
}

/// A little-endian 32-bit value of an object's bytes; 0 beyond their end.
pub fn half(bytes: &[u8], offset: u16) -> u32 {
    let at = usize::from(offset);
    bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes)
}

/// V8's heap in a process.
pub struct Heap<'a, M> {
    /// The process' memory.
    pub memory: &'a M,
    /// Its V8's layout.
    pub layout: &'a Layout,
}

// Not derived: the memory behind the reference need not be `Copy`.
impl<M> Clone for Heap<'_, M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M> Copy for Heap<'_, M> {}

impl<M: Memory> Heap<'_, M> {
    /// The instance type that a map gives, by the map's tagged pointer.
    pub fn type_of_map(&self, map: u64) -> Result<u16, Decode> {
        const INSTANCE_TYPE: u64 = 12;
        let address = untag(map).ok_or(Decode::NotAnObject(map))?;
        let mut bytes = [0; 2];
        let width = usize::from(self.layout.types.width).clamp(1, 2);
        self.memory.read(address.wrapping_add(INSTANCE_TYPE), &mut bytes[..width])?;
        Ok(u16::from_le_bytes(bytes))
    }

    /// The untagged address and instance type of the object that a tagged pointer means. While the
    /// collector runs, an object that it has moved has its new address where its map was.
    pub fn object(&self, tagged: u64) -> Result<(u64, u16), Decode> {
        let mut address = untag(tagged).ok_or(Decode::NotAnObject(tagged))?;
        let mut map = self.memory.word(address)?;
        if is_forwarding(map) {
            address = map;
            map = self.memory.word(address)?;
        }
        Ok((address, self.type_of_map(map)?))
    }

    /// The untagged address of an object that must be of one type.
    pub fn expect(&self, tagged: u64, kind: u16) -> Result<u64, Decode> {
        match self.object(tagged)? {
            (address, found) if found == kind => Ok(address),
            (address, found) => Err(Decode::WrongType { address, found }),
        }
    }

    /// Whether a map is one of the map's own kind: its map is the meta map.
    pub fn is_map(&self, map: u64) -> bool {
        let meta = untag(map).and_then(|address| self.memory.word(address).ok());
        meta.is_some_and(|meta| self.type_of_map(meta) == Ok(self.layout.types.map))
    }

    /// A word of the object at an untagged address.
    pub fn field(&self, address: u64, offset: u16) -> Result<u64, Decode> {
        Ok(self.memory.word(address.wrapping_add(offset.into()))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_that_the_collector_moved_is_found_where_it_is() {
        let mut heap = crate::v8::fixture::FakeHeap::new(crate::v8::fixture::layout());
        let (old, new) = (heap.string("moved"), heap.string("moved"));
        heap.memory.put_word(old & !1, new & !1);
        assert_eq!(heap.heap().object(old), heap.heap().object(new));
        let mut text = alloc::string::String::new();
        assert_eq!(heap.heap().string(old, 10, &mut text), Ok(()));
        assert_eq!(text, "moved");
        // An object that leads to itself is none.
        heap.memory.put_word(new & !1, new & !1);
        assert!(heap.heap().object(new).is_err());
    }

    #[test]
    fn tags_and_smis_are_told_apart() {
        assert_eq!(untag(0x12_3451), Some(0x12_3450));
        assert_eq!(untag(0x12_3453), Some(0x12_3450));
        assert_eq!(untag(0x12_3450), None);
        assert_eq!(untag(1), None);
        assert_eq!(smi((-3i64 << 32) as u64), Some(-3));
        assert_eq!(smi(1), None);
    }
}
