//! Reads mangled names, one a line, and writes them as labels show them.
//!
//!     nm /path/to/node | awk '{print $3}' | cargo run -p flame-core --example demangle [no-arguments]
use std::io::{BufRead, Write};

use flame_core::symbols::{Style, demangle};

fn main() {
    let style = if std::env::args().nth(1).is_some() { Style::NoArguments } else { Style::Full };
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut name = String::new();
    for line in std::io::stdin().lock().split(b'\n') {
        name.clear();
        demangle(&line.expect("readable"), style, &mut name);
        writeln!(out, "{name}").expect("writable");
    }
}
