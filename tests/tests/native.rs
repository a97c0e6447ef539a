//! Native code has all its callers and its names, wherever it was stopped.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::SystemTime,
};

use tests::{
    binary::{node_flame, workspace},
    matrix::{alone, in_parallel, tell},
    native::{
        CHAINS, Folder, c_addon, c_addon_without_tables, callers, calls, make, need, rust_addon, source,
        stacks_of,
    },
    nodes::node,
    process::{Target, command, run},
    report::Report,
    stacks::Stack,
    version::Version,
};

const NODE_20: Version = Version::new(20, 20, 2);

#[test]
fn a_stop_anywhere_in_native_code_keeps_all_callers() {
    let _alone = alone();
    let folder = Folder::new("callers");
    let addon = folder.file("addon.node");
    c_addon(&addon);
    in_parallel(&[Version::new(16, 20, 2), NODE_20, Version::new(26, 10, 0)], 2, |&version| {
        let target = calls(version, &addon, &CHAINS.map(|(mode, _)| mode));
        let stacks = stacks_of(target.pid(), 4.0, 700);
        let told = callers(&stacks, &CHAINS.map(|(mode, _)| mode), 99.0)
            .unwrap_or_else(|e| panic!("{version}: {e}"));
        tell(&format!("{version}: {told}"));
    });
}

#[test]
fn an_object_without_unwind_tables_is_left_by_its_calls_and_frame_pointers() {
    let _alone = alone();
    need("readelf", &["binutils"]);
    let folder = Folder::new("frame-pointers");
    let addon = folder.file("addon.node");
    c_addon_without_tables(&addon);
    let sections = Command::new("readelf").args(["-SW"]).arg(&addon).output().unwrap().stdout;
    assert!(!String::from_utf8_lossy(&sections).contains("eh_frame"));
    in_parallel(&[NODE_20, Version::new(26, 10, 0)], 2, |&version| {
        // The signals' handler is met at its start, and calls a function that has no frame.
        let modes = CHAINS.map(|(mode, _)| mode);
        let target = calls(version, &addon, &modes);
        let stacks = stacks_of(target.pid(), 4.0, 700);
        let told = callers(&stacks, &modes, 99.0).unwrap_or_else(|e| panic!("{version}: {e}"));
        tell(&format!("{version}, no unwind tables: {told}"));
    });
}

#[test]
fn rust_functions_have_the_names_that_their_authors_wrote() {
    let _alone = alone();
    let folder = Folder::new("rust");
    for (mangling, chain) in [
        (
            "v0",
            [
                "addon::run",
                "addon::checkout::<addon::shop::Basket<u32>>",
                "<addon::shop::Basket<u32> as addon::shop::Price>::price",
                "addon::shop::closure_body",
            ],
        ),
        (
            "legacy",
            [
                "addon::run",
                "addon::checkout",
                "<addon::shop::Basket<T> as addon::shop::Price>::price",
                "addon::shop::closure_body",
            ],
        ),
    ] {
        // The crate has the file's name, and that is in its symbols.
        let addon = folder.file(&format!("{mangling}.node"));
        rust_addon(&addon, mangling);
        let target = calls(NODE_20, &addon, &["-"]);
        let stacks = stacks_of(target.pid(), 1.0, 300);
        let chain: Vec<String> = chain.iter().map(|name| format!("{name}:[native]")).collect();
        let with_chain = |stack: &&Stack| stack.frames.windows(chain.len()).any(|frames| frames == chain);
        let count: u64 = stacks.iter().filter(with_chain).map(|stack| stack.count).sum();
        let all: u64 = stacks.iter().map(|stack| stack.count).sum();
        assert!(count * 10 > all * 8 && all > 20, "{mangling}: {count} of {all}: {stacks:?}");
    }
}

