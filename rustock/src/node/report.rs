//! What operators see: progress lines, status page, metrics, and the values behind `eth_syncing` and `net_peerCount`.
//! All come from one sample a second.

use std::{collections::BTreeMap, sync::Arc, sync::atomic::Ordering, time::Duration};

use shared_vendor::{
    app::{Context, Daemon},
    clock::{Clock, Time},
    metrics,
    ops::{Beat, Phase, Section, StatusCell, Warning},
    progress::{Numbers, Progress},
};
use tokio::sync::watch;

use super::latency::Latencies;
use crate::{
    chain::Inserted,
    metrics::Metrics,
    net::{
        score::{self, Scores},
        transport::{Connection, Traffic},
    },
    rpc,
    store::Tip,
    sync,
    types::{BlockNumber, Timestamp},
    wire::p2p::Reason,
};

const LINE_WHILE_SYNCING: Duration = Duration::from_secs(10);
const LINE_AT_TIP: Duration = Duration::from_secs(60);
/// Blocks behind the target that still count as in step.
const LAG: u64 = 2;
/// What peers are refused for.
const OFFENCES: [&str; 3] = ["timeout", "invalid_message", "invalid_header"];
/// Peers on the status page.
const PEERS_SHOWN: usize = 50;
/// Reorganisations on the status page.
const REORGS_SHOWN: usize = 10;
/// Sightings of other branches on the status page.
const FORKS_SHOWN: usize = 5;

/// What a sample is taken from.
pub(super) struct Observed<'a> {
    pub(super) peers: &'a BTreeMap<u64, Connection>,
    pub(super) scores: &'a Scores,
    pub(super) latencies: &'a Latencies,
    pub(super) finality: &'a rpc::Finality,
    pub(super) forks: &'a rpc::ForkMonitor,
    pub(super) traffic: &'a Traffic,
}

pub(super) struct Reporter {
    status: StatusCell,
    common: metrics::Common,
    metrics: Metrics,
    clock: Arc<dyn Clock>,
    beat: Beat,
    progress: Progress,
    starting: BlockNumber,
    tip: Tip,
    tip_time: Timestamp,
    phase: Phase,
    last_line: Time,
    bytes: (u64, u64),
    frames: (u64, u64),
    reorgs: Vec<Vec<String>>,
    sync: watch::Sender<rpc::Sync>,
    peers: watch::Sender<Vec<rpc::PeerLine>>,
}

impl Reporter {
    pub(super) fn new<D: Daemon>(
        ctx: &Context<D>,
        (tip, tip_time): (Tip, Timestamp),
        metrics: Metrics,
        sync: watch::Sender<rpc::Sync>,
        peers: watch::Sender<Vec<rpc::PeerLine>>,
    ) -> Self {
        let now = ctx.clock.now();
        let starting = tip.number;
        sync.send_replace(rpc::Sync { starting, current: starting, highest: starting });
        // A counter that has a series from the start shows its first increase.
        for reason in OFFENCES {
            let _ = (ctx.metrics.p2p_rejected.with(&[reason]), ctx.metrics.peer_bans.with(&[reason]));
        }
        Self {
            status: ctx.status.clone(),
            common: ctx.metrics.clone(),
            metrics,
            clock: Arc::clone(&ctx.clock),
            beat: ctx.status.beat("node", now),
            progress: Progress::new("headers", now, starting.0, to_work(starting)),
            starting,
            tip,
            tip_time,
            phase: Phase::Starting,
            last_line: now,
            bytes: (0, 0),
            frames: (0, 0),
            reorgs: Vec::new(),
            sync,
            peers,
        }
    }

    pub(super) fn imported(&mut self, now: Time, inserted: &Inserted, took: Duration) {
        self.common.block_apply.observe(took.as_secs_f64());
        if !inserted.tip_changed {
            return;
        }
        let work = to_work(inserted.tip.number) - to_work(self.tip.number);
        self.progress.advance(now, inserted.tip.number.0, work);
        if inserted.reorg_depth > 0 {
            self.common.reorgs.inc();
            self.common.reorg_depth.set(to_work(BlockNumber(inserted.reorg_depth)));
            let (number, hash, depth) = (inserted.tip.number, inserted.tip.hash, inserted.reorg_depth);
            tracing::info!(target: "chain", height = %number, %hash, depth, "reorganisation");
            let wall = self.clock.wall().to_string();
            self.reorgs.insert(0, vec![wall, number.to_string(), depth.to_string()]);
            self.reorgs.truncate(REORGS_SHOWN);
        } else if self.phase == Phase::Synced {
            tracing::debug!(target: "chain", height = %inserted.tip.number, hash = %inserted.tip.hash, "new tip");
        }
    }

