//! `ps`: the processes of this host with V8 in them, and whether each can be profiled.
//!
//! Nothing is traced. What an executable or a library holds is looked up once for each distinct file; a
//! process that has too little mapped, or whose mappings show no code of V8's size, costs a few system calls.

use crate::called::{is_node, title_or_script};
use crate::command;
use crate::message::{self, Failure};
use crate::output::Output;
use crate::target::{Files, NodeVersion, Place, place_of};
use flame_core::maps::{LEAST_V8, Maps, ModuleId, may_hold_v8};
use flame_core::v8::image::{Image, version_in};
use flame_render::listing::{self, Listed};
use flame_sys::process::{FileId, Process, pids};
use flame_sys::{Errno, attach, clock};
use std::process::ExitCode;
use std::time::Duration;

/// CPU time is taken over at least so long: a scheduler's tick takes up to 10 ms.
const WINDOW: Duration = Duration::from_millis(25);

/// A clock tick of `/proc/PID/stat`.
const TICK_NS: u64 = 10_000_000;

/// A process with V8 has more address space: with Node 0.8 to 26 it is 500 MiB and more.
const LEAST_SPACE: u64 = 64 << 20;

/// What is known of a file that holds V8.
#[derive(Default)]
struct Engine {
    /// Node's version, once a process has told it.
    node: String,
    v8: String,
    /// Why a process with it cannot be profiled.
    refusal: Option<String>,
}

/// Tables of a few dozen entries: all are searched from their start.
struct Lister {
    files: Files,
    text: Vec<u8>,
    /// Executables that hold V8 themselves, by what `stat` says of them, and their engines.
    executables: Vec<(FileId, usize)>,
    /// Large files, and their engines if they hold V8.
    holders: Vec<(Place, Option<usize>)>,
    engines: Vec<Engine>,
}

/// The engine of a process that shows nothing of its own.
const UNSEEN: usize = 0;

/// A process that is to be listed.
struct Met {
    pid: u32,
    engine: usize,
    cpu_ns: u64,
    at_ns: u64,
}

/// Writes the list.
pub fn ps(wanted: &command::Ps) -> Result<ExitCode, Failure> {
    let output = Output::open(wanted.output.as_deref())?;
    let rows = list();
    let form = if wanted.json { listing::json } else { listing::table };
    output.write(&mut |to| form(&rows, to))?;
    Ok(ExitCode::SUCCESS)
}

fn list() -> Vec<Listed> {
    let mut lister = Lister {
        files: Files::default(),
        text: Vec::new(),
        executables: Vec::new(),
        holders: Vec::new(),
        engines: vec![Engine::default()],
    };
    let (mut all, mut met, mut rows) = (Vec::new(), Vec::new(), Vec::new());
    // Without /proc there are none to be seen.
    let _ = pids(&mut all);
    all.sort_unstable();
    for pid in all {
        met.extend(lister.look(pid));
    }
    let Some(last) = met.last().map(|met| met.at_ns) else { return rows };
    let users = std::fs::read("/etc/passwd").unwrap_or_default();
    let users = String::from_utf8_lossy(&users);
    met.retain(|met| {
        let row = lister.engines.get(met.engine).and_then(|engine| row(met, engine, &users));
        let is_there = row.is_some();
        rows.extend(row);
        is_there
    });
    let passed = Duration::from_nanos(clock::monotonic_ns().saturating_sub(last));
    std::thread::sleep(WINDOW.saturating_sub(passed));
    for (row, met) in rows.iter_mut().zip(met) {
        let (cpu_ns, now) = (clock::process_cpu_ns(met.pid).unwrap_or(met.cpu_ns), clock::monotonic_ns());
        row.cpu_percent = percent(cpu_ns.saturating_sub(met.cpu_ns), now.saturating_sub(met.at_ns));
    }
    rows
}

fn percent(part: u64, whole: u64) -> f64 {
    part as f64 * 100.0 / whole.max(1) as f64
}

/// What is told of a process; `None` if it has just ended.
fn row(met: &Met, engine: &Engine, users: &str) -> Option<Listed> {
    let process = Process::open(met.pid).ok()?;
    let status = process.status().ok()?;
    let stat = process.stat().ok().flatten()?;
    let arguments = process.arguments().unwrap_or_default();
    let exe = process.exe().unwrap_or_default();
    let lived = clock::since_boot_ns().saturating_sub(stat.started_ticks.saturating_mul(TICK_NS));
    Some(Listed {
        pid: met.pid,
        inside: status.ns_pids.last().copied().filter(|_| status.ns_pids.len() > 1),
        uid: status.uid[1],
        user: name_of(status.uid[1], users).to_owned(),
        node: engine.node.clone(),
        v8: engine.v8.clone(),
        threads: stat.threads,
        cpu_percent: 0.0,
        average_percent: percent(met.cpu_ns, lived),
        refusal: match attach::check(met.pid) {
            Err(refusal) => Some(message::in_short(&refusal)),
            Ok(_) => engine.refusal.clone(),
        },
        command: title_or_script(&String::from_utf8_lossy(&arguments), &String::from_utf8_lossy(&exe)),
    })
}

