//! `ps`, `dump` and `top` on Nodes of different ages, whose V8 keeps things in different places.

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tests::{
    binary::node_flame,
    matrix::{alone, tell},
    nodes::node,
    process::{Target, command, run},
    version::Version,
};

const NODES: [Version; 4] =
    [Version::new(16, 20, 2), Version::new(22, 23, 3), Version::new(24, 21, 0), Version::new(26, 10, 0)];

fn program(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("programs").join(name)
}

fn target(version: Version, name: &str) -> Target {
    Target::ready(Command::new(node(version)).arg(program(name))).unwrap()
}

/// What node-flame writes for these words, as JSON.
fn written(words: &[&str]) -> Value {
    let ended = run(&mut command(node_flame(), words), Duration::from_secs(30));
    assert!(ended.ok(), "{}", ended.stderr);
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {}", ended.stdout))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("no list: {value}"))
}

/// Dumps, until one is as it should be.
fn dumped<T>(target: &Target, more: &[&str], find: impl Fn(&Value) -> Option<T>) -> T {
    let pid = target.pid().to_string();
    let words = [&[&pid, "dump", "--json"], more].concat();
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let dump = written(&words);
        if let Some(found) = find(&dump) {
            return found;
        }
        assert!(Instant::now() < until, "{}", serde_json::to_string_pretty(&dump).unwrap());
        thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_dump_has_simple_arguments_of_each_node() {
    let _alone = alone();
    for version in NODES {
        let target = target(version, "arguments.js");
        let frames = dumped(&target, &["--args"], |dump| {
            let main = list(&dump["threads"]).iter().find(|thread| thread["tid"] == target.pid())?;
            let frames = list(&main["frames"]);
            assert_eq!(dump["node"], version.to_string(), "{dump}");
            frames.iter().any(|frame| frame["name"] == "outer").then(|| frames.to_vec())
        });
        let of = |name: &str| frames.iter().find(|frame| frame["name"] == name).expect("is there");
        let file = program("arguments.js").display().to_string();
        let place = |name: &str| ["file", "line", "functionLine"].map(|field| of(name)[field].clone());
        assert_eq!(place("inner"), [json!(file), json!(3), json!(3)], "{version}");
        assert_eq!(place("outer"), [json!(file), json!(2), json!(2)], "{version}");
        let inner = json!([r#""al\u{1b}ice!""#, "42", "…", "undefined"]);
        assert_eq!(of("inner")["arguments"], inner, "{version}");
        let long = format!("\"{}\"…", "x".repeat(40));
        let outer = json!([r#""al\u{1b}ice""#, "21", "true", "null", "0.25", long]);
        assert_eq!(of("outer")["arguments"], outer, "{version}");
        // Below JavaScript the stack goes on to its start.
        assert!(frames.last().is_some_and(|frame| frame["name"] == "_start"), "{version}: {frames:?}");
        assert_eq!(target.held_threads(), [""; 0]);
    }
}

#[test]
fn a_dump_names_workers_and_helpers_of_each_node() {
    let _alone = alone();
    for version in NODES {
        let target = target(version, "threads.js");
        // Helpers have names of their own in some versions, the worker called `indexer` from 24 on.
        let indexer = if version.major >= 24 { "indexer" } else { "worker 1" };
        let seen = dumped(&target, &[], |dump| {
            let threads = list(&dump["threads"]).iter();
            let names: Vec<&str> = threads.map(|thread| thread["name"].as_str().expect("a name")).collect();
            let count = |is: &dyn Fn(&str) -> bool| names.iter().filter(|name| is(name)).count();
            let is = |known: &str| count(&|name| name == known) == 1;
            let has = |one: &str, other: &str| count(&|name| name == one || name.starts_with(other)) == 1;
            let v8 = count(&|name| name.ends_with("V8 worker") || name.ends_with("V8Worker"));
            let pool = count(&|name| name == "libuv worker" || name == "libuv-worker");
            let others = has("delayed tasks", "DelayedTask") && has("signal inspector", "SignalInspector");
            let workers = is("main") && is(indexer) && is("worker 2");
            // A worker that just starts or ends may have no name yet.
            (workers && others && v8 == 4 && pool == 4 && !names.contains(&"helper"))
                .then(|| names.join(", "))
        });
        tell(&format!("{version}: {seen}"));
        assert_eq!(target.held_threads(), [""; 0]);
    }
}

#[test]
fn ps_tells_each_nodes_version_and_script() {
    let _alone = alone();
    let targets = NODES.map(|version| (version, target(version, "arguments.js")));
    let all = written(&["ps", "--json"]);
    for (version, target) in &targets {
        let entry = list(&all).iter().find(|entry| entry["pid"] == target.pid()).expect("it is listed");
        assert_eq!(entry["node"], version.to_string(), "{entry}");
        assert_eq!(entry["profilable"], true, "{entry}");
        assert_eq!(entry["command"], program("arguments.js").display().to_string(), "{entry}");
        assert!(entry["threads"].as_u64() >= Some(7), "{entry}");
    }
}

#[test]
fn top_shows_the_hot_function_of_each_node() {
    let _alone = alone();
    for version in NODES {
        let target = target(version, "arguments.js");
        let mut top = command(node_flame(), &[&target.pid().to_string(), "top"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node-flame starts");
        let lines = BufReader::new(top.stdout.take().expect("is piped")).lines().map_while(Result::ok);
        let label = format!("inner:{}:3", program("arguments.js").display());
        // Its share of the samples in itself.
        let own = lines.filter(|line| line.ends_with(&label)).find_map(|line| {
            let own: f64 = line.split_whitespace().next()?.parse().ok()?;
            (own > 60.0).then_some(own)
        });
        // Its reader has gone; it ends by that.
        let status = top.wait().expect("it is a child");
        assert!(own.is_some() && status.success(), "{version}: {own:?}, {status}");
        assert_eq!(target.held_threads(), [""; 0]);
    }
}
