//! Commitment trees, RedJubjub, and the proofs and signatures of real shielded transactions.

use std::fs;

use fluxd_primitives::{Hash256, Transaction, codec::Reader};
use fluxd_script::{
    SighashParts,
    sighash::{ALL, signature_hash},
};
use fluxd_shielded::{
    Batch, ProofKeys, SaplingTree, ShieldedError,
    redjubjub::{Use, point, verify},
    tree::{Sapling, Sprout, Tree, TreeError, TreeHash, Witness},
    verify_transaction,
};
use rand::{SeedableRng, rngs::StdRng};
use sapling_crypto::constants;
use serde_json::Value;
use shared_vendor::{
    hex,
    testing::vectors::{Cases, File},
};

use crate::{
    blocks,
    common::{bytes, number, rows, table, text, wire},
};

/// The tests of the reference use a tree of sixteen leaves.
const TEST_DEPTH: usize = 4;

/// One of the files that describe how a tree and its witnesses grow leaf by leaf.
pub(crate) fn trees(file: &File<'_>, cases: &mut Cases) {
    let name = file.path.trim_start_matches("core/").trim_end_matches(".json");
    let (kind, suffix) = match name.strip_suffix("_sapling") {
        Some(kind) => (kind, "_sapling"),
        None => (name, ""),
    };
    let leaves =
        fs::read(file.root().join(format!("core/merkle_commitments{suffix}.json"))).expect("the leaves");
    let leaves: Vec<Hash256> = serde_json::from_slice::<Vec<String>>(&leaves)
        .expect("a list of hashes")
        .iter()
        .map(|text| text.parse().expect("a hash"))
        .collect();
    let seen = if suffix.is_empty() { grow::<Sprout>(&leaves, kind) } else { grow::<Sapling>(&leaves, kind) };
    let expected: Vec<String> = file.parse();
    cases.equal("number of values", &seen.len(), &expected.len());
    for (index, (seen, expected)) in seen.iter().zip(&expected).enumerate() {
        cases.equal(format!("value {index}"), seen, expected);
    }
}

/// Appends the leaves, with a witness made before each, and collects what a file of this kind lists.
fn grow<H: TreeHash>(leaves: &[Hash256], kind: &str) -> Vec<String> {
    let mut tree = Tree::<H, TEST_DEPTH>::default();
    let mut witnesses: Vec<Witness<H, TEST_DEPTH>> = Vec::new();
    let mut seen = Vec::new();
    for leaf in leaves {
        witnesses.push(tree.witness());
        tree.append(*leaf).expect("room");
        match kind {
            "merkle_commitments" => seen.push(tree.last().expect("a leaf").to_string()),
            "merkle_roots" => seen.push(hex::encode(tree.root().0)),
            "merkle_serialization" => {
                assert!(Tree::from_bytes(&tree.to_bytes()) == Ok(tree.clone()), "reads back");
                seen.push(hex::encode(tree.to_bytes()));
            }
            _ => {}
        }
        for (index, witness) in witnesses.iter_mut().enumerate() {
            witness.append(*leaf).expect("room");
            assert_eq!(witness.root(), tree.root(), "a witness follows its tree");
            match (kind, witness.path()) {
                ("merkle_witness_serialization", _) => seen.push(hex::encode(witness.to_bytes())),
                ("merkle_path", Ok(path)) => seen.push(hex::encode(path.to_bytes())),
                ("merkle_path", Err(error)) => assert_eq!((index, error), (0, TreeError::Empty)),
                _ => {}
            }
        }
    }
    assert_eq!(tree.append(Hash256::ZERO), Err(TreeError::Full));
    seen
}

/// A Sapling tree, whose root is in the header of the block of the same name. The file lists all 31 parents, where the
/// node's own form, which refuses that, ends with the last that is there.
pub(crate) fn tree_state(file: &File<'_>, cases: &mut Cases) {
    let stored = hex::decode(file.text().trim()).expect("hexadecimal text");
    cases.equal("padded form", &SaplingTree::from_bytes(&stored), &Err(TreeError::Malformed));
    let tree = SaplingTree::from_bytes(&without_padding(&stored)).expect("a tree");
    let block = file.path.replace("sapling-treestate", "block");
    let block = fs::read_to_string(file.root().join(block)).expect("the block of the tree");
    let block = blocks::zcash_block(&hex::decode(block.trim()).expect("hexadecimal text"));
    cases.equal("root", &tree.root(), &block.header.sapling_root);
}

/// The same tree without the empty parents at its end.
fn without_padding(stored: &[u8]) -> Vec<u8> {
    let mut reader = Reader::new(stored);
    let node = |reader: &mut Reader<'_>| -> Vec<u8> {
        let start = reader.offset();
        if reader.u8().expect("a flag") == 1 {
            reader.take(32).expect("a node");
        }
        reader.since(start).to_vec()
    };
    let mut tree = [node(&mut reader), node(&mut reader)].concat();
    let mut parents: Vec<Vec<u8>> = (0..reader.u8().expect("a count")).map(|_| node(&mut reader)).collect();
    while parents.last().is_some_and(|parent| *parent == [0]) {
        parents.pop();
    }
    tree.push(u8::try_from(parents.len()).expect("few"));
    tree.extend(parents.concat());
    tree
}

