//! Methods that make blocks, and figures about making them. Mirrors `src/rpc/mining.cpp`.

use std::sync::Arc;

use fluxd_chainstate::{Accepted, ChainState};
use fluxd_consensus::{check::CheckedBlock, params::Network, subsidy};
use fluxd_mempool::Mempool;
use fluxd_miner::{PoolTx, mine};
use fluxd_primitives::{Block, Script, U256};

use super::Method;
use crate::{
    context::{Context, Submitted},
    error::{self, RpcError},
    json::Json,
    params::{Args, Result, wire},
    present::block::network_difficulty,
};

/// `OP_1`: whoever comes may spend.
const ANYONE: u8 = 0x51;

pub(super) const METHODS: fn() -> Vec<Method> = || {
    let method = |name, arguments, about, (least, most), run| Method {
        name,
        group: "mining",
        arguments,
        about,
        least,
        most,
        run,
    };
    vec![
        method("generate", "numblocks", "Makes blocks at once, on regtest only.", (1, 1), generate),
        method("submitblock", "\"hexdata\" ( parameters )", "Takes a block to the chain.", (1, 2), submit),
        method("getmininginfo", "", "Figures about mining.", (0, 0), info),
        method("getnetworksolps", "( blocks height )", "Solutions a second of the network.", (0, 2), rate),
        method("getnetworkhashps", "( blocks height )", "As getnetworksolps.", (0, 2), rate),
        method("getlocalsolps", "", "Solutions a second of this node.", (0, 0), local_rate),
        method("getblocksubsidy", "( height )", "What a block may create.", (0, 1), block_subsidy),
    ]
};

fn generate(context: &Context, args: &Args) -> Result<Json> {
    if context.chain.read().params().network != Network::Regtest {
        return Err(RpcError::new(error::METHOD_NOT_FOUND, "This method can only be used on regtest"));
    }
    let count = args.int(0)?;
    let mut hashes = Vec::new();
    let script = context.mining_script.clone().unwrap_or_else(|| Script(vec![ANYONE]));
    for _ in 0..count {
        let block = {
            let chain = context.chain.read();
            let pool = waiting(&context.mempool.lock());
            mine(&chain, &pool, &context.block_limits, &script, context.now())
                .map_err(|err| RpcError::new(error::INTERNAL, format!("Couldn't create new block: {err}")))?
        };
        let hash = block.hash();
        match context.network.submit(block) {
            Ok(Submitted { rejected: None, .. }) => hashes.push(Json::from(hash.to_string())),
            _ => return Err(RpcError::new(error::INTERNAL, "ProcessNewBlock, block not accepted")),
        }
    }
    Ok(Json::List(hashes))
}

/// What waits for a block, as the miner takes it.
pub(super) fn waiting(pool: &Mempool) -> Vec<PoolTx> {
    pool.iter()
        .map(|entry| {
            let (priority_delta, fee_delta) = pool.delta(&entry.txid);
            PoolTx {
                tx: Arc::clone(&entry.tx),
                txid: entry.txid,
                size: entry.size,
                fee_delta,
                priority_delta,
            }
        })
        .collect()
}

fn submit(context: &Context, args: &Args) -> Result<Json> {
    let failed = || RpcError::new(error::DESERIALIZATION, "Block decode failed");
    let block: Block = wire(args.text(0)?).ok_or_else(failed)?;
    let hash = block.header.hash();
    let known = {
        let chain = context.chain.read();
        let index = chain.index();
        match index.find(&hash).map(|id| index.entry(id)) {
            Some(entry) if entry.was_connected() && !entry.is_failed() => return Ok(Json::from("duplicate")),
            Some(entry) if entry.is_failed() => return Ok(Json::from("duplicate-invalid")),
            entry => entry.is_some(),
        }
    };
    let reason = |text: String| Json::from(if text.is_empty() { "rejected".to_owned() } else { text });
    let block = match CheckedBlock::new(Arc::new(block)) {
        Ok(block) => Arc::new(block),
        Err(err) => return Ok(reason(fluxd_chainstate::Invalid::from(err).reason())),
    };
    let submitted = match context.network.submit(block) {
        Ok(submitted) => submitted,
        Err(fluxd_chainstate::AcceptError::Invalid(invalid)) => return Ok(reason(invalid.reason())),
        Err(fluxd_chainstate::AcceptError::Local(err)) => return Err(err.into()),
    };
    if let Some(invalid) = submitted.rejected {
        return Ok(reason(invalid.reason()));
    }
    let chain = context.chain.read();
    let connected = chain.index().find(&hash).is_some_and(|id| chain.index().is_active(id));
    Ok(match (connected, submitted.accepted) {
        (true, _) if known => Json::from("duplicate"),
        (true, _) => Json::Null,
        (false, Accepted::Known(_)) => Json::from("duplicate-inconclusive"),
        (false, _) => Json::from("inconclusive"),
    })
}

