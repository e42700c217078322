//! Parameters as the C# node reads them: hashes or heights, contracts by hash, name or number, values for contracts,
//! signers with witnesses. Mirrors `plugins/RpcServer/Model` and `SmartContract/ContractParameter.cs`.

use std::borrow::Cow;

use neo_base::{
    Int, UInt160, UInt256, account,
    codec::Wire,
    ledger::{Condition, MAX_NESTING, RuleAction, Scopes, Signer, Witness, WitnessRule},
};
use neo_contract::base64;
use neo_crypto::secp256r1::PublicKey;
use serde_json::Value;
use shared_vendor::{
    hex,
    rpc::{Error, Params},
};

use crate::{
    error::{because, invalid_params},
    render::SCOPES,
    script::Argument,
};

/// Deepest nesting of a value for a contract.
const MAX_DEPTH: usize = 16;

/// Most signers of a call.
const MAX_SIGNERS: usize = 16;

/// What a wrong parameter is answered.
pub(crate) fn wrong(what: impl Into<String>) -> Error {
    because(invalid_params(), what)
}

/// A required parameter.
pub(crate) fn required<'a>(params: &'a Params, index: usize, name: &str) -> Result<&'a Value, Error> {
    params.value(index).ok_or_else(|| wrong(format!("parameter {name} is missing")))
}

/// A required text.
pub(crate) fn text<'a>(params: &'a Params, index: usize, name: &str) -> Result<&'a str, Error> {
    required(params, index, name)?.as_str().ok_or_else(|| wrong(format!("parameter {name} is not a text")))
}

/// A required text; flags and numbers are taken as they are written.
pub(crate) fn written<'a>(params: &'a Params, index: usize, name: &str) -> Result<Cow<'a, str>, Error> {
    match required(params, index, name)? {
        Value::String(text) => Ok(Cow::Borrowed(text)),
        plain @ (Value::Bool(_) | Value::Number(_)) => Ok(Cow::Owned(plain.to_string())),
        _ => Err(wrong(format!("parameter {name} is not a text"))),
    }
}

/// The largest whole number that JSON carries everywhere, and with the other sign the smallest.
const MAX_WHOLE: u64 = (1 << 53) - 1;

/// A whole number: as a number, as its text, as a flag for 0 or 1, or as no text for 0.
pub(crate) fn whole(value: &Value) -> Option<i64> {
    let number = match value {
        Value::Bool(flag) => Some(i64::from(*flag)),
        Value::Number(number) => number.as_i64().or_else(|| integral(number.as_f64()?)),
        Value::String(text) if text.is_empty() => Some(0),
        Value::String(text) => text.parse().ok().or_else(|| integral(text.parse().ok()?)),
        _ => None,
    };
    number.filter(|number| number.unsigned_abs() <= MAX_WHOLE)
}

/// A floating-point number that is whole and small enough to be exact.
fn integral(number: f64) -> Option<i64> {
    let text = (number.fract() == 0.0).then(|| format!("{number:.0}"))?;
    text.parse().ok()
}

/// A required whole number of 32 bits.
pub(crate) fn int(params: &Params, index: usize, name: &str) -> Result<i32, Error> {
    let number = whole(required(params, index, name)?).and_then(|number| i32::try_from(number).ok());
    number.ok_or_else(|| wrong(format!("parameter {name} is not a number of 32 bits")))
}

/// A whole number that is not negative.
pub(crate) fn number(value: &Value) -> Option<u64> {
    u64::try_from(whole(value)?).ok()
}

/// An optional flag: true, a number other than 0, a text of any letters, a list or an object.
pub(crate) fn flag(params: &Params, index: usize) -> bool {
    match params.value(index) {
        None | Some(Value::Null) => false,
        Some(Value::Bool(flag)) => *flag,
        Some(Value::Number(number)) => number.as_f64() != Some(0.0),
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(_) | Value::Object(_)) => true,
    }
}

/// A hash of 32 bytes.
pub(crate) fn hash(params: &Params, index: usize, name: &str) -> Result<UInt256, Error> {
    let text = text(params, index, name)?;
    text.parse().map_err(|_| wrong(format!("parameter {name} is not a hash of 32 bytes")))
}

/// Base64 bytes.
pub(crate) fn bytes(params: &Params, index: usize, name: &str) -> Result<Vec<u8>, Error> {
    base64::decode(text(params, index, name)?).ok_or_else(|| wrong(format!("parameter {name} is not Base64")))
}

/// Base64 bytes in a parameter that the C# node reads as a text first.
pub(crate) fn written_bytes(params: &Params, index: usize, name: &str) -> Result<Vec<u8>, Error> {
    let text = written(params, index, name)?;
    base64::decode(&text).ok_or_else(|| wrong(format!("parameter {name} is not Base64")))
}

