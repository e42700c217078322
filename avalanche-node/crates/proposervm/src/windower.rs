//! Who may propose a block when. Before Durango a list of proposers takes turns and all may propose after it; since then
//! each slot of five seconds belongs to one validator. Mirrors `vms/proposervm/proposer`.

use std::time::Duration;

use avalanche_ids::{Id, NodeId};
use avalanche_utils::{
    prng::{Mt19937, Mt19937_64},
    sampler::{WeightOverflow, WeightedSampler},
};

/// Length of a window or slot.
pub const WINDOW: Duration = Duration::from_secs(5);
/// Windows after which, before Durango, anyone may propose.
pub const MAX_VERIFY_WINDOWS: u32 = 6;
/// Windows that a builder plans ahead, before Durango.
pub const MAX_BUILD_WINDOWS: u32 = 60;
/// Slots that are searched for a proposer's turn.
pub const MAX_LOOK_AHEAD_SLOTS: u64 = 720;

/// The schedule of one chain under one validator set.
#[derive(Debug, Clone)]
pub struct Windower {
    chain_source: u64,
    validators: Vec<(NodeId, u64)>,
    sampler: WeightedSampler,
}

impl Windower {
    /// The schedule of a chain under validators given by weight, in any order, each once. The empty node id, which
    /// stands for inactive validators of an L1, is left out.
    ///
    /// # Errors
    /// The total weight overflows.
    pub fn new(
        chain_id: Id,
        validators: impl IntoIterator<Item = (NodeId, u64)>,
    ) -> Result<Self, WeightOverflow> {
        let mut validators: Vec<_> =
            validators.into_iter().filter(|(node, _)| *node != NodeId::EMPTY).collect();
        validators.sort_unstable();
        let sampler = WeightedSampler::new(validators.iter().map(|(_, weight)| *weight))?;
        Ok(Self { chain_source: chain_source(chain_id), validators, sampler })
    }

    /// Before Durango: who may propose a height, in the order of the windows; one node can have several.
    #[must_use]
    pub fn proposers(&self, height: u64, max_windows: u32) -> Vec<NodeId> {
        let count = u64::from(max_windows).min(self.sampler.total_weight());
        let mut source = Mt19937::from_u64(self.chain_source ^ height);
        let drawn = usize::try_from(count).ok().and_then(|count| self.sampler.sample(&mut source, count));
        drawn.into_iter().flatten().filter_map(|index| self.node(index)).collect()
    }

    /// Before Durango: how long a node waits to propose a height. None is a node that is not a validator.
    #[must_use]
    pub fn delay(&self, height: u64, node: Option<NodeId>, max_windows: u32) -> Duration {
        let Some(node) = node else { return WINDOW.saturating_mul(max_windows) };
        let turns = self.proposers(height, max_windows);
        let before = turns.iter().position(|proposer| *proposer == node).unwrap_or(turns.len());
        WINDOW.saturating_mul(u32::try_from(before).unwrap_or(u32::MAX))
    }

    /// Since Durango: who alone may propose a height in a slot. None when anyone may, for want of validators.
    #[must_use]
    pub fn expected_proposer(&self, height: u64, slot: u64) -> Option<NodeId> {
        // The slot is reversed so that height and slot take from different ends of the seed.
        let mut source = Mt19937_64::new(self.chain_source ^ height ^ slot.reverse_bits());
        self.sampler.sample(&mut source, 1)?.first().and_then(|index| self.node(*index))
    }

    /// Since Durango: how long after its parent a node's next turn for a height begins, from `start_slot` on and at
    /// most [`MAX_LOOK_AHEAD_SLOTS`] later. None when anyone may propose.
    #[must_use]
    pub fn min_delay_for_proposer(&self, height: u64, node: NodeId, start_slot: u64) -> Option<Duration> {
        if self.validators.is_empty() {
            return None;
        }
        let end = start_slot.saturating_add(MAX_LOOK_AHEAD_SLOTS);
        let turn = (start_slot..end).find(|slot| self.expected_proposer(height, *slot) == Some(node));
        Some(slot_start(turn.unwrap_or(end)))
    }

    fn node(&self, index: usize) -> Option<NodeId> {
        self.validators.get(index).map(|(node, _)| *node)
    }
}

/// The first eight bytes of a chain's id, which seed its schedule.
#[must_use]
pub fn chain_source(chain_id: Id) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = chain_id.0;
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// The slot of a time, both times in Unix seconds; the first one before the parent's time.
#[must_use]
pub fn time_to_slot(parent_time: i64, now: i64) -> u64 {
    u64::try_from(now.saturating_sub(parent_time)).map_or(0, |elapsed| elapsed / WINDOW.as_secs())
}

fn slot_start(slot: u64) -> Duration {
    Duration::from_secs(WINDOW.as_secs().saturating_mul(slot))
}
