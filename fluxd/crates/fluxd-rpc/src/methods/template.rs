//! `getblocktemplate`: templates, waiting for a change, and proposals. Mirrors `getblocktemplate` of
//! `src/rpc/mining.cpp`.

use std::{sync::Arc, time::Duration};

use fluxd_chainstate::ChainState;
use fluxd_consensus::{check::CheckedBlock, subsidy};
use fluxd_fluxnode::rules::Tier;
use fluxd_miner::{Maker, Template, create};
use fluxd_primitives::{Block, BlockHash, OutPoint, Transaction};
use fluxd_script::standard::Standard;
use serde_json::Value;

use super::{Method, mining};
use crate::{
    context::{Context, KeptTemplate},
    error::{self, RpcError},
    json::Json,
    params::{Args, Result, wire},
    present::transaction::to_hex,
};

/// How long a request with a `longpollid` waits before new transactions are a reason to answer.
const WAIT: Duration = Duration::from_secs(60);
/// Between two looks at the pool after that.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// Between two looks at the tip.
const LOOK: Duration = Duration::from_millis(100);
/// A template is handed out again for so long, seconds, although the pool has changed.
const KEPT: i64 = 5;
/// A request waits no longer than this.
const PATIENCE: Duration = Duration::from_secs(600);
const MAX_SIGOPS: u32 = 20_000;
const MAX_SIZE: u32 = 2_000_000;

pub(super) const METHODS: fn() -> Vec<Method> = || {
    vec![Method {
        name: "getblocktemplate",
        group: "mining",
        arguments: "( \"jsonrequestobject\" )",
        about: "What the next block could hold.",
        least: 0,
        most: 1,
        run,
    }]
};

fn run(context: &Context, args: &Args) -> Result<Json> {
    let script = context.mining_script.clone().ok_or_else(|| {
        RpcError::new(error::METHOD_NOT_FOUND, "fluxd compiled without wallet and -mineraddress not set")
    })?;
    let request = match args.value(0) {
        _ if !args.has(0) => serde_json::Map::new(),
        Value::Object(request) => request.clone(),
        _ => return Err(RpcError::new(error::MISC, "JSON value is not an object as expected")),
    };
    match request.get("mode") {
        None | Some(Value::Null) => {}
        Some(Value::String(mode)) if mode == "template" => {}
        Some(Value::String(mode)) if mode == "proposal" => return proposal(context, request.get("data")),
        Some(_) => return Err(RpcError::new(error::PARAMETER, "Invalid mode")),
    }
    if context.network.peers().is_empty() {
        return Err(RpcError::new(error::NOT_CONNECTED, "Flux is not connected!"));
    }
    if let Some(id) = request.get("longpollid").filter(|id| !id.is_null()) {
        wait(context, id);
    }
    let chain = context.chain.read();
    let (pool, updates) = {
        let pool = context.mempool.lock();
        (mining::waiting(&pool), pool.updates())
    };
    let index = chain.index();
    let after_tip = index.entry(index.tip()).time().saturating_add(1);
    let maker = Maker {
        script,
        collateral: OutPoint::NULL,
        time: u32::try_from(context.now()).unwrap_or(u32::MAX).max(after_tip),
    };
    let (tip, now) = (chain.tip().hash, context.now());
    let mut kept = context.template.lock();
    let is_fresh = |kept: &KeptTemplate| {
        kept.tip == tip && (kept.updates == updates || now.saturating_sub(kept.made) <= KEPT)
    };
    let mut current = match kept.take().filter(is_fresh) {
        Some(kept) => kept,
        None => {
            let template = create(&chain, &pool, &context.block_limits, &maker, now)
                .map_err(|err| RpcError::new(error::INTERNAL, format!("Couldn't create new block: {err}")))?;
            KeptTemplate { tip, updates, made: now, template }
        }
    };
    current.template.block.header.time = maker.time;
    let out = present(&chain, &current.template, current.updates);
    *kept = Some(current);
    Ok(out)
}

/// Until the tip is another one, or a minute has passed and the pool has changed.
fn wait(context: &Context, id: &Value) {
    let text = id.as_str().unwrap_or_default();
    let (watched, seen) = match (text.get(..64), text.get(64..)) {
        (Some(hash), Some(count)) => {
            (hash.parse::<BlockHash>().ok(), count.parse::<u64>().unwrap_or_default())
        }
        _ => (None, context.mempool.lock().updates()),
    };
    let tip = || context.chain.read().tip().hash;
    let watched = watched.unwrap_or_else(tip);
    let start = context.clock.now();
    let mut next_look = WAIT;
    while tip() == watched {
        let waited = context.clock.now().since(start);
        if waited >= PATIENCE {
            return;
        }
        if waited >= next_look {
            if context.mempool.lock().updates() != seen {
                return;
            }
            next_look = next_look.saturating_add(LOOK_AGAIN);
        }
        std::thread::sleep(LOOK);
    }
}