/// A block by hash or height.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BlockId {
    /// Its hash.
    Hash(UInt256),
    /// Its height; negative ones are out of range like those above the tip.
    Height(i64),
}

/// A block by hash or height.
pub(crate) fn block_id(params: &Params, index: usize) -> Result<BlockId, Error> {
    match required(params, index, "block")? {
        Value::Number(number) => {
            number.as_i64().map(BlockId::Height).ok_or_else(|| wrong("the height is not a whole number"))
        }
        Value::String(text) => match text.parse::<UInt256>() {
            Ok(hash) => Ok(BlockId::Hash(hash)),
            Err(_) => {
                text.parse().map(BlockId::Height).map_err(|_| wrong("neither a hash nor a height of a block"))
            }
        },
        _ => Err(wrong("neither a hash nor a height of a block")),
    }
}

/// An account or contract by hash or address.
pub(crate) fn script_hash(text: &str, address_version: u8) -> Option<UInt160> {
    text.parse().ok().or_else(|| account::from_address(text, address_version).ok())
}

/// A value for a contract: `{"type": .., "value": ..}`.
pub(crate) fn argument(value: &Value, address_version: u8) -> Result<Argument, Error> {
    read_argument(value, address_version, MAX_DEPTH)
}

/// Values for a contract.
pub(crate) fn arguments(params: &Params, index: usize, address_version: u8) -> Result<Vec<Argument>, Error> {
    match params.value(index) {
        None => Ok(Vec::new()),
        Some(Value::Array(values)) => values.iter().map(|value| argument(value, address_version)).collect(),
        Some(_) => Err(wrong("arguments are not a list")),
    }
}

fn read_argument(value: &Value, version: u8, depth: usize) -> Result<Argument, Error> {
    let depth = depth.checked_sub(1).ok_or_else(|| wrong("arguments are nested too deep"))?;
    let kind = value["type"].as_str().ok_or_else(|| wrong("an argument has no type"))?;
    let inner = &value["value"];
    let bad = || wrong(format!("not a value of type {}", kind.escape_debug()));
    if inner.is_null() {
        return Ok(match kind {
            "Array" => Argument::Array(Vec::new()),
            "Map" => Argument::Map(Vec::new()),
            _ => Argument::Null,
        });
    }
    let as_text = || inner.as_str().ok_or_else(bad);
    Ok(match kind {
        "Any" | "Void" => Argument::Null,
        "Boolean" => Argument::Boolean(match inner {
            Value::Bool(flag) => *flag,
            Value::String(text) if text == "true" => true,
            Value::String(text) if text == "false" => false,
            _ => return Err(bad()),
        }),
        "Integer" => Argument::Integer(integer(inner).filter(Int::fits_vm).ok_or_else(bad)?),
        "ByteArray" | "ByteString" | "Signature" => Argument::Bytes(
            base64::decode(as_text()?).or_else(|| hex::decode(as_text().ok()?).ok()).ok_or_else(bad)?,
        ),
        "String" => Argument::Bytes(as_text()?.as_bytes().to_vec()),
        "Hash160" => Argument::Bytes(script_hash(as_text()?, version).ok_or_else(bad)?.as_bytes().to_vec()),
        "Hash256" => {
            let hash: UInt256 = as_text()?.parse().map_err(|_| bad())?;
            Argument::Bytes(hash.as_bytes().to_vec())
        }
        "PublicKey" => Argument::Bytes(public_key(as_text()?).ok_or_else(bad)?.to_bytes().to_vec()),
        "Array" => {
            let items = inner.as_array().ok_or_else(bad)?;
            Argument::Array(
                items.iter().map(|item| read_argument(item, version, depth)).collect::<Result<_, _>>()?,
            )
        }
        "Map" => {
            let entry = |entry: &Value| {
                Ok((
                    read_argument(&entry["key"], version, depth)?,
                    read_argument(&entry["value"], version, depth)?,
                ))
            };
            Argument::Map(inner.as_array().ok_or_else(bad)?.iter().map(entry).collect::<Result<_, Error>>()?)
        }
        _ => return Err(bad()),
    })
}

fn integer(value: &Value) -> Option<Int> {
    match value {
        Value::Number(number) => number.as_i64().map(Int::from).or_else(|| number.as_u64().map(Int::from)),
        Value::String(text) => text.parse::<i128>().ok().map(Int::from).or_else(|| text.parse().ok()),
        _ => None,
    }
}

