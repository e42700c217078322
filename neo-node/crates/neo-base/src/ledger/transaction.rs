//! Transactions. Mirrors `Payloads/Transaction.cs`.

use neo_crypto::hash::sha256;
use shared_vendor::bytes::{Reader, Writer};

use super::{attribute::Attribute, signer::Signer, witness::Witness};
use crate::{
    codec::{
        DecodeError, Result, Wire, read_list, read_var_bytes, read_var_int, write_list, write_var_bytes,
    },
    hash::{UInt160, UInt256},
};

/// Largest transaction on the wire, in bytes; checked by verification, not by decoding.
pub const MAX_TRANSACTION_SIZE: usize = 102_400;

/// Signers and attributes together.
const MAX_SIGNERS_AND_ATTRIBUTES: usize = 16;

/// Largest script.
const MAX_SCRIPT: usize = 65535;

/// Bytes of a typical transaction beside its script: one signer, one witness with one signature.
const TYPICAL_SIZE: usize = 192;

/// What is hashed and signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionBody {
    /// Makes equal transactions differ.
    pub nonce: u32,
    /// Fee for execution, in datoshi; not negative.
    pub system_fee: i64,
    /// Fee for size and verification, in datoshi; not negative.
    pub network_fee: i64,
    /// Last height whose block may hold the transaction.
    pub valid_until_block: u32,
    /// 1 to 16 distinct accounts; the first pays.
    pub signers: Vec<Signer>,
    /// At most 16 less the number of signers.
    pub attributes: Vec<Attribute>,
    /// 1 to 65535 bytes.
    pub script: Vec<u8>,
}

impl TransactionBody {
    /// The account that pays the fees: the first signer. Zero without signers, which the wire form excludes.
    #[must_use]
    pub fn sender(&self) -> UInt160 {
        self.signers.first().map_or(UInt160::ZERO, |signer| signer.account)
    }
}

impl Wire for TransactionBody {
    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        if reader.u8()? != 0 {
            return Err(DecodeError::Invalid("unknown version of a transaction"));
        }
        let nonce = reader.u32_le()?;
        let (system_fee, network_fee) = (reader.i64_le()?, reader.i64_le()?);
        if system_fee < 0 || network_fee < 0 || system_fee.checked_add(network_fee).is_none() {
            return Err(DecodeError::Invalid("fees are negative or overflow"));
        }
        let valid_until_block = reader.u32_le()?;
        let signers: Vec<Signer> = read_list(reader, MAX_SIGNERS_AND_ATTRIBUTES, 21)?;
        if signers.is_empty() {
            return Err(DecodeError::Invalid("transaction has no signer"));
        }
        if has_duplicates(&signers, |a, b| a.account == b.account) {
            return Err(DecodeError::Invalid("transaction has a signer twice"));
        }
        let room = MAX_SIGNERS_AND_ATTRIBUTES.saturating_sub(signers.len());
        let attributes: Vec<Attribute> = read_list(reader, room, 1)?;
        if has_duplicates(&attributes, |a, b| !a.allows_multiple() && a.type_byte() == b.type_byte()) {
            return Err(DecodeError::Invalid("transaction has an attribute twice"));
        }
        let script = read_var_bytes(reader, MAX_SCRIPT)?.to_vec();
        if script.is_empty() {
            return Err(DecodeError::Invalid("transaction has no script"));
        }
        Ok(Self { nonce, system_fee, network_fee, valid_until_block, signers, attributes, script })
    }

    fn write(&self, writer: &mut Writer) {
        writer.u8(0).u32_le(self.nonce).i64_le(self.system_fee).i64_le(self.network_fee);
        writer.u32_le(self.valid_until_block);
        write_list(writer, &self.signers);
        write_list(writer, &self.attributes);
        write_var_bytes(writer, &self.script);
    }
}

/// A transaction with its witnesses; hash and size are computed once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    body: TransactionBody,
    witnesses: Vec<Witness>,
    hash: UInt256,
    size: usize,
}

impl Transaction {
    /// Joins a body and its witnesses, one for each signer in the same order.
    #[must_use]
    pub fn new(body: TransactionBody, witnesses: Vec<Witness>) -> Self {
        let mut writer = Writer::with_capacity(body.script.len().saturating_add(TYPICAL_SIZE));
        body.write(&mut writer);
        let hash = UInt256(sha256(writer.as_slice()));
        write_list(&mut writer, &witnesses);
        Self { body, witnesses, hash, size: writer.len() }
    }

    /// What is hashed and signed.
    #[must_use]
    pub fn body(&self) -> &TransactionBody {
        &self.body
    }

    /// The witnesses, one for each signer.
    #[must_use]
    pub fn witnesses(&self) -> &[Witness] {
        &self.witnesses
    }

    /// SHA-256 of the body.
    #[must_use]
    pub fn hash(&self) -> UInt256 {
        self.hash
    }

    /// Bytes on the wire, as they were read.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }
}

impl Wire for Transaction {
    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let start = reader.offset();
        let body = TransactionBody::read(reader)?;
        let count = read_var_int(reader)?;
        let count = reader.count(count, body.signers.len(), 2)?;
        if count != body.signers.len() {
            return Err(DecodeError::Invalid("numbers of witnesses and signers differ"));
        }
        let witnesses = (0..count).map(|_| Witness::read(reader)).collect::<Result<_>>()?;
        let size = reader.since(start).len();
        Ok(Self { size, ..Self::new(body, witnesses) })
    }

    fn write(&self, writer: &mut Writer) {
        self.body.write(writer);
        write_list(writer, &self.witnesses);
    }
}

fn has_duplicates<T>(items: &[T], same: impl Fn(&T, &T) -> bool) -> bool {
    items.iter().enumerate().any(|(index, item)| items.iter().take(index).any(|earlier| same(earlier, item)))
}
