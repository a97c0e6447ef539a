//! When to sample: at random gaps around the period.

/// Ticks at a mean rate whose gaps are drawn evenly from half to one and a half of the period, so that
/// no work that repeats at any rate is always, or never, hit.
#[derive(Clone, Debug)]
pub struct Beat {
    period_ns: u64,
    next_ns: u64,
    state: u64,
    /// Since when it beats, and for how long it had before that.
    since_ns: u64,
    before_ns: u64,
    ticks: u64,
}

impl Beat {
    /// `rate_hz` ticks a second (1 to 10,000; what lies outside is brought inside), the first within
    /// one period after `start_ns`.
    pub fn new(rate_hz: u32, start_ns: u64, seed: u64) -> Self {
        let period_ns = 1_000_000_000 / u64::from(rate_hz.clamp(1, 10_000));
        let mut beat =
            Beat { period_ns, next_ns: start_ns, state: seed, since_ns: start_ns, before_ns: 0, ticks: 0 };
        beat.next_ns += beat.random() % period_ns;
        beat
    }

    /// When the next tick is due, on the clock of `start_ns`.
    pub fn next_ns(&self) -> u64 {
        self.next_ns
    }

    /// The mean gap.
    pub fn period_ns(&self) -> u64 {
        self.period_ns
    }

    /// It had ended at `ended_ns`, and begins anew at `now_ns`: what was due in between is forgotten.
    pub fn restart(&mut self, ended_ns: u64, now_ns: u64) {
        self.before_ns += ended_ns.saturating_sub(self.since_ns);
        self.since_ns = now_ns;
        self.next_ns = now_ns + self.random() % self.period_ns;
    }

    /// The time that each tick so far stands for: they are some more or fewer than the rate says, by chance.
    pub fn mean_ns(&self, now_ns: u64) -> u64 {
        let length_ns = self.before_ns + now_ns.saturating_sub(self.since_ns);
        length_ns.checked_div(self.ticks).unwrap_or(self.period_ns)
    }

    /// Passes over all ticks that are due at `now_ns` and says how many they were.
    pub fn take(&mut self, now_ns: u64) -> u64 {
        let mut due = 0;
        while self.next_ns <= now_ns {
            due += 1;
            self.next_ns += self.period_ns / 2 + self.random() % (self.period_ns + 1);
            // After a long sleep of the whole host, not one step for each tick missed.
            let behind = now_ns.saturating_sub(self.next_ns) / self.period_ns;
            if behind > 16 {
                due += behind;
                self.next_ns += behind * self.period_ns;
            }
        }
        self.ticks += due;
        due
    }

    /// splitmix64: enough for jitter.
    pub fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_rate_is_kept_and_no_gap_is_like_the_next() {
        let mut beat = Beat::new(1000, 0, 1);
        let mut gaps = Vec::new();
        while beat.next_ns() < 10_000_000_000 {
            let before = beat.next_ns();
            assert_eq!(beat.take(before), 1);
            gaps.push(beat.next_ns() - before);
        }
        assert!((9_900..=10_100).contains(&gaps.len()), "{}", gaps.len());
        assert!(gaps.iter().all(|gap| (500_000..=1_500_000).contains(gap)));
        gaps.sort_unstable();
        gaps.dedup();
        assert!(gaps.len() > 9_000);
    }

    #[test]
    fn ticks_stand_for_the_time_in_which_there_were_some() {
        let mut beat = Beat::new(100, 1_000, 3);
        assert_eq!(beat.mean_ns(1_000_000), 10_000_000);
        let first = beat.take(2_000_001_000);
        assert_eq!(beat.mean_ns(2_000_001_000), 2_000_000_000 / first);
        beat.restart(2_000_001_000, 9_000_000_000);
        let second = beat.take(10_000_000_000);
        assert_eq!(beat.mean_ns(10_000_000_000), 3_000_000_000 / (first + second));
    }

    #[test]
    fn ticks_that_were_missed_are_counted() {
        let mut beat = Beat::new(100, 0, 7);
        let missed = beat.take(1_000_000_000);
        assert!((80..=120).contains(&missed), "{missed}");
        let slept = beat.take(3_600_000_000_000);
        assert!((359_000..=361_000).contains(&slept), "{slept}");
        assert!(beat.next_ns() > 3_600_000_000_000);
    }
}
