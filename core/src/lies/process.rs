//! A process whose stack, heap and registers lie.

use super::{Choices, mix};
use crate::arch::{Arch, Registers};
use crate::elf::Elf;
use crate::limits::{ARGUMENT_FRAMES, STACK_FRAMES};
use crate::maps::{FilePlace, Maps};
use crate::memory::{Fault, Memory, Recorded};
use crate::profile::{Kind, Meta, Receipt, Thread};
use crate::sample::resolve::Symbols;
use crate::sample::sampler::{Sampler, Sleeper};
use crate::v8::builtins::Builtins;
use crate::v8::bytecode::BytecodeSizes;
use crate::v8::fixture::{FakeHeap, layout_with, smi_word};
use crate::v8::image::Image;
use crate::v8::isolate::{IsolateAccess, Source};
use crate::v8::{Layout, Version};
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::cell::Cell;
use core::ops::Range;

const CODE: u64 = 0x40_0000;
const BLOB: Range<u64> = 0x1000..0x2000;
const HEAP: Range<u64> = 0x10_0000..0x18_0000;
/// Compiled code, as writable as V8 has it.
const JIT: Range<u64> = 0x70_0000..0x71_0000;
const STACK: Range<u64> = 0x7fff_0000_0000..0x7fff_0000_8000;
/// Between code objects.
const CODE_STEP: u64 = 0x400;
const MAPS: &[u8] = b"00400000-00410000 r-xp 00000000 08:01 7 /usr/bin/node\n\
    00700000-00710000 rwxp 00000000 00:00 0 \n\
    7fff00000000-7fff00008000 rw-p 00000000 00:00 0 [stack]\n";

/// Reads of memory that one stop may take at most, each of any size.
const READS: u64 = 400_000;

/// V8 versions that a lie is told for.
const VERSIONS: [(u16, u16); 18] = [
    (3, 14),
    (3, 28),
    (4, 5),
    (5, 1),
    (6, 0),
    (6, 2),
    (6, 7),
    (6, 8),
    (7, 4),
    (8, 4),
    (9, 4),
    (10, 2),
    (11, 3),
    (12, 4),
    (13, 6),
    (14, 1),
    (14, 6),
    (15, 0),
];

/// One thing in a process that cannot be so, where all else is as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hazard {
    /// Both halves of a string are itself.
    CyclicString,
    /// Two strings are halves of each other.
    StringsInTurn,
    /// A string whose left half has a left half, and so on, deeper than any reader's patience.
    DeepString,
    /// A string is a slice of itself.
    SliceOfItself,
    /// A string stands for itself.
    ThinItself,
    /// A string of 4 GiB.
    HugeString,
    /// A string of the greatest length that V8 permits, most of which is not there.
    LongestString,
    /// A string whose characters are outside of all that is mapped.
    StringNowhere,
    /// A frame's caller is itself.
    FrameItself,
    /// The first frame's caller is the last.
    FramesInTurn,
    /// A frame's caller is further away than any stack reaches.
    FrameFarAway,
    /// A frame's caller is between two words.
    FrameUneven,
    /// A function's description is the function.
    FunctionItself,
    /// A script's name and source are the script.
    ScriptItself,
    /// A scope of 2 billion variables.
    HugeScope,
    /// Bytecode of 2 GiB.
    HugeCode,
    /// An object's map is the object.
    MapItself,
}

const HAZARDS: [Hazard; 17] = [
    Hazard::CyclicString,
    Hazard::StringsInTurn,
    Hazard::DeepString,
    Hazard::SliceOfItself,
    Hazard::ThinItself,
    Hazard::HugeString,
    Hazard::LongestString,
    Hazard::StringNowhere,
    Hazard::FrameItself,
    Hazard::FramesInTurn,
    Hazard::FrameFarAway,
    Hazard::FrameUneven,
    Hazard::FunctionItself,
    Hazard::ScriptItself,
    Hazard::HugeScope,
    Hazard::HugeCode,
    Hazard::MapItself,
];

