//! Requests, their answers, and how both are framed on a stream: a request is `u8 kind ‖ u32 length ‖ bytes`, an answer
//! a run of chunks `u8 code ‖ u32 length ‖ bytes` until the stream ends. All share one protocol name (docs/adr/0009).

use shared_vendor::bytes::{ReadError, Reader, Writer};

use super::topic::genesis8;
use crate::{
    consensus::chain::checkpoint::StatePiece,
    types::{
        block::SignedBlock,
        codec::{self, DecodeError, Wire, container},
        operation::Checkpoint,
        primitives::{Epoch, List, Root, Slot},
        transaction::Tx,
    },
};

/// Most blocks of one answer.
pub const MAX_BLOCKS: usize = 64;
/// Most transactions of one request.
pub const MAX_TX_IDS: usize = 4096;
/// Most bytes of the parts that states and transactions are sent in.
pub const MAX_PART_BYTES: usize = 1 << 20;
/// Most bytes of one chunk: a full block with its transactions.
pub const MAX_CHUNK_BYTES: usize = 32 << 20;
/// A server stops adding chunks when it has sent this much.
pub const MAX_ANSWER_BYTES: usize = 32 << 20;
/// Most bytes of a request: ids of transactions.
pub const MAX_REQUEST_BYTES: usize = MAX_TX_IDS * 32 + 64;
/// Most chunks of an answer: a consensus state of 1 GiB.
pub const MAX_CHUNKS: usize = 1024;
/// Most finality certificates of one answer.
pub const MAX_CERTS: u64 = 256;

/// The protocol of all requests.
pub const PROTOCOL: &str = "/pos/req/1";

/// Kinds of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the requests are documented")]
pub enum Protocol {
    Status,
    Goodbye,
    Ping,
    Metadata,
    BlocksByRange,
    BlocksByRoot,
    TxsById,
    StateManifest,
    StateChunk,
    ConsensusState,
    FinalityCerts,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Status,
        Self::Goodbye,
        Self::Ping,
        Self::Metadata,
        Self::BlocksByRange,
        Self::BlocksByRoot,
        Self::TxsById,
        Self::StateManifest,
        Self::StateChunk,
        Self::ConsensusState,
        Self::FinalityCerts,
    ];

    /// Its name, as a label of metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Goodbye => "goodbye",
            Self::Ping => "ping",
            Self::Metadata => "metadata",
            Self::BlocksByRange => "blocks_by_range",
            Self::BlocksByRoot => "blocks_by_root",
            Self::TxsById => "txs_by_id",
            Self::StateManifest => "state_manifest",
            Self::StateChunk => "state_chunk",
            Self::ConsensusState => "consensus_state",
            Self::FinalityCerts => "finality_certs",
        }
    }

    /// The byte in front of a request.
    #[must_use]
    pub const fn byte(self) -> u8 {
        match self {
            Self::Status => 0,
            Self::Goodbye => 1,
            Self::Ping => 2,
            Self::Metadata => 3,
            Self::BlocksByRange => 4,
            Self::BlocksByRoot => 5,
            Self::TxsById => 6,
            Self::StateManifest => 7,
            Self::StateChunk => 8,
            Self::ConsensusState => 9,
            Self::FinalityCerts => 10,
        }
    }

    /// The kind of a byte.
    #[must_use]
    pub fn of_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.byte() == byte)
    }
}

/// The Kademlia protocol of a chain.
#[must_use]
pub fn kad_protocol(genesis: &Root) -> String {
    format!("/pos/{}/kad/1", genesis8(genesis))
}

container! {
    /// What a node says about its chain when peers meet.
    #[derive(Copy, Default)]
    plain struct Status {
        /// Digest of the rules in force.
        fork_digest: [u8; 4],
        /// Hash of all constants.
        config_hash: Root,
        /// Its final checkpoint.
        finalized: Checkpoint,
        /// Its head.
        head_root: Root,
        /// The head's slot.
        head_slot: Slot,
        /// First slot whose blocks it can serve.
        earliest_slot: Slot,
    }
}

