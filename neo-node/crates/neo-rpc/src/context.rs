//! What methods read and ask.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use neo_base::{UInt160, UInt256, ledger::Block};
use neo_contract::{ProtocolSettings, engine::EngineError};
use neo_runtime::{Admission, Executed, Ledger, LedgerView, mempool::PoolEvent};
use shared_vendor::{
    clock::Clock,
    rpc::{Error, Params},
};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::{
    error::{because, internal, unknown_block, unknown_height},
    params::{self, BlockId, wrong},
    sessions::Sessions,
};

/// A block that somebody has sent, and where to tell what became of it.
pub type SubmittedBlock = (Block, oneshot::Sender<Result<UInt256, Error>>);

/// The network as methods show it.
#[derive(Debug, Clone, Default)]
pub struct Network {
    /// Verified headers, the first included.
    pub headers: u32,
    /// Connected peers.
    pub connected: Vec<Peer>,
    /// Known addresses without connection.
    pub unconnected: Vec<SocketAddr>,
}

/// A connected peer.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Address, with the port where it takes connections if it told one.
    pub address: SocketAddr,
    /// Name of its program.
    pub user_agent: String,
    /// Height that it told last.
    pub height: u32,
}

/// Settings of the server.
#[derive(Debug, Clone)]
pub struct Options {
    /// Port for peers.
    pub tcp_port: u16,
    /// Random number of this run.
    pub nonce: u32,
    /// Name and version as peers see it.
    pub user_agent: String,
    /// Most gas of one invocation, in datoshi.
    pub max_gas: u64,
    /// Iterators are kept in sessions.
    pub sessions: bool,
    /// How long an unused session lives.
    pub session_time: Duration,
    /// Items that are returned at once.
    pub max_items: usize,
    /// Entries of findstorage and findstates.
    pub page_size: usize,
    /// Tokens.
    pub tokens: Tokens,
}

/// Which tokens are indexed, and how much of it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tokens {
    /// Tokens that are told apart.
    pub nep11: bool,
    /// Tokens that are all the same.
    pub nep17: bool,
    /// Transfers, too.
    pub history: bool,
    /// Most balances, or transfers, of one answer.
    pub max_results: usize,
}

/// What methods read and ask.
pub struct Context {
    /// The chain.
    pub ledger: Arc<Ledger>,
    /// The pool and the way into it.
    pub admission: Arc<Admission>,
    /// The network.
    pub network: watch::Receiver<Network>,
    /// Where submitted blocks go.
    pub blocks: mpsc::Sender<SubmittedBlock>,
    /// Blocks that were added.
    pub executed: broadcast::Sender<Arc<Executed>>,
    /// What happens in the pool.
    pub pool_changes: broadcast::Sender<PoolEvent>,
    /// Kept iterators.
    pub sessions: Sessions,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Settings.
    pub options: Options,
}

impl Context {
    pub(crate) fn settings(&self) -> &Arc<ProtocolSettings> {
        self.ledger.settings()
    }

    pub(crate) fn version(&self) -> u8 {
        self.settings().address_version
    }

    /// The state after the last block.
    pub(crate) fn view(&self) -> Result<LedgerView<'_>, Error> {
        self.ledger.view().map_err(|err| failed(&err))
    }

    /// Hash of the block that a parameter names by hash or height.
    pub(crate) fn block_hash(
        &self,
        view: &LedgerView<'_>,
        params: &Params,
        index: usize,
    ) -> Result<UInt256, Error> {
        match params::block_id(params, index)? {
            BlockId::Hash(hash) => Ok(hash),
            BlockId::Height(height) => {
                let known = u32::try_from(height).ok().filter(|height| *height <= self.ledger.height());
                let known = known.ok_or_else(|| out_of_range(height))?;
                neo_contract::native::ledger::block_hash(view, known)
                    .map_err(engine)?
                    .ok_or_else(unknown_block)
            }
        }
    }

    /// A height that is given as a number.
    pub(crate) fn height(&self, params: &Params, index: usize) -> Result<u32, Error> {
        let value = params::required(params, index, "index")?;
        let number = params::whole(value);
        let number = number.ok_or_else(|| wrong("the height is not a whole number"))?;
        let height = u32::try_from(number).ok().filter(|height| *height <= self.ledger.height());
        height.ok_or_else(|| out_of_range(number))
    }

    /// A contract or account by hash or address.
    pub(crate) fn script_hash(&self, params: &Params, index: usize, name: &str) -> Result<UInt160, Error> {
        let text = params::text(params, index, name)?;
        params::script_hash(text, self.version())
            .ok_or_else(|| wrong(format!("parameter {name} is neither a hash of 20 bytes nor an address")))
    }
}

fn out_of_range(height: i64) -> Error {
    because(unknown_height(), format!("there is no block {height}"))
}

/// A failure of the node itself.
pub(crate) fn failed(err: &dyn std::error::Error) -> Error {
    because(internal(), err.to_string())
}

/// A reader of native state failed.
#[expect(clippy::needless_pass_by_value, reason = "it is given to map_err")]
pub(crate) fn engine(err: EngineError) -> Error {
    failed(&err)
}
