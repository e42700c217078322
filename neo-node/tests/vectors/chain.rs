//! Recorded chains: every block is imported, and roots of every height, final storage and application logs are
//! compared. A chain is `recorded/NAME/chain.0.acc` beside `stateroots.json`, `state_final.json` and `rpc/`, with
//! `recorded/configs/neogo-NAME.yml`; or a file of blocks below `chains/` with `.config.yml` and `.expected.json`.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use neo_base::{UInt256, account};
use neo_contract::{
    Hardfork, Hardforks, ProtocolSettings,
    engine::{Store, Trigger},
    native::{ContractId, hash_of},
};
use neo_crypto::secp256r1::{PrivateKey, PublicKey};
use neo_node::config::native::NeoGo;
use neo_runtime::{
    Ledger, LedgerOptions,
    acc::BlockReader,
    log::{Execution, Log, LogItem},
};
use neo_store::Database;
use serde_json::{Value, json};
use shared_vendor::{
    config::Source,
    hex,
    testing::vectors::{Cases, Claim, File},
};

use super::core_vectors::base64;

pub(crate) fn claim(file: &File<'_>) -> Option<Claim> {
    let (folder, name) = file.path.rsplit_once('/')?;
    if name == "chain.0.acc" && folder.starts_with("recorded/") {
        return Some(Claim::Run(recorded));
    }
    if folder == "chains" && (name.ends_with(".acc") || name.ends_with(".expected.json")) {
        return Some(Claim::Run(with_expected));
    }
    if folder == "recorded/genesis" && name.ends_with(".json") {
        return Some(Claim::Run(first_blocks));
    }
    let has_chain = file.root().join(folder).join("chain.0.acc").is_file();
    if has_chain && name == "stateroots.json" {
        return Some(Claim::Run(roots));
    }
    if has_chain && name == "story.json" {
        return Some(Claim::Run(story));
    }
    if (folder == "recorded/configs" || folder == "chains") && name.ends_with(".yml") {
        return Some(Claim::Run(configuration));
    }
    if name == "getapplicationlog.json" && file.root().join(folder).join("../chain.0.acc").is_file() {
        return Some(Claim::Run(application_logs));
    }
    None
}

/// A recorded chain with the root of every height and the final storage.
fn recorded(file: &File<'_>, cases: &mut Cases) {
    let folder = file.location.parent().expect("a folder");
    let ledger = match chain_of(folder) {
        Ok(ledger) => ledger,
        Err(err) => return cases.fail("import", &err, &"a valid chain"),
    };
    let roots = json_file(&folder.join("stateroots.json"));
    compare_roots(&ledger, roots.as_array().expect("a list of roots"), cases);
    let last = folder.join("state_final.json");
    if last.is_file() {
        compare_storage(&ledger, &json_file(&last)["storage_by_contract_id"], cases);
    }
}

/// The roots of every height, beside those of the imported chain.
fn roots(file: &File<'_>, cases: &mut Cases) {
    match chain_of(file.location.parent().expect("a folder")) {
        Ok(ledger) => compare_roots(&ledger, file.json().as_array().expect("a list of roots"), cases),
        Err(err) => cases.fail("import", &err, &"a valid chain"),
    }
}

/// What each transaction of a recorded chain did, and the keys of those who sent them.
fn story(file: &File<'_>, cases: &mut Cases) {
    let ledger = match chain_of(file.location.parent().expect("a folder")) {
        Ok(ledger) => ledger,
        Err(err) => return cases.fail("import", &err, &"a valid chain"),
    };
    let json = file.json();
    for act in json["story"].as_array().into_iter().flatten().filter(|act| act["tx"].is_string()) {
        let text = |name: &str| act[name].as_str().unwrap_or_default();
        cases.case(format!("{} {}", text("tx"), text("what")), || {
            let hash: UInt256 = text("tx").parse().map_err(|_| "not a hash")?;
            let log = ledger.application_log(&hash).map_err(|err| err.to_string())?.ok_or("no log")?;
            let own = log.executions.first().ok_or("no execution")?;
            let view = ledger.view().map_err(|err| err.to_string())?;
            let found =
                neo_contract::native::ledger::transaction(&view, &hash).map_err(|err| err.to_string())?;
            let height = found.map(|found| u64::from(found.block_index));
            let gas = csharp_gas(own, text("gasconsumed")).unwrap_or_else(|| text("gasconsumed").to_owned());
            let actual = (height, state(own), own.gas.to_string());
            let expected = (act["height"].as_u64(), text("vmstate").to_owned(), gas);
            if actual == expected { Ok(()) } else { Err(format!("actual {actual:?}, expected {expected:?}")) }
        });
    }
    for (name, key) in json["keys"].as_object().into_iter().flatten() {
        cases.case(format!("key {name}"), || {
            let text = |name: &str| key[name].as_str().unwrap_or_default().to_owned();
            let private = hex::decode_array(&text("priv")).map_err(|err| err.to_string())?;
            let private = PrivateKey::from_bytes(&private).ok_or("no private key")?;
            let account = account::script_hash(&account::signature_script(&private.public_key()));
            let actual =
                (private.public_key().to_string(), account::to_address(&account, 0x35), account.to_string());
            let expected = (text("pub"), text("addr"), text("scripthash"));
            if actual == expected { Ok(()) } else { Err(format!("actual {actual:?}, expected {expected:?}")) }
        });
    }
}

