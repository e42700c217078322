//! The RPC methods against the reference: names and numbers of arguments of every method that is served, and recorded
//! replies of a node of mainnet.
//!
//! A reply is made again by the code that answers the method, and compared as a whole: fields, their order, kinds and
//! values. What follows from something else is computed: everything of the header of a known block, links of hashes and
//! work between blocks, addresses of scripts, networks of IP addresses, tiers of amounts, sums, what the parameters of
//! the network say. What only the mainnet of that hour can tell (its height, its peers, whose turn it is) is taken from the
//! reply, so for those fields the comparison is of place, form and, where there are bounds, range.

use std::{collections::BTreeSet, sync::Arc};

use fluxd_chainstate::{Coin, CoinStats};
use fluxd_consensus::{
    params::{Network, Params},
    subsidy::{block_subsidy, fundings},
};
use fluxd_fluxnode::{Tier, state::Node};
use fluxd_mempool::Entry;
use fluxd_p2p::alert::{Alerts, Warnings};
use fluxd_primitives::{
    Address, Amount, Block, BlockHash, BlockHeader, CompactTarget, Hash256, OutPoint, PublicKey, Script,
    Transaction, TxId, TxOut, U256, target::pon_work, transaction::fluxnode::Owner,
};
use fluxd_rpc::{
    Json,
    present::{
        block::{self, Place},
        chain::{self, ChainFacts, NodeFacts},
        node::{self, Counts, Times},
        transaction,
    },
};
use fluxd_script::instruction::pay_to;
use serde_json::{Value, json};
use shared_vendor::testing::{
    node::TempDir,
    vectors::{Cases, File},
};

use crate::{
    common::{bytes, number, rows, text, wire},
    nodes,
};

/// Methods whose numbers of arguments the list has from a condition that it did not understand; the source takes these.
const READ_FROM_SOURCE: [(&str, (usize, usize)); 3] =
    [("getblockhashes", (2, 3)), ("gettxoutproof", (1, 2)), ("getblocktemplate", (0, 1))];
/// Fields that only a node with a wallet has.
const WALLET: [&str; 4] = ["walletversion", "keypoololdest", "keypoolsize", "paytxfee"];
/// Heights within which the replies were recorded.
const RECORDED: std::ops::RangeInclusive<u32> = 2_996_800..=2_997_000;

/// The parity list: a served method is in it, and takes as many arguments.
pub(crate) fn methods(file: &File<'_>, cases: &mut Cases) {
    let list = file.json();
    for method in fluxd_rpc::methods::all() {
        let Some(entry) = list.get(method.name) else {
            cases.equal(method.name, &"served", &"no method of the reference");
            continue;
        };
        if let Some((_, source)) = READ_FROM_SOURCE.iter().find(|(name, _)| *name == method.name) {
            cases.equal(method.name, &(method.least, method.most), source);
            continue;
        }
        let theirs = (entry["min_args"].as_u64(), entry["max_args"].as_u64());
        let ours = (u64::try_from(method.least).ok(), u64::try_from(method.most).ok());
        // Where the list does not know a bound, there is nothing to compare.
        cases.equal(method.name, &ours, &(theirs.0.or(ours.0), theirs.1.or(ours.1)));
    }
}

/// What answers a recorded reply again, by its method; `None` for a method that is not served.
pub(crate) fn golden(file: &File<'_>) -> Option<fn(&File<'_>, &mut Cases)> {
    let json: Value = file.json();
    if json.is_array() {
        return Some(errors);
    }
    Some(match json["method"].as_str()? {
        "getblocksubsidy" => |file, cases| {
            let height = *RECORDED.start();
            let subsidy = block_subsidy(&main(), height);
            same(cases, &Json::object().with("miner", Json::amount(subsidy)), &result(file));
        },
        "getblockheader" => header,
        "gettxout" => unspent,
        "getblockchaininfo" => chain_info,
        "getinfo" => node_info,
        "gettxoutsetinfo" => coin_stats,
        "getspentinfo" => |file, cases| {
            let theirs = result(file);
            let txid = hash(&theirs, "txid", TxId);
            let height = i64::from(height(&theirs, "height"));
            same(cases, &chain::spent(&txid, small(&theirs, "index"), height), &theirs);
        },
        // A sum of changes: all that came, and the rest back out again.
        "getaddressbalance" => |file, cases| {
            let theirs = result(file);
            let (balance, received) = (signed(&theirs, "balance"), signed(&theirs, "received"));
            cases.check("range", (0..=received).contains(&balance), || format!("{balance} of {received}"));
            let changes = [received, balance - received].map(Amount::from_zat);
            same(cases, &chain::balance(changes.into_iter()), &theirs);
        },
        "getrawmempool" => waiting,
        "getfluxnodecount" => counts,
        "getfluxnodestatus" => status,
        "viewdeterministicfluxnodelist" => listed,
        "fluxnodecurrentwinner" => winners,
        "getstartlist" => started,
        _ => return None,
    })
}

