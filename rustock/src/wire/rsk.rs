//! The Rootstock protocol: the chain status that opens it and the messages of code 0x18.
//! Mirrors `co/rsk/net/messages/MessageType.java` and `org/ethereum/net/eth/message/StatusMessage.java`. Like the
//! reference, items after the ones a message needs are ignored.

use bytes::Bytes;
use ruint::aliases::U256;

use crate::{
    codec::rlp::{Encoder, Items, encode_list},
    types::{BlockHash, BlockNumber, Difficulty},
    wire::{WireError, difficulty},
};

/// Frame code of [`ChainStatus`].
pub const CHAIN_STATUS: u8 = 0x10;
/// Frame code of [`Message`].
pub const RSK_MESSAGE: u8 = 0x18;
/// Version of the protocol in [`ChainStatus`].
pub const PROTOCOL_VERSION: u64 = 62;

/// Headers in one response, and the distance between entries of a skeleton.
pub const CHUNK_HEADERS: u64 = 192;
/// Steps of [`CHUNK_HEADERS`] in one skeleton.
pub const SKELETON_STEPS: u64 = 20;

const MAX_HEADERS: usize = 192;
const MAX_SKELETON: usize = 64;
const MAX_ANNOUNCED: usize = 1024;
const MAX_TRANSACTIONS: usize = 100_000;
const MAX_UNCLES: usize = 10;
const MAX_SNAP_BLOCKS: usize = 20_000;
/// A longer transaction is skipped.
const MAX_TRANSACTION_BYTES: usize = 128 * 1024;

/// What both sides send right after Hello. Peers of another network or chain part here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainStatus {
    /// [`PROTOCOL_VERSION`].
    pub version: u64,
    /// The network.
    pub network_id: u64,
    /// Work of the sender's chain, uncles included where the sender knows them.
    pub total_difficulty: Difficulty,
    /// Hash of the sender's best block.
    pub best: BlockHash,
    /// Hash of block 0.
    pub genesis: BlockHash,
}

impl ChainStatus {
    /// The payload.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode_list(|list| {
            list.u64(self.version).u64(self.network_id);
            list.unsigned(&self.total_difficulty.0.to_be_bytes::<32>());
            list.string(&self.best.0).string(&self.genesis.0);
        })
    }

    /// Reads the payload.
    ///
    /// # Errors
    /// Not a list of these fields.
    pub fn decode(payload: &[u8]) -> Result<Self, WireError> {
        let mut list = Items::new(payload).list()?;
        Ok(Self {
            version: list.u64()?,
            network_id: list.u64()?,
            total_difficulty: U256::try_from_be_slice(list.string()?)
                .map(Difficulty)
                .ok_or(WireError::Difficulty)?,
            best: BlockHash(list.array()?),
            genesis: BlockHash(list.array()?),
        })
    }
}

/// A block by hash and height.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BlockId {
    /// Hash of the block.
    pub hash: BlockHash,
    /// Its height.
    pub number: BlockNumber,
}

/// The best block of a node, sent about every ten seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// The best block.
    pub best: BlockId,
    /// Its parent and the work of the chain; old nodes leave both out.
    pub parent: Option<(BlockHash, Difficulty)>,
}

