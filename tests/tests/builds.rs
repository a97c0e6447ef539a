//! node-flame names exactly the stated call chains on every build of Node.js: other C libraries, distributions'
//! packages, files that tools have edited, and files that are no longer where they were.

use std::{fs, path::Path, process::Command, time::Duration};

use tests::{
    binary::node_flame,
    builds::{self, ALL, Build, Kind, Scratch},
    matrix::{Options, alone, in_parallel, tell},
    native::{CHAINS, Folder, c_addon_of_any_libc, callers, stacks_of},
    process::{Running, command, run},
    tiers::Tier,
};

/// Least share of exact samples, in percent.
const BAR: f64 = 99.0;

/// Least samples with the workload's file in a cell.
const SAMPLES: u64 = 150;

#[test]
fn every_build_shows_exact_chains() {
    let _alone = alone();
    let runs = [("nested.js", Tier::NotInlined), ("callbacks.js", Tier::Unoptimized)];
    let cells: Vec<_> =
        ALL.iter().flat_map(|&build| runs.map(|(workload, tier)| (build, workload, tier))).collect();
    let failures = builds::measure_all(&cells, Options::default(), BAR, SAMPLES, tell);
    assert!(failures.is_empty(), "{failures}");
}

#[test]
fn native_code_has_all_its_callers_beside_another_c_library() {
    let _alone = alone();
    let folder = Folder::new("any-libc");
    let addon = folder.file("addon.node");
    c_addon_of_any_libc(&addon);
    let is_other = |build: &&Build| matches!(build.kind, Kind::Musl | Kind::MuslStripped | Kind::Debian);
    let builds: Vec<&Build> = ALL.iter().filter(is_other).collect();
    in_parallel(&builds, 2, |build| {
        let target =
            build.calls(&addon, &CHAINS.map(|(mode, _)| mode)).unwrap_or_else(|e| panic!("{build}: {e}"));
        let stacks = stacks_of(target.pid(), 4.0, 700);
        let told =
            callers(&stacks, &CHAINS.map(|(mode, _)| mode), BAR).unwrap_or_else(|e| panic!("{build}: {e}"));
        tell(&format!("{build}: {told}"));
    });
}

#[test]
fn builtins_without_names_are_told_as_what_they_are() {
    let _alone = alone();
    let is_one = |build: &&Build| build.kind == Kind::Stripped && build.version.major >= 16;
    let builds: Vec<&Build> = ALL.iter().filter(is_one).collect();
    in_parallel(&builds, 2, |build| {
        let started =
            build.start("callbacks.js", Tier::Unoptimized).unwrap_or_else(|e| panic!("{build}: {e}"));
        let stacks = stacks_of(started.target.pid(), 1.5, 500);
        let count = |has: &dyn Fn(&[String]) -> bool| {
            stacks.iter().filter(|stack| has(&stack.frames)).map(|stack| stack.count).sum::<u64>()
        };
        let is_own = |label: &str| label.contains(&*started.workload.script);
        // `arrays` calls its functions by Array.prototype.map and the like. A builtin that JavaScript sees is told by
        // its function's name, another one is `[builtin]`: the file has no names of them.
        let callbacks = count(&|frames| {
            let mut below = frames.iter().skip_while(|label| !label.starts_with("arrays:")).skip(1);
            below.any(|label| is_own(label))
        });
        let by_builtins = count(&|frames| {
            frames.windows(3).any(|labels| {
                labels[0].starts_with("arrays:") && labels[1].ends_with("[builtin]") && is_own(&labels[2])
            })
        });
        let unnamed = count(&|frames| frames.iter().any(|label| label == "[builtin]"));
        // V8 has functions of its own that are called `embedded_blob_…`.
        let misnamed = count(&|frames| {
            frames.iter().any(|label| label.contains("_Builtins_") || label.contains("_embedded_blob_"))
        });
        tell(&format!(
            "{build}: {by_builtins} of {callbacks} callbacks are called by a builtin; {unnamed} stacks with [builtin]"
        ));
        assert!(callbacks > 100 && by_builtins * 100 >= callbacks * 99, "{build}: {stacks:#?}");
        assert!(unnamed > 20 && misnamed == 0, "{build}: {unnamed} {misnamed} {stacks:#?}");
    });
}

/// What `readelf` says of an ELF file.
struct Facts {
    text: String,
}

impl Facts {
    fn of(file: &Path) -> Self {
        let output = Command::new("readelf").args(["-hlSW"]).arg(file).output().expect("readelf (binutils)");
        assert!(output.status.success(), "{}", file.display());
        Self { text: String::from_utf8_lossy(&output.stdout).into_owned() }
    }

    /// The words behind `start` of each line that starts so.
    fn lines(&self, start: &str) -> Vec<Vec<&str>> {
        let lines = self.text.lines().filter_map(|line| line.trim_start().strip_prefix(start));
        lines.map(|line| line.split_whitespace().collect()).collect()
    }

    fn is_pie(&self) -> bool {
        self.lines("Type:")[0][0] == "DYN"
    }

    fn has_symtab(&self) -> bool {
        self.text.contains(" SYMTAB ")
    }

    fn program_headers(&self) -> u64 {
        self.lines("Start of program headers:")[0][0].parse().expect("an offset")
    }

