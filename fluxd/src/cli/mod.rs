//! fluxd's own verbs, beside those that every daemon has.

mod db;
mod keys;

use std::ffi::OsString;

use fluxd_consensus::params::Params;
use serde_json::Value;
use shared_vendor::{
    app::{Context, Daemon, Loaded},
    config::Source,
    datadir::Identity,
    exit::{Code, Report},
};

use crate::{
    config::{
        Config,
        native::{self, FluxConf},
    },
    node,
};

/// The daemon, as the frame runs it.
#[derive(Debug)]
pub struct Fluxd;

impl Daemon for Fluxd {
    const NAME: &'static str = "fluxd";
    const PREFIX: &'static str = "FLUXD";
    const METRICS: &'static str = "fluxd";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const ABOUT: &'static str = "Flux full node";
    const NETWORKS: &'static [&'static str] = &["main", "test", "regtest"];
    const CODES: &'static [Code] = &[node::STORE_FAILED, db::CHAIN_DAMAGED];
    const PEERS: Option<&'static str> = Some("getpeerinfo");
    type Config = Config;
    type Command = db::Command;

    fn defaults(network: &str) -> Vec<(&'static str, String)> {
        let address = |setting| {
            let (host, port) = native::default_address(setting, network);
            format!("{host}:{port}")
        };
        vec![
            ("p2p.addr", address("p2p.addr")),
            ("rpc.addr", address("rpc.addr")),
            ("ops.addr", "127.0.0.1:9483".to_owned()),
        ]
    }

    fn profile(profile: &str) -> Vec<(&'static str, String)> {
        match profile {
            "low" => vec![("chain.cache", "64MiB".into()), ("p2p.outbound", "8".into())],
            "high" => vec![("chain.cache", "1GiB".into()), ("peers.max", "125".into())],
            _ => Vec::new(),
        }
    }

    fn sources() -> &'static [&'static dyn Source] {
        &[&FluxConf]
    }

    fn rewrite(args: Vec<OsString>) -> Vec<OsString> {
        native::rewrite(args)
    }

    fn validate(loaded: &Loaded<Self>) -> Result<(), Report> {
        node::params(&loaded.common.network, &loaded.config).map(drop)
    }

    fn identity(loaded: &Loaded<Self>) -> Result<Identity, Report> {
        let params = node::params(&loaded.common.network, &loaded.config)?;
        Ok(Identity {
            daemon: Self::NAME.into(),
            network: params.network.name().into(),
            network_id: network_id(&params),
            genesis: params.genesis.header.hash().to_string(),
            format: 1,
        })
    }

    fn openrpc() -> Value {
        fluxd_rpc::methods::openrpc(Self::NAME, Self::VERSION)
    }

    fn command(command: db::Command, loaded: &Loaded<Self>) -> Result<(), Report> {
        db::run(&command, loaded)
    }

    async fn start(ctx: Context<Self>) -> Result<(), Report> {
        node::start(ctx).await
    }
}

/// The magic of the network as a number.
fn network_id(params: &Params) -> u64 {
    u32::from_le_bytes(params.magic).into()
}
