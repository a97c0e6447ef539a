//! `dump`: every thread's stack with its state, and that the process goes on as before.

mod common;

use common::{Target, assert_free, node_flame};
use serde_json::Value;

/// A program in a call that lasts: `BODY` runs in `inner`, called by `outer`.
fn program(body: &str) -> String {
    format!(
        "const {{ Worker }} = require('worker_threads');
         function outer(name, n, flag, nothing, frac, long) {{ return inner(name + '!', n * 2, {{}}, undefined); }}
         function inner(name, n, object, missing) {{ {body} }}
         process.stdin.on('data', (data) => process.stdout.write(data)).on('end', () => process.exit(0));
         console.log('ready');
         setImmediate(() => outer('al\\x1bice', 21, true, null, 0.25, 'x'.repeat(60)));"
    )
}

/// The lines of one thread: its state, and its frames.
fn thread(dump: &str, name: &str) -> Vec<String> {
    let from = dump.split("\n\n").find(|part| part.starts_with(name));
    from.unwrap_or_else(|| panic!("no {name} in {dump}")).lines().map(str::to_owned).collect()
}

#[test]
fn a_thread_that_waits_in_the_kernel_is_read_with_its_javascript() {
    let target =
        Target::script(&program("require('child_process').execSync('sleep 60')"), &["--no-warnings"]);
    let dump = common::eventually("the command runs", || {
        let dump = node_flame(&format!("{} dump", target.pid()));
        dump.assert(0, &[" read where they wait, without a stop; 0 held for 0.000 ms together"]);
        dump.stdout.contains("inner:[eval]:3").then_some(dump.stdout)
    });
    let main = thread(&dump, "main (");
    assert!(main[0].starts_with(&format!("main ({}): waiting in epoll_", target.pid())), "{dump}");
    let at = |label: &str| {
        main.iter().position(|line| line.trim_start() == label).unwrap_or_else(|| panic!("{dump}"))
    };
    assert_eq!(at("outer:[eval]:2"), at("inner:[eval]:3") + 1, "{dump}");
    assert!(main.last().is_some_and(|line| line.contains("_start:[native]")), "{dump}");
    assert_free(target.pid());
}

#[test]
fn every_thread_is_there_with_its_state() {
    let mut target = Target::node();
    let threads = std::fs::read_dir(format!("/proc/{}/task", target.pid())).unwrap().count();
    let dump = node_flame(&format!("{} dump", target.pid()));
    dump.assert(0, &[&format!("Threads: {threads}; ")]);
    let heads: Vec<&str> = dump.stdout.split("\n\n").skip(1).filter_map(|part| part.lines().next()).collect();
    assert_eq!(heads.len(), threads, "{}", dump.stdout);
    assert!(
        heads.iter().all(|head| head.contains("): running") || head.contains("): waiting in ")),
        "{heads:?}"
    );
    assert!(heads.iter().any(|head| head.ends_with("waiting in futex")), "{heads:?}");
    let javascript = node_flame(&format!("{} dump --native off", target.pid()));
    assert!(!javascript.stdout.contains("[native]"), "{}", javascript.stdout);
    target.assert_unharmed();
}

