//! Wiring: opens the database, binds the sockets, starts the tasks, and carries values between the core, the transport
//! and RPC. No rules and no parsing.

use std::{collections::BTreeMap, ops::ControlFlow, sync::Arc, time::Duration};

use libp2p::{Multiaddr, PeerId, identity};
use shared_vendor::{
    app::{self, Context, Daemon},
    clock::{Clock, Time},
    exit::{self, Code, Exit, Report},
    http::{self, Guard},
    machine::Machine,
    rpc::{Limits as RpcLimits, Server, Service},
    tasks::{Stage, Stop},
};
use tokio::{
    sync::{broadcast, mpsc, oneshot},
    time::MissedTickBehavior,
};

use super::{
    bootstrap,
    core::{Core, Effect, Failure, Input, Parts},
    keys,
    report::Reporter,
    signer::{self, Joined, RemoteKeys},
};
use crate::{
    api::{self, Backend, PeerLine, View},
    config::Config,
    consensus::chain::{Chain, ChainError, Event as ChainEvent},
    crypto::derive::interop_key,
    mempool::Refusal,
    network::{
        request::{Goodbye, Request},
        score::{Fault, Scores, Standing},
        transport::{self, Command, Event, Info, Transport},
    },
    state::{
        genesis::Start,
        verifier::{BatchVerifier, Verifier},
    },
    storage::{FoldedState as _, SqliteDatabase, StoreError, sqlite::History},
    types::{
        domain::ForkData,
        operation::Checkpoint,
        params::Config as ChainConfig,
        primitives::{Epoch, Root},
        transaction::Tx,
    },
    validator::{
        duties::Duties,
        vault::{Keys, LocalKeys, Vault},
    },
};

const NODE_KEY: &str = "keys/node";
const QUEUE: usize = 4096;
/// Notifications that a subscriber may be behind before it is told that it lags.
const EVENTS: usize = 1024;
const TICK: Duration = Duration::from_secs(1);
/// While the clock of the system and ours differ by less, nothing is corrected.
const CLOCK_STEP_MS: u64 = 50;

/// The database failed or holds something that is no chain of these rules.
pub const DATABASE_FAILED: Code = Code {
    id: "E0301",
    exit: Exit::Io,
    title: "the chain's database failed",
    text: "The disk, the file system or the permissions are at fault; the message holds the engine's own text. What was committed before is intact.",
};
/// The database is damaged or foreign.
pub const DATABASE_DAMAGED: Code = Code {
    id: "E0302",
    exit: Exit::Damaged,
    title: "the chain's database cannot be used",
    text: "What is stored is not a chain of this network. Remove the folder `db` in the data directory of the network; the node gets the chain from its peers. Keys and the record of signatures stay.",
};
/// The keys of validators or their record cannot be used.
pub const KEYS_FAILED: Code = Code {
    id: "E0801",
    exit: Exit::Failed,
    title: "the validators' keys cannot be used",
    text: "A key file, its password or the record of signed messages is at fault. Nothing was signed. Never start with an empty record in place of a damaged one: import what another copy exported.",
};

type Job = Box<dyn FnOnce(&mut Core<SqliteDatabase>, Time, &mut Vec<Effect>) + Send>;

