//! The formats of stacks, held against a model of stackcollapse.pl; with `FLAMEGRAPH` set to a
//! directory that holds it, against the script itself.

use super::*;
use crate::fixture::Build;
use crate::testing::rendered;
use flame_core::profile::Kind;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::process::{Command, Stdio};

/// What FlameGraph's stackcollapse.pl makes of a text, rule by rule.
fn collapse(raw: &str) -> BTreeMap<String, u64> {
    let blank = |byte: char| matches!(byte, ' ' | '\t'..='\r');
    let mut stacks = BTreeMap::new();
    let mut stack: Vec<String> = Vec::new();
    for line in raw.lines().skip(3) {
        let text = line.trim_start_matches(blank);
        if text.is_empty() {
            continue;
        }
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            *stacks.entry(stack.join(";")).or_default() += text.parse::<u64>().expect("a count");
            stack.clear();
            continue;
        }
        let mut frame = text;
        if let Some((before, _)) = frame.rsplit_once('+') {
            frame = before;
        }
        let cut =
            frame.find("::").and_then(|at| frame[at + 2..].rfind(['(', '<']).map(|bracket| at + 2 + bracket));
        frame = &frame[..cut.unwrap_or(frame.len())];
        let frame = if frame.is_empty() { "-" } else { frame };
        let mut parts: Vec<&str> = frame.split("->").collect();
        while parts.last().is_some_and(|part| part.is_empty()) {
            parts.pop();
        }
        let inlined = parts.iter().enumerate().map(|(number, part)| {
            let part = part.replace(';', ":");
            let part = part.strip_prefix('L').unwrap_or(&part);
            format!("{part}{}", if number > 0 { "_[i]" } else { "" })
        });
        stack.splice(0..0, inlined);
    }
    stacks
}

/// What the real script makes of a text, where `FLAMEGRAPH` names the directory that holds it.
fn really_collapse(raw: &str) -> Option<BTreeMap<String, u64>> {
    let script = std::path::Path::new(&std::env::var_os("FLAMEGRAPH")?).join("stackcollapse.pl");
    let perl = Command::new("perl").arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut perl = perl.expect("perl");
    perl.stdin.take().expect("a pipe").write_all(raw.as_bytes()).expect("the script reads");
    let output = perl.wait_with_output().expect("the script's output");
    assert!(output.status.success());
    Some(read_folded(&String::from_utf8(output.stdout).expect("UTF-8")))
}

fn read_folded(folded: &str) -> BTreeMap<String, u64> {
    let mut stacks = BTreeMap::new();
    for line in folded.lines() {
        let (stack, count) = line.rsplit_once(' ').expect("a stack and its count");
        *stacks.entry(stack.to_string()).or_default() += count.parse::<u64>().expect("a count");
    }
    stacks
}

#[test]
fn raw_has_three_lines_of_header_and_base_names() {
    let mut build = Build::default();
    let main = build.frame(Kind::Optimized, "main", "/app/a.js");
    let memcpy = build.frame(Kind::Libc, "memcpy", "/lib/libc.so.6");
    build.stack(&[main, memcpy]);
    build.stack(&[main, memcpy]);
    build.stack(&[main]);
    let text = rendered(&build.finish(), |profile, out| raw(profile, &View::default(), false, out));
    let body: Vec<&str> = text.lines().skip(3).collect();
    assert_eq!(body, ["main:a.js:1", "1", "", "memcpy:[native]", "main:a.js:1", "2", ""]);
}

#[test]
fn glue_is_shown_in_fullraw_alone() {
    let mut build = Build::default();
    let glue = build.frame(Kind::Glue, "JSEntry", "");
    let main = build.frame(Kind::Optimized, "main", "/app/a.js");
    build.stack(&[glue, main]);
    let profile = build.finish();
    let mut full = Vec::new();
    raw(&profile, &View::default(), true, &mut full).unwrap();
    let mut base = Vec::new();
    raw(&profile, &View::default(), false, &mut base).unwrap();
    assert!(String::from_utf8(full).unwrap().ends_with("main:/app/a.js:1\nJSEntry:[builtin]\n1\n\n"));
    assert!(!String::from_utf8(base).unwrap().contains("JSEntry"));
}

#[test]
fn folded_can_carry_flamegraphs_annotations() {
    let mut build = Build::default();
    let stack = [
        build.frame(Kind::Native, "uv_run", ""),
        build.frame(Kind::Interpreted, "main", "/a.js"),
        build.frame(Kind::Inlined, "add", "/a.js"),
        build.frame(Kind::Libc, "read", ""),
    ];
    build.stack(&stack);
    let view = View { annotate: true, ..View::default() };
    let text = rendered(&build.finish(), |profile, out| folded(profile, &view, out));
    assert_eq!(text, "uv_run:[native];main:/a.js:1_[j];add:/a.js:1_[i];read:[native]_[k] 1\n");
}

