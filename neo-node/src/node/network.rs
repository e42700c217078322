//! The task that talks with peers: it feeds the state machines of `neo-p2p` and carries out what they want.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use neo_base::{
    UInt160, UInt256, account,
    ledger::{Block, Extensible, Header, MAX_TRANSACTION_SIZE, Transaction},
};
use neo_contract::{
    native::{
        neo,
        role::{self, Role},
    },
    settings::bft_address,
};
use neo_crypto::secp256r1::PublicKey;
use neo_p2p::{
    AddressBook, ExtensiblePool, Message, Refusal, inventory,
    payload::{Address, AddressList, Capability, Hashes, InventoryKind, MAX_HASHES},
    peer::{Announcement, End, Input},
    sync::{self, PeerId, Sync},
    transport::{Connection, Event, Hub},
};
use neo_rpc::{Network, Peer};
use neo_runtime::{Admission, Executed, Ledger, state_root, verify};
use shared_vendor::{
    app::{Context, Daemon},
    clock::{Clock, Time},
    exit::Report,
    machine::Machine,
    tasks::Stop,
};
use tokio::{
    sync::{Semaphore, broadcast, mpsc, oneshot, watch},
    time::MissedTickBehavior,
};

use super::{
    chain::{Outcome, Request},
    report::{Reporter, Sample},
    serve::{self, Question},
};
use crate::config::Config;

const TICK: Duration = Duration::from_millis(250);
const DIAL_EVERY: Duration = Duration::from_secs(1);
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// Transactions that are verified at once.
const VERIFIERS: usize = 64;
/// Most gas of the witness of a payload, in datoshi.
const PAYLOAD_GAS: u64 = 6_000_000;
/// Payloads that wait for the next block, at most.
const MAX_EARLY: usize = 64;
/// Blocks behind the headers at which transactions are not worth a look.
const NEAR: u32 = 2;

/// What other tasks want of the network.
pub(super) enum Order {
    /// Transactions have come into the pool: tell the peers.
    Announce(Vec<Arc<Transaction>>),
    /// Send a payload of ours to everybody.
    Send(Box<Extensible>),
    /// Tell everybody of the transactions of a proposal.
    Propose(Vec<UInt256>),
    /// Ask everybody for transactions.
    Need(Vec<UInt256>),
    /// The answer of a verifier of headers.
    HeadersChecked(bool, Box<Header>),
    /// What became of a block that was handed on.
    Added(u32, Outcome),
}

/// Channels of the task.
pub(super) struct Wires {
    pub(super) events: mpsc::Receiver<Event>,
    pub(super) orders: mpsc::Receiver<Order>,
    pub(super) own_orders: mpsc::Sender<Order>,
    pub(super) blocks: mpsc::Sender<Request>,
    pub(super) executed: broadcast::Receiver<Arc<Executed>>,
    pub(super) consensus: Option<mpsc::Sender<Box<Extensible>>>,
    pub(super) shown: watch::Sender<Network>,
    pub(super) state: mpsc::Sender<Box<Extensible>>,
}

/// Starts the task.
pub(super) fn spawn<D: Daemon<Config = Config>>(
    ctx: &Context<D>,
    ledger: Arc<Ledger>,
    admission: Arc<Admission>,
    hub: Arc<Hub>,
    seeds: &[SocketAddr],
    wires: Wires,
) {
    let Wires { events, orders, own_orders, blocks, executed, consensus, shown, state } = wires;
    let mut addresses = AddressBook::default();
    seeds.iter().for_each(|seed| addresses.add_seed(*seed));
    let tip = ledger.tip();
    let node = Node {
        sync: Sync::new(tip.height, tip.hash),
        header_tip: ledger.tip_header(),
        reporter: Reporter::new(ctx, tip.height),
        alone: consensus.is_some() && seeds.is_empty(),
        ledger,
        admission,
        hub,
        clock: Arc::clone(&ctx.clock),
        peers: BTreeMap::new(),
        inventory: inventory::Inventory::default(),
        extensibles: ExtensiblePool::default(),
        addresses,
        wanted_peers: ctx.config.peers_min.min(ctx.common.peers_max),
        dialled: 0,
        last_dial: Time::ZERO,
        last_report: Time::ZERO,
        orders: own_orders,
        blocks,
        consensus,
        shown,
        state,
        early: Vec::new(),
        verifiers: Arc::new(Semaphore::new(VERIFIERS)),
    };
    ctx.tasks.spawn("network", |stop| node.run(events, orders, executed, stop));
}

