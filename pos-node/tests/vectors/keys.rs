//! `keys/` and the wallet files of `misc/`: derivation, key files, addresses.

use crate::support::{array, bytes, cases, list};
use pos_node::{
    crypto::{
        derive::{account_key, child, interop_key, validator_key},
        ed25519,
        keystore::Keystore,
    },
    types::address,
};
use ruint::aliases::U256;
use serde_json::Value;
use shared_vendor::testing::vectors::{Cases, Claim, File};

pub fn claim(file: &File<'_>) -> Option<Claim> {
    if file.path.ends_with(".yaml") {
        return Some(Claim::Run(interop));
    }
    let json = file.json();
    if json.get("keystores").is_some() {
        return Some(Claim::Run(keystores));
    }
    if json.get("bip350_valid").is_some() {
        return Some(Claim::Run(addresses));
    }
    let first = cases(&json).first()?;
    if first.get("master_sk").is_some() {
        return Some(Claim::Run(eip2333));
    }
    first.get("chain_code").is_some().then_some(Claim::Run(slip10))
}

fn interop(file: &File<'_>, out: &mut Cases) {
    let entries: Vec<Value> = serde_yaml_ng::from_slice(file.bytes).expect("YAML");
    for (at, entry) in (0u64..).zip(&entries) {
        let key = interop_key(at).expect("in range");
        out.equal(format!("{at} secret"), &key.to_bytes(), &array(&entry["privkey"]));
        out.equal(format!("{at} public"), &key.public_key().0, &array(&entry["pubkey"]));
    }
}

fn keystores(file: &File<'_>, out: &mut Cases) {
    let json = file.json();
    let password = json["password"].as_str().expect("password");
    for (at, entry) in list(&json["keystores"]).iter().enumerate() {
        let keystore = Keystore::parse(&entry.to_string()).expect("key file");
        let secret = keystore.decrypt(password).expect("right password");
        out.equal(format!("{at}"), secret.as_ref(), &bytes(&json["secret"]));
        out.check(format!("{at} wrong password"), keystore.decrypt("another").is_err(), || "opened".into());
    }
}

fn eip2333(file: &File<'_>, out: &mut Cases) {
    for (at, case) in cases(&file.json()).iter().enumerate() {
        let number = |name: &str| -> [u8; 32] {
            case[name].as_str().expect("number").parse::<U256>().expect("decimal").to_be_bytes()
        };
        let master = validator_key(&bytes(&case["seed"]), "m").expect("long seed");
        out.equal(format!("{at} master"), &master.to_bytes(), &number("master_sk"));
        let index = u32::try_from(case["child_index"].as_u64().expect("index")).expect("32 bits");
        out.equal(format!("{at} child"), &child(&master, index).to_bytes(), &number("child_sk"));
    }
}

fn slip10(file: &File<'_>, out: &mut Cases) {
    for case in cases(&file.json()) {
        let path = case["path"].as_str().expect("path");
        let node = account_key(&bytes(&case["seed"]), path).expect("hardened path");
        out.equal(format!("{path} secret"), &node.secret, &array(&case["private"]));
        out.equal(format!("{path} chain code"), &node.chain_code, &array(&case["chain_code"]));
        let public = bytes(&case["public"]); // the standard writes a zero byte in front
        let tail = &public[public.len() - 32..];
        out.equal(format!("{path} public"), &ed25519::public_key(&node.secret).as_slice(), &tail);
    }
}

fn addresses(file: &File<'_>, out: &mut Cases) {
    let json = file.json();
    for (list_name, valid) in [("bip350_valid", true), ("bip350_invalid", false)] {
        for text in list(&json[list_name]) {
            let text = text.as_str().expect("text");
            out.equal(text, &address::is_bech32m(text), &valid);
        }
    }
    for case in list(&json["addresses"]) {
        let key = ed25519::public_key(&array(&case["ed25519_seed"]));
        let text = case["bech32m"].as_str().expect("text");
        let prefix = if text.starts_with("tpos") { address::TESTNET_PREFIX } else { address::MAINNET_PREFIX };
        let account = address::single(&key);
        out.equal(format!("{text} key"), &key, &array(&case["public_key"]));
        out.equal(format!("{text} hash"), &account.0, &array(&case["address"]));
        out.equal(format!("{text} written"), &address::to_text(&account, prefix).as_str(), &text);
        out.equal(format!("{text} read"), &address::from_text(text, prefix), &Ok(account));
        let other =
            if prefix == address::MAINNET_PREFIX { address::TESTNET_PREFIX } else { address::MAINNET_PREFIX };
        out.check(format!("{text} elsewhere"), address::from_text(text, other).is_err(), || {
            "accepted".into()
        });
    }
}
