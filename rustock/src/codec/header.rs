//! The header's compressed wire encoding: decoding, the preimages of its two hashes, and the hash for merged mining.
//!
//! The full (uncompressed) form is in `codec::full`. Every integer must be in the one form that the reference
//! implementation writes, because it hashes its own re-encoding; see `BlockFactory.decodeHeader` and `BlockHeader`
//! in `org/ethereum/core`.

use bytes::Bytes;
use ruint::aliases::U256;
use shared_vendor::bytes::Reader;

use super::{
    keccak::{keccak256, keccak256_many},
    rlp::{self, Encoder, Item, Items, RlpError},
};
use crate::{
    params::{Params, Rskip},
    types::{
        BlockHash, BlockNumber, Difficulty, FORK_DETECTION_DATA_LEN, Fields, ForkDetectionData, Hash32,
        Header, MiningFields, Span, Timestamp,
    },
};

/// Root of an empty trie; an empty root field stands for it.
pub const EMPTY_TRIE_ROOT: [u8; 32] = [
    0x56, 0xe8, 0x1f, 0x17, 0x1b, 0xcc, 0x55, 0xa6, 0xff, 0x83, 0x45, 0xe6, 0x92, 0xc0, 0xf8, 0x6e, 0x5b,
    0x48, 0xe0, 0x1b, 0x99, 0x6c, 0xad, 0xc0, 0x01, 0x62, 0x2f, 0xb5, 0xe3, 0x63, 0xb4, 0x21,
];

/// Hash of an empty list of uncles.
pub const EMPTY_UNCLES_HASH: [u8; 32] = [
    0x1d, 0xcc, 0x4d, 0xe8, 0xde, 0xc7, 0x5d, 0x7a, 0xab, 0x85, 0xb5, 0x67, 0xb6, 0xcc, 0xd4, 0x1a, 0xd3,
    0x12, 0x45, 0x1b, 0x94, 0x8a, 0x74, 0x13, 0xf0, 0xa1, 0x42, 0xfd, 0x40, 0xd4, 0x93, 0x47,
];

/// What a miner writes before the hash for merged mining.
pub const MERGED_MINING_TAG: &[u8; 9] = b"RSKBLOCK:";
/// Bytes of the hash for merged mining that come from the header; fork-detection data fills the rest.
pub const MERGED_MINING_PREFIX_LEN: usize = 20;

const BLOOM_LEN: usize = 256;
const UMM_ROOT_LEN: usize = 20;

/// Why bytes are not a header. Only the sender can be to blame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes are not canonical RLP of the expected structure.
    #[error("header is not canonical RLP")]
    Rlp(#[from] RlpError),
    /// The list has another number of fields than headers of this height.
    #[error("header has {count} fields, which is wrong for height {number}")]
    FieldCount {
        /// Fields in the list.
        count: usize,
        /// The stated height.
        number: BlockNumber,
    },
    /// A field has another length than its type.
    #[error("{field} has {len} bytes")]
    FieldLength {
        /// Name of the field.
        field: &'static str,
        /// Length of its content.
        len: usize,
    },
    /// An integer is not in the one form that the reference implementation writes.
    #[error("{field} is not a canonical integer")]
    IntegerForm {
        /// Name of the field.
        field: &'static str,
    },
    /// A signed integer is negative.
    #[error("{field} is negative")]
    Negative {
        /// Name of the field.
        field: &'static str,
    },
    /// An integer is above the range of its type.
    #[error("{field} is above its range")]
    TooLarge {
        /// Name of the field.
        field: &'static str,
    },
    /// The field of RSKIP-351 is not a version and a hash.
    #[error("extension data is not a version and a 32-byte hash")]
    ExtensionData,
}

/// Result of decoding.
pub type Result<T> = std::result::Result<T, DecodeError>;

