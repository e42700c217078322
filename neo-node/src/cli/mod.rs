//! neo-node's own verbs, beside those that every daemon has.

mod export;
mod import;
mod vm;
mod wallet;

use std::sync::Arc;

use clap::Subcommand;
use neo_contract::ProtocolSettings;
use neo_runtime::{Ledger, LedgerError, LedgerOptions, PersistError, execute::genesis};
use neo_store::{Database, schema::SCHEMA_VERSION};
use serde_json::Value;
use shared_vendor::{
    app::{Context, Daemon, Loaded},
    config::Source,
    datadir::{DataDir, Identity},
    exit::{self, Code, Exit, Report},
};

use crate::{
    config::{
        Config,
        native::{CSharp, NeoGo},
    },
    node,
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
    const CODES: &'static [Code] = CODES;
    const PEERS: Option<&'static str> = Some("getpeers");
    const SHORTHANDS: &'static [(&'static str, &'static str)] = &[
        ("show state", "status"),
        ("show node", "getpeers"),
        ("show pool", "getrawmempool"),
        ("show block", "getblock"),
        ("show header", "getblockheader"),
        ("show tx", "getrawtransaction"),
        ("show contract", "getcontractstate"),
        ("list nativecontract", "getnativecontracts"),
        ("plugins", "listplugins"),
        ("relay", "sendrawtransaction"),
    ];
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

    fn identity(loaded: &Loaded<Self>) -> Result<Identity, Report> {
        let settings = loaded.config.protocol(&loaded.common.network)?;
        Ok(Identity {
            daemon: Self::NAME.into(),
            network: loaded.common.network.clone(),
            network_id: settings.network.into(),
            genesis: genesis(&settings).header.hash().to_string(),
            format: SCHEMA_VERSION,
        })
    }

    fn openrpc() -> Value {
        neo_rpc::methods().openrpc(Self::NAME, Self::VERSION)
    }

    fn command(command: Command, loaded: &Loaded<Self>) -> Result<(), Report> {
        match command {
            Command::Import(options) => import::run(&options, loaded),
            Command::Export(options) => export::run(&options, loaded),
            Command::Vm(command) => vm::run(&command, loaded),
            Command::Wallet(command) => wallet::run(&command, loaded),
        }
    }

    async fn start(ctx: Context<Self>) -> Result<(), Report> {
        let settings = ctx.config.protocol(&ctx.common.network)?;
        let data = Arc::clone(&ctx.data);
        // No other task waits for the store yet.
        let options = LedgerOptions { tokens: ctx.config.token_index(), ..LedgerOptions::default() };
        let ledger = tokio::task::block_in_place(|| open_ledger(&data, settings, options))?;
        node::start(ctx, Arc::new(ledger)).await
    }
}

/// The database holds something else than a chain.
pub const DATABASE_DAMAGED: Code = Code {
    id: "E0301",
    exit: Exit::Damaged,
    title: "the database is damaged",
    text: "What is stored is not the chain that it claims to be. Remove the folder `db` in the data directory of the network and sync or import again; wallets and settings stay.",
};
/// The database engine failed.
pub const DATABASE_FAILED: Code = Code {
    id: "E0302",
    exit: Exit::Io,
    title: "the database engine failed",
    text: "The disk, the file system or the permissions are at fault; the message holds the engine's own text. What was written before is intact.",
};

/// A file of blocks cannot be imported.
pub const BLOCK_REFUSED: Code = Code {
    id: "E0303",
    exit: Exit::Damaged,
    title: "a block of the file is refused",
    text: "The file is damaged, belongs to another network, or does not go on where the chain ends. What came before is in the chain; a good file goes on from there.",
};

/// All of the above.
pub const CODES: &[Code] = &[DATABASE_DAMAGED, DATABASE_FAILED, BLOCK_REFUSED];

/// What is wrong with the database when it fails.
#[must_use]
pub fn database_code(is_damage: bool) -> Code {
    if is_damage { DATABASE_DAMAGED } else { DATABASE_FAILED }
}

/// Opens the ledger in a data directory that is already locked.
///
/// # Errors
/// The store fails, is damaged or belongs to another network.
pub fn open_ledger(
    data: &DataDir,
    settings: ProtocolSettings,
    options: LedgerOptions,
) -> Result<Ledger, Report> {
    let path = data.join("db");
    let place = path.display().to_string();
    let database = Database::open(&path).map_err(|err| {
        let code = database_code(err.is_damage());
        Report::new(code, code.title).at(place.clone()).because(&err)
    })?;
    Ledger::open(Arc::new(settings), options, database).map_err(|err| {
        let code = match &err {
            PersistError::Ledger(
                LedgerError::Network { .. } | LedgerError::Version { .. } | LedgerError::History(_),
            ) => exit::DATA_FOREIGN,
            _ => database_code(err.is_damage()),
        };
        Report::new(code, code.title).at(place).because(&err)
    })
}

/// What ends the process when the ledger fails.
#[must_use]
pub fn ledger_failed(err: &LedgerError) -> Report {
    let report = match err {
        LedgerError::NoLogs(_) => Report::new(exit::BAD_VALUE, "tokens cannot be indexed")
            .advice("import the blocks again with application logs, or leave tokens.trackers empty"),
        _ => {
            let code = database_code(err.is_damage());
            Report::new(code, code.title)
        }
    };
    report.because(err)
}

/// neo-node's own verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Add the blocks of a file to the chain; goes on where an earlier import has stopped
    Import(import::Options),
    /// Write blocks of the chain into a file
    Export(export::Options),
    /// Run scripts in the virtual machine, without a chain
    #[command(subcommand)]
    Vm(vm::Command),
    /// Make NEP-6 wallets from words, and list them
    #[command(subcommand)]
    Wallet(wallet::Command),
}
