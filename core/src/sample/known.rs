//! What is known of an object on V8's heap by its address, until the target says otherwise.

use super::cache::Entry;
use super::raw::{FunctionId, ScriptId};
use super::verify::ComparedAt;
use crate::v8::function::SharedInfo;
use crate::v8::heap::word;
use crate::v8::own_name::NameSlot;
use crate::v8::script::Script;

/// Offset in an object of its properties.
pub(super) const PROPERTIES: u16 = 8;

/// What tells that a function's own name is still the one that was read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum OwnName {
    /// It has none, or its map holds it.
    InMap,
    /// This word of the object: the tagged name, or the array of its properties that holds it, which no other
    /// object has.
    Word { offset: u16, value: u64 },
    /// Nothing does but to read it.
    Anywhere,
}

impl OwnName {
    pub(super) fn of(slot: NameSlot, properties: u64, name: Option<u64>) -> Self {
        match (slot, name) {
            (NameSlot::Shared | NameSlot::Constant(_), _) => OwnName::InMap,
            (NameSlot::Property(_), _) => OwnName::Word { offset: PROPERTIES, value: properties },
            (NameSlot::Field(offset), Some(value)) if usize::from(offset) + 8 <= SharedInfo::MAX_SIZE => {
                OwnName::Word { offset, value }
            }
            (NameSlot::Field(_) | NameSlot::Dictionary, _) => OwnName::Anywhere,
        }
    }

    /// Bytes of the object that are needed to tell.
    pub(super) fn bytes(self) -> usize {
        if let OwnName::Word { offset, .. } = self { usize::from(offset) + 8 } else { 0 }
    }

    pub(super) fn is_in(self, bytes: &[u8]) -> bool {
        match self {
            OwnName::InMap => true,
            OwnName::Word { offset, value } => word(bytes, offset) == value,
            OwnName::Anywhere => false,
        }
    }
}

/// A JSFunction that was read before.
#[derive(Clone, Copy)]
pub(super) struct KnownFunction {
    pub(super) function: u64,
    pub(super) map: u64,
    pub(super) shared: u64,
    pub(super) id: FunctionId,
    pub(super) own_name: OwnName,
    /// Stops in which it was found unchanged.
    pub(super) steady: u8,
    /// The last stop that used it.
    pub(super) used: u32,
    pub(super) compared: ComparedAt,
}

/// A SharedFunctionInfo that was read before.
#[derive(Clone, Copy)]
pub(super) struct KnownShared {
    pub(super) shared: u64,
    pub(super) info: SharedInfo,
    pub(super) id: FunctionId,
    /// Its source names it.
    pub(super) is_named: bool,
    pub(super) used: u32,
    pub(super) compared: ComparedAt,
}

/// A Script that was read before.
#[derive(Clone, Copy)]
pub(super) struct KnownScript {
    pub(super) tagged: u64,
    pub(super) script: Script,
    pub(super) id: ScriptId,
}

/// A map that functions have.
#[derive(Clone, Copy)]
pub(super) struct KnownMap {
    pub(super) map: u64,
    pub(super) slot: NameSlot,
}

impl Entry for KnownMap {
    type Key = u64;
    fn key(&self) -> u64 {
        self.map
    }
}

impl Entry for KnownFunction {
    type Key = u64;
    fn key(&self) -> u64 {
        self.function
    }
    fn used(&self) -> u32 {
        self.used
    }
}

impl Entry for KnownShared {
    type Key = u64;
    fn key(&self) -> u64 {
        self.shared
    }
    fn used(&self) -> u32 {
        self.used
    }
}

impl Entry for KnownScript {
    type Key = u64;
    fn key(&self) -> u64 {
        self.tagged
    }
}
