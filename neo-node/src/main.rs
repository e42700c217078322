//! `neo-node`: the daemon frame with this chain's names, networks and ports. `run` is not built yet and says so.

use std::process::ExitCode;

use shared_vendor::{
    app::{self, Context, Daemon, Loaded, NoCommand},
    datadir::Identity,
    exit::Report,
};

shared_vendor::settings! {
    /// Settings of this chain: none yet beside those that every daemon has.
    struct Config {}
}

struct NeoNode;

impl Daemon for NeoNode {
    const NAME: &'static str = "neo-node";
    const PREFIX: &'static str = "NEO_NODE";
    const METRICS: &'static str = "neo";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const ABOUT: &'static str = "Neo N3 full node";
    const NETWORKS: &'static [&'static str] = &["mainnet", "testnet", "privnet"];
    type Config = Config;
    type Command = NoCommand;

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

    fn identity(_: &Loaded<Self>) -> Result<Identity, Report> {
        Err(Report::not_built(Self::NAME))
    }

    async fn start(_: Context<Self>) -> Result<(), Report> {
        Err(Report::not_built(Self::NAME))
    }
}

fn main() -> ExitCode {
    app::main::<NeoNode>()
}
