//! One sampling run: from a process, or a family of them, to a profile.

use crate::children::{Children, Scout};
use crate::command;
use crate::launch::{self, Heir};
use crate::member::Member;
use crate::message::{self, Failure};
use crate::narrator::{Narrator, Teller, Word, say};
use crate::output::Output;
use crate::report;
use crate::target::{Files, Target};
use flame_core::arch::Registers;
use flame_core::profile::{Meta, Profile};
use flame_core::sample::sampler::{Outcome as Stopped, Sleeper};
use flame_render::Printable;
use flame_sys::clock;
use flame_sys::memory::ProcessMemory;
use flame_sys::process::Process;
use flame_sys::session::{
    self, Asleep, Control, Flow, Options, Outcome, ProcessEnd, ThreadKey, Verdict, Visitor,
};
use flame_sys::signals::{Blocked, Taken};

/// A finished run.
pub struct Run {
    /// What it found.
    pub profile: Profile,
    /// Why it ended.
    pub end: session::End,
}

fn options(wanted: &command::Profile) -> Options {
    Options {
        rate_hz: wanted.rate,
        duration: wanted.length,
        max_pause_percent: wanted.max_pause,
        wall: wanted.wall,
    }
}

fn meta(pid: u32, wanted: &command::Profile) -> Meta {
    Meta {
        pid,
        host: clock::host_name(),
        started: clock::wall_seconds(),
        rate_hz: wanted.rate,
        wall: wanted.wall,
        ..Meta::default()
    }
}

/// Says why there will be fewer samples than were asked for, if that is known. A process that was stopped by a signal
/// gives none, and nothing else would tell why.
fn say_what_is_missing(process: &Process, wanted: &command::Profile) {
    if wanted.quiet {
        return;
    }
    if wanted.wall && !process.tells_where_it_waits() {
        say(&format!("Note: {}.", report::BLIND));
    }
    if process.status().is_ok_and(|status| status.state == b'T') {
        let pid = process.pid();
        say(&format!("Note: {pid} is stopped; samples begin when it is continued (SIGCONT)."));
    }
}

/// Samples `target` as `wanted`. `heir`: the command that gets node-flame's signals.
pub fn sample(
    signals: &Blocked,
    target: Target,
    files: &mut Files,
    wanted: &command::Profile,
    heir: Option<&Heir>,
) -> Result<Run, Failure> {
    let (member, process) = Member::new(target, wanted);
    let pid = process.pid();
    say_what_is_missing(&process, wanted);
    let mut meta = meta(pid, wanted);
    let narrator = Narrator::new(pid, wanted);
    let members = vec![Some(member)];
    let mut sampling =
        Sampling { members, files, children: None, sampled: false, gone: 0, teller: narrator.teller(), heir };
    let outcome = session::run(signals, process, options(wanted), &mut sampling);
    let member = sampling.members.swap_remove(0);
    drop(sampling);
    narrator.end();
    let outcome = outcome.map_err(|refusal| Failure::Refused(pid, refusal))?;
    let member = member.ok_or(Failure::NoNode(true))?;
    finish_meta(&mut meta, &outcome);
    meta.ended = message::end(&outcome.end);
    meta.command.clone_from(&member.command);
    meta.v8.clone_from(&member.v8);
    meta.node = member.node.clone().unwrap_or_default();
    let profile = member.finish(meta, report::receipt(&outcome));
    Ok(Run { profile, end: outcome.end })
}

/// Samples the Node processes among `pid` and all that descends from it, now or later. `command` is what
/// the family is called.
pub fn sample_family(
    signals: &Blocked,
    pid: u32,
    command: String,
    files: &mut Files,
    wanted: &command::Profile,
    heir: Option<&Heir>,
) -> Result<Run, Failure> {
    let mut meta = Meta { command, ..meta(pid, wanted) };
    let narrator = Narrator::new(pid, wanted);
    let (scout, children) = Scout::start(pid, wanted);
    let mut sampling = Sampling {
        members: Vec::new(),
        files,
        children: Some(children),
        sampled: false,
        gone: 0,
        teller: narrator.teller(),
        heir,
    };
    if let Ok(process) = Process::open(pid) {
        say_what_is_missing(&process, wanted);
    }
    sampling.teller.tell(Word::Attached);
    let outcome = session::run_several(signals, options(wanted), &mut sampling);
    let members: Vec<Member> = sampling.members.drain(..).flatten().collect();
    drop(sampling);
    narrator.end();
    let found = scout.end(members);
    let outcome = outcome.map_err(|refusal| Failure::Refused(pid, refusal))?;
    if found.processes == 0 {
        let are_idle = found.unseen > 0 && !wanted.wall;
        return Err(found.refusal.unwrap_or(Failure::NoNodeBelow(pid, are_idle)));
    }
    finish_meta(&mut meta, &outcome);
    if let session::End::Target(_) = outcome.end {
        meta.ended = Some("and all that it started have ended".into());
    }
    (meta.node, meta.v8) = (found.nodes.join(", "), found.v8s.join(", "));
    let mut receipt = report::receipt(&outcome);
    receipt.remarks.extend(found.remarks());
    let end = outcome.end;
    Ok(Run { profile: found.merger.finish(meta, receipt), end })
}

