//! Real blocks and headers: layout, ids, merkle roots.

use fluxd_consensus::{
    Network, Params,
    check::{check_block, check_block_at, check_transaction},
};
use fluxd_fluxnode::message::{is_benchmark_signed, is_start_signed};
use fluxd_pow::{
    equihash::{self, EquihashError, Parameters},
    meets_target,
};
use fluxd_primitives::{
    Block, BlockHeader, Codec, Proof, Transaction, TxId, U256,
    block::{MerkleRoot, merkle_root},
    target::pon_work,
    transaction::fluxnode::FluxnodeTx,
};
use serde_json::Value;
use shared_vendor::{
    hex,
    testing::vectors::{Cases, File},
};

use crate::{
    common::{bytes, number, rows, text, wire},
    shielded,
};

/// Branch ids of Overwinter, Sapling, Blossom, Heartwood and Canopy, and the heights they begin at in Zcash.
const ZCASH_BRANCHES: [u32; 5] = [0x5ba8_1b19, 0x76b8_09bb, 0x2bb4_0e60, 0xf5b9_230b, 0xe9ff_75a6];
const ZCASH_MAIN_STARTS: [u32; 5] = [347_500, 419_200, 653_600, 903_000, 1_046_400];
const ZCASH_TEST_STARTS: [u32; 5] = [207_500, 280_000, 584_000, 903_800, 1_028_500];

/// Genesis blocks of the three networks.
pub(crate) fn genesis(file: &File<'_>, cases: &mut Cases) {
    for row in rows(file) {
        let network = text(&row, "network").to_owned();
        let raw = bytes(&row, "block_raw");
        let block = whole_block(cases, &network, &raw);
        header_fields(cases, &network, &block.header, &row);
        let built = [Network::Main, Network::Test, Network::Regtest]
            .map(Params::of)
            .into_iter()
            .find(|params| params.network.name() == network)
            .map(|params| hex::encode(params.genesis.to_bytes()));
        cases.equal(format!("{network} as built"), &built, &Some(text(&row, "block_raw").to_owned()));
        cases.equal(format!("{network} rules"), &check_block(&block), &Ok(()));
        cases.equal(
            format!("{network} merkle root"),
            &block.header.merkle_root.to_string(),
            &text(&row, "merkle_root").to_owned(),
        );
    }
}

/// Headers with a proof of work.
pub(crate) fn pow_headers(file: &File<'_>, cases: &mut Cases) {
    for row in rows(file) {
        let name = number(&row, "height").to_string();
        let header: BlockHeader = wire(&row, "raw");
        cases.equal(
            format!("{name} re-encoded"),
            &hex::encode(header.to_bytes()),
            &text(&row, "raw").to_owned(),
        );
        header_fields(cases, &name, &header, &row);
    }
}

/// Whole PoN blocks.
pub(crate) fn pon(file: &File<'_>, cases: &mut Cases) {
    for row in rows(file) {
        let name = number(&row, "height").to_string();
        let block = whole_block(cases, &name, &bytes(&row, "raw"));
        cases.equal(format!("{name} hash"), &block.header.hash().to_string(), &text(&row, "hash").to_owned());
        let ids: Vec<String> = block.transactions.iter().map(|tx| tx.txid().to_string()).collect();
        let expected: Vec<String> = serde_json::from_value(row["txids"].clone()).expect("txids are text");
        cases.equal(format!("{name} txids"), &ids, &expected);
        let Proof::Node { collateral, signature } = &block.header.proof else {
            cases.fail(name, &block.header.proof, &"a proof of node");
            continue;
        };
        cases.equal(
            format!("{name} collateral"),
            &collateral.txid.to_string(),
            &text(&row, "collateral_txid").to_owned(),
        );
        cases.equal(
            format!("{name} collateral index"),
            &u64::from(collateral.index),
            &number(&row, "collateral_vout"),
        );
        let params = Params::of(Network::Main);
        cases.equal(
            format!("{name} slot"),
            &u64::from(params.pon.slot(block.header.time)),
            &number(&row, "slot"),
        );
        let pon_hash = params.pon.header_hash(&block.header, collateral);
        cases.equal(
            format!("{name} pon hash"),
            &pon_hash.to_string(),
            &text(&row, "pon_hash_display").to_owned(),
        );
        let height = u32::try_from(number(&row, "height")).expect("a height");
        let eligible = params.pon.check_hash(&pon_hash, block.header.bits, Some(height));
        cases.equal(format!("{name} eligible"), &eligible, &Ok(()));
        let chain_work = |field: &str| U256::from_str_radix(text(&row, field), 16).expect("a number");
        let after = chain_work("chainwork_of_parent") + pon_work();
        cases.equal(format!("{name} chain work"), &after, &chain_work("chainwork_after"));
        cases.equal(format!("{name} rules"), &check_block(&block), &Ok(()));
        cases.equal(format!("{name} rules of its height"), &check_block_at(&block, &params, height), &Ok(()));
        cases.equal(
            format!("{name} signature"),
            &hex::encode(signature),
            &text(&row, "block_sig").to_owned(),
        );
    }
}

