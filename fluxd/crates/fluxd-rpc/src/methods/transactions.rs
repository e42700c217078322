//! Methods about single transactions and scripts. Mirrors `src/rpc/rawtransaction.cpp`.

use std::{collections::BTreeSet, sync::Arc};

use fluxd_chainstate::{ChainState, Found};
use fluxd_consensus::upgrades::Upgrade;
use fluxd_p2p::message::filter::MerkleBlock;
use fluxd_primitives::{
    Address, Amount, Codec, OutPoint, Script, Transaction, TxId, TxIn, TxOut,
    codec::Reader,
    hash160,
    transaction::{SAPLING_GROUP, SAPLING_VERSION},
};
use serde_json::Value;
use shared_vendor::hex;

use super::{Method, blocks};
use crate::{
    context::Context,
    error::{self, RpcError},
    json::Json,
    params::{self, Args, Kind, Result, amount, bytes, hash, lenient_hash, whole, wire},
    present::{
        script,
        transaction::{present, push, push_block, to_hex},
    },
};

/// A transaction this near to its end is not relayed.
const EXPIRING_SOON: u32 = 3;
/// Expiry heights are below this.
const EXPIRY_LIMIT: i64 = 500_000_000;

pub(super) const METHODS: fn() -> Vec<Method> = || {
    let method = |name, arguments, about, (least, most), run| Method {
        name,
        group: "rawtransactions",
        arguments,
        about,
        least,
        most,
        run,
    };
    let create = "[{\"txid\":\"id\",\"vout\":n},...] {\"address\":amount,...} ( locktime ) ( expiryheight )";
    vec![
        method("getrawtransaction", "\"txid\" ( verbose )", "A transaction.", (1, 2), get),
        method(
            "decoderawtransaction",
            "\"hexstring\"",
            "What the bytes of a transaction say.",
            (1, 1),
            decode,
        ),
        method("decodescript", "\"hex\"", "What the bytes of a script say.", (1, 1), decode_script),
        method("createrawtransaction", create, "A transaction without signatures.", (2, 4), make),
        method(
            "gettxoutproof",
            "[\"txid\",...] ( blockhash )",
            "Proof that transactions are in a block.",
            (1, 2),
            proof,
        ),
        method("verifytxoutproof", "\"proof\"", "What such a proof proves.", (1, 1), verify_proof),
    ]
};

fn find(chain: &ChainState, id: &TxId) -> Result<Option<Found>> {
    Ok(chain.reader().transaction(id)?)
}

fn get(context: &Context, args: &Args) -> Result<Json> {
    let id = TxId(args.hash(0, "parameter 1")?.0);
    let verbose = args.has(1) && args.int(1)? != 0;
    let chain = context.chain.read();
    let waiting = context.mempool.lock().get(&id).map(|entry| Arc::clone(&entry.tx));
    if let Some(tx) = waiting {
        let text = to_hex(&tx);
        if !verbose {
            return Ok(Json::from(text));
        }
        let mut out = Json::object();
        out.push("hex", text);
        push(&mut out, &chain.reader(), &context.mempool.lock(), &tx)?;
        return Ok(out);
    }
    let found = find(&chain, &id)?
        .ok_or_else(|| RpcError::new(error::ADDRESS_OR_KEY, "No information available about transaction"))?;
    let text = to_hex(&found.tx);
    if !verbose {
        return Ok(Json::from(text));
    }
    let mut out = Json::object();
    out.push("hex", text);
    push(&mut out, &chain.reader(), &context.mempool.lock(), &found.tx)?;
    push_block(&mut out, &chain, &found.block);
    Ok(out)
}

fn decode(context: &Context, args: &Args) -> Result<Json> {
    args.check_types(&[Kind::Text], false)?;
    let failed = || RpcError::new(error::DESERIALIZATION, "TX decode failed");
    let tx: Transaction = wire(args.text(0)?).ok_or_else(failed)?;
    let reader = context.chain.read().reader();
    present(&reader, &context.mempool.lock(), &tx)
}

