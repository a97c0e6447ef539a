//! `--children`: a process and all that it starts, each recognised as Node or left alone.
//!
//! A thread of its own follows the family through /proc and makes everything ready to sample a Node that
//! it finds, since whoever samples has no time for that. It also takes those that have ended: their
//! profiles become parts of the one that comes out, so that only living processes take memory for samples.

use crate::called;
use crate::command;
use crate::member::Member;
use crate::message::Failure;
use crate::target::{Files, Target};
use flame_core::profile::{Merger, Meta, Receipt};
use flame_sys::attach::Refusal;
use flame_sys::clock;
use flame_sys::process::{Family, Look, Process};
use flame_sys::session::ProcessEnd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Between looks at the family.
const PERIOD: Duration = Duration::from_millis(5);
const LONGEST: Duration = Duration::from_millis(100);

/// Versions that are told apart in the profile's head.
const VERSIONS: usize = 8;

/// Processes that have ended and wait until their profiles are taken over, which takes a moment in which
/// nobody looks for new ones: from this number on one of them is, between two looks.
const PENDING: usize = 8;

/// So many at most wait, which takes memory.
const MOST_PENDING: usize = 32;

/// What both sides share. Lists and not channels, whose code is large.
#[derive(Default)]
struct Shared {
    /// Somebody has come since the session last asked.
    has_come: AtomicBool,
    /// Nothing of the family lives.
    all_gone: AtomicBool,
    /// The session has ended.
    is_over: AtomicBool,
    newcomers: Mutex<Vec<(Member, Process)>>,
    leavers: Mutex<Vec<Leaver>>,
}

/// The session's side: processes that come and go.
pub struct Children {
    shared: Arc<Shared>,
    /// What could not be passed on yet: the session waits for nobody.
    leavers: Vec<Leaver>,
}

enum Leaver {
    Gone(Box<Member>, ProcessEnd),
    NoRoom,
}

/// A list that both sides use; nobody panics while he has it.
fn list<T>(list: &Mutex<T>) -> MutexGuard<'_, T> {
    list.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Children {
    /// Some have become ready to be sampled since this was last asked.
    pub fn have_come(&self) -> bool {
        self.shared.has_come.swap(false, Ordering::AcqRel)
    }

    /// There is something alive that may be Node, or start one.
    pub fn may_come(&self) -> bool {
        !self.shared.all_gone.load(Ordering::Acquire) || self.shared.has_come.load(Ordering::Acquire)
    }

    /// The next one to be sampled.
    pub fn next(&mut self) -> Option<(Member, Process)> {
        let next = self.shared.newcomers.try_lock().map(|mut newcomers| newcomers.pop());
        if next.is_err() {
            self.shared.has_come.store(true, Ordering::Release);
        }
        if let Ok(mut leavers) = self.shared.leavers.try_lock() {
            leavers.append(&mut self.leavers);
        }
        next.ok().flatten()
    }

    /// One has ended, for the session at least.
    pub fn gone(&mut self, mut member: Member, end: ProcessEnd) {
        member.close();
        self.leavers.push(Leaver::Gone(Box::new(member), end));
    }

    /// There were too many at once to take the last one.
    pub fn no_room(&mut self) {
        self.leavers.push(Leaver::NoRoom);
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        list(&self.shared.leavers).append(&mut self.leavers);
        self.shared.is_over.store(true, Ordering::Release);
    }
}

/// What was found of a family.
#[derive(Default)]
pub struct Found {
    /// All profiles.
    pub merger: Merger,
    /// Node processes that were sampled.
    pub processes: u64,
    /// Their versions of Node, each once.
    pub nodes: Vec<String>,
    /// Their versions of V8.
    pub v8s: Vec<String>,
    /// Why the first process could not be sampled that could not.
    pub refusal: Option<Failure>,
    refused: u64,
    /// Those that gave no sample.
    pub unseen: u64,
    no_room: u64,
    left_out: u64,
    remarks: Vec<(u64, String)>,
    /// Ended, and not taken over yet.
    pending: Vec<Member>,
}

/// The thread that follows the family.
pub struct Scout(Option<JoinHandle<Found>>);

impl Scout {
    /// Follows the family of `root`.
    pub fn start(root: u32, wanted: &command::Profile) -> (Scout, Children) {
        let shared = Arc::new(Shared::default());
        let (wanted, ours) = (wanted.clone(), Arc::clone(&shared));
        let thread = std::thread::Builder::new().name("scout".into());
        let thread = thread.spawn(move || follow(root, &wanted, &ours)).ok();
        shared.all_gone.fetch_or(thread.is_none(), Ordering::AcqRel);
        (Scout(thread), Children { shared, leavers: Vec::new() })
    }

    /// Ends it, once [`Children`] is gone. `living`: those that have not ended.
    pub fn end(self, living: Vec<Member>) -> Found {
        let found = self.0.map(JoinHandle::join);
        let mut found = match found {
            Some(Ok(found)) => found,
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            None => Found::default(),
        };
        found.pending.extend(living);
        found.take_over();
        found
    }
}

