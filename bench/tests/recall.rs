//! A sampler that goes by the last stop finds what one finds that looks at every frame anew.

use bench::live::{Live, THREAD};
use bench::stop::Tracer;
use flame_core::maps::FilePlace;
use flame_core::profile::{Kind, Meta, Profile, Receipt};
use flame_core::sample::resolve::Symbols;
use std::collections::BTreeMap;
use std::time::Duration;

const STOPS: u64 = 200;

/// Names are the places themselves: which they are is what is compared.
struct Places;

impl Symbols for Places {
    fn name(&mut self, place: FilePlace, into: &mut String) -> Kind {
        into.push_str(&format!("{place:?}"));
        Kind::Native
    }
    fn path(&mut self, _: FilePlace, _: &mut String) {}
}

/// The stack of each sample, by its time.
fn stacks(profile: &Profile) -> BTreeMap<u64, Vec<String>> {
    let stack = |mut at| {
        let mut labels = Vec::new();
        loop {
            let node = profile.tree().node(at);
            let Some(frame) = node.frame.map(|id| profile.frame(id)) else { return labels };
            let line = (frame.line, frame.executing, frame.offset);
            labels.push(format!("{}:{line:?}:{:?}", profile.text(frame.name), frame.kind));
            at = node.parent;
        }
    };
    profile.samples().iter().map(|sample| (sample.at_us, stack(sample.node))).collect()
}

#[test]
fn what_is_recalled_is_what_would_be_found() {
    for program in ["recursion.js", "callbacks.js", "garbage.js", "async.js", "exceptions.js", "native.js"] {
        let live = Live::start(tests::workload::folder().join(program), &[]);
        let memory = live.memory();
        let tracer = Tracer::new(live.pid());
        let (mut recalling, mut anew) = (live.sampler(), live.sampler());
        let mut recalled = 0;
        for at in (0..STOPS).map(|stop| stop * 1000) {
            std::thread::sleep(Duration::from_micros(700));
            tracer.stop(|registers| {
                recalling.held(THREAD, registers, &memory);
                recalled += recalling.recalled();
                recalling.released(THREAD, at, &memory);
                // New mappings have it forget what stood where.
                anew.update_maps(live.maps_text());
                anew.held(THREAD, registers, &memory);
                assert_eq!(anew.recalled(), 0);
                anew.released(THREAD, at, &memory);
            });
        }
        let finish = |sampler: flame_core::sample::sampler::Sampler<'static>| {
            stacks(&sampler.finish(Meta::default(), Receipt::default(), &mut Places))
        };
        let (recalling, anew) = (finish(recalling), finish(anew));
        assert_eq!(recalling.len() as u64, STOPS, "{program}");
        for (at, stack) in &recalling {
            assert_eq!(Some(stack), anew.get(at), "{program}, sample {at}");
        }
        let frames: usize = recalling.values().map(Vec::len).sum();
        println!("{program}: {recalled} of {frames} frames recalled");
        assert!(recalled * 4 > frames, "{program}: {recalled} of {frames} frames");
    }
}
