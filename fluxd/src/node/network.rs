//! The loop between sockets, download machines and the writer of the chain: turns messages into inputs of the machines
//! and their effects into messages, keeps the list of peers, tells them of new blocks. Mirrors the rest of
//! `ProcessMessage` and `SendMessages` of `src/main.cpp`.

mod peer;
mod tell;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
};

use fluxd_chainstate::{ChainEvent, ChainState, Invalid};
use fluxd_consensus::check::CheckedBlock;
use fluxd_mempool::Mempool;
use fluxd_p2p::{
    Message,
    addresses::Addresses,
    alert::Alerts,
    bans::Bans,
    message::{
        Locator, MAX_COMPACT_HEADERS, MAX_HEADERS, REJECT_INVALID, Reject,
        compact::{BlockTransactionsRequest, CompactBlock},
        filter::{Filter, MAX_ITEM_BYTES},
        inventory::Inventory,
        version::{NODE_BLOOM, PROTOCOL_VERSION},
    },
    partial::{CompactError, PartialBlock},
    peer::{End, Input as PeerInput},
    sync::{
        PeerKey,
        blocks::{self, BlockSync},
        headers::{self, HeaderSync, Start},
    },
    transport::{Connection, Event, Hub, Kind},
};
use fluxd_primitives::{BlockHash, Hash256, TxId};
use fluxd_rpc::PeerInfo;
use parking_lot::{Mutex, RwLock};
use rand::{RngExt, rngs::StdRng};
use shared_vendor::{
    clock::{Clock, Time},
    machine::Machine,
};
use tokio::sync::mpsc::{self, error::TrySendError};

use self::peer::Peer;
use super::{
    report::Reporter,
    worker::{Job, Outcome, State},
    zmq::{News, Touched},
};

/// Bodies that wait for the writer before no more are asked for.
const BUSY: usize = 64;
/// Transactions asked for in one message.
const ASKED: usize = 1000;
/// Our best header counts as of the present within so many seconds.
const PRESENT: i64 = 24 * 60 * 60;
/// Compact blocks that wait for transactions.
const PARTIAL: usize = 16;
/// Blocks whose senders are remembered until the chain has judged them.
const SOURCES: usize = 2048;
/// Serving tasks that run at once.
pub(super) const SERVERS: usize = 4;

/// An order of an operator.
pub(super) enum Order {
    Dial(SocketAddr),
    Disconnect(PeerKey),
    EnforceBans,
    Ping,
    Relay(TxId),
    /// Everything about the peers, for an operator who waits.
    Peers(std::sync::mpsc::SyncSender<Vec<PeerInfo>>),
}

/// A request that is answered beside the loop.
pub(super) struct Request {
    pub(super) commands: mpsc::Sender<PeerInput>,
    pub(super) message: Message,
    pub(super) version: i32,
    pub(super) filter: Arc<Mutex<Option<Filter>>>,
    pub(super) nonce: u64,
}

/// What the loop is made of.
pub(super) struct Loop {
    pub(super) chain: Arc<RwLock<ChainState>>,
    pub(super) mempool: Arc<Mutex<Mempool>>,
    pub(super) hub: Arc<Hub>,
    pub(super) jobs: mpsc::Sender<Job>,
    pub(super) requests: Vec<mpsc::Sender<Request>>,
    pub(super) addresses: Addresses,
    pub(super) bans: Arc<Mutex<Bans>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) now: super::worker::Clock,
    pub(super) random: StdRng,
    pub(super) reporter: Reporter,
    pub(super) local: tokio::sync::watch::Sender<fluxd_p2p::peer::Local>,
    pub(super) events: Option<mpsc::Sender<News>>,
    pub(super) notify: Option<String>,
    /// Absent where alerts are not taken.
    pub(super) alerts: Option<Arc<Mutex<Alerts>>>,
    pub(super) alert_notify: Option<String>,
    pub(super) peers: Peers,
    /// Chooses whom addresses are passed on to.
    pub(super) salt: (u64, u64),
}

