//! A block on top of the tip that lacks nothing but its proof. Mirrors `CreateNewBlock` and
//! `FillBlockPayeeWithDeterministicPayouts`.

use std::sync::Arc;

use fluxd_chainstate::{ChainError, ChainState, Invalid, policy::FeeRate};
use fluxd_consensus::{
    check::{
        BlockError, CheckedBlock,
        block::{MAX_BLOCK_SIZE, height_push, legacy_sigops},
    },
    params::Params,
    subsidy,
    upgrades::Upgrade,
};
use fluxd_fluxnode::Tier;
use fluxd_pon::PonBlock;
use fluxd_pow::difficulty::{HISTORY, Recent};
use fluxd_primitives::{
    Amount, Block, BlockHeader, CompactTarget, Hash256, OutPoint, Proof, Script, Transaction, TxId, TxIn,
    TxOut,
    block::{PON_VERSION, merkle_root},
    transaction::{SAPLING_GROUP, SAPLING_VERSION},
};
use fluxd_script::opcode;

use crate::select::{PoolTx, Selection, select};

/// Version of PoW headers.
const POW_VERSION: i32 = 4;

/// Limits of a template, as an operator sets them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Longest block.
    pub max_size: usize,
    /// Part of it that is filled by priority, whatever the fees.
    pub priority_size: usize,
    /// Part of it that is filled also with transactions below the relay fee.
    pub min_size: usize,
    /// Fee below which a transaction counts as free.
    pub min_relay_rate: FeeRate,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_size: MAX_BLOCK_SIZE - 1000,
            priority_size: MAX_BLOCK_SIZE / 2,
            min_size: 0,
            min_relay_rate: FeeRate { zat_per_kb: 100 },
        }
    }
}

/// Who makes the block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maker {
    /// Where what nobody else is owed goes.
    pub script: Script,
    /// The collateral of a PoN block; null before proof of node.
    pub collateral: OutPoint,
    /// Header time of a PoN block, seconds since the epoch.
    pub time: u32,
}

/// A payment of the coinbase to a fluxnode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    /// The tier of the node.
    pub tier: Tier,
    /// Whom it pays.
    pub script: Script,
    /// How much.
    pub amount: Amount,
}

/// A block that lacks nothing but its proof.
#[derive(Debug, Clone)]
pub struct Template {
    /// The block.
    pub block: Block,
    /// Its height.
    pub height: u32,
    /// Fee of each transaction; the first is that of the coinbase, minus the sum of the others.
    pub fees: Vec<Amount>,
    /// Signature operations of each transaction.
    pub sigops: Vec<u32>,
    /// Payments to fluxnodes.
    pub payments: Vec<Payment>,
}

/// Why there is no template.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// The chain state failed.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The block would break a rule.
    #[error("CreateNewBlock(): TestBlockValidity failed: {}", .0.reason())]
    Invalid(Invalid),
}

/// Makes a template of the pool's transactions. `now` is the time in seconds since the epoch.
///
/// # Errors
/// The chain state fails, or the block would break a rule.
pub fn create(
    chain: &ChainState,
    pool: &[PoolTx],
    settings: &Settings,
    maker: &Maker,
    now: i64,
) -> Result<Template, TemplateError> {
    let selection = select(chain, pool, settings, now)?;
    let template = assemble(chain, &selection, maker, now);
    test(chain, &template, now)?;
    Ok(template)
}

/// The block of these transactions, whatever the rules say about it.
pub(crate) fn assemble(chain: &ChainState, selection: &Selection, maker: &Maker, now: i64) -> Template {
    let height = chain.index().height().saturating_add(1);
    let mut sapling_tree = chain.sapling_tree().clone();
    let mut leaves = 0_usize;
    for output in selection.transactions.iter().flat_map(|tx| &tx.shielded_outputs) {
        leaves += 1;
        if sapling_tree.append(output.cmu).is_err() {
            break;
        }
    }
    let sapling_root = if leaves == 0 { chain.tip().sapling_root } else { sapling_tree.root() };
    let total: i64 = selection.fees.iter().map(|fee| fee.zat()).fold(0, i64::saturating_add);
    let (coinbase, payments) = coinbase(chain, height, maker, total);

    let mut txids = vec![coinbase.txid()];
    txids.extend(&selection.txids);
    let mut fees = vec![Amount::from_zat(total.saturating_neg())];
    fees.extend(&selection.fees);
    let mut sigops = vec![legacy_sigops(&coinbase)];
    sigops.extend(&selection.sigops);
    let mut transactions = vec![coinbase];
    transactions.extend(selection.transactions.iter().map(|tx| Transaction::clone(tx)));
    let header = header(chain, height, maker, now, &txids, sapling_root);
    Template { block: Block { header, transactions }, height, fees, sigops, payments }
}

