//! `keys`: encrypted key files of validators (EIP-2335) and the record of what they signed (EIP-3076), while the node
//! is stopped.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use rand::TryRng as _;
use shared_vendor::{
    app::Loaded,
    cli,
    datadir::{self, DataDir},
    exit::{self, Report},
};
use zeroize::Zeroizing;

use super::{PosNode, genesis, refused};
use crate::{
    crypto::{derive::validator_key, keystore::Freshness},
    node::{
        keys::{self, FOLDER, RECORD},
        run::KEYS_FAILED,
    },
    slashing_protection::{database::Database, interchange::Interchange},
};

/// What can be done with keys.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make new keys from fresh random seeds
    Create {
        /// How many
        #[arg(long, default_value_t = 1)]
        count: u32,
        /// File with the password that encrypts them
        #[arg(long)]
        password_file: PathBuf,
    },
    /// Take over a key file
    Import {
        /// The key file
        file: PathBuf,
        /// File with its password, which it keeps
        #[arg(long)]
        password_file: PathBuf,
    },
    /// Public keys of all key files
    List,
    /// Write what was signed into an interchange file
    ExportRecord {
        /// The file to write
        file: PathBuf,
    },
    /// Add what an interchange file says was signed
    ImportRecord {
        /// The file to read
        file: PathBuf,
    },
}

pub(super) fn run(command: &Command, loaded: &Loaded<PosNode>) -> Result<(), Report> {
    match command {
        Command::List => list(&loaded.network_dir().join(FOLDER)),
        Command::Create { count, password_file } => {
            let data = loaded.open_data()?;
            let password = keys::password(password_file).map_err(|err| failed(&err))?;
            for _ in 0..*count {
                let seed = Zeroizing::new(random::<32>()?);
                let path = "m/12381/3600/0/0/0";
                let key = validator_key(seed.as_slice(), path).map_err(|err| failed(&err))?;
                keys::store(&data.join(FOLDER), &key, path, &password, &fresh()?)
                    .map_err(|err| failed(&err))?;
                cli::print(&format!("{}\n", key.public_key()))?;
            }
            data.close()
        }
        Command::Import { file, password_file } => {
            let data = loaded.open_data()?;
            let password = keys::password(password_file).map_err(|err| failed(&err))?;
            let derivation = keys::read(file).map_err(|err| failed(&err))?.path;
            let key = keys::open(file, &password).map_err(|err| failed(&err))?;
            keys::store(&data.join(FOLDER), &key, &derivation, &password, &fresh()?)
                .map_err(|err| failed(&err))?;
            cli::print(&format!("{}\n", key.public_key()))?;
            data.close()
        }
        Command::ExportRecord { file } => {
            let (data, mut record) = record(loaded)?;
            let interchange = record.export().map_err(|err| failed(&err))?;
            let text = serde_json::to_string_pretty(&interchange).map_err(|err| failed(&err))?;
            std::fs::write(file, text).map_err(|err| datadir::io_error("cannot write", file, &err))?;
            data.close()
        }
        Command::ImportRecord { file } => {
            let (data, mut record) = record(loaded)?;
            let text = std::fs::read_to_string(file).map_err(|err| {
                Report::new(exit::NO_INPUT, "the interchange file cannot be read")
                    .at(file.display().to_string())
                    .because(&err)
            })?;
            let interchange: Interchange = serde_json::from_str(&text).map_err(|err| failed(&err))?;
            record.import(&interchange).map_err(|err| failed(&err))?;
            cli::print(&format!("{} keys\n", interchange.data.len()))?;
            data.close()
        }
    }
}

fn list(folder: &Path) -> Result<(), Report> {
    for file in keys::files(folder).map_err(|err| failed(&err))? {
        let keystore = keys::read(&file).map_err(|err| failed(&err))?;
        cli::print(&format!("0x{} {}\n", keystore.pubkey, keystore.path))?;
    }
    Ok(())
}

/// The record of the chosen network's chain, with the data directory locked.
fn record(loaded: &Loaded<PosNode>) -> Result<(DataDir, Database), Report> {
    let start = genesis(loaded)?.build().map_err(|err| refused(&err))?;
    let data = loaded.open_data()?;
    let record = keys::open_record(&data.join(RECORD), start.state.genesis_validators_root)
        .map_err(|err| failed(&err))?;
    Ok((data, record))
}

fn failed(err: &(dyn std::error::Error + 'static)) -> Report {
    Report::new(KEYS_FAILED, KEYS_FAILED.title).because(err)
}

fn fresh() -> Result<Freshness, Report> {
    Ok(Freshness { salt: random()?, iv: random()?, uuid: random()? })
}

fn random<const N: usize>() -> Result<[u8; N], Report> {
    let mut bytes = [0; N];
    rand::rngs::SysRng.try_fill_bytes(&mut bytes).map_err(|err| {
        Report::new(exit::UNEXPECTED, "the operating system gives no random numbers").because(&err)
    })?;
    Ok(bytes)
}
