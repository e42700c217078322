//! `core/`: hashes, Base58, keys, multisig accounts, interop ids, native contract hashes, one MainNet block.

use std::fmt::Debug;

use neo_base::{
    UInt160, account,
    codec::Wire,
    ledger::{HeaderBody, Witness, sign_data},
};
use neo_crypto::{
    base58, hash,
    nep2::{self, ScryptParams},
    secp256r1::{PrivateKey, PublicKey},
    wif,
};
use neo_wallet::{Language, Mnemonic};
use serde_json::Value;
use shared_vendor::{
    hex,
    testing::vectors::{Cases, Claim, File},
};

/// Address version of the public networks.
const ADDRESS_VERSION: u8 = 0x35;

pub(crate) fn claim(file: &File<'_>) -> Option<Claim> {
    let json = file.json();
    let first = match &json {
        Value::Array(items) => items.first()?,
        other => other,
    };
    let has = |key: &str| first.get(key).is_some();
    Some(if has("murmur128") {
        Claim::Run(hashes)
    } else if has("base58") {
        Claim::Run(base58_pairs)
    } else if has("private_key") {
        Claim::Run(keys)
    } else if has("public_keys_unsorted") {
        Claim::Run(multisig)
    } else if has("id_u32_le") {
        Claim::Run(syscalls)
    } else if has("hash_script") {
        Claim::Run(native_hashes)
    } else if has("header_unsigned") {
        Claim::Run(block_header)
    } else if has("mnemonic") {
        Claim::Run(mnemonics)
    } else {
        return None;
    })
}

fn hashes(file: &File<'_>, cases: &mut Cases) {
    each(file, cases, |case| {
        let data = bytes(case, "data")?;
        let mut actual = vec![
            ("sha256", hex::encode(hash::sha256(&data))),
            ("hash256", hex::encode(hash::hash256(&data))),
            ("ripemd160", hex::encode(hash::ripemd160(&data))),
            ("hash160", hex::encode(hash::hash160(&data))),
            ("keccak256", hex::encode(hash::keccak256(&data))),
            ("blake2b_256", hex::encode(hash::blake2b_256(&data))),
            ("blake2b_512", hex::encode(hash::blake2b_512(&data))),
            ("base58", base58::encode(&data)),
            ("base58check", base58::encode_check(&data)),
        ];
        actual.sort_unstable();
        for (key, value) in actual {
            if case[key].is_null() {
                continue; // left out where the text would be long
            }
            same(key, &value.as_str(), &text(case, key)?)?;
        }
        for (key, murmur) in [
            ("murmur32", (|data, seed| hex::encode(hash::murmur32(data, seed))) as fn(&[u8], u32) -> String),
            ("murmur128", |data, seed| hex::encode(hash::murmur128(data, seed))),
        ] {
            for (seed, expected) in case[key].as_object().ok_or("no table")? {
                let seed_number = seed.parse().map_err(|_| "seed is no number")?;
                same(key, &Some(murmur(&data, seed_number).as_str()), &expected.as_str())?;
            }
        }
        same("decoded", &base58::decode_check(&base58::encode_check(&data)), &Ok(data))
    });
}

fn base58_pairs(file: &File<'_>, cases: &mut Cases) {
    each(file, cases, |case| {
        let data = bytes(case, "hex")?;
        same("text", &base58::encode(&data).as_str(), &text(case, "base58")?)?;
        same("bytes", &base58::decode(text(case, "base58")?), &Ok(data))
    });
}

fn keys(file: &File<'_>, cases: &mut Cases) {
    each(file, cases, |case| {
        let private: [u8; 32] = bytes(case, "private_key")?.try_into().map_err(|_| "32 bytes expected")?;
        let key = PrivateKey::from_bytes(&private).ok_or("no private key")?;
        let public = key.public_key();
        same("public key", &public.to_string().as_str(), &text(case, "public_key")?)?;
        same("WIF", &wif::encode(&key).as_str(), &text(case, "wif")?)?;
        let read = wif::decode(text(case, "wif")?).map_err(|err| err.to_string())?;
        same("key of the WIF", &*read.to_bytes(), &private)?;
        let script = account::signature_script(&public);
        same("script", &hex::encode(&script).as_str(), &text(case, "verification_script")?)?;
        same("key of the script", &account::parse_signature_script(&script), &Some(&public.to_bytes()))?;
        account_texts(case, &script)?;
        let nep2_case = &case["nep2"];
        if nep2_case.is_object() {
            let number =
                |key: &str| nep2_case[key].as_u64().and_then(|n| u32::try_from(n).ok()).ok_or("number");
            let params = ScryptParams { n: number("n")?, r: number("r")?, p: number("p")? };
            let password = text(nep2_case, "password")?.as_bytes();
            let encrypted =
                nep2::encrypt(&key, password, params, address_of).map_err(|err| err.to_string())?;
            same("NEP-2", &encrypted.as_str(), &text(nep2_case, "key")?)?;
            let decrypted = nep2::decrypt(&encrypted, password, params, address_of);
            same("key of NEP-2", &decrypted.map(|key| *key.to_bytes()), &Ok(private))?;
        }
        let sign = &case["sign"];
        if sign.is_object() {
            let message = bytes(sign, "message_hex")?;
            let signature = key.sign(&message);
            same("signature", &hex::encode(signature).as_str(), &text(sign, "rfc6979_sha256_signature")?)?;
            same("verified", &public.verify(&message, &signature), &true)?;
        }
        Ok(())
    });
}

