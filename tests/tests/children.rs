//! `--children`: every Node of a family in one profile, whichever started it, and none of them harmed.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

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
    // How many are met depends on how long they live; each is known by its pid.
    let roots = roots(&stacks);
    assert!(roots.len() > 10, "{roots:?}");
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
