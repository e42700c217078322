//! Runners for real headers: runs of them, single ones, blocks as JSON answers, genesis files.

use rand::{RngExt, SeedableRng, rngs::SmallRng};
use rustock::{
    codec::{decode_header, genesis, hash_for_merged_mining, rlp},
    params::{Network, Params, Rskip},
    types::{BlockNumber, Header},
    verify::{self, Sequence},
};
use serde_json::Value;
use shared_vendor::{
    hex,
    testing::vectors::{Cases, Claim, File},
};

use crate::json::{self, Outcome, bytes, list, number, same, show, text};

const NETWORKS: [&str; 5] = ["mainnet", "testnet", "testnet2", "regtest", "devnet"];
const FLIPS: u32 = 10_000;

pub fn claim(file: &File<'_>) -> Option<Claim> {
    let (folder, name) = file.path.split_once('/')?;
    if NETWORKS.contains(&folder) && name.ends_with(".txt") && is_run(file.text()) {
        return Some(Claim::Run(run_of_headers));
    }
    let json: Value = serde_json::from_slice(file.bytes).ok()?;
    let first = json.get(0);
    let has = |name: &str| first.is_some_and(|first| first.get(name).is_some());
    match folder {
        "genesis" if json.get("alloc").is_some() => Some(Claim::Run(genesis_file)),
        "genesis" => Some(Claim::Run(genesis_expected)),
        _ if NETWORKS.contains(&folder) && has("rlp") && has("rpc") => Some(Claim::Run(rpc_blocks)),
        _ if NETWORKS.contains(&folder) && has("rlp") => Some(Claim::Run(single_headers)),
        _ => None,
    }
}

/// Lines of `number hash hashForMergedMining headerRlp`.
fn is_run(text: &str) -> bool {
    text.lines().next().is_some_and(|line| {
        let mut words = line.split(' ');
        let numbered = words.next().is_some_and(|number| number.parse::<u64>().is_ok());
        numbered && words.clone().count() == 3 && words.all(|word| hex::decode(word).is_ok())
    })
}

/// Every line decodes to the stated hashes and keeps every rule; on a network with real work no flipped bit passes.
fn run_of_headers(file: &File<'_>, cases: &mut Cases) {
    let network = file.path.split('/').next().and_then(Network::by_name).unwrap_or(Network::Mainnet);
    let params = Params::of(network);
    let mut run: Option<Sequence> = None;
    let mut headers = Vec::new();
    for (line_number, line) in file.text().lines().enumerate() {
        cases.case(format!("line {}", line_number + 1), || {
            let (header, stated) = line_header(&params, line)?;
            same("number", &header.number().0.to_string().as_str(), &stated[0])?;
            same("hash", &header.hash().to_string().as_str(), &stated[1])?;
            let mining = hash_for_merged_mining(&params, &header).ok_or("no hash for merged mining")?;
            same("hash for merged mining", &mining.to_string().as_str(), &stated[2])?;
            headers.push(header.clone());
            if header.number().0 == 0 {
                run = Some(Sequence::at_genesis(&params, header).map_err(show)?);
                return Ok(());
            }
            let checked = verify::check(&params, header, None).map_err(show)?;
            match run.as_mut() {
                Some(run) => run.push(&params, checked).map_err(show),
                None => {
                    run = Some(Sequence::at_checkpoint(checked));
                    Ok(())
                }
            }
        });
    }
    if network == Network::Mainnet && !headers.is_empty() {
        cases.case(format!("{FLIPS} flipped bits"), || no_flipped_bit_passes(&params, &headers));
    }
}

fn no_flipped_bit_passes(params: &Params, headers: &[Header]) -> Outcome {
    let mut random = SmallRng::seed_from_u64(30);
    for _ in 0..FLIPS {
        let header = &headers[random.random_range(0..headers.len())];
        let mut wire = header.wire().to_vec();
        let bit = random.random_range(0..wire.len() * 8);
        wire[bit / 8] ^= 1 << (bit % 8);
        let passes = decode_header(params, wire.into()).is_ok_and(|flipped| {
            verify::canonical(&flipped).is_ok() && verify::check(params, flipped, None).is_ok()
        });
        if passes {
            return Err(format!("header {} passes with bit {bit} flipped", header.number()));
        }
    }
    Ok(())
}

