//! What an ELF file says about V8, and how long it takes to find out.
//!
//!     cargo run --release -p flame-core --example elf_facts -- /path/to/node
use std::time::Instant;

use flame_core::elf::{Elf, Variable};

fn main() {
    let path = std::env::args().nth(1).expect("a file");
    let bytes = std::fs::read(&path).expect("readable");
    let start = Instant::now();
    let elf = Elf::parse(&bytes).expect("ELF");
    println!("parse {:?}, {:?}, dyn {}", start.elapsed(), elf.machine(), elf.is_dyn());
    let start = Instant::now();
    let version = [&b"major"[..], b"minor", b"build", b"patch"].map(|part| {
        let name = [b"_ZN2v88internal7Version6", part, b"_E"].concat();
        elf.symbol(&name).and_then(|symbol| elf.int_at(symbol.value))
    });
    println!("version {version:?} in {:?}", start.elapsed());
    let start = Instant::now();
    let mut sum = 0_i64;
    let count = elf.for_each_variable_with_prefix(b"v8dbg_", |symbol| {
        sum += i64::from(elf.int_at(symbol.value).unwrap_or(0));
    });
    println!("{count} v8dbg constants, sum {sum}, in {:?}", start.elapsed());
    let start = Instant::now();
    let names = ["no_such_symbol", "v8_Default_embedded_blob_code_size_"];
    let found = elf.find_variables(&names.map(|name| Variable::object(name.as_bytes(), 4..=8)));
    println!(
        "one pass over .symtab: {:?} in {:?}",
        found.map(|symbol| symbol.map(|symbol| symbol.value)),
        start.elapsed()
    );
    for candidate in flame_core::symbols::debug_file::candidates(&elf, path.as_bytes()) {
        let candidate = String::from_utf8_lossy(&candidate).into_owned();
        let belongs = std::fs::read(&candidate).ok().map(|bytes| {
            let debug = Elf::parse(&bytes);
            debug.map(|debug| flame_core::symbols::debug_file::belongs_to(&debug, &elf))
        });
        println!("debug file {candidate}: {belongs:?}");
    }
    println!(
        "{} dynamic, {} in .symtab, build-id {:02x?}, soname {:?}",
        elf.dynamic_symbols().len(),
        elf.symtab_symbols().len(),
        elf.build_id(),
        elf.soname().map(String::from_utf8_lossy)
    );
}
