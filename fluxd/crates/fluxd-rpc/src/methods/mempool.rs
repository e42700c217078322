//! Methods about transactions that wait for a block. Mirrors `src/rpc/blockchain.cpp`, `src/rpc/rawtransaction.cpp` and
//! `src/rpc/mining.cpp`.

use std::{collections::BTreeSet, sync::Arc};

use fluxd_consensus::upgrades::Upgrade;
use fluxd_mempool::{Admission, Drop, Mempool, Reject};
use fluxd_primitives::{Amount, OutPoint, Transaction, TxId};

use super::Method;
use crate::{
    context::Context,
    error::{self, RpcError},
    json::Json,
    params::{Args, Kind, Result, text_hash, wire},
    present::transaction,
};

/// A transaction this near to its end is not relayed.
const EXPIRING_SOON: u32 = 3;

pub(super) const METHODS: fn() -> Vec<Method> = || {
    let method = |name, group, arguments, about, (least, most), run| Method {
        name,
        group,
        arguments,
        about,
        least,
        most,
        run,
    };
    vec![
        method("getmempoolinfo", "blockchain", "", "Size of the memory pool.", (0, 0), info),
        method("getrawmempool", "blockchain", "( verbose )", "What waits for a block.", (0, 1), list),
        method(
            "sendrawtransaction",
            "rawtransactions",
            "\"hexstring\" ( allowhighfees )",
            "Takes a transaction to the pool and tells peers.",
            (1, 2),
            send,
        ),
        method(
            "prioritisetransaction",
            "mining",
            "\"txid\" priority_delta fee_delta",
            "Changes the turn of a transaction.",
            (3, 3),
            prioritise,
        ),
        method("estimatefee", "util", "nblocks", "Fee for a block within a time.", (1, 1), estimate_fee),
        method(
            "estimatepriority",
            "util",
            "nblocks",
            "Priority for a block within a time.",
            (1, 1),
            estimate_priority,
        ),
    ]
};

fn info(context: &Context, _: &Args) -> Result<Json> {
    // The chain is locked before the pool, everywhere.
    let network = context.chain.read().params().network;
    let pool = context.mempool.lock();
    let mut out = Json::object();
    out.push("size", pool.len()).push("bytes", pool.bytes()).push("usage", pool.memory());
    if network == fluxd_consensus::params::Network::Regtest {
        out.push("fullyNotified", true);
    }
    Ok(out)
}

fn list(context: &Context, args: &Args) -> Result<Json> {
    let verbose = args.has(0) && args.flag(0)?;
    let height = context.chain.read().index().height();
    let pool = context.mempool.lock();
    if !verbose {
        return Ok(Json::List(pool.iter().map(|entry| Json::from(entry.txid.to_string())).collect()));
    }
    let mut out = Json::object();
    for entry in pool.iter() {
        let depends: BTreeSet<String> = pool.parents(&entry.tx).iter().map(TxId::to_string).collect();
        let one = transaction::waiting(entry, height, depends);
        out.push(entry.txid.to_string(), one);
    }
    Ok(out)
}

fn send(context: &Context, args: &Args) -> Result<Json> {
    args.check_types(&[Kind::Text, Kind::Flag], false)?;
    let failed = || RpcError::new(error::DESERIALIZATION, "TX decode failed");
    let tx = Arc::new(wire::<Transaction>(args.text(0)?).ok_or_else(failed)?);
    let txid = tx.txid();
    let override_fees = args.has(1) && args.flag(1)?;
    {
        let chain = context.chain.read();
        let next = chain.index().height().saturating_add(1);
        let least = next.saturating_add(EXPIRING_SOON);
        if tx.expiry_height > 0
            && chain.params().upgrades.is_active(Upgrade::Acadia, next)
            && least > tx.expiry_height
        {
            let text = format!(
                "tx-expiring-soon: expiryheight is {} but should be at least {least} to avoid transaction expiring soon",
                tx.expiry_height
            );
            return Err(RpcError::new(error::VERIFY_REJECTED, text));
        }
        let mut pool = context.mempool.lock();
        if pool.get(&txid).is_none() {
            if chain.coins(&txid)?.is_some() {
                return Err(RpcError::new(error::ALREADY_IN_CHAIN, "transaction already in block chain"));
            }
            admit(&mut pool, &chain, &tx, override_fees, context.now())?;
        }
    }
    context.network.relay(txid);
    Ok(Json::from(txid.to_string()))
}

fn admit(
    pool: &mut Mempool,
    chain: &fluxd_chainstate::ChainState,
    tx: &Arc<Transaction>,
    override_fees: bool,
    now: i64,
) -> Result<()> {
    let admission = Admission { limit_free: false, reject_absurd_fee: !override_fees, now, is_synced: true };
    match pool.accept(chain, tx, admission) {
        Ok(_) => Ok(()),
        Err(Reject::MissingInputs) => Err(RpcError::new(error::VERIFY, "Missing inputs")),
        Err(Reject::Dropped(Drop::InPool)) => Ok(()),
        Err(Reject::Dropped(Drop::InChain)) => {
            Err(RpcError::new(error::ALREADY_IN_CHAIN, "transaction already in block chain"))
        }
        Err(Reject::Local(err)) => Err(err.into()),
        Err(reject) if reject.code() == 0 => Err(RpcError::new(error::VERIFY, reject.to_string())),
        Err(reject) => Err(RpcError::new(error::VERIFY_REJECTED, format!("{}: {reject}", reject.code()))),
    }
}

fn prioritise(context: &Context, args: &Args) -> Result<Json> {
    let txid = TxId(text_hash(args.text(0)?, "txid")?.0);
    let priority = args
        .value(1)
        .as_f64()
        .ok_or_else(|| RpcError::new(error::MISC, "JSON value is not a number as expected"))?;
    let fee = Amount::from_zat(args.int64(2)?);
    context.mempool.lock().prioritise(txid, priority, fee);
    Ok(Json::Bool(true))
}

fn blocks_of(args: &Args) -> Result<usize> {
    args.check_types(&[Kind::Number], false)?;
    Ok(usize::try_from(args.int(0)?.max(1)).unwrap_or(1))
}

fn estimate_fee(context: &Context, args: &Args) -> Result<Json> {
    let rate = context.mempool.lock().estimator().fee(blocks_of(args)?).zat_per_kb;
    Ok(if rate == 0 { Json::real(-1.0) } else { Json::zat(rate) })
}

fn estimate_priority(context: &Context, args: &Args) -> Result<Json> {
    Ok(Json::real(context.mempool.lock().estimator().priority(blocks_of(args)?)))
}

/// An unspent output, those of the pool included and those that the pool spends left out (`gettxout`).
pub(super) fn is_spent_in_pool(pool: &Mempool, outpoint: &OutPoint) -> bool {
    pool.spender(outpoint).is_some()
}
