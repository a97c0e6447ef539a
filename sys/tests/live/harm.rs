//! What a target must never notice.

use crate::stage::{Target, Tracer, counter, pause, rounds, tell};
use rustix::process::Signal;
use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

/// Milliseconds to wait, different in each round.
fn moment(round: u32) -> u64 {
    3 + u64::from(round.wrapping_mul(2_654_435_761) >> 26)
}

#[test]
fn a_tracer_that_dies_at_any_moment_leaves_the_target_unharmed_and_no_signal_is_lost() {
    let mut target = Target::start(&["signals"]);
    let (mut queued, mut sum, rounds) = (0, 0, rounds(24));
    for round in 0..rounds {
        let tracer = Tracer::start(target.pid(), 1000, 60_000, &[]).attached(&target);
        for _ in 0..moment(round) {
            for _ in 0..4 {
                queued += 1;
                sum += u64::from(queued as u32);
                target.queue(queued as u32);
            }
            pause(1);
        }
        let death = [Signal::KILL, Signal::SEGV, Signal::ABORT, Signal::KILL][round as usize % 4];
        tracer.send(death);
        assert_eq!(tracer.killed(), Some(death.as_raw()));
        target.is_unharmed();
    }
    target.until("all signals are handled", || target.get(counter::QUEUED) >= queued);
    assert_eq!((target.get(counter::QUEUED), target.get(counter::QUEUED_SUM)), (queued, sum));
    assert_eq!(target.stop().code(), Some(42));
    tell(&format!("{rounds} deaths, {queued} signals, none lost or doubled"));
}

#[test]
fn a_tracer_that_is_asked_to_end_reports_and_leaves_the_target_unharmed() {
    let mut target = Target::start(&["spin", "2"]);
    let rounds = rounds(6);
    for round in 0..rounds {
        let signal = [Signal::INT, Signal::TERM, Signal::HUP][round as usize % 3];
        let tracer = Tracer::start(target.pid(), 1000, 60_000, &[]).attached(&target);
        pause(20 + moment(round));
        tracer.send(signal);
        let report = tracer.report();
        report.adds_up();
        let taken = format!(
            "Signal(Taken {{ signal: {}, sender: {}, is_kernels: false, interrupted: None }})",
            signal.as_raw(),
            std::process::id()
        );
        assert_eq!(report.text("end"), taken);
        target.is_unharmed();
    }
    tell(&format!("asked to end {rounds} times by SIGINT, SIGTERM, SIGHUP"));
    assert_eq!(target.stop().code(), Some(41));
}

#[test]
fn ten_thousand_signals_are_all_delivered_once() {
    let mut target = Target::start(&["signals", "alarm"]);
    let tracer = Tracer::start(target.pid(), 1000, 60_000, &[]).attached(&target);
    let mut sum = 0;
    for number in 1..=10_000 {
        sum += u64::from(number);
        target.queue(number);
        // One that is pending takes in those that come: so one after the other.
        target.send(Signal::USR2);
        target.soon("it is handled", || target.get(counter::USR2) == u64::from(number));
        // The signal by which the kernel reports stops, too.
        target.send(Signal::TRAP);
        target.soon("it is handled", || target.get(counter::TRAPS) == u64::from(number));
    }
    target.until("all are handled", || target.get(counter::QUEUED) >= 10_000);
    // Nobody traces that one.
    let other = Target::start(&["signals", "alarm"]);
    let alarms = || [target.get(counter::ALARMS), other.get(counter::ALARMS)];
    let (before, mut alarmed) = (alarms(), [0, 0]);
    // Which of them waits longer for a CPU is chance, on a busy machine: that evens out.
    for _ in 0..10 {
        pause(1500);
        alarmed = [0, 1].map(|which| alarms()[which] - before[which]);
        if alarmed[0] * 10 >= alarmed[1] * 9 {
            break;
        }
    }
    let [alarms, due] = alarmed;
    tracer.send(Signal::INT);
    let report = tracer.report();
    report.adds_up();
    assert_eq!((target.get(counter::QUEUED), target.get(counter::QUEUED_SUM)), (10_000, sum));
    assert_eq!([counter::USR2, counter::TRAPS].map(|signal| target.get(signal)), [10_000; 2]);
    // One that is still pending when the next is due takes that in, traced or not.
    assert!(alarms * 10 >= due * 9 && due > 100, "{alarms} alarms, {due} untraced");
    tell(&format!(
        "10000 queued signals, 10000 SIGUSR2 and 10000 SIGTRAP, each handled once; {alarms} alarms, {due} untraced"
    ));
    assert_eq!(target.stop().code(), Some(42));
}

