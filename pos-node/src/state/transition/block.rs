//! Executing a block: every rule of its header, operations and transactions in the order of consensus. Mirrors
//! `state_transition` and `process_block` with this chain's transactions in place of an execution payload.

use super::{
    super::{
        AppWrites, State,
        access::Committees,
        app::{Overlay, Store},
        fees::next_base_fee,
    },
    epoch::rewards::base_reward_per_increment,
    operation::{OperationError, Signed, attestation, exit, header, slashing},
    slot::Application,
    tx::{self, TxContext, TxError},
};
use crate::{
    crypto::{
        bls::{Key, SignatureSet, verify_sets},
        ed25519,
    },
    types::{
        block::{Body, ExecSummary, SignedBlock},
        operation::BlockHeader,
        params::{Config, Governed},
        primitives::{Address, List, Root, Slot, ValidatorIndex},
        ssz::{TreeHash, list_root},
        transaction::{AccountKey, AccountSignature, Receipt, Tx},
    },
};

/// Why a block is invalid: one variant per rule, with those of its parts inside.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// The header does not commit to the body.
    #[error("header does not commit to the body")]
    BodyRoot,
    /// A header or operation rule is broken.
    #[error("invalid operation")]
    Operation(#[from] OperationError),
    /// A BLS signature is bad.
    #[error("bad validator signature (number {0} of the block)")]
    ValidatorSignature(usize),
    /// The transactions given are not those that the body names.
    #[error("transactions do not match their ids")]
    TxIds,
    /// All transactions together have too many bytes.
    #[error("transactions of the block have too many bytes")]
    TxBytes,
    /// A transaction is invalid.
    #[error("invalid transaction at position {position}")]
    Tx {
        /// Its place in the block.
        position: usize,
        /// The rule.
        source: TxError,
    },
    /// An account signature is bad.
    #[error("bad signature of the transaction at position {0}")]
    TxSignature(usize),
    /// The body's summary differs from the results.
    #[error("summary differs from the results")]
    Exec,
    /// The header's state root differs from the result.
    #[error("state root differs from the result")]
    StateRoot,
}

/// Whether signatures are verified here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signatures {
    /// All of them, in batches whose multipliers come from this seed.
    Verify([u8; 32]),
    /// Verified before.
    Trusted,
}

/// What a block is executed with.
pub struct BlockContext<'a> {
    /// Constants and chain.
    pub config: &'a Config,
    /// Decompressed keys by validator; only asked when signatures are verified.
    pub key_of: &'a dyn Fn(ValidatorIndex) -> Option<Key>,
    /// Whether to verify signatures.
    pub signatures: Signatures,
}

/// Executes a block on the state of its parent, which is advanced to the block's slot first, and checks every result.
/// On error the state and the overlay are of no more use.
///
/// # Errors
/// The first rule that is broken.
pub fn process<S: Store>(
    state: &mut State,
    app: &mut Overlay<'_, S>,
    context: &BlockContext<'_>,
    block: &SignedBlock,
    txs: &[Tx],
) -> Result<Vec<Receipt>, BlockError> {
    let params = &context.config.params;
    let (header, body) = (&block.header.header, &block.body);
    if !block.body_matches() {
        return Err(BlockError::BodyRoot);
    }
    check_ids(params.max_block_tx_bytes, body, txs)?;
    state.advance_to(params, header.slot, app);
    let mut signed = vec![header::check(state, params, &block.header)?];
    header::apply(state, header);
    let fee_recipient =
        process_consensus(state, app, context.config, body, header.proposer_index, &mut signed)?;
    if let Signatures::Verify(seed) = context.signatures {
        verify_validators(&signed, context.key_of, &seed)?;
        verify_accounts(state, context.config, txs)?;
    }
    let (exec, receipts) = process_txs(state, app, context.config, txs, fee_recipient)?;
    if exec != body.exec {
        return Err(BlockError::Exec);
    }
    if state.combined_root(params, &app.root()) != header.state_root {
        return Err(BlockError::StateRoot);
    }
    Ok(receipts)
}

