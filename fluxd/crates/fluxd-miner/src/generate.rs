//! Whole blocks on networks where anybody may make them: PoN blocks with the collateral that needs no signature, PoW blocks
//! with small Equihash parameters. Mirrors `generate` of `src/rpc/mining.cpp`.

use std::sync::Arc;

use fluxd_chainstate::ChainState;
use fluxd_consensus::check::{BlockError, CheckedBlock};
use fluxd_pow::equihash;
use fluxd_primitives::{Hash256, OutPoint, Proof, Script};

use crate::{
    select::PoolTx,
    template::{Maker, Settings, TemplateError, create},
};

/// Bytes of the signature that nobody checks.
const DUMMY_SIGNATURE: usize = 64;
/// Nonces that are tried before giving up.
const NONCES: u64 = 10_000;

/// Why no block was made.
#[derive(Debug, thiserror::Error)]
pub enum MineError {
    /// There is no template.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The network does not let anybody make blocks.
    #[error("this network has no collateral without signature")]
    NotOnDemand,
    /// No nonce of those tried has a solution.
    #[error("no nonce has a solution")]
    NoSolution,
    /// The finished block breaks a rule.
    #[error(transparent)]
    Block(#[from] BlockError),
}

/// Makes a block on top of the tip. PoN blocks pay the development fund, as every PoN block of a private network does; PoW
/// blocks pay `script`. `now` is the time in seconds since the epoch.
///
/// # Errors
/// See [`MineError`].
pub fn mine(
    chain: &ChainState,
    pool: &[PoolTx],
    settings: &Settings,
    script: &Script,
    now: i64,
) -> Result<Arc<CheckedBlock>, MineError> {
    let params = chain.params();
    let height = chain.index().height().saturating_add(1);
    if params.pon.is_active(height) {
        let after_tip = chain.index().entry(chain.index().tip()).time().saturating_add(1);
        let maker = Maker {
            script: params.funding_script(params.dev_fund),
            collateral: params.pon.bypass.ok_or(MineError::NotOnDemand)?,
            time: u32::try_from(now).unwrap_or(u32::MAX).max(after_tip),
        };
        let mut block = create(chain, pool, settings, &maker, now)?.block;
        if let Proof::Node { signature, .. } = &mut block.header.proof {
            *signature = vec![0; DUMMY_SIGNATURE];
        }
        return Ok(Arc::new(CheckedBlock::new(Arc::new(block))?));
    }
    let maker = Maker { script: script.clone(), collateral: OutPoint::NULL, time: 0 };
    let mut block = create(chain, pool, settings, &maker, now)?.block;
    let parameters = params.equihash_at(height).first().copied().ok_or(MineError::NotOnDemand)?;
    for number in 0..NONCES {
        let mut nonce = Hash256::ZERO;
        for (to, from) in nonce.0.iter_mut().zip(number.to_le_bytes()) {
            *to = from;
        }
        let input = [&block.header.common_bytes()[..], &nonce.0].concat();
        if let Some(solution) = equihash::solve(parameters, &input) {
            block.header.proof = Proof::Work { nonce, solution };
            return Ok(Arc::new(CheckedBlock::new(Arc::new(block))?));
        }
    }
    Err(MineError::NoSolution)
}
