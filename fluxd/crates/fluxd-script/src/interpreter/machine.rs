//! One run of one script over a stack.

use fluxd_primitives::hash::{hash160, ripemd160, sha256, sha256d};

use crate::{
    instruction::{Instruction, instructions},
    interpreter::{
        Flags, InputContext, ScriptError,
        checks::{is_minimal_push, key_form, signature_form},
    },
    number,
    opcode::{self as op, *},
    sha1::sha1,
};

const MAX_SCRIPT_SIZE: usize = 10_000;
const MAX_ELEMENT_SIZE: usize = 520;
const MAX_OPERATIONS: u32 = 201;
const MAX_ELEMENTS: usize = 1000;
const MAX_KEYS: i64 = 20;

type Element = Vec<u8>;
type Outcome = Result<(), ScriptError>;

pub(super) struct Machine<'a> {
    stack: Vec<Element>,
    alt: Vec<Element>,
    branches: Vec<bool>,
    operations: u32,
    script: &'a [u8],
    flags: Flags,
    context: &'a InputContext<'a>,
}

impl<'a> Machine<'a> {
    /// Runs `script` and returns the stack it leaves.
    pub(super) fn run(
        stack: Vec<Element>,
        script: &'a [u8],
        flags: Flags,
        context: &'a InputContext<'a>,
    ) -> Result<Vec<Element>, ScriptError> {
        if script.len() > MAX_SCRIPT_SIZE {
            return Err(ScriptError::ScriptSize);
        }
        let mut machine =
            Self { stack, alt: Vec::new(), branches: Vec::new(), operations: 0, script, flags, context };
        for item in instructions(script) {
            machine.instruction(item.map_err(|_| ScriptError::BadOpcode)?)?;
            if machine.stack.len().saturating_add(machine.alt.len()) > MAX_ELEMENTS {
                return Err(ScriptError::StackSize);
            }
        }
        if machine.branches.is_empty() { Ok(machine.stack) } else { Err(ScriptError::UnbalancedConditional) }
    }

    fn instruction(&mut self, Instruction { opcode, data }: Instruction<'_>) -> Outcome {
        if data.len() > MAX_ELEMENT_SIZE {
            return Err(ScriptError::PushSize);
        }
        if opcode > PUSH_16 {
            self.count_operations(1)?;
        }
        if is_disabled(opcode) {
            return Err(ScriptError::DisabledOpcode);
        }
        let running = self.branches.iter().all(|branch| *branch);
        if running && opcode <= PUSHDATA4 {
            if self.flags.has(Flags::MINIMAL_DATA) && !is_minimal_push(data, opcode) {
                return Err(ScriptError::MinimalData);
            }
            self.stack.push(data.to_vec());
            return Ok(());
        }
        match opcode {
            IF..=ENDIF => self.control(opcode, running),
            _ if running => self.operation(opcode),
            _ => Ok(()),
        }
    }

    fn count_operations(&mut self, count: u32) -> Outcome {
        self.operations = self.operations.saturating_add(count);
        if self.operations > MAX_OPERATIONS { Err(ScriptError::OpCount) } else { Ok(()) }
    }

    fn control(&mut self, opcode: u8, running: bool) -> Outcome {
        match opcode {
            IF | NOTIF => {
                let value = if running {
                    let condition = self.stack.pop().ok_or(ScriptError::UnbalancedConditional)?;
                    number::truth(&condition) == (opcode == IF)
                } else {
                    false
                };
                self.branches.push(value);
            }
            ELSE => {
                let branch = self.branches.last_mut().ok_or(ScriptError::UnbalancedConditional)?;
                *branch = !*branch;
            }
            ENDIF => {
                self.branches.pop().ok_or(ScriptError::UnbalancedConditional)?;
            }
            _ => return Err(ScriptError::BadOpcode),
        }
        Ok(())
    }

    fn operation(&mut self, opcode: u8) -> Outcome {
        match opcode {
            NEGATE_ONE | PUSH_1..=PUSH_16 => self.push_number(i64::from(opcode) - i64::from(PUSH_1) + 1),
            NOP => {}
            CHECKLOCKTIMEVERIFY => return self.check_lock_time(),
            NOP1 | NOP3..=NOP10 => return self.upgradable_nop(),
            op::VERIFY => {
                self.need(1)?;
                if !number::truth(self.top(0)?) {
                    return Err(ScriptError::Verify);
                }
                self.pop()?;
            }
            RETURN => return Err(ScriptError::OpReturn),
            TOALTSTACK..=TUCK | SIZE => return self.stack_operation(opcode),
            EQUAL | EQUALVERIFY => {
                self.need(2)?;
                let equal = self.pop()? == self.pop()?;
                self.push_verdict(equal, opcode == EQUALVERIFY, ScriptError::EqualVerify)?;
            }
            ONE_ADD | ONE_SUB | NEGATE..=ZERO_NOTEQUAL => self.unary(opcode)?,
            ADD | SUB | BOOLAND..=MAX => self.binary(opcode)?,
            WITHIN => {
                self.need(3)?;
                let (value, least, bound) = (self.number(2)?, self.number(1)?, self.number(0)?);
                self.drop(3)?;
                self.push_bool(least <= value && value < bound);
            }
            RIPEMD160 | SHA1 | SHA256 | HASH160 | HASH256 => {
                self.need(1)?;
                let input = self.pop()?;
                self.stack.push(match opcode {
                    RIPEMD160 => ripemd160(&input).to_vec(),
                    SHA1 => sha1(&input).to_vec(),
                    SHA256 => sha256(&input).to_vec(),
                    HASH160 => hash160(&input).0.to_vec(),
                    _ => sha256d(&input).to_vec(),
                });
            }
            CHECKSIG | CHECKSIGVERIFY => {
                self.need(2)?;
                let (signature, key) = (self.top(1)?, self.top(0)?);
                let valid = self.signature(signature, key)?;
                self.drop(2)?;
                self.push_verdict(valid, opcode == CHECKSIGVERIFY, ScriptError::CheckSigVerify)?;
            }
            CHECKMULTISIG | CHECKMULTISIGVERIFY => {
                let valid = self.multisig()?;
                self.push_verdict(valid, opcode == CHECKMULTISIGVERIFY, ScriptError::CheckMultiSigVerify)?;
            }
            _ => return Err(ScriptError::BadOpcode),
        }
        Ok(())
    }

