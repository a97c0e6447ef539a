//! The threads of a session.

use super::{ThreadKey, ThreadReport};
use crate::process::{Activity, Gauge, Process};
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
    /// Ended; its slot is free.
    Ended,
}

/// A thread of the session.
#[derive(Debug)]
pub(super) struct Thread {
    pub key: ThreadKey,
    pub slot: usize,
    /// Number of its report.
    report: usize,
    pub state: State,
    /// `None` once it has ended or is not wanted.
    pub gauge: Option<Gauge>,
    /// Its ticks are counted: it has run, or is a process' first.
    pub counted: bool,
    /// Ticks since it was found.
    pub looks: u32,
    /// When it was asked to stop.
    pub asked_ns: u64,
    /// Ticks that came while it had been asked already.
    pub missed: u64,
    /// CPU time it had used at the first of them.
    pub missed_from_ns: Option<u64>,
    /// CPU time it had used when that was last asked.
    pub cpu_ns: Option<u64>,
    /// Ticks that it waited for a CPU.
    pub starved: u64,
    /// It did when that was last looked at.
    pub starves: bool,
    pub refusals: u32,
    pub budget: Budget,
    pub counts: Counts,
}

impl Thread {
    /// Traced, in any way.
    pub fn is_seized(&self) -> bool {
        matches!(self.state, State::Running | State::Asked | State::Listening)
    }

    /// It is there no longer.
    pub fn has_ended(&self, process: &Process) -> bool {
        match &self.gauge {
            Some(gauge) => gauge.activity() == Activity::Ended,
            None => self.state != State::Ended && !process.has_thread(self.key.tid),
        }
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

/// CPU time that a thread takes to stop, at most: less tells of no work of its own.
const STOPPING_NS: u64 = 50_000;

/// Whether a thread has run since it was last seen to have, by the CPU time that it has used by now. If that
/// cannot be told it is taken to have; and not to have when it is asked about for the first time.
pub(super) fn has_run(before: &mut Option<u64>, cpu_ns: Option<u64>) -> bool {
    let Some(now) = cpu_ns else { return true };
    let ran = before.is_some_and(|before| now.saturating_sub(before) >= STOPPING_NS);
    if ran || before.is_none() {
        *before = cpu_ns;
    }
    ran
}

/// The living threads, each in a slot of its own that another one gets after it, and what became of all.
#[derive(Default)]
pub(super) struct Table {
    pub threads: Vec<Thread>,
    by_tid: HashMap<u32, usize>,
    free: Vec<usize>,
    reports: Vec<ThreadReport>,
    /// Reports of threads that ended without a tick to count.
    blank: Vec<usize>,
    /// Ticks that threads which are gone waited for a CPU.
    starved: u64,
    pub went: u64,
}

impl Table {
    /// Adds a thread that is not there yet; `None` if there are too many at once.
    pub fn add(&mut self, process: u16, tid: u32, is_first: bool, gauge: Gauge) -> Option<ThreadKey> {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None if self.threads.len() < THREADS => self.threads.len(),
            None => return None,
        };
        let key = ThreadKey { process, index: slot as u16, tid };
        let fresh = ThreadReport {
            thread: key,
            is_first,
            has_ended: false,
            not_wanted: false,
            counts: Counts::default(),
        };
        let report = self.blank.pop().unwrap_or(self.reports.len()).min(THREADS - 1);
        match self.reports.get_mut(report) {
            None => self.reports.push(fresh),
            Some(blank) if blank.counts == Counts::default() => *blank = fresh,
            // Shared by all the rest.
            Some(_) => {}
        }
        let thread = Thread {
            key,
            slot,
            report,
            state: State::Loose,
            gauge: Some(gauge),
            counted: false,
            looks: 0,
            asked_ns: 0,
            missed: 0,
            missed_from_ns: None,
            cpu_ns: None,
            starved: 0,
            starves: false,
            refusals: 0,
            budget: Budget::default(),
            counts: Counts::default(),
        };
        if let Some(old) = self.threads.get_mut(slot) {
            *old = thread;
        } else {
            self.threads.push(thread);
        }
        self.by_tid.insert(tid, slot);
        Some(key)
    }

    /// The living thread that has this id.
    pub fn find(&mut self, tid: u32) -> Option<&mut Thread> {
        self.threads.get_mut(*self.by_tid.get(&tid)?)
    }

    /// A living thread has this id.
    pub fn knows(&self, tid: u32) -> bool {
        self.by_tid.contains_key(&tid)
    }

    /// The thread in a slot has ended.
    pub fn end(&mut self, slot: usize) {
        let Some(thread) = self.threads.get_mut(slot).filter(|thread| thread.state != State::Ended) else {
            return;
        };
        if thread.state == State::Asked {
            thread.counts.lost += 1;
            thread.settle(None, 1);
        }
        let not_wanted = thread.state == State::Dismissed;
        thread.state = State::Ended;
        thread.gauge = None;
        self.starved += thread.starved;
        self.went += 1;
        if let Some(report) = self.reports.get_mut(thread.report) {
            report.has_ended = true;
            report.not_wanted = not_wanted;
            add(&mut report.counts, &thread.counts);
            if report.counts == Counts::default() && thread.report < THREADS - 1 {
                self.blank.push(thread.report);
            }
        }
        self.by_tid.remove(&thread.key.tid);
        self.free.push(slot);
    }

    /// What became of each thread. Of the last one, if there were too many, of all the rest together.
    pub fn reports(&self) -> Vec<ThreadReport> {
        let mut reports = self.reports.clone();
        for thread in self.threads.iter().filter(|thread| thread.state != State::Ended) {
            let Some(report) = reports.get_mut(thread.report) else { continue };
            report.has_ended = false;
            report.not_wanted = thread.state == State::Dismissed;
            add(&mut report.counts, &thread.counts);
        }
        reports
    }

    /// Ticks that threads waited for a CPU.
    pub fn starved(&self) -> u64 {
        let living = self.threads.iter().filter(|thread| thread.state != State::Ended);
        self.starved + living.map(|thread| thread.starved).sum::<u64>()
    }
}

/// Adds counts to others.
pub(super) fn add(sum: &mut Counts, counts: &Counts) {
    sum.wanted += counts.wanted;
    sum.taken += counts.taken;
    sum.idle += counts.idle;
    sum.lost += counts.lost;
    sum.disturbed += counts.disturbed;
}

/// How long a thread may be held: a share of the time that passes, saved up for a second at most, so
/// that a thread that idled long is not held for long at a stretch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    left_ns: f64,
    since_ns: u64,
}

