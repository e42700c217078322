//! Wiring: opens the store, makes the machines, binds the sockets, starts a thread for each chain, and carries messages
//! and news between network, chains and HTTP. No rules and no parsing.

pub mod chain;
pub mod keys;
mod report;
mod serve;
pub mod transfers;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use avalanche_crypto::{bls, staking::PrivateKey};
use avalanche_db::{Database, Prefixed, Rocks};
use avalanche_ids::{Id, NodeId};
use avalanche_net::{
    handshake::PeerInfo,
    peer, throttle,
    transport::{self, Network as Net},
};
use avalanche_snow::{
    consensus::Params,
    engine::{
        bootstrap,
        machine::{Input, Machine, Settings},
    },
    message::Message,
    networking::{bench, timeouts, validators::Validators},
};
use avalanche_utils::upgrade::{Fork, Upgrades};
use avalanche_vm::{
    chain::{ChainVm, ValidatorSet, ValidatorState, VmError},
    index::{IndexError, Indexer, Indexes},
};
use avm::vm::Avm;
use parking_lot::RwLock;
use platformvm::{txs::UnsignedTx, vm::PlatformVm};
use proposervm::vm::{ProposerVm, Sign};
use ring::rand::{SecureRandom as _, SystemRandom};
use shared_vendor::{
    app::{Context, Daemon},
    clock::{Time, Wall},
    config::Listen,
    exit::{self, Report},
    log,
    tasks::{Stage, Stop},
};
use tokio::{sync::mpsc, time::MissedTickBehavior};

use self::{
    chain::{Event, Handle, Runner, VmChain},
    keys::Keys,
    report::{Once, Reporter},
};
use crate::{
    config::{Config, Network},
    genesis::{AVM_ID, EVM_ID, NetworkGenesis},
};

const EVENTS: usize = 4096;
const TICK: Duration = Duration::from_secs(1);
const P_CHAIN: &str = "P";
const X_CHAIN: &str = "X";

/// What stays as it is while the node runs.
#[derive(Debug)]
pub struct Facts {
    /// The network.
    pub network: Network,
    /// How it began.
    pub genesis: NetworkGenesis,
    /// This node.
    pub me: NodeId,
    /// Where peers reach it.
    pub address: SocketAddr,
    /// When upgrades activate.
    pub upgrades: Upgrades,
    /// When the node was started.
    pub started: Wall,
}

/// A connected peer.
#[derive(Debug, Clone)]
pub struct Peer {
    /// What it said about itself.
    pub info: PeerInfo,
    /// Since when it is connected.
    pub since: Wall,
    /// When it said something.
    pub heard: Wall,
}

/// What the node's parts and the HTTP server share.
pub struct Shared {
    /// What does not change.
    pub facts: Facts,
    /// Connections.
    pub network: Arc<Net>,
    /// Connected peers.
    pub peers: RwLock<BTreeMap<NodeId, Peer>>,
    /// Chains that were started, P first.
    pub chains: RwLock<Vec<Handle>>,
    /// The P-chain.
    pub platform: PlatformVm,
    /// The X-chain.
    pub avm: Avm,
    /// Validators of the primary network.
    pub validators: RwLock<Arc<ValidatorSet>>,
    /// The wrappers of chains that were started.
    pub proposers: RwLock<BTreeMap<Id, Arc<ProposerVm>>>,
    /// What is accepted, by chain, where that is kept.
    pub indexes: BTreeMap<Id, Indexes>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("facts", &self.facts).finish_non_exhaustive()
    }
}

