//! What operators see: progress lines, status page, metrics, one sample a second.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use shared_vendor::{
    app::{Context, Daemon},
    clock::{Clock, Time},
    metrics::{self, Counter, Gauge, Labelled, Registry},
    ops::{Beat, Phase, Section, StatusCell},
    progress::Progress,
};

use super::core::{Core, Duty};
use crate::{
    consensus::chain::Event,
    network::{gossip::Verdict, gossip::slot_start_ms, transport::Info},
    storage::Database,
    types::primitives::Slot,
};

const LINE_WHILE_SYNCING: Duration = Duration::from_secs(10);
const LINE_AT_TIP: Duration = Duration::from_secs(60);
/// Slots behind the clock that still count as in step.
const LAG: Slot = 4;
const PEERS_SHOWN: usize = 50;

/// What only this daemon counts. Names follow `ethereum/beacon-metrics` where one exists.
struct Metrics {
    slot: Gauge,
    justified: Gauge,
    finalized: Gauge,
    validators: Gauge,
    pool: Gauge,
    proposed: Counter,
    voted: Counter,
    missed: Counter,
    verdicts: Labelled<Counter>,
}

impl Metrics {
    fn register(registry: &Registry) -> Self {
        Self {
            slot: registry.gauge("slot", "The slot that time has reached"),
            justified: registry.gauge("current_justified_epoch", "Epoch of the justified checkpoint"),
            finalized: registry.gauge("finalized_epoch", "Epoch of the final checkpoint"),
            validators: registry.gauge("local_validators", "Validators whose keys are here"),
            pool: registry.gauge("mempool_transactions", "Transactions that wait for a block"),
            proposed: registry.counter("validator_proposed_total", "Blocks proposed by validators here"),
            voted: registry.counter("validator_voted_total", "Votes of validators here"),
            missed: registry
                .counter("validator_missed_total", "Duties of validators here that were not done"),
            verdicts: registry.counters(
                "gossip_verdicts_total",
                &["verdict"],
                "Gossip by whether it was passed on: accept, ignore, reject",
            ),
        }
    }
}

pub(super) struct Reporter {
    status: StatusCell,
    common: metrics::Common,
    metrics: Metrics,
    clock: Arc<dyn Clock>,
    beat: Beat,
    progress: Progress,
    height: Slot,
    phase: Phase,
    last_line: Time,
    reorgs: Vec<Vec<String>>,
}

impl Reporter {
    pub(super) fn new<D: Daemon>(ctx: &Context<D>, height: Slot) -> Self {
        let now = ctx.clock.now();
        let metrics = Metrics::register(&ctx.registry);
        for verdict in ["accept", "ignore", "reject"] {
            let _ = metrics.verdicts.with(&[verdict]); // a series from the start shows its first increase
        }
        Self {
            status: ctx.status.clone(),
            common: ctx.metrics.clone(),
            metrics,
            clock: Arc::clone(&ctx.clock),
            beat: ctx.status.beat("node", now),
            progress: Progress::new("slots", now, height, to_float(height)),
            height,
            phase: Phase::Starting,
            last_line: now,
            reorgs: Vec::new(),
        }
    }

    pub(super) fn verdict(&self, verdict: Verdict) {
        let name = match verdict {
            Verdict::Accept => "accept",
            Verdict::Ignore(_) => "ignore",
            Verdict::Reject(_) => "reject",
        };
        self.metrics.verdicts.with(&[name]).inc();
    }

    pub(super) fn chain(&mut self, event: &Event) {
        match event {
            Event::Head { old, new, slot, common } => {
                if common == old {
                    tracing::debug!(target: "chain", slot, root = %new, "head");
                } else {
                    self.common.reorgs.inc();
                    tracing::info!(target: "chain", slot, root = %new, old = %old, "reorganisation");
                    let wall = self.clock.wall().to_string();
                    self.reorgs.insert(0, vec![wall, slot.to_string(), new.to_string()]);
                    self.reorgs.truncate(10);
                }
            }
            Event::Finalized(checkpoint) => {
                tracing::info!(target: "chain", epoch = checkpoint.epoch, root = %checkpoint.root, "finalized");
            }
            Event::ProposerOffence(evidence) => {
                let validator = evidence.signed_header_1.header.proposer_index;
                tracing::warn!(target: "chain", validator, "a validator signed two blocks for one slot");
            }
            Event::AttesterOffence(evidence) => {
                let voters = evidence.attestation_2.attesting_indices.len();
                tracing::warn!(target: "chain", voters, "validators contradicted their votes");
            }
            _ => {}
        }
    }

