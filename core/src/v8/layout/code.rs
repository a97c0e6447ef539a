//! Machine code objects: Code, and InstructionStream since 11.3.

use super::{Constants, offset};
use crate::v8::version::{Since, Version, at};

/// What a code object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeKind {
    /// JavaScript, compiled without optimization straight from the source: full-codegen.
    FullCodegen,
    /// JavaScript, compiled from bytecode: Sparkplug.
    Baseline,
    /// JavaScript, optimized by Maglev.
    Maglev,
    /// JavaScript, optimized by TurboFan or Crankshaft.
    Optimized,
    /// A copy of the interpreter's entry that stands for one function.
    Interpreted,
    /// One bytecode of the interpreter.
    BytecodeHandler,
    /// A builtin.
    Builtin,
    /// A regular expression.
    RegExp,
    /// A stub or an inline cache.
    Stub,
    /// Anything else.
    Other,
}

impl CodeKind {
    /// Whether its frames are those of the JavaScript function that it was compiled from.
    pub const fn is_javascript(self) -> bool {
        matches!(self, CodeKind::FullCodegen | CodeKind::Baseline | CodeKind::Maglev | CodeKind::Optimized)
    }
}

/// Where the instructions stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Behind the Code object's header of this size.
    Inline(u16),
    /// In an InstructionStream of their own.
    Stream {
        /// Size of the stream's header: the instructions start there.
        header: u16,
        /// Offset of the instructions' address in Code.
        start: u16,
    },
}

/// Offset in an InstructionStream of its Code.
pub const STREAM_CODE: u16 = 8;

/// Code objects of one V8.
#[derive(Clone, Copy, Debug)]
pub struct CodeLayout {
    /// Deoptimization data; baseline code since 9.6 has its BytecodeArray there.
    pub deopt: u16,
    /// Source positions; baseline code has its bytecode offset table there. `None`: in the
    /// relocation info.
    pub positions: Option<u16>,
    /// Relocation info, up to 5.5, where source positions stood in it.
    pub relocation: Option<u16>,
    /// Size of the instructions, u32.
    pub size: u16,
    /// Flags, u32.
    pub flags: u16,
    /// Where the instructions stand.
    pub placement: Placement,
    /// Bytes of a Code object to read: all of the above.
    pub header: u16,
    kind_shift: u8,
    kind_mask: u32,
    baseline: Option<u32>,
    kinds: &'static [CodeKind],
    has_maglev: bool,
    /// Builtins are code of the executable, entered by the root register's fields.
    pub has_embedded_builtins: bool,
    /// Baseline code holds the BytecodeArray that it was made of, in place of deoptimization data.
    pub baseline_has_bytecode: bool,
}

use CodeKind::{Builtin, BytecodeHandler, FullCodegen, Interpreted, Optimized, Other, RegExp, Stub};

/// `Code::Kind` by number, from `src/objects.h` of each version; numbers beyond are inline caches.
const KINDS: Since<&[CodeKind]> = &[
    ((3, 11), &[FullCodegen, Optimized, Stub, Builtin]),
    ((3, 28), &[FullCodegen, Optimized, Stub, Stub, Builtin, RegExp]),
    ((5, 0), &[FullCodegen, Optimized, Stub, Stub, Builtin, RegExp, Other]),
    ((5, 1), &[FullCodegen, Optimized, BytecodeHandler, Stub, Stub, Builtin, RegExp, Other, Other, Other]),
    ((6, 6), &[Optimized, BytecodeHandler, Stub, Builtin, RegExp, Other, Other, Other, Other, Other]),
    ((9, 0), &[BytecodeHandler, Other, Builtin, RegExp, Other, Other, Other, Other, Other, Other]),
    // Without wrappers from JavaScript to JavaScript.
    ((12, 4), &[BytecodeHandler, Other, Builtin, RegExp, Other, Other, Other, Other, Other]),
    // A second kind for V8's own tests (`src/objects/code-kind.h`, measured on Node 26).
    ((14, 6), &[BytecodeHandler, Other, Other, Builtin, RegExp, Other, Other, Other, Other, Other]),
];

