//! Wiring: opens the chain state, binds the sockets, starts the tasks, and carries values between the machines, the
//! sockets, the writer and RPC. No rules and no parsing.

mod handle;
mod network;
mod report;
mod serve;
mod worker;
mod zmq;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{Arc, atomic::AtomicI64},
    time::Duration,
};

use fluxd_chainstate::{ChainError, ChainState, ImportProgress, IndexKind, Options};
use fluxd_consensus::{
    params::{Network, Params, TimedKey},
    upgrades::{FLUX_BRANCH, Upgrade},
};
use fluxd_mempool::{Mempool, Orphans, Policy};
use fluxd_p2p::{
    addresses::Addresses,
    alert::Alerts,
    bans::{Bans, Subnet},
    message::{
        Message,
        address::NetAddress,
        version::{NODE_BLOOM, NODE_NETWORK, PROTOCOL_VERSION},
    },
    peer::{Input as PeerInput, Local},
    transport::{Hub, Limits, Parts},
};
use fluxd_primitives::{Address, OutPoint, PublicKey, TxId};
use fluxd_rpc::{
    Context as RpcContext, Methods,
    context::SafeMode,
    server::{Access, Secret, Served},
};
use parking_lot::{Mutex, RwLock};
use rand::{RngExt, SeedableRng, TryRng, rngs::StdRng};
use shared_vendor::{
    app::{Context, Daemon},
    clock::Clock,
    exit::{self, Report},
    hex,
    http::{self, Credential},
    tasks::{Stage, Stop},
};
use tokio::sync::{mpsc, watch};

use self::{
    handle::Handle,
    network::{Loop, Order, Request},
    report::Reporter,
    worker::Worker,
};
use crate::config::Config;

/// Name and version that peers are told.
pub const USER_AGENT: &str = concat!("/FluxRust:", env!("CARGO_PKG_VERSION"), "/");
/// Version as a number, as the C++ node writes them.
const VERSION_NUMBER: i32 = 9_000_650;
/// Oldest protocol version of peers.
const LEAST_VERSIONS: [(Network, u32); 3] =
    [(Network::Main, 170_002), (Network::Test, 170_016), (Network::Regtest, 170_002)];
/// Least fee for 1000 bytes.
const RELAY_FEE: i64 = 100;
const ADDRESSES_FILE: &str = "peers.dat";
const BANS_FILE: &str = "banlist.dat";
const MEMPOOL_FILE: &str = "mempool.dat";
const FEES_FILE: &str = "fee_estimates.dat";
/// Transactions that wait for their parents (`DEFAULT_MAX_ORPHAN_TRANSACTIONS`).
const MAX_ORPHANS: usize = 100;
const EVENT_QUEUE: usize = 1024;
const JOB_QUEUE: usize = 512;
/// More than the blocks that one peer may ask for one by one.
const REQUEST_QUEUE: usize = 160;
/// Time between two attempts to dial somebody.
const DIAL_EVERY: Duration = Duration::from_millis(500);
/// Trial connections to addresses that were never reached.
const FEELER_EVERY: Duration = Duration::from_secs(120);
const SAVE_EVERY: Duration = Duration::from_secs(900);
/// A peer that does not take an answer within this time gets no more of it.
const ANSWER_PATIENCE: Duration = Duration::from_secs(60);
/// Longest request body of RPC.
const RPC_BODY: usize = 32 << 20;

