//! Replies about the chain and the node as a whole, each out of the few values that it tells. Mirrors
//! `src/rpc/blockchain.cpp`, `src/rpc/misc.cpp` and `GuessVerificationProgress` of `src/checkpoints.cpp`.

use fluxd_chainstate::{Coin, CoinStats, policy::zat_number};
use fluxd_consensus::{
    params::{Network, Params},
    upgrades::{Activation, FLUX_BRANCH, Upgrade},
};
use fluxd_p2p::message::version::PROTOCOL_VERSION;
use fluxd_primitives::{Amount, BlockHash, TxId, U256};

use super::{block, script};
use crate::json::Json;

/// How many times the work of one before it a transaction after the last known block counts.
const SIGNATURES: f64 = 5.0;
const DAY: f64 = 86_400.0;

/// What `getinfo` tells.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeFacts {
    /// Version as a number.
    pub version: i32,
    /// Height of the tip.
    pub height: u32,
    /// Seconds that the peers' clocks are ahead.
    pub time_offset: i64,
    /// Peers.
    pub connections: usize,
    /// Difficulty of the next block.
    pub difficulty: f64,
    /// Least fee for 1000 bytes, zatoshi.
    pub relay_fee: i64,
    /// What operators are to be told.
    pub warning: String,
}

/// `getinfo`, of a node without wallet.
#[must_use]
pub fn node_info(facts: NodeFacts, network: Network) -> Json {
    let mut out = Json::object();
    out.push("version", facts.version);
    out.push("protocolversion", PROTOCOL_VERSION);
    out.push("blocks", facts.height);
    out.push("timeoffset", facts.time_offset);
    out.push("connections", facts.connections);
    out.push("proxy", "");
    out.push("difficulty", Json::real(facts.difficulty));
    out.push("testnet", network == Network::Test);
    out.push("relayfee", Json::zat(facts.relay_fee));
    out.push("errors", facts.warning);
    out
}

/// What `getblockchaininfo` tells.
#[derive(Debug, Clone, PartialEq)]
pub struct ChainFacts {
    /// Height of the tip.
    pub height: u32,
    /// Height of the best header.
    pub headers: u32,
    /// The tip.
    pub best: BlockHash,
    /// Difficulty of the next block.
    pub difficulty: f64,
    /// See [`progress`].
    pub progress: f64,
    /// Work of the chain.
    pub work: U256,
    /// Whether old blocks are deleted.
    pub pruned: bool,
    /// Bytes of the block files.
    pub size: u64,
    /// Commitments of Sprout.
    pub commitments: u64,
    /// Value in Sprout and in Sapling.
    pub pools: [Amount; 2],
}

/// `getblockchaininfo`.
#[must_use]
pub fn chain_info(facts: &ChainFacts, params: &Params) -> Json {
    let height = facts.height;
    let mut out = Json::object();
    out.push("chain", params.network.name());
    out.push("blocks", height);
    out.push("headers", facts.headers);
    out.push("bestblockhash", facts.best.to_string());
    out.push("difficulty", Json::real(facts.difficulty));
    out.push("verificationprogress", Json::real(facts.progress));
    out.push("chainwork", block::work(facts.work));
    out.push("pruned", facts.pruned);
    out.push("size_on_disk", facts.size);
    out.push("commitments", facts.commitments);
    out.push("valuePools", block::pools(facts.pools));
    out.push("softforks", softforks(params.network, height));
    let mut upgrades = Json::object();
    for activation in params.upgrades.0.iter().filter(|one| is_shown(one.upgrade)) {
        if activation.height.is_some() {
            // All upgrades share a branch id: the same name comes again.
            upgrades.push(format!("{FLUX_BRANCH:08x}"), upgrade(activation, height));
        }
    }
    out.push("upgrades", upgrades);
    let branch = |height| format!("{:08x}", params.upgrades.branch_id(height));
    out.push(
        "consensus",
        Json::object().with("chaintip", branch(height)).with("nextblock", branch(height.saturating_add(1))),
    );
    out
}

fn is_shown(upgrade: Upgrade) -> bool {
    !matches!(upgrade, Upgrade::Lwma | Upgrade::Equihash144)
}