#[test]
fn simple_arguments_are_shown_if_asked_for() {
    let forever = program("for (let at = 0, sum = 0;; at++) sum += Math.sqrt(at);");
    let target = Target::script(&forever, &[]);
    let line = format!("{} dump --args", target.pid());
    let dump = common::eventually("it runs", || {
        let dump = node_flame(&line).stdout;
        dump.contains("outer:").then_some(dump)
    });
    let long = "x".repeat(40);
    assert!(dump.contains("inner:[eval]:3 (\"al\\u{1b}ice!\", 42, …, undefined)\n"), "{dump}");
    let outer = format!("outer:[eval]:2 (\"al\\u{{1b}}ice\", 21, true, null, 0.25, \"{long}\"…)\n");
    assert!(dump.contains(&outer) && !dump.contains('\u{1b}'), "{dump}");
    let without = node_flame(&format!("{} dump", target.pid())).stdout;
    assert!(!without.contains("al\\u{1b}ice"), "{without}");
    let json = node_flame(&format!("{line} --json")).stdout;
    let json: Value = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}"));
    let mut frames =
        json["threads"].as_array().unwrap().iter().flat_map(|thread| thread["frames"].as_array().unwrap());
    let outer = frames.find(|frame| frame["name"] == "outer").unwrap_or_else(|| panic!("{json}"));
    let place = ["file", "line", "functionLine"].map(|field| &outer[field]);
    assert_eq!(place, [&"[eval]".into(), &2.into(), &Value::from(2)], "{outer}");
    let long = format!("\"{long}\"…");
    assert_eq!(
        outer["arguments"],
        serde_json::json!([r#""al\u{1b}ice""#, "21", "true", "null", "0.25", long])
    );
    assert_free(target.pid());
}

#[test]
fn busy_workers_are_dumped_with_the_main_thread() {
    let target = Target::script(
        "const { Worker } = require('worker_threads');
         const burn = 'function burning() { for (;;) Math.random(); } burning();';
         let online = 0;
         const ready = () => { if (++online === 3) console.log('ready'); };
         for (let at = 0; at < 3; at++) new Worker(burn, { eval: true }).on('online', ready);",
        &[],
    );
    // At times one waits, for a lock of V8's.
    common::eventually("all workers burn, and nothing else runs", || {
        let dump = node_flame(&format!("{} dump", target.pid())).stdout;
        let counts = ["burning:[", "): running\n"].map(|part| dump.matches(part).count());
        (counts == [3, 3]).then_some(())
    });
    assert_free(target.pid());
}

#[test]
fn twelve_busy_threads_are_held_for_a_millisecond_together_and_for_less_than_ten_with_arguments() {
    let target = Target::script(
        "const { Worker } = require('worker_threads');
         const burn = 'function burning(n, name) { for (;;) Math.random(); } burning(7, \"x\");';
         let online = 0;
         const ready = () => { if (++online === 11) { console.log('ready'); eval(burn); } };
         for (let at = 0; at < 11; at++) new Worker(burn, { eval: true }).on('online', ready);",
        &[],
    );
    for (more, most_ns) in [("", 2_000_000), ("--args", 10_000_000)] {
        // On a host with other work, some have time in them in which a held thread's reader waits for a CPU; where most
        // do, there is a second series, and a third.
        let is_short = (0..3).any(|_| median_held_ns(&target, more) < most_ns);
        assert!(is_short, "most dumps take more than {most_ns} ns {more}");
    }
    assert_free(target.pid());
}

/// How long twelve burning threads are held together in a dump: the median of nine.
fn median_held_ns(target: &Target, more: &str) -> u64 {
    let mut totals = Vec::new();
    while totals.len() < 9 {
        totals.push(common::eventually("all threads burn", || {
            let json = node_flame(&format!("{} dump --json {more}", target.pid())).stdout;
            let dump: Value = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}"));
            let is_burning = |thread: &&Value| {
                let frames = thread["frames"].as_array().unwrap();
                let burning = frames.iter().find(|frame| frame["name"] == "burning");
                let arguments = burning.map(|frame| &frame["arguments"]);
                let expected = if more.is_empty() { Value::Null } else { serde_json::json!(["7", "\"x\""]) };
                thread["state"] == "running" && arguments == Some(&expected)
            };
            let burning = dump["threads"].as_array().unwrap().iter().filter(is_burning).count();
            (burning == 12).then(|| dump["held"]["totalNs"].as_u64().unwrap())
        }));
    }
    totals.sort_unstable();
    common::tell(&format!("12 threads held for {totals:?} ns {more}"));
    totals[totals.len() / 2]
}

#[test]
fn the_end_of_the_process_is_said_unless_it_is_quiet() {
    for (option, is_said) in [("", true), ("--quiet", false)] {
        let target = Target::script("console.log('ready'); setTimeout(() => {}, 1000);", &[]);
        // It looks for two seconds there at threads that wait.
        let ended = common::node_flame_on_an_old_kernel(&format!("{} dump {option}", target.pid()));
        ended.assert(0, &[]);
        let said = format!("{} exited", target.pid());
        assert_eq!(ended.stderr.contains(&said), is_said, "{ended:?}");
        assert_eq!(ended.stderr.is_empty(), !is_said, "{ended:?}");
    }
}

#[test]
fn a_stopped_process_is_dumped_and_stays_stopped() {
    let target = Target::script(&program("for (;;) Math.random();"), &[]);
    common::kill(target.pid(), "STOP");
    let stat = format!("/proc/{}/stat", target.pid());
    common::wait_until("it is stopped", || std::fs::read_to_string(&stat).unwrap().contains(") T "));
    let dump = node_flame(&format!("{} dump", target.pid()));
    dump.assert(0, &["0 held for 0.000 ms"]);
    assert!(dump.stdout.contains("main ("), "{}", dump.stdout);
    assert!(std::fs::read_to_string(&stat).unwrap().contains(") T "));
}
