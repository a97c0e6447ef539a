//! What a session knows and counts, apart from the tracing itself.

use super::beat::Beat;
use super::pauses::Histogram;
use super::table::{State, Table, add};
use super::work::Work;
use super::{End, Options, Outcome, ProcessEnd, ThreadReport};
use crate::attach::Refusal;
use crate::memory::ProcessMemory;
use crate::process::{FileId, Process, cpu_time_ns};
use crate::{Errno, clock};
use flame_core::limits::PROCESSES;
use flame_core::profile::Counts;
use std::os::fd::OwnedFd;

/// Between looks at what changes slowly.
pub(super) const HOUSEKEEPING_NS: u64 = 100_000_000;

/// Between looks at whether threads have come or gone: one question for each process.
pub(super) const COUNTING_NS: u64 = 10_000_000;

/// A process of the session.
pub(super) struct Target {
    pub process: Process,
    pub memory: ProcessMemory,
    pub program: Program,
    pub program_gone: u32,
    /// node-flame started it itself.
    pub is_ours: bool,
    pub tasks: Option<OwnedFd>,
    pub links: u128,
    /// Number of its threads, where that was told without a question since the last one; and at the time before.
    pub told_threads: Option<u32>,
    pub threads: u32,
    pub looks: u32,
    /// Its threads were listed once.
    pub listed: bool,
    /// Threads that found no place, or whose files could not be opened, at one look.
    pub untracked: u64,
    pub cpu_ns: u64,
    /// None of its threads ran at the last tick.
    pub idle: bool,
    /// None of its threads has run since the last tick.
    pub still: bool,
    /// A thread that was given a signal which may end the process with a core dump, until it stops again.
    pub crashing: Option<u32>,
    pub ended: Option<ProcessEnd>,
}

/// By what it is seen that a process has become another program.
pub(super) enum Program {
    /// `/proc/PID/mem` of the program it was: reads nothing once that is gone.
    Memory(OwnedFd),
    /// Its executable, where rights to files forbid to open that. One that executes itself again is not told apart.
    Image(Option<FileId>),
}

impl Program {
    fn of(process: &Process) -> Self {
        match process.file("mem") {
            Ok(file) => Program::Memory(file),
            Err(_) => Program::Image(process.image().ok().flatten().map(|image| image.id)),
        }
    }
}

impl Target {
    /// The number of its threads is not what it was at the last question.
    pub fn has_other_threads(&mut self) -> bool {
        if let Some(threads) = self.told_threads.take() {
            return std::mem::replace(&mut self.threads, threads) != threads;
        }
        let links = self.tasks.as_ref().and_then(|tasks| rustix::fs::fstat(tasks).ok());
        let links = links.map_or(0, |stat| u128::from(stat.st_nlink));
        std::mem::replace(&mut self.links, links) != links
    }
}

/// What outlives a suspension.
pub(super) struct Session {
    pub options: Options,
    pub started_ns: u64,
    pub end_ns: u64,
    pub beat: Beat,
    pub housekeeping_ns: u64,
    pub targets: Vec<Target>,
    pub table: Table,
    pub pauses: Histogram,
    pub rounds: Histogram,
    pub throttled: u64,
    /// Ticks of running threads that were passed over.
    pub overworked: u64,
    pub work: Work,
    pub refused: u64,
    /// Of processes whose place another has: threads that found none.
    pub untracked: u64,
    /// Threads found later than their process.
    pub came: u64,
    /// Those that cannot be seen where they wait, though they are to be.
    pub blind: u64,
    /// When the threads were last counted.
    pub counted_ns: u64,
    pub tids: Vec<u32>,
    /// Ticks so far.
    pub ticks: usize,
}

