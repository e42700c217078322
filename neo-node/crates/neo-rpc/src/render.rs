//! Protocol values as the C# node shows them in JSON. Mirrors `ToJson` of the payload classes and
//! `plugins/RpcServer/Utility.cs`.

mod item;

use neo_base::{
    UInt160, account,
    codec::Wire,
    ledger::{
        Attribute, Block, Condition, Header, OracleCode, RuleAction, Scopes, Signer, Transaction, Witness,
        WitnessRule,
    },
};
use neo_contract::{Json, base64};
use serde_json::{Map, Value, json};

pub use item::{ItemError, item};

/// Base64 text.
#[must_use]
pub fn bytes(data: &[u8]) -> Value {
    Value::String(base64::encode(data))
}

/// The reference's own JSON values.
#[must_use]
pub fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(flag) => Value::Bool(*flag),
        Json::Number(number) => self::number(*number),
        Json::Text(text) => Value::String(text.clone()),
        Json::Array(items) => items.iter().map(value).collect(),
        Json::Object(members) => {
            Value::Object(members.iter().map(|(name, member)| (name.clone(), value(member))).collect())
        }
    }
}

/// A number without a fraction is written without one.
fn number(number: f64) -> Value {
    let whole = neo_contract::json::format_number(number).parse::<i64>();
    whole
        .map_or_else(|_| serde_json::Number::from_f64(number).map_or(Value::Null, Value::Number), Value::from)
}

/// A header with its size and hash.
#[must_use]
pub fn header(header: &Header, address_version: u8) -> Map<String, Value> {
    let body = header.body();
    let value = json!({
        "hash": header.hash().to_string(),
        "size": header.to_bytes().len(),
        "version": 0,
        "previousblockhash": body.previous.to_string(),
        "merkleroot": body.merkle_root.to_string(),
        "time": body.timestamp,
        "nonce": format!("{:016X}", body.nonce),
        "index": body.index,
        "primary": body.primary,
        "nextconsensus": account::to_address(&body.next_consensus, address_version),
        "witnesses": [witness(header.witness())],
    });
    object(value)
}

/// A block with its transactions.
#[must_use]
pub fn block(block: &Block, address_version: u8) -> Map<String, Value> {
    let mut out = header(&block.header, address_version);
    out.insert("size".to_owned(), block.to_bytes().len().into());
    let transactions = block.transactions.iter().map(|tx| Value::Object(transaction(tx, address_version)));
    out.insert("tx".to_owned(), transactions.collect());
    out
}

/// A transaction.
#[must_use]
pub fn transaction(tx: &Transaction, address_version: u8) -> Map<String, Value> {
    let body = tx.body();
    let value = json!({
        "hash": tx.hash().to_string(),
        "size": tx.size(),
        "version": 0,
        "nonce": body.nonce,
        "sender": account::to_address(&body.sender(), address_version),
        "sysfee": body.system_fee.to_string(),
        "netfee": body.network_fee.to_string(),
        "validuntilblock": body.valid_until_block,
        "signers": body.signers.iter().map(signer).collect::<Vec<_>>(),
        "attributes": body.attributes.iter().map(attribute).collect::<Vec<_>>(),
        "script": bytes(&body.script),
        "witnesses": tx.witnesses().iter().map(witness).collect::<Vec<_>>(),
    });
    object(value)
}

/// The two scripts of a witness.
#[must_use]
pub fn witness(witness: &Witness) -> Value {
    json!({ "invocation": bytes(&witness.invocation), "verification": bytes(&witness.verification) })
}