    pub(super) fn duty(&self, duty: &Duty) {
        match duty {
            Duty::Proposed { validator, slot, root, txs } => {
                self.metrics.proposed.inc();
                tracing::info!(target: "validator", validator, slot, %root, txs, "proposed");
            }
            Duty::Voted { validators, slot, head } => {
                self.metrics.voted.inc_by(u64::try_from(validators.len()).unwrap_or(0));
                tracing::debug!(target: "validator", slot, %head, count = validators.len(), "voted");
            }
            Duty::Missed { validator, slot, reason } => {
                self.metrics.missed.inc();
                tracing::warn!(target: "validator", validator, slot, reason, "duty not done");
            }
            Duty::Doppelganger(validator) => {
                tracing::error!(
                    target: "validator",
                    validator,
                    "another instance signs with this key: it is not used here. Stop one of the two and start this node again"
                );
            }
        }
    }

    pub(super) fn tick<D: Database>(&mut self, now: Time, core: &Core<D>, peers: &BTreeMap<u64, Info>) {
        self.beat.tick(now);
        let chain = core.chain();
        let (height, clock_slot) = (chain.head_slot(), chain.current_slot());
        if height != self.height {
            let work = to_float(height) - to_float(self.height);
            self.progress.advance(now, height, work);
            self.height = height;
        }
        let target = core.sync_target().unwrap_or(height).max(height);
        self.progress.aim(target, to_float(target));
        let started = self.clock.wall().as_millis() >= slot_start_ms(chain.config(), 0);
        let in_step = !started || (core.sync_target().is_none() && height.saturating_add(LAG) >= clock_slot);
        self.phase = if in_step && !peers.is_empty() { Phase::Synced } else { Phase::Syncing };
        let numbers = self.progress.numbers(now);
        let every = if in_step { LINE_AT_TIP } else { LINE_WHILE_SYNCING };
        if now.since(self.last_line) >= every {
            self.last_line = now;
            tracing::info!(target: "sync", "{numbers} final={} peers={}", chain.finalized().epoch, peers.len());
        }
        numbers.export(&self.common, self.phase);
        let inbound = peers.values().filter(|peer| peer.inbound).count();
        let outbound = peers.len().saturating_sub(inbound);
        self.common.peers.with(&["in"]).set(count(inbound));
        self.common.peers.with(&["out"]).set(count(outbound));
        let head_ms = slot_start_ms(chain.config(), height);
        self.common.head_timestamp.set(to_float(head_ms / 1000));
        self.metrics.slot.set(to_float(clock_slot));
        self.metrics.justified.set(to_float(chain.justified().epoch));
        self.metrics.finalized.set(to_float(chain.finalized().epoch));
        self.metrics.validators.set(count(core.duties().validators().len()));
        self.metrics.pool.set(count(core.mempool().len()));
        let sections = self.sections(core, peers);
        let age = self.clock.wall().as_millis().saturating_sub(head_ms) / 1000;
        let sentence = match (self.phase, peers.len()) {
            (_, 0) => "Looking for peers".to_owned(),
            (Phase::Synced, many) => {
                format!(
                    "In step with {many} peers at slot {height}, final up to epoch {}",
                    chain.finalized().epoch
                )
            }
            _ => format!("Syncing: slot {height} of {}", target.max(clock_slot)),
        };
        self.status.update(now, |status| {
            numbers.show(status);
            // a stop that has begun is not taken back
            if status.phase != Phase::Stopping {
                status.phase = self.phase;
                status.sentence = sentence;
            }
            status.tip = chain.head().to_string();
            status.tip_age_seconds = Some(age);
            (status.peers_in, status.peers_out) = (inbound, outbound);
            status.sections = sections;
        });
    }

    fn sections<D: Database>(&self, core: &Core<D>, peers: &BTreeMap<u64, Info>) -> Vec<Section> {
        let chain = core.chain();
        let row = |name: &str, value: String| vec![name.to_owned(), value];
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let peer = |peer: &Info| {
            let direction = if peer.inbound { "in" } else { "out" };
            vec![peer.id.to_string(), peer.address.to_string(), direction.to_owned(), peer.agent.clone()]
        };
        let ours: Vec<String> = core.duties().validators().keys().take(20).map(ToString::to_string).collect();
        vec![
            Section {
                title: "Consensus".to_owned(),
                columns: Vec::new(),
                rows: vec![
                    row("slot", chain.current_slot().to_string()),
                    row("justified epoch", chain.justified().epoch.to_string()),
                    row("final epoch", chain.finalized().epoch.to_string()),
                    row("confirmed block", chain.confirmed().to_string()),
                    row("validators here", if ours.is_empty() { "none".to_owned() } else { ours.join(", ") }),
                    row("transactions waiting", core.mempool().len().to_string()),
                ],
            },
            Section {
                title: "Peers".to_owned(),
                columns: words(&["node", "address", "direction", "program"]),
                rows: peers.values().take(PEERS_SHOWN).map(peer).collect(),
            },
            Section {
                title: "Last reorganisations".to_owned(),
                columns: words(&["time", "slot", "head"]),
                rows: self.reorgs.clone(),
            },
        ]
    }
}

/// Slots and epochs stay far below 2^32.
fn to_float(number: u64) -> f64 {
    u32::try_from(number).map_or(f64::MAX, f64::from)
}

fn count(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::MAX, f64::from)
}
