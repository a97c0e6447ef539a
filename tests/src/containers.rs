//! Containers without a container engine: namespaces, an overlay root, users and capabilities, by util-linux.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    binary::node_flame,
    builds::{self, Scratch, assert_root},
    nodes,
    process::Target,
    version::Version,
    workload::Workload,
};

/// The Node that runs in containers.
pub const NODE: Version = Version::new(22, 23, 3);

/// The workload that runs in them.
pub const WORKLOAD: &str = "nested.js";

/// What a process may do beyond what its user may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capabilities {
    /// All: root on a host, or in a privileged container.
    All,
    /// All but the one to trace.
    AllButPtrace,
    /// What container engines leave to root.
    Container,
    /// The same after `--cap-add SYS_PTRACE`.
    ContainerAndPtrace,
    /// None.
    None,
}

impl Capabilities {
    /// As `setpriv --bounding-set` takes them.
    fn set(self) -> String {
        const CONTAINER: &str = "-all,+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,+setpcap,\
                                 +net_bind_service,+net_raw,+sys_chroot,+mknod,+audit_write,+setfcap";
        match self {
            Self::All => "+all".into(),
            Self::AllButPtrace => "-sys_ptrace".into(),
            Self::Container => CONTAINER.into(),
            Self::ContainerAndPtrace => format!("{CONTAINER},+sys_ptrace"),
            Self::None => "-all".into(),
        }
    }
}

/// Who runs a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Who {
    /// User.
    pub user: u32,
    /// Group.
    pub group: u32,
    /// Capabilities, of root. Other users have none.
    pub capabilities: Capabilities,
}

impl Who {
    /// Root with some capabilities.
    pub const fn root(capabilities: Capabilities) -> Self {
        Self { user: 0, group: 0, capabilities }
    }

    /// Another user, with a group of the same number.
    pub const fn user(user: u32) -> Self {
        Self { user, group: user, capabilities: Capabilities::None }
    }

    /// The beginning of a command that runs a program as this one.
    pub fn words(self) -> Vec<String> {
        let mut words = vec!["setpriv".to_owned(), "--inh-caps=-all".into()];
        if self.capabilities != Capabilities::All {
            words.push(format!("--bounding-set={}", self.capabilities.set()));
        }
        if (self.user, self.group) != (0, 0) {
            words.extend([format!("--reuid={}", self.user), format!("--regid={}", self.group)]);
            words.push("--clear-groups".into());
        }
        words
    }

    /// A command for node-flame on a process of this host, as this one.
    pub fn node_flame(self, copy: &Path, pid: u32) -> Command {
        let words = self.words();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).arg(copy).arg(pid.to_string());
        command
    }
}

/// A running container whose only process is Node.
pub struct Container {
    /// The workload, as the container sees its path.
    pub workload: Workload,
    /// Node's process id on this host.
    pub pid: u32,
    _engine: Target,
    scratch: Scratch,
}

/// What the process in a container is.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Who runs it.
    pub who: Who,
    /// It has a user namespace of its own.
    pub user_namespace: bool,
    /// It gives up root for user 1000 itself, as servers do that want a low port.
    pub drops_root: bool,
}

impl From<Who> for Setting {
    fn from(who: Who) -> Self {
        Self { who, user_namespace: false, drops_root: false }
    }
}

/// The root folder of the image that containers are of: Debian, without Node.
fn image() -> PathBuf {
    nodes::cache().join("builds/image")
}

/// Makes the image unless it is in the cache; true if it had to be made.
///
/// # Errors
/// What could not be fetched, in words.
pub fn fetch() -> Result<bool, String> {
    nodes::fetch(NODE)?;
    builds::need("cc", "build-essential")?;
    if image().is_dir() {
        return Ok(false);
    }
    let scratch = Scratch::new()?;
    builds::debian_image(&scratch.0)?;
    match fs::rename(&scratch.0, image()) {
        Err(e) if !image().is_dir() => Err(e.to_string()),
        _ => Ok(true),
    }
}

