//! Heap objects that carry names: functions, scripts, strings.

use super::{Constants, offset};
use crate::v8::version::{Since, Version, at};

/// Instance types, from `v8dbg_type_*`; the classic ones also from V8's `objects.h`.
#[derive(Clone, Copy, Debug)]
pub struct Types {
    /// Bytes of the type at `Map` + 12: 1 up to V8 6.2, 2 since.
    pub width: u8,
    /// Smallest type that is not a string: every string's type is below.
    pub first_nonstring: u16,
    /// First of the types of JSFunction.
    pub function_first: u16,
    /// Last of the types of JSFunction: since 9.0 class constructors and some builtins have their own.
    pub function_last: u16,
    /// SharedFunctionInfo.
    pub shared: u16,
    /// Script.
    pub script: u16,
    /// Map, the type of every map's map.
    pub map: u16,
    /// Code.
    pub code: u16,
    /// What holds the machine code: InstructionStream since 11.3, before it Code itself.
    pub instructions: u16,
    /// ScopeInfo, where it is a type of its own and names stand in it.
    pub scope_info: Option<u16>,
    /// BytecodeArray, since 5.4.
    pub bytecode_array: Option<u16>,
    /// FixedArray.
    pub fixed_array: u16,
    /// HeapNumber: a double.
    pub heap_number: Option<u16>,
    /// Oddball: `undefined`, `null`, `true`, `false`.
    pub oddball: Option<u16>,
}

type Row = Since<u16>;

const MAP: Row = &[((3, 11), 128), ((3, 28), 129), ((4, 6), 132)];
const CODE: Row = &[((3, 11), 129), ((3, 28), 130), ((4, 6), 133)];
const FIXED_ARRAY: Row = &[
    ((3, 11), 163),
    ((3, 28), 180),
    ((4, 5), 179),
    ((4, 6), 171),
    ((5, 0), 169),
    ((5, 4), 167),
    ((5, 5), 168),
];
const SHARED: Row = &[
    ((3, 11), 164),
    ((3, 28), 182),
    ((4, 5), 180),
    ((4, 6), 172),
    ((5, 0), 170),
    ((5, 4), 168),
    ((5, 5), 169),
];
const SCRIPT: Row = &[((3, 11), 156), ((3, 28), 172), ((4, 5), 171), ((4, 6), 163), ((5, 0), 161)];
const FUNCTION: Row = &[
    ((3, 11), 181),
    ((3, 28), 206),
    ((4, 5), 208),
    ((4, 6), 200),
    ((5, 1), 201),
    ((5, 4), 202),
    ((5, 5), 204),
];
const BYTECODE_ARRAY: Row = &[((5, 4), 137)];
/// Types of JSFunction after the first (`FIRST_JS_FUNCTION_TYPE` to `LAST_JS_FUNCTION_TYPE`).
const FUNCTION_TYPES: Row = &[((3, 11), 0), ((9, 0), 17)];
const TYPE_WIDTH: Since<u8> = &[((3, 11), 1), ((6, 6), 2)];
/// ScopeInfo in 6.7, which has names in it without saying its type: measured. Since 6.8 a symbol does.
const SCOPE_INFO: Since<Option<u16>> = &[((3, 11), None), ((6, 7), Some(187)), ((6, 8), None)];

/// The tables of types end with 5.5: from the next version on only a symbol counts.
fn classic(history: Row, version: Version) -> Option<u16> {
    if version.since(5, 6) { None } else { at(history, version) }
}

impl Types {
    pub(super) fn of(version: Version, constants: &dyn Constants) -> Option<Types> {
        let number = |name: &str| constants.get(name).and_then(|value| u16::try_from(value).ok());
        let typed = |name: &str, history: Row| number(name).or_else(|| classic(history, version));
        let function_first =
            number("FirstJSFunctionType").or_else(|| typed("type_JSFunction__JS_FUNCTION_TYPE", FUNCTION))?;
        let function_last = number("LastJSFunctionType")
            .or_else(|| at(FUNCTION_TYPES, version).map(|more| function_first.saturating_add(more)))?;
        let code = typed("type_Code__CODE_TYPE", CODE)?;
        Some(Types {
            width: at(TYPE_WIDTH, version)?,
            first_nonstring: number("FirstNonstringType").or(classic(&[((3, 11), 128)], version))?,
            function_first,
            function_last,
            shared: typed("type_SharedFunctionInfo__SHARED_FUNCTION_INFO_TYPE", SHARED)?,
            script: typed("type_Script__SCRIPT_TYPE", SCRIPT)?,
            map: typed("type_Map__MAP_TYPE", MAP)?,
            code,
            instructions: number("type_InstructionStream__INSTRUCTION_STREAM_TYPE").unwrap_or(code),
            scope_info: number("type_ScopeInfo__SCOPE_INFO_TYPE").or(at(SCOPE_INFO, version)?),
            bytecode_array: typed("type_BytecodeArray__BYTECODE_ARRAY_TYPE", BYTECODE_ARRAY),
            fixed_array: typed("type_FixedArray__FIXED_ARRAY_TYPE", FIXED_ARRAY)?,
            heap_number: number("type_HeapNumber__HEAP_NUMBER_TYPE"),
            oddball: number("type_Oddball__ODDBALL_TYPE"),
        })
    }

