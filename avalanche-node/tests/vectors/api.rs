//! Methods of the HTTP API: their names, and the members of their answers.

use std::{collections::BTreeMap, sync::Arc};

use avalanche_api::{Aliases, ChainAtWork, Checks, Context, Facts, Node, Operator, Peer};
use avalanche_db::{Database, Memory};
use avalanche_ids::{Id, NodeId};
use avalanche_node::genesis::{AVM_ID, EVM_ID, NetworkGenesis};
use avm::vm::Avm;
use platformvm::{txs::UnsignedTx, vm::PlatformVm};
use proposervm::epoch::Epoch;
use serde::Deserialize;
use serde_json::{Value, json};
use shared_vendor::{
    clock::{SystemClock, Wall},
    http::Access,
    metrics::Registry,
    rpc::{Dialect, Limits, Service},
    testing::vectors::{Cases, Claim, File},
};

use crate::Shape;

pub(crate) fn claim(_file: &File<'_>, shape: &Shape) -> Option<Claim> {
    if shape.has(&["families"]) {
        return Some(Claim::Run(metrics));
    }
    shape.has(&["services", "errors"]).then_some(Claim::Run(parity))
}

#[derive(Deserialize)]
struct Parity {
    services: BTreeMap<String, Class>,
}

#[derive(Deserialize)]
struct Class {
    methods: Vec<String>,
    calls: Option<Vec<Call>>,
}

#[derive(Deserialize)]
struct Call {
    method: String,
    params: Value,
    response: Value,
}

/// A node with one peer.
struct Quiet;

impl Node for Quiet {
    fn peers(&self) -> Vec<Peer> {
        vec![Peer {
            node: NodeId([1; 20]),
            address: ([10, 0, 0, 1], 9651).into(),
            version: "avalanchego/1.14.2".to_owned(),
            upgrade_time: 1_607_144_400,
            heard: Wall::from_secs(1_781_179_200),
            observed_uptime: 100,
            subnets: vec![Id::EMPTY],
            benched: vec!["C".to_owned()],
        }]
    }

    fn is_bootstrapped(&self, _: Id) -> Option<bool> {
        Some(true)
    }

    fn is_connected(&self, _: NodeId) -> bool {
        true
    }

    fn proposal(&self, _: Id) -> Result<(u64, Epoch), String> {
        Ok((1, Epoch::default()))
    }

    fn checks(&self) -> Checks {
        Checks(vec![("c", json!("ok"), None)])
    }

    fn chains(&self) -> Vec<ChainAtWork> {
        vec![ChainAtWork {
            alias: "P",
            height: 0,
            processing: 0,
            successful_polls: 0,
            failed_polls: 0,
            benched: Vec::new(),
        }]
    }
}

impl Operator for Quiet {
    fn level(&self) -> String {
        "info".to_owned()
    }

    fn set_level(&self, _: &str) -> Result<(), String> {
        Ok(())
    }

    fn settings(&self) -> Value {
        json!({})
    }

    fn stored(&self, _: &[u8]) -> Result<Option<Vec<u8>>, String> {
        Ok(None)
    }
}

fn context(file: &File<'_>) -> Context {
    let json =
        std::fs::read(file.root().join("genesis/genesis_local.json")).expect("a vector beside this one");
    let genesis = NetworkGenesis::from_json(&json).expect("the local genesis");
    let store: Arc<dyn Database> = Arc::new(Memory::new());
    let config = platformvm::config::Config::of_network(genesis.network_id, genesis.avax_asset_id);
    let platform = PlatformVm::open(Arc::clone(&store), config, &genesis.platform.bytes()).expect("memory");
    let chain = genesis.platform.chain_id(AVM_ID).expect("the local genesis has an X-chain");
    let data = genesis.platform.chains.iter().find_map(|tx| match &tx.unsigned {
        UnsignedTx::CreateChain(chain) if chain.vm_id == AVM_ID => Some(chain.genesis_data.clone()),
        _ => None,
    });
    let config = avm::config::Config::of_network(genesis.network_id, chain, genesis.avax_asset_id);
    let data = data.expect("the X-chain has a genesis");
    let avm = Avm::open(store, config, &data, Arc::new(platform.clone())).expect("memory");
    let node = platform.read(|state| state.current_set(Id::EMPTY)).into_keys().next().expect("a validator");
    Context {
        facts: Facts {
            network_id: genesis.network_id,
            network_name: "local".to_owned(),
            hrp: "local",
            node,
            public_key: [1; 48],
            proof_of_possession: [2; 96],
            address: ([127, 0, 0, 1], 9651).into(),
            c_chain: genesis.platform.chain_id(EVM_ID),
            version: "0",
        },
        platform,
        avm,
        node: Arc::new(Quiet),
        aliases: Aliases::default(),
        clock: Arc::new(SystemClock::default()),
    }
}