/// A thread's first stops, in which nothing of it is known yet, may last longer than later ones.
const CREDIT_NS: f64 = 5e6;

impl Default for Budget {
    fn default() -> Self {
        Budget { left_ns: CREDIT_NS, since_ns: 0 }
    }
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
    fn a_thread_is_held_for_its_share_and_the_credit_and_one_stop_at_most() {
        let (mut budget, mut held) = (Budget::default(), 0);
        for now in (1..=1000).map(|tick| tick * 10_000_000u64) {
            if budget.allows(now, 0.05) {
                budget.spend(3_000_000);
                held += 3_000_000;
            }
        }
        let bound = 500_000_000 + CREDIT_NS as u64 + 3_000_000;
        assert!(held <= bound && held > bound - 10_000_000, "{held}");
    }

    #[test]
    fn a_thread_that_got_no_cpu_was_idle_and_one_that_stayed_in_the_kernel_is_lost() {
        let process = Process::open(std::process::id()).unwrap();
        let mut table = Table::default();
        table.add(0, 7, true, Gauge::open(&process, process.pid(), false).unwrap()).unwrap();
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
    fn a_thread_has_ended_when_it_is_gone_whether_it_is_watched_or_not() {
        let process = Process::open(std::process::id()).unwrap();
        let (end, ends) = std::sync::mpsc::channel::<()>();
        let (tell, tid) = std::sync::mpsc::channel();
        let other = std::thread::spawn(move || {
            tell.send(rustix::thread::gettid().as_raw_nonzero().get().cast_unsigned()).unwrap();
            let _ = ends.recv();
        });
        let (mut table, tid) = (Table::default(), tid.recv().unwrap());
        table.add(0, tid, false, Gauge::open(&process, tid, false).unwrap()).unwrap();
        let thread = table.find(tid).unwrap();
        assert!(!thread.has_ended(&process));
        let gauge = thread.gauge.take();
        assert!(!thread.has_ended(&process));
        drop(end);
        other.join().unwrap();
        // It can be joined a moment before it is gone.
        while process.has_thread(tid) {
            std::thread::yield_now();
        }
        assert!(thread.has_ended(&process));
        thread.gauge = gauge;
        assert!(thread.has_ended(&process));
    }

    #[test]
    fn a_thread_has_run_once_it_has_for_longer_than_it_takes_to_stop() {
        let mut before = None;
        let mut after = |microseconds: u64| has_run(&mut before, Some(microseconds * 1000));
        assert_eq!([100, 130, 149, 150, 190, 200].map(&mut after), [false, false, false, true, false, true]);
        assert!(has_run(&mut before, None));
    }

    #[test]
    fn threads_beyond_the_bound_share_the_last_entry() {
        let process = Process::open(std::process::id()).unwrap();
        let mut table = Table::default();
        for tid in 1..=THREADS as u32 + 10 {
            let gauge = Gauge::open(&process, process.pid(), false).unwrap();
            let key = table.add(0, tid, false, gauge).unwrap();
            assert_eq!(key.index, 0);
            let thread = table.find(tid).unwrap();
            thread.counts.wanted = 1;
            let slot = thread.slot;
            assert_eq!(slot, 0);
            table.end(slot);
            assert!(!table.knows(tid));
        }
        let reports = table.reports();
        assert_eq!(reports.len(), THREADS);
        assert_eq!(reports.iter().map(|report| report.counts.wanted).sum::<u64>(), THREADS as u64 + 10);
        assert_eq!(reports[THREADS - 1].counts.wanted, 11);
    }

    #[test]
    fn threads_that_never_ran_leave_their_place_to_others() {
        let process = Process::open(std::process::id()).unwrap();
        let mut table = Table::default();
        for tid in 1..=100 {
            let gauge = Gauge::open(&process, process.pid(), false).unwrap();
            table.add(0, tid, false, gauge).unwrap();
            table.end(0);
        }
        assert_eq!((table.reports().len(), table.went), (1, 100));
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