impl CodeLayout {
    pub(super) fn of(version: Version, constants: &dyn Constants) -> Option<CodeLayout> {
        const DEOPT: Since<u16> = &[((3, 11), 28), ((4, 5), 24), ((6, 6), 16), ((11, 8), 8)];
        const POSITIONS: Since<Option<u16>> =
            &[((3, 11), None), ((5, 4), Some(32)), ((6, 6), Some(24)), ((11, 8), Some(16))];
        const RELOCATION: Since<Option<u16>> = &[((3, 11), Some(12)), ((4, 5), Some(8)), ((5, 4), None)];
        const SIZE: Since<u16> = &[
            ((3, 11), 8),
            ((4, 5), 56),
            ((5, 4), 64),
            ((6, 1), 56),
            ((6, 6), 48),
            ((6, 7), 40),
            ((11, 3), 56),
            ((11, 8), 44),
            ((12, 4), 52),
            ((13, 6), 56),
        ];
        const FLAGS: Since<u16> = &[
            ((3, 11), 56),
            ((3, 28), 64),
            ((5, 4), 72),
            ((6, 1), 60),
            ((6, 6), 52),
            ((6, 7), 44),
            ((9, 0), 48),
            ((11, 8), 40),
            ((12, 4), 48),
            ((13, 6), 52),
        ];
        const PLACEMENT: Since<Placement> = &[
            ((3, 11), Placement::Inline(96)),
            ((6, 0), Placement::Inline(128)),
            ((6, 1), Placement::Inline(96)),
            ((6, 7), Placement::Inline(64)),
            ((8, 4), Placement::Inline(96)),
            ((9, 6), Placement::Inline(128)),
            ((11, 3), Placement::Stream { header: 16, start: 40 }),
            ((11, 8), Placement::Stream { header: 32, start: 32 }),
            ((12, 4), Placement::Stream { header: 32, start: 40 }),
        ];
        // (shift, mask) of the kind in the flags.
        const KIND_BITS: Since<(u8, u32)> = &[
            ((3, 11), (8, 0xf)),
            ((3, 14), (7, 0xf)),
            ((5, 0), (6, 0x1f)),
            ((5, 4), (3, 0x1f)),
            ((6, 0), (1, 0x1f)),
            ((9, 0), (0, 0xf)),
        ];
        const BASELINE: Since<Option<u32>> =
            &[((3, 11), None), ((9, 0), Some(11)), ((12, 4), Some(10)), ((14, 6), Some(11))];
        let symbol =
            |name: &str, history: Since<u16>| offset(constants.get(name)).or_else(|| at(history, version));
        let placement = match at(PLACEMENT, version)? {
            Placement::Inline(header) => Placement::Inline(
                offset(constants.get("class_Code__instruction_start__uintptr_t")).unwrap_or(header),
            ),
            Placement::Stream { header, start } => Placement::Stream {
                header: offset(constants.get("class_InstructionStream__instruction_start__uintptr_t"))
                    .unwrap_or(header),
                start: offset(constants.get("class_Code__instruction_start__Address")).unwrap_or(start),
            },
        };
        let deopt = at(DEOPT, version)?;
        let positions = at(POSITIONS, version)?;
        let size = symbol("class_Code__instruction_size__int", SIZE)?;
        let flags = symbol("class_Code__flags__uint32_t", FLAGS)?;
        let (kind_shift, kind_mask) = at(KIND_BITS, version)?;
        let baseline = constants.get("CodeKindBaseline").and_then(|kind| u32::try_from(kind).ok());
        let start = match placement {
            Placement::Inline(_) => 0,
            Placement::Stream { start, .. } => start,
        };
        let last = [deopt, positions.unwrap_or(0), size, flags, start].into_iter().max()? + 8;
        Some(CodeLayout {
            deopt,
            positions,
            relocation: at(RELOCATION, version)?,
            size,
            flags,
            placement,
            header: last.next_multiple_of(8),
            kind_shift,
            kind_mask,
            baseline: baseline.or(at(BASELINE, version)?),
            kinds: at(KINDS, version)?,
            has_maglev: version.since(9, 9),
            has_embedded_builtins: version.since(7, 4),
            baseline_has_bytecode: version.since(9, 6),
        })
    }

    /// What the flags of a Code object say that it is.
    pub fn kind(&self, flags: u32) -> CodeKind {
        let number = flags >> self.kind_shift & self.kind_mask;
        match self.baseline {
            Some(baseline) if number == baseline => CodeKind::Baseline,
            // Before Maglev, variants of TurboFan had its number.
            Some(baseline) if number == baseline + 1 && self.has_maglev => CodeKind::Maglev,
            Some(baseline) if number > baseline => Optimized,
            Some(baseline) if number + 1 == baseline => Interpreted,
            _ => self.kinds.get(number as usize).copied().unwrap_or(if number < 16 { Stub } else { Other }),
        }
    }
}

