//! The node without sockets and threads: messages, time and requests go in, what is to be done comes out. The same
//! machine runs in the daemon and, many times over on a virtual clock, in the simulator.
//!
//! `ask` asks peers, `blocks` brings blocks with everything they need into the chain, `gossip` takes what is gossiped, `serve`
//! answers peers, `duty` does what validators must, `budget` bounds our blocks while the network falls behind, `txs` keeps the
//! pool of transactions in step with the head.

mod ask;
mod blocks;
mod budget;
mod duty;
mod gossip;
mod serve;
mod txs;

use std::{
    collections::{BTreeMap, VecDeque},
    mem,
    sync::Arc,
    time::Duration,
};

use shared_vendor::{
    clock::Time,
    machine::{Machine, Tick},
};

use self::{ask::Asked, blocks::Waiting, budget::Budget, serve::Served};
use crate::{
    consensus::{
        chain::{Chain, ChainError, Event},
        finality::Due,
    },
    mempool::{Limits, Mempool},
    network::{
        gossip::{Verdict, slot_start_ms},
        limit::RateLimits,
        message::Gossip,
        request::{Answer, BlockChunk, MAX_ANSWER_BYTES, Request, Status},
        score::Fault,
        seen::Seen,
        topic::Topic,
    },
    state::verifier::Verifier,
    storage::Database,
    sync::{
        lookup::Lookups,
        range::{self, Claim, Item, Local, Peer, RangeSync},
    },
    types::{
        codec::encode,
        domain::ForkData,
        operation::{Checkpoint, ProposerSlashing, SignedFinalityVote, SingleAttestation},
        primitives::{Epoch, Root, Slot, ValidatorIndex},
        transaction::Tx,
    },
    validator::{
        duties::Duties,
        vault::{SignError, Vault},
    },
};

/// Statuses are exchanged again after this long.
const STATUS_EVERY: Duration = Duration::from_secs(30);
const BASIS_POINTS: u64 = 10_000;

/// Number of a gossiped message or of a peer's request, by which the transport finds it again.
pub type Handle = u64;

/// What happens to a node.
#[derive(Debug, Clone)]
pub enum Input {
    /// Time has come.
    Tick,
    /// What the wall clock showed, in Unix milliseconds, when the node's clock was at zero.
    Clock(u64),
    /// A connection to a peer is open.
    Connected(Peer),
    /// A peer has left.
    Gone(Peer),
    /// A message of gossip.
    Gossip {
        /// Who passed it on.
        peer: Peer,
        /// For the verdict.
        handle: Handle,
        /// The message.
        message: Arc<Gossip>,
    },
    /// A peer's request.
    Asked {
        /// Who asks.
        peer: Peer,
        /// For the answer.
        handle: Handle,
        /// What it wants.
        request: Request,
    },
    /// Transactions from this node's own users. They are gossiped when they enter the pool.
    Submit(Vec<Tx>),
    /// The answer to one of our requests; nothing when it failed.
    Answered {
        /// Number of the request.
        ask: u64,
        /// The answer.
        answer: Option<Answer>,
    },
}

impl From<Tick> for Input {
    fn from(_: Tick) -> Self {
        Self::Tick
    }
}

/// What a node wants done.
#[derive(Debug)]
pub enum Effect {
    /// Gossip something of our own.
    Publish(Arc<Gossip>),
    /// What becomes of a message of gossip.
    Verdict {
        /// Which.
        handle: Handle,
        /// Who passed it on.
        peer: Peer,
        /// Whether it is passed on.
        verdict: Verdict,
    },
    /// Ask a peer.
    Ask {
        /// Whom.
        peer: Peer,
        /// Number for the answer.
        ask: u64,
        /// What.
        request: Request,
    },
    /// Answer a peer.
    Answer {
        /// Which request.
        handle: Handle,
        /// The answer.
        answer: Answer,
    },
    /// End the connection to a peer of another chain.
    Part(Peer, Foreign),
    /// A peer did something wrong.
    Fault(Peer, Fault),
    /// The chain moved.
    Chain(Box<Event>),
    /// A validator of ours did its duty.
    Duty(Duty),
    /// The node cannot go on.
    Stop(Failure),
}

