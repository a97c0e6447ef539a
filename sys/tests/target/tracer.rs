//! A tracer that prints what came of it, one `KEY VALUE` a line.

use flame_core::arch::Registers;
use flame_core::memory::Memory;
use flame_sys::memory::ProcessMemory;
use flame_sys::session::{Asleep, Options, ProcessEnd, ThreadKey, Verdict, Visitor, run};
use flame_sys::signals::Blocked;
use flame_sys::{arch, attach};
use std::time::Duration;

#[derive(Default)]
struct Reader {
    held: u64,
    released: u64,
    unreadable: u64,
    asleep: u64,
    started: u64,
    ended: u64,
    process_ends: u64,
    linger: Duration,
    unwanted: bool,
}

impl Visitor for Reader {
    fn started(&mut self, _: ThreadKey) -> bool {
        self.started += 1;
        true
    }

    fn held(&mut self, _: ThreadKey, registers: &Registers, memory: &ProcessMemory) -> Verdict {
        self.held += 1;
        let until = std::time::Instant::now() + self.linger;
        let mut stack = [0; 1024];
        if memory.read(registers.sp(arch::HOST), &mut stack[..8]).is_err() {
            self.unreadable += 1;
        }
        memory.read_prefix(registers.sp(arch::HOST), &mut stack);
        while std::time::Instant::now() < until {
            std::hint::spin_loop();
        }
        if self.unwanted { Verdict::NotWanted } else { Verdict::Sampled }
    }

    fn released(&mut self, _: ThreadKey, _: u64) {
        self.released += 1;
    }

    fn asleep(&mut self, _: ThreadKey, at: Asleep, memory: &ProcessMemory) -> Verdict {
        self.asleep += 1;
        if memory.word(at.sp).is_ok() { Verdict::Sampled } else { Verdict::Lost }
    }

    fn ended(&mut self, _: ThreadKey) {
        self.ended += 1;
    }

    fn process_ended(&mut self, _: u16, _: ProcessEnd) {
        self.process_ends += 1;
    }
}

/// `trace PID RATE MILLISECONDS [wall] [linger] [unwanted]`
pub fn trace() -> i32 {
    let words: Vec<String> = std::env::args().collect();
    let number = |at: usize| words.get(at).and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
    let has = |name: &str| words.iter().any(|word| word == name);
    let signals = Blocked::new();
    let options = Options {
        rate_hz: number(3) as u32,
        duration: Duration::from_millis(number(4)),
        wall: has("wall"),
        max_pause_percent: if has("linger") { 5.0 } else { 50.0 },
    };
    let mut reader = Reader { unwanted: has("unwanted"), ..Reader::default() };
    if has("linger") {
        reader.linger = Duration::from_millis(3);
    }
    let outcome =
        attach::check(number(2) as u32).and_then(|target| run(&signals, target, options, &mut reader));
    match outcome {
        Err(refusal) => {
            println!("refused {refusal:?}");
            1
        }
        Ok(outcome) => {
            println!("end {:?}", outcome.end);
            println!("wanted {}", outcome.counts.wanted);
            println!("taken {}", outcome.counts.taken);
            println!("idle {}", outcome.counts.idle);
            println!("lost {}", outcome.counts.lost);
            println!("disturbed {}", outcome.counts.disturbed);
            println!("throttled {}", outcome.throttled);
            println!("starved {}", outcome.starved);
            println!("held_ns {}", outcome.pauses.total_ns);
            println!("longest_ns {}", outcome.pauses.max_ns);
            println!("length_ns {}", outcome.length_ns);
            println!("threads {}", outcome.threads.len());
            println!("visits {}", reader.held);
            println!("released {}", reader.released);
            println!("unreadable {}", reader.unreadable);
            println!("asleep {}", reader.asleep);
            println!("started {}", reader.started);
            println!("ended {}", reader.ended);
            println!("process_ends {}", reader.process_ends);
            println!("refusals {}", outcome.refused);
            0
        }
    }
}
