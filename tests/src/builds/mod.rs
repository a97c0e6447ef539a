//! Node.js as others build, change and ship it, and as it is found on hosts: made from official builds and from
//! packages of public registries, kept in the tests' cache.

mod make;
mod packages;

pub(crate) use packages::{debian_image, need, run};

use std::{
    env, fmt, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{self, Command},
    sync::atomic::{AtomicUsize, Ordering},
};

use crate::{
    matrix::{Options, Outcome, figure, in_parallel, sample_target},
    native,
    nodes::{self, cache},
    process::Target,
    stacks::Stack,
    tiers::Tier,
    verdict::{Lines, Tally},
    version::Version,
    workload::Workload,
};

/// What was done to a Node.js, or who built it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An official build whose file has another name, with a space in it.
    Renamed,
    /// An official build whose file is deleted while it runs.
    Deleted,
    /// An official build whose file is replaced by another version's while it runs.
    Replaced,
    /// An official build whose file is gone before V8 starts: V8 cannot map its builtins again and copies them.
    Unlinked,
    /// An official build that has moved its code to huge pages.
    HugePages,
    /// An official build without `.symtab`: `strip`.
    Stripped,
    /// An official build that patchelf gave a longer library path.
    Patched,
    /// A single-executable application, made with postject.
    SingleExecutable,
    /// Built on Alpine for musl, from a Python wheel; auditwheel has edited it. Runs in a root of its own.
    Musl,
    /// The same without `.symtab`, as Alpine ships its own.
    MuslStripped,
    /// Debian's package: V8 is in libnode.so. Runs in a root of its own.
    Debian,
    /// Debian's package, patchelf's longer library path in libnode.so.
    DebianPatched,
    /// Debian's package, its libnode.so replaced by another while it runs.
    DebianUpgraded,
}

/// One Node.js to profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Build {
    /// What it is.
    pub kind: Kind,
    /// Its version; of Debian's the major number alone is sure.
    pub version: Version,
}

impl fmt::Display for Build {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Renamed => "renamed",
            Kind::Deleted => "deleted",
            Kind::Replaced => "replaced",
            Kind::Unlinked => "unlinked",
            Kind::HugePages => "huge-pages",
            Kind::Stripped => "stripped",
            Kind::Patched => "patched",
            Kind::SingleExecutable => "single-executable",
            Kind::Musl => "musl",
            Kind::MuslStripped => "musl-stripped",
            Kind::Debian => "debian",
            Kind::DebianPatched => "debian-patched",
            Kind::DebianUpgraded => "debian-upgraded",
        };
        let Version { major, minor, patch } = self.version;
        match self.suite() {
            Some(_) => f.pad(&format!("{kind}-{major}")),
            None => f.pad(&format!("{kind}-{major}.{minor}.{patch}")),
        }
    }
}

/// Every build that is tested.
pub const ALL: [Build; 30] = {
    use Kind::*;
    const fn of(kind: Kind, major: u32, minor: u32, patch: u32) -> Build {
        Build { kind, version: Version::new(major, minor, patch) }
    }
    [
        of(Renamed, 22, 23, 3),
        of(Deleted, 20, 20, 2),
        of(Replaced, 24, 21, 0),
        of(Unlinked, 20, 20, 2),
        of(Unlinked, 26, 10, 0),
        of(HugePages, 16, 20, 2),
        of(HugePages, 22, 23, 3),
        of(HugePages, 24, 21, 0),
        of(Stripped, 0, 12, 18),
        of(Stripped, 12, 22, 12),
        of(Stripped, 16, 20, 2),
        of(Stripped, 18, 20, 8),
        of(Stripped, 20, 20, 2),
        of(Stripped, 22, 23, 3),
        of(Stripped, 24, 21, 0),
        of(Stripped, 26, 10, 0),
        of(Patched, 22, 23, 3),
        of(Patched, 26, 10, 0),
        of(SingleExecutable, 20, 20, 2),
        of(SingleExecutable, 22, 23, 3),
        of(SingleExecutable, 26, 10, 0),
        of(Musl, 20, 18, 0),
        of(Musl, 22, 20, 0),
        of(Musl, 24, 19, 0),
        of(MuslStripped, 20, 18, 0),
        of(MuslStripped, 24, 19, 0),
        of(Debian, 18, 20, 4),
        of(Debian, 20, 19, 2),
        of(DebianPatched, 20, 19, 2),
        of(DebianUpgraded, 18, 20, 4),
    ]
};

