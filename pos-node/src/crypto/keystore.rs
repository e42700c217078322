//! Encrypted key files (EIP-2335 version 4): scrypt or PBKDF2, AES-128-CTR, a SHA-256 checksum. Reading and writing
//! the file is the caller's business, and so are salt, initialisation vector and file id.
//!
//! Passwords are restricted to ASCII: the Unicode normalisation of the standard is not linked, and a password that
//! silently meant other bytes elsewhere would lock a key away.

use aes::Aes128;
use ctr::{
    Ctr128BE,
    cipher::{KeyIvInit, StreamCipher},
};
use serde::{Deserialize, Serialize};
use serde_json::Map;
use sha2::{Digest, Sha256};
use shared_vendor::hex;
use zeroize::Zeroizing;

/// Cost of scrypt in files written here: 2^18 rounds.
const SCRYPT_LOG_N: u8 = 18;
/// Block size of scrypt in files written here.
const SCRYPT_R: u32 = 8;
/// Parallelism of scrypt in files written here.
const SCRYPT_P: u32 = 1;
/// Most memory, in bytes, that a file may make scrypt use.
const SCRYPT_MAX_MEMORY: u64 = 1 << 30;
/// Most rounds that a file may make PBKDF2 do.
const PBKDF2_MAX_ROUNDS: u32 = 1 << 24;
/// Bytes of the derived key.
const KEY_LEN: usize = 32;

/// Why a key file cannot be opened or made.
#[derive(Debug, thiserror::Error)]
pub enum KeystoreError {
    /// The file is not the JSON of a key file.
    #[error("not a key file")]
    Json(#[from] serde_json::Error),
    /// A version other than 4.
    #[error("key file version {0} is not known")]
    Version(u32),
    /// A function that this program does not implement.
    #[error("{0} is not known")]
    Function(String),
    /// A parameter out of its range, or above what this program is willing to spend.
    #[error("parameter {0} is out of range")]
    Parameter(&'static str),
    /// Hexadecimal text is malformed.
    #[error("malformed hexadecimal text")]
    Hex(#[from] hex::HexError),
    /// The password does not fit the checksum.
    #[error("wrong password")]
    Password,
    /// The password has characters other than ASCII, or none that count.
    #[error("passwords must be ASCII and not empty")]
    PasswordText,
}

/// A key file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keystore {
    /// How the secret is encrypted.
    pub crypto: Crypto,
    /// Free text; `ed25519` marks an account key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Public key in hexadecimal without prefix.
    #[serde(default)]
    pub pubkey: String,
    /// Derivation path, or empty.
    pub path: String,
    /// Random id of the file.
    pub uuid: String,
    /// Always 4.
    pub version: u32,
}

/// The three modules of the encryption.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crypto {
    /// Password to key.
    pub kdf: Module,
    /// Key to checksum.
    pub checksum: Module,
    /// Key to secret.
    pub cipher: Module,
}

/// One module: a function, its parameters and its message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Module {
    /// Name of the function.
    pub function: String,
    /// Its parameters.
    pub params: Map<String, serde_json::Value>,
    /// Hexadecimal bytes.
    pub message: String,
}

/// What makes a new file unlike any other; must be fresh random bytes.
#[derive(Debug, Clone, Copy)]
pub struct Freshness {
    /// Salt of the key derivation.
    pub salt: [u8; 32],
    /// Initialisation vector of the cipher.
    pub iv: [u8; 16],
    /// Bytes of the file id.
    pub uuid: [u8; 16],
}

impl Keystore {
    /// Parses the JSON text of a key file.
    ///
    /// # Errors
    /// Not JSON, missing fields, or another version.
    pub fn parse(text: &str) -> Result<Self, KeystoreError> {
        let file: Self = serde_json::from_str(text)?;
        if file.version == 4 { Ok(file) } else { Err(KeystoreError::Version(file.version)) }
    }

