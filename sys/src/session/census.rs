//! Which processes and threads there are: found, followed, ended.

use super::engine::Hand;
use super::state::{COUNTING_NS, Control, Program};
use super::table::{State, Thread};
use super::{Flow, ProcessEnd, Visitor};
use crate::attach::{self, Refusal};
use crate::process::{Gauge, Process};
use crate::tracer::Seized;
use crate::{Errno, clock};

/// Without a sign of change the list of threads is read again after this many looks.
const RESCAN: u32 = 10;

impl Hand<'_> {
    /// Begins with a process: its first thread is traced from now on, the others once they run.
    pub fn attach(&mut self, number: u16, visitor: &mut dyn Visitor) -> Result<(), Refusal> {
        let target = &self.session.targets[usize::from(number)];
        if target.ended.is_some() {
            return Ok(());
        }
        let refusal = match self.seize_first(number, visitor) {
            Ok(()) => return Ok(()),
            Err(errno) => attach::refused(&self.session.targets[usize::from(number)].process, errno),
        };
        self.end_process(number, ProcessEnd::Gone, visitor);
        Err(refusal)
    }

    /// It has its place before it is traced: there is no way back from that while it runs.
    fn seize_first(&mut self, number: u16, visitor: &mut dyn Visitor) -> Result<(), Errno> {
        self.rescan(number, visitor)?;
        let process = &self.session.targets[usize::from(number)].process;
        let thread = self.session.table.find(process.pid());
        // After a suspension the number may be another process'.
        let thread = thread.filter(|_| !process.has_ended()).ok_or(Errno::SRCH)?;
        let seized = Seized::seize(process.pid())?;
        if thread.state == State::Loose {
            thread.state = State::Running;
            thread.counted = true;
        }
        // Kept even if the thread is not sampled: it is by the first thread that a process' end and
        // exec are told.
        let slot = thread.slot;
        self.keep(slot, seized);
        Ok(())
    }

    pub fn keep(&mut self, slot: usize, seized: Seized) {
        if let Some(place) = self.seized.get_mut(slot) {
            self.traced += u32::from(place.replace(seized).is_none());
        }
    }

    pub fn let_go(&mut self, slot: usize) {
        if self.seized.get_mut(slot).and_then(Option::take).is_some() {
            self.traced -= 1;
        }
    }

    pub fn housekeeping(&mut self, visitor: &mut dyn Visitor) -> Flow {
        for number in 0..self.session.targets.len() as u16 {
            self.look_after(number, visitor);
        }
        // What it looks at may come from a slow disk, for which nobody has to wait if no thread was asked.
        self.watchdog.patient(!self.is_any_asked());
        let mut control = Control { session: self.session, added: Vec::new() };
        let flow = visitor.tick(&mut control);
        self.watchdog.patient(false);
        for number in control.added {
            // How it failed is of no interest: it was one of many that come and go.
            let _ = self.attach(number, visitor);
            self.serve(visitor, clock::monotonic_ns());
        }
        flow
    }

    pub fn look_after(&mut self, number: u16, visitor: &mut dyn Visitor) {
        let target = &mut self.session.targets[usize::from(number)];
        if target.ended.is_some() {
            return;
        }
        target.looks += 1;
        let rescan = target.has_other_threads() || target.looks.is_multiple_of(RESCAN);
        // A read from the memory of a program that is gone gives nothing, where one from a bad address
        // of a living one is an error.
        let gone = match &target.program {
            Program::Memory(file) => rustix::io::pread(file, &mut [0], 0) == Ok(0),
            // It may not be looked at for a moment.
            Program::Image(image) => target.process.image().is_ok_and(|now| now.map(|now| now.id) != *image),
        };
        target.program_gone = if gone { target.program_gone + 1 } else { 0 };
        // An exit that is under way, with a core dump before it even for long, has no program any more.
        let replaced = target.program_gone > 1 && target.process.exe().is_ok();
        let ended = (replaced || rescan) && target.process.has_ended();
        if ended && self.session.table.threads.iter().all(|t| t.key.process != number || !t.is_seized()) {
            self.end_process(number, ProcessEnd::Gone, visitor);
        } else if replaced && !ended {
            self.end_process(number, ProcessEnd::Exec, visitor);
        } else if rescan {
            // At the next look, then.
            let _ = self.rescan(number, visitor);
        }
    }

    /// Finds threads that are new and those that are gone.
    ///
    /// # Errors
    /// Neither the list nor the first thread could be looked at, though both may be there.
    fn rescan(&mut self, number: u16, visitor: &mut dyn Visitor) -> Result<(), Errno> {
        let session = &mut *self.session;
        let target = &session.targets[usize::from(number)];
        let mut tids = std::mem::take(&mut session.tids);
        let (mut untracked, mut first) = (0, Ok(()));
        let listed = target.process.threads(&mut tids);
        if listed.is_ok() {
            for tid in &tids {
                if session.table.knows(*tid) {
                    continue;
                }
                let gauge = match Gauge::open(&target.process, *tid, session.options.wall) {
                    Ok(gauge) => gauge,
                    Err(Errno::NOENT | Errno::SRCH) => continue,
                    Err(errno) => {
                        untracked += 1;
                        if *tid == target.process.pid() {
                            first = Err(errno);
                        }
                        continue;
                    }
                };
                let is_first = *tid == target.process.pid();
                let is_blind = session.options.wall && !gauge.tells_where_it_waits();
                let Some(key) = session.table.add(number, *tid, is_first, gauge) else {
                    untracked += 1;
                    continue;
                };
                session.came += u64::from(target.listed);
                session.blind += u64::from(is_blind);
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
            // While threads come and go the kernel's list may leave out others that live.
            self.end_threads(visitor, |thread, process| {
                let is_listed = tids.binary_search(&thread.key.tid).is_ok();
                thread.key.process == number && !is_listed && thread.has_ended(process)
            });
        }
        // No thread stands that would wait for this to grow.
        let threads = self.session.table.threads.len();
        self.seized.resize_with(threads.max(self.seized.len()), || None);
        self.session.tids = tids;
        let target = &mut self.session.targets[usize::from(number)];
        target.listed = true;
        // Each look meets the same ones.
        target.untracked = target.untracked.max(untracked);
        match listed {
            Err(errno @ (Errno::MFILE | Errno::NFILE | Errno::NOMEM)) => Err(errno),
            _ => first,
        }
    }

    /// Looks for threads that have come or gone, if it is time to.
    pub fn count_threads(&mut self, visitor: &mut dyn Visitor, now_ns: u64) {
        if now_ns < self.session.counted_ns + COUNTING_NS {
            return;
        }
        self.session.counted_ns = now_ns;
        for number in 0..self.session.targets.len() as u16 {
            let target = &mut self.session.targets[usize::from(number)];
            if target.ended.is_none() && target.has_other_threads() {
                // At the next look, if not at this one.
                let _ = self.rescan(number, visitor);
            }
        }
    }

    /// A process has ended, for this session at least.
    pub fn end_process(&mut self, number: u16, end: ProcessEnd, visitor: &mut dyn Visitor) {
        self.end_threads(visitor, |thread, _| thread.key.process == number);
        let target = &mut self.session.targets[usize::from(number)];
        if target.ended.is_none() {
            target.ended = Some(end);
            visitor.process_ended(number, end);
        }
    }

    fn end_threads(&mut self, visitor: &mut dyn Visitor, which: impl Fn(&Thread, &Process) -> bool) {
        for slot in 0..self.session.table.threads.len() {
            let thread = &self.session.table.threads[slot];
            if which(thread, &self.session.targets[usize::from(thread.key.process)].process) {
                self.end_thread(slot, visitor);
            }
        }
    }

    /// The thread in a slot has ended.
    pub fn end_thread(&mut self, slot: usize, visitor: &mut dyn Visitor) {
        let thread = &self.session.table.threads[slot];
        if thread.state == State::Ended {
            return;
        }
        let key = thread.key;
        self.session.table.end(slot);
        self.let_go(slot);
        visitor.ended(key);
    }
}
