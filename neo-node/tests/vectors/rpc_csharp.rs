//! Requests and answers that the C# client is tested with. The answers come from different chains, so they are judged by
//! what they say of themselves: blocks, transactions, contracts and stacks are built from the answer and shown again,
//! with their own sizes and hashes. Every request must be one that this node understands, and what it answers itself
//! must have the same members.

use neo_base::{
    account,
    codec::Wire,
    ledger::{Block, Header, HeaderBody, Scopes, Signer, Transaction, TransactionBody, Witness},
};
use neo_contract::{Manifest, Nef};
use neo_rpc::{Context, render};
use neo_vm::{Heap, MapKey, StackItem};
use serde_json::{Map, Value};
use shared_vendor::{
    http::Access,
    rpc::Service,
    testing::vectors::{Cases, Claim, File},
};

use super::{
    core_vectors::{base64, same},
    rpc::serve,
};

/// Address version of the answers.
const VERSION: u8 = 0x35;

/// Methods of the wallet over RPC, which this node does not serve.
const WALLET: [&str; 7] = [
    "closewallet",
    "getnewaddress",
    "getwalletbalance",
    "getwalletunclaimedgas",
    "listaddress",
    "openwallet",
    "sendfrom",
];

pub(crate) fn claim(file: &File<'_>) -> Option<Claim> {
    let first = file.json().get(0)?.clone();
    let is_exchange = ["Name", "Request", "Response"].iter().all(|name| first.get(name).is_some());
    is_exchange.then_some(Claim::Run(exchanges))
}

fn exchanges(file: &File<'_>, cases: &mut Cases) {
    let server = match serve(&file.root().join("recorded/solo")) {
        Ok(server) => server,
        Err(err) => return cases.fail("import", &err, &"a valid chain"),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    for (number, exchange) in file.json().as_array().into_iter().flatten().enumerate() {
        let (request, expected) = (&exchange["Request"], &exchange["Response"]["result"]);
        let method = request["method"].as_str().unwrap_or_default();
        if let Some(reason) = outdated(method, request) {
            cases.skip(reason);
            continue;
        }
        cases.case(format!("{number} {}", exchange["Name"]), || {
            shown_again(method, request, expected)?;
            let reply = runtime.block_on(ask(&server, request))?;
            understood(method, &reply, expected)
        });
    }
}

/// Why an exchange says nothing of the protocol of today.
fn outdated(method: &str, request: &Value) -> Option<&'static str> {
    match method {
        "getblocksysfee" => Some("the C# node has no such method any more"),
        "getstorage" if request["params"][0].is_number() => {
            Some("a key in hex, as before Base64 was asked for")
        }
        "submitblock" => Some("a block as it was before it had a nonce"),
        _ if WALLET.contains(&method) => Some("the wallet is not served over RPC"),
        _ => None,
    }
}

async fn ask(server: &Service<Context>, request: &Value) -> Result<Value, String> {
    let reply = server.handle(request.to_string().as_bytes(), Access::Open).await;
    let reply = reply.map_err(|err| err.to_string())?.unwrap_or_default();
    serde_json::from_slice(&reply).map_err(|err| err.to_string())
}

/// Our own answer to the same request: a refusal may only be about what this chain does not hold, and a result has the
/// members of the expected one, of the same kinds.
fn understood(method: &str, reply: &Value, expected: &Value) -> Result<(), String> {
    if let Some(code) = reply["error"]["code"].as_i64() {
        // Unknown block, contract, transaction, script container; a transaction of another time.
        let of_this_chain = [-101, -102, -103, -105, -510].contains(&code);
        return if of_this_chain { Ok(()) } else { Err(format!("refused: {reply}")) };
    }
    let mut expected = expected.clone();
    if let Some(members) = expected.as_object_mut() {
        match method {
            // Within `protocol` alone, since then.
            "getversion" => drop(members.remove("network")),
            // Only where a wallet is open.
            "invokefunction" | "invokescript" => drop(members.remove("tx")),
            _ => {}
        }
    }
    match method {
        "validateaddress" => same("answer", &reply["result"], &expected),
        // Text before, a number today.
        "getnextblockvalidators" => Ok(()),
        _ => alike(method, &reply["result"], &expected),
    }
}

