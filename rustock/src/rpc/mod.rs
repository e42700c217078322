//! JSON-RPC: what a header client can answer truthfully, in rskj's shapes and with its error texts.
//!
//! Methods that need bodies, state or a wallet are refused by name. Envelope, limits and HTTP are the shared frame's.
//! Mirrors `org/ethereum/rpc/Web3Impl.java` and `co/rsk/rpc/modules`.

pub mod block;
mod eth;
mod heads;
mod network;
mod params;
mod transaction;

use std::{sync::Arc, time::Duration};

pub use heads::Filters;
use serde_json::{Value, json};
use shared_vendor::{
    clock::Clock,
    rpc::{Dialect, Error, Methods},
};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    codec::header::{EMPTY_TRIE_ROOT, EMPTY_UNCLES_HASH},
    params::Params as Network,
    types::{BlockHash, BlockNumber, Difficulty, Header},
    verify::Body,
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
    /// Block filters of clients.
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

/// No client waits longer for a body.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

impl Context {
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
    heads::add(&mut methods);
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
        ..Dialect::default()
    }
}

/// Methods of the reference that need what a header client does not have: bodies, state, a wallet, a miner, a pool.
pub const NOT_AVAILABLE: &[&str] = &[
    "debug_",
    "evm_",
    "mnr_",
    "personal_",
    "sco_",
    "trace_",
    "txpool_",
    "eth_accounts",
    "eth_bridgeState",
    "eth_call",
    "eth_coinbase",
    "eth_estimateGas",
    "eth_gasPrice",
    "eth_getBalance",
    "eth_getCode",
    "eth_getFilterLogs",
    "eth_getLogs",
    "eth_getStorageAt",
    "eth_getTransactionByHash",
    "eth_getTransactionCount",
    "eth_getTransactionReceipt",
    "eth_getUncleByBlockHashAndIndex",
    "eth_getUncleByBlockNumberAndIndex",
    "eth_netHashrate",
    "eth_newFilter",
    "eth_newPendingTransactionFilter",
    "eth_pendingTransactions",
    "eth_sendRawTransaction",
    "eth_sendTransaction",
    "eth_sign",
    "rsk_flush",
    "rsk_getRawTransactionReceiptByHash",
    "rsk_getTransactionReceiptNodesByHash",
    "rsk_shutdown",
];

fn method_not_found(method: &str) -> Error {
    let known = NOT_AVAILABLE
        .iter()
        .any(|name| if name.ends_with('_') { method.starts_with(name) } else { method == *name });
    if known {
        let method: String = method.escape_debug().take(64).collect();
        Error::new(-32601, format!("the method {method} does not exist/is not available"))
    } else {
        Error::new(-32601, "method not found")
    }
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