/// The changing part of the loop.
#[derive(Default)]
pub(super) struct Peers {
    all: BTreeMap<PeerKey, Peer>,
    headers: HeaderSync,
    blocks: BlockSync,
    state: State,
    /// Bodies that wait for the writer.
    waiting: usize,
    partial: VecDeque<(BlockHash, PeerKey, PartialBlock)>,
    /// Who sent the bodies that came last: a block may turn out to be wrong long after it was stored (`mapBlockSource`).
    sources: VecDeque<(BlockHash, PeerKey)>,
}

impl Loop {
    /// Everything that the machines wait for is at most so far away.
    pub(super) fn deadline(&self) -> Option<Time> {
        [self.peers.headers.deadline(), self.peers.blocks.deadline()].into_iter().flatten().min()
    }

    pub(super) fn tick(&mut self) {
        self.step_headers(headers::Input::Tick);
        self.step_blocks(blocks::Input::Tick);
    }

    /// Once a second.
    pub(super) fn second(&mut self) {
        let infos = self.infos();
        self.reporter.tick(self.clock.now(), &self.peers.state, &infos, &self.hub);
    }

    fn infos(&self) -> Vec<PeerInfo> {
        self.peers.all.values().map(|peer| self.info(peer)).collect()
    }

    fn info(&self, peer: &Peer) -> PeerInfo {
        let (connection, stats) = (&peer.connection, &peer.connection.stats);
        let numbers = *stats.numbers.lock();
        PeerInfo {
            id: connection.key,
            address: connection.address,
            local: connection.remote.seen_us_at,
            services: connection.remote.services,
            version: connection.remote.version,
            user_agent: connection.remote.user_agent.clone(),
            inbound: connection.kind == Kind::Inbound,
            trusted: connection.trusted,
            starting_height: connection.remote.height,
            time_offset: connection.remote.time_offset,
            since: stats.since.load(Ordering::Relaxed),
            last_send: stats.last_send.load(Ordering::Relaxed),
            last_receive: stats.last_receive.load(Ordering::Relaxed),
            sent: stats.sent.load(Ordering::Relaxed),
            received: stats.received.load(Ordering::Relaxed),
            ping: numbers.ping.map_or(0.0, |ping| ping.as_secs_f64()),
            ping_wait: numbers.ping_sent.map_or(0.0, |sent| self.clock.now().since(sent).as_secs_f64()),
            score: numbers.score,
            synced_headers: peer.synced_headers,
            synced_blocks: peer.synced_blocks,
            in_flight: self.peers.blocks.in_flight_from(connection.key),
            addresses: numbers.addresses,
            addresses_dropped: numbers.addresses_dropped,
        }
    }

    pub(super) fn order(&mut self, order: Order) {
        match order {
            Order::Dial(address) => {
                self.hub.dial(address, Kind::Manual);
            }
            Order::Relay(txid) => self.relay(&txid),
            Order::Peers(reply) => {
                let _ = reply.try_send(self.infos()); // whoever asked may be gone
            }
            Order::Disconnect(key) => self.close(key, End::Asked),
            Order::Ping => {
                for peer in self.peers.all.values() {
                    let _ = peer.connection.commands.try_send(PeerInput::Ping);
                }
            }
            Order::EnforceBans => {
                let now = (self.now)();
                let bans = self.bans.lock();
                for peer in self.peers.all.values() {
                    if bans.is_banned(peer.connection.address.ip(), now) {
                        let _ = peer.connection.commands.try_send(PeerInput::Close(End::Asked));
                    }
                }
            }
        }
    }

    fn close(&self, key: PeerKey, end: End) {
        if let Some(peer) = self.peers.all.get(&key) {
            let _ = peer.connection.commands.try_send(PeerInput::Close(end));
        }
    }

    pub(super) fn event(&mut self, event: Event) {
        match event {
            Event::Ready(connection) => self.ready(connection),
            Event::Message(key, message) => self.message(key, message),
            Event::Offence(_, reason) => self.reporter.offence(reason),
            Event::Closed { key, address, kind, was_ready, end } => {
                self.reporter.disconnected(end);
                if was_ready && kind != Kind::Inbound {
                    self.addresses.seen(address, (self.now)());
                }
                if self.peers.all.remove(&key).is_some() {
                    self.step_headers(headers::Input::Gone(key));
                    self.step_blocks(blocks::Input::Gone(key));
                    self.job(Job::Gone(key));
                }
            }
        }
    }

