//! The one writer of the chain state: a thread that takes headers and blocks in the order they come, connects what can
//! be connected, and tells the network what changed. Nothing here decides what to ask of whom.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, mpsc::SyncSender},
};

use fluxd_chainstate::{AcceptError, BlockId, ChainEvent, ChainState, Invalid};
use fluxd_consensus::check::CheckedBlock;
use fluxd_mempool::{Admission, Mempool, Orphans, Reject};
use fluxd_p2p::{Message, message::compact::CompactHeader, sync::PeerKey};
use fluxd_primitives::{Block, BlockHash, BlockHeader, Codec, Transaction, TxId};
use fluxd_rpc::context::Submitted;
use parking_lot::{Mutex, RwLock};
use shared_vendor::{exit::Report, tasks::Stop};
use tokio::sync::mpsc;

use super::zmq::{Touched, touched};

/// Missing blocks that are told at once.
const WANTED: usize = 2048;
/// Bodies taken before the chain is activated once.
const BURST: usize = 32;
/// Blocks by which lagging indexes are brought forward at once.
const CATCH_UP: usize = 100;

/// Work for the writer.
pub(super) enum Job {
    /// Headers of a peer; whether the message held as many as one can.
    Headers(PeerKey, Vec<BlockHeader>, bool),
    /// Headers without solutions.
    CompactHeaders(PeerKey, Vec<CompactHeader>, bool),
    /// A body of a peer, and whether it was asked for.
    Block(PeerKey, Box<Block>, bool),
    /// A transaction of a peer.
    Tx(PeerKey, Box<Transaction>),
    /// A body from an operator, who waits.
    Submit(Arc<CheckedBlock>, SyncSender<Result<Submitted, AcceptError>>),
    /// A verdict of an operator, who waits.
    Judge(BlockHash, bool, SyncSender<Result<(), String>>),
    /// A peer is gone.
    Gone(PeerKey),
    /// Missing blocks are asked for again.
    More,
    /// A peer announced a block that is known.
    Has(PeerKey, BlockHash),
    /// A request of a peer, to be answered once everything that it sent before is done; its number among the peer's jobs.
    Then(PeerKey, u64, Message),
}

impl Job {
    /// Whose message it is.
    pub(super) fn peer(&self) -> Option<PeerKey> {
        match self {
            Self::Headers(peer, ..)
            | Self::CompactHeaders(peer, ..)
            | Self::Block(peer, ..)
            | Self::Tx(peer, _)
            | Self::Has(peer, _)
            | Self::Then(peer, ..) => Some(*peer),
            Self::Submit(..) | Self::Judge(..) | Self::Gone(_) | Self::More => None,
        }
    }
}

/// What the writer tells.
pub(super) enum Outcome {
    /// Headers were taken.
    Headers {
        peer: PeerKey,
        full: bool,
        height: u32,
        new: usize,
        /// Names the last of them, to continue from.
        locator: Vec<BlockHash>,
        refused: Option<Invalid>,
    },
    /// A body was judged.
    Block { peer: PeerKey, hash: BlockHash, invalid: Option<Invalid> },
    /// A transaction was judged.
    Tx { peer: PeerKey, txid: TxId, verdict: Result<(), Reject> },
    /// Everything that this peer sent before its request is done.
    Then(PeerKey, u64, Message),
    /// The chain has changed; which confirmed fluxnodes that touched, as they are now; whether it is still too far behind to
    /// serve others.
    Events(Vec<ChainEvent>, Touched, bool),
    /// Where the chain stands.
    State(State),
}

/// Where the chain stands.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    pub(super) height: u32,
    pub(super) tip: Option<BlockHash>,
    pub(super) tip_time: u32,
    pub(super) best_height: u32,
    pub(super) best_time: u32,
    /// Names the best header.
    pub(super) locator: Vec<BlockHash>,
    /// Missing blocks of the best chain of headers, lowest first.
    pub(super) wanted: Vec<(u32, BlockHash)>,
    /// Up to which height each peer's chain is ours, and the height of its last header.
    pub(super) commons: BTreeMap<PeerKey, (u32, u32)>,
    /// The chain is too far behind to serve others.
    pub(super) syncing: bool,
    /// The oldest protocol version that peers may speak now.
    pub(super) least_version: i32,
}

