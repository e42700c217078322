//! What operators see: progress lines, status page, metrics. All come from one sample a second.

use std::{error::Error, sync::Arc, sync::atomic::Ordering, time::Duration};

use neo_p2p::transport::{Connection, Traffic};
use neo_runtime::{Admission, Tip};
use shared_vendor::{
    app::{Context, Daemon},
    clock::{Clock, Time},
    exit::{Report, escape},
    metrics,
    ops::{Beat, Phase, Section, StatusCell},
    progress::Progress,
};

use crate::{cli::database_code, config::Config, metrics::Metrics};

const LINE_WHILE_SYNCING: Duration = Duration::from_secs(10);
const LINE_AT_TIP: Duration = Duration::from_secs(60);
/// Blocks behind the best claim that still count as in step.
const LAG: u32 = 2;
/// Peers on the status page.
const PEERS_SHOWN: usize = 50;

/// What ends the process when the ledger fails.
pub(super) fn ledger_failed(err: &(dyn Error + 'static), is_damage: bool) -> Report {
    let code = database_code(is_damage);
    Report::new(code, code.title).because(err)
}

pub(super) struct Reporter {
    status: StatusCell,
    common: metrics::Common,
    metrics: Metrics,
    clock: Arc<dyn Clock>,
    beat: Beat,
    progress: Progress,
    phase: Phase,
    last_line: Time,
    last_height: u32,
    bytes: (u64, u64),
    messages: (u64, u64),
}

/// What is sampled.
pub(super) struct Sample<'a> {
    pub(super) tip: Tip,
    /// Best height that peers claim.
    pub(super) target: u32,
    pub(super) headers: u32,
    pub(super) peers: Vec<&'a Connection>,
    pub(super) traffic: &'a Traffic,
    pub(super) admission: &'a Admission,
    /// A node without seeds that makes all blocks itself needs no peers.
    pub(super) alone: bool,
}

impl Reporter {
    pub(super) fn new<D: Daemon<Config = Config>>(ctx: &Context<D>, height: u32) -> Self {
        let now = ctx.clock.now();
        Self {
            status: ctx.status.clone(),
            common: ctx.metrics.clone(),
            metrics: Metrics::register(&ctx.registry),
            clock: Arc::clone(&ctx.clock),
            beat: ctx.status.beat("network", now),
            progress: Progress::new("blocks", now, height.into(), f64::from(height)),
            phase: Phase::Starting,
            last_line: now,
            last_height: height,
            bytes: (0, 0),
            messages: (0, 0),
        }
    }

    pub(super) fn disconnected(&self, reason: &str) {
        self.common.peer_disconnects.with(&[reason]).inc();
    }

    pub(super) fn rejected(&self, reason: &str) {
        self.common.p2p_rejected.with(&[reason]).inc();
    }

    pub(super) fn banned(&self, reason: &str) {
        self.common.peer_bans.with(&[reason]).inc();
    }

    pub(super) fn tick(&mut self, now: Time, sample: &Sample<'_>) {
        self.beat.tick(now);
        let (height, target) = (sample.tip.height, sample.target.max(sample.tip.height));
        let has_peers = !sample.peers.is_empty() || sample.alone;
        let in_step = has_peers && target <= height.saturating_add(LAG);
        self.phase = if in_step { Phase::Synced } else { Phase::Syncing };
        let work = f64::from(height) - f64::from(self.last_height);
        self.progress.advance(now, height.into(), work);
        self.last_height = height;
        if has_peers {
            self.progress.aim(target.into(), target.into());
        }
        let numbers = self.progress.numbers(now);
        let (inbound, all) = (sample.peers.iter().filter(|peer| peer.inbound).count(), sample.peers.len());
        let outbound = all.saturating_sub(inbound);
        let every = if in_step { LINE_AT_TIP } else { LINE_WHILE_SYNCING };
        if now.since(self.last_line) >= every {
            self.last_line = now;
            tracing::info!(target: "sync", "{numbers} headers={} peers={all}", sample.headers);
        }
        numbers.export(&self.common, self.phase);
        let (waiting, bytes) = sample.admission.size();
        self.metrics.mempool_transactions.set(to_float(waiting));
        self.metrics.mempool_bytes.set(to_float(bytes));
        self.metrics.headers.set(sample.headers.into());
        let seconds = sample.tip.timestamp / 1000;
        self.common.head_timestamp.set(u32::try_from(seconds).map_or(f64::MAX, f64::from));
        self.common.peers.with(&["in"]).set(to_float(inbound));
        self.common.peers.with(&["out"]).set(to_float(outbound));
        self.count(sample.traffic);
        let sections = sections(sample, waiting);
        self.status.update(now, |status| {
            numbers.show(status);
            // A stop that has begun is not taken back.
            if status.phase != Phase::Stopping {
                status.phase = self.phase;
                status.sentence = sentence(self.phase, all, sample.alone, &numbers);
            }
            status.tip = sample.tip.hash.to_string();
            status.tip_age_seconds = Some(self.clock.wall().as_secs().saturating_sub(seconds));
            (status.peers_in, status.peers_out) = (inbound, outbound);
            status.sections = sections;
        });
    }

    fn count(&mut self, traffic: &Traffic) {
        let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let bytes = (read(&traffic.bytes_in), read(&traffic.bytes_out));
        let messages = (read(&traffic.messages_in), read(&traffic.messages_out));
        for (name, new, old) in [("in", bytes.0, self.bytes.0), ("out", bytes.1, self.bytes.1)] {
            self.common.p2p_bytes.with(&[name]).inc_by(new.saturating_sub(old));
        }
        for (name, new, old) in [("in", messages.0, self.messages.0), ("out", messages.1, self.messages.1)] {
            self.common.p2p_messages.with(&[name, "any"]).inc_by(new.saturating_sub(old));
        }
        (self.bytes, self.messages) = (bytes, messages);
    }
}

fn sections(sample: &Sample<'_>, waiting: usize) -> Vec<Section> {
    let text = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let row = |peer: &&Connection| {
        let direction = if peer.inbound { "in" } else { "out" };
        vec![peer.address.to_string(), direction.to_owned(), escape(&peer.version.user_agent)]
    };
    vec![
        Section {
            title: "Peers".to_owned(),
            columns: text(&["address", "direction", "client"]),
            rows: sample.peers.iter().take(PEERS_SHOWN).map(row).collect(),
        },
        Section {
            title: "Ledger".to_owned(),
            columns: Vec::new(),
            rows: vec![
                vec!["state root".to_owned(), sample.tip.root.to_string()],
                vec!["verified headers".to_owned(), sample.headers.to_string()],
                vec!["transactions that wait".to_owned(), waiting.to_string()],
            ],
        },
    ]
}

fn sentence(phase: Phase, peers: usize, alone: bool, numbers: &shared_vendor::progress::Numbers) -> String {
    match (phase, peers) {
        (Phase::Synced, 0) => format!("Making blocks alone, at height {}", numbers.height),
        (_, 0) if !alone => "Looking for peers".to_owned(),
        (Phase::Synced, _) => format!("In step with {peers} peers at height {}", numbers.height),
        _ => {
            let percent = numbers.percent.map_or_else(String::new, |percent| format!(", {percent:.0} %"));
            let left = numbers.eta.map_or_else(String::new, |eta| {
                format!(", about {} left", shared_vendor::progress::short(eta))
            });
            format!("Syncing blocks{percent}{left}")
        }
    }
}

fn to_float(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}