/// The string of a hazard that is one.
fn hazardous_string(heap: &mut FakeHeap, hazard: Option<Hazard>, plain: u64) -> Option<u64> {
    let string = |heap: &mut FakeHeap, kind: u16, length, payload, second| {
        heap.composed(kind | 8, length, payload, second)
    };
    let halves = |heap: &mut FakeHeap, of: u64, first: u64, second: u64| {
        heap.memory.put_word(of + 15, first);
        heap.memory.put_word(of + 23, second);
    };
    Some(match hazard? {
        Hazard::CyclicString => {
            let cyclic = string(heap, 1, 90, 0, 0);
            halves(heap, cyclic, cyclic, cyclic);
            cyclic
        }
        Hazard::StringsInTurn => {
            let (left, right) = (string(heap, 1, 90, 0, 0), string(heap, 1, 90, 0, 0));
            halves(heap, left, right, plain);
            halves(heap, right, left, plain);
            left
        }
        Hazard::DeepString => (0..2000).fold(plain, |deeper, _| string(heap, 1, 5000, deeper, plain)),
        Hazard::SliceOfItself => {
            let slice = string(heap, 3, 90, 0, 0);
            halves(heap, slice, slice, smi_word(1));
            slice
        }
        Hazard::ThinItself => {
            let thin = string(heap, 5, 90, 0, 0);
            halves(heap, thin, thin, 0);
            thin
        }
        Hazard::HugeString => string(heap, 0, u32::MAX, 0, 0),
        Hazard::LongestString => string(heap, 0, (1 << 29) - 24, 0, 0),
        Hazard::StringNowhere => string(heap, 2, 1 << 20, u64::MAX - 7, u64::MAX - 7),
        _ => return None,
    })
}

/// A process' memory, part of which is as it should be.
struct Lies<'a> {
    good: &'a Good,
    seed: u64,
    /// Of 256 words, so many are lies.
    density: u64,
    reads: Cell<u64>,
}

impl Lies<'_> {
    fn word_at(&self, at: u64) -> u64 {
        let draw = mix(self.seed ^ at);
        match self.good.word(at) {
            Some(good) if draw % 256 >= self.density => good,
            _ => self.lie(at, mix(draw)),
        }
    }

    fn lie(&self, at: u64, draw: u64) -> u64 {
        let (kind, value) = (draw % 16, draw >> 4);
        match kind {
            // Something that is there, of whatever kind; what this belongs to; itself.
            0..=3 => self.good.objects[value as usize % self.good.objects.len()],
            4 => at | 1,
            5 => (at & !31) | 1,
            6 => at,
            // A place in the heap, the code, the stack; most often a little further on.
            7 => (HEAP.start + value % (HEAP.end - HEAP.start)) | 1,
            8 => CODE + BLOB.start + value % (BLOB.end - BLOB.start),
            9 => JIT.start + value % (JIT.end - JIT.start),
            10 => (STACK.start + value % (STACK.end - STACK.start)) & !7,
            11 => at.wrapping_add(value % 512),
            // Numbers: a frame's marker, small, huge, negative.
            12 => (value % 64) << 1,
            13 => smi_word((value % 300) as i32),
            14 => [u64::MAX, 1 << 63, u64::from(u32::MAX) << 32, u64::from(u32::MAX), 0][value as usize % 5],
            _ => mix(value),
        }
    }
}

impl Memory for Lies<'_> {
    fn read(&self, address: u64, into: &mut [u8]) -> Result<(), Fault> {
        self.reads.set(self.reads.get() + 1);
        let end = address.checked_add(into.len() as u64).ok_or(Fault { address })?;
        let is_there = |range: &Range<u64>| range.start <= address && end <= range.end;
        if ![HEAP, JIT, STACK].iter().any(is_there) {
            return Err(Fault { address });
        }
        let (mut at, mut into) = (address, into);
        while !into.is_empty() {
            let word = self.word_at(at & !7).to_le_bytes();
            let part = &word[(at % 8) as usize..];
            let len = part.len().min(into.len());
            let (head, rest) = into.split_at_mut(len);
            head.copy_from_slice(&part[..len]);
            (at, into) = (at + len as u64, rest);
        }
        Ok(())
    }
}