/// Errors of calls that fail on every chain: what our running node answers.
fn errors(file: &File<'_>, cases: &mut Cases) {
    let dir = TempDir::new();
    let mut child = nodes::start(dir.path(), &["--p2p-outbound=0"]);
    let rpc = nodes::logged(&mut child, "rpc");
    for row in rows(file) {
        let method = text(&row, "method");
        let params = match method {
            "getrawtransaction" => json!(["11".repeat(32)]),
            "getblockhash" => json!([u32::MAX / 4]),
            _ => json!([]),
        };
        let ours = nodes::call(&rpc, method, &params);
        cases.equal(method, &ordered(&ours.err().unwrap_or_default()), &ordered(&row["error"]));
    }
    child.signal("TERM");
    cases.equal("end of the node", &child.exit_code(), &0);
}

/// All of it follows from the header and the block after it, both known in full; the work is that of the first block
/// of proof of node less what such a block adds.
fn header(file: &File<'_>, cases: &mut Cases) {
    let theirs = result(file);
    let params = main();
    let known = json_beside(file, "flux_mainnet/pow_headers.json");
    let row = list(&known).iter().find(|row| row["hash"] == theirs["hash"]).expect("the header in full");
    let header: BlockHeader = wire(row, "raw");
    let after = json_beside(file, "flux_mainnet/blocks.json");
    let (after, next) = list(&after)
        .iter()
        .map(|row| (row, wire::<Block>(row, "raw").header))
        .find(|(_, next)| next.prev == header.hash())
        .expect("the block after it");
    let place = Place {
        confirmations: signed(&theirs, "confirmations"),
        height: height(row, "height"),
        work: U256::from_str_radix(text(after, "chainwork_after"), 16).expect("a number") - pon_work(),
        next: Some(next.hash()),
    };
    let tip = u32::try_from(place.confirmations).expect("blocks") + place.height - 1;
    cases.check("height", RECORDED.contains(&tip), || tip.to_string());
    same(cases, &block::header_at(&header, &place, &params), &theirs);
}

/// The value, the script and who may spend it are those of the fluxnode whose collateral it is.
fn unspent(file: &File<'_>, cases: &mut Cases) {
    let theirs = result(file);
    let reply = json_beside(file, "rpc_golden/viewdeterministicfluxnodelist_one.json");
    let collateral = &reply["result"][0];
    let params = main();
    let script = pay_to(&address(collateral, "payment_address", &params));
    let coin = Coin {
        output: TxOut { value: coins(text(collateral, "amount")), script_pubkey: script },
        height: 0,
        coinbase: false,
        version: small(&theirs, "version"),
    };
    let json: Value = file.json();
    cases.equal("collateral", &json["params"][0], &collateral["txhash"]);
    let best = hash(&theirs, "bestblock", BlockHash);
    same(cases, &chain::unspent(&best, small(&theirs, "confirmations"), &coin, &params), &theirs);
}