/// Parameters of the chosen network, with the upgrades that `chain.nuparams` moves and the key of `chain.benchmark-key`.
///
/// # Errors
/// An upgrade that does not exist, no key, or a network that is not private.
pub fn params(network: &str, config: &Config) -> Result<Params, Report> {
    let network = [Network::Main, Network::Test, Network::Regtest]
        .into_iter()
        .find(|one| one.name() == network)
        .unwrap_or(Network::Main);
    let mut params = Params::of(network);
    for text in &config.nuparams {
        let bad = |what: &str| {
            Report::new(exit::BAD_VALUE, format!("`chain.nuparams` = `{text}`: {what}"))
                .advice("correct or remove it")
        };
        if network != Network::Regtest {
            return Err(bad("upgrades can be moved on regtest only"));
        }
        let (name, height) = text.split_once(':').ok_or_else(|| bad("expected NAME:HEIGHT"))?;
        let height: u32 = height.parse().map_err(|_| bad("the height is not a number"))?;
        let by_branch = u32::from_str_radix(name, 16).is_ok_and(|branch| branch == FLUX_BRANCH);
        let upgrade = Upgrade::ALL.into_iter().find(|upgrade| {
            format!("{upgrade:?}").eq_ignore_ascii_case(name) || by_branch && *upgrade == Upgrade::Lwma
        });
        params = params.with_activation(upgrade.ok_or_else(|| bad("no such upgrade"))?, height);
    }
    if let Some(text) = &config.benchmark_key {
        let bad = |what: &str| {
            Report::new(exit::BAD_VALUE, format!("`chain.benchmark-key` = `{text}`: {what}"))
                .advice("correct or remove it")
        };
        if network != Network::Regtest {
            return Err(bad("the key is given by the network, except on regtest"));
        }
        let bytes = hex::decode(text).map_err(|_| bad("expected hexadecimal digits"))?;
        params.benchmark_keys = vec![TimedKey { key: PublicKey::from_serialized(&bytes), from: 0 }];
    }
    Ok(params)
}

/// Options of the chain state.
#[must_use]
pub fn options(config: &Config, seed: [u8; 32]) -> Options {
    let mut indexes = BTreeSet::new();
    if config.index_tx {
        indexes.insert(IndexKind::Transactions);
    }
    if config.index_insight {
        indexes.extend([IndexKind::Addresses, IndexKind::Spent, IndexKind::Timestamps]);
    }
    if config.index_nodes {
        indexes.insert(IndexKind::Nodes);
    }
    Options {
        indexes,
        checkpoints: config.checkpoints,
        cache_bytes: usize::try_from(config.cache.0).unwrap_or(usize::MAX),
        prune_target: config.prune.map(|size| size.0),
        seed,
        ..Options::default()
    }
}

/// The chain's storage failed or is damaged.
pub const STORE_FAILED: exit::Code = exit::Code {
    id: "E0301",
    exit: exit::Exit::Io,
    title: "the chain state failed",
    text: "The disk, the file system or the stored data is at fault; the message holds the cause. `fluxd verifychain` checks what is stored, `fluxd reindex` builds the tables anew from the block files.",
};

/// What an operator is told when the chain state fails.
#[must_use]
pub fn chain_report(err: &ChainError) -> Report {
    Report::new(STORE_FAILED, STORE_FAILED.title).because(err)
}

/// Random bytes of the system.
///
/// # Errors
/// The system has none.
pub fn entropy() -> Result<[u8; 32], Report> {
    let mut seed = [0; 32];
    rand::rngs::SysRng.try_fill_bytes(&mut seed).map_err(|err| {
        Report::new(exit::UNEXPECTED, "the operating system gives no random numbers").because(&err)
    })?;
    Ok(seed)
}