/// Why a peer is of another chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Foreign {
    /// Its constants are others.
    #[error("its constants are not ours: another config hash")]
    Config,
    /// It began with other validators, or has another version of the rules.
    #[error("its genesis or the version of its rules is not ours: another fork digest")]
    Genesis,
    /// Another block is final there.
    #[error("another block is final there at our final epoch {0}")]
    Finality(Epoch),
}

/// What a validator did, or could not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Duty {
    /// Proposed a block.
    Proposed {
        /// Who.
        validator: ValidatorIndex,
        /// When.
        slot: Slot,
        /// The block.
        root: Root,
        /// Its transactions.
        txs: usize,
    },
    /// Voted.
    Voted {
        /// Who.
        validators: Vec<ValidatorIndex>,
        /// When.
        slot: Slot,
        /// For which head.
        head: Root,
    },
    /// A duty could not be done.
    Missed {
        /// Who.
        validator: ValidatorIndex,
        /// When.
        slot: Slot,
        /// Why.
        reason: String,
    },
    /// The key of a validator is used elsewhere; it signs nothing here any more.
    Doppelganger(ValidatorIndex),
}

/// Why a node stops.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The chain or its database.
    #[error("chain cannot go on")]
    Chain(#[from] ChainError),
    /// The record of signed messages.
    #[error("validators cannot sign")]
    Signing(#[from] SignError),
}

/// What a node is made of.
pub struct Parts<D> {
    /// The chain.
    pub chain: Chain<D>,
    /// Verifies signatures; the same as the chain's.
    pub verifier: Arc<dyn Verifier>,
    /// Keys of validators.
    pub vault: Vault,
    /// Their duties.
    pub duties: Duties,
    /// Unix milliseconds when the node's clock is at zero.
    pub base_ms: u64,
    /// Text of our blocks.
    pub graffiti: [u8; 32],
    /// Whether the states of final checkpoints are kept for peers.
    pub serve_states: bool,
}

/// The machine.
pub struct Core<D: Database> {
    chain: Chain<D>,
    verifier: Arc<dyn Verifier>,
    vault: Vault,
    duties: Duties,
    base_ms: u64,
    graffiti: [u8; 32],
    serve_states: bool,
    /// Final states that peers may fetch, oldest first.
    served: VecDeque<Served<D::Snapshot>>,
    /// A final checkpoint whose block is not folded yet.
    unserved: Option<Checkpoint>,
    earliest_slot: Slot,
    mempool: Mempool,
    budget: Budget,
    /// When this node wanted to go on at the latest, and how much later it did.
    due: Option<Time>,
    behind: Duration,
    /// Transactions of our own users that are to be gossiped, and how many bytes they are.
    batch: (Vec<Tx>, usize),
    batch_due: Option<Time>,
    seen: Seen,
    limits: RateLimits<Peer>,
    /// What we ask of others, so that it stays within their limits.
    asking: RateLimits<Peer>,
    /// Questions for blocks that would be too many now, in order.
    held: VecDeque<(Peer, Slot, Request)>,
    held_until: Option<Time>,
    peers: BTreeMap<Peer, Option<Status>>,
    range: RangeSync<BlockChunk>,
    lookups: Lookups,
    waiting: Waiting,
    /// Votes that came up to half a second early, with what the transport needs to hear.
    early: Vec<(Peer, Handle, SingleAttestation)>,
    /// Checkpoints to sign when nothing is more urgent.
    to_sign: Vec<Due>,
    /// Finality votes on what is not final here.
    early_finality: Vec<SignedFinalityVote>,
    asks: BTreeMap<u64, Asked>,
    next_ask: u64,
    next_status: Time,
    /// The last slot whose start was seen, and whether its votes are done.
    slot: Option<Slot>,
    voted: bool,
    learnt: Option<Epoch>,
    stopped: bool,
}

impl<D: Database> std::fmt::Debug for Core<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core")
            .field("slot", &self.slot)
            .field("peers", &self.peers.len())
            .finish_non_exhaustive()
    }
}