/// The work follows from that of the last block of proof of work, known from another reply: every block since then adds
/// the same.
fn chain_info(file: &File<'_>, cases: &mut Cases) {
    let theirs = result(file);
    let params = main();
    let last = json_beside(file, "rpc_golden/getblockheader_pow.json");
    let (base, from) = (text(&last["result"], "chainwork"), height(&last["result"], "height"));
    let tip = height(&theirs, "blocks");
    let base = U256::from_str_radix(base, 16).expect("a number");
    let pool = |at: usize| Amount::from_zat(signed(&theirs["valuePools"][at], "chainValueZat"));
    let progress = theirs["verificationprogress"].as_f64().expect("a number");
    let facts = ChainFacts {
        height: tip,
        headers: height(&theirs, "headers"),
        best: hash(&theirs, "bestblockhash", BlockHash),
        difficulty: difficulty(&theirs, cases),
        progress,
        work: base + pon_work() * U256::from(tip - from),
        pruned: false,
        size: number(&theirs, "size_on_disk"),
        commitments: number(&theirs, "commitments"),
        pools: [pool(0), pool(1)],
    };
    same(cases, &chain::chain_info(&facts, &params), &theirs);
    cases.check("heights", RECORDED.contains(&tip) && facts.headers >= tip, || tip.to_string());
    // With the block that is a minute old, and with as many transactions as a chain of that age has.
    let (tip_time, known) = (1_790_797_000, params.known_transactions.count);
    let at = |seconds: i64| chain::progress(&params, known * 3 / 2, tip_time, i64::from(tip_time) + seconds);
    let bounds = (at(120), at(0));
    cases.check("progress", bounds.0 < progress && progress < bounds.1, || {
        format!("{progress} in {bounds:?}")
    });
}

fn node_info(file: &File<'_>, cases: &mut Cases) {
    let mut theirs = result(file);
    let object = theirs.as_object_mut().expect("an object");
    for field in WALLET {
        cases.check(field, object.shift_remove(field).is_some(), || {
            "the recorded node has no wallet".to_owned()
        });
    }
    let params = main();
    // Nobody has warned: there is no alert.
    let alerts = Alerts::new(params.alert_key.clone(), 0, String::new());
    let facts = NodeFacts {
        version: i32::try_from(signed(&theirs, "version")).expect("a version"),
        height: height(&theirs, "blocks"),
        time_offset: signed(&theirs, "timeoffset"),
        connections: usize::try_from(number(&theirs, "connections")).expect("peers"),
        difficulty: difficulty(&theirs, cases),
        relay_fee: fluxd_mempool::Policy::default().min_relay_rate.zat_per_kb,
        warning: alerts.warnings(Warnings::default(), 0).status,
    };
    cases.check("height", RECORDED.contains(&facts.height), || facts.height.to_string());
    same(cases, &chain::node_info(facts, params.network), &theirs);
}

/// No more can be unspent than was ever made; what is shielded is not among it.
fn coin_stats(file: &File<'_>, cases: &mut Cases) {
    let theirs = result(file);
    let params = main();
    let stats = CoinStats {
        height: height(&theirs, "height"),
        best_block: hash(&theirs, "bestblock", BlockHash),
        transactions: number(&theirs, "transactions"),
        outputs: number(&theirs, "txouts"),
        serialized_size: number(&theirs, "bytes_serialized"),
        hash: hash(&theirs, "hash_serialized", Hash256),
        total: coins(&theirs["total_amount"].to_string()),
    };
    same(cases, &chain::coin_stats(&stats), &theirs);
    let made: i64 = (1..=stats.height)
        .map(|height| {
            let funds: i64 = fundings(&params, height).map(|due| due.amount.zat()).sum();
            block_subsidy(&params, height).zat() + funds
        })
        .sum();
    let pools = json_beside(file, "rpc_golden/getblockchaininfo.json");
    let shielded: i64 = pools["result"]["valuePools"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|pool| signed(pool, "chainValueZat"))
        .sum();
    let held = stats.total.zat() + shielded;
    cases.check("total_amount", held <= made && made - held < made / 100, || format!("{held} of {made}"));
    cases.check("txouts", stats.outputs >= stats.transactions, || format!("{stats:?}"));
}