/// Members and kinds; nothing stands for anything.
fn alike(at: &str, actual: &Value, expected: &Value) -> Result<(), String> {
    match (actual, expected) {
        (Value::Null, _) | (_, Value::Null) => Ok(()),
        (Value::Object(actual), Value::Object(expected)) => {
            expected.iter().try_for_each(|(name, expected)| match actual.get(name) {
                Some(actual) => alike(name, actual, expected),
                None => Err(format!("no member {name} in {at}")),
            })
        }
        (Value::Array(actual), Value::Array(expected)) => {
            actual.iter().zip(expected).try_for_each(|(actual, expected)| alike(at, actual, expected))
        }
        _ if std::mem::discriminant(actual) == std::mem::discriminant(expected) => Ok(()),
        _ => Err(format!("{at}: actual {actual}, expected {expected}")),
    }
}

/// What the answer holds, built and shown by our own types.
fn shown_again(method: &str, request: &Value, expected: &Value) -> Result<(), String> {
    match method {
        "getblock" if expected.is_object() => covers(&render::block(&block(expected)?, VERSION), expected),
        "getblockheader" if expected.is_object() => {
            covers(&render::header(&header(expected)?, VERSION), expected)
        }
        "getrawtransaction" if expected.is_object() => {
            covers(&render::transaction(&transaction(expected)?, VERSION), expected)
        }
        // The answer's hash is made up.
        "sendrawtransaction" => {
            let bytes = base64(text(&request["params"], 0)?)?;
            let tx = Transaction::from_bytes(&bytes).map_err(|err| err.to_string())?;
            same("written again", &tx.to_bytes(), &bytes)
        }
        "getcontractstate" => contract(expected),
        "getnativecontracts" => expected.as_array().into_iter().flatten().try_for_each(contract),
        "invokefunction" | "invokescript" => items(&expected["stack"]),
        "getapplicationlog" => {
            let mut all = expected["executions"].as_array().into_iter().flatten();
            all.try_for_each(|one| {
                items(&one["stack"])?;
                let mut sent = one["notifications"].as_array().into_iter().flatten();
                sent.try_for_each(|sent| items(&Value::Array(vec![sent["state"].clone()])))
            })
        }
        _ => Ok(()),
    }
}

/// Every member that we show is there with the same value and in the same order.
fn covers(shown: &Map<String, Value>, expected: &Value) -> Result<(), String> {
    let same_members: Map<String, Value> = expected
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, _)| shown.contains_key(*name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    same("shown again", &Value::Object(shown.clone()).to_string(), &Value::Object(same_members).to_string())
}

fn block(json: &Value) -> Result<Block, String> {
    let transactions = json["tx"].as_array().into_iter().flatten().map(transaction);
    Ok(Block { header: header(json)?, transactions: transactions.collect::<Result<_, _>>()? })
}

fn header(json: &Value) -> Result<Header, String> {
    let body = HeaderBody {
        previous: parsed(json, "previousblockhash")?,
        merkle_root: parsed(json, "merkleroot")?,
        timestamp: number(json, "time")?,
        nonce: u64::from_str_radix(text(json, "nonce")?, 16).map_err(|err| err.to_string())?,
        index: number(json, "index")?,
        primary: number(json, "primary")?,
        next_consensus: account::from_address(text(json, "nextconsensus")?, VERSION)
            .map_err(|err| err.to_string())?,
    };
    Ok(Header::new(body, witness(&json["witnesses"][0])?))
}

