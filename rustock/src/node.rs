//! Wiring: opens the store, binds the sockets, starts the tasks, and carries values between the state machines, the
//! sockets, the chain and RPC. No rules and no parsing.

mod bodies;
mod descent;
mod dial;
mod import;
mod latency;
mod report;
mod views;

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use shared_vendor::{
    app::{Context, Daemon},
    clock::{Clock, Time},
    datadir::DataDir,
    exit::{self, Report},
    http::{self, Guard},
    machine::Machine,
    rpc::{Limits as RpcLimits, Server, Service},
    tasks::{Stage, Stop},
};
use tokio::{
    net::{TcpListener, UdpSocket},
    sync::{mpsc, watch},
    time::MissedTickBehavior,
};

pub use descent::CHECKPOINT_REFUSED;

use self::{
    bodies::{BodyDesk, Out},
    descent::Desk,
    dial::Dialler,
    import::Done,
    latency::Latencies,
    report::{Observed, Reporter},
};
use crate::{
    chain::Chain,
    codec::{full::decode_full, hash_for_merged_mining},
    config::{Config, Start},
    discovery::{self, Explorer},
    metrics::Metrics,
    net::{
        peer::Local,
        score::{Event as ScoreEvent, Scores},
        transport::{self, Command, Connection, Event, Hub},
    },
    params::{Checkpoint, FORK_DETECTION_WINDOW, Params},
    rlpx::NodeKey,
    rpc,
    store::StoreError,
    sync::{Effect, Fault, HeaderSync, Input, checkpoint, serve},
    types::{BlockHash, BlockNumber, Header, Timestamp},
    verify::{self, finality::Thresholds},
    wire::{
        p2p::Reason,
        rsk::{BlockId, Message, Status},
    },
};

const KEY_FILE: &str = "keys/node";
/// What peers did.
const BANS_FILE: &str = "bans.json";
/// Nodes to turn to after a restart.
const PEERS_FILE: &str = "peers.json";
/// How often the two are written.
const REMEMBER_EVERY: Duration = Duration::from_secs(60);
/// Requests in a row that an outbound peer may leave unanswered before another takes its place.
const SILENCES: u32 = 3;
const EVENT_QUEUE: usize = 1024;
/// Our status goes to all peers this often, and at once when the tip moves and nothing is being downloaded.
const STATUS_EVERY: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_secs(1);

/// What an operator is told when the store fails.
pub type StoreFailure = fn(&StoreError) -> Report;

