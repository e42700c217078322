//! Whom to ask for blocks: mostly whoever delivered most bytes a second of late, sometimes somebody new, so that better
//! peers are found. Mirrors `network/p2p/peer_tracker.go`.

use std::{collections::BTreeMap, time::Duration};

use avalanche_ids::NodeId;
use rand::RngExt;
use shared_vendor::clock::Time;

use crate::networking::{outbox::Outbox, timeouts::Averager};

/// Part of the requests that go to a random peer.
pub const RANDOM_PART: f64 = 0.1;
/// Time after which a measurement counts half.
pub const HALFLIFE: Duration = Duration::from_secs(300);

/// What peers delivered.
#[derive(Debug, Default)]
pub struct Peers {
    bandwidths: BTreeMap<NodeId, Averager>,
}

impl Peers {
    /// A connected peer to be asked.
    pub fn select(&self, out: &mut Outbox) -> Option<NodeId> {
        let others: Vec<_> = out.connected.iter().filter(|node| **node != out.me).copied().collect();
        let unknown: Vec<_> =
            others.iter().filter(|node| !self.bandwidths.contains_key(*node)).copied().collect();
        if self.bandwidths.len() < 3 && !unknown.is_empty() {
            return out.pick(&unknown);
        }
        if out.random.random_bool(RANDOM_PART) {
            return out.pick(&others);
        }
        let known = others.iter().filter_map(|node| Some((*node, self.bandwidths.get(node)?.read())));
        let best = known.max_by(|(_, a), (_, b)| a.total_cmp(b)).filter(|(_, rate)| *rate > 0.0);
        best.map(|(node, _)| node).or_else(|| out.pick(&others))
    }

    /// A peer delivered bytes.
    #[allow(clippy::cast_precision_loss)] // a rate for comparison
    pub fn answered(&mut self, node: NodeId, bytes: usize, took: Duration, now: Time) {
        self.observe(node, bytes as f64 / (took.as_secs_f64() + 1e-6), now);
    }

    /// A peer delivered nothing of use.
    pub fn failed(&mut self, node: NodeId, now: Time) {
        self.observe(node, 0.0, now);
    }

    /// A peer is gone.
    pub fn disconnected(&mut self, node: NodeId) {
        self.bandwidths.remove(&node);
    }

    fn observe(&mut self, node: NodeId, rate: f64, now: Time) {
        self.bandwidths
            .entry(node)
            .and_modify(|average| average.observe(rate, now))
            .or_insert_with(|| Averager::new(rate, HALFLIFE, now));
    }
}
