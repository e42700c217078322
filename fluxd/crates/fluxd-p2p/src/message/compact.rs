//! Compact forms: blocks whose transactions the receiver has already (BIP152 with the network's own 10-byte short
//! ids), and headers of proof of work without their solutions. Mirrors `src/blockencodings.{h,cpp}` and
//! `CCompactBlockHeader` of `src/primitives/block.h`.

use fluxd_primitives::{
    Block, BlockHash, BlockHeader, CompactTarget, DecodeError, Hash256, OutPoint, Transaction, TxId,
    block::{PON_VERSION, Proof},
    codec::{
        Codec, MAX_SIZE, ReadError, Reader, Writer, compact_size, put_compact_size, put_var_bytes, var_bytes,
    },
    sha256,
};

use super::values;
use crate::siphash::siphash;

/// Bits of a short id.
const SHORT_ID_MASK: u64 = (1 << 48) - 1;
/// Most transactions of a compact block: those that fit a block at 100 bytes each.
const MAX_TRANSACTIONS: usize = 20_000;

/// A transaction that travels inside a compact block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefilled {
    /// How many transactions lie between it and the one before.
    pub gap: u16,
    /// The transaction.
    pub transaction: Transaction,
}

/// A block of which most transactions are only named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompactBlock {
    /// The header, signature included.
    pub header: BlockHeader,
    /// Salt of the short ids.
    pub nonce: u64,
    /// Short ids of the transactions that are not inside.
    pub short_ids: Vec<u64>,
    /// Transactions that are inside; at least the coinbase.
    pub prefilled: Vec<Prefilled>,
}

impl CompactBlock {
    /// The compact form of a block; `nonce` is one random number.
    #[must_use]
    pub fn of(block: &Block, nonce: u64) -> Self {
        let keys = short_id_keys(&block.header, nonce);
        let mut transactions = block.transactions.iter();
        let coinbase = transactions.next().map(|tx| Prefilled { gap: 0, transaction: tx.clone() });
        Self {
            header: block.header.clone(),
            nonce,
            short_ids: transactions.map(|tx| short_id(keys, &tx.txid())).collect(),
            prefilled: coinbase.into_iter().collect(),
        }
    }

    /// Keys for [`short_id`].
    #[must_use]
    pub fn keys(&self) -> (u64, u64) {
        short_id_keys(&self.header, self.nonce)
    }
}

/// The keys under which a block's short ids are made: from its header, signature included, and the salt.
fn short_id_keys(header: &BlockHeader, nonce: u64) -> (u64, u64) {
    let mut writer = Writer::new();
    header.encode(&mut writer);
    writer.u64_le(nonce);
    let digest = sha256(writer.as_slice());
    let mut reader = Reader::new(&digest);
    (reader.u64_le().unwrap_or_default(), reader.u64_le().unwrap_or_default())
}

/// The short id of a transaction.
#[must_use]
pub fn short_id(keys: (u64, u64), id: &TxId) -> u64 {
    siphash(keys, &id.0) & SHORT_ID_MASK
}

impl Codec for CompactBlock {
    const MIN_BYTES: usize = BlockHeader::MIN_BYTES + 10;

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let header = BlockHeader::decode(reader)?;
        let nonce = reader.u64_le()?;
        let claimed = compact_size(reader)?;
        let count = reader.count(claimed, usize::from(u16::MAX), 10)?;
        let short_ids = (0..count)
            .map(|_| {
                let low = reader.u64_le()?;
                Ok(u64::from(reader.u16_le()?) << 32 | low)
            })
            .collect::<Result<_, DecodeError>>()?;
        let claimed = compact_size(reader)?;
        let count = reader.count(claimed, MAX_TRANSACTIONS, 11)?;
        let prefilled = (0..count)
            .map(|_| Ok(Prefilled { gap: index(reader)?, transaction: Transaction::decode(reader)? }))
            .collect::<Result<_, DecodeError>>()?;
        Ok(Self { header, nonce, short_ids, prefilled })
    }

    fn encode(&self, writer: &mut Writer) {
        self.header.encode(writer);
        writer.u64_le(self.nonce);
        put_compact_size(writer, self.short_ids.len());
        for id in &self.short_ids {
            let high = u16::try_from(id >> 32 & 0xffff).unwrap_or_default();
            writer.u64_le(id & 0xffff_ffff).u16_le(high);
        }
        put_compact_size(writer, self.prefilled.len());
        for one in &self.prefilled {
            put_compact_size(writer, usize::from(one.gap));
            one.transaction.encode(writer);
        }
    }
}

