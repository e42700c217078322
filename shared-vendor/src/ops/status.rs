//! What a daemon knows of itself, sampled once and shown everywhere: status page, `/status.json`, health checks.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::RwLock;
use serde::Serialize;

use crate::clock::Time;

/// A loop that has not ticked for this long makes `/livez` fail.
const STUCK_AFTER: Duration = Duration::from_secs(60);
/// One height a minute for an hour.
const HISTORY: usize = 60;
const HISTORY_STEP: Duration = Duration::from_secs(60);

/// Where the daemon is in its life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Not yet serving.
    #[default]
    Starting,
    /// Serving, behind its peers.
    Syncing,
    /// Serving, at the tip.
    Synced,
    /// On the way out.
    Stopping,
}

/// Something an operator should know, with what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub advice: String,
}

/// One health check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Short name: `synced`, `peers`, `store`.
    pub name: &'static str,
    /// Whether it holds.
    pub ok: bool,
    /// Why not, or what was seen.
    pub message: String,
}

/// A part of the page that only one chain has: a title and rows of name and value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Section {
    /// Heading.
    pub title: String,
    /// Column heads; empty for plain name and value rows.
    pub columns: Vec<String>,
    /// Cells, row by row.
    pub rows: Vec<Vec<String>>,
}

/// A sample of the daemon's state. Values from the network are escaped where they are shown, not here.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Status {
    /// Program name.
    pub daemon: &'static str,
    /// Its version.
    pub version: String,
    /// Its commit.
    pub commit: String,
    /// Name of the network.
    pub network: String,
    /// Where it is in its life.
    pub phase: Phase,
    /// The state in one plain sentence.
    pub sentence: String,
    /// What the heights count: `headers`, `blocks`.
    pub unit: &'static str,
    /// Best verified height.
    pub height: u64,
    /// Best validated claim of the peers, if there is one.
    pub target: Option<u64>,
    /// 0 to 100.
    pub percent: Option<f64>,
    /// Units a second over the last minutes.
    pub rate: Option<f64>,
    /// Seconds until synced.
    pub eta_seconds: Option<u64>,
    /// Hash of the tip as its users write it.
    pub tip: String,
    /// Age of the tip.
    pub tip_age_seconds: Option<u64>,
    /// Peers that dialled us.
    pub peers_in: usize,
    /// Peers we dialled.
    pub peers_out: usize,
    /// Bound addresses by name: `p2p`, `rpc`, `ops`.
    pub addresses: BTreeMap<&'static str, String>,
    /// Data directory.
    pub data_dir: String,
    /// Bytes the data takes.
    pub disk_used_bytes: Option<u64>,
    /// Bytes left on its disk.
    pub disk_free_bytes: Option<u64>,
    /// Resident memory.
    pub memory_bytes: Option<u64>,
    /// Seconds since the start.
    pub uptime_seconds: u64,
    /// What an operator should know.
    pub warnings: Vec<Warning>,
    /// Health checks of the daemon itself, beside those every daemon has.
    pub checks: Vec<Check>,
    /// What only this chain has.
    pub sections: Vec<Section>,
}

/// The one place the status lives. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct StatusCell {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    status: RwLock<Status>,
    history: RwLock<History>,
    beats: RwLock<Vec<(&'static str, Arc<AtomicU64>)>>,
}

#[derive(Debug, Default)]
struct History {
    heights: VecDeque<u64>,
    last: Option<Time>,
}

impl StatusCell {
    /// Changes the status and, once a minute, notes the height for the page's history.
    pub fn update(&self, now: Time, change: impl FnOnce(&mut Status)) {
        let mut status = self.inner.status.write();
        change(&mut status);
        let mut history = self.inner.history.write();
        if history.last.is_none_or(|last| now.since(last) >= HISTORY_STEP) {
            history.last = Some(now);
            history.heights.push_back(status.height);
            if history.heights.len() > HISTORY {
                history.heights.pop_front();
            }
        }
    }

    /// A copy of the present status.
    #[must_use]
    pub fn read(&self) -> Status {
        self.inner.status.read().clone()
    }

    /// Heights of the last hour, oldest first, one a minute.
    #[must_use]
    pub fn history(&self) -> Vec<u64> {
        self.inner.history.read().heights.iter().copied().collect()
    }

    /// Names a loop that must tick at least once a minute.
    #[must_use]
    pub fn beat(&self, name: &'static str, now: Time) -> Beat {
        let last = Arc::new(AtomicU64::new(now.as_nanos()));
        self.inner.beats.write().push((name, Arc::clone(&last)));
        Beat { last }
    }

    /// Loops that have not ticked for a minute.
    #[must_use]
    pub fn stuck(&self, now: Time) -> Vec<&'static str> {
        let since = |last: &AtomicU64| now.since(Time::from_nanos(last.load(Ordering::Relaxed)));
        self.inner
            .beats
            .read()
            .iter()
            .filter(|(_, last)| since(last) > STUCK_AFTER)
            .map(|(name, _)| *name)
            .collect()
    }

    /// All health checks: those every daemon has, then its own.
    #[must_use]
    pub fn checks(&self, now: Time) -> Vec<Check> {
        let status = self.read();
        let stuck = self.stuck(now);
        let peers = status.peers_in.saturating_add(status.peers_out);
        let mut checks = vec![
            Check { name: "loops", ok: stuck.is_empty(), message: stuck.join(", ") },
            Check { name: "synced", ok: status.phase == Phase::Synced, message: status.sentence },
            Check { name: "peers", ok: peers > 0, message: format!("{peers} connected") },
        ];
        checks.extend(status.checks);
        checks
    }
}

/// A loop's sign of life.
#[derive(Debug, Clone)]
pub struct Beat {
    last: Arc<AtomicU64>,
}

impl Beat {
    /// The loop runs.
    pub fn tick(&self, now: Time) {
        self.last.store(now.as_nanos(), Ordering::Relaxed);
    }
}