/// Everything that travels under [`RSK_MESSAGE`]. Headers are in their compressed encoding, blocks and transactions
/// as encoded lists. `id` pairs a response with its request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of the wire, named alike")]
pub enum Message {
    /// 1: the sender's best block.
    Status(Status),
    /// 2: a block just mined, or the answer to [`Message::GetBlock`].
    Block { block: Bytes },
    /// 3: asks for a block.
    GetBlock { hash: BlockHash },
    /// 6: blocks that the sender has.
    NewBlockHashes(Vec<BlockId>),
    /// 7: transactions that wait for a block.
    Transactions(Vec<Bytes>),
    /// 8: which block is at this height of your chain?
    BlockHashRequest { id: u64, height: u64 },
    /// 18: answer to 8; none for height 0 or above the tip.
    BlockHashResponse { id: u64, hash: BlockHash },
    /// 9: this header and its ancestors, `count` in all.
    HeadersRequest { id: u64, hash: BlockHash, count: u64 },
    /// 10: answer to 9, descending.
    HeadersResponse { id: u64, headers: Vec<Bytes> },
    /// 11: asks for a block.
    BlockRequest { id: u64, hash: BlockHash },
    /// 12: answer to 11.
    BlockResponse { id: u64, block: Bytes },
    /// 14: asks for what belongs to a header.
    BodyRequest { id: u64, hash: BlockHash },
    /// 15: answer to 14.
    BodyResponse { id: u64, transactions: Vec<Bytes>, uncles: Vec<Bytes>, extension: Option<Bytes> },
    /// 16: asks for every 192nd block from the one at or below `start`.
    SkeletonRequest { id: u64, start: u64 },
    /// 13: answer to 16.
    SkeletonResponse { id: u64, entries: Vec<BlockId> },
    /// 17: a block that the sender has.
    NewBlockHash { hash: BlockHash },
    /// 20: asks for a part of the state.
    SnapStateChunkRequest { id: u64, block: u64, from: u64, size: u64 },
    /// 21: answer to 20.
    SnapStateChunkResponse { id: u64, chunk: Bytes, block: u64, from: u64, to: u64, complete: bool },
    /// 22: asks for the block whose state can be fetched.
    SnapStatusRequest { id: u64 },
    /// 23: answer to 22.
    SnapStatusResponse { id: u64, blocks: Vec<Bytes>, difficulties: Vec<Difficulty>, trie_size: u64 },
    /// 24: asks for blocks below a height.
    SnapBlocksRequest { id: u64, block: u64 },
    /// 25: answer to 24.
    SnapBlocksResponse { id: u64, blocks: Vec<Bytes>, difficulties: Vec<Difficulty> },
}

