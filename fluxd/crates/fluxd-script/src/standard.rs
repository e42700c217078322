//! The standard forms of locking scripts and what they name. Mirrors `Solver` and its callers in
//! `src/script/standard.cpp`; nothing here decides validity, except that a P2SH fluxnode needs a multisig.

use fluxd_primitives::{Address, Hash160, PublicKey, hash160};

use crate::{
    instruction::{Instruction, instructions, script_hash, small_integer},
    opcode,
};

/// The most bytes that a standard data output carries after `RETURN`.
pub const MAX_DATA_CARRIER: usize = 80;
const KEY_LENGTHS: std::ops::RangeInclusive<usize> = 33..=65;

/// A recognised locking script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standard {
    /// `<key> CHECKSIG`; the bytes have a key's length but may not be one.
    PubKey(Vec<u8>),
    /// `DUP HASH160 <hash> EQUALVERIFY CHECKSIG`.
    PubKeyHash(Hash160),
    /// `HASH160 <hash> EQUAL`.
    ScriptHash(Hash160),
    /// `m <keys> n CHECKMULTISIG`.
    MultiSig {
        /// Signatures needed.
        required: u8,
        /// The keys, as many as the script says.
        keys: Vec<Vec<u8>>,
    },
    /// `RETURN` with at most one small push.
    NullData,
}

impl Standard {
    /// Recognises a script.
    #[must_use]
    pub fn of(script: &[u8]) -> Option<Self> {
        if let Some(hash) = script_hash(script) {
            return Some(Self::ScriptHash(hash));
        }
        let items: Vec<Instruction<'_>> = instructions(script).collect::<Result<_, _>>().ok()?;
        match items.as_slice() {
            [key, check] if is(check, opcode::CHECKSIG) && KEY_LENGTHS.contains(&key.data.len()) => {
                Some(Self::PubKey(key.data.to_vec()))
            }
            [dup, hash160, hash, equal, check]
                if is(dup, opcode::DUP)
                    && is(hash160, opcode::HASH160)
                    && is(equal, opcode::EQUALVERIFY)
                    && is(check, opcode::CHECKSIG) =>
            {
                Some(Self::PubKeyHash(Hash160(hash.data.try_into().ok()?)))
            }
            [required, keys @ .., total, check] if is(check, opcode::CHECKMULTISIG) => {
                multisig(required, keys, total)
            }
            [ret] if is(ret, opcode::RETURN) => Some(Self::NullData),
            [ret, data] if is(ret, opcode::RETURN) && data.data.len() <= MAX_DATA_CARRIER => {
                Some(Self::NullData)
            }
            _ => None,
        }
    }

    /// The one address that a script pays, if it pays one (`ExtractDestination`).
    #[must_use]
    pub fn address(&self) -> Option<Address> {
        match self {
            Self::PubKey(key) => {
                let key = PublicKey::from_serialized(key);
                key.is_valid().then(|| Address::PubkeyHash(key.id()))
            }
            Self::PubKeyHash(hash) => Some(Address::PubkeyHash(*hash)),
            Self::ScriptHash(hash) => Some(Address::ScriptHash(*hash)),
            Self::MultiSig { .. } | Self::NullData => None,
        }
    }

    /// The keys of a multisig that have a key's form.
    #[must_use]
    pub fn multisig_keys(&self) -> Vec<PublicKey> {
        match self {
            Self::MultiSig { keys, .. } => {
                keys.iter().map(|key| PublicKey::from_serialized(key)).filter(PublicKey::is_valid).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// The id of a redeem script.
#[must_use]
pub fn script_id(redeem_script: &[u8]) -> Hash160 {
    hash160(redeem_script)
}

fn multisig(
    required: &Instruction<'_>,
    keys: &[Instruction<'_>],
    total: &Instruction<'_>,
) -> Option<Standard> {
    let (required, total) = (small_integer(required.opcode)?, small_integer(total.opcode)?);
    let sound = required >= 1
        && required <= total
        && keys.len() == usize::from(total)
        && keys.iter().all(|key| KEY_LENGTHS.contains(&key.data.len()));
    sound.then(|| Standard::MultiSig { required, keys: keys.iter().map(|key| key.data.to_vec()).collect() })
}

fn is(instruction: &Instruction<'_>, code: u8) -> bool {
    instruction.opcode == code
}
