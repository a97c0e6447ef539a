//! How often a program is found in system calls, which decides whether its CPU is held at a tick.
//!
//! A holder with a timer of its own on that CPU interrupts whatever runs there. To do without costs the program half as
//! much where timers are a hypervisor's, but a thread that is asked runs on until an interrupt comes, some 20 µs later,
//! and a system call that ends meanwhile is where it is found. So that way is for programs that make next to none.

/// So many samples decide.
const LOOK: u32 = 128;

/// With so many of them in system calls, the CPU is held from then on.
const MANY: u32 = 2;

/// The longest time before it is left alone again, in looks.
const LONGEST_STAY: u32 = 1 << 16;

/// Whether system calls are made. Until some are seen, none are: of those that make many, two samples tell.
#[derive(Debug)]
pub(super) struct Calls {
    are_made: bool,
    /// Samples of this look, and those of them in system calls.
    samples: u32,
    in_calls: u32,
    /// Looks until the CPU may be left alone, and those after the next change.
    left: u32,
    stay: u32,
}

impl Calls {
    pub fn new() -> Self {
        Calls { are_made: false, samples: 0, in_calls: 0, left: 0, stay: 8 }
    }

    /// CPUs have to be held.
    pub fn are_made(&self) -> bool {
        self.are_made
    }

    /// A thread was found, in a system call or asleep in one, or not.
    pub fn found(&mut self, in_call: bool) {
        self.samples += 1;
        self.in_calls += u32::from(in_call);
        if !self.are_made && self.in_calls >= MANY {
            // Each change back takes longer, so that few samples of all are taken without.
            self.left = self.stay;
            self.stay = (self.stay * 2).min(LONGEST_STAY);
            self.look(true);
        } else if self.samples >= LOOK {
            let tries = self.are_made && self.left == 0 && self.in_calls == 0;
            self.left = self.left.saturating_sub(1);
            self.look(self.are_made && !tries);
        }
    }

    fn look(&mut self, are_made: bool) {
        (self.are_made, self.samples, self.in_calls) = (are_made, 0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Samples taken without a held CPU among so many, where each `every`-th is in a system call.
    fn left_alone(samples: u32, every: u32) -> u32 {
        let mut calls = Calls::new();
        let mut count = 0;
        for at in 1..=samples {
            count += u32::from(!calls.are_made());
            calls.found(at % every == 0);
        }
        count
    }

    #[test]
    fn a_program_that_computes_is_left_alone() {
        assert_eq!(left_alone(10_000, u32::MAX), 10_000);
        assert_eq!(left_alone(10_000, 1000), 10_000);
    }

    #[test]
    fn one_with_many_calls_is_until_two_were_seen() {
        assert_eq!(left_alone(100_000, 3), 6);
        assert_eq!(left_alone(100_000, 50), 100);
    }

    #[test]
    fn one_that_makes_many_calls_at_times_is_seldom_taken_the_wrong_way() {
        let mut calls = Calls::new();
        let mut wrong = 0;
        for at in 0..100_000 {
            let in_call = at % 1000 >= 500 && at % 3 == 0;
            wrong += u32::from(in_call && !calls.are_made());
            calls.found(in_call);
        }
        assert!(wrong < 30, "{wrong}");
    }
}
