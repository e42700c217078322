//! Scripts and the decoding of instructions. Mirrors `Script.cs` and `Instruction.cs`.

use std::sync::Arc;

use crate::{
    fault::{Fault, Result},
    item::ItemType,
    opcode::{OpCode, Operand},
};

/// A loaded script. Two loads of the same bytes are different scripts: pointers of one are foreign to the other.
#[derive(Debug, Clone)]
pub struct Script(Arc<Arc<[u8]>>);

impl Script {
    /// Loads bytes.
    #[must_use]
    pub fn new(bytes: impl Into<Arc<[u8]>>) -> Self {
        Self(Arc::new(bytes.into()))
    }

    /// The bytes.
    #[inline]
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, shared.
    #[must_use]
    pub fn shared_bytes(&self) -> Arc<[u8]> {
        Arc::clone(&self.0)
    }

    /// Length in bytes.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes().len()
    }

    /// True without bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes().is_empty()
    }

    /// The instruction at a position; `None` at the end, where execution returns.
    ///
    /// # Errors
    /// Not an instruction, or its operand is cut off.
    #[inline]
    pub fn instruction(&self, position: usize) -> Result<Option<Instruction>> {
        Instruction::decode(self.bytes(), position)
    }

    /// Checks the whole script: every instruction decodes in sequence, every jump, call, handler and pointer meets
    /// the start of an instruction, and every operand that names a type names one that is allowed.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check_strict(&self) -> Result<()> {
        let mut starts = vec![false; self.len()];
        let mut position = 0;
        while let Some(instruction) = self.instruction(position)? {
            if let Some(start) = starts.get_mut(position) {
                *start = true;
            }
            position = instruction.end;
        }
        let check = |from: usize, offset: i64| {
            let to = i64::try_from(from).unwrap_or(i64::MAX).saturating_add(offset);
            let hits = usize::try_from(to).ok().and_then(|to| starts.get(to)).is_some_and(|start| *start);
            if hits { Ok(()) } else { Err(Fault::OutOfScript(to)) }
        };
        let mut position = 0;
        while let Some(instruction) = self.instruction(position)? {
            let operand = instruction.operand(self.bytes());
            match instruction.op {
                op if jumps_short(op) => check(position, i8_at(operand, 0))?,
                op if jumps_long(op) => check(position, i32_at(operand, 0))?,
                OpCode::TRY => {
                    check(position, i8_at(operand, 0))?;
                    check(position, i8_at(operand, 1))?;
                }
                OpCode::TRY_L => {
                    check(position, i32_at(operand, 0))?;
                    check(position, i32_at(operand, 4))?;
                }
                op @ (OpCode::NEWARRAY_T | OpCode::ISTYPE | OpCode::CONVERT) => {
                    let byte = operand.first().copied().unwrap_or_default();
                    match ItemType::from_byte(byte) {
                        None => return Err(Fault::UnknownType(byte)),
                        Some(ItemType::Any) if op != OpCode::NEWARRAY_T => {
                            return Err(Fault::UnknownType(byte));
                        }
                        Some(_) => {}
                    }
                }
                _ => {}
            }
            position = instruction.end;
        }
        Ok(())
    }
}

impl PartialEq for Script {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Script {}

/// A decoded instruction; the operand stays in the script.
#[derive(Debug, Clone, Copy)]
pub struct Instruction {
    /// What to do.
    pub op: OpCode,
    /// Where the operand begins.
    pub operand: usize,
    /// Where the next instruction begins.
    pub end: usize,
}

impl Instruction {
    #[inline]
    fn decode(script: &[u8], position: usize) -> Result<Option<Self>> {
        let Some(&byte) = script.get(position) else { return Ok(None) };
        let op = OpCode::from_byte(byte).ok_or(Fault::InvalidOpCode(byte))?;
        let after = position.saturating_add(1);
        let (operand, len) = match op.operand() {
            Operand::Fixed(0) => return Ok(Some(Self { op, operand: after, end: after })),
            Operand::Fixed(len) => (after, len),
            Operand::Prefixed(size) => {
                let start = after.saturating_add(size);
                let prefix = script.get(after..start).ok_or(Fault::CutOff(position))?;
                let len = prefix.iter().rev().fold(0usize, |len, byte| (len << 8) | usize::from(*byte));
                (start, len)
            }
        };
        let end = operand.saturating_add(len);
        if end > script.len() {
            return Err(Fault::CutOff(position));
        }
        Ok(Some(Self { op, operand, end }))
    }

    /// The bytes of the operand, without a length prefix.
    #[inline]
    #[must_use]
    pub fn operand<'a>(&self, script: &'a [u8]) -> &'a [u8] {
        script.get(self.operand..self.end).unwrap_or_default()
    }
}

/// True for jumps, calls and handlers whose operand is one signed byte.
fn jumps_short(op: OpCode) -> bool {
    use OpCode as Op;
    matches!(op, Op::JMP | Op::JMPIF | Op::JMPIFNOT | Op::CALL | Op::ENDTRY)
        || matches!(op, Op::JMPEQ | Op::JMPNE | Op::JMPGT | Op::JMPGE | Op::JMPLT | Op::JMPLE)
}

/// True for jumps, calls, handlers and pointers whose operand is four bytes.
fn jumps_long(op: OpCode) -> bool {
    use OpCode as Op;
    matches!(op, Op::JMP_L | Op::JMPIF_L | Op::JMPIFNOT_L | Op::CALL_L | Op::ENDTRY_L | Op::PUSHA)
        || matches!(op, Op::JMPEQ_L | Op::JMPNE_L | Op::JMPGT_L | Op::JMPGE_L | Op::JMPLT_L | Op::JMPLE_L)
}

/// The signed byte at an offset of an operand.
#[inline]
pub(crate) fn i8_at(operand: &[u8], at: usize) -> i64 {
    operand.get(at).map_or(0, |byte| byte.cast_signed().into())
}

/// The signed 32-bit number at an offset of an operand.
#[inline]
pub(crate) fn i32_at(operand: &[u8], at: usize) -> i64 {
    operand.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| i32::from_le_bytes(*bytes).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strict_scripts_have_all_targets_at_instructions() {
        assert!(Script::new([0x22, 2, 0x40]).check_strict().is_ok());
        assert!(Script::new([0x22, 1, 0x40]).check_strict().is_err());
        assert!(Script::new([0x22, 3, 0x40]).check_strict().is_err());
        assert!(Script::new([0xd9, 0x00]).check_strict().is_err());
        assert!(Script::new([0xc4, 0x00]).check_strict().is_ok());
        assert!(Script::new([0xdb, 0x99]).check_strict().is_err());
    }

    #[test]
    fn operands_beyond_the_script_are_refused() {
        for script in
            [&[0x0c][..], &[0x0c, 1], &[0x0d, 1], &[0x0e, 0xff, 0xff, 0xff, 0xff], &[0x05, 0], &[0x06]]
        {
            assert!(Script::new(script).instruction(0).is_err(), "{script:?}");
        }
        assert!(matches!(Script::new([0x21]).instruction(1), Ok(None)));
    }
}
