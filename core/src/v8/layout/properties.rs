//! Properties of objects: maps with descriptors, and dictionaries (`src/objects/map.h`,
//! `src/objects/descriptor-array.h`, `src/objects/property-details.h`, `src/objects/dictionary.h`).

use super::{Constants, offset};
use crate::v8::version::{Since, Version, at};

/// Where an object's own properties stand.
#[derive(Clone, Copy, Debug)]
pub struct PropertyLayout {
    /// Bit of a Map's third bit field that says that properties are in a dictionary.
    pub dictionary_bit: u8,
    /// Offset in a Map of the DescriptorArray.
    pub descriptors: u16,
    /// Offset in a DescriptorArray of the first descriptor: key, details and value, a word each.
    pub first_descriptor: u16,
    /// Bit of a property's details that says that its value stands in the descriptor, not in a field. Bit 0
    /// says that it is an accessor.
    pub constant_bit: u8,
    /// First of the bits of the details with the field's number. There are ten.
    pub field_shift: u8,
    /// A Map's byte at 9 is the word at which properties in the object start; else it is their number.
    pub has_start: bool,
    /// Offset in a NameDictionary of the first entry: key, value and details, a word each.
    pub first_entry: u16,
}

impl PropertyLayout {
    /// `None` before 4.5: a function's name could not be set then.
    pub(super) fn of(version: Version, constants: &dyn Constants) -> Option<PropertyLayout> {
        const DICTIONARY: Since<u8> = &[((4, 5), 20), ((7, 8), 21)];
        const DESCRIPTORS: Since<u16> = &[((4, 5), 48), ((7, 8), 40)];
        const FIRST: Since<u16> = &[((4, 5), 32), ((7, 4), 24), ((14, 1), 32)];
        const CONSTANT: Since<u8> = &[((4, 5), 1), ((10, 1), 5)];
        const FIELD: Since<u8> = &[((4, 5), 19), ((5, 8), 20), ((7, 4), 19)];
        const ENTRY: Since<u16> = &[((4, 5), 56), ((11, 3), 64)];
        let bit = |names: &[&str], history: Since<u8>| {
            let symbol = constants.any(names).and_then(|bit| u8::try_from(bit).ok());
            symbol.filter(|bit| *bit < 32).or_else(|| at(history, version))
        };
        let descriptors = constants.any(&[
            "class_Map__instance_descriptors_offset",
            "class_Map__instance_descriptors__DescriptorArray",
        ]);
        let first = constants.get("class_DescriptorArray__header_size__uintptr_t");
        Some(PropertyLayout {
            dictionary_bit: bit(
                &["bit_field3_is_dictionary_map_shift", "bit_field3_dictionary_map_shift"],
                DICTIONARY,
            )?,
            descriptors: offset(descriptors).or(at(DESCRIPTORS, version))?,
            first_descriptor: offset(first).or(at(FIRST, version))?,
            constant_bit: bit(&["prop_location_shift"], CONSTANT)?,
            field_shift: bit(&["prop_index_shift"], FIELD)?,
            has_start: version.since(6, 6),
            first_entry: at(ENTRY, version)?,
        })
    }
}