    /// Whether `kind` is one of JSFunction's types.
    pub fn is_function(&self, kind: u16) -> bool {
        (self.function_first..=self.function_last).contains(&kind)
    }

    /// Whether `kind` is a string's type.
    pub fn is_string(&self, kind: u16) -> bool {
        kind < self.first_nonstring
    }
}

/// JSFunction.
#[derive(Clone, Copy, Debug)]
pub struct FunctionLayout {
    /// SharedFunctionInfo, tagged.
    pub shared: u16,
}

impl FunctionLayout {
    pub(super) fn of(version: Version, constants: &dyn Constants) -> Option<FunctionLayout> {
        const SHARED: Row = &[((3, 11), 40), ((5, 0), 32), ((6, 6), 24), ((11, 8), 32)];
        let shared = offset(constants.get("class_JSFunction__shared__SharedFunctionInfo"));
        Some(FunctionLayout { shared: shared.or_else(|| at(SHARED, version))? })
    }
}

/// Where a function's start position stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartPosition {
    /// An int32 in the SharedFunctionInfo: the position from bit 2 on.
    Packed {
        /// Its offset.
        at: u16,
    },
    /// In the ScopeInfo.
    ScopeInfo,
}

/// Where a function's end stands in its SharedFunctionInfo: an int32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndPosition {
    /// Its offset.
    pub at: u16,
    /// Bits below the position: one while both halves of a word had to look like a Smi.
    pub shift: u8,
}

/// SharedFunctionInfo.
#[derive(Clone, Copy, Debug)]
pub struct SharedLayout {
    /// Name: a String, or since 6.7 a ScopeInfo.
    pub name: u16,
    /// Script; up to 11.3 also a DebugInfo that leads to it.
    pub script: u16,
    /// What it runs: bytecode, data for baseline code, or a builtin's id as a Smi.
    pub data: u16,
    /// A builtin has its id there; before 6.6 only the missing script tells one.
    pub has_builtin_ids: bool,
    /// Its full-codegen code, up to 5.8.
    pub code: Option<u16>,
    /// Inferred name or a builtin's id, up to 6.8; later in the ScopeInfo.
    pub inferred: Option<u16>,
    /// Start position.
    pub start: StartPosition,
    /// End position, where the start stands in it too.
    pub end: Option<EndPosition>,
    /// Bytes to read: all of the above.
    pub size: u16,
}