container! {
    /// What a node can do.
    #[derive(Copy, Default)]
    plain struct Metadata {
        /// Grows with every change.
        sequence: u64,
        /// Version of the rules its program knows.
        protocol_version: u32,
        /// Bits of optional features.
        features: u64,
    }
}

/// Why a connection is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goodbye {
    /// The node stops.
    Shutdown,
    /// Another chain or other constants.
    IrrelevantNetwork,
    /// Something went wrong.
    Fault,
    /// The peer has a bad score.
    BadScore,
    /// There are enough peers.
    TooManyPeers,
}

impl Goodbye {
    /// The number that is sent.
    #[must_use]
    pub const fn code(self) -> u64 {
        match self {
            Self::Shutdown => 1,
            Self::IrrelevantNetwork => 2,
            Self::Fault => 3,
            Self::TooManyPeers => 129,
            Self::BadScore => 250,
        }
    }

    /// The reason of a number.
    #[must_use]
    pub fn of_code(code: u64) -> Option<Self> {
        let all = [Self::Shutdown, Self::IrrelevantNetwork, Self::Fault, Self::TooManyPeers, Self::BadScore];
        all.into_iter().find(|reason| reason.code() == code)
    }

    /// The reason in words.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Shutdown => "it stops",
            Self::IrrelevantNetwork => {
                "it is of another network: another genesis, config hash or final block"
            }
            Self::Fault => "something went wrong there",
            Self::TooManyPeers => "it has enough peers",
            Self::BadScore => "it has a bad opinion of this node",
        }
    }
}

/// A question to a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Says one's own status and asks for the peer's.
    Status(Box<Status>),
    /// Ends the connection, with a reason.
    Goodbye(u64),
    /// Tells one's metadata number and asks for the peer's.
    Ping(u64),
    /// Asks for the metadata.
    Metadata,
    /// Blocks of the canonical chain in the order of slots.
    BlocksByRange {
        /// First slot.
        start_slot: Slot,
        /// Slots, at most [`MAX_BLOCKS`].
        count: u64,
        /// Whether the transactions come too.
        with_txs: bool,
    },
    /// Blocks by root, with their transactions.
    BlocksByRoot(List<Root, MAX_BLOCKS>),
    /// Transactions by id.
    TxsById(List<Root, MAX_TX_IDS>),
    /// What the state of a final checkpoint consists of.
    StateManifest(Epoch),
    /// A part of the application state.
    StateChunk {
        /// Which state.
        app_root: Root,
        /// First key hash.
        start: Root,
        /// Most bytes of entries, at most [`MAX_PART_BYTES`].
        max_bytes: u64,
    },
    /// The whole consensus state of a block, by the state root in its header.
    ConsensusState(Root),
    /// Finality certificates in the order of epochs.
    FinalityCerts {
        /// First epoch.
        from_epoch: Epoch,
        /// Epochs, at most [`MAX_CERTS`].
        count: u64,
    },
}

impl Request {
    /// Its kind.
    #[must_use]
    pub const fn protocol(&self) -> Protocol {
        match self {
            Self::Status(_) => Protocol::Status,
            Self::Goodbye(_) => Protocol::Goodbye,
            Self::Ping(_) => Protocol::Ping,
            Self::Metadata => Protocol::Metadata,
            Self::BlocksByRange { .. } => Protocol::BlocksByRange,
            Self::BlocksByRoot(_) => Protocol::BlocksByRoot,
            Self::TxsById(_) => Protocol::TxsById,
            Self::StateManifest(_) => Protocol::StateManifest,
            Self::StateChunk { .. } => Protocol::StateChunk,
            Self::ConsensusState(_) => Protocol::ConsensusState,
            Self::FinalityCerts { .. } => Protocol::FinalityCerts,
        }
    }

