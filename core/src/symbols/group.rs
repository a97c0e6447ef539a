//! What native code works on, told by its name: collecting garbage, compiling, the rest of V8, the
//! C library.
//!
//! V8's classes keep their names for years, so one table serves all versions; it was checked against
//! the symbols of Node 0.10 to 26. What is not in it is V8's or native all the same.

use crate::profile::Kind;

/// How an entry of the table matches a name's first component inside `v8::internal`.
#[derive(Clone, Copy, Debug)]
enum Match {
    /// All of it.
    Whole(&'static str),
    /// Its start.
    Start(&'static str),
    /// Any part of it.
    Part(&'static str),
    /// This capital letter and then another: classes of Crankshaft's two graphs, `HAdd` and `LAdd`.
    Capitals(u8),
}

use Match::{Capitals, Part, Start, Whole};

/// The first entry that matches counts.
const TABLE: &[(Match, Kind)] = &[
    // Functions that JavaScript calls are named by what they do, not by what they are part of.
    (Start("Runtime_"), Kind::V8),
    (Start("Stats_Runtime_"), Kind::V8),
    (Start("__RT_impl_"), Kind::V8),
    (Start("Builtin"), Kind::V8),
    // Heap snapshots and profilers have collectors' words in their names.
    (Start("HeapSnapshot"), Kind::V8),
    (Start("HeapProfiler"), Kind::V8),
    (Start("HeapObject"), Kind::V8),
    (Start("ObjectStats"), Kind::V8),
    (Whole("Heap"), Kind::Gc),
    (Whole("HeapAllocator"), Kind::Gc),
    (Start("CppHeap"), Kind::Gc),
    (Start("UnifiedHeap"), Kind::Gc),
    (Start("LocalHeap"), Kind::Gc),
    (Part("EmbedderHeapTracer"), Kind::Gc),
    (Start("MarkCompact"), Kind::Gc),
    (Start("MinorMark"), Kind::Gc),
    (Start("MinorGC"), Kind::Gc),
    (Part("Marking"), Kind::Gc),
    (Start("Marker"), Kind::Gc),
    (Part("Scaveng"), Kind::Gc),
    (Part("Sweep"), Kind::Gc),
    (Part("Evacuat"), Kind::Gc),
    (Start("YoungGeneration"), Kind::Gc),
    (Start("GCTracer"), Kind::Gc),
    (Start("GCIdleTime"), Kind::Gc),
    (Start("ScheduleMinorGC"), Kind::Gc),
    (Start("MemoryAllocator"), Kind::Gc),
    (Start("MemoryReducer"), Kind::Gc),
    (Start("MemoryChunk"), Kind::Gc),
    (Start("MemoryController"), Kind::Gc),
    (Start("MainAllocator"), Kind::Gc),
    (Start("SemiSpace"), Kind::Gc),
    (Start("NewSpace"), Kind::Gc),
    (Start("OldSpace"), Kind::Gc),
    (Start("PagedSpace"), Kind::Gc),
    (Start("PagedNewSpace"), Kind::Gc),
    (Start("CompactionSpace"), Kind::Gc),
    (Start("SpaceWithLinearArea"), Kind::Gc),
    (Part("LargeObjectSpace"), Kind::Gc),
    (Start("FreeList"), Kind::Gc),
    (Start("StoreBuffer"), Kind::Gc),
    (Part("RememberedSet"), Kind::Gc),
    (Start("RecordMigratedSlot"), Kind::Gc),
    (Start("PromotedPageRecord"), Kind::Gc),
    (Start("PointersUpdating"), Kind::Gc),
    (Start("ToSpaceUpdating"), Kind::Gc),
    (Start("LiveObject"), Kind::Gc),
    (Start("NewSpaceVisitor"), Kind::Gc),
    (Start("StaticNewSpace"), Kind::Gc),
    (Start("WeakObjects"), Kind::Gc),
    (Part("WeakObjectRetainer"), Kind::Gc),
    (Start("WriteBarrier"), Kind::Gc),
    (Start("GlobalHandles"), Kind::Gc),
    (Start("TracedHandles"), Kind::Gc),
    (Start("Pretenuring"), Kind::Gc),
    (Start("CollectionBarrier"), Kind::Gc),
    (Start("IsolateSafepoint"), Kind::Gc),
    (Start("GlobalSafepoint"), Kind::Gc),
    (Part("StringTableCleaner"), Kind::Gc),
    (Start("third_party_heap"), Kind::Gc),
    // Sub-namespaces of the compilers.
    (Whole("compiler"), Kind::Compiler),
    (Whole("maglev"), Kind::Compiler),
    (Whole("baseline"), Kind::Compiler),
    (Whole("interpreter"), Kind::Compiler),
    (Whole("turboshaft"), Kind::Compiler),
    // Profilers and loggers of code.
    (Start("CompilationCache"), Kind::V8),
    (Start("CompilationStatistics"), Kind::V8),
    (Start("Json"), Kind::V8),
    (Start("DateParser"), Kind::V8),
    (Whole("Parser"), Kind::Compiler),
    (Start("ParserBase"), Kind::Compiler),
    (Start("ParseInfo"), Kind::Compiler),
    (Start("ParserFormal"), Kind::Compiler),
    (Whole("parsing"), Kind::Compiler),
    (Start("PreParse"), Kind::Compiler),
    (Start("Preparse"), Kind::Compiler),
    (Part("ConsumedPreparseData"), Kind::Compiler),
    (Start("Scanner"), Kind::Compiler),
    (Part("Utf16CharacterStream"), Kind::Compiler),
    (Part("ufferedCharacterStream"), Kind::Compiler),
    (Start("Utf8ExternalStreaming"), Kind::Compiler),
    (Start("Ast"), Kind::Compiler),
    (Start("AsmJs"), Kind::Compiler),
    (Start("ExpressionScope"), Kind::Compiler),
    (Start("ExpressionParsingScope"), Kind::Compiler),
    (Start("FuncNameInferrer"), Kind::Compiler),
    (Whole("Scope"), Kind::Compiler),
    (Start("DeclarationScope"), Kind::Compiler),
    (Start("ClassScope"), Kind::Compiler),
    (Start("ModuleScope"), Kind::Compiler),
    (Start("VariableMap"), Kind::Compiler),
    (Start("VariableProxy"), Kind::Compiler),
    (Whole("Processor"), Kind::Compiler),
    (Whole("Rewriter"), Kind::Compiler),
    (Whole("Compiler"), Kind::Compiler),
    (Start("Compilation"), Kind::Compiler),
    (Part("CompilationJob"), Kind::Compiler),
    (Part("CompilationInfo"), Kind::Compiler),
    (Part("CompileJob"), Kind::Compiler),
    (Part("CompileTask"), Kind::Compiler),
    (Part("CompileDispatcher"), Kind::Compiler),
    (Part("CompilerDispatcher"), Kind::Compiler),
    (Part("CompilerThread"), Kind::Compiler),
    (Part("OptimizingCompile"), Kind::Compiler),
    (Part("MacroAssembler"), Kind::Compiler),
    (Start("Assembler"), Kind::Compiler),
    (Start("TurboAssembler"), Kind::Compiler),
    (Start("FullCodeGen"), Kind::Compiler),
    (Start("BreakableStatementChecker"), Kind::Compiler),
    (Start("TypeFeedbackOracle"), Kind::Compiler),
    (Start("RegExpCompiler"), Kind::Compiler),
    (Start("RegExpParser"), Kind::Compiler),
    (Start("RegExpCodeGenerator"), Kind::Compiler),
    (Start("EhFrameWriter"), Kind::Compiler),
    (Start("RegExpBytecodeGenerator"), Kind::Compiler),
    (Start("SourcePositionTableBuilder"), Kind::Compiler),
    (Start("FrameTranslationBuilder"), Kind::Compiler),
    (Start("LiveRange"), Kind::Compiler),
    (Start("TranslationArrayBuilder"), Kind::Compiler),
    (Capitals(b'H'), Kind::Compiler),
    (Capitals(b'L'), Kind::Compiler),
];

/// The same for classes of WebAssembly, in `v8::internal::wasm`.
const WASM: &[(Match, Kind)] = &[
    (Part("Compil"), Kind::Compiler),
    (Part("Liftoff"), Kind::Compiler),
    (Part("Decoder"), Kind::Compiler),
    (Part("Turboshaft"), Kind::Compiler),
    (Part("GraphBuild"), Kind::Compiler),
    (Part("Validat"), Kind::Compiler),
    (Start("AsmJs"), Kind::Compiler),
];

/// Base names of the C library and of its dynamic linker, without what follows them.
const LIBC: [&[u8]; 12] = [
    b"libc.so",
    b"libc-2.",
    b"libc.musl-",
    b"libpthread",
    b"librt.",
    b"librt-2.",
    b"libm.so",
    b"libm-2.",
    b"libdl",
    b"ld-linux",
    b"ld-musl-",
    b"ld-2.",
];

/// What kind of native code this is. `name` is the demangled symbol, empty where there is none;
/// `object` the path of its file, or `[vdso]`.
pub fn kind_of(name: &str, object: &[u8]) -> Kind {
    let base = object.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    if matches!(base, b"[vdso]" | b"[vsyscall]") || LIBC.iter().any(|libc| base.starts_with(libc)) {
        return Kind::Libc;
    }
    let name = name.strip_prefix("non-virtual thunk to ").unwrap_or(name);
    let name = name.strip_prefix("virtual thunk to ").unwrap_or(name);
    if let Some(inside) = name.strip_prefix("v8::internal::") {
        let inside = outer(inside);
        return match inside.strip_prefix("wasm::") {
            Some(wasm) => look_up(WASM, first_component(outer(wasm))),
            None => look_up(TABLE, first_component(inside)),
        };
    }
    if name.starts_with("cppgc::") || name.starts_with("heap::base::") {
        return Kind::Gc;
    }
    if ["v8::", "v8_inspector::", "v8_crdtp::"].iter().any(|space| name.starts_with(space)) {
        return Kind::V8;
    }
    Kind::Native
}

/// What follows an anonymous namespace.
fn outer(name: &str) -> &str {
    name.strip_prefix("(anonymous namespace)::").unwrap_or(name)
}

/// A name up to its first `::`, template arguments or parameters.
fn first_component(name: &str) -> &str {
    name.split([':', '<', '(']).next().unwrap_or(name)
}

fn look_up(table: &[(Match, Kind)], component: &str) -> Kind {
    let entry = table.iter().find(|(how, _)| match how {
        Whole(whole) => component == *whole,
        Start(start) => component.starts_with(start),
        Part(part) => component.contains(part),
        Capitals(letter) => {
            matches!(component.as_bytes(), [first, second, ..] if first == letter && second.is_ascii_uppercase())
        }
    });
    entry.map_or(Kind::V8, |entry| entry.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_of_v8_is_told_by_its_classes() {
        for (name, kind) in [
            ("v8::internal::Heap::CollectGarbage(v8::internal::AllocationSpace)", Kind::Gc),
            ("v8::internal::Scavenger::Process", Kind::Gc),
            ("v8::internal::(anonymous namespace)::EvacuationWeakObjectRetainer::RetainAs", Kind::Gc),
            ("v8::internal::ConcurrentMarking::JobTaskMajor::Run", Kind::Gc),
            ("non-virtual thunk to v8::internal::ArrayBufferSweeper::Finish", Kind::Gc),
            ("cppgc::internal::Sweeper::Start", Kind::Gc),
            ("v8::internal::HeapSnapshotGenerator::FillReferences", Kind::V8),
            ("v8::internal::HeapObjectsMap::MoveObject", Kind::V8),
            ("v8::internal::HashTable<v8::internal::NameDictionary>::FindEntry", Kind::V8),
            ("v8::internal::Parser::ParseProgram", Kind::Compiler),
            ("v8::internal::ParserBase<v8::internal::PreParser>::ParseExpression", Kind::Compiler),
            ("v8::internal::interpreter::BytecodeGenerator::VisitBlock", Kind::Compiler),
            ("v8::internal::compiler::turboshaft::Graph::Add", Kind::Compiler),
            ("v8::internal::maglev::MaglevGraphBuilder::Build", Kind::Compiler),
            ("v8::internal::LCodeGen::DoAdd", Kind::Compiler),
            ("v8::internal::HGraphBuilder::Build", Kind::Compiler),
            ("v8::internal::wasm::LiftoffAssembler::Spill", Kind::Compiler),
            ("v8::internal::wasm::WasmEngine::Sample", Kind::V8),
            ("v8::internal::JsonParser<unsigned char>::ParseJsonValue", Kind::V8),
            ("v8::internal::Runtime_CompileLazy", Kind::V8),
            ("v8::Object::Get", Kind::V8),
            ("node::fs::Read", Kind::Native),
            ("v8something", Kind::Native),
            ("", Kind::Native),
        ] {
            assert_eq!(kind_of(name, b"/usr/bin/node"), kind, "{name}");
        }
    }

    #[test]
    fn the_c_library_is_told_by_its_file() {
        for object in [
            "/lib/x86_64-linux-gnu/libc.so.6",
            "/lib/x86_64-linux-gnu/libc-2.31.so",
            "/lib64/libpthread-2.17.so",
            "/lib/ld-musl-x86_64.so.1",
            "/lib64/ld-linux-x86-64.so.2",
            "[vdso]",
        ] {
            assert_eq!(kind_of("memcpy", object.as_bytes()), Kind::Libc, "{object}");
        }
        for object in ["/usr/lib/libcrypto.so.3", "/usr/lib/libcares.so.2", "", "/opt/libc/app"] {
            assert_eq!(kind_of("memcpy", object.as_bytes()), Kind::Native, "{object}");
        }
    }
}
