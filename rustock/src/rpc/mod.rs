//! JSON-RPC: what a header client can answer truthfully, in rskj's shapes and with its error texts.
//!
//! Methods that need state or a wallet are refused by name. Envelope, limits and HTTP are the shared frame's.
//! Mirrors `org/ethereum/rpc/Web3Impl.java` and `co/rsk/rpc/modules`.

pub mod block;
mod eth;
mod fees;
pub mod forks;
mod heads;
mod logs;
mod network;
mod params;
mod pool;
mod proven;
mod receipt;
mod scoring;
mod transaction;
pub mod upstream;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use eth::no_body;
pub use forks::ForkMonitor;
pub use heads::Filters;
use parking_lot::Mutex;
pub use pool::Relayed;
pub use proven::Prover;
use serde_json::{Value, json};
use shared_vendor::{
    clock::Clock,
    rpc::{Dialect, Error, Methods},
};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    codec::header::{EMPTY_TRIE_ROOT, EMPTY_UNCLES_HASH},
    net::score::Scores,
    params::Params as Network,
    types::{BlockHash, BlockNumber, Difficulty, Header},
    verify::{
        Body,
        finality::{Settled, Thresholds, settle},
    },
    wire::rsk::Status,
};

/// What the methods read.
pub struct Context {
    /// Our chain.
    pub blocks: Arc<dyn Blocks>,
    /// The network's constants.
    pub network: Arc<Network>,
    /// Where synchronisation stands.
    pub sync: watch::Receiver<Sync>,
    /// Connected peers.
    pub peers: watch::Receiver<Vec<PeerLine>>,
    /// Our best block as peers are told.
    pub best: watch::Receiver<Status>,
    /// Where bodies of blocks are asked for.
    pub bodies: mpsc::Sender<BodyRequest>,
    /// What is asked of the node itself.
    pub orders: mpsc::Sender<Order>,
    /// The upstream node, where there is one.
    pub prover: Option<Prover>,
    /// Transactions that clients handed in.
    pub relayed: Relayed,
    /// When a block counts as safe and as finalized.
    pub finality: Arc<Finality>,
    /// Proofs of work of blocks that we do not have.
    pub forks: Arc<ForkMonitor>,
    /// Filters of clients.
    pub filters: Filters,
    /// For what expires.
    pub clock: Arc<dyn Clock>,
    /// Name, version, system and compiler, as `web3_clientVersion` answers.
    pub client_version: String,
}

/// A verified block as far as a header client knows it.
#[derive(Debug, Clone)]
pub struct Block {
    /// The header.
    pub header: Header,
    /// Work of all headers up to this one. Uncles, which only bodies carry, are not counted.
    pub total_difficulty: Difficulty,
}

/// A client wants the body of a block; none comes when no peer has it.
#[derive(Debug)]
pub struct BodyRequest {
    /// What the body must belong to.
    pub header: Header,
    /// Where it goes.
    pub reply: oneshot::Sender<Option<Arc<Body>>>,
}

/// What a client asks of the node itself.
pub enum Order {
    /// Send a transaction to all peers, and tell how many there are.
    Relay(Bytes, oneshot::Sender<usize>),
    /// Do something with the records of peers, and part from whom they ban now.
    Scores(Box<dyn FnOnce(&mut Scores) + Send>),
}

/// Thresholds of the tags `safe` and `finalized`, and the blocks they meant last.
#[derive(Debug)]
pub struct Finality {
    thresholds: Thresholds,
    last: Mutex<Option<(BlockHash, Settled)>>,
}

impl Finality {
    /// Nothing computed yet.
    #[must_use]
    pub fn new(thresholds: Thresholds) -> Self {
        Self { thresholds, last: Mutex::default() }
    }

    /// When a block counts as safe and as finalized.
    #[must_use]
    pub fn thresholds(&self) -> Thresholds {
        self.thresholds
    }

    /// True when the blocks of this best block are known.
    #[must_use]
    pub fn is_of(&self, best: &BlockHash) -> bool {
        self.last.lock().is_some_and(|(of, _)| of == *best)
    }

    /// What was computed last, for a best block that may have changed since.
    #[must_use]
    pub fn known(&self) -> Option<Settled> {
        self.last.lock().map(|(_, settled)| settled)
    }

    /// The blocks that are safe and finalized now. Reads the chain when the best block has changed; `None` when there is
    /// none.
    pub fn settled(&self, blocks: &dyn Blocks) -> Option<Settled> {
        let best = blocks.best()?;
        let hash = best.header.hash();
        if let Some((of, settled)) = *self.last.lock()
            && of == hash
        {
            return Some(settled);
        }
        let below = std::iter::successors(best.header.number().previous(), |number| number.previous());
        let below = below.map_while(|number| Some((number, blocks.total_difficulty(number)?)));
        let first = (best.header.number(), best.total_difficulty);
        let settled = settle(std::iter::once(first).chain(below), self.thresholds)?;
        *self.last.lock() = Some((hash, settled));
        Some(settled)
    }
}

