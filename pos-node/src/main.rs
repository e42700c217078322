//! `pos-node`: the daemon frame with this chain's names, networks and ports. `run` is not built yet and says so.

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

struct PosNode;

impl Daemon for PosNode {
    const NAME: &'static str = "pos-node";
    const PREFIX: &'static str = "POS_NODE";
    const METRICS: &'static str = "pos";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const ABOUT: &'static str = "Proof-of-stake chain node";
    const NETWORKS: &'static [&'static str] = &["mainnet", "testnet", "devnet"];
    type Config = Config;
    type Command = NoCommand;

    fn defaults(network: &str) -> Vec<(&'static str, String)> {
        let (p2p, rpc) = match network {
            "mainnet" => (9470, 9471),
            "testnet" => (19470, 19471),
            _ => (29470, 29471),
        };
        vec![
            ("p2p.addr", format!("[::]:{p2p}")),
            ("rpc.addr", format!("127.0.0.1:{rpc}")),
            ("ops.addr", "127.0.0.1:9482".to_owned()),
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
    app::main::<PosNode>()
}