fn parity(file: &File<'_>, cases: &mut Cases) {
    let vectors: Parity = file.parse();
    let operator: Arc<dyn Operator> = Arc::new(Quiet);
    let methods = avalanche_api::methods(Some(&operator));
    let known: Vec<&str> = methods.names().collect();
    let registry = Registry::new("test");
    let context = context(file);
    let x_chain = context.avm.config().chain_id;
    let service = Service::new(
        avalanche_api::methods(Some(&operator)),
        Arc::new(context),
        Dialect::default(),
        Limits::default(),
        &registry,
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    for (class, listed) in &vectors.services {
        for method in &listed.methods {
            let name = format!("{class}.{method}");
            cases.equal(&name, &known.contains(&name.as_str()), &true);
        }
        for call in listed.calls.iter().flatten() {
            let name = format!("{class}.{}", call.method);
            let mut params = call.params.clone();
            if call.method == "getChainAliases" {
                params = json!({ "chain": x_chain.to_string() });
            }
            let body = json!({ "jsonrpc": "2.0", "id": 1, "method": name, "params": params }).to_string();
            let answer = runtime.block_on(service.handle(body.as_bytes(), Access::Open)).ok().flatten();
            let answer: Value =
                answer.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
            let result = answer.get("result").cloned().unwrap_or_else(|| answer.clone());
            let (mut actual, mut expected) = (members(&result), members(&call.response));
            for answer in [&mut actual, &mut expected] {
                // Which checks and new machines there are is up to the node.
                for name in ["checks", "newVMs"] {
                    if let Some(listed) = answer.get_mut(name) {
                        *listed = json!(name);
                    }
                }
            }
            cases.equal(format!("members of {name}"), &actual, &expected);
        }
    }
}

#[derive(Deserialize)]
struct Schema {
    families: Vec<Family>,
}

#[derive(Deserialize)]
struct Family {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    label_keys: Vec<String>,
}

/// Types and labels of metrics. What Go's runtime counts about itself has no meaning here, and this node tracks no subnets.
fn metrics(file: &File<'_>, cases: &mut Cases) {
    let text = avalanche_api::metrics::page(&context(file));
    for family in file.parse::<Schema>().families {
        let name = &family.name;
        if name.starts_with("avalanche_process_go_") || name == "avalanche_network_peers_subnet" {
            continue;
        }
        let header = format!("# TYPE {name} ");
        let kind = text.lines().find_map(|line| line.strip_prefix(&header)).unwrap_or("missing");
        cases.equal(format!("type of {name}"), &kind, &family.kind.as_str());
        let sample = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("missing");
        let pairs =
            sample.strip_prefix('{').and_then(|rest| rest.split_once('}')).map_or("", |(pairs, _)| pairs);
        let labels: Vec<&str> =
            pairs.split_terminator(',').filter_map(|pair| Some(pair.split_once('=')?.0)).collect();
        cases.equal(
            format!("labels of {name}"),
            &labels,
            &family.label_keys.iter().map(String::as_str).collect(),
        );
    }
}

/// The names and types in an answer; names that are ids or aliases count as one.
fn members(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let named = object.iter().map(|(name, value)| {
                let is_id = name.len() > 40;
                (if is_id { "id".to_owned() } else { name.clone() }, members(value))
            });
            let sorted: BTreeMap<_, _> =
                named.filter(|(name, _)| !matches!(name.as_str(), "gitCommit" | "timestamp")).collect();
            json!(sorted)
        }
        Value::Array(items) => match items.first() {
            Some(first @ Value::Object(_)) => json!([members(first)]),
            _ => json!("list"),
        },
        Value::String(_) => json!("text"),
        Value::Number(_) => json!("number"),
        Value::Bool(_) => json!("flag"),
        Value::Null => Value::Null,
    }
}
