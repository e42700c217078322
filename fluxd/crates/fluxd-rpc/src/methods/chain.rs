//! Methods about the chain as a whole. Mirrors `src/rpc/blockchain.cpp`.

use fluxd_chainstate::Coin;
use fluxd_primitives::{OutPoint, TxId};

use super::{Method, blocks, mempool};
use crate::{
    context::Context,
    error::{self, RpcError},
    json::Json,
    params::{Args, Result, lenient_hash},
    present::{
        block,
        chain::{self as present, ChainFacts},
    },
};

pub(super) const METHODS: fn() -> Vec<Method> = || {
    let method = |name, arguments, about, (least, most), run| Method {
        name,
        group: "blockchain",
        arguments,
        about,
        least,
        most,
        run,
    };
    vec![
        method("getblockcount", "", "Height of the best chain.", (0, 0), count),
        method("getbestblockhash", "", "Hash of the tip.", (0, 0), best),
        method("getdifficulty", "", "Difficulty of the next block.", (0, 0), difficulty),
        method("getblockchaininfo", "", "The state of the chain.", (0, 0), info),
        method("getchaintips", "( height )", "Ends of all known chains.", (0, 1), tips),
        method("gettxout", "\"txid\" n ( includemempool )", "An unspent output.", (2, 3), txout),
        method("gettxoutsetinfo", "", "Statistics of the unspent outputs.", (0, 0), txout_set),
        method("verifychain", "( checklevel numblocks )", "Checks the stored chain.", (0, 2), verify),
        method("invalidateblock", "\"hash\"", "Declares a block invalid.", (1, 1), invalidate),
        method("reconsiderblock", "\"hash\"", "Takes back invalidateblock.", (1, 1), reconsider),
    ]
};

fn count(context: &Context, _: &Args) -> Result<Json> {
    Ok(Json::from(context.chain.read().index().height()))
}

fn best(context: &Context, _: &Args) -> Result<Json> {
    Ok(Json::from(context.chain.read().tip().hash.to_string()))
}

fn difficulty(context: &Context, _: &Args) -> Result<Json> {
    Ok(Json::real(block::network_difficulty(&context.chain.read())))
}

fn info(context: &Context, _: &Args) -> Result<Json> {
    let chain = context.chain.read();
    let index = chain.index();
    let params = chain.params();
    let (tip, pools) = (index.entry(index.tip()), chain.value_pools());
    let files = chain.reader().view().files().map_err(fluxd_chainstate::ChainError::from)?;
    let facts = ChainFacts {
        height: index.height(),
        headers: index.entry(index.best_header()).height(),
        best: tip.hash(),
        difficulty: block::network_difficulty(&chain),
        progress: present::progress(params, tip.chain_transactions(), tip.time(), context.now()),
        work: tip.work(),
        pruned: chain.options().prune_target.is_some(),
        size: files.iter().map(|(_, file)| u64::from(file.size) + u64::from(file.undo_size)).sum(),
        commitments: chain.sprout_tree().size(),
        pools: [pools.sprout, pools.sapling],
    };
    Ok(present::chain_info(&facts, params))
}

fn tips(context: &Context, args: &Args) -> Result<Json> {
    let chain = context.chain.read();
    let index = chain.index();
    let least = if args.has(0) {
        u32::try_from(args.int(0)?).ok().filter(|height| *height <= index.height()).unwrap_or_default()
    } else {
        index.height().saturating_sub(1000)
    };
    let mut leaves = index.leaves();
    leaves.retain(|id| index.entry(*id).height() >= least || *id == index.tip());
    leaves.sort_by_key(|id| std::cmp::Reverse((index.entry(*id).height(), *id)));
    let list: Vec<Json> = leaves
        .into_iter()
        .map(|id| {
            let entry = index.entry(id);
            let fork = index.entry(index.fork_point(id)).height();
            let status = if index.is_active(id) {
                "active"
            } else if entry.is_failed() {
                "invalid"
            } else if entry.chain_transactions() == 0 {
                "headers-only"
            } else if entry.was_connected() {
                "valid-fork"
            } else {
                "valid-headers"
            };
            Json::object()
                .with("height", entry.height())
                .with("hash", entry.hash().to_string())
                .with("branchlen", entry.height().saturating_sub(fork))
                .with("status", status)
        })
        .collect();
    Ok(Json::List(list))
}

fn txout(context: &Context, args: &Args) -> Result<Json> {
    let id = TxId(lenient_hash(args.text(0)?).0);
    let index = args.int(1)?;
    let with_pool = !args.has(2) || args.flag(2)?;
    let chain = context.chain.read();
    let Ok(index) = u32::try_from(index) else { return Ok(Json::Null) };
    let outpoint = OutPoint { txid: id, index };
    let (mut waiting, mut spent) = (None, false);
    if with_pool {
        let pool = context.mempool.lock();
        waiting = pool.coins(&id).and_then(|coins| Coin::of(&coins, index));
        spent = mempool::is_spent_in_pool(&pool, &outpoint);
    }
    let confirmed = if waiting.is_none() { chain.coin(&outpoint)? } else { None };
    let confirmations = confirmed
        .as_ref()
        .map_or(0, |coin| chain.index().height().saturating_sub(coin.height).saturating_add(1));
    let Some(coin) = waiting.or(confirmed).filter(|_| !spent) else { return Ok(Json::Null) };
    Ok(present::unspent(&chain.tip().hash, confirmations, &coin, chain.params()))
}

fn txout_set(context: &Context, _: &Args) -> Result<Json> {
    let reader = {
        let mut chain = context.chain.write();
        chain.flush()?;
        chain.reader()
    };
    Ok(present::coin_stats(&reader.coin_stats()?))
}

fn verify(context: &Context, args: &Args) -> Result<Json> {
    let level = if args.has(0) { args.int(0)? } else { 3 };
    let depth = if args.has(1) { args.int(1)? } else { 288 };
    let level = u32::try_from(level.clamp(0, 4)).unwrap_or_default();
    let depth = u32::try_from(depth).unwrap_or_default();
    let verified = context.chain.write().verify_chain(level, depth)?;
    for problem in &verified.problems {
        tracing::error!(target: "chain", problem, "the stored chain is damaged");
    }
    Ok(Json::Bool(verified.is_clean()))
}

fn invalidate(context: &Context, args: &Args) -> Result<Json> {
    judge(context, args, false)
}

fn reconsider(context: &Context, args: &Args) -> Result<Json> {
    judge(context, args, true)
}

fn judge(context: &Context, args: &Args, valid: bool) -> Result<Json> {
    let hash = {
        let chain = context.chain.read();
        let id = blocks::find(&chain, args.text(0)?)?;
        chain.index().entry(id).hash()
    };
    context.network.judge(hash, valid).map_err(|text| RpcError::new(error::DATABASE, text))?;
    Ok(Json::Null)
}
