//! `--threads`: every thread that runs has a root frame of its own, in every format.

use std::{path::PathBuf, process::Command, time::Duration};

use tests::{
    binary::node_flame,
    matrix::{alone, tell},
    nodes::node,
    process::{Ended, Target, command, run},
    stacks::{self, Stack},
    version::Version,
};

fn target(version: Version, program: &str) -> Target {
    let program = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("programs").join(program);
    Target::ready(Command::new(node(version)).arg(program)).unwrap()
}

fn profile(target: &Target, format: &str, seconds: &str, more: &[&str]) -> Ended {
    let pid = target.pid().to_string();
    let words = [&[&pid, format, seconds, "--rate", "250"], more].concat();
    let ended = run(&mut command(node_flame(), &words), Duration::from_secs(30));
    assert!(ended.ok(), "{}", ended.stderr);
    ended
}

/// The name and the number of a root frame `NAME (TID)`.
fn root(label: &str) -> (&str, u32) {
    let (name, id) = label.rsplit_once(" (").expect("NAME (TID)");
    (name, id.strip_suffix(')').and_then(|id| id.parse().ok()).expect("a number"))
}

/// Samples below the roots that `is` picks, and those among them with a frame that holds `function`.
fn below(stacks: &[Stack], is: impl Fn(&str) -> bool, function: &str) -> (u64, u64) {
    let mut counts = (0, 0);
    for stack in stacks.iter().filter(|stack| is(root(&stack.frames[0]).0)) {
        counts.0 += stack.count;
        counts.1 += stack.count * u64::from(stack.frames.iter().any(|label| label.contains(function)));
    }
    counts
}

#[test]
fn every_thread_that_runs_has_a_root_of_its_own() {
    let _alone = alone();
    for version in [Version::new(16, 20, 2), Version::new(22, 23, 3), Version::new(26, 10, 0)] {
        let target = target(version, "threads.js");
        let ended = profile(&target, "folded", "2", &["--threads"]);
        let stacks = stacks::folded(&ended.stdout).unwrap();
        tell(&format!("{version}\n{}", ended.stderr));
        // From 24 on a worker's name is its thread's.
        let indexer = if version.major >= 24 { "indexer" } else { "worker 1" };
        for (name, function) in
            [("main", "burnOnMain:"), (indexer, "burnInIndexer:"), ("worker 2", "burnInOther:")]
        {
            let (all, named) = below(&stacks, |root| root == name, function);
            assert!(
                named > 20 && named * 10 > all * 6,
                "{version} {name}: {named} of {all}\n{}",
                ended.stdout
            );
        }
        let main = stacks.iter().map(|stack| root(&stack.frames[0])).find(|root| root.0 == "main");
        assert_eq!(main, Some(("main", target.pid())), "{version}");
        let pool = below(&stacks, |root| root.starts_with("libuv"), "PBKDF2");
        assert!(
            pool.0 > 20 && pool.1 * 10 > pool.0 * 6,
            "{version}: libuv's pool {pool:?}\n{}",
            ended.stdout
        );
        let v8 = below(
            &stacks,
            |root| root.contains("V8") && root.to_lowercase().contains("worker"),
            "v8::internal::",
        );
        // Between two pieces of work they wait for the next one, and are often met on the way there.
        tell(&format!("{version}: V8's workers, all samples and those at work: {v8:?}"));
        assert!(v8.0 > 20 && v8.1 > 5, "{version}: V8's workers {v8:?}\n{}", ended.stdout);
        // Workers that live for a moment come and go.
        let said = ended.stderr.lines().find(|line| line.starts_with("Threads: ")).expect("it is said");
        let numbers: Vec<u64> = said.split(' ').filter_map(|word| word.parse().ok()).collect();
        assert!(numbers[0] >= 9 && numbers[1] > 0 && numbers[2] > 0, "{version}: {said}");
    }
}

#[test]
fn without_the_option_all_threads_with_javascript_are_one() {
    let _alone = alone();
    let target = target(Version::new(22, 23, 3), "threads.js");
    let stacks = stacks::folded(&profile(&target, "folded", "2", &[]).stdout).unwrap();
    for function in ["burnOnMain:", "burnInIndexer:", "burnInOther:"] {
        let is_in = |stack: &&Stack| stack.frames.iter().any(|label| label.contains(function));
        assert!(stacks.iter().filter(is_in).map(|stack| stack.count).sum::<u64>() > 20, "{function}");
    }
    let is_start =
        |label: &String| label == "worker:[native]" || label.contains("PlatformWorkerThread:[native]");
    let helpers: Vec<&Stack> = stacks.iter().filter(|stack| stack.frames.iter().any(is_start)).collect();
    assert!(helpers.is_empty(), "{helpers:?}");
    assert!(stacks.iter().all(|stack| !stack.frames[0].starts_with("main (")));
}

#[test]
fn every_format_has_the_threads() {
    let _alone = alone();
    let target = target(Version::new(24, 21, 0), "threads.js");
    let main = format!("main ({})", target.pid());
    let text = profile(&target, "text", "0.8", &["--threads"]).stdout;
    let roots: Vec<&str> = text.lines().skip(1).filter(|line| !line.starts_with(' ')).collect();
    assert!(roots.iter().any(|line| line.ends_with(&main)), "{roots:?}");
    assert!(roots.iter().any(|line| line.contains(" indexer (")), "{roots:?}");
    for format in ["raw", "fullraw"] {
        let stacks = stacks::raw(&profile(&target, format, "0.8", &["--threads"]).stdout).unwrap();
        assert!(stacks.iter().any(|stack| stack.frames[0] == main), "{format}");
    }
    for format in ["flame", "cpuprofile", "speedscope"] {
        let text = profile(&target, format, "0.8", &["--threads", "--native", "off"]).stdout;
        assert!(text.contains(&main) || text.contains(&format!("[{},\"main\"]", target.pid())), "{format}");
        assert!(text.contains("indexer") && text.contains("libuv-worker"), "{format}");
    }
    let file = std::env::temp_dir().join(format!("node-flame-threads-{}.pprof", std::process::id()));
    profile(&target, "pprof", "0.8", &["--threads", "-o", &file.display().to_string()]);
    let pprof = Command::new("gzip").arg("-dc").arg(&file).output().expect("gzip starts").stdout;
    let _ = std::fs::remove_file(&file);
    let pprof = String::from_utf8_lossy(&pprof);
    for name in [main.as_str(), "indexer (", "libuv-worker (", "V8Worker ("] {
        assert!(pprof.contains(name), "no {name} in pprof");
    }
}

/// Its ticks before that are not counted, so the time before is not its, either.
#[test]
fn a_thread_that_first_runs_late_does_not_stretch_the_time_of_others() {
    let _alone = alone();
    let target = target(Version::new(22, 23, 3), "late.js");
    let ended = profile(&target, "speedscope", "2", &["--threads"]);
    let file: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    let seconds = |start: &str| -> Vec<f64> {
        let all = file["profiles"].as_array().unwrap().iter();
        let its = all.filter(|profile| profile["name"].as_str().unwrap().starts_with(start));
        its.map(|profile| profile["endValue"].as_f64().unwrap() / 1e6).collect()
    };
    let (main, pool) = (seconds("main ("), seconds("libuv"));
    tell(&format!("of 2 s: main {main:?}, libuv's threads {pool:?}\n{}", ended.stderr));
    assert!(main.len() == 1 && main[0] < 2.2 && pool.len() == 4, "{main:?} {pool:?}");
}