    /// What it takes from the asker's quota: items of the answer, 1 where that is one thing.
    #[must_use]
    pub fn cost(&self) -> u64 {
        match self {
            Self::BlocksByRange { count, .. } => *count,
            Self::BlocksByRoot(roots) => u64::try_from(roots.len()).unwrap_or(u64::MAX),
            Self::TxsById(ids) => u64::try_from(ids.len()).unwrap_or(u64::MAX),
            _ => 1,
        }
    }

    /// Whether it asks for no more than one request may.
    #[must_use]
    pub fn is_in_bounds(&self) -> bool {
        match self {
            Self::BlocksByRange { count, .. } => {
                usize::try_from(*count).is_ok_and(|count| (1..=MAX_BLOCKS).contains(&count))
            }
            Self::BlocksByRoot(roots) => !roots.is_empty(),
            Self::TxsById(ids) => !ids.is_empty(),
            Self::FinalityCerts { count, .. } => (1..=MAX_CERTS).contains(count),
            Self::StateChunk { max_bytes, .. } => {
                usize::try_from(*max_bytes).is_ok_and(|max| (1..=MAX_PART_BYTES).contains(&max))
            }
            _ => true,
        }
    }

    /// The bytes that travel, without their length.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new();
        match self {
            Self::Status(status) => status.put(&mut out),
            Self::Goodbye(number) | Self::Ping(number) | Self::StateManifest(number) => number.put(&mut out),
            Self::Metadata => {}
            Self::BlocksByRange { start_slot, count, with_txs } => {
                start_slot.put(&mut out);
                count.put(&mut out);
                with_txs.put(&mut out);
            }
            Self::BlocksByRoot(roots) => roots.put(&mut out),
            Self::TxsById(ids) => ids.put(&mut out),
            Self::StateChunk { app_root, start, max_bytes } => {
                app_root.put(&mut out);
                start.put(&mut out);
                max_bytes.put(&mut out);
            }
            Self::ConsensusState(root) => root.put(&mut out),
            Self::FinalityCerts { from_epoch, count } => {
                from_epoch.put(&mut out);
                count.put(&mut out);
            }
        }
        out.into_vec()
    }

    /// Reads a request of a protocol.
    ///
    /// # Errors
    /// Not an encoding, or more than one request may hold.
    pub fn decode(protocol: Protocol, bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > MAX_REQUEST_BYTES {
            let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            return Err(ReadError::TooLong { offset: 0, len, limit: MAX_REQUEST_BYTES }.into());
        }
        let mut input = Reader::new(bytes);
        let request = match protocol {
            Protocol::Status => Self::Status(Box::new(Status::take(&mut input)?)),
            Protocol::Goodbye => Self::Goodbye(u64::take(&mut input)?),
            Protocol::Ping => Self::Ping(u64::take(&mut input)?),
            Protocol::Metadata => Self::Metadata,
            Protocol::BlocksByRange => Self::BlocksByRange {
                start_slot: u64::take(&mut input)?,
                count: u64::take(&mut input)?,
                with_txs: bool::take(&mut input)?,
            },
            Protocol::BlocksByRoot => Self::BlocksByRoot(List::take(&mut input)?),
            Protocol::TxsById => Self::TxsById(List::take(&mut input)?),
            Protocol::StateManifest => Self::StateManifest(u64::take(&mut input)?),
            Protocol::StateChunk => Self::StateChunk {
                app_root: Root::take(&mut input)?,
                start: Root::take(&mut input)?,
                max_bytes: u64::take(&mut input)?,
            },
            Protocol::ConsensusState => Self::ConsensusState(Root::take(&mut input)?),
            Protocol::FinalityCerts => {
                Self::FinalityCerts { from_epoch: u64::take(&mut input)?, count: u64::take(&mut input)? }
            }
        };
        input.finish()?;
        Ok(request)
    }
}

