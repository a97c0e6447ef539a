//! A tick: which threads run, and those are asked to stop.

use super::engine::Hand;
use super::table::{self, State};
use super::{Asleep, Verdict, Visitor};
use crate::process::{Activity, cpu_time_ns};
use crate::tracer::Seized;
use crate::{Errno, clock};
use rustix::thread::{CpuSet, sched_getcpu};

/// Threads asked to stop before those that already stand are served: so that on a large machine none of
/// them stands long while others are still being asked.
const ASK_AT_ONCE: u32 = 8;

/// A thread that has not been of interest so far, as V8's and libuv's helpers are, is looked at only so many
/// times a second, and in one of so many ticks: with ten of them, looking costs more than a sample does.
const LOOKS_A_SECOND: usize = 12;
const LOOKS_APART: usize = 8;

/// So many times a thread is looked at in each tick first: a new worker soon runs JavaScript.
const FIRST_LOOKS: u32 = 64;

/// Where there are more running threads than CPUs, all are looked at in one of so many ticks.
const CROWDED_APART: usize = 64;

/// How the threads are looked at in a tick.
#[derive(Clone, Copy)]
struct Look {
    /// Ticks that are due.
    due: u64,
    /// The kernel's account of CPU time tells which have run since the last one.
    is_told: bool,
    /// Those that have not are looked at, too.
    at_all: bool,
}

