//! Signed messages of services on their way through the network: which are taken, and for how long they are kept for
//! those who ask. Whether the witness is good is judged outside. Mirrors `ExtensiblePayload.Verify` and neo-go's
//! `extpool`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use neo_base::{UInt160, UInt256, ledger::Extensible};

/// Payloads of one sender that are kept.
const MAX_PER_SENDER: usize = 20;

/// Why a payload is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is here already.
    #[error("the payload is known")]
    Known,
    /// It is of the past, or of too far a future.
    #[error("the payload is not valid at this height")]
    Height,
    /// Its sender has no office.
    #[error("the sender may not send payloads")]
    Sender,
    /// It is valid from the next block on; that block may be on its way.
    #[error("the payload is valid from the next height on")]
    Early,
}

/// The payloads of a node.
#[derive(Debug, Default)]
pub struct ExtensiblePool {
    height: u32,
    senders: BTreeSet<UInt160>,
    payloads: BTreeMap<UInt256, Extensible>,
    by_sender: BTreeMap<UInt160, VecDeque<UInt256>>,
}

impl ExtensiblePool {
    /// Whether a payload may be taken; its witness is the next question.
    ///
    /// # Errors
    /// It is known, not valid at this height, or its sender has no office.
    pub fn check(&self, payload: &Extensible) -> Result<(), Refusal> {
        if self.payloads.contains_key(&payload.hash()) {
            Err(Refusal::Known)
        } else if self.height.saturating_add(1) < payload.valid_block_start
            || self.height >= payload.valid_block_end
        {
            Err(Refusal::Height)
        } else if !self.senders.contains(&payload.sender) {
            Err(Refusal::Sender)
        } else if self.height < payload.valid_block_start {
            Err(Refusal::Early)
        } else {
            Ok(())
        }
    }

    /// Keeps a payload whose witness is good. The oldest of the same sender gives way.
    pub fn insert(&mut self, payload: Extensible) {
        let (hash, queue) = (payload.hash(), self.by_sender.entry(payload.sender).or_default());
        if self.payloads.insert(hash, payload).is_none() {
            queue.push_back(hash);
            if queue.len() > MAX_PER_SENDER
                && let Some(oldest) = queue.pop_front()
            {
                self.payloads.remove(&oldest);
            }
        }
    }

    /// A payload for a peer that asks.
    #[must_use]
    pub fn get(&self, hash: &UInt256) -> Option<&Extensible> {
        self.payloads.get(hash)
    }

    /// A new block: other senders may have an office, and what is no longer valid goes.
    pub fn on_height(&mut self, height: u32, senders: BTreeSet<UInt160>) {
        (self.height, self.senders) = (height, senders);
        self.payloads.retain(|_, payload| height < payload.valid_block_end);
        for queue in self.by_sender.values_mut() {
            queue.retain(|hash| self.payloads.contains_key(hash));
        }
        self.by_sender.retain(|_, queue| !queue.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use neo_base::ledger::Witness;

    use super::*;

    fn payload(sender: u8, data: u8, end: u32) -> Extensible {
        Extensible {
            category: "dBFT".to_owned(),
            valid_block_start: 0,
            valid_block_end: end,
            sender: UInt160([sender; 20]),
            data: vec![data],
            witness: Witness::default(),
        }
    }

    #[test]
    fn only_those_in_office_may_send_and_only_while_it_matters() {
        let mut pool = ExtensiblePool::default();
        pool.on_height(9, [UInt160([1; 20])].into());
        assert_eq!(pool.check(&payload(1, 1, 10)), Ok(()));
        assert_eq!(pool.check(&payload(2, 1, 10)), Err(Refusal::Sender));
        assert_eq!(pool.check(&payload(1, 1, 9)), Err(Refusal::Height));
        pool.insert(payload(1, 1, 10));
        assert_eq!(pool.check(&payload(1, 1, 10)), Err(Refusal::Known));
        pool.on_height(10, [UInt160([1; 20])].into());
        assert!(pool.get(&payload(1, 1, 10).hash()).is_none());
    }

    #[test]
    fn what_is_valid_from_the_next_block_on_is_told_from_what_is_far_ahead() {
        let mut pool = ExtensiblePool::default();
        pool.on_height(9, [UInt160([1; 20])].into());
        let from = |sender, start| Extensible { valid_block_start: start, ..payload(sender, 1, 100) };
        assert_eq!(pool.check(&from(1, 9)), Ok(()));
        assert_eq!(pool.check(&from(1, 10)), Err(Refusal::Early));
        assert_eq!(pool.check(&from(2, 10)), Err(Refusal::Sender));
        assert_eq!(pool.check(&from(1, 11)), Err(Refusal::Height));
    }

    #[test]
    fn one_sender_cannot_fill_the_pool() {
        let mut pool = ExtensiblePool::default();
        (0..=255).for_each(|data| pool.insert(payload(1, data, 10)));
        assert_eq!(pool.payloads.len(), MAX_PER_SENDER);
        assert!(pool.get(&payload(1, 255, 10).hash()).is_some());
    }
}