impl<D: Database> Core<D> {
    /// A node that has heard nothing yet.
    #[must_use]
    pub fn new(parts: Parts<D>) -> Self {
        let Parts { chain, verifier, vault, duties, base_ms, graffiti, serve_states } = parts;
        // a chain that began at a checkpoint has no genesis block
        let has_genesis = chain.db().canonical(0).is_ok_and(|root| root.is_some());
        let earliest_slot =
            if has_genesis { 0 } else { chain.config().params.start_slot(chain.finalized().epoch) };
        let unserved = serve_states.then(|| chain.finalized());
        let range = RangeSync::new(chain.config().params.slots_per_epoch, standing(&chain));
        Self {
            chain,
            verifier,
            vault,
            duties,
            base_ms,
            graffiti,
            serve_states,
            served: VecDeque::new(),
            unserved,
            earliest_slot,
            mempool: Mempool::new(Limits::default()),
            budget: Budget::default(),
            due: None,
            behind: Duration::ZERO,
            batch: (Vec::new(), 0),
            batch_due: None,
            seen: Seen::default(),
            limits: RateLimits::default(),
            asking: RateLimits::default(),
            held: VecDeque::new(),
            held_until: None,
            peers: BTreeMap::new(),
            range,
            lookups: Lookups::default(),
            waiting: Waiting::default(),
            early: Vec::new(),
            to_sign: Vec::new(),
            early_finality: Vec::new(),
            asks: BTreeMap::new(),
            next_ask: 0,
            next_status: Time::ZERO,
            slot: None,
            voted: true,
            learnt: None,
            stopped: false,
        }
    }

    /// The chain.
    #[must_use]
    pub const fn chain(&self) -> &Chain<D> {
        &self.chain
    }

    /// The chain, for questions that compute something on the way.
    pub const fn chain_mut(&mut self) -> &mut Chain<D> {
        &mut self.chain
    }

    /// Gives the chain and the vault back, as at the end of the process.
    #[must_use]
    pub fn into_parts(self) -> (Chain<D>, Vault) {
        (self.chain, self.vault)
    }

    /// Chain and pool together, for questions.
    pub const fn chain_and_mempool(&mut self) -> (&mut Chain<D>, &Mempool) {
        (&mut self.chain, &self.mempool)
    }

    /// Transactions that wait for a block.
    #[must_use]
    pub const fn mempool(&self) -> &Mempool {
        &self.mempool
    }

    /// Duties of our validators.
    #[must_use]
    pub const fn duties(&self) -> &Duties {
        &self.duties
    }

    /// Peers with their last status.
    #[must_use]
    pub const fn peers(&self) -> &BTreeMap<Peer, Option<Status>> {
        &self.peers
    }

    /// The slot that range sync works towards; none when this node is not behind.
    #[must_use]
    pub const fn sync_target(&self) -> Option<Slot> {
        self.range.target()
    }

    /// Unix milliseconds.
    fn unix_ms(&self, now: Time) -> u64 {
        self.base_ms.saturating_add(now.as_nanos() / 1_000_000)
    }

    fn time_of(&self, unix_ms: u64) -> Time {
        Time::from_millis(unix_ms.saturating_sub(self.base_ms))
    }

    /// What this node says of its chain.
    #[must_use]
    pub fn status(&self) -> Status {
        let config = self.chain.config();
        let finalized = self.chain.finalized();
        Status {
            fork_digest: self.fork_digest(),
            config_hash: config.hash(),
            finalized,
            head_root: self.chain.head(),
            head_slot: self.chain.head_slot(),
            earliest_slot: self.earliest_slot,
        }
    }

