//! Where V8 keeps what, version by version, as data.
//!
//! V8 publishes part of its layout in the `v8dbg_*` symbols of every build ([`Constants`]). They are
//! asked first; what they do not say, or say wrong, stands in tables keyed by V8's version, measured
//! on live processes. Offsets are bytes from an object's start, which is a tagged pointer minus one.

mod code;
mod crankshaft;
mod frames;
mod objects;
mod positions;
mod properties;
mod translation;
mod wasm;

pub use code::{CodeKind, CodeLayout, DeoptLayout, Placement, STREAM_CODE};
pub use crankshaft::CrankshaftLayout;
pub use frames::{ArgumentSlots, FrameLayout, FrameType, InterpretedSlots, MarkerForm};
pub use objects::{
    EndPosition, FunctionLayout, ScopeInfoLayout, ScriptLayout, SharedLayout, StartPosition, StringLayout,
    Types,
};
pub use positions::{BytecodeForm, PositionForm, PositionLayout, RelocationForm};
pub use properties::PropertyLayout;
pub use translation::{ExitLayout, SafepointForm, TranslationLayout, TranslationOps};
pub use wasm::WasmLayout;

use super::version::Version;
use core::fmt;

/// The `v8dbg_*` symbols of a build, by their name without that prefix.
pub trait Constants {
    /// The value of `v8dbg_NAME`, if the build has it.
    fn get(&self, name: &str) -> Option<i32>;

    /// The first of several spellings that the build has.
    fn any(&self, names: &[&str]) -> Option<i32> {
        names.iter().find_map(|name| self.get(name))
    }
}

impl<F: Fn(&str) -> Option<i32>> Constants for F {
    fn get(&self, name: &str) -> Option<i32> {
        self(name)
    }
}

/// A V8 that cannot be read, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsupported {
    /// Pointers are compressed to 4 bytes, as in Electron and Chrome.
    PointerCompression,
    /// Older than any layout known, or a type number is neither published nor known.
    Unknown(Version),
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unsupported::PointerCompression => f.write_str("its V8 uses compressed pointers"),
            Unsupported::Unknown(version) => {
                write!(f, "its V8 {version} publishes no layout (no v8dbg symbols) and none is known")
            }
        }
    }
}

/// The V8s whose layouts were measured, on live processes of the official builds of Node 0.8 to 26.
pub const MEASURED: [(u16, u16); 45] = [
    (3, 11),
    (3, 14),
    (3, 28),
    (4, 5),
    (4, 6),
    (5, 0),
    (5, 1),
    (5, 4),
    (5, 5),
    (5, 8),
    (6, 0),
    (6, 1),
    (6, 2),
    (6, 6),
    (6, 7),
    (6, 8),
    (7, 0),
    (7, 4),
    (7, 5),
    (7, 6),
    (7, 7),
    (7, 8),
    (7, 9),
    (8, 1),
    (8, 3),
    (8, 4),
    (8, 6),
    (9, 0),
    (9, 1),
    (9, 2),
    (9, 3),
    (9, 4),
    (9, 5),
    (9, 6),
    (10, 1),
    (10, 2),
    (10, 7),
    (10, 8),
    (11, 3),
    (11, 8),
    (12, 4),
    (12, 9),
    (13, 6),
    (14, 1),
    (14, 6),
];

/// Everything that the readers need to know about one V8.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The version it is for.
    pub version: Version,
    /// Instance types.
    pub types: Types,
    /// Functions: JSFunction.
    pub function: FunctionLayout,
    /// SharedFunctionInfo.
    pub shared: SharedLayout,
    /// ScopeInfo, where names stand since 6.7.
    pub scope_info: ScopeInfoLayout,
    /// Script.
    pub script: ScriptLayout,
    /// Properties, where functions may have a name of their own.
    pub properties: Option<PropertyLayout>,
    /// Strings of every representation.
    pub string: StringLayout,
    /// Code and InstructionStream.
    pub code: CodeLayout,
    /// DeoptimizationData.
    pub deopt: DeoptLayout,
    /// Exits of optimized code, where their places are known.
    pub exits: Option<ExitLayout>,
    /// Source position tables and bytecode arrays.
    pub positions: PositionLayout,
    /// Safepoints and frame translations, where they are known.
    pub translation: Option<TranslationLayout>,
    /// Crankshaft's safepoints and translations.
    pub crankshaft: Option<CrankshaftLayout>,
    /// WebAssembly, where its code's place is known.
    pub wasm: Option<WasmLayout>,
    /// Bytecode.
    pub bytecode: BytecodeForm,
    /// Stack frames.
    pub frames: FrameLayout,
}

