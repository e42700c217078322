//! Methods about the chain as a whole. Mirrors `src/rpc/blockchain.cpp`.

use fluxd_chainstate::{ChainState, Coin};
use fluxd_consensus::{
    params::Network,
    upgrades::{Activation, Upgrade},
};
use fluxd_primitives::{Hash256, OutPoint, TxId};

use super::{Method, blocks, mempool};
use crate::{
    context::Context,
    error::{self, RpcError},
    json::Json,
    params::{Args, Result},
    present::{block, script},
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
    let (tip, best) = (index.tip(), index.entry(index.best_header()));
    let height = index.height();
    let mut out = Json::object();
    out.push("chain", params.network.name());
    out.push("blocks", height);
    out.push("headers", best.height());
    out.push("bestblockhash", index.entry(tip).hash().to_string());
    out.push("difficulty", Json::real(block::network_difficulty(&chain)));
    out.push("verificationprogress", Json::real(progress(&chain, context.now())));
    out.push("chainwork", block::work(&chain, tip));
    out.push("pruned", chain.options().prune_target.is_some());
    let files = chain.reader().view().files().map_err(fluxd_chainstate::ChainError::from)?;
    let size: u64 = files.iter().map(|(_, file)| u64::from(file.size) + u64::from(file.undo_size)).sum();
    out.push("size_on_disk", size);
    out.push("commitments", chain.sprout_tree().size());
    out.push("valuePools", block::pools(&chain));
    out.push("softforks", softforks(params.network, height));
    let mut upgrades = Json::object();
    for activation in params.upgrades.0.iter().filter(|one| shown(one.upgrade)) {
        if activation.height.is_some() {
            // All upgrades share a branch id: the same name comes again.
            upgrades
                .push(format!("{:08x}", fluxd_consensus::upgrades::FLUX_BRANCH), upgrade(activation, height));
        }
    }
    out.push("upgrades", upgrades);
    let branch = |height| format!("{:08x}", params.upgrades.branch_id(height));
    out.push(
        "consensus",
        Json::object().with("chaintip", branch(height)).with("nextblock", branch(height.saturating_add(1))),
    );
    Ok(out)
}

fn shown(upgrade: Upgrade) -> bool {
    !matches!(upgrade, Upgrade::Lwma | Upgrade::Equihash144)
}

fn upgrade(activation: &Activation, height: u32) -> Json {
    let (name, about) = match activation.upgrade {
        Upgrade::Lwma => ("LWMA", "Zelcash upgraded to LWMA difficulty algorithm"),
        Upgrade::Equihash144 => ("Equihash 144/5", "Zelcash PoW Change to Equihash 144/5"),
        Upgrade::Acadia => ("Acadia", "The Zelcash Acadia Update"),
        Upgrade::Kamiooka => {
            ("Kamiooka", "Zel Kamiooka Upgrade, PoW change to ZelHash and update for ZelNodes")
        }
        Upgrade::Kamata => ("Kamata", "Zel Kamata Upgrade, Deterministic ZelNodes and ZelFlux"),
        Upgrade::Flux => ("Flux", "Flux Upgrade, Multiple chains"),
        Upgrade::Halving => ("Halving", "Flux Halving"),
        Upgrade::P2shNodes => ("P2SHNodes", "Multisig Node Upgrade"),
        Upgrade::Pon => ("PON", "Proof of Node activation"),
    };
    let active = activation.height.is_some_and(|at| height >= at);
    Json::object()
        .with("name", name)
        .with("activationheight", activation.height.unwrap_or_default())
        .with("status", if active { "active" } else { "pending" })
        .with("info", about)
}

/// Every block of this network has a version of 4 or more, so what is counted is how many blocks there are.
fn softforks(network: Network, height: u32) -> Json {
    let (enforce, reject, window) = match network {
        Network::Main => (750, 950, 4000),
        Network::Test => (51, 75, 400),
        Network::Regtest => (750, 950, 1000),
    };
    let found = height.saturating_add(1).min(window);
    let progress = |required: u32| {
        Json::object()
            .with("status", found >= required)
            .with("found", found)
            .with("required", required)
            .with("window", window)
    };
    let fork = |name: &str, version: u32| {
        Json::object()
            .with("id", name)
            .with("version", version)
            .with("enforce", progress(enforce))
            .with("reject", progress(reject))
    };
    Json::List(vec![fork("bip34", 2), fork("bip66", 3), fork("bip65", 4)])
}

/// Part of the work of the chain that is done, by time: how much of the span to now lies before the tip.
fn progress(chain: &ChainState, now: i64) -> f64 {
    let index = chain.index();
    let entry = index.entry(index.tip());
    let done = entry.chain_transactions();
    let behind = now.saturating_sub(i64::from(entry.time())).max(0);
    let spacing = chain.params().pon.spacing.max(1);
    let left = u64::try_from(behind / spacing).unwrap_or_default();
    if left <= 2 {
        return 1.0;
    }
    let (done, left) = (u32::try_from(done).unwrap_or(u32::MAX), u32::try_from(left).unwrap_or(u32::MAX));
    f64::from(done) / (f64::from(done) + f64::from(left))
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
    let id = TxId(blocks::lenient_hash(args.text(0)?).0);
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
    let mut out = Json::object();
    out.push("bestblock", chain.tip().hash.to_string());
    out.push("confirmations", confirmations);
    out.push("value", Json::amount(coin.output.value));
    out.push("scriptPubKey", script::locking(&coin.output.script_pubkey, chain.params(), true));
    out.push("version", coin.version);
    out.push("coinbase", coin.coinbase);
    Ok(out)
}

fn txout_set(context: &Context, _: &Args) -> Result<Json> {
    let reader = {
        let mut chain = context.chain.write();
        chain.flush()?;
        chain.reader()
    };
    let stats = reader.coin_stats()?;
    Ok(Json::object()
        .with("height", stats.height)
        .with("bestblock", stats.best_block.to_string())
        .with("transactions", stats.transactions)
        .with("txouts", stats.outputs)
        .with("bytes_serialized", stats.serialized_size)
        .with("hash_serialized", Hash256(stats.hash.0).to_string())
        .with("total_amount", Json::amount(stats.total)))
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
