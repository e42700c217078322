//! `db ...`: the chain's database while the node is stopped. Opening it brings it to the newest version.

use std::{path::PathBuf, sync::Arc};

use clap::Subcommand;
use serde_json::{Value, json};
use shared_vendor::{
    app::Loaded,
    cli::print,
    clock::Clock as _,
    datadir::DataDir,
    exit::{self, Report},
    hex,
};

use super::{PosNode, genesis};
use crate::{
    consensus::chain::Chain,
    node::run::{chain_report, store_report},
    state::verifier::BatchVerifier,
    storage::{Database as _, FoldedState as _, History, SqliteDatabase},
    types::{codec::encode, params::Config, primitives::Root},
};

/// What can be done with the database.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what the database holds
    #[command(alias = "info")]
    Stats {
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Check the file, and the state on disk against its tree and the header of its block
    #[command(alias = "check")]
    Verify {
        /// Check every stored block and its transactions too
        #[arg(long)]
        deep: bool,
    },
    /// Rewrite the file into its smallest form
    Compact,
    /// Copy the database into a new file
    Backup {
        /// The file, which must not exist
        out: PathBuf,
    },
    /// Print a stored block's encoding in hexadecimal
    Get {
        /// Slot on the chain, or root
        block: String,
    },
}

/// The open database with the lock that keeps others away.
struct Open {
    _data: DataDir,
    config: Config,
    db: SqliteDatabase,
    place: String,
}

fn open(loaded: &Loaded<PosNode>) -> Result<Open, Report> {
    let config = genesis(loaded)?.config;
    let data = loaded.open_data()?;
    let path = data.join("db").join("chain.db");
    let place = path.display().to_string();
    if !path.exists() {
        return Err(Report::new(exit::NO_INPUT, "there is no database yet").at(place));
    }
    let history =
        if loaded.config.archive { History::Archive } else { History::Slots(loaded.config.history_slots) };
    let db = SqliteDatabase::open(&path, &config.hash(), history)
        .map_err(|err| store_report(&err).at(place.clone()))?;
    Ok(Open { _data: data, config, db, place })
}

pub(super) fn run(command: &Command, loaded: &Loaded<PosNode>) -> Result<(), Report> {
    let open = || open(loaded);
    match command {
        Command::Stats { json } => print(&stats(loaded, *json)?),
        Command::Verify { deep } => verify(open()?, *deep, loaded),
        Command::Compact => {
            let open = open()?;
            let before = open.db.size().map_err(|err| store_report(&err))?;
            open.db.compact().map_err(|err| store_report(&err).at(open.place.clone()))?;
            let after = open.db.size().map_err(|err| store_report(&err))?;
            print(&format!("{before} bytes before, {after} after\n"))
        }
        Command::Backup { out } => {
            let open = open()?;
            if out.exists() {
                return Err(Report::new(exit::BAD_USAGE, "the file exists").at(out.display().to_string()));
            }
            open.db.backup(out).map_err(|err| store_report(&err).at(out.display().to_string()))?;
            print(&format!("{}\n", out.display()))
        }
        Command::Get { block } => get(&open()?, block),
    }
}

/// What the database holds, for people or as JSON.
pub(super) fn stats(loaded: &Loaded<PosNode>, json: bool) -> Result<String, Report> {
    let open = open(loaded)?;
    let failed = |err| store_report(&err).at(open.place.clone());
    let folded = open.db.folded().map_err(failed)?;
    let finalized = open.db.finalized().map_err(failed)?.unwrap_or_default();
    let (bytes, rows) = (open.db.size().map_err(failed)?, open.db.rows().map_err(failed)?);
    if json {
        let rows: serde_json::Map<String, Value> =
            rows.into_iter().map(|(table, count)| (table.to_owned(), json!(count))).collect();
        let document = json!({
            "format": SqliteDatabase::version(),
            "archive": open.db.keeps_history(),
            "bytes": bytes,
            "folded": folded.map(|root| root.to_string()),
            "finalized": { "epoch": finalized.epoch, "root": finalized.root.to_string() },
            "rows": rows,
        });
        return Ok(format!("{document:#}\n"));
    }
    let mut text = format!(
        "format     {}\narchive    {}\nbytes      {bytes}\nfolded     {}\nfinalized  epoch {} {}\n",
        SqliteDatabase::version(),
        open.db.keeps_history(),
        folded.unwrap_or_default(),
        finalized.epoch,
        finalized.root,
    );
    for (table, count) in rows {
        text.push_str(&format!("  {table:<12} {count} rows\n"));
    }
    Ok(text)
}

fn verify(open: Open, deep: bool, loaded: &Loaded<PosNode>) -> Result<(), Report> {
    let Open { _data, config, db, place } = open;
    let started = loaded.clock.now();
    db.check_file().map_err(|err| store_report(&err).at(place.clone()))?;
    let verifier = Arc::new(BatchVerifier::new([0; 32])); // nothing stored is verified again
    let failed = |err| chain_report(&err).at(place.clone());
    let chain = Chain::open(Arc::new(config), db, verifier).map_err(failed)?;
    chain.verify_database().map_err(failed)?;
    let blocks = if deep { Some(chain.verify_blocks().map_err(failed)?) } else { None };
    let deeper = blocks.map_or_else(String::new, |blocks| format!(", {blocks} blocks"));
    print(&format!(
        "ok: file, state, tree and header of the folded block{deeper}; head at slot {}, epoch {} final; {:.3} s\n",
        chain.head_slot(),
        chain.finalized().epoch,
        loaded.clock.now().since(started).as_secs_f64(),
    ))
}

fn get(open: &Open, block: &str) -> Result<(), Report> {
    let failed = |err| store_report(&err).at(open.place.clone());
    let root = match (block.parse::<u64>(), block.parse::<Root>()) {
        (Ok(slot), _) => open.db.canonical(slot).map_err(failed)?,
        (_, Ok(root)) => Some(root),
        _ => return Err(Report::new(exit::BAD_USAGE, format!("`{block}` is neither a slot nor a root"))),
    };
    let stored = match root {
        Some(root) => open.db.block(&root).map_err(failed)?,
        None => None,
    };
    let stored =
        stored.ok_or_else(|| Report::new(exit::UNEXPECTED, format!("no block {block} is stored")))?;
    print(&format!("{}\n", hex::encode(encode(&stored.block))))
}
