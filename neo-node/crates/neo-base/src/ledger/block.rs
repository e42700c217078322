//! Blocks. Mirrors `Payloads/Block.cs`.

use std::collections::HashSet;

use shared_vendor::bytes::{Reader, Writer};

use super::{header::Header, merkle::merkle_root, transaction::Transaction};
use crate::codec::{DecodeError, Result, Wire, read_list, write_list};

/// Largest number of transactions that the wire form allows.
const MAX_TRANSACTIONS: usize = 65535;

/// Bytes of the smallest transaction: fixed fields, one signer, one byte of script, one empty witness.
const MIN_TRANSACTION: usize = 25 + 22 + 1 + 2 + 3;

/// A header and its transactions, whose hashes are distinct and have the header's Merkle root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The header.
    pub header: Header,
    /// The transactions in order of execution.
    pub transactions: Vec<Transaction>,
}

impl Wire for Block {
    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let header = Header::read(reader)?;
        let transactions: Vec<Transaction> = read_list(reader, MAX_TRANSACTIONS, MIN_TRANSACTION)?;
        let hashes: Vec<_> = transactions.iter().map(Transaction::hash).collect();
        if hashes.iter().collect::<HashSet<_>>().len() != hashes.len() {
            return Err(DecodeError::Invalid("block has a transaction twice"));
        }
        if merkle_root(&hashes) != header.body().merkle_root {
            return Err(DecodeError::Invalid("Merkle root does not match the transactions"));
        }
        Ok(Self { header, transactions })
    }

    fn write(&self, writer: &mut Writer) {
        self.header.write(writer);
        write_list(writer, &self.transactions);
    }
}
