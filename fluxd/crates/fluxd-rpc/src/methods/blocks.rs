//! Methods about single blocks. Mirrors `src/rpc/blockchain.cpp`.

use fluxd_chainstate::{BlockId, ChainError, ChainState};
use fluxd_primitives::{BlockHash, Codec};
use serde_json::Value;
use shared_vendor::hex;

use super::Method;
use crate::{
    context::Context,
    error::{self, RpcError},
    json::Json,
    params::{Args, Result, lenient_hash},
    present::{
        block, script,
        transaction::{address_of, spending},
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
        method("getblockhash", "index", "Hash of the block at a height.", (1, 1), hash),
        method("getblock", "\"hash|height\" ( verbosity )", "A block.", (1, 2), get),
        method("getblockheader", "\"hash\" ( verbose )", "A header.", (1, 2), header),
        method("getblockdeltas", "\"blockhash\"", "What a block changed at addresses.", (1, 1), deltas),
        method("getblockhashes", "high low ( options )", "Hashes of blocks in a time.", (2, 3), hashes),
    ]
};

fn hash(context: &Context, args: &Args) -> Result<Json> {
    let height = args.int(0)?;
    let chain = context.chain.read();
    let id = u32::try_from(height).ok().and_then(|height| chain.index().at_height(height));
    let id = id.ok_or_else(|| RpcError::new(error::PARAMETER, "Block height out of range"))?;
    Ok(Json::from(chain.index().entry(id).hash().to_string()))
}

/// A block by its hash.
pub(super) fn find(chain: &ChainState, text: &str) -> Result<BlockId> {
    let id = chain.index().find(&BlockHash(lenient_hash(text).0));
    id.ok_or_else(|| RpcError::new(error::ADDRESS_OR_KEY, "Block not found"))
}

fn get(context: &Context, args: &Args) -> Result<Json> {
    let text = args.text(0)?;
    let bad = |message: &str| RpcError::new(error::PARAMETER, message);
    let chain = context.chain.read();
    let mut by_height = None;
    if text.len() < 64 {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(bad("Invalid block height parameter"));
        }
        let height = text.parse::<i32>().map_err(|_| bad("Invalid block height parameter"))?;
        let id = u32::try_from(height).ok().and_then(|height| chain.index().at_height(height));
        by_height = Some(id.ok_or_else(|| bad("Block height out of range"))?);
    }
    let verbosity = match args.value(1) {
        _ if !args.has(1) => 1,
        number if number.is_number() => args.int(1)?,
        _ => i32::from(args.flag(1)?),
    };
    if !(0..=2).contains(&verbosity) {
        return Err(bad("Verbosity must be in range from 0 to 2"));
    }
    let id = match by_height {
        Some(id) => id,
        None => find(&chain, text)?,
    };
    let body = chain.body(id).map_err(|err| match err {
        ChainError::NoBody(_) if chain.index().entry(id).transactions() > 0 => {
            RpcError::new(error::INTERNAL, "Block not available (pruned data)")
        }
        _ => RpcError::new(error::INTERNAL, "Can't read block from disk"),
    })?;
    if verbosity == 0 {
        return Ok(Json::from(hex::encode(body.block().to_bytes())));
    }
    block::block(&chain, &context.mempool, id, body.block(), verbosity == 2)
}

fn header(context: &Context, args: &Args) -> Result<Json> {
    let text = args.text(0)?;
    let verbose = if args.has(1) { args.flag(1)? } else { true };
    let chain = context.chain.read();
    let id = find(&chain, text)?;
    if verbose {
        return block::header(&chain, id);
    }
    Ok(Json::from(hex::encode(chain.row(id)?.header.to_bytes())))
}