/// Opens the chain, binds the sockets and starts the tasks; returns when the node serves.
///
/// # Errors
/// The store cannot be opened, or an address cannot be bound.
pub async fn start<D: Daemon<Config = Config>>(ctx: Context<D>) -> Result<(), Report> {
    let params = Arc::new(params(&ctx.common.network, &ctx.config)?);
    let mut random = StdRng::from_seed(entropy()?);
    let chain_options = options(&ctx.config, random.random());
    let root = ctx.data.root().to_path_buf();
    let opened = {
        let (params, reindex) = (Arc::clone(&params), ctx.config.reindex);
        let now = i64::try_from(ctx.clock.wall().as_secs()).unwrap_or_default();
        tokio::task::block_in_place(|| match reindex {
            true => ChainState::reindex(&root, params, chain_options, now, reindexing),
            false => ChainState::open(&root, params, chain_options),
        })
    };
    let chain = opened.map_err(|err| chain_report(&err).at(root.display().to_string()))?;
    let height = chain.index().height();
    let chain = Arc::new(RwLock::new(chain));

    let listener = match ctx.config.listen {
        true => Some(ctx.bind("p2p.addr", ctx.common.p2p_addr).await?),
        false => None,
    };
    let rpc_listener = ctx.bind("rpc.addr", ctx.common.rpc_addr).await?;
    let rpc_addr = rpc_listener.local_addr().map_err(|err| io_report("rpc.addr", &err))?;
    let p2p = listener.as_ref().and_then(|listener| listener.local_addr().ok());
    ctx.status.update(ctx.clock.now(), |status| {
        status.unit = "blocks";
        status.addresses.insert("p2p", p2p.map_or_else(|| "off".to_owned(), |address| address.to_string()));
        status.addresses.insert("rpc", rpc_addr.to_string());
    });
    let mempool = open_mempool(&params, &ctx.config, random.random());
    let publisher = zmq::Publisher::bind(&ctx.config).await?;

    let wiring = Wiring::new(&ctx, &params, &chain, &mut random)?;
    let context = wiring.rpc_context(&ctx, &params, &chain, &mempool)?;
    let now: worker::Clock = {
        let context = Arc::clone(&context);
        Arc::new(move || context.now())
    };
    let (jobs, outcomes) = wiring.spawn_worker(&ctx, &chain, &mempool, Arc::clone(&now))?;
    restore_fees(&ctx, &mempool);
    restore_mempool(&ctx, &chain, &mempool, now());
    let lanes = wiring.spawn_servers(&ctx, &chain, &mempool);
    let events = publisher.map(|publisher| {
        let (sender, receiver) = mpsc::channel(EVENT_QUEUE);
        ctx.tasks.spawn("zmq", |_| async move {
            publisher.run(receiver).await;
            Ok(())
        });
        sender
    });
    serve_rpc(&ctx, rpc_listener, context)?;
    let hub = Arc::clone(&wiring.hub);
    let mut addresses =
        Addresses::new(StdRng::from_seed(random.random()), params.network == Network::Regtest);
    let wall = i64::try_from(ctx.clock.wall().as_secs()).unwrap_or_default();
    addresses.load(&std::fs::read(ctx.data.join(ADDRESSES_FILE)).unwrap_or_default(), wall);
    let node = Loop {
        chain,
        mempool,
        hub: Arc::clone(&hub),
        jobs,
        requests: lanes,
        addresses,
        bans: Arc::clone(&wiring.bans),
        clock: Arc::clone(&ctx.clock),
        now,
        salt: random.random(),
        random: StdRng::from_seed(random.random()),
        reporter: Reporter::new(&ctx, height),
        local: wiring.local,
        events,
        notify: ctx.config.block_notify.clone(),
        alerts: ctx.config.alerts.then(|| Arc::clone(&wiring.alerts)),
        alert_notify: ctx.config.alert_notify.clone(),
        peers: network::Peers::default(),
    };
    let (hub_events, orders, added) = (wiring.events, wiring.orders, wiring.added);
    let run = Run { ctx: ctx.clone(), params: Arc::clone(&params), added };
    ctx.tasks.spawn_in(Stage::Serve, "node", |stop| run.run(node, hub_events, outcomes, orders, stop));
    if let Some(listener) = listener {
        ctx.tasks.spawn_in(Stage::Serve, "listener", |stop| async move {
            hub.listen(listener, stop).await;
            Ok(())
        });
    }
    ctx.announce(USER_AGENT, "cookie or password", height.into());
    Ok(())
}

/// The parts that several tasks share, before they are handed out.
struct Wiring {
    hub: Arc<Hub>,
    events: mpsc::Receiver<fluxd_p2p::transport::Event>,
    local: watch::Sender<Local>,
    bans: Arc<Mutex<Bans>>,
    alerts: Arc<Mutex<Alerts>>,
    added: Arc<Mutex<Vec<String>>>,
    orders: mpsc::Receiver<Order>,
    orders_sender: mpsc::Sender<Order>,
    jobs: Mutex<Option<mpsc::Receiver<worker::Job>>>,
    jobs_sender: mpsc::Sender<worker::Job>,
    services: u64,
    ban_seconds: i64,
    seed: [u8; 32],
}

