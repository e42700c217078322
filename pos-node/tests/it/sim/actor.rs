//! One node of the simulation: the production core, and around it what a transport would do. Faulty nodes are named by
//! their fault.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use pos_node::{
    consensus::chain::{Chain, Event},
    network::{
        gossip::Verdict,
        message::Gossip,
        request::{Answer, Request},
    },
    node::core::{Core, Duty, Effect, Input, Parts},
    slashing_protection::rules::Protection,
    state::genesis::Start,
    storage::{
        Batch, CertificateRow, Database, Entry, FoldedState, MemoryDatabase, StateRow, StoreError,
        StoredBlock, TxPlace,
    },
    types::{
        operation::Checkpoint,
        params::Config,
        primitives::{Epoch, PublicKey, Root, Slot},
    },
    validator::{
        duties::Duties,
        vault::{Keys, Record, SignError, Vault},
    },
};
use shared_vendor::{
    clock::Time,
    machine::{Machine, Tick},
    testing::sim::{Node, Outcome},
};

use super::signatures::{Scheme, SharedVerifier, SimKeys};

/// What is wrong with a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Fault {
    #[default]
    None,
    /// Never signs anything.
    Silent,
    /// Keeps its blocks back for this long.
    Withholder(Duration),
    /// Runs twice with the same keys and two records of signatures; each half talks to one part of the network. So it
    /// signs two blocks and two votes for one duty.
    Equivocator,
}

/// A database of which only every eighth commit reaches the disk at once.
#[derive(Debug, Default)]
pub(super) struct LazyDatabase {
    inner: MemoryDatabase,
    commits: u32,
}

impl LazyDatabase {
    pub(super) fn crash(&mut self) {
        self.inner.crash();
    }
}

impl FoldedState for LazyDatabase {
    fn node(&self, path: &[u8]) -> Option<Vec<u8>> {
        self.inner.node(path)
    }

    fn folded(&self) -> Result<Option<Root>, StoreError> {
        self.inner.folded()
    }

    fn state_rows(&self) -> Result<Vec<StateRow>, StoreError> {
        self.inner.state_rows()
    }

    fn entries_from(&self, first: &[u8; 32], limit: u32) -> Result<Vec<Entry>, StoreError> {
        self.inner.entries_from(first, limit)
    }
}

impl Database for LazyDatabase {
    type Snapshot = <MemoryDatabase as Database>::Snapshot;

    fn snapshot(&self) -> Result<Self::Snapshot, StoreError> {
        self.inner.snapshot()
    }

    fn value(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.inner.value(key)
    }

    fn health(&self) -> Result<(), StoreError> {
        self.inner.health()
    }

    fn commit(&mut self, batch: Batch) -> Result<(), StoreError> {
        self.inner.commit(batch)?;
        if self.commits.is_multiple_of(8) {
            self.inner.sync();
        }
        self.commits += 1;
        Ok(())
    }

    fn finalized(&self) -> Result<Option<Checkpoint>, StoreError> {
        self.inner.finalized()
    }

    fn block(&self, root: &Root) -> Result<Option<Arc<StoredBlock>>, StoreError> {
        self.inner.block(root)
    }

    fn roots_after(&self, slot: Slot) -> Result<Vec<Root>, StoreError> {
        self.inner.roots_after(slot)
    }

    fn canonical(&self, slot: Slot) -> Result<Option<Root>, StoreError> {
        self.inner.canonical(slot)
    }

    fn tx_place(&self, id: &Root, since: Slot) -> Result<Option<TxPlace>, StoreError> {
        self.inner.tx_place(id, since)
    }

    fn certificates(&self, from: Epoch, limit: u32) -> Result<Vec<CertificateRow>, StoreError> {
        self.inner.certificates(from, limit)
    }
}

/// The record of signatures, which outlives a crash: it is synced before anything is signed.
#[derive(Clone)]
pub(super) struct SyncedRecord(pub(super) Arc<Mutex<Protection>>);

impl Record for SyncedRecord {
    fn block(&mut self, key: &PublicKey, slot: Slot, root: Root) -> Result<(), SignError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).block(key, slot, root)
    }

    fn vote(&mut self, key: &PublicKey, source: Epoch, target: Epoch, root: Root) -> Result<(), SignError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).vote(key, source, target, root)
    }

    fn finality_vote(&mut self, key: &PublicKey, epoch: Epoch, root: Root) -> Result<(), SignError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).finality_vote(key, epoch, root)
    }
}