    /// Digest of the rules in force, as in topics.
    #[must_use]
    pub fn fork_digest(&self) -> [u8; 4] {
        let state = self.chain.state(&self.chain.head());
        let genesis_validators_root = state.map(|state| state.genesis_validators_root).unwrap_or_default();
        let current_version = self.chain.config().genesis_fork_version;
        ForkData { current_version, genesis_validators_root }.digest()
    }

    /// Time passes: the chain's clock, the slot's start, the votes' time, requests that are overdue.
    fn on_time(&mut self, now: Time, out: &mut Vec<Effect>) {
        let ms = self.unix_ms(now);
        if let Err(error) = self.chain.on_tick(ms) {
            self.stop(error.into(), out);
            return;
        }
        self.chain_events(now, out);
        if ms >= slot_start_ms(self.chain.config(), 0) {
            let slot = self.chain.current_slot();
            if self.slot.is_none_or(|last| last < slot) {
                self.slot = Some(slot);
                self.voted = false;
                self.on_slot(now, slot, out);
            }
            if !self.voted && ms >= self.vote_time(slot) {
                self.vote(now, slot, out);
            }
        }
        let is_late = |asked: &Asked| asked.until().is_some_and(|until| until <= now);
        let late: Vec<u64> = self.asks.iter().filter(|(_, of)| is_late(of)).map(|(ask, _)| *ask).collect();
        for ask in late {
            self.on_answer(now, ask, None, out);
        }
        if self.batch_due.is_some_and(|due| due <= now) {
            self.flush(out);
        }
        if self.held_until.is_some_and(|until| until <= now) {
            self.ask_held(now, out);
        }
        if self.next_status <= now {
            self.next_status = now.after(STATUS_EVERY);
            for peer in self.peers.keys().copied().collect::<Vec<_>>() {
                self.ask_status(now, peer, out);
            }
        }
    }

    fn on_slot(&mut self, now: Time, slot: Slot, out: &mut Vec<Effect>) {
        let params = &self.chain.config().params;
        let epoch = params.epoch_of(slot);
        if self.learnt != Some(epoch) {
            self.learnt = Some(epoch);
            if let Some(state) = self.chain.state(&self.chain.head()) {
                self.duties.learn(&self.chain.config().params, &state);
            }
        }
        self.spare_database();
        self.note_slot(slot);
        self.waiting.forget_before(slot);
        for (peer, handle, vote) in mem::take(&mut self.early) {
            self.on_vote(now, peer, handle, &vote, out);
        }
        for (block, txs, peer) in self.waiting.take_future(slot) {
            self.import(now, block, txs, peer, out);
        }
        self.propose(now, slot, out);
    }

    /// When votes of a slot are due at the latest, in Unix milliseconds.
    fn vote_time(&self, slot: Slot) -> u64 {
        let config = self.chain.config();
        let params = &config.params;
        let part = params.slot_ms.saturating_mul(params.attestation_due_bps) / BASIS_POINTS;
        slot_start_ms(config, slot).saturating_add(part)
    }

    fn stop(&mut self, failure: Failure, out: &mut Vec<Effect>) {
        self.stopped = true;
        out.push(Effect::Stop(failure));
    }

