//! Signed messages that pass through the network without being part of a block: consensus and state roots.
//! Mirrors `Payloads/ExtensiblePayload.cs`.

use neo_crypto::hash::sha256;
use shared_vendor::bytes::{Reader, Writer};

use super::witness::{self, Witness};
use crate::{
    codec::{DecodeError, Result, Wire, read_var_bytes, read_var_text, write_count, write_var_bytes},
    hash::{UInt160, UInt256},
};

/// Largest data: the largest message of the network.
const MAX_DATA: usize = 0x0200_0000;

/// A message of some service, signed by its sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extensible {
    /// Name of the service, at most 32 bytes.
    pub category: String,
    /// First height at which the message means something.
    pub valid_block_start: u32,
    /// First height at which it no longer does; above the start.
    pub valid_block_end: u32,
    /// Who signs.
    pub sender: UInt160,
    /// What is said.
    pub data: Vec<u8>,
    /// Proof of the sender.
    pub witness: Witness,
}

impl Extensible {
    /// SHA-256 of everything but the witness.
    #[must_use]
    pub fn hash(&self) -> UInt256 {
        let mut writer = Writer::new();
        self.write_unsigned(&mut writer);
        UInt256(sha256(writer.as_slice()))
    }

    fn write_unsigned(&self, writer: &mut Writer) {
        write_var_bytes(writer, self.category.as_bytes());
        writer.u32_le(self.valid_block_start).u32_le(self.valid_block_end);
        self.sender.write(writer);
        write_var_bytes(writer, &self.data);
    }
}

impl Wire for Extensible {
    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let category = read_var_text(reader, 32)?;
        let (valid_block_start, valid_block_end) = (reader.u32_le()?, reader.u32_le()?);
        if valid_block_start >= valid_block_end {
            return Err(DecodeError::Invalid("payload is never valid"));
        }
        Ok(Self {
            category,
            valid_block_start,
            valid_block_end,
            sender: Wire::read(reader)?,
            data: read_var_bytes(reader, MAX_DATA)?.to_vec(),
            witness: witness::read_single(reader)?,
        })
    }

    fn write(&self, writer: &mut Writer) {
        self.write_unsigned(writer);
        write_count(writer, 1);
        self.witness.write(writer);
    }
}
