//! Two ways of doing something, timed in turns.

use std::time::Duration;

/// Times of one way, in the order they were taken.
#[derive(Clone, Debug, Default)]
pub struct Times(Vec<Duration>);

impl Times {
    /// Adds one.
    pub fn push(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// The time below which this share of them lies; zero if there are none.
    pub fn quantile(&self, share: f64) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let at = (sorted.len() as f64 * share) as usize;
        sorted.get(at.min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Times of a reference and of what is compared with it.
#[derive(Clone, Debug, Default)]
pub struct Pair {
    /// The reference.
    pub reference: Times,
    /// What is compared.
    pub subject: Times,
}

impl Pair {
    /// Median of the subject as a multiple of the reference's.
    pub fn ratio(&self) -> f64 {
        let reference = self.reference.quantile(0.5).as_secs_f64();
        if reference > 0.0 { self.subject.quantile(0.5).as_secs_f64() / reference } else { 0.0 }
    }
}

impl Pair {
    /// Both medians, the subject's first.
    pub fn medians(&self) -> String {
        let us = |times: &Times| times.quantile(0.5).as_secs_f64() * 1e6;
        format!("{:.1} / {:.1} µs", us(&self.subject), us(&self.reference))
    }
}

impl std::fmt::Display for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let us = |times: &Times, share| times.quantile(share).as_secs_f64() * 1e6;
        write!(
            f,
            "{:5.2} x  ({:6.1} against {:6.1} µs; p99 {:6.1} against {:6.1} µs; {} pairs)",
            self.ratio(),
            us(&self.subject, 0.5),
            us(&self.reference, 0.5),
            us(&self.subject, 0.99),
            us(&self.reference, 0.99),
            self.subject.len(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_that_of_the_medians() {
        let mut pair = Pair::default();
        assert_eq!(pair.ratio(), 0.0);
        for time in [1, 2, 900] {
            pair.reference.push(Duration::from_micros(time));
            pair.subject.push(Duration::from_micros(time * 3));
        }
        assert!((pair.ratio() - 3.0).abs() < 1e-9);
        assert_eq!(pair.subject.quantile(1.0), Duration::from_micros(2700));
    }
}
