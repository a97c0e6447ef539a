//! Native code for tests: addons with known chains of calls, and the tools that make them.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{self, Command},
    time::Duration,
};

use crate::{
    binary::{node_flame, workspace},
    nodes::node,
    process::{Target, command, run},
    stacks::{Stack, folded},
    version::Version,
};

/// Makes sure that a program is there: as root on Debian it is installed, with the packages given.
///
/// # Panics
/// When it is not there and cannot be installed; the message says what to install.
pub fn need(program: &str, packages: &[&str]) {
    let script = workspace().join("tests/install");
    let ended = run(command(script, &[program]).args(packages), Duration::from_secs(300));
    assert!(ended.ok(), "{}", ended.stderr);
}

/// Runs a command that makes something.
///
/// # Panics
/// When it fails; the message holds what it wrote.
pub fn make(command: &mut Command) {
    let ended = run(command, Duration::from_secs(120));
    assert!(ended.ok(), "{command:?}: {}{}", ended.stdout, ended.stderr);
}

/// A folder of a test's own; removed on drop.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// A new folder.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("node-flame-{name}-{}", process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        Self(path)
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Left-over files cost space, nothing else.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A file of `tests/native`.
pub fn source(name: &str) -> PathBuf {
    workspace().join("tests/native").join(name)
}

/// Compiles the addon in C, without frame pointers, its calls bound when they are first made.
pub fn c_addon(into: &Path) {
    need("cc", &["gcc", "libc6-dev"]);
    let flags =
        ["-shared", "-fPIC", "-O2", "-fomit-frame-pointer", "-Wall", "-Wextra", "-Werror", "-Wl,-z,lazy"];
    make(Command::new("cc").args(flags).arg("-o").arg(into).arg(source("addon.c")));
}

/// Compiles the same with frame pointers, and without a table that tells how to unwind it.
pub fn c_addon_without_tables(into: &Path) {
    need("cc", &["gcc", "libc6-dev"]);
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-O2", "-fno-omit-frame-pointer", "-Wall", "-Wextra", "-Werror"]);
    cc.args(["-fno-asynchronous-unwind-tables", "-fno-unwind-tables"]);
    // Nor one for what the compiler and the linker add.
    cc.args(["-nostartfiles", "-Wl,--no-eh-frame-hdr", "-Wl,--no-ld-generated-unwind-info", "-Wl,-z,lazy"]);
    make(cc.arg("-o").arg(into).arg(source("addon.c")));
}

/// Compiles the addon in C as for any C library: it names none, and uses that of its process.
pub fn c_addon_of_any_libc(into: &Path) {
    need("cc", &["gcc", "libc6-dev"]);
    let mut cc = Command::new("cc");
    cc.args([
        "-shared",
        "-fPIC",
        "-O2",
        "-fomit-frame-pointer",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-Wl,-z,lazy",
    ]);
    make(cc.args(["-nostdlib", "-fno-stack-protector"]).arg("-o").arg(into).arg(source("addon.c")));
}

/// Compiles the addon in Rust, with symbols of this form: `v0` or `legacy`.
pub fn rust_addon(into: &Path, mangling: &str) {
    need("cc", &["gcc", "libc6-dev"]);
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    make(
        Command::new("rustc")
            .args(["--edition", "2024", "--crate-type", "cdylib", "-O", "-Z", "unstable-options"])
            .args(["--target", &target, "-C", &format!("symbol-mangling-version={mangling}"), "-o"])
            .arg(into)
            .arg(source("addon.rs"))
            // The older form is for those who ask for unstable options.
            .env("RUSTC_BOOTSTRAP", "1")
            .current_dir(workspace()),
    );
}

/// A Node process that calls an addon's `run` in these modes, in turn and for ever.
///
/// # Panics
/// When it does not start.
pub fn calls(version: Version, addon: &Path, modes: &[&str]) -> Target {
    Target::ready(Command::new(node(version)).arg(source("addon.js")).arg(addon).args(modes))
        .unwrap_or_else(|e| panic!("{e}"))
}

