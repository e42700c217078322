//! Recorded storage against recorded roots, and recorded proofs.

use base64::{Engine, prelude::BASE64_STANDARD};
use neo_base::{
    UInt256,
    codec::{read_var_bytes, read_var_int},
};
use neo_runtime::state_root::{Trie, proof};
use serde_json::Value;
use shared_vendor::{
    bytes::Reader,
    testing::vectors::{Cases, Claim, File},
};

pub(crate) fn claim(file: &File<'_>) -> Option<Claim> {
    let name = file.path.rsplit('/').next()?;
    match name {
        "state_final.json" => Some(Claim::Run(final_state)),
        "getproof.json" | "verifyproof.json" if file.path.contains("/rpc/") => Some(Claim::Run(proofs)),
        _ => None,
    }
}

/// `{roothash, storage_by_contract_id: {id: [[key, value]..]}}`
fn final_state(file: &File<'_>, cases: &mut Cases) {
    let state = file.json();
    root_of_storage("storage", &state["storage_by_contract_id"], &state["roothash"], cases);
}

/// The root of `{id: entries}`, where entries are pairs, `{key, value}` objects, or `{results: [..]}` of them.
pub(crate) fn root_of_storage(name: &str, storage: &Value, root: &Value, cases: &mut Cases) {
    let mut trie = Trie::new(UInt256::ZERO, |_: &UInt256| None);
    for (id, entries) in storage.as_object().expect("storage is an object") {
        let id: i32 = id.parse().expect("a contract id");
        let entries = entries.get("results").unwrap_or(entries).as_array().expect("a list of entries");
        for entry in entries.iter().filter(|_| id != -4) {
            let part = |at: usize, name: &str| decode(entry.get(at).unwrap_or(&entry[name]));
            let key = [&id.to_le_bytes()[..], &part(0, "key")].concat();
            trie.put(&key, &part(1, "value")).expect("an entry within bounds");
        }
    }
    cases.equal(name, &trie.commit().root.to_string().as_str(), &root.as_str().expect("a root"));
}

/// Answers of `getproof` and requests of `verifyproof` hold the same: var-bytes of the key, then the nodes.
fn proofs(file: &File<'_>, cases: &mut Cases) {
    for exchange in file.json().as_array().expect("a list of exchanges") {
        let (params, result) = (&exchange["request"]["params"], &exchange["response"]["result"]);
        let (proof, value) = match exchange["request"]["method"].as_str() {
            Some("getproof") => (result, None),
            _ => (&params[1], result.as_str()),
        };
        let (Some(root), true, true) = (params[0].as_str(), proof.is_string(), result.is_string()) else {
            cases.skip("an error answer: judged by the RPC server");
            continue;
        };
        if result == "invalid" {
            cases.skip("an error answer: judged by the RPC server");
            continue;
        }
        cases.case(format!("proof under {root}"), || {
            let bytes = decode(proof);
            let mut reader = Reader::new(&bytes);
            let text = |err: &dyn std::fmt::Debug| format!("{err:?}");
            let key = read_var_bytes(&mut reader, 68).map_err(|err| text(&err))?.to_vec();
            let count = read_var_int(&mut reader).map_err(|err| text(&err))?;
            let mut nodes = Vec::new();
            for _ in 0..count {
                nodes.push(read_var_bytes(&mut reader, 1 << 17).map_err(|err| text(&err))?.to_vec());
            }
            let root = root.parse().map_err(|err| text(&err))?;
            let proven =
                proof::verify(root, &key, &nodes).map_err(|err| text(&err))?.ok_or("no value is proven")?;
            match value.map(|value| decode(&value.into())) {
                Some(expected) if expected != *proven => {
                    Err(format!("actual {proven:?} expected {expected:?}"))
                }
                _ => Ok(()),
            }
        });
    }
}

fn decode(text: &Value) -> Vec<u8> {
    BASE64_STANDARD.decode(text.as_str().expect("base64 text")).expect("base64")
}