fn upgrade(activation: &Activation, height: u32) -> Json {
    let (name, about) = match activation.upgrade {
        Upgrade::Lwma => ("LWMA", "Zelcash upgraded to LWMA difficulty algorithm"),
        Upgrade::Equihash144 => ("Equihash 144/5", "Zelcash PoW Change to Equihash 144/5"),
        Upgrade::Acadia => ("Acadia", "The Zelcash Acadia Update"),
        Upgrade::Kamiooka => {
            ("Kamiooka", "Zel Kamiooka Upgrade, PoW change to ZelHash and update for ZelNodes")
        }
        Upgrade::Kamata => ("Kamata", "Zel Kamata Upgrade, Deterministic ZelNodes and ZelFlux"),
        Upgrade::Flux => ("Flux", "Flux Upgrade, Multiple chains"),
        Upgrade::Halving => ("Halving", "Flux Halving"),
        Upgrade::P2shNodes => ("P2SHNodes", "Multisig Node Upgrade"),
        Upgrade::Pon => ("PON", "Proof of Node activation"),
    };
    let active = activation.height.is_some_and(|at| height >= at);
    Json::object()
        .with("name", name)
        .with("activationheight", activation.height.unwrap_or_default())
        .with("status", if active { "active" } else { "pending" })
        .with("info", about)
}

/// Every block of this network has a version of 4 or more, so what is counted is how many blocks there are.
fn softforks(network: Network, height: u32) -> Json {
    let (enforce, reject, window) = match network {
        Network::Main => (750, 950, 4000),
        Network::Test => (51, 75, 400),
        Network::Regtest => (750, 950, 1000),
    };
    let found = height.saturating_add(1).min(window);
    let progress = |required: u32| {
        Json::object()
            .with("status", found >= required)
            .with("found", found)
            .with("required", required)
            .with("window", window)
    };
    let fork = |name: &str, version: u32| {
        Json::object()
            .with("id", name)
            .with("version", version)
            .with("enforce", progress(enforce))
            .with("reject", progress(reject))
    };
    Json::List(vec![fork("bip34", 2), fork("bip66", 3), fork("bip65", 4)])
}

/// Part of the checking of the chain that is done: transactions up to the tip, and what the time since the tip has
/// brought at the rate of the network.
#[must_use]
pub fn progress(params: &Params, transactions: u64, tip_time: u32, now: i64) -> f64 {
    let known = &params.known_transactions;
    let number = |count: u64| zat_number(i64::try_from(count).unwrap_or(i64::MAX));
    let coming =
        |since: u32| zat_number(now.saturating_sub(i64::from(since))) / DAY * f64::from(known.per_day);
    let (done, cheap) = (number(transactions), number(known.count));
    let (before, after) = if transactions <= known.count {
        (done, cheap - done + coming(known.until) * SIGNATURES)
    } else {
        (cheap + (done - cheap) * SIGNATURES, coming(tip_time) * SIGNATURES)
    };
    before / (before + after)
}

/// `gettxoutsetinfo`.
#[must_use]
pub fn coin_stats(stats: &CoinStats) -> Json {
    Json::object()
        .with("height", stats.height)
        .with("bestblock", stats.best_block.to_string())
        .with("transactions", stats.transactions)
        .with("txouts", stats.outputs)
        .with("bytes_serialized", stats.serialized_size)
        .with("hash_serialized", stats.hash.to_string())
        .with("total_amount", Json::amount(stats.total))
}

/// `gettxout`: an unspent output under the tip `best`.
#[must_use]
pub fn unspent(best: &BlockHash, confirmations: u32, coin: &Coin, params: &Params) -> Json {
    let mut out = Json::object();
    out.push("bestblock", best.to_string());
    out.push("confirmations", confirmations);
    out.push("value", Json::amount(coin.output.value));
    out.push("scriptPubKey", script::locking(&coin.output.script_pubkey, params, true));
    out.push("version", coin.version);
    out.push("coinbase", coin.coinbase);
    out
}

/// `getspentinfo`: the input that spends an output; height -1 in the pool.
#[must_use]
pub fn spent(txid: &TxId, input: u32, height: i64) -> Json {
    Json::object().with("txid", txid.to_string()).with("index", input).with("height", height)
}

/// `getaddressbalance`: the sum of changes, and that of those that brought something.
#[must_use]
pub fn balance(changes: impl Iterator<Item = Amount>) -> Json {
    let (mut balance, mut received) = (0_i64, 0_i64);
    for change in changes {
        balance = balance.saturating_add(change.zat());
        received = received.saturating_add(change.zat().max(0));
    }
    Json::object().with("balance", balance).with("received", received)
}
