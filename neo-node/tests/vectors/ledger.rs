//! Recorded blocks and payloads as bytes: decoding, writing again, hashes, Merkle roots, links and signatures of
//! blocks. What blocks change is not looked at here.

use neo_base::{
    UInt256, account,
    codec::Wire,
    ledger::{Block, Extensible, Witness, sign_data},
};
use serde_json::Value;
use shared_vendor::{
    bytes::Reader,
    hex,
    testing::vectors::{Cases, Claim, File},
};

use super::core_vectors::{base64, same};

/// Magic numbers of the recorded networks, found by the first block that validators signed.
const NETWORKS: [u32; 6] = [42, 56753, 56754, 56757, 860_833_102, 894_710_606];

/// Largest block that is read from an archive.
const MAX_BLOCK: usize = 0x0200_0000;

pub(crate) fn claim(file: &File<'_>) -> Option<Claim> {
    if file.path.ends_with(".acc") {
        return Some(Claim::Run(archive));
    }
    if !file.path.ends_with(".json") {
        return None;
    }
    let json = file.json();
    let first = json.get(0)?;
    if first.get("raw").is_some() && first.get("hash").is_some() {
        Some(Claim::Run(blocks))
    } else if first.get("message").is_some() && first.get("decoded").is_some() {
        Some(Claim::Run(payloads))
    } else {
        None
    }
}

/// `{h, hash, raw}` for each block.
fn blocks(file: &File<'_>, cases: &mut Cases) {
    let mut chain = Chain::default();
    for case in file.json().as_array().into_iter().flatten() {
        cases.case(format!("block {}", case["h"]), || {
            let raw = base64(case["raw"].as_str().ok_or("no bytes")?)?;
            let hash = chain.accept(&raw)?;
            same("hash", &Some(hash.to_string().as_str()), &case["hash"].as_str())
        });
    }
}

/// A count (after a start height in newer archives), then a length and the bytes of each block.
fn archive(file: &File<'_>, cases: &mut Cases) {
    let mut reader = Reader::new(file.bytes);
    let (first, second) = (reader.u32_le(), reader.u32_le());
    let count = match (first, second) {
        (Ok(0), Ok(count)) => count,
        (Ok(count), Ok(_)) => {
            reader = Reader::new(file.bytes.get(4..).unwrap_or_default());
            count
        }
        _ => return cases.fail("archive", &"too short", &"a count"),
    };
    let mut chain = Chain::default();
    for height in 0..count {
        let raw = reader.u32_le().and_then(|len| reader.bounded(len.into(), MAX_BLOCK));
        cases.case(format!("block {height}"), || chain.accept(raw.map_err(|err| err.to_string())?).map(drop));
    }
    cases.check("end of the archive", reader.is_empty(), || format!("{} bytes left", reader.left()));
}

/// Consensus messages: the payload of a network message, with its decoded form.
fn payloads(file: &File<'_>, cases: &mut Cases) {
    for (index, case) in file.json().as_array().into_iter().flatten().enumerate() {
        cases.case(index.to_string(), || {
            let decoded = &case["decoded"];
            let bytes = hex::decode(text(decoded, "payload")?).map_err(|err| err.to_string())?;
            let payload = Extensible::from_bytes(&bytes).map_err(|err| err.to_string())?;
            same("written again", &payload.to_bytes(), &bytes)?;
            same("hash", &payload.hash().to_string().as_str(), &text(decoded, "hash")?)?;
            same("category", &payload.category.as_str(), &text(decoded, "category")?)?;
            let number = |key: &str| decoded[key].as_u64().and_then(|number| u32::try_from(number).ok());
            same("start", &Some(payload.valid_block_start), &number("valid_block_start"))?;
            same("end", &Some(payload.valid_block_end), &number("valid_block_end"))?;
            same("sender", &payload.sender.to_string().as_str(), &text(decoded, "sender")?)?;
            same("data", &hex::encode(&payload.data).as_str(), &text(decoded, "data")?)?;
            let signed = NETWORKS.iter().any(|network| signed_by_one(&payload, *network));
            same("signature", &Some(signed), &decoded["witness_ok"].as_bool())
        });
    }
}

fn signed_by_one(payload: &Extensible, network: u32) -> bool {
    let key = account::parse_signature_script(&payload.witness.verification);
    let key = key.and_then(|key| neo_crypto::secp256r1::PublicKey::from_bytes(key));
    let signature = signatures(&payload.witness).into_iter().next();
    payload.witness.script_hash() == payload.sender
        && key
            .zip(signature)
            .is_some_and(|(key, signature)| key.verify(&sign_data(network, &payload.hash()), &signature))
}

/// Blocks that follow each other.
#[derive(Default)]
struct Chain {
    last: Option<Block>,
    network: Option<u32>,
}

impl Chain {
    fn accept(&mut self, raw: &[u8]) -> Result<UInt256, String> {
        let block = Block::from_bytes(raw).map_err(|err| err.to_string())?;
        same("written again", &(block.to_bytes() == raw), &true)?;
        let size: usize = block.transactions.iter().map(|tx| tx.size()).sum();
        let written: usize = block.transactions.iter().map(|tx| tx.to_bytes().len()).sum();
        same("sizes of transactions", &size, &written)?;
        let (body, hash) = (block.header.body().clone(), block.header.hash());
        if let Some(last) = &self.last {
            same("previous hash", &body.previous, &last.header.hash())?;
            same("index", &Some(body.index), &last.header.body().index.checked_add(1))?;
            let account = last.header.body().next_consensus;
            same("signing account", &block.header.witness().script_hash(), &account)?;
            let signed =
                |network: &u32| signed_by_several(block.header.witness(), &sign_data(*network, &hash));
            self.network = self.network.or_else(|| NETWORKS.iter().copied().find(|network| signed(network)));
            same(
                "signatures of the validators",
                &self.network.is_some_and(|network| signed(&network)),
                &true,
            )?;
        }
        self.last = Some(block);
        Ok(hash)
    }
}

/// True when the witness has as many valid signatures as its script asks for, in the order of the keys.
fn signed_by_several(witness: &Witness, message: &[u8]) -> bool {
    let Some((m, keys)) = account::parse_multisig_script(&witness.verification) else { return false };
    let signatures = signatures(witness);
    let mut keys = keys.iter();
    signatures.len() == m && signatures.iter().all(|signature| keys.any(|key| key.verify(message, signature)))
}

fn signatures(witness: &Witness) -> Vec<[u8; 64]> {
    witness.invocation.chunks(66).filter_map(|push| push.strip_prefix(&[0x0c, 64])?.try_into().ok()).collect()
}

fn text<'a>(case: &'a Value, key: &str) -> Result<&'a str, String> {
    case[key].as_str().ok_or_else(|| format!("no text {key}"))
}