fn mnemonics(file: &File<'_>, cases: &mut Cases) {
    each(file, cases, |case| {
        let (entropy, words) = (bytes(case, "entropy")?, text(case, "mnemonic")?);
        let made = Mnemonic::from_entropy(&entropy, Language::ENGLISH).map_err(|err| err.to_string())?;
        same("words", &made.words().as_str(), &words)?;
        let read = Mnemonic::parse(words).map_err(|err| err.to_string())?;
        same("entropy", &*read.entropy(), &entropy)?;
        same("seed", &hex::encode(read.seed(text(case, "passphrase")?)).as_str(), &text(case, "seed")?)
    });
}

fn multisig(file: &File<'_>, cases: &mut Cases) {
    each(file, cases, |case| {
        let keys: Vec<PublicKey> = case["public_keys_unsorted"]
            .as_array()
            .ok_or("no keys")?
            .iter()
            .filter_map(|key| PublicKey::from_bytes(&hex::decode(key.as_str()?).ok()?))
            .collect();
        let m = case["m"].as_u64().and_then(|m| usize::try_from(m).ok()).ok_or("no m")?;
        let script = account::multisig_script(m, &keys).ok_or("no script")?;
        same("script", &hex::encode(&script).as_str(), &text(case, "script")?)?;
        let parsed = account::parse_multisig_script(&script).map(|(m, keys)| (m, keys.len()));
        same("parsed", &parsed, &Some((m, keys.len())))?;
        account_texts(case, &script)
    });
}

fn syscalls(file: &File<'_>, cases: &mut Cases) {
    each(file, cases, |case| {
        let id = account::interop_id(text(case, "name")?);
        same("id", &Some(u64::from(id)), &case["id_u32_le"].as_u64())
    });
}

fn native_hashes(file: &File<'_>, cases: &mut Cases) {
    each(file, cases, |case| {
        let hash = account::script_hash(&bytes(case, "hash_script")?);
        same("hash", &Ok(hash), &text(case, "hash")?.parse::<UInt160>())
    });
}

fn block_header(file: &File<'_>, cases: &mut Cases) {
    let case = file.json();
    cases.case("header", || {
        let preimage = bytes(&case, "header_unsigned")?;
        let body = HeaderBody::from_bytes(&preimage).map_err(|err| err.to_string())?;
        same("written again", &body.to_bytes(), &preimage)?;
        let json = &case["json"];
        same("index", &Some(u64::from(body.index)), &json["index"].as_u64())?;
        same("time", &Some(body.timestamp), &json["time"].as_u64())?;
        same("nonce", &format!("{:016X}", body.nonce).as_str(), &text(json, "nonce")?)?;
        let next = account::from_address(text(json, "nextconsensus")?, ADDRESS_VERSION);
        same("next consensus", &Ok(body.next_consensus), &next)?;
        let witness_json = &json["witnesses"][0];
        let witness = Witness {
            invocation: base64(text(witness_json, "invocation")?)?,
            verification: base64(text(witness_json, "verification")?)?,
        };
        let header = neo_base::ledger::Header::new(body, witness);
        same("hash", &header.hash().to_string().as_str(), &text(json, "hash")?)?;
        let magic =
            case["sign_data_prefix_magic"].as_u64().and_then(|m| u32::try_from(m).ok()).ok_or("magic")?;
        let signed = sign_data(magic, &header.hash());
        let (m, keys) =
            account::parse_multisig_script(&header.witness().verification).ok_or("not multisig")?;
        let signatures: Vec<[u8; 64]> = header
            .witness()
            .invocation
            .chunks(66)
            .filter_map(|push| push.strip_prefix(&[0x0c, 64])?.try_into().ok())
            .collect();
        same("number of signatures", &signatures.len(), &m)?;
        let mut candidates = keys.iter();
        let valid = signatures.iter().all(|signature| candidates.any(|key| key.verify(&signed, signature)));
        same("signatures in the order of the keys", &valid, &true)
    });
}

fn account_texts(case: &Value, script: &[u8]) -> Result<(), String> {
    let hash = account::script_hash(script);
    same("script hash", &hash.to_string().as_str(), &text(case, "script_hash")?)?;
    same("address", &account::to_address(&hash, ADDRESS_VERSION).as_str(), &text(case, "address")?)?;
    same("account", &account::from_address(text(case, "address")?, ADDRESS_VERSION), &Ok(hash))
}

fn address_of(key: &PublicKey) -> String {
    account::to_address(&account::script_hash(&account::signature_script(key)), ADDRESS_VERSION)
}

/// Runs each element of the file's array as one case.
fn each(file: &File<'_>, cases: &mut Cases, run: impl Fn(&Value) -> Result<(), String>) {
    for (index, case) in file.json().as_array().into_iter().flatten().enumerate() {
        cases.case(index.to_string(), || run(case));
    }
}

pub(crate) fn same<T: PartialEq + Debug>(what: &str, actual: &T, expected: &T) -> Result<(), String> {
    if actual == expected { Ok(()) } else { Err(format!("{what}: actual {actual:?}, expected {expected:?}")) }
}

fn text<'a>(case: &'a Value, key: &str) -> Result<&'a str, String> {
    case[key].as_str().ok_or_else(|| format!("no text {key}"))
}

fn bytes(case: &Value, key: &str) -> Result<Vec<u8>, String> {
    hex::decode(text(case, key)?).map_err(|err| err.to_string())
}

pub(crate) fn base64(text: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let (mut bits, mut count) = (0u32, 0);
    for symbol in text.bytes().filter(|symbol| *symbol != b'=') {
        let value = match symbol {
            b'A'..=b'Z' => symbol - b'A',
            b'a'..=b'z' => symbol - b'a' + 26,
            b'0'..=b'9' => symbol - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return Err("not Base64".into()),
        };
        bits = (bits << 6) | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push(u8::try_from((bits >> count) & 0xff).map_err(|_| "byte")?);
        }
    }
    Ok(out)
}
