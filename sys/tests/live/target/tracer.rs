//! A tracer that prints what came of it, one `KEY VALUE` a line.

use flame_core::arch::Registers;
use flame_core::limits::THREADS;
use flame_core::memory::Memory;
use flame_sys::attach::Refusal;
use flame_sys::memory::ProcessMemory;
use flame_sys::process::Process;
use flame_sys::session::{Asleep, Control, Flow, Options, ProcessEnd, ThreadKey, Verdict, Visitor, run};
use flame_sys::signals::Blocked;
use flame_sys::spawn::{Child, Found, Match, family};
use flame_sys::{arch, attach};
use rustix::time::{ClockId, clock_gettime};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Counts what each thread allocates.
struct Counting;

thread_local! {
    static ALLOCATED: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: passes everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATED.try_with(|count| count.set(count.get() + 1));
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[derive(Default)]
struct Reader {
    /// When the stop began that is read, and how long each thread was held in all, by its number.
    since: Option<Instant>,
    held_ns: Vec<u64>,
    held: u64,
    released: u64,
    unreadable: u64,
    asleep: u64,
    /// Reads at the end of a long visit that were refused.
    cut: u64,
    started: u64,
    ended: u64,
    process_ends: u64,
    /// Processes that are known, with their numbers in the session where they were taken in, the first one at first.
    family: Option<Vec<(u32, Option<u16>)>>,
    /// Allocations of this thread up to the last moment that no thread was asked, or the last stop's beginning.
    before: u64,
    /// Allocations between the beginnings of stops, or the tick, and the end of the next stop.
    allocated: u64,
    /// The first tick and the newest one: when, and the processor time of this thread up to then.
    first_tick: Option<(Instant, Duration)>,
    last_tick: Option<(Instant, Duration)>,
    linger: Duration,
    is_patient: bool,
    unwanted: bool,
    /// For so long it does nothing in its hundredth stop, or between two.
    stuck: Duration,
    slow: Duration,
}

impl Visitor for Reader {
    fn started(&mut self, _: ThreadKey) -> bool {
        self.started += 1;
        true
    }

    fn held(&mut self, _: ThreadKey, registers: &Registers, memory: &ProcessMemory) -> Verdict {
        self.held += 1;
        if self.held == 100 {
            std::thread::sleep(self.stuck);
        }
        let now = Instant::now();
        let until = now + self.linger;
        self.since = Some(now);
        let mut stack = [0; 1024];
        // One read, as a sampler makes.
        if memory.read_prefix(registers.sp(arch::HOST), &mut stack) < 8 {
            self.unreadable += 1;
            return Verdict::Lost;
        }
        // What can read nothing has no reason to stay.
        while Instant::now() < until && (self.is_patient || memory.word(registers.sp(arch::HOST)).is_ok()) {
            std::hint::spin_loop();
        }
        if !self.linger.is_zero() && memory.word(registers.sp(arch::HOST)).is_err() {
            self.cut += 1;
        }
        if self.unwanted { Verdict::NotWanted } else { Verdict::Sampled }
    }

    fn released(&mut self, thread: ThreadKey, _: u64) {
        self.released += 1;
        if let (Some(since), Some(held_ns)) =
            (self.since.take(), self.held_ns.get_mut(usize::from(thread.index)))
        {
            *held_ns += since.elapsed().as_nanos() as u64;
        }
        let now = ALLOCATED.get();
        // The first of a thread that is new has it traced, which makes room for it.
        if self.released > 100 {
            self.allocated += now - self.before;
        }
        self.before = now;
    }

    fn quiet(&mut self) {
        // A thread that holds a CPU may have been started.
        self.before = ALLOCATED.get();
    }

    fn asleep(&mut self, _: ThreadKey, at: Asleep<'_>, memory: &ProcessMemory) -> Verdict {
        self.asleep += 1;
        if memory.word(at.sp).is_ok() && at.holds() { Verdict::Sampled } else { Verdict::Lost }
    }

    fn ended(&mut self, _: ThreadKey) {
        self.ended += 1;
    }

    fn tick(&mut self, control: &mut Control<'_>) -> Flow {
        self.last_tick = Some((Instant::now(), processor_time()));
        self.first_tick = self.first_tick.or(self.last_tick);
        if self.held >= 100 {
            std::thread::sleep(std::mem::take(&mut self.slow));
        }
        if let Some(known) = &mut self.family {
            let pids: Vec<u32> = family(known[0].0).iter().map(|process| process.pid()).collect();
            for pid in pids {
                if known.iter().all(|known| known.0 != pid) {
                    known.push((pid, attach::check(pid).and_then(|process| control.add(process)).ok()));
                }
            }
        }
        self.before = ALLOCATED.get();
        Flow::Continue
    }

    fn process_ended(&mut self, number: u16, end: ProcessEnd) {
        self.process_ends += 1;
        // Met between its fork and its exec: it is to be taken in again.
        if let (ProcessEnd::Exec, Some(known)) = (end, &mut self.family) {
            known.retain(|known| known.1 != Some(number));
        }
    }
}

/// What this thread has run so far.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// `trace PID RATE MILLISECONDS [wall] [linger] [brief] [dwell] [stuck] [slow] [unwanted] [family]`
pub fn trace() -> i32 {
    let signals = Blocked::new();
    match attach::check(number(2) as u32) {
        Ok(process) => sample(&signals, process),
        Err(refusal) => refused(refusal),
    }
}

/// `command - RATE MILLISECONDS`: starts commands that end by themselves, and traces them.
pub fn command() -> i32 {
    const BUSY: &str = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; exit 9";
    let signals = Blocked::new();
    let shell = |script: &str| ["sh".into(), "-c".into(), script.into()];
    let mut child = Child::start(&shell(&format!("sh -c '{BUSY}'; exit 17")), &signals).expect("a shell");
    let is_busy = |process: &Process, _| {
        let arguments = process.arguments().unwrap_or_default();
        if arguments.starts_with(b"sh\0-c\0i=0") { Match::Yes } else { Match::No }
    };
    let Found::Process(process) = child.find(&signals, Duration::ZERO, is_busy, |_| ()) else { return 2 };
    sample(&signals, process);
    println!("exit {:?}", child.wait());
    let mut child = Child::start(&shell(BUSY), &signals).expect("a shell");
    let Found::Process(process) = child.find(&signals, Duration::ZERO, is_busy, |_| ()) else { return 3 };
    sample(&signals, process);
    println!("own {:?}", child.wait());
    0
}

/// Starts a tracer of this process, traces that one, and ends with 49 if it has refused for this reason.
pub fn seizes() -> i32 {
    use std::io::{Read, Write};
    use std::process::{Command, Stdio};

    let script = "read go && exec \"$0\" trace \"$PPID\" 100 1000";
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(std::env::current_exe().expect("this program has a path"));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a shell");
    let pid = child.id() as i32;
    let (mut stdin, mut stdout) =
        (child.stdin.take().expect("is piped"), child.stdout.take().expect("is piped"));
    // SAFETY: a request without a pointer, on a child.
    let seized = unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid, 0usize, 0usize) };
    assert_eq!(seized, 0, "the child can be traced");
    stdin.write_all(b"go\n").expect("the child reads");
    crate::ready();
    let mut status = 0;
    // SAFETY: `status` is a valid int; requests without pointers, on a child that stands.
    unsafe {
        while libc::waitpid(pid, &mut status, libc::__WALL) == pid && libc::WIFSTOPPED(status) {
            libc::ptrace(libc::PTRACE_CONT, pid, 0usize, libc::WSTOPSIG(status) as usize);
        }
    }
    // Reaped above: there is nothing left to wait for.
    let _ = child.wait();
    let mut said = String::new();
    stdout.read_to_string(&mut said).expect("is UTF-8");
    if said == "refused TracesUs\n" { 49 } else { 1 }
}

