//! The profile read back by a small reader of the wire format.

use super::*;
use crate::fixture::Build;
use flame_core::profile::{Activity, Kind, ThreadId};

/// Fields of a message: number, and a value or bytes.
fn fields(mut bytes: &[u8]) -> Vec<(u64, u64, &[u8])> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let (byte, rest) = bytes.split_first().expect("a whole number");
            *bytes = rest;
            value |= u64::from(byte & 127) << shift;
            if byte & 128 == 0 {
                break;
            }
        }
        value
    }
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let value = varint(&mut bytes);
        let (content, rest) = bytes.split_at(if key & 7 == 2 { value as usize } else { 0 });
        bytes = rest;
        found.push((key >> 3, value, content));
    }
    found
}

fn unpacked(bytes: &[u8]) -> Vec<u64> {
    // Each number of a packed list, read as if it were a field's value.
    let mut list = Vec::new();
    let mut value = 0;
    let mut shift = 0;
    for byte in bytes {
        value |= u64::from(byte & 127) << shift;
        shift += 7;
        if byte & 128 == 0 {
            list.push(std::mem::take(&mut value));
            shift = 0;
        }
    }
    list
}

/// Names of each sample's functions, leaf first, its count and its thread's id.
pub fn samples(profile: &Profile, view: &View) -> Vec<(Vec<String>, u64, u64)> {
    let mut out = Vec::new();
    write(profile, view, &mut out).unwrap();
    let bytes = miniz_oxide::inflate::decompress_to_vec(&out[10..out.len() - 8]).unwrap();
    let all = fields(&bytes);
    let of = |wanted: u64| all.iter().filter(move |field| field.0 == wanted).map(|field| field.2);
    let strings: Vec<String> = of(6).map(|text| String::from_utf8(text.to_vec()).unwrap()).collect();
    let get = |message: &[u8], wanted: u64| {
        fields(message).iter().find(|field| field.0 == wanted).map_or(0, |field| field.1)
    };
    let name = |location: u64| {
        let location = of(4).find(|message| get(message, 1) == location).expect("a location");
        let line = fields(location).into_iter().find(|field| field.0 == 4).expect("a line").2;
        let function = of(5).find(|message| get(message, 1) == get(line, 1)).expect("a function");
        format!("{}:{}", strings[get(function, 2) as usize], get(line, 2))
    };
    of(2)
        .map(|sample| {
            let parts = fields(sample);
            let list =
                |wanted| unpacked(parts.iter().find(|field| field.0 == wanted).map_or(&[], |field| field.2));
            let labels: Vec<u64> =
                parts.iter().filter(|field| field.0 == 3).map(|field| get(field.2, 3)).collect();
            (list(1).into_iter().map(name).collect(), list(2)[0], labels.into_iter().max().unwrap_or(0))
        })
        .collect()
}

#[test]
fn samples_have_stacks_lines_counts_and_threads() {
    let mut build = Build::default();
    let main = build.frame(Kind::Interpreted, "main", "/app/a.js");
    let hot = Frame { executing: 9, ..main };
    let nameless = build.frame(Kind::Optimized, "", "/app/b.js");
    let map = build.frame(Kind::Builtin, "ArrayMap", "");
    let worker = build.thread(7, "worker 1");
    build.stack(&[main, map, nameless]);
    build.stack(&[hot]);
    build.stack_of(worker, Activity::JavaScript, &[hot]);
    build.stack_of(worker, Activity::JavaScript, &[hot]);
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_string()).collect::<Vec<_>>();
    assert_eq!(
        samples(&build.finish(), &View::default()),
        [
            (names(&["(anonymous) b.js:1:1", "ArrayMap:[builtin]:0", "main:1"]), 1, 100),
            (names(&["main:9"]), 1, 100),
            (names(&["main:9"]), 2, 7),
        ]
    );
}

#[test]
fn a_frame_that_is_in_no_stack_is_not_listed() {
    let mut build = Build::default();
    let main = build.frame(Kind::Interpreted, "main", "/app/a.js");
    build.stack(&[main]);
    let mut out = Vec::new();
    write(&build.finish(), &View::default(), &mut out).unwrap();
    let bytes = miniz_oxide::inflate::decompress_to_vec(&out[10..out.len() - 8]).unwrap();
    assert_eq!(fields(&bytes).iter().filter(|field| field.0 == 4).count(), 1, "locations");
}

#[test]
fn no_string_acts_on_a_terminal() {
    let mut build = Build::default();
    build.meta.command = "node \u{1b}]0;title\u{7}.js".into();
    let hostile = build.frame(Kind::Optimized, "f\u{1b}[2J\u{202e}", "/srv/\u{1b}\u{202e}.js");
    let native = build.frame(Kind::Native, "g", "/lib/\u{9b}.so");
    let worker = build.thread(7, "worker\u{1b}");
    build.stack_of(worker, Activity::JavaScript, &[hostile, native]);
    let mut out = Vec::new();
    write(&build.finish(), &View::default(), &mut out).unwrap();
    let bytes = miniz_oxide::inflate::decompress_to_vec(&out[10..out.len() - 8]).unwrap();
    let strings: Vec<&str> = fields(&bytes)
        .into_iter()
        .filter(|field| field.0 == 6)
        .map(|field| std::str::from_utf8(field.2).unwrap())
        .collect();
    for expected in [r"f\x1b[2J\u202e", r"/srv/\x1b\u202e.js", r"/lib/\x9b.so", r"worker\x1b"] {
        assert!(strings.contains(&expected), "no {expected} in {strings:?}");
    }
    assert!(strings.iter().any(|text| text.contains(r"node \x1b]0;title\x07.js")));
    assert!(!strings.iter().any(|text| text.chars().any(crate::label::acts)));
}

#[test]
fn a_thinned_log_keeps_the_trees_counts() {
    let mut build = Build::default();
    let f = build.frame(Kind::Native, "f", "");
    let worker = build.thread(7, "worker 1");
    let taken = flame_core::limits::SAMPLES + 3;
    for number in 0..taken {
        build.stack_of(if number % 3 == 0 { worker } else { ThreadId(0) }, Activity::Native, &[f]);
    }
    let samples = samples(&build.finish(), &View::default());
    assert_eq!(samples.iter().map(|sample| sample.1).sum::<u64>(), taken as u64);
    assert_eq!(samples.len(), 2);
}
