//! Runner for recorded JSON-RPC answers: each request in scope is asked of our methods over the recorded regtest headers,
//! and keys, types, error codes and texts are compared. Values depend on the chain of the recording; they are compared for
//! genesis, which both chains share, and for every block that the recording itself tells whole: its header is built from
//! the recorded answers, its body from the recorded transactions, and its receipts come from the recorded proofs, by way of
//! an upstream node that answers as the recorded one did. So receipts, logs and proofs must be equal to the last digit.

use std::{collections::BTreeMap, fs, sync::Arc};

use rustock::{
    codec::{
        decode_full, decode_header,
        full::Extension,
        rlp::{Items, encode_list},
    },
    params::{Network, Params},
    rpc::{
        self, Block, Blocks, BodyRequest, Context, Filters, Finality, Prover, Relayed,
        block::UNKNOWN_TO_HEADERS,
        upstream::{Upstream, UpstreamError},
    },
    types::{BlockHash, BlockNumber, Difficulty},
    verify::{Body, finality::Thresholds, verify_body},
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
use tokio::sync::{mpsc, watch};

use crate::json::{self as field, Outcome};

/// Claims recordings of requests and answers.
pub fn claim(file: &File<'_>) -> Option<Claim> {
    let (folder, _) = file.path.split_once('/')?;
    let json: Value = serde_json::from_slice(file.bytes).ok()?;
    let recorded = json.pointer("/0/http_status").is_some() && json.pointer("/0/method").is_some();
    (folder == "rpc" && recorded).then_some(Claim::Run(golden))
}

/// Where we differ on purpose: the recorded text, and what we do instead.
const DIFFERENT: [(&str, &str); 3] = [
    ("no method", "strict JSON-RPC 2.0: a request without a method is invalid"),
    ("\"safe\"", "the tag is understood here: the highest block that enough Bitcoin work lies above"),
    ("eth_feeHistory", "answered here: least gas prices and use of gas as headers tell them"),
];

/// Why a recorded answer is not compared.
const OUT_OF_SCOPE: [(&str, &str); 3] = [
    ("pending", "a header client builds no block"),
    (
        "0xb76fc153ae016001759f9bd72266663afc5d3ceeeaf4413689a94d4722c7da42",
        "its block is not in the recording",
    ),
    ("", "needs state, a wallet or a miner"),
];

/// The chain of headers, and what the recording tells of its own blocks.
struct Recorded {
    numbers: BTreeMap<BlockNumber, Block>,
    bodies: BTreeMap<BlockHash, Arc<Body>>,
}

impl Blocks for Recorded {
    fn best(&self) -> Option<Block> {
        self.numbers.values().next_back().cloned()
    }

    fn by_number(&self, number: BlockNumber) -> Option<Block> {
        self.numbers.get(&number).cloned()
    }

    fn by_hash(&self, hash: &BlockHash) -> Option<Block> {
        self.numbers.values().find(|block| block.header.hash() == *hash).cloned()
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
    Recorded { numbers: blocks, bodies: BTreeMap::new() }
}

fn lines_of(text: String) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

/// Puts the blocks that the recording tells whole in the place of ours.
fn add_whole_blocks(recorded: &mut Recorded, params: &Params, entries: &[Value]) -> Outcome {
    for block in entries.iter().map(|entry| &entry["response"]["result"]) {
        let whole = block["transactions"].get(0).is_some_and(Value::is_object);
        let raw = entries.iter().find(|entry| {
            entry["method"] == "rsk_getRawBlockHeaderByHash" && entry["params"][0] == block["hash"]
        });
        let Some(raw) = raw.filter(|_| whole) else { continue };
        let raw = field::bytes(&raw["response"], "result")?;
        let (proof, coinbase) = (
            field::bytes(block, "bitcoinMergedMiningMerkleProof")?,
            field::bytes(block, "bitcoinMergedMiningCoinbaseTransaction")?,
        );
        let fields = Items::of_list(&raw).map_err(field::show)?;
        let full = encode_list(|list| {
            list.raw(fields.rest()).string(&proof).string(&coinbase);
        });
        let (header, extension) = decode_full(params, &full).map_err(field::show)?;
        field::same("hash", &format!("0x{}", header.hash()).as_str(), &field::text(block, "hash")?)?;
        let transactions =
            field::list(&block["transactions"]).map(transaction).collect::<Outcome<Vec<_>>>()?;
        let extension = extension.as_ref().map(Extension::encode);
        let body = verify_body(params, &header, transactions, Vec::new(), extension.as_deref());
        let body = Arc::new(body.map_err(field::show)?);
        let total_difficulty = Difficulty::from_u64(field::number(block, "totalDifficulty")?);
        recorded.bodies.insert(header.hash(), body);
        recorded.numbers.insert(header.number(), Block { header, total_difficulty });
    }
    Ok(())
}

/// The encoding of a transaction that is told as JSON.
fn transaction(told: &Value) -> Outcome<bytes::Bytes> {
    let bytes = |name: &str| if told[name].is_null() { Ok(Vec::new()) } else { field::bytes(told, name) };
    let remasc = told["v"] == "0x0";
    let (nonce, price, gas) = (bytes("nonce")?, bytes("gasPrice")?, bytes("gas")?);
    let (to, value, input) = (bytes("to")?, bytes("value")?, bytes("input")?);
    let signature = [bytes("v")?, bytes("r")?, bytes("s")?];
    Ok(encode_list(|list| {
        list.unsigned(&nonce);
        // A reward's gas and its price are one zero byte; signers leave zeros out.
        if remasc {
            list.string(&price).string(&gas);
        } else {
            list.unsigned(&price).unsigned(&gas);
        }
        list.string(&to).unsigned(&value).string(&input);
        for part in &signature {
            list.unsigned(part);
        }
    })
    .into())
}

/// Changes an answer to a method.
type Lie = fn(&str, Value) -> Value;

/// Answers as the recorded node did, from the recording and the recorded proofs, or as its lie has it.
#[derive(Clone)]
struct RecordedNode {
    answers: Vec<Value>,
    proofs: Vec<Value>,
    lie: Lie,
}

/// Lies about the recorded receipts, and whether logs, which no nodes and no places are asked for, show them too.
const LIES: [(&str, bool, Lie); 5] = [
    ("a receipt with another digit", true, |method, answer| match method {
        "rsk_getRawTransactionReceiptByHash" => other_digit(&answer),
        _ => answer,
    }),
    ("no receipt", true, |method, answer| match method {
        "rsk_getRawTransactionReceiptByHash" => Value::Null,
        _ => answer,
    }),
    ("a node with another digit", false, |method, answer| match (method, answer.as_array()) {
        ("rsk_getTransactionReceiptNodesByHash", Some(nodes)) => nodes.iter().map(other_digit).collect(),
        _ => answer,
    }),
    ("a proof without its leaf", false, |method, answer| match (method, answer.as_array()) {
        ("rsk_getTransactionReceiptNodesByHash", Some(nodes)) => nodes.iter().skip(1).cloned().collect(),
        _ => answer,
    }),
    ("another place in the block", false, |method, mut answer| {
        if method == "eth_getTransactionByHash" && answer.is_object() {
            answer["transactionIndex"] = json!("0x1");
        }
        answer
    }),
];

/// The same text with another last digit.
fn other_digit(text: &Value) -> Value {
    let mut text = text.as_str().unwrap_or("0x0").to_owned();
    let last = text.pop().unwrap_or('0');
    text.push(if last == '0' { '1' } else { '0' });
    json!(text)
}

impl Upstream for RecordedNode {
    fn ask(&self, calls: &[(&'static str, Value)]) -> Result<Vec<Value>, UpstreamError> {
        let truth = |(method, params): &(&str, Value)| {
            let told =
                self.answers.iter().find(|entry| entry["method"] == *method && entry["params"] == *params);
            if let Some(told) = told {
                return told["response"]["result"].clone();
            }
            let hash = params.as_array().and_then(|params| params.last()).cloned().unwrap_or_default();
            if *method == "eth_getTransactionByHash" {
                let blocks = self
                    .answers
                    .iter()
                    .flat_map(|entry| field::list(&entry["response"]["result"]["transactions"]));
                return blocks.into_iter().find(|told| told["hash"] == hash).cloned().unwrap_or_default();
            }
            let proof = self
                .proofs
                .iter()
                .flat_map(|block| field::list(&block["proofs"]))
                .find(|proof| proof["tx"] == hash);
            proof.map_or(Value::Null, |proof| match *method {
                "rsk_getRawTransactionReceiptByHash" => proof["raw_receipt"].clone(),
                _ => proof["nodes_leaf_first"].clone(),
            })
        };
        Ok(calls.iter().map(|call| (self.lie)(call.0, truth(call))).collect())
    }
}

fn context(
    blocks: Arc<Recorded>,
    network: Arc<Params>,
    bodies: mpsc::Sender<BodyRequest>,
    upstream: RecordedNode,
    registry: &Registry,
) -> Arc<Context> {
    let best = BlockId { hash: BlockHash::ZERO, number: BlockNumber(0) };
    let answers = registry.counters("upstream_answers_total", &["outcome"], "Answers");
    Arc::new(Context {
        blocks,
        network,
        sync: watch::channel(rpc::Sync::default()).1,
        peers: watch::channel(Vec::new()).1,
        best: watch::channel(Status { best, parent: None }).1,
        bodies,
        orders: mpsc::channel(1).0,
        prover: Some(Prover::new(Arc::new(upstream), answers)),
        relayed: Relayed::default(),
        finality: Arc::new(Finality::new(Thresholds { safe: 10, finalized: 100 })),
        forks: Arc::default(),
        filters: Filters::new(0),
        clock: Arc::new(ManualClock::default()),
        client_version: "Rustock/0.1.0/Linux/Rust/test".into(),
    })
}

fn golden(file: &File<'_>, cases: &mut Cases) {
    let network = Arc::new(Params::of(Network::Regtest));
    let recording = file.json();
    let entries = recording.as_array().cloned().unwrap_or_default();
    let mut recorded = recorded_chain(file, &network);
    cases.case("blocks that are told whole", || add_whole_blocks(&mut recorded, &network, &entries));
    // An answer about one of these blocks must be equal to the last digit.
    let hashes = recorded.bodies.keys().map(|hash| format!("\"0x{hash}\""));
    let heights =
        recorded.numbers.values().filter(|block| recorded.bodies.contains_key(&block.header.hash()));
    let heights = heights.map(|block| format!("\"{:#x}\"", block.header.number().0));
    let whole: Vec<String> = hashes.chain(heights).collect();
    let is_whole = |entry: &Value| {
        let (asked, told) = (entry["params"].to_string(), entry["response"]["result"].to_string());
        whole.iter().any(|name| asked.contains(name) || told.contains(name))
    };
    let proofs = fs::read(file.root().join("receipt_proofs/regtest.json")).unwrap_or_default();
    let proofs = serde_json::from_slice::<Value>(&proofs).ok().and_then(|proofs| proofs.as_array().cloned());
    let upstream = RecordedNode {
        answers: entries.clone(),
        proofs: proofs.unwrap_or_default(),
        lie: |_, answer| answer,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let recorded = Arc::new(recorded);
    let ask_node = |upstream: RecordedNode, body: &str| -> Value {
        let (registry, network) = (Registry::new("rustock"), Arc::clone(&network));
        let (bodies, mut wanted) = mpsc::channel::<BodyRequest>(16);
        let known = Arc::clone(&recorded);
        runtime.spawn(async move {
            while let Some(BodyRequest { header, reply }) = wanted.recv().await {
                let _ = reply.send(known.bodies.get(&header.hash()).cloned());
            }
        });
        let ctx = context(Arc::clone(&recorded), network, bodies, upstream, &registry);
        let service = Service::new(rpc::methods(), ctx, rpc::dialect(), Limits::default(), &registry);
        let reply = runtime.block_on(service.handle(body.as_bytes(), Access::Open)).expect("not busy");
        reply.map_or(Value::Null, |reply| serde_json::from_slice(&reply).expect("an answer is JSON"))
    };
    let ask = |body: &str| ask_node(upstream.clone(), body);
    for (name, in_logs, lie) in LIES {
        for method in ["eth_getTransactionReceipt", "rsk_getTransactionReceiptNodesByHash", "eth_getLogs"] {
            if method == "eth_getLogs" && !in_logs {
                continue;
            }
            let truthful = entries.iter().find(|entry| entry["method"] == method && is_whole(entry));
            let Some(entry) = truthful else { continue };
            let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": entry["params"] });
            cases.case(format!("{name} is refused by {method}"), || {
                let answer = ask_node(RecordedNode { lie, ..upstream.clone() }, &request.to_string());
                let message = answer["error"]["message"].as_str().unwrap_or_default();
                if message.contains("not proven") { Ok(()) } else { Err(answer.to_string()) }
            });
        }
    }
    for entry in &entries {
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
        if let Some((_, instead)) = DIFFERENT.iter().find(|(part, _)| name.contains(part)) {
            println!("    different on purpose: {name}: {instead}");
            println!(
                "      recorded {expected}\n      ours     {}",
                actual.to_string().chars().take(160).collect::<String>()
            );
            cases.case(format!("{name}: {instead}"), || {
                if actual == expected { Err("it no longer differs".into()) } else { Ok(()) }
            });
            continue;
        }
        let refused = is_refusal(&actual["error"]) && actual["error"]["code"] != expected["error"]["code"];
        let listed = OUT_OF_SCOPE.iter().find(|(part, _)| !part.is_empty() && name.contains(part));
        if refused || listed.is_some() {
            let reason = listed.or(OUT_OF_SCOPE.last()).map_or("", |(_, reason)| reason);
            println!("    out of scope: {name}: {reason}");
            cases.skip(format!("{name}: {reason}"));
            continue;
        }
        let exact = actual["result"]["number"] == "0x0" || is_whole(entry);
        cases.case(&name, || same_shape("answer", &actual, &expected, exact));
    }
}

fn is_refusal(error: &Value) -> bool {
    let message = error["message"].as_str().unwrap_or_default();
    message.ends_with("does not exist/is not available")
}

/// Same keys and types; same values too where they cannot depend on the chain.
fn same_shape(at: &str, actual: &Value, expected: &Value, values: bool) -> Result<(), String> {
    let differ = || Err(format!("{at}\n      actual   {actual}\n      expected {expected}"));
    match (actual, expected) {
        (Value::Object(ours), Value::Object(theirs)) => {
            let keys: Vec<_> =
                ours.keys().filter(|key| *key != "data" || theirs.contains_key("data")).collect();
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
