//! Runner for recorded JSON-RPC answers: each request in scope is asked of our methods over the recorded regtest headers,
//! and keys, types, error codes and texts are compared. Values depend on the chain of the recording; they are compared
//! for genesis, which both chains share.

use std::{collections::BTreeMap, fs, sync::Arc};

use rustock::{
    codec::decode_header,
    params::{Network, Params},
    rpc::{self, Block, Blocks, Context, Filters, block::UNKNOWN_TO_HEADERS},
    types::{BlockHash, BlockNumber, Difficulty},
    wire::rsk::{BlockId, Status},
};
use serde_json::{Value, json};
use shared_vendor::{
    clock::ManualClock,
    hex,
    http::Access,
    metrics::Registry,
    rpc::{Limits, Service},
    testing::vectors::{Cases, Claim, File},
};
use tokio::sync::watch;

/// Claims recordings of requests and answers.
pub fn claim(file: &File<'_>) -> Option<Claim> {
    let (folder, _) = file.path.split_once('/')?;
    let json: Value = serde_json::from_slice(file.bytes).ok()?;
    let recorded = json.pointer("/0/http_status").is_some() && json.pointer("/0/method").is_some();
    (folder == "rpc" && recorded).then_some(Claim::Run(golden))
}

/// Why a recorded method is not compared.
const OUT_OF_SCOPE: [(&str, &str); 4] = [
    ("no method", "strict JSON-RPC 2.0: a request without a method is invalid"),
    ("pending", "a header client builds no block"),
    (
        "rsk_getRawBlockHeader",
        "the extension of version 1 and 2 headers travels with the body, which needs a peer",
    ),
    ("", "needs block bodies, state, a wallet, a miner or a pool"),
];

struct Recorded(BTreeMap<BlockNumber, Block>);

impl Blocks for Recorded {
    fn best(&self) -> Option<Block> {
        self.0.values().next_back().cloned()
    }

    fn by_number(&self, number: BlockNumber) -> Option<Block> {
        self.0.get(&number).cloned()
    }

    fn by_hash(&self, hash: &BlockHash) -> Option<Block> {
        self.0.values().find(|block| block.header.hash() == *hash).cloned()
    }
}

fn recorded_chain(file: &File<'_>, params: &Params) -> Recorded {
    let folder = file.root().join("regtest");
    let mut blocks = BTreeMap::new();
    let mut total_difficulty = Difficulty::ZERO;
    let mut paths: Vec<_> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for line in paths.iter().filter_map(|path| fs::read_to_string(path).ok()).flat_map(lines_of) {
        let wire = line.split(' ').nth(3).and_then(|text| hex::decode(text).ok()).expect("a header line");
        let header = decode_header(params, wire.into()).expect("a recorded header decodes");
        total_difficulty = total_difficulty.checked_add(header.difficulty()).expect("a small sum");
        blocks.insert(header.number(), Block { header, total_difficulty });
    }
    Recorded(blocks)
}

fn lines_of(text: String) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

fn golden(file: &File<'_>, cases: &mut Cases) {
    let network = Arc::new(Params::of(Network::Regtest));
    let blocks = Arc::new(recorded_chain(file, &network));
    let (_, sync) = watch::channel(rpc::Sync::default());
    let (_, peers) = watch::channel(Vec::new());
    let best = BlockId { hash: BlockHash::ZERO, number: BlockNumber(0) };
    let (_, best) = watch::channel(Status { best, parent: None });
    let ctx = Context {
        blocks,
        network,
        sync,
        peers,
        best,
        bodies: tokio::sync::mpsc::channel(1).0,
        filters: Filters::new(0),
        clock: Arc::new(ManualClock::default()),
        client_version: "Rustock/0.1.0/Linux/Rust/test".into(),
    };
    let registry = Registry::new("rustock");
    let service = Service::new(rpc::methods(), Arc::new(ctx), rpc::dialect(), Limits::default(), &registry);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let ask = |body: &str| -> Value {
        let reply = runtime.block_on(service.handle(body.as_bytes(), Access::Open)).expect("not busy");
        reply.map_or(Value::Null, |reply| serde_json::from_slice(&reply).expect("an answer is JSON"))
    };
    for entry in file.json().as_array().into_iter().flatten() {
        let raw = entry.get("raw_response").and_then(Value::as_str);
        let (name, body, expected) = match raw {
            Some(raw) => {
                let expected = serde_json::from_str(raw).unwrap_or(Value::Null);
                (entry["name"].to_string(), entry["body"].as_str().unwrap_or_default().to_owned(), expected)
            }
            None => {
                let request = json!({ "jsonrpc": "2.0", "id": 1, "method": entry["method"], "params": entry["params"] });
                (
                    format!("{} {}", entry["method"], entry["params"]),
                    request.to_string(),
                    entry["response"].clone(),
                )
            }
        };
        let actual = ask(&body);
        let refused = is_refusal(&actual["error"]) && actual["error"] != expected["error"];
        if refused || name.contains("pending") || name.contains("no method") {
            let reason =
                OUT_OF_SCOPE.iter().find(|(part, _)| name.contains(part)).map_or("", |(_, reason)| reason);
            println!("    out of scope: {name}: {reason}");
            cases.skip(format!("{name}: {reason}"));
            continue;
        }
        cases.case(&name, || same_shape("answer", &actual, &expected, actual["result"]["number"] == "0x0"));
    }
}

fn is_refusal(error: &Value) -> bool {
    let message = error["message"].as_str().unwrap_or_default();
    message.ends_with("does not exist/is not available") || message == "block body not available"
}

/// Same keys and types; same values too where they cannot depend on the chain.
fn same_shape(at: &str, actual: &Value, expected: &Value, values: bool) -> Result<(), String> {
    let differ = || Err(format!("{at}\n      actual   {actual}\n      expected {expected}"));
    match (actual, expected) {
        (Value::Object(ours), Value::Object(theirs)) => {
            let keys: Vec<_> = ours.keys().filter(|key| *key != "data").collect();
            if keys != theirs.keys().collect::<Vec<_>>() {
                return differ();
            }
            theirs.iter().try_for_each(|(key, theirs)| {
                let ours = &ours[key];
                let exact = at == "error" || values;
                if ours.is_null() && UNKNOWN_TO_HEADERS.contains(&key.as_str())
                    || at == "answer" && key == "id"
                {
                    return Ok(());
                }
                same_shape(if at == "error" || key == "error" { "error" } else { key }, ours, theirs, exact)
            })
        }
        (Value::Array(ours), Value::Array(theirs)) if ours.len() == theirs.len() => {
            ours.iter().zip(theirs).try_for_each(|(ours, theirs)| same_shape("answer", ours, theirs, values))
        }
        (Value::String(ours), Value::String(theirs)) => {
            let quantity = |text: &str| text.starts_with("0x");
            let alike = quantity(ours) == quantity(theirs);
            let exact = values || at == "error";
            if alike && (!exact || ours == theirs) { Ok(()) } else { differ() }
        }
        (Value::Bool(_), Value::Bool(_)) | (Value::Null, Value::Null) => Ok(()),
        (Value::Number(ours), Value::Number(theirs)) if at != "error" || ours == theirs => Ok(()),
        _ => differ(),
    }
}
