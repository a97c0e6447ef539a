//! A frame as people see it.

use super::strings::Text;

/// A frame's number in its profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FrameId(pub u32);

/// What kind of code a frame runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// JavaScript in V8's interpreter, Ignition.
    Interpreted,
    /// JavaScript in V8's baseline code: Sparkplug, or full-codegen in old versions.
    Baseline,
    /// JavaScript in Maglev code.
    Maglev,
    /// JavaScript in optimized code: TurboFan, or Crankshaft in old versions.
    Optimized,
    /// JavaScript that an optimizing compiler inlined into its caller.
    Inlined,
    /// JavaScript in code whose tier is not known.
    JavaScript,
    /// One of V8's builtins.
    Builtin,
    /// Machine code of a regular expression.
    RegExp,
    /// WebAssembly.
    Wasm,
    /// Native code: Node's C++, addons, other libraries.
    Native,
    /// V8's own C++, when it does none of the work below.
    V8,
    /// V8's garbage collector.
    Gc,
    /// V8's parser and compilers.
    Compiler,
    /// The C library and the vDSO: the edge to the kernel.
    Libc,
    /// V8's entry, exit, adaptor and stub frames; shown in `fullraw` alone.
    Glue,
    /// Frames that a bound cut out.
    Elided,
    /// Root frame of a thread.
    Thread,
    /// Root frame of a process.
    Process,
}

impl Kind {
    /// JavaScript of any tier, inlined or not.
    pub const fn is_javascript(self) -> bool {
        matches!(
            self,
            Kind::Interpreted
                | Kind::Baseline
                | Kind::Maglev
                | Kind::Optimized
                | Kind::Inlined
                | Kind::JavaScript
        )
    }

    /// Machine code of object files: C and C++, by whatever group.
    pub const fn is_native(self) -> bool {
        matches!(self, Kind::Native | Kind::V8 | Kind::Gc | Kind::Compiler | Kind::Libc)
    }
}

/// The index of a WebAssembly function that could not be told.
pub const NO_INDEX: u64 = u64::MAX;

/// A resolved frame. Two frames may have the same label: they differ in tier or executing line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Frame {
    /// What it runs.
    pub kind: Kind,
    /// JavaScript: V8's name, empty for an anonymous function or a script's top level. Builtin: the
    /// symbol without `Builtins_`. Native: the demangled symbol, empty where there is none. Wasm:
    /// the function's name, empty where only `offset`, its index, is known. Thread, process: its name.
    pub name: Text,
    /// JavaScript: the script's whole path, URL or `node:` name, as V8 has it; `[eval]` or
    /// `[unknown]` where it has none. Native: the whole path of the object file, `[vdso]`, or
    /// empty for memory without a file. Else empty.
    pub file: Text,
    /// JavaScript: the function's first line, from 1; 0 if unknown.
    pub line: u32,
    /// JavaScript: column of the function's start in that line, from 1; 0 if unknown.
    pub column: u32,
    /// JavaScript: the line being executed, from 1; 0 if unknown.
    pub executing: u32,
    /// Native: offset in the object's file (the address for memory without a file). Wasm: the
    /// function's index, or [`NO_INDEX`]. Thread and process: its id. JavaScript: V8's script id. Else 0.
    pub offset: u64,
}

impl Frame {
    /// The frame that stands for those that a bound cut out.
    pub const ELIDED: Frame = Frame::new(Kind::Elided);

    /// A frame of which nothing but its kind is known.
    pub const fn new(kind: Kind) -> Self {
        Frame { kind, name: Text::EMPTY, file: Text::EMPTY, line: 0, column: 0, executing: 0, offset: 0 }
    }
}