/// Profiles a process and gives its stacks.
///
/// # Panics
/// When node-flame fails.
pub fn stacks_of(pid: u32, seconds: f64, rate: u32) -> Vec<Stack> {
    let (pid, seconds, rate) = (pid.to_string(), seconds.to_string(), rate.to_string());
    let ended = run(
        &mut command(node_flame(), &[&pid, "folded", &seconds, "--rate", &rate]),
        Duration::from_secs(60),
    );
    assert!(ended.ok(), "{}", ended.stderr);
    folded(&ended.stdout).unwrap_or_else(|e| panic!("{e}"))
}

/// What the addon in C does below `run`, `outer` and `middle`, by its mode.
pub const CHAINS: [(&str, &[&str]); 9] = [
    ("memcpy", &["work_memcpy"]),
    ("malloc", &["work_malloc"]),
    ("epoll", &["work_epoll"]),
    ("futex", &["work_futex"]),
    ("clock", &["work_clock"]),
    ("table", &["work_table", "through_table"]),
    ("edges", &["work_edges", "edge_1", "edge_2", "edge_3"]),
    ("signal", &["work_signal", "signals", "handler", "in_handler"]),
    ("other_stack", &["work_other_stack", "signals", "handler", "in_handler"]),
];

/// The addon's own functions in a stack, below JavaScript's `turn`.
fn own<'s>(stack: &'s Stack, names: &[&str]) -> Vec<&'s str> {
    let below_turn = stack.frames.iter().skip_while(|label| !label.starts_with("turn:"));
    below_turn
        .filter_map(|label| label.strip_suffix(":[native]").filter(|name| names.contains(name)))
        .collect()
}

/// What is above each mode's own functions.
const ABOVE: [&str; 3] = ["run", "outer", "middle"];

/// Samples of an addon in C whose chain of own functions is one that can be, in percent; and how often each
/// function was met in one.
///
/// All time passes in a mode's functions: a stack that ends before those has lost them, unless it was taken in one of
/// the few instructions of the functions above.
fn exact(stacks: &[Stack]) -> (f64, BTreeMap<&str, u64>, String) {
    let chains = CHAINS.map(|(_, chain)| [&ABOVE, chain].concat());
    let names: Vec<&str> = chains.iter().flatten().copied().collect();
    let (mut all, mut exact, mut met, mut wrong) = (0, 0, BTreeMap::new(), String::new());
    for stack in stacks {
        let found = own(stack, &names);
        let is_whole = stack.frames.iter().any(|label| label.starts_with("turns:"));
        let is_elided = stack.frames.iter().any(|label| label == "[frames elided]");
        all += stack.count;
        let is_leaf =
            |name: &str| stack.frames.last().is_some_and(|leaf| leaf.strip_suffix(":[native]") == Some(name));
        let reaches_mode = found.len() > ABOVE.len() || found.last().is_some_and(|last| is_leaf(last));
        let is_exact = reaches_mode && chains.iter().any(|chain| chain.starts_with(&found));
        if is_whole && !is_elided && is_exact {
            exact += stack.count;
            for name in found {
                *met.entry(name).or_default() += stack.count;
            }
        } else {
            wrong += &format!("{} {}\n", stack.count, stack.frames.join(";"));
        }
    }
    (exact as f64 * 100.0 / f64::from(u32::try_from(all).unwrap_or(u32::MAX).max(1)), met, wrong)
}

/// Holds samples of the addon in C, which did all of these, against its chains: what came of it, in words.
///
/// # Errors
/// What is wrong, where fewer than so many percent are exact or a function was hardly met.
pub fn callers(stacks: &[Stack], modes: &[&str], least: f64) -> Result<String, String> {
    let (share, met, wrong) = exact(stacks);
    let told = format!("{share:.2} % have all callers; {met:?}");
    if share < least {
        return Err(format!("{told}\n{wrong}"));
    }
    for (mode, chain) in CHAINS.iter().filter(|(mode, _)| modes.contains(mode)) {
        let least = chain.iter().map(|name| met.get(name).copied().unwrap_or(0)).min();
        if least < Some(3) {
            return Err(format!("{mode} was not met: {told}"));
        }
    }
    Ok(told)
}
