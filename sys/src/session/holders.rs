//! Threads that hold a CPU at a tick, so that a sample says where its thread was then.
//!
//! A request to stop is seen at the thread's next way out of the kernel. Where that is the interrupt that the
//! request sends to its CPU, the thread stops where it was. Until that interrupt arrives it runs on, though,
//! between virtual CPUs for 30 µs, and if it makes a system call meanwhile, it stops there: a program that makes
//! one after each microsecond of work was seen in system calls in 98 % of its samples, where it spends 7 % of its
//! time. So a thread of node-flame's own on that same CPU, which has a timer there, interrupts it at the tick, wherever
//! it is, and keeps the CPU until the request stands. Programs that make next to no calls are spared that
//! ([`calls`](super::calls)).
//!
//! Where more threads run than CPUs, CPUs are always held, since the kernel's account of what ran is exact only for what
//! was just taken off its CPU. There the sampling thread calls the holders, if no timers are needed.

use super::calls::Calls;
use super::engine::{Heirs, promptness};
use crate::clock;
use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::thread::JoinHandle;
use std::time::Duration;

/// CPUs that are held at once. Threads on others are asked without.
const MOST: usize = 8;

/// A CPU is given back after so long, whether the request stands or not: to ask may take 40 µs where nothing that it
/// needs is in the CPU's caches.
const LONGEST_NS: u64 = 80_000;

/// So long a new one is waited for.
const STARTING_NS: u64 = 2_000_000;

/// The sampling thread is woken at most so long before a tick, and learns in such steps how long.
const LONGEST_LEAD_NS: u64 = 200_000;
const LEAD_STEP_NS: u64 = 2_000;

/// Below the sampling thread's: where that is on the same CPU, it is what holds it.
const PRIORITY: i32 = 1;

/// A thread is expected to stop so soon once it was asked: where its CPU was held, as soon as it gets that back;
/// else when the interrupt has come and was served.
const SOON_HELD_NS: u64 = 30_000;
const SOON_ASKED_NS: u64 = 60_000;

/// What comes so late after a tick is of no use for it.
const LATE_NS: u64 = 50_000;

/// The holding threads of a session.
pub(super) struct Holders {
    holders: Vec<Holder>,
    /// CPUs that node-flame may use.
    allowed: CpuSet,
    /// CPUs that threads ran on at this tick.
    seen: Vec<usize>,
    /// Whether they are needed.
    pub calls: Calls,
    /// The tick that their timers are set to; 0: none.
    armed_ns: u64,
    /// What they hold for at this tick; 0: nothing.
    tick_ns: u64,
    /// Three quarters of the sampling thread's wakes are late by no more.
    lead_ns: u64,
    longest_lead_ns: u64,
    /// One that nobody holds.
    missing: Option<usize>,
    /// None could be started.
    is_refused: bool,
}

struct Holder {
    cpu: usize,
    /// A thread was found on its CPU at the last tick.
    is_wanted: bool,
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    /// When to hold, on the monotonic clock: at a tick, or at once if that is now; 0: not.
    due_ns: AtomicU64,
    /// The last tick at which all threads have been asked.
    done_ns: AtomicU64,
    is_over: AtomicBool,
    /// It is on its CPU, and goes before others there.
    is_ready: AtomicBool,
    /// It waits until it is told when.
    is_parked: AtomicBool,
}

impl Holders {
    /// None yet. `period_ns`: between ticks, in the mean.
    pub fn new(period_ns: u64) -> Self {
        let longest_lead_ns = LONGEST_LEAD_NS.min(period_ns / 4);
        Holders {
            holders: Vec::with_capacity(MOST),
            allowed: sched_getaffinity(None).unwrap_or_else(|_| CpuSet::new()),
            seen: Vec::with_capacity(MOST),
            calls: Calls::new(period_ns),
            armed_ns: 0,
            tick_ns: 0,
            lead_ns: longest_lead_ns / 4,
            longest_lead_ns,
            missing: None,
            is_refused: false,
        }
    }

    /// How long before a tick the sampling thread has to be woken, so that it is there when CPUs are held: one
    /// that wakes on an idle CPU may be late by 100 µs.
    pub fn lead_ns(&self) -> u64 {
        if self.armed_ns == 0 { 0 } else { self.lead_ns }
    }

    /// The tick at `due_ns` has come, or will soon: returns when the CPUs are held that threads ran on at the last
    /// one, if they have to be. `is_crowded`: more threads run than CPUs.
    pub fn hold(&mut self, due_ns: u64, is_crowded: bool) {
        let (here, now_ns) = (sched_getcpu(), clock::monotonic_ns());
        let is_needed = |holder: &&Holder| holder.is_wanted && holder.cpu != here;
        // Others have no timer from now on, or it is over.
        let is_armed = std::mem::take(&mut self.armed_ns) == due_ns;
        if is_armed {
            self.learn_lead((now_ns + self.lead_ns).saturating_sub(due_ns));
        }
        self.tick_ns = 0;
        if !is_armed && !is_crowded && !self.calls.are_made() {
            return;
        }
        for holder in self.holders.iter().filter(is_needed) {
            self.tick_ns = if is_armed { due_ns } else { now_ns };
            if !is_armed {
                holder.tell(now_ns);
            }
        }
        for Holder { shared, .. } in self.holders.iter().filter(is_needed) {
            while shared.due_ns.load(Acquire) == self.tick_ns
                && clock::monotonic_ns() < self.tick_ns + LATE_NS
            {
                std::hint::spin_loop();
            }
        }
    }

