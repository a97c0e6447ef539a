//! How long stops were: a histogram of fixed size.

use flame_core::profile::Pauses;

/// Buckets to each doubling: values are kept to within 1/16.
const STEPS: u32 = 16;

/// Doublings: up to 2^40 ns, 18 minutes; what is longer counts as that.
const DOUBLINGS: u32 = 40;

/// Durations in nanoseconds, each kept to within 6 %, in 5 KiB whatever their number.
#[derive(Clone, Debug)]
pub struct Histogram {
    buckets: Box<[u64]>,
    count: u64,
    total: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram { buckets: vec![0; (STEPS * DOUBLINGS) as usize].into(), count: 0, total: 0, max: 0 }
    }
}

impl Histogram {
    /// Adds one duration.
    pub fn add(&mut self, ns: u64) {
        let last = self.buckets.len() - 1;
        self.buckets[bucket(ns).min(last)] += 1;
        self.count += 1;
        self.total = self.total.saturating_add(ns);
        self.max = self.max.max(ns);
    }

    /// The duration that `share` (0 to 1) of all do not exceed; 0 if there are none.
    pub fn quantile(&self, share: f64) -> u64 {
        let wanted = (self.count as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (number, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted.max(1) {
                return upper_end(number).min(self.max);
            }
        }
        self.max
    }

    /// As the closing report has it.
    pub fn pauses(&self, observed_ns: u64) -> Pauses {
        Pauses {
            p50_ns: self.quantile(0.5),
            p99_ns: self.quantile(0.99),
            max_ns: self.max,
            total_ns: self.total,
            observed_ns,
        }
    }
}

/// Values below [`STEPS`] have a bucket each; above, each doubling is cut into [`STEPS`].
fn bucket(ns: u64) -> usize {
    let Some(doubling) = ns.checked_ilog2().and_then(|log| log.checked_sub(STEPS.ilog2())) else {
        return ns as usize;
    };
    (doubling * STEPS) as usize + (ns >> doubling) as usize
}

/// The largest value of a bucket.
fn upper_end(bucket: usize) -> u64 {
    let steps = STEPS as usize;
    if bucket < 2 * steps {
        return bucket as u64;
    }
    let doubling = bucket / steps - 1;
    (((bucket - doubling * steps) as u64 + 1) << doubling) - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_empty_histogram_has_no_durations() {
        assert_eq!(Histogram::default().pauses(7), Pauses { observed_ns: 7, ..Pauses::default() });
    }

    #[test]
    fn a_duration_beyond_the_last_bucket_keeps_its_value_as_the_longest() {
        let mut histogram = Histogram::default();
        histogram.add(u64::MAX);
        assert_eq!(histogram.pauses(0).max_ns, u64::MAX);
    }

    proptest! {
        #[test]
        fn quantiles_are_those_of_the_sorted_values(mut values in proptest::collection::vec(0u64..1 << 38, 1..300)) {
            let mut histogram = Histogram::default();
            values.iter().for_each(|value| histogram.add(*value));
            values.sort_unstable();
            for share in [0.5, 0.99, 1.0] {
                let exact = values[((values.len() as f64 * share).ceil() as usize).max(1) - 1];
                let found = histogram.quantile(share);
                prop_assert!(found >= exact && found <= exact + exact / 16 + 1, "{found} {exact}");
            }
        }

        #[test]
        fn a_value_lies_in_its_bucket(value in 0u64..1 << 39) {
            let number = bucket(value);
            prop_assert!(value <= upper_end(number));
            prop_assert!(number == 0 || value > upper_end(number - 1));
        }
    }
}