    fn stack_operation(&mut self, opcode: u8) -> Outcome {
        match opcode {
            TOALTSTACK => {
                self.need(1)?;
                let value = self.pop()?;
                self.alt.push(value);
            }
            FROMALTSTACK => {
                let value = self.alt.pop().ok_or(ScriptError::InvalidAltStackOperation)?;
                self.stack.push(value);
            }
            TWO_DROP => {
                self.need(2)?;
                self.drop(2)?;
            }
            TWO_DUP => self.copy(&[1, 1])?,
            THREE_DUP => self.copy(&[2, 2, 2])?,
            TWO_OVER => self.copy(&[3, 3])?,
            TWO_ROT => self.rotate(6, 2)?,
            TWO_SWAP => self.rotate(4, 2)?,
            IFDUP => {
                self.need(1)?;
                if number::truth(self.top(0)?) {
                    self.copy(&[0])?;
                }
            }
            DEPTH => self.push_number(i64::try_from(self.stack.len()).unwrap_or(i64::MAX)),
            op::DROP => {
                self.need(1)?;
                self.drop(1)?;
            }
            DUP => self.copy(&[0])?,
            NIP => {
                self.need(2)?;
                self.remove(1)?;
            }
            OVER => self.copy(&[1])?,
            PICK | ROLL => {
                self.need(2)?;
                let depth = usize::try_from(self.number(0)?).map_err(|_| ScriptError::InvalidStackOperation);
                self.drop(1)?;
                let depth = depth?;
                let value = if opcode == ROLL { self.remove(depth)? } else { self.top(depth)?.clone() };
                self.stack.push(value);
            }
            ROT => self.rotate(3, 1)?,
            SWAP => self.rotate(2, 1)?,
            TUCK => {
                self.need(2)?;
                let value = self.top(0)?.clone();
                let at = self.stack.len().saturating_sub(2);
                self.stack.insert(at, value);
            }
            SIZE => {
                self.need(1)?;
                self.push_number(i64::try_from(self.top(0)?.len()).unwrap_or(i64::MAX));
            }
            _ => return Err(ScriptError::BadOpcode),
        }
        Ok(())
    }

    fn unary(&mut self, opcode: u8) -> Outcome {
        self.need(1)?;
        let value = self.number(0)?;
        self.drop(1)?;
        self.push_number(match opcode {
            ONE_ADD => value.saturating_add(1),
            ONE_SUB => value.saturating_sub(1),
            NEGATE => value.saturating_neg(),
            ABS => value.saturating_abs(),
            NOT => i64::from(value == 0),
            _ => i64::from(value != 0),
        });
        Ok(())
    }

    fn binary(&mut self, opcode: u8) -> Outcome {
        self.need(2)?;
        let (a, b) = (self.number(1)?, self.number(0)?);
        self.drop(2)?;
        let value = match opcode {
            ADD => a.saturating_add(b),
            SUB => a.saturating_sub(b),
            op::MIN => a.min(b),
            op::MAX => a.max(b),
            BOOLAND => i64::from(a != 0 && b != 0),
            BOOLOR => i64::from(a != 0 || b != 0),
            NUMEQUAL | NUMEQUALVERIFY => i64::from(a == b),
            NUMNOTEQUAL => i64::from(a != b),
            LESSTHAN => i64::from(a < b),
            GREATERTHAN => i64::from(a > b),
            LESSTHANOREQUAL => i64::from(a <= b),
            _ => i64::from(a >= b),
        };
        if opcode == NUMEQUALVERIFY {
            return if value != 0 { Ok(()) } else { Err(ScriptError::NumEqualVerify) };
        }
        self.push_number(value);
        Ok(())
    }