fn public_key(text: &str) -> Option<PublicKey> {
    PublicKey::from_bytes(&hex::decode(text).ok()?)
}

/// Who signs a call, and with what.
#[derive(Debug, Clone, Default)]
pub(crate) struct Signers {
    pub(crate) signers: Vec<Signer>,
    pub(crate) witnesses: Vec<Witness>,
}

/// Signers of a call; absent and empty ones are the same.
pub(crate) fn signers(params: &Params, index: usize, address_version: u8) -> Result<Signers, Error> {
    let values = match params.value(index) {
        None => return Ok(Signers::default()),
        Some(Value::Array(values)) if values.len() <= MAX_SIGNERS => values,
        Some(_) => return Err(wrong("signers are not a list of at most 16")),
    };
    let mut out = Signers::default();
    for value in values {
        let signer = signer(value, address_version)?;
        if out.signers.iter().any(|other| other.account == signer.account) {
            return Err(wrong("a signer is named twice"));
        }
        out.signers.push(signer);
        let script = |name: &str| match &value[name] {
            Value::String(text) => base64::decode(text).ok_or_else(|| wrong("a witness is not Base64")),
            _ => Ok(Vec::new()),
        };
        out.witnesses
            .push(Witness { invocation: script("invocation")?, verification: script("verification")? });
    }
    Ok(out)
}

fn signer(value: &Value, version: u8) -> Result<Signer, Error> {
    // A bare account stands for a signature that only pays.
    if let Value::String(text) = value {
        let account = script_hash(text, version).ok_or_else(|| wrong("a signer is not an account"))?;
        return Ok(Signer::new(account, Scopes::NONE));
    }
    let account = value["account"].as_str().and_then(|text| script_hash(text, version));
    let account = account.ok_or_else(|| wrong("a signer has no account"))?;
    let scopes = match &value["scopes"] {
        Value::Null => Scopes::CALLED_BY_ENTRY,
        Value::String(text) => scopes(text).ok_or_else(|| wrong("a signer has unknown scopes"))?,
        _ => return Err(wrong("a signer has unknown scopes")),
    };
    let list = |name: &str| value[name].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut signer = Signer::new(account, scopes);
    for contract in list("allowedcontracts") {
        let hash = contract.as_str().and_then(|text| text.parse().ok());
        signer.allowed_contracts.push(hash.ok_or_else(|| wrong("an allowed contract is not a hash"))?);
    }
    for group in list("allowedgroups") {
        let key = group.as_str().and_then(public_key);
        signer.allowed_groups.push(key.ok_or_else(|| wrong("an allowed group is not a public key"))?);
    }
    for rule in list("rules") {
        signer.rules.push(self::rule(rule).ok_or_else(|| wrong("a rule of a signer is malformed"))?);
    }
    // The limits of the wire form hold here too.
    Signer::from_bytes(&signer.to_bytes()).map_err(|err| wrong(err.to_string()))
}

fn scopes(text: &str) -> Option<Scopes> {
    let mut bits = 0;
    for name in text.split(',').map(str::trim) {
        if name == "None" {
            continue;
        }
        bits |= SCOPES.iter().find(|(_, known)| *known == name)?.0.bits();
    }
    Scopes::from_bits(bits)
}

fn rule(value: &Value) -> Option<WitnessRule> {
    let action = match value["action"].as_str()? {
        "Allow" => RuleAction::Allow,
        "Deny" => RuleAction::Deny,
        _ => return None,
    };
    Some(WitnessRule { action, condition: condition(&value["condition"], MAX_NESTING)? })
}

fn condition(value: &Value, depth: usize) -> Option<Condition> {
    let hash = || value["hash"].as_str()?.parse().ok();
    let group = || public_key(value["group"].as_str()?);
    let inner = |value: &Value| condition(value, depth.checked_sub(1)?);
    let all = || value["expressions"].as_array()?.iter().map(inner).collect::<Option<Vec<_>>>();
    Some(match value["type"].as_str()? {
        "Boolean" => Condition::Boolean(match &value["expression"] {
            Value::Bool(flag) => *flag,
            Value::String(text) => text == "true",
            _ => return None,
        }),
        "Not" => Condition::Not(Box::new(inner(&value["expression"])?)),
        "And" => Condition::And(all()?),
        "Or" => Condition::Or(all()?),
        "ScriptHash" => Condition::ScriptHash(hash()?),
        "Group" => Condition::Group(group()?),
        "CalledByEntry" => Condition::CalledByEntry,
        "CalledByContract" => Condition::CalledByContract(hash()?),
        "CalledByGroup" => Condition::CalledByGroup(group()?),
        _ => return None,
    })
}
