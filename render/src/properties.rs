//! What holds of every format, whatever the profile.

use crate::fixture::Build;
use crate::testing::rendered;
use crate::{Format, View, pprof, write};
use flame_core::profile::{Activity, Frame, Kind, Profile, ThreadId};
use proptest::prelude::*;
use serde_json::Value;

const KINDS: [Kind; 18] = [
    Kind::Interpreted,
    Kind::Baseline,
    Kind::Maglev,
    Kind::Optimized,
    Kind::Inlined,
    Kind::JavaScript,
    Kind::Builtin,
    Kind::RegExp,
    Kind::Wasm,
    Kind::Native,
    Kind::V8,
    Kind::Gc,
    Kind::Compiler,
    Kind::Libc,
    Kind::Glue,
    Kind::Elided,
    Kind::Thread,
    Kind::Process,
];

/// A frame's kind, name, file, lines and offset.
type Made = (usize, String, String, u32, u32, u64);

fn name() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[a-c]{1,2}", any::<String>(), Just("</script>".to_string())]
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 1..100u64, any::<u64>()]
}

fn line() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), 1..100u32, any::<u32>()]
}

fn frame() -> impl Strategy<Value = Made> {
    (0..KINDS.len(), name(), name(), line(), line(), number())
}

/// What a profile is made of: few distinct frames, so that stacks share paths; any times and figures.
#[derive(Clone, Debug)]
struct Case {
    frames: Vec<Made>,
    /// Frames, thread, activity, and microseconds since the one before.
    stacks: Vec<(Vec<prop::sample::Index>, u16, usize, u64)>,
    command: String,
    numbers: [u64; 5],
    rate_hz: u32,
}

fn case() -> impl Strategy<Value = Case> {
    let frames = prop::collection::vec(frame(), 1..12);
    let stack = prop::collection::vec(any::<prop::sample::Index>(), 0..9);
    let stacks = prop::collection::vec((stack, 0..3u16, 0..5usize, 0..50_000u64), 0..40);
    (frames, stacks, name(), prop::array::uniform5(number()), line()).prop_map(
        |(frames, stacks, command, numbers, rate_hz)| Case { frames, stacks, command, numbers, rate_hz },
    )
}

fn made(case: &Case) -> Profile {
    let mut build = Build::default();
    build.thread(7, "worker 1");
    build.thread(8, "</script>");
    build.meta.command = case.command.clone();
    build.meta.rate_hz = case.rate_hz;
    let meta = (&mut build.meta, &mut build.receipt);
    [
        meta.0.started,
        meta.0.duration_us,
        meta.1.counts.wanted,
        meta.1.pauses.observed_ns,
        meta.1.pauses.total_ns,
    ] = case.numbers;
    let frames: Vec<Frame> = case
        .frames
        .iter()
        .map(|(kind, name, file, line, executing, offset)| Frame {
            line: *line,
            executing: *executing,
            offset: *offset,
            ..build.frame(KINDS[*kind], name, file)
        })
        .collect();
    for (stack, thread, activity, later) in &case.stacks {
        let stack: Vec<Frame> = stack.iter().map(|index| *index.get(&frames)).collect();
        build.now += later;
        build.stack_of(ThreadId(*thread), Activity::ALL[*activity], &stack);
    }
    build.finish()
}

fn text(profile: &Profile, format: Format, view: &View) -> String {
    rendered(profile, |profile, out| write(format, profile, view, out))
}

fn json(profile: &Profile, format: Format, view: &View) -> Value {
    serde_json::from_str(&text(profile, format, view)).expect("valid JSON")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Samples that a file holds, counted in the way of each format.
fn counted(profile: &Profile, format: Format, view: &View) -> u64 {
    match format {
        Format::Text => {
            let text = text(profile, format, view);
            let first = text.lines().next().and_then(|line| line.strip_prefix("Total samples: "));
            first.expect("the first line").parse().expect("a count")
        }
        Format::Raw | Format::FullRaw => {
            text(profile, format, view).lines().skip(3).filter_map(|line| line.parse::<u64>().ok()).sum()
        }
        Format::Folded => {
            let text = text(profile, format, view);
            let count = |line: &str| {
                let (stack, count) = line.rsplit_once(' ')?;
                count.parse::<u64>().ok().filter(|_| !stack.is_empty())
            };
            text.lines().map(|line| count(line).expect("a count")).sum()
        }
        Format::CpuProfile => {
            let json = json(profile, format, view);
            let busy =
                list(&json["nodes"]).iter().filter(|node| node["callFrame"]["functionName"] != "(idle)");
            busy.map(|node| node["hitCount"].as_u64().expect("hits")).sum()
        }
        Format::Speedscope => {
            let json = json(profile, format, view);
            let profiles = list(&json["profiles"]).iter();
            let lengths = profiles.map(|profile| {
                assert_eq!(list(&profile["samples"]).len(), list(&profile["weights"]).len());
                // The others are gaps.
                list(&profile["samples"]).iter().filter(|stack| !list(stack).is_empty()).count() as u64
            });
            lengths.sum::<u64>()
        }
        Format::Pprof => pprof::tests::samples(profile, view).iter().map(|sample| sample.1).sum(),
        Format::Flame => {
            let page = text(profile, format, view);
            let meta = page.split("id=\"meta\">").nth(1).and_then(|rest| rest.split("</script>").next());
            let _: Value = serde_json::from_str(meta.expect("the page's head")).expect("valid JSON");
            assert_eq!(page.matches("</script").count(), page.matches("<script").count());
            profile.total()
        }
    }
}

proptest! {
    // Each case makes the profile's pools anew.
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_format_is_whole_and_counts_every_sample(case in case(), lines: bool, native: bool) {
        let profile = made(&case);
        let view = View { lines, native, annotate: false };
        for format in Format::ALL {
            prop_assert_eq!(counted(&profile, format, &view), case.stacks.len() as u64, "{}", format);
        }
    }
}
