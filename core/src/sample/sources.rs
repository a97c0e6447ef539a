//! Reads the text of a script from V8, for those who want to see it.

use super::functions::{Functions, Unread};
use crate::memory::Memory;
use crate::profile::Sources;
use crate::v8::{Decode, Heap};

/// Reads a script's text, if texts are wanted; the target may run meanwhile: what was read counts only if the
/// script's object is the same afterwards. False if another time may have more luck.
pub fn read<M: Memory>(
    sources: &mut Sources,
    functions: &Functions,
    heap: &Heap<'_, M>,
    unread: &Unread,
) -> bool {
    let Some(info) = functions.script(unread.id).filter(|_| sources.are_wanted()) else { return true };
    if sources.has(unread.id.0) {
        return true;
    }
    let outcome = sources.add(unread.id.0, (info.name, info.line_offset), |filling| {
        let met = &unread.script;
        let script = heap.read_script(heap.expect(met.address | 1, heap.layout.types.script)?)?;
        let mut failed = None;
        heap.string_runs(script.source, u32::MAX, |run| {
            let read = filling.piece(run.length, run.one_byte, |into| heap.memory.read(run.address, into));
            failed = read.ok().and_then(Result::err);
            read.is_ok() && failed.is_none()
        })?;
        let is_same = script.id == met.id && heap.read_script(script.address)? == script;
        match failed {
            Some(fault) => Err(fault.into()),
            None if is_same => Ok(()),
            None => Err(Decode::Bound),
        }
    });
    outcome.is_ok()
}