impl Wiring {
    fn new<D: Daemon<Config = Config>>(
        ctx: &Context<D>,
        params: &Params,
        chain: &RwLock<ChainState>,
        random: &mut StdRng,
    ) -> Result<Self, Report> {
        let config = &ctx.config;
        let services = NODE_NETWORK | if config.bloom { NODE_BLOOM } else { 0 };
        let height = chain.read().index().height();
        let (local, local_receiver) = watch::channel(Local {
            services,
            user_agent: USER_AGENT.to_owned(),
            height: i32::try_from(height).unwrap_or(i32::MAX),
            nonce: random.random(),
            least_version: least_version(params, height),
            time: 0,
            address: NetAddress::default(),
            relay: true,
        });
        let bans = Bans::from_file(&std::fs::read(ctx.data.join(BANS_FILE)).unwrap_or_default());
        let bans = Arc::new(Mutex::new(bans));
        let trusted = config.whitelist.iter().map(|text| subnet(text)).collect::<Result<_, _>>()?;
        let ban_seconds = seconds(config.ban_time);
        let (events_sender, events) = mpsc::channel(EVENT_QUEUE);
        let messages = ctx.metrics.p2p_messages.clone();
        let outbound = config.outbound.min(ctx.common.peers_max / 2);
        let hub = Hub::new(Parts {
            magic: params.magic,
            local: local_receiver,
            events: events_sender,
            limits: Limits {
                total: ctx.common.peers_max,
                inbound: ctx.common.peers_max.saturating_sub(outbound),
            },
            bans: Arc::clone(&bans),
            trusted,
            ban_seconds,
            clock: Arc::clone(&ctx.clock),
            tasks: ctx.tasks.clone(),
            random: Mutex::new(StdRng::from_seed(random.random())),
            count: Box::new(move |direction, command| {
                let known = Message::decode(command, &[])
                    .is_ok_and(|one| !matches!(one, Message::Unknown(_)))
                    || KNOWN_COMMANDS.contains(&command);
                messages.with(&[direction, if known { command } else { "other" }]).inc();
            }),
        });
        let (orders_sender, orders) = mpsc::channel(REQUEST_QUEUE);
        let (jobs_sender, jobs) = mpsc::channel(JOB_QUEUE);
        Ok(Self {
            hub,
            events,
            local,
            bans,
            alerts: Arc::new(Mutex::new(Alerts::new(
                params.alert_key.clone(),
                PROTOCOL_VERSION,
                USER_AGENT.to_owned(),
            ))),
            added: Arc::new(Mutex::new(config.add_node.clone())),
            orders,
            orders_sender,
            jobs: Mutex::new(Some(jobs)),
            jobs_sender,
            services,
            ban_seconds,
            seed: random.random(),
        })
    }

    fn rpc_context<D: Daemon<Config = Config>>(
        &self,
        ctx: &Context<D>,
        params: &Params,
        chain: &Arc<RwLock<ChainState>>,
        mempool: &Arc<Mutex<Mempool>>,
    ) -> Result<Arc<RpcContext>, Report> {
        let mining_script = match &ctx.config.mining_address {
            None => None,
            Some(text) => Some(Address::decode(text, &params.addresses).ok_or_else(|| {
                Report::new(
                    exit::BAD_VALUE,
                    format!("`mining.address` = `{text}` is no address of this network"),
                )
            })?),
        };
        let network = Handle {
            hub: Arc::clone(&self.hub),
            orders: self.orders_sender.clone(),
            jobs: self.jobs_sender.clone(),
            added: Arc::clone(&self.added),
            default_port: params.port,
        };
        Ok(Arc::new(RpcContext {
            chain: Arc::clone(chain),
            mempool: Arc::clone(mempool),
            clock: Arc::clone(&ctx.clock),
            mock_time: AtomicI64::new(0),
            network: Arc::new(network),
            bans: Arc::clone(&self.bans),
            ban_seconds: self.ban_seconds,
            alerts: Arc::clone(&self.alerts),
            safe_mode: match (ctx.config.no_safe_mode, ctx.config.test_safe_mode) {
                (true, _) => SafeMode::Ignored,
                (false, true) => SafeMode::Forced,
                (false, false) => SafeMode::Observed,
            },
            user_agent: USER_AGENT.to_owned(),
            version: VERSION_NUMBER,
            services: self.services,
            fluxnode: fluxnode(&ctx.config)?,
            mining_script: mining_script.map(|address| fluxd_script::instruction::pay_to(&address)),
            template: Mutex::default(),
            block_limits: block_limits(&ctx.config),
            expiry_delta: ctx.config.expiry_delta,
            relay_fee: RELAY_FEE,
            max_tip_age: seconds(ctx.config.max_tip_age),
        }))
    }