fn line_header<'a>(params: &Params, line: &'a str) -> Outcome<(Header, [&'a str; 3])> {
    let words: Vec<&str> = line.split(' ').collect();
    let [number, hash, mining, rlp] = *words else { return Err("not four words".into()) };
    let wire = hex::decode(rlp).map_err(show)?;
    Ok((decode_header(params, wire.into()).map_err(show)?, [number, hash, mining]))
}

/// Real headers without their neighbours.
fn single_headers(file: &File<'_>, cases: &mut Cases) {
    for entry in list(&file.json()) {
        cases.case(name(entry), || single(entry, bytes(entry, "rlp")?).map(|_| ()));
    }
}

/// Blocks as another node's JSON answers them: the header built from the answer is the real one.
fn rpc_blocks(file: &File<'_>, cases: &mut Cases) {
    for entry in list(&file.json()) {
        cases.case(name(entry), || {
            let wire = bytes(entry, "rlp")?;
            let params = json::params(text(entry, "network")?)?;
            same("RLP built from the answer", &from_rpc(&params, &entry["rpc"])?, &wire)?;
            single(entry, wire)
        });
    }
}

fn single(entry: &Value, wire: Vec<u8>) -> Outcome {
    let params = json::params(text(entry, "network")?)?;
    let header = decode_header(&params, wire.into()).map_err(show)?;
    same("number", &header.number().0, &number(entry, "number")?)?;
    same("hash", &header.hash().to_string().as_str(), &text(entry, "hash")?)?;
    let mining = hash_for_merged_mining(&params, &header).ok_or("no hash for merged mining")?;
    same("hash for merged mining", &mining.to_string().as_str(), &text(entry, "hash_for_merged_mining")?)?;
    if let Some(difficulty) = entry.get("difficulty").and_then(Value::as_str) {
        same("difficulty", &header.difficulty().to_string().as_str(), &difficulty)?;
        same("timestamp", &header.timestamp().0, &number(entry, "timestamp")?)?;
    }
    verify::check(&params, header, None).map(|_| ()).map_err(show)
}

/// The header that a block's JSON answer describes (version 0).
fn from_rpc(params: &Params, block: &Value) -> Outcome<Vec<u8>> {
    let height = BlockNumber(number(block, "number")?);
    let field = |name: &str| bytes(block, name);
    let uncles = list(&block["uncles"]).count();
    let mut fields = rlp::Encoder::new();
    for name in
        ["parentHash", "sha3Uncles", "miner", "stateRoot", "transactionsRoot", "receiptsRoot", "logsBloom"]
    {
        fields.string(&field(name)?);
    }
    fields.signed(&field("difficulty")?).u64(height.0).signed(&number(block, "gasLimit")?.to_be_bytes());
    fields.u64(number(block, "gasUsed")?).u64(number(block, "timestamp")?).string(&field("extraData")?);
    fields.unsigned(&field("paidFees")?).signed(&field("minimumGasPrice")?).u64(uncles as u64);
    if params.is_active(Rskip::Umm, height) {
        fields.string(&[]);
    }
    let mining = [
        "bitcoinMergedMiningHeader",
        "bitcoinMergedMiningMerkleProof",
        "bitcoinMergedMiningCoinbaseTransaction",
    ];
    for name in mining {
        fields.string(&field(name)?);
    }
    let mut list = rlp::Encoder::new();
    list.list_of(fields.as_slice());
    Ok(list.into_vec())
}

/// Hash and RLP of the genesis header of each network.
fn genesis_expected(file: &File<'_>, cases: &mut Cases) {
    for (network, expected) in file.json().as_object().into_iter().flatten() {
        cases.case(network, || {
            let params = json::params(network)?;
            let header = genesis(&params).ok_or("genesis is not known")?;
            same("hash", &header.hash().to_string().as_str(), &text(expected, "hash")?)?;
            same("RLP", &header.wire().to_vec(), &bytes(expected, "rlp")?)
        });
    }
}

/// A genesis file describes the genesis of one of the networks.
fn genesis_file(file: &File<'_>, cases: &mut Cases) {
    cases.case("header built from the file", || {
        let json = file.json();
        let mut seen = Vec::new();
        for network in Network::ALL {
            let params = Params::of(network);
            let Some(known) = params.genesis.as_ref() else { continue };
            // a file without a state root leaves it to be computed from balances; it is then taken as known
            let state_root = bytes(&json, "stateRoot").unwrap_or_else(|_| known.state_root.to_vec());
            let wire = genesis_wire(&json, &state_root)?;
            let header = decode_header(&params, wire.into()).map_err(show)?;
            if header.hash() == known.hash {
                return Ok(());
            }
            seen.push((network, header.hash()));
        }
        Err(format!("is the genesis of no network: {seen:?}"))
    });
}

fn genesis_wire(json: &Value, state_root: &[u8]) -> Outcome<Vec<u8>> {
    let field = |name: &str| bytes(json, name);
    let gas_limit = number(json, "gasLimit")?.to_be_bytes();
    let empty_trie = rustock::codec::header::EMPTY_TRIE_ROOT;
    let mut fields = rlp::Encoder::new();
    fields.string(&field("parentHash")?).string(&rustock::codec::header::EMPTY_UNCLES_HASH);
    fields.string(&field("coinbase")?).string(state_root).string(&empty_trie).string(&empty_trie);
    fields.string(&[0; 256]).string(&field("difficulty")?).u64(0).unsigned(&gas_limit).u64(0);
    fields.u64(number(json, "timestamp")?).string(&field("extraData")?).u64(0);
    fields.signed(&field("minimumGasPrice")?).u64(0);
    let mining = [
        "bitcoinMergedMiningHeader",
        "bitcoinMergedMiningMerkleProof",
        "bitcoinMergedMiningCoinbaseTransaction",
    ];
    for name in mining {
        fields.string(&field(name)?);
    }
    let mut list = rlp::Encoder::new();
    list.list_of(fields.as_slice());
    Ok(list.into_vec())
}

fn name(entry: &Value) -> String {
    format!("{} {}", entry["network"].as_str().unwrap_or("?"), entry["number"])
}
