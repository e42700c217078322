//! Transactions of a block executed several at once, with exactly the results of one after the other.
//!
//! Transfers touch only accounts that their bytes name. Each is executed on the accounts as they stand before the
//! block; then, in order, its result is taken if no earlier transaction of the block wrote to an account it touches and
//! the block's gas allows it, and it is executed again in its place otherwise. Everything else is executed in its place
//! at once.

use super::{
    super::{
        State,
        app::{Account, Overlay, Store},
        tree::{Node, path::Path},
    },
    block::{BlockError, TxRun},
    tx::{self, Executed, Prepared, TxContext},
};
use crate::types::{
    block::ExecSummary,
    params::Config,
    primitives::Address,
    transaction::{Action, Receipt, Tx},
};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// Fewest transactions that are worth more than one thread.
const WORTHWHILE: usize = 64;

/// Encodes and hashes transactions, several at once.
#[must_use]
pub fn prepare(txs: &[Tx]) -> Vec<Prepared<'_>> {
    if txs.len() < WORTHWHILE {
        txs.iter().map(Prepared::new).collect()
    } else {
        txs.par_iter().map(Prepared::new).collect()
    }
}

/// As [`super::block::process_txs`].
///
/// # Errors
/// The first transaction that makes the block invalid.
pub fn process_txs<S: Store>(
    state: &mut State,
    app: &mut Overlay<'_, S>,
    config: &Config,
    txs: &[Prepared<'_>],
    fee_recipient: Address,
) -> Result<(ExecSummary, Vec<Receipt>), BlockError> {
    if txs.len() < WORTHWHILE {
        return super::block::process_txs(state, app, config, txs, fee_recipient);
    }
    process_txs_in_parallel(state, app, config, txs, fee_recipient)
}

/// As [`process_txs`] however few there are.
///
/// # Errors
/// The first transaction that makes the block invalid.
pub fn process_txs_in_parallel<S: Store>(
    state: &mut State,
    app: &mut Overlay<'_, S>,
    config: &Config,
    txs: &[Prepared<'_>],
    fee_recipient: Address,
) -> Result<(ExecSummary, Vec<Receipt>), BlockError> {
    let mut run = TxRun::new(state, config);
    let before = Accounts::before(app, txs);
    let context = *run.context();
    let results: Vec<Option<Speculation>> =
        txs.par_iter().map(|tx| speculate(state, &before, &context, tx)).collect();
    let mut written: BTreeSet<Address> = BTreeSet::new();
    for (position, (tx, result)) in txs.iter().zip(results).enumerate() {
        let touched = touched(tx);
        let gas_fits = run
            .gas_used()
            .checked_add(tx.tx.body.gas_limit)
            .is_some_and(|sum| sum <= run.context().gas_limit);
        let untouched = |touched: &Vec<Address>| touched.iter().all(|address| !written.contains(address));
        match (result, &touched) {
            (Some(result), Some(touched)) if gas_fits && untouched(touched) => {
                for (address, account) in &result.accounts {
                    app.put_account(address, account);
                }
                run.add(result.executed);
            }
            _ => run.push(state, app, tx).map_err(|source| BlockError::Tx { position, source })?,
        }
        match touched {
            Some(touched) => written.extend(touched),
            None => written.extend([tx.sender]), // staking moves nothing but the sender's
        }
    }
    Ok(run.finish(state, app, fee_recipient))
}

/// Accounts that a transfer reads or writes; none for other actions.
fn touched(tx: &Prepared<'_>) -> Option<Vec<Address>> {
    match &tx.tx.body.action {
        Action::Transfer { to, .. } => Some(vec![tx.sender, *to]),
        Action::MultiTransfer { transfers } => {
            Some(transfers.iter().map(|(to, _)| *to).chain([tx.sender]).collect())
        }
        _ => None,
    }
}

/// The accounts that transfers of a block touch, as they stand before it.
struct Accounts(BTreeMap<Address, Option<Account>>);

impl Accounts {
    fn before<S: Store>(app: &Overlay<'_, S>, txs: &[Prepared<'_>]) -> Self {
        let addresses: BTreeSet<Address> = txs.iter().filter_map(touched).flatten().collect();
        Self(addresses.into_iter().map(|address| (address, app.account_if_any(&address))).collect())
    }
}

impl Store for Accounts {
    fn value(&self, _: &[u8]) -> Option<Vec<u8>> {
        None // transfers read accounts only
    }

    fn node(&self, _: &Path) -> Option<Node> {
        None
    }

    fn account(&self, address: &Address) -> Option<Account> {
        self.0.get(address).copied().flatten()
    }
}

/// A transfer executed as if it were the first of the block.
struct Speculation {
    executed: Executed,
    accounts: BTreeMap<Address, Account>,
}

fn speculate(
    state: &State,
    before: &Accounts,
    context: &TxContext<'_>,
    tx: &Prepared<'_>,
) -> Option<Speculation> {
    touched(tx)?;
    let mut app = Overlay::new(before);
    tx::check(state, &app, context, tx, 0).ok()?;
    let executed = tx::execute_transfer(state, &mut app, context, tx)?;
    Some(Speculation { executed, accounts: app.into_accounts() })
}

#[cfg(test)]
mod tests;
