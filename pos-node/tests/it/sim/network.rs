//! A chain of simulated nodes: genesis, who runs which validators, who is faulty.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use pos_node::{
    crypto::derive::interop_key,
    slashing_protection::rules::{Protection, Rule},
    state::{
        Registration,
        genesis::{Genesis, GenesisValidator, Start},
    },
    types::{
        domain::{DomainType, domain, signing_root},
        operation::DepositMessage,
        params::{Config, POS, Params},
        primitives::{Address, Epoch, Root},
    },
};
use shared_vendor::{
    clock::Time,
    testing::sim::{Sim, Weather},
};

use super::{
    actor::{Fault, Making, SimNode, SyncedRecord},
    signatures::{Scheme, SharedVerifier},
};

/// Unix seconds of slot 0; the simulation begins one second before.
const GENESIS: u64 = 1_800_000_000;

/// A network to be.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) scheme: Scheme,
    pub(super) nodes: usize,
    pub(super) validators_per_node: usize,
    pub(super) latency: Range<Duration>,
    pub(super) loss: f64,
    /// Largest error of a node's clock.
    pub(super) skew_ms: u64,
    /// Another speed of the leak than the preset's.
    pub(super) leak_quotient: Option<u64>,
    /// What is wrong with which node.
    pub(super) faults: BTreeMap<usize, Fault>,
}

impl Plan {
    pub(super) fn new(seed: u64, nodes: usize) -> Self {
        Self {
            seed,
            scheme: Scheme::Cheap,
            nodes,
            validators_per_node: 1,
            latency: Duration::from_millis(20)..Duration::from_millis(200),
            loss: 0.0,
            skew_ms: 100,
            leak_quotient: None,
            faults: BTreeMap::new(),
        }
    }
}

/// The network. Nodes from `plan.nodes` on are the second halves of equivocators.
pub(super) struct Network {
    pub(super) sim: Sim<SimNode>,
    pub(super) config: Arc<Config>,
    pub(super) plan: Plan,
    pub(super) honest: Vec<usize>,
}

impl Network {
    pub(super) fn new(plan: Plan) -> Self {
        let (config, start) = genesis(plan.nodes * plan.validators_per_node, plan.leak_quotient);
        let verifier = Arc::new(SharedVerifier::new(plan.scheme));
        let fault = |at: usize| plan.faults.get(&at).copied().unwrap_or_default();
        let halves: Vec<usize> = (0..plan.nodes).filter(|at| fault(*at) == Fault::Equivocator).collect();
        let total = plan.nodes + halves.len();
        let mut nodes = Vec::new();
        for at in 0..total {
            let owner = at.checked_sub(plan.nodes).map_or(at, |half| halves[half]);
            let first = owner * plan.validators_per_node;
            // of an equivocator, one half talks to the even nodes and the other to the odd ones
            let peers: BTreeSet<usize> = (0..total)
                .filter(|peer| *peer != at)
                .filter(|peer| can_talk(fault(owner), at, owner, *peer))
                .filter(|peer| {
                    let other = peer.checked_sub(plan.nodes).map_or(*peer, |half| halves[half]);
                    can_talk(fault(other), *peer, other, at)
                })
                .collect();
            let skew = mix(plan.seed, at) % (2 * plan.skew_ms + 1);
            let making = Making {
                at,
                config: config.clone(),
                verifier: verifier.clone(),
                scheme: plan.scheme,
                validators: (first..first + plan.validators_per_node).map(|v| v as u64).collect(),
                fault: fault(owner),
                base_ms: GENESIS * 1000 - 1000 + skew - plan.skew_ms,
                peers,
            };
            let record = Protection::new(Rule::Complete, start.state.genesis_validators_root);
            let record = SyncedRecord(Arc::new(Mutex::new(record)));
            nodes.push(SimNode::create(Arc::new(making), &start, record));
        }
        let honest = (0..plan.nodes).filter(|at| fault(*at) == Fault::None).collect();
        let weather = Weather { latency: plan.latency.clone(), loss: plan.loss };
        Self { sim: Sim::new(plan.seed, nodes, weather), config, plan, honest }
    }

    /// When an epoch begins, in the simulation's time.
    pub(super) fn epoch_start(&self, epoch: Epoch) -> Time {
        let params = &self.config.params;
        Time::from_millis(1000 + params.start_slot(epoch) * params.slot_ms)
    }

    /// The epoch it is.
    pub(super) fn epoch(&self) -> Epoch {
        let params = &self.config.params;
        let ms = (self.sim.now().as_nanos() / 1_000_000).saturating_sub(1000);
        params.epoch_of(ms / params.slot_ms)
    }

    pub(super) fn run_to_epoch(&mut self, epoch: Epoch) {
        self.sim.run_until(self.epoch_start(epoch));
    }

