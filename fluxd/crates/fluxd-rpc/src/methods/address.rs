//! The insight methods over the address, spent and timestamp indexes. Mirrors `src/rpc/misc.cpp`.

use std::collections::BTreeSet;

use fluxd_chainstate::{ChainState, IndexKind};
use fluxd_mempool::PoolDelta;
use fluxd_primitives::{Address, Amount, OutPoint, TxId};
use fluxd_storage::{AddressDelta, AddressKey};
use serde_json::Value;
use shared_vendor::hex;

use super::Method;
use crate::{
    context::Context,
    error::{self, RpcError},
    json::Json,
    params::{Args, Result, hash, whole},
    present::{
        chain as present,
        transaction::{address_of, spending},
    },
};

pub(super) const METHODS: fn() -> Vec<Method> = || {
    let method = |name, arguments, about, run| Method {
        name,
        group: "addressindex",
        arguments,
        about,
        least: 1,
        most: 1,
        run,
    };
    let addresses = "{\"addresses\": [\"address\", ...], (\"start\"), (\"end\"), (\"chainInfo\")}";
    vec![
        method("getaddressutxos", addresses, "Unspent outputs of addresses.", utxos),
        method("getaddressdeltas", addresses, "Changes of addresses.", deltas),
        method("getaddressbalance", addresses, "Balances of addresses.", balance),
        method("getaddresstxids", addresses, "Transactions of addresses.", txids),
        method(
            "getaddressmempool",
            "{\"addresses\": [\"address\", ...]}",
            "Changes that wait in the pool.",
            waiting,
        ),
        method("getspentinfo", "{\"txid\": \"txid\", \"index\": n}", "What spent an output.", spent),
    ]
};

/// Refuses where the indexes are not kept.
pub(super) fn require_insight(chain: &ChainState, method: &str) -> Result<()> {
    let reader = chain.reader();
    if [IndexKind::Addresses, IndexKind::Spent, IndexKind::Timestamps].iter().all(|kind| reader.has(*kind)) {
        return Ok(());
    }
    let text = format!(
        "Error: {method} is disabled. Run './flux-cli help {method}' for instructions on how to enable this feature."
    );
    Err(RpcError::new(error::MISC, text))
}

fn refused(text: &str) -> RpcError {
    RpcError::new(error::ADDRESS_OR_KEY, text)
}

fn keys(chain: &ChainState, args: &Args) -> Result<Vec<AddressKey>> {
    let texts: Vec<&Value> = match args.value(0) {
        text @ Value::String(_) => vec![text],
        Value::Object(members) => match members.get("addresses") {
            Some(Value::Array(list)) => list.iter().collect(),
            _ => return Err(refused("Addresses is expected to be an array")),
        },
        _ => return Err(refused("Invalid address")),
    };
    texts
        .into_iter()
        .map(|text| {
            let text = text
                .as_str()
                .ok_or_else(|| RpcError::new(error::MISC, "JSON value is not a string as expected"))?;
            match Address::decode(text, &chain.params().addresses) {
                Some(Address::PubkeyHash(hash)) => Ok(AddressKey::PubkeyHash(hash)),
                Some(Address::ScriptHash(hash)) => Ok(AddressKey::ScriptHash(hash)),
                None => Err(refused("Invalid address")),
            }
        })
        .collect()
}

/// `start` and `end` of the argument; both zero where not both were given.
fn heights(chain: &ChainState, args: &Args) -> Result<(u32, u32)> {
    let field = |name: &str| args.value(0).get(name).filter(|value| !value.is_null());
    let (Some(start), Some(end)) = (field("start"), field("end")) else { return Ok((0, 0)) };
    let number = |value: &Value| {
        i32::try_from(whole(value)?).map_err(|_| RpcError::new(error::MISC, "JSON integer out of range"))
    };
    let (start, end) = (number(start)?, number(end)?);
    if start <= 0 || end <= 0 {
        return Err(refused("Start and end are expected to be greater than zero"));
    }
    if end < start {
        return Err(refused("End value is expected to be greater than start"));
    }
    let (start, end) = (start.unsigned_abs(), end.unsigned_abs());
    if end > chain.index().height() {
        return Err(refused("Start or end is outside chain range"));
    }
    Ok((start, end))
}

fn wants_chain(args: &Args) -> Result<bool> {
    match args.value(0).get("chainInfo") {
        None | Some(Value::Null) => Ok(false),
        Some(value) => value
            .as_bool()
            .ok_or_else(|| RpcError::new(error::MISC, "JSON value is not a boolean as expected")),
    }
}

fn changes(
    chain: &ChainState,
    keys: &[AddressKey],
    (start, end): (u32, u32),
) -> Result<Vec<(AddressKey, AddressDelta)>> {
    let reader = chain.reader();
    let range = if start > 0 && end > 0 { start..=end } else { 0..=u32::MAX };
    let mut all = Vec::new();
    for key in keys {
        all.extend(reader.address_deltas(key, range.clone())?.into_iter().map(|delta| (*key, delta)));
    }
    Ok(all)
}