/// Samples with a function of the addon by name, with a place in it by offset alone (stubs of its PLT have no name in
/// any file), and all.
fn named(target: &Target, addon: &Path) -> (u64, u64, u64) {
    let stacks = stacks_of(target.pid(), 0.7, 300);
    let place = format!(" in {}]:[native]", addon.display());
    let count = |has: &dyn Fn(&str) -> bool| {
        let with = stacks.iter().filter(|stack| stack.frames.iter().any(|label| has(label)));
        with.map(|stack| stack.count).sum::<u64>()
    };
    (
        count(&|label| label == "work_memcpy:[native]"),
        count(&|label| label.ends_with(&place)),
        count(&|_| true),
    )
}

#[test]
fn a_stripped_object_has_its_names_from_its_debug_file() {
    let _alone = alone();
    need("objcopy", &["binutils"]);
    need("unshare", &["util-linux"]);
    let folder = Folder::new("debug-files");
    let whole = folder.file("whole.node");
    c_addon(&whole);
    let (addon, debug) = (folder.file("addon.node"), folder.file("addon.debug"));
    make(Command::new("objcopy").arg("--only-keep-debug").args([&whole, &debug]));
    make(Command::new("strip").arg("-o").args([&addon, &whole]));
    let start = || calls(NODE_20, &addon, &["memcpy"]);

    let (named_ones, by_offset, all) = named(&start(), &addon);
    assert!(named_ones == 0 && by_offset * 10 > all * 8 && all > 20, "{named_ones} {by_offset} {all}");

    // By its name in the object, beside that.
    let linked = folder.file("linked.node");
    let link = format!("--add-gnu-debuglink={}", debug.display());
    make(Command::new("objcopy").arg(link).args([&addon, &linked]));
    let target = calls(NODE_20, &linked, &["memcpy"]);
    let (named_ones, by_offset, all) = named(&target, &linked);
    assert!(by_offset * 20 < all && named_ones * 10 > all * 8 && all > 20, "{named_ones} {by_offset} {all}");

    // Another build's file of that name is not believed: its checksum and its build-id differ.
    fs::write(&debug, fs::read(&whole).unwrap().split_last().unwrap().1).unwrap();
    make(Command::new("objcopy").arg("--remove-section=.note.gnu.build-id").args([&linked, &linked]));
    let target = calls(NODE_20, &linked, &["memcpy"]);
    let (named_ones, _, all) = named(&target, &linked);
    assert!(named_ones == 0 && all > 20, "{named_ones} {all}");
    make(Command::new("objcopy").arg("--only-keep-debug").args([&whole, &debug]));

    // By its build-id, below the root of debug files as the target alone sees it.
    let notes = Command::new("readelf").arg("-n").arg(&addon).output().unwrap().stdout;
    let notes = String::from_utf8(notes).unwrap();
    let id = notes.split("Build ID: ").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap();
    let root = folder.file("root");
    fs::create_dir_all(root.join(".build-id").join(&id[..2])).unwrap();
    fs::rename(&debug, root.join(".build-id").join(&id[..2]).join(format!("{}.debug", &id[2..]))).unwrap();
    let script = "mount --bind \"$1\" /usr/lib/debug && shift && exec \"$@\"";
    let target = Target::ready(
        Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"])
            .args([&root, &node(NODE_20), &source("addon.js"), &addon])
            .arg("memcpy"),
    );
    let target = target.unwrap_or_else(|e| panic!("{e}"));
    let (named_ones, by_offset, all) = named(&target, &addon);
    assert!(by_offset * 20 < all && named_ones * 10 > all * 8 && all > 20, "{named_ones} {by_offset} {all}");
}

/// Whether a label stands in a stack below (nearer to the leaf than) another.
fn has_pair(stack: &Stack, above: &str, below: &str) -> bool {
    stack.frames.windows(2).any(|pair| pair[0] == above && pair[1] == below)
}

