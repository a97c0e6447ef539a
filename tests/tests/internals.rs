//! Frames of Node's own sources have their names and lines, as V8 itself says them.

use std::{
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use tests::{
    binary::{node_flame, workspace},
    matrix::{alone, in_parallel, tell},
    nodes::node,
    process::{Target, command, run},
    stacks::{Frame, Stack, folded},
    verdict::percent,
    version::{MODERN, Version},
};

/// Runs its callback in a timer, from an event, and in a promise's reaction, and says in which stack.
const PROGRAM: &str = "
    Error.stackTraceLimit = 100;
    const emitter = new (require('events'))();
    let told = false;
    function callback() {
      if (!told) console.error(new Error().stack);
      told = true;
      const end = Date.now() + 20;
      while (Date.now() < end);
    }
    emitter.on('turn', callback);
    function turn() { emitter.emit('turn'); setTimeout(turn, 0); }
    setTimeout(turn, 0);
    setTimeout(() => console.log('READY'), 50);
";

/// The frames of Node's sources in a stack trace, root first: function, script and line.
fn traced(text: &str) -> Vec<(String, String, u32)> {
    let frame = |line: &str| {
        let (name, place) = line.trim().strip_prefix("at ")?.strip_suffix(')')?.split_once(" (")?;
        let mut parts = place.rsplitn(3, ':');
        let (_column, line, script) = (parts.next()?, parts.next()?.parse().ok()?, parts.next()?);
        // The class of the receiver, which V8 puts before the name, is no part of it.
        let name = name.rsplit('.').next()?.to_owned();
        script.starts_with("node:").then(|| (name, script.to_owned(), line))
    };
    let mut frames: Vec<_> = text.lines().filter_map(frame).collect();
    frames.reverse();
    frames
}

/// The frames of Node's sources in a sampled stack, root first.
fn sampled(stack: &Stack) -> Vec<(String, String, u32)> {
    let frame = |label: &String| {
        let (name, rest) = label.split_once(":node:")?;
        let (script, line) = rest.rsplit_once(':')?;
        let name = name.rsplit('.').next()?.to_owned();
        Some((name, format!("node:{script}"), line.parse().ok()?))
    };
    stack.frames.iter().filter_map(frame).collect()
}

fn own(stack: &Stack) -> bool {
    stack
        .frames
        .iter()
        .any(|label| Frame::in_scripts(label, &["[eval]"]).is_some_and(|f| f.name == "callback"))
}

fn profile(pid: &str, more: &[&str]) -> Vec<Stack> {
    let mut profiler = command(node_flame(), &[pid, "folded", "1", "--rate", "250", "--max-pause", "50"]);
    let ended = run(profiler.args(more), Duration::from_secs(30));
    assert!(ended.ok(), "{}", ended.stderr);
    folded(&ended.stdout).unwrap().into_iter().filter(own).collect()
}

#[test]
fn functions_of_nodes_own_sources_have_the_names_and_lines_that_v8_gives_them() {
    let _alone = alone();
    let versions: Vec<Version> = MODERN.into_iter().filter(|version| version.major % 2 == 0).collect();
    in_parallel(&versions, 2, |&version| {
        let target = Target::ready(Command::new(node(version)).args(["-e", PROGRAM])).unwrap();
        let pid = target.pid().to_string();
        let truth = traced(&target.stderr());
        assert!(truth.iter().any(|frame| frame.0 == "emit"), "{version}: {truth:?}");
        let with_lines = profile(&pid, &["--lines"]);
        let all: u64 = with_lines.iter().map(|stack| stack.count).sum();
        let right = with_lines.iter().filter(|stack| sampled(stack) == truth).map(|stack| stack.count).sum();
        tell(&format!("{version}: {:.1} % of {all} stacks are those of V8's trace", percent(right, all)));
        assert!(all > 30 && percent(right, all) > 98.0, "{version}: {truth:?}\n{with_lines:#?}");
        // Without, each names the function's first line, which is no later.
        for stack in profile(&pid, &[]) {
            for (first, executing) in sampled(&stack).iter().zip(&truth) {
                assert!(first.2 >= 1 && first.2 <= executing.2, "{version}: {first:?} {executing:?}");
            }
        }
    });
}

#[test]
fn the_ancestors_own_example_is_named_from_node_js_to_the_write() {
    let _alone = alone();
    let program = workspace().join("tests/programs/console.js").canonicalize().expect("it is there");
    let mut target = Command::new(node(Version::new(0, 10, 48)))
        .arg(&program)
        .stdout(Stdio::null())
        .spawn()
        .expect("Node 0.10 starts");
    thread::sleep(Duration::from_millis(300));
    let ended = run(
        // As long as this, since one sample in a hundred is in a function without a script, and two may not be.
        &mut command(node_flame(), &[&target.id().to_string(), "text", "10", "--rate", "250"]),
        Duration::from_secs(30),
    );
    // It runs until it is killed, and is ours.
    let _ = target.kill();
    let _ = target.wait();
    assert!(ended.ok(), "{}", ended.stderr);
    tell(ended.stdout.lines().take(24).collect::<Vec<_>>().join("\n").as_str());
    let labels: Vec<(u64, &str)> = (ended.stdout.lines())
        .filter_map(|line| line.trim_start().split_once(' '))
        .filter_map(|(count, label)| Some((count.parse().ok()?, label)))
        .collect();
    let whole = labels.first().expect("a tree").0;
    let count = |label: &str| labels.iter().filter(|(_, l)| *l == label).map(|(n, _)| n).sum::<u64>();
    let top = format!("(anonymous):{}:1", program.display());
    for label in ["startup:node.js:30", "Module._compile:module.js:374", top.as_str()] {
        assert!(percent(count(label), whole) > 98.0, "{label}\n{}", ended.stdout);
    }
    for label in
        ["Console.log:console.js:53", "exports.format:util.js:23", "SyncWriteStream.write:fs.js:1731"]
    {
        assert!(percent(count(label), whole) > 5.0, "{label}\n{}", ended.stdout);
    }
    let unknown = labels.iter().filter(|(_, label)| label.contains("[unknown]") || label.starts_with("[0x"));
    assert!(unknown.map(|(n, _)| n).sum::<u64>() * 50 < whole, "{}", ended.stdout);
}