/// What an operator is told when a machine or its store cannot be opened.
fn vm_report(what: &str, err: &(dyn std::error::Error + 'static)) -> Report {
    Report::new(exit::UNEXPECTED, format!("{what}: {}", log::Chain(err))).advice(
        "if the disk is sound, remove the folder `db` of the network and start again: it is fetched anew",
    )
}

/// Opens everything and starts the tasks; returns when the node serves.
///
/// # Errors
/// A key, a port or the store cannot be had.
pub async fn start<D: Daemon<Config = Config>>(
    ctx: Context<D>,
    network: Network,
    genesis: NetworkGenesis,
) -> Result<(), Report> {
    let keys = keys::load(&ctx)?;
    let path = ctx.data.join("db");
    let rocks = tokio::task::block_in_place(|| Rocks::open(&path))
        .map_err(|err| vm_report("the store cannot be opened", &err).at(path.display().to_string()))?;
    let store: Arc<dyn Database> = Arc::new(rocks);
    let genesis_bytes = genesis.platform.bytes();
    let upgrades = crate::upgrades::read(&ctx.config, network.id)?;
    let config = p_config(&ctx.config, &network, &genesis, upgrades);
    let platform =
        tokio::task::block_in_place(|| PlatformVm::open(Arc::clone(&store), config, &genesis_bytes))
            .map_err(|err| vm_report("the P-chain cannot be opened", &err))?;
    let (mut x_config, x_genesis) = x_chain(&ctx.config, &network, &genesis)?;
    x_config.upgrades = upgrades;
    x_config.unseen = genesis.platform.chain_id(EVM_ID);
    let state: Arc<dyn ValidatorState> = Arc::new(platform.clone());
    let avm = tokio::task::block_in_place(|| Avm::open(Arc::clone(&store), x_config, &x_genesis, state))
        .map_err(|err| vm_report("the X-chain cannot be opened", &err))?;

    let p2p = listen(ctx.common.p2p_addr, ctx.config.staking_host.as_deref(), ctx.config.staking_port)?;
    let listener = ctx.bind("p2p.addr", p2p).await?;
    let bound = listener.local_addr().map_err(|err| io_report("p2p.addr", &err))?;
    let address = public_address(&ctx.config, bound)?;
    let me = keys.identity.certificate().node_id();
    ctx.status.update(ctx.clock.now(), |status| {
        status.addresses.insert("p2p", format!("{me}@{address}"));
    });

    let indexes = tokio::task::block_in_place(|| indexes(&ctx.config, &store, avm.config().chain_id))?;
    let http = serve::bind(&ctx).await?;

    let (net_events, from_net) = mpsc::channel(EVENTS);
    let Keys { identity, signer, signer_bytes, certificate, key } = keys;
    let net = Net::start(
        transport::Config {
            identity,
            bls: signer,
            public_address: address,
            settings: peer::Settings {
                network_id: network.id,
                upgrade_time: u64::try_from(upgrades.time(Fork::Granite)).unwrap_or_default(),
            },
            subnets: Vec::new(),
            all_subnets: false,
            max_connections: ctx.common.peers_max.max(ctx.config.bootstrap_ids.len()),
            limits: throttle::Limits {
                refill_per_second: ctx.config.throttler_inbound_bandwidth_refill_rate,
                burst: ctx.config.throttler_inbound_bandwidth_max_burst_size,
                ..throttle::Limits::default()
            },
        },
        listener,
        net_events,
        ctx.tasks.clone(),
    )
    .map_err(|err| Report::new(exit::UNEXPECTED, "the network cannot be started").because(&err))?;
    let net = Arc::new(net);

    let facts = Facts { network, genesis, me, address, upgrades, started: ctx.clock.wall() };
    let shared = Arc::new(Shared {
        facts,
        network: Arc::clone(&net),
        peers: RwLock::default(),
        chains: RwLock::default(),
        platform: platform.clone(),
        avm,
        validators: RwLock::default(),
        proposers: RwLock::default(),
        indexes,
    });

    let own = bls::SecretKey::from_bytes(signer_bytes.expose())
        .map_err(|err| Report::new(exit::BAD_VALUE, "the staking signer key cannot be used").because(&err))?;
    serve::start(&ctx, &shared, &store, http, &own);
    let sign = signer_of(&key)?;
    let (chain_events, from_chains) = mpsc::channel(EVENTS);
    let node = Node {
        ctx: ctx.clone(),
        shared: Arc::clone(&shared),
        store,
        sign,
        certificate,
        chain_events,
        synced: BTreeSet::new(),
        reporter: Reporter::new(&ctx),
        failures: Once::default(),
        next_transfer: Time::ZERO,
    };
    for (id, address) in ctx.config.bootstrap_ids.iter().zip(&ctx.config.bootstrap_ips) {
        net.track(id.0, *address);
    }
    tokio::task::block_in_place(|| node.refresh_validators())?;
    let beacons = ctx.config.bootstrap_ids.iter().map(|node| (node.0, 1)).collect();
    let p: Arc<dyn ChainVm> = Arc::new(platform.clone());
    node.start_chain(Id::EMPTY, P_CHAIN, p, beacons)?;
    let height = shared.platform.current_height().unwrap_or_default();
    ctx.tasks.spawn_in(Stage::Work, "node", |stop| node.run(from_net, from_chains, stop));
    ctx.announce(
        &me.to_string(),
        "none needed: every method only reads or takes signed transactions",
        height,
    );
    Ok(())
}

fn io_report(key: &str, err: &std::io::Error) -> Report {
    Report::new(exit::IO_ERROR, format!("the address of {key} cannot be read")).because(err)
}

/// The frame's address with host and port of the reference's flags.
pub(crate) fn listen(base: Listen, host: Option<&str>, port: Option<u16>) -> Result<Listen, Report> {
    let mut address = base.0;
    if let Some(host) = host.filter(|host| !host.is_empty()) {
        let host = if host == "localhost" { "127.0.0.1" } else { host };
        address.set_ip(host.parse().map_err(|_| {
            Report::new(exit::BAD_VALUE, format!("`{host}` is not an address"))
                .at("http-host or staking-host")
        })?);
    }
    if let Some(port) = port {
        address.set_port(port);
    }
    Ok(Listen(address))
}

fn public_address(config: &Config, bound: SocketAddr) -> Result<SocketAddr, Report> {
    let ip = match config.public_ip.as_deref().filter(|text| !text.is_empty()) {
        Some(text) => text.parse().map_err(|_| {
            Report::new(exit::BAD_VALUE, format!("`{text}` is not an address")).at("public-ip")
        })?,
        None if bound.ip().is_unspecified() => std::net::IpAddr::from(std::net::Ipv4Addr::LOCALHOST),
        None => bound.ip(),
    };
    Ok(SocketAddr::new(ip, bound.port()))
}

fn signer_of(key: &log::Secret<Vec<u8>>) -> Result<Sign, Report> {
    let key = PrivateKey::from_der(key.expose(), &SystemRandom::new())
        .map_err(|err| Report::new(exit::BAD_VALUE, "the staking key cannot be used").because(&err))?;
    Ok(Arc::new(move |bytes: &[u8]| key.sign(bytes, &SystemRandom::new()).ok()))
}

/// The indexes of both chains, where they are kept. The X-chain's lists of vertices and transactions end where its DAG does.
fn indexes(config: &Config, store: &Arc<dyn Database>, x_chain: Id) -> Result<BTreeMap<Id, Indexes>, Report> {
    let (enabled, gaps) = (config.index_enabled, config.index_allow_incomplete);
    let refused = |err: IndexError| match err {
        IndexError::Incomplete => Report::new(exit::BAD_VALUE, err.to_string())
            .at("index-enabled")
            .advice("set index-allow-incomplete, or fetch everything anew into another data directory"),
        err => vm_report("the index cannot be opened", &err),
    };
    let part: Arc<dyn Database> = Arc::new(Prefixed::new(Arc::clone(store), b"index"));
    let indexer = Indexer::open(part, enabled, gaps).map_err(refused)?;
    let mut indexes = BTreeMap::new();
    for (chain, was_dag) in [(Id::EMPTY, false), (x_chain, true)] {
        if let Some(of_chain) = indexer.register(chain, was_dag).map_err(refused)? {
            indexes.insert(chain, of_chain);
        }
    }
    Ok(indexes)
}

/// The P-chain's parameters; flags change those of networks that are not public.
fn p_config(
    config: &Config,
    network: &Network,
    genesis: &NetworkGenesis,
    upgrades: Upgrades,
) -> platformvm::config::Config {
    let mut p = platformvm::config::Config::of_network(network.id, genesis.avax_asset_id);
    p.upgrades = upgrades;
    p.unseen = genesis.platform.chain_id(EVM_ID);
    if matches!(network.id, 1 | 5) {
        return p;
    }
    p.staking.min_validator_stake = config.min_validator_stake;
    p.staking.max_validator_stake = config.max_validator_stake;
    p.staking.min_delegator_stake = config.min_delegator_stake;
    p.staking.min_delegation_fee = config.min_delegation_fee;
    p.staking.min_stake_duration = config.min_stake_duration.0.as_secs();
    p.staking.max_stake_duration = config.max_stake_duration.0.as_secs();
    p.staking.helicon_min_stake_duration = config.helicon_min_stake_duration.0.as_secs();
    p.staking.uptime_requirement = config.uptime_requirement.0;
    p.staking.rewards.max_consumption_rate = config.stake_max_consumption_rate;
    p.staking.rewards.min_consumption_rate = config.stake_min_consumption_rate;
    p.staking.rewards.minting_period =
        u64::try_from(config.stake_minting_period.0.as_nanos()).unwrap_or(u64::MAX);
    p.staking.rewards.supply_cap = config.stake_supply_cap;
    p.gas.weights.bandwidth = config.dynamic_fees_bandwidth_weight;
    p.gas.weights.db_read = config.dynamic_fees_db_read_weight;
    p.gas.weights.db_write = config.dynamic_fees_db_write_weight;
    p.gas.weights.compute = config.dynamic_fees_compute_weight;
    p.gas.max_capacity = config.dynamic_fees_max_gas_capacity;
    p.gas.max_per_second = config.dynamic_fees_max_gas_per_second;
    p.gas.target_per_second = config.dynamic_fees_target_gas_per_second;
    p.gas.min_price = config.dynamic_fees_min_gas_price;
    p.gas.excess_conversion_constant = config.dynamic_fees_excess_conversion_constant;
    p.validator_fee.capacity = config.validator_fees_capacity;
    p.validator_fee.target = config.validator_fees_target;
    p.validator_fee.min_price = config.validator_fees_min_price;
    p.validator_fee.excess_conversion_constant = config.validator_fees_excess_conversion_constant;
    p
}

/// The X-chain's parameters and genesis.
fn x_chain(
    config: &Config,
    network: &Network,
    genesis: &NetworkGenesis,
) -> Result<(avm::config::Config, Vec<u8>), Report> {
    let none = || Report::new(exit::BAD_VALUE, "the genesis holds no X-chain").at("genesis-file");
    let id = genesis.platform.chain_id(AVM_ID).ok_or_else(none)?;
    let data = genesis.platform.chains.iter().find_map(|tx| match &tx.unsigned {
        UnsignedTx::CreateChain(chain) if chain.vm_id == AVM_ID => Some(chain.genesis_data.clone()),
        _ => None,
    });
    let mut x = avm::config::Config::of_network(network.id, id, genesis.avax_asset_id);
    if !matches!(network.id, 1 | 5) {
        x.tx_fee = config.tx_fee;
        x.create_asset_fee = config.create_asset_tx_fee;
    }
    Ok((x, data.ok_or_else(none)?))
}

fn params(config: &Config) -> Params {
    let quorum = |own: u32| config.snow_quorum_size.unwrap_or(own);
    Params {
        k: config.snow_sample_size,
        alpha_preference: quorum(config.snow_preference_quorum_size),
        alpha_confidence: quorum(config.snow_confidence_quorum_size),
        beta: config.snow_commit_threshold,
        concurrent_repolls: config.snow_concurrent_repolls,
        optimal_processing: config.snow_optimal_processing,
        max_outstanding_items: config.snow_max_processing,
        max_item_processing_time: config.snow_max_time_processing.0,
    }
}

/// The task between network, chains and operators.
struct Node<D: Daemon> {
    ctx: Context<D>,
    shared: Arc<Shared>,
    store: Arc<dyn Database>,
    sign: Sign,
    certificate: Vec<u8>,
    chain_events: mpsc::Sender<Event>,
    /// Chains that executed what was accepted when they began.
    synced: BTreeSet<Id>,
    reporter: Reporter,
    failures: Once,
    next_transfer: Time,
}

impl<D: Daemon<Config = Config>> Node<D> {
    /// Wraps a machine and starts its thread.
    fn start_chain(
        &self,
        id: Id,
        alias: &'static str,
        inner: Arc<dyn ChainVm>,
        beacons: BTreeMap<NodeId, u64>,
    ) -> Result<(), Report> {
        let (shared, config, clock) = (&self.shared, &self.ctx.config, &self.ctx.clock);
        let opened = |err: VmError| vm_report(&format!("the {alias}-chain cannot be opened"), &err);
        let proposer = proposervm::vm::Config {
            chain_id: id,
            subnet: Id::EMPTY,
            me: shared.facts.me,
            certificate: self.certificate.clone(),
            sign: Arc::clone(&self.sign),
            upgrades: shared.facts.upgrades,
            min_block_delay: config.proposervm_min_block_delay.0,
        };
        let state: Arc<dyn ValidatorState> = Arc::new(shared.platform.clone());
        let vm = ProposerVm::open(inner, state, Arc::clone(&self.store), proposer).map_err(opened)?;
        let wrapper = Arc::new(vm);
        shared.proposers.write().insert(id, Arc::clone(&wrapper));
        let vm: Arc<dyn ChainVm> = wrapper;
        // A node sees itself all the time, which counts as its uptime.
        vm.connected(shared.facts.me, clock.wall());
        let index = shared.indexes.get(&id).map(|indexes| Arc::clone(&indexes.blocks));
        let below = VmChain::new(Arc::clone(&vm), Arc::clone(&self.store), id, Arc::clone(clock), index)
            .map_err(opened)?;
        let overflow = |_| Report::new(exit::UNEXPECTED, "the weight of the validators overflows");
        let params = params(config);
        params.verify().map_err(|err| {
            Report::new(exit::BAD_VALUE, err.to_string()).at("snow-sample-size and the flags beside it")
        })?;
        let bootstrap = bootstrap::Settings {
            sample: usize::try_from(params.k).unwrap_or(usize::MAX),
            beacons: Validators::new(beacons).map_err(overflow)?,
            checkpoints: Vec::new(),
        };
        let mut seed = [0; 32];
        SystemRandom::new()
            .fill(&mut seed)
            .map_err(|_| Report::new(exit::UNEXPECTED, "the operating system gives no random numbers"))?;
        let mut settings = Settings::new(shared.facts.me, params, bootstrap, seed);
        settings.frontier_poll_period = config.consensus_frontier_poll_frequency.0;
        settings.timeouts = timeouts::Settings {
            initial: config.network_initial_timeout.0,
            minimum: config.network_minimum_timeout.0,
            maximum: config.network_maximum_timeout.0,
            halflife: config.network_timeout_halflife.0,
            coefficient: config.network_timeout_coefficient.0,
        };
        settings.bench = bench::Settings {
            halflife: config.benchlist_halflife.0,
            bench_above: config.benchlist_bench_probability.0,
            unbench_below: config.benchlist_unbench_probability.0,
            duration: config.benchlist_duration.0,
            ..settings.bench
        };
        let weights = chain::weights(&shared.validators.read());
        let machine = Machine::new(settings, weights, below, clock.now()).map_err(overflow)?;
        let (handle, commands) = Handle::new(id, alias);
        let runner = Runner {
            handle: handle.clone(),
            machine,
            vm,
            network: Arc::clone(&shared.network),
            clock: Arc::clone(clock),
            events: self.chain_events.clone(),
        };
        for node in shared.peers.read().keys() {
            handle.input(Input::Connected(*node));
        }
        shared.chains.write().push(handle);
        self.ctx
            .tasks
            .spawn_thread(Stage::Work, format!("{alias}-chain"), move |stop| runner.run(&commands, &stop))
            .map_err(|err| Report::new(exit::UNEXPECTED, "a thread cannot be started").because(&err))
    }

    /// Tells network and chains who validates now.
    fn refresh_validators(&self) -> Result<(), Report> {
        let shared = &self.shared;
        let set = shared
            .platform
            .current_height()
            .and_then(|height| shared.platform.validators_at(height, Id::EMPTY))
            .map_err(|err| vm_report("the validators cannot be read", &err))?;
        let old = std::mem::replace(&mut *shared.validators.write(), Arc::clone(&set));
        if *old == *set {
            return Ok(());
        }
        for (node, validator) in set.iter() {
            if old.get(node).is_none_or(|before| before.public_key != validator.public_key) {
                shared.network.validator_added(Id::EMPTY, *node, validator.public_key);
            }
        }
        for node in old.keys().filter(|node| !set.contains_key(*node)) {
            shared.network.validator_removed(Id::EMPTY, *node);
        }
        for handle in shared.chains.read().iter() {
            handle.input(Input::Validators(chain::weights(&set)));
            if handle.alias != P_CHAIN {
                handle.input(Input::Beacons(chain::weights(&set)));
            }
        }
        Ok(())
    }

    async fn run(
        mut self,
        mut from_net: mpsc::Receiver<transport::Event>,
        mut from_chains: mpsc::Receiver<Event>,
        stop: Stop,
    ) -> Result<(), Report> {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.wait() => break,
                Some(event) = from_net.recv() => self.on_network(event),
                Some(event) = from_chains.recv() => tokio::task::block_in_place(|| self.on_chain(&event))?,
                _ = tick.tick() => self.on_tick(),
            }
        }
        let (platform, now) = (self.shared.platform.clone(), self.ctx.clock.wall());
        tokio::task::block_in_place(|| platform.stop(now))
            .map_err(|err| vm_report("the P-chain cannot be closed", &err))
    }

    fn on_network(&mut self, event: transport::Event) {
        let now = self.ctx.clock.wall();
        let chains = self.shared.chains.read();
        match event {
            transport::Event::Connected(node, info) => {
                let client = exit::escape(&info.client);
                let version = format!("{}.{}.{}", info.version.major, info.version.minor, info.version.patch);
                tracing::info!(target: "net", %node, client, version, "peer connected");
                self.shared.peers.write().insert(node, Peer { info: *info, since: now, heard: now });
                chains.iter().for_each(|chain| chain.input(Input::Connected(node)));
            }
            transport::Event::Message(node, body, held) => {
                if let Some(peer) = self.shared.peers.write().get_mut(&node) {
                    peer.heard = now;
                }
                if let Some((id, message)) = Message::from_body(*body)
                    && let Some(chain) = chains.iter().find(|chain| chain.id == id)
                    && !chain.message(node, message, held)
                {
                    self.reporter.dropped();
                }
            }
            transport::Event::Disconnected(node, reason) => {
                tracing::info!(target: "net", %node, reason = %log::Chain(&reason), "peer disconnected");
                self.shared.peers.write().remove(&node);
                chains.iter().for_each(|chain| chain.input(Input::Disconnected(node)));
            }
            transport::Event::Failed(address, error) => {
                let reason = log::Chain(&error).to_string();
                if self.failures.admit(&reason, self.ctx.clock.now()) {
                    tracing::info!(target: "net", %address, reason, "connection failed");
                }
            }
            transport::Event::Malformed(node, error) => {
                tracing::info!(target: "net", %node, reason = %log::Chain(&error), "message dropped: it cannot be read");
            }
        }
    }

    fn on_chain(&mut self, event: &Event) -> Result<(), Report> {
        match *event {
            Event::Synced(id) => {
                self.refresh_validators()?;
                self.synced.insert(id);
                self.next_chain(id)?;
                let chains = self.shared.chains.read();
                if chains.iter().all(|chain| self.synced.contains(&chain.id)) {
                    tracing::info!(target: "sync", chains = chains.len(), "all chains are synced");
                    chains.iter().for_each(|chain| chain.input(Input::SubnetSynced(true)));
                }
            }
            Event::Following(id) => {
                let chains = self.shared.chains.read();
                if let Some(chain) = chains.iter().find(|chain| chain.id == id) {
                    let height = chain.view.lock().last_accepted.1;
                    tracing::info!(target: "chain", chain = chain.alias, height, "consensus begins");
                }
            }
            Event::Accepted(id, _) => {
                self.reporter.accepted();
                if id == Id::EMPTY {
                    self.refresh_validators()?;
                }
            }
        }
        Ok(())
    }

    /// Chains beside the P-chain start when it is synced.
    fn next_chain(&self, synced: Id) -> Result<(), Report> {
        if synced != Id::EMPTY || self.shared.chains.read().iter().any(|chain| chain.alias == X_CHAIN) {
            return Ok(());
        }
        let id = self.shared.avm.config().chain_id;
        let vm: Arc<dyn ChainVm> = Arc::new(self.shared.avm.clone());
        let beacons = chain::weights(&self.shared.validators.read());
        self.start_chain(id, X_CHAIN, vm, beacons)
    }

    fn on_tick(&mut self) {
        let set = Arc::clone(&self.shared.validators.read());
        for node in self.shared.peers.read().keys().filter(|node| set.contains_key(*node)) {
            self.shared.network.set_uptime(*node, 100);
        }
        if let Some(every) = self.ctx.config.local_transfers
            && !matches!(self.shared.facts.network.id, 1 | 5)
            && self.next_transfer <= self.ctx.clock.now()
            && self.shared.chains.read().iter().all(|chain| chain.view.lock().is_following)
        {
            self.next_transfer = self.ctx.clock.now().after(every.0);
            let (platform, now) = (&self.shared.platform, self.ctx.clock.wall());
            if let Ok(Some(tx)) = tokio::task::block_in_place(|| transfers::issue(platform, now)) {
                tracing::info!(target: "transfers", %tx, "transfer issued");
            }
        }
        self.reporter.tick(&self.ctx, &self.shared);
    }
}
