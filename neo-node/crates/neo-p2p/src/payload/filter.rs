//! Bloom filters of light clients and what they are answered.

use neo_base::{
    UInt256,
    codec::{
        DecodeError, Result, Wire, read_list, read_var_bytes, read_var_int, write_list, write_var_bytes,
        write_var_int,
    },
    ledger::Header,
};
use shared_vendor::bytes::{Reader, Writer};

const MAX_FILTER: usize = 36_000;
const MAX_FUNCTIONS: u8 = 50;
/// Bytes that `filteradd` may add at once.
pub const MAX_FILTER_ADD: usize = 520;

/// `filterload`: the filter from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterLoad {
    /// Bits of the filter, at most 36,000 bytes.
    pub filter: Vec<u8>,
    /// Number of hash functions, at most 50.
    pub functions: u8,
    /// Seed of the hash functions.
    pub tweak: u32,
}

impl Wire for FilterLoad {
    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let filter = read_var_bytes(reader, MAX_FILTER)?.to_vec();
        let functions = reader.u8()?;
        if functions > MAX_FUNCTIONS {
            return Err(DecodeError::Invalid("a filter has too many hash functions"));
        }
        Ok(Self { filter, functions, tweak: reader.u32_le()? })
    }

    fn write(&self, writer: &mut Writer) {
        write_var_bytes(writer, &self.filter);
        writer.u8(self.functions).u32_le(self.tweak);
    }
}

/// `merkleblock`: a header and the transactions that matched, with their place in the Merkle tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MerkleBlock {
    /// The block's header.
    pub header: Header,
    /// Transactions of the block, at most 65,535.
    pub transactions: u16,
    /// Hashes of the partial tree.
    pub hashes: Vec<UInt256>,
    /// Which transactions matched, a bit each.
    pub flags: Vec<u8>,
}

impl Wire for MerkleBlock {
    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let header = Header::read(reader)?;
        let transactions = read_var_int(reader)?;
        let transactions = u16::try_from(transactions)
            .map_err(|_| DecodeError::Invalid("a block has too many transactions"))?;
        let hashes = read_list(reader, usize::from(transactions), 32)?;
        let flags = read_var_bytes(reader, usize::from(transactions.max(1)).div_ceil(8))?.to_vec();
        Ok(Self { header, transactions, hashes, flags })
    }

    fn write(&self, writer: &mut Writer) {
        self.header.write(writer);
        write_var_int(writer, self.transactions.into());
        write_list(writer, &self.hashes);
        write_var_bytes(writer, &self.flags);
    }
}