    fn ready(&mut self, connection: Connection) {
        let (key, remote) = (connection.key, &connection.remote);
        tracing::info!(
            target: "net", peer = key, address = %connection.address, version = remote.version,
            agent = remote.user_agent, height = remote.height, inbound = connection.kind == Kind::Inbound, "peer"
        );
        if connection.kind != Kind::Inbound {
            self.addresses.good(connection.address, remote.services, (self.now)());
        }
        if connection.kind == Kind::Feeler {
            return;
        }
        let claimed = u32::try_from(remote.height).unwrap_or_default();
        let peer = Peer {
            getaddr_sent: connection.kind != Kind::Inbound,
            connection,
            known: VecDeque::new(),
            known_addresses: BTreeSet::new(),
            prefers_headers: false,
            wants_compact: false,
            filter: Arc::default(),
            answered_getaddr: false,
            least_fee: 0,
            locator: Vec::new(),
            synced_headers: -1,
            synced_blocks: -1,
            given: 0,
            settled: 0,
        };
        let serves = peer.serves();
        self.peers.all.insert(key, peer);
        self.pass_alerts_on();
        if serves {
            self.step_blocks(blocks::Input::Ready(key));
            self.step_blocks(blocks::Input::Has(key, claimed.min(self.peers.state.best_height)));
            self.step_headers(headers::Input::Ready(key, claimed));
        }
    }

    fn job(&mut self, job: Job) -> bool {
        let of = job.peer();
        let taken = self.jobs.try_send(job).is_ok();
        if let Some(peer) = of.filter(|_| taken).and_then(|key| self.peers.all.get_mut(&key)) {
            peer.given = peer.given.wrapping_add(1);
        }
        taken
    }

    fn message(&mut self, key: PeerKey, message: Message) {
        let serves_filters = self.local.borrow().services & NODE_BLOOM != 0;
        let Some(peer) = self.peers.all.get_mut(&key) else { return };
        match message {
            Message::Ping(Some(nonce)) => self.in_turn(key, Message::Pong(Some(nonce))),
            Message::SendHeaders => peer.prefers_headers = true,
            Message::SendCmpct(announce, 1) => peer.wants_compact = announce,
            Message::Headers(headers) => self.headers(key, headers),
            Message::CmpHeaders(list) => {
                if list.is_empty() {
                    return self.no_headers(key);
                }
                self.step_headers(headers::Input::Received(key));
                let full = list.len() >= MAX_COMPACT_HEADERS;
                self.job(Job::CompactHeaders(key, list, full));
            }
            Message::Inv(items) => self.inventory(key, &items),
            Message::Block(block) => {
                let hash = block.header.hash();
                peer.knows(Hash256(hash.0));
                let asked = self.peers.blocks.is_asked(key, &hash);
                self.step_blocks(blocks::Input::Received(key, hash));
                self.take_block(key, block, asked);
            }
            Message::NotFound(items) => {
                for hash in items.iter().filter_map(Inventory::as_block) {
                    self.step_blocks(blocks::Input::Missing(key, hash));
                }
            }
            Message::CmpctBlock(compact) => self.compact_block(key, *compact),
            Message::BlockTxn(found) => {
                let waits = |(hash, from, _): &(BlockHash, PeerKey, PartialBlock)| {
                    *hash == found.block && *from == key
                };
                let Some(at) = self.peers.partial.iter().position(waits) else { return };
                let Some((hash, _, partial)) = self.peers.partial.remove(at) else { return };
                match partial.fill(found.transactions) {
                    Ok(block) => self.take_block(key, Box::new(block), false),
                    Err(_) => self.ask_for_block(key, hash),
                }
            }
            Message::Addr(told) => {
                let was_asked = peer.getaddr_sent;
                peer.getaddr_sent &= told.len() >= fluxd_p2p::message::MAX_ADDRESSES;
                let source = peer.connection.address.ip();
                peer.has_addresses(told.iter().map(|one| one.address.socket));
                if !was_asked {
                    self.pass_on(&told);
                }
                self.addresses.add(&told, source, 2 * 60 * 60, (self.now)());
            }
            Message::GetAddr => {
                let first = !std::mem::replace(&mut peer.answered_getaddr, true);
                if first && peer.connection.kind == Kind::Inbound {
                    let all = self.addresses.answer((self.now)());
                    for part in all.chunks(fluxd_p2p::message::MAX_ADDRESSES) {
                        peer.send(Message::Addr(part.to_vec()));
                    }
                }
            }
            Message::FilterLoad(_) | Message::FilterAdd(_) if !serves_filters => {
                peer.misbehave(100, "filter where none is served");
            }
            Message::FilterLoad(filter) => {
                peer.connection.remote.relay = true;
                if filter.is_within_limits() {
                    *peer.filter.lock() = Some(filter);
                } else {
                    peer.misbehave(100, "too large filter");
                }
            }
            Message::FilterAdd(item) if item.len() > MAX_ITEM_BYTES => {
                peer.misbehave(100, "bad filteradd");
            }
            // Without a filter everything matches already.
            Message::FilterAdd(item) => {
                if let Some(filter) = peer.filter.lock().as_mut() {
                    filter.insert(&item);
                }
            }
            Message::Tx(tx) => {
                peer.knows(Hash256(tx.txid().0));
                if !self.peers.state.syncing {
                    self.job(Job::Tx(key, tx));
                }
            }
            Message::FeeFilter(rate) => peer.least_fee = rate,
            Message::Alert(payload, signature) => self.alert(key, &payload, &signature),
            Message::Mempool => {
                let next = self.peers.state.height.saturating_add(1);
                let mut filter = peer.filter.lock();
                let mut wanted = |entry: &fluxd_mempool::Entry| {
                    let matches = filter.as_mut().is_none_or(|filter| filter.matches(&entry.txid, &entry.tx));
                    matches && !fluxd_mempool::is_expiring_soon(&entry.tx, next)
                };
                let pool = self.mempool.lock();
                let entries = pool.iter().filter(|entry| wanted(entry));
                let all: Vec<Inventory> = entries.map(|entry| Inventory::tx(entry.txid)).collect();
                for part in all.chunks(fluxd_p2p::message::MAX_INVENTORY) {
                    peer.send(Message::Inv(part.to_vec()));
                }
            }
            Message::FilterClear => {
                peer.connection.remote.relay = true;
                *peer.filter.lock() = None;
            }
            Message::GetData(_)
            | Message::GetHeaders(_)
            | Message::GetBlocks(_)
            | Message::GetBlockTxn(_) => self.in_turn(key, message),
            _ => {}
        }
    }

