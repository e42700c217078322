//! BLS12-381 with 48-byte public keys and 96-byte signatures. Two ciphersuites: one for messages, one for proofs of
//! possession and signed IP addresses. Mirrors `utils/crypto/bls`.

use std::{fmt, hash};

use blst::{
    BLST_ERROR,
    min_pk::{self, AggregatePublicKey, AggregateSignature},
};

/// Bytes of a compressed public key.
pub const PUBLIC_KEY_LEN: usize = 48;
/// Bytes of a compressed signature.
pub const SIGNATURE_LEN: usize = 96;
/// Bytes of an uncompressed public key, the order of the canonical validator set.
pub const UNCOMPRESSED_KEY_LEN: usize = 96;

const SIGNATURE_SUITE: &[u8] = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";
const POSSESSION_SUITE: &[u8] = b"BLS_POP_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";

/// Why bytes are no key or signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BlsError {
    /// Not a point of the right subgroup, or the identity.
    #[error("invalid public key")]
    PublicKey,
    /// Not a point of the right subgroup.
    #[error("invalid signature")]
    Signature,
    /// Zero or not below the group order.
    #[error("invalid secret key")]
    SecretKey,
    /// Nothing to aggregate.
    #[error("nothing to aggregate")]
    Empty,
}

/// A validated public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(min_pk::PublicKey);

impl hash::Hash for PublicKey {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.to_bytes().hash(state);
    }
}

/// A validated signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature(min_pk::Signature);

/// A secret key. Its `Debug` shows nothing.
#[derive(Clone)]
pub struct SecretKey(min_pk::SecretKey);

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

impl SecretKey {
    /// Takes 32 big-endian bytes as a key.
    ///
    /// # Errors
    /// They are zero or not below the group order.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, BlsError> {
        min_pk::SecretKey::from_bytes(bytes).map(Self).map_err(|_| BlsError::SecretKey)
    }

    /// The public key.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        PublicKey(self.0.sk_to_pk())
    }

    /// Signs a message.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.0.sign(message, SIGNATURE_SUITE, &[]))
    }

    /// Signs under the proof-of-possession ciphersuite: the own compressed public key, or a signed IP.
    #[must_use]
    pub fn sign_possession(&self, message: &[u8]) -> Signature {
        Signature(self.0.sign(message, POSSESSION_SUITE, &[]))
    }
}

impl PublicKey {
    /// Decompresses and validates a key.
    ///
    /// # Errors
    /// Not a point of the subgroup, or the identity.
    pub fn from_bytes(bytes: &[u8; PUBLIC_KEY_LEN]) -> Result<Self, BlsError> {
        // `key_validate` would also accept the 96-byte form.
        let key = min_pk::PublicKey::uncompress(bytes).map_err(|_| BlsError::PublicKey)?;
        key.validate().map_err(|_| BlsError::PublicKey)?;
        Ok(Self(key))
    }

    /// The compressed form.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; PUBLIC_KEY_LEN] {
        self.0.compress()
    }

    /// The uncompressed form.
    #[must_use]
    pub fn to_uncompressed(&self) -> [u8; UNCOMPRESSED_KEY_LEN] {
        self.0.serialize()
    }

    /// Reads and validates the uncompressed form.
    ///
    /// # Errors
    /// Not a point of the subgroup, or the identity.
    pub fn from_uncompressed(bytes: &[u8; UNCOMPRESSED_KEY_LEN]) -> Result<Self, BlsError> {
        let key = min_pk::PublicKey::deserialize(bytes).map_err(|_| BlsError::PublicKey)?;
        key.validate().map_err(|_| BlsError::PublicKey)?;
        Ok(Self(key))
    }

    /// The sum of keys.
    ///
    /// # Errors
    /// There is none.
    pub fn aggregate<'a>(keys: impl IntoIterator<Item = &'a Self>) -> Result<Self, BlsError> {
        let mut keys = keys.into_iter();
        let mut sum = AggregatePublicKey::from_public_key(&keys.next().ok_or(BlsError::Empty)?.0);
        for key in keys {
            sum.add_public_key(&key.0, false).map_err(|_| BlsError::PublicKey)?;
        }
        Ok(Self(sum.to_public_key()))
    }

    /// True when this key signed the message.
    #[must_use]
    pub fn verify(&self, signature: &Signature, message: &[u8]) -> bool {
        self.verify_suite(signature, message, SIGNATURE_SUITE)
    }

    /// True when this key signed the message under the proof-of-possession ciphersuite.
    #[must_use]
    pub fn verify_possession(&self, signature: &Signature, message: &[u8]) -> bool {
        self.verify_suite(signature, message, POSSESSION_SUITE)
    }

    fn verify_suite(&self, signature: &Signature, message: &[u8], suite: &[u8]) -> bool {
        signature.0.verify(false, message, suite, &[], &self.0, false) == BLST_ERROR::BLST_SUCCESS
    }
}

impl Signature {
    /// Decompresses and validates a signature.
    ///
    /// # Errors
    /// Not a point of the subgroup.
    pub fn from_bytes(bytes: &[u8; SIGNATURE_LEN]) -> Result<Self, BlsError> {
        let signature = min_pk::Signature::uncompress(bytes).map_err(|_| BlsError::Signature)?;
        signature.validate(false).map_err(|_| BlsError::Signature)?;
        Ok(Self(signature))
    }

    /// The compressed form.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; SIGNATURE_LEN] {
        self.0.compress()
    }

    /// The sum of signatures.
    ///
    /// # Errors
    /// There is none.
    pub fn aggregate<'a>(signatures: impl IntoIterator<Item = &'a Self>) -> Result<Self, BlsError> {
        let mut signatures = signatures.into_iter();
        let mut sum = AggregateSignature::from_signature(&signatures.next().ok_or(BlsError::Empty)?.0);
        for signature in signatures {
            sum.add_signature(&signature.0, false).map_err(|_| BlsError::Signature)?;
        }
        Ok(Self(sum.to_signature()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_suites_do_not_stand_in_for_each_other() {
        let key = SecretKey::from_bytes(&[7; 32]).unwrap();
        let signature = key.sign(b"m");
        assert!(key.public_key().verify(&signature, b"m"));
        assert!(!key.public_key().verify_possession(&signature, b"m"));
        assert!(!key.public_key().verify(&signature, b"n"));
    }

    #[test]
    fn identity_and_garbage_are_no_keys() {
        let mut identity = [0; PUBLIC_KEY_LEN];
        identity[0] = 0xc0;
        assert_eq!(PublicKey::from_bytes(&identity), Err(BlsError::PublicKey));
        assert_eq!(PublicKey::from_bytes(&[0xff; PUBLIC_KEY_LEN]), Err(BlsError::PublicKey));
        assert_eq!(Signature::from_bytes(&[0xff; SIGNATURE_LEN]), Err(BlsError::Signature));
        assert!(SecretKey::from_bytes(&[0; 32]).is_err());
    }
}
