//! Is a block valid on its parent, and what does it change? One [`BlockError`] per rule.
//! Mirrors `vms/platformvm/block/executor/{verifier,options,warp_verifier}.go`.

use std::{collections::BTreeSet, sync::Arc};

use avalanche_ids::Id;
use avalanche_utils::upgrade::Fork;
use avalanche_vm::{
    chain::{BlockContext, Phase, VmError},
    gas::Dimensions,
    shared_memory::AtomicRequests,
};
use shared_vendor::log::Chain;

use super::{Core, Outcome, ParsedBlock, PlatformVm, Processing};
use crate::{
    CHAIN_ID,
    block::Block,
    config::Config,
    reward::PERCENT_DENOMINATOR,
    state::{Draft, StakerTerms, TxStatus},
    txs::{
        NamedTx, UnsignedTx,
        execute::{self, Backend, ExecError, Fees, reward},
        fee,
    },
    warp::{self, CanonicalSet, WarpError},
};

/// Which rule a block breaks. The name of the reference's error is in brackets.
#[derive(Debug, thiserror::Error)]
pub enum BlockError {
    /// Its parent is not here, or is a proposal that only options can follow (`ErrMissingParentState`).
    #[error("missing state of the parent {0}")]
    MissingParent(Id),
    /// Not one above its parent (`errIncorrectBlockHeight`).
    #[error("height {found} where {expected} is expected")]
    Height {
        /// One above the parent.
        expected: u64,
        /// What it has.
        found: u64,
    },
    /// An Apricot block since Banff, an atomic block since Apricot phase 5 (`errApricotBlockIssuedAfterFork`).
    #[error("kind of block that is not permitted since {0:?}")]
    AfterFork(Fork),
    /// An option at another time than its proposal (`errOptionBlockTimestampNotMatchingParent`).
    #[error("option at another time than its proposal")]
    OptionTime,
    /// Two transactions import the same (`ErrConflictingBlockTxs`).
    #[error("block contains conflicting transactions")]
    Conflicting,
    /// An ancestor imports the same (`errConflictingParentTxs`).
    #[error("block contains a transaction that conflicts with one in a parent")]
    ConflictingParent,
    /// Nothing changes (`ErrStandardBlockWithoutChanges`).
    #[error("block performs no state changes")]
    NoChanges,
    /// Its time or a transaction, which is named.
    #[error("transaction {0:?}")]
    Exec(Option<Id>, #[source] ExecError),
}

impl From<ExecError> for BlockError {
    fn from(error: ExecError) -> Self {
        Self::Exec(None, error)
    }
}

impl From<BlockError> for VmError {
    fn from(error: BlockError) -> Self {
        match error {
            BlockError::Exec(_, ExecError::Store(error)) => Self::Store(error),
            other => Self::invalid(other),
        }
    }
}

/// What the transactions of a block do together.
#[derive(Default)]
struct Together {
    imported: BTreeSet<Id>,
    requests: AtomicRequests,
    evicted: bool,
}

impl PlatformVm {
    pub(super) fn verify_block(
        &self,
        parsed: &Arc<ParsedBlock>,
        context: &BlockContext,
    ) -> Result<(), VmError> {
        let mut core = self.core.lock();
        core.now = core.now.max(context.now);
        let height = context.p_chain_height.unwrap_or(0);
        let known = core.processing.get(&parsed.id);
        let warp_verified = known.is_some_and(|known| known.verified_heights.contains(&height));
        if !warp_verified && core.phase == Phase::Normal {
            for tx in parsed.all_txs() {
                let verified = core.verify_warp(&self.config, &tx.tx.unsigned, height);
                verified.map_err(|error| BlockError::Exec(Some(tx.id), error))?;
            }
        }
        if let Some(known) = core.processing.get_mut(&parsed.id) {
            known.verified_heights.insert(height);
            return Ok(());
        }
        let backend = Backend { unseen: self.config.unseen, ..self.backend(&core, context.now) };
        match execute_block(&core, &backend, parsed) {
            Ok(mut processing) => {
                for tx in parsed.all_txs() {
                    core.mempool.remove_conflicts(&tx.tx.unsigned);
                }
                processing.verified_heights.insert(height);
                core.processing.insert(parsed.id, processing);
                Ok(())
            }
            Err(error) => {
                if let BlockError::Exec(Some(tx), cause) = &error {
                    core.mempool.mark_dropped(*tx, Chain(cause).to_string());
                }
                Err(error.into())
            }
        }
    }
}

fn execute_block(
    core: &Core,
    backend: &Backend<'_>,
    parsed: &Arc<ParsedBlock>,
) -> Result<Processing, BlockError> {
    let config = backend.config;
    let common = *parsed.block.common();
    let parent = common.parent_id;
    let height = core.height_of(parent).map_err(|_| BlockError::MissingParent(parent))?;
    let expected = height.saturating_add(1);
    if common.height != expected {
        return Err(BlockError::Height { expected, found: common.height });
    }
    let parent_time = core.timestamp_of(parent);
    let before = |fork| {
        if config.is_active(fork, parent_time) { Err(BlockError::AfterFork(fork)) } else { Ok(()) }
    };
    let draft = |readd| core.draft(parent, readd).ok_or(BlockError::MissingParent(parent));
    match &parsed.block {
        Block::BanffStandard(block) => {
            let mut draft = draft(config.is_active(Fork::Helicon, block.time))?;
            execute::verify_new_chain_time(config, block.time, backend.now, &draft)?;
            let changed = execute::advance_time(config, &mut draft, block.time)?;
            let fees = Fees::of(config, &draft);
            standard_block(core, backend, parsed, &fees, draft, changed)
        }
        Block::BanffProposal(block) => {
            let mut draft = draft(config.is_active(Fork::Helicon, block.time))?;
            execute::verify_new_chain_time(config, block.time, backend.now, &draft)?;
            execute::advance_time(config, &mut draft, block.time)?;
            let fees = Fees::of(config, &draft);
            let together = process(core, backend, parsed, &fees, &mut draft)?;
            proposal_block(backend, parsed, &fees, draft, together)
        }
        Block::ApricotStandard(_) => {
            before(Fork::Banff)?;
            standard_block(core, backend, parsed, &Fees::free(), draft(false)?, true)
        }
        Block::ApricotAtomic(_) => {
            before(Fork::ApricotPhase5)?;
            let [tx] = parsed.txs.as_slice() else { return Err(ExecError::WrongTxType.into()) };
            if !matches!(tx.tx.unsigned, UnsignedTx::Import(_) | UnsignedTx::Export(_)) {
                return Err(BlockError::Exec(Some(tx.id), ExecError::WrongTxType));
            }
            standard_block(core, backend, parsed, &Fees::free(), draft(false)?, true)
        }
        Block::ApricotProposal(_) => {
            before(Fork::Banff)?;
            proposal_block(backend, parsed, &Fees::free(), draft(false)?, Together::default())
        }
        Block::ApricotCommit(_) | Block::ApricotAbort(_) => {
            before(Fork::Banff)?;
            option_block(core, parsed)
        }
        Block::BanffCommit(block) | Block::BanffAbort(block) => {
            if block.time != parent_time {
                return Err(BlockError::OptionTime);
            }
            option_block(core, parsed)
        }
    }
}

fn processing(parsed: &Arc<ParsedBlock>, outcome: Outcome, timestamp: u64, together: Together) -> Processing {
    Processing {
        parsed: Arc::clone(parsed),
        outcome,
        imported: together.imported,
        requests: together.requests,
        timestamp,
        verified_heights: BTreeSet::new(),
    }
}

fn standard_block(
    core: &Core,
    backend: &Backend<'_>,
    parsed: &Arc<ParsedBlock>,
    fees: &Fees,
    mut draft: Draft<'_>,
    changed: bool,
) -> Result<Processing, BlockError> {
    let together = process(core, backend, parsed, fees, &mut draft)?;
    if !changed && parsed.txs.is_empty() && !together.evicted {
        return Err(BlockError::NoChanges);
    }
    let timestamp = draft.timestamp();
    Ok(processing(parsed, Outcome::Decision(Arc::new(draft.into_diff())), timestamp, together))
}

fn proposal_block(
    backend: &Backend<'_>,
    parsed: &Arc<ParsedBlock>,
    fees: &Fees,
    decision: Draft<'_>,
    together: Together,
) -> Result<Processing, BlockError> {
    let tx = parsed.proposal.as_ref().ok_or(ExecError::WrongTxType)?;
    let (mut commit, mut abort) = (decision.child(), decision.child());
    reward::proposal(backend, fees, tx, &mut commit, &mut abort)
        .map_err(|error| BlockError::Exec(Some(tx.id), error))?;
    commit.add_tx(Arc::clone(tx), TxStatus::Committed);
    abort.add_tx(Arc::clone(tx), TxStatus::Aborted);
    let timestamp = abort.timestamp();
    let (commit, abort) = (commit.into_diff(), abort.into_diff());
    let decision = decision.into_diff();
    let on = |option| {
        let mut both = decision.clone();
        both.merge(option);
        Arc::new(both)
    };
    let outcome = Outcome::Proposal { commit: on(commit), abort: on(abort) };
    Ok(processing(parsed, outcome, timestamp, together))
}

fn option_block(core: &Core, parsed: &Arc<ParsedBlock>) -> Result<Processing, BlockError> {
    let parent = parsed.block.common().parent_id;
    let Some(Processing { outcome: Outcome::Proposal { commit, abort }, .. }) = core.processing.get(&parent)
    else {
        return Err(BlockError::MissingParent(parent));
    };
    let is_commit = matches!(parsed.block, Block::ApricotCommit(_) | Block::BanffCommit(_));
    let diff = Arc::clone(if is_commit { commit } else { abort });
    let timestamp = diff.scalars().timestamp;
    Ok(processing(parsed, Outcome::Decision(diff), timestamp, Together::default()))
}

/// Executes the decided transactions of a block (`processStandardTxs`).
fn process(
    core: &Core,
    backend: &Backend<'_>,
    parsed: &ParsedBlock,
    fees: &Fees,
    draft: &mut Draft<'_>,
) -> Result<Together, BlockError> {
    let config = backend.config;
    if config.is_active(Fork::Etna, draft.timestamp()) {
        let mut sum = Dimensions::default();
        for tx in &parsed.txs {
            let complexity = fee::complexity(&tx.tx.unsigned)
                .map_err(|error| BlockError::Exec(Some(tx.id), error.into()))?;
            sum = sum.checked_add(complexity).map_err(ExecError::from)?;
        }
        let gas = sum.to_gas(config.gas.weights).map_err(ExecError::from)?;
        draft.scalars_mut().fee_state = draft.scalars().fee_state.consume(gas).map_err(ExecError::from)?;
    }
    let mut together = Together::default();
    for tx in &parsed.txs {
        let effects = execute::standard(backend, fees, tx, draft)
            .map_err(|error| BlockError::Exec(Some(tx.id), error))?;
        if !together.imported.is_disjoint(&effects.imported) {
            return Err(BlockError::Conflicting);
        }
        together.imported.extend(effects.imported);
        for (peer, requests) in effects.requests {
            together.requests.entry(peer).or_default().append(requests);
        }
        draft.add_tx(Arc::clone(tx), TxStatus::Committed);
    }
    core.verify_unique_imports(parsed.block.common().parent_id, &together.imported)?;
    together.evicted = execute::deactivate_low_balances(config, draft)?;
    Ok(together)
}

impl Core {
    /// No processing ancestor imports the same.
    pub(super) fn verify_unique_imports(
        &self,
        parent: Id,
        imported: &BTreeSet<Id>,
    ) -> Result<(), BlockError> {
        let mut at = parent;
        while let Some(ancestor) = self.processing.get(&at) {
            if !ancestor.imported.is_disjoint(imported) {
                return Err(BlockError::ConflictingParent);
            }
            at = ancestor.parsed.block.common().parent_id;
        }
        Ok(())
    }