/// Opens everything and starts the tasks; returns when the node serves.
///
/// # Errors
/// The database, a key or a port cannot be had.
pub async fn start<D: Daemon<Config = Config>>(
    ctx: Context<D>,
    config: Arc<ChainConfig>,
    genesis: Start,
) -> Result<(), Report> {
    let random = random32()?;
    let verifier: Arc<dyn Verifier> = Arc::new(BatchVerifier::new(random));
    let root = genesis.block.root();
    let validators_root = genesis.state.genesis_validators_root;
    let key = node_key(&ctx)?;
    let epoch = Duration::from_millis(config.params.slot_ms.saturating_mul(config.params.slots_per_epoch));
    let version = config.genesis_fork_version;
    let fork_data = ForkData { current_version: version, genesis_validators_root: validators_root };
    let mut transport = Transport::bind(
        key,
        transport::Settings {
            listen: ctx.common.p2p_addr.0,
            peers: ctx.config.peers.iter().map(|peer| peer.0.clone()).collect(),
            multicast: ctx.config.multicast,
            max_peers: ctx.common.peers_max,
            agent: format!("{}/{}", D::NAME, D::VERSION),
            genesis: root,
            fork_digest: fork_data.digest(),
            seen_for: epoch.saturating_mul(2),
        },
    )
    .map_err(|err| listen_failed(&ctx, &err))?;
    let id = transport.id();
    let listening = transport.listening().await.map_err(|err| listen_failed(&ctx, &err))?;
    let rpc_listener = ctx.bind("rpc.addr", ctx.common.rpc_addr).await?;
    let rpc_addr = rpc_listener
        .local_addr()
        .map_err(|err| Report::new(exit::IO_ERROR, "the address of rpc.addr cannot be read").because(&err))?;
    let socket =
        transport::socket_address(&listening).map_or_else(|| listening.to_string(), |at| at.to_string());
    ctx.status.update(ctx.clock.now(), |status| {
        status.addresses.insert("p2p", socket);
        status.addresses.insert("rpc", rpc_addr.to_string());
    });
    let (commands, command_queue) = mpsc::channel(QUEUE);
    let (events, mut event_queue) = mpsc::channel(QUEUE);
    ctx.tasks.spawn_in(Stage::Serve, "network", |stop| async move {
        transport.run(command_queue, events, stop).await;
        Ok(())
    });

    let db = open_database(&ctx, &config)?;
    let is_new = db.folded().map_err(|err| store_report(&err))?.is_none();
    let mut peers = BTreeMap::new();
    let chain = match ctx.config.checkpoint.filter(|_| is_new) {
        Some(trusted) => {
            let checkpoint = Checkpoint { epoch: trusted.epoch, root: Root(trusted.root) };
            let anchor =
                bootstrap::fetch(&ctx, &config, checkpoint, &commands, &mut event_queue, &mut peers).await?;
            let made = tokio::task::block_in_place(|| {
                Chain::from_checkpoint(Arc::clone(&config), anchor, db, Arc::clone(&verifier))
            });
            made.map_err(|err| {
                Report::new(DATABASE_DAMAGED, "the checkpoint cannot be started from").because(&err)
            })?
        }
        None => {
            let verifier = Arc::clone(&verifier);
            tokio::task::block_in_place(|| {
                if is_new {
                    Chain::create(Arc::clone(&config), genesis, db, verifier)
                } else {
                    Chain::open(Arc::clone(&config), db, verifier)
                }
            })
            .map_err(|err| chain_report(&err))?
        }
    };
    let base_ms = base_ms(&*ctx.clock);
    let (vault, duties) = validators(&ctx, &config, validators_root, &*ctx.clock)?;
    let mut graffiti = [0; 32];
    for (to, from) in graffiti.iter_mut().zip(ctx.config.graffiti.bytes()) {
        *to = from;
    }
    let height = chain.head_slot();
    let core = Core::new(Parts { chain, verifier, vault, duties, base_ms, graffiti, serve_states: true });

    let (jobs, job_queue) = mpsc::channel(QUEUE);
    let (feed, _) = broadcast::channel(EVENTS);
    let handle =
        Handle { jobs, commands: commands.clone(), feed: feed.clone(), id, clock: Arc::clone(&ctx.clock) };
    serve_rpc(&ctx, rpc_listener, handle)?;
    let node = Node {
        core,
        commands,
        feed,
        scores: Scores::default(),
        peers,
        reporter: Reporter::new(&ctx, height),
        clock: Arc::clone(&ctx.clock),
        base_ms,
    };
    ctx.tasks.spawn("node", |stop| node.run(event_queue, job_queue, stop));
    ctx.announce(&id.to_string(), "cookie for net_ban, net_unban and net_connect", height);
    Ok(())
}

