//! Transactions in JSON.

use std::collections::BTreeSet;

use base64::{Engine, prelude::BASE64_STANDARD};
use fluxd_chainstate::{ChainReader, ChainState, IndexKind};
use fluxd_mempool::{Entry, Mempool, PoolSpending};
use fluxd_primitives::{
    Address, Amount, BlockHash, Codec, OutPoint, Transaction, TxId,
    codec::Writer,
    transaction::{
        SAPLING_VERSION,
        fluxnode::{Confirm, DELEGATES_BIT, FluxnodeTx, NORMAL_BIT, Owner, P2SH_BIT, Start},
        shielded::{JoinSplit, SproutProof},
    },
};
use fluxd_storage::AddressKey;
use shared_vendor::hex;

use super::{
    block::{full_outpoint, short_outpoint},
    script,
};
use crate::{json::Json, params::Result};

/// The transaction with what the indexes know of its inputs and outputs.
///
/// # Errors
/// The store fails.
pub fn present(reader: &ChainReader, pool: &Mempool, tx: &Transaction) -> Result<Json> {
    let mut out = Json::object();
    push(&mut out, reader, pool, tx)?;
    Ok(out)
}

/// Where a block stands, for transactions in it.
pub fn push_block(out: &mut Json, chain: &ChainState, block: &BlockHash) {
    out.push("blockhash", block.to_string());
    let index = chain.index();
    let Some(id) = index.find(block) else { return };
    let entry = index.entry(id);
    if index.is_active(id) {
        out.push("height", entry.height());
        out.push("confirmations", super::block::confirmations(chain, id));
        out.push("time", entry.time());
        out.push("blocktime", entry.time());
    } else {
        out.push("height", -1_i32).push("confirmations", 0_i32);
    }
}

/// Adds the members of a transaction.
///
/// # Errors
/// The store fails.
pub fn push(out: &mut Json, reader: &ChainReader, pool: &Mempool, tx: &Transaction) -> Result<()> {
    let id = tx.txid();
    out.push("txid", id.to_string());
    out.push("version", tx.version);
    if let Some(node) = &tx.fluxnode {
        push_fluxnode(out, tx.version, node);
        return Ok(());
    }
    out.push("overwintered", tx.overwintered);
    if tx.overwintered {
        out.push("versiongroupid", format!("{:08x}", tx.version_group));
    }
    out.push("locktime", tx.lock_time);
    if tx.overwintered {
        out.push("expiryheight", tx.expiry_height);
    }
    let spent = |outpoint: &OutPoint| spending(reader, pool, outpoint);
    let mut inputs = Vec::with_capacity(tx.inputs.len());
    for input in &tx.inputs {
        let mut one = Json::object();
        let bytes = input.script_sig.as_bytes();
        if tx.is_coinbase() {
            one.push("coinbase", hex::encode(bytes));
        } else {
            one.push("txid", input.prevout.txid.to_string());
            one.push("vout", input.prevout.index);
            let text = Json::object().with("asm", script::asm(bytes, true)).with("hex", hex::encode(bytes));
            one.push("scriptSig", text);
            if let Some(row) = spent(&input.prevout)? {
                one.push("value", Json::amount(row.value)).push("valueSat", row.value.zat());
                if let Some(address) = &row.address {
                    one.push("address", address_of(address).encode(&reader.params().addresses));
                }
            }
        }
        one.push("sequence", input.sequence);
        inputs.push(one);
    }
    out.push("vin", inputs);
    out.push("vout", outputs(reader, tx, &id, &spent)?);
    out.push("vJoinSplit", tx.joinsplits.iter().map(joinsplit).collect::<Vec<_>>());
    if tx.overwintered && tx.version >= SAPLING_VERSION {
        push_sapling(out, tx);
    }
    Ok(())
}

fn outputs(
    reader: &ChainReader,
    tx: &Transaction,
    id: &TxId,
    spent: &dyn Fn(&OutPoint) -> Result<Option<Spending>>,
) -> Result<Vec<Json>> {
    let mut list = Vec::with_capacity(tx.outputs.len());
    for (index, output) in (0_u32..).zip(&tx.outputs) {
        let mut one = Json::object();
        one.push("value", Json::amount(output.value));
        one.push("valueZat", output.value.zat()).push("valueSat", output.value.zat());
        one.push("n", index);
        one.push("scriptPubKey", script::locking(&output.script_pubkey, reader.params(), true));
        if let Some(row) = spent(&OutPoint { txid: *id, index })? {
            one.push("spentTxId", row.txid.to_string());
            one.push("spentIndex", row.input).push("spentHeight", row.height);
        }
        list.push(one);
    }
    Ok(list)
}

