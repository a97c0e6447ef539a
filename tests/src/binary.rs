//! The node-flame binary under test.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// The workspace's folder.
pub fn workspace() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The release binary of node-flame, built on the first call (cargo's own lock keeps parallel builds apart).
/// `$NODE_FLAME_BIN` names another one to test.
///
/// # Panics
/// When it does not build.
pub fn node_flame() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| env::var_os("NODE_FLAME_BIN").map_or_else(build, PathBuf::from))
}

fn build() -> PathBuf {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let target = format!("{}-unknown-linux-musl", env::consts::ARCH);
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--release", "--package", "node-flame", "--target", &target])
        .current_dir(workspace())
        .status()
        .unwrap_or_else(|e| panic!("cargo cannot be run: {e}"));
    assert!(status.success(), "node-flame does not build: {status}");
    let folder = env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from);
    folder.join(target).join("release/node-flame")
}
