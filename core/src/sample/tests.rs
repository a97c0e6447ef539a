//! The whole step on made-up memory: a stack of interpreted functions over an entry frame.

use super::raw::{Position, RawFrame};
use super::resolve::Symbols;
use super::sampler::{Outcome, Sampler, Sleeper};
use crate::arch::{Registers, x86_64};
use crate::elf::Elf;
use crate::elf::fixture::head;
use crate::maps::{FilePlace, Maps};
use crate::memory::{Fault, Memory, Recorded};
use crate::profile::{Kind, Meta, Profile, Receipt, Thread};
use crate::v8::builtins::Builtins;
use crate::v8::fixture::{FakeHeap, layout, smi_word};
use crate::v8::image::Image;
use crate::v8::isolate::{IsolateAccess, Source};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};
use core::cell::Cell;
use proptest::prelude::*;

mod repeats;

/// Where the made-up executable's code is, and V8's builtins in it.
const CODE: u64 = 0x40_0000;
const BLOB: core::ops::Range<u64> = 0x1000..0x2000;
const STACK: u64 = 0x7fff_0000_0000;
const MAPS: &[u8] = b"00400000-00410000 r-xp 00000000 08:01 7 /usr/bin/node\n\
    00700000-00800000 rwxp 00000000 00:00 0 \n\
    7fff00000000-7fff00010000 rw-p 00000000 00:00 0 [stack]\n";

/// A 64-bit x86-64 executable with one segment and nothing else.
fn executable() -> Vec<u8> {
    let mut file = head(1, 5, [0, CODE, 0x2000]);
    file.resize(0x2000, 0);
    file
}

/// A process that runs `leaf` called by `middle` called by `root`, all interpreted.
fn target() -> (FakeHeap, Registers) {
    let mut heap = FakeHeap::new(layout());
    let empty = heap.string("");
    let path = heap.string("/srv/app.js");
    let source = heap
        .string("function root() {\n middle();\n}\nfunction middle() {\n leaf();\n}\n\nfunction leaf() {}");
    let script = heap.script(path, source, 3);
    let back = CODE + BLOB.start + 0x100;
    let mut stack = Recorded::new();
    stack.put(STACK, &[0; 0x1_0000]);
    let mut fp = STACK + 0x80;
    let names = [("leaf", 71), ("middle", 45), ("root", 13)];
    for (name, start) in names {
        let name = heap.string(name);
        let scope = heap.scope_info(&[], name, empty, start, start + 4);
        let kind = heap.layout.types.bytecode_array.unwrap();
        let code = heap.object(kind, &[smi_word(4), 0, 0, 0, 0, 0]);
        let shared = heap.shared(scope, script, code);
        let function = heap.function(shared);
        let next = fp + 0x100;
        for (offset, word) in
            [(0, next), (8, back), (-8, empty), (-16, function), (-24, 1), (-32, code), (-40, smi_word(53))]
        {
            stack.put_word(fp.wrapping_add_signed(offset), word);
        }
        fp = next;
    }
    // The entry frame: its marker, and no caller.
    stack.put_word(fp - 8, 1 << 1);
    heap.memory.put(STACK, &whole(&stack));
    let mut registers = Registers { pc: back, syscall: -1, ..Registers::default() };
    registers.general[x86_64::RSP] = STACK;
    registers.general[x86_64::RBP] = STACK + 0x80;
    (heap, registers)
}

fn whole(stack: &Recorded) -> Vec<u8> {
    let mut bytes = vec![0; 0x1_0000];
    crate::memory::Memory::read(stack, STACK, &mut bytes).unwrap();
    bytes
}

fn sampler(file: &[u8]) -> Sampler<'_> {
    let elf = Elf::parse(file).unwrap();
    let mut maps = Maps::new();
    maps.update(MAPS, &[]);
    let v8 = maps.place(CODE).unwrap().module;
    let image = Image {
        layout: layout(),
        builtins: Builtins::unnamed(BLOB),
        isolate: IsolateAccess {
            source: Source::Register,
            root_bias: 0x80,
            c_entry_fp: None,
            js_entry_sp: None,
        },
        active_stack: Some(0x40),
        bytecode_sizes: None,
    };
    let mut sampler = Sampler::new(&elf, image, maps, v8);
    sampler.module(v8, Some(elf));
    sampler.thread(0, Thread { tid: 1, name: "main".into() }, true);
    sampler
}