struct Node {
    ledger: Arc<Ledger>,
    admission: Arc<Admission>,
    hub: Arc<Hub>,
    clock: Arc<dyn Clock>,
    peers: BTreeMap<PeerId, Connection>,
    sync: Sync,
    /// The last verified header.
    header_tip: Header,
    inventory: inventory::Inventory,
    extensibles: ExtensiblePool,
    addresses: AddressBook,
    wanted_peers: usize,
    /// Connections that this node has dialled and that have not ended.
    dialled: usize,
    last_dial: Time,
    last_report: Time,
    reporter: Reporter,
    alone: bool,
    orders: mpsc::Sender<Order>,
    blocks: mpsc::Sender<Request>,
    consensus: Option<mpsc::Sender<Box<Extensible>>>,
    shown: watch::Sender<Network>,
    state: mpsc::Sender<Box<Extensible>>,
    /// Payloads that are valid from the next block on.
    early: Vec<Extensible>,
    verifiers: Arc<Semaphore>,
}

impl Node {
    async fn run(
        mut self,
        mut events: mpsc::Receiver<Event>,
        mut orders: mpsc::Receiver<Order>,
        mut executed: broadcast::Receiver<Arc<Executed>>,
        stop: Stop,
    ) -> Result<(), Report> {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.refresh_senders();
        loop {
            tokio::select! {
                biased;
                () = stop.wait() => return Ok(()),
                _ = tick.tick() => self.on_tick(),
                done = executed.recv() => match done {
                    Ok(done) => self.on_executed(Some(&done)),
                    Err(broadcast::error::RecvError::Lagged(_)) => self.on_executed(None),
                    Err(broadcast::error::RecvError::Closed) => return Ok(()),
                },
                Some(order) = orders.recv() => self.on_order(order),
                Some(event) = events.recv() => self.on_event(event),
            }
        }
    }

    fn on_event(&mut self, event: Event) {
        let now = self.clock.now();
        match event {
            Event::Ready(peer) => {
                if self.addresses.is_banned(now, peer.address.ip()) {
                    let _ = peer.orders.give(Input::Close(End::Misbehaved));
                    return;
                }
                let client = shared_vendor::exit::escape(&peer.version.user_agent);
                let direction = if peer.inbound { "in" } else { "out" };
                tracing::info!(target: "net", address = %peer.address, direction, client, "peer connected");
                let height = peer.version.capabilities.iter().find_map(|capability| match capability {
                    Capability::FullNode(height) => Some(*height),
                    _ => None,
                });
                let id = peer.id;
                let _ = peer.orders.give(Input::Height(self.ledger.height()));
                if self.peers.len() < self.wanted_peers {
                    let _ = peer.orders.give(Input::Send(Message::GetAddresses));
                }
                self.peers.insert(id, peer);
                self.sync(sync::Input::Ready(id, height.unwrap_or_default()));
                if height.is_some() && self.is_near() {
                    self.send(id, Message::Mempool);
                }
            }
            Event::Message(id, message) => self.on_message(now, id, message),
            Event::Closed { id, address, inbound, was_ready, end } => {
                if !inbound {
                    self.dialled = self.dialled.saturating_sub(1);
                    self.addresses.release(now, address, was_ready);
                    if end == End::SameNode {
                        self.addresses.forget(address);
                    }
                }
                if end.is_offence() {
                    self.addresses.ban(now, address.ip());
                    self.reporter.banned(end.as_str());
                }
                if self.peers.remove(&id).is_some() {
                    self.reporter.disconnected(end.as_str());
                    tracing::info!(target: "net", %address, reason = end.as_str(), "peer disconnected");
                    self.sync(sync::Input::Gone(id));
                    self.inventory(inventory::Input::Gone(id));
                }
            }
        }
    }

