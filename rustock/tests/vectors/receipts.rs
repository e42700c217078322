//! Runner for receipt inclusion proofs.

use rustock::{codec::unitrie::Node, verify::receipt::verify_receipt};
use serde_json::Value;
use shared_vendor::{
    hex,
    testing::vectors::{Cases, Claim, File},
};

use crate::json::{Outcome, bytes, list, number, show};

pub fn claim(file: &File<'_>) -> Option<Claim> {
    let json: Value = serde_json::from_slice(file.bytes).ok()?;
    let is_proofs =
        json.get(0).is_some_and(|first| first.get("receiptsRoot").is_some() && first.get("proofs").is_some());
    is_proofs.then_some(Claim::Run(proofs))
}

fn proofs(file: &File<'_>, cases: &mut Cases) {
    for block in list(&file.json()) {
        for proof in list(&block["proofs"]) {
            cases.case(format!("block {} transaction {}", block["number"], proof["index"]), || {
                one(block, proof)
            });
        }
    }
}

fn one(block: &Value, proof: &Value) -> Outcome {
    let root = bytes(block, "receiptsRoot")?.try_into().map_err(|_| "receiptsRoot")?;
    let (receipt, index) = (bytes(proof, "raw_receipt")?, number(proof, "index")?);
    let nodes = list(&proof["nodes_leaf_first"])
        .map(|node| hex::decode(node.as_str().unwrap_or("?")).map_err(show))
        .collect::<Result<Vec<_>, _>>()?;
    for node in &nodes {
        Node::decode(node).map_err(show)?;
    }
    verify_receipt(&root, index, &receipt, &nodes).map_err(show)?;
    // the same proof shows nothing else
    let mut other = receipt.clone();
    if let Some(last) = other.last_mut() {
        *last ^= 1;
    }
    if verify_receipt(&root, index, &other, &nodes).is_ok()
        || verify_receipt(&root, index + 1, &receipt, &nodes).is_ok()
    {
        return Err("also proves another receipt or index".into());
    }
    Ok(())
}
