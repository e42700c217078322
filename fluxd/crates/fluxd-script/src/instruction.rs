//! Splitting a script into instructions, and questions about a script's shape. Mirrors `src/script/script.cpp`.

use fluxd_primitives::{Address, Hash160, Script, codec::Reader};

use crate::opcode;

/// Signature operations that a multisig opcode counts for when the number of keys is not known.
const MAX_MULTISIG_KEYS: u32 = 20;

/// One instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction<'a> {
    /// The opcode.
    pub opcode: u8,
    /// What a push instruction pushes; empty for every other opcode.
    pub data: &'a [u8],
}

/// The script ends inside a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Truncated;

/// The instructions of a script; ends after the first that is truncated.
#[derive(Debug, Clone)]
pub struct Instructions<'a> {
    reader: Reader<'a>,
}

/// Splits a script.
#[must_use]
pub fn instructions(script: &[u8]) -> Instructions<'_> {
    Instructions { reader: Reader::new(script) }
}

impl<'a> Iterator for Instructions<'a> {
    type Item = Result<Instruction<'a>, Truncated>;

    fn next(&mut self) -> Option<Self::Item> {
        let opcode = self.reader.u8().ok()?;
        let data = match push_length(&mut self.reader, opcode) {
            None => Some(&[][..]),
            Some(length) => length.and_then(|length| self.reader.take(length).ok()),
        };
        Some(match data {
            Some(data) => Ok(Instruction { opcode, data }),
            None => {
                self.reader = Reader::new(&[]);
                Err(Truncated)
            }
        })
    }
}

/// `None`: not a push. `Some(None)`: a push whose length is cut off.
fn push_length(reader: &mut Reader<'_>, code: u8) -> Option<Option<usize>> {
    let length = match code {
        opcode::PUSHDATA1 => reader.u8().ok().map(usize::from),
        opcode::PUSHDATA2 => reader.u16_le().ok().map(usize::from),
        opcode::PUSHDATA4 => reader.u32_le().ok().and_then(|length| usize::try_from(length).ok()),
        direct if direct < opcode::PUSHDATA1 => Some(usize::from(direct)),
        _ => return None,
    };
    Some(length)
}

/// The number that `OP_0` and `OP_1` to `OP_16` push.
#[must_use]
pub fn small_integer(code: u8) -> Option<u8> {
    match code {
        opcode::PUSH_EMPTY => Some(0),
        opcode::PUSH_1..=opcode::PUSH_16 => Some(code.wrapping_sub(opcode::PUSH_1).wrapping_add(1)),
        _ => None,
    }
}

/// The hash that a pay-to-script-hash output names: exactly `HASH160 <20 bytes> EQUAL`.
#[must_use]
pub fn script_hash(script: &[u8]) -> Option<Hash160> {
    match script {
        [opcode::HASH160, 20, hash @ .., opcode::EQUAL] => Some(Hash160(hash.try_into().ok()?)),
        _ => None,
    }
}

/// The hash that a pay-to-public-key-hash output names, in exactly its 25-byte form.
#[must_use]
pub fn pubkey_hash(script: &[u8]) -> Option<Hash160> {
    match script {
        [opcode::DUP, opcode::HASH160, 20, hash @ .., opcode::EQUALVERIFY, opcode::CHECKSIG] => {
            Some(Hash160(hash.try_into().ok()?))
        }
        _ => None,
    }
}

/// The locking script of an address.
#[must_use]
pub fn pay_to(address: &Address) -> Script {
    Script(match address {
        Address::PubkeyHash(hash) => {
            [&[opcode::DUP, opcode::HASH160, 20][..], &hash.0, &[opcode::EQUALVERIFY, opcode::CHECKSIG]]
                .concat()
        }
        Address::ScriptHash(hash) => [&[opcode::HASH160, 20][..], &hash.0, &[opcode::EQUAL]].concat(),
    })
}

/// Only pushes (`OP_RESERVED` counts as one) and none of them truncated.
#[must_use]
pub fn is_push_only(script: &[u8]) -> bool {
    instructions(script).all(|item| item.is_ok_and(|item| item.opcode <= opcode::PUSH_16))
}

/// Signature operations; `accurate` counts the keys of a multisig where the script says how many.
#[must_use]
pub fn count_sigops(script: &[u8], accurate: bool) -> u32 {
    let mut total = 0_u32;
    let mut previous = None;
    for Instruction { opcode: code, .. } in instructions(script).map_while(Result::ok) {
        total = total.saturating_add(match code {
            opcode::CHECKSIG | opcode::CHECKSIGVERIFY => 1,
            opcode::CHECKMULTISIG | opcode::CHECKMULTISIGVERIFY => match previous.and_then(small_integer) {
                Some(keys) if accurate && keys > 0 => u32::from(keys),
                _ => MAX_MULTISIG_KEYS,
            },
            _ => 0,
        });
        previous = Some(code);
    }
    total
}

/// Signature operations of an input that spends `script_pubkey`: those of the redeem script for P2SH.
#[must_use]
pub fn count_input_sigops(script_pubkey: &[u8], script_sig: &[u8]) -> u32 {
    if script_hash(script_pubkey).is_none() {
        return count_sigops(script_pubkey, true);
    }
    let mut last: &[u8] = &[];
    for item in instructions(script_sig) {
        match item {
            Ok(item) if item.opcode <= opcode::PUSH_16 => last = item.data,
            _ => return 0,
        }
    }
    count_sigops(last, true)
}