#[test]
fn webassembly_and_regular_expressions_are_named() {
    let _alone = alone();
    let versions = [(18, 20, 8), (20, 20, 2), (22, 23, 3), (24, 21, 0), (26, 10, 0)];
    in_parallel(&versions, 2, |&(major, minor, patch)| {
        let version = Version::new(major, minor, patch);
        let target = Target::ready(Command::new(node(version)).arg(source("wasm.js"))).unwrap();
        let stacks = stacks_of(target.pid(), 2.0, 400);
        let count = |has: &dyn Fn(&Stack) -> bool| {
            stacks.iter().filter(|stack| has(stack)).map(|stack| stack.count).sum::<u64>()
        };
        let is_wasm = |label: &String| label.ends_with("[wasm]");
        let all = count(&|stack| stack.frames.last().is_some_and(is_wasm));
        let named = count(&|stack| has_pair(stack, "hot:[wasm]", "inner:[wasm]"));
        let numbered = count(&|stack| has_pair(stack, "hot:[wasm]", "wasm-function[2]:[wasm]"));
        let is_match = |label: &String| label.starts_with("match:");
        let regexp = count(&|stack| {
            let at = stack.frames.iter().position(is_match).unwrap_or(stack.frames.len());
            stack.frames[at..].last().is_some_and(|label| label == "[regexp]")
        });
        tell(&format!("{version}: {all} in WebAssembly, {named} and {numbered} told; {regexp} in a regexp"));
        assert!(named > 20 && numbered > 20 && regexp > 20, "{version}: {stacks:?}");
        let script = count(&|stack| stack.frames.iter().any(|label| label.contains("wasm://")));
        assert_eq!(script, 0, "{version}: what calls WebAssembly is no function of a script: {stacks:?}");
        assert!((named + numbered) * 100 >= all * 97, "{version}: {named} + {numbered} of {all}: {stacks:?}");
    });
}

#[test]
fn webassembly_that_may_be_suspended_is_called_by_what_entered_or_resumed_it() {
    let _alone = alone();
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs/jspi.js");
    for version in [Version::new(25, 9, 0), Version::new(26, 10, 0)] {
        let target = Target::ready(Command::new(node(version)).arg(&program)).unwrap();
        let stacks = stacks_of(target.pid(), 3.0, 400);
        let has = |stack: &Stack, label: &str| stack.frames.iter().any(|frame| frame.starts_with(label));
        let count = |has: &dyn Fn(&Stack) -> bool| {
            stacks.iter().filter(|stack| has(stack)).map(|stack| stack.count).sum::<u64>()
        };
        let wasm = "wasm-function[2]:[wasm]";
        let entered = count(&|stack| {
            has_pair(stack, "WasmReturnPromiseOnSuspendAsm:[builtin]", wasm)
                && has(stack, "enter:")
                && has(stack, "spin:")
        });
        let resumed = count(&|stack| has(stack, "WasmResume:") && has(stack, wasm) && has(stack, "spin:"));
        let works =
            count(&|stack| has(stack, "WasmResume:") && stack.frames.last().is_some_and(|last| last == wasm));
        let cut = count(&|stack| (has(stack, "spin:") || has(stack, wasm)) && !has(stack, "_start:"));
        tell(&format!("{version}: {entered} entered, {resumed} and {works} resumed, {cut} cut"));
        assert!(entered > 100 && resumed > 100 && works > 100, "{version}: {stacks:?}");
        assert!(cut * 100 <= entered + resumed + works, "{version}: {stacks:?}");
    }
}

/// The shares of V8's activities as `text` gives them, and the whole profile.
fn activities(version: Version, work: &str) -> (BTreeMap<String, f64>, String) {
    let (_, shares, text) = activities_of(version, work, &[]);
    (shares, text)
}

fn activities_of(version: Version, work: &str, flags: &[&str]) -> (Target, BTreeMap<String, f64>, String) {
    let mut node = Command::new(node(version));
    node.arg("--allow-natives-syntax").args(flags).arg(source("busy-v8.js")).arg(work);
    let target = Target::ready(&mut node).unwrap();
    let pid = target.pid().to_string();
    let ended = run(
        &mut command(node_flame(), &[&pid, "text", "2", "--rate", "300"]),
        std::time::Duration::from_secs(60),
    );
    assert!(ended.ok(), "{}", ended.stderr);
    let text = format!("{}{}", ended.stdout, ended.stderr);
    let line = text.lines().find(|line| line.contains(" %, ") && line.contains("JavaScript"));
    let part = |part: &str| {
        let (name, share) = part.trim_end_matches(" %").rsplit_once(' ')?;
        Some((name.to_owned(), share.parse().ok()?))
    };
    (target, line.unwrap_or_default().split(", ").filter_map(part).collect(), text)
}

