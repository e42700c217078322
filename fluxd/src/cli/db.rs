//! Verbs over the stored chain while the node is stopped.

use std::{collections::BTreeMap, sync::Arc};

use clap::Subcommand;
use fluxd_chainstate::ChainState;
use shared_vendor::{
    app::Loaded,
    cli,
    exit::{Code, Exit, Report},
};

use super::Fluxd;
use crate::node::{self, chain_report};

/// What is stored is not what it should be.
pub(super) const CHAIN_DAMAGED: Code = Code {
    id: "E0302",
    exit: Exit::Damaged,
    title: "the stored chain is damaged",
    text: "A stored block or its undo data cannot be read back. `fluxd reindex` builds the tables anew from the block files; where these are damaged, remove the folder of the network and sync again.",
};

/// fluxd's own verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Read the newest stored blocks and their undo data back while the node is stopped
    Verifychain {
        /// Blocks to check, from the tip; 0 for all
        #[arg(long, default_value_t = 288)]
        depth: u32,
    },
    /// Print height, tip and a digest of every table while the node is stopped
    Digests,
}

/// Carries out one of the verbs.
///
/// # Errors
/// Whatever ends the process with a code other than 0.
pub(super) fn run(command: &Command, loaded: &Loaded<Fluxd>) -> Result<(), Report> {
    let data = loaded.open_data()?;
    let params = Arc::new(node::params(&loaded.common.network, &loaded.config.nuparams)?);
    let options = node::options(&loaded.config, node::entropy()?);
    let chain = ChainState::open(data.root(), params, options)
        .map_err(|err| chain_report(&err).at(data.root().display().to_string()))?;
    match command {
        Command::Verifychain { depth } => verify(&chain, *depth)?,
        Command::Digests => digests(&chain)?,
    }
    drop(chain);
    data.close()
}

fn verify(chain: &ChainState, depth: u32) -> Result<(), Report> {
    let index = chain.index();
    let reader = chain.reader();
    let lowest = if depth == 0 { 1 } else { index.height().saturating_sub(depth).saturating_add(1).max(1) };
    for height in lowest..=index.height() {
        let damaged = |what: String| {
            Report::new(CHAIN_DAMAGED, CHAIN_DAMAGED.title).at(format!("height {height}: {what}"))
        };
        let id = index.at_height(height).ok_or_else(|| damaged("no block".to_owned()))?;
        let hash = index.entry(id).hash();
        let block = reader.block(&hash).map_err(|err| damaged(err.to_string()))?;
        fluxd_consensus::check::CheckedBlock::new(Arc::new(block)).map_err(|err| damaged(err.to_string()))?;
        reader.undo(&hash).map_err(|err| damaged(err.to_string()))?;
    }
    cli::print(&format!("verified: blocks {lowest} to {}\n", index.height()))
}

fn digests(chain: &ChainState) -> Result<(), Report> {
    let tip = chain.tip();
    let mut lines = BTreeMap::new();
    for (name, digest) in chain.digests().map_err(|err| chain_report(&err))? {
        lines.insert(name, digest.to_string());
    }
    let text: String = lines.iter().map(|(name, digest)| format!("{name}: {digest}\n")).collect();
    cli::print(&format!("height: {}\ntip: {}\n{text}", tip.height, tip.hash))
}