fn deltas(context: &Context, args: &Args) -> Result<Json> {
    let text = args.text(0)?;
    let chain = context.chain.read();
    super::address::require_insight(&chain, "getblockdeltas")?;
    let id = find(&chain, text)?;
    if !chain.index().is_active(id) {
        return Err(RpcError::new(error::ADDRESS_OR_KEY, "Block is an orphan"));
    }
    let (body, row, entry, reader) =
        (chain.body(id)?, chain.row(id)?, chain.index().entry(id), chain.reader());
    let format = &chain.params().addresses;
    let mut list = Vec::new();
    for (place, (txid, tx)) in body.transactions().enumerate() {
        let mut inputs = Vec::new();
        for (index, input) in tx.inputs.iter().enumerate().filter(|_| !tx.is_coinbase()) {
            let spent = spending(&reader, &context.mempool.lock(), &input.prevout)?;
            let spent =
                spent.ok_or_else(|| RpcError::new(error::INTERNAL, "Spent information not available"))?;
            let mut delta = Json::object();
            if let Some(address) = &spent.address {
                delta.push("address", address_of(address).encode(format));
            }
            delta.push("satoshis", spent.value.zat().saturating_neg()).push("index", index);
            delta.push("prevtxid", input.prevout.txid.to_string()).push("prevout", input.prevout.index);
            inputs.push(delta);
        }
        let mut outputs = Vec::new();
        for (index, output) in tx.outputs.iter().enumerate() {
            let mut delta = Json::object();
            let (kind, paid) = script::destinations(output.script_pubkey.as_bytes());
            let indexed = matches!(kind, "pubkeyhash" | "scripthash");
            let address =
                paid.filter(|_| indexed).and_then(|(_, list)| list.first().map(|one| one.encode(format)));
            // The reference adds the member twice where there is an address, and empty where there is none.
            if let Some(address) = &address {
                delta.push("address", address.as_str());
            }
            delta.push("address", address.unwrap_or_default());
            delta.push("satoshis", output.value.zat()).push("index", index);
            outputs.push(delta);
        }
        list.push(
            Json::object()
                .with("txid", txid.to_string())
                .with("index", place)
                .with("inputs", inputs)
                .with("outputs", outputs),
        );
    }
    let header = &row.header;
    let mut out = Json::object();
    out.push("hash", entry.hash().to_string());
    out.push("confirmations", block::confirmations(&chain, id));
    out.push("size", body.size());
    out.push("height", entry.height());
    out.push("version", header.version);
    out.push("merkleroot", header.merkle_root.to_string());
    out.push("deltas", list);
    out.push("time", header.time);
    out.push("mediantime", chain.index().median_time(id));
    let nonce = match &header.proof {
        fluxd_primitives::block::Proof::Work { nonce, .. } => nonce.to_string(),
        fluxd_primitives::block::Proof::Node { .. } => BlockHash::ZERO.to_string(),
    };
    out.push("nonce", nonce);
    out.push("bits", format!("{:08x}", header.bits.0));
    out.push("difficulty", Json::real(block::difficulty(header.bits, block::limit(chain.params()))));
    out.push("chainwork", block::work(entry.work()));
    if let Some(prev) = entry.prev() {
        out.push("previousblockhash", chain.index().entry(prev).hash().to_string());
    }
    if let Some(next) = chain.index().next_active(id) {
        out.push("nextblockhash", chain.index().entry(next).hash().to_string());
    }
    Ok(out)
}

fn hashes(context: &Context, args: &Args) -> Result<Json> {
    let chain = context.chain.read();
    super::address::require_insight(&chain, "getblockhashes")?;
    // Negative times are read as late ones, as in the reference.
    let (high, low) = (args.int(0)?.cast_unsigned(), args.int(1)?.cast_unsigned());
    let options = match args.value(2) {
        Value::Object(options) => Some(options),
        _ if !args.has(2) => None,
        _ => return Err(RpcError::new(error::MISC, "JSON value is not an object as expected")),
    };
    let option = |name: &str| match options.and_then(|options| options.get(name)) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(value)) => Ok(*value),
        Some(_) => Err(RpcError::new(error::MISC, "JSON value is not a boolean as expected")),
    };
    let (only_active, with_times) = (option("noOrphans")?, option("logicalTimes")?);
    let found = chain.reader().blocks_by_time(low, high)?;
    let active = |hash: &BlockHash| chain.index().find(hash).is_some_and(|id| chain.index().is_active(id));
    let list: Vec<Json> = found
        .into_iter()
        .filter(|(_, hash)| !only_active || active(hash))
        .map(|(time, hash)| {
            if with_times {
                Json::object().with("blockhash", hash.to_string()).with("logicalts", time)
            } else {
                Json::from(hash.to_string())
            }
        })
        .collect();
    Ok(Json::List(list))
}