struct NoSymbols;

impl Symbols for NoSymbols {
    fn name(&mut self, _: FilePlace, _: &mut String) -> Kind {
        Kind::Native
    }
    fn path(&mut self, _: FilePlace, _: &mut String) {}
}

/// JavaScript labels of each stack, root first, with its count.
fn stacks(profile: &Profile) -> Vec<(String, u64)> {
    let tree = profile.tree();
    let mut stacks = Vec::new();
    for (number, node) in tree.nodes().enumerate().filter(|(_, node)| node.own > 0) {
        let mut labels = Vec::new();
        let mut at = tree.node(crate::profile::NodeId(number as u32));
        while let Some(frame) = at.frame.map(|id| profile.frame(id)) {
            if frame.kind.is_javascript() {
                let place = format!("{}:{}", profile.text(frame.name), frame.line);
                labels.push(place);
            }
            at = tree.node(at.parent);
        }
        labels.reverse();
        stacks.push((labels.join(" > "), node.own));
    }
    stacks
}

#[test]
fn a_stack_is_named_from_the_heap_and_counted() {
    let (heap, registers) = target();
    let file = executable();
    let mut sampler = sampler(&file);
    for at in 0..10 {
        assert_eq!(sampler.held(0, &registers, &heap.memory), Outcome::Sampled);
        sampler.released(0, at, &heap.memory);
    }
    let profile = sampler.finish(Meta::default(), Receipt::default(), &mut NoSymbols);
    assert_eq!(stacks(&profile), [("root:1 > middle:4 > leaf:8".to_string(), 10)]);
}

#[test]
fn threads_apart_have_roots_with_their_names() {
    let (heap, registers) = target();
    let file = executable();
    let mut sampler = sampler(&file);
    sampler.split_by_thread();
    for (index, name) in [(0, ""), (1, ""), (2, "indexer"), (3, "")] {
        sampler.thread(index, Thread { tid: 100 + index as u32, name: name.into() }, index == 0);
    }
    let mut elsewhere = registers;
    elsewhere.pc = CODE + 0x100;
    elsewhere.general[x86_64::RSP] = STACK + 0x800;
    elsewhere.general[x86_64::RBP] = 0;
    for (index, registers) in [(0, &registers), (3, &registers), (2, &registers), (1, &elsewhere)] {
        for at in 0..3 {
            assert_eq!(sampler.held(index, registers, &heap.memory), Outcome::Sampled);
            sampler.released(index, at, &heap.memory);
        }
    }
    let profile = sampler.finish(Meta::default(), Receipt::default(), &mut NoSymbols);
    let names: Vec<_> = profile.threads().iter().map(|thread| thread.name.as_str()).collect();
    assert_eq!(names, ["main", "worker 2", "indexer", "helper"]);
    let tree = profile.tree();
    let tops = tree.nodes().skip(1).filter(|node| node.parent == crate::profile::NodeId::ROOT);
    let roots: Vec<_> = tops
        .filter_map(|node| node.frame.map(|frame| profile.frame(frame)))
        .map(|frame| (frame.kind, profile.text(frame.name), frame.offset))
        .collect();
    let root = |name, tid| (Kind::Thread, name, tid);
    assert_eq!(roots, [root("main", 100), root("worker 2", 103), root("indexer", 102), root("helper", 101)]);
}

/// Between stops each of which compares all that it took for known.
const APART_US: u64 = 10_000;

/// Stacks of twenty stops, in the middle of which another function has come to where that of the frame at `fp` was.
fn replaced(fp: u64) -> Vec<(String, u64)> {
    let (mut heap, registers) = target();
    let file = executable();
    let mut sampler = sampler(&file);
    for at in 0..10 {
        sampler.held(0, &registers, &heap.memory);
        sampler.released(0, at * APART_US, &heap.memory);
    }
    let mut slot = [0; 8];
    crate::memory::Memory::read(&heap.memory, fp - 16, &mut slot).unwrap();
    let function = u64::from_le_bytes(slot) & !1;
    let (name, empty) = (heap.string("other"), heap.string(""));
    let scope = heap.scope_info(&[], name, empty, 71, 75);
    let shared = heap.shared(scope, 0, 1);
    heap.memory.put_word(function + 24, shared);
    for at in 10..20 {
        sampler.held(0, &registers, &heap.memory);
        sampler.released(0, at * APART_US, &heap.memory);
    }
    stacks(&sampler.finish(Meta::default(), Receipt::default(), &mut NoSymbols))
}

