//! Frames as the walk finds them, before V8's heap says what they are.

use super::codes::KnownCode;
use crate::maps::FilePlace;
use crate::v8::builtins::BuiltinId;
use crate::v8::layout::FrameType;

/// Where a pc points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Where {
    /// Native code of a file.
    Native(FilePlace),
    /// V8's builtins in the object file; without a number in a stripped build.
    Builtin(Option<BuiltinId>),
    /// Executable memory without a file: `lowest` is the first address of it.
    Jit {
        /// First address of the region.
        lowest: u64,
    },
    /// None of them, or not in the table of regions yet.
    Unknown,
}

/// What the walk knows of a JavaScript frame.
#[derive(Clone, Copy, Debug)]
pub struct JsFrame {
    /// Its frame pointer.
    pub fp: u64,
    /// Where its pc points.
    pub at: Where,
    /// Its pc; for a return address, one less, so that it lies in the call. `None`: on the top, V8's
    /// code runs on this frame and the frame's own pc could not be found.
    pub pc: Option<u64>,
    /// The function slot, tagged.
    pub function: u64,
    /// The slots at -24, -32 and -40: bytecode array and offset of an interpreted frame.
    pub slots: [u64; 3],
    /// A builtin without a frame of its own runs on it.
    pub under_builtin: bool,
}

/// A stub's frame: of a bytecode handler, if it is called by the interpreter.
#[derive(Clone, Copy, Debug)]
pub struct StubFrame {
    /// Its frame pointer.
    pub fp: u64,
    /// Where its pc points.
    pub at: Where,
    /// Its pc; for a return address, one less.
    pub pc: u64,
}

/// A frame as the walk finds it.
#[derive(Clone, Copy, Debug)]
pub enum Found {
    /// Native code, from its function's start if that is known.
    Native(FilePlace),
    /// Code in no file and not V8's.
    Nowhere(u64),
    /// A builtin, by its pc alone.
    Builtin(Option<BuiltinId>),
    /// A frame with a marker, in code that is no embedded builtin.
    Typed(FrameType),
    /// A frame of WebAssembly: its pc, and its instance, tagged; 0 where it has no frame.
    Wasm {
        /// Its pc; for a return address, one less.
        pc: u64,
        /// The instance's data.
        instance: u64,
    },
    /// A frame with a stub's marker.
    Stub(StubFrame),
    /// A frame with a function.
    Js(JsFrame),
    /// So many frames of compiled code outside of that one or of other such ones, with its pc, function and context.
    Repeats(usize),
    /// Compiled JavaScript on the top that has no frame yet, or none any more. `callee`: the tagged
    /// function in the register that calls pass it in, where that still holds it.
    Frameless {
        /// Its code.
        code: KnownCode,
        /// The function, if it can be told.
        callee: Option<u64>,
    },
    /// Frames that a bound cut out, or that could not be unwound between known ones.
    Elided,
}
