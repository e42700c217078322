//! NEP-2: a private key encrypted under a password. Mirrors `Wallets/KeyPair.cs` (`Export`) and `Wallets/Wallet.cs`.
//!
//! The salt is the start of Hash256 of the *address text*, so the caller supplies a function from public key to
//! address. The password is taken as given: NEP-2 asks for NFC, the C# node does not normalise; a caller that
//! imports keys tries both forms.

use aes::{
    Aes256,
    cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit},
};
use zeroize::Zeroizing;

use crate::{
    base58,
    hash::hash256,
    secp256r1::{PrivateKey, PublicKey},
};

/// Cost parameters of scrypt as NEP-6 files name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScryptParams {
    /// Cost, a power of two above 1.
    pub n: u32,
    /// Block size.
    pub r: u32,
    /// Parallelism.
    pub p: u32,
}

impl Default for ScryptParams {
    /// The parameters of NEP-2: 16384, 8, 8.
    fn default() -> Self {
        Self { n: 16384, r: 8, p: 8 }
    }
}

/// Memory that the parameters of a wallet may ask for, in bytes.
const MAX_MEMORY: u64 = 1 << 30;

/// Why a NEP-2 text gives no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Nep2Error {
    /// Not Base58Check.
    #[error("not Base58Check text")]
    Text(#[from] base58::Base58Error),
    /// Not `01 42 e0` and 36 bytes.
    #[error("not the layout of NEP-2")]
    Layout,
    /// `n` is not a power of two above 1, or the three numbers are out of the range of scrypt.
    #[error("scrypt parameters out of range")]
    Scrypt,
    /// The decrypted key does not belong to the address in the text.
    #[error("wrong password")]
    Password,
}

/// Encrypts the key under the bytes of a password.
///
/// # Errors
/// The scrypt parameters are out of range.
pub fn encrypt(
    key: &PrivateKey,
    password: &[u8],
    params: ScryptParams,
    address: impl Fn(&PublicKey) -> String,
) -> Result<String, Nep2Error> {
    let salt = salt(&address(&key.public_key()));
    let (mask, cipher) = derive(password, &salt, params)?;
    let mut data = vec![0x01, 0x42, 0xe0];
    data.extend_from_slice(&salt);
    let mut blocks = *key.to_bytes();
    xor(&mut blocks, &mask);
    for block in blocks.chunks_exact_mut(16) {
        cipher.encrypt_block(as_block(block));
    }
    data.extend_from_slice(&blocks);
    Ok(base58::encode_check(&data))
}

/// Decrypts the text with the bytes of a password.
///
/// # Errors
/// Not NEP-2, parameters out of range, or a password that gives another address.
pub fn decrypt(
    text: &str,
    password: &[u8],
    params: ScryptParams,
    address: impl Fn(&PublicKey) -> String,
) -> Result<PrivateKey, Nep2Error> {
    let data = base58::decode_check(text)?;
    let [0x01, 0x42, 0xe0, rest @ ..] = data.as_slice() else { return Err(Nep2Error::Layout) };
    let (expected_salt, encrypted) = rest.split_first_chunk::<4>().ok_or(Nep2Error::Layout)?;
    let encrypted: [u8; 32] = encrypted.try_into().map_err(|_| Nep2Error::Layout)?;
    let (mask, cipher) = derive(password, expected_salt, params)?;
    let mut blocks = Zeroizing::new(encrypted);
    for block in blocks.chunks_exact_mut(16) {
        cipher.decrypt_block(as_block(block));
    }
    xor(&mut blocks, &mask);
    let key = PrivateKey::from_bytes(&blocks).ok_or(Nep2Error::Password)?;
    if salt(&address(&key.public_key())) != *expected_salt {
        return Err(Nep2Error::Password);
    }
    Ok(key)
}

fn salt(address: &str) -> [u8; 4] {
    let [a, b, c, d, ..] = hash256(address.as_bytes());
    [a, b, c, d]
}

/// The first half of the derived bytes masks the key, the second keys the cipher.
fn derive(
    password: &[u8],
    salt: &[u8],
    params: ScryptParams,
) -> Result<(Zeroizing<[u8; 32]>, Aes256), Nep2Error> {
    let memory = u64::from(params.n).saturating_mul(params.r.into()).saturating_mul(128);
    if !params.n.is_power_of_two() || params.n < 2 || memory > MAX_MEMORY {
        return Err(Nep2Error::Scrypt);
    }
    let log_n = u8::try_from(params.n.trailing_zeros()).map_err(|_| Nep2Error::Scrypt)?;
    let scrypt_params = scrypt::Params::new(log_n, params.r, params.p).map_err(|_| Nep2Error::Scrypt)?;
    let mut derived = Zeroizing::new([0u8; 64]);
    scrypt::scrypt(password, salt, &scrypt_params, derived.as_mut_slice()).map_err(|_| Nep2Error::Scrypt)?;
    let mut mask = Zeroizing::new([0u8; 32]);
    mask.copy_from_slice(&derived[..32]);
    let cipher = Aes256::new_from_slice(&derived[32..]).map_err(|_| Nep2Error::Scrypt)?;
    Ok((mask, cipher))
}

fn xor(data: &mut [u8; 32], mask: &[u8; 32]) {
    for (byte, mask) in data.iter_mut().zip(mask) {
        *byte ^= mask;
    }
}

fn as_block(bytes: &mut [u8]) -> &mut Array<u8, aes::cipher::consts::U16> {
    bytes.try_into().expect("chunks_exact_mut(16) gives 16 bytes")
}
