//! The daemon for the frame, and this chain's own verbs: genesis files, keys of validators and their record.

mod bench;
mod db;
mod devnet;
mod genesis;
mod keys;
mod light;
mod remote;

use std::sync::Arc;

use clap::Subcommand;
use serde_json::Value;
use shared_vendor::{
    app::{Context, Daemon, Loaded},
    datadir::Identity,
    exit::{self, Code, Exit, Report},
};

use crate::{
    api,
    config::Config,
    node::{genesis as file, run},
    state::genesis::Genesis,
};

/// Format of the data directory.
const FORMAT: u32 = 1;

/// The genesis file is missing or refused.
pub const GENESIS_REFUSED: Code = Code {
    id: "E0602",
    exit: Exit::Config,
    title: "the genesis file cannot be used",
    text: "The message names the member or the rule. All nodes of a network need the same file: its hash is part of the handshake.",
};

/// The daemon, as the frame runs it.
#[derive(Debug)]
pub struct PosNode;

impl Daemon for PosNode {
    const NAME: &'static str = "pos-node";
    const PREFIX: &'static str = "POS_NODE";
    const METRICS: &'static str = "pos";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const ABOUT: &'static str = "Proof-of-stake chain node";
    const NETWORKS: &'static [&'static str] = &["mainnet", "testnet", "devnet"];
    const CODES: &'static [Code] = &[
        GENESIS_REFUSED,
        run::DATABASE_FAILED,
        run::DATABASE_DAMAGED,
        run::KEYS_FAILED,
        bench::LOAD_NOT_SUSTAINED,
        light::NOT_PROVEN,
    ];
    const PEERS: Option<&'static str> = Some("net_peers");
    type Config = Config;
    type Command = Command;

    fn defaults(network: &str) -> Vec<(&'static str, String)> {
        let (p2p, rpc) = match network {
            "mainnet" => (9470, 9471),
            "testnet" => (19_470, 19_471),
            _ => (29_470, 29_471),
        };
        vec![
            ("p2p.addr", format!("[::]:{p2p}")),
            ("rpc.addr", format!("127.0.0.1:{rpc}")),
            ("ops.addr", "127.0.0.1:9482".to_owned()),
        ]
    }

    fn validate(loaded: &Loaded<Self>) -> Result<(), Report> {
        if loaded.config.interop.is_some() && loaded.common.network == "mainnet" {
            return Err(Report::new(exit::BAD_VALUE, "everybody knows the interop keys")
                .at("validator.interop")
                .advice("use them on development networks only"));
        }
        if loaded.config.graffiti.len() > 32 {
            return Err(Report::new(exit::BAD_VALUE, "at most 32 bytes").at("validator.graffiti"));
        }
        Ok(())
    }

    fn identity(loaded: &Loaded<Self>) -> Result<Identity, Report> {
        let genesis = genesis(loaded)?;
        let start = genesis.build().map_err(|err| refused(&err))?;
        Ok(Identity {
            daemon: Self::NAME.to_owned(),
            network: loaded.common.network.clone(),
            network_id: genesis.config.chain_id,
            genesis: start.block.root().to_string(),
            format: FORMAT,
        })
    }

    fn openrpc() -> Value {
        api::methods().openrpc(Self::NAME, Self::VERSION)
    }

    fn db_stats(loaded: &Loaded<Self>) -> Option<Result<String, Report>> {
        Some(db::stats(loaded, false))
    }

    fn command(command: Command, loaded: &Loaded<Self>) -> Result<(), Report> {
        match command {
            Command::Devnet(plan) => devnet::run(&plan, loaded),
            Command::Genesis(command) => genesis::run(&command, loaded),
            Command::Keys(command) => keys::run(&command, loaded),
            Command::Db(command) => db::run(&command, loaded),
            Command::Bench(command) => bench::run(&command, loaded),
            Command::Proof(command) => light::prove(&command, loaded),
            Command::Light(command) => light::run(&command, loaded),
        }
    }

    async fn start(ctx: Context<Self>) -> Result<(), Report> {
        let genesis = genesis(&ctx)?;
        let start = genesis.build().map_err(|err| refused(&err))?;
        run::start(ctx, Arc::new(genesis.config), start).await
    }
}

/// This chain's own verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a network of nodes on this machine, until it is interrupted
    Devnet(devnet::Devnet),
    /// Make or check a genesis file
    #[command(subcommand)]
    Genesis(genesis::Command),
    /// Keys of validators, and the record of what they signed
    #[command(subcommand)]
    Keys(keys::Command),
    /// The database while the node is stopped
    #[command(subcommand)]
    Db(db::Command),
    /// Measure running nodes of a development network
    #[command(subcommand)]
    Bench(bench::Command),
    /// Fetch a proof from the running node, for somebody who need not trust it
    Proof(light::Proof),
    /// Check proofs without a node
    #[command(subcommand)]
    Light(light::Command),
}

/// The genesis of the chosen network.
fn genesis(loaded: &Loaded<PosNode>) -> Result<Genesis, Report> {
    let Some(path) = &loaded.config.genesis else {
        return Err(Report::new(
            exit::NOT_BUILT,
            format!("no genesis of {} is published", loaded.common.network),
        )
        .advice("name a genesis file with --chain-genesis; `genesis devnet` makes one"));
    };
    read_genesis(path)
}

fn read_genesis(path: &std::path::Path) -> Result<Genesis, Report> {
    let text = std::fs::read_to_string(path).map_err(|err| {
        Report::new(exit::NO_INPUT, "the genesis file cannot be read")
            .at(path.display().to_string())
            .because(&err)
    })?;
    file::parse(&text).map_err(|err| refused(&err).at(path.display().to_string()))
}

fn refused(err: &(dyn std::error::Error + 'static)) -> Report {
    Report::new(GENESIS_REFUSED, GENESIS_REFUSED.title).because(err)
}
