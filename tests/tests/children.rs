//! `--children`: every Node of a family in one profile, whichever started it, and none of them harmed.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::Value;
use tests::{
    binary::node_flame,
    matrix::{alone, tell},
    nodes::node,
    process::{Target, command, run, status},
    stacks::{self, Stack},
    version::Version,
};

const NODE: Version = Version::new(22, 23, 3);

fn program(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("programs").join(name)
}

/// A folder of its own, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("node-flame-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).expect("a folder can be made");
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What still runs there, behind a wrapper that was killed.
        for pid in processes(&self.0.display().to_string()) {
            let _ = Command::new("kill").args(["-KILL", &pid.to_string()]).status();
        }
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Samples below each root frame `NAME (PID)`.
fn roots(stacks: &[Stack]) -> BTreeMap<&str, u64> {
    let mut roots = BTreeMap::new();
    for stack in stacks {
        *roots.entry(stack.frames[0].as_str()).or_default() += stack.count;
    }
    roots
}

/// Samples of stacks with a frame of this function, below any root or that of one name.
fn within(stacks: &[Stack], root: &str, function: &str) -> u64 {
    let is = |stack: &&Stack| {
        stack.frames[0].starts_with(root) && stack.frames.iter().any(|label| label.starts_with(function))
    };
    stacks.iter().filter(is).map(|stack| stack.count).sum()
}

/// Processes of this machine whose command line holds `word`.
fn processes(word: &str) -> Vec<u32> {
    let pids = fs::read_dir("/proc").expect("/proc").flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let holds = |pid: &u32| {
        fs::read(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|line| String::from_utf8_lossy(&line).contains(word))
    };
    pids.filter(holds).collect()
}

fn assert_free(pid: u32) {
    for entry in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
        let tid = entry.file_name().to_str().and_then(|tid| tid.parse().ok()).expect("a number");
        let (Some(tracer), Some(state)) = (status(tid, "TracerPid"), status(tid, "State")) else { continue };
        assert!(tracer == "0" && !state.starts_with(['t', 'T']), "{tid}: traced by {tracer}, {state}");
    }
}

#[test]
fn a_cluster_is_one_profile_with_a_root_for_each_process() {
    let _alone = alone();
    // In a folder of its own, so that its processes are told from others'.
    let scratch = Scratch::new("cluster");
    let script = scratch.0.join("cluster.js");
    fs::copy(program("cluster.js"), &script).expect("it can be copied");
    let target = Target::ready(Command::new(node(NODE)).arg(&script)).unwrap();
    let pid = target.pid().to_string();
    let words = [&pid, "folded", "4", "--children"];
    let ended = run(&mut command(node_flame(), &words), Duration::from_secs(40));
    tell(&ended.stderr);
    assert!(ended.ok(), "{}", ended.stderr);
    let stacks = stacks::folded(&ended.stdout).unwrap();
    let family = processes(&script.display().to_string());
    assert_eq!(family.len(), 9);
    let expected: Vec<String> = family.iter().map(|pid| format!("node cluster.js ({pid})")).collect();
    let roots = roots(&stacks);
    for root in &expected {
        let is_primary = *root == format!("node cluster.js ({pid})");
        let function = if is_primary { "burnInPrimary:" } else { "burnInWorker:" };
        let (all, named) = (roots.get(root.as_str()).copied().unwrap_or(0), within(&stacks, root, function));
        assert!(named > 5 && named * 10 > all * 6, "{root}: {named} of {all}\n{roots:?}");
    }
    assert_eq!(roots.len(), 9, "{roots:?}");
    family.iter().for_each(|pid| assert_free(*pid));
    // Its workers end with it.
    drop(target);
}