    /// The best block is another one, after an import or a part of one.
    pub(super) fn tip_changed(&mut self, tip: Tip, time: Timestamp) {
        (self.tip, self.tip_time) = (tip, time);
    }

    pub(super) fn disconnected(&self, reason: Reason) {
        self.common.peer_disconnects.with(&[reason.name()]).inc();
    }

    pub(super) fn rejected(&self, reason: &str) {
        self.common.p2p_rejected.with(&[reason]).inc();
    }

    pub(super) fn banned(&self, event: score::Event) {
        let reason = match event {
            score::Event::InvalidHeader => "invalid_header",
            _ => "invalid_message",
        };
        self.common.peer_bans.with(&[reason]).inc();
    }

    pub(super) fn tick(&mut self, now: Time, sync: sync::Progress, observed: &Observed<'_>) {
        let peers = observed.peers;
        self.beat.tick(now);
        let (target, height) = (sync.target.0, sync.tip.number.0);
        let in_step = !peers.is_empty() && target <= height.saturating_add(LAG);
        self.phase = if in_step { Phase::Synced } else { Phase::Syncing };
        if !peers.is_empty() {
            self.progress.aim(target, to_work(sync.target));
        }
        let numbers = self.progress.numbers(now);
        let inbound = peers.values().filter(|peer| peer.inbound).count();
        let outbound = peers.len().saturating_sub(inbound);

        let every = if in_step { LINE_AT_TIP } else { LINE_WHILE_SYNCING };
        if now.since(self.last_line) >= every {
            self.last_line = now;
            tracing::info!(target: "sync", "{numbers} peers={}", peers.len());
        }
        numbers.export(&self.common, self.phase);
        self.common.head_timestamp.set(u32::try_from(self.tip_time.0).map_or(f64::MAX, f64::from));
        self.common.peers.with(&["in"]).set(to_float(inbound));
        self.common.peers.with(&["out"]).set(to_float(outbound));
        self.count(observed.traffic);
        let current = sync.tip.number;
        self.sync.send_replace(rpc::Sync { starting: self.starting, current, highest: sync.target });
        let lines = || {
            let line =
                |peer: &Connection| rpc::PeerLine { id: peer.remote.to_string(), address: peer.address };
            peers.values().map(line).collect()
        };
        self.peers.send_replace(lines());
        let sections = self.sections(now, observed, &numbers);
        self.status.update(now, |status| {
            numbers.show(status);
            // A stop that has begun is not taken back.
            if status.phase != Phase::Stopping {
                status.phase = self.phase;
                status.sentence = sentence(self.phase, peers.len(), &numbers);
            }
            status.tip = self.tip.hash.to_string();
            status.tip_age_seconds = Some(self.clock.wall().as_secs().saturating_sub(self.tip_time.0));
            (status.peers_in, status.peers_out) = (inbound, outbound);
            status.sections = sections;
            status.warnings = warnings(observed.forks.alarm(now).as_ref());
        });
    }

    fn count(&mut self, traffic: &Traffic) {
        let bytes = (traffic.bytes_in.load(Ordering::Relaxed), traffic.bytes_out.load(Ordering::Relaxed));
        let frames = (traffic.frames_in.load(Ordering::Relaxed), traffic.frames_out.load(Ordering::Relaxed));
        for (name, new, old) in [("in", bytes.0, self.bytes.0), ("out", bytes.1, self.bytes.1)] {
            self.common.p2p_bytes.with(&[name]).inc_by(new.saturating_sub(old));
        }
        for (name, new, old) in [("in", frames.0, self.frames.0), ("out", frames.1, self.frames.1)] {
            self.common.p2p_messages.with(&[name, "any"]).inc_by(new.saturating_sub(old));
        }
        (self.bytes, self.frames) = (bytes, frames);
    }

