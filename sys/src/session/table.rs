//! The threads of a session.

use super::{ThreadKey, ThreadReport};
use crate::process::Gauge;
use flame_core::limits::THREADS;
use flame_core::profile::Counts;
use std::collections::HashMap;

/// What the session has to do with a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Not traced. Becomes so when it is first seen to run.
    Loose,
    /// Traced, and runs.
    Running,
    /// Traced, and asked to stop.
    Asked,
    /// Traced, in a group-stop.
    Listening,
    /// Not wanted.
    Dismissed,
    /// Ended.
    Ended,
}

/// A thread of the session.
#[derive(Debug)]
pub(super) struct Thread {
    pub key: ThreadKey,
    pub state: State,
    /// `None` once it has ended or is not wanted.
    pub gauge: Option<Gauge>,
    /// Its ticks are counted: it has run, or is a process' first.
    pub counted: bool,
    /// When it was asked to stop.
    pub asked_ns: u64,
    /// Ticks that came while it had been asked already.
    pub missed: u64,
    /// CPU time it had used at the first of them.
    pub missed_from_ns: Option<u64>,
    /// Ticks that it waited for a CPU.
    pub starved: u64,
    pub refusals: u32,
    pub budget: Budget,
    pub from_us: u64,
    pub until_us: Option<u64>,
    pub counts: Counts,
}

impl Thread {
    /// Traced, in any way.
    pub fn is_seized(&self) -> bool {
        matches!(self.state, State::Running | State::Asked | State::Listening)
    }

    /// Ticks came while it had been asked and had not stopped yet. `cpu_ns`: CPU time it has used so far.
    pub fn miss(&mut self, ticks: u64, cpu_ns: impl FnOnce() -> Option<u64>) {
        if self.missed == 0 {
            self.missed_from_ns = cpu_ns();
        }
        self.missed += ticks;
        self.counts.wanted += ticks;
    }

    /// It has stopped at last, or will not. While it had not, it executed nothing of its own: either it
    /// waited for a CPU, and those ticks are idle, or it was in the kernel all the time, and they are lost.
    /// The CPU time it used tells.
    pub fn settle(&mut self, cpu_ns: Option<u64>, period_ns: u64) {
        let missed = std::mem::take(&mut self.missed);
        let used = self.missed_from_ns.take().zip(cpu_ns).map(|(before, now)| now.saturating_sub(before));
        let ran = used.map_or(missed, |used| (used / period_ns.max(1)).min(missed));
        self.counts.lost += ran;
        self.counts.idle += missed - ran;
        self.starved += missed - ran;
    }
}

/// Threads by number and by id.
#[derive(Default)]
pub(super) struct Table {
    pub threads: Vec<Thread>,
    by_tid: HashMap<u32, u16>,
    pub untracked: u64,
}

impl Table {
    /// Adds a thread that is not there yet; `None` if there are too many.
    pub fn add(&mut self, process: u16, tid: u32, gauge: Gauge, now_us: u64) -> Option<ThreadKey> {
        let index = u16::try_from(self.threads.len()).ok().filter(|index| usize::from(*index) < THREADS)?;
        let key = ThreadKey { process, index, tid };
        self.by_tid.insert(tid, index);
        self.threads.push(Thread {
            key,
            state: State::Loose,
            gauge: Some(gauge),
            counted: false,
            asked_ns: 0,
            missed: 0,
            missed_from_ns: None,
            starved: 0,
            refusals: 0,
            budget: Budget::default(),
            from_us: now_us,
            until_us: None,
            counts: Counts::default(),
        });
        Some(key)
    }

    /// The thread that has this id now.
    pub fn find(&mut self, tid: u32) -> Option<&mut Thread> {
        self.threads.get_mut(usize::from(*self.by_tid.get(&tid)?))
    }

    /// A living thread has this id.
    pub fn knows(&self, tid: u32) -> bool {
        let known = self.by_tid.get(&tid).and_then(|index| self.threads.get(usize::from(*index)));
        known.is_some_and(|thread| thread.state != State::Ended)
    }

    pub fn reports(&self) -> Vec<ThreadReport> {
        let report = |thread: &Thread| ThreadReport {
            thread: thread.key,
            from_us: thread.from_us,
            until_us: thread.until_us,
            not_wanted: thread.state == State::Dismissed,
            counts: thread.counts,
        };
        self.threads.iter().map(report).collect()
    }
}

/// How long a thread may be held: a share of the time that passes, saved up for a second at most, so
/// that a thread that idled long is not held for long at a stretch.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Budget {
    left_ns: f64,
    since_ns: u64,
}

impl Budget {
    /// A thread may be stopped at `now_ns`: what it may be held for is not used up.
    pub fn allows(&mut self, now_ns: u64, share: f64) -> bool {
        if self.since_ns != 0 {
            let passed = now_ns.saturating_sub(self.since_ns) as f64;
            self.left_ns = (self.left_ns + passed * share).min(1e9 * share);
        }
        self.since_ns = now_ns;
        self.left_ns >= 0.0
    }

    /// It was held.
    pub fn spend(&mut self, ns: u64) {
        self.left_ns -= ns as f64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_held_for_its_share_and_one_stop_at_most() {
        let (mut budget, mut held) = (Budget::default(), 0);
        for now in (1..=1000).map(|tick| tick * 10_000_000u64) {
            if budget.allows(now, 0.05) {
                budget.spend(3_000_000);
                held += 3_000_000;
            }
        }
        let bound = 500_000_000 + 3_000_000;
        assert!(held <= bound && held > bound - 10_000_000, "{held}");
    }

    #[test]
    fn a_thread_that_got_no_cpu_was_idle_and_one_that_stayed_in_the_kernel_is_lost() {
        let process = crate::process::Process::open(std::process::id()).unwrap();
        let mut table = Table::default();
        table.add(0, 7, Gauge::open(&process, process.pid()).unwrap(), 0).unwrap();
        let thread = table.find(7).unwrap();
        thread.miss(2, || Some(5_000));
        thread.miss(3, || unreachable!());
        thread.settle(Some(7_500), 1000);
        assert_eq!((thread.counts.wanted, thread.counts.lost, thread.counts.idle), (5, 2, 3));
        thread.miss(4, || None);
        thread.settle(Some(1), 1000);
        assert_eq!((thread.counts.wanted, thread.counts.lost, thread.starved), (9, 6, 3));
    }

    #[test]
    fn what_is_saved_up_has_a_bound() {
        let mut budget = Budget::default();
        assert!(budget.allows(1, 0.05));
        assert!(budget.allows(3_600_000_000_000, 0.05));
        budget.spend(50_000_001);
        assert!(!budget.allows(3_600_000_000_000, 0.05));
    }
}