    /// Tells what happened to the chain, and takes the consequences.
    fn chain_events(&mut self, now: Time, out: &mut Vec<Effect>) {
        let events = self.chain.take_events();
        if events.is_empty() {
            return;
        }
        for event in events {
            match &event {
                Event::Head { old, new, common, .. } => self.follow_head(old, new, common),
                Event::Finalized(checkpoint) => {
                    let slot = self.chain.config().params.start_slot(checkpoint.epoch);
                    self.seen.prune(checkpoint.epoch, slot);
                    self.waiting.forget_orphans_before(slot);
                    self.unserved = self.serve_states.then_some(*checkpoint);
                    for vote in mem::take(&mut self.early_finality) {
                        self.take_finality_vote(&vote);
                    }
                }
                Event::ProposerOffence(evidence) => {
                    out.push(Effect::Publish(Arc::new(Gossip::ProposerSlashing(Box::new(
                        ProposerSlashing::clone(evidence),
                    )))));
                }
                Event::AttesterOffence(evidence) => {
                    out.push(Effect::Publish(Arc::new(Gossip::AttesterSlashing(evidence.clone()))));
                }
                Event::FinalityOffence(evidence) => {
                    out.push(Effect::Publish(Arc::new(Gossip::FinalitySlashing(evidence.clone()))));
                }
                Event::SignFinality(due) => self.to_sign.push(due.clone()),
                _ => {}
            }
            out.push(Effect::Chain(Box::new(event)));
        }
        self.range_step(now, range::Input::Local(standing(&self.chain)), out);
    }

    fn connected(&mut self, now: Time, peer: Peer, out: &mut Vec<Effect>) {
        self.peers.insert(peer, None);
        self.ask_status(now, peer, out);
    }

    fn gone(&mut self, now: Time, peer: Peer, out: &mut Vec<Effect>) {
        self.peers.remove(&peer);
        self.limits.forget(peer);
        self.asking.forget(peer);
        self.held.retain(|(of, ..)| *of != peer);
        let asked: Vec<u64> =
            self.asks.iter().filter(|(_, asked)| asked.peer == peer).map(|(ask, _)| *ask).collect();
        for ask in asked {
            self.on_answer(now, ask, None, out);
        }
        self.range_step(now, range::Input::Gone(peer), out);
    }

    /// A peer told its status. Peers of other chains are sent away.
    fn on_status(&mut self, now: Time, peer: Peer, status: &Status, out: &mut Vec<Effect>) {
        let ours = self.status();
        let final_here = self.chain.fork_choice().tree().get(&status.finalized.root).is_some();
        let conflict = status.finalized.epoch == ours.finalized.epoch
            && status.finalized.root != ours.finalized.root
            && !final_here;
        let foreign = if status.config_hash != ours.config_hash {
            Some(Foreign::Config)
        } else if status.fork_digest != ours.fork_digest {
            Some(Foreign::Genesis)
        } else {
            conflict.then_some(Foreign::Finality(ours.finalized.epoch))
        };
        if let Some(reason) = foreign {
            self.peers.remove(&peer);
            out.push(Effect::Part(peer, reason));
            return;
        }
        if let Some(known) = self.peers.get_mut(&peer) {
            *known = Some(*status);
        }
        let known = self.chain.contains(&status.head_root);
        let claim = Claim {
            head_root: status.head_root,
            // nobody has blocks of the future
            head_slot: status.head_slot.min(self.chain.current_slot()),
            earliest_slot: status.earliest_slot,
            known,
        };
        self.range_step(now, range::Input::Claim(peer, claim), out);
        let near = status.head_slot
            <= self.chain.head_slot().saturating_add(self.chain.config().params.slots_per_epoch);
        if near && self.range.target().is_none() && !known {
            self.lookups.want(status.head_root, Some(peer), 0);
        }
    }

