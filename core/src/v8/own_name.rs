//! The name that a function object has as a property of its own.
//!
//! A function's `name` is an accessor that asks its SharedFunctionInfo, unless it was set: V8 does so for
//! members of classes and objects whose names are computed, programs by `Object.defineProperty`. V8's
//! own stack traces show it (`JSFunction::GetDebugName`).

use super::heap::{Decode, Heap, half, is_smi, smi, untag, word};
use super::layout::PropertyLayout;
use crate::memory::Memory;

/// Where the functions with one map have their own name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameSlot {
    /// Nowhere: the SharedFunctionInfo has it.
    Shared,
    /// In the object, at this offset.
    Field(u16),
    /// In the object's property array, at this offset.
    Property(u16),
    /// In the map: the same for all of them; tagged.
    Constant(u64),
    /// In a dictionary of the object's own.
    Dictionary,
}

/// Offset in an object of its property array or dictionary.
const PROPERTIES: u16 = 8;

/// Offset in an array of its first element.
const ELEMENTS: u16 = 16;

/// Descriptors among which the name is looked for: a function starts with `length` and `name`.
const DESCRIPTORS: u16 = 4;

/// Entries of a dictionary that are looked at. One with a few properties has eight or sixteen.
const ENTRIES: usize = 64;

/// Words of a descriptor, and of a dictionary's entry.
const WORDS: u16 = 3;

impl PropertyLayout {
    /// Where a field is, by the first words of the map of its object.
    fn field(&self, map: &[u8], number: u16) -> Option<NameSlot> {
        let (size, second) = (u16::from(*map.get(8)?), u16::from(*map.get(9)?));
        let start = if self.has_start { second } else { size.checked_sub(second)? };
        let inside = size.checked_sub(start)?;
        Some(match number.checked_sub(inside) {
            None => NameSlot::Field((start + number) * 8),
            Some(outside) => NameSlot::Property(ELEMENTS + outside * 8),
        })
    }
}