    /// Encrypts a secret with scrypt.
    ///
    /// # Errors
    /// The password is empty or not ASCII.
    pub fn encrypt(
        secret: &[u8],
        pubkey: &[u8],
        path: &str,
        password: &str,
        fresh: &Freshness,
    ) -> Result<Self, KeystoreError> {
        let key = scrypt(&password_bytes(password)?, &fresh.salt, SCRYPT_LOG_N, SCRYPT_R, SCRYPT_P)?;
        let mut message = secret.to_vec();
        apply_cipher(&key, &fresh.iv, &mut message);
        let kdf = serde_json::json!({
            "dklen": KEY_LEN, "n": 1u64 << SCRYPT_LOG_N, "p": SCRYPT_P, "r": SCRYPT_R, "salt": hex::encode(fresh.salt),
        });
        let module = |function: &str, params: serde_json::Value, message: String| Module {
            function: function.into(),
            params: params.as_object().cloned().unwrap_or_default(),
            message,
        };
        Ok(Self {
            crypto: Crypto {
                kdf: module("scrypt", kdf, String::new()),
                checksum: module("sha256", serde_json::json!({}), hex::encode(checksum(&key, &message))),
                cipher: module(
                    "aes-128-ctr",
                    serde_json::json!({ "iv": hex::encode(fresh.iv) }),
                    hex::encode(&message),
                ),
            },
            description: None,
            pubkey: hex::encode(pubkey),
            path: path.into(),
            uuid: uuid_text(fresh.uuid),
            version: 4,
        })
    }

    /// Decrypts the secret.
    ///
    /// # Errors
    /// Wrong password, unknown functions, or parameters that cost too much.
    pub fn decrypt(&self, password: &str) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
        let key = self.derive(&password_bytes(password)?)?;
        known(&self.crypto.checksum.function, "sha256")?;
        known(&self.crypto.cipher.function, "aes-128-ctr")?;
        let mut message = Zeroizing::new(hex::decode(&self.crypto.cipher.message)?);
        if hex::decode_array(&self.crypto.checksum.message)? != checksum(&key, &message) {
            return Err(KeystoreError::Password);
        }
        let iv = hex::decode_array(text(&self.crypto.cipher.params, "iv")?)?;
        apply_cipher(&key, &iv, &mut message);
        Ok(message)
    }

    fn derive(&self, password: &[u8]) -> Result<Zeroizing<[u8; KEY_LEN]>, KeystoreError> {
        let Module { function, params, .. } = &self.crypto.kdf;
        let salt = hex::decode(text(params, "salt")?)?;
        if number(params, "dklen")? != 32 {
            return Err(KeystoreError::Parameter("dklen"));
        }
        match function.as_str() {
            "scrypt" => {
                let n = number(params, "n")?;
                let (r, p) = (number(params, "r")?, number(params, "p")?);
                let memory = n.checked_mul(128).and_then(|x| x.checked_mul(r)).and_then(|x| x.checked_mul(p));
                if !n.is_power_of_two() || memory.is_none_or(|memory| memory > SCRYPT_MAX_MEMORY) {
                    return Err(KeystoreError::Parameter("n"));
                }
                let log_n = u8::try_from(n.trailing_zeros()).map_err(|_| KeystoreError::Parameter("n"))?;
                let r = u32::try_from(r).map_err(|_| KeystoreError::Parameter("r"))?;
                let p = u32::try_from(p).map_err(|_| KeystoreError::Parameter("p"))?;
                scrypt(password, &salt, log_n, r, p)
            }
            "pbkdf2" => {
                known(text(params, "prf")?, "hmac-sha256")?;
                let rounds = u32::try_from(number(params, "c")?).unwrap_or(u32::MAX);
                if rounds == 0 || rounds > PBKDF2_MAX_ROUNDS {
                    return Err(KeystoreError::Parameter("c"));
                }
                let mut key = Zeroizing::new([0; KEY_LEN]);
                pbkdf2::pbkdf2_hmac::<Sha256>(password, &salt, rounds, &mut *key);
                Ok(key)
            }
            other => Err(KeystoreError::Function(other.into())),
        }
    }
}