fn number(at: usize) -> u64 {
    std::env::args().nth(at).and_then(|word| word.parse().ok()).unwrap_or(0)
}

fn refused(refusal: Refusal) -> i32 {
    println!("refused {refusal:?}");
    1
}

fn sample(signals: &Blocked, process: Process) -> i32 {
    let has = |name: &str| std::env::args().any(|word| word == name);
    let options = Options {
        rate_hz: number(3) as u32,
        duration: Duration::from_millis(number(4)),
        wall: has("wall"),
        max_pause_percent: if has("linger") || has("dwell") || has("brief") { 5.0 } else { 50.0 },
    };
    let mut reader = Reader { unwanted: has("unwanted"), held_ns: vec![0; THREADS], ..Reader::default() };
    if has("linger") {
        reader.linger = Duration::from_millis(3);
    }
    if has("stuck") {
        reader.stuck = Duration::from_secs(30);
    }
    if has("slow") {
        reader.slow = Duration::from_secs(2);
    }
    if has("brief") {
        reader.linger = Duration::from_micros(300);
    }
    if has("dwell") {
        (reader.linger, reader.is_patient) = (Duration::from_millis(25), true);
    }
    if has("family") {
        reader.family = Some(vec![(process.pid(), None)]);
    }
    match run(signals, process, options, &mut reader) {
        Err(refusal) => refused(refusal),
        Ok(outcome) => {
            println!("end {:?}", outcome.end);
            println!("wanted {}", outcome.counts.wanted);
            println!("taken {}", outcome.counts.taken);
            println!("idle {}", outcome.counts.idle);
            println!("lost {}", outcome.counts.lost);
            println!("disturbed {}", outcome.counts.disturbed);
            if let (Some(first), Some(last)) = (reader.first_tick, reader.last_tick) {
                // After a suspension it is another thread, whose time begins anew.
                println!("worked_ns {}", last.1.saturating_sub(first.1).as_nanos());
                println!("ticks_ns {}", (last.0 - first.0).as_nanos());
            }
            println!("throttled {}", outcome.throttled);
            println!("overworked {}", outcome.overworked);
            println!("starved {}", outcome.starved);
            println!("held_ns {}", outcome.pauses.total_ns);
            println!("most_held_ns {}", reader.held_ns.iter().max().unwrap_or(&0));
            println!("longest_ns {}", outcome.pauses.max_ns);
            println!("length_ns {}", outcome.length_ns);
            println!("threads {}", outcome.threads.len());
            println!("visits {}", reader.held);
            println!("released {}", reader.released);
            println!("unreadable {}", reader.unreadable);
            println!("asleep {}", reader.asleep);
            println!("cut {}", reader.cut);
            println!("late_reads {}", outcome.late_reads);
            println!("started {}", reader.started);
            println!("ended {}", reader.ended);
            println!("process_ends {}", reader.process_ends);
            println!("refusals {}", outcome.refused);
            println!("allocated {}", reader.allocated);
            let sampled = outcome.threads.iter().filter(|report| report.counts.taken > 0);
            println!(
                "processes {}",
                sampled.map(|report| report.thread.process).collect::<BTreeSet<_>>().len()
            );
            0
        }
    }
}