/// What a busy program measured of its collections: milliseconds in them, and at what time it told so.
fn collections(target: &Target) -> Vec<(f64, f64)> {
    let text = target.stdout();
    let told = text.lines().filter_map(|line| line.strip_prefix("GC ")?.split_once(' '));
    told.filter_map(|(in_gc, at)| Some((in_gc.parse().ok()?, at.parse().ok()?))).collect()
}

/// Samples below the functions of a text tree whose name begins like one of these.
fn samples_in(tree: &str, names: &[&str]) -> u64 {
    let is_one = |label: &str| names.iter().any(|name| label.starts_with(name));
    let (mut sum, mut inside) = (0, usize::MAX);
    for line in tree.lines() {
        let label = line.trim_start();
        let depth = line.len() - label.len();
        if depth <= inside {
            inside = usize::MAX;
            if let Some((count, _)) = label.split_once(' ').filter(|(_, label)| is_one(label)) {
                sum += count.parse::<u64>().expect("a count");
                inside = depth;
            }
        }
    }
    sum
}

/// Shares of time in percent.
struct Collecting {
    /// In collections, as samples have it, at least and at most.
    sampled: (f64, f64),
    /// As V8 measured them.
    told: f64,
    /// Samples in collections, and those that count as garbage collection.
    in_collections: f64,
    counted: f64,
    /// Samples in collections and in what allocates beside them, which sweeps.
    in_memory: f64,
}

const COLLECTION: &str = "v8::internal::Heap::CollectGarbage";

/// What sweeps, or calls what does.
const SWEEPING: [&str; 3] = [
    "v8::internal::Sweeper::",
    "v8::internal::MainAllocator::AllocateRawSlow",
    "v8::internal::Heap::AllocateRaw",
];

fn shares_of_collection(version: Version) -> Collecting {
    // Else its main thread waits for others in collections, which is no sample; and collects a little at each
    // allocation, which is no entry.
    let flags = ["--single-threaded", "--v8-pool-size=0", "--no-incremental-marking"];
    let (target, shares, text) = activities_of(version, "gc", &flags);
    let told = collections(&target);
    let (last_gc, last) = told[told.len() - 1];
    let (first_gc, first) = *told.iter().find(|told| told.1 > last - 2000.0).expect("it is one of them");
    // It may still wait for other threads, in collections or not. Where it waited for a CPU is all the same: that
    // stretches both.
    let report = Report::parse(&text).expect("a report");
    let (taken, waited) = (report.taken as f64, (report.idle - report.starved) as f64);
    let in_collections = samples_in(&text, &[COLLECTION]) as f64;
    let in_memory = samples_in(&text, &[&[COLLECTION], &SWEEPING[..]].concat()) as f64;
    let share = |part: f64, of: f64| part * 100.0 / of;
    Collecting {
        sampled: (share(in_collections, taken + waited), share(in_collections + waited, taken + waited)),
        told: (last_gc - first_gc) * 100.0 / (last - first),
        in_collections: share(in_collections, taken),
        counted: shares.get("GC").copied().unwrap_or(0.0),
        in_memory: share(in_memory, taken),
    }
}