/// Makes the unsigned block of `proposer` for a slot: `body` comes with its randomness and operations, the rest is
/// filled in. Transactions that would make the block invalid are an error.
///
/// # Errors
/// The first rule that an operation or transaction breaks.
pub fn propose<S: Store>(
    state: &mut State,
    app: &mut Overlay<'_, S>,
    config: &Config,
    slot: Slot,
    mut body: Body,
    txs: &[Tx],
) -> Result<(BlockHeader, Body), BlockError> {
    let params = &config.params;
    state.advance_to(params, slot, app);
    let proposer_index = state.proposer(params, slot).ok_or(OperationError::HeaderProposer)?;
    let parent_root = state.latest_block_root();
    let mut header = BlockHeader { slot, proposer_index, parent_root, ..BlockHeader::default() };
    header::apply(state, &header);
    let fee_recipient = process_consensus(state, app, config, &body, proposer_index, &mut Vec::new())?;
    (body.exec, _) = process_txs(state, app, config, txs, fee_recipient)?;
    body.tx_ids = List::new(txs.iter().map(Tx::id).collect()).ok_or(BlockError::TxIds)?;
    header.body_root = Root(body.tree_root());
    header::apply(state, &header);
    header.state_root = state.combined_root(params, &app.root());
    Ok((header, body))
}

/// Randomness and operations: everything between the header and the transactions. Adds the signatures that must be
/// verified to `signed` and gives the account for tips as it stands before the transactions.
///
/// # Errors
/// The first rule that is broken.
pub fn process_consensus<S: Store>(
    state: &mut State,
    app: &mut Overlay<'_, S>,
    config: &Config,
    body: &Body,
    proposer: ValidatorIndex,
    signed: &mut Vec<Signed>,
) -> Result<Address, BlockError> {
    let params = &config.params;
    signed.push(header::randao_signed(state, params, &state.latest_block_header, &body.randao_reveal));
    header::apply_randao(state, params, &body.randao_reveal);
    let mut writes = AppWrites::default();
    let mut slash = |state: &mut State, checked: slashing::Checked| {
        checked.apply(state, params, proposer, &mut writes);
        signed.extend(checked.signed);
    };
    for offence in &body.proposer_slashings {
        let checked = slashing::check_proposer(state, params, offence)?;
        slash(state, checked);
    }
    for offence in &body.attester_slashings {
        let checked = slashing::check_attester(state, params, offence)?;
        slash(state, checked);
    }
    for offence in &body.finality_slashings {
        let checked = slashing::check_finality(state, params, offence)?;
        slash(state, checked);
    }
    process_votes(state, config, body, proposer, signed, &mut writes)?;
    for exit in &body.voluntary_exits {
        signed.push(exit::check(state, params, config.genesis_fork_version, exit)?);
        state.initiate_exit(params, exit.exit.validator_index);
    }
    app.apply(&writes);
    Ok(state.pools.at(proposer).map(|pool| pool.fee_recipient).unwrap_or_default())
}

fn process_votes(
    state: &mut State,
    config: &Config,
    body: &Body,
    proposer: ValidatorIndex,
    signed: &mut Vec<Signed>,
    writes: &mut AppWrites,
) -> Result<(), BlockError> {
    if body.attestations.is_empty() {
        return Ok(());
    }
    let params = &config.params;
    let epoch = state.current_epoch(params);
    let committees = [state.previous_epoch(params), epoch].map(|epoch| Committees::new(state, params, epoch));
    let per_increment = base_reward_per_increment(params, state.total_active_balance(params, epoch));
    for vote in &body.attestations {
        let of_epoch = |committees: &&Committees| committees.epoch() == vote.data.target.epoch;
        let committee = committees
            .iter()
            .find(of_epoch)
            .map(|committees| committees.at(params, vote.data.slot))
            .unwrap_or_default();
        let checked = attestation::check(state, params, vote, committee)?;
        attestation::apply(state, params, &checked, proposer, per_increment, writes);
        signed.push(checked.signed);
    }
    Ok(())
}