    /// Answers a request once everything that the peer sent before it is done, as if one thread did it all: a request that
    /// has something to wait for goes the way that blocks go.
    fn in_turn(&mut self, key: PeerKey, message: Message) {
        let Some(peer) = self.peers.all.get_mut(&key) else { return };
        if peer.settled == peer.given {
            return self.request(key, message);
        }
        let number = peer.given.wrapping_add(1);
        match self.jobs.try_send(Job::Then(key, number, message)) {
            Ok(()) => peer.given = number,
            Err(TrySendError::Full(Job::Then(_, _, message))) => self.request(key, message),
            Err(_) => {}
        }
    }

    fn request(&mut self, key: PeerKey, message: Message) {
        if matches!(message, Message::GetHeaders(_)) && self.peers.state.syncing {
            return; // who syncs itself does not lead others
        }
        let Some(peer) = self.peers.all.get(&key) else { return };
        let request = Request {
            commands: peer.connection.commands.clone(),
            message,
            version: peer.connection.remote.version,
            filter: Arc::clone(&peer.filter),
            nonce: self.random.random(),
        };
        let count = u64::try_from(self.requests.len()).unwrap_or(1).max(1);
        let lane = usize::try_from(key % count).unwrap_or_default();
        let Some(lane) = self.requests.get(lane) else { return };
        match lane.try_send(request) {
            Ok(()) => {}
            // Whoever asks too much hears at least that we live.
            Err(TrySendError::Full(Request { message: Message::Pong(nonce), commands, .. })) => {
                let _ = commands.try_send(PeerInput::Send(Message::Pong(nonce)));
            }
            Err(_) => self.reporter.offence("busy"),
        }
    }

    fn no_headers(&mut self, key: PeerKey) {
        let height = self.peers.state.best_height;
        self.step_headers(headers::Input::Received(key));
        self.step_headers(headers::Input::Accepted { peer: key, full: false, height, new: 0 });
    }

