//! `signrawtransaction` with keys that the caller gives: there is no wallet. Mirrors its part of
//! `src/rpc/rawtransaction.cpp`.

use std::collections::{BTreeMap, BTreeSet};

use fluxd_chainstate::ChainState;
use fluxd_consensus::{
    params::Network,
    upgrades::{BASE_BRANCH, FLUX_BRANCH},
};
use fluxd_primitives::{
    Amount, Codec, OutPoint, Script, Transaction, TxId, TxIn, TxOut, address::SecretText,
};
use fluxd_script::{
    Flags, InputContext, SighashParts,
    instruction::script_hash,
    sighash,
    sign::{Keyring, SigningKey, combine},
    verify_script,
};
use serde_json::{Map, Value};
use shared_vendor::{bytes::Reader, hex};

use super::Method;
use crate::{
    context::Context,
    error::{self, RpcError},
    json::Json,
    params::{Args, Kind, Result, amount, bytes, hash, whole},
    present::{script, transaction::to_hex},
};

/// Offline nodes of other networks sign for this height at least (`APPROX_RELEASE_HEIGHT`).
const RELEASE_HEIGHT: u32 = 2_127_000;
/// The branch of the reference's test upgrade, which no network has.
const TEST_BRANCH: u32 = 0x7473_6554;

pub(super) const METHODS: fn() -> Vec<Method> = || {
    vec![Method {
        name: "signrawtransaction",
        group: "rawtransactions",
        arguments: "\"hexstring\" ( [{\"txid\":\"id\",\"vout\":n,\"scriptPubKey\":\"hex\",\"redeemScript\":\"hex\"},...] [\"privatekey1\",...] sighashtype branchid )",
        about: "Signs the inputs of a transaction with keys that are given.",
        least: 1,
        most: 5,
        run: sign,
    }]
};

fn failed(text: impl Into<String>) -> RpcError {
    RpcError::new(error::DESERIALIZATION, text)
}

fn sign(context: &Context, args: &Args) -> Result<Json> {
    args.check_types(&[Kind::Text, Kind::List, Kind::List, Kind::Text, Kind::Text], true)?;
    let variants = transactions(&bytes(args.value(0), "argument 1")?)?;
    let Some(tx) = variants.first() else { return Err(failed("Missing transaction")) };
    let chain = context.chain.read();
    let mut ring = keyring(args.value(2), &chain)?;
    let has_keys = ring.is_some();
    let mut spent = Spent { context, chain: &chain, of: BTreeSet::new(), told: BTreeMap::new() };
    spent.of.extend(tx.inputs.iter().map(|input| input.prevout.txid));
    if !args.value(1).is_null() {
        for previous in args.list(1)? {
            let redeem = spent.add(previous, has_keys)?;
            if let (Some(ring), Some(redeem)) = (&mut ring, redeem) {
                ring.add_script(redeem);
            }
        }
    }
    let hash_type = hash_type(args.value(3))?;
    let branch_id = branch(args.value(4), &chain)?;

    let ring = ring.unwrap_or_default();
    let parts = SighashParts::new(tx);
    let mut signed = tx.clone();
    let mut errors = Vec::new();
    for (index, input) in signed.inputs.iter_mut().enumerate() {
        let Some(output) = spent.output(&input.prevout)? else {
            errors.push(problem(input, "Input not found or already spent"));
            continue;
        };
        let lock = output.script_pubkey.as_bytes();
        let input_context = InputContext { tx, parts: &parts, index, amount: output.value, branch_id };
        let single = i32::from(hash_type) & !sighash::ANYONE_CAN_PAY == sighash::SINGLE;
        let mut unlock = if single && index >= tx.outputs.len() {
            Script::default()
        } else {
            ring.unlock(lock, &input_context, hash_type)
        };
        for other in variants.iter().filter_map(|variant| variant.inputs.get(index)) {
            unlock = combine(lock, &input_context, &unlock, &other.script_sig);
        }
        input.script_sig = unlock;
        if let Err(error) = verify_script(input.script_sig.as_bytes(), lock, Flags::POLICY, &input_context) {
            errors.push(problem(input, &error.to_string()));
        }
    }
    let mut out = Json::object().with("hex", to_hex(&signed)).with("complete", errors.is_empty());
    if !errors.is_empty() {
        out.push("errors", errors);
    }
    Ok(out)
}

/// Copies of one transaction, each with other signatures.
fn transactions(bytes: &[u8]) -> Result<Vec<Transaction>> {
    let mut reader = Reader::new(bytes);
    let mut found = Vec::new();
    while !reader.is_empty() {
        found.push(Transaction::decode(&mut reader).map_err(|_| failed("TX decode failed"))?);
    }
    Ok(found)
}

/// The keys that the caller gives; `None` where the argument is left out.
fn keyring(value: &Value, chain: &ChainState) -> Result<Option<Keyring>> {
    let Value::Array(keys) = value else { return Ok(None) };
    let mut ring = Keyring::default();
    for key in keys {
        let text = key
            .as_str()
            .ok_or_else(|| RpcError::new(error::MISC, "JSON value is not a string as expected"))?;
        let key = SecretText::decode(text, &chain.params().addresses)
            .and_then(|text| SigningKey::new(text.secret, text.compressed))
            .ok_or_else(|| RpcError::new(error::ADDRESS_OR_KEY, "Invalid private key"))?;
        ring.add_key(key);
    }
    Ok(Some(ring))
}

