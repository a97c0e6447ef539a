//! How much of a CPU the session takes.
//!
//! As a real-time thread it goes before all others. One that does not rest takes a CPU from its machine; and
//! the kernel, which lets such threads have 95 % of each second (`sched_rt_runtime_us`), holds it back for the
//! rest of it, while whatever it has stopped stands.

/// Of the time, this much at most is work, once [`BURST_NS`] are used up.
const SHARE: f64 = 0.8;

/// So long can it work without a rest.
const BURST_NS: f64 = 100e6;

/// The most that can be saved up: work uses it up by what it lacks of having earned itself.
const SAVED_NS: f64 = BURST_NS * (1.0 - SHARE);

/// Work and rest of one thread, by the time between its waits: it is seldom taken off its CPU.
#[derive(Debug)]
pub(super) struct Work {
    saved_ns: f64,
    since_ns: u64,
    rest_until_ns: u64,
}

impl Work {
    /// Begins at `now_ns`, rested.
    pub fn new(now_ns: u64) -> Self {
        Work { saved_ns: SAVED_NS, since_ns: now_ns, rest_until_ns: 0 }
    }

    /// It has worked until `now_ns`. Until when new work has to wait.
    pub fn worked(&mut self, now_ns: u64) -> u64 {
        self.saved_ns -= now_ns.saturating_sub(self.since_ns) as f64 * (1.0 - SHARE);
        self.since_ns = self.since_ns.max(now_ns);
        if self.saved_ns < 0.0 {
            self.rest_until_ns = now_ns + (-self.saved_ns / SHARE) as u64;
        }
        self.rest_until_ns
    }

    /// It has waited until `now_ns`.
    pub fn rested(&mut self, now_ns: u64) {
        self.saved_ns = (self.saved_ns + now_ns.saturating_sub(self.since_ns) as f64 * SHARE).min(SAVED_NS);
        self.since_ns = self.since_ns.max(now_ns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Works in steps of `step_ns` whenever it may; the most work in any second of ten.
    fn most_in_a_second(step_ns: u64) -> u64 {
        let (mut work, mut now) = (Work::new(0), 0);
        let mut steps = Vec::new();
        while now < 10_000_000_000 {
            let rest_until = work.worked(now);
            if rest_until > now {
                now = rest_until;
                work.rested(now);
            } else {
                steps.push((now, step_ns));
                now += step_ns;
            }
        }
        let within = |from: u64| {
            let second = from..from + 1_000_000_000;
            steps.iter().filter(|(at, _)| second.contains(at)).map(|(_, ns)| ns).sum()
        };
        steps.iter().map(|(at, _)| within(*at)).max().unwrap_or(0)
    }

    #[test]
    fn no_second_has_as_much_work_as_the_kernel_lets_a_real_time_thread_have() {
        for step_ns in [1_000_000, 5_000_000, 20_000_000, 70_000_000] {
            let most = most_in_a_second(step_ns);
            assert!((800_000_000..900_000_000).contains(&most), "{step_ns}: {most}");
        }
    }

    #[test]
    fn who_rests_a_fifth_of_the_time_is_never_held_up() {
        let mut work = Work::new(0);
        for period in (0..1000).map(|period| period * 10_000_000) {
            assert!(work.worked(period + 8_000_000) <= period + 8_000_000);
            work.rested(period + 10_000_000);
        }
    }
}