    fn headers(&mut self, key: PeerKey, list: Vec<fluxd_primitives::BlockHeader>) {
        if list.is_empty() {
            return self.no_headers(key);
        }
        let follows = list.windows(2).all(|pair| match pair {
            [a, b] => b.prev == a.hash(),
            _ => true,
        });
        if !follows {
            if let Some(peer) = self.peers.all.get(&key) {
                peer.misbehave(20, "non-continuous headers sequence");
            }
            return;
        }
        self.step_headers(headers::Input::Received(key));
        if let Some(peer) = self.peers.all.get_mut(&key)
            && let Some(last) = list.last()
        {
            peer.knows(Hash256(last.hash().0));
        }
        let full = list.len() >= MAX_HEADERS;
        if !self.job(Job::Headers(key, list, full)) {
            self.step_headers(headers::Input::Refused(key));
        }
    }

    fn inventory(&mut self, key: PeerKey, items: &[Inventory]) {
        let (mut unknown, mut last_known) = (false, None);
        {
            let Some(peer) = self.peers.all.get_mut(&key) else { return };
            let mut transactions = Vec::new();
            for item in items {
                let known = peer.knows(item.hash);
                transactions.extend(item.as_tx().filter(|_| !known));
            }
            if !self.peers.state.syncing {
                let pool = self.mempool.lock();
                transactions.retain(|id| pool.get(id).is_none());
                drop(pool);
                for part in transactions.chunks(ASKED) {
                    peer.send(Message::GetData(part.iter().copied().map(Inventory::tx).collect()));
                }
            }
            let chain = self.chain.try_read();
            for hash in items.iter().filter_map(Inventory::as_block) {
                let known = chain.as_ref().is_some_and(|chain| chain.index().find(&hash).is_some());
                unknown |= !known;
                last_known = Some(hash).filter(|_| known).or(last_known);
            }
        }
        if let Some(hash) = last_known {
            self.job(Job::Has(key, hash));
        }
        if unknown {
            self.step_headers(headers::Input::Announced(key));
        }
    }

    fn compact_block(&mut self, key: PeerKey, compact: CompactBlock) {
        let hash = compact.header.hash();
        if self.chain.try_read().is_some_and(|chain| chain.index().find(&hash).is_some()) {
            return;
        }
        let made = {
            let pool = self.mempool.lock();
            PartialBlock::new(compact, pool.iter().map(|entry| (&entry.txid, &*entry.tx)))
        };
        match made {
            Err(CompactError::Invalid) => {
                if let Some(peer) = self.peers.all.get(&key) {
                    peer.misbehave(100, "invalid compact block");
                }
            }
            Err(CompactError::Collision) => self.ask_for_block(key, hash),
            Ok(partial) => {
                let missing = partial.missing();
                if missing.is_empty() {
                    if let Ok(block) = partial.fill(Vec::new()) {
                        self.take_block(key, Box::new(block), false);
                    }
                    return;
                }
                if self.peers.partial.len() >= PARTIAL {
                    self.peers.partial.pop_front();
                }
                self.peers.partial.push_back((hash, key, partial));
                if let Some(peer) = self.peers.all.get(&key) {
                    peer.send(Message::GetBlockTxn(BlockTransactionsRequest {
                        block: hash,
                        indexes: missing,
                    }));
                }
            }
        }
    }

    fn ask_for_block(&self, key: PeerKey, hash: BlockHash) {
        if let Some(peer) = self.peers.all.get(&key) {
            peer.send(Message::GetData(vec![Inventory::block(hash)]));
        }
    }

    fn take_block(&mut self, key: PeerKey, block: Box<fluxd_primitives::Block>, asked: bool) {
        let hash = block.header.hash();
        let trusted = self.peers.all.get(&key).is_some_and(|peer| peer.connection.trusted);
        let asked = asked || trusted && !self.peers.state.syncing;
        if self.job(Job::Block(key, block, asked)) {
            if self.peers.sources.len() >= SOURCES {
                self.peers.sources.pop_front();
            }
            self.peers.sources.push_back((hash, key));
            self.peers.waiting = self.peers.waiting.saturating_add(1);
            if self.peers.waiting >= BUSY {
                self.step_blocks(blocks::Input::Busy(true));
            }
        } else {
            // It is asked for again with the next list of wanted ones.
            tracing::debug!(target: "net", %hash, "the writer is busy, a block was dropped");
        }
    }

