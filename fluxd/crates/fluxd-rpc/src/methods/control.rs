//! Methods about the node as a whole. Mirrors `src/rpc/misc.cpp` and `src/rpc/server.cpp`.

use std::sync::atomic::Ordering;

use fluxd_consensus::params::Network;
use fluxd_primitives::{
    Address, Hash256, PublicKey, Script,
    address::{decode_base58check, decode_bech32},
    codec::Writer,
    hash160,
};
use fluxd_script::{ecdsa, opcode};
use shared_vendor::hex;

use super::Method;
use crate::{
    context::Context,
    error::{self, RpcError},
    json::Json,
    params::{self, Args, Kind, Result},
    present::{
        block::network_difficulty,
        chain::{NodeFacts, node_info},
    },
};

/// The opcode of a small number is this plus the number.
const SMALL_NUMBERS: u8 = 0x50;

pub(super) const METHODS: fn() -> Vec<Method> = || {
    let method = |name, arguments, about, (least, most), run| Method {
        name,
        group: "control",
        arguments,
        about,
        least,
        most,
        run,
    };
    let util = |name, arguments, about, (least, most), run| Method {
        name,
        group: "util",
        arguments,
        about,
        least,
        most,
        run,
    };
    vec![
        method("getinfo", "", "Various facts about the node.", (0, 0), info),
        method("stop", "", "Stops the node.", (0, 1), stop),
        method(
            "setmocktime",
            "timestamp",
            "Sets the time of the node, on regtest only; 0 ends it.",
            (1, 1),
            mock_time,
        ),
        util("validateaddress", "\"address\"", "What an address is.", (1, 1), validate),
        util("z_validateaddress", "\"zaddr\"", "What a shielded address is.", (1, 1), validate_shielded),
        util(
            "createmultisig",
            "nrequired [\"key\",...]",
            "A script that needs several signatures.",
            (2, 2),
            multisig,
        ),
        util(
            "verifymessage",
            "\"address\" \"signature\" \"message\"",
            "Checks a signed message.",
            (3, 3),
            verify,
        ),
    ]
};

fn info(context: &Context, _: &Args) -> Result<Json> {
    let peers = context.network.peers();
    let chain = context.chain.read();
    let facts = NodeFacts {
        version: context.version,
        height: chain.index().height(),
        time_offset: time_offset(&peers.iter().map(|peer| peer.time_offset).collect::<Vec<_>>()),
        connections: peers.len(),
        difficulty: network_difficulty(&chain),
        relay_fee: context.relay_fee,
        warning: context.warnings().status,
    };
    Ok(node_info(facts, chain.params().network))
}

/// The median of what peers' clocks say, when there are five or more and it is below 70 minutes (`AddTimeData`).
pub(super) fn time_offset(offsets: &[i64]) -> i64 {
    let mut all: Vec<i64> = offsets.iter().copied().chain([0]).collect();
    all.sort_unstable();
    let median = all.get(all.len() / 2).copied().unwrap_or_default();
    if all.len() < 5 || median.abs() > 70 * 60 { 0 } else { median }
}

fn stop(context: &Context, _: &Args) -> Result<Json> {
    context.network.stop();
    Ok(Json::from("Flux server stopping"))
}

fn mock_time(context: &Context, args: &Args) -> Result<Json> {
    if context.chain.read().params().network != Network::Regtest {
        return Err(RpcError::new(error::MISC, "setmocktime for regression testing (-regtest mode) only"));
    }
    args.check_types(&[Kind::Number], false)?;
    context.mock_time.store(args.int64(0)?, Ordering::Relaxed);
    Ok(Json::Null)
}

fn validate(context: &Context, args: &Args) -> Result<Json> {
    let text = args.text(0)?;
    let chain = context.chain.read();
    let format = &chain.params().addresses;
    let mut out = Json::object();
    let address = Address::decode(text, format);
    out.push("isvalid", address.is_some());
    if let Some(address) = address {
        out.push("address", address.encode(format));
        out.push("scriptPubKey", hex::encode(fluxd_script::instruction::pay_to(&address).as_bytes()));
        // There is no wallet yet, so nothing is its own.
        out.push("ismine", false).push("iswatchonly", false);
        out.push("isscript", matches!(address, Address::ScriptHash(_)));
    }
    Ok(out)
}

