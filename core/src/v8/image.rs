//! The object file that holds V8: the executable, or libnode.so.

use super::builtins::Builtins;
use super::bytecode::BytecodeSizes;
use super::isolate::IsolateAccess;
use super::layout::{Layout, Unsupported};
use super::version::Version;
use crate::elf::{Elf, Variable};
use alloc::vec::Vec;
use core::ops::RangeInclusive;

/// What every symbol with a layout constant starts with.
const PREFIX: &[u8] = b"v8dbg_";

/// `interpreter::Bytecodes::kBytecodeSizes`.
const BYTECODE_SIZES: &[u8] = b"_ZN2v88internal11interpreter9Bytecodes14kBytecodeSizesE";

/// Bytes that it has: three for each bytecode, as `uint8_t` or as `int`.
const SIZES_BYTES: RangeInclusive<u64> = 3 * 32..=3 * 256 * 4;

/// V8 as its object file describes it.
#[derive(Clone, Debug)]
pub struct Image<'a> {
    /// Layouts.
    pub layout: Layout,
    /// Embedded builtins.
    pub builtins: Builtins<'a>,
    /// Isolates.
    pub isolate: IsolateAccess,
    /// Offset from the root register's value of `active_stack`, which of WebAssembly's stacks a thread is on; since 14.1,
    /// where these know their parents.
    pub active_stack: Option<i32>,
    /// Sizes of bytecodes with their operands, one row for each operand scale: `kBytecodeSizes`.
    pub bytecode_sizes: Option<BytecodeSizes<'a>>,
}

/// V8's version in an object file; `None` if it does not hold V8.
pub fn version_in(elf: &Elf<'_>) -> Option<Version> {
    let symbols = if elf.dynamic_symbols().is_empty() {
        elf.find_variables(&Version::SYMBOLS.map(|name| Variable::object(name.as_bytes(), 4..=4)))
    } else {
        Version::SYMBOLS.map(|name| elf.symbol(name.as_bytes()))
    };
    let part = |index: usize| {
        let value = elf.int_at(symbols.get(index).copied().flatten()?.value)?;
        u16::try_from(value).ok()
    };
    Some(Version { major: part(0)?, minor: part(1)?, build: part(2)?, patch: part(3)? })
}

impl<'a> Image<'a> {
    /// Reads what an object file says of its V8; `None` if it holds none.
    pub fn of(elf: &Elf<'a>) -> Option<Result<Image<'a>, Unsupported>> {
        let version = version_in(elf)?;
        let mut constants: Vec<(&str, i32)> = Vec::new();
        elf.for_each_variable_with_prefix(PREFIX, |symbol| {
            let name = symbol.name().get(PREFIX.len()..).and_then(|name| core::str::from_utf8(name).ok());
            if let (Some(name), Some(value)) = (name, elf.int_at(symbol.value))
                && constants.len() < crate::limits::V8_CONSTANTS
            {
                constants.push((name, value));
            }
        });
        constants.sort_unstable();
        let get = |name: &str| {
            let at = constants.binary_search_by_key(&name, |constant| constant.0).ok()?;
            constants.get(at).map(|constant| constant.1)
        };
        let layout = match Layout::of(version, &get) {
            Ok(layout) => layout,
            Err(unsupported) => return Some(Err(unsupported)),
        };
        let mut builtins = Builtins::of(elf);
        if builtins.is_empty() && layout.code.has_embedded_builtins {
            builtins = Builtins::in_gap(elf);
        }
        let sizes = Variable::object(BYTECODE_SIZES, SIZES_BYTES);
        let [current, sizes] = elf.find_variables(&[IsolateAccess::variable(version), sizes]);
        let isolate = IsolateAccess::of(elf, &layout, current, &builtins);
        let promise = builtins.named("WasmReturnPromiseOnSuspendAsm").filter(|_| version.since(14, 1));
        let active_stack = promise.and_then(|builtin| elf.machine().active_stack(builtin.code(elf)?));
        let bytecode_sizes = sizes.and_then(|symbol| {
            let bytes = elf.bytes_at(symbol.value, symbol.size)?;
            Some(BytecodeSizes::new(bytes, layout.bytecode))
        });
        Some(Ok(Image { layout, builtins, isolate, active_stack, bytecode_sizes }))
    }
}
