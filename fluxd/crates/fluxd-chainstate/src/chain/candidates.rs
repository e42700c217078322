//! Complete chains that could become active: at least as much work as the tip. Mirrors `setBlockIndexCandidates`.

use std::collections::{BTreeMap, BTreeSet};

use fluxd_primitives::U256;

use crate::index::{BlockId, HeaderIndex};

/// Ends of complete chains by work.
#[derive(Debug, Default)]
pub(super) struct Candidates(BTreeMap<U256, BTreeSet<BlockId>>);

impl Candidates {
    pub(super) fn insert(&mut self, index: &HeaderIndex, id: BlockId) {
        self.0.entry(index.entry(id).work()).or_default().insert(id);
    }

    pub(super) fn remove(&mut self, index: &HeaderIndex, id: BlockId) {
        let work = index.entry(id).work();
        if let Some(ids) = self.0.get_mut(&work) {
            ids.remove(&id);
            if ids.is_empty() {
                self.0.remove(&work);
            }
        }
    }

    /// Those with the most work.
    pub(super) fn best(&self) -> impl Iterator<Item = BlockId> + '_ {
        self.0.last_key_value().into_iter().flat_map(|(_, ids)| ids.iter().copied())
    }

    /// Drops all with less work.
    pub(super) fn prune(&mut self, work: U256) {
        self.0 = self.0.split_off(&work);
    }

    /// Starts again with everything complete that has at least as much work as the tip.
    pub(super) fn rebuild(&mut self, index: &HeaderIndex) {
        self.0.clear();
        let least = index.entry(index.tip()).work();
        for id in index.ids() {
            let entry = index.entry(id);
            if entry.chain_transactions() > 0 && !entry.is_failed() && entry.work() >= least {
                self.insert(index, id);
            }
        }
    }
}