/// Binds the sockets and starts the tasks over an open chain; returns when the node serves.
///
/// # Errors
/// The key or a port cannot be had.
pub async fn start<D: Daemon<Config = Config>>(
    ctx: Context<D>,
    chain: Arc<Chain>,
    store_failure: StoreFailure,
) -> Result<(), Report> {
    let params = chain.params().clone();
    let key = node_key(&ctx)?;

    let listener = ctx.bind("p2p.addr", ctx.common.p2p_addr).await?;
    let p2p = listener.local_addr().map_err(|err| exit_io("p2p.addr", &err))?;
    // UDP takes the port that TCP got: other nodes dial TCP where they hear us over UDP.
    let udp_addr = shared_vendor::config::Listen(SocketAddr::new(ctx.common.p2p_addr.0.ip(), p2p.port()));
    let udp = if ctx.config.discovery { Some(ctx.bind_udp("p2p.addr", udp_addr).await?) } else { None };
    let rpc_listener = ctx.bind("rpc.addr", ctx.common.rpc_addr).await?;
    let rpc_addr = rpc_listener.local_addr().map_err(|err| exit_io("rpc.addr", &err))?;
    let ws_listener = match ctx.config.ws {
        Some(addr) => Some(ctx.bind("rpc.ws-addr", addr).await?),
        None => None,
    };
    let ws_addr = ws_listener.as_ref().and_then(|listener| listener.local_addr().ok());
    ctx.status.update(ctx.clock.now(), |status| {
        if let Some(addr) = ws_addr {
            status.addresses.insert("ws", addr.to_string());
        }
        status.addresses.insert("p2p", format!("enode://{}@{p2p}", key.id()));
        status.addresses.insert("rpc", rpc_addr.to_string());
    });

    let (best, tip_time) = best_status(&chain);
    let (best_sender, best_receiver) = watch::channel(best);
    let (events_sender, events) = mpsc::channel(EVENT_QUEUE);
    let (found_sender, found) = mpsc::channel(EVENT_QUEUE);
    let genesis = params.genesis.as_ref().map(|genesis| genesis.hash).unwrap_or_default();
    let hub = Hub::new(transport::Parts {
        local: Local {
            id: key.id(),
            client: format!("Rustock/v{}/{}/{}", D::VERSION, std::env::consts::OS, ctx.common.network),
            port: p2p.port(),
            network_id: params.network_id,
            genesis,
        },
        key: key.clone(),
        best: best_receiver.clone(),
        events: events_sender,
        limits: transport::Limits {
            total: ctx.common.peers_max,
            inbound: ctx.common.peers_max.saturating_sub(ctx.config.dial.min(ctx.common.peers_max / 2)),
        },
        clock: Arc::clone(&ctx.clock),
        tasks: ctx.tasks.clone(),
        random: transport::system_random(),
    });

    let (sync_sender, sync_receiver) = watch::channel(rpc::Sync::default());
    let (peers_sender, peers_receiver) = watch::channel(Vec::new());
    let (bodies_sender, wanted) = mpsc::channel(EVENT_QUEUE);
    let (orders_sender, orders) = mpsc::channel(EVENT_QUEUE);
    let metrics = Metrics::register(&ctx.registry);
    let thresholds = Thresholds { safe: ctx.config.safe, finalized: ctx.config.finalized };
    let finality = Arc::new(rpc::Finality::new(thresholds));
    let blocks: Arc<dyn rpc::Blocks> = Arc::new(views::ChainBlocks(Arc::clone(&chain)));
    let forks = Arc::new(rpc::ForkMonitor::default());
    let rpc_context = rpc::Context {
        blocks: Arc::clone(&blocks),
        network: Arc::new(params.clone()),
        sync: sync_receiver,
        peers: peers_receiver,
        best: best_receiver,
        bodies: bodies_sender,
        orders: orders_sender,
        prover: ctx.config.upstream.as_ref().map(|url| {
            rpc::Prover::new(Arc::new(rpc::upstream::Http::new(&url.0)), metrics.upstream.clone())
        }),
        relayed: rpc::Relayed::default(),
        finality: Arc::clone(&finality),
        forks: Arc::clone(&forks),
        filters: rpc::Filters::new(rand::random()),
        clock: Arc::clone(&ctx.clock),
        client_version: format!("Rustock/{}/{}/Rust", D::VERSION, std::env::consts::OS),
    };
    serve_rpc(&ctx, rpc_listener, ws_listener, rpc_context)?;

    let remembered = |name: &str| std::fs::read_to_string(ctx.data.join(name)).unwrap_or_default();
    let scores = Scores::load(&remembered(BANS_FILE), ctx.clock.now(), wall(&*ctx.clock));
    let known = remembered(PEERS_FILE);
    let trusted = match ctx.config.checkpoint {
        Start::Genesis => None,
        Start::At(checkpoint) => Some(checkpoint),
        Start::Builtin => Some(params.checkpoint.ok_or_else(|| {
            Report::new(CHECKPOINT_REFUSED, format!("no checkpoint of {} is built in", params.network))
                .advice("give one as NUMBER:HASH:TOTAL-DIFFICULTY, or leave `sync.checkpoint` out")
        })?),
    };
    if let Some(trusted) = &trusted {
        let compared = descent::compare(&chain, trusted).map_err(|err| store_failure(&err))?;
        compared.map_err(|err| descent::refusal(trusted, &err))?;
    }
    let (finished_sender, finished) = mpsc::channel(4);
    let descent = Desk::new(&chain, trusted, finished_sender).map_err(|err| store_failure(&err))?;
    let dialler = Dialler::new(&ctx.config.peers, &known, ctx.config.dial, transport::system_random());
    let tip = chain.tip();
    let machine = header_sync(&chain);
    let reporter = Reporter::new(&ctx, (tip, tip_time), metrics.clone(), sync_sender, peers_sender);
    let (done_sender, done) = mpsc::channel(4);
    let node = Node {
        chain,
        store_failure,
        hub: Arc::clone(&hub),
        sync: machine,
        bodies: BodyDesk::new(params.clone()),
        blocks,
        finality,
        forks,
        latencies: Latencies::default(),
        peers: BTreeMap::new(),
        scores,
        dialler,
        reporter,
        metrics,
        best: best_sender,
        done: done_sender,
        clock: Arc::clone(&ctx.clock),
        last_status: Time::ZERO,
        data: Arc::clone(&ctx.data),
        remembered: ctx.clock.now(),
        silences: BTreeMap::new(),
        descent,
        pin: trusted,
        heard: BTreeMap::new(),
        refused: None,
    };
    let listening = Arc::clone(&hub);
    ctx.tasks.spawn_in(Stage::Serve, "peers", |stop| async move {
        listening.listen(listener, stop).await;
        Ok(())
    });
    if let Some(socket) = udp {
        let explorer = Explorer::new(key.clone(), p2p, params.network_id, rand::random());
        spawn_discovery(&ctx, &params, explorer, socket, found_sender);
    }
    ctx.tasks.spawn("node", |stop| node.run(events, found, (done, finished), (wanted, orders), stop));
    ctx.announce(&key.id().to_string(), "cookie for what changes peers, none for reading", tip.number.0);
    Ok(())
}

