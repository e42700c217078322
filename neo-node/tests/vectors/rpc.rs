//! Recorded exchanges over RPC: the recorded chain is imported and every request of a method that exists is asked of the
//! server itself, through the envelope. What changes from run to run is masked; errors are compared by code and text.

use std::{path::Path, sync::Arc, time::Duration};

use neo_rpc::{Context, Network, Options, Tokens, sessions::Sessions};
use neo_runtime::Admission;
use serde_json::{Value, json};
use shared_vendor::{
    clock::SystemClock,
    http::Access,
    metrics::Registry,
    rpc::{Limits, Service},
    testing::vectors::{Cases, Claim, File},
};
use tokio::sync::{broadcast, mpsc, watch};

use super::chain::chain_of;

/// Members that differ between runs, nodes and moments, or that only the recorded peer has: counters and places in the
/// chain at the time of recording, heights of last transfers, random numbers, names of programs, ids of sessions, its own additions.
const VOLATILE: [&str; 17] = [
    "application",
    "confirmations",
    "data",
    "diagnostics",
    "exception",
    "id",
    "invocations",
    "jsonrpc",
    "lastupdatedblock",
    "nextblockhash",
    "rpc",
    "seedlist",
    "session",
    "tcpport",
    "updatecounter",
    "useragent",
    "validatedrootindex",
];

pub(crate) fn claim(file: &File<'_>) -> Option<Claim> {
    let (folder, name) = file.path.rsplit_once('/')?;
    let is_exchange = folder.starts_with("recorded/") && folder.ends_with("/rpc") && name.ends_with(".json");
    let chain = file.root().join(folder).join("../chain.0.acc");
    (is_exchange && chain.is_file()).then_some(Claim::Run(exchanges))
}

fn exchanges(file: &File<'_>, cases: &mut Cases) {
    let folder = file.location.parent().expect("a folder");
    let exchanges = file.json();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let server = match serve(folder.parent().expect("a folder")) {
        Ok(server) => server,
        Err(err) => return cases.fail("import", &err, &"a valid chain"),
    };
    let ask = |body: &str| -> Result<Value, String> {
        let reply = runtime.block_on(server.handle(body.as_bytes(), Access::Open));
        let reply = reply.map_err(|err| err.to_string())?.unwrap_or_default();
        serde_json::from_slice(&reply).map_err(|err| err.to_string())
    };
    for (number, exchange) in exchanges.as_array().into_iter().flatten().enumerate() {
        let request =
            exchange["request_raw"].as_str().map_or_else(|| exchange["request"].to_string(), str::to_owned);
        let name = format!("{number} {}", request.chars().take(120).collect::<String>());
        if let Some(reason) = csharp_differs(exchange) {
            not_compared(file, &name, reason);
            cases.skip(reason);
            continue;
        }
        cases.case(name, || {
            // A session that the recorded node did not know is none here either.
            let request = if exchange["response"]["error"].is_null() {
                with_own_session(folder, &request, &ask)?
            } else {
                request
            };
            let (actual, expected) = (masked(&ask(&request)?), masked(&exchange["response"]));
            if actual == expected {
                Ok(())
            } else {
                Err(format!("\n      actual   {actual}\n      expected {expected}"))
            }
        });
    }
    let longest = exchanges.as_array().into_iter().flatten().map(|exchange| &exchange["request"]);
    let longest = longest.max_by_key(|request| request["params"].as_array().map_or(0, Vec::len));
    if let Some(request) = longest.filter(|request| request["method"].is_string()) {
        cases.case("odd arguments", || odd_arguments(request, &ask));
    }
}

/// What callers may put where something else is meant.
fn odd() -> Vec<Value> {
    let plain = json!([
        null, true, false, -1, 0, 1, 2_147_483_648_u64, 4_294_967_296_u64, u64::MAX, 1.5, 1e300, "", "0", "-1", "x", "../../etc/passwd",
        "é\u{0}", [], {}, [[]], { "a": 1 }, "AA==", "A====", "0x0000000000000000000000000000000000000000",
        "0x0000000000000000000000000000000000000000000000000000000000000000"
    ]);
    let mut values = plain.as_array().cloned().unwrap_or_default();
    values.push("9".repeat(100_000).into());
    values
}