    fn on_message(&mut self, now: Time, id: PeerId, message: Message) {
        match message {
            Message::Ping(ping) | Message::Pong(ping) => self.sync(sync::Input::Height(id, ping.last_block)),
            Message::Headers(headers) => self.sync(sync::Input::Headers(id, headers.0)),
            Message::Block(block) => {
                self.inventory(inventory::Input::Arrived(block.header.hash()));
                self.sync(sync::Input::Block(id, block));
            }
            Message::Transaction(tx) => self.on_transaction(tx),
            Message::Extensible(payload) => self.on_extensible(*payload),
            Message::Inventory(hashes) => self.on_inventory(id, *hashes),
            Message::NotFound(hashes) => self.inventory(inventory::Input::NotFound(id, hashes.hashes)),
            Message::Addresses(list) => self.addresses.learn(&list.0),
            Message::GetAddresses => self.tell_addresses(now, id),
            Message::GetHeaders(request) => self.answer(id, Question::Headers(*request)),
            Message::GetBlocksByIndex(request) => self.answer(id, Question::Blocks(*request)),
            Message::GetBlocks(request) => self.answer(id, Question::Hashes(*request)),
            Message::Mempool => self.answer(id, Question::Mempool),
            Message::GetData(wanted) if wanted.kind == InventoryKind::Extensible => {
                for payload in wanted.hashes.iter().filter_map(|hash| self.extensibles.get(hash)) {
                    self.send(id, Message::Extensible(Box::new(payload.clone())));
                }
            }
            Message::GetData(wanted) => self.answer(id, Question::Data(*wanted)),
            _ => {}
        }
    }

    /// Looks the answer up on the blocking pool; the peer's own rate limit bounds how many wait.
    fn answer(&self, id: PeerId, question: Question) {
        let Some(peer) = self.peers.get(&id) else { return };
        let (ledger, admission) = (Arc::clone(&self.ledger), Arc::clone(&self.admission));
        let orders = peer.orders.clone();
        drop(tokio::task::spawn_blocking(move || serve::answer(&ledger, &admission, &question, &orders)));
    }

    fn on_inventory(&mut self, id: PeerId, mut hashes: Hashes) {
        match hashes.kind {
            InventoryKind::Transaction => {
                if !self.is_near() {
                    return;
                }
                let admission = &self.admission;
                hashes.hashes.retain(|hash| admission.get(hash).is_none());
            }
            // Blocks far above come through the synchronisation; the very next one is asked for by its hash.
            InventoryKind::Block => {
                if !self.is_near() {
                    return;
                }
            }
            InventoryKind::Extensible => {
                let pool = &self.extensibles;
                hashes.hashes.retain(|hash| pool.get(hash).is_none());
            }
        }
        self.inventory(inventory::Input::Announced(id, hashes));
    }

    fn on_transaction(&mut self, tx: Box<Transaction>) {
        let hash = tx.hash();
        let known = self.inventory.is_processed(&hash);
        self.inventory(inventory::Input::Arrived(hash));
        if known || tx.size() > MAX_TRANSACTION_SIZE {
            return;
        }
        // When all verifiers are busy the transaction is dropped; others will announce it.
        let Ok(permit) = Arc::clone(&self.verifiers).try_acquire_owned() else { return };
        let admission = Arc::clone(&self.admission);
        drop(tokio::task::spawn_blocking(move || {
            if let Err(err) = admission.submit(Arc::new(*tx)) {
                tracing::debug!(target: "mempool", %hash, error = %err, "transaction refused");
            }
            drop(permit);
        }));
    }

