//! The expensive checks of blocks: scripts, signatures of fluxnodes, signatures and proofs of shielded parts. Connecting
//! only collects them; they run on all threads, for several blocks together. Mirrors `CCheckQueue` and its users.

use std::sync::Arc;

use fluxd_consensus::{check::CheckedBlock, params::Params};
use fluxd_fluxnode::message;
use fluxd_primitives::{
    BlockHash, Proof, PublicKey, Transaction, TxId, TxOut, sha256,
    transaction::fluxnode::{Confirm, FluxnodeTx},
};
use fluxd_script::{
    SighashParts,
    ecdsa::verify_messages,
    interpreter::{Flags, InputContext, verify_script},
    sighash,
};
use fluxd_shielded::{Batch, ShieldedError, verify_transaction};
use rand::{SeedableRng, rngs::StdRng};
use rayon::prelude::*;

use crate::error::ConnectError;

/// Scripts that a thread runs at a time.
const CHUNK: usize = 8;
/// Checks of a block that a thread runs at a time: a batch of signatures needs many.
const LARGE_CHUNK: usize = 32;

/// What is left to be checked of a block.
#[derive(Debug, Clone)]
pub(crate) struct BlockChecks {
    pub(crate) block: Arc<CheckedBlock>,
    pub(crate) height: u32,
    pub(crate) branch_id: u32,
    pub(crate) items: Vec<Item>,
    /// Places of transactions with shielded parts.
    pub(crate) shielded: Vec<usize>,
}

/// One expensive check.
#[derive(Debug, Clone)]
pub(crate) enum Item {
    /// The scripts of all inputs of a transaction, with the outputs that they spend.
    Scripts { tx: usize, spent: Vec<TxOut> },
    /// Who signed a START; the keys are the stored delegates.
    Start { tx: usize, delegates: Vec<PublicKey> },
    /// Who signed a CONFIRM and its benchmark.
    Confirm { tx: usize, node_key: PublicKey },
    /// Who made the block.
    ProofOfNode { node_key: Option<PublicKey> },
}

impl BlockChecks {
    /// Runs everything but the proofs.
    pub(crate) fn run(&self, params: &Params) -> Result<(), ConnectError> {
        let first =
            self.items.par_chunks(LARGE_CHUNK).find_map_first(|items| self.run_items(items, params).err());
        first.map_or(Ok(()), Err)
    }

    fn run_items(&self, items: &[Item], params: &Params) -> Result<(), ConnectError> {
        let confirms: Vec<(&Confirm, &PublicKey)> = items
            .iter()
            .filter_map(|item| match item {
                Item::Confirm { tx, node_key } => Some((confirm(self.transaction(*tx)?.1)?, node_key)),
                _ => None,
            })
            .collect();
        let Err((place, error)) = check_confirms(&confirms, params) else {
            return items.iter().try_for_each(|item| self.run_item(item, params));
        };
        // What comes before the wrong CONFIRM may be wrong, too.
        let mut confirms_left = place + 1;
        for item in items {
            if matches!(item, Item::Confirm { .. }) {
                confirms_left = confirms_left.saturating_sub(1);
            }
            if confirms_left == 0 {
                break;
            }
            self.run_item(item, params)?;
        }
        Err(error)
    }

    /// Runs a check; CONFIRMs are checked together before.
    fn run_item(&self, item: &Item, params: &Params) -> Result<(), ConnectError> {
        match item {
            Item::Scripts { tx, spent } => self
                .transaction(*tx)
                .map_or(Ok(()), |(_, tx)| check_scripts(tx, spent, Flags::CONSENSUS, self.branch_id)),
            Item::Start { tx, delegates } => match self.transaction(*tx) {
                Some((txid, tx)) => check_start(tx, txid, delegates),
                None => Ok(()),
            },
            Item::Confirm { .. } => Ok(()),
            Item::ProofOfNode { node_key } => self.check_maker(node_key.as_ref(), params),
        }
    }

    fn check_maker(&self, node_key: Option<&PublicKey>, params: &Params) -> Result<(), ConnectError> {
        let header = &self.block.block().header;
        match &header.proof {
            Proof::Node { collateral, signature } => params
                .pon
                .check_signature(header, collateral, signature, self.height, node_key)
                .map_err(ConnectError::ProofOfNode),
            Proof::Work { .. } => Ok(()),
        }
    }

    fn transaction(&self, place: usize) -> Option<(&TxId, &Transaction)> {
        Some((self.block.txids().get(place)?, self.block.block().transactions.get(place)?))
    }

    fn shielded_transactions(&self) -> impl Iterator<Item = &Transaction> {
        self.shielded.iter().filter_map(|place| Some(self.transaction(*place)?.1))
    }
}

/// The proofs of several blocks, verified together.
pub(crate) fn check_proofs(blocks: &[BlockChecks], seed: [u8; 32]) -> Result<(), (BlockHash, ConnectError)> {
    let mut jobs: Vec<(&BlockChecks, &Transaction)> = Vec::new();
    for block in blocks {
        jobs.extend(block.shielded_transactions().map(|tx| (block, tx)));
    }
    let transactions: Vec<(&Transaction, u32)> =
        jobs.iter().map(|(block, tx)| (*tx, block.branch_id)).collect();
    if check_shielded_together(&transactions, seed).is_ok() {
        return Ok(());
    }
    let first = jobs.par_iter().find_map_first(|(block, tx)| {
        let error = check_shielded(tx, block.branch_id).err()?;
        Some((block.block.hash(), error.into()))
    });
    first.map_or(Ok(()), Err)
}

