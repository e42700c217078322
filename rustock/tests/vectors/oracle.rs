//! Runners for what the reference implementation's own classes computed: difficulty, encodings and hashes of headers
//! of every version, and verdicts on merged-mining proofs.

use rustock::{
    codec::{
        Extension, decode_full, decode_header, encode_full, hash_for_merged_mining,
        header::{block_preimage, merged_mining_preimage},
    },
    types::{BlockNumber, Difficulty, Timestamp},
    verify::{difficulty, proof_of_work},
};
use serde_json::Value;
use shared_vendor::testing::vectors::{Cases, Claim, File};

use crate::json::{self, Outcome, bytes, list, number, same, show, text};

pub fn claim(file: &File<'_>) -> Option<Claim> {
    let (folder, _) = file.path.split_once('/')?;
    if folder != "oracle" {
        return None;
    }
    let json: Value = serde_json::from_slice(file.bytes).ok()?;
    let has = |name: &str| json.get(0).is_some_and(|first| first.get(name).is_some());
    if has("parent_difficulty") {
        Some(Claim::Run(difficulties))
    } else if has("hash_preimage") {
        Some(Claim::Run(header_hashes))
    } else if has("expect_pow_rule") {
        Some(Claim::Run(merged_mining))
    } else {
        None
    }
}

fn difficulties(file: &File<'_>, cases: &mut Cases) {
    for (index, row) in list(&file.json()).enumerate() {
        cases.case(format!("row {index}"), || {
            let params = json::params(text(row, "net")?)?;
            let parent = text(row, "parent_difficulty")?.parse().map_err(|_| "parent_difficulty")?;
            let child = difficulty::Child {
                number: BlockNumber(number(row, "number")?),
                timestamp: Timestamp(number(row, "timestamp")?),
                uncle_count: u32::try_from(number(row, "uncle_count")?).map_err(show)?,
            };
            let parent_time = Timestamp(number(row, "parent_timestamp")?);
            let actual = difficulty::expected(&params, Difficulty(parent), parent_time, &child);
            same("difficulty", &actual.to_string().as_str(), &text(row, "difficulty")?)
        });
    }
}

fn header_hashes(file: &File<'_>, cases: &mut Cases) {
    for (index, row) in list(&file.json()).enumerate() {
        let name = format!("row {index}: {} {} V{}", row["net"], row["number"], row["version"]);
        cases.case(name, || header_hash(row));
    }
}

fn header_hash(row: &Value) -> Outcome {
    let params = json::params(text(row, "net")?)?;
    let (full, wire) = (bytes(row, "full")?, bytes(row, "wire")?);
    let (header, extension) = decode_full(&params, &full).map_err(show)?;
    same("wire form", &header.wire().to_vec(), &wire)?;
    same("full form", &encode_full(&header, extension.as_ref()), &Some(full))?;
    same("decoded wire form", &decode_header(&params, wire.into()).map_err(show)?, &header)?;
    same("number", &header.number().0, &number(row, "number")?)?;
    same("version", &u64::from(header.fields().version), &number(row, "version")?)?;
    same("hash preimage", &block_preimage(&params, &header), &bytes(row, "hash_preimage")?)?;
    same("hash", &header.hash().0.to_vec(), &bytes(row, "hash")?)?;
    same("merged-mining preimage", &merged_mining_preimage(&header), &bytes(row, "mm_preimage")?)?;
    let mining = hash_for_merged_mining(&params, &header).unwrap_or(header.fields().merged_mining_base);
    same("hash for merged mining", &mining.0.to_vec(), &bytes(row, "hash_for_merged_mining")?)?;
    let umm_root = row["umm_root"].as_str().map(|_| bytes(row, "umm_root")).transpose()?;
    same("UMM root", &header.umm_root().map(<[u8]>::to_vec), &umm_root)?;
    let Some(extension) = extension else {
        return same("extension", &Value::Null, &row["extension"]);
    };
    let edges =
        row["edges"].as_array().map(|edges| edges.iter().filter_map(Value::as_u64).collect::<Vec<_>>());
    let actual = extension.edges.as_ref().map(|edges| edges.iter().map(|edge| u64::from(*edge)).collect());
    same("edges", &actual, &edges)?;
    let base_event = row["base_event"].as_str().map(|_| bytes(row, "base_event")).transpose()?;
    same("base event", &extension.base_event, &base_event.unwrap_or_default())?;
    same("extension hash", &extension.hash().to_vec(), &bytes(row, "extension_hash")?)?;
    let encoded = bytes(row, "extension")?;
    same("extension", &extension.encode(), &encoded)?;
    same("decoded extension", &Extension::decode(&encoded).map_err(show)?, &extension)
}

fn merged_mining(file: &File<'_>, cases: &mut Cases) {
    for row in list(&file.json()) {
        cases.case(row["name"].as_str().unwrap_or("?"), || {
            let params = json::params(text(row, "network")?)?;
            let header = decode_header(&params, bytes(row, "header")?.into()).map_err(show)?;
            let mining = hash_for_merged_mining(&params, &header).ok_or("no hash for merged mining")?;
            same("hash for merged mining", &mining.0.to_vec(), &bytes(row, "hash_for_merged_mining")?)?;
            let verdict = proof_of_work(&params, &header);
            if Some(verdict.is_ok()) == row["expect_pow_rule"].as_bool() {
                return Ok(());
            }
            Err(format!("{verdict:?}, expected {} because {}", row["expect_pow_rule"], row["reason"]))
        });
    }
}
