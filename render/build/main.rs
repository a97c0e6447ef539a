//! Makes the HTML page's fixed part: its style and scripts put into the template, with the hashes
//! that its policy names, and compressed, since it would else be a tenth of the binary.

mod sha256;

use miniz_oxide::deflate::compress_to_vec;
use std::path::Path;
use std::{env, fs, io};

/// The scripts, in the order in which they are joined into one.
const SCRIPTS: [&str; 22] = [
    "dom", "decode", "names", "shown", "models", "colors", "tip", "graph", "gestures", "table", "timeline",
    "details", "search", "state", "svg", "head", "main", "zoom", "controls", "calltree", "legend", "start",
];

fn main() -> io::Result<()> {
    let page = Path::new("src/page");
    println!("cargo::rerun-if-changed={}", page.display());
    println!("cargo::rerun-if-changed=build");
    let mut script = String::from("\"use strict\";(() => {\n");
    for name in SCRIPTS {
        script += &compact(&fs::read_to_string(page.join(name).with_extension("js"))?);
    }
    script += "})();";
    let style = compact(&fs::read_to_string(page.join("style.css"))?);
    assert!(!style.contains("{{") && !script.contains("{{"), "that is how the template marks its places");
    let template = fs::read_to_string(page.join("page.html"))?
        .replace("{{STYLE_HASH}}", &sha256::base64(style.as_bytes()))
        .replace("{{SCRIPT_HASH}}", &sha256::base64(script.as_bytes()))
        .replace("{{STYLE}}", &style)
        .replace("{{SCRIPT}}", &script);
    let out = env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?;
    fs::write(Path::new(&out).join("page.deflate"), compress_to_vec(template.as_bytes(), 10))
}

/// Source without its indentation and comment lines.
fn compact(source: &str) -> String {
    let lines = source.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with("//") && !line.starts_with("/*"));
    lines.fold(String::new(), |text, line| text + line + "\n")
}