#[test]
fn a_stopped_process_stays_stopped_until_it_is_continued() {
    let mut target = Target::start(&["spin", "2"]);
    let tracer = Tracer::start(target.pid(), 1000, 60_000, &[]).attached(&target);
    for round in 0..rounds(8) {
        pause(moment(round));
        let signal = if round % 2 == 0 { Signal::STOP } else { Signal::TSTP };
        target.send(signal);
        target.until("all its threads stand", || {
            target.states().iter().all(|(_, state, _)| matches!(state, b't' | b'T'))
        });
        assert!(parent_sees_stop(target.pid(), signal), "round {round}");
        pause(5);
        let before = target.get(counter::PROGRESS);
        pause(30);
        assert_eq!(target.get(counter::PROGRESS), before, "it runs though it was stopped");
        target.send(Signal::CONT);
        target.until("it runs again", || target.get(counter::PROGRESS) > before);
    }
    tell(&format!("stopped and continued {} times while traced", rounds(8)));
    // The tracer's end leaves it as it is.
    target.send(Signal::STOP);
    target.until("all stand", || target.states().iter().all(|state| matches!(state.1, b't' | b'T')));
    tracer.send(Signal::KILL);
    tracer.killed();
    target.until("all are stopped", || target.states().iter().all(|state| state.1 == b'T' && state.2 == 0));
    let before = target.get(counter::PROGRESS);
    pause(30);
    assert_eq!(target.get(counter::PROGRESS), before);
    // One that is stopped already can be sampled once it goes on.
    let tracer = Tracer::start(target.pid(), 1000, 60_000, &[]).attached(&target);
    pause(30);
    assert_eq!(target.get(counter::PROGRESS), before, "attaching has let it go on");
    target.send(Signal::CONT);
    target.until("it runs again", || target.get(counter::PROGRESS) > before);
    pause(50);
    tracer.send(Signal::INT);
    let report = tracer.report();
    report.adds_up();
    assert!(report.number("taken") > 0);
    target.is_unharmed();
    assert_eq!(target.stop().code(), Some(41));
}

/// The target's parent, which is this process, is told of the stop, as a shell is.
fn parent_sees_stop(pid: u32, signal: Signal) -> bool {
    let mut status = 0;
    // SAFETY: `status` is a valid int to write to.
    let seen = unsafe { libc::waitpid(pid as i32, &mut status, libc::WUNTRACED) };
    seen == pid as i32 && libc::WIFSTOPPED(status) && libc::WSTOPSIG(status) == signal.as_raw()
}

#[test]
fn a_tracer_that_is_stopped_sets_the_target_free_and_goes_on_when_it_is_continued() {
    let mut target = Target::start(&["signals"]);
    let tracer = Tracer::start(target.pid(), 1000, 60_000, &[]).attached(&target);
    let mut sent = 0;
    for round in 0..rounds(8) {
        pause(30 + moment(round));
        tracer.send(if round % 3 == 2 { Signal::TSTP } else { Signal::STOP });
        let free = |(_, state, tracer): &(u32, u8, u32)| *tracer == 0 && *state != b't';
        target.until("it is free", || target.states().iter().all(free));
        sent += 1;
        target.queue(sent);
        target.until("its signals come", || target.get(counter::QUEUED) == u64::from(sent));
        target.is_unharmed();
        let process = flame_sys::process::Process::open(tracer.pid()).unwrap();
        let stopped = || process.status().is_ok_and(|status| status.state == b'T');
        target.until("the tracer stands", stopped);
        pause(100);
        assert!(stopped(), "the tracer does not stay stopped");
        tracer.send(Signal::CONT);
        target.until("it is traced again", || tracer.traces(&target));
    }
    tracer.send(Signal::INT);
    let report = tracer.report();
    report.adds_up();
    assert!(report.number("taken") > 0);
    tell(&format!("a tracer stopped and continued {sent} times, {sent} signals meanwhile"));
    assert_eq!(target.stop().code(), Some(42));
}

#[test]
fn samples_come_at_once_after_a_long_suspension() {
    let mut target = Target::start(&["spin", "0"]);
    let tracer = Tracer::start(target.pid(), 1000, 60_000, &[]).attached(&target);
    pause(200);
    tracer.send(Signal::STOP);
    target.until("it is free", || !tracer.traces(&target));
    pause(4000);
    tracer.send(Signal::CONT);
    target.until("it is traced again", || tracer.traces(&target));
    pause(1000);
    tracer.send(Signal::INT);
    let report = tracer.report();
    report.adds_up();
    // The time of the suspension is not taken for work, after which it would rest.
    let (taken, overworked) = (report.number("taken"), report.number("overworked"));
    assert!(overworked < 500, "{overworked} ticks were passed over, {taken} samples taken");
    target.is_unharmed();
    assert_eq!(target.stop().code(), Some(41));
}

