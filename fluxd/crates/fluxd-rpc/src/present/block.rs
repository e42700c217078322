//! Headers and blocks in JSON.

use fluxd_chainstate::{BlockId, ChainState};
use fluxd_consensus::{params::Params, upgrades::Upgrade};
use fluxd_mempool::Mempool;
use fluxd_pon::PonBlock;
use fluxd_pow::difficulty::Recent;
use fluxd_primitives::{
    Amount, Block, BlockHash, BlockHeader, Codec, CompactTarget, OutPoint, Transaction, U256, block::Proof,
};
use parking_lot::Mutex;
use shared_vendor::hex;

use super::transaction;
use crate::{json::Json, params::Result};

/// Difficulty as a multiple of the least, from compact targets.
#[must_use]
pub fn difficulty(bits: CompactTarget, limit: CompactTarget) -> f64 {
    let split = |bits: CompactTarget| (bits.0 >> 24, f64::from(bits.0 & 0x00ff_ffff));
    let ((mut shift, mantissa), (wanted, limit_mantissa)) = (split(bits), split(limit));
    let mut value = limit_mantissa / mantissa;
    while shift < wanted {
        value *= 256.0;
        shift = shift.saturating_add(1);
    }
    while shift > wanted {
        value /= 256.0;
        shift = shift.saturating_sub(1);
    }
    value
}

/// The limit that difficulties are multiples of.
#[must_use]
pub fn limit(params: &Params) -> CompactTarget {
    CompactTarget::from_value(params.pow.limit)
}

/// Difficulty of the next block by the rules of proof of work alone, as the reference tells it also in times of proof of
/// node.
#[must_use]
pub fn network_difficulty(chain: &ChainState) -> f64 {
    let index = chain.index();
    let tip = index.tip();
    let blocks = index.history(tip, fluxd_pow::difficulty::HISTORY);
    let height = index.entry(tip).height();
    let params = chain.params();
    let bits = if params.pon.is_active(height.saturating_add(1)) {
        let recent: Vec<PonBlock> =
            blocks.iter().map(|block| PonBlock { time: block.time, bits: block.bits }).collect();
        params.pon.next_bits(height, &recent)
    } else {
        params.pow.next_bits(Some(Recent { height, blocks: &blocks }), index.entry(tip).time())
    };
    difficulty(bits, limit(params))
}

/// `COutPoint(<10 digits>, n)`.
#[must_use]
pub fn short_outpoint(outpoint: &OutPoint) -> String {
    let text = outpoint.txid.to_string();
    format!("COutPoint({}, {})", text.get(..10).unwrap_or_default(), outpoint.index)
}

/// `COutPoint(<64 digits>, n)`.
#[must_use]
pub fn full_outpoint(outpoint: &OutPoint) -> String {
    format!("COutPoint({}, {})", outpoint.txid, outpoint.index)
}

fn push_proof(out: &mut Json, header: &BlockHeader) {
    match &header.proof {
        Proof::Node { collateral, signature } => {
            out.push("type", "PON");
            out.push("collateral", short_outpoint(collateral));
            out.push("blocksig", hex::encode(signature));
        }
        Proof::Work { nonce, solution } => {
            out.push("type", "POW");
            out.push("nonce", nonce.to_string());
            out.push("solution", hex::encode(solution));
        }
    }
}

/// Blocks from this one to the tip, both counted; -1 beside the active chain.
#[must_use]
pub fn confirmations(chain: &ChainState, id: BlockId) -> i64 {
    let index = chain.index();
    if index.is_active(id) {
        i64::from(index.height()).saturating_sub(i64::from(index.entry(id).height())).saturating_add(1)
    } else {
        -1
    }
}

/// Work as 64 hexadecimal digits.
#[must_use]
pub fn work(work: U256) -> String {
    format!("{work:064x}")
}

/// Where a block stands in a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// See [`confirmations`].
    pub confirmations: i64,
    /// Its height.
    pub height: u32,
    /// Work of the chain up to it.
    pub work: U256,
    /// The block after it in the active chain.
    pub next: Option<BlockHash>,
}

impl Place {
    fn of(chain: &ChainState, id: BlockId) -> Self {
        let (index, entry) = (chain.index(), chain.index().entry(id));
        Self {
            confirmations: confirmations(chain, id),
            height: entry.height(),
            work: entry.work(),
            next: index.next_active(id).map(|next| index.entry(next).hash()),
        }
    }
}

