//! `wallet`: makes NEP-6 wallets from words (BIP-39), adds accounts of words to them, and lists them. Secrets come from files and never from
//! the command line; the daemon need not be stopped.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use clap::Subcommand;
use neo_wallet::{ExtendedKey, FIRST_ACCOUNT, KeyPath, Language, Mnemonic, Wallet};
use rand::TryRng as _;
use serde_json::json;
use shared_vendor::{
    app::Loaded,
    cli, datadir,
    exit::{self, Report},
};
use zeroize::Zeroizing;

use super::NeoNode;

/// Address version of a private network that is not described, and of the public ones.
const ADDRESS_VERSION: u8 = 0x35;

/// What to do with wallets.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a wallet with one account from fresh random words, and print the words: whoever has them has the account
    Create {
        /// The wallet to make
        file: PathBuf,
        /// File with the password that encrypts the key
        #[arg(long)]
        password_file: PathBuf,
        /// How many words: 12, 15, 18, 21 or 24
        #[arg(long, default_value_t = 24)]
        words: usize,
        /// Language of the words: en, cs, es, fr, it, ja, ko, pt, zh or zh-Hant
        #[arg(long, default_value_t = Language::ENGLISH)]
        language: Language,
    },
    /// Add accounts of words to a wallet, or to a new one
    Import {
        /// The wallet; made if it is not there
        file: PathBuf,
        /// File with the words of BIP-39, in any of its languages
        #[arg(long)]
        words_file: PathBuf,
        /// File with the passphrase that belongs to the words, if they have one
        #[arg(long)]
        passphrase_file: Option<PathBuf>,
        /// File with the password that encrypts the keys
        #[arg(long)]
        password_file: PathBuf,
        /// Path of the first key (BIP-32)
        #[arg(long, default_value = FIRST_ACCOUNT)]
        path: KeyPath,
        /// How many accounts, one index after the other
        #[arg(long, default_value_t = 1)]
        count: u32,
    },
    /// Addresses of a wallet, one JSON document a line
    List {
        /// The wallet
        file: PathBuf,
    },
}

/// Carries the verb out.
///
/// # Errors
/// A file cannot be read or written, or holds something else.
pub(super) fn run(command: &Command, loaded: &Loaded<NeoNode>) -> Result<(), Report> {
    let version =
        loaded.config.protocol(&loaded.common.network).map_or(ADDRESS_VERSION, |own| own.address_version);
    match command {
        Command::Create { file, password_file, words, language } => {
            let bytes = words.checked_mul(4).map(|bits| bits / 3).unwrap_or_default();
            let mut entropy = Zeroizing::new(vec![0; bytes.min(64)]);
            rand::rngs::SysRng.try_fill_bytes(&mut entropy).map_err(|err| {
                Report::new(exit::UNEXPECTED, "the system gives no random bytes").because(&err)
            })?;
            let mnemonic = Mnemonic::from_entropy(&entropy, *language)
                .map_err(|err| Report::new(exit::BAD_USAGE, err.to_string()))?;
            let path = FIRST_ACCOUNT.parse().map_err(|err| refused(file, &err))?;
            let mut wallet = Wallet::new();
            add(&mut wallet, &mnemonic, "", &path, 1, &secret(password_file)?, version)
                .map_err(|err| refused(file, &*err))?;
            store(file, &wallet, false)?;
            cli::print(&format!("{}\n", mnemonic.words().as_str()))?;
            list(&wallet)
        }
        Command::Import { file, words_file, passphrase_file, password_file, path, count } => {
            let mnemonic =
                Mnemonic::parse(secret(words_file)?.trim()).map_err(|err| refused(words_file, &err))?;
            let passphrase = passphrase_file.as_deref().map(secret).transpose()?.unwrap_or_default();
            let is_there = file.exists();
            let mut wallet = if is_there { open(file, version)? } else { Wallet::new() };
            add(&mut wallet, &mnemonic, &passphrase, path, *count, &secret(password_file)?, version)
                .map_err(|err| refused(file, &*err))?;
            store(file, &wallet, is_there)?;
            list(&wallet)
        }
        Command::List { file } => list(&open(file, version)?),
    }
}

/// Adds the keys of words that the wallet does not have yet.
fn add(
    wallet: &mut Wallet,
    words: &Mnemonic,
    passphrase: &str,
    path: &KeyPath,
    count: u32,
    password: &str,
    version: u8,
) -> Result<(), Box<dyn std::error::Error>> {
    let seed = words.seed(passphrase);
    for number in 0..count {
        let path = if number == 0 { path.clone() } else { path.next(number)? };
        let key = ExtendedKey::from_seed(seed.as_slice())?.at(&path)?.into_key();
        wallet.add_new(&key, password.as_bytes(), version)?;
    }
    Ok(())
}

fn list(wallet: &Wallet) -> Result<(), Report> {
    for account in &wallet.accounts {
        let shown = json!({
            "address": account.address,
            "label": account.label,
            "default": account.is_default,
            "key": account.key.is_some(),
        });
        cli::print(&format!("{shown}\n"))?;
    }
    Ok(())
}

/// The first line of a file.
fn secret(path: &Path) -> Result<Zeroizing<String>, Report> {
    let text = Zeroizing::new(fs::read_to_string(path).map_err(|err| unreadable(path, &err))?);
    Ok(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()))
}

fn open(path: &Path, version: u8) -> Result<Wallet, Report> {
    let text = fs::read_to_string(path).map_err(|err| unreadable(path, &err))?;
    Wallet::parse(&text, version).map_err(|err| refused(path, &err))
}

/// Writes a new wallet, or puts one in the place of another; never half of it.
fn store(path: &Path, wallet: &Wallet, replaces: bool) -> Result<(), Report> {
    let failed = |err: &std::io::Error| datadir::io_error("cannot write", path, err);
    let text = wallet.to_json().map_err(|err| refused(path, &err))?;
    let target = if replaces { path.with_extension("new") } else { path.to_path_buf() };
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&target)
        .map_err(|err| failed(&err))?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(|err| failed(&err))?;
    if replaces {
        fs::rename(&target, path).map_err(|err| failed(&err))?;
    }
    Ok(())
}

fn unreadable(path: &Path, err: &std::io::Error) -> Report {
    Report::new(exit::NO_INPUT, "the file cannot be read").at(path.display().to_string()).because(err)
}

fn refused(path: &Path, err: &(dyn std::error::Error + 'static)) -> Report {
    Report::new(exit::BAD_VALUE, "the wallet, words or path are refused")
        .at(path.display().to_string())
        .because(err)
}