#[test]
fn brackets_in_names_of_cpp_functions_survive_the_script() {
    let mut build = Build::default();
    let stack = [
        "node::(anonymous namespace)::PlatformWorkerThread",
        "v8::internal::BodyVisitor<v8::internal::Map>::VisitPointers",
        "std::function<void ()>::operator()",
    ]
    .map(|name| build.frame(Kind::Native, name, "/usr/bin/node"));
    build.stack(&stack);
    let profile = build.finish();
    let stacks = collapse(&rendered(&profile, |profile, out| raw(profile, &View::default(), true, out)));
    let expected = "node::(anonymous namespace)::PlatformWorkerThread:[native];\
        v8::internal::BodyVisitor<v8::internal::Map>::VisitPointers:[native];\
        std::function<void ()>::operator():[native]";
    assert_eq!(stacks, BTreeMap::from([(expected.to_string(), 1)]));
    assert_eq!(
        stacks,
        read_folded(&rendered(&profile, |profile, out| folded(profile, &View::default(), out)))
    );
}

#[test]
fn a_stack_without_shown_frames_is_native_code() {
    let mut build = Build::default();
    let native = build.frame(Kind::Native, "epoll_wait", "");
    build.stack(&[native]);
    let view = View { native: false, ..View::default() };
    let profile = build.finish();
    let mut out = Vec::new();
    folded(&profile, &view, &mut out).unwrap();
    assert_eq!(String::from_utf8_lossy(&out), "(native) 1\n");
    let mut out = Vec::new();
    raw(&profile, &view, false, &mut out).unwrap();
    assert_eq!(collapse(&String::from_utf8_lossy(&out)), BTreeMap::from([("(native)".to_string(), 1)]));
}

#[test]
fn the_header_tells_nodes_version_or_else_v8s() {
    let head = |node: &str| {
        let mut build = Build::default();
        (build.meta.node, build.meta.v8) = (node.into(), "3.14.5.11".into());
        let text = rendered(&build.finish(), |profile, out| raw(profile, &View::default(), false, out));
        text.lines().next().unwrap().to_owned()
    };
    assert_eq!(head("20.20.2"), "# node-flame: pid 100 (node app.js), Node 20.20.2, 100 Hz");
    assert_eq!(head(""), "# node-flame: pid 100 (node app.js), V8 3.14.5.11, 100 Hz");
}

/// Names made of what the script has rules for, and of anything.
fn name() -> impl Strategy<Value = String> {
    let pieces = prop_oneof![
        Just("::"),
        Just("->"),
        Just("+"),
        Just("L"),
        Just("("),
        Just("<"),
        Just(";"),
        Just(" "),
        Just("12"),
        Just("\n"),
        Just("\t"),
        Just("-"),
        Just(">"),
        Just(":"),
        Just("a"),
        Just("é"),
        Just("\u{2028}"),
        Just("/"),
    ];
    prop_oneof![prop::collection::vec(pieces, 0..8).prop_map(|pieces| pieces.concat()), any::<String>(),]
}

proptest! {
    // Each case makes the profile's pools anew.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_label_survives_stackcollapse_whole_and_equals_folded(
        stacks in prop::collection::vec(prop::collection::vec((name(), name(), 0..6usize), 0..6), 1..12),
    ) {
        let kinds =
            [Kind::Optimized, Kind::Builtin, Kind::Wasm, Kind::Thread, Kind::RegExp, Kind::Native];
        let mut build = Build::default();
        for stack in &stacks {
            let frames: Vec<_> =
                stack.iter().map(|(name, file, kind)| build.frame(kinds[*kind], name, file)).collect();
            build.stack(&frames);
        }
        let profile = build.finish();
        let (mut left, mut right) = (Vec::new(), Vec::new());
        raw(&profile, &View::default(), true, &mut left).unwrap();
        folded(&profile, &View::default(), &mut right).unwrap();
        let raw = String::from_utf8(left).unwrap();
        let folded = read_folded(&String::from_utf8(right).unwrap());
        prop_assert_eq!(folded.values().sum::<u64>(), stacks.len() as u64);
        prop_assert_eq!(&collapse(&raw), &folded);
        if let Some(collapsed) = really_collapse(&raw) {
            prop_assert_eq!(collapsed, folded);
        }
    }
}
