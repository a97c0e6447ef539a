//! What a target pays. By themselves: other tests would take the CPUs from these, and these from others.

#[path = "live/counter.rs"]
#[allow(dead_code, reason = "the tests of sessions use the rest")]
pub mod counter;
#[path = "live/stage.rs"]
#[allow(dead_code, reason = "the tests of sessions use the rest")]
mod stage;

use rustix::process::Signal;
use stage::{Target, Tracer, pause, rounds, tell};
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
    /// Steps a millisecond. Other programs on the machine take their part.
    steps: f64,
    /// Share of the time in which it ran or could have run, by the kernel's account: the rest it stood.
    able: f64,
}

/// Nanoseconds that a target's first thread has run or waited for a CPU so far.
fn able_ns(target: &Target) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{0}/task/{0}/schedstat", target.pid())).unwrap();
    text.split(' ').take(2).map(|number| number.parse::<u64>().unwrap()).sum()
}

fn speed(target: &Target, milliseconds: u64) -> Speed {
    let (begin, steps, able) = (Instant::now(), target.get(counter::PROGRESS), able_ns(target));
    pause(milliseconds);
    let (time, able_now) = (begin.elapsed().as_secs_f64(), able_ns(target));
    let steps = (target.get(counter::PROGRESS) - steps) as f64;
    Speed { steps: steps / time / 1e3, able: (able_now - able) as f64 / 1e9 / time }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[test]
fn a_signal_every_5_ms_leaves_a_busy_target_at_its_speed() {
    let _alone = alone();
    let mut target = Target::start(&["signals"]);
    let (sent, sum, is_over) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    for rate in [99, 1000] {
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
            for _ in 0..rounds(8) {
                let free = speed(&target, 300);
                let tracer = Tracer::start(target.pid(), rate, 60_000, &[]).attached(&target);
                let traced = speed(&target, 300);
                tracer.send(Signal::INT);
                tracer.report().adds_up();
                steps.push(traced.steps / free.steps);
                able.push(traced.able / free.able);
            }
            is_over.store(true, Relaxed);
        });
        is_over.store(false, Relaxed);
        let (pairs, steps, able) = (steps.len(), median(steps), median(able));
        tell(&format!(
            "{rate} Hz, {pairs} pairs: {:.1} % of the untraced steps, {:.2} % of the time in which it could run",
            steps * 100.0,
            able * 100.0
        ));
        // At 1000 Hz the stops themselves may take up to their share.
        let least = if rate == 99 { 0.97 } else { 0.92 };
        assert!(able >= least, "{rate} Hz: {able}");
        // On a machine that is busy with something else this one scatters.
        assert!(steps >= 0.5, "{rate} Hz: {steps}");
    }
    let (sent, sum) = (sent.into_inner(), sum.into_inner());
    target.until("all signals are handled", || target.get(counter::QUEUED) >= sent);
    assert_eq!((target.get(counter::QUEUED), target.get(counter::QUEUED_SUM)), (sent, sum));
    tell(&format!("{sent} signals sent, {sent} handled"));
    assert_eq!(target.stop().code(), Some(42));
}

#[test]
fn five_hundred_threads_are_held_within_their_share() {
    let _alone = alone();
    let mut target = Target::start(&["spin", "499"]);
    let report = Tracer::start(target.pid(), 1000, 4000, &["linger"]).report();
    report.adds_up();
    assert_eq!(report.number("threads"), 500);
    assert_eq!(report.number("visits"), report.number("taken") + report.number("unreadable"));
    let share = report.number("held_ns") as f64 / (500.0 * report.number("length_ns") as f64);
    tell(&format!(
        "500 threads: {} visits of 3 ms, {} of them cut, the longest stop {:.1} ms, held {:.2} % of their time, \
         {} of {} samples lost to that bound",
        report.number("visits"),
        report.number("late_reads"),
        report.number("longest_ns") as f64 / 1e6,
        share * 100.0,
        report.number("throttled"),
        report.number("wanted")
    ));
    assert!(report.number("visits") > 50 && share < 0.05, "{report:?}");
    target.is_unharmed();
    assert_eq!(target.stop().code(), Some(41));
}