fn scrypt(
    password: &[u8],
    salt: &[u8],
    log_n: u8,
    r: u32,
    p: u32,
) -> Result<Zeroizing<[u8; KEY_LEN]>, KeystoreError> {
    let params = scrypt::Params::new(log_n, r, p).map_err(|_| KeystoreError::Parameter("n, r, p"))?;
    let mut key = Zeroizing::new([0; KEY_LEN]);
    scrypt::scrypt(password, salt, &params, &mut *key).map_err(|_| KeystoreError::Parameter("dklen"))?;
    Ok(key)
}

/// The password without control characters.
fn password_bytes(password: &str) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
    if !password.is_ascii() {
        return Err(KeystoreError::PasswordText);
    }
    let bytes: Zeroizing<Vec<u8>> =
        Zeroizing::new(password.bytes().filter(|byte| !byte.is_ascii_control()).collect());
    if bytes.is_empty() { Err(KeystoreError::PasswordText) } else { Ok(bytes) }
}

fn checksum(key: &[u8; KEY_LEN], message: &[u8]) -> [u8; 32] {
    let second_half = key.get(16..).unwrap_or_default();
    Sha256::new().chain_update(second_half).chain_update(message).finalize().into()
}

fn apply_cipher(key: &[u8; KEY_LEN], iv: &[u8; 16], message: &mut [u8]) {
    let first_half = key.first_chunk::<16>().expect("a derived key is longer than its half");
    Ctr128BE::<Aes128>::new(first_half.into(), iv.into()).apply_keystream(message);
}

fn known(found: &str, expected: &str) -> Result<(), KeystoreError> {
    if found == expected { Ok(()) } else { Err(KeystoreError::Function(found.into())) }
}

fn text<'a>(
    params: &'a Map<String, serde_json::Value>,
    name: &'static str,
) -> Result<&'a str, KeystoreError> {
    params.get(name).and_then(serde_json::Value::as_str).ok_or(KeystoreError::Parameter(name))
}

fn number(params: &Map<String, serde_json::Value>, name: &'static str) -> Result<u64, KeystoreError> {
    params.get(name).and_then(serde_json::Value::as_u64).ok_or(KeystoreError::Parameter(name))
}

/// The text of a version 4 UUID made of these bytes.
fn uuid_text(bytes: [u8; 16]) -> String {
    let number = u128::from_be_bytes(bytes) & !(0xf << 76 | 0b11 << 62) | 4 << 76 | 0b10 << 62;
    let digits = format!("{number:032x}");
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRESH: Freshness = Freshness { salt: [1; 32], iv: [2; 16], uuid: [0xff; 16] };

    #[test]
    fn what_is_written_opens_with_its_password_only() {
        let file = Keystore::encrypt(&[5; 32], &[6; 48], "m/12381/3600/0/0/0", "pass\x7fword", &FRESH)
            .expect("ASCII password");
        let text = serde_json::to_string(&file).expect("serializable");
        let again = Keystore::parse(&text).expect("its own text");
        assert_eq!(again, file);
        assert_eq!(again.uuid, "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(again.decrypt("password").expect("right password").as_slice(), [5; 32]);
        assert!(matches!(again.decrypt("Password"), Err(KeystoreError::Password)));
        assert!(matches!(again.decrypt("päss"), Err(KeystoreError::PasswordText)));
    }

    #[test]
    fn files_that_cost_too_much_are_refused() {
        let mut file = Keystore::encrypt(&[5; 32], &[], "", "x", &FRESH).expect("ASCII password");
        file.crypto.kdf.params.insert("n".into(), (1u64 << 40).into());
        assert!(matches!(file.decrypt("x"), Err(KeystoreError::Parameter("n"))));
    }
}
