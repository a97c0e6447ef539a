//! Rows that have no short form: DWARF expressions, registers saved in others, signal frames.

use gimli::{
    CfaRule, Encoding, Evaluation, EvaluationResult, EvaluationStorage, Format, Location, Piece,
    RegisterRule, UnwindExpression, Value,
};

use super::module::{Bytes, ModuleUnwind, Row};
use super::rule::{is_general, return_column};
use super::{StackCopy, StepError};
use crate::arch::{Arch, Registers, x86_64};
use crate::limits;
use crate::memory::Memory;

/// Storage of gimli's evaluator, in place. The procedure linkage table's expression needs 3 values.
struct Fixed;

impl<'a> EvaluationStorage<Bytes<'a>> for Fixed {
    type Stack = [Value; 16];
    type ExpressionStack = [(Bytes<'a>, Bytes<'a>); 1];
    type Result = [Piece<Bytes<'a>>; 1];
}

/// What a row is evaluated against.
pub(super) struct Frame<'s, 'a, M> {
    pub(super) module: &'s ModuleUnwind<'a>,
    pub(super) registers: &'s Registers,
    pub(super) is_return_address: bool,
    pub(super) vaddr: u64,
    pub(super) stack: &'s StackCopy<'s>,
    pub(super) memory: &'s M,
}

impl<M: Memory> Frame<'_, '_, M> {
    /// The caller's registers, its pc as it stands in memory; `None` where there is no caller.
    pub(super) fn caller(&self, row: &Row) -> Result<Option<Registers>, StepError> {
        let arch = self.module.arch();
        let cfa = match row.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => {
                self.register(register.0)?.wrapping_add_signed(*offset)
            }
            CfaRule::Expression(expression) => self.evaluate(expression, None)?,
        };
        let mut caller = *self.registers;
        caller.general[arch.stack_pointer()] = cfa;
        let mut back = None;
        for (register, rule) in row.registers() {
            let number = usize::from(register.0);
            let is_return_address = number == return_column(arch);
            if !is_general(arch, register.0) {
                continue;
            }
            let value = match rule {
                RegisterRule::Undefined if is_return_address => return Ok(None),
                RegisterRule::Undefined | RegisterRule::Architectural => continue,
                RegisterRule::SameValue if is_return_address => self.same_return_address()?,
                RegisterRule::SameValue => continue,
                RegisterRule::Offset(offset) => self.word(cfa.wrapping_add_signed(*offset))?,
                RegisterRule::ValOffset(offset) => cfa.wrapping_add_signed(*offset),
                RegisterRule::Register(other) => self.register(other.0)?,
                RegisterRule::Expression(expression) => self.word(self.evaluate(expression, Some(cfa))?)?,
                RegisterRule::ValExpression(expression) => self.evaluate(expression, Some(cfa))?,
                RegisterRule::Constant(value) => *value,
            };
            if is_return_address {
                back = Some(value);
            }
            if let Some(slot) = caller.general.get_mut(number)
                && !(arch == Arch::X86_64 && is_return_address)
            {
                *slot = value;
            }
        }
        caller.pc = match back {
            Some(pc) => pc,
            None => self.same_return_address()?,
        };
        Ok(Some(caller))
    }

    /// The link register, if it can still hold this frame's return address.
    fn same_return_address(&self) -> Result<u64, StepError> {
        match self.module.arch() {
            Arch::Aarch64 if !self.is_return_address => self.register(return_column(Arch::Aarch64) as u16),
            _ => Err(StepError::NoReturnAddress),
        }
    }

    fn word(&self, address: u64) -> Result<u64, StepError> {
        Ok(self.stack.word_or_read(address, self.memory)?)
    }

    fn register(&self, number: u16) -> Result<u64, StepError> {
        let number = usize::from(number);
        if self.module.arch() == Arch::X86_64 && number == x86_64::RETURN_ADDRESS {
            return Ok(self.registers.pc);
        }
        let known = if self.module.arch() == Arch::X86_64 { 16 } else { 32 };
        let value = self.registers.general.get(number).filter(|_| number < known);
        value.copied().ok_or(StepError::Malformed { vaddr: self.vaddr })
    }

    fn evaluate(&self, expression: &UnwindExpression<usize>, start: Option<u64>) -> Result<u64, StepError> {
        let malformed = StepError::Malformed { vaddr: self.vaddr };
        let bytes = expression.get(&self.module.section()).map_err(|_| malformed)?.0;
        let encoding = Encoding { address_size: 8, format: Format::Dwarf32, version: 4 };
        let mut evaluation = Evaluation::<_, Fixed>::new_in(bytes, encoding);
        evaluation.set_max_iterations(limits::UNWIND_EXPRESSION_STEPS);
        if let Some(start) = start {
            evaluation.set_initial_value(start);
        }
        let mut state = evaluation.evaluate().map_err(|_| malformed)?;
        loop {
            state = match state {
                EvaluationResult::Complete => break,
                EvaluationResult::RequiresRegister { register, .. } => {
                    evaluation.resume_with_register(Value::Generic(self.register(register.0)?))
                }
                EvaluationResult::RequiresMemory { address, size, space: None, .. } => {
                    let word = self.word(address)?;
                    let unused = 64 - 8 * u32::from(size.clamp(1, 8));
                    evaluation.resume_with_memory(Value::Generic(word << unused >> unused))
                }
                _ => return Err(malformed),
            }
            .map_err(|_| malformed)?;
        }
        match evaluation.as_result() {
            [Piece { location: Location::Address { address }, .. }] => Ok(*address),
            [Piece { location: Location::Value { value }, .. }] => {
                value.to_u64(u64::MAX).map_err(|_| malformed)
            }
            _ => Err(malformed),
        }
    }
}