impl Session {
    pub fn new(options: Options) -> Self {
        let now = clock::monotonic_ns();
        let length = u64::try_from(options.duration.as_nanos()).unwrap_or(u64::MAX);
        Session {
            options,
            started_ns: now,
            end_ns: now.saturating_add(length),
            beat: Beat::new(options.rate_hz, now, now ^ u64::from(std::process::id()) << 32),
            housekeeping_ns: now + HOUSEKEEPING_NS,
            targets: Vec::new(),
            table: Table::default(),
            pauses: Histogram::default(),
            rounds: Histogram::default(),
            throttled: 0,
            overworked: 0,
            work: Work::new(now),
            refused: 0,
            untracked: 0,
            came: 0,
            blind: 0,
            counted_ns: now,
            tids: Vec::new(),
            ticks: 0,
        }
    }

    pub fn us(&self, ns: u64) -> u64 {
        ns.saturating_sub(self.started_ns) / 1000
    }

    pub fn add(&mut self, process: Process) -> Result<u16, Refusal> {
        // The place of one that has ended is free, but for the first, whose end is the session's.
        let free = self.targets.iter().skip(1).position(|target| target.ended.is_some());
        let number = free.map_or(self.targets.len(), |free| free + 1);
        if number >= PROCESSES {
            return Err(Refusal::Failed { doing: "follow so many processes", errno: Errno::NOSPC });
        }
        let target = Target {
            memory: ProcessMemory::new(process.pid()),
            program: Program::of(&process),
            program_gone: 0,
            is_ours: process.stat().ok().flatten().is_some_and(|stat| stat.parent == std::process::id()),
            tasks: process.file("task").ok(),
            links: 0,
            told_threads: None,
            threads: 0,
            looks: 0,
            listed: false,
            untracked: 0,
            cpu_ns: 0,
            idle: false,
            still: false,
            crashing: None,
            ended: None,
            process,
        };
        match self.targets.get_mut(number) {
            Some(free) => self.untracked += std::mem::replace(free, target).untracked,
            None => self.targets.push(target),
        }
        Ok(number as u16)
    }

    /// After the tracing thread's end.
    pub fn forget_traces(&mut self) {
        for thread in &mut self.table.threads {
            if thread.state == State::Asked {
                thread.counts.lost += 1;
                let process = &self.targets[usize::from(thread.key.process)].process;
                thread.settle(cpu_time_ns(process, thread.key.tid), self.beat.period_ns());
            }
            if thread.is_seized() {
                thread.state = State::Loose;
            }
        }
    }

    pub fn outcome(self, end: End) -> Outcome {
        let now_ns = clock::monotonic_ns();
        let threads = self.table.reports();
        let mut counts = Counts::default();
        threads.iter().for_each(|report| add(&mut counts, &report.counts));
        let period_ns = self.beat.mean_ns(now_ns);
        let observed_ns = counts.wanted.saturating_mul(period_ns);
        Outcome {
            end,
            length_ns: now_ns.saturating_sub(self.started_ns),
            period_ns,
            counts,
            pauses: self.pauses.pauses(observed_ns),
            rounds: self.rounds.pauses(observed_ns),
            throttled: self.throttled,
            overworked: self.overworked,
            starved: self.table.starved(),
            late_reads: self.targets.iter().map(|target| target.memory.late()).sum(),
            untracked: self.untracked + self.targets.iter().map(|target| target.untracked).sum::<u64>(),
            refused: self.refused,
            blind: self.blind,
            came: self.came,
            went: self.table.went,
            threads,
        }
    }
}

/// What a visitor can do between ticks.
pub struct Control<'a> {
    pub(super) session: &'a mut Session,
    pub(super) added: Vec<u16>,
}

impl Control<'_> {
    /// Microseconds since the session's start.
    pub fn at_us(&self) -> u64 {
        self.session.us(clock::monotonic_ns())
    }

    /// Counts so far, of all threads together.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        self.session.table.reports().iter().for_each(|report| add(&mut counts, &report.counts));
        counts
    }

    /// What became of each thread so far.
    pub fn threads(&self) -> Vec<ThreadReport> {
        self.session.table.reports()
    }

    /// Samples one more process from now on, and gives its number.
    pub fn add(&mut self, process: Process) -> Result<u16, Refusal> {
        let number = self.session.add(process)?;
        self.added.push(number);
        Ok(number)
    }
}