fn validate_shielded(context: &Context, args: &Args) -> Result<Json> {
    let text = args.text(0)?;
    let chain = context.chain.read();
    let format = &chain.params().addresses;
    let mut out = Json::object();
    let sprout = decode_base58check(text).and_then(|data| {
        let keys = data.strip_prefix(&format.sprout_address[..])?;
        let (paying, transmission) = keys.split_first_chunk::<32>()?;
        Some((Hash256(*paying), Hash256(transmission.try_into().ok()?)))
    });
    let sapling = decode_bech32(text, format.sapling_address).and_then(|data| {
        let (diversifier, key) = data.split_first_chunk::<11>()?;
        Some((*diversifier, Hash256(key.try_into().ok()?)))
    });
    let valid = sprout.is_some() || sapling.is_some();
    out.push("isvalid", valid);
    if let Some((paying, transmission)) = sprout {
        out.push("address", text).push("type", "sprout");
        out.push("payingkey", paying.to_string()).push("transmissionkey", transmission.to_string());
    } else if let Some((diversifier, key)) = sapling {
        out.push("address", text).push("type", "sapling");
        out.push("diversifier", hex::encode(diversifier));
        out.push("diversifiedtransmissionkey", key.to_string());
    }
    if valid {
        out.push("ismine", false);
    }
    Ok(out)
}

fn multisig(context: &Context, args: &Args) -> Result<Json> {
    let required = args.int(0)?;
    let keys = args.list(1)?;
    let misc = |text: String| RpcError::new(error::MISC, text);
    if required < 1 {
        return Err(misc("a multisignature address must require at least one key to redeem".to_owned()));
    }
    let wanted = usize::try_from(required).unwrap_or(usize::MAX);
    if keys.len() < wanted {
        return Err(misc(format!(
            "not enough keys supplied (got {} keys, but need at least {required} to redeem)",
            keys.len()
        )));
    }
    if keys.len() > 16 {
        return Err(misc(
            "Number of addresses involved in the multisignature address creation > 16\nReduce the number"
                .to_owned(),
        ));
    }
    let mut script = Writer::new();
    let small = |count: usize| u8::try_from(count).unwrap_or(16).saturating_add(SMALL_NUMBERS);
    script.u8(small(wanted));
    for key in keys {
        let text = key.as_str().ok_or_else(|| misc("JSON value is not a string as expected".to_owned()))?;
        let bytes = params::hex(text).ok_or_else(|| misc(format!(" Invalid public key: {text}")))?;
        let key = PublicKey::from_serialized(&bytes);
        if !(key.is_valid() && ecdsa::is_on_curve(&key)) {
            return Err(misc(format!(" Invalid public key: {text}")));
        }
        script.u8(u8::try_from(key.as_bytes().len()).unwrap_or_default()).put(key.as_bytes());
    }
    script.u8(small(keys.len())).u8(opcode::CHECKMULTISIG);
    let script = Script(script.into_vec());
    if script.0.len() > 520 {
        return Err(misc(format!("redeemScript exceeds size limit: {} > 520", script.0.len())));
    }
    let chain = context.chain.read();
    let address = Address::ScriptHash(hash160(script.as_bytes()));
    Ok(Json::object()
        .with("address", address.encode(&chain.params().addresses))
        .with("redeemScript", hex::encode(script.as_bytes())))
}

fn verify(context: &Context, args: &Args) -> Result<Json> {
    use base64::{Engine, prelude::BASE64_STANDARD};
    let (address, signature, message) = (args.text(0)?, args.text(1)?, args.text(2)?);
    let chain = context.chain.read();
    let address = Address::decode(address, &chain.params().addresses)
        .ok_or_else(|| RpcError::new(error::TYPE, "Invalid address"))?;
    let Address::PubkeyHash(key) = address else {
        return Err(RpcError::new(error::TYPE, "Address does not refer to key"));
    };
    let signature = BASE64_STANDARD
        .decode(signature)
        .map_err(|_| RpcError::new(error::ADDRESS_OR_KEY, "Malformed base64 encoding"))?;
    let recovered = ecdsa::recover(&ecdsa::message_hash(message.as_bytes()), &signature);
    Ok(Json::Bool(recovered.is_some_and(|found| found.id() == key)))
}