pub(super) type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

pub(super) struct Worker {
    pub(super) chain: Arc<RwLock<ChainState>>,
    pub(super) mempool: Arc<Mutex<Mempool>>,
    pub(super) now: Clock,
    pub(super) runtime: tokio::runtime::Handle,
    pub(super) max_tip_age: i64,
    pub(super) outcomes: mpsc::Sender<Outcome>,
    /// The last header of each peer.
    pub(super) last: BTreeMap<PeerKey, BlockId>,
    /// Transactions whose parents have not come yet.
    pub(super) orphans: Orphans<PeerKey>,
    /// Once in step, always in step.
    pub(super) in_step: bool,
    /// Requests that wait until the blocks before them are connected.
    pub(super) requests: Vec<(PeerKey, u64, Message)>,
}

impl Worker {
    pub(super) fn run(mut self, mut jobs: mpsc::Receiver<Job>, stop: &Stop) -> Result<(), Report> {
        self.activate()?;
        self.tell_state();
        let mut lagging = true;
        loop {
            let job = match jobs.try_recv() {
                Ok(job) => job,
                // Indexes catch up while nothing else is to be done.
                Err(_) if lagging && !stop.is_set() => {
                    lagging =
                        self.chain.write().catch_up(CATCH_UP).map_err(|err| super::chain_report(&err))?;
                    continue;
                }
                Err(_) => match self.next(&mut jobs, stop) {
                    Some(job) => job,
                    None => break,
                },
            };
            let mut activate = self.take(job)?;
            for _ in 0..BURST {
                match jobs.try_recv() {
                    Ok(job) => activate |= self.take(job)?,
                    Err(_) => break,
                }
            }
            if activate {
                self.activate()?;
            }
            self.tell_state();
            for (peer, number, message) in std::mem::take(&mut self.requests) {
                self.tell(Outcome::Then(peer, number, message));
            }
        }
        self.chain.write().flush().map_err(|err| super::chain_report(&err))
    }

    /// Waits for work; `None` when it is time to stop.
    fn next(&self, jobs: &mut mpsc::Receiver<Job>, stop: &Stop) -> Option<Job> {
        self.runtime.block_on(async {
            tokio::select! {
                () = stop.wait() => None,
                job = jobs.recv() => job,
            }
        })
    }

    fn tell(&self, outcome: Outcome) {
        let _ = self.outcomes.blocking_send(outcome); // nobody listens any more when the node stops
    }

    /// Does one job; true when the chain may have something to connect.
    fn take(&mut self, job: Job) -> Result<bool, Report> {
        match job {
            Job::Headers(peer, headers, full) => {
                let (done, refused) = self.chain.write().accept_headers(&headers, (self.now)());
                let last = headers.get(done.wrapping_sub(1)).map(BlockHeader::hash);
                self.headers_done(peer, last, full, done, refused);
                Ok(true)
            }
            Job::CompactHeaders(peer, headers, full) => {
                let pairs: Vec<_> = headers.into_iter().map(|one| (one.header, one.hash)).collect();
                let (done, refused) = self.chain.write().accept_compact_headers(&pairs, (self.now)());
                let last = pairs.get(done.wrapping_sub(1)).map(|(_, hash)| *hash);
                self.headers_done(peer, last, full, done, refused);
                Ok(true)
            }
            Job::Block(peer, block, requested) => self.block(peer, *block, requested),
            Job::Tx(peer, tx) => {
                self.transaction(peer, *tx);
                Ok(false)
            }
            Job::Submit(block, reply) => {
                let _ = reply.send(self.submit(&block)?);
                Ok(false)
            }
            Job::Judge(hash, valid, reply) => {
                let judged = self.judge(hash, valid);
                self.activate()?;
                let _ = reply.send(judged);
                Ok(false)
            }
            Job::Gone(peer) => {
                self.last.remove(&peer);
                self.orphans.remove_from(peer);
                Ok(false)
            }
            Job::More => Ok(false),
            Job::Has(peer, hash) => {
                let chain = self.chain.read();
                let index = chain.index();
                let height = |id: BlockId| index.entry(id).height();
                let known = self.last.get(&peer).map_or(0, |id| height(*id));
                if let Some(id) = index.find(&hash).filter(|id| height(*id) > known) {
                    self.last.insert(peer, id);
                }
                Ok(false)
            }
            Job::Then(peer, number, message) => {
                self.requests.push((peer, number, message));
                Ok(false)
            }
        }
    }