#[test]
fn the_share_of_garbage_collection_is_what_v8_says_of_itself() {
    let _alone = alone();
    for version in [Version::new(16, 20, 2), NODE_20, Version::new(26, 10, 0)] {
        // Node tells its entries some time later, on a busy machine much later.
        let holds = (0..4).any(|_| {
            let Collecting { sampled: (least, most), told, in_collections, counted, in_memory } =
                shares_of_collection(version);
            tell(&format!(
                "{version}: {least:.1} to {most:.1} % of the ticks in collections, {told:.1} % of the time by \
                 PerformanceObserver; {counted:.1} % are GC, of {in_memory:.1} % with sweeping between them"
            ));
            assert!(counted >= in_collections - 1.5, "{version}: a collection that does not count as one");
            assert!(counted <= in_memory + 1.5, "{version}: what is no collection counts as one");
            // With more ticks of either kind it says little. Most are in the first second, while memory is new.
            most - least < 15.0 && least - 5.0 <= told && told <= most + 5.0
        });
        assert!(holds, "{version}: what V8 says is none of it");
    }
}

#[test]
fn what_v8_is_doing_is_told() {
    let _alone = alone();
    in_parallel(&[Version::new(16, 20, 2), NODE_20, Version::new(26, 10, 0)], 2, |&version| {
        let share = |work: &str, activity: &str| {
            let (shares, text) = activities(version, work);
            tell(&format!("{version} {work}: {shares:?}"));
            assert!(shares.get(activity).copied().unwrap_or(0.0) >= 4.0, "{version} {work}: {text}");
        };
        share("gc", "GC");
        share("compile", "compile");
        let (_, text) = activities(version, "miss");
        assert!(text.contains("IC_Miss:[native]"), "{version}: {text}");
        let (_, text) = activities(version, "deopt");
        let count = |label: &str| {
            let lines = text.lines().filter(|line| line.contains(label));
            let numbers = lines.filter_map(|line| line.split(' ').find_map(|word| word.parse::<u64>().ok()));
            numbers.max().unwrap_or(0)
        };
        // V8 takes the stack apart there, so that callers are not always to be found.
        let (all, of_deopts) = (count("Total samples: "), count("Deoptimizer::"));
        tell(&format!("{version} deopt: {of_deopts} of {all} samples in one function of the deoptimizer"));
        assert!(of_deopts * 20 >= all && all > 50, "{version}: {text}");
    });
}

/// When something in a folder was changed last.
fn last_change(folder: &Path) -> SystemTime {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let times = entries.map(|path| {
        if path.is_dir() { last_change(&path) } else { path.metadata().unwrap().modified().unwrap() }
    });
    times.max().unwrap_or(SystemTime::UNIX_EPOCH)
}

/// The example of `sys` that walks a stack beside gdb. Tests of the whole workspace have it built, into the directory
/// beside theirs; else, or where its sources are newer, it is built here.
fn beside_gdb() -> PathBuf {
    let this = std::env::current_exe().unwrap();
    let example = this.ancestors().nth(2).unwrap().join("examples/beside_gdb");
    let built = example.metadata().and_then(|file| file.modified());
    let sources =
        ["core/src", "sys/src", "sys/examples"].map(|folder| last_change(&workspace().join(folder)));
    if !built.is_ok_and(|built| sources.iter().all(|changed| *changed < built)) {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.args([
            "build",
            "--quiet",
            "--profile",
            "checked",
            "-p",
            "flame-sys",
            "--example",
            "beside_gdb",
        ]);
        make(build.current_dir(workspace()));
    }
    example
}

#[test]
fn whole_stacks_are_those_of_gdb() {
    let _alone = alone();
    need("gdb", &["gdb"]);
    let target = Target::ready(Command::new(node(Version::new(26, 10, 0))).arg(source("busy.js"))).unwrap();
    let mut gdb = Command::new("gdb");
    gdb.args(["-batch", "-nx", "-x"]).arg(source("whole.py"));
    gdb.env("HELPER", beside_gdb()).env("PID", target.pid().to_string()).env("STOPS", "12");
    let ended = run(&mut gdb, std::time::Duration::from_secs(300));
    let last = ended.stdout.lines().find(|line| line.contains("whole stacks are the same"));
    tell(last.unwrap_or_default());
    assert!(ended.ok() && last.is_some(), "{}{}", ended.stdout, ended.stderr);
}
