//! `ed25519/`: signing, and the chain's acceptance rule alone and in batches.

use crate::support::{array, bytes, cases};
use pos_node::crypto::ed25519::{Item, public_key, sign, verify, verify_batch};
use serde_json::Value;
use shared_vendor::testing::vectors::{Cases, Claim, File};

pub fn claim(file: &File<'_>) -> Option<Claim> {
    let json = file.json();
    let first = cases(&json).first()?;
    if first.get("secret_seed").is_some() {
        return Some(Claim::Run(signing));
    }
    first.get("pos_rule").is_some().then_some(Claim::Run(acceptance))
}

fn signing(file: &File<'_>, out: &mut Cases) {
    for (at, case) in cases(&file.json()).iter().enumerate() {
        let seed = array(&case["secret_seed"]);
        let message = bytes(&case["message"]);
        let key = public_key(&seed);
        let signature = sign(&seed, &message);
        out.equal(format!("{at} key"), &key, &array(&case["public_key"]));
        out.equal(format!("{at} signature"), &signature, &array(&case["signature"]));
        let item = Item { key: &key, signature: &signature, message: &message };
        out.equal(format!("{at} verifies"), &verify(&item), &true);
    }
}

fn acceptance(file: &File<'_>, out: &mut Cases) {
    let json = file.json();
    let mut good = Vec::new();
    for (at, case) in cases(&json).iter().enumerate() {
        let message = bytes(case.get("message").unwrap_or(&json["message"]));
        let expected = case["pos_rule"].as_bool().expect("verdict");
        let (Ok(key), Ok(signature)) =
            (bytes(&case["pub_key"]).try_into(), bytes(&case["signature"]).try_into())
        else {
            out.equal(format!("{at} has another length"), &false, &expected);
            continue;
        };
        let item = Item { key: &key, signature: &signature, message: &message };
        out.equal(format!("{at} {}", case.get("comment").unwrap_or(&Value::Null)), &verify(&item), &expected);
        let pair = [item, item];
        out.equal(format!("{at} in a batch"), &verify_batch(&pair), &if expected { Ok(()) } else { Err(0) });
        if expected {
            good.push((key, signature, message));
        }
    }
    let all: Vec<_> = good.iter().map(|(key, signature, message)| Item { key, signature, message }).collect();
    out.equal("all good ones in one batch", &verify_batch(&all), &Ok(()));
}