/// Verifies the shielded parts of many transactions with their branch ids: each thread weighs its share, and all are
/// verified together. `seed` must not be
/// predictable by who made the proofs.
///
/// # Errors
/// A rule that one of them breaks, not always the first.
pub fn check_shielded_together(
    transactions: &[(&Transaction, u32)],
    seed: [u8; 32],
) -> Result<(), ShieldedError> {
    let size = transactions.len().div_ceil(rayon::current_num_threads().max(1)).max(1);
    let weighed = transactions.par_chunks(size).enumerate().map(|(number, part)| {
        let mut batch = Batch::default();
        for (tx, branch_id) in part {
            batch.add(tx, &shielded_sighash(tx, *branch_id))?;
        }
        let number = u64::try_from(number).unwrap_or_default().to_le_bytes();
        Ok(batch.weigh(keys(), StdRng::from_seed(sha256(&[&seed[..], &number].concat()))))
    });
    match weighed.try_reduce_with(|one, other| Ok(one.merge(other))) {
        Some(all) => all?.verify(keys()),
        None => Ok(()),
    }
}

/// Verifies the shielded parts of one transaction.
///
/// # Errors
/// The rule that is broken.
pub fn check_shielded(tx: &Transaction, branch_id: u32) -> Result<(), ShieldedError> {
    if tx.joinsplits.is_empty() && tx.spends.is_empty() && tx.shielded_outputs.is_empty() {
        return Ok(());
    }
    verify_transaction(keys(), tx, &shielded_sighash(tx, branch_id))
}

/// Runs the scripts of all inputs; `spent` are the outputs that they spend, in order.
///
/// # Errors
/// The script that failed first.
pub fn check_scripts(
    tx: &Transaction,
    spent: &[TxOut],
    flags: Flags,
    branch_id: u32,
) -> Result<(), ConnectError> {
    let parts = SighashParts::new(tx);
    let inputs: Vec<_> = tx.inputs.iter().zip(spent).enumerate().collect();
    let first = inputs.par_chunks(CHUNK).find_map_first(|inputs| {
        inputs.iter().find_map(|(index, (input, spent))| {
            let context = InputContext { tx, parts: &parts, index: *index, amount: spent.value, branch_id };
            verify_script(&input.script_sig.0, &spent.script_pubkey.0, flags, &context).err()
        })
    });
    first.map_or(Ok(()), |error| Err(ConnectError::Script(error)))
}

/// Checks who signed a START; other transactions pass.
///
/// # Errors
/// [`ConnectError::NodeSignature`].
pub fn check_start(tx: &Transaction, txid: &TxId, delegates: &[PublicKey]) -> Result<(), ConnectError> {
    match tx.fluxnode.as_deref() {
        Some(FluxnodeTx::Start(start)) if !message::is_start_signed(start, txid, delegates) => {
            Err(ConnectError::NodeSignature)
        }
        _ => Ok(()),
    }
}

/// Checks who signed a CONFIRM and its benchmark.
///
/// # Errors
/// [`ConnectError::NodeSignature`] for the benchmark, [`ConnectError::ConfirmSignature`].
pub fn check_confirm(confirm: &Confirm, node_key: &PublicKey, params: &Params) -> Result<(), ConnectError> {
    check_confirms(&[(confirm, node_key)], params).map_err(|(_, error)| error)
}

/// Checks who signed many CONFIRMs, given with the keys of their nodes, and their benchmarks: faster than one by one.
///
/// # Errors
/// The place of the first that is wrong, with what [`check_confirm`] says of it.
pub fn check_confirms(
    confirms: &[(&Confirm, &PublicKey)],
    params: &Params,
) -> Result<(), (usize, ConnectError)> {
    let mut signed = Vec::with_capacity(2 * confirms.len());
    let mut keyless = None;
    for (place, (confirm, node_key)) in confirms.iter().enumerate() {
        let Some(benchmark_key) = params.benchmark_key(confirm.benchmark_sig_time) else {
            keyless = Some((place, ConnectError::NodeSignature));
            break;
        };
        signed.push(message::signed_benchmark(confirm, benchmark_key));
        signed.push(message::signed_confirm(confirm, node_key));
    }
    let wrong = verify_messages(&signed).iter().position(|good| !good).map(|place| {
        let of_benchmark = place.is_multiple_of(2);
        (place / 2, if of_benchmark { ConnectError::NodeSignature } else { ConnectError::ConfirmSignature })
    });
    wrong.or(keyless).map_or(Ok(()), Err)
}

/// The CONFIRM in a transaction.
pub(crate) fn confirm(tx: &Transaction) -> Option<&Confirm> {
    match tx.fluxnode.as_deref() {
        Some(FluxnodeTx::Confirm(confirm)) => Some(confirm),
        _ => None,
    }
}

fn shielded_sighash(tx: &Transaction, branch_id: u32) -> fluxd_primitives::Hash256 {
    let parts = SighashParts::new(tx);
    sighash::signature_hash(tx, &parts, None, sighash::ALL, branch_id).unwrap_or_default()
}

fn keys() -> &'static fluxd_shielded::ProofKeys {
    static KEYS: std::sync::OnceLock<fluxd_shielded::ProofKeys> = std::sync::OnceLock::new();
    KEYS.get_or_init(fluxd_shielded::ProofKeys::new)
}
