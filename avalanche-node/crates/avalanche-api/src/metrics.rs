//! Metrics under the names of avalanchego, for the dashboards and alerts its operators have: those whose value this node
//! knows. What Go's runtime or the reference's caches and stores count has no equal here and is left out. The node's own
//! metrics are not here, they are served beside these. Mirrors the metrics of `network`, `snow/consensus/snowman`,
//! `snow/networking/benchlist`, `api/health` and `vms/platformvm`.

mod process;

use std::fmt::Write as _;

use avalanche_ids::{Id, NodeId};
use avalanche_vm::{chain::ValidatorSet, gas};
use platformvm::state::Scalars;

use self::process::Process;
use crate::{Context, health, info};

const NANOSECONDS: u64 = 1_000_000_000;

/// A chain at work.
#[derive(Debug, Clone)]
pub struct ChainAtWork {
    /// Its name for people.
    pub alias: &'static str,
    /// The height of the last accepted block.
    pub height: u64,
    /// Blocks in consensus that are not decided.
    pub processing: usize,
    /// Polls that strengthened a decision.
    pub successful_polls: u64,
    /// Polls that did not.
    pub failed_polls: u64,
    /// Who is not asked.
    pub benched: Vec<NodeId>,
}

/// Values of one metric, each with those of its labels.
type Samples = Vec<(Vec<String>, f64)>;

/// A metric.
struct Family {
    name: &'static str,
    kind: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
    samples: fn(&Seen<'_>) -> Samples,
}

/// What values are made of.
struct Seen<'a> {
    context: &'a Context,
    peers: usize,
    chains: Vec<ChainAtWork>,
    validators: ValidatorSet,
    scalars: Scalars,
    /// When the own node leaves the validators.
    end: Option<u64>,
    process: Option<Process>,
}

const NONE: &[&str] = &[];
const CHAIN: &[&str] = &["chain"];
const RESOURCE: &[&str] = &["chain", "resource"];

