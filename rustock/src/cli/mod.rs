//! rustock's own verbs, beside those that every daemon has: headers in files, and the database offline.

mod db;
mod headers;
mod lines;
mod reset;

use std::{ffi::OsString, sync::Arc};

use clap::Subcommand;
use serde_json::Value;
use shared_vendor::{
    app::{Context, Daemon, Loaded},
    clock::Clock as _,
    config::Source,
    datadir::{DataDir, Identity},
    exit::{self, Code, Exit, Report},
};

use crate::{
    chain::{Chain, OpenError},
    config::{Config, NodeConf, define},
    node,
    params::{Network, Params},
    rpc,
    store::{Store, StoreError, schema::SCHEMA_VERSION},
    types::Timestamp,
};

/// The daemon, as the frame runs it.
#[derive(Debug)]
pub struct Rustock;

impl Daemon for Rustock {
    const NAME: &'static str = "rustock";
    const PREFIX: &'static str = "RUSTOCK";
    const METRICS: &'static str = "rustock";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const ABOUT: &'static str = "A Rootstock light client that verifies every header itself";
    const NETWORKS: &'static [&'static str] = &["mainnet", "testnet", "testnet2", "regtest", "devnet"];
    const CODES: &'static [Code] = CODES;
    const PEERS: Option<&'static str> = Some("sco_peerList");
    type Config = Config;
    type Command = Command;

    fn defaults(network: &str) -> Vec<(&'static str, String)> {
        let params = Params::of(Network::by_name(network).unwrap_or(Network::Mainnet));
        let mut defaults = vec![
            ("rpc.addr", "127.0.0.1:4444".into()),
            ("p2p.addr", format!("[::]:{}", params.p2p_port)),
            ("ops.addr", "127.0.0.1:9481".into()),
        ];
        if params.network == Network::Regtest {
            // Blocks are made at will there.
            defaults.extend([("finality.safe", "10".into()), ("finality.finalized", "100".into())]);
        }
        defaults
    }

    fn sources() -> &'static [&'static dyn Source] {
        &[&NodeConf]
    }

    fn rewrite(args: Vec<OsString>) -> Vec<OsString> {
        // Confirmation and what it confirms are one setting.
        let confirmed = args.iter().any(|arg| arg == "--yes");
        let reset = |arg: &OsString| arg == "--reset" || arg == "-r";
        let args: Vec<OsString> = if args.iter().any(reset) {
            let asked = if confirmed { "--db-reset=yes" } else { "--db-reset=ask" };
            let others = args.into_iter().filter(|arg| !reset(arg) && arg != "--yes");
            others.chain([asked.into()]).collect()
        } else {
            args
        };
        // These two of the reference do something else than run.
        let verbs = [("--verify-config", &["config", "check"] as &[_]), ("--print-system-info", &["doctor"])];
        let verb = verbs.iter().find(|(flag, _)| args.iter().any(|arg| arg == flag));
        let asked = verb.map_or(&[] as &[_], |(_, verb)| *verb).iter().map(OsString::from);
        let others = args.into_iter().filter(|arg| verbs.iter().all(|(flag, _)| arg != flag));
        others.flat_map(native_flag).chain(asked).collect()
    }

    fn identity(loaded: &Loaded<Self>) -> Result<Identity, Report> {
        let params = params(loaded);
        let genesis = params.genesis.ok_or_else(|| no_genesis(params.network))?;
        Ok(Identity {
            daemon: Self::NAME.into(),
            network: params.network.name().into(),
            network_id: params.network_id,
            genesis: genesis.hash.to_string(),
            format: SCHEMA_VERSION,
        })
    }

    fn db_stats(loaded: &Loaded<Self>) -> Option<Result<String, Report>> {
        Some(db::stats(loaded, false))
    }

    fn openrpc() -> Value {
        rpc::methods().openrpc(Self::NAME, Self::VERSION)
    }

    fn command(command: Command, loaded: &Loaded<Self>) -> Result<(), Report> {
        run(command, loaded)
    }

    async fn start(ctx: Context<Self>) -> Result<(), Report> {
        let (data, params) = (Arc::clone(&ctx.data), params(&ctx));
        // opening reads the newest headers from disk, which no other task waits for yet
        let chain = tokio::task::block_in_place(|| {
            reset::reset(ctx.config.reset, &data)?;
            open_chain_at(&data, params)
        })?;
        node::start(ctx, Arc::new(chain), store_report).await
    }
}

/// Flags of the reference implementation that mean a setting of ours.
fn native_flag(arg: OsString) -> Vec<OsString> {
    let text = |words: &[&str]| words.iter().map(|word| OsString::from(*word)).collect();
    match arg.to_str() {
        Some("--main") => text(&["--network", "mainnet"]),
        Some("--testnet") => text(&["--network", "testnet"]),
        Some("--testnet2") => text(&["--network", "testnet2"]),
        Some("--regtest") => text(&["--network", "regtest"]),
        Some("--devnet") => text(&["--network", "devnet"]),
        Some("--base-path") => text(&["--data-dir"]),
        Some("--rpccors") => text(&["--rpc-allowed-origins"]),
        Some(other) => match define(other) {
            Some(options) => options.into_iter().map(OsString::from).collect(),
            None => vec![arg],
        },
        None => vec![arg],
    }
}

