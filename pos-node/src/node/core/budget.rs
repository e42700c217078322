//! How large our blocks may be: what the network has shown to carry. Blocks that come late are more work than a slot
//! holds; as their transactions wait with those that have come since, the next blocks would be larger still, and no slot
//! would ever have its block again. So a late block takes a part of what ours may use, and every slot in step gives some back:
//! additive increase and multiplicative decrease, as in TCP's congestion control (RFC 5681). It is no rule of the protocol.

use super::Core;
use crate::{
    state::transition::tx::{Prepared, intrinsic_gas},
    storage::Database,
    types::{
        params::{Governed, GovernedParams},
        primitives::{Root, Slot},
        transaction::Tx,
    },
};

/// The whole of the protocol's limit.
const WHOLE: u64 = 64;
/// The least that is left; smaller blocks are not late for their size.
const LEAST: u64 = 8;
/// What a slot in step gives back.
const BACK: u64 = 1;

/// What our blocks may use of the protocol's limit of gas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Budget {
    parts: u64,
    gas: u64,
    /// Gas that the youngest block used.
    used: u64,
    /// Gas of the largest block that came in time since one came late.
    carried: u64,
    /// The slot in which it was lessened last.
    lessened: Option<Slot>,
}

impl Default for Budget {
    fn default() -> Self {
        Self { parts: WHOLE, gas: u64::MAX, used: 0, carried: 0, lessened: None }
    }
}

impl Budget {
    /// A block that used `used` of `limit` gas was too much; told in `slot`, once in each. What was carried just before
    /// may have been late for another reason, so that it takes less.
    fn on_late(&mut self, slot: Slot, used: u64, limit: u64) {
        let parts = used.checked_div(limit / WHOLE).unwrap_or(0);
        if self.lessened != Some(slot) && parts >= LEAST {
            self.lessened = Some(slot);
            let less = if used <= self.carried { parts / 8 } else { parts / 4 };
            self.carried = 0;
            self.set(self.parts.min(parts.saturating_sub(less)).max(LEAST), limit);
        }
    }

    /// A slot had its block in time.
    fn on_time(&mut self, limit: u64) {
        self.carried = self.carried.max(self.used);
        self.set(self.parts.saturating_add(BACK).min(WHOLE), limit);
    }

    fn set(&mut self, parts: u64, limit: u64) {
        self.parts = parts;
        self.gas = if parts == WHOLE { u64::MAX } else { (limit / WHOLE).saturating_mul(parts) };
    }

    /// As many of these transactions as may be in our block, by the gas that they use at least.
    pub(super) fn bound(
        self,
        params: GovernedParams,
        txs: impl Iterator<Item = Tx>,
    ) -> impl Iterator<Item = Tx> {
        let whole = self.gas == u64::MAX;
        txs.scan(self.gas, move |left, tx| {
            let gas = if whole { 0 } else { intrinsic_gas(&params, &Prepared::new(&tx)) };
            *left = left.checked_sub(gas)?;
            Some(tx)
        })
    }
}

impl<D: Database> Core<D> {
    /// A block was imported by itself, not while this node catches up.
    pub(super) fn note_block(&mut self, root: &Root, used: u64) {
        self.budget.used = used;
        let slot = self.chain.current_slot();
        let late = self
            .chain
            .fork_choice()
            .tree()
            .get(root)
            .is_some_and(|node| !node.timely && node.block.slot.saturating_add(2) >= slot);
        if late && self.range.target().is_none() {
            self.budget.on_late(slot, used, self.gas_limit());
        }
    }

    /// A slot begins. Was the one before it long enough for its block? Not when this node was held up; a slot without a
    /// block says nothing, for its proposer may be away.
    pub(super) fn note_slot(&mut self, slot: Slot) {
        if self.range.target().is_some() {
            return;
        }
        let slot_ms = u128::from(self.chain.config().params.slot_ms);
        let head = self.chain.fork_choice().tree().get(&self.chain.head());
        if self.behind.as_millis().saturating_mul(4) > slot_ms {
            self.budget.on_late(slot, self.budget.used, self.gas_limit());
        } else if head.is_some_and(|node| node.timely && node.block.slot.saturating_add(1) == slot) {
            self.budget.on_time(self.gas_limit());
        }
    }

    fn gas_limit(&self) -> u64 {
        let state = self.chain.state(&self.chain.head());
        state.map_or(0, |state| state.params.get(Governed::BlockGasLimit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Slots until at most two slots' transactions wait, in a network that executes `carried` gas in a slot and is sent
    /// `sent`; a larger block takes the slots it takes, and is late.
    fn slots_to_work_off(
        mut waiting: u64,
        sent: u64,
        carried: u64,
        limit: u64,
        bounded: bool,
    ) -> Option<u64> {
        let (mut budget, mut slot) = (Budget::default(), 0);
        while slot < 1000 {
            waiting += sent;
            if waiting <= 2 * sent {
                return Some(slot);
            }
            let block = waiting.min(limit).min(if bounded { budget.gas } else { u64::MAX });
            let slots = block.div_ceil(carried).max(1);
            // of a late block the votes are lost, and every other one is passed over
            let stays = slots == 1 || slot % 2 == 0;
            waiting = waiting - if stays { block } else { 0 } + (slots - 1) * sent;
            slot += slots;
            budget.used = block;
            if slots == 1 { budget.on_time(limit) } else { budget.on_late(slot, block, limit) }
        }
        None
    }

    #[test]
    fn what_waits_is_worked_off_although_as_much_comes_as_before() {
        let (limit, sent, carried) = (666_666_666, 210_000_000, 330_000_000);
        let backlog = 15 * sent;
        assert_eq!(slots_to_work_off(backlog, sent, carried, limit, false), None, "the fault that is mended");
        let slots = slots_to_work_off(backlog, sent, carried, limit, true).expect("worked off");
        assert!(slots < 200, "{slots}");
    }

    #[test]
    fn small_blocks_are_not_late_for_their_size_and_large_ones_lessen_it_once_a_slot() {
        let (mut budget, limit) = (Budget::default(), 64_000);
        budget.on_late(1, 7_999, limit);
        assert_eq!(budget.gas, u64::MAX);
        budget.on_late(1, 64_000, limit);
        budget.on_late(1, 64_000, limit);
        assert_eq!(budget.gas, 48_000);
        budget.on_late(2, 20_000, limit);
        assert_eq!(budget.gas, 15_000);
        budget.on_late(3, 10_000, limit);
        assert_eq!(budget.gas, 8_000, "the least");
        budget.used = 12_000;
        (0..10).for_each(|_| budget.on_time(limit));
        budget.on_late(4, 12_000, limit);
        assert_eq!(budget.gas, 11_000, "as much was carried before");
        budget.on_late(5, 11_000, limit);
        assert_eq!(budget.gas, 9_000);
        for _ in 0..54 {
            budget.on_time(limit);
        }
        assert_eq!(budget.gas, 63_000);
        budget.on_time(limit);
        assert_eq!(budget.gas, u64::MAX, "nothing is left of it");
    }
}
