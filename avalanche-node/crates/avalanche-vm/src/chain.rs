//! The boundary between consensus and a virtual machine: what an engine asks of a chain, and what a chain tells an
//! engine. Calls may block (a machine can live in another process), so an engine makes them outside its own core.
//! Mirrors `snow/engine/snowman/block` and `snow/engine/common/vm.go`. No machine is here.

use std::{any::Any, fmt, sync::Arc};

use avalanche_crypto::bls;
use avalanche_db::DbError;
use avalanche_ids::{Id, NodeId};
use shared_vendor::clock::Wall;

use crate::shared_memory::SharedMemoryError;

/// A block as consensus sees it: a value, cheap to clone, of any status. Its bytes are well formed; nothing else is
/// known of it before [`ChainVm::verify`].
#[derive(Clone)]
pub struct Block {
    /// The block.
    pub id: Id,
    /// The block below it.
    pub parent: Id,
    /// Distance from the chain's first block.
    pub height: u64,
    /// Unix time in seconds.
    pub timestamp: i64,
    /// The encoding.
    pub bytes: Arc<[u8]>,
    parsed: Option<Arc<dyn Any + Send + Sync>>,
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {} on {}", self.id, self.height, self.parent)
    }
}

impl PartialEq for Block {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && self.bytes == other.bytes
    }
}

impl Eq for Block {}

impl Block {
    /// A block without a parsed form.
    pub fn new(id: Id, parent: Id, height: u64, timestamp: i64, bytes: impl Into<Arc<[u8]>>) -> Self {
        Self { id, parent, height, timestamp, bytes: bytes.into(), parsed: None }
    }

    /// The same with the machine's own form of it, so that the machine need not parse the bytes again.
    #[must_use]
    pub fn with_parsed<T: Any + Send + Sync>(mut self, parsed: T) -> Self {
        self.parsed = Some(Arc::new(parsed));
        self
    }

    /// The machine's own form, if this block carries one of that type.
    #[must_use]
    pub fn parsed<T: Any + Send + Sync>(&self) -> Option<&T> {
        self.parsed.as_deref()?.downcast_ref()
    }
}

/// What a machine knows beyond the block when it verifies or builds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockContext {
    /// The verifier's clock.
    pub now: Wall,
    /// P-chain height at which warp messages of the block are judged; None where there is none (a first block after a
    /// fork, or a chain without a proposer wrapper).
    pub p_chain_height: Option<u64>,
}

/// What a chain does now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Phase {
    /// Nothing yet.
    #[default]
    Initializing,
    /// Executes blocks that the network accepted: signatures and the clock are not looked at.
    Bootstrapping,
    /// Follows consensus.
    Normal,
}

/// What a machine wants of its engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Nothing until it says otherwise.
    Nothing,
    /// A block on the preferred one, now.
    Block,
    /// To be asked again at that time.
    Later(Wall),
}

/// A message of a chain to nodes, in the framing of the network's SDK (handler id and protobuf).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppMessage {
    /// To some validators and other peers, as the engine samples them.
    Gossip {
        /// How many validators.
        validators: usize,
        /// How many peers that validate nothing.
        non_validators: usize,
        /// How many of any kind.
        peers: usize,
        /// The content.
        bytes: Vec<u8>,
    },
    /// A request to one node; the answer comes back by [`ChainVm::app_response`].
    Request {
        /// To whom; None for one validator sampled by the engine.
        to: Option<NodeId>,
        /// Chosen by the machine.
        request: u32,
        /// The content.
        bytes: Vec<u8>,
    },
}

/// An answer that is an error, as the network encodes it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("application error {code}: {message}")]
pub struct AppError {
    /// -1 unexpected, -2 unregistered handler, -3 not a validator, -4 throttled, 0 undefined.
    pub code: i32,
    /// For people.
    pub message: String,
}