/// A configuration of neo-go becomes the settings that the recorded chain was made with.
fn configuration(file: &File<'_>, cases: &mut Cases) {
    cases.case("our settings", || {
        let read = NeoGo.read(file.location, file.text()).map_err(|err| format!("{err:?}"))?;
        let of = |key: &str| -> Vec<String> {
            read.entries
                .iter()
                .find(|entry| entry.key == key)
                .map(|entry| entry.texts.clone())
                .unwrap_or_default()
        };
        let expected = settings(file.location);
        let committee: Vec<_> = expected.standby_committee.iter().map(ToString::to_string).collect();
        let named = !of("protocol.hardforks").is_empty();
        let forks: Vec<_> = expected
            .forks
            .iter()
            .filter(|_| named)
            .map(|(fork, height)| format!("{}={height}", fork.name()))
            .collect();
        let actual = (of("protocol.magic"), of("protocol.standby-committee"), of("protocol.hardforks"));
        let expected = (vec![expected.network.to_string()], committee, forks);
        if actual == expected { Ok(()) } else { Err(format!("actual {actual:?}, expected {expected:?}")) }
    });
}

/// First blocks: of a public network, or of the main network with ever more hardforks from block 0.
fn first_blocks(file: &File<'_>, cases: &mut Cases) {
    let json = file.json();
    let Some(network) = json["getversion"]["protocol"]["network"].as_u64() else {
        for (name, network) in json.as_object().into_iter().flatten() {
            let active = network["active_from_block_0"].as_array().map_or(0, Vec::len);
            let forks = Hardfork::ALL.into_iter().enumerate();
            let forks: Vec<_> = forks.map(|(at, fork)| (fork, if at < active { 0 } else { 1000 })).collect();
            let forks = Hardforks::new(&forks).expect("heights in order");
            let settings = ProtocolSettings { forks, ..ProtocolSettings::mainnet() };
            first_block(
                name,
                settings,
                &network["stateroot0"],
                &network["storage0"],
                &network["applog0"],
                cases,
            );
        }
        return;
    };
    let networks = [ProtocolSettings::mainnet(), ProtocolSettings::testnet()];
    let settings = networks.into_iter().find(|settings| u64::from(settings.network) == network);
    let settings = settings.expect("a public network");
    let protocol = &json["getversion"]["protocol"];
    let constants = json!({
        "addressversion": settings.address_version,
        "msperblock": settings.ms_per_block,
        "maxtraceableblocks": settings.max_traceable_blocks,
        "maxvaliduntilblockincrement": settings.max_valid_until_block_increment,
        "maxtransactionsperblock": settings.max_transactions_per_block,
        "memorypoolmaxtransactions": settings.memory_pool_max_transactions,
        "validatorscount": settings.validators_count,
        "initialgasdistribution": settings.initial_gas_distribution,
        "standbycommittee": settings.standby_committee.iter().map(|key| hex::encode(key.to_bytes())).collect::<Vec<_>>(),
        "hardforks": settings.forks.iter().map(|(fork, height)| json!({"name": fork.name(), "blockheight": height}))
            .collect::<Vec<_>>(),
    });
    for (name, own) in constants.as_object().into_iter().flatten() {
        cases.equal(name, own, &protocol[name]);
    }
    let (root, logs) = (&json["stateroot0"]["roothash"], &json["applog0"]);
    first_block("block 0", settings, root, &json["storage"], logs, cases);
}

