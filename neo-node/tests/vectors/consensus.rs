//! Recorded consensus messages: every field as it was decoded independently, and the same bytes when written again.

use neo_base::codec::Wire;
use neo_consensus::{Body, Message};
use serde_json::{Value, json};
use shared_vendor::{
    hex,
    testing::vectors::{Cases, Claim, File},
};

use super::core_vectors::same;

/// Bytes before the body: kind, height, validator, view.
const HEAD: usize = 7;

pub(crate) fn claim(file: &File<'_>) -> Option<Claim> {
    if !file.path.ends_with(".json") {
        return None;
    }
    let json = file.json();
    json.get(0)?.get("decoded")?.get("message")?;
    Some(Claim::Run(messages))
}

fn messages(file: &File<'_>, cases: &mut Cases) {
    for (index, case) in file.json().as_array().into_iter().flatten().enumerate() {
        let (data, expected) = (&case["decoded"]["data"], &case["decoded"]["message"]);
        cases.case(format!("message {index} {}", expected["type"]), || {
            let data = hex::decode(data.as_str().ok_or("no data")?).map_err(|err| err.to_string())?;
            let message = Message::from_data(&data).map_err(|err| err.to_string())?;
            let written = message.to_bytes();
            same("written again", &written, &data)?;
            let mut actual = fields(&message);
            if matches!(message.body, Body::Recovery(_)) {
                actual["body"] = hex::encode(written.get(HEAD..).unwrap_or_default()).into();
            }
            same("fields", &actual, expected)
        });
    }
}

fn fields(message: &Message) -> Value {
    let mut out = json!({
        "type": "", "block_index": message.height,
        "validator_index": message.validator, "view_number": message.view,
    });
    let (kind, body) = match &message.body {
        Body::ChangeView { timestamp, rejected, .. } => {
            let reason = message.to_bytes().get(HEAD + 8).copied();
            let rest = if rejected.is_some() { "rejected transactions" } else { "" };
            ("ChangeView", json!({"timestamp": timestamp, "reason": reason, "rest": rest}))
        }
        Body::PrepareRequest(proposal) => {
            let hashes: Vec<_> = proposal.hashes.iter().map(ToString::to_string).collect();
            let body = json!({
                "version": proposal.version, "prev_hash": proposal.previous.to_string(),
                "timestamp": proposal.timestamp, "nonce": proposal.nonce, "tx_hashes": hashes,
            });
            ("PrepareRequest", body)
        }
        Body::PrepareResponse(hash) => ("PrepareResponse", json!({"preparation_hash": hash.to_string()})),
        Body::Commit(signature) => ("Commit", json!({"signature": hex::encode(signature)})),
        Body::RecoveryRequest { timestamp } => ("RecoveryRequest", json!({"timestamp": timestamp})),
        Body::Recovery(_) => ("RecoveryMessage", json!({})),
    };
    out["type"] = kind.into();
    if let (Some(out), Some(body)) = (out.as_object_mut(), body.as_object()) {
        out.extend(body.clone());
    }
    out
}