/// A build's process with a workload in it.
pub struct Started {
    /// The process.
    pub target: Target,
    /// What it runs, as the process sees its path.
    pub workload: Workload,
    _scratch: Option<Scratch>,
}

impl Build {
    /// The suite of Debian that this is from.
    fn suite(self) -> Option<&'static str> {
        match self.kind {
            Kind::Debian | Kind::DebianPatched | Kind::DebianUpgraded if self.version.major == 18 => {
                Some("bookworm")
            }
            Kind::Debian | Kind::DebianPatched | Kind::DebianUpgraded => Some("trixie"),
            _ => None,
        }
    }

    /// Where it is kept; what is made anew for each process is another build's.
    fn home(self) -> PathBuf {
        let kept = match self.kind {
            Kind::DebianPatched | Kind::DebianUpgraded => Build { kind: Kind::Debian, ..self },
            _ => self,
        };
        cache().join("builds").join(kept.to_string())
    }

    /// Makes it unless it is in the cache; true if it had to be made. It appears whole or not at all.
    ///
    /// # Errors
    /// What could not be fetched or made, in words.
    pub fn fetch(self) -> Result<bool, String> {
        use Kind::{Deleted, HugePages, Renamed, Replaced, Unlinked};
        if matches!(self.kind, Renamed | Deleted | Replaced | Unlinked | HugePages) {
            return nodes::fetch(self.version);
        }
        let home = self.home();
        if home.is_dir() {
            return Ok(false);
        }
        let scratch = Scratch::new()?;
        make::make(self, &scratch.0)?;
        match fs::rename(&scratch.0, &home) {
            Err(e) if !home.is_dir() => Err(format!("{}: {e}", home.display())),
            _ => Ok(true),
        }
    }

    /// The executable, as its process will see the path; in a root of its own where there is one.
    fn made(self) -> PathBuf {
        let home = self.home();
        assert!(
            home.is_dir(),
            "{} is missing; make it by `cargo run -p tests --bin fetch-nodes -- builds`",
            home.display()
        );
        home
    }

    /// Whether it can run a workload under a tier's flags.
    pub fn runs(self, workload: &str, tier: Tier) -> bool {
        let has_workload =
            Workload::load(workload, self.version).is_ok_and(|w| w.versions.contains(self.version));
        has_workload && tier.flags(self.version).is_some()
    }

    /// Starts it with a workload under a tier's flags, and waits until it says READY.
    ///
    /// # Errors
    /// What the target said instead.
    ///
    /// # Panics
    /// When the build is missing from the cache.
    pub fn start(self, workload: &str, tier: Tier) -> Result<Started, String> {
        let flags = tier.flags(self.version).ok_or_else(|| format!("{self} has no tier {tier}"))?;
        let mut workload = Workload::load(workload, self.version)?;
        let other = Version::new(18, 20, 8);
        let (target, scratch) = match self.kind {
            Kind::HugePages => {
                let mut command = Command::new(nodes::node(self.version));
                command.arg("--use-largepages=on").args(flags).arg(&workload.path);
                (Target::ready(&mut command)?, None)
            }
            Kind::Unlinked => {
                let scratch = Scratch::new()?;
                let node = scratch.copy(&nodes::node(self.version), "node")?;
                let mut command = Command::new("sh");
                command.args(["-c", "exec 3<\"$0\"; rm \"$0\"; exec /proc/self/fd/3 \"$@\""]);
                (Target::ready(command.arg(node).args(flags).arg(&workload.path))?, None)
            }
            Kind::Renamed | Kind::Deleted | Kind::Replaced => {
                let scratch = Scratch::new()?;
                let node = scratch.copy(&nodes::node(self.version), "shop server")?;
                let target = Target::ready(Command::new(&node).args(flags).arg(&workload.path))?;
                match self.kind {
                    Kind::Deleted => fs::remove_file(&node),
                    Kind::Replaced => {
                        let new = scratch.copy(&nodes::node(other), "new")?;
                        fs::rename(new, &node)
                    }
                    _ => Ok(()),
                }
                .map_err(|e| format!("{}: {e}", node.display()))?;
                (target, Some(scratch))
            }
            Kind::Stripped | Kind::Patched => {
                let node = self.made().join("node");
                (Target::ready(Command::new(node).args(flags).arg(&workload.path))?, None)
            }
            Kind::SingleExecutable => {
                let app = self.made().join("app");
                let mut command = Command::new(app);
                command.arg(&workload.path).env("APP_V8_FLAGS", flags.join(" "));
                (Target::ready(&mut command)?, None)
            }
            Kind::Musl | Kind::MuslStripped | Kind::Debian => {
                (in_root(&self.made().join("root"), self.kind, &flags, &mut workload)?, None)
            }
            Kind::DebianPatched | Kind::DebianUpgraded => {
                let scratch = Scratch::new()?;
                let root = scratch.0.join("root");
                packages::run(Command::new("cp").arg("-al").arg(self.made().join("root")).arg(&root))?;
                let library = packages::libnode(&root)?;
                if self.kind == Kind::DebianPatched {
                    let patched = scratch.copy(&library, "patched")?;
                    make::lengthen_library_path(&patched)?;
                    fs::rename(patched, &library).map_err(|e| e.to_string())?;
                }
                let target = in_root(&root, self.kind, &flags, &mut workload)?;
                if self.kind == Kind::DebianUpgraded {
                    let new = scratch.copy(&nodes::node(other), "new")?;
                    fs::rename(new, &library).map_err(|e| e.to_string())?;
                }
                (target, Some(scratch))
            }
        };
        Ok(Started { target, workload, _scratch: scratch })
    }

    /// Starts it with an addon, as [`native::calls`](crate::native::calls) does; for builds in a root of their own.
    ///
    /// # Errors
    /// What the target said instead.
    ///
    /// # Panics
    /// When the build is missing from the cache.
    pub fn calls(self, addon: &Path, modes: &[&str]) -> Result<Target, String> {
        let root = self.made().join("root");
        let folder = root.join("native");
        fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        for (from, to) in [(addon, "addon.node"), (&native::source("addon.js"), "addon.js")] {
            fs::copy(from, folder.join(to)).map_err(|e| format!("{}: {e}", from.display()))?;
        }
        let mut command = command_in_root(&root, self.kind);
        Target::ready(command.args(["/native/addon.js", "/native/addon.node"]).args(modes))
    }

    /// Profiles it with a workload and judges the stacks as [`measure`](crate::matrix::measure) does.
    ///
    /// # Errors
    /// Why there is no profile.
    ///
    /// # Panics
    /// When the build is missing from the cache.
    pub fn measure(self, workload: &str, tier: Tier, options: Options) -> Result<Outcome, String> {
        let mut started = self.start(workload, tier)?;
        let (stacks, report) = sample_target(&mut started.target, &started.workload, options)?;
        Ok(started.judge(&stacks, report, options))
    }
}