/// A signer.
#[must_use]
pub fn signer(signer: &Signer) -> Value {
    let mut out = object(json!({ "account": signer.account.to_string(), "scopes": scopes(signer.scopes) }));
    if signer.scopes.contains(Scopes::CUSTOM_CONTRACTS) {
        let hashes: Value = signer.allowed_contracts.iter().map(UInt160::to_string).collect();
        out.insert("allowedcontracts".to_owned(), hashes);
    }
    if signer.scopes.contains(Scopes::CUSTOM_GROUPS) {
        let keys: Value = signer.allowed_groups.iter().map(ToString::to_string).collect();
        out.insert("allowedgroups".to_owned(), keys);
    }
    if signer.scopes.contains(Scopes::WITNESS_RULES) {
        out.insert("rules".to_owned(), signer.rules.iter().map(rule).collect());
    }
    Value::Object(out)
}

/// Names of scopes; the same are read.
pub(crate) const SCOPES: [(Scopes, &str); 5] = [
    (Scopes::CALLED_BY_ENTRY, "CalledByEntry"),
    (Scopes::CUSTOM_CONTRACTS, "CustomContracts"),
    (Scopes::CUSTOM_GROUPS, "CustomGroups"),
    (Scopes::WITNESS_RULES, "WitnessRules"),
    (Scopes::GLOBAL, "Global"),
];

fn scopes(scopes: Scopes) -> String {
    if scopes == Scopes::NONE {
        return "None".to_owned();
    }
    let names: Vec<_> =
        SCOPES.iter().filter(|(scope, _)| scopes.contains(*scope)).map(|(_, name)| *name).collect();
    names.join(", ")
}

fn rule(rule: &WitnessRule) -> Value {
    let action = if rule.action == RuleAction::Allow { "Allow" } else { "Deny" };
    json!({ "action": action, "condition": condition(&rule.condition) })
}

fn condition(of: &Condition) -> Value {
    let all = |of: &[Condition]| of.iter().map(condition).collect::<Value>();
    match of {
        Condition::Boolean(flag) => json!({ "type": "Boolean", "expression": flag }),
        Condition::Not(inner) => json!({ "type": "Not", "expression": condition(inner) }),
        Condition::And(inner) => json!({ "type": "And", "expressions": all(inner) }),
        Condition::Or(inner) => json!({ "type": "Or", "expressions": all(inner) }),
        Condition::ScriptHash(hash) => json!({ "type": "ScriptHash", "hash": hash.to_string() }),
        Condition::Group(key) => json!({ "type": "Group", "group": key.to_string() }),
        Condition::CalledByEntry => json!({ "type": "CalledByEntry" }),
        Condition::CalledByContract(hash) => json!({ "type": "CalledByContract", "hash": hash.to_string() }),
        Condition::CalledByGroup(key) => json!({ "type": "CalledByGroup", "group": key.to_string() }),
    }
}

fn attribute(attribute: &Attribute) -> Value {
    match attribute {
        Attribute::HighPriority => json!({ "type": "HighPriority" }),
        Attribute::OracleResponse { id, code, result } => {
            json!({ "type": "OracleResponse", "id": id, "code": oracle_code(*code), "result": bytes(result) })
        }
        Attribute::NotValidBefore(height) => json!({ "type": "NotValidBefore", "height": height }),
        Attribute::Conflicts(hash) => json!({ "type": "Conflicts", "hash": hash.to_string() }),
        Attribute::NotaryAssisted(keys) => json!({ "type": "NotaryAssisted", "nkeys": keys }),
    }
}

fn oracle_code(code: OracleCode) -> &'static str {
    match code {
        OracleCode::Success => "Success",
        OracleCode::ProtocolNotSupported => "ProtocolNotSupported",
        OracleCode::ConsensusUnreachable => "ConsensusUnreachable",
        OracleCode::NotFound => "NotFound",
        OracleCode::Timeout => "Timeout",
        OracleCode::Forbidden => "Forbidden",
        OracleCode::ResponseTooLarge => "ResponseTooLarge",
        OracleCode::InsufficientFunds => "InsufficientFunds",
        OracleCode::ContentTypeNotSupported => "ContentTypeNotSupported",
        OracleCode::Error => "Error",
    }
}

/// The members of an object that was just written.
pub(crate) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}
