//! Sampling sessions as the command runs them, without what is around.

use crate::live::Live;
use crate::stop::BARE_BYTES;
use flame_core::arch::Registers;
use flame_core::memory::Memory;
use flame_core::profile::Thread;
use flame_core::sample::sampler::{Outcome, Sampler};
use flame_sys::memory::ProcessMemory;
use flame_sys::process::Process;
use flame_sys::session::{self, Control, Flow, Options, ThreadKey, Verdict, Visitor};
use flame_sys::signals::Blocked;

/// Takes samples as the command does.
pub struct Sampling {
    /// What takes them.
    pub sampler: Sampler<'static>,
    pid: u32,
    memory: ProcessMemory,
    maps: Vec<u8>,
    sampled: bool,
}

impl Sampling {
    /// Samples all threads of a process.
    pub fn new(live: &Live) -> Self {
        let sampler = live.sampler();
        Sampling { sampler, pid: live.pid(), memory: live.memory(), maps: Vec::new(), sampled: false }
    }
}

impl Visitor for Sampling {
    fn started(&mut self, thread: ThreadKey) -> bool {
        let name = thread.tid.to_string();
        let is_first = thread.tid == self.pid;
        self.sampler.thread(usize::from(thread.index), Thread { tid: thread.tid, name }, is_first);
        true
    }

    fn held(&mut self, thread: ThreadKey, registers: &Registers, memory: &ProcessMemory) -> Verdict {
        let outcome = self.sampler.held(usize::from(thread.index), registers, memory);
        self.sampled = outcome == Outcome::Sampled;
        match outcome {
            Outcome::Sampled => Verdict::Sampled,
            Outcome::Lost => Verdict::Lost,
            Outcome::NeverJavaScript if thread.tid != self.pid => Verdict::NotWanted,
            Outcome::NotJavaScript | Outcome::NeverJavaScript => Verdict::Skipped,
        }
    }

    fn released(&mut self, thread: ThreadKey, at_us: u64) {
        if self.sampled {
            self.sampler.released(usize::from(thread.index), at_us, &self.memory);
        }
    }

    fn tick(&mut self, _: &mut Control<'_>) -> Flow {
        if self.sampler.wants_maps()
            && Process::open(self.pid).and_then(|process| process.maps(&mut self.maps)).is_ok()
        {
            self.sampler.update_maps(&self.maps);
        }
        Flow::Continue
    }
}

/// Reads 4 KiB of each thread's stack and makes nothing of it: the least that a sampler can do.
#[derive(Default)]
pub struct Bare {
    /// Stops so far.
    pub taken: u64,
}

impl Visitor for Bare {
    fn held(&mut self, _: ThreadKey, registers: &Registers, memory: &ProcessMemory) -> Verdict {
        let mut stack = [0; BARE_BYTES];
        let _ = memory.read(registers.sp(flame_sys::arch::HOST), &mut stack);
        std::hint::black_box(&stack);
        self.taken += 1;
        Verdict::Sampled
    }
}

/// Runs a session on a process.
///
/// # Panics
/// When it cannot be traced.
pub fn run(pid: u32, options: Options, visitor: &mut dyn Visitor) -> session::Outcome {
    let process = Process::open(pid).expect("the process lives");
    session::run(&Blocked::new(), process, options, visitor).expect("the process can be traced")
}
