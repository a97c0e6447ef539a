//! How often a program is found in system calls, which decides how its CPU is taken at a tick.
//!
//! A holder with a timer of its own on that CPU interrupts whatever runs there. One that the sampling thread
//! calls is cheaper, by half where timers are a hypervisor's, but the kernel marks the running thread as to be
//! interrupted some 20 µs before it is: a system call that ends meanwhile is where it is found. So that way is for
//! programs that make next to none.

/// So many samples decide.
const LOOK: u32 = 128;

/// With so many of them in system calls, timers are used from then on.
const MANY: u32 = 2;

/// The longest time before the other way is tried again, in looks.
const LONGEST_STAY: u32 = 1 << 16;

/// Which way is used. It begins with timers.
#[derive(Debug)]
pub(super) struct Calls {
    by_timer: bool,
    /// Samples of this look, and those of them in system calls.
    samples: u32,
    in_calls: u32,
    /// Looks until the other way may be tried, and those after the next change.
    left: u32,
    stay: u32,
}

impl Calls {
    pub fn new() -> Self {
        Calls { by_timer: true, samples: 0, in_calls: 0, left: 0, stay: 8 }
    }

    /// Holders are to be woken by timers.
    pub fn by_timer(&self) -> bool {
        self.by_timer
    }

    /// A thread was found, in a system call or not.
    pub fn found(&mut self, in_call: bool) {
        self.samples += 1;
        self.in_calls += u32::from(in_call);
        if !self.by_timer && self.in_calls >= MANY {
            // Each change back takes longer, so that few samples of all are taken the other way.
            self.left = self.stay;
            self.stay = (self.stay * 2).min(LONGEST_STAY);
            self.look(true);
        } else if self.samples >= LOOK {
            let tries = self.by_timer && self.left == 0 && self.in_calls == 0;
            self.left = self.left.saturating_sub(1);
            self.look(self.by_timer && !tries);
        }
    }

    fn look(&mut self, by_timer: bool) {
        (self.by_timer, self.samples, self.in_calls) = (by_timer, 0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Samples taken by call among so many, where each `every`-th is in a system call.
    fn by_call(samples: u32, every: u32) -> u32 {
        let mut calls = Calls::new();
        let mut count = 0;
        for at in 1..=samples {
            count += u32::from(!calls.by_timer());
            calls.found(at % every == 0);
        }
        count
    }

    #[test]
    fn a_program_that_computes_is_taken_by_call_after_one_look() {
        assert_eq!(by_call(10_000, u32::MAX), 10_000 - LOOK);
        assert_eq!(by_call(10_000, 1000), 10_000 - LOOK);
    }

    #[test]
    fn one_with_many_calls_never_is() {
        assert_eq!(by_call(100_000, 100), 0);
    }

    #[test]
    fn one_that_makes_many_calls_at_times_is_seldom_taken_the_wrong_way() {
        let mut calls = Calls::new();
        let mut wrong = 0;
        for at in 0..100_000 {
            let in_call = at % 1000 >= 500 && at % 3 == 0;
            wrong += u32::from(in_call && !calls.by_timer());
            calls.found(in_call);
        }
        assert!(wrong < 30, "{wrong}");
    }
}
