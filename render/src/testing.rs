//! What tests of several formats share.

use flame_core::profile::Profile;
use std::io::{self, Write};

/// What a format writes, as text.
pub fn rendered(profile: &Profile, write: impl FnOnce(&Profile, &mut dyn Write) -> io::Result<()>) -> String {
    written(|out| write(profile, out))
}

/// What is written, as text.
pub fn written(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> String {
    let mut out = Vec::new();
    write(&mut out).expect("writing to memory");
    String::from_utf8(out).expect("UTF-8")
}
