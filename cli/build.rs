//! Linker options that make the executable smaller: equal functions stand in it once, and the addresses
//! that are set right when it starts are a bit map instead of a table.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Those of LLD, the linker that `.cargo/config.toml` names.
    if std::env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|env| env == "musl") {
        for option in ["--icf=all", "--pack-dyn-relocs=relr"] {
            println!("cargo::rustc-link-arg-bin=node-flame={option}");
        }
    }
}