/// No client waits longer for a body.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

impl Context {
    fn settled(&self) -> Option<Settled> {
        self.finality.settled(&*self.blocks)
    }

    /// The body of a block, proven by its header; `None` when no peer sends it.
    async fn body(&self, header: &Header) -> Option<Arc<Body>> {
        let empty =
            header.transactions_root() == EMPTY_TRIE_ROOT && header.uncles_hash() == EMPTY_UNCLES_HASH;
        if empty && header.extension_data().is_none() {
            return Some(Arc::new(Body { transactions: Vec::new(), uncles: Vec::new(), extension: None }));
        }
        let (reply, answer) = oneshot::channel();
        self.bodies.try_send(BodyRequest { header: header.clone(), reply }).ok()?;
        tokio::time::timeout(LONGEST_WAIT, answer).await.ok()?.ok()?
    }
}

/// Reading access to the chain.
pub trait Blocks: Send + std::marker::Sync {
    /// The best block.
    fn best(&self) -> Option<Block>;
    /// The block at this height of the best chain.
    fn by_number(&self, number: BlockNumber) -> Option<Block>;
    /// A block of any branch.
    fn by_hash(&self, hash: &BlockHash) -> Option<Block>;

    /// The work of the best chain up to this height.
    fn total_difficulty(&self, number: BlockNumber) -> Option<Difficulty> {
        self.by_number(number).map(|block| block.total_difficulty)
    }
}

/// Where synchronisation stands, for `eth_syncing`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sync {
    /// Best block when this run began.
    pub starting: BlockNumber,
    /// Best block now.
    pub current: BlockNumber,
    /// Highest block that peers in good standing claim.
    pub highest: BlockNumber,
}

impl Sync {
    /// So many blocks behind, the node says that it is not in step.
    const BEHIND: u64 = 20;

    /// True while the node is visibly behind.
    #[must_use]
    pub fn is_syncing(&self) -> bool {
        self.highest.0 > self.current.0.saturating_add(Self::BEHIND)
    }
}

/// A connected peer, for `net_peerList`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerLine {
    /// 128 hex digits.
    pub id: String,
    /// Where it is.
    pub address: std::net::SocketAddr,
}

/// The table of methods.
#[must_use]
pub fn methods() -> Methods<Context> {
    let mut methods = Methods::new();
    eth::add(&mut methods);
    fees::add(&mut methods);
    forks::add(&mut methods);
    heads::add(&mut methods);
    logs::add(&mut methods);
    pool::add(&mut methods);
    receipt::add(&mut methods);
    scoring::add(&mut methods);
    network::add(&mut methods);
    methods
}

/// rskj's codes and texts.
#[must_use]
pub fn dialect() -> Dialect {
    Dialect {
        parse_error: || Error::new(-32700, "JSON parse error"),
        parse_error_id: json!("null"),
        invalid_request: || Error::new(-32600, "invalid request"),
        method_not_found,
        forbidden: |method| not_available(method, "it needs the cookie of the data directory"),
        ..Dialect::default()
    }
}

/// Methods of the reference that need what a header client does not have: state, execution, a wallet, a miner.
pub const NOT_AVAILABLE: &[&str] = &[
    "debug_",
    "evm_",
    "mnr_",
    "personal_",
    "trace_",
    "eth_accounts",
    "eth_bridgeState",
    "eth_call",
    "eth_coinbase",
    "eth_estimateGas",
    "eth_getBalance",
    "eth_getCode",
    "eth_getStorageAt",
    "eth_getTransactionCount",
    "eth_netHashrate",
    "eth_newPendingTransactionFilter",
    "eth_sendTransaction",
    "eth_sign",
    "rsk_flush",
    "rsk_shutdown",
];

fn method_not_found(method: &str) -> Error {
    let known = NOT_AVAILABLE
        .iter()
        .any(|name| if name.ends_with('_') { method.starts_with(name) } else { method == *name });
    if known {
        not_available(
            method,
            "a light client verifies headers: it has no state, executes nothing, and keeps no wallet",
        )
    } else {
        Error::new(-32601, "method not found")
    }
}

fn not_available(method: &str, hint: &str) -> Error {
    let method: String = method.escape_debug().take(64).collect();
    let error = Error::new(-32601, format!("the method {method} does not exist/is not available"));
    error.with_data(json!({ "hint": hint }))
}

/// A number as rskj writes quantities.
fn quantity(value: impl std::fmt::LowerHex) -> Value {
    json!(format!("{value:#x}"))
}

/// A number of any size as rskj writes quantities.
fn quantity_of(big_endian: &[u8]) -> Value {
    let digits = shared_vendor::hex::encode(big_endian);
    let digits = digits.trim_start_matches('0');
    json!(format!("0x{}", if digits.is_empty() { "0" } else { digits }))
}

/// Bytes as rskj writes data.
fn data(bytes: &[u8]) -> Value {
    json!(format!("0x{}", shared_vendor::hex::encode(bytes)))
}
