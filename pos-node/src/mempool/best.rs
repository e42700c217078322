//! The order in which a proposer should try transactions: highest payment first, each sender's in the order of nonces.

use super::{Entry, Mempool};
use crate::types::{primitives::Root, transaction::Tx};
use std::{collections::BinaryHeap, sync::Arc};

/// Transactions that could be executed now, best first.
pub struct Best<'a> {
    base_fee: u64,
    heads: BinaryHeap<(u64, Root, usize)>,
    queues: Vec<Box<dyn Iterator<Item = &'a Entry> + 'a>>,
    heads_entry: Vec<Option<&'a Entry>>,
}

impl Mempool {
    /// What a proposer should try at a price, best first. A sender's transaction that pays less than the price stops
    /// its later ones.
    #[must_use]
    pub fn best(&self, base_fee: u64) -> Best<'_> {
        let mut best =
            Best { base_fee, heads: BinaryHeap::new(), queues: Vec::new(), heads_entry: Vec::new() };
        for queue in self.queues.values() {
            best.queues.push(Box::new(queue.ready()));
            best.heads_entry.push(None);
            best.advance(best.queues.len().saturating_sub(1));
        }
        best
    }
}

impl<'a> Best<'a> {
    fn advance(&mut self, at: usize) {
        let Some(queue) = self.queues.get_mut(at) else { return };
        let next = queue.next().filter(|entry| entry.tx.body.max_fee >= self.base_fee);
        if let Some(entry) = next {
            let body = &entry.tx.body;
            let pays = body.tip.min(body.max_fee.saturating_sub(self.base_fee));
            self.heads.push((pays, entry.id, at));
        }
        if let Some(head) = self.heads_entry.get_mut(at) {
            *head = next;
        }
    }
}

impl<'a> Iterator for Best<'a> {
    type Item = &'a Arc<Tx>;

    fn next(&mut self) -> Option<&'a Arc<Tx>> {
        let (_, _, at) = self.heads.pop()?;
        let entry = self.heads_entry.get(at).copied().flatten()?;
        self.advance(at);
        Some(&entry.tx)
    }
}