    pub(super) fn outcome(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Headers { peer, full, height, new, locator, refused } => {
                if let Some(invalid) = refused {
                    return self.refused(peer, &invalid);
                }
                if let Some(state) = self.peers.all.get_mut(&peer) {
                    state.locator = locator;
                }
                self.step_headers(headers::Input::Accepted { peer, full, height, new });
            }
            Outcome::Block { peer, hash, invalid } => {
                self.peers.waiting = self.peers.waiting.saturating_sub(1);
                if self.peers.waiting < BUSY / 2 {
                    self.step_blocks(blocks::Input::Busy(false));
                }
                if let Some(invalid) = invalid {
                    self.refused_block(peer, hash, &invalid);
                }
            }
            Outcome::Tx { peer, txid, verdict } => self.judged(peer, &txid, verdict),
            Outcome::Then(key, number, message) => {
                if let Some(peer) = self.peers.all.get_mut(&key) {
                    peer.settled = number;
                }
                self.request(key, message);
            }
            Outcome::Events(events, touched, syncing) => self.chain_changed(events, touched, syncing),
            Outcome::State(state) => self.state(state),
        }
    }

    fn judged(&mut self, key: PeerKey, txid: &TxId, verdict: Result<(), fluxd_mempool::Reject>) {
        let Err(reject) = verdict else { return self.relay(txid) };
        tracing::debug!(target: "net", peer = key, %txid, reason = %reject, "transaction not taken");
        let Some(peer) = self.peers.all.get(&key) else { return };
        if reject.code() != 0 {
            let reason: String = reject.to_string().chars().take(111).collect();
            let hash = Some(Hash256(txid.0));
            peer.send(Message::Reject(Reject { message: "tx".into(), code: reject.code(), reason, hash }));
        }
        peer.misbehave(reject.dos(), "invalid transaction");
    }

    fn refused(&mut self, key: PeerKey, invalid: &Invalid) {
        self.step_headers(headers::Input::Refused(key));
        let Some(peer) = self.peers.all.get(&key) else { return };
        self.ask_for_parents(peer, invalid);
        tracing::debug!(target: "net", peer = key, reason = invalid.reason(), "header refused");
        self.reporter.offence("header");
        peer.misbehave(invalid.dos(), "invalid header");
    }

    /// An announcement whose parents we lack may be honest after a reorganization: what is between is asked for.
    fn ask_for_parents(&self, peer: &Peer, invalid: &Invalid) {
        if matches!(invalid, Invalid::UnknownParent) {
            peer.send(self.get_headers(self.peers.state.locator.clone()));
        }
    }

    fn refused_block(&mut self, key: PeerKey, hash: BlockHash, invalid: &Invalid) {
        tracing::warn!(target: "net", peer = key, %hash, reason = invalid.reason(), "block refused");
        self.reporter.offence("block");
        let Some(peer) = self.peers.all.get(&key) else { return };
        self.ask_for_parents(peer, invalid);
        let reason: String = invalid.reason().chars().take(111).collect();
        if invalid.code() == REJECT_INVALID {
            let reject =
                Reject { message: "block".into(), code: REJECT_INVALID, reason, hash: Some(Hash256(hash.0)) };
            peer.send(Message::Reject(reject));
        }
        peer.misbehave(invalid.dos(), "invalid block");
    }

    fn state(&mut self, state: State) {
        let least = state.least_version;
        if self.local.borrow().least_version != least {
            for peer in self.peers.all.values() {
                let _ = peer.connection.commands.try_send(PeerInput::Require(least));
            }
        }
        self.local.send_modify(|local| {
            local.height = i32::try_from(state.height).unwrap_or(i32::MAX);
            local.least_version = least;
        });
        let near = i64::from(state.best_time) > (self.now)().saturating_sub(PRESENT);
        let wanted = state.wanted.clone();
        self.peers.state = state;
        let mut inputs = Vec::new();
        for (key, peer) in &mut self.peers.all {
            let claimed = u32::try_from(peer.connection.remote.height).unwrap_or_default();
            let known = self.peers.state.commons.get(key);
            let has = known.map_or(claimed.min(self.peers.state.best_height), |(common, _)| *common);
            if let Some((common, last)) = known {
                (peer.synced_headers, peer.synced_blocks) =
                    (i64::from(*last), i64::from((*common).min(self.peers.state.height)));
            }
            inputs.push(blocks::Input::Has(*key, has));
        }
        for input in inputs {
            self.step_blocks(input);
        }
        self.step_blocks(blocks::Input::Wanted(wanted));
        self.step_headers(headers::Input::NearPresent(near));
    }

    fn chain_changed(&mut self, events: Vec<ChainEvent>, touched: Touched, syncing: bool) {
        let mut connected: Vec<&Arc<CheckedBlock>> = Vec::new();
        for event in &events {
            match event {
                ChainEvent::Connected { block, .. } => connected.push(block),
                ChainEvent::Disconnected { .. } => {}
                ChainEvent::Rejected { hash, invalid } => {
                    let sent = self.peers.sources.iter().rfind(|(other, _)| other == hash);
                    if let Some((_, key)) = sent.copied() {
                        self.refused_block(key, *hash, invalid);
                    } else {
                        tracing::warn!(target: "chain", %hash, reason = invalid.reason(), "block does not fit the chain");
                    }
                }
            }
        }
        self.reporter.changed(self.clock.now(), &events);
        if let Some(last) = connected.last() {
            if !syncing {
                self.announce(&connected);
            }
            if let Some(command) = &self.notify {
                super::run_notify(command, &last.hash().to_string());
            }
        }
        if let Some(sender) = &self.events {
            let _ = sender.try_send(News::Chain(events, touched, syncing)); // a subscriber that does not keep up misses some
        }
    }

    fn get_headers(&self, have: Vec<BlockHash>) -> Message {
        Message::GetHeaders(Locator { version: PROTOCOL_VERSION, have, stop: BlockHash::ZERO })
    }

    fn step_headers(&mut self, input: headers::Input) {
        let mut effects = Vec::new();
        self.peers.headers.step(self.clock.now(), input, &mut effects);
        for effect in effects {
            match effect {
                headers::Effect::Ask(key, start) => {
                    let Some(peer) = self.peers.all.get(&key) else { continue };
                    let last = peer.locator.clone();
                    let from_last = start == Start::Last && !last.is_empty();
                    let have = if from_last { last } else { self.peers.state.locator.clone() };
                    peer.send(self.get_headers(have));
                }
                headers::Effect::Drop(key) => self.close(key, End::Stalling),
                headers::Effect::Flood(key) => {
                    if let Some(peer) = self.peers.all.get(&key) {
                        peer.misbehave(20, "too many headers");
                    }
                }
            }
        }
    }

    fn step_blocks(&mut self, input: blocks::Input) {
        let mut effects = Vec::new();
        self.peers.blocks.step(self.clock.now(), input, &mut effects);
        for effect in effects {
            match effect {
                blocks::Effect::Ask(key, hashes) => {
                    if let Some(peer) = self.peers.all.get(&key) {
                        peer.send(Message::GetData(hashes.into_iter().map(Inventory::block).collect()));
                    }
                }
                blocks::Effect::More => {
                    self.job(Job::More);
                }
                blocks::Effect::Drop(key) => self.close(key, End::Stalling),
            }
        }
    }

    /// Dials nodes: those that an operator named, then such as are known, one at a time.
    pub(super) fn dial(
        &mut self,
        named: &BTreeSet<SocketAddr>,
        only_named: bool,
        outbound: usize,
        feeler: bool,
    ) {
        for address in named {
            if !self.hub.is_connected(*address) {
                self.hub.dial(*address, Kind::Manual);
            }
        }
        if only_named {
            return;
        }
        let kind = if feeler { Kind::Feeler } else { Kind::Outbound };
        if !feeler && self.hub.count(Kind::Outbound) >= outbound {
            return;
        }
        let (hub, now) = (Arc::clone(&self.hub), (self.now)());
        if let Some(address) = self.addresses.select(feeler, now, |address| !hub.is_connected(address)) {
            self.addresses.attempt(address, now);
            self.hub.dial(address, kind);
        }
    }
}
