//! Samples as stretches of time.

use flame_core::profile::{NodeId, Profile, Sample, ThreadId};

/// Microseconds that one sample stands for: what the run's ticks really were apart, else what was
/// asked for; at least 1.
pub fn period_us(profile: &Profile) -> u64 {
    let observed = profile.receipt.pauses.observed_ns / 1000;
    let wanted = profile.receipt.counts.wanted;
    let period = match observed.checked_div(wanted) {
        Some(period) if period > 0 => period,
        _ => 1_000_000 / u64::from(profile.meta.rate_hz.max(1)),
    };
    period.max(1)
}

/// A sample and the time that it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The path it found.
    pub node: NodeId,
    /// Time since the stretch before in which the thread did not run.
    pub idle_us: u64,
    /// Time that it ran.
    pub busy_us: u64,
}

impl Stretch {
    /// Both times together.
    pub fn length_us(self) -> u64 {
        self.idle_us.saturating_add(self.busy_us)
    }
}

/// All samples, thread by thread.
pub struct Times {
    samples: Vec<Sample>,
    period_us: u64,
}

impl Times {
    /// Sorts the samples of `profile` by thread.
    pub fn new(profile: &Profile) -> Self {
        let mut samples: Vec<Sample> = profile.samples().iter().collect();
        samples.sort_by_key(|sample| sample.thread);
        Times { samples, period_us: period_us(profile) }
    }

    /// The threads that have samples, each with its samples in the order of time.
    pub fn threads(&self) -> impl Iterator<Item = (ThreadId, &[Sample])> {
        self.samples.chunk_by(|a, b| a.thread == b.thread).filter_map(|run| Some((run.first()?.thread, run)))
    }

    /// All stretches, one thread after the other.
    pub fn stretches(&self) -> impl Iterator<Item = Stretch> + '_ {
        self.threads().flat_map(|(_, samples)| self.of(samples))
    }

    /// The stretches of one thread. A sample stands for the period that ends with it; where the one
    /// before is further away than that, the thread did not run in between. Every sample stands
    /// for the same time, so that shares are those of the counts.
    pub fn of<'a>(&'a self, samples: &'a [Sample]) -> impl Iterator<Item = Stretch> + 'a {
        let period = self.period_us;
        samples.iter().scan(0u64, move |now, sample| {
            let busy_us = period.saturating_mul(sample.weight.into());
            let start = sample.at_us.saturating_sub(busy_us);
            // Ticks jitter: a distance below half a period is no gap.
            let gap = start.saturating_sub(*now);
            let idle_us = if gap > busy_us / 2 { gap } else { 0 };
            *now = now.saturating_add(idle_us).saturating_add(busy_us);
            Some(Stretch { node: sample.node, idle_us, busy_us })
        })
    }

    /// Microseconds that one sample stands for, before the log was thinned out.
    pub fn period_us(&self) -> u64 {
        self.period_us
    }

    /// Length of all stretches.
    pub fn length_us(&self) -> u64 {
        self.stretches().fold(0, |sum, stretch| sum.saturating_add(stretch.length_us()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Build;
    use flame_core::profile::{Activity, Kind};

    #[test]
    fn gaps_are_idle_and_every_sample_is_as_long() {
        let mut build = Build::default();
        let f = build.frame(Kind::Native, "f", "");
        for at in [10_000, 21_000, 29_000, 80_000] {
            build.now = at;
            build.stack(&[f]);
        }
        let profile = build.finish();
        let times = Times::new(&profile);
        let lengths: Vec<_> = times.stretches().map(|stretch| (stretch.idle_us, stretch.busy_us)).collect();
        assert_eq!(lengths, [(0, 10_000), (0, 10_000), (0, 10_000), (40_000, 10_000)]);
        assert_eq!(times.length_us(), 80_000);
    }

    #[test]
    fn threads_follow_one_another() {
        let mut build = Build::default();
        let f = build.frame(Kind::Native, "f", "");
        let worker = build.thread(7, "worker 1");
        build.stack_of(worker, Activity::Native, &[f]);
        build.stack(&[f]);
        build.stack_of(worker, Activity::Native, &[f]);
        let profile = build.finish();
        let times = Times::new(&profile);
        let threads: Vec<_> = times.threads().map(|(thread, samples)| (thread.0, samples.len())).collect();
        assert_eq!(threads, [(0, 1), (1, 2)]);
    }

    #[test]
    fn the_period_is_what_the_run_kept_to() {
        let mut build = Build::default();
        build.meta.rate_hz = 100;
        build.receipt.counts.wanted = 50;
        build.receipt.pauses.observed_ns = 1_000_000_000;
        assert_eq!(period_us(&build.finish()), 20_000);
        assert_eq!(period_us(&Build::default().finish()), 10_000);
    }
}