/// Work a second over the last `lookup` blocks up to `height` (`GetNetworkHashPS`).
fn network_rate(chain: &ChainState, lookup: i64, height: i64) -> i64 {
    const AVERAGING_WINDOW: u32 = 17;
    let index = chain.index();
    let at =
        u32::try_from(height).ok().and_then(|height| index.at_height(height)).unwrap_or_else(|| index.tip());
    let last = index.entry(at);
    if last.height() == 0 {
        return 0;
    }
    let lookup =
        u32::try_from(lookup).ok().filter(|count| *count > 0).unwrap_or(AVERAGING_WINDOW).min(last.height());
    let (mut least, mut most, mut walk) = (last.time(), last.time(), at);
    for _ in 0..lookup {
        let Some(prev) = index.entry(walk).prev() else { break };
        walk = prev;
        let time = index.entry(walk).time();
        (least, most) = (least.min(time), most.max(time));
    }
    if least == most {
        return 0;
    }
    let work = last.work().wrapping_sub(index.entry(walk).work());
    to_whole(work, most.saturating_sub(least))
}

/// Work divided by seconds through a double, as the reference does.
fn to_whole(work: U256, seconds: u32) -> i64 {
    let quotient = f64::from(work) / f64::from(seconds);
    // As many digits as a double holds are right; what is beyond an i64 never comes from real work.
    format!("{:.0}", quotient.trunc()).parse().unwrap_or(i64::MAX)
}

fn rate(context: &Context, args: &Args) -> Result<Json> {
    let blocks = if args.has(0) { args.int(0)? } else { 120 };
    let height = if args.has(1) { args.int(1)? } else { -1 };
    Ok(Json::from(network_rate(&context.chain.read(), blocks.into(), height.into())))
}

fn local_rate(_: &Context, _: &Args) -> Result<Json> {
    Ok(Json::from(0_u32)) // this node does not mine by work
}

fn info(context: &Context, _: &Args) -> Result<Json> {
    let chain = context.chain.read();
    let rate = network_rate(&chain, 120, -1);
    let network = chain.params().network;
    let mut out = Json::object();
    out.push("blocks", chain.index().height());
    out.push("currentblocksize", 0_u32);
    out.push("currentblocktx", 0_u32);
    out.push("difficulty", Json::real(network_difficulty(&chain)));
    out.push("errors", context.warnings().status);
    out.push("genproclimit", -1_i32);
    out.push("localsolps", 0_u32);
    out.push("networksolps", rate).push("networkhashps", rate);
    out.push("pooledtx", context.mempool.lock().len());
    out.push("testnet", network == Network::Test);
    out.push("chain", network.name());
    out.push("generate", false);
    out.push("ponminter", false);
    Ok(out)
}

fn block_subsidy(context: &Context, args: &Args) -> Result<Json> {
    let chain = context.chain.read();
    let height = if args.has(0) { i64::from(args.int(0)?) } else { i64::from(chain.index().height()) };
    let height =
        u32::try_from(height).map_err(|_| RpcError::new(error::PARAMETER, "Block height out of range"))?;
    Ok(Json::object().with("miner", Json::amount(subsidy::block_subsidy(chain.params(), height))))
}
