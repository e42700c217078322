//! `genesis`: files that networks start from.

use std::path::PathBuf;

use clap::Subcommand;
use shared_vendor::{
    app::Loaded,
    cli,
    clock::Clock as _,
    datadir,
    exit::{self, Report},
};

use super::{PosNode, read_genesis, refused};
use crate::node::genesis::{Devnet, MAX_DEVNET_ACCOUNTS, MAX_DEVNET_VALIDATORS, devnet};

/// What can be done with genesis files.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make the genesis file of a development network whose validators have the interop keys
    Devnet {
        /// Validators
        #[arg(long, default_value_t = 8)]
        validators: u64,
        /// Length of a slot in milliseconds
        #[arg(long, default_value_t = 2000)]
        slot_ms: u64,
        /// Seconds from now until slot 0
        #[arg(long, default_value_t = 10)]
        start_in: u64,
        /// Number of the chain
        #[arg(long, default_value_t = 7777)]
        chain_id: u64,
        /// Accounts with coins, whose keys everybody knows
        #[arg(long, default_value_t = 16)]
        accounts: u32,
        /// The file to write; its folder is made
        #[arg(long)]
        out: PathBuf,
    },
    /// Check a genesis file and print what identifies its network
    Check {
        /// The file
        file: PathBuf,
    },
}

pub(super) fn run(command: &Command, loaded: &Loaded<PosNode>) -> Result<(), Report> {
    match command {
        Command::Devnet { validators, slot_ms, start_in, chain_id, accounts, out } => {
            if !(1..=MAX_DEVNET_VALIDATORS).contains(validators) {
                return Err(Report::new(
                    exit::BAD_USAGE,
                    format!("--validators: 1 to {MAX_DEVNET_VALIDATORS}"),
                ));
            }
            if *accounts > MAX_DEVNET_ACCOUNTS {
                return Err(Report::new(
                    exit::BAD_USAGE,
                    format!("--accounts: at most {MAX_DEVNET_ACCOUNTS}"),
                ));
            }
            let genesis_time = loaded.clock.wall().as_secs().saturating_add(*start_in);
            let (validators, slot_ms, chain_id) = (*validators, *slot_ms, *chain_id);
            let plan = Devnet { validators, slot_ms, genesis_time, chain_id, accounts: *accounts };
            let text = devnet(plan).map_err(|err| refused(&err))?;
            if let Some(folder) = out.parent() {
                std::fs::create_dir_all(folder)
                    .map_err(|err| datadir::io_error("cannot make the folder", folder, &err))?;
            }
            std::fs::write(out, text).map_err(|err| datadir::io_error("cannot write", out, &err))?;
            cli::print(&format!("{}\n", out.display()))
        }
        Command::Check { file } => {
            let genesis = read_genesis(file)?;
            let start = genesis.build().map_err(|err| refused(&err))?;
            cli::print(&format!(
                "genesis root     {}\nconfig hash      {}\nvalidators root  {}\nvalidators       {}\naccounts         {}\n",
                start.block.root(),
                genesis.config.hash(),
                start.state.genesis_validators_root,
                genesis.validators.len(),
                genesis.accounts.len(),
            ))
        }
    }
}