#[test]
fn what_is_stuck_with_a_thread_held_is_killed_and_what_is_slow_without_is_not() {
    let mut target = Target::start(&["spin", "0"]);
    let tracer = Tracer::start(target.pid(), 1000, 60_000, &["stuck"]).attached(&target);
    let (signal, said) = tracer.last_words();
    assert_eq!(signal, Some(libc::SIGKILL));
    assert!(said.starts_with("node-flame: stuck while it traced; killed by its own watchdog"), "{said:?}");
    target.is_unharmed();
    // On a busy machine one may be slow just when a thread was asked that waits for a CPU: then it is, too.
    let ends: Vec<_> =
        (0..5).map(|_| Tracer::start(target.pid(), 1000, 2600, &["slow"]).last_words()).collect();
    let left_alone = ends.iter().filter(|(signal, said)| signal.is_none() && said.is_empty()).count();
    tell(&format!("{left_alone} of 5 tracers that were slow with no thread held were left alone"));
    assert!(left_alone >= 3, "{ends:?}");
    target.is_unharmed();
    assert_eq!(target.stop().code(), Some(41));
}

#[test]
fn children_are_not_traced_and_all_end_as_they_should() {
    let mut target = Target::start(&["forks"]);
    let tracer = Tracer::start(target.pid(), 1000, 60_000, &[]).attached(&target);
    target.until("a thousand children", || target.get(counter::DONE) >= 1000);
    tracer.send(Signal::INT);
    tracer.report().adds_up();
    let done = target.get(counter::DONE);
    target.until("more of them", || target.get(counter::DONE) > done);
    assert_eq!(target.get(counter::BROKEN_OFF), 0, "children that failed or were traced");
    tell(&format!("{done} children, none of them traced"));
    assert_eq!(target.stop().code(), Some(45));
}

/// The calls of a target, in their order, and whether the kernel goes on with one that a stop has met.
const CALLS: [(&str, bool); 11] = [
    ("read", true),
    ("nanosleep", true),
    ("accept", false),
    ("connect", false),
    ("waitpid", true),
    ("sendfile", false),
    ("epoll_wait", false),
    ("poll", true),
    ("nanosleep", true),
    ("futex", true),
    ("recv", false),
];

#[test]
fn system_calls_that_wait_are_not_broken_off() {
    let mut target = Target::start(&["calls"]);
    let report = Tracer::start(target.pid(), 1000, 3000, &[]).report();
    report.adds_up();
    let (mut told, mut broken_off) = (String::new(), 0);
    for (kind, (name, goes_on)) in CALLS.iter().enumerate() {
        let (done, broken) =
            (target.get(counter::CALLS + kind), target.get(counter::CALLS_BROKEN_OFF + kind));
        assert!(done > 20, "{name}: {done} calls");
        assert!(
            broken == 0 || !goes_on,
            "{name}: the kernel goes on with it, yet {broken} of {done} were broken off"
        );
        broken_off += broken;
        told += &format!("{}{name} {broken} of {done}", if kind == 0 { "" } else { ", " });
    }
    // Between the look and the stop a thread can go to sleep: that is counted.
    assert!(broken_off <= report.number("disturbed"), "{told}: {report:?}");
    tell(&format!("system calls broken off: {told}"));
    assert_eq!(target.stop().code(), Some(47));
}

#[test]
fn a_thread_that_nothing_can_stop_holds_up_nobody() {
    let mut target = Target::start(&["vforks"]);
    let is_stuck = || target.states().iter().any(|state| state.1 == b'D');
    let report = Tracer::start(target.pid(), 1000, 1500, &[]).report();
    report.adds_up();
    let length = Duration::from_nanos(report.number("length_ns"));
    assert!(length < Duration::from_millis(1800), "a session of 1.5 s took {length:?}");
    // The other thread spins, and others may have the CPUs.
    assert!(report.number("taken") > 200, "{report:?}");
    let rounds = rounds(4).min(50);
    let mut slowest = Duration::ZERO;
    for round in 0..rounds {
        let tracer = Tracer::start(target.pid(), 1000, 60_000, &[]).attached(&target);
        pause(moment(round));
        target.until("a thread stands in vfork", is_stuck);
        let begin = Instant::now();
        tracer.send([Signal::INT, Signal::KILL][round as usize % 2]);
        let _ = tracer.killed();
        slowest = slowest.max(begin.elapsed());
        target.is_unharmed();
    }
    assert!(slowest < Duration::from_millis(500), "an end took {slowest:?}");
    target.until("children end", || target.get(counter::DONE) > 1);
    assert_eq!(target.get(counter::BROKEN_OFF), 0, "children that were traced");
    tell(&format!("{rounds} ends beside a thread in vfork, {slowest:.0?} at most"));
    assert_eq!(target.stop().code(), Some(50));
}

