//! Other profilers of Node, where they are installed.

use crate::dialog::Dialog;
use crate::live;
use crate::turns::send;
use rustix::process::Signal;
use std::process::Command;
use std::time::Duration;
use tests::native::Folder;
use tests::process::Target;

/// A profiler that is switched on and off while its target runs.
#[derive(Debug)]
pub struct Peer {
    dialog: Dialog,
    on: &'static str,
    off: &'static str,
}

impl Peer {
    /// `perf record` by frame pointers at 997 Hz, into a file of the folder; `None` where it is not installed or has no permission.
    pub fn perf(pid: u32, folder: &Folder) -> Option<Self> {
        let mut perf = Command::new("perf");
        perf.args(["record", "-q", "-F", "997", "--call-graph", "fp", "-D", "-1", "--control", "fd:0,1"]);
        perf.args(["-p", &pid.to_string(), "-o"]).arg(folder.file(&format!("{pid}.data")));
        let mut peer = Peer { dialog: Dialog::start(&mut perf)?, on: "enable", off: "disable" };
        peer.dialog.ask("disable").map(|_| peer)
    }

    /// The inspector's profiler at 1 kHz, over its port, which SIGUSR1 opens. The process is one of
    /// [`inspectable`].
    pub fn inspector(target: &Target) -> Option<Self> {
        send(target.pid(), Signal::USR1);
        let address = (0..500).find_map(|_| {
            std::thread::sleep(Duration::from_millis(10));
            let said = target.stderr();
            let address = said.split_whitespace().find(|word| word.starts_with("ws://127.0.0.1:"));
            address.map(str::to_owned)
        })?;
        let mut client = live::command(live::NODE, &[], "inspector.js", &[address]);
        let mut peer = Peer { dialog: Dialog::start(&mut client)?, on: "start", off: "stop" };
        peer.dialog.hear().map(|_| peer)
    }

    /// Begins to sample.
    ///
    /// # Panics
    /// When the profiler has ended.
    pub fn begin(&mut self) {
        self.dialog.ask(self.on).expect("the profiler answers");
    }

    /// Ends that, and what was sampled is there.
    ///
    /// # Panics
    /// When the profiler has ended.
    pub fn end(&mut self) {
        self.dialog.ask(self.off).expect("the profiler answers");
    }
}

/// Starts a program whose inspector opens a port of its own.
///
/// # Panics
/// When it does not start.
pub fn inspectable(program: &str, arguments: &[String]) -> Target {
    started(&["--inspect-port=0"], program, arguments)
}

/// Starts a program that profiles itself from its start, by `--cpu-prof` at 1 kHz.
///
/// # Panics
/// When it does not start.
pub fn by_flag(program: &str, arguments: &[String], folder: &Folder) -> Target {
    let into = format!("--cpu-prof-dir={}", folder.file("").display());
    started(&["--cpu-prof", "--cpu-prof-interval=1000", &into], program, arguments)
}

fn started(flags: &[&str], program: &str, arguments: &[String]) -> Target {
    live::ready(&mut live::command(live::NODE, flags, program, arguments))
}