/// A fluxnode transaction in the pool: it has no inputs, so no value in and no priority.
fn waiting(file: &File<'_>, cases: &mut Cases) {
    for (txid, theirs) in result(file).as_object().expect("entries") {
        let entry = Entry {
            tx: Arc::new(Transaction::default()),
            txid: txid.parse().expect("an id"),
            fee: Amount::from_zat(0),
            size: usize::try_from(number(theirs, "size")).expect("a size"),
            time: signed(theirs, "time"),
            height: height(theirs, "height"),
            starting_priority: 0.0,
            had_no_dependencies: true,
            spends_coinbase: false,
            branch_id: 0,
            spent: Vec::new(),
        };
        cases.check("height", RECORDED.contains(&entry.height), || entry.height.to_string());
        let ours = transaction::waiting(&entry, entry.height + 1, BTreeSet::new());
        same(cases, &ours, theirs);
    }
}

/// Tiers add up to the whole; names of old and of new hold the same numbers.
fn counts(file: &File<'_>, cases: &mut Cases) {
    let theirs = result(file);
    let of = |field: &str| usize::try_from(number(&theirs, field)).expect("a number");
    let tiers = ["cumulus-enabled", "nimbus-enabled", "stratus-enabled"].map(of);
    let mut counts = Counts { tiers, total: tiers.iter().sum(), ..Counts::default() };
    for (field, address) in [("ipv4", "94.130.137.2"), ("ipv6", "2a01:4f8::1")] {
        (0..of(field)).for_each(|_| counts.add_address(address));
    }
    // The others gave a port with their address.
    (of("ipv4")..counts.total).for_each(|_| counts.add_address("94.130.137.2:16127"));
    same(cases, &node::counts(&counts), &theirs);
}

fn status(file: &File<'_>, cases: &mut Cases) {
    let theirs = result(file);
    let params = main();
    let (outpoint, node) = fluxnode(&theirs, &params);
    let owner = address(&theirs, "payment_address", &params);
    let ours =
        node::status(text(&theirs, "status"), (&outpoint, &node), &owner, times(&theirs), &params.addresses);
    same(cases, &ours, &theirs);
}

fn listed(file: &File<'_>, cases: &mut Cases) {
    let params = main();
    for theirs in result(file).as_array().expect("nodes") {
        let (outpoint, node) = fluxnode(theirs, &params);
        let rank = small(theirs, "rank");
        same(cases, &node::listed((&outpoint, &node), times(theirs), rank, &params.addresses), theirs);
    }
}

fn winners(file: &File<'_>, cases: &mut Cases) {
    let params = main();
    for (name, theirs) in result(file).as_object().expect("a winner per tier") {
        let (outpoint, node) = fluxnode(theirs, &params);
        cases.equal("name", &format!("{} Winner", transaction::tier_name(node.tier.number())), name);
        same(cases, &node::winner((&outpoint, &node), &params.addresses), theirs);
    }
}

/// The height of the chain follows from the first entry, and with it what is left to the others.
fn started(file: &File<'_>, cases: &mut Cases) {
    let params = main();
    let theirs = result(file);
    let span = node::start_span(&params, *RECORDED.start());
    let tip = span + height(&theirs[0], "added_height") - small(&theirs[0], "expires_in");
    cases.check("height", RECORDED.contains(&tip), || tip.to_string());
    for theirs in theirs.as_array().expect("nodes") {
        let (outpoint, node) = fluxnode(theirs, &params);
        let (_, ours) = node::counting_down((&outpoint, &node), "expires_in", span, tip, &params.addresses);
        same(cases, &ours, theirs);
    }
}

/// The node that an entry of a list tells of. Its tier is that of its collateral where that is told.
fn fluxnode(entry: &Value, params: &Params) -> (OutPoint, Node) {
    let collateral =
        text(entry, "collateral").strip_prefix("COutPoint(").and_then(|rest| rest.strip_suffix(')'));
    let (txid, index) = collateral.and_then(|inner| inner.split_once(", ")).expect("an outpoint");
    let outpoint = OutPoint { txid: txid.parse().expect("an id"), index: index.parse().expect("an output") };
    let value = entry["amount"].as_str().map(coins);
    let tier = match value {
        Some(value) => params.nodes.tier_of(*RECORDED.start(), value).expect("a collateral"),
        None => Tier::ALL
            .into_iter()
            .find(|tier| transaction::tier_name(tier.number()) == text(entry, "tier"))
            .expect("a tier"),
    };
    let at = |field: &str| entry[field].as_u64().map_or(0, |_| height(entry, field));
    let key = if entry["pubkey"].is_string() { bytes(entry, "pubkey") } else { Vec::new() };
    let node = Node {
        owner: Owner::RedeemScript(Script::default()),
        collateral_script: Some(pay_to(&address(entry, "payment_address", params))),
        node_key: PublicKey::from_serialized(&key),
        tier,
        collateral: value.unwrap_or_default(),
        added: at("added_height"),
        confirmed: at("confirmed_height"),
        last_confirmed: at("last_confirmed_height"),
        last_paid: at("last_paid_height"),
        ip: entry["ip"].as_str().unwrap_or_default().as_bytes().to_vec(),
    };
    (outpoint, node)
}

