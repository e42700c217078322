//! `local-net`: the beginning of a network of one's own, with keys for each of its validators. All coins that nobody
//! stakes belong to the test key that everybody knows.

use std::{
    fs, io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use avalanche_crypto::{
    address, bls,
    staking::{Certificate, self_signed},
};
use clap::Subcommand;
use ring::rand::{SecureRandom as _, SystemRandom};
use serde_json::json;
use shared_vendor::{
    cli,
    clock::{Clock as _, SystemClock},
    exit::{self, Report},
    hex,
};

use crate::{
    config::Network,
    node::{keys::pem, transfers},
};

/// Age of the genesis: what starts now is not ahead of anybody's clock.
const AGE_SECONDS: u64 = 600;
const YEAR_SECONDS: u64 = 365 * 24 * 3600;
const AVAX: u64 = 1_000_000_000;
/// Year in which the certificates end.
const EXPIRES: u16 = 2126;

/// `local-net ...`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a genesis and keys of validators into a new folder
    Create {
        /// Folder: gets genesis.json and a folder 1, 2, ... for each validator
        dir: PathBuf,
        /// Validators
        #[arg(long, default_value_t = 5)]
        nodes: u16,
        /// Number of the network
        #[arg(long, default_value_t = 99_999)]
        id: u32,
    },
    /// Print the id of a validator of such a folder
    Id {
        /// Folder that `create` wrote
        dir: PathBuf,
        /// Which validator, from 1
        number: u16,
    },
}

/// Carries out the verb.
///
/// # Errors
/// A file cannot be written or read, or the network is a public one.
pub(super) fn run(command: &Command) -> Result<(), Report> {
    match command {
        Command::Create { dir, nodes, id } => create(dir, *nodes, *id),
        Command::Id { dir, number } => {
            let path = dir.join(number.to_string()).join("id");
            let id = fs::read_to_string(&path).map_err(|err| file_report(&path, &err))?;
            cli::print(&format!("{}\n", id.trim()))
        }
    }
}

fn create(dir: &Path, nodes: u16, network: u32) -> Result<(), Report> {
    let named = Network::parse(&network.to_string()).filter(|network| network.name == "custom");
    let Some(network) = named else {
        return Err(Report::new(exit::BAD_VALUE, format!("{network} is the number of a known network"))
            .at("--id")
            .advice("take another number, for example 99999"));
    };
    let text = |owner| address::format("X", network.hrp(), &owner);
    let (rich, staking) = (text(transfers::owner()?), text(avalanche_ids::ShortId([1; 20])));
    let mut stakers = Vec::new();
    for number in 1..=nodes {
        stakers.push(validator(&dir.join(number.to_string()), &rich)?);
    }
    let stake = u64::from(nodes) * 2_000_000 * AVAX;
    let nobody = format!("0x{}", hex::encode([0; 20]));
    let genesis = json!({
        "networkID": network.id,
        "allocations": [
            { "ethAddr": nobody, "avaxAddr": staking, "initialAmount": 0, "unlockSchedule": [{ "amount": stake, "locktime": 0 }] },
            { "ethAddr": nobody, "avaxAddr": rich, "initialAmount": 100_000_000 * AVAX,
              "unlockSchedule": [{ "amount": 20_000_000 * AVAX, "locktime": 0 }] },
        ],
        "startTime": SystemClock::default().wall().as_secs().saturating_sub(AGE_SECONDS),
        "initialStakeDuration": YEAR_SECONDS,
        "initialStakeDurationOffset": 0,
        "initialStakedFunds": [staking],
        "initialStakers": stakers,
        "cChainGenesis": "{}",
        "message": "a network of one's own",
    });
    write(&dir.join("genesis.json"), genesis.to_string().as_bytes(), 0o644)
}

/// Makes the keys of one validator; answers its part of the genesis.
fn validator(dir: &Path, rewards: &str) -> Result<serde_json::Value, Report> {
    let random = SystemRandom::new();
    let failed = |err: &(dyn std::error::Error + 'static)| {
        Report::new(exit::UNEXPECTED, "no key can be made").because(err)
    };
    fs::create_dir_all(dir).map_err(|err| file_report(dir, &err))?;
    let (certificate, key) = self_signed(EXPIRES, &random).map_err(|err| failed(&err))?;
    let node = Certificate::parse(&certificate).map_err(|err| failed(&err))?.node_id();
    let mut secret = [0; 32];
    random.fill(&mut secret).map_err(|_| Report::new(exit::UNEXPECTED, "no random numbers"))?;
    if let Some(first) = secret.first_mut() {
        *first = 0; // below the order of the group
    }
    let signer = bls::SecretKey::from_bytes(&secret).map_err(|err| failed(&err))?;
    let public_key = signer.public_key().to_bytes();
    write(&dir.join("staker.crt"), pem("CERTIFICATE", &certificate).as_bytes(), 0o644)?;
    write(&dir.join("staker.key"), pem("PRIVATE KEY", &key).as_bytes(), 0o600)?;
    write(&dir.join("signer.key"), &secret, 0o600)?;
    write(&dir.join("id"), node.to_string().as_bytes(), 0o644)?;
    Ok(json!({
        "nodeID": node.to_string(),
        "rewardAddress": rewards,
        "delegationFee": 20_000,
        "signer": {
            "publicKey": format!("0x{}", hex::encode(public_key)),
            "proofOfPossession": format!("0x{}", hex::encode(signer.sign_possession(&public_key).to_bytes())),
        },
    }))
}

/// Writes a file that is not there yet.
fn write(path: &Path, content: &[u8], mode: u32) -> Result<(), Report> {
    let opened = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let written = opened.and_then(|mut file| io::Write::write_all(&mut file, content));
    written.map_err(|err| file_report(path, &err))
}

fn file_report(path: &Path, err: &io::Error) -> Report {
    Report::new(exit::IO_ERROR, "a file of the local network cannot be used")
        .at(path.display().to_string())
        .because(err)
}