#[test]
fn two_hundred_short_lived_nodes_end_as_if_nobody_had_looked() {
    let _alone = alone();
    let scratch = Scratch::new("bomb");
    let (out, script) = (scratch.0.join("out"), scratch.0.join("bomb.js"));
    fs::copy(program("bomb.js"), &script).expect("it can be copied");
    let (out, script) = (out.display().to_string(), script.display().to_string());
    let node = node(NODE).display().to_string();
    let words = ["run", "folded", "100", "--children", "-o", &out, "--", &node, &script];
    let ended = run(&mut command(node_flame(), &words), Duration::from_secs(120));
    tell(&ended.stderr);
    assert_eq!(ended.status.code(), Some(7), "{}{}", ended.stdout, ended.stderr);
    assert_eq!(ended.stdout, "200 ended, 0 wrong\n");
    assert_eq!(processes("burnBriefly"), [0; 0]);
    let text = fs::read_to_string(&out).expect("a profile");
    let stacks = stacks::folded(&text).unwrap();
    // Not all are met: each lives for some ticks. Those that are have a pid each.
    let roots = roots(&stacks);
    let met = roots.keys().filter(|root| root.starts_with("node [eval] (")).count();
    tell(&format!("sampled {met} of 200 short-lived Nodes"));
    assert!(met * 3 > 200, "{met}: {roots:?}");
    assert!(within(&stacks, "node bomb.js (", "burnInBomb:") > 0, "{roots:?}");
    assert!(within(&stacks, "node [eval] (", "burnBriefly:") > 0, "{text}");
    assert!(ended.stderr.contains(" and all that it started have ended."), "{}", ended.stderr);
}

#[test]
fn wrappers_are_left_alone_and_each_node_is_read_as_its_own_version() {
    let _alone = alone();
    let scratch = Scratch::new("wrappers");
    let (out, npm) = (scratch.0.join("out"), scratch.0.join("npm"));
    fs::write(&npm, "#!/bin/sh\n\"$@\"\ncode=$?\nexit $code\n").expect("it can be written");
    let quoted = |path: &Path| format!("'{}'", path.display());
    let (other, old) = (node(Version::new(16, 20, 2)), node(Version::new(0, 12, 18)));
    let parts = [&node(NODE), &program("parent.js"), &other, &old].map(|path| quoted(path));
    let line = format!("sh {} {}; exit $?", quoted(&npm), parts.join(" "));
    let out = out.display().to_string();
    let words = ["run", "folded", "60", "--children", "--threads", "-o", &out, "--", "sh", "-c", &line];
    let ended = run(&mut command(node_flame(), &words), Duration::from_secs(100));
    tell(&ended.stderr);
    assert_eq!(ended.status.code(), Some(9), "{}{}", ended.stdout, ended.stderr);
    let text = fs::read_to_string(&out).expect("a profile");
    let stacks = stacks::folded(&text).unwrap();
    let roots = roots(&stacks);
    assert_eq!(roots.len(), 3, "{roots:?}");
    assert!(within(&stacks, "node parent.js (", "burnInParent:") > 20, "{roots:?}");
    let children: Vec<_> = roots.keys().filter(|root| root.starts_with("node child.js (")).collect();
    assert_eq!(children.len(), 2, "{roots:?}");
    for child in children {
        assert!(within(&stacks, child, "burnInChild:") > 20, "{child}: {roots:?}");
    }
    // With --threads the threads stand below the processes.
    assert!(stacks.iter().any(|stack| stack.frames[1].starts_with("main (")), "{text}");
}

/// A shell, or npm, that runs already, with two Nodes of different versions behind it.
fn family(scratch: &Scratch, is_npm: bool) -> Target {
    let script = scratch.0.join("family.js");
    fs::copy(program("family.js"), &script).expect("it can be copied");
    let nodes = [node(NODE), node(Version::new(16, 20, 2))].map(|path| path.display().to_string());
    let line = format!("'{0}' '{2}' '{1}' '{2}'; exit $?", nodes[0], nodes[1], script.display());
    if !is_npm {
        return Target::ready(Command::new("sh").args(["-c", &line])).unwrap();
    }
    let package = serde_json::json!({ "name": "family", "scripts": { "start": line } });
    fs::write(scratch.0.join("package.json"), package.to_string()).expect("it can be written");
    let mut npm = Command::new("npm");
    npm.args(["run", "start"]).current_dir(&scratch.0).env("npm_config_update_notifier", "false");
    Target::ready(&mut npm).unwrap()
}