/// How an answer, or a part of it, went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// As asked.
    Ok,
    /// The request is invalid.
    Invalid,
    /// The server failed.
    ServerError,
    /// The server does not have it.
    Unavailable,
    /// Asked too often.
    RateLimited,
}

impl Code {
    const ALL: [Self; 5] = [Self::Ok, Self::Invalid, Self::ServerError, Self::Unavailable, Self::RateLimited];

    /// The byte on the wire.
    #[must_use]
    pub const fn byte(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Invalid => 1,
            Self::ServerError => 2,
            Self::Unavailable => 3,
            Self::RateLimited => 4,
        }
    }
}

container! {
    /// A block as it answers a request.
    plain struct BlockChunk {
        /// The block.
        block: SignedBlock,
        /// Its transactions, when they were asked for.
        txs: Option<List<Tx, { crate::types::block::MAX_TXS_PER_BLOCK }>>,
    }
}

container! {
    /// What the state of a checkpoint consists of.
    #[derive(Default)]
    plain struct Manifest {
        /// The checkpoint's epoch and block.
        checkpoint: Checkpoint,
        /// The block, whose header commits to everything else.
        block: SignedBlock,
        /// Root of the application tree.
        app_root: Root,
        /// Bytes of the encoded consensus state.
        consensus_bytes: u64,
    }
}

/// Whole answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// To `Status`.
    Status(Box<Status>),
    /// To `Ping`.
    Pong(u64),
    /// To `Metadata`.
    Metadata(Metadata),
    /// To `Goodbye`.
    Bye,
    /// To `BlocksByRange` and `BlocksByRoot`.
    Blocks(Vec<BlockChunk>),
    /// To `TxsById`: those that are known.
    Txs(Vec<Tx>),
    /// To `StateManifest`.
    Manifest(Box<Manifest>),
    /// To `StateChunk`.
    StateChunk(Box<StatePiece>),
    /// To `ConsensusState`: the encoded state.
    ConsensusState(Vec<u8>),
    /// To `FinalityCerts`: each encoded.
    FinalityCerts(Vec<Vec<u8>>),
    /// Anything but success.
    Failed(Code),
}

/// Most transactions of one part.
const MAX_TXS_PART: usize = MAX_TX_IDS;

type TxPart = List<Tx, MAX_TXS_PART>;

/// Why bytes are not an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// It ends too soon. A program that gives up on an answer under way ends its stream like one that is through, so
    /// this happens to honest peers that are too slow.
    #[error("the answer breaks off")]
    Cut,
    /// A chunk is not framed as chunks are, or is not what was asked for.
    #[error("malformed answer")]
    Bytes(#[from] DecodeError),
    /// A code that is not one.
    #[error("unknown result code {0}")]
    Code(u8),
    /// Another number of chunks than the request allows.
    #[error("{0} chunks are not an answer to this request")]
    Chunks(usize),
}

impl From<ReadError> for AnswerError {
    fn from(err: ReadError) -> Self {
        Self::Bytes(err.into())
    }
}

