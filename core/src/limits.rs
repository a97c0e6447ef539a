//! Every bound of the sampler, with its reason.
//!
//! A pool that is full, a walk that is too long and a text that is too large are counted where it
//! happens and reported at the end of the run. Together the pools take less than 15 MiB when
//! all are full, whatever the target's size and the run's length (`bench/tests/tables.rs` adds them up);
//! memory that is not used is not touched. What bounds a read of a fixed number of bytes, or a search within some
//! instructions, stands where that is.

/// Frames of one stack. V8's default stack of 984 KiB holds about 11,000 of the smallest frames.
pub const STACK_FRAMES: usize = 12 << 10;

/// Bytes of one stack that are copied in a stop: V8's default limit on the stack, with room to spare.
pub const STACK_BYTES: usize = 1 << 20;

/// Blocks of 512 bytes that the small reads of one stop are made from.
pub const BLOCKS: usize = 128;

/// Distinct frames of a profile: a function at a position, a native function, a builtin.
pub const FRAMES: usize = 48 << 10;

/// Nodes of the call tree. A renderer takes up to 64 bytes for each, when the sampler is gone.
pub const NODES: usize = 96 << 10;

/// One of so many nodes is kept for what ends a cut path, so that no frame seems to have run that only called.
pub const NODES_FOR_AN_END: usize = 16;

/// Samples kept one by one, with time and thread. When they are full, every second one is merged
/// into its neighbour, so that the whole run stays covered at half the resolution.
pub const SAMPLES: usize = 1 << 16;

/// Bytes of all names and paths together.
pub const STRING_BYTES: usize = 3 << 19;

/// Distinct names and paths.
pub const STRINGS: usize = 1 << 15;

/// Bytes of one name or path. V8 has no bound on a function's name; a label needs one.
pub const NAME_BYTES: usize = 1024;

/// Threads told apart in one run. Later ones are merged into one entry.
pub const THREADS: usize = 4096;

/// Processes sampled at once with `--children`. A Node has 11 threads and takes 15 open files.
pub const PROCESSES: usize = 256;

/// Processes of one family that are followed, Node or not.
pub const FAMILY: usize = 4096;

/// Program headers of one ELF file. Files have about 10; patchelf adds a few.
pub const ELF_SEGMENTS: usize = 128;

/// Sections of one ELF file. Executables have about 40; one section a function is for object files.
pub const ELF_SECTIONS: usize = 4096;

/// Steps along one chain of a symbol hash table. Linkers keep chains below ten or so.
pub const ELF_HASH_STEPS: usize = 4096;

/// Bytes of a mangled symbol name. The longest in Node 26 has 975; templates of addons have more.
pub const SYMBOL_NAME_BYTES: usize = 16 << 10;

/// Regions of a process that are kept: code, the files that hold code, stacks. Node 8 to 14 have
/// thousands of code pages with guard pages between them.
pub const REGIONS: usize = 1 << 14;

/// Large regions of code without a file, each of which may be a copy of a file's.
pub const CODE_COPIES: usize = 16;

/// Distinct files that are mapped executable, over the whole run.
pub const MODULES: usize = 1024;

/// Bytes of the paths of these files together.
pub const MODULE_PATH_BYTES: usize = 128 << 10;

/// Program counters whose unwind rules are kept; a power of two. 64 bytes each. A busy server shows
/// a few thousand distinct ones.
pub const UNWIND_RULES: usize = 1 << 13;

/// Entries of an `.eh_frame` without a search table that are looked at for one pc.
pub const UNWIND_SCANNED_ENTRIES: usize = 4096;

/// Operations of one DWARF expression. The longest that compilers and C libraries write have 10.
pub const UNWIND_EXPRESSION_STEPS: u32 = 64;

/// Embedded builtins of one V8: 14.6 has about 2,400.
pub const BUILTINS: usize = 8192;

/// `v8dbg_*` constants of one V8: none has more than 600.
pub const V8_CONSTANTS: usize = 2048;

/// Distinct JavaScript functions of a profile.
pub const FUNCTIONS: usize = 1 << 14;

/// Distinct scripts of a profile.
pub const SCRIPTS: usize = 1 << 12;

/// Functions recognised by their object's address: those of sixty isolates with sixty on their stacks.
pub const FUNCTION_CACHE: usize = 5 << 10;

/// Maps of functions that are remembered: a few in each isolate.
pub const FUNCTION_MAPS: usize = 1 << 10;

/// Scripts recognised by their object's address.
pub const SCRIPT_CACHE: usize = 1 << 10;

/// Bytes of all scripts' line ends, about one a line.
pub const LINE_BYTES: usize = 1 << 20;

/// Bytes of all scripts' texts, kept where they are asked for: beyond the 15 MiB of the other pools.
pub const SOURCE_BYTES: usize = 16 << 20;

/// Pieces that these texts stand in: one for most scripts, more where a text was put together.
pub const SOURCE_PIECES: usize = 1 << 14;

/// Code objects recognised by address; when they are more, all are found anew.
pub const CODES: usize = 6000;

/// Maps of code objects: one in each isolate.
pub const CODE_MAPS: usize = 256;

