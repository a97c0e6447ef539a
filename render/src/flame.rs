//! The HTML page.

use crate::View;
use flame_core::profile::Profile;
use std::io::{self, Write};

/// Writes one self-contained page.
pub fn write(profile: &Profile, view: &View, out: &mut dyn Write) -> io::Result<()> {
    let mut text = Vec::new();
    crate::text::write(profile, view, &mut text)?;
    let text = String::from_utf8_lossy(&text).replace('&', "&amp;").replace('<', "&lt;");
    write!(out, "<!doctype html>\n<meta charset=utf-8>\n<title>node-flame</title>\n<pre>{text}</pre>\n")
}
