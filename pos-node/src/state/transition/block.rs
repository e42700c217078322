//! Executing a block: every rule of its header, operations and transactions in the order of consensus. Mirrors
//! `state_transition` and `process_block` with this chain's transactions in place of an execution payload.

use super::{
    super::{
        AppWrites, State,
        access::Committees,
        app::{Overlay, Store},
        fees::next_base_fee,
        verifier::Verifier,
    },
    epoch::rewards::base_reward_per_increment,
    operation::{OperationError, Signed, attestation, exit, header, slashing},
    parallel,
    slot::Application,
    tx::{self, Executed, Prepared, TxContext, TxError},
};
use crate::{
    crypto::ed25519,
    types::{
        block::{Body, ExecSummary, SignedBlock},
        operation::{AttestationData, BlockHeader},
        params::{Config, Governed},
        primitives::{Address, List, Root, ValidatorIndex},
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

/// What a block is executed with.
#[derive(Clone, Copy)]
pub struct BlockContext<'a> {
    /// Constants and chain.
    pub config: &'a Config,
    /// Verifies signatures; none when all of them were verified before.
    pub verifier: Option<&'a dyn Verifier>,
}

/// A vote of a block with its voters written out.
pub type IndexedVote = (AttestationData, Vec<ValidatorIndex>);

/// What the operations of a block leave behind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Collected {
    /// Signatures to verify.
    pub signed: Vec<Signed>,
    /// Votes, for the fork choice.
    pub votes: Vec<IndexedVote>,
}

/// What executing a block gives besides the state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Processed {
    /// Receipts in order.
    pub receipts: Vec<Receipt>,
    /// Votes, for the fork choice.
    pub votes: Vec<IndexedVote>,
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
) -> Result<Processed, BlockError> {
    let params = &context.config.params;
    let (header, body) = (&block.header.header, &block.body);
    if !block.body_matches() {
        return Err(BlockError::BodyRoot);
    }
    let prepared = parallel::prepare(txs);
    check_ids(params.max_block_tx_bytes, body, &prepared)?;
    state.advance_to(params, header.slot, app);
    let signed = vec![header::check(state, params, &block.header)?];
    let mut collected = Collected { signed, ..Collected::default() };
    header::apply(state, header);
    let fee_recipient =
        process_consensus(state, app, context.config, body, header.proposer_index, &mut collected)?;
    // signatures are verified while everything else is computed; whatever is wrong, the first rule decides
    let signed = state.clone();
    let mut verdict = Ok(());
    let results: Result<_, BlockError> = rayon::in_place_scope(|scope| {
        if let Some(verifier) = context.verifier {
            scope.spawn(|_| {
                verdict = verifier
                    .validators(&signed, &collected.signed)
                    .map_err(BlockError::ValidatorSignature)
                    .and_then(|()| verify_accounts(&signed, context.config, txs, verifier));
            });
        }
        let executed = parallel::process_txs(state, app, context.config, &prepared, fee_recipient)?;
        Ok((executed, state.combined_root(params, &app.root())))
    });
    verdict?;
    let ((exec, receipts), state_root) = results?;
    if exec != body.exec {
        return Err(BlockError::Exec);
    }
    if state_root != header.state_root {
        return Err(BlockError::StateRoot);
    }
    Ok(Processed { receipts, votes: collected.votes })
}

/// Makes the unsigned block of a slot on a state that was advanced to it: `body` comes with its randomness and
/// operations, the rest is filled in. Of the transactions offered, those are taken that may be in the block there.
///
/// # Errors
/// The first rule that an operation breaks.
pub fn propose<S: Store>(
    state: &mut State,
    app: &mut Overlay<'_, S>,
    config: &Config,
    mut body: Body,
    offered: impl IntoIterator<Item = Tx>,
) -> Result<(BlockHeader, Body, Vec<Tx>), BlockError> {
    let params = &config.params;
    let slot = state.slot;
    let proposer_index = state.proposer(params, slot).ok_or(OperationError::HeaderProposer)?;
    let parent_root = state.latest_block_root();
    let mut header = BlockHeader { slot, proposer_index, parent_root, ..BlockHeader::default() };
    header::apply(state, &header);
    let fee_recipient =
        process_consensus(state, app, config, &body, proposer_index, &mut Collected::default())?;
    let mut run = TxRun::new(state, config);
    let (mut txs, mut ids) = (Vec::new(), Vec::new());
    let (most, mut bytes) = (usize::try_from(params.max_txs_per_block).unwrap_or(usize::MAX), 0u64);
    for tx in offered {
        let prepared = Prepared::new(&tx);
        let len = u64::try_from(prepared.bytes).unwrap_or(u64::MAX);
        let fits = bytes.checked_add(len).is_some_and(|sum| sum <= params.max_block_tx_bytes);
        if txs.len() >= most || run.gas_left() < state.params.get(Governed::GasTx) {
            break;
        }
        if fits && run.push(state, app, &prepared).is_ok() {
            ids.push(prepared.id);
            bytes = bytes.saturating_add(len);
            txs.push(tx);
        }
    }
    (body.exec, _) = run.finish(state, app, fee_recipient);
    body.tx_ids = List::new(ids).ok_or(BlockError::TxIds)?;
    header.body_root = Root(body.tree_root());
    header::apply(state, &header);
    header.state_root = state.combined_root(params, &app.root());
    Ok((header, body, txs))
}