fn follow(root: u32, wanted: &command::Profile, shared: &Shared) -> Found {
    let (mut found, mut files, mut family) = (Found::default(), Files::default(), Family::of(root));
    loop {
        let used_ns = clock::thread_cpu_ns();
        let is_over = shared.is_over.load(Ordering::Acquire);
        let leavers = std::mem::take(&mut *list(&shared.leavers));
        for leaver in leavers {
            match leaver {
                Leaver::NoRoom => found.no_room += 1,
                Leaver::Gone(member, end) => {
                    if end == ProcessEnd::Exec {
                        family.give_back(member.pid());
                    }
                    match member.sampler.taken() {
                        0 => found.unseen += 1,
                        _ => found.pending.push(*member),
                    }
                }
            }
        }
        if is_over {
            break;
        }
        while found.pending.len() >= PENDING {
            let first = found.pending.remove(0);
            found.take(first);
            if found.pending.len() < MOST_PENDING {
                break;
            }
        }
        family.look(&mut |process| {
            let target = match found.recognise(process, &mut files) {
                Some(Ok(target)) => target,
                Some(Err(())) => return Look::Taken,
                None => return Look::Other,
            };
            let member = Member::new(target, wanted);
            list(&shared.newcomers).push(member);
            shared.has_come.store(true, Ordering::Release);
            Look::Taken
        });
        shared.all_gone.store(!family.is_alive(), Ordering::Release);
        // However large the family is, half of a CPU is left to others. Where others have it anyway, so that this
        // took long, the next look is not late too.
        let used = Duration::from_nanos(clock::thread_cpu_ns().saturating_sub(used_ns));
        std::thread::sleep(used.clamp(PERIOD, LONGEST));
    }
    found.left_out = family.left_out();
    found
}

impl Found {
    /// The Node that a process is; an error if it is one that cannot be sampled; `None` if it is none.
    fn recognise(&mut self, process: &Process, files: &mut Files) -> Option<Result<Target, ()>> {
        let failure = match Target::find(process.pid(), files) {
            Ok(target) => return target.map(Ok),
            // It is going.
            Err(Failure::Refused(_, Refusal::NoSuchProcess | Refusal::Zombie | Refusal::Kernel)) => {
                return None;
            }
            Err(failure) => failure,
        };
        // What cannot be looked at may be anything.
        let is_named = process.exe().is_ok_and(|exe| called::is_node(&String::from_utf8_lossy(&exe)));
        if !matches!(failure, Failure::Unsupported(..)) && !is_named {
            return None;
        }
        self.refused += 1;
        self.refusal.get_or_insert(failure);
        Some(Err(()))
    }

    /// Makes the profiles of all that have ended parts of the one that comes out.
    fn take_over(&mut self) {
        for member in std::mem::take(&mut self.pending) {
            self.take(member);
        }
    }

    /// Takes over what was sampled of a process.
    fn take(&mut self, member: Member) {
        if member.sampler.taken() == 0 {
            self.unseen += 1;
            return;
        }
        self.processes += 1;
        note(&mut self.v8s, Some(&member.v8));
        note(&mut self.nodes, member.node.as_ref());
        let (pid, name) = (member.pid(), label(&member.command));
        let profile = member.finish(Meta::default(), Receipt::default());
        self.merger.add(&profile, &name, pid);
        for remark in profile.receipt.remarks {
            self.remark(&remark);
        }
    }

    /// Adds up the sentences of all processes.
    fn remark(&mut self, remark: &str) {
        let (count, words) = match remark.split_once(' ').map(|(count, words)| (count.parse(), words)) {
            Some((Ok(count), words)) => (count, words),
            _ => (0, remark),
        };
        match self.remarks.iter_mut().find(|known| known.1 == words) {
            Some(known) => known.0 += count,
            None => self.remarks.push((count, words.to_owned())),
        }
    }

    /// What is not as it should be, in sentences.
    pub fn remarks(&self) -> Vec<String> {
        let own = [
            (self.refused, "Node processes could not be profiled"),
            (self.unseen, "Node processes never ran when a sample was due"),
            (self.no_room, "Node processes were not sampled: too many at once"),
            (self.left_out, "processes were not followed: too many at once"),
        ];
        let own = own.into_iter().filter(|remark| remark.0 > 0);
        let own = own.map(|(count, words)| match &self.refusal {
            Some(failure) if words.ends_with("profiled") => format!("{count} {words}; the first: {failure}"),
            _ => format!("{count} {words}"),
        });
        let parts = self.remarks.iter().map(|(count, words)| match count {
            0 => words.clone(),
            count => format!("{count} {words}"),
        });
        own.chain(parts).collect()
    }
}

fn note(versions: &mut Vec<String>, version: Option<&String>) {
    if let Some(version) = version.filter(|version| !versions.contains(version))
        && versions.len() < VERSIONS
    {
        versions.push(version.clone());
    }
}

/// A process' name in its root frame: executable and script, without its folders.
fn label(command: &str) -> String {
    match command.split_once(' ') {
        Some((exe, script)) => {
            let name = Path::new(script).file_name().map(|name| name.to_string_lossy());
            format!("{exe} {}", name.as_deref().unwrap_or(script))
        }
        None => command.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_called_by_its_script() {
        assert_eq!(label("node /srv/app/server.js"), "node server.js");
        assert_eq!(label("node [eval]"), "node [eval]");
        assert_eq!(label("node"), "node");
    }

    #[test]
    fn remarks_of_all_processes_add_up() {
        let mut found = Found::default();
        for remark in ["3 names were cut", "V8 99.1 is new", "4 names were cut", "V8 99.1 is new"] {
            found.remark(remark);
        }
        assert_eq!(found.remarks(), ["7 names were cut", "V8 99.1 is new"]);
    }
}
