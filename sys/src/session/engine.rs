//! The session's loop.

use super::awake::Awake;
use super::holders::Holders;
use super::state::{HOUSEKEEPING_NS, Session};
use super::table::State;
use super::watchdog::Watchdog;
use super::{End, Flow, Options, Outcome, ProcessEnd, Visitor};
use crate::attach::Refusal;
use crate::process::Process;
use crate::signals::{Blocked, Taken};
use crate::tracer::Seized;
use crate::{Errno, clock};
use rustix::thread::CpuSet;
use std::time::Duration;

pub(super) fn run(
    signals: &Blocked,
    mut target: Option<Process>,
    options: Options,
    visitor: &mut dyn Visitor,
) -> Result<Outcome, Refusal> {
    let watchdog = Watchdog::start();
    let mut session = Session::new(options);
    loop {
        watchdog.tracing(true);
        let part = std::thread::scope(|scope| {
            let sampler = std::thread::Builder::new().name("sampler".into());
            let part = sampler.spawn_scoped(scope, || {
                let tid = rustix::thread::gettid();
                // The holders that it starts first are prompt from their beginning: on busy CPUs they would come late.
                promptness(PRIORITY, Heirs::Prompt);
                let period_ns = session.beat.period_ns();
                let mut hand = Hand {
                    signals,
                    watchdog: &watchdog,
                    session: &mut session,
                    seized: Vec::new(),
                    traced: 0,
                    waited: false,
                    stale: true,
                    soon_ns: 0,
                    running: 0,
                    cpus: CpuSet::new(),
                    crowded: true,
                    holders: Holders::new(period_ns),
                    awake: Awake::new(period_ns),
                };
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
        watchdog.tracing(false);
        session.forget_traces();
        match part? {
            Part::End(end) => return Ok(session.outcome(end)),
            Part::Suspend(signal) => {
                let ended_ns = clock::monotonic_ns();
                visitor.suspended(true);
                signals.suspend(signal);
                visitor.suspended(false);
                let now = clock::monotonic_ns();
                session.beat.restart(ended_ns, now);
                session.work.rested(now);
            }
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

/// Has this thread woken on time and before others.
///
/// While it waits for a CPU that others use, threads stand that it has stopped: on 2 CPUs with 64 busy
/// threads, 40 ms and more at 997 Hz; as a real-time thread half a millisecond at most. It uses little, and
/// the kernel bounds what such threads use together. Where it is not permitted, it is not needed for safety.
///
/// Whether it was permitted.
pub(super) fn promptness(priority: i32, heirs: Heirs) -> bool {
    // SAFETY: calls that set numbers of this thread; `parameter` is a valid sched_param. By number, as musl's
    // own function is a stub.
    unsafe {
        // Else the kernel may delay a wake-up by 50 µs to save power.
        libc::prctl(libc::PR_SET_TIMERSLACK, 1 as libc::c_ulong, 0, 0, 0);
        let mut parameter: libc::sched_param = std::mem::zeroed();
        parameter.sched_priority = priority;
        let policy = match heirs {
            Heirs::Prompt => libc::SCHED_FIFO,
            Heirs::Plain => libc::SCHED_FIFO | SCHED_RESET_ON_FORK,
        };
        libc::syscall(libc::SYS_sched_setscheduler, 0, policy, &raw const parameter) == 0
    }
}

/// What threads and processes are that a prompt thread starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heirs {
    /// As prompt.
    Prompt,
    /// As all others.
    Plain,
}

/// For so long, at most: of many threads one is asked at nearly any moment.
const PUT_OFF_NS: u64 = 20_000_000;

/// Of the sampling thread; those that hold CPUs for it are below.
const PRIORITY: i32 = 2;

/// `include/uapi/linux/sched.h`.
const SCHED_RESET_ON_FORK: libc::c_int = 0x4000_0000;

/// How a part of a session ended: one tracing thread's life.
enum Part {
    End(End),
    /// To act on this signal, now that no thread depends on node-flame.
    Suspend(i32),
}

/// The session as its tracing thread sees it.
pub(super) struct Hand<'a> {
    signals: &'a Blocked,
    pub watchdog: &'a Watchdog,
    pub session: &'a mut Session,
    /// By the thread's index.
    pub seized: Vec<Option<Seized>>,
    /// How many of them there are.
    pub traced: u32,
    /// Reports were waited for since the last tick.
    waited: bool,
    /// What the next SIGCHLD reports may have been served already.
    pub stale: bool,
    /// Until then a thread is expected to stop at any moment.
    pub soon_ns: u64,
    /// Threads found running at this tick.
    pub running: usize,
    /// CPUs that they ran on.
    pub cpus: CpuSet,
    /// They were more than those when all were looked at. At the beginning that is not known: then not all of them
    /// are asked at once, either.
    pub crowded: bool,
    pub holders: Holders,
    pub awake: Awake,
}

impl Hand<'_> {
    /// Until the end, or until node-flame is to be suspended.
    fn part(&mut self, target: Option<Process>, visitor: &mut dyn Visitor) -> Result<Part, Refusal> {
        self.watchdog.step();
        self.holders.prepare_all();
        promptness(PRIORITY, Heirs::Plain);
        let part = self.steps(target, visitor);
        self.watchdog.step();
        part
    }

    fn steps(&mut self, target: Option<Process>, visitor: &mut dyn Visitor) -> Result<Part, Refusal> {
        if let Some(target) = target {
            self.session.add(target)?;
        }
        let is_begin = self.session.table.threads.is_empty();
        for number in 0..self.session.targets.len() as u16 {
            match self.attach(number, visitor) {
                Err(refusal) if number == 0 && is_begin => return Err(refusal),
                _ => {}
            }
        }
        loop {
            if let Some(part) = self.step(visitor) {
                return Ok(part);
            }
        }
    }

    pub fn is_any_asked(&self) -> bool {
        self.session.table.threads.iter().any(|thread| thread.state == State::Asked)
    }

    /// When to look after what changes slowly. That may take long, and a thread that was asked would stand meanwhile:
    /// so it is put off for a while.
    fn housekeeping_ns(&self, now: u64) -> u64 {
        let due_ns = self.session.housekeeping_ns;
        if now >= due_ns && self.is_any_asked() { due_ns + PUT_OFF_NS } else { due_ns }
    }

    /// Waits for a signal. To sleep and be woken for a stop that is about to come takes longer than that takes,
    /// and the thread would stand meanwhile: then it looks again and again instead.
    fn wait(&mut self, mut now: u64, until: u64) -> Option<Taken> {
        let mut taken = None;
        while taken.is_none() && now < self.soon_ns.min(until) && self.is_any_asked() {
            taken = self.signals.wait(Duration::ZERO);
            now = clock::monotonic_ns();
        }
        self.session.work.worked(now);
        if taken.is_none() {
            self.awake.rest(now);
            taken = self.signals.wait(Duration::from_nanos(until.saturating_sub(now)));
        }
        self.stale &= taken.is_some();
        taken
    }

    fn step(&mut self, visitor: &mut dyn Visitor) -> Option<Part> {
        let now = clock::monotonic_ns();
        let wake_ns = self.session.beat.next_ns() - self.holders.lead_ns();
        let due_ns = wake_ns.max(self.session.work.worked(now));
        if now >= self.session.end_ns {
            self.serve(visitor, now);
            return Some(Part::End(End::Time));
        }
        let housekeeping_ns = self.housekeeping_ns(now);
        if now >= housekeeping_ns {
            self.session.housekeeping_ns = now + HOUSEKEEPING_NS;
            self.serve(visitor, now);
            if self.housekeeping(visitor) == Flow::Stop {
                return Some(Part::End(End::Visitor));
            }
        } else if now >= due_ns {
            // What was reported while nobody waited for reports is served by the next wait at once, except
            // that one tick may be due after the other. And a signal that another thread of this process took
            // would leave a thread standing: one that was asked is looked for again.
            if !std::mem::take(&mut self.waited) || self.is_any_asked() {
                self.serve(visitor, now);
            }
            // Before threads are asked to stop, which would stand meanwhile.
            if visitor.has_more() && self.housekeeping(visitor) == Flow::Stop {
                return Some(Part::End(End::Visitor));
            }
            self.count_threads(visitor, now);
            self.tick(visitor);
        } else {
            let until = due_ns.min(housekeeping_ns).min(self.session.end_ns);
            if !self.is_any_asked() {
                self.holders.prepare();
                visitor.quiet();
            }
            self.watchdog.step();
            let taken = self.wait(clock::monotonic_ns(), until);
            self.session.work.rested(clock::monotonic_ns());
            self.waited = true;
            self.watchdog.step();
            match taken {
                None => return None,
                Some(taken) => match taken.signal {
                    libc::SIGCHLD => self.told(taken, visitor, clock::monotonic_ns()),
                    // node-flame had been stopped. Who let it go on?
                    libc::SIGCONT if Some(taken.sender) == self.watchdog.pid() => {
                        return Some(Part::Suspend(libc::SIGSTOP));
                    }
                    signal => {
                        let flow = visitor.signalled(taken);
                        match (signal, flow) {
                            (libc::SIGTSTP, _) => return Some(Part::Suspend(signal)),
                            (libc::SIGCONT, _) | (_, Flow::Continue) => {}
                            _ => return Some(Part::End(End::Signal(taken))),
                        }
                    }
                },
            }
        }
        // Without any, none could be added that had ended before.
        let first = self.session.targets.first().map_or(Some(ProcessEnd::Gone), |target| target.ended)?;
        let all = self.session.targets.iter().all(|target| target.ended.is_some());
        (all && !visitor.expects_more()).then_some(Part::End(End::Target(first)))
    }
}