    /// Checks the signature of a transaction's warp message by the validators at a P-chain height.
    pub(super) fn verify_warp(&self, config: &Config, tx: &UnsignedTx, height: u64) -> Result<(), ExecError> {
        let bytes = match tx {
            UnsignedTx::RegisterL1Validator(tx) => &tx.message,
            UnsignedTx::SetL1ValidatorWeight(tx) => &tx.message,
            _ => return Ok(()),
        };
        let message = warp::Message::parse(bytes)?;
        let source = message.unsigned.source_chain_id;
        let subnet = self.subnet_of(source)?.ok_or(ExecError::MissingTx(source))?;
        let set = self.validators_at(height, subnet).map_err(|_| WarpError::UnknownValidator)?;
        let set = CanonicalSet::new(set.values().map(|validator| (validator.public_key, validator.weight)))?;
        let warp::Signature::BitSet(signature) = &message.signature;
        Ok(signature.verify(&message.unsigned, config.network_id, &set)?)
    }

    /// Whether this node would reward the staker that a proposal names; when in doubt yes.
    pub(super) fn prefers_commit(&self, config: &Config, proposal: &UnsignedTx) -> bool {
        self.deserves_reward(config, proposal).unwrap_or(true)
    }

    fn deserves_reward(&self, config: &Config, proposal: &UnsignedTx) -> Option<bool> {
        let tx_id = match proposal {
            UnsignedTx::RewardValidator(tx) => tx.tx_id,
            UnsignedTx::RewardAutoRenewedValidator(tx) => tx.tx_id,
            _ => return None,
        };
        let (added, _): (Arc<NamedTx>, _) = self.state.tx(&tx_id).ok()??;
        let staker = StakerTerms::of(&added.tx.unsigned)?;
        let draft = self.state.draft();
        let primary = draft.current_validator(CHAIN_ID, staker.node_id)?;
        let wanted = if staker.subnet != CHAIN_ID {
            let transformation = draft.transformation(staker.subnet)?;
            let UnsignedTx::TransformSubnet(terms) = &transformation.tx.unsigned else { return None };
            f64::from(terms.uptime_requirement) / u32::try_from(PERCENT_DENOMINATOR).map_or(1e6, f64::from)
        } else {
            config.uptime_requirement(primary.start)
        };
        let now = self.now.as_secs();
        Some(self.uptimes.part_since(&self.state, staker.node_id, primary.start, now)? >= wanted)
    }
}
