//! neo-node's own verbs, beside those that every daemon has.

mod vm;

use clap::Subcommand;
use shared_vendor::{
    app::{Context, Daemon, Loaded},
    config::Source,
    datadir::Identity,
    exit::Report,
};

use crate::config::{
    Config,
    native::{CSharp, NeoGo},
};

/// The daemon, as the frame runs it.
#[derive(Debug)]
pub struct NeoNode;

impl Daemon for NeoNode {
    const NAME: &'static str = "neo-node";
    const PREFIX: &'static str = "NEO_NODE";
    const METRICS: &'static str = "neo";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const ABOUT: &'static str = "Neo N3 full node";
    const NETWORKS: &'static [&'static str] = &["mainnet", "testnet", "privnet"];
    type Config = Config;
    type Command = Command;

    fn defaults(network: &str) -> Vec<(&'static str, String)> {
        let (p2p, rpc) = match network {
            "mainnet" => (10333, 10332),
            "testnet" => (20333, 20332),
            _ => (30333, 30332),
        };
        vec![
            ("p2p.addr", format!("[::]:{p2p}")),
            ("rpc.addr", format!("127.0.0.1:{rpc}")),
            ("ops.addr", "127.0.0.1:9480".to_owned()),
        ]
    }

    fn sources() -> &'static [&'static dyn Source] {
        &[&CSharp, &NeoGo]
    }

    fn validate(loaded: &Loaded<Self>) -> Result<(), Report> {
        // A private network may be described later; whoever names a part of one must name all.
        if loaded.config.magic.is_some() || !loaded.config.committee.is_empty() {
            loaded.config.protocol(&loaded.common.network)?;
        }
        Ok(())
    }

    fn identity(_: &Loaded<Self>) -> Result<Identity, Report> {
        Err(Report::not_built(Self::NAME))
    }

    fn command(command: Command, loaded: &Loaded<Self>) -> Result<(), Report> {
        match command {
            Command::Vm(command) => vm::run(&command, loaded),
        }
    }

    async fn start(_: Context<Self>) -> Result<(), Report> {
        Err(Report::not_built(Self::NAME))
    }
}

/// neo-node's own verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run scripts in the virtual machine, without a chain
    #[command(subcommand)]
    Vm(vm::Command),
}
