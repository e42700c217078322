//! Ed25519 verification as CryptoLib offers it to contracts. The reference verifies with Bouncy Castle.

use ed25519_dalek::{Signature, Verifier, VerifyingKey};

/// True when the signature is right under the key.
///
/// The public key must be canonical and not of small order, `S` below the group order, and `R` is compared as bytes:
/// the rules of Bouncy Castle's verifier.
#[must_use]
pub fn verify(message: &[u8], public_key: &[u8; 32], signature: &[u8; 64]) -> bool {
    let Ok(key) = VerifyingKey::from_bytes(public_key) else { return false };
    let canonical = key.to_edwards().compress().to_bytes() == *public_key;
    canonical && !key.is_weak() && key.verify(message, &Signature::from_bytes(signature)).is_ok()
}
