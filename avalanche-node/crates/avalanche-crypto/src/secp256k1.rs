//! Recoverable secp256k1 signatures (`r || s || v`, `v` 0..=3) and the text form of private keys.
//! Mirrors `utils/crypto/secp256k1`.

use std::{fmt, str::FromStr};

use avalanche_ids::{ShortId, cb58};
use secp256k1::{
    Message, SecretKey,
    ecdsa::{RecoverableSignature, RecoveryId},
};

/// Bytes of a signature.
pub const SIGNATURE_LEN: usize = 65;
/// What the text form of a private key starts with.
pub const PRIVATE_KEY_PREFIX: &str = "PrivateKey-";

/// Half of the group order, rounded down, big-endian: the largest `s` of an unmutated signature.
const HALF_ORDER: [u8; 32] = [
    0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x5d,
    0x57, 0x6e, 0x73, 0x57, 0xa4, 0x50, 0x1d, 0xdf, 0xe9, 0x2f, 0x46, 0x68, 0x1b, 0x20, 0xa0,
];

/// A signature as it lies in credentials.
pub type Signature = [u8; SIGNATURE_LEN];

/// Why a signature names no signer, or bytes are no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecpError {
    /// `s` is above half of the group order (`errMutatedSig`).
    #[error("signature was mutated from its original format")]
    HighS,
    /// The recovery byte is above 3.
    #[error("recovery id {0} is above 3")]
    RecoveryId(u8),
    /// No public key produces this signature (`ErrInvalidSig`).
    #[error("invalid signature")]
    Invalid,
    /// Not a private key: zero, not below the group order, wrong length or text.
    #[error("invalid private key")]
    PrivateKey,
}

/// A public key that signed something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey(secp256k1::PublicKey);

impl PublicKey {
    /// The 33-byte compressed form.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 33] {
        self.0.serialize()
    }

    /// The owner id of this key.
    #[must_use]
    pub fn address(&self) -> ShortId {
        ShortId(crate::short_hash(&self.to_bytes()))
    }
}

/// The key that signed `hash`.
///
/// # Errors
/// The signature is high-s, has a recovery id above 3, or fits no key.
pub fn recover(hash: &[u8; 32], signature: &Signature) -> Result<PublicKey, SecpError> {
    let (compact, [recovery]) = signature
        .split_first_chunk::<64>()
        .and_then(|(compact, rest)| rest.first_chunk::<1>().map(|byte| (compact, *byte)))
        .ok_or(SecpError::Invalid)?;
    if compact.last_chunk::<32>().is_none_or(|s| *s > HALF_ORDER) {
        return Err(SecpError::HighS);
    }
    let id = RecoveryId::try_from(i32::from(recovery)).map_err(|_| SecpError::RecoveryId(recovery))?;
    RecoverableSignature::from_compact(compact, id)
        .and_then(|signature| signature.recover(Message::from_digest(*hash)))
        .map(PublicKey)
        .map_err(|_| SecpError::Invalid)
}

/// A private key. Its `Debug` shows nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PrivateKey(SecretKey);

impl PrivateKey {
    /// Takes 32 bytes as a key.
    ///
    /// # Errors
    /// They are zero or not below the group order.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, SecpError> {
        SecretKey::from_secret_bytes(bytes).map(Self).map_err(|_| SecpError::PrivateKey)
    }

    /// The public key.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        PublicKey(secp256k1::PublicKey::from_secret_key(&self.0))
    }

    /// Signs a hash deterministically (RFC 6979), low-s.
    #[must_use]
    pub fn sign(&self, hash: &[u8; 32]) -> Signature {
        let signed = RecoverableSignature::sign_ecdsa_recoverable(Message::from_digest(*hash), &self.0);
        let (id, compact) = signed.serialize_compact();
        let mut signature = [0; SIGNATURE_LEN];
        for (to, from) in signature.iter_mut().zip(compact.into_iter().chain([id.to_u8()])) {
            *to = from;
        }
        signature
    }

    /// The text form, which is secret.
    #[must_use]
    pub fn to_secret_text(&self) -> String {
        format!("{PRIVATE_KEY_PREFIX}{}", cb58::encode(&self.0.to_secret_bytes()))
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(..)")
    }
}

impl FromStr for PrivateKey {
    type Err = SecpError;

    fn from_str(text: &str) -> Result<Self, SecpError> {
        let encoded = text.strip_prefix(PRIVATE_KEY_PREFIX).ok_or(SecpError::PrivateKey)?;
        let bytes = cb58::decode(encoded).map_err(|_| SecpError::PrivateKey)?;
        Self::from_bytes(bytes.try_into().map_err(|_| SecpError::PrivateKey)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EWOQ: &str = "PrivateKey-ewoqjP7PxY4yr3iLTpLisriqt94hdyDFNgchSxGGztUrTXtNN";

    #[test]
    fn the_public_test_key_owns_its_known_address() {
        let key: PrivateKey = EWOQ.parse().unwrap();
        assert_eq!(key.to_secret_text(), EWOQ);
        assert_eq!(
            crate::address::format("X", "local", &key.public_key().address()),
            "X-local18jma8ppw3nhx5r4ap8clazz0dps7rv5u00z96u"
        );
    }

    #[test]
    fn signatures_recover_and_mutations_do_not() {
        let key: PrivateKey = EWOQ.parse().unwrap();
        let hash = crate::sha256(b"message");
        let signature = key.sign(&hash);
        assert_eq!(recover(&hash, &signature), Ok(key.public_key()));
        let mut high = signature;
        high[32] = 0x80;
        assert_eq!(recover(&hash, &high), Err(SecpError::HighS));
        let mut id = signature;
        id[64] = 4;
        assert_eq!(recover(&hash, &id), Err(SecpError::RecoveryId(4)));
        assert_eq!(recover(&hash, &[0; 65]), Err(SecpError::Invalid));
    }
}