/// What travels.
#[derive(Clone)]
pub(super) enum Packet {
    Gossip(u64, Arc<Gossip>),
    Ask(u64, Arc<Request>),
    Answer(u64, Arc<Answer>),
}

impl fmt::Debug for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gossip(id, message) => write!(f, "{} {id:x}", message.topic()),
            Self::Ask(ask, request) => write!(f, "ask {ask} {}", request.protocol().name()),
            Self::Answer(ask, _) => write!(f, "answer {ask}"),
        }
    }
}

/// What a node is made from, again after a crash.
pub(super) struct Making {
    /// Its place in the network.
    pub(super) at: usize,
    pub(super) config: Arc<Config>,
    pub(super) verifier: Arc<SharedVerifier>,
    pub(super) scheme: Scheme,
    pub(super) validators: Vec<u64>,
    pub(super) fault: Fault,
    /// Its clock's error in milliseconds, added to what the others' show at time zero.
    pub(super) base_ms: u64,
    /// Whom it talks to.
    pub(super) peers: BTreeSet<usize>,
}

/// The node.
pub(super) struct SimNode {
    pub(super) core: Core<LazyDatabase>,
    pub(super) record: SyncedRecord,
    pub(super) making: Arc<Making>,
    /// Every final checkpoint it has told.
    pub(super) finalized: BTreeMap<Epoch, Root>,
    pub(super) proposed: u64,
    greeted: bool,
    passed: BTreeSet<u64>,
    held: Vec<(Time, Packet)>,
}

pub(super) enum SimInput {
    Tick,
    From(usize, Packet),
}

impl From<Tick> for SimInput {
    fn from(_: Tick) -> Self {
        Self::Tick
    }
}

impl SimNode {
    pub(super) fn create(making: Arc<Making>, start: &Start, record: SyncedRecord) -> Self {
        let db = LazyDatabase::default();
        let chain = Chain::create(making.config.clone(), start.clone(), db, making.verifier.clone());
        Self::around(making, chain.expect("a new chain"), record)
    }

    /// The node that starts after this one's process has died.
    pub(super) fn restarted(self) -> Self {
        let Self { core, record, making, .. } = self;
        let (chain, _) = core.into_parts();
        let mut db = chain.into_db();
        db.crash();
        let chain = Chain::open(making.config.clone(), db, making.verifier.clone()).expect("a chain");
        Self::around(making, chain, record)
    }

    fn around(making: Arc<Making>, chain: Chain<LazyDatabase>, record: SyncedRecord) -> Self {
        let validators = making.validators.iter().copied().filter(|_| making.fault != Fault::Silent);
        let keys = SimKeys::new(making.scheme, validators);
        let duties = Duties::new(keys.list(), None);
        let vault = Vault::new(Box::new(keys), Box::new(record.clone()));
        let verifier = making.verifier.clone();
        let base_ms = making.base_ms;
        let core = Core::new(Parts {
            chain,
            verifier,
            vault,
            duties,
            base_ms,
            graffiti: [0; 32],
            serve_states: false,
        });
        Self {
            core,
            record,
            making,
            finalized: BTreeMap::new(),
            proposed: 0,
            greeted: false,
            passed: BTreeSet::new(),
            held: Vec::new(),
        }
    }

    fn to_all(&self, packet: &Packet, out: &mut Vec<Outcome<Packet>>) {
        out.extend(self.making.peers.iter().map(|peer| Outcome::Send(*peer, packet.clone())));
    }

    /// Three of its peers, always the same, evenly spread beginning with the next one: every node hears from three, so
    /// what one link loses comes over another.
    fn pass_on(&self, packet: &Packet, out: &mut Vec<Outcome<Packet>>) {
        let peers = &self.making.peers;
        let step = (peers.len() / 3).max(1);
        let later = peers.range(self.making.at..).chain(peers.range(..self.making.at));
        out.extend(later.step_by(step).take(3).map(|peer| Outcome::Send(*peer, packet.clone())));
    }