    fn on_extensible(&mut self, payload: Extensible) {
        let hash = payload.hash();
        self.inventory(inventory::Input::Arrived(hash));
        match self.extensibles.check(&payload) {
            Ok(()) if self.is_signed(&payload) => self.keep(payload),
            // Judged again with the next block, which often comes a moment later.
            Err(Refusal::Early) if self.early.len() < MAX_EARLY => self.early.push(payload),
            Ok(()) | Err(_) => {}
        }
    }

    fn is_signed(&self, payload: &Extensible) -> bool {
        let Ok(view) = self.ledger.view() else { return false };
        let signed = verify::Signed::Other { hash: payload.hash(), accounts: vec![payload.sender] };
        let (settings, sender) = (self.ledger.settings(), &payload.sender);
        verify::verify_witness(settings, &view, &signed, sender, &payload.witness, PAYLOAD_GAS).is_ok()
    }

    /// Passes a good payload on and hands it to its service.
    fn keep(&mut self, payload: Extensible) {
        let hash = payload.hash();
        self.extensibles.insert(payload.clone());
        self.announce(&Announcement::Extensible(hash));
        match payload.category.as_str() {
            neo_consensus::CATEGORY => {
                if let Some(consensus) = &self.consensus {
                    let _ = consensus.try_send(Box::new(payload));
                }
            }
            state_root::message::CATEGORY => {
                let _ = self.state.try_send(Box::new(payload));
            }
            _ => {}
        }
    }