fn times(entry: &Value) -> Times {
    let time = |field: &str| text(entry, field).parse().ok();
    Times { started: time("activesince"), paid: time("lastpaid") }
}

/// A difficulty is that of some target: the one that it is the quotient with the limit of. What is returned is the
/// difficulty of that target, which must be the number itself.
fn difficulty(reply: &Value, cases: &mut Cases) -> f64 {
    let wanted = reply["difficulty"].as_f64().expect("a number");
    let limit = block::limit(&main());
    let mantissa = f64::from(limit.0 & 0x00ff_ffff);
    let found = (0x1c..=0x20_u32).find_map(|size| {
        let scale = 256_f64.powi(i32::try_from(limit.0 >> 24).ok()? - i32::try_from(size).ok()?);
        let near = mantissa * scale / wanted;
        let in_range = (f64::from(0x8000_u32)..f64::from(0x80_0000_u32)).contains(&near);
        let bits = in_range.then(|| format!("{near:.0}").parse::<u32>().ok())??;
        Some(CompactTarget(size << 24 | bits))
    });
    let ours = found.map_or(0.0, |bits| block::difficulty(bits, limit));
    let least = found.is_some_and(|bits| bits.value() <= main().pon.limit);
    cases.check("target", least, || format!("{found:?} for {wanted}"));
    ours
}

/// Compares a reply as a whole: fields with their order, kinds, values. Numbers were printed anew when they were
/// recorded, so they are compared by value.
fn same(cases: &mut Cases, ours: &Json, theirs: &Value) {
    let ours: Value = serde_json::from_str(&ours.text()).expect("JSON");
    cases.equal("reply", &ordered(&ours), &ordered(theirs));
}

/// The text of a value in which equal numbers look the same.
fn ordered(value: &Value) -> String {
    match value {
        Value::Number(number) => number.as_f64().map_or_else(String::new, |number| number.to_string()),
        Value::Array(items) => format!("[{}]", items.iter().map(ordered).collect::<Vec<_>>().join(", ")),
        Value::Object(members) => {
            let members: Vec<String> =
                members.iter().map(|(name, value)| format!("{name}: {}", ordered(value))).collect();
            format!("{{{}}}", members.join(", "))
        }
        other => other.to_string(),
    }
}

fn main() -> Params {
    Params::of(Network::Main)
}

fn result(file: &File<'_>) -> Value {
    file.json()["result"].clone()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

/// Another file of the vectors.
fn json_beside(file: &File<'_>, path: &str) -> Value {
    let text = std::fs::read(file.root().join(path)).expect("a file beside this one");
    serde_json::from_slice(&text).expect("JSON")
}

fn hash<T>(row: &Value, field: &str, make: fn([u8; 32]) -> T) -> T {
    let mut bytes: [u8; 32] = bytes(row, field).try_into().expect("32 bytes");
    bytes.reverse();
    make(bytes)
}

fn address(row: &Value, field: &str, params: &Params) -> Address {
    Address::decode(text(row, field), &params.addresses).expect("an address")
}

/// Coins with their decimals, in the smallest unit.
fn coins(text: &str) -> Amount {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    Amount::from_zat(format!("{whole}{decimals:0<8}").parse().expect("an amount"))
}

fn signed(row: &Value, field: &str) -> i64 {
    row[field].as_i64().expect("a whole number")
}

fn small(row: &Value, field: &str) -> u32 {
    u32::try_from(number(row, field)).expect("a small number")
}

fn height(row: &Value, field: &str) -> u32 {
    small(row, field)
}