/// Every parameter of a request in turn left out, added or replaced by something odd: an answer, and never a failure of the node.
fn odd_arguments(request: &Value, ask: &impl Fn(&str) -> Result<Value, String>) -> Result<(), String> {
    let Some(params) = request["params"].as_array() else { return Ok(()) };
    let mut variants: Vec<Vec<Value>> = (0..params.len()).map(|count| params[..count].to_vec()).collect();
    for value in odd() {
        variants.push([params.as_slice(), std::slice::from_ref(&value)].concat());
        variants.extend((0..params.len()).map(|index| {
            let mut params = params.clone();
            params[index] = value.clone();
            params
        }));
    }
    for params in variants {
        let body =
            json!({ "jsonrpc": "2.0", "id": 1, "method": request["method"], "params": params }).to_string();
        let answer = ask(&body)?;
        let code = &answer["error"]["code"];
        if answer.get("result").is_none() == code.is_null() || *code == -32603 {
            return Err(format!("{} is answered {answer}", body.chars().take(300).collect::<String>()));
        }
    }
    Ok(())
}

/// One line for what is not compared.
#[allow(clippy::print_stdout)]
fn not_compared(file: &File<'_>, what: &str, reason: &str) {
    println!("neo-node {}: {what} is not compared: {reason}", file.path);
}

/// The recorded node went on after the blocks of the chain.
const LATER: &str = "recorded at a later height";

/// Height of the recorded chain.
const LAST_BLOCK: u64 = 189;

/// A contract whose script calls murmur32 on bytes of its own.
const DAMAGED: &str = "0x8e464db72017d9a465f8ae54bfc810337025ee6c";

/// Exchanges whose recorded answer is not the C# node's, or holds for a later height.
fn csharp_differs(exchange: &Value) -> Option<&'static str> {
    let params = &exchange["request"]["params"];
    match exchange["request"]["method"].as_str() {
        Some("getcontractstate") if params[0] == DAMAGED => Some(
            "the peer has overwritten four bytes of the script in its memory: it does not fit its own checksum",
        ),
        Some("getunclaimedgas") if exchange["response"]["result"]["unclaimed"] != "0" => Some(LATER),
        // A node that saves invocations, as the recorded one did, leaves out the transfers of transactions.
        Some("getnep17transfers" | "getnep11transfers") => Some(
            "the peer lists what native contracts move around the transactions, the C# node what transactions move",
        ),
        Some("getnep17balances") if balance_is_later(&exchange["response"]["result"]["balance"]) => {
            Some(LATER)
        }
        Some("findstorage") if [-5, -6].map(Value::from).contains(&params[0]) => Some(LATER),
        Some("findstorage") if params[0] == -4 => Some("the peer keeps the Ledger contract's rows elsewhere"),
        Some("invokecontractverify") if params[1].get(0).is_some() => {
            Some("arguments that the method does not take are a fault in the C# node")
        }
        None if exchange["request"].is_array() => Some(LATER),
        None if exchange["request_raw"] == "[]" => Some("an empty batch is -32600 in the C# node"),
        _ => None,
    }
}

/// Whether a recorded balance changed after the last block of the chain.
fn balance_is_later(balances: &Value) -> bool {
    let last = |one: &Value| one["lastupdatedblock"].as_u64().unwrap_or_default();
    balances.as_array().into_iter().flatten().any(|one| last(one) > LAST_BLOCK)
}