impl SharedLayout {
    pub(super) fn of(version: Version, constants: &dyn Constants) -> Option<SharedLayout> {
        const NAME: Row = &[((3, 11), 8), ((5, 5), 16), ((12, 9), 24)];
        const SCRIPT: Row = &[
            ((3, 11), 56),
            ((3, 14), 64),
            ((5, 5), 72),
            ((6, 0), 64),
            ((6, 6), 56),
            ((6, 7), 32),
            ((12, 9), 40),
        ];
        const DATA: Row =
            &[((3, 11), 48), ((3, 14), 56), ((5, 5), 64), ((6, 0), 56), ((6, 6), 48), ((6, 7), 8)];
        const INFERRED: Since<Option<u16>> = &[
            ((3, 11), Some(72)),
            ((3, 14), Some(80)),
            ((5, 5), Some(88)),
            ((6, 0), Some(80)),
            ((6, 6), Some(72)),
            ((6, 7), Some(48)),
            ((7, 0), None),
        ];
        const CODE: Since<Option<u16>> = &[((3, 11), Some(16)), ((5, 5), Some(8)), ((6, 2), None)];
        const START: Since<StartPosition> = &[
            ((3, 11), StartPosition::Packed { at: 124 }),
            ((3, 14), StartPosition::Packed { at: 132 }),
            ((3, 28), StartPosition::Packed { at: 116 }),
            ((5, 5), StartPosition::Packed { at: 124 }),
            ((5, 8), StartPosition::Packed { at: 132 }),
            ((6, 0), StartPosition::Packed { at: 124 }),
            ((6, 1), StartPosition::Packed { at: 120 }),
            ((6, 6), StartPosition::Packed { at: 104 }),
            ((6, 7), StartPosition::Packed { at: 72 }),
            ((7, 0), StartPosition::ScopeInfo),
        ];
        // `PSEUDO_SMI_ACCESSORS_LO` in `src/objects-inl.h` up to 6.0.
        const END: Since<Option<(u16, u8)>> = &[
            ((3, 11), Some((120, 1))),
            ((3, 14), Some((128, 1))),
            ((3, 28), Some((112, 1))),
            ((5, 5), Some((120, 1))),
            ((5, 8), Some((128, 1))),
            ((6, 0), Some((120, 1))),
            ((6, 1), Some((124, 0))),
            ((6, 6), Some((108, 0))),
            ((6, 7), Some((76, 0))),
            ((7, 0), None),
        ];
        const BUILTIN_IDS: Since<bool> = &[((3, 11), false), ((6, 6), true)];
        let pick =
            |names: &[&str], history: Row| offset(constants.any(names)).or_else(|| at(history, version));
        let name = pick(
            &[
                "class_SharedFunctionInfo__name_or_scope_info__Tagged_NameOrScopeInfoT_",
                "class_SharedFunctionInfo__name_or_scope_info__Tagged_Object_",
                "class_SharedFunctionInfo__name_or_scope_info__Object",
                "class_SharedFunctionInfo__raw_name__Object",
                "class_SharedFunctionInfo__name__Object",
            ],
            NAME,
        )?;
        let script = pick(
            &[
                "class_SharedFunctionInfo__script__Tagged_HeapObject_",
                "class_SharedFunctionInfo__script_or_debug_info__HeapObject",
                "class_SharedFunctionInfo__script_or_debug_info__Object",
                "class_SharedFunctionInfo__script__Object",
            ],
            SCRIPT,
        )?;
        let data = pick(&["class_SharedFunctionInfo__function_data__Object"], DATA)?;
        let inferred = at(INFERRED, version)?.and_then(|_| {
            let symbol = constants.any(&[
                "class_SharedFunctionInfo__function_identifier__Object",
                "class_SharedFunctionInfo__inferred_name__String",
            ]);
            offset(symbol).or(at(INFERRED, version)?)
        });
        let start = match at(START, version)? {
            StartPosition::Packed { at } => {
                let symbol = constants.any(&[
                    "class_SharedFunctionInfo__start_position_and_type__SMI",
                    "class_SharedFunctionInfo__start_position_and_type__int",
                ]);
                StartPosition::Packed { at: offset(symbol).unwrap_or(at) }
            }
            in_scope_info => in_scope_info,
        };
        let end = at(END, version)?.map(|(at, shift)| {
            let symbol = constants.any(&[
                "class_SharedFunctionInfo__end_position__SMI",
                "class_SharedFunctionInfo__end_position__int",
            ]);
            EndPosition { at: offset(symbol).unwrap_or(at), shift }
        });
        let after_start = match start {
            StartPosition::Packed { at } => at.max(end.map_or(0, |end| end.at)) + 4,
            // Lengths, flags and the function's literal id follow the pointers.
            StartPosition::ScopeInfo => script + 24,
        };
        let last = [name, script, data, inferred.unwrap_or(0)].into_iter().max()? + 8;
        Some(SharedLayout {
            name,
            script,
            data,
            has_builtin_ids: at(BUILTIN_IDS, version)?,
            code: at(CODE, version)?,
            inferred,
            start,
            end,
            size: last.max(after_start).next_multiple_of(8),
        })
    }
}

/// ScopeInfo: an array of slots.
#[derive(Clone, Copy, Debug)]
pub struct ScopeInfoLayout {
    /// Offset of slot 0: after map and length while it was a FixedArray.
    pub slots: u16,
    /// Slot with the number of context locals.
    pub local_count: u8,
    /// First slot of the variables.
    pub first_variable: u8,
    /// Names of parameters and stack locals stand before the context locals, up to 6.8.
    pub has_stack_names: bool,
    /// Context locals from this number on are in a hash table: one slot instead of one a name.
    pub hashed_from: Option<u32>,
    /// Slot of the start position; the end follows. `None`: after the names.
    pub start: Option<u8>,
}