impl Message {
    /// The payload.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let body = encode_list(|list| self.encode_body(list));
        encode_list(|outer| {
            outer.list(|message| {
                message.u64(self.kind().into()).string(&body);
            });
        })
    }

    /// Reads a payload: one list that holds one list of type and body.
    ///
    /// # Errors
    /// The type is unknown, the body malformed, or a list too long.
    pub fn decode(payload: &Bytes) -> Result<Self, WireError> {
        let mut message = Items::new(payload).list()?.list()?;
        let kind = message.u64()?;
        let body = message.string()?;
        Decoder { payload, list: Items::new(body).list()? }.decode(kind)
    }

    /// The type's number.
    #[must_use]
    pub fn kind(&self) -> u8 {
        match self {
            Self::Status(_) => 1,
            Self::Block { .. } => 2,
            Self::GetBlock { .. } => 3,
            Self::NewBlockHashes(_) => 6,
            Self::Transactions(_) => 7,
            Self::BlockHashRequest { .. } => 8,
            Self::HeadersRequest { .. } => 9,
            Self::HeadersResponse { .. } => 10,
            Self::BlockRequest { .. } => 11,
            Self::BlockResponse { .. } => 12,
            Self::SkeletonResponse { .. } => 13,
            Self::BodyRequest { .. } => 14,
            Self::BodyResponse { .. } => 15,
            Self::SkeletonRequest { .. } => 16,
            Self::NewBlockHash { .. } => 17,
            Self::BlockHashResponse { .. } => 18,
            Self::SnapStateChunkRequest { .. } => 20,
            Self::SnapStateChunkResponse { .. } => 21,
            Self::SnapStatusRequest { .. } => 22,
            Self::SnapStatusResponse { .. } => 23,
            Self::SnapBlocksRequest { .. } => 24,
            Self::SnapBlocksResponse { .. } => 25,
        }
    }

    /// A short stable name, for logs and metrics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Status(_) => "status",
            Self::Block { .. } => "block",
            Self::GetBlock { .. } => "get_block",
            Self::NewBlockHashes(_) => "new_block_hashes",
            Self::Transactions(_) => "transactions",
            Self::BlockHashRequest { .. } => "block_hash_request",
            Self::HeadersRequest { .. } => "headers_request",
            Self::HeadersResponse { .. } => "headers_response",
            Self::BlockRequest { .. } => "block_request",
            Self::BlockResponse { .. } => "block_response",
            Self::SkeletonResponse { .. } => "skeleton_response",
            Self::BodyRequest { .. } => "body_request",
            Self::BodyResponse { .. } => "body_response",
            Self::SkeletonRequest { .. } => "skeleton_request",
            Self::NewBlockHash { .. } => "new_block_hash",
            Self::BlockHashResponse { .. } => "block_hash_response",
            Self::SnapStateChunkRequest { .. }
            | Self::SnapStateChunkResponse { .. }
            | Self::SnapStatusRequest { .. }
            | Self::SnapStatusResponse { .. }
            | Self::SnapBlocksRequest { .. }
            | Self::SnapBlocksResponse { .. } => "snap",
        }
    }

    fn encode_body(&self, list: &mut Encoder) {
        match self {
            Self::Status(status) => {
                list.u64(status.best.number.0).string(&status.best.hash.0);
                if let Some((parent, total)) = &status.parent {
                    list.string(&parent.0).signed(&total.0.to_be_bytes::<32>());
                }
            }
            Self::Block { block } => done(list.string(block)),
            Self::GetBlock { hash } | Self::NewBlockHash { hash } => done(list.string(&hash.0)),
            Self::NewBlockHashes(blocks) => put_ids(list, blocks),
            Self::Transactions(transactions) => put_all(list, transactions),
            Self::BlockHashRequest { id, height } => with_id(list, *id, |params| done(params.u64(*height))),
            Self::BlockHashResponse { id, hash }
            | Self::BlockRequest { id, hash }
            | Self::BodyRequest { id, hash } => with_id(list, *id, |params| done(params.string(&hash.0))),
            Self::HeadersRequest { id, hash, count } => {
                with_id(list, *id, |params| done(params.string(&hash.0).u64(*count)));
            }
            Self::HeadersResponse { id, headers } => {
                with_id(list, *id, |params| done(params.list(|inner| put_all(inner, headers))));
            }
            Self::BlockResponse { id, block } => with_id(list, *id, |params| done(params.string(block))),
            Self::BodyResponse { id, transactions, uncles, extension } => with_id(list, *id, |params| {
                params.list(|inner| put_all(inner, transactions)).list(|inner| put_all(inner, uncles));
                params.raw(extension.as_deref().unwrap_or_default());
            }),
            Self::SkeletonRequest { id, start: number } | Self::SnapBlocksRequest { id, block: number } => {
                with_id(list, *id, |params| done(params.u64(*number)));
            }
            Self::SkeletonResponse { id, entries } => {
                with_id(list, *id, |params| done(params.list(|inner| put_ids(inner, entries))));
            }
            Self::SnapStateChunkRequest { id, block, from, size } => {
                with_id(list, *id, |params| done(params.u64(*block).u64(*from).u64(*size)));
            }
            Self::SnapStateChunkResponse { id, chunk, block, from, to, complete } => {
                with_id(list, *id, |params| {
                    params.string(chunk).u64(*block).u64(*from).u64(*to).string(&[u8::from(*complete)]);
                });
            }
            Self::SnapStatusRequest { id } => with_id(list, *id, |_| ()),
            Self::SnapStatusResponse { id, blocks, difficulties, trie_size } => {
                with_id(list, *id, |params| {
                    put_blocks(params, blocks, difficulties);
                    params.u64(*trie_size);
                });
            }
            Self::SnapBlocksResponse { id, blocks, difficulties } => {
                with_id(list, *id, |params| put_blocks(params, blocks, difficulties));
            }
        }
    }
}