fn utxos(context: &Context, args: &Args) -> Result<Json> {
    let chain = context.chain.read();
    require_insight(&chain, "getaddressutxos")?;
    let with_chain = wants_chain(args)?;
    let reader = chain.reader();
    let format = &chain.params().addresses;
    let mut found = Vec::new();
    for key in keys(&chain, args)? {
        for (utxo, height) in reader.address_utxos(&key)? {
            found.push((height, key, utxo));
        }
    }
    found.sort_by_key(|(height, ..)| *height);
    let list: Vec<Json> = found
        .into_iter()
        .map(|(height, key, utxo)| {
            let address = address_of(&key);
            Json::object()
                .with("address", address.encode(format))
                .with("txid", utxo.outpoint.txid.to_string())
                .with("outputIndex", utxo.outpoint.index)
                .with("script", hex::encode(utxo.script.as_bytes()))
                .with("satoshis", utxo.value.zat())
                .with("height", height)
        })
        .collect();
    if !with_chain {
        return Ok(Json::List(list));
    }
    Ok(Json::object()
        .with("utxos", list)
        .with("hash", chain.tip().hash.to_string())
        .with("height", chain.index().height()))
}

fn deltas(context: &Context, args: &Args) -> Result<Json> {
    let chain = context.chain.read();
    require_insight(&chain, "getaddressdeltas")?;
    let (start, end) = heights(&chain, args)?;
    let found = changes(&chain, &keys(&chain, args)?, (start, end))?;
    let with_chain = wants_chain(args)?;
    let format = &chain.params().addresses;
    let list: Vec<Json> = found
        .into_iter()
        .map(|(key, delta)| {
            Json::object()
                .with("address", address_of(&key).encode(format))
                .with("blockindex", delta.number)
                .with("height", delta.height)
                .with("index", delta.index)
                .with("satoshis", delta.value.zat())
                .with("txid", delta.txid.to_string())
        })
        .collect();
    if !(with_chain && start > 0 && end > 0) {
        return Ok(Json::List(list));
    }
    let place = |height: u32| -> Result<Json> {
        let index = chain.index();
        let id = index.at_height(height).ok_or_else(|| refused("Start or end is outside chain range"))?;
        Ok(Json::object().with("hash", index.entry(id).hash().to_string()).with("height", height))
    };
    Ok(Json::object().with("deltas", list).with("start", place(start)?).with("end", place(end)?))
}

fn balance(context: &Context, args: &Args) -> Result<Json> {
    let chain = context.chain.read();
    require_insight(&chain, "getaddressbalance")?;
    let all = changes(&chain, &keys(&chain, args)?, (0, 0))?;
    Ok(present::balance(all.into_iter().map(|(_, delta)| delta.value)))
}

fn txids(context: &Context, args: &Args) -> Result<Json> {
    let chain = context.chain.read();
    require_insight(&chain, "getaddresstxids")?;
    let range = heights(&chain, args)?;
    let found: BTreeSet<(u32, String)> = changes(&chain, &keys(&chain, args)?, range)?
        .into_iter()
        .map(|(_, delta)| (delta.height, delta.txid.to_string()))
        .collect();
    Ok(Json::List(found.into_iter().map(|(_, txid)| Json::from(txid)).collect()))
}

fn waiting(context: &Context, args: &Args) -> Result<Json> {
    let chain = context.chain.read();
    require_insight(&chain, "getaddressmempool")?;
    let pool = context.mempool.lock();
    let mut found = Vec::new();
    for key in keys(&chain, args)? {
        found.extend(pool.address_deltas(&key).into_iter().map(|delta| (key, delta)));
    }
    found.sort_by_key(|(_, delta)| delta.time);
    let format = &chain.params().addresses;
    let row = |(key, delta): (AddressKey, PoolDelta)| {
        let mut one = Json::object();
        one.push("address", address_of(&key).encode(format)).push("txid", delta.txid.to_string());
        one.push("index", delta.index).push("satoshis", delta.value.zat()).push("timestamp", delta.time);
        if let Some(prevout) = delta.prevout.filter(|_| delta.value < Amount::ZERO) {
            one.push("prevtxid", prevout.txid.to_string()).push("prevout", prevout.index);
        }
        one
    };
    Ok(Json::List(found.into_iter().map(row).collect()))
}

fn spent(context: &Context, args: &Args) -> Result<Json> {
    let chain = context.chain.read();
    require_insight(&chain, "getspentinfo")?;
    let Value::Object(members) = args.value(0) else {
        let help = "getspentinfo {\"txid\": \"txid\", \"index\": n}\n\nWhat spent an output.\n";
        return Err(RpcError::new(error::MISC, help));
    };
    let txid = members.get("txid").filter(|value| value.is_string());
    let txid = txid.ok_or_else(|| refused("Invalid txid, must be a string"))?;
    let index = members.get("index").filter(|value| value.is_number());
    let index = whole(index.ok_or_else(|| refused("Invalid index, must be an integer"))?)?;
    let txid = TxId(hash(txid, "txid")?.0);
    let row = match u32::try_from(index) {
        Ok(index) => spending(&chain.reader(), &context.mempool.lock(), &OutPoint { txid, index })?,
        Err(_) => None,
    };
    let row = row.ok_or_else(|| refused("Unable to get spent info"))?;
    Ok(present::spent(&row.txid, row.input, row.height))
}