/// DeoptimizationData: an array whose elements start at 16, in element indices.
#[derive(Clone, Copy, Debug)]
pub struct DeoptLayout {
    /// The outermost function.
    pub shared: Option<u8>,
    /// It stands behind a wrapper: SharedFunctionInfoWrapper, its first field.
    pub shared_is_wrapped: bool,
    /// Literals, among them the inlined functions.
    pub literals: u8,
    /// Number of inlined functions.
    pub inlined_count: u8,
    /// Inlining positions, a ByteArray; since 5.8, where only TurboFan writes them.
    pub inlining: Option<u8>,
}

impl DeoptLayout {
    pub(super) fn of(version: Version, constants: &dyn Constants) -> Option<DeoptLayout> {
        const SHARED: Since<Option<u8>> =
            &[((3, 11), None), ((3, 28), Some(8)), ((4, 5), Some(6)), ((13, 6), Some(7))];
        const LITERALS: Since<u8> = &[((3, 11), 2), ((3, 28), 4), ((4, 5), 2), ((13, 6), 3)];
        const COUNT: Since<u8> = &[((3, 11), 1), ((3, 28), 3), ((4, 5), 1)];
        const INLINING: Since<Option<u8>> =
            &[((3, 11), None), ((5, 8), Some(8)), ((7, 0), Some(7)), ((13, 6), Some(8))];
        let index = |names: &[&str]| constants.any(names).and_then(|index| u8::try_from(index).ok());
        let shared = index(&[
            "DeoptimizationDataSharedFunctionInfoIndex",
            "DeoptimizationDataSharedFunctionInfoWrapperIndex",
            "DeoptimizationDataWrappedSharedFunctionInfoIndex",
        ]);
        Some(DeoptLayout {
            shared: shared.or(at(SHARED, version)?),
            shared_is_wrapped: version.since(12, 9),
            literals: index(&["DeoptimizationDataLiteralArrayIndex"]).or(at(LITERALS, version))?,
            inlined_count: index(&["DeoptimizationDataInlinedFunctionCountIndex"]).or(at(COUNT, version))?,
            inlining: index(&["DeoptimizationDataInliningPositionsIndex"]).or(at(INLINING, version)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v8::fixture::{layout_of, layout_with};

    #[test]
    fn code_changed_between_releases_of_one_node() {
        let code = |minor| layout_of(6, minor).code;
        let of = |minor| (code(minor).size, code(minor).flags, code(minor).placement);
        assert_eq!(of(0), (64, 72, Placement::Inline(128)));
        assert_eq!([of(1), of(2)], [(56, 60, Placement::Inline(96)); 2]);
        assert_eq!(of(6), (48, 52, Placement::Inline(96)));
        assert_eq!([of(7), of(8)], [(40, 44, Placement::Inline(64)); 2]);
        // TurboFan's code, as its flags were met.
        assert_eq!([0, 1, 2].map(|minor| code(minor).kind(2)), [CodeKind::Optimized; 3]);
        assert_eq!([0, 1, 2, 7].map(|minor| layout_of(6, minor).deopt.inlining), [Some(8); 4]);
    }
    /// The layout of a build without the symbol of baseline code's kind.
    fn without_symbol(major: u16, minor: u16) -> CodeLayout {
        let version = Version { major, minor, ..Version::default() };
        let hide = |name: &str, value| (name != "CodeKindBaseline").then_some(value).flatten();
        layout_with(version, &hide).unwrap().code
    }

    #[test]
    fn kinds_since_9_0_are_all_those_before_the_interpreters() {
        for (major, minor) in [(9, 0), (9, 4), (11, 8), (12, 4), (14, 1), (14, 6)] {
            let code = without_symbol(major, minor);
            assert_eq!(code.kinds.len() as u32 + 1, code.baseline.unwrap(), "{major}.{minor}");
        }
    }

    #[test]
    fn a_regular_expressions_kind_is_one_more_since_14_6() {
        let of = |major, minor, kind| without_symbol(major, minor).kind(kind);
        assert_eq!([of(9, 4, 3), of(14, 1, 3), of(14, 6, 4)], [RegExp; 3]);
        assert_eq!([of(9, 4, 2), of(14, 1, 2), of(14, 6, 3)], [Builtin; 3]);
    }
}
