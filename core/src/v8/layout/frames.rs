//! Stack frames: markers, slots and types.
//!
//! All offsets are from the frame pointer: the caller's frame pointer stands at 0, the return
//! address at 8, the context or a marker at -8, the function at -16 (`src/execution/frames.h`,
//! `src/execution/frame-constants.h`).

use super::Constants;
use crate::v8::version::{Since, Version, at};

/// What a frame without a JavaScript function of its own is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FrameType {
    /// C++ called JavaScript.
    Entry,
    /// JavaScript called C++ through the C entry stub.
    Exit,
    /// JavaScript called a C++ builtin.
    BuiltinExit,
    /// JavaScript called an API function's or accessor's callback.
    ApiExit,
    /// `new`.
    Construct,
    /// Too few or too many arguments, up to V8 8.9.
    ArgumentsAdaptor,
    /// Code of V8 that keeps a context or arguments on the stack.
    Internal,
    /// A stub or a builtin with stub linkage.
    Stub,
    /// A builtin written in JavaScript style, or a frame that continues in one.
    Builtin,
    /// WebAssembly code.
    Wasm,
    /// Code between JavaScript and WebAssembly.
    WasmGlue,
    /// A regular expression's code.
    RegExp,
    /// JavaScript: never met as a marker.
    JavaScript,
    /// A number that this V8 does not name.
    Unknown,
}

impl FrameType {
    /// Frames of this type enter, leave and pass on: whatever builtin is in them, they do no work of its own.
    pub const fn is_glue(self) -> bool {
        use FrameType::{ApiExit, ArgumentsAdaptor, BuiltinExit, Construct, Entry, Exit, Internal};
        matches!(self, Entry | Exit | BuiltinExit | ApiExit | Construct | ArgumentsAdaptor | Internal)
    }
}

/// How a marker says that it is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkerForm {
    /// At -16, a 32-bit Smi; at -8 the arguments adaptor's. Up to V8 5.0.
    SmiAtFunction,
    /// At -8, a 32-bit Smi. V8 5.1 to 5.5.
    SmiAtContext,
    /// At -8, shifted left by one. Since V8 5.6.
    ShiftedAtContext,
}

/// Slots of an interpreted frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterpretedSlots {
    /// BytecodeArray.
    pub bytecode_array: i32,
    /// Offset in it as a Smi, counted from the array's tagged pointer.
    pub bytecode_offset: i32,
}

/// Where a JavaScript frame has its arguments (`src/execution/frame-constants.h`). The receiver stands above
/// the return address, at 16, and the arguments follow it upwards; at -24 stands how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArgumentSlots {
    /// Their number counts the receiver, too.
    pub counts_receiver: bool,
}

/// Frames of one V8.
#[derive(Clone, Copy, Debug)]
pub struct FrameLayout {
    /// How markers are written.
    pub marker: MarkerForm,
    /// Interpreted frames, since 5.4.
    pub interpreted: Option<InterpretedSlots>,
    /// Arguments, where they are known.
    pub arguments: Option<ArgumentSlots>,
    types: [FrameType; 64],
}

/// Names of frame types as `v8dbg_frametype_NAMEFrame` has them.
const NAMES: &[(&str, FrameType)] = &[
    ("Entry", FrameType::Entry),
    ("EntryConstruct", FrameType::Entry),
    ("ConstructEntry", FrameType::Entry),
    ("Exit", FrameType::Exit),
    ("BuiltinExit", FrameType::BuiltinExit),
    ("ApiCallbackExit", FrameType::ApiExit),
    ("ApiAccessorExit", FrameType::ApiExit),
    ("ApiConstructExit", FrameType::ApiExit),
    ("ApiNamedAccessorExit", FrameType::ApiExit),
    ("ApiIndexedAccessorExit", FrameType::ApiExit),
    ("Construct", FrameType::Construct),
    ("FastConstruct", FrameType::Construct),
    ("ArgumentsAdaptor", FrameType::ArgumentsAdaptor),
    ("Internal", FrameType::Internal),
    ("Stub", FrameType::Stub),
    ("StubFailureTrampoline", FrameType::Stub),
    ("TurbofanStubWithContext", FrameType::Stub),
    ("Native", FrameType::Internal),
    ("Builtin", FrameType::Builtin),
    ("BuiltinContinuation", FrameType::Builtin),
    ("JavaScriptBuiltinContinuation", FrameType::Builtin),
    ("JavaScriptBuiltinContinuationWithCatch", FrameType::Builtin),
    ("Wasm", FrameType::Wasm),
    ("WasmCompiled", FrameType::Wasm),
    ("WasmInterpreterEntry", FrameType::WasmGlue),
    ("WasmToJs", FrameType::WasmGlue),
    ("WasmToJsFunction", FrameType::WasmGlue),
    ("JsToWasm", FrameType::WasmGlue),
    ("WasmExit", FrameType::WasmGlue),
    ("WasmCompileLazy", FrameType::WasmGlue),
    ("WasmDebugBreak", FrameType::WasmGlue),
    ("WasmLiftoffSetup", FrameType::WasmGlue),
    ("WasmSegmentStart", FrameType::WasmGlue),
    ("WasmStackEntry", FrameType::WasmGlue),
    ("WasmStackExit", FrameType::WasmGlue),
    ("WasmJspi", FrameType::WasmGlue),
    ("CWasmEntry", FrameType::WasmGlue),
    ("StackSwitch", FrameType::WasmGlue),
    ("Irregexp", FrameType::RegExp),
    ("JavaScript", FrameType::JavaScript),
    ("Interpreted", FrameType::JavaScript),
    ("Baseline", FrameType::JavaScript),
    ("Maglev", FrameType::JavaScript),
    ("Turbofan", FrameType::JavaScript),
    ("TurbofanJS", FrameType::JavaScript),
    ("Optimized", FrameType::JavaScript),
];

