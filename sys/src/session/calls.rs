//! Whether a program makes so many system calls that its CPU is held at a tick.
//!
//! A holder with a timer of its own on that CPU interrupts whatever runs there. To do without costs the program half as
//! much where timers are a hypervisor's, but a thread that is asked runs on until an interrupt comes, some 20 µs later,
//! and a system call that ends meanwhile is where it is found. So a share of its samples is where it should not be, at
//! most all of those in system calls. As long as that is less than the share of its time that holding would take, it is
//! left alone.

/// What to hold the CPU takes, for each tick.
const HOLDING_NS: f64 = 30_000.0;

/// At low rates that is next to nothing: then more than this share of samples is too much.
const LEAST_SHARE: f64 = 0.01;

/// More than their share by so many is no chance.
const MARGIN: f64 = 4.0;

/// Samples that are looked at together.
const LOOK: u32 = 1024;

/// The longest time before it is left alone again, in looks.
const LONGEST_STAY: u32 = 1 << 13;

/// Whether system calls are made. Until some are seen, none are: of those that make many, five samples tell.
#[derive(Debug)]
pub(super) struct Calls {
    are_made: bool,
    /// Of samples, that may be found in system calls.
    share: f64,
    /// Samples of this look, and those of them in system calls.
    samples: u32,
    in_calls: u32,
    /// Looks until the CPU may be left alone, and those after the next change.
    left: u32,
    stay: u32,
}

impl Calls {
    /// `period_ns`: between ticks, in the mean.
    pub fn new(period_ns: u64) -> Self {
        let share = (HOLDING_NS / period_ns as f64).max(LEAST_SHARE);
        Calls { are_made: false, share, samples: 0, in_calls: 0, left: 0, stay: 1 }
    }

    /// CPUs have to be held.
    pub fn are_made(&self) -> bool {
        self.are_made
    }

    /// A thread was found, in a system call or asleep in one, or not.
    pub fn found(&mut self, in_call: bool) {
        self.samples += 1;
        self.in_calls += u32::from(in_call);
        let more = f64::from(self.in_calls) - f64::from(self.samples) * self.share;
        if !self.are_made && more > MARGIN {
            // Each change back takes longer, so that few samples of all are taken without.
            self.left = self.stay;
            self.stay = (self.stay * 2).min(LONGEST_STAY);
            self.look(true);
        } else if self.samples >= LOOK {
            self.left = self.left.saturating_sub(1);
            self.look(self.are_made && (self.left > 0 || more > 0.0));
        }
    }

    fn look(&mut self, are_made: bool) {
        (self.are_made, self.samples, self.in_calls) = (are_made, 0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD_NS: u64 = 1_000_000;

    /// Samples taken without a held CPU among so many, where each `every`-th is in a system call.
    fn left_alone(period_ns: u64, samples: u32, every: u32) -> u32 {
        let mut calls = Calls::new(period_ns);
        let mut count = 0;
        for at in 1..=samples {
            count += u32::from(!calls.are_made());
            calls.found(at % every == 0);
        }
        count
    }

    #[test]
    fn a_program_that_computes_is_left_alone() {
        for period_ns in [PERIOD_NS, 10 * PERIOD_NS] {
            assert_eq!(left_alone(period_ns, 10_000, u32::MAX), 10_000);
            assert_eq!(left_alone(period_ns, 10_000, 1000), 10_000);
        }
    }

    #[test]
    fn one_with_many_calls_is_until_five_were_seen() {
        assert_eq!(left_alone(PERIOD_NS, 100_000, 1), 5);
        assert_eq!(left_alone(PERIOD_NS, 100_000, 3), 15);
        assert_eq!(left_alone(10 * PERIOD_NS, 100_000, 3), 15);
    }

    #[test]
    fn one_with_fewer_calls_is_as_long_as_holding_would_take_more() {
        assert_eq!(left_alone(PERIOD_NS, 100_000, 40), 100_000);
        assert!(left_alone(10 * PERIOD_NS, 100_000, 40) < 300);
        assert!(left_alone(PERIOD_NS, 100_000, 20) < 300);
    }

    #[test]
    fn one_that_makes_many_calls_at_times_is_seldom_taken_the_wrong_way() {
        let mut calls = Calls::new(PERIOD_NS);
        let mut wrong = 0;
        for at in 0..100_000 {
            let in_call = at % 1000 >= 500 && at % 3 == 0;
            wrong += u32::from(in_call && !calls.are_made());
            calls.found(in_call);
        }
        assert!(wrong < 30, "{wrong}");
    }

    #[test]
    fn one_that_made_many_calls_and_makes_none_is_left_alone_again() {
        let mut calls = Calls::new(PERIOD_NS);
        (0..100).for_each(|_| calls.found(true));
        assert!(calls.are_made());
        (0..2 * LOOK).for_each(|_| calls.found(false));
        assert!(!calls.are_made());
    }
}
