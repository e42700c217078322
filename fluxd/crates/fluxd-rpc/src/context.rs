//! What the methods ask: the chain state, the time, and the node around it.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use fluxd_chainstate::{AcceptError, Accepted, ChainState, Invalid};
use fluxd_consensus::check::CheckedBlock;
use fluxd_mempool::Mempool;
use fluxd_p2p::{
    alert::{Alerts, Warnings},
    bans::Bans,
};
use fluxd_primitives::{BlockHash, OutPoint, Script, TxId};
use parking_lot::{Mutex, RwLock};
use shared_vendor::clock::Clock;

/// What RPC shows of one connection.
#[derive(Debug, Clone)]
pub struct PeerInfo {
    /// Its number.
    pub id: u64,
    /// The other end.
    pub address: SocketAddr,
    /// Our address as the peer sees it.
    pub local: SocketAddr,
    /// Its services.
    pub services: u64,
    /// Its protocol version.
    pub version: i32,
    /// Name of its program.
    pub user_agent: String,
    /// An operator trusts it.
    pub trusted: bool,
    /// It dialled us.
    pub inbound: bool,
    /// Height it claimed at first.
    pub starting_height: i32,
    /// Seconds its clock is ahead of ours.
    pub time_offset: i64,
    /// Unix seconds of the start.
    pub since: i64,
    /// Unix seconds of the last byte sent.
    pub last_send: i64,
    /// Unix seconds of the last byte received.
    pub last_receive: i64,
    /// Bytes sent.
    pub sent: u64,
    /// Bytes received.
    pub received: u64,
    /// Seconds that the last ping took.
    pub ping: f64,
    /// Seconds that an answer to a ping is awaited.
    pub ping_wait: f64,
    /// Points of offences.
    pub score: u32,
    /// Height of its last header that we know; -1 for none.
    pub synced_headers: i64,
    /// Height up to which its chain is ours; -1 for unknown.
    pub synced_blocks: i64,
    /// Heights of the blocks asked of it.
    pub in_flight: Vec<u32>,
    /// Addresses taken.
    pub addresses: u64,
    /// Addresses dropped for being too many.
    pub addresses_dropped: u64,
}

/// The network and the writer of the chain, as methods use them.
pub trait Network: Send + Sync {
    /// All ready connections.
    fn peers(&self) -> Vec<PeerInfo>;
    /// Bytes received and sent by all connections.
    fn totals(&self) -> (u64, u64);
    /// Nodes that an operator named.
    fn added(&self) -> Vec<String>;
    /// Remembers a node and dials it; false when it is in the list already.
    fn add(&self, node: &str) -> bool;
    /// Forgets a node; false when it is not in the list.
    fn remove(&self, node: &str) -> bool;
    /// Dials a node once.
    fn try_once(&self, node: &str);
    /// Where the name of a node leads.
    fn resolve(&self, node: &str) -> Vec<SocketAddr>;
    /// Closes the connection to an address; false when there is none.
    fn disconnect(&self, node: &str) -> bool;
    /// Closes the connections to banned addresses.
    fn enforce_bans(&self);
    /// Asks all peers for a sign of life.
    fn ping(&self);
    /// Takes a block to the chain and waits for the verdict.
    ///
    /// # Errors
    /// The rule that it breaks.
    fn submit(&self, block: Arc<CheckedBlock>) -> Result<Submitted, AcceptError>;
    /// Tells peers of a transaction of the pool.
    fn relay(&self, txid: TxId);
    /// Declares a block invalid, or valid again, and activates the best chain.
    ///
    /// # Errors
    /// Text of what failed.
    fn judge(&self, hash: BlockHash, valid: bool) -> Result<(), String>;
    /// Addresses under which the node is reachable.
    fn local_addresses(&self) -> Vec<SocketAddr>;
    /// Stops the process.
    fn stop(&self);
}

/// What became of a submitted block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submitted {
    /// Whether it is stored, and since when.
    pub accepted: Accepted,
    /// The rule it breaks on top of its parent, where that was found out.
    pub rejected: Option<Invalid>,
}

/// A template for miners, which is handed out again while nothing has changed.
#[derive(Debug, Clone)]
pub struct KeptTemplate {
    /// The block that it builds on.
    pub tip: BlockHash,
    /// The count of changes of the pool when it was made.
    pub updates: u64,
    /// When it was made, seconds since 1970.
    pub made: i64,
    /// The template.
    pub template: fluxd_miner::Template,
}

/// What a warning of the network does to methods that a warned node should not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SafeMode {
    /// They are refused.
    Observed,
    /// They run.
    Ignored,
    /// They are refused without a warning too: for tests.
    Forced,
}

/// What all methods share.
pub struct Context {
    /// The chain state; locked before the pool.
    pub chain: Arc<RwLock<ChainState>>,
    /// What waits for a block.
    pub mempool: Arc<Mutex<Mempool>>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Seconds since 1970 that a test has set; 0 for the real time.
    pub mock_time: AtomicI64,
    /// The node around.
    pub network: Arc<dyn Network>,
    /// Bans.
    pub bans: Arc<Mutex<Bans>>,
    /// Length of a ban, seconds.
    pub ban_seconds: i64,
    /// Alerts of the network.
    pub alerts: Arc<Mutex<Alerts>>,
    /// Whether warnings stop methods.
    pub safe_mode: SafeMode,
    /// Name and version of the program.
    pub user_agent: String,
    /// Version as a number.
    pub version: i32,
    /// Our services.
    pub services: u64,
    /// The collateral of the fluxnode that this process belongs to.
    pub fluxnode: Option<OutPoint>,
    /// Whom mined blocks pay.
    pub mining_script: Option<Script>,
    /// The template that was made last; locked after the pool.
    pub template: Mutex<Option<KeptTemplate>>,
    /// Limits of blocks that are made.
    pub block_limits: fluxd_miner::Settings,
    /// Blocks after which a transaction made here expires.
    pub expiry_delta: u32,
    /// Least fee for 1000 bytes, zatoshi.
    pub relay_fee: i64,
    /// Tip age above which the node counts as syncing, seconds.
    pub max_tip_age: i64,
}

impl Context {
    /// Seconds since 1970; what `setmocktime` says, if it says something.
    #[must_use]
    pub fn now(&self) -> i64 {
        match self.mock_time.load(Ordering::Relaxed) {
            0 => i64::try_from(self.clock.wall().as_secs()).unwrap_or(i64::MAX),
            mocked => mocked,
        }
    }

    /// What operators are to be told (`GetWarnings`).
    #[must_use]
    pub fn warnings(&self) -> Warnings {
        let forced = || "testsafemode enabled".to_owned();
        let otherwise = match self.safe_mode {
            SafeMode::Forced => Warnings { status: forced(), rpc: forced() },
            SafeMode::Observed | SafeMode::Ignored => Warnings::default(),
        };
        self.alerts.lock().warnings(otherwise, self.now())
    }

    /// Whether the chain is too far behind to be relied on (`IsInitialBlockDownload`, which latches; this does not).
    #[must_use]
    pub fn is_syncing(&self) -> bool {
        let chain = self.chain.read();
        let tip = chain.index().entry(chain.index().tip());
        if tip.height() == 0 {
            return false;
        }
        tip.work() < chain.params().minimum_work
            || i64::from(tip.time()) < self.now().saturating_sub(self.max_tip_age)
    }
}