/// Samples of a stack.
fn count(stacks: &[(String, u64)], stack: &str) -> u64 {
    stacks.iter().filter(|known| known.0 == stack).map(|known| known.1).sum()
}

#[test]
fn a_function_that_another_replaced_between_stops_is_never_named_by_its_old_name() {
    let stacks = replaced(STACK + 0x80);
    assert_eq!(count(&stacks, "root:1 > middle:4 > leaf:8"), 10, "{stacks:?}");
    assert_eq!(count(&stacks, "root:1 > middle:4 > other:0"), 10, "{stacks:?}");
}

#[test]
fn nor_is_one_whose_frame_stands_as_it_did() {
    let stacks = replaced(STACK + 0x180);
    assert_eq!(count(&stacks, "root:1 > middle:4 > leaf:8"), 10, "{stacks:?}");
    assert_eq!(count(&stacks, "root:1 > other:0 > leaf:8"), 10, "{stacks:?}");
}

/// Stacks of twenty stops, after the last ten of which this is done to the function of the innermost frame before it is
/// compared with what it was. `in_gc`: they are in a collection.
fn changed_after_the_stop(in_gc: bool, change: impl Fn(&mut FakeHeap, u64)) -> Vec<(String, u64)> {
    let (mut heap, registers) = target();
    let file = executable();
    let mut sampler = sampler(&file);
    let mut slot = [0; 8];
    crate::memory::Memory::read(&heap.memory, STACK + 0x80 - 16, &mut slot).unwrap();
    let function = u64::from_le_bytes(slot) & !1;
    let mut words = [0; 32];
    crate::memory::Memory::read(&heap.memory, function, &mut words).unwrap();
    for at in 0..20 {
        sampler.held(0, &registers, &heap.memory);
        if at >= 10 {
            if in_gc {
                sampler.functions.collecting();
            }
            change(&mut heap, function);
        }
        sampler.released(0, at * APART_US, &heap.memory);
        for (at, word) in (0..).step_by(8).zip(words.as_chunks().0) {
            heap.memory.put_word(function + at, u64::from_le_bytes(*word));
        }
    }
    stacks(&sampler.finish(Meta::default(), Receipt::default(), &mut NoSymbols))
}

#[test]
fn a_function_that_was_moved_after_the_stop_keeps_its_name() {
    let overwritten = |heap: &mut FakeHeap, function: u64| {
        (0..32).step_by(8).for_each(|at| heap.memory.put_word(function + at, 0x5a5a_5a5a));
    };
    let replaced = |heap: &mut FakeHeap, function: u64| {
        let (name, empty) = (heap.string("other"), heap.string(""));
        let scope = heap.scope_info(&[], name, empty, 71, 75);
        let shared = heap.shared(scope, 0, 1);
        heap.memory.put_word(function + 24, shared);
    };
    let all = [("root:1 > middle:4 > leaf:8".to_string(), 20)];
    assert_eq!(changed_after_the_stop(false, overwritten), all);
    assert_eq!(changed_after_the_stop(true, overwritten), all);
    // What stands there after a collection came with it.
    assert_eq!(changed_after_the_stop(true, replaced), all);
    assert_ne!(changed_after_the_stop(false, replaced), all);
}

/// Reads after each stop, of a stack that stays, at these times.
fn reads_after_stops(at_us: &[u64], in_gc: impl Fn(u64) -> bool) -> Vec<u32> {
    let (heap, registers) = target();
    let file = executable();
    let mut sampler = sampler(&file);
    let memory = Counted { memory: &heap.memory, reads: Cell::new(0) };
    let mut reads_of_stop = |at_us: u64| {
        sampler.held(0, &registers, &memory);
        if in_gc(at_us) {
            sampler.functions.collecting();
        }
        memory.reads.take();
        sampler.released(0, at_us, &memory);
        memory.reads.take()
    };
    (0..10).for_each(|at| _ = reads_of_stop(at));
    at_us.iter().map(|at_us| reads_of_stop(*at_us)).collect()
}

