//! `jmt/`: roots after batches of writes, and proofs. `misc/base_fee.json`: the price of gas.

use crate::support::{array, bytes, cases, int, list};
use pos_node::{
    state::{
        fees::next_base_fee,
        tree::{MemoryNodes, proof::prove, root, update::update},
    },
    types::params::Params,
};
use serde_json::Value;
use shared_vendor::testing::vectors::{Cases, Claim, File};

pub fn claim(file: &File<'_>) -> Option<Claim> {
    let json = file.json();
    if json.get("vectors").is_some() {
        return Some(Claim::Run(official));
    }
    let first = cases(&json).first()?;
    if first.get("parent_base_fee").is_some() {
        return Some(Claim::Run(base_fee));
    }
    first.get("proofs").is_some().then_some(Claim::Run(batches))
}

/// Applies a list of writes and gives the root.
fn write(nodes: &mut MemoryNodes, writes: &[Value]) -> [u8; 32] {
    let writes: Vec<(Vec<u8>, Option<Vec<u8>>)> = writes
        .iter()
        .map(|write| (bytes(&write["key"]), (!write["value"].is_null()).then(|| bytes(&write["value"]))))
        .collect();
    let changes = writes.iter().map(|(key, value)| (key.as_slice(), value.as_deref()));
    let change = update(nodes, changes);
    nodes.apply(change.writes);
    assert_eq!(root(nodes), change.root, "stored root");
    change.root
}

fn official(file: &File<'_>, out: &mut Cases) {
    for (at, case) in list(&file.json()["vectors"]).iter().enumerate() {
        let actual = write(&mut MemoryNodes::default(), list(&case["data"]));
        out.equal(format!("case {at}"), &actual, &array(&case["expected_root"]));
    }
}

fn batches(file: &File<'_>, out: &mut Cases) {
    for case in cases(&file.json()) {
        let name = format!("case {}", case["case"]);
        let mut nodes = MemoryNodes::default();
        for step in list(&case["steps"]) {
            let actual = write(&mut nodes, list(&step["writes"]));
            out.equal(format!("{name} version {}", step["version"]), &actual, &array(&step["root"]));
        }
        let root = root(&nodes);
        for entry in list(&case["proofs"]) {
            let key = bytes(&entry["key"]);
            let value = (!entry["value"].is_null()).then(|| bytes(&entry["value"]));
            let proof = prove(&nodes, &key);
            let leaf = proof.leaf.map(|(key, value)| (key.0, value.0));
            let expected = &entry["proof"];
            let expected_leaf = (!expected["leaf"].is_null())
                .then(|| (array(&expected["leaf"]["key_hash"]), array(&expected["leaf"]["value_hash"])));
            out.equal(format!("{name} leaf"), &leaf, &expected_leaf);
            let siblings: Vec<[u8; 32]> = proof.siblings.iter().map(|sibling| sibling.0).collect();
            let expected: Vec<[u8; 32]> = list(&expected["siblings_bottom_up"]).iter().map(array).collect();
            out.equal(format!("{name} siblings"), &siblings, &expected);
            out.equal(format!("{name} verifies"), &proof.verify(&root, &key, value.as_deref()), &Ok(()));
            let refused = proof.verify(&root, &key, Some(b"another value")).is_err();
            out.check(format!("{name} refuses another value"), refused, || "accepted".into());
        }
    }
}

fn base_fee(file: &File<'_>, out: &mut Cases) {
    let params = Params::minimal();
    for (at, case) in cases(&file.json()).iter().enumerate() {
        let actual = next_base_fee(
            &params,
            params.min_base_fee,
            int(&case["parent_base_fee"]),
            int(&case["gas_limit"]),
            int(&case["gas_used"]),
        );
        out.equal(format!("case {at}"), &actual, &int(&case["next_base_fee"]));
    }
}
