//! Native code for tests: addons with known chains of calls, and the tools that make them.

use std::{
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
