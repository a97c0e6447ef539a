//! Reads mangled names, one a line, and writes them as labels show them.
//!
//!     nm /path/to/node | awk '{print $3}' | cargo run -p flame-core --example demangle [no-arguments|kinds]
use std::io::{BufRead, Write};

use flame_core::symbols::{Style, demangle, kind_of};

fn main() {
    let style = if std::env::args().nth(1).is_some() { Style::NoArguments } else { Style::Full };
    let with_kind = std::env::args().nth(1).is_some_and(|word| word == "kinds");
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut name = String::new();
    for line in std::io::stdin().lock().split(b'\n') {
        name.clear();
        demangle(&line.expect("readable"), style, &mut name);
        if with_kind {
            write!(out, "{:?} ", kind_of(&name, b"")).expect("writable");
        }
        writeln!(out, "{name}").expect("writable");
    }
}
