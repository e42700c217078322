//! The daemon as the frame runs it: names, networks, ports, and how to find out which network it is.

mod local_net;

use std::ffi::OsString;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::Subcommand;
use shared_vendor::{
    app::{Context, Daemon, Loaded},
    config::{Listen, Source},
    datadir::Identity,
    exit::{self, Report},
};

use crate::{
    config::{Config, Network, flags, native},
    genesis::NetworkGenesis,
    node,
};

/// The daemon's own verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make networks of one's own
    #[command(subcommand)]
    LocalNet(local_net::Command),
}

/// Layout of what is stored.
const FORMAT: u32 = 1;

/// The daemon.
#[derive(Debug)]
pub struct AvalancheNode;

impl Daemon for AvalancheNode {
    const NAME: &'static str = "avalanche-node";
    const PREFIX: &'static str = "AVAGO";
    const METRICS: &'static str = "avalanche";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const ABOUT: &'static str = "Avalanche primary network node";
    const NETWORKS: &'static [&'static str] = &["mainnet", "fuji", "local", "custom"];
    const FOREIGN_ENV: &'static [&'static str] = flags::ENVIRONMENT;
    const PEERS: Option<&'static str> = Some("info.peers");
    type Config = Config;
    type Command = Command;

    fn defaults(_network: &str) -> Vec<(&'static str, String)> {
        let (p2p, rpc) = (9651, 9650); // equal on all networks
        vec![
            ("p2p.addr", format!("[::]:{p2p}")),
            ("rpc.addr", format!("127.0.0.1:{rpc}")),
            ("ops.addr", "127.0.0.1:9484".to_owned()),
        ]
    }

    fn sources() -> &'static [&'static dyn Source] {
        &[&native::Native]
    }

    fn rewrite(args: Vec<OsString>) -> Vec<OsString> {
        native::rewrite(args)
    }

    fn validate(loaded: &Loaded<Self>) -> Result<(), Report> {
        native::check_ignored(&loaded.config.ignored)?;
        network(loaded)?;
        if loaded.config.bootstrap_ids.len() != loaded.config.bootstrap_ips.len() {
            let (ids, ips) = (loaded.config.bootstrap_ids.len(), loaded.config.bootstrap_ips.len());
            let what = format!("{ids} ids of nodes to bootstrap from and {ips} addresses");
            return Err(Report::new(exit::BAD_VALUE, what).at("bootstrap-ids, bootstrap-ips"));
        }
        Ok(())
    }

    fn rpc_path(method: &str) -> &'static str {
        match method.split('.').next() {
            Some("admin") => "/ext/admin",
            Some("avm") => "/ext/bc/X",
            Some("health") => "/ext/health",
            Some("info") => "/ext/info",
            _ => "/ext/bc/P",
        }
    }

    fn rpc_addr(loaded: &Loaded<Self>) -> Result<Listen, Report> {
        node::listen(loaded.common.rpc_addr, loaded.config.http_host.as_deref(), loaded.config.http_port)
    }

    fn openrpc() -> serde_json::Value {
        avalanche_api::methods(None).openrpc(Self::NAME, Self::VERSION)
    }

    fn identity(loaded: &Loaded<Self>) -> Result<Identity, Report> {
        let network = network(loaded)?;
        let genesis = genesis(loaded, &network)?;
        Ok(Identity {
            daemon: Self::NAME.to_owned(),
            network: network.name.to_owned(),
            network_id: u64::from(network.id),
            genesis: genesis.id().to_string(),
            format: FORMAT,
        })
    }

    fn command(command: Command, _: &Loaded<Self>) -> Result<(), Report> {
        let Command::LocalNet(command) = command;
        local_net::run(&command)
    }

    async fn start(ctx: Context<Self>) -> Result<(), Report> {
        let network = network(&ctx)?;
        let genesis = genesis(&ctx, &network)?;
        let mut ignored = native::check_ignored(&ctx.config.ignored)?;
        ignored.extend(native::ignored_variables(std::env::vars_os().map(|(name, _)| name)));
        for name in ignored {
            tracing::warn!(target: "config", "{}", native::warning(name));
        }
        node::start(ctx, network, genesis).await
    }
}

/// The chosen network.
fn network(loaded: &Loaded<AvalancheNode>) -> Result<Network, Report> {
    let text = loaded.config.network_id.as_deref().unwrap_or(&loaded.common.network);
    let network = Network::parse(text).filter(|network| network.name == loaded.common.network);
    network.ok_or_else(|| {
        let chosen = &loaded.common.network;
        Report::new(exit::BAD_VALUE, format!("network-id `{text}` and network `{chosen}` do not go together"))
            .at("network-id, network")
            .advice(
                "give --network-id alone on the command line, or both: --network custom --network-id NUMBER",
            )
    })
}

/// Ids of the genesis of public networks (`genesis/genesis_test.go`).
const GENESIS_IDS: [(u32, &str); 3] = [
    (1, "UUvXi6j7QhVvgpbKM89MP5HdrxKm9CaJeHc187TsDNf8nZdLk"),
    (5, "MSj6o9TpezwsQx4Tv7SHqpVvCbJ8of1ikjsqPZ1bKRjc9zBy3"),
    (12_345, "2nRRoR76HuEk1JjDpRdN8FKvZFvUXWxY3b9C5rZRPFjcgEh7S7"),
];

/// The beginning of the network, from the file that describes it.
fn genesis(loaded: &Loaded<AvalancheNode>, network: &Network) -> Result<NetworkGenesis, Report> {
    let config = &loaded.config;
    let json = match (&config.genesis_file_content, &config.genesis_file) {
        (Some(content), _) => STANDARD.decode(content.trim()).map_err(|err| {
            Report::new(exit::BAD_VALUE, "the genesis is not base 64")
                .at("genesis-file-content")
                .because(&err)
        })?,
        (None, Some(path)) => std::fs::read(path).map_err(|err| {
            Report::new(exit::NO_INPUT, "the genesis file cannot be read")
                .at(path.display().to_string())
                .because(&err)
        })?,
        (None, None) => {
            return Err(Report::new(exit::BAD_VALUE, "no genesis file is named")
                .at("genesis-file")
                .advice("name the network's JSON description; this program carries none, also not of public networks, whose ids it checks"));
        }
    };
    let genesis = NetworkGenesis::from_json(&json).map_err(|err| {
        Report::new(exit::BAD_VALUE, "the genesis file is not valid").at("genesis-file").because(&err)
    })?;
    if genesis.network_id != network.id {
        let what = format!("the genesis is that of network {}, not {}", genesis.network_id, network.id);
        return Err(Report::new(exit::BAD_VALUE, what).at("genesis-file, network-id"));
    }
    let expected = GENESIS_IDS.iter().find(|(id, _)| *id == network.id).map(|(_, genesis)| *genesis);
    let id = genesis.id().to_string();
    if expected.is_some_and(|expected| expected != id) {
        let what = format!("the genesis has id {id}, the network's is another");
        return Err(Report::new(exit::BAD_VALUE, what).at("genesis-file"));
    }
    Ok(genesis)
}
