//! What each stop of a session costs the target, and what it costs the sampler.

use flame_core::arch::Registers;
use flame_sys::memory::ProcessMemory;
use flame_sys::session::{Control, Flow, ThreadKey, Verdict, Visitor};
use std::time::{Duration, Instant};

use crate::pair::Times;

/// Room for this many stops is there before the first one.
const STOPS: usize = 1 << 20;

/// A visitor that is watched.
pub struct Meter<V> {
    /// What is watched.
    pub visitor: V,
    from: Instant,
    is_sample: bool,
    /// Nanoseconds, of each sample.
    held: Vec<u32>,
    marks: Vec<Mark>,
}

/// What there was at one time.
#[derive(Clone, Copy, Debug)]
struct Mark {
    at: Instant,
    cpu: Duration,
    samples: usize,
}

/// What samples cost.
#[derive(Clone, Debug)]
pub struct Cost {
    /// How long each thread stood: from the moment that its registers were known until it ran again.
    pub held: Times,
    /// CPU time of the sampling thread for each sample, ticks without one included.
    pub cpu: Duration,
    /// Share of one CPU that this is.
    pub share: f64,
}

impl<V> Meter<V> {
    /// Watches a visitor.
    pub fn new(visitor: V) -> Self {
        let from = Instant::now();
        Meter { visitor, from, is_sample: false, held: Vec::with_capacity(STOPS), marks: Vec::new() }
    }

    /// The cost in a part of all that was watched, 0 being its start and 1 its end. `None` if it holds no
    /// sample.
    pub fn cost(&self, from: f64, until: f64) -> Option<Cost> {
        let mark = |share: f64| {
            let last = self.marks.len().checked_sub(1)?;
            self.marks.get((share * last as f64).round() as usize)
        };
        let (from, until) = (mark(from)?, mark(until)?);
        let held = self.held.get(from.samples..until.samples).filter(|held| !held.is_empty())?;
        let mut times = Times::default();
        held.iter().for_each(|ns| times.push(Duration::from_nanos((*ns).into())));
        let cpu = until.cpu.saturating_sub(from.cpu);
        let share = cpu.as_secs_f64() / (until.at - from.at).as_secs_f64();
        Some(Cost { held: times, cpu: cpu.div_f64(held.len() as f64), share })
    }

    fn mark(&mut self) {
        self.marks.push(Mark { at: Instant::now(), cpu: own_cpu(), samples: self.held.len() });
    }
}

/// CPU time that this thread has used, a stretch since it last slept aside.
fn own_cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(text.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0))
}

impl<V: Visitor> Visitor for Meter<V> {
    fn started(&mut self, thread: ThreadKey) -> bool {
        self.visitor.started(thread)
    }

    fn held(&mut self, thread: ThreadKey, registers: &Registers, memory: &ProcessMemory) -> Verdict {
        self.from = Instant::now();
        let verdict = self.visitor.held(thread, registers, memory);
        self.is_sample = verdict == Verdict::Sampled;
        verdict
    }

    fn released(&mut self, thread: ThreadKey, at_us: u64) {
        let held = self.from.elapsed();
        if self.is_sample {
            self.held.push(held.as_nanos().min(u32::MAX.into()) as u32);
        }
        self.visitor.released(thread, at_us);
    }

    fn tick(&mut self, control: &mut Control<'_>) -> Flow {
        self.mark();
        self.visitor.tick(control)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cost_is_that_of_its_part() {
        let mut meter = Meter::new(());
        assert!(meter.cost(0.0, 1.0).is_none());
        let at = Instant::now();
        for tenth in 0..=10 {
            meter.marks.push(Mark {
                at: at + Duration::from_secs(tenth),
                cpu: Duration::from_millis(tenth * 20),
                samples: meter.held.len(),
            });
            meter.held.extend([tenth as u32 * 1000; 10]);
        }
        let whole = meter.cost(0.0, 1.0).unwrap();
        assert_eq!((whole.held.len(), whole.cpu), (100, Duration::from_millis(2)));
        assert!((whole.share - 0.02).abs() < 1e-9);
        let last = meter.cost(0.9, 1.0).unwrap();
        assert_eq!(last.held.quantile(0.5), Duration::from_micros(9));
    }
}
