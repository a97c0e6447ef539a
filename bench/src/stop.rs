//! Stops of one thread, with the steps that a session takes.

use flame_core::arch::Registers;
use flame_core::memory::Memory;
use flame_sys::memory::ProcessMemory;
use flame_sys::signals::Blocked;
use flame_sys::tracer::{self, Event, Seized, Why};
use std::time::{Duration, Instant};

/// Bytes of stack that the bare sampler reads.
pub const BARE_BYTES: usize = 4096;

/// How long a stop took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Took {
    /// From the request to the moment the thread runs again.
    pub whole: Duration,
    /// Of that, since the stop was reported.
    pub held: Duration,
}

/// Traces one thread, as long as it lives and only on the thread that made it.
pub struct Tracer {
    signals: Blocked,
    seized: Seized,
}

impl Tracer {
    /// Begins to trace.
    ///
    /// # Panics
    /// When that is not permitted.
    pub fn new(tid: u32) -> Self {
        let signals = Blocked::new();
        Tracer { signals, seized: Seized::seize(tid).expect("the thread can be traced") }
    }

    /// Interrupts the thread, waits for the stop, reads its registers, gives them to `read`, and resumes it.
    ///
    /// # Panics
    /// When the thread is gone.
    pub fn stop(&self, mut read: impl FnMut(&Registers)) -> Took {
        let begin = Instant::now();
        self.seized.interrupt().expect("the thread lives");
        loop {
            // Not for long: in a test the harness' own thread may take the signal.
            self.signals.wait(Duration::from_millis(1));
            let reported = Instant::now();
            match tracer::next_event() {
                Some(Event::Stopped(stop)) => {
                    let asked = stop.why() == Why::Interrupted;
                    if asked {
                        read(&stop.registers().expect("a stopped thread has registers"));
                    }
                    stop.resume();
                    if asked {
                        return Took { whole: begin.elapsed(), held: reported.elapsed() };
                    }
                }
                Some(Event::Ended(..)) => panic!("the target ended"),
                None => {}
            }
        }
    }

    /// The least that a sampler can do: one read of a piece of the stack.
    pub fn bare(&self, memory: &ProcessMemory) -> Took {
        self.stop(|registers| {
            let mut stack = [0; BARE_BYTES];
            let _ = memory.read(registers.sp(flame_sys::arch::HOST), &mut stack);
            std::hint::black_box(&stack);
        })
    }
}
