//! Real programs under load, for a look at their profiles.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use crate::{
    binary::node_flame,
    nodes,
    process::{Running, command, run},
    version::Version,
};

/// A real program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// TypeScript's compiler over the sources of the npm package `three`.
    TypeScript,
    /// An HTTP server with 20 busy connections.
    Http,
}

impl Load {
    /// Every load.
    pub const ALL: [Self; 2] = [Self::TypeScript, Self::Http];

    /// A name for files.
    pub fn name(self) -> &'static str {
        match self {
            Self::TypeScript => "typescript",
            Self::Http => "http",
        }
    }

    /// The command that runs it on `version`.
    ///
    /// # Errors
    /// What could not be installed.
    pub fn command(self, version: Version) -> Result<Command, String> {
        let mut node = Command::new(nodes::node(version));
        match self {
            Self::TypeScript => {
                let project = typescript_project()?;
                node.arg("node_modules/typescript/bin/tsc")
                    .args(["-p", "tsconfig.json"])
                    .current_dir(project);
            }
            Self::Http => {
                node.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("programs/http-load.js"));
            }
        }
        Ok(node)
    }
}

/// A folder in the cache with TypeScript and something to compile: about 20 s of type checks.
fn typescript_project() -> Result<PathBuf, String> {
    let folder = nodes::cache().join("loads/typescript");
    let io = |e| format!("{}: {e}", folder.display());
    if folder.join("tsconfig.json").is_file() {
        return Ok(folder);
    }
    fs::create_dir_all(&folder).map_err(io)?;
    let install = ["install", "--silent", "--no-audit", "--no-fund", "typescript@5.9", "three@0.170"];
    let ended = run(command("npm", &install).current_dir(&folder), Duration::from_secs(300));
    if !ended.ok() {
        return Err(format!("npm install: {}", ended.stderr));
    }
    // A copy outside node_modules, whose files the compiler would not check.
    let copied = run(
        command("cp", &["-r", "node_modules/three/src", "three"]).current_dir(&folder),
        Duration::from_secs(60),
    );
    if !copied.ok() {
        return Err(copied.stderr);
    }
    let config = r#"{
  "compilerOptions": {
    "target": "es2022", "module": "esnext", "moduleResolution": "bundler", "lib": ["es2022", "dom"], "types": [],
    "allowJs": true, "checkJs": true, "noEmit": true, "skipLibCheck": true, "maxNodeModuleJsDepth": 3
  },
  "include": ["three/**/*.js"]
}
"#;
    fs::write(folder.join("tsconfig.json"), config).map_err(io)?;
    Ok(folder)
}

/// Runs a load and writes profiles of it into `out`: `NAME.txt`, `NAME.html`, `NAME.folded`, one after the
/// other, each of `seconds`. Gives what node-flame reported.
///
/// # Errors
/// What failed, in words.
pub fn profile(load: Load, version: Version, seconds: f64, out: &Path) -> Result<String, String> {
    fs::create_dir_all(out).map_err(|e| format!("{}: {e}", out.display()))?;
    let target = Running::start(&mut load.command(version)?);
    thread::sleep(Duration::from_secs(1));
    let mut reports = String::new();
    for (format, end) in [("text", "txt"), ("flame", "html"), ("folded", "folded")] {
        let file = out.join(format!("{}.{end}", load.name()));
        let mut profiler = command(node_flame(), &[&target.pid().to_string(), format, &seconds.to_string()]);
        profiler.arg("--output").arg(&file);
        let ended = run(&mut profiler, Duration::from_secs_f64(seconds + 30.0));
        if !ended.ok() {
            return Err(ended.stderr);
        }
        reports += &ended.stderr;
        reports += &format!("{}\n", file.display());
    }
    Ok(reports)
}