/// Positions in code that were looked up before.
pub const PLACES: usize = 1 << 13;

/// Frames of those positions together: more than one where functions were inlined.
pub const PLACE_FRAMES: usize = 1 << 14;

/// Dispatch tables of the interpreter that are known at once: one in each isolate.
pub const DISPATCH_TABLES: usize = 8;

/// Bytes of one function's bytecode among which the instruction that runs is looked for, in a stop.
/// Longer ones are known up to there.
pub const LIVE_BYTECODES: usize = 16 << 10;

/// Bytes of one source position table that are read in a stop.
pub const POSITION_TABLE_BYTES: usize = 128 << 10;

/// Bytes of a mangled name that is made readable. The demanglers' work and stack depth grow with it.
pub const MANGLED_BYTES: usize = 4096;

/// Visits of addresses by symbols in one pass. Symbols hardly overlap, so a real pass needs one or
/// two visits for each address.
pub const SYMBOL_VISITS: usize = 1 << 22;

/// Depth of nesting of a mangled name. V8's compiler has names of more than 96. It takes less than
/// 1 MiB of stack; code that is not optimized needs several times as much for each level.
pub const DEMANGLE_DEPTH: u32 = if cfg!(debug_assertions) { 80 } else { 192 };

/// Pieces of text that one demangling may produce, written or left out.
pub const DEMANGLE_WRITES: u32 = 1 << 17;

/// Distinct WebAssembly functions of a profile.
pub const WASM_FUNCTIONS: usize = 1 << 12;

/// Code objects of WebAssembly recognised by address; when they are more, all are found anew.
pub const WASM_CODES: usize = 1 << 11;

/// Code of WebAssembly that is looked for in one stop: some 20 reads each. A frame that is not may be in the next stop.
pub const WASM_LOOKS: u32 = 96;

/// Bytes of a module's names that are passed after one stop.
pub const WASM_NAME_BYTES: u64 = 128 << 10;

/// Sections of a WebAssembly module, and parts of its names, that are passed on the way to its names.
pub const WASM_SECTIONS: usize = 1024;

/// Names of a module that are looked at.
pub const WASM_NAME_ENTRIES: u32 = 1 << 18;

/// Objects of one kind whose identity one stop believed and that are compared afterwards.
pub const WITNESSES: usize = 1 << 11;

/// Threads whose last stop is kept, so that the next one looks only at what changed. Sixty-four busy
/// threads would take turns in them and gain nothing, nor lose.
pub const RECALLED_THREADS: usize = 4;

/// Bytes of stack that are kept of such a stop, and frames: deeper stacks are walked whole each time.
pub const RECALLED_BYTES: usize = 128 << 10;

/// Frames kept of such a stop.
pub const RECALLED_FRAMES: usize = 2048;

/// Look-ups of code in one stop that may find none: each looks through up to 1 MiB, for up to a millisecond.
pub const CODE_FAILURES: u32 = 4;

/// Places in compiled code of which it is known whether the frame stands there.
pub const CODE_EDGES: usize = 1 << 12;

/// JavaScript frames of a stack whose arguments are read, from the innermost one on.
pub const ARGUMENT_FRAMES: usize = 64;

/// Arguments of one frame that are read.
pub const ARGUMENTS: usize = 8;

/// Characters of an argument that is a string.
pub const ARGUMENT_CHARACTERS: u32 = 40;

/// Steps through cons, sliced and thin strings: each is one object read. Trees that are deeper or
/// wider, or that go round, end there.
pub const STRING_STEPS: usize = 512;

/// Strings still to be read: names and sources are flat, or nearly so. No more are kept.
pub const STRING_PENDING: usize = 64;

/// Machine code of one object beyond this is not believed (V8's largest regular code object is
/// smaller by far; large ones are a few MiB).
pub const CODE_BYTES: u32 = 64 << 20;

/// Bytes scanned back from a pc for its code object's header.
pub const CODE_SCAN_BYTES: usize = 1 << 20;

/// JavaScript frames of one translation that are believed.
pub const TRANSLATED_FRAMES: u64 = 64;

/// Nodes of one function that are looked through.
pub const CRANKSHAFT_NODES: usize = 8192;

/// Deepest chain of inlined calls that is followed; V8 inlines far fewer levels.
pub const INLINING_DEPTH: usize = 64;

/// Scripts whose lines wait to be read; beyond that they are met again.
pub const UNREAD_SCRIPTS: usize = 256;

/// Changes to a stack at lower addresses that one walk follows: handlers of signals have stacks of their own,
/// and signals can interrupt handlers; WebAssembly that may be suspended has them, too.
pub const SIGNAL_STACKS: u8 = 4;

/// Entries of a module's list of new code that are looked at, from the newest on.
pub const WASM_LIST_LOOKS: usize = 256;

/// Steps down the map: twice the logarithm of more code than there can be.
pub const WASM_MAP_STEPS: usize = 64;

/// Context locals of one function that are believed; V8 allows a few thousand.
pub const CONTEXT_LOCALS: u32 = 1 << 16;

/// JavaScript frames of one translation that are believed.
pub const CRANKSHAFT_FRAMES: i64 = 32;