impl ScopeInfoLayout {
    pub(super) fn of(version: Version, constants: &dyn Constants) -> ScopeInfoLayout {
        // No FixedArray any longer since 9.1 (`src/objects/scope-info.tq`; measured on Node 16.3 and 16.4).
        const SLOTS: Row = &[((3, 11), 16), ((9, 1), 8)];
        const FIRST_VARIABLE: Since<u8> = &[((3, 11), 4), ((7, 0), 3), ((12, 9), 5)];
        const LOCAL_COUNT: Since<u8> = &[((3, 11), 3), ((7, 0), 2)];
        const HASHED: Since<Option<u32>> = &[((3, 11), None), ((9, 8), Some(75))];
        const START: Since<Option<u8>> = &[((3, 11), None), ((12, 9), Some(3))];
        let slot = |name, history: Since<u8>| {
            let symbol = constants.get(name).and_then(|slot| u8::try_from(slot).ok());
            symbol.or_else(|| at(history, version)).unwrap_or(0)
        };
        ScopeInfoLayout {
            slots: at(SLOTS, version).unwrap_or(8),
            local_count: slot("scopeinfo_idx_ncontextlocals", LOCAL_COUNT),
            first_variable: slot("scopeinfo_idx_first_vars", FIRST_VARIABLE),
            has_stack_names: !version.since(7, 0),
            hashed_from: at(HASHED, version).flatten(),
            start: at(START, version).flatten(),
        }
    }
}

/// Script.
#[derive(Clone, Copy, Debug)]
pub struct ScriptLayout {
    /// Source text: a String.
    pub source: u16,
    /// Name: a String, or undefined.
    pub name: u16,
    /// Line of the text's first line in its file, a Smi.
    pub line_offset: u16,
    /// Column of the text's first character, a Smi.
    pub column_offset: u16,
    /// Ends of lines as a FixedArray of Smis, if V8 has computed them.
    pub line_ends: u16,
    /// Script's number, a Smi; a heap number's place in 3.11 and 3.14 holds a Smi too.
    pub id: u16,
    /// `//# sourceURL=`: a String, or undefined; none in 3.11 and 3.14.
    pub source_url: Option<u16>,
    /// Bit 0 of this Smi: compiled by eval.
    pub flags: Option<u16>,
    /// Bytes to read: all of the above.
    pub size: u16,
}

impl ScriptLayout {
    pub(super) fn of(version: Version, constants: &dyn Constants) -> Option<ScriptLayout> {
        const LINE_ENDS: Row = &[((3, 11), 88), ((3, 28), 64), ((7, 0), 56)];
        const ID: Row = &[((3, 11), 96), ((3, 28), 72), ((7, 0), 64)];
        const SOURCE_URL: Since<Option<u16>> = &[
            ((3, 11), None),
            ((3, 28), Some(104)),
            ((4, 5), Some(112)),
            ((7, 0), Some(104)),
            ((11, 3), Some(112)),
        ];
        // 3.11 and 3.14 have a compilation type of its own, 1 for eval.
        const FLAGS: Since<Option<u16>> = &[
            ((3, 11), Some(72)),
            ((3, 28), Some(96)),
            ((4, 5), Some(104)),
            ((7, 0), Some(96)),
            ((11, 3), Some(104)),
        ];
        let pick = |name: &str, otherwise: u16| offset(constants.get(name)).unwrap_or(otherwise);
        let line_ends = pick("class_Script__line_ends__Object", at(LINE_ENDS, version)?);
        let id = at(ID, version)?;
        let source_url = at(SOURCE_URL, version)?;
        let flags = at(FLAGS, version)?;
        let last = [line_ends, id, source_url.unwrap_or(0), flags.unwrap_or(0)].into_iter().max()?;
        Some(ScriptLayout {
            source: pick("class_Script__source__Object", 8),
            name: pick("class_Script__name__Object", 16),
            line_offset: pick("class_Script__line_offset__SMI", 24),
            column_offset: pick("class_Script__column_offset__SMI", 32),
            line_ends,
            id,
            source_url,
            flags,
            size: last + 8,
        })
    }
}

