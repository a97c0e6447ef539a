//! What happens to traced threads, served the moment it is reported.

use super::engine::Hand;
use super::table::State;
use super::{ProcessEnd, Verdict, Visitor};
use crate::arch::{self, InCall};
use crate::process::cpu_time_ns;
use crate::signals::Taken;
use crate::tracer::{self, Event, Stop, Why};
use crate::{Errno, clock};
use flame_core::arch::Registers;

/// No stop lasts longer: what is not read by then fails.
const LONGEST_STOP_NS: f64 = 20e6;

/// Up to this share of time, in percent, the bound holds. Who lets threads be held for more, as on an emulated
/// machine where each stop takes as long as that, lets each stop be longer, by so much for each percent.
const SHARE_OF_PATIENCE: f64 = 20.0;
const LONGER_NS_EACH: f64 = 5e6;

fn longest_stop_ns(max_pause_percent: f64) -> u64 {
    let beyond = (max_pause_percent - SHARE_OF_PATIENCE).max(0.0);
    (LONGEST_STOP_NS + beyond * LONGER_NS_EACH) as u64
}

/// Signals that end a process with a core dump unless it handles them (`signal(7)`).
fn dumps_core(signal: i32) -> bool {
    [
        libc::SIGQUIT,
        libc::SIGILL,
        libc::SIGTRAP,
        libc::SIGABRT,
        libc::SIGBUS,
        libc::SIGFPE,
        libc::SIGSEGV,
        libc::SIGXCPU,
        libc::SIGXFSZ,
        libc::SIGSYS,
    ]
    .contains(&signal)
}

