//! `fluxd`: the daemon frame with this chain's names, networks and ports. `run` is not built yet and says so.

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

struct Fluxd;

impl Daemon for Fluxd {
    const NAME: &'static str = "fluxd";
    const PREFIX: &'static str = "FLUXD";
    const METRICS: &'static str = "fluxd";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const ABOUT: &'static str = "Flux full node";
    const NETWORKS: &'static [&'static str] = &["main", "test", "regtest"];
    type Config = Config;
    type Command = NoCommand;

    fn defaults(network: &str) -> Vec<(&'static str, String)> {
        let (p2p, rpc) = match network {
            "main" => (16125, 16124),
            "test" => (26125, 26124),
            _ => (26126, 26124),
        };
        vec![
            ("p2p.addr", format!("[::]:{p2p}")),
            ("rpc.addr", format!("127.0.0.1:{rpc}")),
            ("ops.addr", "127.0.0.1:9483".to_owned()),
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
    app::main::<Fluxd>()
}
