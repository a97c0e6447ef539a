//! A process and all that descends from it, followed while they come, become other programs and go.
//!
//! Nothing is done to any of them: /proc is read. The kernel says which process id it gave last, so that
//! looking for new ones costs one read as long as there are none, and afterwards a look at the new ids alone.

use super::{FileId, Process, Stat, open_at, pids};
use flame_core::limits::FAMILY;
use std::time::{Duration, Instant};

/// Between looks at all processes, for what the last id did not tell.
const SURVEY: Duration = Duration::from_secs(1);

/// More new ids than this are found faster among all processes.
const FEW_IDS: u32 = 1024;

/// Between the first looks at a process, and between the last.
const EAGER: Duration = Duration::from_millis(4);
const PATIENT: Duration = Duration::from_millis(100);

/// A program has all its libraries after so long: what it is does not change until it executes another one.
const SETTLED: Duration = Duration::from_millis(500);

/// What a process is to who follows the family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// It was looked for, and is not asked about again until [`Family::give_back`].
    Taken,
    /// It is not, as far as can be told now.
    Other,
}

struct Member {
    pid: u32,
    started_ticks: u64,
    image: Option<FileId>,
    /// Since when it is this program.
    since: Instant,
    taken: bool,
    next: Instant,
    pause: Duration,
}

/// The family of a process.
pub struct Family {
    members: Vec<Member>,
    /// Last process id at the look before the last one, and at the last.
    newest: [Option<u32>; 2],
    surveyed: Option<Instant>,
    /// The last id tells nothing of the processes here: a container may be shown its host's.
    is_misled: bool,
    found: Vec<u32>,
    left_out: u64,
}

impl Family {
    /// The family of `root`, which is not looked at yet.
    pub fn of(root: u32) -> Self {
        let mut family = Family {
            members: Vec::new(),
            newest: [None; 2],
            surveyed: None,
            is_misled: false,
            found: Vec::new(),
            left_out: 0,
        };
        if let Some(stat) = stat(root) {
            family.add(root, &stat, Instant::now());
        }
        family
    }

    /// Some process of it lives.
    pub fn is_alive(&self) -> bool {
        !self.members.is_empty()
    }

    /// Processes that were not followed because there were too many at once.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// A process that was taken is to be looked at again: it has become another program.
    pub fn give_back(&mut self, pid: u32) {
        for member in self.members.iter_mut().filter(|member| member.pid == pid) {
            (member.taken, member.image, member.next) = (false, None, Instant::now());
        }
    }

    /// Finds new processes and asks `judge` about those that are due. A process is asked about as long as it
    /// is young, and again when it has become another program.
    pub fn look(&mut self, judge: &mut dyn FnMut(&Process) -> Look) {
        let now = Instant::now();
        self.find(now);
        self.members.retain_mut(|member| now < member.next || member.look(now, judge));
    }

    fn find(&mut self, now: Instant) {
        let newest = newest_pid().filter(|_| !self.is_misled);
        let is_survey = newest.is_none() || self.surveyed.is_none_or(|at| now >= at + SURVEY);
        if !is_survey && newest == self.newest[1] && newest == self.newest[0] {
            return;
        }
        // A process has its id a moment before it can be seen, so the ids before the last look count again.
        let before = self.newest[0];
        self.newest = [self.newest[1], newest];
        let few = before.zip(newest).and_then(|(before, newest)| {
            let count = newest.checked_sub(before).filter(|count| *count <= FEW_IDS)?;
            Some(newest - count..=newest)
        });
        let mut found = std::mem::take(&mut self.found);
        found.clear();
        match few.filter(|_| !is_survey) {
            Some(ids) => found.extend(ids),
            None => {
                self.surveyed = Some(now);
                // Without the list there is nothing new to be seen.
                let _ = pids(&mut found);
            }
        }
        // A child's id can be below its parent's where the kernel began again from the lowest.
        let mut more = true;
        while more {
            more = false;
            found.retain(|pid| {
                if self.knows(*pid) {
                    return false;
                }
                let Some(stat) = stat(*pid) else { return false };
                if !self.knows(stat.parent) {
                    return true;
                }
                if !is_process(*pid) {
                    return false;
                }
                more = true;
                self.is_misled |=
                    before.zip(newest).is_some_and(|(before, newest)| !(before..=newest).contains(pid));
                self.add(*pid, &stat, now);
                false
            });
        }
        self.found = found;
    }

    fn knows(&self, pid: u32) -> bool {
        self.members.iter().any(|member| member.pid == pid)
    }

