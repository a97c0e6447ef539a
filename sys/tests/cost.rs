//! What a target pays. By themselves: other tests would take the CPUs from these, and these from others.

#[path = "live/counter.rs"]
#[allow(dead_code, reason = "the tests of sessions use the rest")]
pub mod counter;
#[path = "live/stage.rs"]
#[allow(dead_code, reason = "the tests of sessions use the rest")]
mod stage;

use rustix::process::Signal;
use stage::{Target, Tracer, pause, rounds, tell};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// One of these tests at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a busy target does in a stretch of time.
struct Speed {
    /// Steps in each second in which it ran or stood: that it waited for a CPU is other programs' doing, and this
    /// machine's.
    steps: f64,
    /// Share of the time in which it ran or could have run, by the kernel's account: the rest it stood.
    able: f64,
}

/// Nanoseconds that a target's first thread has run so far, and those that it has waited for a CPU.
fn ran_and_waited(target: &Target) -> [u64; 2] {
    let text = std::fs::read_to_string(format!("/proc/{0}/task/{0}/schedstat", target.pid())).unwrap();
    let mut numbers = text.split(' ').map(|number| number.parse().unwrap());
    [numbers.next().unwrap(), numbers.next().unwrap()]
}

fn speed(target: &Target, milliseconds: u64) -> Speed {
    let (begin, steps, before) = (Instant::now(), target.get(counter::PROGRESS), ran_and_waited(target));
    pause(milliseconds);
    let (time, after) = (begin.elapsed().as_secs_f64(), ran_and_waited(target));
    let [ran, waited] = [0, 1].map(|part| (after[part] - before[part]) as f64 / 1e9);
    let steps = (target.get(counter::PROGRESS) - steps) as f64;
    Speed { steps: steps / (time - waited).max(1e-3), able: (ran + waited) / time }
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The middle one, and how far it may be off: 95 % of all medians of so many pairs are not further from the true one.
fn middle(values: &[f64]) -> (f64, f64) {
    let middle = median(values);
    let apart: Vec<f64> = values.iter().map(|value| (value - middle).abs()).collect();
    // 1.4826 makes a standard deviation of it, and a median's error is 1.2533 times a mean's.
    (middle, 1.96 * 1.2533 * 1.4826 * median(&apart) / (values.len() as f64).sqrt())
}

#[test]
fn a_signal_every_5_ms_leaves_a_busy_target_at_its_speed() {
    let _alone = alone();
    let mut target = Target::start(&["signals"]);
    let (sent, sum, is_over) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    // At 1000 Hz the stops themselves take something, and more where a halted virtual CPU has to be woken after each.
    // It is 98 % then, and up to 3 less in a machine's bad minutes.
    for (rate, least) in [(99, 0.97), (1000, if keeps_awake() { 0.95 } else { 0.93 })] {
        let (mut steps, mut able) = (Vec::new(), Vec::new());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Relaxed) {
                    let number = sent.fetch_add(1, Relaxed) as u32 + 1;
                    sum.fetch_add(u64::from(number), Relaxed);
                    target.queue(number);
                    std::thread::sleep(Duration::from_millis(5));
                }
            });
            let deadline = Instant::now() + Duration::from_secs(90);
            loop {
                for _ in 0..rounds(16) {
                    // The untraced part lies before and behind: a machine that becomes slower meanwhile is not
                    // taken for node-flame.
                    let before = speed(&target, 150);
                    let tracer = Tracer::start(target.pid(), rate, 60_000, &[]).attached(&target);
                    let traced = speed(&target, 300);
                    tracer.send(Signal::INT);
                    tracer.report().adds_up();
                    let after = speed(&target, 150);
                    steps.push(traced.steps / ((before.steps + after.steps) / 2.0));
                    able.push(traced.able / ((before.able + after.able) / 2.0));
                }
                // Where the machine's other work scatters the figures, more of them.
                let (share, error) = middle(&steps);
                if share - error >= least || share + error < least || Instant::now() > deadline {
                    break;
                }
            }
            is_over.store(true, Relaxed);
        });
        is_over.store(false, Relaxed);
        let (pairs, (steps, error), able) = (steps.len(), middle(&steps), median(&able));
        tell(&format!(
            "{rate} Hz, {pairs} pairs: {:.1} % (+-{:.1}) of the untraced steps, {:.2} % of the time in which it could run",
            steps * 100.0,
            error * 100.0,
            able * 100.0
        ));
        assert!(able >= least, "{rate} Hz: {able}");
        // As far as can be told: on a busy machine it scatters.
        assert!(steps + error >= least && steps >= least - 0.05, "{rate} Hz: {steps} +-{error}");
    }
    let (sent, sum) = (sent.into_inner(), sum.into_inner());
    target.until("all signals are handled", || target.get(counter::QUEUED) >= sent);
    assert_eq!((target.get(counter::QUEUED), target.get(counter::QUEUED_SUM)), (sent, sum));
    tell(&format!("{sent} signals sent, {sent} handled"));
    assert_eq!(target.stop().code(), Some(42));
}