/// A user's name in the text of `/etc/passwd`; empty if it has none.
fn name_of(uid: u32, users: &str) -> &str {
    let entry = users.lines().map(|line| line.split(':')).find_map(|mut fields| {
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then_some(name)
    });
    entry.unwrap_or_default()
}

impl Lister {
    /// What a process is, if it is to be listed.
    fn look(&mut self, pid: u32) -> Option<Met> {
        let process = Process::open(pid).ok()?;
        let engine = self.engine(&process)?;
        let at_ns = clock::monotonic_ns();
        Some(Met { pid, engine, cpu_ns: clock::process_cpu_ns(pid)?, at_ns })
    }

    fn engine(&mut self, process: &Process) -> Option<usize> {
        if process.virtual_size(&mut self.text).is_ok_and(|size| size < LEAST_SPACE) {
            return None;
        }
        let (id, size) = match process.exe_id() {
            Ok(exe) => exe,
            // Another user's: its name must tell.
            Err(Errno::ACCESS | Errno::PERM) => return calls_itself_node(process).then_some(UNSEEN),
            Err(_) => return None,
        };
        let known = self.executables.iter().find(|known| known.0 == id).map(|known| known.1);
        if known.is_some_and(|engine| self.is_complete(engine)) {
            return known;
        }
        process.maps(&mut self.text).ok()?;
        if size < LEAST_V8 && !may_hold_v8(&self.text) {
            return None;
        }
        let mut maps = Maps::new();
        maps.update(&self.text, &[]);
        let exe = process.exe().unwrap_or_default();
        let exe = String::from_utf8_lossy(&exe);
        for module in (0..maps.modules().len() as u16).map(ModuleId) {
            // Node's code may be in huge pages, which are no file's.
            let is_exe = maps.path(module) == exe.trim_end_matches(" (deleted)").as_bytes();
            if !is_exe && !maps.is_large(module) {
                continue;
            }
            let Some(engine) = self.holder(process, &maps, module) else { continue };
            if is_exe && known.is_none() {
                self.executables.push((id, engine));
            }
            return Some(engine);
        }
        let bare = message::bare_v8(message::program_name(&exe))?;
        self.engines.push(Engine { refusal: Some(bare.into()), ..Engine::default() });
        Some(self.engines.len() - 1)
    }

    /// Nothing more is to be learnt of it.
    fn is_complete(&self, engine: usize) -> bool {
        self.engines.get(engine).is_some_and(|engine| !engine.node.is_empty())
    }

    /// What a file that is mapped holds.
    fn holder(&mut self, process: &Process, maps: &Maps, id: ModuleId) -> Option<usize> {
        let elf = self.files.object(process, maps, id)?;
        let key = place_of(&elf);
        let known = self.holders.iter().find(|known| known.0 == key).map(|known| known.1);
        if let Some(known) = known
            && known.is_none_or(|engine| self.is_complete(engine))
        {
            return known;
        }
        let Some(version) = version_in(&elf) else {
            self.holders.push((key, None));
            return None;
        };
        let number = known.flatten().unwrap_or(self.engines.len());
        if number == self.engines.len() {
            self.holders.push((key, Some(number)));
            self.engines.push(Engine {
                node: String::new(),
                v8: version.to_string(),
                refusal: Image::of(&elf)?.err().map(|unsupported| unsupported.to_string()),
            });
        }
        let node = NodeVersion::of(&elf, maps.load_bias(id, &elf).unwrap_or(0), process.pid());
        self.engines.get_mut(number)?.node = node.read().unwrap_or_default();
        Some(number)
    }
}

fn calls_itself_node(process: &Process) -> bool {
    let arguments = process.arguments().unwrap_or_default();
    let first = arguments.split(|byte| *byte == 0).next().unwrap_or_default();
    let name = process.thread_name(process.pid()).unwrap_or_default();
    is_node(&name) || is_node(&String::from_utf8_lossy(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_named_by_the_hosts_list() {
        let users = "root:x:0:0:root:/root:/bin/sh\nbroken\nweb:x:1000:1000::/srv:/bin/false\n";
        assert_eq!(name_of(1000, users), "web");
        assert_eq!(name_of(0, users), "root");
        assert_eq!(name_of(7, users), "");
    }
}
