//! Clocks.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds on the monotonic clock. Read without a system call.
pub fn monotonic_ns() -> u64 {
    nanoseconds(clock_gettime(ClockId::Monotonic))
}

/// Nanoseconds since the host was booted, the time that it was suspended included.
pub fn since_boot_ns() -> u64 {
    nanoseconds(clock_gettime(ClockId::Boottime))
}

/// Seconds since 1970.
pub fn wall_seconds() -> u64 {
    nanoseconds(clock_gettime(ClockId::Realtime)) / 1_000_000_000
}

/// The host's name.
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// CPU time that all threads of `pid` have used, in nanoseconds, what runs at this moment included;
/// `None` once the process is gone. Needs no permission; 1 µs.
pub fn process_cpu_ns(pid: u32) -> Option<u64> {
    // The kernel's encoding of a process' CPU clock (`include/linux/posix-timers_types.h`).
    let clock = (!(pid as i32) << 3) | 2;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec to write to.
    (unsafe { libc::clock_gettime(clock, &mut time) } == 0)
        .then(|| time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

/// CPU time that this thread has used, in nanoseconds.
pub fn thread_cpu_ns() -> u64 {
    nanoseconds(clock_gettime(ClockId::ThreadCPUTime))
}

fn nanoseconds(time: rustix::time::Timespec) -> u64 {
    (time.tv_sec as u64).saturating_mul(1_000_000_000).saturating_add(time.tv_nsec as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_cpu_clock_moves_only_while_it_runs() {
        let own = std::process::id();
        let before = process_cpu_ns(own).unwrap();
        // A busy machine may let this thread run late.
        let until = monotonic_ns() + 20_000_000_000;
        while process_cpu_ns(own).unwrap() < before + 1_000_000 {
            assert!(monotonic_ns() < until, "the clock stands");
        }
        assert_eq!(process_cpu_ns(0x3fff_fff0), None);
    }
}