#[test]
fn what_was_compared_less_than_2_ms_ago_is_not_compared_again() {
    let times = [10_000, 11_000, 11_999, 12_000, 12_500, 14_000, 17_000];
    let all = reads_after_stops(&times, |_| false);
    let is_compared = all.iter().map(|reads| *reads > 0).collect::<Vec<_>>();
    assert_eq!(is_compared, [true, false, false, true, false, true, true], "{all:?}");
}

#[test]
fn after_a_collection_what_was_compared_before_is_compared_again() {
    let times = [10_000, 11_000, 11_500, 12_000, 14_500];
    let all = reads_after_stops(&times, |at_us| at_us == 11_000);
    let is_compared = all.iter().map(|reads| *reads > 0).collect::<Vec<_>>();
    assert_eq!(is_compared, [true, true, true, false, true], "{all:?}");
}

/// Bytecode whose first instruction is at a position in the source, as V8 11.3 writes its table.
fn bytecode(heap: &mut FakeHeap, position: u8) -> u64 {
    let raw = (u64::from(position) + 1) << 2;
    let table = heap.object(
        0,
        &[smi_word(3), u64::from_le_bytes([2, raw as u8 | 0x80, (raw >> 7) as u8, 0, 0, 0, 0, 0])],
    );
    let mut words = [0; 6];
    words[0] = smi_word(4);
    words[usize::from(heap.layout.positions.bytecode_table) / 8 - 1] = table;
    heap.object(heap.layout.types.bytecode_array.unwrap(), &words)
}

#[test]
fn what_stands_below_the_stack_pointer_is_no_slot_of_a_frame() {
    let (mut heap, mut registers) = target();
    let fp = STACK + 0x80;
    let file = executable();
    let mut sampler = sampler(&file);
    // The bytecode of `middle` is left there from a call before.
    let mut javascript = |heap: &FakeHeap, registers: &Registers| -> Vec<Position> {
        sampler.held(0, registers, &heap.memory);
        let position = |frame: &RawFrame| match frame {
            RawFrame::JavaScript { position, .. } => Some(*position),
            _ => None,
        };
        sampler.last().iter().filter_map(position).collect()
    };
    let [leaf, middle] = [73, 46].map(|position| bytecode(&mut heap, position));
    heap.memory.put_word(fp - 32, middle);
    registers.general[x86_64::RSP] = fp - 24;
    assert_eq!(javascript(&heap, &registers)[0], Position::NONE);
    registers.general[x86_64::RSP] = fp - 8;
    assert_eq!(javascript(&heap, &registers).len(), 2, "its function is not there yet");
    heap.memory.put_word(fp - 32, leaf);
    registers.general[x86_64::RSP] = STACK;
    let whole = javascript(&heap, &registers);
    assert_eq!((whole.len(), whole[0]), (3, Position::new(Some(73))));
}