impl Hand<'_> {
    /// Asks all threads that run to stop.
    pub fn tick(&mut self, visitor: &mut dyn Visitor) {
        let next_ns = self.session.beat.next_ns();
        self.holders.hold(next_ns, self.crowded);
        let due = self.session.beat.take(clock::monotonic_ns().max(next_ns));
        let start = self.session.beat.random() as usize;
        let wall = self.session.options.wall;
        for target in self.session.targets.iter_mut().filter(|target| target.ended.is_none()) {
            // One question for all of its threads, where the answer is likely to be that none has run.
            let cpu_ns = if target.idle || wall { clock::process_cpu_ns(target.process.pid()) } else { None };
            target.still = cpu_ns == Some(target.cpu_ns);
            target.cpu_ns = cpu_ns.unwrap_or(0);
            target.idle = true;
        }
        let (mut asked, count) = (0, self.session.table.threads.len());
        let looks_at_all = !self.crowded || self.session.ticks.is_multiple_of(CROWDED_APART);
        let is_told = self.crowded && !wall && self.holders.have_all();
        let look = Look { due, is_told, at_all: looks_at_all };
        (self.running, self.cpus) = (0, CpuSet::new());
        self.session.ticks = self.session.ticks.wrapping_add(1);
        for offset in 0..count {
            // Not always the same thread first.
            let slot = (start % count + offset) % count;
            if self.is_looked_at(slot) && self.visit(slot, look, visitor) {
                asked += 1;
                if asked % ASK_AT_ONCE == 0 {
                    self.serve(visitor, clock::monotonic_ns());
                }
            }
        }
        if looks_at_all {
            self.crowded = self.running > self.cpus.count().max(1) as usize;
        }
        let soon_ns = self.holders.release(self.session.beat.next_ns());
        if soon_ns > 0 && asked > 0 {
            self.soon_ns = clock::monotonic_ns() + soon_ns;
        }
    }

    /// Whether this tick has anything to do with a thread.
    fn is_looked_at(&mut self, slot: usize) -> bool {
        let apart = LOOKS_APART.max(self.session.options.rate_hz as usize / LOOKS_A_SECOND);
        let turn = self.session.ticks.wrapping_add(slot).is_multiple_of(apart);
        let thread = &mut self.session.table.threads[slot];
        thread.looks = thread.looks.saturating_add(1);
        thread.counted || thread.state == State::Asked || thread.looks <= FIRST_LOOKS || turn
    }

    /// What a tick means for one thread. Whether it was asked to stop.
    ///
    /// Of more threads than CPUs most only wait for one. Asked to stop, each would do so as soon as it got a CPU,
    /// and give it to the next that does the same, until all stand. So those that have not run since the last
    /// tick are not asked: what ran was taken off its CPU just now, so the kernel's account of it is exact.
    fn visit(&mut self, slot: usize, look: Look, visitor: &mut dyn Visitor) -> bool {
        let due = look.due;
        let session = &mut *self.session;
        let wall = session.options.wall;
        let thread = &mut session.table.threads[slot];
        let Some(gauge) = &thread.gauge else { return false };
        let target = &mut session.targets[usize::from(thread.key.process)];
        let mut has_run = true;
        let activity = match thread.state {
            State::Dismissed | State::Ended => return false,
            State::Asked => {
                target.idle = false;
                let tid = thread.key.tid;
                thread.miss(due, || cpu_time_ns(&target.process, tid));
                return false;
            }
            _ if target.still && !wall => Activity::Waiting,
            State::Running | State::Loose if look.is_told => {
                let cpu_ns = gauge.cpu_time_ns(&target.process, thread.key.tid);
                has_run = table::has_run(&mut thread.cpu_ns, cpu_ns);
                if has_run || look.at_all { gauge.activity() } else { Activity::Waiting }
            }
            _ => gauge.activity(),
        };
        // Of a thread that is not traced yet nobody has seen what signals it was given.
        if matches!(activity, Activity::Running(_))
            && (target.crashing.is_some() || thread.state == State::Loose)
            && target.process.is_dumping_core()
        {
            target.idle = false;
            thread.counts.wanted += due;
            thread.counts.idle += due;
            return false;
        }
        let cpu = match activity {
            Activity::Ended => {
                if thread.state == State::Loose {
                    self.end_thread(slot, visitor);
                }
                return false;
            }
            Activity::Waiting => {
                if !thread.counted {
                    return false;
                }
                // As it was when all were looked at.
                thread.starves &= !has_run && !look.at_all;
                thread.starved += if thread.starves { due } else { 0 };
                thread.counts.wanted += due;
                let place = if wall { gauge.waits_at() } else { None };
                let verdict = place.map(|(pc, sp)| {
                    target.memory.through(thread.key.tid);
                    let at_us = (clock::monotonic_ns() - session.started_ns) / 1000;
                    let at = Asleep { pc, sp, unchanged: target.still, at_us, gauge };
                    visitor.asleep(thread.key, at, &target.memory)
                });
                match verdict {
                    Some(Verdict::Sampled) => {
                        thread.counts.taken += 1;
                        thread.counts.lost += due - 1;
                    }
                    Some(Verdict::NotWanted | Verdict::Skipped) => {
                        thread.counts.wanted -= due;
                        thread.counted = verdict == Some(Verdict::Skipped);
                    }
                    Some(Verdict::Lost) | None => thread.counts.idle += due,
                }
                return false;
            }
            Activity::Running(running) => {
                target.idle = false;
                target.told_threads = Some(running.threads);
                self.running += 1;
                if running.cpu < CpuSet::MAX_CPU {
                    self.cpus.set(running.cpu);
                }
                // Also those of threads that are not asked: else it cannot be told at the next tick whether they ran.
                if self.crowded {
                    self.holders.see(running.cpu);
                }
                running.cpu
            }
        };
        thread.counted = true;
        thread.counts.wanted += due;
        if !has_run {
            thread.counts.idle += due;
            thread.starved += due;
            thread.starves = true;
            return false;
        }
        thread.counts.lost += due - 1;
        session.overworked += due - 1;
        let now = clock::monotonic_ns();
        if !thread.budget.allows(now, session.options.max_pause_percent / 100.0) {
            thread.counts.lost += 1;
            session.throttled += 1;
            return false;
        }
        if thread.state == State::Loose {
            match Seized::seize(thread.key.tid) {
                Ok(seized) => {
                    thread.state = State::Running;
                    self.keep(slot, seized);
                }
                Err(errno) => {
                    thread.counts.lost += 1;
                    thread.refusals += 1;
                    // It may be ending; if it stays, somebody else has it.
                    if errno != Errno::SRCH && thread.refusals == 3 {
                        thread.state = State::Dismissed;
                        session.refused += 1;
                    }
                    return false;
                }
            }
        }
        let thread = &mut self.session.table.threads[slot];
        self.holders.see(cpu);
        // Of more threads than CPUs another one gets the CPU of one that stands.
        if !self.crowded && cpu != sched_getcpu() {
            self.awake.keep(now);
        }
        let asked = self.seized.get(slot).and_then(Option::as_ref).map(Seized::interrupt);
        if asked != Some(Ok(())) {
            // It is ending; the wait for it will tell.
            thread.counts.lost += 1;
            return false;
        }
        thread.state = State::Asked;
        thread.asked_ns = now;
        true
    }
}
