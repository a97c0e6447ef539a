//! Frames as the sampling step finds them: small values that can be compared, resolved at the end.

use crate::maps::FilePlace;
use crate::profile::{Kind, ThreadId};
use crate::v8::builtins::BuiltinId;
use crate::v8::layout::FrameType;

/// A JavaScript function's number in [`Functions`](super::functions::Functions).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FunctionId(pub u32);

/// A script's number in [`Functions`](super::functions::Functions).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ScriptId(pub u32);

/// A WebAssembly function's number in [`WasmTable`](super::wasm::WasmTable).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WasmId(pub u32);

/// An offset in a script's source, in characters, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position(u32);

impl Position {
    /// No position.
    pub const NONE: Position = Position(u32::MAX);

    /// None, since V8 collects this function's positions only when they are asked for.
    pub const UNCOLLECTED: Position = Position(u32::MAX - 1);

    /// A position, or none.
    pub const fn new(offset: Option<u32>) -> Self {
        match offset {
            Some(offset) => Position(offset),
            None => Position::NONE,
        }
    }

    /// The offset, if there is one.
    pub const fn offset(self) -> Option<u32> {
        if self.0 >= Position::UNCOLLECTED.0 { None } else { Some(self.0) }
    }
}

/// A frame, by what identifies it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RawFrame {
    /// A JavaScript function at a place in its source.
    JavaScript {
        /// The function.
        function: FunctionId,
        /// The place being executed.
        position: Position,
        /// Its tier, or that it was inlined.
        kind: Kind,
    },
    /// An embedded builtin.
    Builtin(BuiltinId),
    /// A builtin that only its function names.
    BuiltinFunction(FunctionId),
    /// Code of the builtins without a name.
    UnnamedBuiltin,
    /// A regular expression.
    RegExp,
    /// WebAssembly: its function, if that could be told.
    Wasm(Option<WasmId>),
    /// A place in an object file: where the function starts if that is known, else the pc.
    Native(FilePlace),
    /// Code that is in no file and not known to V8, at this address.
    Nowhere(u64),
    /// A frame of V8's glue without a symbol.
    Glue(FrameType),
    /// A JavaScript frame whose function could not be read.
    Unread,
    /// Frames cut by a bound.
    Elided,
    /// Root of a thread's stacks.
    Thread(ThreadId),
}