#[test]
fn a_stack_of_webassembly_goes_on_where_it_was_entered() {
    const OTHER: u64 = STACK - 0x1_0000_0000;
    const ROOT: u64 = 0x7e_0000;
    let (mut heap, mut registers) = target();
    let back = registers.pc;
    // `leaf` was called from another stack, at whose end stands nothing, and which `middle` entered.
    let frames =
        [(STACK + 0x80, OTHER + 0x100, 0), (OTHER + 0x100, OTHER + 0x200, 17), (OTHER + 0x200, 0, 19)];
    heap.memory.put(OTHER, &[0; 0x400]);
    for (fp, caller, marker) in frames {
        heap.memory.put_word(fp, caller);
        if marker != 0 {
            heap.memory.put_word(fp + 8, if caller == 0 { 0 } else { back });
            heap.memory.put_word(fp - 8, marker << 1);
        }
    }
    heap.memory.put(ROOT, &[0; 0x200]);
    let [active, parent] = [ROOT + 0x80, ROOT + 0x100];
    let buffer = [(24, STACK + 0xa0), (32, STACK + 0x180), (40, back)].map(|(at, word)| (parent + at, word));
    for (at, word) in [(ROOT + 0x40, active), (active + 56, parent)].into_iter().chain(buffer) {
        heap.memory.put_word(at, word);
    }
    let file = executable();
    let mut sampler = sampler(&file);
    let mut hold = |root| {
        registers.general[x86_64::R13] = root;
        sampler.held(0, &registers, &heap.memory);
        sampler.released(0, 0, &heap.memory);
    };
    (0..3).for_each(|_| hold(0));
    // The isolate is known by the register, for the next stop.
    (0..3).for_each(|_| hold(ROOT));
    let profile = sampler.finish(Meta::default(), Receipt::default(), &mut NoSymbols);
    let stacks = stacks(&profile);
    assert_eq!(count(&stacks, "leaf:8"), 4);
    assert_eq!(count(&stacks, "root:1 > middle:4 > leaf:8"), 2);
    let cut = profile.receipt.remarks.iter().find(|remark| remark.contains("could not be followed"));
    assert!(cut.is_some_and(|remark| remark.starts_with('4')), "{:?}", profile.receipt.remarks);
}

#[test]
fn a_source_that_cannot_be_read_at_first_is_read_later() {
    let (mut heap, registers) = target();
    let file = executable();
    let mut sampler = sampler(&file);
    let field = |heap: &FakeHeap, address: u64, offset: u64| {
        let mut word = [0; 8];
        crate::memory::Memory::read(&heap.memory, (address & !1) + offset, &mut word).unwrap();
        u64::from_le_bytes(word)
    };
    let function = field(&heap, STACK + 0x80 - 16, 0);
    let source = field(&heap, field(&heap, field(&heap, function, 24), 32), 8);
    let map = field(&heap, source, 0);
    for at in 0..10 {
        heap.memory.put_word(source & !1, if at < 3 { 3 } else { map });
        sampler.held(0, &registers, &heap.memory);
        sampler.released(0, at, &heap.memory);
    }
    let profile = sampler.finish(Meta::default(), Receipt::default(), &mut NoSymbols);
    assert_eq!(stacks(&profile), [("root:1 > middle:4 > leaf:8".to_string(), 10)]);
    assert!(!profile.receipt.remarks.iter().any(|remark| remark.contains("could not be read")));
}

#[test]
fn the_text_of_a_script_is_kept_where_it_is_wanted() {
    let (heap, registers) = target();
    let file = executable();
    for is_wanted in [true, false] {
        let mut sampler = sampler(&file);
        if is_wanted {
            sampler.keep_sources();
        }
        for at in 0..3 {
            sampler.held(0, &registers, &heap.memory);
            sampler.released(0, at, &heap.memory);
        }
        let profile = sampler.finish(Meta::default(), Receipt::default(), &mut NoSymbols);
        let texts: Vec<(&str, i64, String)> = profile
            .sources
            .iter()
            .map(|source| {
                let text = String::from_utf16_lossy(&source.units().collect::<Vec<_>>());
                (profile.text(source.file()), source.first_line(), text)
            })
            .collect();
        let text = "function root() {\n middle();\n}\nfunction middle() {\n leaf();\n}\n\nfunction leaf() {}";
        let kept = [("/srv/app.js", 1, text.to_string())];
        assert_eq!(texts, if is_wanted { &kept[..] } else { &[] });
    }
}

/// Memory that counts how often it is read.
struct Counted<'a> {
    memory: &'a Recorded,
    reads: Cell<u32>,
}

impl Memory for Counted<'_> {
    fn read(&self, address: u64, into: &mut [u8]) -> Result<(), Fault> {
        self.reads.set(self.reads.get() + 1);
        self.memory.read(address, into)
    }
}