    /// Loaded segments: address, and whether it is executable.
    fn loads(&self) -> Vec<(u64, bool)> {
        self.lines("LOAD").iter().map(|words| (hex(words[1]), words.contains(&"E"))).collect()
    }

    /// The dynamic section lies in the last segment.
    fn dynamic_is_late(&self) -> bool {
        let last = self.loads().into_iter().map(|load| load.0).max();
        Some(hex(self.lines("DYNAMIC")[0][1])) >= last
    }
}

fn hex(word: &str) -> u64 {
    u64::from_str_radix(word.trim_start_matches("0x"), 16).expect("a hexadecimal number")
}

/// Executable mappings of a process: range, name.
fn code(pid: u32) -> Vec<(u64, u64, String)> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).expect("a running process");
    let is_code = |line: &&str| line.split(' ').nth(1).is_some_and(|access| access.contains('x'));
    let region = |line: &str| {
        let (start, end) = line.split(' ').next()?.split_once('-')?;
        let name = line.find('/').map_or("", |at| &line[at..]);
        Some((hex(start), hex(end), name.to_owned()))
    };
    maps.lines().filter(is_code).filter_map(region).collect()
}

/// Starts of a build that is awkward by V8's copy of its builtins, of which one has to have it: in one start of 150 V8's
/// code comes to lie beside the executable, where it needs none.
const STARTS: usize = 4;

#[test]
fn every_build_is_as_awkward_as_it_says() {
    let _alone = alone();
    for build in ALL {
        let starts = if matches!(build.kind, Kind::Renamed | Kind::Unlinked) { STARTS } else { 1 };
        let mut said = Err(String::new());
        for _ in 0..starts {
            said = said.or_else(|_| as_it_says(&build));
        }
        said.unwrap_or_else(|text| panic!("{text}"));
    }
}

/// Starts a build. What it looks like, if that is not as it says.
fn as_it_says(build: &Build) -> Result<(), String> {
    let started = build.start("nested.js", Tier::NotInlined).unwrap_or_else(|e| panic!("{build}: {e}"));
    let pid = started.target.pid();
    let exe = fs::read_link(format!("/proc/{pid}/exe")).expect("an executable").display().to_string();
    let facts = Facts::of(Path::new(&format!("/proc/{pid}/exe")));
    let code = code(pid);
    let mapped = |wanted: &str| code.iter().filter(|region| region.2.contains(wanted)).count();
    let without_file = |least: u64| code.iter().any(|r| r.2.is_empty() && r.1 - r.0 >= least);
    let holds = match build.kind {
        // V8 has mapped its builtins again, far from the rest.
        Kind::Renamed => {
            let of_exe: Vec<u64> = code.iter().filter(|r| r.2 == exe).map(|r| r.0).collect();
            exe.ends_with("/shop server")
                && of_exe.last().zip(of_exe.first()).is_some_and(|(l, f)| l - f > 1 << 32)
        }
        Kind::Deleted | Kind::Replaced => exe.ends_with("/shop server (deleted)"),
        Kind::Unlinked => exe.ends_with(" (deleted)") && without_file(1 << 20) && !facts.is_pie(),
        // /sys/kernel/mm/transparent_hugepage/enabled must not be `never`.
        Kind::HugePages => code.iter().any(|r| r.2.is_empty() && r.0 < 1 << 32 && r.1 - r.0 >= 2 << 20),
        Kind::Stripped => !facts.has_symtab(),
        Kind::Patched => facts.loads()[0].0 < 0x40_0000 && !facts.is_pie(),
        Kind::SingleExecutable => {
            let odd = facts.program_headers() % 2 == 1;
            facts.program_headers() > 1 << 20 && (odd || build.version.major != 26)
        }
        Kind::Musl | Kind::MuslStripped => {
            let several = facts.loads().iter().filter(|load| load.1).count() > 1;
            let interpreter = facts.text.contains("/lib/ld-musl-x86_64.so.1");
            let stripped = build.kind == Kind::MuslStripped;
            facts.is_pie()
                && several
                && interpreter
                && facts.dynamic_is_late()
                && facts.has_symtab() != stripped
        }
        Kind::Debian => facts.is_pie() && !facts.has_symtab() && mapped("/libnode.so.") > 0,
        Kind::DebianPatched => {
            let library = code.iter().find(|r| r.2.contains("/libnode.so.")).expect("libnode.so");
            Facts::of(Path::new(&format!("/proc/{pid}/map_files/{:x}-{:x}", library.0, library.1)))
                .dynamic_is_late()
        }
        Kind::DebianUpgraded => {
            code.iter().any(|r| r.2.contains("/libnode.so.") && r.2.ends_with(" (deleted)"))
        }
    };
    if holds { Ok(()) } else { Err(format!("{build}: {exe}\n{}\n{code:#x?}", facts.text)) }
}

#[test]
fn a_process_is_told_by_what_it_holds_and_not_by_its_name() {
    // Built before the process starts.
    let profiler = node_flame();
    let scratch = Scratch::new().unwrap();
    let node = scratch.copy(Path::new("/bin/sleep"), "node").unwrap();
    let sleep = Running::start(Command::new(node).arg("600"));
    let ended =
        run(&mut command(profiler, &[&sleep.pid().to_string(), "text", "1"]), Duration::from_secs(20));
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stderr.contains("/node and holds no V8"), "{}", ended.stderr);
}
