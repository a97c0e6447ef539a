//! The session's loop.

use super::beat::Beat;
use super::pauses::Histogram;
use super::table::{State, Table};
use super::{Asleep, End, Flow, Options, Outcome, ProcessEnd, Verdict, Visitor};
use crate::attach::{self, Refusal};
use crate::memory::ProcessMemory;
use crate::process::{Activity, Gauge, Process};
use crate::signals::Blocked;
use crate::tracer::{self, Event, Seized, Stop, Why};
use crate::{Errno, arch, clock};
use flame_core::profile::Counts;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// Between looks at what changes slowly: new threads, an exec, the visitor's own tick.
const HOUSEKEEPING_NS: u64 = 100_000_000;

/// Without a sign of change the list of threads is read again after this many looks.
const RESCAN: u32 = 10;

/// No stop lasts longer: what is not read by then fails.
const LONGEST_STOP_NS: u64 = 20_000_000;

/// Threads asked to stop before those that already stand are served: so that on a large machine none of
/// them stands long while others are still being asked.
const ASK_AT_ONCE: u32 = 8;

/// Processes of one session.
const PROCESSES: usize = 1024;

pub(super) fn run(
    signals: &Blocked,
    target: Process,
    options: Options,
    visitor: &mut dyn Visitor,
) -> Result<Outcome, Refusal> {
    let mut session = Session::new(options);
    let mut target = Some(target);
    loop {
        let part = std::thread::scope(|scope| {
            let sampler = std::thread::Builder::new().name("sampler".into());
            let part = sampler.spawn_scoped(scope, || {
                let tid = rustix::thread::gettid();
                precise_timers();
                let mut hand = Hand { signals, session: &mut session, seized: Vec::new() };
                (tid, hand.part(target.take(), visitor))
            });
            part.map(|part| match part.join() {
                Ok(part) => part,
                Err(panic) => std::panic::resume_unwind(panic),
            })
        });
        let (tid, part) = part.map_err(|error| Refusal::Failed {
            doing: "start a thread",
            errno: Errno::from_io_error(&error).unwrap_or(Errno::AGAIN),
        })?;
        released(tid);
        session.forget_traces();
        match part? {
            Part::End(end) => return Ok(session.outcome(end)),
            Part::Suspend => suspend(),
        }
    }
}

/// Waits until the kernel has let go of what the sampler traced: a thread can be joined a moment before.
fn released(sampler: rustix::thread::Pid) {
    let path = format!("/proc/self/task/{}", sampler.as_raw_nonzero());
    for _ in 0..1000 {
        if rustix::fs::access(&path, rustix::fs::Access::EXISTS).is_err() {
            return;
        }
        std::thread::sleep(Duration::from_micros(100));
    }
}

/// Stops node-flame as it was asked to, now that no thread depends on it.
fn suspend() {
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP);
}

/// The kernel may else delay a wake-up by 50 µs to save power.
fn precise_timers() {
    // SAFETY: sets a number of this thread; no pointers.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1 as libc::c_ulong, 0, 0, 0) };
}

/// How a part of a session ended: one tracing thread's life.
enum Part {
    End(End),
    Suspend,
}

/// A process of the session.
struct Target {
    process: Process,
    memory: ProcessMemory,
    /// `/proc/PID/mem` of the program it was: reads nothing once that is gone.
    program: Option<OwnedFd>,
    program_gone: u32,
    tasks: Option<OwnedFd>,
    links: u128,
    looks: u32,
    cpu_ns: u64,
    ended: Option<ProcessEnd>,
}

/// What outlives a suspension.
struct Session {
    options: Options,
    started_ns: u64,
    end_ns: u64,
    beat: Beat,
    housekeeping_ns: u64,
    targets: Vec<Target>,
    table: Table,
    pauses: Histogram,
    rounds: Histogram,
    throttled: u64,
    refused: u64,
    tids: Vec<u32>,
}

/// The session as its tracing thread sees it.
struct Hand<'a> {
    signals: &'a Blocked,
    session: &'a mut Session,
    /// By the thread's index.
    seized: Vec<Option<Seized>>,
}

/// What a visitor can do between ticks.
pub struct Control<'a> {
    session: &'a mut Session,
    added: Vec<u16>,
}

