//! What V8 itself says of a workload: its sampling profiler (Node 8 on) or its log of compiled functions.
//!
//! This checks the workloads' statements, independent of node-flame.

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use crate::{
    nodes,
    process::{command, run},
    stacks::{self, Stack},
    tiers::Tier,
    version::Version,
    workload::Workload,
};

/// A profile by V8's own profiler.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Stacks whose labels name first lines.
    pub stacks: Vec<Stack>,
    /// Stacks whose leaf's label names the line being executed.
    pub lines: Vec<Stack>,
}

/// Runs `workload` for `seconds` under V8's own profiler.
///
/// # Errors
/// What the target wrote instead of a profile.
///
/// # Panics
/// When the build is missing from the cache.
pub fn profile(workload: &Workload, version: Version, tier: Tier, seconds: f64) -> Result<Profile, String> {
    let scratch = Scratch::new();
    let out = scratch.0.join("profile");
    let preload = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/v8-profile.js");
    let mut node = command(nodes::node(version), &[]);
    node.args(tier.flags(version).ok_or("no such tier")?).arg("-r").arg(preload).arg(&workload.path);
    node.env("WORKLOAD_SECONDS", seconds.to_string()).env("V8_PROFILE", &out);
    node.env("V8_PROFILE_SCRIPT", &workload.path).env_remove("NODE_OPTIONS");
    let ended = run(&mut node, Duration::from_secs_f64(seconds + 20.0));
    let read = |path: PathBuf| fs::read_to_string(&path).map_err(|e| format!("{e}: {}", ended.stderr));
    if !ended.ok() {
        return Err(format!("{}: {}", ended.status, ended.stderr));
    }
    let lines = read(out.with_extension("lines"))?;
    Ok(Profile { stacks: stacks::folded(&read(out)?)?, lines: stacks::folded(&lines)? })
}

/// The labels of all functions of the workload's file that V8's log (`--prof`) says were compiled.
///
/// # Errors
/// What the target wrote instead of a log.
///
/// # Panics
/// When the build is missing from the cache.
pub fn compiled(workload: &Workload, version: Version, seconds: f64) -> Result<BTreeSet<String>, String> {
    let scratch = Scratch::new();
    let mut node = command(nodes::node(version), &["--prof"]);
    node.arg(&workload.path).env("WORKLOAD_SECONDS", seconds.to_string()).current_dir(&scratch.0);
    let ended = run(&mut node, Duration::from_secs_f64(seconds + 20.0));
    if !ended.ok() {
        return Err(format!("{}: {}", ended.status, ended.stderr));
    }
    let files = fs::read_dir(&scratch.0).map_err(|e| e.to_string())?.flatten();
    let logs: Vec<PathBuf> =
        files.map(|f| f.path()).filter(|p| p.extension().is_some_and(|e| e == "log")).collect();
    let mut labels = BTreeSet::new();
    for log in &logs {
        let text = fs::read(log).map_err(|e| e.to_string())?;
        let text = String::from_utf8_lossy(&text);
        labels.extend(text.lines().filter_map(|line| logged(line, &workload.script)));
    }
    if labels.is_empty() {
        Err(format!("no function of {} in {logs:?}", workload.script))
    } else {
        Ok(labels)
    }
}

/// The label in a line such as `code-creation,LazyCompile,…,"name /path.js:12:3",…`.
fn logged(line: &str, script: &str) -> Option<String> {
    let entry = line.strip_prefix("code-creation,")?;
    let kind = entry.split(',').next()?;
    if !["Function", "LazyCompile", "Eval"].contains(&kind) {
        return None;
    }
    let (_, after) = entry.split_once(",\"")?;
    let (before, place) = after.split_once(script)?;
    let line = place.strip_prefix(':')?.split([':', '"']).next()?;
    let name = match before.trim() {
        "" => "(anonymous)",
        name => name,
    };
    Some(format!("{name}:{script}:{line}"))
}

/// A folder of its own, gone on drop.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("node-flame-{}-{}", process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let folder = env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        Self(folder)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A left-over folder costs space, nothing else.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_of_every_age_names_functions() {
        let script = "/w/a.js";
        let old = r#"code-creation,LazyCompile,0x9f9fff68a60,704,"round /w/a.js:73",0x3efe2bd06ef0,~"#;
        let new = r#"code-creation,LazyCompile,0x9f,544,"get value /w/a.js:48:12",0x3efe,*"#;
        let top = r#"code-creation,Function,0x9f9fff64ec0,2036," /w/a.js:1",0x3efe2bd075e0,~"#;
        let label = |line| logged(line, script);
        assert_eq!(label(old), Some("round:/w/a.js:73".into()));
        assert_eq!(label(new), Some("get value:/w/a.js:48".into()));
        assert_eq!(label(top), Some("(anonymous):/w/a.js:1".into()));
        assert_eq!(label(r#"code-creation,Script,0x9f,244,"/w/a.js",0x3e,~"#), None);
    }
}