fn first_block(
    name: &str,
    settings: ProtocolSettings,
    root: &Value,
    storage: &Value,
    log: &Value,
    cases: &mut Cases,
) {
    let opened = Ledger::open(Arc::new(settings), LedgerOptions::default(), Database::in_memory());
    let ledger = match opened {
        Ok(ledger) => ledger,
        Err(err) => return cases.fail(name, &causes(&err), &"a first block"),
    };
    let tip = ledger.tip();
    cases.equal(format!("{name}: hash"), &Some(tip.hash.to_string().as_str()), &log["blockhash"].as_str());
    cases.equal(format!("{name}: root"), &Some(tip.root.to_string().as_str()), &root.as_str());
    compare_storage(&ledger, storage, cases);
    cases.case(format!("{name}: log"), || {
        let own = ledger.application_log(&tip.hash).map_err(|err| err.to_string())?.ok_or("no log")?;
        same_log(&own, &log["executions"], None)
    });
}

/// A chain with the result of every transaction.
fn with_expected(file: &File<'_>, cases: &mut Cases) {
    let path = file.location.to_str().expect("a path");
    let stem = path.trim_end_matches(".acc").trim_end_matches(".expected.json").to_owned();
    let config = PathBuf::from(format!("{}.config.yml", stem.trim_end_matches("-testblocks")));
    let expected = json_file(&PathBuf::from(format!("{stem}.expected.json")));
    let bytes = fs::read(format!("{stem}.acc")).expect("blocks");
    let ledger = match import(&settings(&config), &bytes, false) {
        Ok(ledger) => ledger,
        Err(err) => return cases.fail("import", &err, &"a valid chain"),
    };
    let blocks = expected.as_array().expect("a list of blocks");
    compare_roots(&ledger, blocks, cases);
    for transaction in blocks.iter().flat_map(|block| block["tx"].as_array().into_iter().flatten()) {
        let hash = transaction["tx"].as_str().expect("a hash").to_owned();
        let log =
            ledger.application_log(&hash.parse().expect("a hash")).expect("readable").unwrap_or_default();
        let found = log.executions.first().map(|execution| (state(execution), execution.gas.to_string()));
        let text = |name: &str| transaction[name].as_str().expect("text").to_owned();
        cases.equal(hash, &found, &Some((text("vmstate"), text("gasconsumed"))));
    }
}

fn state(execution: &Execution) -> String {
    if execution.halted { "HALT" } else { "FAULT" }.to_owned()
}

fn compare_roots(ledger: &Ledger, roots: &[Value], cases: &mut Cases) {
    cases.equal("height", &(ledger.height() as usize + 1), &roots.len());
    for (height, expected) in (0..).zip(roots) {
        let root = ledger.state_root(height).expect("readable").map(|root| root.root.to_string());
        let expected = expected["roothash"].as_str().map(str::to_owned);
        cases.equal(format!("root at {height}"), &root, &expected);
    }
}

/// `{id: entries}`, where entries are pairs, `{key, value}` objects, or `{results: [..]}` of them.
fn compare_storage(ledger: &Ledger, storage: &Value, cases: &mut Cases) {
    let view = ledger.view().expect("readable");
    for (id, entries) in storage.as_object().expect("storage is an object") {
        let number: i32 = id.parse().expect("a contract id");
        if number == -4 {
            continue;
        }
        let prefix = number.to_le_bytes();
        let mut found: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        let mut after: Option<Vec<u8>> = None;
        while let Some((key, value)) = view.seek(&prefix, after.as_deref(), false).expect("readable") {
            found.insert(key[4..].to_vec(), value.to_vec());
            after = Some(key);
        }
        let entries = entries.get("results").unwrap_or(entries);
        for entry in entries.as_array().expect("a list of entries") {
            let part = |at: usize, name: &str| {
                let text = entry.get(at).unwrap_or(&entry[name]);
                base64(text.as_str().expect("text")).expect("base64")
            };
            let (key, value) = (part(0, "key"), part(1, "value"));
            cases.equal(
                format!("contract {id} key {}", hex::encode(&key)),
                &found.remove(&key),
                &Some(value),
            );
        }
        cases.equal(format!("contract {id}: other entries"), &found, &BTreeMap::new());
    }
}

/// Recorded answers of `getapplicationlog`.
fn application_logs(file: &File<'_>, cases: &mut Cases) {
    let folder = file.location.parent().and_then(Path::parent).expect("a folder");
    let Ok(ledger) = chain_of(folder) else { return cases.fail("import", &"an error", &"a valid chain") };
    for exchange in file.json().as_array().into_iter().flatten() {
        let expected = &exchange["response"]["result"];
        let (Some(hash), true) = (exchange["request"]["params"][0].as_str(), expected.is_object()) else {
            cases.skip("an error answer: judged by the RPC server");
            continue;
        };
        let only = exchange["request"]["params"][1].as_str();
        cases.case(format!("log of {hash}"), || {
            let hash: UInt256 = hash.parse().map_err(|_| "not a hash")?;
            let log = ledger.application_log(&hash).map_err(|err| err.to_string())?.ok_or("no log")?;
            same_log(&log, &expected["executions"], only)
        });
    }
}