    fn perform(&mut self, now: Time, effect: Effect, out: &mut Vec<Outcome<Packet>>) {
        match effect {
            Effect::Publish(message) => {
                let packet = Packet::Gossip(identity(&message), message);
                let Packet::Gossip(id, message) = &packet else { return };
                self.passed.insert(*id);
                match (self.making.fault, message.as_ref()) {
                    (Fault::Withholder(delay), Gossip::Block(_)) => {
                        self.held.push((now.after(delay), packet))
                    }
                    _ => self.to_all(&packet, out),
                }
            }
            Effect::Ask { peer, ask, request } => {
                out.push(Outcome::Send(number(peer), Packet::Ask(ask, Arc::new(request))));
            }
            Effect::Answer { handle, answer } => {
                let (peer, ask) = (handle >> 40, handle & ((1 << 40) - 1));
                out.push(Outcome::Send(number(peer), Packet::Answer(ask, Arc::new(answer))));
            }
            Effect::Chain(event) => match *event {
                Event::Finalized(checkpoint) => {
                    self.finalized.insert(checkpoint.epoch, checkpoint.root);
                    out.push(Outcome::Log(format!("final {} {}", checkpoint.epoch, checkpoint.root)));
                }
                Event::Head { new, slot, .. } => out.push(Outcome::Log(format!("head {slot} {new}"))),
                _ => {}
            },
            Effect::Duty(Duty::Proposed { slot, .. }) => {
                self.proposed += 1;
                out.push(Outcome::Log(format!("proposed {slot}")));
            }
            Effect::Duty(Duty::Missed { validator, slot, reason }) => {
                out.push(Outcome::Log(format!("missed {validator} {slot} {reason}")));
            }
            Effect::Stop(failure) => {
                let chain = self.core.chain();
                panic!(
                    "node {:?} stopped in slot {} with {:?} justified, {:?} final: {failure:?}",
                    self.making.validators,
                    chain.current_slot(),
                    chain.justified(),
                    chain.finalized()
                );
            }
            Effect::Duty(_) | Effect::Verdict { .. } | Effect::Part(..) | Effect::Fault(..) => {}
        }
    }

    fn feed(&mut self, now: Time, input: Input, out: &mut Vec<Outcome<Packet>>) {
        let mut effects = Vec::new();
        self.core.step(now, input, &mut effects);
        for effect in effects {
            self.perform(now, effect, out);
        }
    }
}

/// A message's number, for the log and for telling messages apart.
fn identity(message: &Gossip) -> u64 {
    let digest = pos_node::types::ssz::sha256(&message.encode());
    u64::from_le_bytes(*digest.first_chunk().unwrap())
}

fn number(peer: u64) -> usize {
    usize::try_from(peer).unwrap()
}

impl Machine for SimNode {
    type Input = SimInput;
    type Effect = Outcome<Packet>;

    fn step(&mut self, now: Time, input: SimInput, out: &mut Vec<Outcome<Packet>>) {
        if !self.greeted {
            self.greeted = true;
            for peer in self.making.peers.clone() {
                self.feed(now, Input::Connected(u64::try_from(peer).unwrap()), out);
            }
        }
        let due = self.held.iter().filter(|(at, _)| *at <= now).map(|(_, packet)| packet.clone());
        for packet in due.collect::<Vec<_>>() {
            self.to_all(&packet, out);
        }
        self.held.retain(|(at, _)| *at > now);
        match input {
            SimInput::Tick => self.feed(now, Input::Tick, out),
            SimInput::From(from, _) if !self.making.peers.contains(&from) => {}
            SimInput::From(from, packet) => {
                let peer = u64::try_from(from).unwrap();
                match packet {
                    Packet::Gossip(id, message) => {
                        if !self.passed.insert(id) {
                            return;
                        }
                        let mut effects = Vec::new();
                        let input = Input::Gossip { peer, handle: id, message: message.clone() };
                        self.core.step(now, input, &mut effects);
                        for effect in effects {
                            let accepted = matches!(
                                effect,
                                Effect::Verdict { handle, verdict: Verdict::Accept, .. } if handle == id
                            );
                            if accepted {
                                self.pass_on(&Packet::Gossip(id, message.clone()), out);
                            }
                            self.perform(now, effect, out);
                        }
                    }
                    Packet::Ask(ask, request) => {
                        let input =
                            Input::Asked { peer, handle: peer << 40 | ask, request: (*request).clone() };
                        self.feed(now, input, out);
                    }
                    Packet::Answer(ask, answer) => {
                        let input = Input::Answered { ask, answer: Some((*answer).clone()) };
                        self.feed(now, input, out);
                    }
                }
            }
        }
    }

    fn deadline(&self) -> Option<Time> {
        if !self.greeted {
            return Some(Time::ZERO);
        }
        self.core.deadline().into_iter().chain(self.held.iter().map(|(at, _)| *at)).min()
    }
}

impl Node for SimNode {
    type Message = Packet;

    fn receive(from: usize, message: Packet) -> SimInput {
        SimInput::From(from, message)
    }

    fn outcome(effect: Outcome<Packet>) -> Outcome<Packet> {
        effect
    }
}
