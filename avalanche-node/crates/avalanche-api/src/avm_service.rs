//! `avm.*`: the X-chain. Mirrors `vms/avm/service.go`.

use std::collections::{BTreeMap, BTreeSet};

use avalanche_codec::marshal;
use avalanche_ids::Id;
use avm::{
    block::Block,
    fx::{Output, Utxo},
    state::State,
    txs::{NamedTx, UnsignedTx, parse},
};
use serde_json::{Value, json};
use shared_vendor::rpc::{Error, Methods, ParamDoc};

use crate::{
    Context, Row, add_all,
    args::{Args, doc},
    blocks, failure,
    format::{number, unpacked},
    objects::Objects,
    utxos::{self, MAX_PAGE, stored},
};

const NONE: &[ParamDoc] = &[];
const TX: &[ParamDoc] = &[doc("tx", "signed transaction"), doc("encoding", "hex or hexnc")];
const TX_ID: &[ParamDoc] = &[
    doc("txID", "transaction"),
    doc("encoding", "hex, hexnc or json"),
    doc("includeReason", "of old clients, without effect"),
];
const ASSET: &[ParamDoc] = &[doc("assetID", "asset: its id, or AVAX")];
const BALANCE: &[ParamDoc] = &[
    doc("address", "owner"),
    doc("assetID", "asset: its id, or AVAX"),
    doc("includePartial", "with what is locked or has several owners"),
];
const BALANCES: &[ParamDoc] =
    &[doc("address", "owner"), doc("includePartial", "with what is locked or has several owners")];

pub(crate) fn add(methods: &mut Methods<Context>) {
    let table: [Row; 11] = [
        ("avm.getBlock", "a block", blocks::BY_ID, block),
        ("avm.getBlockByHeight", "the accepted block at a height", blocks::BY_HEIGHT, block_by_height),
        ("avm.getHeight", "height of the last accepted block", NONE, height),
        ("avm.issueTx", "hands in a transaction", TX, issue),
        ("avm.getTxStatus", "what became of a transaction", TX_ID, tx_status),
        ("avm.getTx", "a transaction", TX_ID, tx),
        ("avm.getUTXOs", "UTXOs of addresses", utxos::DOCS, page),
        ("avm.getAssetDescription", "an asset", ASSET, asset),
        ("avm.getBalance", "what an address owns of an asset", BALANCE, balance),
        ("avm.getAllBalances", "what an address owns", BALANCES, all_balances),
        ("avm.getTxFee", "fees", NONE, tx_fee),
    ];
    add_all(methods, table);
}

fn err(err: impl std::fmt::Display) -> Error {
    failure(err.to_string())
}

fn block(context: &Context, args: &Args<'_>) -> Result<Value, Error> {
    let find = |id: &Id| context.avm.read(|state| state.block(id));
    blocks::by_id(args, find, |bytes| block_object(context, bytes))
}

fn block_by_height(context: &Context, args: &Args<'_>) -> Result<Value, Error> {
    let find = |height| {
        let found = context.avm.read(|state| {
            let id = state.block_id_at(height)?;
            id.map(|id| state.block(&id)).transpose()
        });
        found.map(Option::flatten)
    };
    blocks::by_height(args, find, |bytes| block_object(context, bytes))
}

fn block_object(context: &Context, bytes: &[u8]) -> Result<Value, Error> {
    let Block::Standard(block) = Block::parse(bytes).map_err(err)?;
    Ok(Objects::new(context, "X").avm_block(Id::hash_of(bytes), &block))
}

fn height(context: &Context, _: &Args<'_>) -> Result<Value, Error> {
    Ok(json!({ "height": number(context.avm.read(State::height)) }))
}

fn issue(context: &Context, args: &Args<'_>) -> Result<Value, Error> {
    let bytes = args.encoding()?.decode(args.text("tx")?)?;
    let tx = parse(&bytes).map_err(|err| failure(unpacked(&bytes, &err)))?;
    let id = context
        .avm
        .issue(NamedTx::new(tx), context.clock.wall())
        .map_err(|err| failure(shared_vendor::log::Chain(&err).to_string()))?;
    Ok(json!({ "txID": id.to_string() }))
}

fn named(args: &Args<'_>) -> Result<Id, Error> {
    match args.id("txID")? {
        Id::EMPTY => Err(failure("nil transaction ID")),
        id => Ok(id),
    }
}

fn tx_status(context: &Context, args: &Args<'_>) -> Result<Value, Error> {
    let id = named(args)?;
    let known = context.avm.read(|state| state.tx(&id)).map_err(err)?.is_some();
    Ok(json!({ "status": if known { "Accepted" } else { "Unknown" } }))
}