fn finish_meta(meta: &mut Meta, outcome: &Outcome) {
    meta.duration_us = outcome.length_ns / 1000;
}

/// Writes the profile and says how the run went.
pub fn write(output: Output, profile: &Profile, wanted: &command::Profile) -> Result<(), Failure> {
    let path = output.path().map(|path| path.display().to_string());
    let written = output.write(&mut |to| flame_render::write(wanted.format, profile, &wanted.view, to));
    if !wanted.quiet {
        if let Some(ended) = &profile.meta.ended {
            say(&format!("{} {ended}.", profile.meta.pid));
        }
        say(&report::report(profile));
        if let (Some(path), Ok(())) = (path, &written) {
            say(&format!("Wrote {}.", Printable(&path)));
        }
    }
    Ok(written?)
}

/// What a session's calls lead to.
struct Sampling<'f> {
    /// By their processes' numbers.
    members: Vec<Option<Member>>,
    files: &'f mut Files,
    /// Where further processes come from.
    children: Option<Children>,
    /// The last stop gave a sample.
    sampled: bool,
    /// Samples of processes that are gone.
    gone: u64,
    teller: Teller,
    heir: Option<&'f Heir>,
}

impl Sampling<'_> {
    fn member(&mut self, thread: ThreadKey) -> Option<&mut Member> {
        self.members.get_mut(usize::from(thread.process))?.as_mut()
    }
}

impl Visitor for Sampling<'_> {
    fn started(&mut self, thread: ThreadKey) -> bool {
        // Of a family it is said at the start.
        let is_alone = self.children.is_none();
        let Some(member) = self.member(thread) else { return false };
        let is_first = thread.tid == member.pid();
        member.started(thread);
        if is_first && is_alone {
            self.teller.tell(Word::Attached);
        }
        true
    }

    fn held(&mut self, thread: ThreadKey, registers: &Registers, memory: &ProcessMemory) -> Verdict {
        let Some(member) = self.member(thread) else { return Verdict::Lost };
        let is_first = thread.tid == member.pid();
        let stopped = member.sampler.held(usize::from(thread.index), registers, memory);
        self.sampled = stopped == Stopped::Sampled;
        match stopped {
            Stopped::Sampled => Verdict::Sampled,
            Stopped::Lost => Verdict::Lost,
            Stopped::NeverJavaScript if !is_first => Verdict::NotWanted,
            // A process' first thread has its isolate late, and may use no V8 for long.
            Stopped::NotJavaScript | Stopped::NeverJavaScript => Verdict::Skipped,
        }
    }

    fn released(&mut self, thread: ThreadKey, at_us: u64) {
        let sampled = self.sampled;
        if let Some(member) = self.member(thread).filter(|_| sampled) {
            member.sampler.released(usize::from(thread.index), at_us, &member.followed.memory);
        }
    }

    fn asleep(&mut self, thread: ThreadKey, at: Asleep<'_>, memory: &ProcessMemory) -> Verdict {
        let sleeper = Sleeper { pc: at.pc, sp: at.sp };
        let index = usize::from(thread.index);
        let Some(member) = self.member(thread) else { return Verdict::Lost };
        match member.sampler.asleep(index, sleeper, at.unchanged, at.at_us, memory, &|| at.holds()) {
            Stopped::Sampled => Verdict::Sampled,
            Stopped::Lost => Verdict::Lost,
            Stopped::NotJavaScript | Stopped::NeverJavaScript => Verdict::NotWanted,
        }
    }

    fn process_ended(&mut self, process: u16, end: ProcessEnd) {
        let Some(children) = &mut self.children else { return };
        if let Some(member) = self.members.get_mut(usize::from(process)).and_then(Option::take) {
            self.gone += member.sampler.taken();
            children.gone(member, end);
        }
    }

    fn signalled(&mut self, taken: Taken) -> Flow {
        match self.heir {
            Some(heir) if !launch::ends(taken) => {
                heir.pass(taken);
                Flow::Continue
            }
            _ => Flow::Stop,
        }
    }

    fn suspended(&mut self, is_so: bool) {
        if let Some(heir) = self.heir.filter(|_| !is_so) {
            heir.resume();
        }
    }

    fn has_more(&mut self) -> bool {
        self.children.as_ref().is_some_and(Children::have_come)
    }

    fn expects_more(&mut self) -> bool {
        self.children.as_ref().is_some_and(Children::may_come)
    }

    fn tick(&mut self, control: &mut Control<'_>) -> Flow {
        for member in self.members.iter_mut().flatten() {
            member.look_after(self.files);
        }
        while let Some((member, process)) = self.children.as_mut().and_then(Children::next) {
            match control.add(process) {
                Ok(number) => {
                    let number = usize::from(number);
                    if number >= self.members.len() {
                        self.members.resize_with(number + 1, || None);
                    }
                    self.members[number] = Some(member);
                }
                Err(_) => self.children.iter_mut().for_each(Children::no_room),
            }
        }
        let living: u64 = self.members.iter().flatten().map(|member| member.sampler.taken()).sum();
        self.teller.tell(Word::Taken(self.gone + living));
        Flow::Continue
    }
}