    fn spawn_worker<D: Daemon<Config = Config>>(
        &self,
        ctx: &Context<D>,
        chain: &Arc<RwLock<ChainState>>,
        mempool: &Arc<Mutex<Mempool>>,
        now: worker::Clock,
    ) -> Result<(mpsc::Sender<worker::Job>, mpsc::Receiver<worker::Outcome>), Report> {
        let (sender, outcomes) = mpsc::channel(EVENT_QUEUE);
        let worker = Worker {
            chain: Arc::clone(chain),
            mempool: Arc::clone(mempool),
            now,
            runtime: tokio::runtime::Handle::current(),
            max_tip_age: seconds(ctx.config.max_tip_age),
            outcomes: sender,
            last: BTreeMap::new(),
            orphans: Orphans::new(MAX_ORPHANS, StdRng::from_seed(self.seed)),
            in_step: false,
            requests: Vec::new(),
        };
        let jobs = self
            .jobs
            .lock()
            .take()
            .ok_or_else(|| Report::new(exit::UNEXPECTED, "the writer runs already"))?;
        ctx.tasks
            .spawn_thread(Stage::Store, "chain", move |stop| worker.run(jobs, &stop))
            .map_err(|err| Report::new(exit::UNEXPECTED, "cannot start the writer").because(&err))?;
        Ok((self.jobs_sender.clone(), outcomes))
    }

    fn spawn_servers<D: Daemon>(
        &self,
        ctx: &Context<D>,
        chain: &Arc<RwLock<ChainState>>,
        mempool: &Arc<Mutex<Mempool>>,
    ) -> Vec<mpsc::Sender<Request>> {
        (0..network::SERVERS)
            .map(|number| {
                let (sender, requests) = mpsc::channel(REQUEST_QUEUE);
                let (chain, mempool) = (Arc::clone(chain), Arc::clone(mempool));
                let name = format!("serve-{number}");
                ctx.tasks.spawn_in(Stage::Serve, name, |stop| answer_all(chain, mempool, requests, stop));
                sender
            })
            .collect()
    }
}

/// Commands whose empty payload is no message.
const KNOWN_COMMANDS: [&str; 21] = [
    "version",
    "addr",
    "inv",
    "getdata",
    "notfound",
    "getblocks",
    "getheaders",
    "headers",
    "cmpheaders",
    "block",
    "tx",
    "reject",
    "alert",
    "filterload",
    "filteradd",
    "merkleblock",
    "sendcmpct",
    "cmpctblock",
    "getblocktxn",
    "blocktxn",
    "feefilter",
];

/// Admits again what waited when the node stopped. A file that cannot be read is left behind.
fn restore_mempool<D: Daemon>(
    ctx: &Context<D>,
    chain: &RwLock<ChainState>,
    mempool: &Mutex<Mempool>,
    now: i64,
) {
    let Ok(bytes) = std::fs::read(ctx.data.join(MEMPOOL_FILE)) else { return };
    let restored = {
        let chain = chain.read();
        mempool.lock().restore(&chain, &bytes, now, true)
    };
    match restored {
        Ok((read, admitted)) => tracing::info!(target: "mempool", read, admitted, "restored"),
        Err(err) => tracing::warn!(target: "mempool", %err, "not restored"),
    }
}