/// Unix milliseconds when the monotonic clock was at zero.
fn base_ms(clock: &dyn Clock) -> u64 {
    clock.wall().as_millis().saturating_sub(clock.now().as_nanos() / 1_000_000)
}

fn random32() -> Result<[u8; 32], Report> {
    use rand::TryRng as _;
    let mut bytes = [0; 32];
    rand::rngs::SysRng.try_fill_bytes(&mut bytes).map_err(|err| {
        Report::new(exit::UNEXPECTED, "the operating system gives no random numbers").because(&err)
    })?;
    Ok(bytes)
}

fn listen_failed<D: Daemon>(ctx: &Context<D>, err: &transport::TransportError) -> Report {
    let cause = std::io::Error::new(std::io::ErrorKind::AddrInUse, err.to_string());
    app::bind_error("p2p.addr", ctx.common.p2p_addr, &cause)
}

fn open_database<D: Daemon<Config = Config>>(
    ctx: &Context<D>,
    config: &ChainConfig,
) -> Result<SqliteDatabase, Report> {
    let path = ctx.data.join("db").join("chain.db");
    let history =
        if ctx.config.archive { History::Archive } else { History::Slots(ctx.config.history_slots) };
    tokio::task::block_in_place(|| SqliteDatabase::open(&path, &config.hash(), history))
        .map_err(|err| store_report(&err).at(path.display().to_string()))
}

/// What an operator is told when the database cannot be opened or read.
pub(crate) fn store_report(err: &StoreError) -> Report {
    let code = match err {
        StoreError::Sqlite(_) => DATABASE_FAILED,
        _ => DATABASE_DAMAGED,
    };
    Report::new(code, code.title).because(err)
}

/// What an operator is told when the chain cannot go on.
pub(crate) fn chain_report(err: &ChainError) -> Report {
    match err {
        ChainError::Store(err) => store_report(err),
        ChainError::Inconsistent(_) => Report::new(DATABASE_DAMAGED, DATABASE_DAMAGED.title).because(err),
    }
}