/// The true part of a process' memory.
struct Good {
    /// From the start of the heap and of the stack on.
    heap: Vec<Option<u64>>,
    stack: Vec<Option<u64>>,
    /// The map of code objects, which stand at even distances.
    code_map: u64,
    /// All objects, tagged.
    objects: Vec<u64>,
}

impl Good {
    fn word(&self, at: u64) -> Option<u64> {
        let index = |start: u64| Some((at.checked_sub(start)? / 8) as usize);
        match at {
            _ if STACK.contains(&at) => *self.stack.get(index(STACK.start)?)?,
            _ if HEAP.contains(&at) => *self.heap.get(index(HEAP.start)?)?,
            _ if JIT.contains(&at) && at.is_multiple_of(CODE_STEP) => Some(self.code_map),
            _ => None,
        }
    }
}

struct NoSymbols;

impl Symbols for NoSymbols {
    fn name(&mut self, _: FilePlace, _: &mut String) -> Kind {
        Kind::Native
    }
    fn path(&mut self, _: FilePlace, _: &mut String) {}
}

/// A 64-bit executable with one segment and nothing else.
pub(super) fn executable(arch: Arch) -> Vec<u8> {
    let mut file = vec![0; 0x2000];
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"\x7fELF\x02\x01\x01");
    put(16, &2u16.to_le_bytes());
    put(18, &arch.elf_machine().to_le_bytes());
    put(32, &64u64.to_le_bytes());
    put(54, &56u16.to_le_bytes());
    put(56, &1u16.to_le_bytes());
    put(64, &1u32.to_le_bytes());
    put(68, &5u32.to_le_bytes());
    put(80, &CODE.to_le_bytes());
    put(96, &0x2000u64.to_le_bytes());
    put(104, &0x2000u64.to_le_bytes());
    file
}

/// The layout of some version; with what `seed` makes of it, some of its symbols lie.
fn layout(choices: &mut Choices<'_>) -> Option<Layout> {
    let (major, minor) = VERSIONS[choices.below(VERSIONS.len())];
    let (density, seed) = (u64::from(choices.byte() % 4) * 12, choices.word());
    let lie = |name: &str, value: Option<i32>| {
        let draw = mix(name.bytes().fold(seed, |sum, byte| mix(sum ^ u64::from(byte))));
        if draw % 256 >= density {
            return value;
        }
        match draw >> 8 & 7 {
            0 => None,
            1 => Some(i32::MAX),
            2 => Some(i32::MIN),
            3 => Some(-1),
            4 => Some((draw >> 16) as i32 % 4096),
            5 => value.map(|value| value ^ 1),
            _ => Some((draw >> 32) as i32),
        }
    };
    layout_with(Version { major, minor, ..Version::default() }, &lie)
}

