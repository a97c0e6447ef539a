//! How many files node-flame may have open.
//!
//! It needs three for each thread, and more for each process; a shell gives 1024, and most systems let it have more.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::sync::OnceLock;

/// What it was at the start.
static BEFORE: OnceLock<Rlimit> = OnceLock::new();

/// Lets node-flame open as many files as it is permitted to. What it starts gets the limit that it had itself.
pub fn raise_limit() {
    let before = BEFORE.get_or_init(|| getrlimit(Resource::Nofile));
    // Where that fails it stays as it was.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: before.maximum, maximum: before.maximum });
}

/// Puts the limit back, in a process that is to become another program: one system call.
pub(crate) fn restore_limit() {
    if let Some(before) = BEFORE.get() {
        let _ = setrlimit(Resource::Nofile, Rlimit { current: before.current, maximum: before.maximum });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_as_high_as_it_may_be_until_it_is_put_back() {
        let before = getrlimit(Resource::Nofile);
        raise_limit();
        assert_eq!(getrlimit(Resource::Nofile).current, before.maximum);
        restore_limit();
        assert_eq!(getrlimit(Resource::Nofile).current, before.current);
    }
}