fn push_start(out: &mut Json, header: &BlockHeader, place: &Place, size: Option<usize>) {
    out.push("hash", header.hash().to_string());
    out.push("confirmations", place.confirmations);
    if let Some(size) = size {
        out.push("size", size);
    }
    out.push("height", place.height);
    out.push("version", header.version);
    out.push("merkleroot", header.merkle_root.to_string());
    out.push("finalsaplingroot", header.sapling_root.to_string());
}

fn push_middle(out: &mut Json, header: &BlockHeader, place: &Place, params: &Params) {
    out.push("time", header.time);
    push_proof(out, header);
    out.push("bits", format!("{:08x}", header.bits.0));
    out.push("difficulty", Json::real(difficulty(header.bits, limit(params))));
    out.push("chainwork", work(place.work));
}

fn push_neighbours(out: &mut Json, header: &BlockHeader, place: &Place) {
    if header.prev != BlockHash::ZERO {
        out.push("previousblockhash", header.prev.to_string());
    }
    if let Some(next) = place.next {
        out.push("nextblockhash", next.to_string());
    }
}

/// A header with its place.
#[must_use]
pub fn header_at(header: &BlockHeader, place: &Place, params: &Params) -> Json {
    let mut out = Json::object();
    push_start(&mut out, header, place, None);
    push_middle(&mut out, header, place, params);
    push_neighbours(&mut out, header, place);
    out
}

/// `getblockheader`.
///
/// # Errors
/// The store fails.
pub fn header(chain: &ChainState, id: BlockId) -> Result<Json> {
    Ok(header_at(&chain.row(id)?.header, &Place::of(chain, id), chain.params()))
}

fn pool(name: &str, value: Amount, delta: Option<Amount>) -> Json {
    let mut out = Json::object();
    out.push("id", name).push("monitored", true);
    out.push("chainValue", Json::amount(value)).push("chainValueZat", value.zat());
    if let Some(delta) = delta {
        out.push("valueDelta", Json::amount(delta)).push("valueDeltaZat", delta.zat());
    }
    out
}

/// The values in Sprout and in Sapling.
#[must_use]
pub fn pools([sprout, sapling]: [Amount; 2]) -> Json {
    Json::List(vec![pool("sprout", sprout, None), pool("sapling", sapling, None)])
}

/// `getblock` with verbosity 1, or 2 with the transactions in full.
///
/// # Errors
/// The store fails.
pub fn block(
    chain: &ChainState,
    mempool: &Mutex<Mempool>,
    id: BlockId,
    block: &Block,
    full: bool,
) -> Result<Json> {
    let (row, place) = (chain.row(id)?, Place::of(chain, id));
    let (header, params) = (&block.header, chain.params());
    let mut out = Json::object();
    push_start(&mut out, header, &place, Some(block.to_bytes().len()));
    let list: Vec<Json> = if full {
        let (reader, pool) = (chain.reader(), mempool.lock());
        block.transactions.iter().map(|tx| transaction::present(&reader, &pool, tx)).collect::<Result<_>>()?
    } else {
        block.transactions.iter().map(|tx| Json::from(tx.txid().to_string())).collect()
    };
    out.push("tx", list);
    push_middle(&mut out, header, &place, params);
    // The root after a block is not kept; where no commitment was added since, it is that of the tip.
    let closed = params.upgrades.is_active(Upgrade::Flux, place.height);
    if closed || chain.sprout_tree().size() == 0 || chain.index().tip() == id {
        out.push("anchor", chain.sprout_tree().root().to_string());
    }
    let (sprout, sapling) = deltas(&block.transactions);
    out.push(
        "valuePools",
        vec![
            pool("sprout", row.sprout_value, Some(sprout)),
            pool("sapling", row.sapling_value, Some(sapling)),
        ],
    );
    push_neighbours(&mut out, header, &place);
    Ok(out)
}

/// What the transactions of a block add to the pools.
fn deltas(transactions: &[Transaction]) -> (Amount, Amount) {
    let mut sprout = 0_i64;
    let mut sapling = 0_i64;
    for tx in transactions {
        sapling = sapling.saturating_sub(tx.value_balance.zat());
        for joinsplit in &tx.joinsplits {
            sprout = sprout.saturating_add(joinsplit.vpub_old.zat()).saturating_sub(joinsplit.vpub_new.zat());
        }
    }
    (Amount::from_zat(sprout), Amount::from_zat(sapling))
}