/// Strings, scripts, functions and code, and a stack of three interpreted functions over an entry frame.
fn process(layout: Layout, hazard: Option<Hazard>) -> Good {
    let is = |this: Hazard| hazard == Some(this);
    let mut heap = FakeHeap::new(layout);
    let mut objects = Vec::new();
    let empty = heap.string("");
    let path = heap.string("/srv/app.js");
    let wide = heap.wide_string("function \u{444}() {}\n");
    let source = heap.string("function root() {\n middle();\n}\nfunction middle() {\n leaf();\n}\n");
    let cons = heap.composed(1, 90, source, wide);
    let endless = heap.composed(1 | 8, u32::MAX, cons, cons);
    let slice = heap.composed(3 | 8, 20, source, smi_word(4));
    let thin = heap.composed(5, 11, path, 0);
    let text = hazardous_string(&mut heap, hazard, source);
    let (path, cons) = (text.unwrap_or(path), text.unwrap_or(cons));
    let outside = heap.composed(2 | 8, 1 << 30, 0x9000, 0x9000);
    let script = heap.script(path, cons, 3);
    if is(Hazard::ScriptItself) {
        heap.memory.put_word(script + 7, script);
        heap.memory.put_word(script + 15, script);
    }
    let table = heap.object(heap.layout.types.fixed_array, &[smi_word(4), script, endless, cons, 0]);
    objects.extend([empty, path, wide, source, cons, endless, slice, thin, outside, script, table]);
    let mut stack = Recorded::new();
    let mut fp = STACK.start + 0x80;
    for (name, start) in [("leaf", 71), ("middle", 45), ("root", 13)] {
        let name = text.unwrap_or_else(|| heap.string(name));
        let scope = heap.scope_info(&[path, endless], name, cons, start, start + 4);
        if is(Hazard::HugeScope) {
            heap.memory.put_word(scope + 23, smi_word(i32::MAX));
        }
        let kind = heap.layout.types.bytecode_array.unwrap_or(191);
        let length = if is(Hazard::HugeCode) { i32::MAX } else { 4 };
        let code = heap.object(kind, &[smi_word(length), table, 0, 0, 0, 0]);
        let shared = heap.shared(scope, script, code);
        let function = heap.function(shared);
        if is(Hazard::FunctionItself) {
            heap.memory.put_word(function + 23, function);
        }
        if is(Hazard::MapItself) {
            for object in [scope, code, shared] {
                heap.memory.put_word(object - 1, object);
            }
        }
        objects.extend([name, scope, code, shared, function]);
        let next = fp + 0x100;
        let caller = match hazard {
            Some(Hazard::FrameItself) => fp,
            Some(Hazard::FramesInTurn) if start == 13 => STACK.start + 0x80,
            Some(Hazard::FrameFarAway) => u64::MAX - 7,
            Some(Hazard::FrameUneven) => next + 3,
            _ => next,
        };
        let back = CODE + BLOB.start + 0x100;
        for (offset, word) in
            [(0, caller), (8, back), (-8, empty), (-16, function), (-24, 1), (-32, code), (-40, smi_word(53))]
        {
            stack.put_word(fp.wrapping_add_signed(offset), word);
        }
        fp = next;
    }
    // The entry frame: its marker, and no caller.
    stack.put_word(fp - 8, 1 << 1);
    objects.extend(heap.maps().map(|map| map.1));
    objects.extend(JIT.step_by(CODE_STEP as usize).map(|at| at | 1));
    let code_map = heap.map(heap.layout.types.instructions);
    let words =
        |memory: &Recorded, range: Range<u64>| range.step_by(8).map(|at| memory.word(at).ok()).collect();
    let end = heap.room(0);
    Good {
        heap: words(&heap.memory, HEAP.start..end),
        stack: words(&stack, STACK.start..fp + 8),
        code_map,
        objects,
    }
}

/// Some stops of a thread, by the sampler as node-flame uses it.
pub fn sampler(bytes: &[u8]) {
    stops(bytes, &mut |_| ());
}