#[test]
fn the_stack_of_a_sleeper_whose_process_has_not_run_is_used_again() {
    let (heap, registers) = target();
    let file = executable();
    let mut sampler = sampler(&file);
    let memory = Counted { memory: &heap.memory, reads: Cell::new(0) };
    let mut at_us = 0;
    let mut visit = |sp: u64, unchanged: bool, holds: bool| {
        at_us += 1;
        let sleeper = Sleeper { pc: registers.pc, sp };
        let outcome = sampler.asleep(0, sleeper, unchanged, at_us, &memory, &|| holds);
        assert_eq!(outcome, if holds { Outcome::Sampled } else { Outcome::Lost });
        memory.reads.take()
    };
    assert!(visit(STACK, false, true) > 0);
    assert_eq!([(); 3].map(|()| visit(STACK, true, true)), [0; 3]);
    assert!(visit(STACK, false, true) > 0, "it has run since, and may wait there for another caller");
    assert!(visit(STACK + 8, true, true) > 0, "it waits elsewhere");
    assert_eq!(visit(STACK + 8, true, true), 0);
    assert!(visit(STACK, false, false) > 0, "it ran while it was read");
    assert!(visit(STACK, true, true) > 0, "what was read then was of no one moment");
    let profile = sampler.finish(Meta::default(), Receipt::default(), &mut NoSymbols);
    assert_eq!(profile.tree().nodes().map(|node| node.own).sum::<u64>(), 8);
}

/// Memory of which nothing can be read any more after so many reads: a stop's time is over.
struct Late<'a> {
    memory: &'a Recorded,
    left: Cell<u32>,
}

impl Memory for Late<'_> {
    fn read(&self, address: u64, into: &mut [u8]) -> Result<(), Fault> {
        let left = self.left.get().checked_sub(1).ok_or(Fault { address })?;
        self.left.set(left);
        self.memory.read(address, into)
    }

    fn read_prefix(&self, address: u64, into: &mut [u8]) -> usize {
        if self.read(address, into).is_ok() { into.len() } else { 0 }
    }
}

#[test]
fn what_could_not_be_read_in_time_is_not_taken_for_a_stacks_end() {
    let (mut heap, registers) = target();
    // The entry frame lies beyond what is copied at first.
    let entry = STACK + 0x4000;
    heap.memory.put_word(STACK + 0x280, entry);
    heap.memory.put_word(entry - 8, 1 << 1);
    let file = executable();
    let reads_of_stops = |late: &[u32]| {
        let (mut sampler, mut at_us) = (sampler(&file), 0);
        let mut stop = |reads: u32| {
            let memory = Late { memory: &heap.memory, left: Cell::new(reads) };
            sampler.held(0, &registers, &memory);
            at_us += APART_US;
            sampler.released(0, at_us, &memory);
            reads - memory.left.get()
        };
        late.iter().for_each(|reads| _ = stop(*reads));
        [(); 8].map(|()| stop(1000))
    };
    let in_time = reads_of_stops(&[]);
    for reads in 0..40 {
        assert_eq!(reads_of_stops(&[reads])[4..], in_time[4..], "late after {reads} reads");
    }
}

#[test]
fn a_frame_chain_that_runs_in_a_circle_ends() {
    let (mut heap, registers) = target();
    heap.memory.put_word(STACK + 0x180, STACK + 0x80);
    let file = executable();
    let mut sampler = sampler(&file);
    assert_eq!(sampler.held(0, &registers, &heap.memory), Outcome::Sampled);
    assert!(sampler.last().len() < 8);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_damage_to_stack_heap_or_registers_stops_the_sampler(
        stack in proptest::collection::vec((0u64..0x400, any::<u64>()), 0..12),
        objects in proptest::collection::vec((0u64..0x1000, any::<u64>()), 0..12),
        pc in prop_oneof![Just(CODE + BLOB.start + 0x100), Just(0x70_1000), any::<u64>()],
        fp in prop_oneof![Just(STACK + 0x80), STACK..STACK + 0x400, any::<u64>()],
    ) {
        let (mut heap, mut registers) = target();
        for (at, word) in &stack {
            heap.memory.put_word(STACK + at, *word);
        }
        for (at, word) in &objects {
            heap.memory.put_word(0x10_0000 + at * 8, *word);
        }
        registers.pc = pc;
        registers.general[x86_64::RBP] = fp;
        let file = executable();
        let mut sampler = sampler(&file);
        for at in 0..3 {
            sampler.held(0, &registers, &heap.memory);
            sampler.released(0, at * 1_500, &heap.memory);
        }
        sampler.finish(Meta::default(), Receipt::default(), &mut NoSymbols);
    }
}