    fn add(&mut self, pid: u32, stat: &Stat, now: Instant) {
        if self.members.len() >= FAMILY {
            self.left_out += 1;
            return;
        }
        let started_ticks = stat.started_ticks;
        let (next, pause) = (now, EAGER);
        self.members.push(Member { pid, started_ticks, image: None, since: now, taken: false, next, pause });
    }
}

impl Member {
    /// Looks at it. Whether it lives.
    fn look(&mut self, now: Instant, judge: &mut dyn FnMut(&Process) -> Look) -> bool {
        let Ok(process) = Process::open(self.pid) else { return false };
        let Some(stat) = process.stat().ok().flatten() else { return false };
        if stat.started_ticks != self.started_ticks || matches!(stat.state, b'Z' | b'X') {
            return false;
        }
        self.next = now + self.pause;
        if self.taken {
            self.pause = PATIENT;
            return true;
        }
        // Before it executes its own program it looks like its parent, and is a part of it that is best left alone.
        if stat.is_fork && stat.parent != 0 {
            self.pause = (self.pause * 2).min(PATIENT);
            return true;
        }
        let image = process.image().ok().flatten().map(|image| image.id);
        let is_new = image.is_none() || image != self.image;
        if is_new {
            (self.image, self.since, self.pause) = (image, now, EAGER);
        } else {
            self.pause = (self.pause * 2).min(PATIENT);
        }
        if is_new || now < self.since + SETTLED {
            self.taken = image.is_some() && judge(&process) == Look::Taken;
        }
        self.next = now + self.pause;
        true
    }
}

fn stat(pid: u32) -> Option<Stat> {
    Process::open(pid).and_then(|process| process.stat()).ok().flatten()
}

/// The number is not that of a process' further thread, whose directory can be opened too.
fn is_process(pid: u32) -> bool {
    Process::open(pid).and_then(|process| process.status()).is_ok_and(|status| status.tgid == pid)
}

/// The id that the kernel gave last in this pid namespace: the last word of `loadavg`.
fn newest_pid() -> Option<u32> {
    let file = open_at(None, "/proc/loadavg").ok()?;
    let mut buffer = [0; 128];
    let len = rustix::io::pread(&file, &mut buffer, 0).ok()?;
    let text = std::str::from_utf8(buffer.get(..len)?).ok()?;
    text.split_ascii_whitespace().last()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command, Stdio};

    fn sh(script: &str) -> Child {
        Command::new("sh").args(["-c", script]).stdin(Stdio::piped()).spawn().unwrap()
    }

    /// Looks until the family is as wanted, at most ten seconds.
    fn until(
        family: &mut Family,
        seen: &mut Vec<(u32, Vec<u8>)>,
        is: impl Fn(&[(u32, Vec<u8>)], &Family) -> bool,
    ) {
        let end = Instant::now() + Duration::from_secs(10);
        while !is(seen, family) {
            assert!(Instant::now() < end, "in vain: {seen:?}");
            family.look(&mut |process| {
                let arguments = process.arguments().unwrap_or_default();
                if !arguments.starts_with(b"sleep") {
                    return Look::Other;
                }
                seen.push((process.pid(), arguments));
                Look::Taken
            });
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    #[test]
    fn those_there_and_those_that_come_are_found_once_each() {
        let mut root =
            sh("sleep 60 & sh -c 'sh -c \"sleep 61; true\"; true' & read x; sleep 62 & exec sleep 63");
        let mut family = Family::of(root.id());
        let mut seen = Vec::new();
        until(&mut family, &mut seen, |seen, _| seen.len() == 2);
        drop(root.stdin.take());
        until(&mut family, &mut seen, |seen, _| seen.len() == 4);
        assert!(seen.contains(&(root.id(), b"sleep\x0063\0".to_vec())), "{seen:?}");
        for (pid, _) in &seen {
            let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        }
        root.wait().unwrap();
        until(&mut family, &mut seen, |_, family| !family.is_alive());
        assert_eq!(seen.len(), 4);
    }

    #[test]
    fn others_are_none_of_it() {
        let mut stranger = sh("exec sleep 60");
        let mut root = sh("read x");
        let mut family = Family::of(root.id());
        let mut seen = Vec::new();
        let end = Instant::now() + Duration::from_millis(50);
        until(&mut family, &mut seen, |_, _| Instant::now() > end);
        assert!(seen.is_empty() && family.is_alive());
        for child in [&mut stranger, &mut root] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}