/// A request for the items of an iterator, with the session of the same invocation made anew.
fn with_own_session(
    folder: &Path,
    request: &str,
    ask: &impl Fn(&str) -> Result<Value, String>,
) -> Result<String, String> {
    let mut request: Value = match serde_json::from_str(request) {
        Ok(request) => request,
        Err(_) => return Ok(request.to_owned()),
    };
    let method = request["method"].as_str().unwrap_or_default();
    if ["traverseiterator", "terminatesession"].contains(&method) {
        let traverses = method == "traverseiterator";
        let text = std::fs::read(folder.join("invokefunction.json")).map_err(|err| err.to_string())?;
        let invocations: Value = serde_json::from_slice(&text).map_err(|err| err.to_string())?;
        let same = |one: &&Value| one["response"]["result"]["session"] == request["params"][0];
        if let Some(found) = invocations.as_array().into_iter().flatten().find(same) {
            let result = ask(&found["request"].to_string())?["result"].clone();
            request["params"][0] = result["session"].clone();
            if traverses {
                request["params"][1] = result["stack"][0]["id"].clone();
            }
        }
    }
    Ok(request.to_string())
}

/// What is compared of an answer.
fn masked(answer: &Value) -> Value {
    match answer {
        Value::Array(items) => items.iter().map(masked).collect(),
        Value::Object(members) => {
            let mut members = members.clone();
            // The nonce of a node; blocks and transactions have others.
            if members.contains_key("useragent") {
                members.remove("nonce");
            }
            // Signatures of state validators come over the network.
            if members.contains_key("roothash") {
                members.remove("witnesses");
            }
            // -503 has the C# node's text.
            if members.get("code").is_some_and(|code| *code == -503) {
                members.remove("message");
            }
            let fault = members.get("vmstate").is_some_and(|state| state == "FAULT")
                && members.contains_key("trigger");
            let registered = members
                .get("notifications")
                .and_then(Value::as_array)
                .is_some_and(|sent| sent.iter().any(|sent| sent["eventname"] == "CandidateStateChanged"));
            if fault || registered {
                // The peer shows what lay on the stack, leaves out the last charge, and has a price for onNEP17Payment.
                members.remove("stack");
                members.remove("gasconsumed");
            }
            // In the order of contracts there, of their hashes here.
            if let Some(Value::Array(balances)) = members.get_mut("balance") {
                balances.sort_by_key(|one| one["assethash"].to_string());
            }
            let kept = members.iter().filter(|(name, _)| {
                !VOLATILE.contains(&name.as_str()) || is_number_of_contract(name, &members)
            });
            Value::Object(kept.map(|(name, value)| (name.clone(), masked(value))).collect())
        }
        other => other.clone(),
    }
}

/// `id` is the number of a contract beside its hash, and of a session elsewhere.
fn is_number_of_contract(name: &str, members: &serde_json::Map<String, Value>) -> bool {
    name == "id" && members.contains_key("manifest")
}

/// The server over an imported chain, without a network.
pub(crate) fn serve(folder: &Path) -> Result<Arc<Service<Context>>, String> {
    let ledger = chain_of(folder)?;
    let admission = Arc::new(Admission::new(Arc::clone(&ledger), Box::new(|_| {})));
    let (_, network) = watch::channel(Network { headers: ledger.height() + 1, ..Network::default() });
    let context = Context {
        ledger,
        admission,
        network,
        blocks: mpsc::channel(1).0,
        executed: broadcast::channel(1).0,
        pool_changes: broadcast::channel(1).0,
        sessions: Sessions::new(Duration::from_secs(60), [7; 32]),
        clock: Arc::new(SystemClock::default()),
        options: Options {
            tcp_port: 0,
            nonce: 0,
            user_agent: String::new(),
            max_gas: 5_000_000_000,
            sessions: true,
            session_time: Duration::from_secs(60),
            max_items: 100,
            page_size: 50,
            tokens: Tokens { nep11: true, nep17: true, history: true, max_results: 1_000 },
        },
    };
    let (methods, dialect) = (neo_rpc::methods(), neo_rpc::error::dialect());
    Ok(Service::new(methods, Arc::new(context), dialect, Limits::default(), &Registry::new("neo")))
}
