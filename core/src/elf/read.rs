//! Little-endian reads at any offset and alignment; what lies outside the bytes is `None`.

use memchr::memchr;

use crate::limits;

/// `len` bytes from `offset` on.
pub(crate) fn range(data: &[u8], offset: u64, len: u64) -> Option<&[u8]> {
    let start = usize::try_from(offset).ok()?;
    let end = usize::try_from(offset.checked_add(len)?).ok()?;
    data.get(start..end)
}

/// The bytes from `offset` on, at most `len` of them.
pub(crate) fn up_to(data: &[u8], offset: u64, len: u64) -> Option<&[u8]> {
    let rest = data.get(usize::try_from(offset).ok()?..)?;
    Some(&rest[..rest.len().min(usize::try_from(len).unwrap_or(usize::MAX))])
}

fn array<const N: usize>(data: &[u8], offset: u64) -> Option<[u8; N]> {
    data.get(usize::try_from(offset).ok()?..)?.first_chunk().copied()
}

pub(crate) fn u8_at(data: &[u8], offset: u64) -> Option<u8> {
    array(data, offset).map(u8::from_le_bytes)
}

pub(crate) fn u16_at(data: &[u8], offset: u64) -> Option<u16> {
    array(data, offset).map(u16::from_le_bytes)
}

pub(crate) fn u32_at(data: &[u8], offset: u64) -> Option<u32> {
    array(data, offset).map(u32::from_le_bytes)
}

pub(crate) fn u64_at(data: &[u8], offset: u64) -> Option<u64> {
    array(data, offset).map(u64::from_le_bytes)
}

/// The string that starts at `offset` and ends before a NUL, if one comes soon enough.
pub(crate) fn text_at(table: &[u8], offset: u64) -> Option<&[u8]> {
    let text = up_to(table, offset, limits::SYMBOL_NAME_BYTES as u64)?;
    text.get(..memchr(0, text)?)
}

/// Whether the string at `offset` is `name`.
pub(crate) fn text_is(table: &[u8], offset: u64, name: &[u8]) -> bool {
    let rest = usize::try_from(offset).ok().and_then(|at| table.get(at..));
    // Its end first: names of one namespace begin alike, and to compare takes a call.
    rest.is_some_and(|rest| rest.get(name.len()) == Some(&0) && rest.starts_with(name))
}