impl Hand<'_> {
    /// A SIGCHLD was taken. The usual one says it all: the thread that was asked stands. Then it need not be looked for,
    /// and that is one system call less while it stands.
    pub fn told(&mut self, taken: Taken, visitor: &mut dyn Visitor, woke_ns: u64) {
        let is_new = !std::mem::take(&mut self.stale);
        // One that listens is reported so, too, in a group-stop of which its parent has heard.
        let is_asked =
            |tid: &u32| self.session.table.find(*tid).is_some_and(|thread| thread.state == State::Asked);
        let asked = taken.interrupted.filter(|_| is_new).filter(is_asked);
        // While one report is pending others are not made. Counted before this one is let go.
        let is_alone = self.traced == 1;
        if let Some((stop, registers)) = asked.and_then(Stop::reported) {
            self.stopped(stop, Some(registers), visitor, woke_ns);
            if is_alone {
                return;
            }
        }
        self.serve(visitor, woke_ns);
    }

    /// Serves all that has happened to traced threads. `woke_ns`: since when that can be.
    pub fn serve(&mut self, visitor: &mut dyn Visitor, woke_ns: u64) {
        // One event for each traced thread at most came before this; what comes after is signalled anew.
        for _ in 0..self.traced.max(1) {
            let Some(event) = tracer::next_event() else { return };
            self.stale = true;
            match event {
                Event::Stopped(stop) => self.stopped(stop, None, visitor, woke_ns),
                Event::Ended(tid, exit) => self.ended(tid, exit, visitor),
            }
        }
    }

    /// `registers`: if they were read already.
    fn stopped(&mut self, stop: Stop, registers: Option<Registers>, visitor: &mut dyn Visitor, woke_ns: u64) {
        let session = &mut *self.session;
        let Some(thread) = session.table.find(stop.tid()) else { return stop.resume() };
        let asked = thread.state == State::Asked;
        let target = &mut session.targets[usize::from(thread.key.process)];
        match stop.why() {
            Why::Signal(signal) if dumps_core(signal) => target.crashing = Some(stop.tid()),
            // It had a handler for that signal.
            _ if target.crashing == Some(stop.tid()) => target.crashing = None,
            _ => {}
        }
        match stop.why() {
            Why::Exec => {
                let process = thread.key.process;
                stop.detach();
                self.end_process(process, ProcessEnd::Exec, visitor);
            }
            Why::Group(_) => {
                if asked {
                    thread.counts.idle += 1;
                    let process = &session.targets[usize::from(thread.key.process)].process;
                    thread.settle(cpu_time_ns(process, thread.key.tid), session.beat.period_ns());
                }
                if thread.is_seized() {
                    thread.state = State::Listening;
                }
                stop.resume();
            }
            _ if asked => {
                let slot = thread.slot;
                let registers = registers.map_or_else(|| stop.registers(), Ok);
                self.sample(slot, stop, registers, visitor, woke_ns);
            }
            _ => {
                if thread.state == State::Listening {
                    thread.state = State::Running;
                }
                let is_signal = matches!(stop.why(), Why::Signal(_));
                stop.resume();
                if is_signal {
                    self.awake.signalled(clock::monotonic_ns());
                }
            }
        }
    }

    /// The answer to a request has come: the thread stands and is read.
    fn sample(
        &mut self,
        slot: usize,
        stop: Stop,
        registers: Result<Registers, Errno>,
        visitor: &mut dyn Visitor,
        woke_ns: u64,
    ) {
        let session = &mut *self.session;
        let thread = &mut session.table.threads[slot];
        let memory = &session.targets[usize::from(thread.key.process)].memory;
        let from_ns = woke_ns.max(thread.asked_ns);
        memory.through(thread.key.tid);
        memory.until(from_ns + longest_stop_ns(session.options.max_pause_percent));
        // It was killed where it stood: nobody saw it.
        let is_seen = registers.is_ok();
        // `None`: it had been asleep.
        let verdict = match registers {
            Err(_) => Some(Verdict::Lost),
            Ok(registers) => {
                let call = arch::in_call(&registers, memory);
                self.holders.calls.found(call != InCall::No);
                (call != InCall::Asleep).then(|| visitor.held(thread.key, &registers, memory))
            }
        };
        let why = stop.why();
        let is_first = thread.key.tid == session.targets[usize::from(thread.key.process)].process.pid();
        // Until it is of interest its waiting is not, either; nor what happens to it.
        let is_let_go = verdict == Some(Verdict::Skipped) && !is_first && thread.counts.taken == 0;
        thread.state = match verdict {
            Some(Verdict::NotWanted) => State::Dismissed,
            _ if is_let_go => State::Loose,
            _ => State::Running,
        };
        match thread.state {
            State::Running => stop.resume(),
            _ => stop.detach(),
        }
        let now = clock::monotonic_ns();
        memory.until(u64::MAX);
        let held_ns = now.saturating_sub(from_ns);
        session.pauses.add(held_ns);
        session.rounds.add(now.saturating_sub(thread.asked_ns));
        thread.budget.spend(held_ns);
        match verdict {
            Some(Verdict::Sampled) => thread.counts.taken += 1,
            Some(Verdict::Lost) => thread.counts.lost += 1,
            Some(Verdict::Skipped | Verdict::NotWanted) => {
                thread.counts.wanted -= 1;
                thread.counted = is_first || thread.counts.taken > 0;
            }
            None => {
                thread.counts.idle += 1;
                // A signal had woken it, not we.
                thread.counts.disturbed += u64::from(why == Why::Interrupted);
            }
        }
        if thread.missed > 0 {
            let process = &session.targets[usize::from(thread.key.process)].process;
            thread.settle(cpu_time_ns(process, thread.key.tid), session.beat.period_ns());
        }
        let (key, is_traced) = (thread.key, thread.is_seized());
        if thread.state == State::Dismissed {
            thread.gauge = None;
        }
        if !is_traced {
            self.let_go(slot);
        }
        if verdict.is_some() && is_seen {
            visitor.released(key, self.session.us(from_ns));
        }
    }

    fn ended(&mut self, tid: u32, exit: tracer::Exit, visitor: &mut dyn Visitor) {
        let Some(thread) = self.session.table.find(tid) else {
            // It found no place; if it was a child of ours, it is waited for elsewhere.
            return crate::spawn::reaped(tid, exit);
        };
        let (key, slot) = (thread.key, thread.slot);
        self.end_thread(slot, visitor);
        let target = &self.session.targets[usize::from(key.process)];
        if target.process.pid() == tid {
            if target.is_ours {
                crate::spawn::reaped(tid, exit);
            }
            self.end_process(key.process, ProcessEnd::Exit(exit), visitor);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_lasts_20_ms_unless_threads_may_be_held_for_more_than_a_fifth_of_the_time() {
        let longest = |percent| longest_stop_ns(percent) / 1_000_000;
        assert_eq!([0.1, 5.0, 20.0].map(longest), [20; 3]);
        assert_eq!([21.0, 50.0, 100.0].map(longest), [25, 170, 420]);
    }
}