    fn check_lock_time(&mut self) -> Outcome {
        if !self.flags.has(Flags::CHECK_LOCK_TIME) {
            return self.upgradable_nop();
        }
        self.need(1)?;
        let minimal = self.flags.has(Flags::MINIMAL_DATA);
        let lock_time = number::decode(self.top(0)?, minimal, number::LOCK_TIME_SIZE)?;
        if lock_time < 0 {
            Err(ScriptError::NegativeLockTime)
        } else if self.context.check_lock_time(lock_time) {
            Ok(())
        } else {
            Err(ScriptError::UnsatisfiedLockTime)
        }
    }

    fn upgradable_nop(&self) -> Outcome {
        if self.flags.has(Flags::DISCOURAGE_UPGRADABLE_NOPS) {
            Err(ScriptError::DiscourageUpgradableNops)
        } else {
            Ok(())
        }
    }

    fn signature(&self, signature: &[u8], key: &[u8]) -> Result<bool, ScriptError> {
        signature_form(signature, self.flags)?;
        key_form(key, self.flags)?;
        Ok(self.context.check_signature(signature, key, self.script))
    }

    /// `<dummy> [signatures] m [keys] n`: the keys are tried in order, each signature once.
    fn multisig(&mut self) -> Result<bool, ScriptError> {
        self.need(1)?;
        let keys = bounded_count(self.number(0)?, MAX_KEYS, ScriptError::PubKeyCount)?;
        self.count_operations(u32::try_from(keys).unwrap_or(u32::MAX))?;
        self.need(keys + 2)?;
        let most = i64::try_from(keys).unwrap_or(MAX_KEYS);
        let signatures = bounded_count(self.number(keys + 1)?, most, ScriptError::SigCount)?;
        self.need(keys + signatures + 2)?;

        let (mut key, mut signature) = (0, 0);
        let mut valid = true;
        while valid && signature < signatures {
            let (sig_bytes, key_bytes) = (self.top(keys + 2 + signature)?, self.top(key + 1)?);
            if self.signature(sig_bytes, key_bytes)? {
                signature += 1;
            }
            key += 1;
            valid = signatures - signature <= keys - key;
        }
        self.drop(keys + signatures + 2)?;
        self.need(1)?;
        let dummy = self.pop()?;
        if self.flags.has(Flags::NULL_DUMMY) && !dummy.is_empty() {
            return Err(ScriptError::SigNullDummy);
        }
        Ok(valid)
    }

    fn need(&self, count: usize) -> Outcome {
        if self.stack.len() < count { Err(ScriptError::InvalidStackOperation) } else { Ok(()) }
    }

    /// The element `depth` below the top.
    fn top(&self, depth: usize) -> Result<&Element, ScriptError> {
        self.stack.iter().rev().nth(depth).ok_or(ScriptError::InvalidStackOperation)
    }

    fn pop(&mut self) -> Result<Element, ScriptError> {
        self.stack.pop().ok_or(ScriptError::InvalidStackOperation)
    }

    fn drop(&mut self, count: usize) -> Outcome {
        self.need(count)?;
        self.stack.truncate(self.stack.len().saturating_sub(count));
        Ok(())
    }

    fn remove(&mut self, depth: usize) -> Result<Element, ScriptError> {
        let index = self.stack.len().checked_sub(depth.saturating_add(1));
        index.map(|index| self.stack.remove(index)).ok_or(ScriptError::InvalidStackOperation)
    }

    /// Copies the element at each depth to the top, one after the other.
    fn copy(&mut self, depths: &[usize]) -> Outcome {
        self.need(depths.first().map_or(0, |deepest| deepest + 1))?;
        for depth in depths {
            let value = self.top(*depth)?.clone();
            self.stack.push(value);
        }
        Ok(())
    }

    /// Brings the lowest `moved` of the upper `window` elements to the top.
    fn rotate(&mut self, window: usize, moved: usize) -> Outcome {
        self.need(window)?;
        let start = self.stack.len().saturating_sub(window);
        if let Some(upper) = self.stack.get_mut(start..) {
            upper.rotate_left(moved);
        }
        Ok(())
    }

    fn number(&self, depth: usize) -> Result<i64, ScriptError> {
        number::decode(self.top(depth)?, self.flags.has(Flags::MINIMAL_DATA), number::DEFAULT_SIZE)
    }

    fn push_number(&mut self, value: i64) {
        self.stack.push(number::encode(value));
    }

    fn push_bool(&mut self, value: bool) {
        self.push_number(i64::from(value));
    }

    fn push_verdict(&mut self, value: bool, verify: bool, error: ScriptError) -> Outcome {
        if !verify {
            self.push_bool(value);
            Ok(())
        } else if value {
            Ok(())
        } else {
            Err(error)
        }
    }
}

fn bounded_count(value: i64, most: i64, error: ScriptError) -> Result<usize, ScriptError> {
    if value > most { Err(error) } else { usize::try_from(value).map_err(|_| error) }
}

fn is_disabled(opcode: u8) -> bool {
    matches!(
        opcode,
        CAT | SUBSTR
            | LEFT
            | RIGHT
            | INVERT
            | AND
            | OR
            | XOR
            | TWO_MUL
            | TWO_DIV
            | MUL
            | DIV
            | MOD
            | LSHIFT
            | RSHIFT
            | CODESEPARATOR
    )
}
