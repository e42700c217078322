//! Wallet import format of a private key: Base58Check of `80 || key || 01`. Mirrors `Wallets/Wallet.cs`.

use zeroize::Zeroizing;

use crate::{base58, secp256r1::PrivateKey};

/// Why a text is not a private key in wallet import format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WifError {
    /// Not Base58Check.
    #[error("not Base58Check text")]
    Text(#[from] base58::Base58Error),
    /// Not `80 || 32 bytes || 01`.
    #[error("not the layout of a compressed private key")]
    Layout,
    /// Zero or not below the order of the curve.
    #[error("the number is not a private key")]
    Key,
}

/// Text of the key.
#[must_use]
pub fn encode(key: &PrivateKey) -> String {
    let mut data = Zeroizing::new([0u8; 34]);
    data[0] = 0x80;
    data[1..33].copy_from_slice(key.to_bytes().as_slice());
    data[33] = 1;
    base58::encode_check(data.as_slice())
}

/// Key of the text.
///
/// # Errors
/// Not Base58Check, another layout, or a number that is not a private key.
pub fn decode(text: &str) -> Result<PrivateKey, WifError> {
    let data = Zeroizing::new(base58::decode_check(text)?);
    match data.as_slice() {
        [0x80, key @ .., 1] => {
            let key = key.try_into().map_err(|_| WifError::Layout)?;
            PrivateKey::from_bytes(key).ok_or(WifError::Key)
        }
        _ => Err(WifError::Layout),
    }
}
