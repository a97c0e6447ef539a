//! Compares unwinding by call frame information with gdb's backtraces, on recorded stacks.
//!
//!     cargo run --release -p flame-core --example unwind_check -- RECORDING [SHARE [LEAST]]
//!
//! A recording is what `tests/native/record.py` writes: for each stop of a thread its registers, the bytes of
//! its stack and gdb's frames. Compared is each stack from its leaf to the thread's start, or to the first
//! frame that is V8's, which gdb cannot pass. Said is also how long the steps took. It fails if less than
//! SHARE percent of the stacks are the same, or if less than LEAST stacks had a native frame to step from.
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use flame_core::arch::{Arch, Registers};
use flame_core::elf::Elf;
use flame_core::maps::{Maps, ModuleId};
use flame_core::memory::Recorded;
use flame_core::unwind::{Code, ModuleUnwind, StackCopy, StepError, Unwinder};

struct Object {
    elf: Elf<'static>,
    unwind: ModuleUnwind<'static>,
}

/// A frame by gdb: pc, stack pointer, gdb's name for it.
type Frame = (u64, u64, String);

struct Stop {
    registers: Registers,
    base: u64,
    bytes: Vec<u8>,
    /// Other stacks that this one goes on in.
    others: Recorded,
    frames: Vec<Frame>,
}

fn hex(text: &str) -> u64 {
    u64::from_str_radix(text, 16).expect("a number")
}

fn read(text: &str) -> (String, Vec<Stop>) {
    let (mut maps, mut stops) = (String::new(), Vec::new());
    for line in text.lines() {
        let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
        match kind {
            "map" => maps += &format!("{rest}\n"),
            "stop" => {
                let numbers: Vec<u64> = rest.split(' ').skip(1).map(hex).collect();
                let mut registers = Registers { pc: numbers[0], ..Registers::default() };
                registers.general[..16].copy_from_slice(&numbers[1..17]);
                let (bytes, frames) = (Vec::new(), Vec::new());
                stops.push(Stop { registers, base: 0, bytes, others: Recorded::new(), frames });
            }
            "stack" => {
                let stop = stops.last_mut().expect("a stop");
                let (base, digits) = rest.split_once(' ').expect("two words");
                let pairs = digits.as_bytes().as_chunks::<2>().0.iter();
                let bytes = pairs.map(|pair| hex(std::str::from_utf8(pair).expect("digits")) as u8).collect();
                if stop.bytes.is_empty() {
                    (stop.base, stop.bytes) = (hex(base), bytes);
                } else {
                    stop.others.put(hex(base), &bytes);
                }
            }
            "bt" => {
                let frames = rest.split(' ').map(|frame| {
                    let parts: Vec<&str> = frame.splitn(3, ',').collect();
                    (hex(parts[0]), hex(parts[1]), parts[2].into())
                });
                stops.last_mut().expect("a stop").frames = frames.collect();
            }
            _ => {}
        }
    }
    (maps, stops)
}

fn main() {
    let path = std::env::args().nth(1).expect("a recording");
    let number = |at: usize| std::env::args().nth(at).map_or(0.0, |word| word.parse().expect("a number"));
    let (wanted, least): (f64, f64) = (number(2), number(3));
    let mut stepped = 0;
    let (text, stops) = read(&std::fs::read_to_string(path).expect("readable"));
    let mut maps = Maps::new();
    maps.update(text.as_bytes(), &[]);
    let mut objects: HashMap<ModuleId, Object> = HashMap::new();
    for (index, _) in maps.modules().iter().enumerate() {
        let id = ModuleId(index as u16);
        let path = String::from_utf8_lossy(maps.path(id)).into_owned();
        let Ok(bytes) = std::fs::read(&path) else { continue };
        let Ok(elf) = Elf::parse(Vec::leak(bytes)) else { continue };
        if let Some(unwind) = ModuleUnwind::new(&elf) {
            objects.insert(id, Object { elf, unwind });
        }
    }
    let mut unwinder = Unwinder::default();
    let (mut same, mut frames, mut whole, mut different) = (0, 0, 0, 0);
    let mut ends: BTreeMap<String, u32> = BTreeMap::new();
    let mut took = [Duration::ZERO; 2];
    let mut steps = 0;
    for (pass, took) in took.iter_mut().enumerate() {
        for stop in &stops {
            let stack = StackCopy { base: stop.base, bytes: &stop.bytes };
            let mut registers = stop.registers;
            let mut is_return = false;
            let mut expected = stop.frames.iter();
            let mut is_same = true;
            let mut has_stepped = false;
            while let Some(theirs) = expected.next() {
                if pass == 0 {
                    frames += 1;
                    if (registers.pc, registers.sp(Arch::X86_64)) != (theirs.0, theirs.1) {
                        is_same = false;
                        println!(
                            "differs: ours {:x} sp {:x}, gdb {:x} sp {:x} {}, in",
                            registers.pc,
                            registers.sp(Arch::X86_64),
                            theirs.0,
                            theirs.1,
                            theirs.2
                        );
                        stop.frames
                            .iter()
                            .take(12)
                            .for_each(|frame| println!("    {:x} sp {:x} {}", frame.0, frame.1, frame.2));
                        break;
                    }
                }
                let pc = registers.pc - u64::from(is_return);
                let Some(place) = maps.place(pc) else {
                    *ends.entry("outside files".into()).or_default() += u32::from(pass == 0);
                    break;
                };
                let Some(object) = objects.get(&place.module) else {
                    *ends.entry("file without unwind information".into()).or_default() +=
                        u32::from(pass == 0);
                    break;
                };
                let vaddr = object.elf.vaddr_of(place.offset).expect("code is in a segment");
                let code = Code { module: &object.unwind, bias: pc.wrapping_sub(vaddr) };
                let start = Instant::now();
                let step = unwinder.step(&mut registers, is_return, code, &stack, &stop.others);
                *took += start.elapsed();
                steps += pass;
                match step {
                    Ok(step) if step.is_root => {
                        has_stepped = true;
                        if pass == 0 {
                            whole += 1;
                            is_same &= expected.next().is_none();
                        }
                        break;
                    }
                    Ok(step) => {
                        has_stepped = true;
                        is_return = !step.is_signal;
                    }
                    Err(StepError::NoInformation { .. }) => {
                        let name = if theirs.2.starts_with("Builtins_") { "Builtins_*" } else { &theirs.2 };
                        *ends.entry(format!("no unwind information: {name}")).or_default() +=
                            u32::from(pass == 0);
                        break;
                    }
                    Err(error) => {
                        println!("error {error} in {}", theirs.2);
                        is_same = false;
                        break;
                    }
                }
            }
            if pass == 0 {
                stepped += u32::from(has_stepped);
                same += u32::from(is_same);
                different += u32::from(!is_same);
            }
        }
    }
    println!(
        "{} stacks, {stepped} of them native: {same} same, {different} different; {frames} frames; {whole} to \
         their thread's start",
        stops.len()
    );
    for (end, count) in ends {
        println!("  {count} ended: {end}");
    }
    let statistics = unwinder.statistics();
    println!(
        "steps: first pass {:?}, second {:?} for {steps} (clock included); {statistics:?}",
        took[0], took[1]
    );
    let share = 100.0 * f64::from(same) / stops.len().max(1) as f64;
    assert!(share >= wanted, "only {share:.1} % are the same; {wanted} % are wanted");
    assert!(f64::from(stepped) >= least, "only {stepped} stacks had a native frame; {least} are wanted");
}
