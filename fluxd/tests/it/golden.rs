//! The replies of our node against recorded ones of mainnet: the same fields with values of the same kind. What they say
//! differs with the chain; the order of fields is compared beside the C++ node.

use std::{collections::BTreeMap, env, fs, path::PathBuf};

use serde_json::{Value, json};

use crate::nodes::{call, ok};

/// Fields that only a node with a wallet has.
const WALLET: [&str; 4] = ["walletversion", "keypoololdest", "keypoolsize", "paytxfee"];

/// The recorded replies by file name; empty where the folder is absent.
fn recorded() -> BTreeMap<String, Value> {
    let shared = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors");
    let folder = env::var_os("VECTORS_DIR").map_or(shared, PathBuf::from).join("fluxd/rpc_golden");
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    files
        .filter_map(|file| {
            let text = fs::read_to_string(file.path()).ok()?;
            Some((file.file_name().into_string().ok()?, serde_json::from_str(&text).ok()?))
        })
        .collect()
}

/// Compares what a node with confirmed fluxnodes answers, and returns how many replies were compared.
pub(crate) fn compare(rpc: &str, spent: &Value, address: &str) -> usize {
    let mut compared = 0;
    let ask = |method: &str, params: &Value| ok(rpc, method, params);
    let recorded = recorded();
    for (name, file) in &recorded {
        for error in file.as_array().into_iter().flatten() {
            let method = error["method"].as_str().unwrap_or_default();
            let params = match method {
                "getrawtransaction" => json!(["11".repeat(32)]),
                "getblockhash" => json!([u32::MAX / 4]),
                _ => continue,
            };
            assert_eq!(call(rpc, method, &params).as_ref(), Err(&error["error"]), "{name}: {method}");
        }
        let method = file["method"].as_str().unwrap_or_default();
        let tip = ask("getbestblockhash", &Value::Array(Vec::new()));
        let coinbase = ask("getblock", &Value::Array(vec![tip.clone()]))["tx"][0].clone();
        let params = match method {
            // Of before proof of node, as the recorded one is.
            "getblockheader" => vec![ask("getblockhash", &json!([5]))],
            "gettxout" => vec![coinbase, 0.into()],
            "getspentinfo" => vec![spent.clone()],
            "getaddressbalance" => vec![address.into()],
            "getblockchaininfo"
            | "getblocksubsidy"
            | "getfluxnodecount"
            | "getinfo"
            | "gettxoutsetinfo"
            | "fluxnodecurrentwinner"
            | "getstartlist"
            | "viewdeterministicfluxnodelist" => Vec::new(),
            // Of a fluxnode's own operation, or of a pool that is empty here.
            _ => continue,
        };
        let ours = ask(method, &Value::Array(params));
        alike(name, &ours, &file["result"]);
        compared += 1;
    }
    compared
}

/// Every recorded field is there, of the same kind, and no other; lists are compared by their first element.
fn alike(place: &str, ours: &Value, theirs: &Value) {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            // Names of upgrades and the like are the network's.
            if theirs.keys().all(|key| key.len() == 8 && u32::from_str_radix(key, 16).is_ok()) {
                return;
            }
            let of_wallet = |key: &&String| !WALLET.contains(&key.as_str());
            let fields: Vec<&String> = theirs.keys().filter(of_wallet).collect();
            assert_eq!(ours.keys().collect::<Vec<_>>(), fields, "{place}");
            for field in fields {
                alike(&format!("{place} {field}"), &ours[field], &theirs[field]);
            }
        }
        (Value::Array(ours), Value::Array(theirs)) => {
            if let (Some(ours), Some(theirs)) = (ours.first(), theirs.first()) {
                alike(place, ours, theirs);
            }
        }
        _ => assert_eq!(kind(ours), kind(theirs), "{place}: {ours} and {theirs}"),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}