/// Decodes the compressed form of a header, as it travels in a headers message and lies in the store.
///
/// Two fields are normalised as the reference does before it hashes: an empty root becomes the root of the empty trie,
/// and three empty merged-mining fields are left out; [`Header::wire`] is then the normalised encoding.
///
/// # Errors
/// The bytes are not a header of the network that `params` describes.
pub fn decode_header(params: &Params, wire: Bytes) -> Result<Header> {
    let parsed = Parsed::read(params, wire)?;
    let hash = keccak256(&parsed.block_preimage());
    let merged = keccak256(&parsed.merged_mining_preimage());
    Ok(parsed.finish(BlockHash(hash), merged))
}

/// Decodes many headers of the same form as [`decode_header`], hashing several at once.
#[must_use]
pub fn decode_headers(params: &Params, wires: impl IntoIterator<Item = Bytes>) -> Vec<Result<Header>> {
    let parsed: Vec<_> = wires.into_iter().map(|wire| Parsed::read(params, wire)).collect();
    let messages: Vec<_> = parsed
        .iter()
        .flatten()
        .flat_map(|header| [header.block_preimage(), header.merged_mining_preimage()])
        .collect();
    let digests = keccak256_many(&messages);
    let (mut pairs, _) = digests.as_chunks::<2>();
    let mut finish = |header: Parsed| {
        // one pair of digests was made for each header that was read
        let ([block, merged], rest) = pairs.split_first().unwrap_or((&[[0; 32]; 2], &[]));
        pairs = rest;
        header.finish(BlockHash(*block), *merged)
    };
    parsed.into_iter().map(|header| header.map(&mut finish)).collect()
}

/// A header whose hashes are not computed yet, so that a caller can hash many at once.
#[derive(Debug)]
pub(super) struct Parsed {
    wire: Bytes,
    fields: Fields,
    hashed: Span,
    block_prefix: ([u8; 9], usize),
    merged_prefix: ([u8; 9], usize),
}

impl Parsed {
    /// Reads all fields of the compressed form.
    pub(super) fn read(params: &Params, wire: Bytes) -> Result<Self> {
        match Self::read_as_is(params, &wire)? {
            Some((fields, hashed)) => {
                let block_prefix = rlp::list_prefix(hashed.end.saturating_sub(hashed.start));
                let merged_prefix = rlp::list_prefix(fields.base.end.saturating_sub(fields.base.start));
                Ok(Self { wire, fields, hashed, block_prefix, merged_prefix })
            }
            None => {
                let normalised = normalise(&wire)?;
                Self::read(params, normalised)
            }
        }
    }

    /// The parts whose Keccak-256 is the block's hash.
    pub(super) fn block_preimage(&self) -> [&[u8]; 2] {
        [used(&self.block_prefix), slice(&self.wire, self.hashed)]
    }

    /// The parts of the preimage without mining fields.
    pub(super) fn merged_mining_preimage(&self) -> [&[u8]; 2] {
        [used(&self.merged_prefix), slice(&self.wire, self.fields.base)]
    }

    /// Adds the two hashes.
    pub(super) fn finish(mut self, hash: BlockHash, mut merged: [u8; 32]) -> Header {
        let umm_root = self.fields.umm_root.map(|span| slice(&self.wire, span)).unwrap_or_default();
        if !umm_root.is_empty() {
            merged = keccak256(&[merged.get(..UMM_ROOT_LEN).unwrap_or_default(), umm_root]);
        }
        self.fields.hash = hash;
        self.fields.merged_mining_base = Hash32(merged);
        Header::from_parts(self.wire, self.fields)
    }