impl Session {
    fn new(options: Options) -> Self {
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
            refused: 0,
            tids: Vec::new(),
        }
    }

    fn us(&self, ns: u64) -> u64 {
        ns.saturating_sub(self.started_ns) / 1000
    }

    fn add(&mut self, process: Process) -> Result<u16, Refusal> {
        if self.targets.len() >= PROCESSES {
            return Err(Refusal::Failed { doing: "follow so many processes", errno: Errno::NOSPC });
        }
        let number = self.targets.len() as u16;
        self.targets.push(Target {
            memory: ProcessMemory::new(process.pid()),
            program: process.file("mem").ok(),
            program_gone: 0,
            tasks: process.file("task").ok(),
            links: 0,
            looks: 0,
            cpu_ns: 0,
            ended: None,
            process,
        });
        Ok(number)
    }

    /// After the tracing thread's end.
    fn forget_traces(&mut self) {
        for thread in &mut self.table.threads {
            if thread.state == State::Asked {
                thread.counts.lost += 1;
            }
            if thread.is_seized() {
                thread.state = State::Loose;
            }
        }
    }

    fn outcome(self, end: End) -> Outcome {
        let length_ns = clock::monotonic_ns().saturating_sub(self.started_ns);
        let threads = self.table.reports();
        let mut counts = Counts::default();
        let mut observed_us = 0;
        for report in &threads {
            counts.wanted += report.counts.wanted;
            counts.taken += report.counts.taken;
            counts.idle += report.counts.idle;
            counts.lost += report.counts.lost;
            counts.disturbed += report.counts.disturbed;
            if report.counts.wanted > 0 {
                observed_us += report.until_us.unwrap_or(length_ns / 1000).saturating_sub(report.from_us);
            }
        }
        Outcome {
            end,
            length_ns,
            counts,
            pauses: self.pauses.pauses(observed_us * 1000),
            rounds: self.rounds.pauses(observed_us * 1000),
            throttled: self.throttled,
            late_reads: self.targets.iter().map(|target| target.memory.late()).sum(),
            untracked: self.table.untracked,
            refused: self.refused,
            threads,
        }
    }
}

impl Control<'_> {
    /// Microseconds since the session's start.
    pub fn at_us(&self) -> u64 {
        self.session.us(clock::monotonic_ns())
    }

    /// Counts of one thread so far.
    pub fn counts(&self, index: u16) -> Counts {
        self.session.table.threads.get(usize::from(index)).map_or(Counts::default(), |thread| thread.counts)
    }

    /// Samples one more process from now on, and gives its number.
    pub fn add(&mut self, process: Process) -> Result<u16, Refusal> {
        let number = self.session.add(process)?;
        self.added.push(number);
        Ok(number)
    }
}