/// What spends an output.
pub(crate) struct Spending {
    pub(crate) txid: TxId,
    pub(crate) input: u32,
    /// -1 while it waits in the pool.
    pub(crate) height: i64,
    pub(crate) value: Amount,
    pub(crate) address: Option<AddressKey>,
}

/// What spends an output: in the pool, else in the chain; nothing where the index is not kept (`GetSpentIndex`).
pub(crate) fn spending(
    reader: &ChainReader,
    pool: &Mempool,
    outpoint: &OutPoint,
) -> Result<Option<Spending>> {
    if !reader.has(IndexKind::Spent) {
        return Ok(None);
    }
    if let Some(PoolSpending { txid, input, value, address }) = pool.spending(outpoint) {
        return Ok(Some(Spending { txid, input, height: -1, value, address }));
    }
    Ok(reader.spent(outpoint)?.map(|row| Spending {
        txid: row.txid,
        input: row.input,
        height: row.height.into(),
        value: row.value,
        address: row.address,
    }))
}

/// An entry of the pool under a chain of this height, with the ids of those in the pool that it spends.
#[must_use]
pub fn waiting(entry: &Entry, height: u32, depends: BTreeSet<String>) -> Json {
    Json::object()
        .with("size", entry.size)
        .with("fee", Json::amount(entry.fee))
        .with("time", entry.time)
        .with("height", entry.height)
        .with("startingpriority", Json::real(entry.priority(entry.height)))
        .with("currentpriority", Json::real(entry.priority(height)))
        .with("depends", depends.into_iter().map(Json::from).collect::<Vec<_>>())
}

/// The address that an index row names.
#[must_use]
pub fn address_of(key: &AddressKey) -> Address {
    match key {
        AddressKey::PubkeyHash(hash) => Address::PubkeyHash(*hash),
        AddressKey::ScriptHash(hash) => Address::ScriptHash(*hash),
    }
}

fn reversed(bytes: &[u8; 32]) -> String {
    hex::encode_reversed(bytes)
}

fn joinsplit(one: &JoinSplit) -> Json {
    let texts =
        |hashes: &[[u8; 32]]| hashes.iter().map(|hash| Json::from(reversed(hash))).collect::<Vec<_>>();
    let mut out = Json::object();
    out.push("vpub_old", Json::amount(one.vpub_old)).push("vpub_oldZat", one.vpub_old.zat());
    out.push("vpub_new", Json::amount(one.vpub_new)).push("vpub_newZat", one.vpub_new.zat());
    out.push("anchor", one.anchor.to_string());
    out.push("nullifiers", texts(&one.nullifiers.map(|hash| hash.0)));
    out.push("commitments", texts(&one.commitments.map(|hash| hash.0)));
    out.push("onetimePubKey", reversed(&one.ephemeral_key));
    out.push("randomSeed", reversed(&one.random_seed));
    out.push("macs", texts(&one.macs));
    let proof = match &one.proof {
        SproutProof::Groth(bytes) => hex::encode(bytes.as_slice()),
        SproutProof::Phgr(bytes) => hex::encode(bytes.as_slice()),
    };
    out.push("proof", proof);
    out.push(
        "ciphertexts",
        one.ciphertexts.iter().map(|text| Json::from(hex::encode(text))).collect::<Vec<_>>(),
    );
    out
}

fn push_sapling(out: &mut Json, tx: &Transaction) {
    out.push("valueBalance", Json::amount(tx.value_balance)).push("valueBalanceZat", tx.value_balance.zat());
    let spends: Vec<Json> = tx
        .spends
        .iter()
        .map(|spend| {
            Json::object()
                .with("cv", reversed(&spend.cv))
                .with("anchor", spend.anchor.to_string())
                .with("nullifier", spend.nullifier.to_string())
                .with("rk", reversed(&spend.rk))
                .with("proof", hex::encode(spend.proof))
                .with("spendAuthSig", hex::encode(spend.spend_auth_sig))
        })
        .collect();
    let outputs: Vec<Json> = tx
        .shielded_outputs
        .iter()
        .map(|output| {
            Json::object()
                .with("cv", reversed(&output.cv))
                .with("cmu", output.cmu.to_string())
                .with("ephemeralKey", reversed(&output.ephemeral_key))
                .with("encCiphertext", hex::encode(output.enc_ciphertext))
                .with("outCiphertext", hex::encode(output.out_ciphertext))
                .with("proof", hex::encode(output.proof))
        })
        .collect();
    let any = !(spends.is_empty() && outputs.is_empty());
    out.push("vShieldedSpend", spends).push("vShieldedOutput", outputs);
    if any {
        out.push("bindingSig", hex::encode(tx.binding_sig.0));
    }
}