/// The keys of this node, behind the record of what they signed.
fn validators<D: Daemon<Config = Config>>(
    ctx: &Context<D>,
    config: &ChainConfig,
    genesis_validators_root: Root,
    clock: &dyn Clock,
) -> Result<(Vault, Duties), Report> {
    let failed =
        |err: &(dyn std::error::Error + 'static)| Report::new(KEYS_FAILED, KEYS_FAILED.title).because(err);
    let mut secrets = Vec::new();
    if let Some(range) = &ctx.config.interop {
        for index in range.0.clone() {
            secrets.push(interop_key(index).map_err(|err| failed(&err))?);
        }
    }
    let files = keys::files(&ctx.data.join(keys::FOLDER)).map_err(|err| failed(&err))?;
    if !files.is_empty() {
        let Some(file) = &ctx.config.password_file else {
            return Err(Report::new(KEYS_FAILED, "there are key files, but no password")
                .advice("set validator.password-file"));
        };
        let password = keys::password(file).map_err(|err| failed(&err))?;
        for file in files {
            secrets.push(keys::open(&file, &password).map_err(|err| failed(&err))?);
        }
    }
    let path = ctx.data.join(keys::RECORD);
    let is_new = !path.exists();
    let record = keys::open_record(&path, genesis_validators_root).map_err(|err| failed(&err))?;
    let mut holders: Vec<Box<dyn Keys>> = vec![Box::new(LocalKeys::new(secrets))];
    for url in &ctx.config.signers {
        let remote = tokio::task::block_in_place(|| RemoteKeys::connect(url, signer::PATIENCE))
            .map_err(|err| failed(&err))?;
        tracing::info!(target: "validator", url, keys = remote.list().len(), "keys of a signer elsewhere");
        holders.push(Box::new(remote));
    }
    let keys = Joined(holders);
    let now_ms = clock.wall().as_millis();
    let since_genesis = now_ms.checked_sub(config.genesis_time.saturating_mul(1000));
    let epoch: Option<Epoch> = since_genesis
        .and_then(|ms| ms.checked_div(config.params.slot_ms))
        .map(|slot| config.params.epoch_of(slot));
    // before the first epoch ends nobody can have signed anything elsewhere that matters
    let watch = epoch.filter(|epoch| ctx.config.doppelganger && *epoch > 0);
    let list = keys.list();
    if !list.is_empty() {
        tracing::info!(target: "validator", keys = list.len(), new_record = is_new, "validators");
    }
    if let Some(epoch) = watch.filter(|_| !list.is_empty()) {
        let from = epoch.saturating_add(crate::validator::duties::DOPPELGANGER_EPOCHS);
        tracing::info!(target: "validator", from_epoch = from, "watching for another instance of our keys");
    }
    let duties = Duties::new(list, watch);
    Ok((Vault::new(Box::new(keys), Box::new(record)), duties))
}

/// The key of this node; made at the first start.
fn node_key<D: Daemon>(ctx: &Context<D>) -> Result<identity::Keypair, Report> {
    if !ctx.data.join(NODE_KEY).exists() {
        let seed = random32()?;
        ctx.data.create_secret(NODE_KEY, shared_vendor::hex::encode(seed).as_bytes())?;
    }
    let text = ctx.data.read_secret(NODE_KEY)?;
    let seed: Option<[u8; 32]> = shared_vendor::hex::decode_array(String::from_utf8_lossy(&text).trim()).ok();
    seed.and_then(|seed| identity::Keypair::ed25519_from_bytes(seed).ok()).ok_or_else(|| {
        Report::new(exit::DATA_DAMAGED, "the node key is not a private key of 64 hexadecimal digits")
            .at(ctx.data.join(NODE_KEY).display().to_string())
            .advice("restore it from a backup, or remove it: a new key is made at the next start")
    })
}

fn serve_rpc<D: Daemon<Config = Config>>(
    ctx: &Context<D>,
    listener: tokio::net::TcpListener,
    handle: Handle,
) -> Result<(), Report> {
    let context = api::Context {
        backend: Arc::new(handle),
        version: format!("{}/{}", D::NAME, D::VERSION),
        network: ctx.common.network.clone(),
    };
    let limits = RpcLimits { unsent: EVENTS, reply_bytes: 64 << 20, ..RpcLimits::default() };
    let service = Service::new(api::methods(), Arc::new(context), api::dialect(), limits, &ctx.registry);
    let guard = Guard {
        hosts: ctx.config.rpc_hosts.clone(),
        origins: ctx.config.rpc_origins.clone(),
        credentials: vec![ctx.cookie()?],
        ..Guard::default()
    };
    let router = Server { service, guard, http: http::Limits::default() }.router(&["/", "/ws"]);
    ctx.tasks.spawn_in(Stage::Serve, "rpc", |stop| async move {
        http::serve(listener, router, http::Limits::default(), stop).await;
        Ok(())
    });
    Ok(())
}

/// What RPC holds of the running node.
struct Handle {
    jobs: mpsc::Sender<Job>,
    commands: mpsc::Sender<Command>,
    feed: broadcast::Sender<ChainEvent>,
    id: PeerId,
    clock: Arc<dyn Clock>,
}

impl Backend for Handle {
    fn read(&self, question: Box<dyn FnOnce(&mut View<'_>) + Send>) -> bool {
        let job: Job = Box::new(move |core, _, _| {
            let (syncing, peers) = (core.sync_target(), core.peers().len());
            let (chain, mempool) = core.chain_and_mempool();
            question(&mut View { chain, mempool, syncing, peers });
        });
        self.jobs.try_send(job).is_ok()
    }

    fn submit(&self, txs: Vec<Tx>) -> oneshot::Receiver<Vec<Result<Root, Refusal>>> {
        let (answer, receiver) = oneshot::channel();
        let job: Job = Box::new(move |core, now, out| {
            let _ = answer.send(core.submit(now, txs, out)); // who asked may be gone
        });
        let _ = self.jobs.try_send(job); // when it is full, the answer never comes and the caller is told
        receiver
    }

    fn peers(&self) -> oneshot::Receiver<Vec<PeerLine>> {
        let (answer, receiver) = oneshot::channel();
        let _ = self.commands.try_send(Command::List(Box::new(move |peers| {
            let line = |info: &Info| PeerLine {
                id: info.id.to_string(),
                number: info.number,
                address: info.address.to_string(),
                inbound: info.inbound,
                agent: info.agent.clone(),
            };
            let _ = answer.send(peers.values().map(line).collect());
        })));
        receiver
    }

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn now_ms(&self) -> u64 {
        self.clock.wall().as_millis()
    }

    fn subscribe(&self) -> broadcast::Receiver<ChainEvent> {
        self.feed.subscribe()
    }

    fn ban(&self, peer: &str, banned: bool) -> Result<(), String> {
        let id: PeerId = peer.parse().map_err(|_| "not a peer id".to_owned())?;
        let number = transport::number_of(&id);
        let command = if banned { Command::Part(number, true) } else { Command::Unban(number) };
        self.commands.try_send(command).map_err(|_| "the node is busy".to_owned())
    }

    fn connect(&self, address: &str) -> Result<(), String> {
        let address: Multiaddr = address.parse().map_err(|_| "not a multiaddress".to_owned())?;
        self.commands.try_send(Command::Dial(address)).map_err(|_| "the node is busy".to_owned())
    }
}

/// The task that owns the core.
struct Node {
    core: Core<SqliteDatabase>,
    commands: mpsc::Sender<Command>,
    feed: broadcast::Sender<ChainEvent>,
    scores: Scores<u64>,
    peers: BTreeMap<u64, Info>,
    reporter: Reporter,
    clock: Arc<dyn Clock>,
    base_ms: u64,
}

impl Node {
    async fn run(
        mut self,
        mut events: mpsc::Receiver<Event>,
        mut jobs: mpsc::Receiver<Job>,
        stop: Stop,
    ) -> Result<(), Report> {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for peer in self.peers.keys().copied().collect::<Vec<_>>() {
            if let ControlFlow::Break(report) = self.feed(Input::Connected(peer)) {
                return Err(report);
            }
        }
        loop {
            let deadline = self.core.deadline();
            let wait = deadline.map_or(TICK, |at| at.since(self.clock.now()));
            let step = tokio::select! {
                biased;
                () = stop.wait() => return Ok(()),
                () = tokio::time::sleep(wait) => self.feed(Input::Tick),
                Some(event) = events.recv() => self.on_event(event),
                Some(job) = jobs.recv() => self.on_job(job),
                _ = tick.tick() => self.on_tick(),
            };
            if let ControlFlow::Break(report) = step {
                return Err(report);
            }
        }
    }

    fn feed(&mut self, input: Input) -> ControlFlow<Report> {
        let now = self.clock.now();
        let mut effects = Vec::new();
        tokio::task::block_in_place(|| self.core.step(now, input, &mut effects));
        self.perform(now, effects)
    }

    fn on_job(&mut self, job: Job) -> ControlFlow<Report> {
        let now = self.clock.now();
        let mut effects = Vec::new();
        tokio::task::block_in_place(|| job(&mut self.core, now, &mut effects));
        self.perform(now, effects)
    }

    fn on_tick(&mut self) -> ControlFlow<Report> {
        let now = self.clock.now();
        self.reporter.tick(now, &self.core, &self.peers);
        let base_ms = base_ms(&*self.clock);
        if base_ms.abs_diff(self.base_ms) < CLOCK_STEP_MS {
            return ControlFlow::Continue(());
        }
        let (old_ms, new_ms) = (self.base_ms, base_ms);
        tracing::warn!(target: "node", old_ms, new_ms, "the system's clock was set");
        self.base_ms = base_ms;
        self.feed(Input::Clock(base_ms))
    }

    fn on_event(&mut self, event: Event) -> ControlFlow<Report> {
        match event {
            Event::Listening(address) => {
                tracing::debug!(target: "net", %address, "listening");
                ControlFlow::Continue(())
            }
            Event::Connected(info) => {
                let direction = if info.inbound { "in" } else { "out" };
                tracing::info!(target: "net", peer = %info.id, address = %info.address, direction, "peer connected");
                let number = info.number;
                self.peers.insert(number, info);
                self.feed(Input::Connected(number))
            }
            Event::Gone(peer) => {
                if let Some(info) = self.peers.remove(&peer) {
                    tracing::info!(target: "net", peer = %info.id, "peer disconnected");
                }
                self.feed(Input::Gone(peer))
            }
            Event::Agent(peer, agent) => {
                if let Some(info) = self.peers.get_mut(&peer) {
                    info.agent = agent;
                }
                ControlFlow::Continue(())
            }
            Event::Gossip { peer, handle, message } => self.feed(Input::Gossip { peer, handle, message }),
            Event::Malformed(peer) => {
                self.fault(self.clock.now(), peer, Fault::Breach);
                ControlFlow::Continue(())
            }
            Event::Asked { peer, handle, request } => {
                if let Request::Goodbye(code) = request {
                    let id = self.peers.get(&peer).map(|info| info.id.to_string()).unwrap_or_default();
                    let reason = Goodbye::of_code(code).map_or("for a reason of its own", Goodbye::text);
                    tracing::info!(target: "net", peer = %id, code, reason, "a peer takes its leave");
                }
                self.feed(Input::Asked { peer, handle, request })
            }
            Event::Answered { ask, answer } => self.feed(Input::Answered { ask, answer }),
        }
    }

    fn perform(&mut self, now: Time, effects: Vec<Effect>) -> ControlFlow<Report> {
        for effect in effects {
            match effect {
                Effect::Publish(message) => self.command(Command::Publish(message)),
                Effect::Verdict { handle, peer, verdict } => {
                    self.reporter.verdict(verdict);
                    self.command(Command::Verdict(handle, verdict));
                    if let crate::network::gossip::Verdict::Reject(rejection) = verdict {
                        tracing::debug!(target: "net", peer, %rejection, "gossip rejected");
                        self.fault(now, peer, Fault::Invalid);
                    }
                }
                Effect::Ask { peer, ask, request } => self.command(Command::Ask { peer, ask, request }),
                Effect::Answer { handle, answer } => self.command(Command::Answer(handle, answer)),
                Effect::Part(peer, reason) => {
                    let id =
                        self.peers.get(&peer).map_or_else(|| peer.to_string(), |info| info.id.to_string());
                    tracing::warn!(target: "net", peer = %id, %reason, "a peer of another chain");
                    self.command(Command::Farewell(peer, Goodbye::IrrelevantNetwork));
                }
                Effect::Fault(peer, fault) => self.fault(now, peer, fault),
                Effect::Chain(event) => {
                    self.reporter.chain(&event);
                    let _ = self.feed.send(*event); // nobody may be listening
                }
                Effect::Duty(duty) => self.reporter.duty(&duty),
                Effect::Stop(failure) => return ControlFlow::Break(failure_report(&failure)),
            }
        }
        ControlFlow::Continue(())
    }

    /// Commands that find the queue full are lost, as messages on a network may be; requests then time out.
    fn command(&self, command: Command) {
        if self.commands.try_send(command).is_err() {
            tracing::warn!(target: "net", "the queue to the network is full");
        }
    }

    fn fault(&mut self, now: Time, peer: u64, fault: Fault) {
        let standing = self.scores.fault(now, peer, fault);
        let score = self.scores.score(now, peer);
        self.command(Command::Score(peer, score));
        if standing != Standing::Good {
            tracing::info!(target: "net", peer, fault = fault.name(), ?standing, "parting from a peer");
            self.command(Command::Part(peer, standing == Standing::Banned));
        }
    }
}

fn failure_report(failure: &Failure) -> Report {
    match failure {
        Failure::Chain(err) => chain_report(err),
        Failure::Signing(err) => Report::new(KEYS_FAILED, KEYS_FAILED.title).because(err),
    }
}