    /// `None` when the encoding needs [`normalise`].
    fn read_as_is(params: &Params, wire: &[u8]) -> Result<Option<(Fields, Span)>> {
        let mut reader = Reader::new(wire);
        let (is_list, len) = rlp::prefix(&mut reader)?;
        if !is_list {
            return Err(RlpError::ExpectedList(0).into());
        }
        if len != reader.left() {
            let mut whole = reader;
            whole.take(len).map_err(RlpError::from)?;
            whole.finish().map_err(RlpError::from)?;
        }
        let base_start = reader.offset();
        let parent_hash = BlockHash(array(wire, field(&mut reader)?, "parent hash")?);
        let uncles_hash = sized(field(&mut reader)?, "uncles hash", 32)?;
        let coinbase = empty_or(field(&mut reader)?, "coinbase", 20)?;
        let state_root = empty_or(field(&mut reader)?, "state root", 32)?;
        let transactions_root = empty_or(field(&mut reader)?, "transactions root", 32)?;
        let receipts_root = empty_or(field(&mut reader)?, "receipts root", 32)?;
        let extension_data = field(&mut reader)?;
        let difficulty_bytes = field(&mut reader)?;
        let number = BlockNumber(java_long(slice(wire, field(&mut reader)?), "number")?);
        let difficulty = match number.0 {
            0 => genesis_difficulty(slice(wire, difficulty_bytes))?,
            _ => signed(slice(wire, difficulty_bytes), "difficulty")?.unwrap_or_default(),
        };
        let gas_limit_bytes = field(&mut reader)?;
        let gas_limit = opaque_number(slice(wire, gas_limit_bytes), "gas limit")?;
        let gas_used = java_long(slice(wire, field(&mut reader)?), "gas used")?;
        let timestamp = Timestamp(java_long(slice(wire, field(&mut reader)?), "timestamp")?);
        let extra_data = field(&mut reader)?;
        let paid_fees = unsigned(slice(wire, field(&mut reader)?), "paid fees")?;
        let minimum_gas_price = signed(slice(wire, field(&mut reader)?), "minimum gas price")?;
        let uncle_count = java_int(slice(wire, field(&mut reader)?), "uncle count")?;
        let umm_root = if params.is_active(Rskip::Umm, number) {
            let count = |_| DecodeError::FieldCount { count: 16, number };
            let span = if reader.is_empty() { Err(count(())) } else { field(&mut reader) }?;
            Some(empty_or(span, "UMM root", UMM_ROOT_LEN)?)
        } else {
            None
        };
        let base = Span { start: base_start, end: reader.offset() };

        let mut hashed = base;
        let mut mining = None;
        if !reader.is_empty() {
            let (bitcoin_header, after) = (field(&mut reader), reader.offset());
            let fields = [bitcoin_header, field(&mut reader), field(&mut reader)];
            let [Ok(bitcoin_header), Ok(merkle_proof), Ok(coinbase_transaction)] = fields else {
                return Err(field_count(wire, number));
            };
            if !reader.is_empty() {
                return Err(field_count(wire, number));
            }
            mining = Some(MiningFields { bitcoin_header, merkle_proof, coinbase_transaction });
            hashed.end = if params.is_active(Rskip::R92, number) { after } else { reader.offset() };
        }
        let version = if params.is_active(Rskip::R351, number) {
            extension_version(slice(wire, extension_data))?
        } else {
            sized(extension_data, "logs bloom", BLOOM_LEN)?;
            0
        };
        let empty_root =
            [state_root, transactions_root, receipts_root].iter().any(|root| root.start == root.end);
        let empty_mining = mining.is_some_and(|mining| {
            [mining.bitcoin_header, mining.merkle_proof, mining.coinbase_transaction]
                .iter()
                .all(|at| at.start == at.end)
        });
        if empty_root || empty_mining {
            return Ok(None);
        }
        let fields = Fields {
            hash: BlockHash::ZERO,
            merged_mining_base: Hash32::ZERO,
            parent_hash,
            number,
            difficulty: Difficulty(difficulty),
            timestamp,
            gas_limit,
            gas_used,
            paid_fees,
            minimum_gas_price,
            uncle_count,
            version,
            base,
            uncles_hash,
            coinbase,
            state_root,
            transactions_root,
            receipts_root,
            extension_data,
            difficulty_bytes,
            gas_limit_bytes,
            extra_data,
            umm_root,
            mining,
        };
        Ok(Some((fields, hashed)))
    }
}