fn same_log(log: &Log, expected: &Value, only: Option<&str>) -> Result<(), String> {
    let name = |trigger| match trigger {
        Trigger::OnPersist => "OnPersist",
        Trigger::PostPersist => "PostPersist",
        Trigger::Verification => "Verification",
        Trigger::Application => "Application",
    };
    let actual =
        log.executions.iter().filter(|execution| only.is_none_or(|only| only == name(execution.trigger)));
    let actual: Vec<Value> = actual
        .map(|execution| {
            let notifications = execution.notifications.iter().map(|sent| {
                json!({
                    "contract": sent.contract.to_string(),
                    "eventname": sent.name,
                    "state": sent.state.as_ref().map(item_json),
                })
            });
            json!({
                "trigger": name(execution.trigger),
                "vmstate": state(execution),
                "gasconsumed": execution.gas.to_string(),
                "stack": execution.stack.iter().flatten().map(item_json).collect::<Vec<_>>(),
                "notifications": notifications.collect::<Vec<_>>(),
            })
        })
        .collect();
    let mut expected = expected.clone();
    for (own, execution) in log.executions.iter().zip(expected.as_array_mut().into_iter().flatten()) {
        if let Some(fields) = execution.as_object_mut() {
            let recorded = fields["gasconsumed"].as_str().unwrap_or_default();
            if let Some(gas) = csharp_gas(own, recorded) {
                fields.insert("gasconsumed".into(), gas.into());
            }
            fields.remove("exception");
            fields.remove("invocations");
            // what lies on the stack of a fault is not a result
            if fields["vmstate"] == "FAULT" {
                fields.insert("stack".into(), json!([]));
            }
        }
    }
    if Value::Array(actual.clone()) == expected {
        Ok(())
    } else {
        let faults: Vec<_> = log.executions.iter().flat_map(|execution| &execution.exception).collect();
        Err(format!("{faults:?}\n      actual   {}\n      expected {expected}", Value::Array(actual)))
    }
}

/// Price of `onNEP17Payment` of NEO in neo-go, datoshi; C# takes none.
const PAYMENT: u64 = 983_040;
/// The dearest charge that exceeds the limit in these chains, datoshi; neo-go leaves it out.
const DEAREST: u64 = 2_949_390;

/// The gas of an execution where the peer that recorded it differs from the C# node.
fn csharp_gas(own: &Execution, recorded: &str) -> Option<String> {
    let recorded: u64 = recorded.parse().ok()?;
    let out_of_gas = own.exception.as_deref() == Some("out of gas");
    let neo = hash_of(ContractId::NEO);
    let registered_by_payment = own.notifications.windows(2).any(|pair| match pair {
        [registered, burnt] => {
            let from = match &burnt.state {
                Some(LogItem::Array(fields)) => fields.first().cloned(),
                _ => None,
            };
            registered.name == "CandidateStateChanged" && from == Some(LogItem::ByteString(neo.0.into()))
        }
        _ => false,
    });
    let exceeds = out_of_gas && (recorded..=recorded.saturating_add(DEAREST)).contains(&own.gas);
    if exceeds {
        return Some(own.gas.to_string());
    }
    registered_by_payment.then(|| recorded.saturating_sub(PAYMENT).to_string())
}

fn item_json(item: &LogItem) -> Value {
    let encode = |bytes: &[u8]| neo_contract::base64::encode(bytes);
    let list = |items: &[LogItem]| items.iter().map(item_json).collect::<Vec<_>>();
    match item {
        LogItem::Null => json!({"type": "Any"}),
        LogItem::Boolean(value) => json!({"type": "Boolean", "value": value}),
        LogItem::Integer(value) => json!({"type": "Integer", "value": value.to_string()}),
        LogItem::ByteString(bytes) => json!({"type": "ByteString", "value": encode(bytes)}),
        LogItem::Buffer(bytes) => json!({"type": "Buffer", "value": encode(bytes)}),
        LogItem::Array(items) => json!({"type": "Array", "value": list(items)}),
        LogItem::Struct(items) => json!({"type": "Struct", "value": list(items)}),
        LogItem::Map(entries) => {
            let entries =
                entries.iter().map(|(key, value)| json!({"key": item_json(key), "value": item_json(value)}));
            json!({"type": "Map", "value": entries.collect::<Vec<_>>()})
        }
        LogItem::Pointer(position) => json!({"type": "Pointer", "value": position}),
        LogItem::Interop => json!({"type": "InteropInterface"}),
    }
}

