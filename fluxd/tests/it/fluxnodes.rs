//! Two nodes on a private network with fluxnodes: one starts and confirms them, the other syncs from zero, both part,
//! meet again, and are asked for everything they keep. `REGTEST_BLOCKS` sets the length of the chain (default 260).

use std::{env, path::Path};

use fluxd_fluxnode::Tier;
use fluxd_miner::testing::{Key, MINER_KEY, collateral, confirm, outpoint, outputs, start as start_node};
use fluxd_primitives::{
    Address, AddressFormat, Amount, Codec, OutPoint, Script, Transaction, TxId, TxIn, TxOut,
    transaction::{SAPLING_GROUP, SAPLING_VERSION},
};
use serde_json::{Value, json};
use shared_vendor::{
    hex,
    testing::node::{TempDir, TestNode, run},
};

use crate::{
    golden,
    nodes::{BINARY, call, logged, ok, start, wait},
};

/// Every upgrade is active from the first block on, proof of node from the twentieth, so that coins have owners.
const NETWORK: [&str; 16] = [
    "--chain-nuparams",
    "acadia:1",
    "--chain-nuparams",
    "kamata:1",
    "--chain-nuparams",
    "flux:1",
    "--chain-nuparams",
    "halving:1",
    "--chain-nuparams",
    "p2shnodes:1",
    "--chain-nuparams",
    "pon:20",
    "--index-tx",
    "--index-insight",
    "--index-nodes",
    "--p2p-outbound=0",
];
const BRANCH: u32 = 0x76b8_09bb;
/// Nodes of all tiers together.
const NODES: u32 = 18;
/// The reference follows no branch that takes back more.
const DEEPEST: u32 = 39;
const NONE: Value = Value::Array(Vec::new());

struct Member {
    collateral: OutPoint,
    owner: Key,
    key: Key,
}

/// One of the two nodes.
struct Peer {
    dir: TempDir,
    child: TestNode,
    rpc: String,
    p2p: String,
}

impl Peer {
    fn new() -> Self {
        let dir = TempDir::new();
        let (child, rpc, p2p) = Self::run(dir.path(), &[]);
        Self { dir, child, rpc, p2p }
    }

    fn run(dir: &Path, more: &[&str]) -> (TestNode, String, String) {
        let key = hex::encode(Key::number(1).public.as_bytes());
        let address = Address::PubkeyHash(Key::number(MINER_KEY).public.id()).encode(&AddressFormat::REGTEST);
        let own = ["--chain-benchmark-key", &key, "--mining-address", &address];
        let mut child = start(dir, &[&NETWORK[..], &own, more].concat());
        let (rpc, p2p) = (logged(&mut child, "rpc"), logged(&mut child, "p2p"));
        (child, rpc, p2p)
    }

    fn ask(&self, method: &str, params: &Value) -> Value {
        ok(&self.rpc, method, params)
    }

    fn height(&self) -> u32 {
        self.ask("getblockcount", &NONE).as_u64().and_then(|height| u32::try_from(height).ok()).unwrap()
    }

    fn mine_to(&self, height: u32) {
        while self.height() < height {
            self.ask("generate", &json!([(height - self.height()).min(50)]));
        }
    }

    /// Sends a transaction; false when it is refused.
    fn send(&self, tx: &Transaction) -> bool {
        call(&self.rpc, "sendrawtransaction", &json!([hex::encode(tx.to_bytes())])).is_ok()
    }

    /// What it says about the whole of its state.
    fn state(&self) -> Vec<Value> {
        let methods = [
            "getbestblockhash",
            "gettxoutsetinfo",
            "viewdeterministicfluxnodelist",
            "listfluxnodes",
            "getstartlist",
            "getdoslist",
            "getfluxnodecount",
            "fluxnodecurrentwinner",
        ];
        methods.iter().map(|method| self.ask(method, &NONE)).collect()
    }

    fn stop(mut self) -> TempDir {
        assert_eq!(self.child.signal("TERM").exit_code(), 0);
        self.dir
    }
}