fn transaction(json: &Value) -> Result<Transaction, String> {
    let signers = json["signers"].as_array().into_iter().flatten().map(|signer| {
        same("scopes", &signer["scopes"].as_str(), &Some("CalledByEntry"))?;
        Ok(Signer::new(parsed(signer, "account")?, Scopes::CALLED_BY_ENTRY))
    });
    let body = TransactionBody {
        nonce: number(json, "nonce")?,
        system_fee: parsed(json, "sysfee")?,
        network_fee: parsed(json, "netfee")?,
        valid_until_block: number(json, "validuntilblock")?,
        signers: signers.collect::<Result<_, String>>()?,
        attributes: Vec::new(),
        script: base64(text(json, "script")?)?,
    };
    let witnesses = json["witnesses"].as_array().into_iter().flatten().map(witness);
    Ok(Transaction::new(body, witnesses.collect::<Result<_, _>>()?))
}

fn witness(json: &Value) -> Result<Witness, String> {
    let script = |name| base64(text(json, name)?);
    Ok(Witness { invocation: script("invocation")?, verification: script("verification")? })
}

/// The file and the manifest of a contract.
fn contract(json: &Value) -> Result<(), String> {
    let nef = &json["nef"];
    let read =
        Nef::new(text(nef, "compiler")?, text(nef, "source")?, Vec::new(), base64(text(nef, "script")?)?);
    same("file", &render::value(&read.to_json()).to_string(), &nef.to_string())?;
    let manifest = Manifest::parse(json["manifest"].to_string().as_bytes()).map_err(|err| err.to_string())?;
    same("manifest", &render::value(&manifest.to_json()).to_string(), &json["manifest"].to_string())
}

/// Items of a stack; objects of the host, which are not values, are left out.
fn items(json: &Value) -> Result<(), String> {
    let mut heap = Heap::default();
    for expected in values(json) {
        let item = item(&mut heap, &expected)?;
        let mut interop = |_: &neo_vm::Interop| Value::Null;
        let shown = render::item(&heap, &item, &mut usize::MAX.clone(), &mut interop);
        let shown = shown.map_err(|err| err.text().to_owned())?;
        same("item", &shown.to_string(), &expected.to_string())?;
    }
    Ok(())
}

fn values(items: &Value) -> Vec<Value> {
    let of_the_host = |item: &&Value| item["type"] == "InteropInterface";
    let items = items.as_array().into_iter().flatten().filter(|item| !of_the_host(item)).cloned();
    items
        .map(|mut item| {
            if item["value"].is_array() {
                item["value"] = Value::Array(values(&item["value"]));
            }
            item
        })
        .collect()
}

fn item(heap: &mut Heap, json: &Value) -> Result<StackItem, String> {
    Ok(match text(json, "type")? {
        "Any" => StackItem::Null,
        "Integer" => StackItem::Integer(parsed::<i64>(json, "value")?.into()),
        "ByteString" => StackItem::ByteString(base64(text(json, "value")?)?.into()),
        "Buffer" => heap.new_buffer(base64(text(json, "value")?)?),
        "Array" => {
            let items = json["value"].as_array().into_iter().flatten().map(|json| item(heap, json));
            let items = items.collect::<Result<_, _>>()?;
            heap.new_array(items)
        }
        "Map" => {
            let entries = json["value"].as_array().into_iter().flatten().map(|entry| {
                let key = item(heap, &entry["key"])?;
                let key = MapKey::from_item(&key).map_err(|err| format!("{err:?}"))?;
                Ok((key, item(heap, &entry["value"])?))
            });
            let entries = entries.collect::<Result<_, String>>()?;
            heap.new_map(entries)
        }
        other => return Err(format!("an item of type {other}")),
    })
}

fn text<I: serde_json::value::Index + std::fmt::Display + Copy>(json: &Value, at: I) -> Result<&str, String> {
    json[at].as_str().ok_or_else(|| format!("no text {at}"))
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(json: &Value, name: &str) -> Result<T, String> {
    text(json, name)?.parse().map_err(|err| format!("{name}: {err}"))
}

fn number<T: TryFrom<u64>>(json: &Value, name: &str) -> Result<T, String> {
    json[name].as_u64().and_then(|number| number.try_into().ok()).ok_or_else(|| format!("no number {name}"))
}
