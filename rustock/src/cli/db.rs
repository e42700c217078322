//! `db stats`, `db verify`, `db compact`, `db get`: the database while the node is stopped.

use clap::Subcommand;
use serde_json::json;
use shared_vendor::{
    app::{Daemon, Loaded},
    cli::print,
    clock::Clock as _,
    exit::Report,
    hex,
};

use super::{DATABASE_DAMAGED, open_chain, store_report};
use crate::{
    chain::AuditError,
    store::schema::{SCHEMA_VERSION, Table},
    types::{BlockHash, BlockNumber},
};

/// `db ...`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what the database holds
    #[command(alias = "info")]
    Stats {
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Check index, hashes, links and sums from genesis to the tip
    #[command(alias = "check")]
    Verify {
        /// Apply every rule of the chain again
        #[arg(long)]
        deep: bool,
    },
    /// Rewrite the files into their smallest form
    Compact,
    /// Print one stored header as RLP
    Get {
        /// Height on the chain, or hash
        block: String,
    },
}

pub(super) fn run<D: Daemon>(command: &Command, loaded: &Loaded<D>) -> Result<(), Report> {
    match command {
        Command::Stats { json } => print(&stats(loaded, *json)?),
        Command::Verify { deep } => verify(loaded, *deep),
        Command::Compact => {
            let (_data, chain) = open_chain(loaded)?;
            chain.store().compact();
            chain.store().flush().map_err(|err| store_report(&err))
        }
        Command::Get { block } => get(loaded, block),
    }
}

/// What the database holds, for people or as JSON.
pub(super) fn stats<D: Daemon>(loaded: &Loaded<D>, json: bool) -> Result<String, Report> {
    let (_data, chain) = open_chain(loaded)?;
    let tip = chain.tip();
    let mut headers = 0_u64;
    let counted = chain.store().for_each(Table::Headers, |_, _| {
        headers += 1;
        Ok(())
    });
    counted.map_err(|err| store_report(&err))?;
    let on_chain = tip.number.0.saturating_add(1);
    let bytes = |table| chain.store().size(table);
    let document = json!({
        "network": chain.params().network.name(),
        "format": SCHEMA_VERSION,
        "tip": { "number": tip.number.0, "hash": tip.hash.to_string(), "total_difficulty": tip.total_difficulty.to_string() },
        "headers": headers,
        "side_branch_headers": headers.saturating_sub(on_chain),
        "bytes": { "headers": bytes(Table::Headers), "numbers": bytes(Table::Numbers) },
    });
    if json {
        return Ok(format!("{document:#}\n"));
    }
    Ok(format!(
        "network   {}\nformat    {SCHEMA_VERSION}\ntip       {} {}\nwork      {}\nheaders   {headers}, {} of them on side branches\n",
        chain.params().network,
        tip.number,
        tip.hash,
        tip.total_difficulty,
        headers.saturating_sub(on_chain),
    ))
}

fn verify<D: Daemon>(loaded: &Loaded<D>, deep: bool) -> Result<(), Report> {
    let (data, chain) = open_chain(loaded)?;
    let started = loaded.clock.now();
    let audit = chain.audit(deep, |_| {}).map_err(|err| {
        let place = data.join("db").display().to_string();
        match &err {
            AuditError::Store(err) => store_report(err).at(place),
            _ => Report::new(DATABASE_DAMAGED, DATABASE_DAMAGED.title).at(place).because(&err),
        }
    })?;
    print(&format!(
        "ok: {} headers on the chain, {} stored, {} in {:.3} s\n",
        audit.on_chain,
        audit.stored,
        if deep { "every rule checked again" } else { "index, hashes, links and sums checked" },
        loaded.clock.now().since(started).as_secs_f64(),
    ))
}

fn get<D: Daemon>(loaded: &Loaded<D>, block: &str) -> Result<(), Report> {
    let (_data, chain) = open_chain(loaded)?;
    let hash = match (block.parse::<u64>(), block.parse::<BlockHash>()) {
        (Ok(number), _) => chain.hash_by_number(BlockNumber(number)).map_err(|err| store_report(&err))?,
        (_, Ok(hash)) => Some(hash),
        _ => {
            return Err(Report::new(
                shared_vendor::exit::BAD_USAGE,
                format!("`{block}` is neither a height nor a hash"),
            ));
        }
    };
    let header = match hash {
        Some(hash) => chain.store().header(&hash).map_err(|err| store_report(&err))?,
        None => None,
    };
    let header = header.ok_or_else(|| {
        Report::new(shared_vendor::exit::UNEXPECTED, format!("no header {block} is stored"))
    })?;
    print(&format!("{}\n", hex::encode(header.wire)))
}