fn decode_script(context: &Context, args: &Args) -> Result<Json> {
    args.check_types(&[Kind::Text], false)?;
    let text = args.text(0)?;
    let script = Script(if text.is_empty() { Vec::new() } else { bytes(args.value(0), "argument")? });
    let chain = context.chain.read();
    let id = Address::ScriptHash(hash160(script.as_bytes()));
    let out = script::locking(&script, chain.params(), false);
    Ok(out.with("p2sh", id.encode(&chain.params().addresses)))
}

fn make(context: &Context, args: &Args) -> Result<Json> {
    args.check_types(&[Kind::List, Kind::Object, Kind::Number, Kind::Number], true)?;
    let bad = |text: String| RpcError::new(error::PARAMETER, text);
    let (Value::Array(inputs), Value::Object(outputs)) = (args.value(0), args.value(1)) else {
        return Err(bad("Invalid parameter, arguments 1 and 2 must be non-null".to_owned()));
    };
    let chain = context.chain.read();
    let params = chain.params();
    let next = chain.index().height().saturating_add(1);
    let sapling = params.upgrades.is_active(Upgrade::Acadia, next);
    let mut tx = empty(sapling, next.saturating_add(context.expiry_delta));
    if !args.value(2).is_null() {
        let time = args.int64(2)?;
        tx.lock_time =
            u32::try_from(time).map_err(|_| bad("Invalid parameter, locktime out of range".to_owned()))?;
    }
    if !args.value(3).is_null() {
        tx.expiry_height = expiry(args.value(3), sapling, next)?;
    }
    for input in inputs {
        let Value::Object(input) = input else {
            return Err(RpcError::new(error::MISC, "JSON value is not an object as expected"));
        };
        let txid = TxId(hash(input.get("txid").unwrap_or(&Value::Null), "txid")?.0);
        let vout = input.get("vout").filter(|value| value.is_number());
        let vout = whole(vout.ok_or_else(|| bad("Invalid parameter, missing vout key".to_owned()))?)?;
        let index =
            u32::try_from(vout).map_err(|_| bad("Invalid parameter, vout must be positive".to_owned()))?;
        let sequence = match input.get("sequence").filter(|value| value.is_number()) {
            Some(value) => u32::try_from(whole(value)?)
                .map_err(|_| RpcError::new(error::MISC, "JSON integer out of range"))?,
            None if tx.lock_time != 0 => u32::MAX - 1,
            None => u32::MAX,
        };
        tx.inputs.push(TxIn { prevout: OutPoint { txid, index }, script_sig: Script(Vec::new()), sequence });
    }
    let mut seen = BTreeSet::new();
    for (name, value) in outputs {
        let address = Address::decode(name, &params.addresses)
            .ok_or_else(|| RpcError::new(error::ADDRESS_OR_KEY, format!("Invalid Flux address: {name}")))?;
        let script_pubkey = fluxd_script::instruction::pay_to(&address);
        if !seen.insert(script_pubkey.0.clone()) {
            return Err(bad(format!("Invalid parameter, duplicated address: {name}")));
        }
        tx.outputs.push(TxOut { value: amount(value)?, script_pubkey });
    }
    Ok(Json::from(to_hex(&tx)))
}

fn expiry(height: &Value, sapling: bool, next: u32) -> Result<u32> {
    let bad = |text: String| RpcError::new(error::PARAMETER, text);
    if !sapling {
        let text = "Invalid parameter, expiryheight can only be used if Overwinter is active when the transaction is mined";
        return Err(bad(text.to_owned()));
    }
    let range = format!("Invalid parameter, expiryheight must be nonnegative and less than {EXPIRY_LIMIT}.");
    let height = u32::try_from(whole(height)?).ok().filter(|height| i64::from(*height) < EXPIRY_LIMIT);
    let height = height.ok_or_else(|| bad(range))?;
    let least = next.saturating_add(EXPIRING_SOON);
    if height != 0 && least > height {
        return Err(bad(format!(
            "Invalid parameter, expiryheight should be at least {least} to avoid transaction expiring soon"
        )));
    }
    Ok(height)
}