fn test(chain: &ChainState, template: &Template, now: i64) -> Result<(), TemplateError> {
    let checked = CheckedBlock::new(Arc::new(template.block.clone()))
        .map_err(|error: BlockError| TemplateError::Invalid(error.into()))?;
    chain.test_block(&Arc::new(checked), false, now)?.map_err(TemplateError::Invalid)
}

/// The coinbase with the payments to fluxnodes and funds.
fn coinbase(chain: &ChainState, height: u32, maker: &Maker, fees: i64) -> (Transaction, Vec<Payment>) {
    let params = chain.params();
    let mut payments = Vec::new();
    let mut rest = subsidy::block_subsidy(params, height).zat();
    if height >= params.node_payments_from {
        for tier in Tier::ALL {
            if let Some((_, node)) = chain.nodes().next_payee(tier) {
                let amount = subsidy::node_share(params, height, tier);
                rest = rest.saturating_sub(amount.zat());
                payments.push(Payment { tier, script: node.payee(), amount });
            }
        }
    }
    let own =
        TxOut { value: Amount::from_zat(rest.saturating_add(fees)), script_pubkey: maker.script.clone() };
    let nodes =
        payments.iter().map(|payment| TxOut { value: payment.amount, script_pubkey: payment.script.clone() });
    let funds = subsidy::fundings(params, height).map(|funding| TxOut {
        value: funding.amount,
        script_pubkey: params.funding_script(funding.address),
    });
    let outputs = std::iter::once(own).chain(nodes).chain(funds).collect();
    let script_sig = [&height_push(height)[..], &[opcode::PUSH_EMPTY]].concat();
    let inputs = vec![TxIn { prevout: OutPoint::NULL, script_sig: Script(script_sig), sequence: u32::MAX }];
    (Transaction { inputs, outputs, ..plain_transaction(params, height) }, payments)
}

/// An empty transaction of the version that a height wants.
fn plain_transaction(params: &Params, height: u32) -> Transaction {
    if params.upgrades.is_active(Upgrade::Acadia, height) {
        Transaction {
            overwintered: true,
            version: SAPLING_VERSION,
            version_group: SAPLING_GROUP,
            ..Transaction::default()
        }
    } else {
        Transaction { version: 1, ..Transaction::default() }
    }
}

fn header(
    chain: &ChainState,
    height: u32,
    maker: &Maker,
    now: i64,
    txids: &[TxId],
    sapling_root: Hash256,
) -> BlockHeader {
    let params = chain.params();
    let tip = chain.index().tip();
    let is_pon = params.pon.is_active(height);
    let earliest = chain.index().median_time(tip).saturating_add(1);
    let time = if is_pon && maker.time > 0 {
        maker.time
    } else {
        u32::try_from(earliest.max(now)).unwrap_or(u32::MAX)
    };
    let (version, proof) = if is_pon {
        (PON_VERSION, Proof::Node { collateral: maker.collateral, signature: Vec::new() })
    } else {
        (POW_VERSION, Proof::Work { nonce: Hash256::ZERO, solution: Vec::new() })
    };
    BlockHeader {
        version,
        prev: chain.index().entry(tip).hash(),
        merkle_root: merkle_root(txids).root,
        sapling_root,
        time,
        bits: next_bits(chain, time),
        proof,
    }
}

/// The target of the block after the tip.
fn next_bits(chain: &ChainState, time: u32) -> CompactTarget {
    let params = chain.params();
    let index = chain.index();
    let (tip, height) = (index.tip(), index.height());
    let recent = index.history(tip, HISTORY);
    if params.pon.is_active(height.saturating_add(1)) {
        let blocks: Vec<PonBlock> =
            recent.iter().map(|block| PonBlock { time: block.time, bits: block.bits }).collect();
        params.pon.next_bits(height, &blocks)
    } else {
        params.pow.next_bits(Some(Recent { height, blocks: &recent }), time)
    }
}
