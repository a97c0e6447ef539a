//! Optimized code up to V8 5.5: which functions a place in it holds, and where in them it is.
//!
//! There are no source positions. A return address is a safepoint, its translation tells the functions
//! that V8 would go on in, each by the number of a node of its syntax tree, and the unoptimized code of
//! each tells where that node's code is, which has positions.

use super::code::Code;
use super::heap::{Decode, Heap, half, smi};
use super::layout::{CodeKind, CrankshaftLayout};
use crate::limits::{CRANKSHAFT_FRAMES, CRANKSHAFT_NODES};
use crate::memory::Memory;

/// A function's frame in a translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AstFrame {
    /// Number of the function among the code's literals; negative: the code's own.
    pub literal: i64,
    /// Number of the syntax node.
    pub node: i64,
}

/// A safepoint: offset in the code, and the deoptimization that may happen there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// Offset of the return address.
    pub pc: u32,
    /// Number of the deoptimization.
    pub deopt: u32,
}

/// Bytes of a safepoint, and of the table's header.
const POINT: usize = 8;

/// The safepoints in a table's bytes that may deoptimize, in order.
pub fn points(table: &[u8]) -> impl Iterator<Item = Point> + '_ {
    const NONE: u32 = 0x0fff_ffff;
    table
        .chunks_exact(POINT)
        .map(|point| Point { pc: half(point, 0), deopt: half(point, 4) & NONE })
        .filter(|point| point.deopt != NONE)
}

/// The deoptimization of the last site at or before an offset: a call, or a loop's check of the stack,
/// which jumps to a deferred call; and whether it is a loop's, whose node is the start of its body.
pub fn site(code: &[u8], offset: u32, table: &[u8]) -> Option<(u32, bool)> {
    let checks = || {
        (0..code.len()).filter_map(|at| {
            // cmp rsp, [r13 + disp]
            let jump = match code.get(at..)? {
                [0x49, 0x3b, 0x65, ..] => at + 4,
                [0x49, 0x3b, 0xa5, ..] => at + 7,
                _ => return None,
            };
            // jb or jbe, far
            let [0x0f, 0x82 | 0x86, a, b, c, d, ..] = code.get(jump..)? else { return None };
            let target = (jump as i64 + 6).checked_add(i32::from_le_bytes([*a, *b, *c, *d]).into())?;
            Some((at as u32, u32::try_from(target).ok().filter(|target| *target as usize > at)?))
        })
    };
    let deferred = checks().map(|check| check.1).min().unwrap_or(u32::MAX);
    let call = points(table).take_while(|point| point.pc <= offset && point.pc < deferred).last();
    let check = checks().take_while(|check| check.0 <= offset).last();
    let check = check.and_then(|(at, target)| {
        points(table).find(|point| point.pc > target).map(|point| Point { pc: at, ..point })
    });
    let is_loop = check.is_some_and(|check| call.is_none_or(|call| call.pc < check.pc));
    let site = if is_loop { check } else { call };
    site.map(|site| (site.deopt, is_loop))
}

/// Calls `frame` for each function's frame of the translation that begins at `start`, the outermost first.
/// `None`: the bytes are no translation; some frames may have been told of.
pub fn frames(
    bytes: &[u8],
    start: usize,
    layout: &CrankshaftLayout,
    mut frame: impl FnMut(AstFrame),
) -> Option<()> {
    const BEGIN: i64 = 0;
    const FUNCTION: i64 = 1;
    let mut rest = bytes.get(start..)?;
    if number(&mut rest)? != BEGIN {
        return None;
    }
    number(&mut rest)?;
    let mut left = number(&mut rest).filter(|frames| (1..=CRANKSHAFT_FRAMES).contains(frames))?;
    while left > 0 {
        let op = number(&mut rest)?;
        let count = *layout.operands.get(usize::try_from(op).ok()?)?;
        if op == BEGIN {
            return None;
        }
        let mut operands = [0; 3];
        for operand in operands.get_mut(..usize::from(count))? {
            *operand = number(&mut rest)?;
        }
        if op == FUNCTION {
            frame(AstFrame { node: operands[0], literal: operands[1] });
            left -= 1;
        }
    }
    Some(())
}

/// Takes a number: seven bits a byte, low ones first, above a bit that says that more follow. Its lowest
/// bit is the sign.
fn number(bytes: &mut &[u8]) -> Option<i64> {
    let mut value = 0i64;
    for shift in (0..35).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= i64::from(byte >> 1) << shift;
        if byte & 1 == 0 {
            return Some(if value & 1 == 1 { -(value >> 1) } else { value >> 1 });
        }
    }
    None
}