fn empty(sapling: bool, expiry: u32) -> Transaction {
    Transaction {
        overwintered: sapling,
        version: if sapling { SAPLING_VERSION } else { 1 },
        version_group: if sapling { SAPLING_GROUP } else { 0 },
        inputs: Vec::new(),
        outputs: Vec::new(),
        lock_time: 0,
        expiry_height: if sapling { expiry } else { 0 },
        value_balance: Amount::ZERO,
        spends: Vec::new(),
        shielded_outputs: Vec::new(),
        joinsplits: Vec::new(),
        joinsplit_pubkey: fluxd_primitives::Hash256::ZERO,
        joinsplit_sig: fluxd_primitives::transaction::Signature64([0; 64]),
        binding_sig: fluxd_primitives::transaction::Signature64([0; 64]),
        fluxnode: None,
    }
}

fn proof(context: &Context, args: &Args) -> Result<Json> {
    let mut wanted = BTreeSet::new();
    let mut last = TxId::ZERO;
    for value in args.list(0)? {
        let text = value
            .as_str()
            .ok_or_else(|| RpcError::new(error::MISC, "JSON value is not a string as expected"))?;
        let id = TxId(lenient_hash(text).0);
        if text.len() != 64 || params::hex(text).is_none() {
            return Err(RpcError::new(error::PARAMETER, format!("Invalid txid {text}")));
        }
        if !wanted.insert(id) {
            let message = format!("Invalid parameter, duplicated txid: {text}");
            return Err(RpcError::new(error::PARAMETER, message));
        }
        last = id;
    }
    let chain = context.chain.read();
    let index = chain.index();
    let block = if args.has(1) {
        blocks::find(&chain, args.text(1)?)?
    } else {
        let by_coins = chain.coins(&last)?.map(|coins| coins.origin.height).filter(|height| *height > 0);
        let missing = || RpcError::new(error::ADDRESS_OR_KEY, "Transaction not yet in block");
        match by_coins.and_then(|height| index.at_height(height)) {
            Some(id) => id,
            None => {
                let found = find(&chain, &last)?.ok_or_else(missing)?;
                index.find(&found.block).ok_or_else(missing)?
            }
        }
    };
    let body = chain.body(block).map_err(|_| RpcError::new(error::INTERNAL, "Can't read block from disk"))?;
    if body.txids().iter().filter(|id| wanted.contains(*id)).count() != wanted.len() {
        let text = "(Not all) transactions not found in specified block";
        return Err(RpcError::new(error::ADDRESS_OR_KEY, text));
    }
    let merkle = MerkleBlock::new(body.block(), |id, _| wanted.contains(id));
    Ok(Json::from(hex::encode(merkle.to_bytes())))
}

fn verify_proof(context: &Context, args: &Args) -> Result<Json> {
    let proof = bytes(args.value(0), "proof")?;
    let merkle = MerkleBlock::decode(&mut Reader::new(&proof))
        .map_err(|_| RpcError::new(error::MISC, "CBaseDataStream::read(): end of data: iostream error"))?;
    let Some(found) = merkle.tree.extract().filter(|found| found.root == merkle.header.merkle_root) else {
        return Ok(Json::List(Vec::new()));
    };
    let chain = context.chain.read();
    let known = chain.index().find(&merkle.header.hash()).is_some_and(|id| chain.index().is_active(id));
    if !known {
        return Err(RpcError::new(error::ADDRESS_OR_KEY, "Block not found in chain"));
    }
    Ok(Json::List(found.matches.iter().map(|(_, id)| Json::from(id.to_string())).collect()))
}
