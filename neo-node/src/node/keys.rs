//! Private keys from the wallets of the configuration.

use std::path::Path;

use neo_crypto::secp256r1::PrivateKey;
use neo_wallet::Wallet;
use shared_vendor::{
    exit::{self, Report},
    log::Secret,
};

use crate::config::Config;

/// The keys of the wallet for consensus; `None` when the node takes no part in it.
///
/// # Errors
/// The wallet cannot be read or unlocked.
pub(super) fn of_consensus(config: &Config, address_version: u8) -> Result<Option<Vec<PrivateKey>>, Report> {
    let Some(path) = &config.wallet else { return Ok(None) };
    unlocked(path, config.password.as_ref(), "consensus", address_version).map(Some)
}

/// The keys that may sign state roots: of a wallet of their own, or of that for consensus when the configuration says so.
///
/// # Errors
/// The wallet cannot be read or unlocked.
pub(super) fn of_state(
    config: &Config,
    consensus: Option<&Vec<PrivateKey>>,
    address_version: u8,
) -> Result<Vec<PrivateKey>, Report> {
    match &config.state_wallet {
        Some(path) => unlocked(path, config.state_password.as_ref(), "state", address_version),
        None if config.state_auto_verify => Ok(consensus.cloned().unwrap_or_default()),
        None => Ok(Vec::new()),
    }
}

/// All keys of a wallet. `section` names the settings.
fn unlocked(
    path: &Path,
    password: Option<&Secret<String>>,
    section: &str,
    address_version: u8,
) -> Result<Vec<PrivateKey>, Report> {
    let password = password.ok_or_else(|| {
        let told = format!("{section}.wallet is set, and {section}.password is not");
        let name = format!("NEO_NODE_{}_PASSWORD_FILE", section.to_uppercase());
        Report::new(exit::BAD_VALUE, told).advice(format!("set {name} to a file that holds the password"))
    })?;
    let wallet = open_wallet(path, address_version)?;
    let mut keys: Vec<PrivateKey> = Vec::new();
    for account in wallet.accounts.iter().filter(|account| account.key.is_some()) {
        let key = wallet.unlock(account, password.expose().as_bytes(), address_version).map_err(|err| {
            Report::new(exit::BAD_VALUE, "the wallet cannot be unlocked")
                .at(path.display().to_string())
                .because(&err)
        })?;
        if !keys.iter().any(|known| known.public_key() == key.public_key()) {
            keys.push(key);
        }
    }
    Ok(keys)
}

fn open_wallet(path: &Path, address_version: u8) -> Result<Wallet, Report> {
    let text = std::fs::read_to_string(path).map_err(|err| {
        Report::new(exit::NO_INPUT, "the wallet cannot be read").at(path.display().to_string()).because(&err)
    })?;
    Wallet::parse(&text, address_version).map_err(|err| {
        Report::new(exit::BAD_VALUE, "the file is no NEP-6 wallet")
            .at(path.display().to_string())
            .because(&err)
    })
}
