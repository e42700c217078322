//! Block headers. Mirrors `Payloads/Header.cs`.

use neo_crypto::hash::sha256;
use shared_vendor::bytes::{Reader, Writer};

use super::witness::{self, Witness};
use crate::{
    codec::{DecodeError, Result, Wire, write_count},
    hash::{UInt160, UInt256},
};

/// What is hashed and signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderBody {
    /// Hash of the block before.
    pub previous: UInt256,
    /// Root of the transaction hashes.
    pub merkle_root: UInt256,
    /// Milliseconds since 1970.
    pub timestamp: u64,
    /// Chosen by the primary.
    pub nonce: u64,
    /// Height.
    pub index: u32,
    /// Which validator proposed the block.
    pub primary: u8,
    /// Account that must sign the next block.
    pub next_consensus: UInt160,
}

impl Wire for HeaderBody {
    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        if reader.u32_le()? != 0 {
            return Err(DecodeError::Invalid("unknown version of a block"));
        }
        Ok(Self {
            previous: Wire::read(reader)?,
            merkle_root: Wire::read(reader)?,
            timestamp: reader.u64_le()?,
            nonce: reader.u64_le()?,
            index: reader.u32_le()?,
            primary: reader.u8()?,
            next_consensus: Wire::read(reader)?,
        })
    }

    fn write(&self, writer: &mut Writer) {
        writer.u32_le(0);
        self.previous.write(writer);
        self.merkle_root.write(writer);
        writer.u64_le(self.timestamp).u64_le(self.nonce).u32_le(self.index).u8(self.primary);
        self.next_consensus.write(writer);
    }
}

/// A header with its witness; the hash is computed once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    body: HeaderBody,
    witness: Witness,
    hash: UInt256,
}

impl Header {
    /// Joins a body and its witness.
    #[must_use]
    pub fn new(body: HeaderBody, witness: Witness) -> Self {
        let hash = UInt256(sha256(&body.to_bytes()));
        Self { body, witness, hash }
    }

    /// What is hashed and signed.
    #[must_use]
    pub fn body(&self) -> &HeaderBody {
        &self.body
    }

    /// The signatures of the validators.
    #[must_use]
    pub fn witness(&self) -> &Witness {
        &self.witness
    }

    /// SHA-256 of the body: the hash of the block.
    #[must_use]
    pub fn hash(&self) -> UInt256 {
        self.hash
    }
}

impl Wire for Header {
    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let body = HeaderBody::read(reader)?;
        let witness = witness::read_single(reader)?;
        Ok(Self::new(body, witness))
    }

    fn write(&self, writer: &mut Writer) {
        self.body.write(writer);
        write_count(writer, 1);
        self.witness.write(writer);
    }
}
