//! A sample's reads of the target: one in the stop once caches are warm, and one after it where the last was a while
//! ago.

use bench::live::{Live, THREAD};
use bench::recording::{APART_US, WARM};
use bench::stop::Tracer;
use std::time::Duration;

/// Reads in each of 200 stops and after it, once caches are warm. `apart_us`: between two stops, as the sampler is
/// told.
fn reads(apart_us: u64) -> (Vec<u64>, Vec<u64>) {
    let live = Live::start("deep.js", &["30".to_owned()]);
    let memory = live.memory();
    let tracer = Tracer::new(live.pid());
    let mut sampler = live.sampler();
    let (mut held, mut released) = (Vec::new(), Vec::new());
    for stop in 0..200 + u64::from(WARM) {
        std::thread::sleep(Duration::from_micros(500));
        let before = memory.calls();
        tracer.stop(|registers| {
            sampler.held(THREAD, registers, &memory);
        });
        let stopped = memory.calls();
        sampler.released(THREAD, stop * apart_us, &memory);
        if stop >= u64::from(WARM) {
            held.push(stopped - before);
            released.push(memory.calls() - stopped);
        }
    }
    held.sort_unstable();
    released.sort_unstable();
    (held, released)
}

#[test]
fn a_warm_sample_takes_one_read_in_the_stop_and_one_after_it() {
    let (held, released) = reads(APART_US);
    let median = (held[held.len() / 2], released[released.len() / 2]);
    println!("reads in the stop {}, after it {}", median.0, median.1);
    assert_eq!(median.0, 1, "{held:?}");
    assert_eq!(median.1, 1, "{released:?}");
}

#[test]
fn at_1_khz_every_other_sample_takes_none_after_it() {
    let (_, released) = reads(1000);
    let without = released.iter().filter(|reads| **reads == 0).count();
    println!("{without} of {} samples took no read after the stop", released.len());
    assert!(without * 3 >= released.len(), "{released:?}");
}