fn hash_type(value: &Value) -> Result<u8> {
    Ok(match value.as_str() {
        None | Some("ALL") => 0x01,
        Some("ALL|ANYONECANPAY") => 0x81,
        Some("NONE") => 0x02,
        Some("NONE|ANYONECANPAY") => 0x82,
        Some("SINGLE") => 0x03,
        Some("SINGLE|ANYONECANPAY") => 0x83,
        Some(_) => return Err(RpcError::new(error::PARAMETER, "Invalid sighash param")),
    })
}

fn branch(value: &Value, chain: &ChainState) -> Result<u32> {
    let Some(text) = value.as_str() else {
        let next = chain.index().height().saturating_add(1);
        let regtest = chain.params().network == Network::Regtest;
        let height = if regtest { next } else { next.max(RELEASE_HEIGHT) };
        return Ok(chain.params().upgrades.branch_id(height));
    };
    let branch = stream_number(text).unwrap_or(u32::MAX);
    if ![BASE_BRANCH, TEST_BRANCH, FLUX_BRANCH].contains(&branch) {
        return Err(RpcError::new(error::MISC, format!("{text} is not a valid consensus branch id")));
    }
    Ok(branch)
}

/// A hexadecimal number as a C++ stream reads it: up to what is no digit, zero where nothing is, its complement behind a
/// minus; `None` where the text is empty or the number too large.
fn stream_number(text: &str) -> Option<u32> {
    let text = text.trim_start();
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let digits = digits.strip_prefix("0x").unwrap_or(digits);
    let end = digits.find(|digit: char| !digit.is_ascii_hexdigit()).unwrap_or(digits.len());
    let number = match digits.get(..end) {
        Some("") if !text.is_empty() => 0,
        digits => u32::from_str_radix(digits?, 16).ok()?,
    };
    Some(if negative { number.wrapping_neg() } else { number })
}

/// The outputs that are spent: what the chain, the pool and the caller know of them.
struct Spent<'a> {
    context: &'a Context,
    chain: &'a ChainState,
    /// Transactions that inputs name: only of those the chain is asked.
    of: BTreeSet<TxId>,
    told: BTreeMap<OutPoint, TxOut>,
}

impl Spent<'_> {
    fn output(&self, place: &OutPoint) -> Result<Option<TxOut>> {
        if let Some(output) = self.told.get(place) {
            return Ok(Some(output.clone()));
        }
        if !self.of.contains(&place.txid) {
            return Ok(None);
        }
        if let Some(entry) = self.context.mempool.lock().get(&place.txid) {
            let index = usize::try_from(place.index).unwrap_or(usize::MAX);
            return Ok(entry.tx.outputs.get(index).cloned());
        }
        Ok(self.chain.coin(place)?.map(|coin| coin.output))
    }

    /// Takes an output from the caller; returns the redeem script that may come with it.
    fn add(&mut self, previous: &Value, has_keys: bool) -> Result<Option<Vec<u8>>> {
        let Value::Object(previous) = previous else {
            return Err(failed("expected object with {\"txid'\",\"vout\",\"scriptPubKey\"}"));
        };
        let fields = [("scriptPubKey", Kind::Text), ("txid", Kind::Text), ("vout", Kind::Number)];
        check_fields(previous, &fields)?;
        let field = |name: &str| previous.get(name).unwrap_or(&Value::Null);
        let txid = TxId(hash(field("txid"), "txid")?.0);
        let index = i32::try_from(whole(field("vout"))?)
            .map_err(|_| RpcError::new(error::MISC, "JSON integer out of range"))?;
        let index = u32::try_from(index).map_err(|_| failed("vout must be positive"))?;
        let script_pubkey = Script(bytes(field("scriptPubKey"), "scriptPubKey")?);
        let place = OutPoint { txid, index };
        if let Some(known) = self.output(&place)?
            && known.script_pubkey != script_pubkey
        {
            return Err(failed(format!(
                "Previous output scriptPubKey mismatch:\n{}\nvs:\n{}",
                script::asm(known.script_pubkey.as_bytes(), false),
                script::asm(script_pubkey.as_bytes(), false)
            )));
        }
        let is_hash = script_hash(script_pubkey.as_bytes()).is_some();
        let value = previous.get("amount").map_or(Ok(Amount::ZERO), amount)?;
        self.told.insert(place, TxOut { value, script_pubkey });
        if !(has_keys && is_hash) {
            return Ok(None);
        }
        check_fields(previous, &[("redeemScript", Kind::Text)])?;
        bytes(field("redeemScript"), "redeemScript").map(Some)
    }
}

/// Every field is there and of its type (`RPCTypeCheckObj`).
fn check_fields(object: &Map<String, Value>, fields: &[(&str, Kind)]) -> Result<()> {
    for (name, kind) in fields {
        kind.check_field(object, name)?;
    }
    Ok(())
}

fn problem(input: &TxIn, text: &str) -> Json {
    Json::object()
        .with("txid", input.prevout.txid.to_string())
        .with("vout", input.prevout.index)
        .with("scriptSig", hex::encode(input.script_sig.as_bytes()))
        .with("sequence", input.sequence)
        .with("error", text)
}