/// Strings. The low bits of a string's type tell its representation and encoding.
#[derive(Clone, Copy, Debug)]
pub struct StringLayout {
    /// Length in characters.
    pub length: u16,
    /// The length is a Smi; else an int32.
    pub length_is_smi: bool,
    /// Characters of a sequential string, first part of a cons, parent of a slice, the string behind
    /// a thin one, resource of an external one.
    pub payload: u16,
    /// Second part of a cons, offset of a slice (a Smi), characters of an external one.
    pub second: u16,
    /// Bits of the type that tell the representation: 0 sequential, 1 cons, 2 external, 3 sliced,
    /// 5 thin.
    pub representation: u16,
    /// Bit of the type that says one byte a character.
    pub one_byte: u16,
    /// Bit of the type that says that an external string does not cache its characters' address.
    pub uncached: u16,
}

impl StringLayout {
    pub(super) fn of(version: Version) -> Option<StringLayout> {
        // (length, is Smi, payload, second)
        const SHAPE: Since<(u16, bool, u16, u16)> =
            &[((3, 11), (8, true, 24, 32)), ((3, 28), (16, true, 24, 32)), ((7, 4), (12, false, 16, 24))];
        // (representation, one byte, uncached), by `kStringRepresentationMask`, `kStringEncodingMask` and
        // `kShortExternalStringTag`, later `kUncachedExternalStringTag`: thin strings took one bit more for the
        // representation (`src/objects.h`, 5.6), and a bit that said that two-byte characters fit into one byte
        // went (`src/objects/instance-type.h`, measured in 7.4; 7.1 had it still).
        const BITS: Since<(u16, u16, u16)> =
            &[((3, 11), (3, 4, 0x10)), ((5, 6), (7, 8, 0x20)), ((7, 4), (7, 8, 0x10))];
        let (length, length_is_smi, payload, second) = at(SHAPE, version)?;
        let (representation, one_byte, uncached) = at(BITS, version)?;
        Some(StringLayout { length, length_is_smi, payload, second, representation, one_byte, uncached })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v8::fixture::layout_with;

    fn version(major: u16, minor: u16) -> Version {
        Version { major, minor, ..Version::default() }
    }

    #[test]
    fn an_uncached_external_strings_bit_has_moved_twice() {
        let bit = |major, minor| StringLayout::of(version(major, minor)).map(|layout| layout.uncached);
        assert_eq!([bit(3, 14), bit(5, 5)], [Some(0x10); 2]);
        assert_eq!([bit(5, 8), bit(6, 2), bit(7, 0)], [Some(0x20); 3]);
        assert_eq!([bit(7, 4), bit(8, 4), bit(14, 6)], [Some(0x10); 3]);
    }

    #[test]
    fn a_scope_infos_type_is_known_where_no_symbol_tells_it_and_names_stand_in_it() {
        let without =
            |name: &str, value| (name != "type_ScopeInfo__SCOPE_INFO_TYPE").then_some(value).flatten();
        let of = |minor| layout_with(version(6, minor), &without).unwrap();
        assert_eq!([of(6), of(7), of(8)].map(|layout| layout.types.scope_info), [None, Some(187), None]);
        let shared = of(7).shared;
        assert_eq!((shared.name, shared.script, shared.inferred), (16, 32, Some(48)));
        assert_eq!(shared.start, StartPosition::Packed { at: 72 });
    }

    #[test]
    fn a_scope_info_has_no_length_since_9_1() {
        let slots =
            |(major, minor)| layout_with(version(major, minor), &|_, value| value).unwrap().scope_info.slots;
        assert_eq!([(6, 8), (8, 6), (9, 0)].map(slots), [16; 3]);
        assert_eq!([(9, 1), (9, 2), (9, 3), (9, 4), (14, 6)].map(slots), [8; 5]);
    }

    #[test]
    fn an_end_lies_in_what_is_read_of_a_function() {
        for (major, minor) in [(3, 11), (3, 14), (3, 28), (5, 5), (5, 8), (6, 0), (6, 1), (6, 6), (6, 7)] {
            let layout = layout_with(version(major, minor), &|_, value| value).unwrap().shared;
            let end = layout.end.unwrap();
            let StartPosition::Packed { at: start } = layout.start else { panic!("{major}.{minor}") };
            // They are neighbours; the one in a word's low half has a bit below it while that had to be a Smi.
            assert_eq!(start.abs_diff(end.at), 4, "{major}.{minor}");
            assert_eq!(end.shift == 1, end.at < start, "{major}.{minor}");
            assert!(end.at + 4 <= layout.size && start + 4 <= layout.size, "{major}.{minor}");
        }
        assert!(layout_with(version(7, 0), &|_, value| value).unwrap().shared.end.is_none());
    }
}