    fn sections(&self, now: Time, observed: &Observed<'_>, numbers: &Numbers) -> Vec<Section> {
        let text = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let row = |(key, peer): (&u64, &Connection)| {
            let direction = if peer.inbound { "in" } else { "out" };
            let latency = observed.latencies.of(*key);
            vec![
                peer.remote.short(),
                peer.address.to_string(),
                direction.to_owned(),
                observed.scores.of(&peer.remote).score.to_string(),
                latency.map_or_else(|| "?".to_owned(), |latency| format!("{} ms", latency.as_millis())),
                peer.client.clone(),
            ]
        };
        let latencies: Vec<f64> = observed
            .peers
            .keys()
            .filter_map(|key| observed.latencies.of(*key))
            .map(|of| of.as_secs_f64())
            .collect();
        self.metrics.latency.set(latencies.iter().sum::<f64>() / to_float(latencies.len().max(1)));
        let pair = |name: &str, value: String| vec![name.to_owned(), value];
        vec![
            Section {
                title: "Peers".to_owned(),
                columns: text(&["node", "address", "direction", "score", "latency", "client"]),
                rows: observed.peers.iter().take(PEERS_SHOWN).map(row).collect(),
            },
            Section {
                title: "Verification".to_owned(),
                columns: Vec::new(),
                rows: vec![
                    pair("headers verified in this run", self.metrics.headers.get().to_string()),
                    pair(
                        "headers a second lately",
                        numbers.rate.map_or_else(|| "?".to_owned(), |rate| format!("{rate:.1}")),
                    ),
                    pair("requests of peers answered", self.metrics.served.get().to_string()),
                    pair("work of the chain", self.tip.total_difficulty.to_string()),
                ],
            },
            Section {
                title: "Finality by Bitcoin work".to_owned(),
                columns: Vec::new(),
                rows: self.finality(observed.finality),
            },
            self.fork_section(now, observed.forks),
            Section {
                title: "Last reorganisations".to_owned(),
                columns: text(&["time", "new height", "blocks undone"]),
                rows: self.reorgs.clone(),
            },
        ]
    }

    fn finality(&self, finality: &rpc::Finality) -> Vec<Vec<String>> {
        let Some(settled) = finality.known() else { return Vec::new() };
        self.metrics.safe.set(to_work(settled.safe));
        self.metrics.finalized.set(to_work(settled.finalized));
        let thresholds = finality.thresholds();
        let line = |tag: &str, number: BlockNumber, units: u64| {
            let below = self.tip.number.0.saturating_sub(number.0);
            vec![
                tag.to_owned(),
                format!("{number}: {below} blocks below the tip, work of {units} blocks wanted above"),
            ]
        };
        vec![
            line("safe", settled.safe, thresholds.safe),
            line("finalized", settled.finalized, thresholds.finalized),
            vec!["hashes above the finalized block".to_owned(), settled.work.to_string()],
        ]
    }

    fn fork_section(&self, now: Time, forks: &rpc::ForkMonitor) -> Section {
        let alarm = forks.alarm(now);
        self.metrics.hidden_fork.set(to_work(BlockNumber(alarm.map_or(0, |seen| seen.found.length()))));
        let mut rows = vec![vec![
            "proofs of work of unknown blocks".to_owned(),
            format!("{} compared with the chain", forks.compared()),
        ]];
        rows.extend(forks.departed().iter().rev().take(FORKS_SHOWN).map(|seen| {
            let ago = shared_vendor::progress::short(now.since(seen.time));
            let length = seen.found.length();
            vec![format!("{ago} ago"), format!("a branch of at least {length} blocks, tag {}", seen.tag)]
        }));
        Section { title: "Fork monitor".to_owned(), columns: Vec::new(), rows }
    }
}

fn warnings(alarm: Option<&rpc::forks::Sighting>) -> Vec<Warning> {
    let warning = |seen: &rpc::forks::Sighting| Warning {
        what: format!(
            "A branch of at least {} blocks is being mined that no peer shows",
            seen.found.length()
        ),
        advice: "Do not rely on new blocks until it is known what it is; compare with nodes that others run."
            .to_owned(),
    };
    alarm.map(warning).into_iter().collect()
}

fn sentence(phase: Phase, peers: usize, numbers: &Numbers) -> String {
    match (phase, peers) {
        (_, 0) => "Looking for peers".to_owned(),
        (Phase::Synced, _) => format!("In step with {peers} peers at height {}", numbers.height),
        _ => {
            let percent = numbers.percent.map_or_else(String::new, |percent| format!(", {percent:.0} %"));
            let left = numbers.eta.map_or_else(String::new, |eta| {
                format!(", about {} left", shared_vendor::progress::short(eta))
            });
            format!("Syncing headers{percent}{left}")
        }
    }
}

/// Headers are all alike, so the work of a synchronisation is their number.
fn to_work(number: BlockNumber) -> f64 {
    u32::try_from(number.0).map_or(f64::MAX, f64::from)
}

fn to_float(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}
