//! Samples a process and prints how often each program counter was seen, and the counts.
//!
//!     spin PID [SECONDS] [RATE] [wall]

use flame_core::arch::Registers;
use flame_core::memory::Memory;
use flame_sys::memory::ProcessMemory;
use flame_sys::session::{Asleep, Options, ThreadKey, Verdict, Visitor, run};
use flame_sys::{arch, attach, signals::Blocked};
use std::collections::HashMap;
use std::time::Duration;

#[derive(Default)]
struct Pcs {
    now: u64,
    seen: HashMap<u64, u64>,
}

impl Visitor for Pcs {
    fn held(&mut self, _: ThreadKey, registers: &Registers, memory: &ProcessMemory) -> Verdict {
        self.now = registers.pc;
        let mut stack = [0; 4096];
        memory.read_prefix(registers.sp(arch::HOST), &mut stack);
        Verdict::Sampled
    }

    fn released(&mut self, _: ThreadKey, _: u64) {
        *self.seen.entry(self.now).or_default() += 1;
    }

    fn asleep(&mut self, _: ThreadKey, at: Asleep, _: &ProcessMemory) -> Verdict {
        *self.seen.entry(at.pc).or_default() += 1;
        Verdict::Sampled
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |at: usize| arguments.get(at).and_then(|text| text.parse::<f64>().ok());
    let Some(pid) = number(1) else { return println!("usage: spin PID [SECONDS] [RATE] [wall]") };
    let signals = Blocked::new();
    let options = Options {
        rate_hz: number(3).unwrap_or(99.0) as u32,
        duration: Duration::from_secs_f64(number(2).unwrap_or(2.0)),
        wall: arguments.get(4).is_some_and(|word| word == "wall"),
        ..Options::default()
    };
    let mut pcs = Pcs::default();
    let outcome = attach::check(pid as u32).and_then(|target| run(&signals, target, options, &mut pcs));
    match outcome {
        Ok(outcome) => {
            let mut pcs: Vec<_> = pcs.seen.into_iter().collect();
            pcs.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
            for (pc, count) in pcs.iter().take(20) {
                println!("{count:8} {pc:#x}");
            }
            println!("{:?} after {} ms", outcome.end, outcome.length_ns / 1_000_000);
            println!("{:?}", outcome.counts);
            println!("held {:?}", outcome.pauses);
            println!("asked {:?}", outcome.rounds);
            println!(
                "throttled {} starved {} late {} untracked {} refused {}",
                outcome.throttled, outcome.starved, outcome.late_reads, outcome.untracked, outcome.refused
            );
            for thread in outcome.threads.iter().filter(|thread| thread.counts.wanted > 0).take(8) {
                println!("{:?} {:?}", thread.thread, thread.counts);
            }
        }
        Err(refusal) => println!("{pid}: {refusal} ({refusal:?})"),
    }
}