/// Who opens it may say how soon CPUs have to wake.
const WAKE_LATENCY: &str = "/dev/cpu_dma_latency";

/// Whether idle CPUs are to be kept awake on this machine. Each change wakes other CPUs, and only this driver heeds it.
fn keeps_awake() -> bool {
    let system =
        |name| std::fs::read_to_string(format!("/sys/devices/system/cpu/{name}")).unwrap_or_default();
    let is_there = File::options().write(true).open(WAKE_LATENCY).is_ok();
    is_there && system("cpuidle/current_driver") == "haltpoll\n" && system("online") == "0-1\n"
}

/// The longest time, in microseconds, that a CPU may need to wake, as the kernel has it for all that asked; `None` where
/// it does not say.
fn wake_latency_us(file: Option<&File>) -> Option<i32> {
    let mut value = [0; 4];
    file?.read_exact_at(&mut value, 0).ok()?;
    Some(i32::from_ne_bytes(value))
}

#[test]
fn idle_cpus_are_kept_awake_while_a_thread_stands_and_by_no_way_to_end_for_longer() {
    let _alone = alone();
    let mut target = Target::start(&["spin", "0"]);
    let file = File::open(WAKE_LATENCY).ok();
    let before = wake_latency_us(file.as_ref());
    let is_expected = keeps_awake();
    if !is_expected {
        tell("NOT TESTED: that idle CPUs are kept awake. This machine's need not be, or may not");
    }
    let asks = |tracer: &Tracer| {
        let files = std::fs::read_dir(format!("/proc/{}/fd", tracer.pid())).unwrap();
        files
            .flatten()
            .any(|file| std::fs::read_link(file.path()).is_ok_and(|path| path == Path::new(WAKE_LATENCY)))
    };
    for rate in [400, 1000] {
        let (mut looks, mut awake, mut told, mut runs) = (0, 0, 0, 0);
        for end in [Signal::KILL, Signal::INT, Signal::TERM].repeat(rounds(2) as usize) {
            let tracer = Tracer::start(target.pid(), rate, 60_000, &[]).attached(&target);
            runs += 1;
            assert_eq!(asks(&tracer), is_expected);
            let until = Instant::now() + Duration::from_millis(100);
            while Instant::now() < until {
                looks += 1;
                awake += u32::from(wake_latency_us(file.as_ref()) == Some(0));
                std::thread::sleep(Duration::from_micros(500));
            }
            // It writes nothing else before its end.
            let io = std::fs::read_to_string(format!("/proc/{}/io", tracer.pid())).unwrap();
            let writes = io.lines().find_map(|line| line.strip_prefix("syscw: ")).unwrap();
            told += writes.parse::<u64>().unwrap();
            tracer.send(end);
            tracer.killed();
            assert_eq!(wake_latency_us(file.as_ref()), before, "after {end:?}");
        }
        tell(&format!(
            "in {runs} runs of 100 ms at {rate} Hz CPUs were told {told} times to stay awake or that they may rest, and \
             were to stay awake in {awake} of {looks} looks, and after none of the ends"
        ));
        if is_expected && before != Some(0) {
            match rate {
                // Twice a sample, but where the sampling thread is on the target's CPU.
                400 => assert!(told > 2 * runs && awake < looks / 2, "{told} in {runs}, {awake} of {looks}"),
                // From one sample to the next.
                _ => assert!(awake > looks / 2, "{awake} of {looks}"),
            }
        }
    }
    // Of a target that waits there are no samples.
    let idle = Target::start(&["sleep"]);
    let tracer = Tracer::start(idle.pid(), 1000, 60_000, &[]).attached(&idle);
    pause(50);
    assert_eq!(wake_latency_us(file.as_ref()), before, "while the target sleeps");
    tracer.send(Signal::INT);
    tracer.killed();
    target.is_unharmed();
    assert_eq!(target.stop().code(), Some(41));
}