impl Answer {
    /// The bytes that travel. Lists end early when the answer has become too long; the asker goes on from there.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new();
        match self {
            Self::Status(status) => put_chunk(Code::Ok, &codec::encode(&**status), &mut out),
            Self::Pong(sequence) => put_chunk(Code::Ok, &codec::encode(sequence), &mut out),
            Self::Metadata(metadata) => put_chunk(Code::Ok, &codec::encode(metadata), &mut out),
            Self::Bye => {}
            Self::Blocks(blocks) => put_all(blocks.iter().map(codec::encode), &mut out),
            Self::Txs(txs) => put_all(tx_parts(txs).into_iter(), &mut out),
            Self::Manifest(manifest) => put_chunk(Code::Ok, &codec::encode(&**manifest), &mut out),
            Self::StateChunk(chunk) => put_chunk(Code::Ok, &codec::encode(&**chunk), &mut out),
            Self::ConsensusState(bytes) => {
                for part in bytes.chunks(MAX_PART_BYTES) {
                    put_chunk(Code::Ok, part, &mut out);
                }
            }
            Self::FinalityCerts(certs) => put_all(certs.iter().cloned(), &mut out),
            Self::Failed(code) => put_chunk(*code, &[], &mut out),
        }
        out.into_vec()
    }

    /// Reads the answer to a request of a protocol.
    ///
    /// # Errors
    /// See [`AnswerError`].
    pub fn decode(protocol: Protocol, bytes: &[u8]) -> Result<Self, AnswerError> {
        let (code, chunks) = take_chunks(bytes)?;
        if code != Code::Ok {
            return Ok(Self::Failed(code));
        }
        let one = || match chunks.as_slice() {
            [] => Err(AnswerError::Cut),
            [chunk] => Ok(*chunk),
            other => Err(AnswerError::Chunks(other.len())),
        };
        Ok(match protocol {
            Protocol::Status => Self::Status(Box::new(codec::decode(one()?, MAX_PART_BYTES)?)),
            Protocol::Ping => Self::Pong(codec::decode(one()?, MAX_PART_BYTES)?),
            Protocol::Metadata => Self::Metadata(codec::decode(one()?, MAX_PART_BYTES)?),
            Protocol::Goodbye if chunks.is_empty() => Self::Bye,
            Protocol::Goodbye => return Err(AnswerError::Chunks(chunks.len())),
            Protocol::BlocksByRange | Protocol::BlocksByRoot if chunks.len() > MAX_BLOCKS => {
                return Err(AnswerError::Chunks(chunks.len()));
            }
            Protocol::BlocksByRange | Protocol::BlocksByRoot => {
                let blocks = chunks.iter().map(|chunk| codec::decode(chunk, MAX_CHUNK_BYTES));
                Self::Blocks(blocks.collect::<Result<_, _>>()?)
            }
            Protocol::TxsById => {
                let mut txs = Vec::new();
                for chunk in &chunks {
                    txs.extend(codec::decode::<TxPart>(chunk, 2 * MAX_PART_BYTES)?.into_vec());
                    if txs.len() > MAX_TX_IDS {
                        return Err(AnswerError::Chunks(chunks.len()));
                    }
                }
                Self::Txs(txs)
            }
            Protocol::StateManifest => Self::Manifest(Box::new(codec::decode(one()?, MAX_CHUNK_BYTES)?)),
            Protocol::StateChunk => Self::StateChunk(Box::new(codec::decode(one()?, 4 * MAX_PART_BYTES)?)),
            Protocol::ConsensusState => Self::ConsensusState(chunks.concat()),
            Protocol::FinalityCerts => {
                Self::FinalityCerts(chunks.iter().map(|chunk| chunk.to_vec()).collect())
            }
        })
    }
}

fn put_chunk(code: Code, payload: &[u8], out: &mut Writer) {
    out.u8(code.byte());
    out.u32_le(u32::try_from(payload.len()).expect("chunks are far below 4 GiB"));
    out.put(payload);
}

fn put_all(payloads: impl Iterator<Item = Vec<u8>>, out: &mut Writer) {
    let mut sent = 0usize;
    for payload in payloads.take(MAX_CHUNKS) {
        if sent > 0 && sent.saturating_add(payload.len()) > MAX_ANSWER_BYTES {
            break;
        }
        sent = sent.saturating_add(payload.len());
        put_chunk(Code::Ok, &payload, out);
    }
}

/// Transactions in parts of about a mebibyte.
fn tx_parts(txs: &[Tx]) -> Vec<Vec<u8>> {
    let mut parts = Vec::new();
    let (mut part, mut bytes) = (Vec::new(), 0usize);
    for tx in txs.iter().take(MAX_TX_IDS) {
        let len = codec::encode(tx).len();
        if !part.is_empty() && bytes.saturating_add(len) > MAX_PART_BYTES {
            parts.push(codec::encode(&TxPart::new(std::mem::take(&mut part)).unwrap_or_default()));
            bytes = 0;
        }
        bytes = bytes.saturating_add(len);
        part.push(tx.clone());
    }
    if !part.is_empty() {
        parts.push(codec::encode(&TxPart::new(part).unwrap_or_default()));
    }
    parts
}

