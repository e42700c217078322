//! Transactions of versions 1-6. Mirrors `src/primitives/transaction.h`.
//!
//! The header word selects the layout: plain versions (with PHGR13 JoinSplits from 2 on), Overwinter 3, Sapling 4, and
//! the fluxnode versions 5 and 6, whose bodies live in [`fluxnode`].

pub mod fluxnode;
pub mod shielded;

use std::fmt;

use crate::{
    amount::Amount,
    codec::{Codec, DecodeError, Reader, Result, Writer, list, put_list, put_var_bytes, var_bytes},
    hash::{Hash256, TxId, sha256d},
    transaction::{
        fluxnode::FluxnodeTx,
        shielded::{JoinSplit, SaplingOutput, SaplingSpend},
    },
};

/// Version of Overwinter transactions.
pub const OVERWINTER_VERSION: u32 = 3;
/// Version group of Overwinter transactions.
pub const OVERWINTER_GROUP: u32 = 0x03C4_8270;
/// Version of Sapling transactions.
pub const SAPLING_VERSION: u32 = 4;
/// Version group of Sapling transactions.
pub const SAPLING_GROUP: u32 = 0x892F_2085;
/// Version of the first fluxnode transactions.
pub const FLUXNODE_VERSION: u32 = 5;
/// Version of fluxnode transactions with a version of their own (P2SH collateral, delegates).
pub const FLUXNODE_UPGRADEABLE_VERSION: u32 = 6;

const OVERWINTERED_BIT: u32 = 1 << 31;

/// Script bytes; what they mean is known to `fluxd-script`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Script(pub Vec<u8>);

impl Script {
    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shared_vendor::hex::encode(&self.0))
    }
}

impl Codec for Script {
    const MIN_BYTES: usize = 1;

    fn decode(reader: &mut Reader<'_>) -> Result<Self> {
        Ok(Self(var_bytes(reader)?))
    }

    fn encode(&self, writer: &mut Writer) {
        put_var_bytes(writer, &self.0);
    }
}

/// A reference to one output of a transaction. Ordered by wire bytes of the id, then index, as the C++ node does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutPoint {
    /// The transaction.
    pub txid: TxId,
    /// Index among its outputs.
    pub index: u32,
}

impl OutPoint {
    /// The reference that a coinbase input carries.
    pub const NULL: Self = Self { txid: TxId::ZERO, index: u32::MAX };

    /// True for [`OutPoint::NULL`].
    #[must_use]
    pub fn is_null(&self) -> bool {
        *self == Self::NULL
    }
}

impl Codec for OutPoint {
    const MIN_BYTES: usize = 36;

    fn decode(reader: &mut Reader<'_>) -> Result<Self> {
        Ok(Self { txid: TxId::decode(reader)?, index: reader.u32_le()? })
    }

    fn encode(&self, writer: &mut Writer) {
        self.txid.encode(writer);
        writer.u32_le(self.index);
    }
}

/// A transparent input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TxIn {
    /// The output that is spent; null in a coinbase.
    pub prevout: OutPoint,
    /// Unlocking script.
    pub script_sig: Script,
    /// `u32::MAX` means final.
    pub sequence: u32,
}

impl Codec for TxIn {
    const MIN_BYTES: usize = 41;

    fn decode(reader: &mut Reader<'_>) -> Result<Self> {
        Ok(Self {
            prevout: OutPoint::decode(reader)?,
            script_sig: Script::decode(reader)?,
            sequence: reader.u32_le()?,
        })
    }

    fn encode(&self, writer: &mut Writer) {
        self.prevout.encode(writer);
        self.script_sig.encode(writer);
        writer.u32_le(self.sequence);
    }
}

/// A transparent output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TxOut {
    /// The value; any 64-bit number on the wire.
    pub value: Amount,
    /// Locking script.
    pub script_pubkey: Script,
}

impl Codec for TxOut {
    const MIN_BYTES: usize = 9;

    fn decode(reader: &mut Reader<'_>) -> Result<Self> {
        Ok(Self { value: Amount::decode(reader)?, script_pubkey: Script::decode(reader)? })
    }

    fn encode(&self, writer: &mut Writer) {
        self.value.encode(writer);
        self.script_pubkey.encode(writer);
    }
}

/// A transaction of any version. Fields that a version does not carry are empty or zero.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Transaction {
    /// Bit 31 of the header word.
    pub overwintered: bool,
    /// The other 31 bits of the header word.
    pub version: u32,
    /// Version group; present when overwintered.
    pub version_group: u32,
    /// Transparent inputs.
    pub inputs: Vec<TxIn>,
    /// Transparent outputs.
    pub outputs: Vec<TxOut>,
    /// Height or time before which the transaction may not be mined.
    pub lock_time: u32,
    /// Height after which it may not be mined; 0 for never. Present when overwintered.
    pub expiry_height: u32,
    /// Net value that leaves (positive) or enters (negative) the Sapling pool.
    pub value_balance: Amount,
    /// Sapling spends.
    pub spends: Vec<SaplingSpend>,
    /// Sapling outputs.
    pub shielded_outputs: Vec<SaplingOutput>,
    /// Sprout JoinSplits.
    pub joinsplits: Vec<JoinSplit>,
    /// Ed25519 key of the JoinSplits; present when there are any.
    pub joinsplit_pubkey: Hash256,
    /// Ed25519 signature by that key.
    pub joinsplit_sig: Signature64,
    /// RedJubjub signature over the Sapling balance; present when there is a spend or an output.
    pub binding_sig: Signature64,
    /// The body of versions 5 and 6.
    pub fluxnode: Option<Box<FluxnodeTx>>,
}

