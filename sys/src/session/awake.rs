//! Has CPUs stay awake while threads stand.
//!
//! The CPU of a thread that stops has nothing to do until the thread goes on. A virtual machine's halts at once, and to
//! wake it takes an interrupt from one virtual CPU to the other: that was half of what a sample cost the target. The
//! kernel can be asked to have idle CPUs wait without halting (`Documentation/power/pm_qos_interface.rst`), by a file
//! that is kept open; so it takes that back when node-flame ends, however it ends.
//!
//! Only around stops, since a CPU that waits like that uses the host's time; from one to the next where they come 2 ms or
//! less after each other; and while signals stop threads again and again, which nobody can foresee. Only on two CPUs, the
//! target's and our own: each change wakes all that are idle (`kernel/power/qos.c`, `cpu_latency_qos_apply`). And only
//! where the kernel's idle driver is `haltpoll`, a guest's, which is loaded where the host says that its CPUs are nobody
//! else's (`KVM_HINTS_REALTIME`, `drivers/cpuidle/cpuidle-haltpoll.c`): others halt whatever is asked, or, with `mwait`,
//! are woken without an interrupt.

use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, open};
use rustix::io::write;

/// Takes, as a native 32-bit number, the longest time in microseconds that a CPU may need to wake.
const FILE: &str = "/dev/cpu_dma_latency";

/// None at all, and any (`PM_QOS_CPU_LATENCY_DEFAULT_VALUE`, `include/linux/pm_qos.h`).
const AWAKE_US: i32 = 0;
const ANY_US: i32 = 2_000_000_000;

/// Samples that come so soon after each other need not be told one by one.
const NEXT_NS: u64 = 2_000_000;

/// Signals that come so soon after each other are expected to go on.
const SOON_NS: u64 = 10_000_000;

/// Idle CPUs, as long as this lives.
#[derive(Debug)]
pub(super) struct Awake {
    /// None where it would be of no use, or is not permitted.
    file: Option<OwnedFd>,
    is_kept: bool,
    /// Two times the mean gap between ticks; 0 where that is long.
    ahead_ns: u64,
    /// When a signal stopped a thread last, and until when others, or more samples, are expected.
    signalled_ns: u64,
    until_ns: u64,
}

impl Awake {
    /// They may rest. `period_ns`: between ticks, in the mean.
    pub fn new(period_ns: u64) -> Self {
        let read = |name| std::fs::read_to_string(format!("/sys/devices/system/cpu/{name}"));
        let helps = match (read("cpuidle/current_driver"), read("online")) {
            (Ok(driver), Ok(online)) => helps(&driver, &online),
            _ => false,
        };
        let file = || open(FILE, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()).ok();
        Awake::of(helps.then(file).flatten(), period_ns)
    }

    fn of(file: Option<OwnedFd>, period_ns: u64) -> Self {
        let ahead_ns = if period_ns <= NEXT_NS { 2 * period_ns } else { 0 };
        Awake { file, is_kept: false, ahead_ns, signalled_ns: 0, until_ns: 0 }
    }

    /// A thread is asked to stop: they stay awake from now on.
    pub fn keep(&mut self, now_ns: u64) {
        self.expect_until(now_ns + self.ahead_ns);
    }

    /// They may rest again, unless more is expected.
    pub fn rest(&mut self, now_ns: u64) {
        if now_ns >= self.until_ns {
            self.set(false);
        }
    }

    /// A signal has stopped a thread, which runs again.
    pub fn signalled(&mut self, now_ns: u64) {
        if now_ns.saturating_sub(self.signalled_ns) < SOON_NS {
            self.expect_until(now_ns + SOON_NS);
        }
        self.signalled_ns = now_ns;
    }

    fn expect_until(&mut self, at_ns: u64) {
        self.until_ns = self.until_ns.max(at_ns);
        self.set(true);
    }

    fn set(&mut self, is_kept: bool) {
        if let Some(file) = self.file.as_ref().filter(|_| self.is_kept != is_kept) {
            let latency_us = if is_kept { AWAKE_US } else { ANY_US };
            // What cannot be written now cannot be later.
            match write(file, &latency_us.to_ne_bytes()) {
                Ok(_) => self.is_kept = is_kept,
                Err(_) => self.file = None,
            }
        }
    }
}

/// Whether it is of use, by the name of the kernel's idle driver and the list of CPUs.
fn helps(driver: &str, online: &str) -> bool {
    driver.trim_end() == "haltpoll" && online.trim_end() == "0-1"
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One that may be written to.
    fn awake(name: &str, period_ms: u64) -> Awake {
        let path = std::env::temp_dir().join(format!("flame-awake-{name}-{}", std::process::id()));
        let file = open(&path, OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC, Mode::RUSR).unwrap();
        std::fs::remove_file(path).unwrap();
        Awake::of(Some(file), period_ms * 1_000_000)
    }

    #[test]
    fn they_stay_awake_while_signals_come_one_after_the_other() {
        let mut awake = awake("signals", 10);
        let turns = [
            (50, true),
            (51, false),
            (70, true),
            (75, true),
            (80, false),
            (84, true),
            (90, false),
            (94, false),
        ];
        let kept = turns.map(|(now_ms, is_signalled)| {
            match is_signalled {
                true => awake.signalled(now_ms * 1_000_000),
                false => awake.rest(now_ms * 1_000_000),
            }
            awake.is_kept
        });
        assert_eq!(kept, [false, false, false, true, true, true, true, false]);
    }

    #[test]
    fn they_stay_awake_from_one_sample_to_the_next_where_the_next_comes_soon() {
        let kept = |period_ms| {
            let mut awake = awake("samples", period_ms);
            awake.keep(50_000_000);
            [50, 51, 52, 53, 54].map(|now_ms| {
                awake.rest(now_ms * 1_000_000);
                awake.is_kept
            })
        };
        assert_eq!(kept(1), [true, true, false, false, false]);
        assert_eq!(kept(2), [true, true, true, true, false]);
        assert_eq!(kept(3), [false; 5]);
    }

    #[test]
    fn it_helps_guests_of_two_cpus_that_halt() {
        assert!(helps("haltpoll\n", "0-1\n"));
        for (driver, online) in
            [("intel_idle\n", "0-1\n"), ("none\n", "0-1\n"), ("haltpoll\n", "0\n"), ("haltpoll\n", "0-3\n")]
        {
            assert!(!helps(driver, online), "{driver:?} {online:?}");
        }
    }
}