impl<M: Memory> Heap<'_, M> {
    /// Where functions with a map have their own name. The map's type was checked.
    pub fn name_slot(&self, map: u64) -> Result<NameSlot, Decode> {
        const NUMBER_SHIFT: u32 = 10;
        const NUMBER_MASK: u32 = 0x3ff;
        let Some(layout) = &self.layout.properties else { return Ok(NameSlot::Shared) };
        let address = untag(map).ok_or(Decode::NotAnObject(map))?;
        let mut bytes = [0; 64];
        self.memory.read(address, &mut bytes)?;
        let bits = half(&bytes, 16);
        if bits >> layout.dictionary_bit & 1 == 1 {
            return Ok(NameSlot::Dictionary);
        }
        let count = ((bits >> NUMBER_SHIFT & NUMBER_MASK) as u16).min(DESCRIPTORS);
        let array = word(&bytes, layout.descriptors);
        let array = untag(array).ok_or(Decode::NotAnObject(array))?;
        let mut descriptors = [0; (DESCRIPTORS * WORDS * 8) as usize];
        let descriptors = &mut descriptors[..usize::from(count * WORDS * 8)];
        self.memory.read(array.wrapping_add(layout.first_descriptor.into()), descriptors)?;
        for at in (0..count).map(|descriptor| descriptor * WORDS * 8) {
            if !self.is_name(word(descriptors, at)) {
                continue;
            }
            let details = smi(word(descriptors, at + 8)).ok_or(Decode::Bound)?.cast_unsigned();
            if details & 1 == 1 {
                return Ok(NameSlot::Shared);
            }
            if details >> layout.constant_bit & 1 == 1 {
                return Ok(NameSlot::Constant(word(descriptors, at + 16)));
            }
            let number = (details >> layout.field_shift & 0x3ff) as u16;
            return layout.field(&bytes, number).ok_or(Decode::Bound);
        }
        Ok(NameSlot::Shared)
    }

    /// The own name of a function at an untagged address, whose map has it at `slot`: a tagged string.
    pub fn own_name(&self, function: u64, slot: NameSlot) -> Result<Option<u64>, Decode> {
        let behind = |offset| {
            let properties = self.field(function, PROPERTIES)?;
            let address = untag(properties).ok_or(Decode::NotAnObject(properties))?;
            self.field(address, offset)
        };
        let name = match slot {
            NameSlot::Shared => return Ok(None),
            NameSlot::Field(offset) => self.field(function, offset)?,
            NameSlot::Property(offset) => behind(offset)?,
            NameSlot::Constant(name) => name,
            NameSlot::Dictionary => match self.name_in_dictionary(function)? {
                Some(name) => name,
                None => return Ok(None),
            },
        };
        Ok((!is_smi(name) && self.is_string(name)).then_some(name))
    }

    fn name_in_dictionary(&self, function: u64) -> Result<Option<u64>, Decode> {
        let layout = self.layout.properties.as_ref().ok_or(Decode::Bound)?;
        let properties = self.field(function, PROPERTIES)?;
        let address = untag(properties).ok_or(Decode::NotAnObject(properties))?;
        let words = smi(self.field(address, 8)?).ok_or(Decode::Bound)?;
        let header = i32::from(layout.first_entry - ELEMENTS) / 8;
        let entries =
            usize::try_from(words.saturating_sub(header) / i32::from(WORDS)).map_err(|_| Decode::Bound)?;
        if entries > ENTRIES {
            return Err(Decode::Bound);
        }
        let mut bytes = [0; ENTRIES * WORDS as usize * 8];
        let bytes = &mut bytes[..entries * usize::from(WORDS) * 8];
        self.memory.read(address.wrapping_add(layout.first_entry.into()), bytes)?;
        for entry in bytes.chunks_exact(usize::from(WORDS) * 8) {
            if self.is_name(word(entry, 0)) {
                let is_accessor = smi(word(entry, 16)).is_none_or(|details| details & 1 == 1);
                return Ok((!is_accessor).then_some(word(entry, 8)));
            }
        }
        Ok(None)
    }

    /// Whether a property's key is the string `name`: as all keys it is internalized, so it is sequential.
    fn is_name(&self, key: u64) -> bool {
        const NAME: u64 = u32::from_le_bytes(*b"name") as u64;
        let Ok((address, kind)) = self.object(key) else { return false };
        let shape = &self.layout.string;
        let mut bytes = [0; 40];
        let size = usize::from(shape.payload) + 8;
        if !self.layout.types.is_string(kind)
            || kind & (shape.representation | shape.one_byte) != shape.one_byte
            || self.memory.read(address, &mut bytes[..size.min(40)]).is_err()
        {
            return false;
        }
        let length = shape.length + if shape.length_is_smi { 4 } else { 0 };
        half(&bytes, length) == 4 && word(&bytes, shape.payload) & 0xffff_ffff == NAME
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Recorded;
    use crate::v8::fixture::{FakeHeap, layout, layout_of, smi_word};
    use proptest::prelude::*;

    /// A map of functions of 8 words, 7 of them before their properties, with `length` and this as their
    /// properties' descriptors.
    fn map(heap: &mut FakeHeap, key: u64, details: i32, value: u64) -> u64 {
        let length = heap.string("length");
        let map = heap.map(heap.layout.types.function_first) & !1;
        let words = [0, 0, length, smi_word(1), 0, key, smi_word(details), value];
        let descriptors = heap.object(heap.layout.types.fixed_array, &words);
        heap.memory.put(map + 8, &[8, 7]);
        heap.memory.put(map + 16, &(2u32 << 10).to_le_bytes());
        heap.memory.put_word(map + 40, descriptors);
        map | 1
    }

    /// Details of a data property in a field.
    fn field(number: i32) -> i32 {
        number << 19
    }

    #[test]
    fn a_name_is_found_in_the_object_behind_it_or_in_the_map() {
        let mut heap = FakeHeap::new(layout());
        let (key, name) = (heap.string("name"), heap.string("computed"));
        let properties = heap.object(heap.layout.types.fixed_array, &[smi_word(2), smi_word(0), name]);
        let function = heap.object(heap.layout.types.function_first, &[properties, 0, 0, 0, 0, 0, name]) & !1;
        for (details, slot) in [
            (field(0), NameSlot::Field(56)),
            (field(2), NameSlot::Property(24)),
            (1 << 5, NameSlot::Constant(name)),
            (1, NameSlot::Shared),
        ] {
            let map = map(&mut heap, key, details, name);
            assert_eq!(heap.heap().name_slot(map), Ok(slot));
            let expected = (slot != NameSlot::Shared).then_some(name);
            assert_eq!(heap.heap().own_name(function, slot), Ok(expected), "{slot:?}");
        }
    }

    #[test]
    fn a_map_without_the_name_leaves_it_to_the_shared_one() {
        let mut heap = FakeHeap::new(layout());
        for key in ["names", "nama"] {
            let key = heap.string(key);
            let map = map(&mut heap, key, field(0), 0);
            assert_eq!(heap.heap().name_slot(map), Ok(NameSlot::Shared));
        }
        let map = map(&mut heap, smi_word(3), field(0), 0);
        heap.memory.put(map - 1 + 16, &(2u32 << 10 | 1 << 21).to_le_bytes());
        assert_eq!(heap.heap().name_slot(map), Ok(NameSlot::Dictionary));
        // Before 4.5 nothing could set it.
        let old = layout_of(3, 14);
        let heap = Heap { memory: &heap.memory, layout: &old };
        assert_eq!(heap.name_slot(map), Ok(NameSlot::Shared));
    }

    #[test]
    fn a_name_is_found_in_a_dictionary() {
        let mut heap = FakeHeap::new(layout());
        let (key, name, hole) = (heap.string("name"), heap.string("given"), heap.object(131, &[0; 2]));
        let mut own = |words: i32, details: i32, value: u64| {
            let header = [smi_word(words), 0, 0, 0, 0, 0, 0];
            let entries = [hole, hole, 0, key, value, smi_word(details)];
            let dictionary = heap.object(heap.layout.types.fixed_array, &[&header[..], &entries].concat());
            let function = heap.object(heap.layout.types.function_first, &[dictionary, 0, 0, 0]);
            heap.heap().own_name(function & !1, NameSlot::Dictionary)
        };
        assert_eq!(own(12, 0, name), Ok(Some(name)));
        assert_eq!(own(12, 1, name), Ok(None), "an accessor");
        assert_eq!(own(12, 0, smi_word(7)), Ok(None), "no string");
        assert_eq!(own(9, 0, name), Ok(None), "beyond the end");
        assert_eq!([own(i32::MIN, 0, name), own(i32::MAX, 0, name)], [Err(Decode::Bound); 2]);
    }

    proptest! {
        #[test]
        fn any_memory_gives_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..512), at: u64) {
            let layout = layout();
            let mut memory = Recorded::new();
            memory.put(0x1_0000, &bytes);
            let heap = Heap { memory: &memory, layout: &layout };
            for at in [at, 0x1_0001] {
                let slot = heap.name_slot(at).unwrap_or(NameSlot::Dictionary);
                let _ = (heap.own_name(at & !1, slot), heap.own_name(at & !1, NameSlot::Property(16)));
            }
        }
    }
}