    /// Feeds range sync and does what it wants, until it wants nothing more.
    fn range_step(&mut self, now: Time, input: range::Input<BlockChunk>, out: &mut Vec<Effect>) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let mut effects = Vec::new();
            self.range.step(now, input, &mut effects);
            for effect in effects {
                match effect {
                    range::Effect::Ask { peer, batch, start, count } => {
                        let request = Request::BlocksByRange { start_slot: start, count, with_txs: true };
                        self.held.push_back((peer, batch, request));
                        self.ask_held(now, out);
                    }
                    range::Effect::Import { batch, blocks } => {
                        let result = self.import_batch(now, blocks, out);
                        inputs.push(range::Input::Imported { batch, result });
                        inputs.push(range::Input::Local(standing(&self.chain))); // comes first
                    }
                    range::Effect::Blame(peer) => out.push(Effect::Fault(peer, Fault::Invalid)),
                    range::Effect::Short(peer) => out.push(Effect::Fault(peer, Fault::Unreliable)),
                    range::Effect::Slow(peer) => out.push(Effect::Fault(peer, Fault::Timeout)),
                }
            }
        }
    }

    /// Whether the next block may have been left out of an answer because it would have been too long.
    fn may_be_cut(&self, blocks: &[BlockChunk]) -> bool {
        let most = usize::try_from(self.chain.config().params.max_block_tx_bytes).unwrap_or(usize::MAX);
        let room = MAX_ANSWER_BYTES.saturating_sub(most.saturating_add(Topic::Block.max_bytes()));
        let mut bytes = 0usize;
        blocks.iter().any(|block| {
            bytes = bytes.saturating_add(encode(block).len());
            bytes > room
        })
    }
}

/// Where a chain stands, for range sync.
fn standing<D: Database>(chain: &Chain<D>) -> Local {
    let final_slot = chain.config().params.start_slot(chain.finalized().epoch);
    Local { head_slot: chain.head_slot(), final_slot }
}

fn item(block: BlockChunk) -> Item<BlockChunk> {
    let header = &block.block.header.header;
    Item { slot: header.slot, root: block.block.root(), parent: header.parent_root, block }
}

impl<D: Database> Machine for Core<D> {
    type Input = Input;
    type Effect = Effect;

    fn step(&mut self, now: Time, input: Input, out: &mut Vec<Effect>) {
        if self.stopped {
            return;
        }
        if let Input::Clock(base_ms) = input {
            self.base_ms = base_ms;
        }
        self.behind = self.due.map_or(Duration::ZERO, |due| now.since(due));
        self.wait_longer(self.behind);
        self.on_time(now, out);
        match input {
            Input::Tick => self.range_step(now, range::Input::Tick, out),
            Input::Clock(_) => {}
            Input::Connected(peer) => self.connected(now, peer, out),
            Input::Gone(peer) => self.gone(now, peer, out),
            Input::Gossip { peer, handle, message } => self.on_gossip(now, peer, handle, &message, out),
            Input::Submit(txs) => {
                self.submit(now, txs, out);
            }
            Input::Asked { peer, handle, request } => self.on_request(now, peer, handle, &request, out),
            Input::Answered { ask, answer } => self.on_answer(now, ask, answer, out),
        }
        self.chain_events(now, out);
        for due in mem::take(&mut self.to_sign) {
            self.sign_finality(&due, out);
        }
        self.keep_state(out);
        self.look(now, out);
        self.due = self.deadline().map(|at| at.max(now));
    }

    fn deadline(&self) -> Option<Time> {
        if self.stopped {
            return None;
        }
        let config = self.chain.config();
        let next_slot = self.slot.map_or(0, |slot| slot.saturating_add(1));
        let start = Some(self.time_of(slot_start_ms(config, next_slot)));
        let vote = self.slot.filter(|_| !self.voted).map(|slot| self.time_of(self.vote_time(slot)));
        let answers = self.asks.values().filter_map(Asked::until).min();
        let status = (!self.peers.is_empty()).then_some(self.next_status);
        let held = self.held_until;
        let half = slot_start_ms(config, self.chain.current_slot())
            .saturating_add(config.params.slot_ms.div_ceil(2));
        let fold = self.chain.has_to_fold().then(|| self.time_of(half));
        [
            start,
            vote,
            answers,
            status,
            held,
            fold,
            self.batch_due,
            self.lookups.deadline(),
            self.range.deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }
}

#[cfg(test)]
mod tests;