const fn gauge(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
    samples: fn(&Seen<'_>) -> Samples,
) -> Family {
    Family { name, kind: "gauge", labels, help, samples }
}

const fn counter(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
    samples: fn(&Seen<'_>) -> Samples,
) -> Family {
    Family { name, kind: "counter", labels, help, samples }
}

const FAMILIES: [Family; 27] = [
    gauge("avalanche_network_peers", NONE, "Connected peers", |seen| one(seen.peers as f64)),
    gauge(
        "avalanche_network_node_uptime_weighted_average",
        NONE,
        "Uptime of this validator as its peers see it, weighted by their stake, in percent",
        |seen| one(info::uptimes(seen.context).map_or(0.0, |uptimes| uptimes.average)),
    ),
    gauge(
        "avalanche_network_node_uptime_rewarding_stake",
        NONE,
        "Stake of the peers that see this validator up long enough for a reward, in percent",
        |seen| one(info::uptimes(seen.context).map_or(0.0, |uptimes| uptimes.rewarding)),
    ),
    gauge("avalanche_health_checks_failing", &["check", "tag"], "Failing checks", |seen| {
        let sample = |kind: &str| {
            let failing = health::failing(seen.context, &format!("health.{kind}"));
            (vec![kind.to_owned(), "all".to_owned()], failing as f64)
        };
        ["health", "liveness", "readiness"].map(sample).into()
    }),
    gauge("avalanche_benchlist_benched_num", CHAIN, "Validators that are not asked", |seen| {
        seen.by_chain(|chain| chain.benched.len() as f64)
    }),
    gauge(
        "avalanche_benchlist_benched_weight",
        CHAIN,
        "Stake of the validators that are not asked",
        |seen| {
            let weight =
                |node: &NodeId| seen.validators.get(node).map_or(0.0, |validator| validator.weight as f64);
            seen.by_chain(|chain| chain.benched.iter().map(weight).sum())
        },
    ),
    counter("avalanche_snowman_polls_successful", CHAIN, "Polls that strengthened a decision", |seen| {
        seen.by_chain(|chain| chain.successful_polls as f64)
    }),
    counter("avalanche_snowman_polls_failed", CHAIN, "Polls that strengthened none", |seen| {
        seen.by_chain(|chain| chain.failed_polls as f64)
    }),
    gauge("avalanche_snowman_last_accepted_height", CHAIN, "Height of the last accepted block", |seen| {
        seen.by_chain(|chain| chain.height as f64)
    }),
    gauge("avalanche_snowman_blks_processing", CHAIN, "Blocks that are not decided", |seen| {
        seen.by_chain(|chain| chain.processing as f64)
    }),
    gauge("avalanche_platformvm_total_staked", CHAIN, "Weight of all validators, in nAVAX", |seen| {
        platform(seen.validators.values().map(|validator| validator.weight as f64).sum())
    }),
    gauge("avalanche_platformvm_local_staked", CHAIN, "Weight of this validator, in nAVAX", |seen| {
        let own = seen.validators.get(&seen.context.facts.node);
        platform(own.map_or(0.0, |validator| validator.weight as f64))
    }),
    gauge(
        "avalanche_platformvm_time_until_unstake",
        CHAIN,
        "Time until this validator is none any more, in nanoseconds",
        |seen| {
            let left = seen.end.map_or(0, |end| {
                end.saturating_mul(NANOSECONDS).saturating_sub(seen.context.clock.wall().as_nanos())
            });
            platform(left as f64)
        },
    ),
    gauge("avalanche_platformvm_price", RESOURCE, "Price of a resource, in nAVAX", |seen| {
        let config = seen.context.platform.config();
        let fee = &config.validator_fee;
        let validators = gas::price(fee.min_price, seen.scalars.l1_excess, fee.excess_conversion_constant);
        resources(config.gas.price(seen.scalars.fee_state.excess), validators)
    }),
    gauge("avalanche_platformvm_excess", RESOURCE, "Use of a resource beyond its target", |seen| {
        resources(seen.scalars.fee_state.excess, seen.scalars.l1_excess)
    }),
    gauge("avalanche_platformvm_gas_capacity", CHAIN, "Gas that the next block may use at least", |seen| {
        platform(seen.scalars.fee_state.capacity as f64)
    }),
    gauge("avalanche_platformvm_active_l1_validators", CHAIN, "L1 validators that are active", |seen| {
        platform(seen.scalars.active_l1 as f64)
    }),
    gauge(
        "avalanche_platformvm_accrued_validator_fees",
        CHAIN,
        "What an L1 validator that was there from the start would have paid, in nAVAX",
        |seen| platform(seen.scalars.accrued_fees as f64),
    ),
    gauge("avalanche_platformvm_mempool_count", CHAIN, "Transactions that wait for a block", |seen| {
        platform(seen.context.platform.read_mempool(|mempool| mempool.len()) as f64)
    }),
    gauge("avalanche_avm_mempool_count", CHAIN, "Transactions that wait for a block", |seen| {
        vec![(vec!["X".to_owned()], seen.context.avm.read_mempool(|mempool| mempool.len()) as f64)]
    }),
    counter("avalanche_process_process_cpu_seconds_total", NONE, "Processor time used", |seen| {
        seen.of_process(|process| process.cpu_seconds)
    }),
    gauge("avalanche_process_process_max_fds", NONE, "Files that may be open", |seen| {
        seen.of_process(|process| process.max_fds)
    }),
    gauge("avalanche_process_process_open_fds", NONE, "Open files", |seen| {
        seen.of_process(|process| process.open_fds)
    }),
    gauge("avalanche_process_process_resident_memory_bytes", NONE, "Resident memory", |seen| {
        seen.of_process(|process| process.resident_bytes)
    }),
    gauge("avalanche_process_process_start_time_seconds", NONE, "Start of the process, Unix time", |seen| {
        seen.of_process(|process| process.start_seconds)
    }),
    gauge("avalanche_process_process_virtual_memory_bytes", NONE, "Address space in use", |seen| {
        seen.of_process(|process| process.virtual_bytes)
    }),
    gauge(
        "avalanche_process_process_virtual_memory_max_bytes",
        NONE,
        "Address space that may be used",
        |seen| seen.of_process(|process| process.max_virtual_bytes),
    ),
];

fn one(value: f64) -> Samples {
    vec![(Vec::new(), value)]
}

fn platform(value: f64) -> Samples {
    vec![(vec!["P".to_owned()], value)]
}

fn resources(gas: u64, validators: u64) -> Samples {
    let sample = |(name, value): (&str, u64)| (vec!["P".to_owned(), name.to_owned()], value as f64);
    [("gas", gas), ("validators", validators)].map(sample).into()
}

impl<'a> Seen<'a> {
    fn of(context: &'a Context) -> Self {
        let (validators, scalars, end) = context.platform.read(|state| {
            let end = state.draft().current_validator(Id::EMPTY, context.facts.node).map(|staker| staker.end);
            (state.current_set(Id::EMPTY), *state.scalars(), end)
        });
        let (peers, chains) = (context.node.peers().len(), context.node.chains());
        Self { context, peers, chains, validators, scalars, end, process: Process::own() }
    }

    fn by_chain(&self, value: impl Fn(&ChainAtWork) -> f64) -> Samples {
        self.chains.iter().map(|chain| (vec![chain.alias.to_owned()], value(chain))).collect()
    }

    fn of_process(&self, value: fn(&Process) -> f64) -> Samples {
        self.process.iter().flat_map(|process| one(value(process))).collect()
    }
}

/// All of them with their values now, as Prometheus reads them.
#[must_use]
pub fn page(context: &Context) -> String {
    let seen = Seen::of(context);
    let mut text = String::new();
    for Family { name, kind, labels, help, samples } in &FAMILIES {
        let _infallible = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        for (values, value) in samples(&seen) {
            let pairs = labels.iter().zip(&values).map(|(label, value)| format!("{label}=\"{value}\""));
            let listed = pairs.collect::<Vec<_>>().join(",");
            let braced = if listed.is_empty() { listed } else { format!("{{{listed}}}") };
            let _infallible = writeln!(text, "{name}{braced} {value}");
        }
    }
    text
}
