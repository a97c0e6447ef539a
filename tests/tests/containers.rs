//! Processes in containers and of other users: profiled wherever the kernel lets node-flame, and else with a message
//! that says what to change.
//!
//! Yama's `ptrace_scope`, which a kernel must have from its boot on, is tested on the emulated machine's
//! (`tests/arm64/commands`). Not made here: container engines themselves.

use std::{path::Path, process::Command, time::Duration};

use tests::{
    builds::{Scratch, assert_root},
    containers::{Capabilities, Container, NODE, Setting, WORKLOAD, Who, root},
    matrix::{Options, alone, sample_by, tell},
    nodes::node,
    process::{Target, run},
    stacks::Stack,
    verdict::Tally,
    workload::Workload,
};

const ROOT: Who = Who::root(Capabilities::All);

/// Root as container engines have it.
const CONTAINED: Who = Who::root(Capabilities::Container);

/// Sees to it that the workload's chains are sampled.
fn shows_exact_chains(what: &str, workload: &Workload, profiler: impl Fn() -> Command) -> Vec<Stack> {
    let options = Options { seconds: 0.5, least: 100, ..Options::default() };
    let (stacks, report) = sample_by(workload, options, profiler).unwrap_or_else(|e| panic!("{what}: {e}"));
    let tally = Tally::of_stacks(workload, &stacks);
    tell(&format!("{what}: {:.1} % of {} samples are exact", tally.percent(), tally.samples));
    // Of few samples, one is more than a percent.
    assert!(tally.percent() >= 98.0 && tally.samples >= 50, "{what}: {}\n{report}", tally.worst(8));
    stacks
}

/// Sees to it that node-flame says all of `words`, and profiles nothing.
fn is_refused(what: &str, mut profiler: Command, words: &[&str]) {
    let ended = run(profiler.args(["folded", "0.2"]), Duration::from_secs(20));
    assert_eq!(ended.status.code(), Some(1), "{what}: {}", ended.stderr);
    assert_eq!(ended.stdout, "", "{what}");
    tell(&format!("{what}: {}", ended.stderr.trim_end()));
    for words in words {
        assert!(ended.stderr.contains(words), "{what}: no {words:?} in {}", ended.stderr);
    }
}

fn has(stacks: &[Stack], label: &str) -> bool {
    stacks.iter().any(|stack| stack.frames.iter().any(|frame| frame.contains(label)))
}

#[test]
fn a_container_is_profiled_from_the_host_with_its_own_files() {
    let _alone = alone();
    let all = Path::new(tests::binary::node_flame());
    for user_namespace in [false, true] {
        let what = if user_namespace { "a container with its own users" } else { "a container" };
        let setting = Setting { user_namespace, ..Setting::from(CONTAINED) };
        let container = Container::start(setting).unwrap();
        let stacks = shows_exact_chains(what, &container.workload, || ROOT.node_flame(all, container.pid));
        assert!(has(&stacks, "node::LoadEnvironment:[native]"), "Node's own symbols: {stacks:?}");
        let able = Who::root(Capabilities::ContainerAndPtrace);
        shows_exact_chains("from a container that sees the host's processes", &container.workload, || {
            able.node_flame(all, container.pid)
        });
        // The container's root belongs to this one: so the kernel has it for a namespace of its own.
        let without = Who::root(Capabilities::AllButPtrace);
        if user_namespace {
            shows_exact_chains("its creator", &container.workload, || without.node_flame(all, container.pid));
        }
    }
}

#[test]
fn inside_a_container_the_same_user_with_the_same_capabilities_is_enough() {
    let _alone = alone();
    let container = Container::start(CONTAINED).unwrap();
    let what = "inside, without CAP_SYS_PTRACE";
    let stacks = shows_exact_chains(what, &container.workload, || container.node_flame(CONTAINED));
    assert!(has(&stacks, "node::LoadEnvironment:[native]"), "Node's own symbols: {stacks:?}");
    let none = Who::root(Capabilities::None);
    is_refused(
        "inside, without any capability",
        container.node_flame(none),
        &["the process has capabilities that node-flame lacks", "--cap-add SYS_PTRACE"],
    );
}

#[test]
fn a_more_capable_process_needs_the_capability_to_trace() {
    let _alone = alone();
    let container = Container::start(ROOT).unwrap();
    is_refused(
        "root of a container, on a privileged process",
        container.node_flame(CONTAINED),
        &["capabilities that node-flame lacks", "--cap-add SYS_PTRACE", "add: [SYS_PTRACE]"],
    );
    let able = Who::root(Capabilities::All);
    shows_exact_chains("the same with all capabilities", &container.workload, || container.node_flame(able));
}

#[test]
fn another_user_of_a_container_is_told_which_user_would_do() {
    let _alone = alone();
    let user = Who::user(1000);
    let container = Container::start(user).unwrap();
    is_refused(
        "root of a container, on another user's process",
        container.node_flame(CONTAINED),
        &[
            "node-flame is root, but without CAP_SYS_PTRACE (as in a container), and the process runs as user 1000",
            "run it as that user (docker exec --user 1000:1000), or run it on the host as root, or start the container with --cap-add SYS_PTRACE",
        ],
    );
    is_refused(
        "another group of the same user",
        container.node_flame(Who { group: 1001, ..user }),
        &["it runs with group 1000 and node-flame with group 1001; run it as that user"],
    );
    shows_exact_chains("the same user", &container.workload, || container.node_flame(user));
    let able = Who::root(Capabilities::ContainerAndPtrace);
    let beside = shows_exact_chains("beside, with --cap-add SYS_PTRACE", &container.workload, || {
        container.node_flame_beside(able)
    });
    assert!(has(&beside, "node::LoadEnvironment:[native]"), "files through /proc/PID/root: {beside:?}");
}

