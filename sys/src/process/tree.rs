//! Which processes there are, and who started whom.

use super::{Process, open_at};
use crate::Errno;
use rustix::fs::RawDir;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;

/// Generations of ancestors that are looked at.
const GENERATIONS: usize = 64;

/// The ids of all processes in this pid namespace.
pub fn pids(into: &mut Vec<u32>) -> Result<(), Errno> {
    into.clear();
    numbers(&open_at(None, "/proc")?, into)
}

/// Adds the numbers that name entries of a directory.
pub(super) fn numbers(dir: &OwnedFd, into: &mut Vec<u32>) -> Result<(), Errno> {
    let mut buffer = [MaybeUninit::uninit(); 8192];
    let mut entries = RawDir::new(dir, &mut buffer);
    while let Some(entry) = entries.next() {
        if let Some(number) = entry?.file_name().to_str().ok().and_then(|name| name.parse().ok()) {
            into.push(number);
        }
    }
    Ok(())
}

/// The direct children of `parent`, from `children` of each of its threads, or by asking all processes
/// for their parent where the kernel has no such file.
pub fn children(parent: &Process, into: &mut Vec<u32>) -> Result<(), Errno> {
    into.clear();
    let (mut tids, mut text) = (Vec::new(), Vec::new());
    parent.threads(&mut tids)?;
    for tid in tids {
        match parent.text(&format!("task/{tid}/children"), &mut text) {
            Ok(()) => {
                let words = text.split(u8::is_ascii_whitespace);
                into.extend(words.filter_map(|word| std::str::from_utf8(word).ok()?.parse::<u32>().ok()));
            }
            Err(Errno::NOENT) if tid == parent.pid() => return children_by_parent(parent.pid(), into),
            Err(_) => {}
        }
    }
    Ok(())
}

fn children_by_parent(parent: u32, into: &mut Vec<u32>) -> Result<(), Errno> {
    pids(into)?;
    into.retain(|pid| parent_of(*pid) == Some(parent));
    Ok(())
}

fn parent_of(pid: u32) -> Option<u32> {
    Process::open(pid).ok()?.stat().ok()?.map(|stat| stat.parent)
}

/// The ancestors of `pid` from its parent on, as far as this pid namespace shows them.
pub fn ancestors(pid: u32) -> impl Iterator<Item = u32> {
    std::iter::successors(parent_of(pid), |pid| parent_of(*pid)).take_while(|pid| *pid > 0).take(GENERATIONS)
}