/// Takes over the estimates of the last run; a file that cannot be read is left behind.
fn restore_fees<D: Daemon>(ctx: &Context<D>, mempool: &Mutex<Mempool>) {
    let Ok(bytes) = std::fs::read(ctx.data.join(FEES_FILE)) else { return };
    if !mempool.lock().estimator_mut().restore(&bytes) {
        tracing::warn!(target: "mempool", "the fee estimates of the last run cannot be read");
    }
}

/// Says how far the tables are made again.
pub(crate) fn reindexing(progress: &ImportProgress) -> bool {
    tracing::info!(target: "reindex", height = progress.height, "progress");
    true
}

/// The memory pool, empty.
fn open_mempool(params: &Params, config: &Config, seed: [u8; 32]) -> Arc<Mutex<Mempool>> {
    let policy = Policy {
        cost_limit: config.mempool_cost.into(),
        eviction_minutes: config.mempool_eviction.into(),
        require_standard: params.network == Network::Main,
        limit_free_relay: config.free_relay.into(),
        relay_priority: config.relay_priority,
        bare_multisig: config.bare_multisig,
        ..Policy::default()
    };
    Arc::new(Mutex::new(Mempool::new(policy, seed)))
}

/// The oldest protocol version that peers may speak at a height.
fn least_version(params: &Params, height: u32) -> i32 {
    let base = LEAST_VERSIONS.iter().find(|(network, _)| *network == params.network);
    let least = params.upgrades.peer_protocol(height, base.map_or(0, |(_, least)| *least));
    i32::try_from(least).unwrap_or(i32::MAX)
}

/// Limits of blocks that are made, within what the rules allow.
fn block_limits(config: &Config) -> fluxd_miner::Settings {
    let most = fluxd_miner::Settings::default();
    let bytes = |size: u32| usize::try_from(size).unwrap_or(usize::MAX);
    let max_size = bytes(config.block_max_size).clamp(1000, most.max_size);
    fluxd_miner::Settings {
        max_size,
        priority_size: bytes(config.block_priority_size).min(max_size),
        min_size: bytes(config.block_min_size).min(max_size),
        ..most
    }
}

fn subnet(text: &str) -> Result<Subnet, Report> {
    text.parse().map_err(|_| {
        Report::new(exit::BAD_VALUE, format!("`p2p.whitelist` = `{text}`: not a network"))
            .advice("expected an address, or one with the number of its bits")
    })
}

fn seconds(length: Duration) -> i64 {
    i64::try_from(length.as_secs()).unwrap_or(i64::MAX)
}

fn io_report(what: &str, err: &std::io::Error) -> Report {
    Report::new(exit::UNEXPECTED, what).because(err)
}

/// Starts the RPC server.
fn serve_rpc<D: Daemon<Config = Config>>(
    ctx: &Context<D>,
    listener: tokio::net::TcpListener,
    context: Arc<RpcContext>,
) -> Result<(), Report> {
    let config = &ctx.config;
    let mut passwords = Vec::new();
    if let Some(password) = &config.rpc_password {
        let user = config.rpc_user.clone().unwrap_or_default();
        passwords.push(Secret::Plain(format!("{user}:{}", password.expose())));
    }
    if let Credential::Basic(cookie) = ctx.cookie()? {
        passwords.push(Secret::Plain(cookie));
    }
    for text in &config.rpc_auth {
        passwords.push(Secret::hashed(text.expose()).ok_or_else(|| {
            Report::new(exit::BAD_VALUE, "an entry of `rpc.auth` is not of the form NAME:SALT$HASH")
        })?);
    }
    let networks = config.rpc_allow_ip.iter().map(|text| {
        text.parse::<Subnet>().map_err(|_| {
            Report::new(exit::BAD_VALUE, format!("`rpc.allow-ip` = `{text}` is no address or network"))
        })
    });
    let limits = http::Limits { body_bytes: RPC_BODY, ..http::Limits::default() };
    let served = Served {
        methods: Methods::new(context),
        access: Access { passwords, networks: networks.collect::<Result<_, _>>()?, rest: config.rest },
        limits: limits.clone(),
        queue: Arc::new(tokio::sync::Semaphore::new(config.rpc_threads.max(1))),
    };
    let router = fluxd_rpc::server::router(served);
    ctx.tasks.spawn_in(Stage::Serve, "rpc", |stop| async move {
        http::serve(listener, router, limits, stop).await;
        Ok(())
    });
    Ok(())
}