fn push_fluxnode(out: &mut Json, version: u32, node: &FluxnodeTx) {
    let kind = match node {
        FluxnodeTx::Start(_) => "Starting a fluxnode",
        FluxnodeTx::Confirm(_) => "Confirming a fluxnode",
        FluxnodeTx::Unknown(_) => "No type (Error)",
    };
    let collateral = node.collateral().unwrap_or(OutPoint::NULL);
    let (sig_time, signature, ip) = match node {
        FluxnodeTx::Start(Start { claim: Some(claim), .. }) => {
            (claim.sig_time, claim.signature.as_slice(), &[][..])
        }
        FluxnodeTx::Confirm(confirm) => {
            (confirm.sig_time, confirm.signature.as_slice(), confirm.ip.as_slice())
        }
        _ => (0, &[][..], &[][..]),
    };
    out.push("type", kind);
    out.push("collateral_output", short_outpoint(&collateral));
    out.push("collateral", full_outpoint(&collateral));
    out.push("txhash", collateral.txid.to_string());
    out.push("outidx", collateral.index.to_string());
    out.push("sigtime", sig_time);
    out.push("sig", BASE64_STANDARD.encode(signature));
    out.push("ip", String::from_utf8_lossy(ip).into_owned());
    match node {
        FluxnodeTx::Start(start) => push_start(out, version, start),
        FluxnodeTx::Confirm(confirm) => push_confirm(out, confirm),
        FluxnodeTx::Unknown(_) => {}
    }
}

fn push_start(out: &mut Json, version: u32, start: &Start) {
    let Some(claim) = &start.claim else { return };
    let inner = start.inner_version.unwrap_or_default();
    match &claim.owner {
        Owner::Key(key) => {
            if version == 6 {
                out.push("fluxnode_upgraded_tx_version", inner);
            }
            if version == 5 || inner & NORMAL_BIT != 0 {
                out.push("collateral_pubkey", BASE64_STANDARD.encode(key.as_bytes()));
            }
        }
        Owner::RedeemScript(redeem) => {
            out.push("fluxnode_upgraded_tx_version", inner);
            if inner & P2SH_BIT != 0 {
                out.push("redeemscript", script::asm(redeem.as_bytes(), false));
            }
        }
    }
    if inner & DELEGATES_BIT != 0
        && let Some(delegates) = start.delegates.as_ref().and_then(|tail| tail.0.as_ref())
    {
        out.push("using_delegates", true);
        let keys: Vec<Json> =
            delegates.keys.iter().map(|key| Json::from(BASE64_STANDARD.encode(key.as_bytes()))).collect();
        let data =
            Json::object().with("version", delegates.version).with("type", delegates.kind).with("keys", keys);
        out.push("delegate_data", data);
    }
    out.push("zelnode_pubkey", BASE64_STANDARD.encode(claim.node_key.as_bytes()));
}

fn push_confirm(out: &mut Json, confirm: &Confirm) {
    out.push("update_type", confirm.update_type);
    out.push("benchmark_tier", tier_name(confirm.benchmark_tier));
    out.push("benchmark_sigtime", confirm.benchmark_sig_time);
    out.push("benchmark_sig", BASE64_STANDARD.encode(&confirm.benchmark_signature));
}

/// Name of a tier by its number.
#[must_use]
pub fn tier_name(tier: i8) -> String {
    match tier {
        0 => "NONE".to_owned(),
        1 => "CUMULUS".to_owned(),
        2 => "NIMBUS".to_owned(),
        3 => "STRATUS".to_owned(),
        other => format!("UNKNOWN TIER ({other})"),
    }
}

/// A transaction in hexadecimal.
#[must_use]
pub fn to_hex(tx: &Transaction) -> String {
    let mut writer = Writer::new();
    tx.encode(&mut writer);
    hex::encode(writer.as_slice())
}