fn proposal(context: &Context, data: Option<&Value>) -> Result<Json> {
    let text = data
        .and_then(Value::as_str)
        .ok_or_else(|| RpcError::new(error::TYPE, "Missing data String key for proposal"))?;
    let failed = || RpcError::new(error::DESERIALIZATION, "Block decode failed");
    let block: Block = wire(text).ok_or_else(failed)?;
    let chain = context.chain.read();
    let index = chain.index();
    if let Some(entry) = index.find(&block.header.hash()).map(|id| index.entry(id)) {
        return Ok(Json::from(match (entry.is_failed(), entry.was_connected()) {
            (true, _) => "duplicate-invalid",
            (false, true) => "duplicate",
            (false, false) => "duplicate-inconclusive",
        }));
    }
    if block.header.prev != chain.tip().hash {
        return Ok(Json::from("inconclusive-not-best-prevblk"));
    }
    let verdict = match CheckedBlock::new(Arc::new(block)) {
        Ok(block) => chain.test_block(&Arc::new(block), false, context.now())?,
        Err(err) => Err(err.into()),
    };
    Ok(match verdict {
        Ok(()) => Json::Null,
        Err(invalid) => {
            let reason = invalid.reason();
            Json::from(if reason.is_empty() { "rejected".to_owned() } else { reason })
        }
    })
}

fn present(chain: &ChainState, template: &Template, updates: u64) -> Json {
    let header = &template.block.header;
    let ids: Vec<_> = template.block.transactions.iter().map(Transaction::txid).collect();
    let mut entries = Vec::new();
    for (at, tx) in template.block.transactions.iter().enumerate() {
        let depends: Vec<Json> = tx
            .inputs
            .iter()
            .filter_map(|input| ids.iter().take(at).position(|id| *id == input.prevout.txid))
            .map(Json::from)
            .collect();
        let id = ids.get(at).map(ToString::to_string).unwrap_or_default();
        let mut entry = Json::object();
        entry.push("data", to_hex(tx)).push("hash", id).push("depends", depends);
        entry.push("fee", template.fees.get(at).map_or(0, |fee| fee.zat()));
        entry.push("sigops", template.sigops.get(at).copied().unwrap_or_default());
        entries.push(entry);
    }
    let coinbase = if entries.is_empty() { Json::object() } else { entries.remove(0).with("required", true) };
    let texts = |list: &[&str]| list.iter().map(|text| Json::from(*text)).collect::<Vec<_>>();
    let tip = chain.tip().hash;
    let mut out = Json::object();
    out.push("capabilities", texts(&["proposal"]));
    out.push("version", header.version);
    out.push("previousblockhash", header.prev.to_string());
    out.push("finalsaplingroothash", header.sapling_root.to_string());
    out.push("transactions", entries);
    out.push("coinbasetxn", coinbase);
    out.push("longpollid", format!("{tip}{updates}"));
    out.push("target", format!("{:064x}", header.bits.value()));
    out.push("mintime", chain.index().median_time(chain.index().tip()).saturating_add(1));
    out.push("mutable", texts(&["time", "transactions", "prevblock"]));
    out.push("noncerange", "00000000ffffffff");
    out.push("sigoplimit", MAX_SIGOPS).push("sizelimit", MAX_SIZE);
    out.push("curtime", header.time);
    out.push("bits", format!("{:08x}", header.bits.0));
    out.push("height", template.height);
    let reward = template.block.transactions.first().and_then(|tx| tx.outputs.first());
    if let Some(reward) = reward {
        out.push("miner_reward", reward.value.zat());
    }
    for payment in &template.payments {
        let (old, new) = match payment.tier {
            Tier::Cumulus => ("basic", "cumulus"),
            Tier::Nimbus => ("super", "nimbus"),
            Tier::Stratus => ("bamf", "stratus"),
        };
        let address = Standard::of(payment.script.as_bytes())
            .and_then(|standard| standard.address())
            .map_or_else(String::new, |address| address.encode(&chain.params().addresses));
        for prefix in [format!("{new}_fluxnode"), format!("{old}_zelnode"), format!("{new}_zelnode")] {
            out.push(format!("{prefix}_address"), address.as_str());
            out.push(format!("{prefix}_payout"), payment.amount.zat());
        }
    }
    for funding in subsidy::fundings(chain.params(), template.height) {
        out.push("flux_creation_address", funding.address);
        out.push("flux_creation_amount", funding.amount.zat());
    }
    out
}
