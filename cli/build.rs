//! Linker options that make the executable smaller.

use std::env::var;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=unwind.ld");
    if var("CARGO_CFG_TARGET_ENV").as_deref() != Ok("musl") {
        return;
    }
    // Those of LLD, the linker that `.cargo/config.toml` names. Equal functions stand once.
    let mut options = vec!["--icf=all".to_owned()];
    // Tests of the executable, which have a profile of their own, report panics: they need the tables.
    if var("OUT_DIR").is_ok_and(|out| out.contains("/release/build/")) {
        let manifest = var("CARGO_MANIFEST_DIR").unwrap_or_default();
        options.push(format!("-T{manifest}/unwind.ld"));
    }
    for option in options {
        println!("cargo::rustc-link-arg-bin=node-flame={option}");
    }
}
