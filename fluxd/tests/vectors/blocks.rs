//! Real blocks and headers: layout, ids, merkle roots.

use fluxd_primitives::{
    Block, BlockHeader, Codec, Proof, Transaction, TxId,
    block::{MerkleRoot, merkle_root},
};
use serde_json::Value;
use shared_vendor::{
    hex,
    testing::vectors::{Cases, File},
};

use crate::common::{bytes, number, rows, text, wire};

/// Genesis blocks of the three networks.
pub(crate) fn genesis(file: &File<'_>, cases: &mut Cases) {
    for row in rows(file) {
        let network = text(&row, "network").to_owned();
        let raw = bytes(&row, "block_raw");
        let block = whole_block(cases, &network, &raw);
        header_fields(cases, &network, &block.header, &row);
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
    let mut ids: Vec<TxId> = Vec::new();
    for row in json["txs"].as_array().expect("txs is a list") {
        let tx: Transaction = wire(row, "raw");
        cases.equal(text(row, "txid"), &tx.txid().to_string(), &text(row, "txid").to_owned());
        ids.push(tx.txid());
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
    let sound = merkle == MerkleRoot { root: block.header.merkle_root, mutated: false };
    cases.check("merkle root", sound != file.path.ends_with("-bad.txt"), || {
        format!("{merkle:?} in {:?}", block.header)
    });
}

fn zcash_bytes(file: &File<'_>) -> Vec<u8> {
    let digits: String = file.text().split_whitespace().collect();
    hex::decode(&digits).expect("a block is hexadecimal text")
}

/// Zcash knows no proof of node: miners there could set any version, which Flux reads as another header form. So the
/// layout is read as version 4 and the version put back.
fn zcash_block(raw: &[u8]) -> Block {
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
    if let Proof::Work { nonce, solution } = &header.proof {
        cases.equal(format!("{name} nonce"), &hex::encode(nonce.0), &text(row, "nonce_wire").to_owned());
        cases.equal(format!("{name} solution"), &hex::encode(solution), &text(row, "solution").to_owned());
    } else {
        cases.fail(name, &header.proof, &"a proof of work");
    }
}