#[test]
fn a_wrapper_that_runs_already_is_followed_to_its_nodes() {
    let _alone = alone();
    for is_npm in [false, true] {
        let scratch = Scratch::new("running");
        let target = family(&scratch, is_npm);
        let pid = target.pid().to_string();
        let ended =
            run(&mut command(node_flame(), &[&pid, "raw", "3", "--children"]), Duration::from_secs(30));
        tell(&format!("npm: {is_npm}\n{}{}", ended.stdout.lines().next().unwrap_or_default(), ended.stderr));
        assert!(ended.ok(), "{}", ended.stderr);
        let stacks = stacks::raw(&ended.stdout).unwrap();
        let roots = roots(&stacks);
        let members: Vec<&&str> = roots.keys().filter(|root| root.starts_with("node family.js (")).collect();
        assert_eq!(members.len(), 2, "{roots:?}");
        for member in members {
            let named = within(&stacks, member, "burnInFamily:");
            assert!(named > 20, "{member}: {named} of {roots:?}");
        }
        // npm is Node too, and waits; what little it does stands below a root of its own.
        let others = roots.len() - 2;
        assert!(others == 0 || (is_npm && others == 1), "{roots:?}");
        let head = ended.stdout.lines().next().expect("a head");
        let nodes =
            head.split_once("), Node ").and_then(|(_, rest)| rest.rsplit_once(", ")).expect("versions").0;
        let mut nodes: Vec<&str> = nodes.split(", ").collect();
        nodes.sort_unstable();
        let expected = ["16.20.2", "22.23.3"];
        assert!(expected.iter().all(|version| nodes.contains(version)), "{head}");
        assert_eq!(nodes.len(), roots.len(), "{head}");
        for pid in processes(&scratch.0.display().to_string()) {
            assert_free(pid);
        }
    }
}

#[test]
fn every_format_has_a_root_for_each_process() {
    let _alone = alone();
    let scratch = Scratch::new("formats");
    let target = family(&scratch, false);
    let pid = target.pid().to_string();
    let profile = |format: &str, into: &Path| {
        let into = into.display().to_string();
        let words = [&pid, format, "0.8", "--children", "--native", "off", "-o", &into];
        let ended = run(&mut command(node_flame(), &words), Duration::from_secs(30));
        assert!(ended.ok(), "{format}: {}", ended.stderr);
    };
    let text = |format: &str| {
        let into = scratch.0.join(format);
        profile(format, &into);
        fs::read_to_string(&into).expect("a profile")
    };
    let stacks = stacks::folded(&text("folded")).unwrap();
    let expected: Vec<String> = roots(&stacks).keys().map(|&root| root.to_owned()).collect();
    assert!(
        expected.len() == 2 && expected.iter().all(|root| root.starts_with("node family.js (")),
        "{expected:?}"
    );
    let assert_roots = |format: &str, mut roots: Vec<String>| {
        roots.sort_unstable();
        roots.dedup();
        assert_eq!(roots, expected, "{format}");
    };
    for format in ["raw", "fullraw"] {
        assert_roots(
            format,
            stacks::raw(&text(format)).unwrap().into_iter().map(|stack| stack.frames[0].clone()).collect(),
        );
    }
    let tree = text("text");
    let lines =
        tree.lines().skip(1).take_while(|line| !line.is_empty()).filter(|line| !line.starts_with(' '));
    assert_roots("text", lines.map(|line| line.split_once(' ').expect("COUNT LABEL").1.to_owned()).collect());

    let cpuprofile: Value = serde_json::from_str(&text("cpuprofile")).expect("JSON");
    let nodes = cpuprofile["nodes"].as_array().expect("nodes");
    let name = |node: &Value| node["callFrame"]["functionName"].as_str().expect("a name").to_owned();
    let below = nodes[0]["children"].as_array().expect("children").iter();
    let below = below.map(|id| name(nodes.iter().find(|node| node["id"] == *id).expect("is there")));
    assert_roots("cpuprofile", below.filter(|name| name != "(idle)").collect());

    let speedscope: Value = serde_json::from_str(&text("speedscope")).expect("JSON");
    let frames = &speedscope["shared"]["frames"];
    let samples = speedscope["profiles"].as_array().expect("profiles").iter();
    let samples = samples.flat_map(|profile| profile["samples"].as_array().expect("samples"));
    let firsts = samples.filter_map(|sample| sample.get(0)?.as_u64());
    let firsts = firsts.map(|first| frames[first as usize]["name"].as_str().expect("a name").to_owned());
    assert_roots("speedscope", firsts.collect());

    let pprof = scratch.0.join("pprof.gz");
    profile("pprof", &pprof);
    let pprof = Command::new("gzip").arg("-dc").arg(&pprof).output().expect("gzip starts").stdout;
    let pprof = String::from_utf8_lossy(&pprof);
    let page = text("flame");
    for root in &expected {
        assert!(pprof.contains(root.as_str()), "{root}");
        let (name, pid) = root.strip_suffix(')').and_then(|root| root.split_once(" (")).expect("NAME (PID)");
        assert!(page.contains(name) && page.contains(&format!("[{pid},")), "{root}");
    }
    assert!(page.contains("22.23.3") && page.contains("16.20.2"));
}
