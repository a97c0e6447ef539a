//! A stopped thread as a recording: its registers, and the pages that sampling it reads.

use crate::live::{Live, THREAD};
use crate::stop::Tracer;
use flame_core::arch::Registers;
use flame_core::memory::{Fault, Memory, Recorded};
use flame_core::sample::raw::RawFrame;
use std::cell::RefCell;
use std::collections::BTreeMap;

const PAGE: u64 = 4096;

/// Stops until every cache of a sampler is as warm as it gets.
pub const WARM: u32 = 16;

/// Between two stops, for a sampler: long enough that each compares all that it took for known.
pub const APART_US: u64 = 10_000;

/// What one stop showed.
pub struct Recording {
    /// The thread's registers.
    pub registers: Registers,
    /// The memory that was read.
    pub memory: Recorded,
    /// The frames that the live process gave, leaf first.
    pub frames: Vec<RawFrame>,
}

impl Recording {
    /// Records one stop of a process' first thread: all that samplers read in it, with cold caches and
    /// with warm ones.
    ///
    /// # Panics
    /// When the thread cannot be stopped.
    pub fn of(live: &Live) -> Self {
        let tracer = Tracer::new(live.pid());
        let live_memory = live.memory();
        let mut recording = None;
        tracer.stop(|registers| {
            let memory = Pages { memory: &live_memory, seen: RefCell::default() };
            let mut sampler = live.sampler();
            for at in 0..u64::from(WARM) {
                sampler.held(THREAD, registers, &memory);
                sampler.released(THREAD, at * APART_US, &memory);
            }
            let mut recorded = Recorded::new();
            for (page, bytes) in memory.seen.into_inner() {
                bytes.iter().for_each(|bytes| recorded.put(page, bytes));
            }
            let frames = sampler.last().to_vec();
            recording = Some(Recording { registers: *registers, memory: recorded, frames });
        });
        recording.expect("the stop was seen")
    }
}

/// Memory that keeps whole pages of what was read.
struct Pages<'a, M> {
    memory: &'a M,
    seen: RefCell<BTreeMap<u64, Option<Vec<u8>>>>,
}

impl<M: Memory> Memory for Pages<'_, M> {
    fn read(&self, address: u64, into: &mut [u8]) -> Result<(), Fault> {
        let last = address.saturating_add(into.len() as u64).saturating_sub(1);
        for page in (address / PAGE..=last / PAGE).map(|number| number * PAGE) {
            self.seen.borrow_mut().entry(page).or_insert_with(|| {
                let mut bytes = vec![0; PAGE as usize];
                self.memory.read(page, &mut bytes).ok().map(|()| bytes)
            });
        }
        self.memory.read(address, into)
    }

    fn read_prefix(&self, address: u64, into: &mut [u8]) -> usize {
        let read = self.memory.read_prefix(address, into);
        let _ = self.read(address, &mut into[..read]);
        read
    }
}
