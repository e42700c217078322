//! Makes blocks: as many transactions as a block can hold, rewards of stakers whose time is over, and blocks that only move
//! the time to a change of stakers. Mirrors `vms/platformvm/block/builder`.

use std::{collections::BTreeSet, sync::Arc};

use avalanche_utils::upgrade::Fork;
use avalanche_vm::{
    chain::{Block as ChainBlock, BlockContext, VmError, Wanted},
    gas::Dimensions,
};
use shared_vendor::{clock::Wall, log::Chain};

use super::{Core, ParsedBlock, PlatformVm, to_chain};
use crate::{
    block::{ApricotProposal, BanffProposal, BanffStandard, Block, Common},
    config::Config,
    state::{Draft, Priority, TxStatus},
    txs::{
        NamedTx, Tx,
        execute::{self, ExecError, Fees, reward},
        fee,
    },
};

/// Bytes of transactions in a block before Etna.
const TARGET_BLOCK_LEN: usize = 128 * 1024;
/// Longest time until changes of stakers are looked for again, in seconds.
const MAX_SLEEP: u64 = 3600;

impl PlatformVm {
    pub(super) fn build_block(&self, context: &BlockContext) -> Result<ChainBlock, VmError> {
        let mut core = self.core.lock();
        core.now = core.now.max(context.now);
        let parent_id = core.preferred;
        let height = core.height_of(parent_id)?.saturating_add(1);
        let now = context.now.as_secs();
        let nothing = |error: ExecError| VmError::NothingToBuild(Some(Box::new(error)));
        let (time, capped, reward_of) = {
            let draft = core.draft(parent_id, false).ok_or(VmError::NothingToBuild(None))?;
            let (time, capped) = execute::next_block_time(&self.config, &draft, now).map_err(nothing)?;
            (time, capped, staker_to_reward(&draft, time)?)
        };
        let txs = self.pack(&mut core, context, time)?;
        let common = Common { parent_id, height };
        let block = if let Some(staker) = reward_of {
            let unsigned = reward::proposal_for(&staker, time).ok_or(VmError::NothingToBuild(None))?;
            let tx = Tx { unsigned, credentials: Vec::new() };
            Block::BanffProposal(Box::new(BanffProposal {
                time,
                txs,
                proposal: ApricotProposal { common, tx },
            }))
        } else if txs.is_empty() && !capped {
            return Err(VmError::NothingToBuild(None));
        } else {
            Block::BanffStandard(BanffStandard { time, common, txs })
        };
        let bytes = block.bytes();
        Ok(to_chain(Arc::new(ParsedBlock::new(block, bytes)), time))
    }

    /// Takes from the mempool what fits into a block; what is not valid is dropped.
    fn pack(&self, core: &mut Core, context: &BlockContext, time: u64) -> Result<Vec<Tx>, VmError> {
        let config = &self.config;
        let waiting: Vec<Arc<NamedTx>> = core.mempool.iter().cloned().collect();
        let (mut packed, mut dropped) = (Vec::new(), Vec::new());
        {
            let backend = self.backend(core, context.now);
            let nothing = |error: ExecError| VmError::NothingToBuild(Some(Box::new(error)));
            let readd = config.is_active(Fork::Helicon, time);
            let mut draft = core.draft(core.preferred, readd).ok_or(VmError::NothingToBuild(None))?;
            execute::advance_time(config, &mut draft, time).map_err(nothing)?;
            let fees = Fees::of(config, &draft);
            let mut room = Room::new(config, &draft, time);
            let mut imported = BTreeSet::new();
            for tx in waiting {
                match room.fits(&tx) {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) => {
                        dropped.push((tx, Chain(&error).to_string()));
                        continue;
                    }
                }
                let height = context.p_chain_height.unwrap_or(0);
                let mut child = draft.child();
                let executed = core
                    .verify_warp(config, &tx.tx.unsigned, height)
                    .and_then(|()| execute::standard(&backend, &fees, &tx, &mut child));
                let effects = match executed {
                    Ok(effects) => effects,
                    Err(ExecError::Store(error)) => return Err(error.into()),
                    Err(error) => {
                        drop(child);
                        dropped.push((tx, Chain(&error).to_string()));
                        continue;
                    }
                };
                if !imported.is_disjoint(&effects.imported)
                    || core.verify_unique_imports(core.preferred, &effects.imported).is_err()
                {
                    dropped.push((tx, "block contains conflicting transactions".to_owned()));
                    continue;
                }
                imported.extend(effects.imported);
                child.add_tx(Arc::clone(&tx), TxStatus::Committed);
                let changes = child.into_diff();
                draft.merge(changes);
                room.take(&tx);
                packed.push(tx);
            }
        }
        for tx in &packed {
            core.mempool.remove(&tx.id);
        }
        for (tx, reason) in dropped {
            core.mempool.remove(&tx.id);
            core.mempool.mark_dropped(tx.id, reason);
        }
        Ok(packed.iter().map(|tx| tx.tx.clone()).collect())
    }
}

/// What a block can still hold.
enum Room {
    /// Bytes.
    Bytes(usize),
    /// Gas: the weights, what the bucket holds, what is taken.
    Gas(Dimensions, u64, Dimensions),
}

impl Room {
    fn new(config: &Config, draft: &Draft<'_>, time: u64) -> Self {
        if config.is_active(Fork::Etna, time) {
            Self::Gas(config.gas.weights, draft.scalars().fee_state.capacity, Dimensions::default())
        } else {
            Self::Bytes(TARGET_BLOCK_LEN)
        }
    }

    fn with(taken: Dimensions, tx: &NamedTx) -> Result<Dimensions, ExecError> {
        Ok(taken.checked_add(fee::complexity(&tx.tx.unsigned)?)?)
    }

    fn fits(&self, tx: &NamedTx) -> Result<bool, ExecError> {
        Ok(match self {
            Self::Bytes(left) => tx.bytes.len() <= *left,
            Self::Gas(weights, capacity, taken) => Self::with(*taken, tx)?.to_gas(*weights)? <= *capacity,
        })
    }

    fn take(&mut self, tx: &NamedTx) {
        match self {
            Self::Bytes(left) => *left = left.saturating_sub(tx.bytes.len()),
            Self::Gas(_, _, taken) => *taken = Self::with(*taken, tx).unwrap_or(*taken),
        }
    }
}

/// The first staker that a proposal removes, if its time is over.
fn staker_to_reward(draft: &Draft<'_>, time: u64) -> Result<Option<Arc<NamedTx>>, VmError> {
    let first =
        draft.current_stakers().find(|staker| staker.priority != Priority::PermissionedValidatorCurrent);
    match first {
        Some(staker) if staker.end == time => Ok(draft.tx(&staker.tx_id)?.map(|(tx, _)| tx)),
        _ => Ok(None),
    }
}

impl Core {
    /// A block when transactions wait or a change of stakers is due, else the time of the next change.
    pub(super) fn wanted(&self, config: &Config, now: Wall) -> Wanted {
        let Some(draft) = self.draft(self.preferred, false) else { return Wanted::Nothing };
        let limit = now.as_secs().saturating_add(MAX_SLEEP);
        let next = execute::next_change_time(config, &draft, limit).unwrap_or(limit);
        if next <= now.as_secs() || !self.mempool.is_empty() {
            return Wanted::Block;
        }
        Wanted::Later(Wall::from_secs(next))
    }
}
