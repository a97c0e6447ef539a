//! A sample's reads of the target: one in the stop once caches are warm, and one after it.

use bench::live::{Live, THREAD};
use bench::recording::WARM;
use bench::stop::Tracer;
use std::time::Duration;

#[test]
fn a_warm_sample_takes_one_read_in_the_stop_and_one_after_it() {
    let live = Live::start("deep.js", &["30".to_owned()]);
    let memory = live.memory();
    let tracer = Tracer::new(live.pid());
    let mut sampler = live.sampler();
    let (mut held, mut released) = (Vec::new(), Vec::new());
    for at in 0..200 + u64::from(WARM) {
        std::thread::sleep(Duration::from_micros(500));
        let before = memory.calls();
        tracer.stop(|registers| {
            sampler.held(THREAD, registers, &memory);
        });
        let stopped = memory.calls();
        sampler.released(THREAD, at, &memory);
        if at >= u64::from(WARM) {
            held.push(stopped - before);
            released.push(memory.calls() - stopped);
        }
    }
    held.sort_unstable();
    released.sort_unstable();
    let median = (held[held.len() / 2], released[released.len() / 2]);
    println!("reads in the stop {}, after it {}", median.0, median.1);
    assert_eq!(median.0, 1, "{held:?}");
    assert_eq!(median.1, 1, "{released:?}");
}