impl Transaction {
    /// The header word: version and overwintered bit.
    #[must_use]
    pub fn header(&self) -> u32 {
        self.version | if self.overwintered { OVERWINTERED_BIT } else { 0 }
    }

    /// The id: hash of the wire form, without the signatures of a fluxnode transaction.
    #[must_use]
    pub fn txid(&self) -> TxId {
        TxId(sha256d(&self.id_preimage()))
    }

    /// The bytes behind [`Transaction::txid`].
    #[must_use]
    pub fn id_preimage(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        self.put(&mut writer, false);
        writer.into_vec()
    }

    /// Exactly one input, which refers to nothing.
    #[must_use]
    pub fn is_coinbase(&self) -> bool {
        matches!(self.inputs.as_slice(), [input] if input.prevout.is_null())
    }

    /// True for versions 5 and 6.
    #[must_use]
    pub fn is_fluxnode(&self) -> bool {
        is_fluxnode_version(self.version)
    }

    /// True for the Sapling format.
    #[must_use]
    pub fn is_sapling(&self) -> bool {
        self.overwintered && self.version_group == SAPLING_GROUP && self.version == SAPLING_VERSION
    }

    /// True for the Overwinter format.
    #[must_use]
    pub fn is_overwinter(&self) -> bool {
        self.overwintered && self.version_group == OVERWINTER_GROUP && self.version == OVERWINTER_VERSION
    }

    fn put(&self, writer: &mut Writer, with_signatures: bool) {
        writer.u32_le(self.header());
        if self.overwintered {
            writer.u32_le(self.version_group);
        }
        if let Some(body) = &self.fluxnode {
            body.put(writer, with_signatures);
            return;
        }
        put_list(writer, &self.inputs);
        put_list(writer, &self.outputs);
        writer.u32_le(self.lock_time);
        if self.overwintered {
            writer.u32_le(self.expiry_height);
        }
        if self.is_sapling() {
            self.value_balance.encode(writer);
            put_list(writer, &self.spends);
            put_list(writer, &self.shielded_outputs);
        }
        if self.version >= 2 {
            shielded::put_joinsplits(writer, &self.joinsplits);
            if !self.joinsplits.is_empty() {
                self.joinsplit_pubkey.encode(writer);
                writer.put(&self.joinsplit_sig.0);
            }
        }
        if self.has_binding_sig() {
            writer.put(&self.binding_sig.0);
        }
    }

    fn has_binding_sig(&self) -> bool {
        self.is_sapling() && !(self.spends.is_empty() && self.shielded_outputs.is_empty())
    }
}

impl Codec for Transaction {
    const MIN_BYTES: usize = 5;

    fn decode(reader: &mut Reader<'_>) -> Result<Self> {
        let header = reader.u32_le()?;
        let overwintered = header & OVERWINTERED_BIT != 0;
        let version = header & !OVERWINTERED_BIT;
        let version_group = if overwintered { reader.u32_le()? } else { 0 };
        let mut tx = Self { overwintered, version, version_group, ..Self::default() };
        if overwintered && !tx.is_overwinter() && !tx.is_sapling() {
            return Err(DecodeError::UnknownTransactionFormat { version, group: version_group });
        }
        if tx.is_fluxnode() {
            tx.fluxnode = Some(Box::new(FluxnodeTx::read(reader, version)?));
            return Ok(tx);
        }
        tx.inputs = list(reader)?;
        tx.outputs = list(reader)?;
        tx.lock_time = reader.u32_le()?;
        if overwintered {
            tx.expiry_height = reader.u32_le()?;
        }
        if tx.is_sapling() {
            tx.value_balance = Amount::decode(reader)?;
            tx.spends = list(reader)?;
            tx.shielded_outputs = list(reader)?;
        }
        if version >= 2 {
            tx.joinsplits = shielded::read_joinsplits(reader, tx.is_sapling())?;
            if !tx.joinsplits.is_empty() {
                tx.joinsplit_pubkey = Hash256::decode(reader)?;
                tx.joinsplit_sig = Signature64(reader.array()?);
            }
        }
        if tx.has_binding_sig() {
            tx.binding_sig = Signature64(reader.array()?);
        }
        Ok(tx)
    }

    fn encode(&self, writer: &mut Writer) {
        self.put(writer, true);
    }
}

/// A 64-byte signature (Ed25519 or RedJubjub); zero where a version carries none.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature64(pub [u8; 64]);

impl Default for Signature64 {
    fn default() -> Self {
        Self([0; 64])
    }
}

impl fmt::Debug for Signature64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shared_vendor::hex::encode(self.0))
    }
}

impl Default for Hash256 {
    fn default() -> Self {
        Self::ZERO
    }
}

fn is_fluxnode_version(version: u32) -> bool {
    version == FLUXNODE_VERSION || version == FLUXNODE_UPGRADEABLE_VERSION
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn decoding_never_panics_and_what_decodes_reaches_a_fixed_point(
            version in prop_oneof![Just(1_u32), Just(2), Just(5), Just(6), Just(0x8000_0004), any::<u32>()],
            body in proptest::collection::vec(prop_oneof![0_u8..8, any::<u8>()], 0..300),
        ) {
            let mut bytes = version.to_le_bytes().to_vec();
            if version == 0x8000_0004 {
                bytes.extend(SAPLING_GROUP.to_le_bytes());
            }
            bytes.extend(body);
            let mut reader = Reader::new(&bytes);
            if let Ok(tx) = Transaction::decode(&mut reader) {
                let again = Transaction::from_bytes(&tx.to_bytes()).expect("own encoding decodes");
                prop_assert_eq!(&again, &tx);
                prop_assert_eq!(again.txid(), tx.txid());
            }
        }
    }
}