/// Base points of Sapling against those that signatures and value commitments use here.
pub(crate) fn generators(file: &File<'_>, cases: &mut Cases) {
    for row in table(file) {
        for (field, base) in [
            ("skb", Use::SpendAuth.base()),
            ("vcrb", Use::Binding.base()),
            ("vcvb", constants::VALUE_COMMITMENT_VALUE_GENERATOR),
        ] {
            let encoded: [u8; 32] = bytes(&row, field).try_into().expect("32 bytes");
            cases.equal(field, &point(&encoded), &Some(base.into()));
        }
    }
}

/// Spend authorization signatures, plain and by the randomized key.
pub(crate) fn signatures(file: &File<'_>, cases: &mut Cases) {
    for (number, row) in table(file).iter().enumerate() {
        let message = bytes(row, "m");
        for (key, signature) in [("vk", "sig"), ("rvk", "rsig")] {
            let key_point = point(&bytes(row, key).try_into().expect("32 bytes")).expect("a point");
            let mut signed: [u8; 64] = bytes(row, signature).try_into().expect("64 bytes");
            let valid = |signed: &[u8; 64]| verify(Use::SpendAuth, &key_point, signed, &message);
            cases.equal(format!("row {number} {signature}"), &valid(&signed), &true);
            signed[0] ^= 1;
            cases.equal(format!("row {number} {signature}, changed"), &valid(&signed), &false);
        }
    }
}

/// Transactions signed for a branch id of their own.
pub(crate) fn transactions(file: &File<'_>, cases: &mut Cases) {
    let keys = ProofKeys::new();
    for row in rows(file) {
        let name = text(&row, "name").to_owned();
        let tx: Transaction = wire(&row, "tx_hex");
        let branch_id = u32::try_from(number(&row, "branch_id")).expect("32 bits");
        cases.equal(&name, &verify_for(&keys, &tx, branch_id), &Ok(()));
        cases.check(format!("{name} for another branch"), verify_for(&keys, &tx, 0).is_err(), || {
            "it passes".to_owned()
        });
        let mut changed = tx.clone();
        changed.spends[0].anchor.0[0] ^= 1;
        changed.spends[0].anchor.0[31] &= 0x3f;
        cases.check(format!("{name}, changed"), verify_for(&keys, &changed, branch_id).is_err(), || {
            "it passes".to_owned()
        });
        let mut wrong_proof = tx.clone();
        wrong_proof.shielded_outputs[0].proof = tx.spends[0].proof;
        let sighash = sighash(&wrong_proof, branch_id);
        let outcome = verify_transaction(&keys, &wrong_proof, &sighash);
        cases.check(format!("{name}, another proof"), outcome.is_err(), || "it passes".to_owned());
        // With the hash of the sound transaction every signature is right, and the proof alone is wrong.
        let signed = self::sighash(&tx, branch_id);
        cases.equal(
            format!("{name}, a wrong proof under right signatures"),
            &verify_transaction(&keys, &wrong_proof, &signed),
            &Err(ShieldedError::Output),
        );
        let mut batch = Batch::default();
        for tx in [&tx, &wrong_proof, &tx] {
            cases.equal(format!("{name} signatures"), &batch.add(tx, &signed), &Ok(()));
        }
        let together = batch.verify(&keys, StdRng::seed_from_u64(7));
        cases.check(format!("{name}, one wrong proof of many"), together.is_err(), || "it passes".to_owned());
    }
}

/// The verifying key of the Sprout circuit, as its ceremony published it.
pub(crate) fn sprout_key(file: &File<'_>, cases: &mut Cases) {
    cases.equal("key", &hex::encode(ProofKeys::new().joinsplit_bytes()), &hex::encode(file.bytes));
}

/// All shielded parts of a block, in one batch and one by one.
pub(crate) fn check_block_proofs(cases: &mut Cases, transactions: &[Transaction], branch_id: u32) {
    let shielded: Vec<&Transaction> = transactions
        .iter()
        .filter(|tx| !(tx.joinsplits.is_empty() && tx.spends.is_empty() && tx.shielded_outputs.is_empty()))
        .collect();
    if shielded.is_empty() {
        return;
    }
    let keys = ProofKeys::new();
    let mut batch = Batch::default();
    for tx in &shielded {
        let sighash = sighash(tx, branch_id);
        cases.equal(format!("{} alone", tx.txid()), &verify_transaction(&keys, tx, &sighash), &Ok(()));
        cases.equal(format!("{} signatures", tx.txid()), &batch.add(tx, &sighash), &Ok(()));
    }
    cases.equal("all proofs together", &batch.verify(&keys, StdRng::seed_from_u64(7)), &Ok(()));
}

fn verify_for(keys: &ProofKeys, tx: &Transaction, branch_id: u32) -> Result<(), ShieldedError> {
    verify_transaction(keys, tx, &sighash(tx, branch_id))
}

fn sighash(tx: &Transaction, branch_id: u32) -> Hash256 {
    signature_hash(tx, &SighashParts::new(tx), None, ALL, branch_id).expect("no input is asked for")
}

/// True for the files that describe how trees grow.
pub(crate) fn is_tree_file(json: &Value, name: &str) -> bool {
    name.starts_with("merkle_") && json[0].is_string()
}
