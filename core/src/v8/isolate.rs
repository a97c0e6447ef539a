//! From a thread to its isolate, and what the isolate says the thread is doing.

use super::builtins::Builtins;
use super::heap::{half, word};
use super::layout::Layout;
use super::version::Version;
use crate::arch::Arch;
use crate::elf::{Elf, Symbol, SymbolKind, Variable};
use crate::memory::Memory;

/// How a thread's isolate is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A thread-local variable of an executable, at this distance from the thread pointer.
    ThreadLocal(i64),
    /// A pthread key, in an int at this address before the load bias is added (glibc alone).
    Key(u64),
    /// Only code in V8's heap and builtins tells, by its root register.
    Register,
}

/// Where isolates are and what of them is read.
#[derive(Clone, Copy, Debug)]
pub struct IsolateAccess {
    /// How a thread's isolate is found.
    pub source: Source,
    /// How far into the isolate the root register points.
    pub root_bias: u64,
    /// Offset from the root register's value of `c_entry_fp`: the newest exit frame's pointer.
    pub c_entry_fp: Option<i32>,
    /// Offset from the root register's value of `js_entry_sp`; the VM state is 16 bytes further.
    pub js_entry_sp: Option<i32>,
}

/// `CURRENT_ISOLATE`, V8 11.0 and later.
const CURRENT_ISOLATE: &[u8] = b"_ZN2v88internal18g_current_isolate_E";
/// `isolate_key_`, before.
const ISOLATE_KEY: &[u8] = b"_ZN2v88internal7Isolate12isolate_key_E";

/// glibc's `struct pthread`: first block of thread-specific data, on x86-64.
const GLIBC_SPECIFIC: u64 = 0x310;
/// Keys in that first block.
const GLIBC_FIRST_KEYS: u64 = 32;

impl IsolateAccess {
    /// Where V8 has the isolate of a thread, or how it finds that.
    pub(super) fn variable(version: Version) -> Variable<'static> {
        if version.since(11, 0) {
            Variable { name: CURRENT_ISOLATE, kind: SymbolKind::ThreadLocal, sizes: 8..=8 }
        } else {
            Variable::object(ISOLATE_KEY, 4..=4)
        }
    }

    /// What the object file that holds V8 tells. `current`: its [`variable`](Self::variable).
    pub(super) fn of(
        elf: &Elf<'_>,
        layout: &Layout,
        current: Option<Symbol<'_>>,
        builtins: &Builtins<'_>,
    ) -> IsolateAccess {
        let source = match current {
            Some(current) if current.kind == SymbolKind::ThreadLocal => thread_local(elf, current.value)
                .filter(|_| !is_library(elf))
                .map_or(Source::Register, Source::ThreadLocal),
            // On arm64 the values stand before the thread pointer, how far is glibc's secret.
            // musl has them in memory of their own, and other words where glibc has them.
            Some(key) if elf.machine() == Arch::X86_64 && !is_for_musl(elf) => Source::Key(key.value),
            _ => Source::Register,
        };
        let entry = builtins.named("JSEntry").and_then(|builtin| {
            let start = usize::try_from(builtin.offset).ok()?;
            elf.data().get(start..start.checked_add(builtin.size.min(512) as usize)?)
        });
        let entry = entry.filter(|_| layout.code.has_embedded_builtins).unwrap_or(&[]);
        let [c_entry_fp, js_entry_sp] = elf.machine().isolate_fields(entry);
        IsolateAccess { source, root_bias: elf.machine().root_bias(), c_entry_fp, js_entry_sp }
    }

    /// The root register's value on a thread whose thread pointer is `tls`: `None` if that cannot be
    /// told, `Some(0)` if the thread has no isolate.
    pub fn root<M: Memory>(&self, tls: u64, bias: u64, memory: &M) -> Option<u64> {
        let slot = match self.source {
            Source::ThreadLocal(distance) => tls.wrapping_add_signed(distance),
            Source::Key(key) => {
                let key = u64::from(memory.half(key.wrapping_add(bias)).ok()?);
                if key >= GLIBC_FIRST_KEYS {
                    return None;
                }
                tls.wrapping_add(GLIBC_SPECIFIC + 16 * key + 8)
            }
            Source::Register => return None,
        };
        match memory.word(slot).ok()? {
            0 => Some(0),
            isolate => Some(isolate.wrapping_add(self.root_bias)),
        }
    }

    /// Distance from the root register's value, and length, of the bytes that hold what is read of an
    /// isolate at each stop; `None` where the fields' places are not known.
    pub fn fields(&self) -> Option<(i32, usize)> {
        const MAX: i32 = 4096;
        let (exit, entry) = (self.c_entry_fp?, self.js_entry_sp?);
        let end = exit.checked_add(8)?.max(entry.checked_add(VM_STATE + 4)?);
        let start = exit.min(entry);
        let len = end.checked_sub(start).filter(|len| *len <= MAX)?;
        Some((start, usize::try_from(len).ok()?))
    }

    /// What those bytes say.
    pub fn state(&self, bytes: &[u8]) -> IsolateState {
        let start = self.fields().map_or(0, |fields| fields.0);
        let at = |offset: Option<i32>, more: i32| {
            offset.and_then(|offset| u16::try_from(offset.checked_sub(start)?.checked_add(more)?).ok())
        };
        IsolateState {
            c_entry_fp: at(self.c_entry_fp, 0).map_or(0, |at| word(bytes, at)),
            vm_state: at(self.js_entry_sp, VM_STATE).and_then(|at| VmState::from_number(half(bytes, at))),
        }
    }
}

