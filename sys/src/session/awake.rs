//! Has CPUs stay awake while threads stand.
//!
//! The CPU of a thread that stops has nothing to do until the thread goes on. A virtual machine's halts at once, and to
//! wake it takes an interrupt from one virtual CPU to the other: that was half of what a sample cost the target. The
//! kernel can be asked to have idle CPUs wait without halting (`Documentation/power/pm_qos_interface.rst`), by a file
//! that is kept open; so it takes that back when node-flame ends, however it ends.
//!
//! Only around stops, since a CPU that waits like that uses the host's time. And only on two CPUs, the target's and our
//! own: each change wakes all that are idle (`kernel/power/qos.c`, `cpu_latency_qos_apply`). And only where the kernel's
//! idle driver is `haltpoll`, a guest's: others halt whatever is asked, or, with `mwait`, are woken without an interrupt.

use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, open};
use rustix::io::write;

/// Takes, as a native 32-bit number, the longest time in microseconds that a CPU may need to wake.
const FILE: &str = "/dev/cpu_dma_latency";

/// None at all, and any (`PM_QOS_CPU_LATENCY_DEFAULT_VALUE`, `include/linux/pm_qos.h`).
const AWAKE_US: i32 = 0;
const ANY_US: i32 = 2_000_000_000;

/// Idle CPUs, as long as this lives.
#[derive(Debug)]
pub(super) struct Awake {
    /// None where it would be of no use, or is not permitted.
    file: Option<OwnedFd>,
    is_kept: bool,
}

impl Awake {
    /// They may rest.
    pub fn new() -> Self {
        let read = |name| std::fs::read_to_string(format!("/sys/devices/system/cpu/{name}"));
        let helps = match (read("cpuidle/current_driver"), read("online")) {
            (Ok(driver), Ok(online)) => helps(&driver, &online),
            _ => false,
        };
        let file = || open(FILE, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()).ok();
        Awake { file: helps.then(file).flatten(), is_kept: false }
    }

    /// They stay awake from now on.
    pub fn keep(&mut self) {
        self.set(true);
    }

    /// They may rest again.
    pub fn rest(&mut self) {
        self.set(false);
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