/// Executes the transactions in order, pays the tips and sets the next price; gives the summary for the body.
///
/// # Errors
/// A transaction that makes the block invalid.
pub fn process_txs<S: Store>(
    state: &mut State,
    app: &mut Overlay<'_, S>,
    config: &Config,
    txs: &[Tx],
    fee_recipient: Address,
) -> Result<(ExecSummary, Vec<Receipt>), BlockError> {
    let gas_limit = state.params.get(Governed::BlockGasLimit);
    let context = TxContext { config, base_fee: state.next_base_fee, gas_limit };
    let (mut gas_used, mut tips, mut burned) = (0u64, 0u64, 0u128);
    let mut receipts = Vec::with_capacity(txs.len());
    for (position, tx) in txs.iter().enumerate() {
        tx::check(state, app, &context, tx, gas_used)
            .map_err(|source| BlockError::Tx { position, source })?;
        let executed = tx::execute(state, app, &context, tx);
        gas_used = gas_used.saturating_add(executed.receipt.gas_used);
        tips = tips.saturating_add(executed.tip);
        burned = burned.saturating_add(u128::from(executed.burned));
        receipts.push(executed.receipt);
    }
    if fee_recipient == Address::ZERO {
        burned = burned.saturating_add(u128::from(tips));
    } else if tips > 0 {
        app.credit(&fee_recipient, tips);
    }
    app.apply(&AppWrites { burned, ..AppWrites::default() });
    let hashes: Vec<Root> = receipts.iter().map(Receipt::hash).collect();
    let limit = usize::try_from(config.params.max_txs_per_block).unwrap_or(usize::MAX);
    let exec = ExecSummary {
        base_fee: context.base_fee,
        gas_used,
        gas_limit,
        tx_count: u64::try_from(txs.len()).unwrap_or(u64::MAX),
        receipts_root: Root(list_root(&hashes, limit)),
        fee_recipient,
    };
    let minimum = state.params.get(Governed::MinBaseFee);
    state.next_base_fee = next_base_fee(&config.params, minimum, context.base_fee, gas_limit, gas_used);
    Ok((exec, receipts))
}

fn check_ids(max_bytes: u64, body: &Body, txs: &[Tx]) -> Result<(), BlockError> {
    let same = txs.len() == body.tx_ids.len() && txs.iter().zip(&body.tx_ids).all(|(tx, id)| tx.id() == *id);
    if !same {
        return Err(BlockError::TxIds);
    }
    let bytes: usize = txs.iter().map(|tx| crate::types::codec::encode(tx).len()).sum();
    if u64::try_from(bytes).is_ok_and(|bytes| bytes <= max_bytes) { Ok(()) } else { Err(BlockError::TxBytes) }
}

fn verify_validators(
    signed: &[Signed],
    key_of: impl Fn(ValidatorIndex) -> Option<Key>,
    seed: &[u8; 32],
) -> Result<(), BlockError> {
    let sets: Vec<SignatureSet> =
        signed.iter().map(|signed| signed.with_keys(&key_of)).collect::<Result<_, _>>()?;
    verify_sets(&sets, seed).map_err(BlockError::ValidatorSignature)
}

/// Verifies the signatures of all transactions in one batch.
fn verify_accounts(state: &State, config: &Config, txs: &[Tx]) -> Result<(), BlockError> {
    let message =
        |tx: &Tx| tx.body.signing_message(config.genesis_fork_version, state.genesis_validators_root);
    let messages: Vec<[u8; 32]> = txs.iter().map(message).collect();
    let signers: Vec<(usize, AccountKey, AccountSignature)> = txs
        .iter()
        .enumerate()
        .flat_map(|(at, tx)| tx.auth.signers().into_iter().map(move |(key, signature)| (at, key, signature)))
        .collect();
    let items: Vec<ed25519::Item<'_>> = signers
        .iter()
        .filter_map(|(at, key, signature)| {
            Some(ed25519::Item { key, signature, message: messages.get(*at)?.as_slice() })
        })
        .collect();
    ed25519::verify_batch(&items)
        .map_err(|bad| BlockError::TxSignature(signers.get(bad).map_or(0, |(position, ..)| *position)))
}

#[cfg(test)]
mod tests;
