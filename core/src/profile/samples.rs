//! Every sample with its time and thread, in bounded memory.

use super::tree::NodeId;
use alloc::vec::Vec;

/// What V8 was doing on the thread, by its VM state word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Activity {
    /// JavaScript, builtins included.
    JavaScript,
    /// Garbage collection.
    Gc,
    /// Parsing and compiling.
    Compile,
    /// Native code.
    Native,
    /// Waiting, in `--wall` alone.
    Waiting,
}

impl Activity {
    /// All of them, each at its number.
    pub const ALL: [Activity; 5] =
        [Activity::JavaScript, Activity::Gc, Activity::Compile, Activity::Native, Activity::Waiting];
}

/// A thread's number in its profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ThreadId(pub u16);

/// One sample, or several that were merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Microseconds since the run's start.
    pub at_us: u64,
    /// The path it found.
    pub node: NodeId,
    /// Its thread.
    pub thread: ThreadId,
    /// What V8 was doing.
    pub activity: Activity,
    /// Samples it stands for: 1 until the log was thinned out.
    pub weight: u32,
}

#[derive(Clone, Copy, Debug)]
struct Packed {
    at_us: u64,
    node: u32,
    /// Thread in the low 12 bits, activity in the high 4.
    origin: u16,
}

impl Packed {
    fn sample(&self, weight: u32) -> Sample {
        Sample {
            at_us: self.at_us,
            node: NodeId(self.node),
            thread: ThreadId(self.origin & 0xfff),
            activity: Activity::ALL[usize::from(self.origin >> 12).min(Activity::ALL.len() - 1)],
            weight,
        }
    }

    fn set_activity(&mut self, activity: Activity) {
        self.origin = self.origin & 0xfff | (activity as u16) << 12;
    }
}

/// Samples in the order of their taking. When it is full, every second one is dropped and the
/// others count double, so that the whole run stays covered.
#[derive(Clone, Debug)]
pub struct SampleLog {
    samples: Vec<Packed>,
    limit: usize,
    /// One of this many samples is kept.
    stride: u32,
    skipped: u32,
}

impl SampleLog {
    /// A log of at most `limit` samples, at least 2.
    pub fn new(limit: usize) -> Self {
        let limit = limit.max(2);
        SampleLog { samples: Vec::with_capacity(limit), limit, stride: 1, skipped: 0 }
    }

    /// Adds a sample.
    pub fn push(&mut self, at_us: u64, node: NodeId, thread: ThreadId, activity: Activity) {
        self.skipped += 1;
        if self.skipped < self.stride {
            return;
        }
        self.skipped = 0;
        if self.samples.len() == self.limit {
            self.thin_out();
        }
        let mut packed = Packed { at_us, node: node.0, origin: thread.0 & 0xfff };
        packed.set_activity(activity);
        self.samples.push(packed);
    }

    /// The samples kept.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Sample> + '_ {
        self.samples.iter().map(|packed| packed.sample(self.stride))
    }

    /// Takes the samples of another log, of which one of `stride` was kept. They come behind those here until
    /// [`sort`](Self::sort).
    pub fn absorb(&mut self, samples: impl Iterator<Item = Sample>, stride: u32) {
        while self.stride < stride {
            self.thin_out();
        }
        let mut passed = 0;
        for sample in samples {
            passed += 1;
            if passed < self.stride / stride.max(1) {
                continue;
            }
            passed = 0;
            if self.samples.len() == self.limit {
                self.thin_out();
            }
            let mut packed =
                Packed { at_us: sample.at_us, node: sample.node.0, origin: sample.thread.0 & 0xfff };
            packed.set_activity(sample.activity);
            self.samples.push(packed);
        }
    }

    /// Brings all samples into the order of their taking.
    pub fn sort(&mut self) {
        self.samples.sort_by_key(|packed| packed.at_us);
    }

    /// Drops every second sample.
    fn thin_out(&mut self) {
        let mut number = 0;
        self.samples.retain(|_| {
            number += 1;
            number % 2 == 0
        });
        self.stride = self.stride.saturating_mul(2);
    }

    /// Gives each sample the activity that is told for it.
    pub fn classify(&mut self, mut activity: impl FnMut(Sample) -> Activity) {
        let stride = self.stride;
        for packed in &mut self.samples {
            packed.set_activity(activity(packed.sample(stride)));
        }
    }

    /// The samples kept, which are forgotten.
    pub fn take(&mut self) -> Vec<Sample> {
        let samples = self.iter().collect();
        self.samples.clear();
        (self.stride, self.skipped) = (1, 0);
        samples
    }

    /// One of how many samples is kept: 1 until the log was full.
    pub fn stride(&self) -> u32 {
        self.stride
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(limit: usize, count: u64) -> SampleLog {
        let mut log = SampleLog::new(limit);
        for at in 0..count {
            log.push(at, NodeId(1), ThreadId(3), Activity::Gc);
        }
        log
    }

    #[test]
    fn what_goes_in_comes_out() {
        let sample = filled(4, 1).iter().next().unwrap();
        let expected =
            Sample { at_us: 0, node: NodeId(1), thread: ThreadId(3), activity: Activity::Gc, weight: 1 };
        assert_eq!(sample, expected);
    }

    #[test]
    fn logs_of_different_resolution_become_one_at_the_lower() {
        let (fine, coarse) = (filled(64, 40), filled(64, 256));
        for (first, second) in [(&fine, &coarse), (&coarse, &fine)] {
            let mut log = SampleLog::new(64);
            log.absorb(first.iter(), first.stride());
            log.absorb(second.iter(), second.stride());
            log.sort();
            assert!(log.iter().len() <= 64 && log.stride() >= coarse.stride());
            let weight: u32 = log.iter().map(|sample| sample.weight).sum();
            assert!((270..=320).contains(&weight), "{weight}");
            assert!(log.iter().map(|sample| sample.at_us).is_sorted());
        }
    }

    #[test]
    fn a_full_log_keeps_the_whole_span_at_lower_resolution() {
        let log = filled(64, 1000);
        assert!(log.iter().len() <= 64);
        assert_eq!(log.stride(), 16);
        let weight: u32 = log.iter().map(|sample| sample.weight).sum();
        assert!((984..=1016).contains(&weight), "{weight}");
        let times: Vec<u64> = log.iter().map(|sample| sample.at_us).collect();
        assert!(times[0] < 32 && times[times.len() - 1] > 968, "{times:?}");
        assert!(times.is_sorted());
    }
}