/// The chunks of an answer. The first that is not [`Code::Ok`] ends it and, when it is also the first of all, is the
/// result; after good chunks it only says that the rest is missing.
fn take_chunks(bytes: &[u8]) -> Result<(Code, Vec<&[u8]>), AnswerError> {
    let mut input = Reader::new(bytes);
    let mut chunks = Vec::new();
    while input.left() > 0 {
        let byte = input.u8()?;
        let code = Code::ALL.into_iter().find(|code| code.byte() == byte).ok_or(AnswerError::Code(byte))?;
        let claimed = u64::from(input.u32_le().map_err(|_| AnswerError::Cut)?);
        let len = input.count(claimed, MAX_CHUNK_BYTES, 1).map_err(|error| match error {
            ReadError::TooLong { .. } => error.into(),
            _ => AnswerError::Cut,
        })?;
        let payload = input.take(len)?;
        if code != Code::Ok {
            return Ok((if chunks.is_empty() { code } else { Code::Ok }, chunks));
        }
        if chunks.len() >= MAX_CHUNKS {
            return Err(AnswerError::Chunks(chunks.len()));
        }
        chunks.push(payload);
    }
    Ok((Code::Ok, chunks))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::types::transaction::{Action, Auth, TxBody};

    fn tx(len: usize) -> Tx {
        let body = TxBody {
            chain_id: 1,
            nonce: u64::try_from(len).unwrap_or(0),
            valid_until: 1,
            gas_limit: 1,
            max_fee: 1,
            tip: 0,
            action: Action::Deploy {
                code: List::new(vec![7; len]).unwrap_or_default(),
                init: List::empty(),
                value: 0,
            },
        };
        Tx { auth: Auth::Single { pubkey: [1; 32], signature: [2; 64] }, body }
    }

    fn requests() -> Vec<Request> {
        vec![
            Request::Status(Box::new(Status { head_slot: 7, ..Status::default() })),
            Request::Goodbye(3),
            Request::Ping(4),
            Request::Metadata,
            Request::BlocksByRange { start_slot: 1, count: 64, with_txs: true },
            Request::BlocksByRoot(List::new(vec![Root([1; 32]); 64]).expect("in bounds")),
            Request::TxsById(List::new(vec![Root([1; 32]); 4096]).expect("in bounds")),
            Request::StateManifest(9),
            Request::StateChunk { app_root: Root([1; 32]), start: Root([2; 32]), max_bytes: 1 << 20 },
            Request::ConsensusState(Root([3; 32])),
            Request::FinalityCerts { from_epoch: 1, count: 256 },
        ]
    }

    #[test]
    fn every_request_reads_back_under_its_own_protocol() {
        for request in requests() {
            let bytes = request.encode();
            assert!(request.is_in_bounds(), "{request:?}");
            assert!(bytes.len() <= MAX_REQUEST_BYTES);
            assert_eq!(Request::decode(request.protocol(), &bytes), Ok(request.clone()));
            assert_eq!(Protocol::of_byte(request.protocol().byte()), Some(request.protocol()));
            assert!(Request::decode(request.protocol(), &[bytes, vec![0]].concat()).is_err());
        }
    }

    #[test]
    fn requests_beyond_their_bounds_are_told() {
        let range = |count| Request::BlocksByRange { start_slot: 0, count, with_txs: false };
        for request in [
            range(0),
            range(65),
            Request::BlocksByRoot(List::empty()),
            Request::TxsById(List::empty()),
            Request::FinalityCerts { from_epoch: 0, count: 257 },
            Request::StateChunk { app_root: Root::ZERO, start: Root::ZERO, max_bytes: (1 << 20) + 1 },
        ] {
            assert!(!request.is_in_bounds(), "{request:?}");
        }
        let too_many = codec::encode(&List::<Root, 65>::new(vec![Root::ZERO; 65]).expect("in bounds"));
        assert!(Request::decode(Protocol::BlocksByRoot, &too_many).is_err());
    }

    #[test]
    fn answers_read_back_in_chunks() {
        let block = BlockChunk { block: SignedBlock::default(), txs: List::new(vec![tx(1)]) };
        for (protocol, answer) in [
            (Protocol::Status, Answer::Status(Box::default())),
            (Protocol::Goodbye, Answer::Bye),
            (Protocol::Ping, Answer::Pong(5)),
            (Protocol::Metadata, Answer::Metadata(Metadata::default())),
            (Protocol::BlocksByRange, Answer::Blocks(vec![block.clone(), block])),
            (Protocol::BlocksByRoot, Answer::Blocks(Vec::new())),
            (Protocol::TxsById, Answer::Txs((0..40).map(|at| tx(60_000 + at)).collect())),
            (Protocol::StateManifest, Answer::Manifest(Box::default())),
            (Protocol::ConsensusState, Answer::ConsensusState(vec![9; 3 * MAX_PART_BYTES + 5])),
            (Protocol::FinalityCerts, Answer::FinalityCerts(vec![vec![1, 2], vec![3]])),
            (Protocol::Ping, Answer::Failed(Code::RateLimited)),
        ] {
            assert_eq!(Answer::decode(protocol, &answer.encode()), Ok(answer), "{protocol:?}");
        }
    }

    #[test]
    fn an_answer_that_breaks_off_keeps_what_came_before() {
        let mut bytes = Answer::FinalityCerts(vec![vec![1]]).encode();
        bytes.extend(Answer::Failed(Code::ServerError).encode());
        assert_eq!(Answer::decode(Protocol::FinalityCerts, &bytes), Ok(Answer::FinalityCerts(vec![vec![1]])));
        assert_eq!(Answer::decode(Protocol::Ping, &[9, 0, 0, 0, 0]), Err(AnswerError::Code(9)));
        assert!(Answer::decode(Protocol::Ping, &[0, 255, 255, 255, 255]).is_err());
    }

    #[test]
    fn an_answer_that_ends_anywhere_but_between_chunks_is_cut_and_no_breach() {
        let whole = Answer::Txs((0..40).map(|at| tx(60_000 + at)).collect()).encode();
        let ends = std::iter::successors(Some(0usize), |at| {
            let len = whole.get(at + 1..at + 5)?.try_into().map(u32::from_le_bytes).expect("four bytes");
            Some(at + 5 + usize::try_from(len).expect("fits"))
        });
        let ends: std::collections::BTreeSet<usize> = ends.collect();
        for len in (0..whole.len()).step_by(997).chain(ends.iter().flat_map(|end| [end + 1, end + 6])) {
            let read = Answer::decode(Protocol::TxsById, &whole[..len.min(whole.len())]);
            if ends.contains(&len.min(whole.len())) {
                assert!(matches!(read, Ok(Answer::Txs(_))), "{len}");
            } else {
                assert_eq!(read, Err(AnswerError::Cut), "{len}");
            }
        }
        for protocol in [Protocol::Status, Protocol::Ping, Protocol::StateManifest, Protocol::StateChunk] {
            assert_eq!(Answer::decode(protocol, &[]), Err(AnswerError::Cut));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_request_or_answer_or_neither(
            bytes in proptest::collection::vec(prop_oneof![3 => Just(0u8), 1 => any::<u8>()], 0..300),
            which in 0usize..11,
        ) {
            let protocol = Protocol::ALL[which];
            if let Ok(request) = Request::decode(protocol, &bytes) {
                prop_assert_eq!(request.encode(), bytes.clone());
            }
            let _ = Answer::decode(protocol, &bytes);
        }
    }
}