#[test]
fn five_hundred_threads_take_at_most_their_share_of_a_cpu() {
    let _alone = alone();
    let mut target = Target::start(&["spin", "499"]);
    let mut longest = f64::MAX;
    // A machine that holds back the tracer itself, as where a hypervisor's CPUs are shared, gets more tries.
    for _ in 0..3 {
        // Several times as long as real stops, and in all more than one CPU has time for.
        let report = Tracer::start(target.pid(), 1000, 4000, &["brief"]).report();
        report.adds_up();
        assert_eq!(report.number("threads"), 500);
        assert_eq!(report.number("visits"), report.number("taken") + report.number("unreadable"));
        let worked = report.number("worked_ns") as f64 / report.number("ticks_ns") as f64;
        longest = report.number("longest_ns") as f64 / 1e6;
        tell(&format!(
            "500 threads: {} visits of 0.3 ms, {} of them cut, the longest stop {longest:.1} ms; the thread that works \
             took {:.1} % of a CPU; of {} samples {} lost to its own work",
            report.number("visits"),
            report.number("late_reads"),
            worked * 100.0,
            report.number("wanted"),
            report.number("overworked")
        ));
        assert!(report.number("visits") > 50, "{report:?}");
        assert!(worked <= 0.85, "{worked} {report:?}");
        // Where there was more to do, the ticks that were passed over are counted.
        assert!(worked < 0.7 || report.number("overworked") > 0, "{worked} {report:?}");
        // From 20 ms on nothing is read: what is left is to let it go.
        if longest < 30.0 {
            break;
        }
    }
    assert!(longest < 30.0, "{longest} ms");
    target.is_unharmed();
    assert_eq!(target.stop().code(), Some(41));
}

#[test]
fn threads_are_held_within_their_share_at_too_high_a_rate() {
    let _alone = alone();
    let mut target = Target::start(&["spin", "3"]);
    let report = Tracer::start(target.pid(), 1000, 4000, &["linger"]).report();
    report.adds_up();
    let length = report.number("length_ns") as f64;
    let most = report.number("most_held_ns") as f64 / length;
    tell(&format!(
        "4 threads, 3 ms a thousand times a second: the most held one was held {:.2} % of the time, {} of {} samples \
         lost to that bound",
        most * 100.0,
        report.number("throttled"),
        report.number("wanted") - report.number("idle")
    ));
    assert!(most > 0.02 && most <= 0.05 + 20e6 / length, "{report:?}");
    // Those that waited for a CPU were not to be held.
    let ran = report.number("wanted") - report.number("idle");
    assert!(report.number("throttled") * 2 > ran, "{report:?}");
    target.is_unharmed();
    assert_eq!(target.stop().code(), Some(41));
}