    fn headers_done(
        &mut self,
        peer: PeerKey,
        last: Option<BlockHash>,
        full: bool,
        done: usize,
        refused: Option<Invalid>,
    ) {
        let chain = self.chain.read();
        let index = chain.index();
        let (mut height, mut locator) = (0, Vec::new());
        if let Some(id) = last.and_then(|hash| index.find(&hash)) {
            height = index.entry(id).height();
            locator = index.locator(id);
            drop(chain);
            self.last.insert(peer, id);
        }
        self.tell(Outcome::Headers { peer, full, height, new: done, locator, refused });
    }

    fn block(&mut self, peer: PeerKey, block: Block, requested: bool) -> Result<bool, Report> {
        let hash = block.header.hash();
        let accepted = match CheckedBlock::new(Arc::new(block)) {
            Ok(block) => self.chain.write().accept_block(&Arc::new(block), requested, (self.now)()),
            Err(err) => Err(AcceptError::Invalid(err.into())),
        };
        let invalid = match accepted {
            Ok(_) => None,
            Err(AcceptError::Invalid(invalid)) => Some(invalid),
            Err(AcceptError::Local(err)) => return Err(super::chain_report(&err)),
        };
        self.tell(Outcome::Block { peer, hash, invalid });
        Ok(true)
    }

    fn transaction(&mut self, peer: PeerKey, tx: Transaction) {
        let (txid, tx) = (tx.txid(), Arc::new(tx));
        let verdict = self.admit(&tx);
        let taken = verdict.is_ok();
        let is_transparent =
            tx.joinsplits.is_empty() && tx.spends.is_empty() && tx.shielded_outputs.is_empty();
        if matches!(verdict, Err(Reject::MissingInputs)) && is_transparent {
            self.orphans.add(txid, &tx, tx.to_bytes().len(), peer);
        }
        self.tell(Outcome::Tx { peer, txid, verdict });
        if taken {
            self.adopt(txid);
        }
    }

    fn admit(&self, tx: &Arc<Transaction>) -> Result<(), Reject> {
        let admission =
            Admission { limit_free: true, reject_absurd_fee: false, now: (self.now)(), is_synced: true };
        let chain = self.chain.read();
        self.mempool.lock().accept(&chain, tx, admission).map(drop)
    }

    /// Tries the transactions that waited for this one, and those that waited for them. A peer whose orphan breaks a rule
    /// is not listened to again in the same turn.
    fn adopt(&mut self, parent: TxId) {
        let mut parents = VecDeque::from([parent]);
        let mut liars = BTreeSet::new();
        while let Some(parent) = parents.pop_front() {
            for (txid, tx, peer) in self.orphans.children(&parent) {
                if liars.contains(&peer) {
                    continue;
                }
                let verdict = self.admit(&tx);
                match &verdict {
                    Ok(()) => parents.push_back(txid),
                    Err(Reject::MissingInputs) => continue,
                    Err(reject) if reject.dos() > 0 => {
                        liars.insert(peer);
                    }
                    Err(_) => {}
                }
                self.orphans.remove(&txid);
                self.tell(Outcome::Tx { peer, txid, verdict });
            }
        }
    }

