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
    interpreter::{Flags, InputContext, verify_script},
    sighash,
};
use fluxd_shielded::verify::{Batch, ShieldedError, verify_transaction};
use rand::{SeedableRng, rngs::StdRng};
use rayon::prelude::*;

use crate::error::ConnectError;

/// Checks of one thread at a time.
const CHUNK: usize = 8;

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
        let first = self
            .items
            .par_chunks(CHUNK)
            .find_map_first(|items| items.iter().find_map(|item| self.run_item(item, params).err()));
        first.map_or(Ok(()), Err)
    }

    fn run_item(&self, item: &Item, params: &Params) -> Result<(), ConnectError> {
        match item {
            Item::Scripts { tx, spent } => self
                .transaction(*tx)
                .map_or(Ok(()), |(_, tx)| check_scripts(tx, spent, Flags::CONSENSUS, self.branch_id)),
            Item::Start { tx, delegates } => match self.transaction(*tx) {
                Some((txid, tx)) => check_start(tx, txid, delegates),
                None => Ok(()),
            },
            Item::Confirm { tx, node_key } => match self.transaction(*tx).and_then(|(_, tx)| confirm(tx)) {
                Some(confirm) => check_confirm(confirm, node_key, params),
                None => Ok(()),
            },
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

/// Verifies the shielded parts of many transactions with their branch ids, in one batch per thread. `seed` must not be
/// predictable by who made the proofs.
///
/// # Errors
/// A rule that one of them breaks, not always the first.
pub fn check_shielded_together(
    transactions: &[(&Transaction, u32)],
    seed: [u8; 32],
) -> Result<(), ShieldedError> {
    let size = transactions.len().div_ceil(rayon::current_num_threads().max(1)).max(1);
    transactions.par_chunks(size).enumerate().try_for_each(|(number, part)| {
        let mut batch = Batch::default();
        for (tx, branch_id) in part {
            batch.add(tx, &shielded_sighash(tx, *branch_id))?;
        }
        let number = u64::try_from(number).unwrap_or_default().to_le_bytes();
        batch.verify(keys(), StdRng::from_seed(sha256(&[&seed[..], &number].concat())))
    })
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
    let benchmark_key = params.benchmark_key(confirm.benchmark_sig_time);
    if !benchmark_key.is_some_and(|key| message::is_benchmark_signed(confirm, key)) {
        return Err(ConnectError::NodeSignature);
    }
    if message::is_confirm_signed(confirm, node_key) { Ok(()) } else { Err(ConnectError::ConfirmSignature) }
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