impl Layout {
    /// The layout of a build, from its symbols and the tables.
    pub fn of(version: Version, constants: &dyn Constants) -> Result<Layout, Unsupported> {
        if constants.get("TaggedSize") == Some(4) {
            return Err(Unsupported::PointerCompression);
        }
        let unknown = Unsupported::Unknown(version);
        Ok(Layout {
            version,
            types: Types::of(version, constants).ok_or(unknown)?,
            function: FunctionLayout::of(version, constants).ok_or(unknown)?,
            shared: SharedLayout::of(version, constants).ok_or(unknown)?,
            scope_info: ScopeInfoLayout::of(version, constants),
            script: ScriptLayout::of(version, constants).ok_or(unknown)?,
            properties: PropertyLayout::of(version, constants),
            string: StringLayout::of(version).ok_or(unknown)?,
            code: CodeLayout::of(version, constants).ok_or(unknown)?,
            deopt: DeoptLayout::of(version, constants).ok_or(unknown)?,
            exits: ExitLayout::of(version),
            positions: PositionLayout::of(version, constants).ok_or(unknown)?,
            translation: TranslationLayout::of(version),
            crankshaft: CrankshaftLayout::of(version),
            wasm: WasmLayout::of(version),
            bytecode: BytecodeForm::of(version),
            frames: FrameLayout::of(version, constants).ok_or(unknown)?,
        })
    }

    /// Whether this V8 was not measured, so that its symbols and what holds for older ones vouch for it.
    pub fn is_guess(&self) -> bool {
        !MEASURED.contains(&self.version.key())
    }
}

/// An offset as a symbol gives it: kept if it is one that an object can have.
fn offset(value: Option<i32>) -> Option<u16> {
    value.and_then(|value| u16::try_from(value).ok()).filter(|offset| *offset < 4096)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none(_: &str) -> Option<i32> {
        None
    }

    #[test]
    fn compressed_pointers_are_refused_by_name() {
        let constants = |name: &str| (name == "TaggedSize").then_some(4);
        let version = Version { major: 14, minor: 6, ..Version::default() };
        assert_eq!(Layout::of(version, &constants).err(), Some(Unsupported::PointerCompression));
    }

    #[test]
    fn modern_versions_without_symbols_are_unknown() {
        let version = Version { major: 11, minor: 3, ..Version::default() };
        assert_eq!(Layout::of(version, &none).err(), Some(Unsupported::Unknown(version)));
    }

    #[test]
    fn the_oldest_versions_need_no_symbols() {
        for (major, minor) in [(3, 11), (3, 14)] {
            let version = Version { major, minor, ..Version::default() };
            assert!(Layout::of(version, &none).is_ok(), "{version}");
        }
    }

    #[test]
    fn a_version_newer_than_any_measured_or_between_two_is_tried_and_said_to_be_a_guess() {
        // What 14.6 publishes, as the readers ask for it, but for what only a version tells.
        let constants = |name: &str| (!name.starts_with("TaggedSize")).then_some(24);
        let guess = |major, minor| {
            let version = Version { major, minor, ..Version::default() };
            Layout::of(version, &constants).map(|layout| layout.is_guess())
        };
        assert_eq!([guess(14, 6), guess(15, 0), guess(8, 5)], [Ok(false), Ok(true), Ok(true)]);
    }

    #[test]
    fn an_offset_that_no_object_has_is_not_believed() {
        let constants = |name: &str| (name == "class_Script__source__Object").then_some(-4);
        let version = Version { major: 3, minor: 14, ..Version::default() };
        let layout = Layout::of(version, &constants).unwrap();
        assert_eq!(layout.script.source, 8);
    }
}