/// Numbers where a build publishes none: 0.8 and the first releases of 0.10.
const OLDEST: &[(u8, FrameType)] = &[
    (1, FrameType::Entry),
    (2, FrameType::Entry),
    (3, FrameType::Exit),
    (4, FrameType::JavaScript),
    (5, FrameType::JavaScript),
    (6, FrameType::Internal),
    (7, FrameType::Construct),
    (8, FrameType::ArgumentsAdaptor),
];

impl FrameLayout {
    pub(super) fn of(version: Version, constants: &dyn Constants) -> Option<FrameLayout> {
        const MARKER: Since<MarkerForm> = &[
            ((3, 11), MarkerForm::SmiAtFunction),
            ((5, 1), MarkerForm::SmiAtContext),
            ((5, 6), MarkerForm::ShiftedAtContext),
        ];
        // 5.8 still had new.target at -24; 6.2 had not; 9.0 put the number of arguments there.
        const INTERPRETED: Since<Option<(i32, i32)>> = &[
            ((3, 11), None),
            ((5, 4), Some((-32, -40))),
            ((6, 2), Some((-24, -32))),
            ((9, 0), Some((-32, -40))),
        ];
        // Before, arguments stood in the other order, and adaptor frames made their number fit.
        const ARGUMENTS: Since<Option<ArgumentSlots>> = &[
            ((3, 11), None),
            ((9, 0), Some(ArgumentSlots { counts_receiver: false })),
            ((10, 0), Some(ArgumentSlots { counts_receiver: true })),
        ];
        let mut types = [FrameType::Unknown; 64];
        let mut named = 0;
        for (name, frame_type) in NAMES {
            let mut symbol = [0u8; 64];
            let Some(number) = symbol_name(&mut symbol, name).and_then(|symbol| constants.get(symbol)) else {
                continue;
            };
            if let Some(slot) = usize::try_from(number).ok().and_then(|number| types.get_mut(number)) {
                *slot = *frame_type;
                named += 1;
            }
        }
        if named == 0 {
            if version.since(3, 28) {
                return None;
            }
            for (number, frame_type) in OLDEST {
                types[usize::from(*number)] = *frame_type;
            }
        }
        let slot = |name: &str| constants.get(name).filter(|slot| (-512..0).contains(slot));
        let interpreted = at(INTERPRETED, version)?.map(|(array, offset)| InterpretedSlots {
            bytecode_array: slot("off_fp_bytecode_array").unwrap_or(array),
            bytecode_offset: slot("off_fp_bytecode_offset").unwrap_or(offset),
        });
        let arguments = at(ARGUMENTS, version)?;
        Some(FrameLayout { marker: at(MARKER, version)?, interpreted, arguments, types })
    }

    /// The type that a marker's number stands for.
    pub fn frame_type(&self, number: u64) -> FrameType {
        usize::try_from(number)
            .ok()
            .and_then(|number| self.types.get(number))
            .copied()
            .unwrap_or(FrameType::Unknown)
    }
}

/// `frametype_NAMEFrame`, written into `buffer`.
fn symbol_name<'a>(buffer: &'a mut [u8; 64], name: &str) -> Option<&'a str> {
    let mut len = 0;
    for part in ["frametype_", name, "Frame"] {
        buffer.get_mut(len..len + part.len())?.copy_from_slice(part.as_bytes());
        len += part.len();
    }
    core::str::from_utf8(&buffer[..len]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_from_the_symbols() {
        let constants = |name: &str| match name {
            "frametype_StubFrame" => Some(8),
            "frametype_EntryFrame" => Some(1),
            "frametype_ExitFrame" => Some(4000),
            _ => None,
        };
        let layout =
            FrameLayout::of(Version { major: 14, minor: 6, ..Version::default() }, &constants).unwrap();
        assert_eq!(
            [1, 8, 3, 4000].map(|number| layout.frame_type(number)),
            [FrameType::Entry, FrameType::Stub, FrameType::Unknown, FrameType::Unknown]
        );
    }

    #[test]
    fn a_longest_name_still_fits() {
        let longest = NAMES.iter().map(|row| row.0).max_by_key(|name| name.len()).unwrap();
        assert!(symbol_name(&mut [0; 64], longest).is_some());
    }
}