    fn learn_lead(&mut self, late_ns: u64) {
        self.lead_ns = match late_ns > self.lead_ns {
            true => (self.lead_ns + 3 * LEAD_STEP_NS).min(self.longest_lead_ns),
            false => self.lead_ns.saturating_sub(LEAD_STEP_NS),
        };
    }

    /// A thread was found on this CPU.
    pub fn see(&mut self, cpu: usize) {
        if cpu < CpuSet::MAX_CPU && !self.seen.contains(&cpu) && self.seen.len() < MOST {
            self.seen.push(cpu);
        }
    }

    /// All threads have been asked. The CPUs that they ran on are held at the next tick, at `next_ns`, if they have to
    /// be. For so many nanoseconds from now they are expected to stop; 0 where they cannot before this thread sleeps.
    pub fn release(&mut self, next_ns: u64) -> u64 {
        let (here, are_made) = (sched_getcpu(), self.calls.are_made());
        for holder in &mut self.holders {
            let shared = &holder.shared;
            holder.is_wanted = shared.is_ready.load(Acquire) && self.seen.contains(&holder.cpu);
            let is_armed = are_made && holder.is_wanted;
            shared.due_ns.store(if is_armed { next_ns } else { 0 }, SeqCst);
            shared.done_ns.store(self.tick_ns, Release);
            if is_armed {
                self.armed_ns = next_ns;
                holder.tell(next_ns);
            }
        }
        let is_held = |cpu: &usize| self.holders.iter().any(|holder| holder.cpu == *cpu);
        self.missing = self.seen.iter().copied().find(|cpu| !is_held(cpu));
        let is_elsewhere = self.seen.iter().any(|cpu| *cpu != here);
        self.seen.clear();
        match self.tick_ns {
            0 if !is_elsewhere || are_made => 0,
            0 => SOON_ASKED_NS,
            _ => SOON_HELD_NS,
        }
    }

    /// Starts one for each CPU, if they are few. For the beginning: where more threads run than CPUs, no moment
    /// may come later that [`prepare`](Self::prepare) is for.
    pub fn prepare_all(&mut self) {
        let allowed = self.allowed;
        if allowed.count() as usize <= MOST {
            for cpu in (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu)) {
                self.missing = Some(cpu);
                self.prepare();
            }
            // Nobody knows yet where threads run.
            for holder in &mut self.holders {
                holder.is_wanted = holder.shared.is_ready.load(Acquire);
            }
        }
    }

    /// All CPUs that threads run on are held, a tick now and then aside in which a holder is late.
    pub fn have_all(&self) -> bool {
        let ready = self.holders.iter().filter(|holder| holder.shared.is_ready.load(Acquire));
        ready.count() == self.allowed.count() as usize
    }

    /// Starts one that is missing. For a moment in which no thread is asked to stop.
    pub fn prepare(&mut self) {
        let Some(cpu) = self.missing.take() else { return };
        if !self.is_refused && self.holders.len() < MOST && self.allowed.is_set(cpu) {
            let shared = Arc::<Shared>::default();
            let its = Arc::clone(&shared);
            let thread = std::thread::Builder::new().name("holder".into()).stack_size(64 << 10);
            match thread.spawn(move || hold(cpu, &its)) {
                Ok(thread) => {
                    // It is there before the next tick: while threads stand, nobody allocates.
                    let until_ns = clock::monotonic_ns() + STARTING_NS;
                    while !shared.is_ready.load(Acquire)
                        && !thread.is_finished()
                        && clock::monotonic_ns() < until_ns
                    {
                        std::thread::sleep(Duration::from_micros(20));
                    }
                    self.holders.push(Holder { cpu, is_wanted: false, shared, thread });
                }
                Err(_) => self.is_refused = true,
            }
        }
    }
}

impl Holder {
    /// It is to hold from `due_ns` on.
    fn tell(&self, due_ns: u64) {
        self.shared.due_ns.store(due_ns, SeqCst);
        if self.shared.is_parked.swap(false, SeqCst) {
            self.thread.thread().unpark();
        }
    }
}

/// What such a thread does. Where it cannot go before others it ends: it would be of no use.
fn hold(cpu: usize, shared: &Shared) {
    let mut here = CpuSet::new();
    here.set(cpu);
    if sched_setaffinity(None, &here).is_err() || !promptness(PRIORITY, Heirs::Plain) {
        return;
    }
    shared.is_ready.store(true, Release);
    while !shared.is_over.load(Acquire) {
        let (due_ns, now_ns) = (shared.due_ns.load(SeqCst), clock::monotonic_ns());
        if due_ns == 0 {
            shared.is_parked.store(true, SeqCst);
            if shared.due_ns.load(SeqCst) == 0 && !shared.is_over.load(Acquire) {
                std::thread::park();
            }
        } else if now_ns < due_ns {
            std::thread::park_timeout(Duration::from_nanos(due_ns - now_ns));
        } else {
            // By this it is known that the CPU is held. Unless another tick was told meanwhile.
            if shared.due_ns.compare_exchange(due_ns, 0, SeqCst, Relaxed).is_err() {
                continue;
            }
            let until_ns = if now_ns < due_ns + LATE_NS { now_ns + LONGEST_NS } else { now_ns };
            while shared.done_ns.load(Acquire) < due_ns && clock::monotonic_ns() < until_ns {
                std::hint::spin_loop();
            }
        }
    }
}

impl Drop for Holders {
    fn drop(&mut self) {
        for Holder { shared, thread, .. } in self.holders.drain(..) {
            shared.is_over.store(true, Release);
            shared.done_ns.store(u64::MAX, Release);
            thread.thread().unpark();
            // It does nothing that could fail.
            let _ = thread.join();
        }
    }
}