    fn tell_addresses(&self, now: Time, id: PeerId) {
        let listening = self.peers.values().filter(|peer| peer.id != id).filter_map(|peer| {
            let port = peer
                .version
                .capabilities
                .iter()
                .any(|one| matches!(one, Capability::TcpServer(port) if *port != 0));
            let capabilities = peer.version.capabilities.clone();
            port.then(|| Address {
                timestamp: peer.version.timestamp,
                ip: v6(peer.address.ip()),
                capabilities,
            })
        });
        let mut addresses: Vec<Address> = listening.take(neo_p2p::payload::MAX_ADDRESSES).collect();
        if addresses.is_empty() {
            // Some nodes drop a peer that knows nobody; an empty list is not allowed, so this node names itself.
            let local = self.hub.local();
            let seconds = local.epoch.saturating_add(now.as_nanos() / 1_000_000_000);
            let capabilities =
                vec![Capability::TcpServer(local.port), Capability::FullNode(self.ledger.height())];
            let ip = v6(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));
            addresses.push(Address {
                timestamp: u32::try_from(seconds).unwrap_or(u32::MAX),
                ip,
                capabilities,
            });
        }
        self.send(id, Message::Addresses(Box::new(AddressList(addresses))));
    }

    fn on_order(&mut self, order: Order) {
        match order {
            Order::Announce(transactions) => {
                for tx in transactions {
                    self.inventory(inventory::Input::Arrived(tx.hash()));
                    self.announce(&Announcement::Transaction(tx));
                }
            }
            Order::Send(payload) => {
                self.extensibles.insert((*payload).clone());
                self.inventory(inventory::Input::Arrived(payload.hash()));
                for peer in self.peers.values() {
                    let _ = peer.orders.give(Input::Send(Message::Extensible(payload.clone())));
                }
            }
            Order::Propose(hashes) => {
                for part in hashes.chunks(MAX_HASHES) {
                    let hashes = Hashes { kind: InventoryKind::Transaction, hashes: part.to_vec() };
                    for peer in self.peers.values() {
                        let _ = peer.orders.give(Input::Send(Message::Inventory(Box::new(hashes.clone()))));
                    }
                }
            }
            Order::Need(hashes) => {
                let peers = self.peers.keys().copied().collect();
                let hashes = Hashes { kind: InventoryKind::Transaction, hashes };
                self.inventory(inventory::Input::Need(hashes, peers));
            }
            Order::HeadersChecked(valid, last) => {
                if valid {
                    self.header_tip = *last;
                }
                self.sync(sync::Input::HeadersChecked(valid));
            }
            Order::Added(height, Outcome::Refused(_)) => {
                self.sync(sync::Input::Refused(height));
                // Headers above a refused block lead nowhere.
                self.header_tip = self.ledger.tip_header();
                let tip = self.ledger.tip();
                let (peers, mut fresh) = (self.peers_with_heights(), Sync::new(tip.height, tip.hash));
                std::mem::swap(&mut self.sync, &mut fresh);
                for (id, height) in peers {
                    self.sync(sync::Input::Ready(id, height));
                }
            }
            Order::Added(_, Outcome::Added) => {}
            Order::Added(_, Outcome::OutOfOrder) => {
                let tip = self.ledger.tip();
                self.sync(sync::Input::Stored(tip.height, tip.hash));
            }
        }
    }

    fn peers_with_heights(&self) -> Vec<(PeerId, u32)> {
        self.peers.keys().filter_map(|id| Some((*id, self.sync.height_of(*id)?))).collect()
    }

    /// The chain has grown; `None` when news were missed.
    fn on_executed(&mut self, executed: Option<&Executed>) {
        let tip = self.ledger.tip();
        self.hub.set_height(tip.height);
        if tip.height >= self.header_tip.body().index {
            self.header_tip = self.ledger.tip_header();
        }
        self.refresh_senders();
        for payload in std::mem::take(&mut self.early) {
            self.on_extensible(payload);
        }
        for peer in self.peers.values() {
            let _ = peer.orders.give(Input::Height(tip.height));
        }
        if let Some(executed) = executed
            && self.is_near()
        {
            let hash = executed.block.header.hash();
            self.inventory(inventory::Input::Arrived(hash));
            self.announce(&Announcement::Block(hash));
        }
        self.sync(sync::Input::Stored(tip.height, tip.hash));
    }

    /// Who may send extensible payloads at this height.
    fn refresh_senders(&mut self) {
        let Ok(view) = self.ledger.view() else { return };
        let (height, settings) = (self.ledger.height(), self.ledger.settings());
        let mut senders = BTreeSet::new();
        senders.extend(neo::committee_address(&view).ok());
        let validators = neo::next_validators(&view, settings).unwrap_or_default();
        // Those of the last block vote on its root when others take over from the next block on.
        let state =
            |height| points(&role::designated(&view, Role::StateValidator, height).unwrap_or_default());
        for keys in [points(&validators), state(height), state(height.saturating_add(1))] {
            if !keys.is_empty() {
                senders.insert(bft_address(&keys));
                senders.extend(keys.iter().map(single_account));
            }
        }
        self.extensibles.on_height(height, senders);
    }

    fn on_tick(&mut self) {
        let now = self.clock.now();
        if self.sync.deadline().is_some_and(|deadline| deadline <= now) {
            self.sync(sync::Input::Tick);
        }
        if self.inventory.deadline().is_some_and(|deadline| deadline <= now) {
            self.inventory(inventory::Input::Tick);
        }
        if now.since(self.last_dial) >= DIAL_EVERY {
            self.last_dial = now;
            let missing = self.wanted_peers.saturating_sub(self.dialled.max(self.peers.len()));
            for address in self.addresses.take(now, missing) {
                self.dialled = self.dialled.saturating_add(1);
                self.hub.dial(address);
            }
        }
        if now.since(self.last_report) >= REPORT_EVERY {
            self.last_report = now;
            let sample = Sample {
                tip: self.ledger.tip(),
                target: self.sync.best_claim(),
                headers: self.sync.header_height(),
                peers: self.peers.values().collect(),
                traffic: &self.hub.traffic,
                admission: &self.admission,
                alone: self.alone,
            };
            self.reporter.tick(now, &sample);
            self.shown.send_replace(self.view());
        }
    }

    fn view(&self) -> Network {
        let peer = |peer: &Connection| {
            let listening = peer.version.capabilities.iter().find_map(|capability| match capability {
                Capability::TcpServer(port) => Some(*port),
                _ => None,
            });
            let port = listening.unwrap_or_else(|| peer.address.port());
            Peer {
                address: SocketAddr::new(peer.address.ip(), port),
                user_agent: peer.version.user_agent.clone(),
                height: self.sync.height_of(peer.id).unwrap_or_default(),
            }
        };
        Network {
            headers: self.sync.header_height().saturating_add(1),
            connected: self.peers.values().map(peer).collect(),
            unconnected: self.addresses.unconnected(),
        }
    }

    /// The chain is where the verified headers are. Claims of peers do not count.
    fn is_near(&self) -> bool {
        self.sync.header_height() <= self.ledger.height().saturating_add(NEAR)
    }

    fn send(&self, id: PeerId, message: Message) {
        if let Some(peer) = self.peers.get(&id)
            && !peer.orders.give(Input::Send(message))
        {
            tracing::debug!(target: "net", address = %peer.address, "a message was dropped: the peer is slow");
        }
    }

    fn announce(&self, announcement: &Announcement) {
        for peer in self.peers.values() {
            let _ = peer.orders.give(Input::Announce(announcement.clone()));
        }
    }

    fn close(&self, id: PeerId, end: End) {
        if let Some(peer) = self.peers.get(&id) {
            let _ = peer.orders.give(Input::Close(end));
        }
    }

    fn inventory(&mut self, input: inventory::Input) {
        let mut asks = Vec::new();
        self.inventory.step(self.clock.now(), input, &mut asks);
        for inventory::Ask(id, message) in asks {
            self.send(id, message);
        }
    }

    fn sync(&mut self, input: sync::Input) {
        let mut effects = Vec::new();
        self.sync.step(self.clock.now(), input, &mut effects);
        for effect in effects {
            match effect {
                sync::Effect::Send(id, message) => self.send(id, message),
                sync::Effect::CheckHeaders(headers) => self.check_headers(headers),
                sync::Effect::Add(block) => self.add(*block),
                sync::Effect::Misbehaved(id, what) => {
                    self.reporter.rejected("invalid");
                    tracing::warn!(target: "sync", peer = id, what, "a peer misbehaves");
                    self.close(id, End::Misbehaved);
                }
                sync::Effect::Slow(id) => self.close(id, End::Slow),
            }
        }
    }

    /// Hands a block to the chain; its answer comes back as an order.
    fn add(&self, block: Block) {
        let height = block.header.body().index;
        let (reply, outcome) = oneshot::channel();
        let request = Request { block: Arc::new(block), reply: Some(reply) };
        if self.blocks.try_send(request).is_err() {
            // The queue is longer than what the synchronisation hands on; it is full of other blocks of the same height.
            return;
        }
        let orders = self.orders.clone();
        drop(tokio::task::spawn_blocking(move || {
            if let Ok(outcome) = outcome.blocking_recv() {
                let _ = orders.blocking_send(Order::Added(height, outcome));
            }
        }));
    }

    /// Verifies headers that follow the last verified one, on the blocking pool.
    fn check_headers(&self, headers: Vec<Header>) {
        let (ledger, orders) = (Arc::clone(&self.ledger), self.orders.clone());
        let mut previous = self.header_tip.clone();
        drop(tokio::task::spawn_blocking(move || {
            let valid = ledger.view().is_ok_and(|view| {
                headers.iter().all(|header| {
                    let verdict = verify::verify_header(ledger.settings(), &view, &previous, header);
                    if let Err(err) = &verdict {
                        tracing::warn!(target: "sync", height = header.body().index, error = %err, "header refused");
                    }
                    previous = header.clone();
                    verdict.is_ok()
                })
            });
            let _ = orders.blocking_send(Order::HeadersChecked(valid, Box::new(previous)));
        }));
    }
}

fn points(keys: &[[u8; 33]]) -> Vec<PublicKey> {
    keys.iter().filter_map(|key| PublicKey::from_bytes(key)).collect()
}

fn single_account(key: &PublicKey) -> UInt160 {
    account::script_hash(&account::signature_script(key))
}

fn v6(ip: IpAddr) -> std::net::Ipv6Addr {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    }
}
