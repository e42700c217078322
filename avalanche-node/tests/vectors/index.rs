//! The index of what is accepted: its keys and values in the store, its answers, and when it refuses to have gaps.

use std::{collections::BTreeMap, sync::Arc};

use avalanche_api::index;
use avalanche_codec::{marshal, unmarshal_versioned};
use avalanche_db::{Database, Memory};
use avalanche_ids::Id;
use avalanche_vm::index::{Container, Index, Indexer};
use serde::Deserialize;
use serde_json::{Value, json};
use shared_vendor::{
    clock::Wall,
    hex,
    http::Access,
    metrics::Registry,
    rpc::{Dialect, Limits, Service},
    testing::vectors::{Cases, Claim, File},
};

use crate::{Shape, basics::bytes};

pub(crate) fn claim(_file: &File<'_>, shape: &Shape) -> Option<Claim> {
    shape.has(&["codecVectors", "dbDumpAfterRun1"]).then_some(Claim::Run(parity))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Parity {
    clock_unix_nanos: u64,
    #[serde(rename = "chain1ID")]
    chain_1: String,
    #[serde(rename = "chain2ID")]
    chain_2: String,
    containers: BTreeMap<String, Vec<Item>>,
    codec_vectors: Vec<Item>,
    empty_index_errors: Value,
    queries: Value,
    db_dump_after_run1: Vec<Row>,
    db_dump_after_run2: Vec<Row>,
    run3_fatal_closed: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    id: String,
    bytes_hex: String,
    timestamp: Option<u64>,
    encoded_hex: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    key_hex: String,
    value_hex: String,
}

fn id(text: &str) -> Id {
    text.parse().expect("an id")
}

fn dump(store: &Arc<dyn Database>) -> BTreeMap<String, String> {
    let rows = store.iterate(&[], &[]).map(|row| row.expect("memory does not fail"));
    rows.map(|(key, value)| (hex::encode(&key), hex::encode(&value))).collect()
}

fn rows(dumped: &[Row]) -> BTreeMap<String, String> {
    dumped.iter().map(|row| (row.key_hex.clone(), row.value_hex.clone())).collect()
}

/// Answers of an index as a client sees them.
struct Client {
    service: Arc<Service<Index>>,
    runtime: tokio::runtime::Runtime,
}

impl Client {
    fn new(index: &Arc<Index>) -> Self {
        let registry = Registry::new("test");
        let service = Service::new(
            index::methods(),
            Arc::clone(index),
            Dialect::default(),
            Limits::default(),
            &registry,
        );
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        Self { service, runtime }
    }

    fn ask(&self, method: &str, params: &Value) -> Value {
        let body =
            json!({ "jsonrpc": "2.0", "id": 1, "method": format!("index.{method}"), "params": params });
        let answer = self.runtime.block_on(self.service.handle(body.to_string().as_bytes(), Access::Open));
        let bytes = answer.ok().flatten().expect("an answer");
        let mut answer: Value = serde_json::from_slice(&bytes).expect("JSON");
        match answer.get_mut("result") {
            Some(result) => result.take(),
            None => answer["error"]["message"].take(),
        }
    }
}

fn parity(file: &File<'_>, cases: &mut Cases) {
    let vectors: Parity = file.parse();
    for (at, vector) in vectors.codec_vectors.iter().enumerate() {
        let container = Container {
            id: id(&vector.id),
            bytes: bytes(&vector.bytes_hex),
            timestamp: vector.timestamp.expect("a time"),
        };
        let encoded = vector.encoded_hex.as_deref().expect("an encoding");
        cases.equal(format!("container {at}"), &hex::encode(marshal(&container)), &encoded.to_owned());
        let back = unmarshal_versioned(0, &bytes(encoded), usize::MAX).ok();
        cases.equal(format!("container {at} back"), &back, &Some(container));
    }

    let store: Arc<dyn Database> = Arc::new(Memory::new());
    let (chain_1, chain_2) = (id(&vectors.chain_1), id(&vectors.chain_2));
    let now = Wall::from_nanos(vectors.clock_unix_nanos);
    let open =
        |enabled, gaps| Indexer::open(Arc::clone(&store), enabled, gaps).expect("memory does not fail");
    let indexer = open(true, false);
    let first = indexer.register(chain_1, false).ok().flatten().expect("no gaps yet");
    let second = indexer.register(chain_2, true).ok().flatten().expect("no gaps yet");
    let client = Client::new(&first.blocks);
    let empty = &vectors.empty_index_errors;
    for (name, method, params) in [
        ("getContainerByIndex0", "getContainerByIndex", json!({ "index": 0 })),
        ("getContainerRange01", "getContainerRange", json!({ "startIndex": 0, "numToFetch": 1 })),
        ("getLastAccepted", "getLastAccepted", json!({})),
    ] {
        cases.equal(format!("empty {name}"), &client.ask(method, &params), &empty[name]);
    }

    let (txs, vertices) = second.dag.expect("a chain that was a DAG");
    for (name, index) in [
        ("chain1Blocks", &first.blocks),
        ("chain2Blocks", &second.blocks),
        ("chain2Txs", &txs),
        ("chain2Vtxs", &vertices),
    ] {
        for item in &vectors.containers[name] {
            index.accept(id(&item.id), &bytes(&item.bytes_hex), now).expect("memory does not fail");
        }
    }
    let again = &vectors.containers["chain1Blocks"][0];
    first.blocks.accept(id(&again.id), &bytes(&again.bytes_hex), now).expect("memory does not fail");
    cases.equal("store after the first run", &dump(&store), &rows(&vectors.db_dump_after_run1));
    queries(cases, &client, &vectors);

    let registered = open(false, true).register(chain_1, false).map(|indexes| indexes.is_none());
    cases.equal("second run, without index", &registered.ok(), &Some(true));
    cases.equal("store after the second run", &dump(&store), &rows(&vectors.db_dump_after_run2));
    let refused = open(true, false).register(chain_1, false).is_err();
    cases.equal("third run, with an index that has gaps", &refused, &vectors.run3_fatal_closed);
}

fn queries(cases: &mut Cases, client: &Client, vectors: &Parity) {
    let expected = &vectors.queries;
    let blocks = &vectors.containers["chain1Blocks"];
    for (name, method, params) in [
        ("lastAcceptedJSON", "getLastAccepted", json!({ "encoding": "hex" })),
        ("containerByIndex1JSON", "getContainerByIndex", json!({ "index": 1 })),
        ("containerByID0JSON", "getContainerByID", json!({ "id": blocks[0].id })),
        ("range02JSON", "getContainerRange", json!({ "startIndex": "0", "numToFetch": "2" })),
        ("rangeErrTooMany", "getContainerRange", json!({ "startIndex": 0, "numToFetch": 1025 })),
        ("rangeErrZero", "getContainerRange", json!({ "startIndex": 0, "numToFetch": 0 })),
        ("rangeErrPastEnd", "getContainerRange", json!({ "startIndex": 9, "numToFetch": 1 })),
        ("getIndexUnknownErr", "getIndex", json!({ "id": expected["unknownID"] })),
    ] {
        cases.equal(name, &client.ask(method, &params), &expected[name]);
    }
    let all = client.ask("getContainerRange", &json!({ "startIndex": 0, "numToFetch": 1024 }));
    let ids: Value =
        all["containers"].as_array().into_iter().flatten().map(|one| one["id"].clone()).collect();
    cases.equal("rangeAllIDs", &ids, &expected["rangeAllIDs"]);
}