/// The database holds something else than a chain.
pub const DATABASE_DAMAGED: Code = Code {
    id: "E0301",
    exit: Exit::Damaged,
    title: "the database is damaged",
    text: "What is stored is not the chain that it claims to be. Remove the folder `db` in the data directory of the network and sync or import again; keys and settings stay.",
};
/// The database engine failed.
pub const DATABASE_FAILED: Code = Code {
    id: "E0302",
    exit: Exit::Io,
    title: "the database engine failed",
    text: "The disk, the file system or the permissions are at fault; the message holds the engine's own text. What was written before is intact.",
};
/// A header of a file is not valid.
pub const HEADER_REFUSED: Code = Code {
    id: "E0601",
    exit: Exit::Failed,
    title: "a header is not valid",
    text: "The message names line, height and rule. The headers before it are valid; `headers import` has stored them.",
};
/// A file of headers does not continue the stored chain.
pub const HEADER_NOT_LINKED: Code = Code {
    id: "E0602",
    exit: Exit::Failed,
    title: "a header does not continue the stored chain",
    text: "The parent of the first new header is not stored. Import from the genesis block on, or from a height that is already stored.",
};

/// The fork monitor saw a hidden branch.
pub const HIDDEN_FORK: Code = Code {
    id: "E0603",
    exit: Exit::Failed,
    title: "a proof of work commits to a hidden branch",
    text: "Bitcoin work was spent on a branch of the chain that left ours long ago and that no peer shows (fork-detection data, RSKIP-110). The node goes on. Do not rely on new blocks until it is known what the branch is; compare the chain with nodes that others run.",
};

/// All of the above.
pub const CODES: &[Code] = &[
    DATABASE_DAMAGED,
    DATABASE_FAILED,
    HEADER_REFUSED,
    HEADER_NOT_LINKED,
    HIDDEN_FORK,
    node::CHECKPOINT_REFUSED,
];

/// rustock's own verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Verify, import or export files of headers
    #[command(subcommand)]
    Headers(headers::Command),
    /// Look at, check or tidy the database while the node is stopped
    #[command(subcommand)]
    Db(db::Command),
}

/// Carries out one of the verbs.
///
/// # Errors
/// Whatever ends the process with a code other than 0.
pub fn run<D: Daemon>(command: Command, loaded: &Loaded<D>) -> Result<(), Report> {
    match command {
        Command::Headers(command) => headers::run(command, loaded),
        Command::Db(command) => db::run(&command, loaded),
    }
}

/// Constants of the chosen network.
fn params<D: Daemon>(loaded: &Loaded<D>) -> Params {
    Params::of(Network::by_name(&loaded.common.network).unwrap_or(Network::Mainnet))
}

fn now<D: Daemon>(loaded: &Loaded<D>) -> Timestamp {
    Timestamp(loaded.clock.wall().as_secs())
}

/// The chain of the data directory, locked against the running node for as long as the first value lives.
fn open_chain<D: Daemon>(loaded: &Loaded<D>) -> Result<(DataDir, Chain), Report> {
    let data = loaded.open_data()?;
    let chain = open_chain_at(&data, params(loaded))?;
    Ok((data, chain))
}

/// Opens the chain in a data directory that is already locked.
///
/// # Errors
/// The store fails, is damaged or foreign, or the network has no known genesis.
pub fn open_chain_at(data: &DataDir, params: Params) -> Result<Chain, Report> {
    let path = data.join("db");
    let place = path.display().to_string();
    let store = Store::open(&path, &params).map_err(|err| store_report(&err).at(place.clone()))?;
    Chain::open(store, params).map_err(|err| match err {
        OpenError::Store(err) => store_report(&err).at(place),
        OpenError::NoGenesis(network) => no_genesis(network),
    })
}

fn no_genesis(network: Network) -> Report {
    Report::new(exit::NOT_BUILT, format!("the genesis block of {network} is not published"))
        .advice("choose another network")
}

/// What an operator is told when the store fails.
#[must_use]
pub fn store_report(err: &StoreError) -> Report {
    match err {
        StoreError::Engine(err) if err.as_ref().contains("No space left on device") => {
            Report::new(exit::DISK_FULL, exit::DISK_FULL.title)
        }
        StoreError::Engine(_) | StoreError::Poisoned => Report::new(DATABASE_FAILED, DATABASE_FAILED.title),
        StoreError::Damaged { .. } | StoreError::Missing { .. } => {
            Report::new(DATABASE_DAMAGED, DATABASE_DAMAGED.title)
        }
        StoreError::OtherNetwork { .. } | StoreError::OtherFormat { .. } => {
            Report::new(exit::DATA_FOREIGN, "the database cannot be used")
        }
    }
    .because(err)
}
