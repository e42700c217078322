//! Keys of validators on disk: encrypted key files in `keys/validators`, and the record of what they signed beside them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use crate::{
    crypto::{
        bls::{BlsError, SecretKey},
        keystore::{Freshness, Keystore, KeystoreError},
    },
    slashing_protection::{
        database::{Database, DatabaseError},
        rules::Rule,
    },
    types::primitives::{PublicKey, Root},
};

/// Folder of the key files, in the data directory of a network.
pub const FOLDER: &str = "keys/validators";
/// The record of signed messages.
pub const RECORD: &str = "keys/signing.db";

/// Why keys cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A key file is refused.
    #[error("{path}")]
    Keystore {
        /// The file.
        path: PathBuf,
        /// Why.
        source: KeystoreError,
    },
    /// What a key file holds is no key.
    #[error("{path} holds no validator key")]
    NotAKey {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Option<BlsError>,
    },
    /// The record of signed messages cannot be used.
    #[error("{path}")]
    Record {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<DatabaseError>,
    },
    /// A key of that name is there already.
    #[error("the key {0} is there already")]
    Exists(PublicKey),
}

fn io(path: &Path) -> impl Fn(std::io::Error) -> KeysError + '_ {
    |source| KeysError::Io { path: path.to_path_buf(), source }
}

/// The password in a file: its first line.
///
/// # Errors
/// The file cannot be read.
pub fn password(path: &Path) -> Result<Zeroizing<String>, KeysError> {
    let text = Zeroizing::new(fs::read_to_string(path).map_err(io(path))?);
    Ok(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()))
}

/// The key files of a folder, sorted by name.
///
/// # Errors
/// The folder cannot be read.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>, KeysError> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(io(folder))? {
        let path = entry.map_err(io(folder))?.path();
        if path.extension().is_some_and(|ext| ext == "json") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Opens the record of signed messages, which only this user may read.
///
/// # Errors
/// The file cannot be made or opened, or is of another chain.
pub fn open_record(path: &Path, genesis_validators_root: Root) -> Result<Database, KeysError> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = fs::OpenOptions::new();
    // the engine would make it readable for others, and gives its side files the permissions of this one
    options.append(true).create(true).mode(0o600).open(path).map_err(io(path))?;
    Database::open(path, Rule::Complete, genesis_validators_root)
        .map_err(|source| KeysError::Record { path: path.to_path_buf(), source: Box::new(source) })
}

/// Reads a key file.
///
/// # Errors
/// It cannot be read, or is none.
pub fn read(path: &Path) -> Result<Keystore, KeysError> {
    let text = fs::read_to_string(path).map_err(io(path))?;
    Keystore::parse(&text).map_err(|source| KeysError::Keystore { path: path.to_path_buf(), source })
}

/// Opens a key file.
///
/// # Errors
/// Wrong password, or what it holds is no validator key.
pub fn open(path: &Path, password: &str) -> Result<SecretKey, KeysError> {
    let secret = read(path)?
        .decrypt(password)
        .map_err(|source| KeysError::Keystore { path: path.to_path_buf(), source })?;
    let not_a_key = |source| KeysError::NotAKey { path: path.to_path_buf(), source };
    let bytes: Zeroizing<[u8; 32]> =
        Zeroizing::new(secret.as_slice().try_into().map_err(|_| not_a_key(None))?);
    SecretKey::from_bytes(&bytes).map_err(|source| not_a_key(Some(source)))
}

/// Writes a key into an encrypted file of its own, which must not be there yet. Gives the file.
///
/// # Errors
/// The file is there or cannot be written, or the password is not usable.
pub fn store(
    folder: &Path,
    key: &SecretKey,
    derivation: &str,
    password: &str,
    fresh: &Freshness,
) -> Result<PathBuf, KeysError> {
    use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};
    let public = key.public_key();
    let path = folder.join(format!("{}.json", shared_vendor::hex::encode(public.0)));
    let secret = Zeroizing::new(key.to_bytes());
    let file = Keystore::encrypt(secret.as_slice(), &public.0, derivation, password, fresh)
        .map_err(|source| KeysError::Keystore { path: path.clone(), source })?;
    let text = serde_json::to_string_pretty(&file)
        .map_err(|source| KeysError::Io { path: path.clone(), source: source.into() })?;
    fs::create_dir_all(folder).map_err(io(folder))?;
    let mut options = fs::OpenOptions::new();
    let mut out = match options.write(true).create_new(true).mode(0o600).open(&path) {
        Err(err) if err.kind() == std::io::ErrorKind::AlreadyExists => return Err(KeysError::Exists(public)),
        other => other.map_err(io(&path))?,
    };
    out.write_all(text.as_bytes()).map_err(io(&path))?;
    out.sync_all().map_err(io(&path))?;
    fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(io(folder))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::derive::interop_key;

    #[test]
    fn the_record_is_nobody_elses_to_read() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("signing.db");
        let _record = open_record(&path, Root::ZERO).unwrap();
        for entry in fs::read_dir(folder.path()).unwrap() {
            let entry = entry.unwrap();
            let mode = entry.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{:?}", entry.path());
        }
    }

    #[test]
    fn a_key_is_stored_once_and_opens_with_its_password() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("validators");
        let fresh = Freshness { salt: [1; 32], iv: [2; 16], uuid: [3; 16] };
        let key = interop_key(1).unwrap();
        let path = store(&folder, &key, "m/12381/3600/0/0/0", "secret", &fresh).unwrap();
        assert_eq!(files(&folder).unwrap(), std::slice::from_ref(&path));
        assert_eq!(open(&path, "secret").unwrap().public_key(), key.public_key());
        assert!(matches!(open(&path, "other"), Err(KeysError::Keystore { .. })));
        assert!(matches!(store(&folder, &key, "", "secret", &fresh), Err(KeysError::Exists(_))));
    }
}