/// The transactions of a block whose header is not known.
pub(crate) fn body(file: &File<'_>, cases: &mut Cases) {
    let json = file.json();
    let params = Params::of(Network::Main);
    let mut ids: Vec<TxId> = Vec::new();
    for row in json["txs"].as_array().expect("txs is a list") {
        let tx: Transaction = wire(row, "raw");
        cases.equal(text(row, "txid"), &tx.txid().to_string(), &text(row, "txid").to_owned());
        ids.push(tx.txid());
        cases.equal(format!("{} rules", tx.txid()), &check_transaction(&tx), &Ok(()));
        match tx.fluxnode.as_deref() {
            Some(FluxnodeTx::Start(start)) => {
                cases.equal(
                    format!("{} signature", tx.txid()),
                    &is_start_signed(start, &tx.txid(), &[]),
                    &true,
                );
            }
            Some(FluxnodeTx::Confirm(confirm)) => {
                let key = params.benchmark_key(confirm.benchmark_sig_time).expect("a key of that time");
                cases.equal(format!("{} benchmark", tx.txid()), &is_benchmark_signed(confirm, key), &true);
            }
            _ => {}
        }
    }
    cases.equal("merkle root", &merkle_root(&ids).root.to_string(), &text(&json, "merkle_root").to_owned());
}

/// A block of the Zcash network, as hexadecimal text; one whose name ends in `-bad` must not pass.
pub(crate) fn zcash(file: &File<'_>, cases: &mut Cases) {
    let raw = zcash_bytes(file);
    let block = zcash_block(&raw);
    cases.check("re-encoded", block.to_bytes() == raw, || "other bytes".to_owned());
    let ids: Vec<TxId> = block.transactions.iter().map(Transaction::txid).collect();
    let merkle = merkle_root(&ids);
    let solution = solution_of(&block.header);
    let sound = merkle == MerkleRoot { root: block.header.merkle_root, mutated: false }
        && solution == Ok(Parameters::EQUIHASH_200_9);
    cases.check("merkle root and solution", sound != file.path.ends_with("-bad.txt"), || {
        format!("{merkle:?}, {solution:?} in {:?}", block.header)
    });
    if sound {
        shielded::check_block_proofs(cases, &block.transactions, zcash_branch(file.path));
    }
}

/// The branch id of a Zcash block by the network and height in its file name (`block-main-0-347-500.txt`).
fn zcash_branch(path: &str) -> u32 {
    let name = path.rsplit('/').next().unwrap_or(path);
    let (network, digits) =
        name.trim_start_matches("block-").split_once('-').expect("a network and a height");
    let height: u32 =
        digits.chars().filter(char::is_ascii_digit).collect::<String>().parse().expect("a height");
    let starts = if network == "main" { ZCASH_MAIN_STARTS } else { ZCASH_TEST_STARTS };
    let active = starts.iter().zip(ZCASH_BRANCHES).rev().find(|(start, _)| height >= **start);
    active.map_or(0, |(_, branch_id)| branch_id)
}

fn zcash_bytes(file: &File<'_>) -> Vec<u8> {
    let digits: String = file.text().split_whitespace().collect();
    hex::decode(&digits).expect("a block is hexadecimal text")
}

/// Verifies the Equihash solution of a header and names the parameters it is for.
fn solution_of(header: &BlockHeader) -> Result<Parameters, EquihashError> {
    let Proof::Work { nonce, solution } = &header.proof else {
        return Err(EquihashError::UnknownLength(0));
    };
    let parameters = Parameters::of_solution(solution.len())?;
    equihash::verify(parameters, &[header.common_bytes(), nonce.to_bytes()].concat(), solution)?;
    Ok(parameters)
}

/// Zcash knows no proof of node: miners there could set any version, which Flux reads as another header form. So the
/// layout is read as version 4 and the version put back.
pub(crate) fn zcash_block(raw: &[u8]) -> Block {
    let (version, rest) = raw.split_first_chunk::<4>().expect("a block has a version");
    let mut block =
        Block::from_bytes(&[&4_i32.to_le_bytes()[..], rest].concat()).expect("a Zcash block decodes");
    block.header.version = i32::from_le_bytes(*version);
    block
}

fn whole_block(cases: &mut Cases, name: &str, raw: &[u8]) -> Block {
    let block = Block::from_bytes(raw).unwrap_or_else(|err| panic!("{name}: {err}"));
    cases.check(format!("{name} re-encoded"), block.to_bytes() == raw, || "other bytes".to_owned());
    let ids: Vec<TxId> = block.transactions.iter().map(Transaction::txid).collect();
    let expected = MerkleRoot { root: block.header.merkle_root, mutated: false };
    cases.equal(format!("{name} merkle root"), &merkle_root(&ids), &expected);
    block
}

fn header_fields(cases: &mut Cases, name: &str, header: &BlockHeader, row: &Value) {
    cases.equal(format!("{name} hash"), &header.hash().to_string(), &text(row, "hash").to_owned());
    cases.equal(format!("{name} bits"), &header.bits.to_string(), &text(row, "bits").to_owned());
    cases.equal(format!("{name} time"), &u64::from(header.time), &number(row, "time"));
    let input = hex::encode(header.common_bytes());
    cases.check(format!("{name} equihash input"), text(row, "equihash_input").starts_with(&input), || {
        input.clone()
    });
    let parameters = Parameters {
        n: u32::try_from(number(row, "equihash_n")).expect("small"),
        k: u32::try_from(number(row, "equihash_k")).expect("small"),
    };
    cases.equal(format!("{name} equihash"), &solution_of(header), &Ok(parameters));
    let meets = meets_target(&header.hash(), header.bits, U256::MAX);
    cases.equal(format!("{name} target"), &Some(meets), &row["hash_le_target"].as_bool());
    if let Proof::Work { nonce, solution } = &header.proof {
        cases.equal(format!("{name} nonce"), &hex::encode(nonce.0), &text(row, "nonce_wire").to_owned());
        cases.equal(format!("{name} solution"), &hex::encode(solution), &text(row, "solution").to_owned());
    } else {
        cases.fail(name, &header.proof, &"a proof of work");
    }
}