/// Puts Node, node-flame and programs for it into a folder.
fn fill(folder: &Path) -> Result<Workload, String> {
    let mut workload = Workload::load(WORKLOAD, NODE)?;
    workload.enter(folder)?;
    let drops = "process.setgid(1000); process.setuid(1000);";
    fs::hard_link(nodes::node(NODE), folder.join("node"))
        .and_then(|()| fs::copy(node_flame(), folder.join("node-flame")))
        .and_then(|_| fs::write(folder.join("drop-root.js"), drops))
        .map_err(|e| format!("{}: {e}", folder.display()))?;
    Ok(workload)
}

/// Makes a folder a root with the image's programs and those of [`Container`]s.
///
/// # Errors
/// Why it cannot be one.
///
/// # Panics
/// Without root, and when the image is missing from the cache.
pub fn root(folder: &Path) -> Result<Workload, String> {
    assert_image();
    builds::run(Command::new("cp").arg("-al").arg(image().join(".")).arg(folder))?;
    fill(folder)
}

fn assert_image() {
    assert_root();
    assert!(
        image().is_dir(),
        "{} is missing; make it by `cargo run -p tests --bin fetch-nodes -- builds`",
        image().display()
    );
}

impl Container {
    /// Starts one and waits until its workload says READY.
    ///
    /// # Errors
    /// What was said instead.
    ///
    /// # Panics
    /// Without root, and when the image is missing from the cache.
    pub fn start(setting: impl Into<Setting>) -> Result<Self, String> {
        let setting = setting.into();
        assert_image();
        let scratch = Scratch::new()?;
        let (layer, folder) = (scratch.0.join("layer"), scratch.0.join("mount"));
        let workload = fill(&layer)?;
        fs::create_dir_all(&folder).map_err(|e| e.to_string())?;
        let layers = format!("{}:{}", layer.display(), image().display());
        let mut command = Command::new("unshare");
        command.args(["--mount", "--pid", "--fork", "--kill-child"]);
        if setting.user_namespace {
            command.args(["--user", "--map-root-user"]);
        }
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("containers/start")).arg(&folder).arg(layers);
        command.args(setting.who.words()).arg("/node").arg("--noturbo-inlining").arg("--no-maglev-inlining");
        if setting.drops_root {
            command.args(["--require", "/drop-root.js"]);
        }
        let engine = Target::ready(command.arg(&workload.path).env_remove("NODE_EXTRA_CA_CERTS"))?;
        let child = format!("/proc/{0}/task/{0}/children", engine.pid());
        let pid = fs::read_to_string(child).ok().and_then(|pids| pids.trim().parse().ok());
        let pid = pid.ok_or("the container has no process")?;
        Ok(Self { workload, pid, _engine: engine, scratch })
    }

    /// A command for node-flame inside the container, as `docker exec` starts it.
    pub fn node_flame(&self, who: Who) -> Command {
        let mut command = self.enter();
        command.args(["--mount", "--root", "--wdns=/"]).args(who.words()).args(["/node-flame", "1"]);
        command
    }

    /// A command for node-flame in another container of the same pod: its processes are seen, its files are not.
    pub fn node_flame_beside(&self, who: Who) -> Command {
        let mut command = self.enter();
        command.args(["unshare", "--mount", "--root"]).arg(self.beside()).arg("--mount-proc");
        command.args(who.words()).args(["/node-flame", "1"]);
        command
    }

    fn enter(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.arg("--target").arg(self.pid.to_string()).arg("--pid");
        command
    }

    /// A root with the image's programs and node-flame, but without Node.
    fn beside(&self) -> PathBuf {
        let root = self.scratch.0.join("beside");
        if !root.is_dir() {
            let copied = Command::new("cp").arg("-al").arg(image()).arg(&root).status();
            assert!(copied.is_ok_and(|status| status.success()), "{}", root.display());
            fs::copy(node_flame(), root.join("node-flame")).expect("node-flame can be copied");
        }
        root
    }

    /// A copy of node-flame that every user of the host can run.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn for_all_users(scratch: &Path) -> PathBuf {
        let copy = scratch.join("node-flame");
        fs::copy(node_flame(), &copy).expect("node-flame can be copied");
        fs::set_permissions(&copy, PermissionsExt::from_mode(0o755)).expect("a file of our own");
        copy
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // A change of user has made Node forget that it is to die with its parent.
        let _ = Command::new("kill").args(["-9", &self.pid.to_string()]).status();
    }
}