impl Hand<'_> {
    /// Until the end, or until node-flame is to be suspended.
    fn part(&mut self, target: Option<Process>, visitor: &mut dyn Visitor) -> Result<Part, Refusal> {
        if let Some(target) = target {
            self.session.add(target)?;
        }
        for number in 0..self.session.targets.len() as u16 {
            match self.attach(number, visitor) {
                Err(refusal) if number == 0 && self.session.table.threads.is_empty() => return Err(refusal),
                _ => {}
            }
        }
        loop {
            if let Some(part) = self.step(visitor) {
                return Ok(part);
            }
        }
    }

    fn step(&mut self, visitor: &mut dyn Visitor) -> Option<Part> {
        let now = clock::monotonic_ns();
        if now >= self.session.end_ns {
            self.serve(visitor, now);
            return Some(Part::End(End::Time));
        }
        if now >= self.session.housekeeping_ns {
            self.session.housekeeping_ns = now + HOUSEKEEPING_NS;
            if self.housekeeping(visitor) == Flow::Stop {
                return Some(Part::End(End::Visitor));
            }
        } else if now >= self.session.beat.next_ns() {
            self.serve(visitor, now);
            self.tick(visitor);
        } else {
            let until =
                self.session.beat.next_ns().min(self.session.housekeeping_ns).min(self.session.end_ns);
            match self.signals.wait(Duration::from_nanos(until - now)) {
                None => return None,
                Some(taken) => match taken.signal {
                    libc::SIGCHLD => self.serve(visitor, clock::monotonic_ns()),
                    libc::SIGCONT => {}
                    libc::SIGTSTP => return Some(Part::Suspend),
                    signal => return Some(Part::End(End::Signal(signal))),
                },
            }
        }
        let first = self.session.targets.first().and_then(|target| target.ended)?;
        let all = self.session.targets.iter().all(|target| target.ended.is_some());
        all.then_some(Part::End(End::Target(first)))
    }

    /// Begins with a process: its first thread is traced from now on, the others once they run.
    fn attach(&mut self, number: u16, visitor: &mut dyn Visitor) -> Result<(), Refusal> {
        let target = &self.session.targets[usize::from(number)];
        if target.ended.is_some() {
            return Ok(());
        }
        let pid = target.process.pid();
        let seized = Seized::seize(pid).map_err(|errno| attach::refused(&target.process, errno));
        let seized = match seized {
            Ok(seized) => seized,
            Err(refusal) => {
                self.end_process(number, ProcessEnd::Gone, visitor);
                return Err(refusal);
            }
        };
        self.rescan(number, visitor);
        let session = &mut *self.session;
        if let Some(thread) = session.table.find(pid) {
            if thread.state == State::Loose {
                thread.state = State::Running;
                thread.counted = true;
            }
            // Kept even if the thread is not sampled: it is by the first thread that a process' end and
            // exec are told.
            let index = usize::from(thread.key.index);
            self.keep(index, seized);
        }
        Ok(())
    }

    fn keep(&mut self, index: usize, seized: Seized) {
        if self.seized.len() <= index {
            self.seized.resize_with(index + 1, || None);
        }
        self.seized[index] = Some(seized);
    }

    fn housekeeping(&mut self, visitor: &mut dyn Visitor) -> Flow {
        for number in 0..self.session.targets.len() as u16 {
            self.look_after(number, visitor);
        }
        let mut control = Control { session: self.session, added: Vec::new() };
        let flow = visitor.tick(&mut control);
        for number in control.added {
            // How it failed is of no interest: it was one of many that come and go.
            let _ = self.attach(number, visitor);
        }
        flow
    }

    fn look_after(&mut self, number: u16, visitor: &mut dyn Visitor) {
        let target = &mut self.session.targets[usize::from(number)];
        if target.ended.is_some() {
            return;
        }
        let links = target.tasks.as_ref().and_then(|tasks| rustix::fs::fstat(tasks).ok());
        let links = links.map_or(0, |stat| u128::from(stat.st_nlink));
        target.looks += 1;
        let rescan = links != target.links || target.looks.is_multiple_of(RESCAN);
        target.links = links;
        // A read from the memory of a program that is gone gives nothing, where one from a bad address
        // of a living one is an error.
        let program = target.program.as_ref();
        let gone = program.is_some_and(|file| rustix::io::pread(file, &mut [0], 0) == Ok(0));
        target.program_gone = if gone { target.program_gone + 1 } else { 0 };
        // Once can be an exit that is under way.
        let replaced = target.program_gone > 1;
        let ended = (replaced || rescan) && target.process.has_ended();
        if ended && self.session.table.threads.iter().all(|t| t.key.process != number || !t.is_seized()) {
            self.end_process(number, ProcessEnd::Gone, visitor);
        } else if replaced && !ended {
            self.end_process(number, ProcessEnd::Exec, visitor);
        } else if rescan {
            self.rescan(number, visitor);
        }
    }

    /// Finds threads that are new and those that are gone.
    fn rescan(&mut self, number: u16, visitor: &mut dyn Visitor) {
        let session = &mut *self.session;
        let now_us = session.us(clock::monotonic_ns());
        let target = &session.targets[usize::from(number)];
        let mut tids = std::mem::take(&mut session.tids);
        if target.process.threads(&mut tids).is_ok() {
            for tid in &tids {
                if session.table.knows(*tid) {
                    continue;
                }
                let gauge = match Gauge::open(&target.process, *tid) {
                    Ok(gauge) => gauge,
                    Err(Errno::NOENT | Errno::SRCH) => continue,
                    Err(_) => {
                        session.table.untracked += 1;
                        continue;
                    }
                };
                let Some(key) = session.table.add(number, *tid, gauge, now_us) else {
                    session.table.untracked += 1;
                    continue;
                };
                let wanted = visitor.started(key);
                let wall = session.options.wall;
                if let Some(thread) = session.table.find(*tid) {
                    thread.counted = wall;
                    if !wanted {
                        thread.state = State::Dismissed;
                        thread.gauge = None;
                    }
                }
            }
            for thread in &mut session.table.threads {
                let gone = thread.key.process == number
                    && thread.state != State::Ended
                    && tids.binary_search(&thread.key.tid).is_err();
                if gone {
                    end_thread(thread, now_us, visitor);
                }
            }
        }
        session.tids = tids;
    }

    /// Asks all threads that run to stop.
    fn tick(&mut self, visitor: &mut dyn Visitor) {
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
                thread.counts.wanted += due;
                thread.counts.lost += due;
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

    /// Serves all that has happened to traced threads. `woke_ns`: since when that can be.
    fn serve(&mut self, visitor: &mut dyn Visitor, woke_ns: u64) {
        // One event for each traced thread at most came before this; what comes after is signalled anew.
        for _ in 0..self.seized.iter().flatten().count() {
            match tracer::next_event() {
                None => return,
                Some(Event::Stopped(stop)) => self.stopped(stop, visitor, woke_ns),
                Some(Event::Ended(tid, exit)) => self.ended(tid, exit, visitor),
            }
        }
    }

    fn stopped(&mut self, stop: Stop, visitor: &mut dyn Visitor, woke_ns: u64) {
        let session = &mut *self.session;
        let Some(thread) = session.table.find(stop.tid()) else { return stop.resume() };
        let asked = thread.state == State::Asked;
        match stop.why() {
            Why::Exec => {
                let process = thread.key.process;
                stop.detach();
                self.end_process(process, ProcessEnd::Exec, visitor);
            }
            Why::Group(_) => {
                if asked {
                    thread.counts.idle += 1;
                }
                if thread.is_seized() {
                    thread.state = State::Listening;
                }
                stop.resume();
            }
            _ if asked => {
                let index = usize::from(thread.key.index);
                self.sample(index, stop, visitor, woke_ns);
            }
            _ => {
                if thread.state == State::Listening {
                    thread.state = State::Running;
                }
                stop.resume();
            }
        }
    }

    /// The answer to a request has come: the thread stands and is read.
    fn sample(&mut self, index: usize, stop: Stop, visitor: &mut dyn Visitor, woke_ns: u64) {
        let session = &mut *self.session;
        let thread = &mut session.table.threads[index];
        let memory = &session.targets[usize::from(thread.key.process)].memory;
        let from_ns = woke_ns.max(thread.asked_ns);
        memory.until(from_ns + LONGEST_STOP_NS);
        // `None`: it had been asleep.
        let verdict = match stop.registers() {
            Err(_) => Some(Verdict::Lost),
            Ok(registers) if arch::interrupted(&registers, memory) => None,
            Ok(registers) => Some(visitor.held(thread.key, &registers, memory)),
        };
        let why = stop.why();
        thread.state = if verdict == Some(Verdict::NotWanted) {
            stop.detach();
            self.seized[index] = None;
            State::Dismissed
        } else {
            stop.resume();
            State::Running
        };
        let now = clock::monotonic_ns();
        memory.until(u64::MAX);
        let held_ns = now.saturating_sub(from_ns);
        session.pauses.add(held_ns);
        session.rounds.add(now.saturating_sub(thread.asked_ns));
        thread.budget.spend(held_ns);
        match verdict {
            Some(Verdict::Sampled) => thread.counts.taken += 1,
            Some(Verdict::Lost) => thread.counts.lost += 1,
            Some(Verdict::NotWanted) => thread.counts.wanted -= 1,
            None => {
                thread.counts.idle += 1;
                // A signal had woken it, not we.
                thread.counts.disturbed += u64::from(why == Why::Interrupted);
            }
        }
        if thread.state == State::Dismissed {
            thread.gauge = None;
        }
        if verdict.is_some() {
            let (key, at_us) = (thread.key, session.us(from_ns));
            visitor.released(key, at_us);
        }
    }

    fn ended(&mut self, tid: u32, exit: tracer::Exit, visitor: &mut dyn Visitor) {
        let session = &mut *self.session;
        let now_us = session.us(clock::monotonic_ns());
        let Some(thread) = session.table.find(tid) else { return };
        let key = thread.key;
        end_thread(thread, now_us, visitor);
        if let Some(seized) = self.seized.get_mut(usize::from(key.index)) {
            *seized = None;
        }
        if session.targets[usize::from(key.process)].process.pid() == tid {
            self.end_process(key.process, ProcessEnd::Exit(exit), visitor);
        }
    }

    fn end_process(&mut self, number: u16, end: ProcessEnd, visitor: &mut dyn Visitor) {
        let session = &mut *self.session;
        let now_us = session.us(clock::monotonic_ns());
        for thread in &mut session.table.threads {
            if thread.key.process == number && thread.state != State::Ended {
                end_thread(thread, now_us, visitor);
            }
        }
        let target = &mut session.targets[usize::from(number)];
        if target.ended.is_none() {
            target.ended = Some(end);
            visitor.process_ended(number, end);
        }
    }
}

fn end_thread(thread: &mut super::table::Thread, now_us: u64, visitor: &mut dyn Visitor) {
    if thread.state == State::Asked {
        thread.counts.lost += 1;
    }
    thread.state = State::Ended;
    thread.until_us = Some(now_us);
    thread.gauge = None;
    visitor.ended(thread.key);
}
