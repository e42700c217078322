//! `bls/`: one runner, the operation is the file's `handler`.

use crate::support::{array, bytes, cases, list, root};
use pos_node::{
    crypto::bls::{
        self, BlsError, Key, SecretKey, SignatureSet, aggregate, aggregate_verify, fast_aggregate_verify,
        verify, verify_sets,
    },
    types::primitives::{PublicKey, Root, Signature},
};
use serde_json::Value;
use shared_vendor::testing::vectors::{Cases, Claim, File};

pub fn claim(file: &File<'_>) -> Option<Claim> {
    let json = file.json();
    json.get("ciphersuite")?;
    matches!(
        json.get("handler")?.as_str()?,
        "aggregate"
            | "aggregate_verify"
            | "batch_verify"
            | "deserialization_G1"
            | "deserialization_G2"
            | "fast_aggregate_verify"
            | "hash_to_G2"
            | "sign"
            | "verify"
    )
    .then_some(Claim::Run(run))
}

fn key(value: &Value) -> Option<Key> {
    Key::new(&PublicKey(bytes(value).try_into().ok()?)).ok()
}

fn keys(value: &Value) -> Option<Vec<Key>> {
    list(value).iter().map(key).collect()
}

fn signature(value: &Value) -> Option<Signature> {
    bytes(value).try_into().ok().map(Signature)
}

fn hash_tag() -> &'static [u8] {
    b"QUUX-V01-CS02-with-BLS12381G2_XMD:SHA-256_SSWU_RO_"
}

fn run(file: &File<'_>, out: &mut Cases) {
    let json = file.json();
    let handler = json["handler"].as_str().expect("handler").to_owned();
    for case in cases(&json) {
        let (input, expected) = (&case["input"], &case["output"]);
        let name = case["case"].as_str().expect("name");
        let actual = match handler.as_str() {
            "sign" => SecretKey::from_bytes(&array(&input["privkey"]))
                .map_or(Value::Null, |secret| secret.sign(&root(&input["message"])).to_string().into()),
            "aggregate" => {
                let all: Vec<_> = list(input).iter().filter_map(signature).collect();
                aggregate(&all).map_or(Value::Null, |sum| sum.to_string().into())
            }
            "hash_to_G2" => {
                point(&bls::hash_to_g2(input["msg"].as_str().expect("msg").as_bytes(), hash_tag()))
            }
            _ => judge(&handler, input).unwrap_or(false).into(),
        };
        out.equal(name, &actual, expected);
    }
}

/// `None` = some part could not be decoded, which counts as false.
fn judge(handler: &str, input: &Value) -> Option<bool> {
    Some(match handler {
        "verify" => {
            verify(&key(&input["pubkey"])?, &root(&input["message"]), &signature(&input["signature"])?)
        }
        "fast_aggregate_verify" => fast_aggregate_verify(
            &keys(&input["pubkeys"])?,
            &root(&input["message"]),
            &signature(&input["signature"])?,
        ),
        "aggregate_verify" => {
            let messages = list(&input["messages"]).iter().map(root);
            let signers: Vec<_> = keys(&input["pubkeys"])?.into_iter().zip(messages).collect();
            aggregate_verify(&signers, &signature(&input["signature"])?)
        }
        "batch_verify" => {
            let messages: Vec<Root> = list(&input["messages"]).iter().map(root).collect();
            let signatures = list(&input["signatures"]).iter().map(signature).collect::<Option<Vec<_>>>()?;
            let sets: Vec<_> = keys(&input["pubkeys"])?
                .into_iter()
                .zip(messages)
                .zip(signatures)
                .map(|((key, message), signature)| SignatureSet { keys: vec![key], message, signature })
                .collect();
            verify_sets(&sets, &[7; 32]).is_ok()
        }
        // infinity is a point that decodes, though never a key
        "deserialization_G1" => matches!(
            Key::new(&PublicKey(bytes(&input["pubkey"]).try_into().ok()?)),
            Ok(_) | Err(BlsError::Infinity)
        ),
        "deserialization_G2" => bls::check_signature(&signature(&input["signature"])?).is_ok(),
        other => panic!("{other}"),
    })
}

fn point(bytes: &[u8; 192]) -> Value {
    let part = |at: usize| format!("0x{}", shared_vendor::hex::encode(&bytes[at * 48..at * 48 + 48]));
    serde_json::json!({ "x": format!("{},{}", part(1), part(0)), "y": format!("{},{}", part(3), part(2)) })
}