/// The same, with a look at the sampler after each stop.
fn stops(bytes: &[u8], look: &mut dyn FnMut(&Sampler<'_>)) {
    let mut choices = Choices(bytes);
    let arch = if choices.byte().is_multiple_of(8) { Arch::Aarch64 } else { Arch::X86_64 };
    let Some(layout) = layout(&mut choices) else { return };
    let hazard = HAZARDS.get(usize::from(choices.byte() / 4)).copied();
    let wishes = choices.byte();
    let good = process(layout.clone(), hazard);
    let file = executable(arch);
    let Ok(elf) = Elf::parse(&file) else { return };
    let mut maps = Maps::new();
    maps.update(MAPS, &[]);
    let Some(v8) = maps.place(CODE).map(|place| place.module) else { return };
    let source = match choices.byte() % 4 {
        0 => Source::ThreadLocal(choices.number() as i64),
        1 => Source::Key(choices.number()),
        _ => Source::Register,
    };
    let mut field = || (!choices.byte().is_multiple_of(3)).then(|| choices.number() as i32);
    let root_bias = arch.root_bias();
    let isolate = IsolateAccess { source, root_bias, c_entry_fp: field(), js_entry_sp: field() };
    let active_stack = isolate.c_entry_fp;
    let sizes: Vec<u8> = (0..64).map(|_| choices.byte() % 8).collect();
    let bytecode_sizes = (!sizes.is_empty()).then(|| BytecodeSizes::new(&sizes, layout.bytecode));
    let image = Image { layout, builtins: Builtins::unnamed(BLOB), isolate, active_stack, bytecode_sizes };
    let mut sampler = Sampler::new(&elf, image, maps, v8);
    sampler.module(v8, Some(elf));
    if wishes & 1 != 0 {
        sampler.keep_arguments();
    }
    if wishes & 2 != 0 {
        sampler.keep_sources();
    }
    if wishes & 4 != 0 {
        sampler.split_by_thread();
    }
    sampler.thread(0, Thread { tid: 1, name: "main".to_string() }, true);
    // Some compare what they took for known, others need not.
    for at_us in [0, 1_500, 3_000, 6_000] {
        let how = choices.byte();
        let lies = Lies {
            good: &good,
            seed: choices.word(),
            density: u64::from(how % 16) * u64::from(how % 16),
            reads: Cell::new(0),
        };
        let mut registers = Registers { syscall: -1, tls: choices.number(), ..Registers::default() };
        registers
            .general
            .iter_mut()
            .zip(0..)
            .for_each(|(word, number)| *word = lies.lie(number * 8, mix(lies.seed ^ number)));
        registers.pc = match how >> 4 & 3 {
            0 => CODE + BLOB.start + 0x100,
            1 => JIT.start + u64::from(choices.half()) % 0x1_0000,
            _ => lies.lie(0, choices.word()),
        };
        if !how.is_multiple_of(5) {
            registers.general[arch.stack_pointer()] = STACK.start;
            registers.general[arch.frame_pointer()] = STACK.start + 0x80;
        } else if how.is_multiple_of(10) {
            registers.general[arch.stack_pointer()] = choices.number();
            registers.general[arch.frame_pointer()] = choices.number();
        }
        if how.is_multiple_of(7) {
            let sleeper = Sleeper { pc: registers.pc, sp: registers.sp(arch) };
            let still = how.is_multiple_of(2);
            sampler.asleep(0, sleeper, still, at_us, &lies, &|| !how.is_multiple_of(3));
        } else {
            sampler.held(0, &registers, &lies);
            sampler.released(0, at_us, &lies);
        }
        assert!(sampler.last().len() <= STACK_FRAMES + 2);
        assert!(sampler.arguments().len() <= ARGUMENT_FRAMES);
        assert!(lies.reads.get() <= READS, "{} reads in one stop", lies.reads.get());
        look(&sampler);
    }
    sampler.finish(Meta::default(), Receipt::default(), &mut NoSymbols);
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use crate::sample::raw::RawFrame;

    /// An input without a lie but this.
    fn input(hazard: usize) -> Vec<u8> {
        let mut bytes = vec![1, 10, 0, 0, 0];
        bytes.resize(14, 0);
        bytes.extend([hazard as u8 * 4, 3, 2, 0, 0]);
        bytes.resize(bytes.len() + 64, 0);
        for how in [64, 128, 192, 112] {
            bytes.push(how);
            bytes.resize(bytes.len() + 9, 0);
        }
        bytes
    }

    #[test]
    fn without_a_lie_three_functions_are_met_and_each_hazard_is_one() {
        let frames = |hazard: usize| {
            let mut counts = Vec::new();
            let is_named = |frame: &&RawFrame| matches!(frame, RawFrame::JavaScript { .. });
            stops(&input(hazard), &mut |sampler| counts.push(sampler.last().iter().filter(is_named).count()));
            counts
        };
        let plain = frames(HAZARDS.len());
        assert_eq!(plain[..3], [3; 3]);
        for (number, hazard) in HAZARDS.iter().enumerate() {
            let met = frames(number);
            assert!(met.iter().all(|count| *count <= 3), "{hazard:?}: {met:?}");
            let is_kept = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/lies/found"))
                .unwrap()
                .any(|file| std::fs::read(file.unwrap().path()).unwrap() == input(number));
            assert!(is_kept, "{hazard:?} is not among the inputs that are read in every run");
        }
    }
}