/// The time of day since 1970.
fn wall(clock: &dyn Clock) -> Duration {
    Duration::from_secs(clock.wall().as_secs())
}

fn exit_io(key: &str, err: &std::io::Error) -> Report {
    Report::new(exit::IO_ERROR, format!("the address of {key} cannot be read")).because(err)
}

/// The key of this node; made at the first start.
fn node_key<D: Daemon>(ctx: &Context<D>) -> Result<NodeKey, Report> {
    if !ctx.data.join(KEY_FILE).exists() {
        let key = NodeKey::generate(&mut transport::system_random());
        ctx.data.create_secret(KEY_FILE, shared_vendor::hex::encode(key.to_bytes()).as_bytes())?;
        return Ok(key);
    }
    let text = ctx.data.read_secret(KEY_FILE)?;
    let text = String::from_utf8_lossy(&text);
    shared_vendor::hex::decode_array(text.trim())
        .ok()
        .and_then(|bytes| NodeKey::from_bytes(bytes).ok())
        .ok_or_else(|| {
            Report::new(exit::DATA_DAMAGED, "the node key is not a private key of 64 hexadecimal digits")
                .at(ctx.data.join(KEY_FILE).display().to_string())
                .advice("restore it from a backup, or remove it: a new key is made at the next start")
        })
}

fn serve_rpc<D: Daemon<Config = Config>>(
    ctx: &Context<D>,
    listener: TcpListener,
    ws_listener: Option<TcpListener>,
    context: rpc::Context,
) -> Result<(), Report> {
    let methods = rpc::methods();
    let limits = RpcLimits::default();
    let service = Service::new(methods, Arc::new(context), rpc::dialect(), limits, &ctx.registry);
    let guard = Guard {
        hosts: ctx.config.rpc_hosts.clone(),
        origins: ctx.config.rpc_origins.clone(),
        credentials: vec![ctx.cookie()?],
        ..Guard::default()
    };
    let server = |guard| Server { service: Arc::clone(&service), guard, http: http::Limits::default() };
    let serve = |name, listener, paths, sockets| {
        let router = server(guard.clone()).router_with_sockets(paths, sockets, ctx.tasks.stop());
        ctx.tasks.spawn_in(Stage::Serve, name, |stop| async move {
            http::serve(listener, router, http::Limits::default(), stop).await;
            Ok(())
        });
    };
    serve("rpc", listener, &["/"] as &[_], &["/websocket"] as &[_]);
    if let Some(listener) = ws_listener {
        serve("ws", listener, &[], &["/", "/websocket"]);
    }
    Ok(())
}