/// A verb of the stopped node with the same settings.
fn verb(dir: &TempDir, verb: &[&str]) -> String {
    let data = dir.path().display().to_string();
    let key = hex::encode(Key::number(1).public.as_bytes());
    let base = ["--network", "regtest", "--data-dir", &data, "--chain-benchmark-key", &key];
    let done = run(BINARY, dir.path(), &[&base[..], &NETWORK, verb].concat());
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

/// Pays these outputs and the rest back from an output of the miner's key.
fn pay(from: OutPoint, value: Amount, payments: Vec<TxOut>) -> Transaction {
    let key = Key::number(MINER_KEY);
    let sum: i64 = payments.iter().map(|output| output.value.zat()).sum();
    let rest = Amount::from_zat(value.zat() - sum - 10_000);
    let mut all = vec![TxOut { value: rest, script_pubkey: key.script() }];
    all.extend(payments);
    let mut tx = Transaction {
        overwintered: true,
        version: SAPLING_VERSION,
        version_group: SAPLING_GROUP,
        inputs: vec![TxIn { prevout: from, script_sig: Script::default(), sequence: u32::MAX }],
        outputs: all,
        ..Transaction::default()
    };
    key.sign(&mut tx, &[TxOut { value, script_pubkey: key.script() }], BRANCH);
    tx
}

fn txid(text: &Value) -> TxId {
    let mut bytes: [u8; 32] = hex::decode_array(text.as_str().unwrap()).unwrap();
    bytes.reverse();
    TxId(bytes)
}

/// Starts and confirms the nodes, then moves some and pays something every few blocks.
fn grow(peer: &Peer, until: u32) {
    peer.mine_to(102);
    let premine = peer.ask("getblock", &json!(["1", 2]));
    let output = &premine["tx"][0]["vout"][0];
    let value = Amount::from_zat(output["valueSat"].as_i64().unwrap());
    let owners: Vec<Key> = (0..NODES).map(|number| Key::number(100 + number)).collect();
    let shares: Vec<(Amount, &Key)> =
        owners.iter().zip(Tier::ALL.iter().cycle()).map(|(owner, tier)| (collateral(*tier), owner)).collect();
    let split = pay(outpoint(txid(&premine["tx"][0]["txid"]), 0), value, outputs(&shares));
    assert!(peer.send(&split), "the coins are spread");
    let members: Vec<Member> = (1..)
        .zip(owners)
        .map(|(index, owner)| Member {
            collateral: outpoint(split.txid(), index),
            owner,
            key: Key::number(1000 + index),
        })
        .collect();
    peer.mine_to(204);
    let now = || {
        let tip = peer.ask("getblockheader", &json!([peer.ask("getbestblockhash", &NONE)]));
        u32::try_from(tip["time"].as_u64().unwrap()).unwrap()
    };
    let time = now();
    for member in &members {
        assert!(peer.send(&start_node(member.collateral, &member.owner, &member.key, time)), "started");
    }
    peer.mine_to(205);
    assert_eq!(peer.ask("getstartlist", &NONE).as_array().unwrap().len(), members.len());
    let (_, confirming) = members.split_last().unwrap();
    for member in confirming {
        assert!(peer.send(&confirm(member.collateral, &member.key, false, "192.0.2.1:1", time)), "confirmed");
    }
    peer.mine_to(206);
    let count = peer.ask("getfluxnodecount", &NONE);
    assert_eq!(count["total"].as_u64(), u64::try_from(confirming.len()).ok(), "{count}");
    let (mut change, mut left, mut moved) = (outpoint(split.txid(), 0), split.outputs[0].value, 0);
    while peer.height() < until {
        let height = peer.height();
        let time = now();
        if height.is_multiple_of(7) {
            let ip = format!("198.51.100.{}:16127", height % 250);
            for member in confirming.iter().skip(usize::try_from(height % 5).unwrap()).step_by(3) {
                moved += i32::from(peer.send(&confirm(member.collateral, &member.key, true, &ip, time)));
            }
        }
        if height.is_multiple_of(3) {
            let payment =
                pay(change, left, outputs(&[(Amount::from_zat(100_000_000), &Key::number(height))]));
            assert!(peer.send(&payment), "paid");
            (change, left) = (outpoint(payment.txid(), 0), payment.outputs[0].value);
        }
        peer.mine_to(height + 1);
    }
    assert!(moved > 10, "{moved} nodes moved");
}

fn same(what: &str, one: &Peer, other: &Peer) {
    let tip = |peer: &Peer| peer.ask("getbestblockhash", &NONE);
    wait(what, || (tip(one) == tip(other)).then_some(()));
    assert_eq!(one.state(), other.state(), "{what}");
}

#[test]
fn two_nodes_with_fluxnodes_agree_on_everything_through_sync_split_and_reindex() {
    let blocks: u32 = env::var("REGTEST_BLOCKS").ok().and_then(|text| text.parse().ok()).unwrap_or(260);
    let (first, second) = (Peer::new(), Peer::new());
    grow(&first, blocks);
    let premine = first.ask("getblock", &json!(["1"]))["tx"][0].clone();
    let miner = Address::PubkeyHash(Key::number(MINER_KEY).public.id()).encode(&AddressFormat::REGTEST);
    if golden::compare(&first.rpc, &json!({ "txid": premine, "index": 0 }), &miner) == 0 {
        println!("recorded replies: skipped, no vectors");
    }
    second.ask("addnode", &json!([first.p2p, "onetry"]));
    same("the chain of the other, from zero", &first, &second);

    // They part: one makes as many blocks as may be taken back, the other one more.
    second.ask("disconnectnode", &json!([first.p2p]));
    wait("no peers", || second.ask("getpeerinfo", &NONE).as_array()?.is_empty().then_some(()));
    let time = first.ask("getblock", &json!([blocks.to_string()]))["time"].as_i64().unwrap();
    second.ask("setmocktime", &json!([time + 600]));
    first.mine_to(blocks + DEEPEST);
    second.mine_to(blocks + DEEPEST + 1);
    let lost = first.ask("getbestblockhash", &NONE);
    second.ask("addnode", &json!([first.p2p, "onetry"]));
    same("the longer branch", &first, &second);
    assert_eq!(first.height(), blocks + DEEPEST + 1);
    let tips = first.ask("getchaintips", &NONE);
    let old = tips.as_array().unwrap().iter().find(|tip| tip["hash"] == lost).unwrap();
    assert_eq!((old["branchlen"].as_u64(), &old["status"]), (Some(DEEPEST.into()), &json!("valid-fork")));

    // Forty blocks back by order of the operator, and forth. What the first goes back to is new to the second, which must
    // have left the longer branch when it is told.
    let before = first.state();
    let refused = call(&first.rpc, "getfluxnodestatus", &NONE).unwrap_err();
    assert_eq!((&refused["code"], &refused["message"]), (&json!(-1), &json!("This is not a Flux Node")));
    let fork = first.ask("getblockhash", &json!([blocks + 1]));
    for peer in [&second, &first] {
        peer.ask("invalidateblock", &json!([fork]));
    }
    same("the branch that was left", &first, &second);
    assert_eq!(second.height(), blocks + DEEPEST);
    for peer in [&first, &second] {
        peer.ask("reconsiderblock", &json!([fork]));
    }
    same("forty blocks back and forth", &first, &second);
    assert_eq!(first.state(), before);

    // Every table and index by its digest; then tables made of the block files alone.
    let (one, other) = (first.stop(), second.stop());
    let digests = verb(&one, &["digests"]);
    assert_eq!(verb(&other, &["digests"]), digests);
    assert!(digests.lines().count() > 10, "{digests}");
    verb(&other, &["reindex"]);
    assert_eq!(verb(&other, &["digests"]), digests, "reindexed");
    assert!(verb(&other, &["verifychain", "--depth", "0", "--level", "4"]).starts_with("verified"));
    // The native option does the same before the node serves.
    let listed = &before[2][0];
    let (txid, output) = (listed["txhash"].as_str().unwrap(), listed["outidx"].as_str().unwrap());
    let own =
        ["-zelnode=1".to_owned(), format!("-zelnodeoutpoint={txid}"), format!("-zelnodeindex={output}")];
    let (child, rpc, p2p) = Peer::run(one.path(), &["-reindex", &own[0], &own[1], &own[2]]);
    let again = Peer { dir: one, child, rpc, p2p };
    assert_eq!(again.state(), before);

    // It was told which of the nodes is its own.
    let status = again.ask("getfluxnodestatus", &NONE);
    assert_eq!(status["status"], "CONFIRMED");
    for field in
        ["collateral", "txhash", "outidx", "ip", "added_height", "tier", "pubkey", "activesince", "amount"]
    {
        assert_eq!(status[field], listed[field], "{field}");
    }
    assert_eq!(verb(&again.stop(), &["digests"]), digests, "reindexed at the start");
}
