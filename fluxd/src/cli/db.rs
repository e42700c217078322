//! Verbs over the stored chain while the node is stopped.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufReader, BufWriter, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Subcommand;
use fluxd_chainstate::{ChainError, ChainState};
use shared_vendor::{
    app::Loaded,
    cli,
    clock::Clock,
    exit::{self, Code, Exit, Report},
    hex,
};

use super::{Fluxd, keys};
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
    /// Check the newest stored blocks while the node is stopped
    Verifychain {
        /// Blocks to check, from the tip; 0 for all
        #[arg(long, default_value_t = 288)]
        depth: u32,
        /// 0 reads them, 1 their own rules, 2 undo data, 3 takes them back in memory, 4 connects them again
        #[arg(long, default_value_t = 3)]
        level: u32,
    },
    /// Throw the tables away and make them again from the block files, without the network
    Reindex,
    /// Fill one index again from the stored blocks
    RebuildIndex {
        /// tx, spent, address, timestamp or fluxnode, as `digests` names them
        name: String,
    },
    /// Write the chain state into a file, or make one of such a file
    #[command(subcommand)]
    Snapshot(Snapshot),
    /// Print height, tip and a digest of every table while the node is stopped
    Digests,
    /// Print addresses and viewing keys of a seed, which is read from stdin in hexadecimal
    Keys {
        /// Number of the account
        #[arg(long, default_value_t = 0)]
        account: u32,
        /// Addresses of each kind
        #[arg(long, default_value_t = 1)]
        count: u16,
        /// Print private keys too
        #[arg(long)]
        secrets: bool,
    },
    /// Print the Sapling notes of a viewing key, which is read from stdin, while the node is stopped
    Notes,
}

/// Files that hold a chain state.
#[derive(Debug, Subcommand)]
pub enum Snapshot {
    /// Write the chain state into a file
    Create {
        /// The file
        file: PathBuf,
    },
    /// Make the chain state of a folder that holds none
    Restore {
        /// The file
        file: PathBuf,
        /// Checksum that somebody trusted gave, 64 hexadecimal digits
        #[arg(long)]
        checksum: Option<String>,
    },
}

/// Carries out one of the verbs.
///
/// # Errors
/// Whatever ends the process with a code other than 0.
pub(super) fn run(command: &Command, loaded: &Loaded<Fluxd>) -> Result<(), Report> {
    let params = Arc::new(node::params(&loaded.common.network, &loaded.config)?);
    if let Command::Keys { account, count, secrets } = command {
        return keys::derive(&params, *account, usize::from(*count), *secrets);
    }
    let data = loaded.open_data()?;
    let options = node::options(&loaded.config, node::entropy()?);
    let place = data.root().display().to_string();
    let failed = |err: ChainError| chain_report(&err).at(place.clone());
    let now = i64::try_from(loaded.clock.wall().as_secs()).unwrap_or_default();
    if let Command::Reindex = command {
        let chain =
            ChainState::reindex(data.root(), params, options, now, node::reindexing).map_err(failed)?;
        cli::print(&format!("reindexed: height {}, tip {}\n", chain.tip().height, chain.tip().hash))?;
        drop(chain);
        return data.close();
    }
    if let Command::Snapshot(Snapshot::Restore { file, checksum }) = command {
        let expected = checksum
            .as_deref()
            .map(hex::decode_array::<32>)
            .transpose()
            .map_err(|_| Report::new(exit::BAD_USAGE, "the checksum is not of 64 hexadecimal digits"))?;
        let mut input = BufReader::new(File::open(file).map_err(|err| file_report(file, &err))?);
        let chain = ChainState::import_snapshot(data.root(), params, options, &mut input, expected)
            .map_err(failed)?;
        cli::print(&format!("restored: height {}, tip {}\n", chain.tip().height, chain.tip().hash))?;
        drop(chain);
        return data.close();
    }
    let mut chain = ChainState::open(data.root(), params, options).map_err(failed)?;
    match command {
        Command::Verifychain { depth, level } => {
            let verified = chain.verify_chain(*level, *depth).map_err(failed)?;
            if !verified.is_clean() {
                return Err(Report::new(CHAIN_DAMAGED, CHAIN_DAMAGED.title).at(verified.problems.join("; ")));
            }
            cli::print(&format!(
                "verified: {} blocks below height {}\n",
                verified.blocks,
                chain.tip().height
            ))?;
        }
        Command::RebuildIndex { name } => {
            let kept = chain.options().indexes.clone();
            let kind = kept.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
                Report::new(exit::BAD_USAGE, format!("no index `{name}` is kept"))
                    .advice("switch it on, as with --index-tx")
            })?;
            chain.rebuild_index(kind).map_err(failed)?;
            while chain.catch_up(1000).map_err(failed)? {}
            cli::print(&format!("rebuilt: {name}\n"))?;
        }
        Command::Snapshot(Snapshot::Create { file }) => {
            let mut out = BufWriter::new(File::create_new(file).map_err(|err| file_report(file, &err))?);
            let summary = chain.export_snapshot(&mut out).map_err(failed)?;
            out.flush().and_then(|()| out.get_ref().sync_all()).map_err(|err| file_report(file, &err))?;
            let (tip, sum) = (chain.tip(), hex::encode(summary.checksum));
            cli::print(&format!("height: {}\ntip: {}\nchecksum: {sum}\n", tip.height, tip.hash))?;
        }
        Command::Digests => digests(&chain)?,
        Command::Notes => keys::notes(&chain)?,
        Command::Keys { .. } | Command::Reindex | Command::Snapshot(Snapshot::Restore { .. }) => {}
    }
    drop(chain);
    data.close()
}

fn file_report(file: &Path, err: &std::io::Error) -> Report {
    Report::new(exit::CONFIG_FILE, "the file cannot be read or written")
        .at(file.display().to_string())
        .because(err)
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