impl Started {
    fn judge(&self, stacks: &[Stack], report: String, options: Options) -> Outcome {
        Outcome {
            tally: Tally::of_stacks(&self.workload, stacks),
            lines: options.lines.then(|| Lines::of_stacks(&self.workload, stacks)),
            report,
            ..Outcome::default()
        }
    }
}

/// A build that runs a workload under a tier's flags.
pub type Cell<'w> = (Build, &'w str, Tier);

/// Measures cells, two at a time; those that miss the bar again, one at a time and with more samples. Gives a line
/// to `tell` as each ends, and what is wrong with those that fail.
pub fn measure_all(
    cells: &[Cell<'_>],
    options: Options,
    bar: f64,
    least: u64,
    tell: impl Fn(&str) + Sync,
) -> String {
    let holds = |result: &Result<Outcome, String>| {
        result.as_ref().is_ok_and(|o| o.tally.percent() >= bar && o.tally.samples >= least)
    };
    let closer = Options { seconds: options.seconds * 3.0, least: options.least * 4, ..options };
    let line = |&(build, workload, tier): &Cell<'_>, result: &Result<Outcome, String>| {
        let head = format!("{build:26} {tier:12} {workload:13}");
        match result {
            Ok(o) => format!("{head} {:>5} % of {:5} are exact", figure(o.tally.percent()), o.tally.samples),
            Err(message) => format!("{head} {message}"),
        }
    };
    let measured = in_parallel(cells, 2, |cell| {
        let result = cell.0.measure(cell.1, cell.2, options);
        tell(&line(cell, &result));
        result
    });
    let mut failures = String::new();
    for (cell, mut result) in cells.iter().zip(measured) {
        if !holds(&result) {
            result = cell.0.measure(cell.1, cell.2, closer);
            tell(&format!("{} (again)", line(cell, &result)));
        }
        if !holds(&result) {
            let details = result.as_ref().map_or_else(|_| String::new(), |o| o.tally.worst(8) + &o.report);
            failures += &format!("{}\n{details}", line(cell, &result));
        }
    }
    failures
}