    /// The pool follows the chain, then the others hear of it.
    fn changed(&mut self, events: Vec<ChainEvent>) {
        if events.is_empty() {
            return;
        }
        let syncing = self.look_whether_syncing();
        let touched = {
            let chain = self.chain.read();
            self.mempool.lock().follow(&chain, &events, (self.now)(), self.in_step);
            touched(&events, chain.nodes())
        };
        self.tell(Outcome::Events(events, touched, syncing));
    }

    fn submit(&mut self, block: &Arc<CheckedBlock>) -> Result<Result<Submitted, AcceptError>, Report> {
        let accepted = self.chain.write().accept_block(block, true, (self.now)());
        let rejected = self.activate()?;
        let hash = block.hash();
        Ok(accepted.map(|accepted| Submitted {
            accepted,
            rejected: rejected.into_iter().find(|(culprit, _)| *culprit == hash).map(|(_, invalid)| invalid),
        }))
    }

    fn judge(&mut self, hash: BlockHash, valid: bool) -> Result<(), String> {
        let mut chain = self.chain.write();
        if valid {
            return chain.reconsider(&hash).map_err(|err| err.to_string());
        }
        let events = chain.invalidate(&hash, (self.now)()).map_err(|err| err.to_string())?;
        drop(chain);
        self.changed(events);
        Ok(())
    }

    /// Connects what can be connected; blocks that turned out to break a rule.
    fn activate(&mut self) -> Result<Vec<(BlockHash, Invalid)>, Report> {
        let mut rejected = Vec::new();
        loop {
            let activation =
                self.chain.write().activate((self.now)()).map_err(|err| super::chain_report(&err))?;
            for event in &activation.events {
                if let ChainEvent::Rejected { hash, invalid } = event {
                    rejected.push((*hash, invalid.clone()));
                }
            }
            self.changed(activation.events);
            if !activation.more {
                return Ok(rejected);
            }
            self.tell_state();
        }
    }

    /// Whether the chain is too far behind to serve others; once in step, it never is again.
    fn look_whether_syncing(&mut self) -> bool {
        let chain = self.chain.read();
        let tip = chain.index().entry(chain.index().tip());
        let age = (self.now)().saturating_sub(i64::from(tip.time()));
        let behind = tip.work() < chain.params().minimum_work || age > self.max_tip_age;
        self.in_step |= !behind;
        tip.height() > 0 && !self.in_step
    }

    fn tell_state(&mut self) {
        let syncing = self.look_whether_syncing();
        let chain = self.chain.read();
        let index = chain.index();
        let (tip, best) = (index.tip(), index.best_header());
        let (tip_entry, best_entry) = (index.entry(tip), index.entry(best));
        let fork = index.entry(index.fork_point(best)).height();
        let mut wanted = Vec::new();
        for height in fork.saturating_add(1)..=best_entry.height() {
            let Some(entry) = index.ancestor(best, height).map(|id| index.entry(id)) else { break };
            if !entry.has_body() {
                wanted.push((height, entry.hash()));
            }
            if wanted.len() >= WANTED {
                break;
            }
        }
        let common = |id: &BlockId| {
            let common = index.common_ancestor(*id, best).map_or(0, |id| index.entry(id).height());
            (common, index.entry(*id).height())
        };
        let state = State {
            height: tip_entry.height(),
            tip: Some(tip_entry.hash()),
            tip_time: tip_entry.time(),
            best_height: best_entry.height(),
            best_time: best_entry.time(),
            locator: index.locator(best_entry.prev().unwrap_or(best)),
            wanted,
            commons: self.last.iter().map(|(key, id)| (*key, common(id))).collect(),
            syncing,
            least_version: super::least_version(chain.params(), tip_entry.height()),
        };
        drop(chain);
        self.tell(Outcome::State(state));
    }
}