#[test]
fn one_that_traces_its_own_tracer_is_refused() {
    let mut target = Target::start(&["seizes"]);
    assert_eq!(target.wait().code(), Some(49));
}

#[test]
fn a_first_thread_that_ends_before_others_is_normal() {
    // While it is traced: the session goes on with the other.
    let mut target = Target::start(&["leader-ends"]);
    let report = Tracer::start(target.pid(), 1000, 2500, &[]).report();
    report.adds_up();
    assert_eq!(report.text("end"), "Time", "{report:?}");
    // From then on the kernel lets nobody read the process' memory by its number.
    assert!(report.number("taken") > 50 && report.number("threads") == 2, "{report:?}");
    target.is_unharmed_but_for_its_first_thread();
    assert_eq!(target.stop().code(), Some(44));
    // Before: it is refused as one that has ended.
    let mut target = Target::start(&["leader-ends", "at-once"]);
    target.until("the first has ended", || target.states().iter().any(|state| state.1 == b'Z'));
    let report = Tracer::start(target.pid(), 1000, 500, &[]).report();
    assert_eq!(report.text("refused"), "Zombie", "{report:?}");
    target.is_unharmed_but_for_its_first_thread();
    assert_eq!(target.stop().code(), Some(44));
}

#[test]
fn the_end_of_the_target_reaches_its_parent_and_ends_the_session() {
    let ends = [
        (["end", "7"], "Target(Exit(Code(7)))"),
        (["end", "abort"], "Target(Exit(Signal(6)))"),
        (["end", "segv"], "Target(Exit(Signal(11)))"),
        (["spin", "3"], "Target(Exit(Signal(9)))"),
    ];
    let dumped = Target::start(&["end", "abort"]).wait().core_dumped();
    let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
    let is_file_here = !pattern.starts_with(['|', '/', '\n']) && !pattern.is_empty();
    assert!(dumped || !is_file_here, "no core dump though core_pattern is {pattern:?}");
    if !dumped {
        tell(&format!("NOT TESTED: core dumps, which this host does not write (core_pattern {pattern:?})"));
    }
    let rounds = rounds(8);
    for round in 0..rounds {
        let (role, expected) = ends[round as usize % ends.len()];
        let mut target = Target::start(&role);
        let tracer = Tracer::start(target.pid(), 1000, 60_000, &[]).attached(&target);
        if role[0] == "spin" {
            pause(moment(round));
            target.send(Signal::KILL);
        }
        let status = target.wait();
        let report = tracer.report();
        report.adds_up();
        assert_eq!(report.text("end"), expected, "{report:?}");
        assert_eq!(report.number("started"), report.number("ended"), "{report:?}");
        assert_eq!(report.number("process_ends"), 1);
        let seen = status.code().map(|code| format!("Code({code})"));
        let seen = seen.or(status.signal().map(|signal| format!("Signal({signal})")));
        assert!(expected.contains(&seen.unwrap()), "{status:?} {expected}");
        if role == ["end", "abort"] {
            assert_eq!(status.core_dumped(), dumped, "a core dump only without a tracer");
        }
    }
    let dump = if dumped { "with" } else { "without" };
    tell(&format!(
        "{rounds} ends: by itself, abort {dump} a core dump, SIGSEGV, SIGKILL; told within a second"
    ));
}

#[test]
fn an_exec_ends_the_session_and_the_new_program_runs_free() {
    let rounds = rounds(4);
    tell(&format!("{rounds} execs from the first thread, {rounds} from another"));
    for from in ["first", "other"] {
        for _ in 0..rounds {
            let target = Target::start(&["exec", from]);
            let tracer = Tracer::start(target.pid(), 1000, 60_000, &[]).attached(&target);
            let report = tracer.report();
            report.adds_up();
            assert_eq!(report.text("end"), "Target(Exec)", "{from}");
            target.is_unharmed();
        }
    }
}

#[test]
fn a_second_tracer_is_refused_and_told_who_the_first_is() {
    let target = Target::start(&["spin"]);
    let tracer = Tracer::start(target.pid(), 100, 60_000, &[]).attached(&target);
    let refused = Tracer::start(target.pid(), 100, 60_000, &[]).report();
    let expected = format!("Traced {{ by: {}, name: \"live-target\" }}", tracer.pid());
    assert_eq!(refused.text("refused"), expected);
    drop(tracer);
    target.is_unharmed();
}
