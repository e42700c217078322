//! `avalanche-node`: the daemon frame with this chain's names, networks and ports. `run` is not built yet and says so.

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

struct AvalancheNode;

impl Daemon for AvalancheNode {
    const NAME: &'static str = "avalanche-node";
    const PREFIX: &'static str = "AVAGO";
    const METRICS: &'static str = "avalanche";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const ABOUT: &'static str = "Avalanche primary network node";
    const NETWORKS: &'static [&'static str] = &["mainnet", "fuji", "local"];
    type Config = Config;
    type Command = NoCommand;

    fn defaults(_network: &str) -> Vec<(&'static str, String)> {
        let (p2p, rpc) = (9651, 9650); // equal on all networks
        vec![
            ("p2p.addr", format!("[::]:{p2p}")),
            ("rpc.addr", format!("127.0.0.1:{rpc}")),
            ("ops.addr", "127.0.0.1:9484".to_owned()),
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
    app::main::<AvalancheNode>()
}
