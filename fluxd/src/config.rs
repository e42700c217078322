//! Settings of this daemon, beside those that every daemon has. `config/native.rs` maps `flux.conf` and single-dash
//! options onto them.

pub mod native;

use std::time::Duration;

use shared_vendor::{config::Size, log::Secret};

shared_vendor::settings! {
    /// Chain, peers, RPC, notifications.
    pub struct Config {
        /// Keep an index of all transactions.
        index_tx: bool = ["index.tx", "false"],
        /// Keep the indexes of the insight methods: addresses, spent outputs, times.
        index_insight: bool = ["index.insight", "false"],
        /// Keep an index of the fluxnode transactions of each collateral.
        index_nodes: bool = ["index.nodes", "false"],
        /// Memory for unspent outputs.
        cache: Size = ["chain.cache", "256MiB"],
        /// Trust the known blocks of the network: no scripts and proofs checked before them.
        checkpoints: bool = ["chain.checkpoints", "true"],
        /// Throw the tables away at the start and make them again from the block files.
        reindex: bool = ["chain.reindex", "false"],
        /// Delete the oldest block files while all have more bytes than this. Unset: keep all.
        prune: Option<Size> = ["chain.prune"],
        /// Age of the tip above which the node counts as syncing.
        max_tip_age: Duration = ["chain.max-tip-age", "4h"],
        /// Heights of upgrades on regtest, NAME:HEIGHT or BRANCH:HEIGHT.
        nuparams: Vec<String> = ["chain.nuparams"],
        /// Public key that signs benchmarks of fluxnodes on regtest, in hexadecimal. Unset: those of the reference.
        benchmark_key: Option<String> = ["chain.benchmark-key"],
        /// Command to run when the best block changes; %s is its hash.
        block_notify: Option<String> = ["chain.block-notify"],
        /// Cost that all transactions of the memory pool together may have; one costs its bytes, at least 4,000.
        mempool_cost: u32 = ["mempool.cost-limit", "80000000"],
        /// Minutes that an evicted transaction stays out of the memory pool.
        mempool_eviction: u32 = ["mempool.eviction-minutes", "60"],
        /// Thousands of bytes of free transactions that are taken in a minute.
        free_relay: u32 = ["mempool.free-relay", "500"],
        /// Free transactions need priority.
        relay_priority: bool = ["mempool.relay-priority", "false"],
        /// Multisignature scripts without a hash are standard.
        bare_multisig: bool = ["mempool.bare-multisig", "true"],
        /// Take connections.
        listen: bool = ["p2p.listen", "true"],
        /// Connect to these nodes and no others, HOST:PORT.
        connect: Vec<String> = ["p2p.connect"],
        /// Nodes to stay connected to, HOST:PORT.
        add_node: Vec<String> = ["p2p.add-node"],
        /// Ask the seeds of the network for nodes when few are known.
        dns_seed: bool = ["p2p.dns-seed", "true"],
        /// Peers to dial.
        outbound: usize = ["p2p.outbound", "16"],
        /// Take alerts of the network, show them and pass them on.
        alerts: bool = ["p2p.alerts", "true"],
        /// Command to run for an alert that means this node; %s is its text.
        alert_notify: Option<String> = ["p2p.alert-notify"],
        /// Length of a ban.
        ban_time: Duration = ["p2p.ban-time", "24h"],
        /// Networks whose peers are neither banned nor limited when they dial us, as 10.0.0.0/8.
        whitelist: Vec<String> = ["p2p.whitelist"],
        /// Serve filtered connections to light clients.
        bloom: bool = ["p2p.bloom", "true"],
        /// User name of RPC; needs rpc.password.
        rpc_user: Option<String> = ["rpc.user"],
        /// Password of RPC. Unset: the cookie of this run.
        rpc_password: Option<Secret<String>> = ["rpc.password"],
        /// Users with hashed passwords, NAME:SALT$HASH.
        rpc_auth: Vec<Secret<String>> = ["rpc.auth"],
        /// Networks that may ask RPC beside this machine, as 10.0.0.0/8.
        rpc_allow_ip: Vec<String> = ["rpc.allow-ip"],
        /// Calls that run at once.
        rpc_threads: usize = ["rpc.threads", "8"],
        /// Serve public REST requests.
        rest: bool = ["rpc.rest", "false"],
        /// Run every method also while an alert of the network asks to stop some.
        no_safe_mode: bool = ["rpc.no-safe-mode", "false"],
        /// Behave as if there was such an alert.
        test_safe_mode: bool = ["rpc.test-safe-mode", "false"],
        /// This process belongs to a fluxnode: getfluxnodestatus answers.
        fluxnode: bool = ["fluxnode.enabled", "false"],
        /// Transaction that holds the collateral of the fluxnode.
        fluxnode_txid: Option<String> = ["fluxnode.outpoint"],
        /// Output of that transaction.
        fluxnode_output: Option<u32> = ["fluxnode.index"],
        /// Address that mined blocks pay.
        mining_address: Option<String> = ["mining.address"],
        /// Bytes of the longest block that is made.
        block_max_size: u32 = ["mining.max-size", "1999000"],
        /// Bytes of a block that are filled by priority, whatever the fees.
        block_priority_size: u32 = ["mining.priority-size", "1000000"],
        /// Bytes of a block that are filled also with free transactions.
        block_min_size: u32 = ["mining.min-size", "0"],
        /// Blocks after which a transaction made by RPC expires.
        expiry_delta: u32 = ["rpc.expiry-delta", "20"],
        /// Addresses to publish hashes of blocks at, as tcp://127.0.0.1:28332.
        zmq_hashblock: Vec<String> = ["zmq.hashblock"],
        /// Addresses to publish ids of transactions at.
        zmq_hashtx: Vec<String> = ["zmq.hashtx"],
        /// Addresses to publish blocks at.
        zmq_rawblock: Vec<String> = ["zmq.rawblock"],
        /// Addresses to publish transactions at.
        zmq_rawtx: Vec<String> = ["zmq.rawtx"],
        /// Addresses to publish hashes of blocks with their heights at.
        zmq_hashblockheight: Vec<String> = ["zmq.hashblockheight"],
        /// Addresses to publish reorganisations at.
        zmq_chainreorg: Vec<String> = ["zmq.chainreorg"],
        /// Addresses to publish blocks at that passed every check, also while far behind.
        zmq_checkedblock: Vec<String> = ["zmq.checkedblock"],
        /// Addresses to publish changes of the list of confirmed fluxnodes at.
        zmq_nodelistdelta: Vec<String> = ["zmq.fluxnodelistdelta"],
    }
}