/// Distance of the VM state from `js_entry_sp` (`ThreadLocalTop`, `src/execution/thread-local-top.h`).
const VM_STATE: i32 = 16;

/// What an isolate says of the thread that runs it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IsolateState {
    /// The frame pointer of the newest exit frame; 0 if no JavaScript waits for C++, or if unknown.
    pub c_entry_fp: u64,
    /// V8's state; `None` if unknown.
    pub vm_state: Option<VmState>,
}

/// V8's `StateTag` (`include/v8-unwinder.h`), the same since 7.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VmState {
    /// JavaScript.
    JavaScript,
    /// Garbage collection.
    Gc,
    /// Parser.
    Parser,
    /// Bytecode compiler.
    BytecodeCompiler,
    /// Optimizing compilers.
    Compiler,
    /// V8's runtime.
    Other,
    /// Callbacks of the embedder.
    External,
}

impl VmState {
    fn from_number(number: u32) -> Option<VmState> {
        const ALL: [VmState; 7] = [
            VmState::JavaScript,
            VmState::Gc,
            VmState::Parser,
            VmState::BytecodeCompiler,
            VmState::Compiler,
            VmState::Other,
            VmState::External,
        ];
        ALL.get(number as usize).copied()
    }
}

fn is_for_musl(elf: &Elf<'_>) -> bool {
    elf.interpreter().is_some_and(|path| path.windows(8).any(|part| part == b"/ld-musl"))
}

/// A library's thread-local block has no fixed place; an executable's ends at the thread pointer.
fn is_library(elf: &Elf<'_>) -> bool {
    elf.soname().is_some()
}

fn thread_local(elf: &Elf<'_>, value: u64) -> Option<i64> {
    let tls = elf.tls()?;
    match elf.machine() {
        // Variant 2: the block lies below the thread pointer.
        Arch::X86_64 => {
            let size = tls.memsz.checked_next_multiple_of(tls.align.max(1))?;
            i64::try_from(value).ok()?.checked_sub(i64::try_from(size).ok()?)
        }
        // Variant 1: behind two words at the thread pointer.
        Arch::Aarch64 => {
            let before = 16u64.checked_next_multiple_of(tls.align.max(1))?;
            i64::try_from(before.checked_add(value)?).ok()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::SymbolTable;
    use crate::elf::fixture::head;
    use crate::v8::fixture::layout;

    #[test]
    fn a_key_leads_to_isolates_where_glibc_has_them_and_nowhere_else() {
        let mut symbol = [0; 24];
        symbol[8..16].copy_from_slice(&0x1234u64.to_le_bytes());
        let key = SymbolTable::new(&symbol, b"\0").iter().next();
        let source = |interpreter: &[u8]| {
            let mut file = head(3, 0, [120, 0, interpreter.len() as u64]);
            file.extend(interpreter);
            let elf = Elf::parse(&file).unwrap();
            IsolateAccess::of(&elf, &layout(), key, &Builtins::unnamed(0..0)).source
        };
        assert_eq!(source(b"/lib64/ld-linux-x86-64.so.2\0"), Source::Key(0x1234));
        assert_eq!(source(b"/lib/ld-musl-x86_64.so.1\0"), Source::Register);
    }
}