/// Randomness and operations: everything between the header and the transactions. Notes signatures and votes in
/// `collected` and gives the account for tips as it stands before the transactions.
///
/// # Errors
/// The first rule that is broken.
pub fn process_consensus<S: Store>(
    state: &mut State,
    app: &mut Overlay<'_, S>,
    config: &Config,
    body: &Body,
    proposer: ValidatorIndex,
    collected: &mut Collected,
) -> Result<Address, BlockError> {
    let params = &config.params;
    let signed = &mut collected.signed;
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
    process_votes(state, config, body, proposer, collected, &mut writes)?;
    for exit in &body.voluntary_exits {
        collected.signed.push(exit::check(state, params, config.genesis_fork_version, exit)?);
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
    collected: &mut Collected,
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
        collected.votes.push((checked.data, checked.signed.signers.clone()));
        collected.signed.push(checked.signed);
    }
    Ok(())
}

/// Executes the transactions one after the other, pays the tips and sets the next price; gives the summary for the
/// body. [`parallel::process_txs`] gives the same, faster.
///
/// # Errors
/// A transaction that makes the block invalid.
pub fn process_txs<S: Store>(
    state: &mut State,
    app: &mut Overlay<'_, S>,
    config: &Config,
    txs: &[Prepared<'_>],
    fee_recipient: Address,
) -> Result<(ExecSummary, Vec<Receipt>), BlockError> {
    let mut run = TxRun::new(state, config);
    for (position, tx) in txs.iter().enumerate() {
        run.push(state, app, tx).map_err(|source| BlockError::Tx { position, source })?;
    }
    Ok(run.finish(state, app, fee_recipient))
}

/// The transactions of one block while they are executed.
#[derive(Debug)]
pub struct TxRun<'a> {
    context: TxContext<'a>,
    gas_used: u64,
    tips: u64,
    burned: u128,
    receipts: Vec<Receipt>,
}

impl<'a> TxRun<'a> {
    /// Starts with none, at the price and limit of the state's block.
    #[must_use]
    pub fn new(state: &State, config: &'a Config) -> Self {
        let gas_limit = state.params.get(Governed::BlockGasLimit);
        let context = TxContext { config, base_fee: state.next_base_fee, gas_limit };
        Self { context, gas_used: 0, tips: 0, burned: 0, receipts: Vec::new() }
    }

    /// Gas that is left.
    #[must_use]
    pub const fn gas_left(&self) -> u64 {
        self.context.gas_limit.saturating_sub(self.gas_used)
    }

    /// Executes the next transaction.
    ///
    /// # Errors
    /// It may not be in the block here; nothing is changed then.
    pub fn push<S: Store>(
        &mut self,
        state: &mut State,
        app: &mut Overlay<'_, S>,
        tx: &Prepared<'_>,
    ) -> Result<(), TxError> {
        tx::check(state, app, &self.context, tx, self.gas_used)?;
        let executed = tx::execute(state, app, &self.context, tx);
        self.add(executed);
        Ok(())
    }

    /// What transactions of the block share.
    pub(super) const fn context(&self) -> &TxContext<'a> {
        &self.context
    }

    /// Gas used so far.
    pub(super) const fn gas_used(&self) -> u64 {
        self.gas_used
    }

    /// Adds up what came of a transaction.
    pub(super) fn add(&mut self, executed: Executed) {
        self.gas_used = self.gas_used.saturating_add(executed.receipt.gas_used);
        self.tips = self.tips.saturating_add(executed.tip);
        self.burned = self.burned.saturating_add(u128::from(executed.burned));
        self.receipts.push(executed.receipt);
    }

    /// Pays the tips and sets the next price.
    pub fn finish<S: Store>(
        self,
        state: &mut State,
        app: &mut Overlay<'_, S>,
        fee_recipient: Address,
    ) -> (ExecSummary, Vec<Receipt>) {
        let Self { context, gas_used, tips, mut burned, receipts } = self;
        let params = &context.config.params;
        if fee_recipient == Address::ZERO {
            burned = burned.saturating_add(u128::from(tips));
        } else if tips > 0 {
            app.credit(&fee_recipient, tips);
        }
        app.apply(&AppWrites { burned, ..AppWrites::default() });
        let hashes: Vec<Root> = receipts.iter().map(Receipt::hash).collect();
        let limit = usize::try_from(params.max_txs_per_block).unwrap_or(usize::MAX);
        let exec = ExecSummary {
            base_fee: context.base_fee,
            gas_used,
            gas_limit: context.gas_limit,
            tx_count: u64::try_from(receipts.len()).unwrap_or(u64::MAX),
            receipts_root: Root(list_root(&hashes, limit)),
            fee_recipient,
        };
        let minimum = state.params.get(Governed::MinBaseFee);
        state.next_base_fee = next_base_fee(params, minimum, context.base_fee, context.gas_limit, gas_used);
        (exec, receipts)
    }
}

fn check_ids(max_bytes: u64, body: &Body, txs: &[Prepared<'_>]) -> Result<(), BlockError> {
    let same = txs.len() == body.tx_ids.len() && txs.iter().zip(&body.tx_ids).all(|(tx, id)| tx.id == *id);
    if !same {
        return Err(BlockError::TxIds);
    }
    let bytes: usize = txs.iter().map(|tx| tx.bytes).sum();
    if u64::try_from(bytes).is_ok_and(|bytes| bytes <= max_bytes) { Ok(()) } else { Err(BlockError::TxBytes) }
}

/// Verifies the signatures of all transactions in one batch.
fn verify_accounts(
    state: &State,
    config: &Config,
    txs: &[Tx],
    verifier: &dyn Verifier,
) -> Result<(), BlockError> {
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
    verifier
        .accounts(&items)
        .map_err(|bad| BlockError::TxSignature(signers.get(bad).map_or(0, |(position, ..)| *position)))
}

#[cfg(test)]
mod tests;