#[test]
fn a_process_that_gave_up_root_refuses_its_own_user() {
    let _alone = alone();
    let setting = Setting { drops_root: true, ..Setting::from(CONTAINED) };
    let container = Container::start(setting).unwrap();
    is_refused(
        "the same user, after setuid",
        container.node_flame(Who::user(1000)),
        &["the process has made itself undumpable (prctl, or a change of user)", "run as root"],
    );
    is_refused(
        "root of the container, after setuid",
        container.node_flame(CONTAINED),
        &["the process runs as user 1000; run it on the host as root, or start the container"],
    );
    let able = Who::root(Capabilities::ContainerAndPtrace);
    shows_exact_chains("with --cap-add SYS_PTRACE", &container.workload, || container.node_flame(able));
}

#[test]
fn on_a_host_it_is_users_and_capabilities_that_count() {
    let _alone = alone();
    assert_root();
    // Other users cannot reach a cache in root's home.
    let scratch = Scratch::for_all_users().unwrap();
    let copy = Container::for_all_users(&scratch.0);
    let start = |who: Who| {
        let mut workload = Workload::load(WORKLOAD, NODE).unwrap();
        workload.move_to(&scratch.0).unwrap();
        let node = scratch.copy(&node(NODE), "node").unwrap();
        let words = who.words();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).arg(node).args(["--noturbo-inlining", "--no-maglev-inlining"]);
        (Target::ready(command.arg(&workload.path)).unwrap(), workload)
    };
    let (target, workload) = start(ROOT);
    let pid = target.pid();
    is_refused(
        "root without CAP_SYS_PTRACE",
        Who::root(Capabilities::AllButPtrace).node_flame(&copy, pid),
        &["capabilities that node-flame lacks, CAP_SYS_PTRACE among those missing"],
    );
    is_refused(
        "a user, on root's",
        Who::user(1000).node_flame(&copy, pid),
        &["it runs as user 0 and node-flame as user 1000; run as root or give the binary CAP_SYS_PTRACE"],
    );
    is_refused(
        "under a filter that refuses ptrace",
        without_ptrace(&scratch.0, &copy, pid),
        &["ptrace is refused to node-flame altogether (its seccomp mode is 2)", "--cap-add SYS_PTRACE"],
    );
    shows_exact_chains("root, on root's", &workload, || ROOT.node_flame(&copy, pid));
    drop(target);

    let (target, workload) = start(Who::user(1000));
    let pid = target.pid();
    is_refused(
        "a user, on another user's",
        Who::user(1001).node_flame(&copy, pid),
        &["it runs as user 1000 and node-flame as user 1001; run it as that user"],
    );
    shows_exact_chains("a user, on its own", &workload, || Who::user(1000).node_flame(&copy, pid));
    drop(target);
}

#[test]
fn libraries_below_another_root_are_read_there() {
    let _alone = alone();
    let scratch = Scratch::for_all_users().unwrap();
    let copy = Container::for_all_users(&scratch.0);
    let chroot = Scratch::new().unwrap();
    let workload = root(&chroot.0).unwrap();
    let user = Who::user(1000);
    let mut command = Command::new("chroot");
    command.arg("--userspec=1000:1000").arg(&chroot.0).args(["/node", "--noturbo-inlining"]);
    let target = Target::ready(command.arg("--no-maglev-inlining").arg(&workload.path)).unwrap();
    let stacks = shows_exact_chains("a user, on its own below another root", &workload, || {
        user.node_flame(&copy, target.pid())
    });
    assert!(has(&stacks, "__libc_start_main:[native]"), "the C library's own symbols: {stacks:?}");
}

fn without_ptrace(folder: &Path, copy: &Path, pid: u32) -> Command {
    let filter = folder.join("refuse-ptrace");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("containers/refuse-ptrace.c");
    let built = Command::new("cc").arg("-o").arg(&filter).arg(source).status().expect("a C compiler");
    assert!(built.success(), "refuse-ptrace.c does not build");
    let mut command = Command::new(filter);
    command.arg(copy).arg(pid.to_string());
    command
}

#[test]
fn a_library_that_was_replaced_needs_root_on_the_host() {
    use tests::{
        builds::{ALL, Kind},
        tiers::Tier,
    };
    let _alone = alone();
    let upgraded = ALL.into_iter().find(|build| build.kind == Kind::DebianUpgraded).unwrap();
    let started = upgraded.start(WORKLOAD, Tier::NotInlined).unwrap();
    let pid = started.target.pid();
    let able = Who::root(Capabilities::ContainerAndPtrace);
    is_refused(
        "without the right to read a replaced file",
        able.node_flame(tests::binary::node_flame(), pid),
        &[
            "perhaps holds V8, but ",
            "/libnode.so.",
            "was deleted or replaced since it started",
            "root on the host",
        ],
    );
}