/// Ends a chain of appends in expression position.
fn done(_: &mut Encoder) {}

fn with_id(list: &mut Encoder, id: u64, fill: impl FnOnce(&mut Encoder)) {
    list.u64(id).list(fill);
}

fn put_all(list: &mut Encoder, encoded: &[Bytes]) {
    for item in encoded {
        list.raw(item);
    }
}

fn put_ids(list: &mut Encoder, ids: &[BlockId]) {
    for id in ids {
        list.list(|entry| done(entry.string(&id.hash.0).u64(id.number.0)));
    }
}

fn put_blocks(params: &mut Encoder, blocks: &[Bytes], difficulties: &[Difficulty]) {
    params.list(|list| {
        for block in blocks {
            list.string(block);
        }
    });
    params.list(|list| {
        for value in difficulties {
            list.signed(&value.0.to_be_bytes::<32>());
        }
    });
}

struct Decoder<'a> {
    payload: &'a Bytes,
    list: Items<'a>,
}

impl Decoder<'_> {
    fn decode(mut self, kind: u64) -> Result<Message, WireError> {
        Ok(match kind {
            1 => Message::Status(self.status()?),
            2 => Message::Block { block: self.string()? },
            3 => Message::GetBlock { hash: self.hash()? },
            6 => Message::NewBlockHashes(self.ids(MAX_ANNOUNCED)?),
            7 => {
                let mut all = self.raw(MAX_TRANSACTIONS)?;
                all.retain(|transaction| transaction.len() <= MAX_TRANSACTION_BYTES);
                Message::Transactions(all)
            }
            17 => Message::NewBlockHash { hash: self.hash()? },
            8..=16 | 18 | 20..=25 => {
                let id = self.list.u64()?;
                self.list = self.list.list()?;
                self.decode_with_id(kind, id)?
            }
            unknown => return Err(WireError::UnknownType(unknown)),
        })
    }

    fn decode_with_id(&mut self, kind: u64, id: u64) -> Result<Message, WireError> {
        Ok(match kind {
            8 => Message::BlockHashRequest { id, height: self.list.u64()? },
            9 => Message::HeadersRequest { id, hash: self.hash()?, count: self.list.u64()? },
            10 => Message::HeadersResponse { id, headers: self.inner()?.raw(MAX_HEADERS)? },
            11 => Message::BlockRequest { id, hash: self.hash()? },
            12 => Message::BlockResponse { id, block: self.string()? },
            13 => Message::SkeletonResponse { id, entries: self.inner()?.ids(MAX_SKELETON)? },
            14 => Message::BodyRequest { id, hash: self.hash()? },
            15 => Message::BodyResponse {
                id,
                transactions: self.inner()?.raw(MAX_TRANSACTIONS)?,
                uncles: self.inner()?.raw(MAX_UNCLES)?,
                extension: self.raw(1)?.pop(),
            },
            16 => Message::SkeletonRequest { id, start: self.list.u64()? },
            18 => Message::BlockHashResponse { id, hash: self.hash()? },
            20 => Message::SnapStateChunkRequest {
                id,
                block: self.list.u64()?,
                from: self.list.u64()?,
                size: self.list.u64()?,
            },
            21 => Message::SnapStateChunkResponse {
                id,
                chunk: self.string()?,
                block: self.list.u64()?,
                from: self.list.u64()?,
                to: self.list.u64()?,
                complete: self.list.string()?.first().is_some_and(|flag| *flag != 0),
            },
            22 => Message::SnapStatusRequest { id },
            23 => {
                let (blocks, difficulties) = self.blocks()?;
                Message::SnapStatusResponse { id, blocks, difficulties, trie_size: self.list.u64()? }
            }
            24 => Message::SnapBlocksRequest { id, block: self.list.u64()? },
            _ => {
                let (blocks, difficulties) = self.blocks()?;
                Message::SnapBlocksResponse { id, blocks, difficulties }
            }
        })
    }

    fn status(&mut self) -> Result<Status, WireError> {
        let number = BlockNumber(self.list.u64()?);
        let best = BlockId { hash: self.hash()?, number };
        let parent =
            if self.list.is_empty() { None } else { Some((self.hash()?, difficulty(self.list.string()?)?)) };
        Ok(Status { best, parent })
    }

    fn hash(&mut self) -> Result<BlockHash, WireError> {
        Ok(BlockHash(self.list.array()?))
    }

    fn string(&mut self) -> Result<Bytes, WireError> {
        let content = self.list.string()?;
        Ok(self.payload.slice_ref(content))
    }

    fn inner(&mut self) -> Result<Self, WireError> {
        Ok(Self { payload: self.payload, list: self.list.list()? })
    }

    fn raw(&mut self, limit: usize) -> Result<Vec<Bytes>, WireError> {
        self.all(limit, |decoder| Ok(decoder.payload.slice_ref(decoder.list.raw()?)))
    }

    fn ids(&mut self, limit: usize) -> Result<Vec<BlockId>, WireError> {
        self.all(limit, |decoder| {
            let mut entry = decoder.inner()?;
            Ok(BlockId { hash: entry.hash()?, number: BlockNumber(entry.list.u64()?) })
        })
    }

    fn blocks(&mut self) -> Result<(Vec<Bytes>, Vec<Difficulty>), WireError> {
        let blocks = self.inner()?.all(MAX_SNAP_BLOCKS, Self::string)?;
        let difficulties =
            self.inner()?.all(MAX_SNAP_BLOCKS, |decoder| difficulty(decoder.list.string()?))?;
        Ok((blocks, difficulties))
    }

    fn all<T>(
        &mut self,
        limit: usize,
        mut read: impl FnMut(&mut Self) -> Result<T, WireError>,
    ) -> Result<Vec<T>, WireError> {
        let mut out = Vec::new();
        while !self.list.is_empty() {
            if out.len() == limit {
                return Err(WireError::TooMany { limit });
            }
            out.push(read(self)?);
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn unknown_types_and_lists_beyond_their_bound_are_refused() {
        let unknown = encode_list(|outer| done(outer.list(|message| done(message.u64(19).string(&[0xc0])))));
        assert_eq!(Message::decode(&unknown.into()), Err(WireError::UnknownType(19)));
        let long = Message::HeadersResponse { id: 1, headers: vec![Bytes::from_static(&[0xc0]); 193] };
        assert_eq!(Message::decode(&long.encode().into()), Err(WireError::TooMany { limit: 192 }));
    }

    #[test]
    fn the_short_status_of_old_nodes_is_read() {
        let best = BlockId { hash: BlockHash([7; 32]), number: BlockNumber(300) };
        let status = Message::Status(Status { best, parent: None });
        assert_eq!(Message::decode(&status.encode().into()), Ok(status));
    }

    #[test]
    fn a_negative_difficulty_is_refused() {
        assert_eq!(difficulty(&[0x80]), Err(WireError::Difficulty));
        assert_eq!(difficulty(&[0, 0x80]), Ok(Difficulty::from_u64(128)));
        assert_eq!(difficulty(&[]), Ok(Difficulty::ZERO));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), kind in 0_u8..30) {
            let _ = Message::decode(&Bytes::from(bytes.clone()));
            let _ = ChainStatus::decode(&bytes);
            let _ = crate::wire::p2p::Hello::decode(&bytes);
            bytes.insert(0, 0xc0_u8.saturating_add(u8::try_from(bytes.len().min(55)).unwrap()));
            let framed = encode_list(|outer| done(outer.list(|message| done(message.u64(kind.into()).string(&bytes)))));
            let _ = Message::decode(&framed.into());
        }
    }
}