/// The collateral of the fluxnode that the settings name.
fn fluxnode(config: &Config) -> Result<Option<OutPoint>, Report> {
    if !config.fluxnode {
        return Ok(None);
    }
    let txid = config.fluxnode_txid.as_deref().and_then(|text| text.parse::<TxId>().ok());
    txid.zip(config.fluxnode_output).map(|(txid, index)| Some(OutPoint { txid, index })).ok_or_else(|| {
        Report::new(exit::BAD_VALUE, "`fluxnode.enabled` needs `fluxnode.outpoint` and `fluxnode.index`")
            .advice("name the transaction and the output of the collateral")
    })
}

/// Answers requests of peers, one after the other.
async fn answer_all(
    chain: Arc<RwLock<ChainState>>,
    mempool: Arc<Mutex<Mempool>>,
    mut requests: mpsc::Receiver<Request>,
    stop: Stop,
) -> Result<(), Report> {
    loop {
        let request = tokio::select! {
            () = stop.wait() => return Ok(()),
            request = requests.recv() => request,
        };
        let Some(request) = request else { return Ok(()) };
        let request = Arc::new(request);
        if let Message::GetData(items) = &request.message {
            for item in items.iter().filter(|item| item.as_block().is_some()) {
                let (chain, shared, item) = (Arc::clone(&chain), Arc::clone(&request), *item);
                let found = tokio::task::spawn_blocking(move || serve::block(&chain, &item, &shared)).await;
                if !send_all(&request, found.unwrap_or_default()).await {
                    break;
                }
            }
        }
        let (chain, pool, shared) = (Arc::clone(&chain), Arc::clone(&mempool), Arc::clone(&request));
        let found = tokio::task::spawn_blocking(move || serve::answer(&chain, &pool, &shared)).await;
        send_all(&request, found.unwrap_or_default()).await;
    }
}

/// Sends as fast as the peer takes it; false when it takes nothing.
async fn send_all(request: &Request, messages: Vec<Message>) -> bool {
    for message in messages {
        let sending = request.commands.send(PeerInput::Send(message));
        if !matches!(tokio::time::timeout(ANSWER_PATIENCE, sending).await, Ok(Ok(()))) {
            return false;
        }
    }
    true
}

/// The task around the loop: waits for what comes first.
struct Run<D: Daemon<Config = Config>> {
    ctx: Context<D>,
    params: Arc<Params>,
    added: Arc<Mutex<Vec<String>>>,
}

impl<D: Daemon<Config = Config>> Run<D> {
    async fn run(
        self,
        mut node: Loop,
        mut events: mpsc::Receiver<fluxd_p2p::transport::Event>,
        mut outcomes: mpsc::Receiver<worker::Outcome>,
        mut orders: mpsc::Receiver<Order>,
        stop: Stop,
    ) -> Result<(), Report> {
        let config = &self.ctx.config;
        let clock = Arc::clone(&self.ctx.clock);
        let mut seconds = tokio::time::interval(Duration::from_secs(1));
        let mut dialling = tokio::time::interval(DIAL_EVERY);
        let mut saving = tokio::time::interval(SAVE_EVERY);
        let mut feeling = tokio::time::interval(FEELER_EVERY);
        let mut asked_seeds = !config.dns_seed || !config.connect.is_empty();
        let mut named = BTreeSet::new();
        loop {
            let wake = node.deadline();
            tokio::select! {
                () = stop.wait() => break,
                Some(event) = events.recv() => node.event(event),
                Some(outcome) = outcomes.recv() => node.outcome(outcome),
                Some(order) = orders.recv() => node.order(order),
                () = sleep_until(&*clock, wake) => node.tick(),
                _ = seconds.tick() => {
                    named = self.resolve_named().await;
                    node.second();
                }
                _ = dialling.tick() => {
                    if !asked_seeds && node.addresses.len() < 100 {
                        asked_seeds = true;
                        self.ask_seeds(&mut node).await;
                    }
                    node.dial(&named, !config.connect.is_empty(), config.outbound, false);
                }
                _ = feeling.tick() => node.dial(&BTreeSet::new(), !config.connect.is_empty(), config.outbound, true),
                _ = saving.tick() => self.save(&node)?,
            }
        }
        self.save(&node)
    }