/// The bytes whose Keccak-256 is the block's hash: without Merkle proof and coinbase from orchid on.
#[must_use]
pub fn block_preimage(params: &Params, header: &Header) -> Vec<u8> {
    let mut items = Encoder::new();
    items.raw(header.bytes(header.fields().base));
    if let Some(mining) = header.fields().mining {
        items.string(header.bytes(mining.bitcoin_header));
        if !params.is_active(Rskip::R92, header.number()) {
            items.string(header.bytes(mining.merkle_proof)).string(header.bytes(mining.coinbase_transaction));
        }
    }
    let mut list = Encoder::new();
    list.list_of(items.as_slice());
    list.into_vec()
}

/// The bytes whose Keccak-256 begins the hash for merged mining: without the merged-mining fields.
#[must_use]
pub fn merged_mining_preimage(header: &Header) -> Vec<u8> {
    let mut list = Encoder::new();
    list.list_of(header.bytes(header.fields().base));
    list.into_vec()
}

/// The hash that the Bitcoin coinbase commits to, or `None` when the header should carry fork-detection data and its
/// coinbase has none.
#[must_use]
pub fn hash_for_merged_mining(params: &Params, header: &Header) -> Option<Hash32> {
    let mut hash = header.fields().merged_mining_base;
    if params.has_fork_detection_data(header.number()) {
        let data = fork_detection_data(header)?;
        let (_, tail) = hash.0.split_at_mut(MERGED_MINING_PREFIX_LEN);
        tail.copy_from_slice(&data);
    }
    Some(hash)
}

/// The 12 bytes after the last occurrence of tag and hash prefix in the whole compressed coinbase.
#[must_use]
pub fn fork_detection_data(header: &Header) -> Option<ForkDetectionData> {
    let (prefix, _) = header.fields().merged_mining_base.0.split_at(MERGED_MINING_PREFIX_LEN);
    let coinbase = header.coinbase_transaction();
    let tag_len = MERGED_MINING_TAG.len();
    let needle_len = tag_len + MERGED_MINING_PREFIX_LEN;
    let at = coinbase
        .windows(needle_len)
        .rposition(|window| window.starts_with(MERGED_MINING_TAG) && window.ends_with(prefix))?;
    coinbase.get(at.checked_add(needle_len)?..)?.first_chunk::<FORK_DETECTION_DATA_LEN>().copied()
}

/// Replaces empty roots by the root of the empty trie and leaves out merged-mining fields that are all empty.
fn normalise(wire: &[u8]) -> Result<Bytes> {
    const ROOTS: [usize; 3] = [3, 4, 5];
    let mut items = Items::of_list(wire)?;
    let mut contents = Vec::new();
    while !items.is_empty() {
        let content = items.string()?;
        let root = ROOTS.contains(&contents.len()) && content.is_empty();
        contents.push(if root { &EMPTY_TRIE_ROOT } else { content });
    }
    let (base, mining) = contents.split_at(contents.len().saturating_sub(3));
    let kept =
        if contents.len() > 17 && mining.iter().all(|content| content.is_empty()) { base } else { &contents };
    let mut encoder = Encoder::new();
    for content in kept {
        encoder.string(content);
    }
    let mut list = Encoder::new();
    list.list_of(encoder.as_slice());
    Ok(list.into_vec().into())
}

fn field(reader: &mut Reader<'_>) -> Result<Span> {
    let start = reader.offset();
    let (is_list, len) = rlp::prefix(reader)?;
    if is_list {
        return Err(RlpError::ExpectedString(start).into());
    }
    let start = reader.offset();
    reader.take(len).map_err(RlpError::from)?;
    Ok(Span { start, end: reader.offset() })
}

fn field_count(wire: &[u8], number: BlockNumber) -> DecodeError {
    let mut count: usize = 0;
    if let Ok(mut items) = Items::of_list(wire) {
        while !items.is_empty() && matches!(items.item(), Ok(Item::String(_) | Item::List(_))) {
            count = count.saturating_add(1);
        }
    }
    DecodeError::FieldCount { count, number }
}

