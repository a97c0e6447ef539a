//! A tick: which threads run, and those are asked to stop.

use super::census::end_thread;
use super::engine::Hand;
use super::table::State;
use super::{Asleep, Verdict, Visitor};
use crate::process::{Activity, cpu_time_ns};
use crate::tracer::Seized;
use crate::{Errno, clock};

/// Threads asked to stop before those that already stand are served: so that on a large machine none of
/// them stands long while others are still being asked.
const ASK_AT_ONCE: u32 = 8;

impl Hand<'_> {
    /// Asks all threads that run to stop.
    pub fn tick(&mut self, visitor: &mut dyn Visitor) {
        let due = self.session.beat.take(clock::monotonic_ns());
        let start = self.session.beat.random() as usize;
        let mut asked = 0;
        for number in 0..self.session.targets.len() {
            if self.session.targets[number].ended.is_some() {
                continue;
            }
            let target = &mut self.session.targets[number];
            let cpu_ns = clock::process_cpu_ns(target.process.pid()).unwrap_or(target.cpu_ns);
            // Not one of its threads has run since the last tick.
            let still = cpu_ns == target.cpu_ns;
            target.cpu_ns = cpu_ns;
            let count = self.session.table.threads.len();
            for offset in 0..count {
                // Not always the same thread first.
                let index = (start % count + offset) % count;
                if usize::from(self.session.table.threads[index].key.process) != number {
                    continue;
                }
                if self.visit(index, due, still, visitor) {
                    asked += 1;
                    if asked % ASK_AT_ONCE == 0 {
                        self.serve(visitor, clock::monotonic_ns());
                    }
                }
            }
        }
    }

    /// What a tick means for one thread. Whether it was asked to stop.
    fn visit(&mut self, index: usize, due: u64, still: bool, visitor: &mut dyn Visitor) -> bool {
        let session = &mut *self.session;
        let wall = session.options.wall;
        let thread = &mut session.table.threads[index];
        let Some(gauge) = &thread.gauge else { return false };
        let activity = match thread.state {
            State::Dismissed | State::Ended => return false,
            State::Asked => {
                let process = &session.targets[usize::from(thread.key.process)].process;
                let tid = thread.key.tid;
                thread.miss(due, || cpu_time_ns(process, tid));
                return false;
            }
            _ if still && !wall => Activity::Waiting,
            _ => gauge.activity(),
        };
        match activity {
            Activity::Ended => {
                if thread.state == State::Loose {
                    let now_us = session.started_ns.max(clock::monotonic_ns()) - session.started_ns;
                    end_thread(thread, now_us / 1000, visitor);
                }
                return false;
            }
            Activity::Waiting => {
                if !thread.counted {
                    return false;
                }
                thread.counts.wanted += due;
                let place = if wall { gauge.waits_at() } else { None };
                let sampled = place.is_some_and(|(pc, sp)| {
                    let at_us = (clock::monotonic_ns() - session.started_ns) / 1000;
                    let target = &session.targets[usize::from(thread.key.process)];
                    target.memory.until(u64::MAX);
                    let at = Asleep { pc, sp, unchanged: still, at_us };
                    visitor.asleep(thread.key, at, &target.memory) == Verdict::Sampled
                });
                if sampled {
                    thread.counts.taken += 1;
                    thread.counts.lost += due - 1;
                } else {
                    thread.counts.idle += due;
                }
                return false;
            }
            Activity::Running => {}
        }
        thread.counted = true;
        thread.counts.wanted += due;
        thread.counts.lost += due - 1;
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
                    self.keep(index, seized);
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
        let thread = &mut self.session.table.threads[index];
        let asked = self.seized.get(index).and_then(Option::as_ref).map(Seized::interrupt);
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