    fn save(&self, node: &Loop) -> Result<(), Report> {
        self.ctx.data.write(ADDRESSES_FILE, &node.addresses.to_file())?;
        let pool = node.mempool.lock().to_bytes();
        self.ctx.data.write(MEMPOOL_FILE, &pool)?;
        let fees = node.mempool.lock().estimator().to_bytes();
        self.ctx.data.write(FEES_FILE, &fees)?;
        self.ctx.data.write(BANS_FILE, &node.bans.lock().to_file())
    }

    /// Addresses of the nodes that an operator named.
    async fn resolve_named(&self) -> BTreeSet<SocketAddr> {
        let connect = &self.ctx.config.connect;
        let names = if connect.is_empty() { self.added.lock().clone() } else { connect.clone() };
        if names.is_empty() {
            return BTreeSet::new();
        }
        let port = self.params.port;
        let resolve =
            move || names.iter().filter_map(|name| handle::resolve(name, port).into_iter().next()).collect();
        tokio::task::spawn_blocking(resolve).await.unwrap_or_default()
    }

    async fn ask_seeds(&self, node: &mut Loop) {
        let now = i64::try_from(self.ctx.clock.wall().as_secs()).unwrap_or_default();
        for seed in self.params.seeds {
            let port = self.params.port;
            let looked_up =
                tokio::time::timeout(Duration::from_secs(5), tokio::net::lookup_host((*seed, port))).await;
            let Ok(Ok(found)) = looked_up else { continue };
            let told: Vec<_> = found
                .map(|socket| fluxd_p2p::message::address::TimedAddress {
                    time: u32::try_from(now.saturating_sub(3 * 24 * 60 * 60)).unwrap_or_default(),
                    address: NetAddress::new(NODE_NETWORK, socket),
                })
                .collect();
            let Some(first) = told.first().map(|one| one.address.socket.ip()) else { continue };
            let taken = node.addresses.add(&told, first, 0, now);
            tracing::info!(target: "net", seed, taken, "seed asked");
        }
    }
}

async fn sleep_until(clock: &dyn Clock, deadline: Option<shared_vendor::clock::Time>) {
    match deadline {
        // A deadline that has come is acted on at the next turn; a millisecond keeps the others alive.
        Some(deadline) => tokio::time::sleep(deadline.since(clock.now()).max(Duration::from_millis(1))).await,
        None => std::future::pending().await,
    }
}

/// Runs an operator's command with what happened in place of `%s`, without waiting for it.
fn run_notify(command: &str, what: &str) {
    let text = command.replace("%s", what);
    match std::process::Command::new("sh").arg("-c").arg(&text).stdin(std::process::Stdio::null()).spawn() {
        Ok(child) => {
            // Its end must be seen by somebody, or it stays as a zombie.
            let reaper = move || {
                let mut child = child;
                let _ = child.wait();
            };
            let _ = std::thread::Builder::new().name("notify".to_owned()).spawn(reaper);
        }
        Err(err) => tracing::warn!(target: "chain", %err, "a command of the operator cannot be started"),
    }
}

/// Ends the process as a service manager would.
fn stop_process() {
    let command = format!("kill -TERM {}", std::process::id());
    if let Err(err) = std::process::Command::new("sh").arg("-c").arg(command).status() {
        tracing::error!(%err, "the process cannot signal itself");
    }
}
