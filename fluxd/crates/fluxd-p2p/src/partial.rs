//! A compact block on its way to a block: what is there, what is missing, and the whole when the missing has come.
//! Mirrors `PartiallyDownloadedBlock` of `src/blockencodings.cpp`. The result is only as good as its merkle root,
//! which block validation checks; where it fails, the full block is asked for.

use std::collections::HashMap;

use fluxd_primitives::{Block, BlockHeader, Transaction, TxId};

use crate::message::compact::{CompactBlock, short_id};

/// Most transactions of a block, at 100 bytes each.
const MAX_TRANSACTIONS: usize = 20_000;

/// Why a compact block is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CompactError {
    /// Places that do not exist, no transactions, too many: the sender is to blame.
    #[error("invalid compact block")]
    Invalid,
    /// Two transactions share a short id: nobody is to blame, the full block is needed.
    #[error("short ids collide")]
    Collision,
}

/// A block some of whose transactions are still missing.
#[derive(Debug, Clone)]
pub struct PartialBlock {
    header: BlockHeader,
    places: Vec<Option<Transaction>>,
}

impl PartialBlock {
    /// Puts together what travelled inside and what `pool` has.
    ///
    /// # Errors
    /// See [`CompactError`].
    pub fn new<'a>(
        compact: CompactBlock,
        pool: impl IntoIterator<Item = (&'a TxId, &'a Transaction)>,
    ) -> Result<Self, CompactError> {
        let keys = compact.keys();
        let total = compact.short_ids.len().saturating_add(compact.prefilled.len());
        if total == 0 || total > MAX_TRANSACTIONS {
            return Err(CompactError::Invalid);
        }
        let mut places: Vec<Option<Transaction>> = vec![None; total];
        let mut next = 0_usize;
        for one in compact.prefilled {
            let at = next.saturating_add(usize::from(one.gap));
            *places.get_mut(at).ok_or(CompactError::Invalid)? = Some(one.transaction);
            next = at.saturating_add(1);
        }
        let free = places.iter().enumerate().filter(|(_, place)| place.is_none()).map(|(at, _)| at);
        let wanted: HashMap<u64, usize> = compact.short_ids.iter().copied().zip(free).collect();
        if wanted.len() != compact.short_ids.len() {
            return Err(CompactError::Collision);
        }
        let mut doubtful = Vec::new();
        for (id, transaction) in pool {
            if let Some(at) = wanted.get(&short_id(keys, id))
                && let Some(place) = places.get_mut(*at)
                && place.replace(transaction.clone()).is_some()
            {
                doubtful.push(*at); // two of ours have this short id: ask for it
            }
        }
        for at in doubtful {
            if let Some(place) = places.get_mut(at) {
                *place = None;
            }
        }
        Ok(Self { header: compact.header, places })
    }

    /// Places of the transactions that are missing.
    #[must_use]
    pub fn missing(&self) -> Vec<u16> {
        let empty = self.places.iter().enumerate().filter(|(_, place)| place.is_none());
        empty.filter_map(|(at, _)| u16::try_from(at).ok()).collect()
    }

    /// The block, with `transactions` in the empty places.
    ///
    /// # Errors
    /// They are not exactly as many as are missing.
    pub fn fill(self, transactions: Vec<Transaction>) -> Result<Block, CompactError> {
        let mut rest = transactions.into_iter();
        let filled: Option<Vec<_>> =
            self.places.into_iter().map(|place| place.or_else(|| rest.next())).collect();
        match (filled, rest.next()) {
            (Some(transactions), None) => Ok(Block { header: self.header, transactions }),
            _ => Err(CompactError::Invalid),
        }
    }
}

#[cfg(test)]
mod tests {
    use fluxd_consensus::params::{Network, Params};

    use super::*;
    use crate::message::compact::Prefilled;

    fn block(count: u32) -> Block {
        let mut block = Params::of(Network::Main).genesis;
        let coinbase = block.transactions[0].clone();
        for n in 1..count {
            let mut tx = coinbase.clone();
            tx.lock_time = n;
            block.transactions.push(tx);
        }
        block
    }

    #[test]
    fn a_block_comes_back_from_what_the_pool_has_and_what_is_sent_after() {
        let block = block(12);
        let ids: Vec<TxId> = block.transactions.iter().map(Transaction::txid).collect();
        let pool = || ids.iter().zip(&block.transactions).skip(1).step_by(2);
        let partial = PartialBlock::new(CompactBlock::of(&block, 3), pool()).unwrap();
        let missing = partial.missing();
        assert_eq!(missing, [2, 4, 6, 8, 10]);
        let sent: Vec<_> = missing.iter().map(|at| block.transactions[usize::from(*at)].clone()).collect();
        assert_eq!(partial.clone().fill(sent.clone()), Ok(block.clone()));
        assert_eq!(partial.clone().fill(sent[1..].to_vec()), Err(CompactError::Invalid));
        assert_eq!(partial.fill([sent.clone(), sent].concat()), Err(CompactError::Invalid));
    }

    #[test]
    fn places_that_do_not_exist_and_equal_short_ids_are_noticed() {
        let block = block(3);
        let mut far = CompactBlock::of(&block, 3);
        far.prefilled.push(Prefilled { gap: 9, transaction: block.transactions[1].clone() });
        assert_eq!(PartialBlock::new(far, []).unwrap_err(), CompactError::Invalid);
        let mut equal = CompactBlock::of(&block, 3);
        equal.short_ids[1] = equal.short_ids[0];
        assert_eq!(PartialBlock::new(equal, []).unwrap_err(), CompactError::Collision);
        let empty =
            CompactBlock { short_ids: Vec::new(), prefilled: Vec::new(), ..CompactBlock::of(&block, 1) };
        assert_eq!(PartialBlock::new(empty, []).unwrap_err(), CompactError::Invalid);
    }
}