impl<M: Memory> Heap<'_, M> {
    /// Reads the safepoint table of optimized code into `buffer`, which bounds it; gives its length.
    pub fn crankshaft_points(&self, code: &Code, buffer: &mut [u8]) -> Result<usize, Decode> {
        let layout = self.layout.crankshaft.as_ref().ok_or(Decode::Bound)?;
        let word = self.memory.half(code.address.wrapping_add(u64::from(self.layout.code.flags) + 8))?;
        let mask = u32::MAX >> (32 - u32::from(layout.safepoints_bits).min(32));
        let offset = word >> layout.safepoints_shift & mask;
        if offset > code.size {
            return Err(Decode::Bound);
        }
        let table = code.start.wrapping_add(offset.into());
        let mut header = [0; POINT];
        self.memory.read(table, &mut header)?;
        let length = usize::try_from(half(&header, 0)).ok().and_then(|count| count.checked_mul(POINT));
        let points = length.and_then(|length| buffer.get_mut(..length)).ok_or(Decode::Bound)?;
        self.memory.read(table.wrapping_add(POINT as u64), points)?;
        Ok(points.len())
    }

    /// Calls `frame` for each function's frame of a deoptimization, the outermost first. `buffer` bounds
    /// the code's translations.
    pub fn crankshaft_frames(
        &self,
        code: &Code,
        deopt: u32,
        buffer: &mut [u8],
        frame: impl FnMut(AstFrame),
    ) -> Result<(), Decode> {
        let layout = self.layout.crankshaft.as_ref().ok_or(Decode::Bound)?;
        let entry =
            deopt.checked_mul(4).and_then(|entry| entry.checked_add(u32::from(layout.first_entry) + 1));
        let start = smi(self.element(code.deopt, entry.ok_or(Decode::Bound)?)?);
        let start = start.and_then(|start| usize::try_from(start).ok()).ok_or(Decode::Bound)?;
        let translations = self.element(code.deopt, layout.translations.into())?;
        let (from, length) = self.byte_array(translations, buffer.len())?;
        let bytes = buffer.get_mut(..length).ok_or(Decode::Bound)?;
        self.memory.read(from, bytes)?;
        frames(bytes, start, layout, frame).ok_or(Decode::Bound)
    }

    /// The SharedFunctionInfo of a frame's function, tagged; `own` is the code's.
    pub fn crankshaft_function(&self, code: &Code, frame: AstFrame, own: u64) -> Result<u64, Decode> {
        let Ok(literal) = u32::try_from(frame.literal) else { return Ok(own) };
        let literals = self.element(code.deopt, self.layout.deopt.literals.into())?;
        let literal = self.element(literals, literal)?;
        match self.expect(literal, self.layout.types.shared) {
            Ok(_) => Ok(literal),
            Err(_) => self.shared_of_function(literal),
        }
    }

    /// The full-codegen code of a function, by its SharedFunctionInfo, and the offset in it of the return
    /// address that belongs to a syntax node. `buffer` holds the table of nodes.
    pub fn unoptimized(&self, shared: u64, node: i64, buffer: &mut [u8]) -> Result<(Code, u32), Decode> {
        let slot = self.layout.shared.code.ok_or(Decode::Bound)?;
        let address = self.expect(shared, self.layout.types.shared)?;
        let code = self.expect(self.field(address, slot)?, self.layout.types.code)?;
        let code = self.code_at(code)?;
        if code.kind != CodeKind::FullCodegen {
            return Err(Decode::Bound);
        }
        let (from, length) = self.array(code.deopt)?;
        let size = (length as usize).min(2 * CRANKSHAFT_NODES) * 8;
        let nodes = buffer.get_mut(..size).ok_or(Decode::Bound)?;
        self.memory.read(from, nodes)?;
        // A node's number, and where its code is, above a bit.
        let pair = nodes
            .chunks_exact(16)
            .find(|pair| smi(super::heap::word(pair, 0)).is_some_and(|found| i64::from(found) == node));
        let at = pair.and_then(|pair| smi(super::heap::word(pair, 8))).ok_or(Decode::Bound)?;
        Ok((code, at.cast_unsigned() >> 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v8::fixture::layout_of;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    /// A number as V8 writes it.
    fn put(value: i64) -> Vec<u8> {
        let mut bits = value.unsigned_abs() << 1 | u64::from(value < 0);
        let mut bytes = Vec::new();
        loop {
            let more = bits > 0x7f;
            bytes.push(((bits & 0x7f) << 1) as u8 | u8::from(more));
            bits >>= 7;
            if !more {
                return bytes;
            }
        }
    }

    fn translation(numbers: &[i64]) -> Vec<u8> {
        numbers.iter().flat_map(|number| put(*number)).collect()
    }

    #[test]
    fn frames_are_told_from_the_outermost_on() {
        let layout = layout_of(3, 28).crankshaft.unwrap();
        // Two frames; the first is the code's own function, at node 300, with a register and a literal.
        let bytes = translation(&[0, 2, 2, 1, 300, -239, 4, 10, 3, 18, 1, 1, -7, 5, 2]);
        let mut found = Vec::new();
        assert_eq!(frames(&bytes, 0, &layout, |frame| found.push((frame.literal, frame.node))), Some(()));
        assert_eq!(found, [(-239, 300), (5, -7)]);
        assert_eq!(frames(&bytes, 1, &layout, |_| ()), None);
    }

    #[test]
    fn the_last_call_or_loop_tells_on_the_top() {
        let mut code = [0x90; 200];
        // cmp rsp, [r13 - 40]; jb 160: a loop's check at 60.
        code[60..70].copy_from_slice(&[0x49, 0x3b, 0x65, 0xd8, 0x0f, 0x82, 90, 0, 0, 0]);
        let table: Vec<u8> = [[40, 1], [50, 0x0fff_ffff], [100, 2], [170, 3]]
            .into_iter()
            .flatten()
            .flat_map(u32::to_le_bytes)
            .collect();
        let at = |offset| site(&code, offset, &table);
        assert_eq!([at(39), at(40), at(59)], [None, Some((1, false)), Some((1, false))]);
        assert_eq!([at(60), at(99)], [Some((3, true)); 2]);
        assert_eq!([at(100), at(199)], [Some((2, false)); 2]);
    }

    proptest! {
        #[test]
        fn any_bytes_give_an_answer(
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
            table in proptest::collection::vec(any::<u8>(), 0..100),
            offset in 0u32..400,
        ) {
            let layout = layout_of(3, 14).crankshaft.unwrap();
            let _ = frames(&bytes, offset as usize, &layout, |_| ());
            let _ = site(&bytes, offset, &table);
        }
    }
}
