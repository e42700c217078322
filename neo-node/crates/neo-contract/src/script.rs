//! Scripts that are built from values: pushes and calls. Mirrors `VM/ScriptBuilder.cs` and `EmitDynamicCall`.

use neo_base::{Int, UInt160, account::interop_id};

use crate::CallFlags;

const PUSHINT8: u8 = 0x00;
const PUSHTRUE: u8 = 0x08;
const PUSHFALSE: u8 = 0x09;
const PUSHNULL: u8 = 0x0b;
const PUSHDATA1: u8 = 0x0c;
const PUSHM1: u8 = 0x0f;
const PUSH0: u8 = 0x10;
const PACK: u8 = 0xc0;
const NEWARRAY0: u8 = 0xc2;
const NEWMAP: u8 = 0xc8;
const DUP: u8 = 0x4a;
const SETITEM: u8 = 0xd0;
const SYSCALL: u8 = 0x41;

/// A value that a script pushes.
#[derive(Debug, Clone, PartialEq)]
pub enum Argument {
    /// Nothing.
    Null,
    /// True or false.
    Boolean(bool),
    /// An integer.
    Integer(Int),
    /// Bytes of any meaning.
    Bytes(Vec<u8>),
    /// A list.
    Array(Vec<Self>),
    /// Keys and values.
    Map(Vec<(Self, Self)>),
}

/// A script under construction.
#[derive(Debug, Clone, Default)]
pub struct ScriptBuilder(Vec<u8>);

impl ScriptBuilder {
    /// Pushes a value.
    pub fn push(&mut self, argument: &Argument) -> &mut Self {
        match argument {
            Argument::Null => self.0.push(PUSHNULL),
            Argument::Boolean(flag) => self.0.push(if *flag { PUSHTRUE } else { PUSHFALSE }),
            Argument::Integer(value) => self.push_int(value),
            Argument::Bytes(data) => self.push_bytes(data),
            Argument::Array(items) => return self.push_list(items),
            Argument::Map(entries) => {
                self.0.push(NEWMAP);
                for (key, value) in entries {
                    self.0.push(DUP);
                    self.push(key).push(value).0.push(SETITEM);
                }
            }
        }
        self
    }

    /// Calls a method of a contract with these arguments; the call may do everything.
    pub fn call(&mut self, contract: &UInt160, method: &str, arguments: &[Argument]) -> &mut Self {
        self.call_with(CallFlags::ALL, contract, method, arguments)
    }

    /// The same with what the call may do.
    pub fn call_with(
        &mut self,
        flags: CallFlags,
        contract: &UInt160,
        method: &str,
        arguments: &[Argument],
    ) -> &mut Self {
        self.push_list(arguments);
        self.push_int(&Int::from(flags.bits()));
        self.push_bytes(method.as_bytes());
        self.push_bytes(contract.as_bytes());
        self.0.push(SYSCALL);
        self.0.extend_from_slice(&interop_id("System.Contract.Call").to_le_bytes());
        self
    }

    /// The script.
    #[must_use]
    pub fn finish(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }

    fn push_list(&mut self, items: &[Argument]) -> &mut Self {
        if items.is_empty() {
            self.0.push(NEWARRAY0);
            return self;
        }
        for item in items.iter().rev() {
            self.push(item);
        }
        self.push_int(&Int::from(i64::try_from(items.len()).unwrap_or(i64::MAX)));
        self.0.push(PACK);
        self
    }

    fn push_int(&mut self, value: &Int) {
        match value.to_i64() {
            Some(-1) => self.0.push(PUSHM1),
            Some(small @ 0..=16) => {
                self.0.push(PUSH0.saturating_add(u8::try_from(small).unwrap_or_default()))
            }
            _ => {
                let mut data = value.to_bytes();
                let fill = if value.is_negative() { 0xff } else { 0 };
                let size = data.len().next_power_of_two().min(32);
                data.resize(size.max(data.len()), fill);
                let opcode = size.trailing_zeros();
                self.0.push(PUSHINT8.saturating_add(u8::try_from(opcode).unwrap_or_default()));
                self.0.extend_from_slice(&data);
            }
        }
    }

    fn push_bytes(&mut self, data: &[u8]) {
        match (u8::try_from(data.len()), u16::try_from(data.len())) {
            (Ok(short), _) => self.0.extend_from_slice(&[PUSHDATA1, short]),
            (_, Ok(medium)) => {
                self.0.push(PUSHDATA1.saturating_add(1));
                self.0.extend_from_slice(&medium.to_le_bytes());
            }
            _ => {
                let long = u32::try_from(data.len()).unwrap_or(u32::MAX);
                self.0.push(PUSHDATA1.saturating_add(2));
                self.0.extend_from_slice(&long.to_le_bytes());
            }
        }
        self.0.extend_from_slice(data);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_take_the_smallest_instruction() {
        let script =
            |value: i64| ScriptBuilder::default().push(&Argument::Integer(Int::from(value))).finish();
        assert_eq!(script(-1), [0x0f]);
        assert_eq!(script(16), [0x20]);
        assert_eq!(script(17), [0x00, 17]);
        assert_eq!(script(-2), [0x00, 0xfe]);
        assert_eq!(script(128), [0x01, 128, 0]);
        assert_eq!(script(32_768), [0x02, 0, 128, 0, 0]);
        assert_eq!(script(-32_769), [0x02, 0xff, 0x7f, 0xff, 0xff]);
        assert_eq!(script(i64::MAX)[0], 0x03);
    }

    #[test]
    fn a_call_without_arguments_has_an_empty_list() {
        let script = ScriptBuilder::default().call(&UInt160([7; 20]), "ping", &[]).finish();
        assert_eq!(script[..3], [0xc2, 0x1f, 0x0c]);
        assert_eq!(script[script.len() - 5..], [0x41, 0x62, 0x7d, 0x5b, 0x52]);
    }
}