fn tx(context: &Context, args: &Args<'_>) -> Result<Value, Error> {
    let (id, encoding) = (named(args)?, args.encoding()?);
    let tx = context.avm.read(|state| state.tx(&id)).map_err(err)?.ok_or_else(|| failure("not found"))?;
    encoding.reply("tx", &tx.bytes, || Ok(Objects::new(context, "X").avm_tx(&tx.tx)))
}

fn page(context: &Context, args: &Args<'_>) -> Result<Value, Error> {
    utxos::page(
        context,
        ("X", context.avm.config().chain_id),
        args,
        |owners, start, limit| {
            let page = context.avm.read(|state| state.utxos_of(owners, start, limit)).map_err(stored)?;
            Ok((page.utxos.iter().map(marshal).collect(), page.end))
        },
        |peer, owners, start, limit| {
            context.avm.memory().of_owners(peer, owners, start, limit).map_err(stored)
        },
    )
}

fn asset_id(context: &Context, args: &Args<'_>) -> Result<Id, Error> {
    match args.text("assetID")? {
        "AVAX" => Ok(context.avm.config().fee_asset_id),
        text => text.parse().map_err(|_| failure(format!("asset '{text}' not found"))),
    }
}

fn asset(context: &Context, args: &Args<'_>) -> Result<Value, Error> {
    let id = asset_id(context, args)?;
    let tx = context.avm.read(|state| state.tx(&id)).map_err(err)?.ok_or_else(|| failure("not found"))?;
    let UnsignedTx::CreateAsset(asset) = &tx.tx.unsigned else {
        return Err(failure("transaction doesn't create an asset"));
    };
    Ok(json!({
        "assetID": id.to_string(),
        "name": String::from_utf8_lossy(asset.name.as_bytes()),
        "symbol": String::from_utf8_lossy(asset.symbol.as_bytes()),
        "denomination": number(u64::from(asset.denomination)),
    }))
}

/// Amounts that an address can spend alone and now, or all of which it owns a part.
fn amounts(context: &Context, args: &Args<'_>) -> Result<Vec<(Utxo, u64)>, Error> {
    let text = args.text("address")?;
    let owner = context
        .owner(context.avm.config().chain_id, text)
        .map_err(|err| failure(format!("problem parsing address '{text}': {}", err.message)))?;
    let partial = args.flag("includePartial")?;
    let (owners, now) = (BTreeSet::from([owner]), context.clock.wall().as_secs());
    let (mut found, mut start) = (Vec::new(), None);
    loop {
        let page = context.avm.read(|state| state.utxos_of(&owners, start, MAX_PAGE)).map_err(stored)?;
        let full = page.utxos.len() >= MAX_PAGE;
        for utxo in page.utxos {
            let Output::SecpTransfer(out) = &utxo.out else { continue };
            if partial || (out.owners.addrs.len() == 1 && out.owners.locktime <= now) {
                let amount = out.amount;
                found.push((utxo, amount));
            }
        }
        if !full {
            return Ok(found);
        }
        start = Some(page.end);
    }
}

fn balance(context: &Context, args: &Args<'_>) -> Result<Value, Error> {
    let asset = asset_id(context, args)?;
    let (mut sum, mut ids) = (0_u64, Vec::new());
    for (utxo, amount) in amounts(context, args)? {
        if utxo.asset_id == asset {
            sum = sum.checked_add(amount).ok_or_else(|| failure("overflow"))?;
            ids.push(json!({ "txID": utxo.id.tx_id.to_string(), "outputIndex": utxo.id.output_index }));
        }
    }
    Ok(json!({ "balance": number(sum), "utxoIDs": ids }))
}

fn all_balances(context: &Context, args: &Args<'_>) -> Result<Value, Error> {
    let mut sums: BTreeMap<Id, u64> = BTreeMap::new();
    for (utxo, amount) in amounts(context, args)? {
        let sum = sums.entry(utxo.asset_id).or_default();
        *sum = sum.saturating_add(amount);
    }
    let avax = context.avm.config().fee_asset_id;
    let name = |asset: Id| if asset == avax { "AVAX".to_owned() } else { asset.to_string() };
    let balances: Vec<_> = sums
        .into_iter()
        .map(|(asset, sum)| json!({ "asset": name(asset), "balance": number(sum) }))
        .collect();
    Ok(json!({ "balances": balances }))
}

fn tx_fee(context: &Context, _: &Args<'_>) -> Result<Value, Error> {
    let config = context.avm.config();
    Ok(json!({ "txFee": number(config.tx_fee), "createAssetTxFee": number(config.create_asset_fee) }))
}