/// The recorded chain of a folder, imported once for all runners.
pub(crate) fn chain_of(folder: &Path) -> Result<Arc<Ledger>, String> {
    thread_local! {
        static CHAINS: RefCell<HashMap<PathBuf, Arc<Ledger>>> = RefCell::default();
    }
    let folder = folder.canonicalize().map_err(|err| err.to_string())?;
    if let Some(ledger) = CHAINS.with(|chains| chains.borrow().get(&folder).cloned()) {
        return Ok(ledger);
    }
    let name = folder.file_name().and_then(|name| name.to_str()).ok_or("a folder with a name")?;
    let config = folder.join("../configs").join(format!("neogo-{name}.yml"));
    let bytes = fs::read(folder.join("chain.0.acc")).map_err(|err| err.to_string())?;
    let ledger = Arc::new(import(&settings(&config), &bytes, true)?);
    CHAINS.with(|chains| chains.borrow_mut().insert(folder.clone(), ledger.clone()));
    Ok(ledger)
}

/// Imports a file of blocks into memory.
fn import(settings: &Arc<ProtocolSettings>, bytes: &[u8], with_start: bool) -> Result<Ledger, String> {
    let options = LedgerOptions { tokens: Some(true), ..LedgerOptions::default() };
    let ledger =
        Ledger::open(settings.clone(), options, Database::in_memory()).map_err(|err| causes(&err))?;
    let mut blocks = BlockReader::open(bytes, with_start).map_err(|err| causes(&err))?;
    while let Some(block) = blocks.next_block().map_err(|err| causes(&err))? {
        let index = block.header.body().index;
        if index == 0 {
            let (found, own) = (block.header.hash(), ledger.tip().hash);
            if found != own {
                return Err(format!("first block: actual {own}, expected {found}"));
            }
            continue;
        }
        ledger.persist(Arc::new(block)).map_err(|err| format!("block {index}: {}", causes(&err)))?;
    }
    Ok(ledger)
}

fn causes(err: &dyn std::error::Error) -> String {
    let mut text = err.to_string();
    let mut next = err.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

/// The constants of a neo-go configuration.
pub(crate) fn settings(config: &Path) -> Arc<ProtocolSettings> {
    let text = fs::read_to_string(config).expect("a configuration");
    let root: Value = serde_yaml_ng::from_str(&text).expect("YAML");
    let protocol = &root["ProtocolConfiguration"];
    let number = |name: &str, default: u64| protocol[name].as_u64().unwrap_or(default);
    let mut settings = ProtocolSettings::private(u32::try_from(number("Magic", 0)).expect("a magic"));
    let keys = protocol["StandbyCommittee"].as_array().into_iter().flatten();
    let key = |key: &Value| PublicKey::from_bytes(&hex::decode(key.as_str()?).ok()?);
    settings.standby_committee = keys.map(|text| key(text).expect("a key")).collect();
    settings.validators_count = usize::try_from(number("ValidatorsCount", 1)).expect("a count");
    let time = protocol["TimePerBlock"].as_str().unwrap_or("15s");
    let millis = match time.strip_suffix("ms") {
        Some(millis) => millis.parse(),
        None => time.trim_end_matches('s').parse().map(|seconds: u32| seconds * 1000),
    };
    settings.ms_per_block = millis.expect("a time");
    let small = |name: &str, default: u32| u32::try_from(number(name, default.into())).expect("a number");
    settings.max_transactions_per_block = small("MaxTransactionsPerBlock", 512);
    // neo-go derives it from the time between blocks
    let increment = 86_400_000 / settings.ms_per_block;
    settings.max_valid_until_block_increment = small("MaxValidUntilBlockIncrement", increment);
    settings.max_traceable_blocks = small("MaxTraceableBlocks", 2_102_400);
    settings.initial_gas_distribution = number("InitialGASSupply", 52_000_000) * 100_000_000;
    let forks = protocol["Hardforks"].as_object();
    let forks: Vec<_> = forks
        .into_iter()
        .flatten()
        .filter_map(|(name, height)| {
            let fork = Hardfork::ALL.into_iter().find(|fork| fork.name() == name)?;
            Some((fork, u32::try_from(height.as_u64()?).ok()?))
        })
        .collect();
    settings.forks = Hardforks::new(&forks).expect("heights in order");
    Arc::new(settings)
}

fn json_file(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("a file")).expect("JSON")
}