fn spawn_discovery<D: Daemon<Config = Config>>(
    ctx: &Context<D>,
    params: &Params,
    explorer: Explorer,
    socket: UdpSocket,
    found: mpsc::Sender<discovery::udp::Event>,
) {
    let names = if ctx.config.bootnodes.is_empty() {
        params.bootstrap_nodes.iter().map(|name| (*name).to_owned()).collect()
    } else {
        ctx.config.bootnodes.clone()
    };
    let clock = Arc::clone(&ctx.clock);
    ctx.tasks.spawn_in(Stage::Serve, "discovery", |stop| async move {
        let boot = tokio::select! {
            () = stop.wait() => return Ok(()),
            boot = resolve(names) => boot,
        };
        discovery::udp::run(explorer, socket, boot, found, clock, stop).await;
        Ok(())
    });
}

async fn resolve(names: Vec<String>) -> Vec<SocketAddr> {
    let mut addresses = Vec::new();
    for name in names {
        match tokio::net::lookup_host(&name).await {
            Ok(found) => addresses.extend(found),
            Err(err) => tracing::warn!(target: "discovery", name, error = %err, "boot node has no address"),
        }
    }
    addresses
}

/// The download of new headers, from the tip on.
fn header_sync(chain: &Chain) -> HeaderSync {
    let tip = chain.tip();
    let floor = chain.checkpoint().map(|checkpoint| checkpoint.number).unwrap_or_default();
    HeaderSync::new(BlockId { hash: tip.hash, number: tip.number }).with_floor(floor)
}

/// Our best block as peers are told, and its time.
fn best_status(chain: &Chain) -> (Status, Timestamp) {
    let tip = chain.tip();
    let (parent, time) = match chain.header_by_hash(&tip.hash) {
        Ok(Some((header, _))) => (header.parent_hash(), header.timestamp()),
        _ => (BlockHash::ZERO, Timestamp(0)),
    };
    let best = BlockId { hash: tip.hash, number: tip.number };
    (Status { best, parent: Some((parent, tip.total_difficulty)) }, time)
}

/// The task between peers, synchronisation and chain.
struct Node {
    chain: Arc<Chain>,
    store_failure: StoreFailure,
    hub: Arc<Hub>,
    sync: HeaderSync,
    bodies: BodyDesk,
    blocks: Arc<dyn rpc::Blocks>,
    finality: Arc<rpc::Finality>,
    forks: Arc<rpc::ForkMonitor>,
    latencies: Latencies,
    peers: BTreeMap<u64, Connection>,
    scores: Scores,
    dialler: Dialler,
    reporter: Reporter,
    metrics: Metrics,
    best: watch::Sender<Status>,
    done: mpsc::Sender<Done>,
    clock: Arc<dyn Clock>,
    last_status: Time,
    data: Arc<DataDir>,
    /// When records and known nodes were written.
    remembered: Time,
    /// Requests in a row that peers have left unanswered.
    silences: BTreeMap<u64, u32>,
    /// What lies below a checkpoint, while some of it is missing.
    descent: Option<Desk>,
    /// The checkpoint of the configuration, until the chain has come to it.
    pin: Option<Checkpoint>,
    /// The newest block that each peer has told of.
    heard: BTreeMap<u64, BlockId>,
    /// Why the node cannot go on.
    refused: Option<Report>,
}

