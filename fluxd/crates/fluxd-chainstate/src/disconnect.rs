//! The inverse of connecting: what a block made is taken away, what it spent is given back. Mirrors `DisconnectBlock` in
//! `src/main.cpp`; the node list has undo data of its own.

use std::sync::Arc;

use fluxd_consensus::check::CheckedBlock;
use fluxd_primitives::{Hash256, TxId};
use fluxd_storage::{BlockUndo, Coins, View};

use crate::{
    error::ChainError,
    state::{CoinCache, Group, StateView},
};

/// Takes a block of a height back. `sapling_root` is the root of the Sapling tree before it.
pub(crate) fn disconnect(
    group: &mut Group,
    cache: &CoinCache,
    view: &View,
    block: &CheckedBlock,
    height: u32,
    undo: BlockUndo,
    sapling_root: Hash256,
) -> Result<(), ChainError> {
    let hash = block.hash();
    let mismatch = |what| ChainError::StateMismatch { hash, what };
    if undo.transactions.len().saturating_add(1) != block.txids().len() {
        return Err(mismatch("undo data of another number of transactions"));
    }
    let sprout_root = undo.sprout_root;
    // The coinbase spends nothing and has no undo data.
    let mut spent_by: Vec<_> = vec![Vec::new()];
    spent_by.extend(undo.transactions);
    let transactions: Vec<_> = block.transactions().zip(spent_by).collect();
    for ((txid, tx), spent) in transactions.into_iter().rev() {
        let made = Coins::of_transaction(tx, height);
        if coins(group, cache, view, txid)?.as_deref() != made.as_ref() {
            return Err(mismatch("the outputs of a transaction are not there"));
        }
        group.coins.insert(*txid, None);
        for nullifier in tx.joinsplits.iter().flat_map(|joinsplit| &joinsplit.nullifiers) {
            group.sprout_nullifiers.insert(*nullifier, false);
        }
        for spend in &tx.spends {
            group.sapling_nullifiers.insert(spend.nullifier, false);
        }
        if tx.is_coinbase() {
            continue;
        }
        if spent.len() != tx.inputs.len() {
            return Err(mismatch("undo data of another number of inputs"));
        }
        for (input, undo) in tx.inputs.iter().zip(spent).rev() {
            let before = match group.coins.remove(&input.prevout.txid) {
                Some(before) => before,
                None => cache.get(&input.prevout.txid, view)?,
            };
            let restored = Coins::restore(before.map(Arc::unwrap_or_clone), input.prevout.index, undo)
                .map_err(|source| ChainError::UndoMismatch { hash, source })?;
            group.coins.insert(input.prevout.txid, Some(Arc::new(restored)));
        }
    }
    let state = StateView { group, cache, view };
    let sprout = state.sprout_anchor(&sprout_root)?.ok_or(mismatch("the Sprout tree is not there"))?;
    let sapling = state.sapling_anchor(&sapling_root)?.ok_or(mismatch("the Sapling tree is not there"))?;
    group.pop_sprout(sprout, sprout_root);
    group.pop_sapling(sapling, sapling_root);
    Ok(())
}

fn coins(
    group: &Group,
    cache: &CoinCache,
    view: &View,
    txid: &TxId,
) -> Result<Option<Arc<Coins>>, ChainError> {
    StateView { group, cache, view }.coins(txid)
}