/// Asks for transactions of a compact block by their places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockTransactionsRequest {
    /// The block.
    pub block: BlockHash,
    /// Places in the block; not differential, other than in BIP152.
    pub indexes: Vec<u16>,
}

impl Codec for BlockTransactionsRequest {
    const MIN_BYTES: usize = 33;

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let block = BlockHash::decode(reader)?;
        let claimed = compact_size(reader)?;
        let count = reader.count(claimed, usize::from(u16::MAX), 1)?;
        Ok(Self { block, indexes: (0..count).map(|_| index(reader)).collect::<Result<_, _>>()? })
    }

    fn encode(&self, writer: &mut Writer) {
        self.block.encode(writer);
        put_compact_size(writer, self.indexes.len());
        for index in &self.indexes {
            put_compact_size(writer, usize::from(*index));
        }
    }
}

/// The transactions that were asked for, in the order of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockTransactions {
    /// The block.
    pub block: BlockHash,
    /// The transactions.
    pub transactions: Vec<Transaction>,
}

impl Codec for BlockTransactions {
    const MIN_BYTES: usize = 33;

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { block: BlockHash::decode(reader)?, transactions: values(reader)? })
    }

    fn encode(&self, writer: &mut Writer) {
        self.block.encode(writer);
        put_compact_size(writer, self.transactions.len());
        for transaction in &self.transactions {
            transaction.encode(writer);
        }
    }
}

fn index(reader: &mut Reader<'_>) -> Result<u16, DecodeError> {
    let value = compact_size(reader)?;
    u16::try_from(value).map_err(|_| {
        ReadError::TooLong { offset: reader.offset(), len: value, limit: usize::from(u16::MAX).min(MAX_SIZE) }
            .into()
    })
}

/// A header that travels without its Equihash solution; the hash of such a header is the sender's word until a
/// checkpoint above it is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompactHeader {
    /// The header; of proof of work with an empty solution.
    pub header: BlockHeader,
    /// Its hash: claimed for proof of work, computed for proof of node.
    pub hash: BlockHash,
}

impl CompactHeader {
    /// The compact form of a header with its hash.
    #[must_use]
    pub fn of(mut header: BlockHeader, hash: BlockHash) -> Self {
        if let Proof::Work { solution, .. } = &mut header.proof {
            solution.clear();
        }
        Self { header, hash }
    }
}

impl Codec for CompactHeader {
    const MIN_BYTES: usize = 145;

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let version = reader.i32_le()?;
        let mut header = BlockHeader {
            version,
            prev: BlockHash::decode(reader)?,
            merkle_root: Hash256::decode(reader)?,
            sapling_root: Hash256::decode(reader)?,
            time: reader.u32_le()?,
            bits: CompactTarget(reader.u32_le()?),
            proof: Proof::Work { nonce: Hash256::ZERO, solution: Vec::new() },
        };
        if version >= PON_VERSION {
            header.proof =
                Proof::Node { collateral: OutPoint::decode(reader)?, signature: var_bytes(reader)? };
            let hash = header.hash();
            return Ok(Self { header, hash });
        }
        header.proof = Proof::Work { nonce: Hash256::decode(reader)?, solution: Vec::new() };
        Ok(Self { header, hash: BlockHash::decode(reader)? })
    }

    fn encode(&self, writer: &mut Writer) {
        writer.put(&self.header.common_bytes());
        match &self.header.proof {
            Proof::Work { nonce, .. } => {
                nonce.encode(writer);
                self.hash.encode(writer);
            }
            Proof::Node { collateral, signature } => {
                collateral.encode(writer);
                put_var_bytes(writer, signature);
            }
        }
    }
}