fn slice(wire: &[u8], span: Span) -> &[u8] {
    wire.get(span.start..span.end).unwrap_or_default()
}

fn used(prefix: &([u8; 9], usize)) -> &[u8] {
    prefix.0.get(..prefix.1).unwrap_or_default()
}

fn array(wire: &[u8], span: Span, field: &'static str) -> Result<[u8; 32]> {
    let content = slice(wire, span);
    content.try_into().map_err(|_| DecodeError::FieldLength { field, len: content.len() })
}

fn sized(span: Span, field: &'static str, len: usize) -> Result<Span> {
    let actual = span.end.saturating_sub(span.start);
    if actual == len { Ok(span) } else { Err(DecodeError::FieldLength { field, len: actual }) }
}

fn empty_or(span: Span, field: &'static str, len: usize) -> Result<Span> {
    if span.start == span.end { Ok(span) } else { sized(span, field, len) }
}

fn unsigned(content: &[u8], field: &'static str) -> Result<U256> {
    if content.first() == Some(&0) {
        return Err(DecodeError::IntegerForm { field });
    }
    U256::try_from_be_slice(content).ok_or(DecodeError::TooLarge { field })
}

fn small(content: &[u8], field: &'static str, max: u64) -> Result<u64> {
    if content.first() == Some(&0) {
        return Err(DecodeError::IntegerForm { field });
    }
    if content.len() > 8 {
        return Err(DecodeError::TooLarge { field });
    }
    let value = content.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
    if value > max { Err(DecodeError::TooLarge { field }) } else { Ok(value) }
}

fn java_long(content: &[u8], field: &'static str) -> Result<u64> {
    small(content, field, i64::MAX.unsigned_abs())
}

fn java_int(content: &[u8], field: &'static str) -> Result<u32> {
    let value = small(content, field, u64::from(i32::MAX.unsigned_abs()))?;
    u32::try_from(value).map_err(|_| DecodeError::TooLarge { field })
}

/// Big-endian two's complement in its shortest form; empty is `None`.
fn signed(content: &[u8], field: &'static str) -> Result<Option<U256>> {
    match content {
        [] => return Ok(None),
        [top, ..] if *top >= 0x80 => return Err(DecodeError::Negative { field }),
        [0, next, ..] if *next < 0x80 => return Err(DecodeError::IntegerForm { field }),
        _ => {}
    }
    let digits = content.strip_prefix(&[0]).unwrap_or(content);
    U256::try_from_be_slice(digits).map(Some).ok_or(DecodeError::TooLarge { field })
}

/// Genesis keeps the leading zeros of its file.
fn genesis_difficulty(content: &[u8]) -> Result<U256> {
    U256::try_from_be_slice(content).ok_or(DecodeError::TooLarge { field: "difficulty" })
}

/// The reference keeps the gas limit's bytes as they came, so leading zeros are part of the header.
fn opaque_number(content: &[u8], field: &'static str) -> Result<U256> {
    if content.is_empty() {
        return Err(DecodeError::FieldLength { field, len: 0 });
    }
    let zeros = content.iter().take_while(|byte| **byte == 0).count();
    U256::try_from_be_slice(content.get(zeros..).unwrap_or_default()).ok_or(DecodeError::TooLarge { field })
}

fn extension_version(content: &[u8]) -> Result<u8> {
    let read = || -> rlp::Result<(u8, usize)> {
        let mut items = Items::of_list(content)?;
        let version = items.string()?.first().copied();
        if matches!(version, Some(1 | 2)) {
            items.array::<32>()?;
            items.finish()?;
        }
        Ok((version.unwrap_or(0), usize::from(version.is_some())))
    };
    match read() {
        Ok((version, 1)) => Ok(version),
        _ => Err(DecodeError::ExtensionData),
    }
}