    /// Kills a node and starts it again from what its disk holds.
    pub(super) fn crash(&mut self, at: usize) {
        if let Some(node) = self.sim.crash(at) {
            self.sim.restart(at, node.restarted());
        }
    }

    /// The lowest final epoch among the honest.
    pub(super) fn finalized(&self) -> Epoch {
        let of = |at: &usize| self.sim.node(*at).map(|node| node.core.chain().finalized().epoch);
        self.honest.iter().filter_map(of).min().unwrap_or(0)
    }

    /// Where every node stands, for a failure's message.
    pub(super) fn describe(&self) -> String {
        let nodes =
            self.plan.nodes + self.plan.faults.values().filter(|of| **of == Fault::Equivocator).count();
        let line = |at: usize| {
            let node = self.sim.node(at)?;
            let chain = node.core.chain();
            let (state, head) = (chain.state(&chain.head())?, chain.head().to_string());
            let slashed = state.validators.slashed.iter().filter(|slashed| **slashed).count();
            Some(format!(
                "{at} {:?}: slot {} head {} {:.4} justified {} final {} syncing to {:?}, {slashed} slashed, proposed {}",
                node.making.fault,
                chain.current_slot(),
                chain.head_slot(),
                head,
                chain.justified().epoch,
                chain.finalized().epoch,
                node.core.sync_target(),
                node.proposed,
            ))
        };
        (0..nodes).filter_map(line).collect::<Vec<_>>().join("\n")
    }

    /// No two honest nodes have ever called different blocks final, neither at one epoch nor on two branches.
    pub(super) fn assert_safe(&self) {
        let mut by_epoch: BTreeMap<Epoch, (usize, Root)> = BTreeMap::new();
        for at in &self.honest {
            let Some(node) = self.sim.node(*at) else { continue };
            for (epoch, root) in &node.finalized {
                let (first, agreed) = *by_epoch.entry(*epoch).or_insert((*at, *root));
                assert_eq!(agreed, *root, "seed {}: {first} and {at} at epoch {epoch}", self.plan.seed);
            }
        }
        for at in &self.honest {
            let Some(node) = self.sim.node(*at) else { continue };
            let latest = node.core.chain().finalized().epoch;
            for (epoch, (first, root)) in by_epoch.range(..=latest) {
                let mut slot = self.config.params.start_slot(*epoch);
                let on_chain = loop {
                    use pos_node::storage::Database as _;
                    match node.core.chain().db().canonical(slot).unwrap() {
                        Some(root) => break Some(root),
                        None if slot == 0 => break None,
                        None => slot -= 1,
                    }
                };
                assert_eq!(
                    on_chain,
                    Some(*root),
                    "seed {}: {at} is on another branch than {first} at epoch {epoch}",
                    self.plan.seed
                );
            }
        }
    }
}

fn can_talk(fault: Fault, at: usize, owner: usize, peer: usize) -> bool {
    fault != Fault::Equivocator || peer.is_multiple_of(2) == (at == owner)
}

/// A number that depends on seed and place only.
pub(super) fn mix(seed: u64, at: usize) -> u64 {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (at as u64).wrapping_mul(0xd1b5_4a32_d192_ed03);
    x ^= x >> 31;
    x = x.wrapping_mul(0x9fb2_1c65_1e98_df25);
    x ^ x >> 28
}

/// A chain with this many validators. Their proofs of possession are real, hence made once for all tests.
fn genesis(validators: usize, leak_quotient: Option<u64>) -> (Arc<Config>, Start) {
    type Made = BTreeMap<(usize, Option<u64>), (Arc<Config>, Start)>;
    static MADE: OnceLock<Mutex<Made>> = OnceLock::new();
    let mut made = MADE.get_or_init(Mutex::default).lock().unwrap();
    let make = || {
        let mut params = Params::minimal();
        params.inactivity_penalty_quotient = leak_quotient.unwrap_or(params.inactivity_penalty_quotient);
        let config =
            Config { params, chain_id: 7, genesis_fork_version: [0, 0, 0, 1], genesis_time: GENESIS };
        let amount = 32 * POS;
        let entry = |at: usize| {
            let key = interop_key(at as u64).unwrap();
            let owner = Address([at as u8; 32]);
            let message = DepositMessage { pubkey: key.public_key(), owner: Root(owner.0), amount };
            let domain = domain(DomainType::Deposit.bytes(), config.genesis_fork_version, Root::ZERO);
            let proof = key.sign(&signing_root(&message, domain));
            let registration = Registration {
                owner,
                commission_bps: 0,
                max_commission_bps: 0,
                effective_cap: amount,
                fee_recipient: owner,
            };
            GenesisValidator { pubkey: key.public_key(), proof, amount, registration }
        };
        let validators = (0..validators).map(entry).collect();
        let genesis = Genesis { config: config.clone(), accounts: Vec::new(), validators };
        (Arc::new(config), genesis.build().unwrap())
    };
    made.entry((validators, leak_quotient)).or_insert_with(make).clone()
}
