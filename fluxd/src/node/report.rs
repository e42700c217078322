//! What operators see: progress lines, status page, metrics. All come from one sample a second.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use fluxd_chainstate::ChainEvent;
use fluxd_p2p::{peer::End, transport::Hub};
use fluxd_rpc::PeerInfo;
use shared_vendor::{
    app::{Context, Daemon},
    clock::{Clock, Time},
    metrics,
    ops::{Beat, Phase, Section, StatusCell},
    progress::Progress,
};

use super::worker::State;

const LINE_WHILE_SYNCING: Duration = Duration::from_secs(10);
const LINE_AT_TIP: Duration = Duration::from_secs(60);
/// Blocks behind the target that still count as in step.
const LAG: u32 = 2;
/// Peers on the status page.
const PEERS_SHOWN: usize = 50;
/// What messages are refused for.
const OFFENCES: [&str; 4] = ["header", "block", "malformed message", "busy"];

pub(super) struct Reporter {
    status: StatusCell,
    common: metrics::Common,
    clock: Arc<dyn Clock>,
    beat: Beat,
    progress: Progress,
    height: u32,
    phase: Phase,
    last_line: Time,
    bytes: (u64, u64),
}

impl Reporter {
    pub(super) fn new<D: Daemon>(ctx: &Context<D>, height: u32) -> Self {
        let now = ctx.clock.now();
        // A counter that has a series from the start shows its first increase.
        for reason in OFFENCES {
            let _ = ctx.metrics.p2p_rejected.with(&[reason]);
        }
        let _ = ctx.metrics.peer_bans.with(&[End::Misbehaved.name()]);
        for direction in ["in", "out"] {
            let _ = ctx.metrics.p2p_messages.with(&[direction, "version"]);
        }
        Self {
            status: ctx.status.clone(),
            common: ctx.metrics.clone(),
            clock: Arc::clone(&ctx.clock),
            beat: ctx.status.beat("node", now),
            progress: Progress::new("blocks", now, height.into(), height.into()),
            height,
            phase: Phase::Starting,
            last_line: now,
            bytes: (0, 0),
        }
    }

    pub(super) fn changed(&mut self, now: Time, events: &[ChainEvent]) {
        let mut undone = 0_u32;
        for event in events {
            match event {
                ChainEvent::Connected { height, .. } => {
                    self.progress.advance(
                        now,
                        u64::from(*height),
                        f64::from(height.saturating_sub(self.height)),
                    );
                    self.height = *height;
                }
                ChainEvent::Disconnected { height, .. } => {
                    undone = undone.saturating_add(1);
                    self.height = height.saturating_sub(1);
                }
                ChainEvent::Rejected { .. } => {}
            }
        }
        if undone > 0 {
            self.common.reorgs.inc();
            self.common.reorg_depth.set(undone.into());
            tracing::info!(target: "chain", height = self.height, depth = undone, "reorganisation");
        }
    }

    pub(super) fn offence(&self, reason: &str) {
        self.common.p2p_rejected.with(&[reason]).inc();
    }

    pub(super) fn disconnected(&self, end: End) {
        self.common.peer_disconnects.with(&[end.name()]).inc();
        if end == End::Misbehaved {
            self.common.peer_bans.with(&[end.name()]).inc();
        }
    }

    pub(super) fn tick(&mut self, now: Time, state: &State, peers: &[PeerInfo], hub: &Hub) {
        self.beat.tick(now);
        let target = state.best_height.max(state.height);
        let in_step = target <= state.height.saturating_add(LAG) && !state.syncing;
        self.phase = if in_step { Phase::Synced } else { Phase::Syncing };
        self.progress.aim(target.into(), target.into());
        let numbers = self.progress.numbers(now);
        let inbound = peers.iter().filter(|peer| peer.inbound).count();
        let outbound = peers.len().saturating_sub(inbound);
        let every = if in_step { LINE_AT_TIP } else { LINE_WHILE_SYNCING };
        if now.since(self.last_line) >= every {
            self.last_line = now;
            tracing::info!(target: "sync", "{numbers} peers={}", peers.len());
        }
        numbers.export(&self.common, self.phase);
        self.common.head_timestamp.set(state.tip_time.into());
        self.common.peers.with(&["in"]).set(to_float(inbound));
        self.common.peers.with(&["out"]).set(to_float(outbound));
        let bytes = (hub.traffic.received.load(Ordering::Relaxed), hub.traffic.sent.load(Ordering::Relaxed));
        self.common.p2p_bytes.with(&["in"]).inc_by(bytes.0.saturating_sub(self.bytes.0));
        self.common.p2p_bytes.with(&["out"]).inc_by(bytes.1.saturating_sub(self.bytes.1));
        self.bytes = bytes;
        let row = |peer: &PeerInfo| {
            let direction = if peer.inbound { "in" } else { "out" };
            vec![
                peer.address.to_string(),
                direction.to_owned(),
                peer.user_agent.clone(),
                peer.starting_height.to_string(),
            ]
        };
        let section = Section {
            title: "Peers".to_owned(),
            columns: ["address", "direction", "client", "height"].map(str::to_owned).to_vec(),
            rows: peers.iter().take(PEERS_SHOWN).map(row).collect(),
        };
        let wall = self.clock.wall().as_secs();
        let phase = self.phase;
        self.status.update(now, |status| {
            numbers.show(status);
            // A stop that has begun is not taken back.
            if status.phase != Phase::Stopping {
                status.phase = phase;
                status.sentence = sentence(phase, peers.len(), state.height);
            }
            status.tip = state.tip.map(|tip| tip.to_string()).unwrap_or_default();
            status.tip_age_seconds = Some(wall.saturating_sub(state.tip_time.into()));
            (status.peers_in, status.peers_out) = (inbound, outbound);
            status.sections = vec![section];
        });
    }
}

fn sentence(phase: Phase, peers: usize, height: u32) -> String {
    match (phase, peers) {
        (_, 0) => format!("Looking for peers, at height {height}"),
        (Phase::Synced, _) => format!("In step with {peers} peers at height {height}"),
        _ => format!("Syncing blocks, at height {height}"),
    }
}

fn to_float(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}