impl Node {
    async fn run(
        mut self,
        mut events: mpsc::Receiver<Event>,
        mut found: mpsc::Receiver<discovery::udp::Event>,
        (mut done, mut finished): (mpsc::Receiver<Done>, mpsc::Receiver<descent::Finished>),
        (mut wanted, mut orders): (mpsc::Receiver<rpc::BodyRequest>, mpsc::Receiver<rpc::Order>),
        stop: Stop,
    ) -> Result<(), Report> {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let descends = self.descent.as_ref().and_then(Desk::deadline);
            tokio::select! {
                () = stop.wait() => return self.close().await,
                () = transport::sleep_until(&*self.clock, descends) => {
                    let busy = self.sync.progress().busy;
                    self.on_descent(checkpoint::Input::Busy(busy));
                }
                Some(event) = events.recv() => self.on_event(event),
                Some(done) = done.recv() => self.on_done(done)?,
                Some(finished) = finished.recv() => self.on_descended(finished)?,
                Some(event) = found.recv() => self.on_discovery(event),
                Some(request) = wanted.recv() => {
                    let outs = self.bodies.want(self.clock.now(), request);
                    self.carry_out(outs);
                }
                Some(order) = orders.recv() => self.on_order(order),
                _ = tick.tick() => self.on_tick(),
            }
            if let Some(refusal) = self.refused.take() {
                return Err(refusal);
            }
        }
    }

    /// Carries out what a client of RPC asks of the node itself.
    fn on_order(&mut self, order: rpc::Order) {
        match order {
            rpc::Order::Relay(raw, reply) => {
                let message = Message::Transactions(vec![raw]);
                let told =
                    |peer: &&Connection| peer.commands.try_send(Command::Send(message.clone())).is_ok();
                let count = self.peers.values().filter(told).count();
                self.metrics.relayed.inc_by(u64::from(count > 0));
                let _ = reply.send(count);
            }
            rpc::Order::Scores(run) => {
                run(&mut self.scores);
                let now = self.clock.now();
                for peer in self.peers.values() {
                    if self.scores.is_banned(now, Some(&peer.remote), peer.address.ip().to_canonical()) {
                        let _ = peer.commands.try_send(Command::Close(Reason::USELESS_PEER));
                    }
                }
            }
        }
    }

    /// A block that a peer pushes, and whose parent we do not have, may stand on a branch that nobody shows us.
    fn watch_forks(&self, header: &Header) {
        let params = self.chain.params();
        let old = header.number().0 < FORK_DETECTION_WINDOW;
        if old || !matches!(self.chain.header_by_hash(&header.parent_hash()), Ok(None)) {
            return;
        }
        let (params, blocks, forks) = (params.clone(), Arc::clone(&self.blocks), Arc::clone(&self.forks));
        let (header, clock, metrics) = (header.clone(), Arc::clone(&self.clock), self.metrics.clone());
        drop(tokio::task::spawn_blocking(move || {
            let Some(tag) = hash_for_merged_mining(&params, &header) else { return };
            // Only work that was really spent counts.
            if verify::check(&params, header, None).is_err() {
                return;
            }
            let Some(found) = rpc::forks::compare_tag(&params, &*blocks, &tag) else { return };
            metrics.compared.inc();
            if forks.see(clock.now(), tag, found) {
                let length = found.length();
                tracing::error!(target: "chain", code = "E0603", %tag, length, "a proof of work commits to a hidden branch");
            }
        }));
    }

    /// The last import has ended before the store closes.
    async fn close(mut self) -> Result<(), Report> {
        let _ = self.remember(self.clock.now()).await;
        let chain = Arc::clone(&self.chain);
        let flushed = tokio::task::spawn_blocking(move || chain.store().flush()).await;
        match flushed {
            Ok(Err(err)) => Err((self.store_failure)(&err)),
            Ok(Ok(())) | Err(_) => Ok(()),
        }
    }

    fn on_event(&mut self, event: Event) {
        let now = self.clock.now();
        match event {
            Event::Ready(peer) => {
                if self.scores.is_banned(now, Some(&peer.remote), peer.address.ip().to_canonical()) {
                    let _ = peer.commands.try_send(Command::Close(Reason::USELESS_PEER));
                    return;
                }
                let direction = if peer.inbound { "in" } else { "out" };
                let client = shared_vendor::exit::escape(&peer.client);
                tracing::info!(target: "net", peer = peer.remote.short(), address = %peer.address, direction, client, "peer connected");
                let outbound = self.hub.count(false);
                if self.dialler.connected(now, &peer.remote, outbound) {
                    let _ = peer.commands.try_send(Command::Close(Reason::REQUESTED));
                    return;
                }
                self.peers.insert(peer.key, peer.clone());
                self.step(Input::PeerReady(peer.key));
            }
            Event::Message(key, message) => {
                self.silences.remove(&key);
                self.on_message(key, message);
            }
            Event::Latency(key, latency) => {
                self.latencies.measured(key, latency);
            }
            Event::Score(remote, address, event) => self.score(remote, address, event),
            Event::Closed { key, remote, was_ready, reason, .. } => {
                if let Some(remote) = remote {
                    self.dialler.closed(now, &remote);
                }
                if was_ready {
                    self.reporter.disconnected(reason);
                    self.silences.remove(&key);
                    self.peers.remove(&key);
                    self.heard.remove(&key);
                    self.on_descent(checkpoint::Input::PeerGone(key));
                    self.latencies.gone(key);
                    self.step(Input::PeerGone(key));
                    self.on_body(bodies::Input::PeerGone(key));
                    let peer = remote.map(|remote| remote.short()).unwrap_or_default();
                    tracing::info!(target: "net", peer, %reason, "peer disconnected");
                }
            }
        }
    }

    fn on_message(&mut self, key: u64, message: Message) {
        self.latencies.received(self.clock.now(), key, &message);
        match message {
            Message::BlockHashRequest { .. }
            | Message::SkeletonRequest { .. }
            | Message::HeadersRequest { .. } => self.answer(key, message),
            Message::Block { block } => {
                // The first item of a block is its header in the uncompressed form.
                let header = crate::codec::rlp::Items::of_list(&block).and_then(|mut items| items.raw());
                if let Ok((header, _)) =
                    header.map_err(drop).and_then(|raw| decode_full(self.chain.params(), raw).map_err(drop))
                {
                    let block = BlockId { hash: header.hash(), number: header.number() };
                    self.watch_forks(&header);
                    self.on_heard(key, block);
                    self.step(Input::Announced(key, block));
                }
            }
            body @ Message::BodyResponse { .. } => self.on_body(bodies::Input::Message(key, body)),
            other => {
                let best = match &other {
                    Message::Status(status) => Some(status.best),
                    Message::NewBlockHashes(blocks) => {
                        blocks.iter().copied().max_by_key(|block| block.number)
                    }
                    _ => None,
                };
                if let Some(block) = best {
                    self.on_heard(key, block);
                }
                if matches!(other, Message::BlockHashResponse { .. } | Message::HeadersResponse { .. }) {
                    self.on_descent(checkpoint::Input::Message(key, other.clone()));
                }
                self.step(Input::Message(key, other));
            }
        }
    }

    /// A peer has told of a block.
    fn on_heard(&mut self, key: u64, block: BlockId) {
        self.heard.insert(key, block);
        self.on_body(bodies::Input::Announced(key, block.number));
        self.on_descent(checkpoint::Input::Announced(key, block.number));
    }

    fn on_body(&mut self, input: bodies::Input) {
        let outs = self.bodies.step(self.clock.now(), input);
        self.carry_out(outs);
    }

    fn carry_out(&mut self, outs: Vec<Out>) {
        for out in outs {
            match out {
                Out::Send(key, message) => self.send(key, message),
                Out::Fault(key) => self.on_fault(key, Fault::InvalidMessage),
            }
        }
    }

    fn send(&mut self, key: u64, message: Message) {
        let Some(peer) = self.peers.get(&key) else { return };
        self.latencies.sent(self.clock.now(), key, &message);
        let _ = peer.commands.try_send(Command::Send(message));
    }

    /// Looks the answer up on the blocking pool; the peer's own rate limit bounds how many wait.
    fn answer(&self, key: u64, request: Message) {
        let Some(peer) = self.peers.get(&key) else { return };
        let (commands, chain, served) =
            (peer.commands.clone(), Arc::clone(&self.chain), self.metrics.served.clone());
        drop(tokio::task::spawn_blocking(move || {
            if let Some(answer) = serve::answer(&views::ChainView(&chain), &request) {
                served.inc();
                let _ = commands.blocking_send(Command::Send(answer));
            }
        }));
    }

    fn on_discovery(&mut self, event: discovery::udp::Event) {
        match event {
            discovery::udp::Event::Found(node) => {
                tracing::debug!(target: "discovery", node = node.id.short(), address = %node.address, "node found");
                self.dialler.found(node.id, node.address);
            }
            discovery::udp::Event::Lost(id) => self.dialler.lost(&id),
        }
        self.metrics.discovered.set(self.dialler.discovered());
    }

    fn on_tick(&mut self) {
        let now = self.clock.now();
        if self.sync.deadline().is_some_and(|deadline| deadline <= now) {
            self.step(Input::Tick);
        }
        if self.bodies.deadline().is_some_and(|deadline| deadline <= now) {
            self.on_body(bodies::Input::Tick);
        }
        let outbound = self.hub.count(false);
        for (id, address) in self.dialler.due(now, outbound) {
            if !self.scores.is_banned(now, Some(&id), address.ip().to_canonical()) {
                self.hub.dial(id, address);
            }
        }
        if now.since(self.last_status) >= STATUS_EVERY {
            self.tell_status(now);
        }
        if now.since(self.remembered) >= REMEMBER_EVERY {
            drop(self.remember(now));
        }
        if !self.sync.progress().busy && !self.finality.is_of(&self.best.borrow().best.hash) {
            let (finality, blocks) = (Arc::clone(&self.finality), Arc::clone(&self.blocks));
            drop(tokio::task::spawn_blocking(move || finality.settled(&*blocks)));
        }
        let observed = Observed {
            peers: &self.peers,
            scores: &self.scores,
            latencies: &self.latencies,
            finality: &self.finality,
            forks: &self.forks,
            traffic: &self.hub.traffic,
        };
        self.reporter.tick(now, self.sync.progress(), &observed);
    }

    /// Writes what is known of other nodes. Losing it costs time, nothing else.
    fn remember(&mut self, now: Time) -> tokio::task::JoinHandle<()> {
        self.remembered = now;
        let (bans, peers) = (self.scores.save(now, wall(&*self.clock)), self.dialler.save());
        let data = Arc::clone(&self.data);
        tokio::task::spawn_blocking(move || {
            for (name, text) in [(BANS_FILE, bans), (PEERS_FILE, peers)] {
                if let Err(report) = data.write(name, text.as_bytes()) {
                    tracing::warn!(target: "net", name, error = %report, "known nodes cannot be written");
                }
            }
        })
    }

    fn tell_status(&mut self, now: Time) {
        self.last_status = now;
        let status = Message::Status(*self.best.borrow());
        for peer in self.peers.values() {
            let _ = peer.commands.try_send(Command::Send(status.clone()));
        }
    }

    fn on_done(&mut self, done: Done) -> Result<(), Report> {
        let Done { job, result, inserted, took, failure } = done;
        if let Some(err) = failure {
            return Err((self.store_failure)(&err));
        }
        let now = self.clock.now();
        if let Some(inserted) = inserted {
            self.metrics.headers.inc_by(u64::try_from(inserted.added).unwrap_or_default());
            self.reporter.imported(now, &inserted, took);
        }
        let tip = self.chain.tip();
        let changed = self.best.borrow().best.hash != tip.hash;
        if changed {
            let (best, time) = best_status(&self.chain);
            self.best.send_replace(best);
            self.reporter.tip_changed(tip, time);
            self.step(Input::Tip(BlockId { hash: tip.hash, number: tip.number }));
            if let Some(pin) = self.pin.filter(|pin| pin.number <= tip.number) {
                match descent::compare(&self.chain, &pin).map_err(|err| (self.store_failure)(&err))? {
                    Ok(()) => self.pin = None,
                    Err(err) => self.refuse(&err),
                }
            }
        }
        self.step(Input::Imported { job, result });
        if changed && !self.sync.progress().busy {
            self.tell_status(now);
        }
        Ok(())
    }

    /// Feeds the sync machine and carries out what it wants, until it wants nothing more.
    fn step(&mut self, input: Input) {
        if self.descent.as_ref().is_some_and(Desk::is_holding) {
            return;
        }
        let now = self.clock.now();
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let mut effects = Vec::new();
            self.sync.step(now, input, &mut effects);
            for effect in effects {
                inputs.extend(self.perform(effect));
            }
        }
    }

    fn perform(&mut self, effect: Effect) -> Option<Input> {
        match effect {
            Effect::Send(key, message) => {
                self.send(key, message);
                None
            }
            Effect::Locate { query, hash } => {
                let found = self.chain.header_by_hash(&hash).ok().flatten();
                let height = found.as_ref().map(|(header, _)| header.number());
                let on_chain =
                    |number: &BlockNumber| self.chain.is_on_chain(*number, &hash).unwrap_or_default();
                Some(Input::Located { query, known: found.is_some(), height: height.filter(on_chain) })
            }
            Effect::Import { job, parts } => {
                let count: usize = parts.iter().map(|part| part.headers.len()).sum();
                let top = parts.last().map(|part| part.top.number).unwrap_or_default();
                tracing::debug!(target: "sync", %top, parts = parts.len(), count, "import");
                import::spawn(Arc::clone(&self.chain), &self.clock, self.done.clone(), job, parts);
                None
            }
            Effect::Fault(key, fault) => {
                self.on_fault(key, fault);
                None
            }
        }
    }

    fn on_fault(&mut self, key: u64, fault: Fault) {
        let Some(peer) = self.peers.get(&key).cloned() else { return };
        let (event, name) = match fault {
            Fault::Timeout => (ScoreEvent::TimeoutMessage, "timeout"),
            Fault::InvalidMessage => (ScoreEvent::InvalidMessage, "invalid_message"),
            Fault::InvalidHeader => (ScoreEvent::InvalidHeader, "invalid_header"),
        };
        tracing::warn!(target: "sync", peer = peer.remote.short(), fault = name, "peer failed us");
        self.reporter.rejected(name);
        self.score(peer.remote, peer.address.ip().to_canonical(), event);
        if fault == Fault::Timeout {
            let silences = self.silences.entry(key).or_default();
            *silences = silences.saturating_add(1);
            if *silences >= SILENCES && !peer.inbound {
                let _ = peer.commands.try_send(Command::Close(Reason::USELESS_PEER));
            }
        }
    }

    /// Remembers what a peer did, and parts from it when that bans it.
    fn score(&mut self, remote: crate::rlpx::NodeId, address: std::net::IpAddr, event: ScoreEvent) {
        let now = self.clock.now();
        let before = self.scores.is_banned(now, Some(&remote), address);
        self.scores.record(now, remote, address, event);
        if !before && self.scores.is_banned(now, Some(&remote), address) {
            self.reporter.banned(event);
            // Written with the next tick.
            self.remembered = Time::ZERO;
            for peer in self.peers.values().filter(|peer| peer.remote == remote) {
                let _ = peer.commands.try_send(Command::Close(Reason::USELESS_PEER));
            }
        }
    }
}