/// Starts Node in a root folder and mount namespace of its own. The process is the command's own.
fn in_root(root: &Path, kind: Kind, flags: &[&str], workload: &mut Workload) -> Result<Target, String> {
    workload.enter(root)?;
    Target::ready(command_in_root(root, kind).args(flags).arg(&workload.path))
}

/// A command for its Node in that root, without arguments.
fn command_in_root(root: &Path, kind: Kind) -> Command {
    assert_root();
    let node =
        if matches!(kind, Kind::Musl | Kind::MuslStripped) { packages::MUSL_NODE } else { "/usr/bin/node" };
    let mut command = Command::new("unshare");
    command.arg("--mount").arg("--root").arg(root).arg("--mount-proc").arg(node);
    command.env_remove("NODE_EXTRA_CA_CERTS");
    command
}

/// Says plainly what is missing, where tests need to be root.
///
/// # Panics
/// Without root.
pub fn assert_root() {
    let root = fs::metadata("/proc/self").is_ok_and(|us| std::os::unix::fs::MetadataExt::uid(&us) == 0);
    assert!(root, "this test makes namespaces and changes users: it needs root");
}

/// A folder beside the builds, so that files can be linked and renamed; removed in the end.
#[derive(Debug)]
pub struct Scratch(pub PathBuf);

impl Scratch {
    /// A new folder.
    ///
    /// # Errors
    /// Why it cannot be made.
    pub fn new() -> Result<Self, String> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = cache().join(format!("builds/.scratch-{}-{number}", process::id()));
        fs::create_dir_all(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(Self(path))
    }

    /// A new folder that every user can reach.
    ///
    /// # Errors
    /// Why it cannot be made.
    pub fn for_all_users() -> Result<Self, String> {
        let path = env::temp_dir().join(format!("node-flame-test-{}", process::id()));
        fs::create_dir_all(&path)
            .and_then(|()| fs::set_permissions(&path, PermissionsExt::from_mode(0o755)))
            .map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(Self(path))
    }

    /// A copy of a program in it.
    ///
    /// # Errors
    /// Why there is none.
    pub fn copy(&self, from: &Path, name: &str) -> Result<PathBuf, String> {
        let to = self.0.join(name);
        let copied =
            fs::copy(from, &to).and_then(|_| fs::set_permissions(&to, PermissionsExt::from_mode(0o755)));
        copied.map_err(|e| format!("{}: {e}", from.display()))?;
        Ok(to)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays costs space, nothing else.
        let _ = fs::remove_dir_all(&self.0);
    }
}