/// Why a machine did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum VmError {
    /// The bytes or the block break a rule: whoever sent it is to blame.
    #[error("invalid block")]
    Invalid(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The machine does not have the block.
    #[error("block {0} not found")]
    NotFound(Id),
    /// There is nothing to build, or not yet.
    #[error("no block to build")]
    NothingToBuild(#[source] Option<Box<dyn std::error::Error + Send + Sync>>),
    /// The store failed; the chain cannot go on.
    #[error("the store failed")]
    Store(#[from] DbError),
    /// A broken promise of the engine or the machine itself; the chain cannot go on.
    #[error("{0}")]
    Internal(String),
}

impl VmError {
    /// A rule that was broken.
    pub fn invalid(cause: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Invalid(Box::new(cause))
    }

    /// True when the chain must stop.
    #[must_use]
    pub const fn is_fatal(&self) -> bool {
        matches!(self, Self::Store(_) | Self::Internal(_))
    }
}

impl From<SharedMemoryError> for VmError {
    fn from(error: SharedMemoryError) -> Self {
        match error {
            SharedMemoryError::Store(error) => Self::Store(error),
            other => Self::Internal(other.to_string()),
        }
    }
}

/// Called when [`ChainVm::wanted`] may have a new answer; from any thread, also from within calls to the machine.
pub type Notify = Arc<dyn Fn() + Send + Sync>;

/// A virtual machine that makes, judges and executes blocks. One engine calls it; others may read.
///
/// A block is processing from the success of [`verify`](Self::verify) until it is accepted or rejected. The engine
/// verifies a block only when its parent is processing or the last accepted one, and accepts in order of height.
pub trait ChainVm: Send + Sync {
    /// What the chain does from now on.
    ///
    /// # Errors
    /// The store failed.
    fn set_phase(&self, phase: Phase) -> Result<(), VmError>;

    /// Reads a block. Total on hostile bytes and free of effects, so blocks can be read on many threads.
    ///
    /// # Errors
    /// [`VmError::Invalid`].
    fn parse(&self, bytes: &[u8]) -> Result<Block, VmError>;

    /// The same without the signatures that [`parse`](Self::parse) checks.
    ///
    /// # Errors
    /// [`VmError::Invalid`].
    fn parse_unchecked(&self, bytes: &[u8]) -> Result<Block, VmError> {
        self.parse(bytes)
    }

    /// A processing or accepted block.
    ///
    /// # Errors
    /// [`VmError::NotFound`], or the store failed.
    fn block(&self, id: Id) -> Result<Block, VmError>;

    /// The accepted block at a height; None above the last one and where history is not kept.
    ///
    /// # Errors
    /// The store failed.
    fn block_id_at_height(&self, height: u64) -> Result<Option<Id>, VmError>;

    /// The last accepted block, which at first is the chain's own first one.
    ///
    /// # Errors
    /// The store failed.
    fn last_accepted(&self) -> Result<Block, VmError>;

    /// Checks a block against its parent and keeps what it would change. Verifying a processing block again does nothing.
    ///
    /// # Errors
    /// [`VmError::Invalid`] and nothing is kept, or a fatal error.
    fn verify(&self, block: &Block, context: &BlockContext) -> Result<(), VmError>;

    /// True when the machine judges this block at [`BlockContext::p_chain_height`].
    ///
    /// # Errors
    /// As for [`parse`](Self::parse).
    fn wants_context(&self, block: &Block) -> Result<bool, VmError> {
        let _ = block;
        Ok(false)
    }

    /// Makes the changes of a processing block permanent, with the block, in one write.
    ///
    /// # Errors
    /// Fatal: the store failed, or the block is not processing or not a child of the last accepted one.
    fn accept(&self, id: Id) -> Result<(), VmError>;

    /// Forgets a processing block.
    ///
    /// # Errors
    /// Fatal only.
    fn reject(&self, id: Id) -> Result<(), VmError>;

    /// The only children that a processing or accepted block can have, the one this node prefers first; None when any
    /// child may follow. They are parsed, not verified.
    ///
    /// # Errors
    /// Fatal, or [`VmError::Invalid`].
    fn options(&self, block: &Block) -> Result<Option<[Block; 2]>, VmError>;

    /// The block that the next one is built on: processing or last accepted.
    ///
    /// # Errors
    /// [`VmError::NotFound`].
    fn set_preference(&self, id: Id) -> Result<(), VmError>;

    /// Makes a block on the preferred one. It is not processing before it is verified.
    ///
    /// # Errors
    /// [`VmError::NothingToBuild`], or a fatal error.
    fn build(&self, context: &BlockContext) -> Result<Block, VmError>;

    /// What the machine wants of the engine.
    fn wanted(&self, now: Wall) -> Wanted;

    /// Whom to call when that changes without a call of the engine (a transaction from the API). One at a time.
    fn on_change(&self, notify: Notify);

    /// A node has connected.
    fn connected(&self, node: NodeId, now: Wall) {
        let _ = (node, now);
    }

    /// A node has disconnected.
    fn disconnected(&self, node: NodeId, now: Wall) {
        let _ = (node, now);
    }

    /// Gossip came from a node. Malformed gossip is ignored.
    fn app_gossip(&self, from: NodeId, bytes: &[u8], now: Wall) {
        let _ = (from, bytes, now);
    }

    /// A request came from a node; the answer goes back to it.
    ///
    /// # Errors
    /// The answer is an error.
    fn app_request(&self, from: NodeId, bytes: &[u8], now: Wall) -> Result<Vec<u8>, AppError> {
        let _ = (from, bytes, now);
        Err(AppError { code: -2, message: "unregistered handler".to_owned() })
    }

    /// The answer to a request of this machine came, or None when it failed.
    fn app_response(&self, from: NodeId, request: u32, answer: Option<&[u8]>, now: Wall) {
        let _ = (from, request, answer, now);
    }

    /// Messages that are due; the engine asks about twice a second in normal operation.
    fn app_messages(&self, now: Wall) -> Vec<AppMessage> {
        let _ = now;
        Vec::new()
    }

    /// Whether the machine is well, as JSON members `name: value` for people.
    ///
    /// # Errors
    /// Why it is not.
    fn health(&self, now: Wall) -> Result<Vec<(String, String)>, String> {
        let _ = now;
        Ok(Vec::new())
    }
}

/// A validator of a subnet at a height.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validator {
    /// Weight of its stake and its delegators', or its weight in an L1.
    pub weight: u64,
    /// Its key, if it has one.
    pub public_key: Option<bls::PublicKey>,
}

/// The validators of a subnet.
pub type ValidatorSet = std::collections::BTreeMap<NodeId, Validator>;

/// What the P-chain tells the wrapper of every chain. Mirrors `snow/validators/state.go`.
pub trait ValidatorState: Send + Sync {
    /// The lowest P-chain height that a new block should state: recently accepted heights are left out, so that others
    /// have reached it too.
    ///
    /// # Errors
    /// The store failed.
    fn minimum_height(&self, now: Wall) -> Result<u64, VmError>;

    /// The last accepted P-chain height.
    ///
    /// # Errors
    /// The store failed.
    fn current_height(&self) -> Result<u64, VmError>;

    /// The validators of a subnet at a height that is not above the current one.
    ///
    /// # Errors
    /// The store failed, or the height is above.
    fn validators_at(&self, height: u64, subnet: Id) -> Result<Arc<ValidatorSet>, VmError>;

    /// The subnet that validates a chain; None when there is no such chain.
    ///
    /// # Errors
    /// The store failed.
    fn subnet_of(&self, chain: Id) -> Result<Option<Id>, VmError>;
}
