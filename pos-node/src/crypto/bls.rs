//! BLS12-381 signatures with public keys in G1 and proofs of possession, over `blst`. Mirrors
//! `specs/phase0/beacon-chain.md#bls-signatures`; points come in compressed and are checked for their subgroup.

use crate::types::{
    primitives::{PublicKey, Root, Signature},
    ssz::sha256,
};
use blst::{BLST_ERROR, blst_scalar, min_pk};

/// Suite of every signature on this chain.
pub const CIPHERSUITE: &[u8] = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";

/// Bits of the multiplier of each set of a batch: a forged batch passes with probability 2^-64.
const MULTIPLIER_BITS: usize = 64;

/// Why bytes are not a usable key or signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BlsError {
    /// Not the encoding of a point on the curve.
    #[error("not an encoding of a curve point")]
    Encoding,
    /// A point outside the prime-order subgroup.
    #[error("point outside the subgroup")]
    Subgroup,
    /// The point at infinity, which is no key.
    #[error("the point at infinity is no key")]
    Infinity,
    /// A secret key of zero or not below the group order.
    #[error("secret key out of range")]
    SecretKey,
    /// There is no aggregate of nothing.
    #[error("nothing to aggregate")]
    Empty,
}

impl From<BLST_ERROR> for BlsError {
    fn from(err: BLST_ERROR) -> Self {
        match err {
            BLST_ERROR::BLST_POINT_NOT_IN_GROUP => Self::Subgroup,
            BLST_ERROR::BLST_PK_IS_INFINITY => Self::Infinity,
            BLST_ERROR::BLST_BAD_SCALAR => Self::SecretKey,
            BLST_ERROR::BLST_AGGR_TYPE_MISMATCH => Self::Empty,
            _ => Self::Encoding,
        }
    }
}

/// A public key that passed `KeyValidate`, decompressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key(min_pk::PublicKey);

impl Key {
    /// Decompresses and validates a key.
    ///
    /// # Errors
    /// Not a point, outside the subgroup, or infinity.
    pub fn new(bytes: &PublicKey) -> Result<Self, BlsError> {
        Ok(Self(min_pk::PublicKey::key_validate(&bytes.0)?))
    }

    /// The compressed form.
    #[must_use]
    pub fn to_bytes(&self) -> PublicKey {
        PublicKey(self.0.compress())
    }
}

/// A secret key; wiped from memory when dropped.
#[derive(Clone)]
pub struct SecretKey(min_pk::SecretKey);

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

impl SecretKey {
    /// The key with this big-endian value.
    ///
    /// # Errors
    /// Zero, or not below the group order.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, BlsError> {
        Ok(Self(min_pk::SecretKey::from_bytes(bytes)?))
    }

    /// The big-endian value. The caller wipes it.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// The key others verify with.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        PublicKey(self.0.sk_to_pk().compress())
    }

    /// Signs a signing root.
    #[must_use]
    pub fn sign(&self, message: &Root) -> Signature {
        Signature(self.0.sign(&message.0, CIPHERSUITE, &[]).compress())
    }

    pub(super) fn derive_master(seed: &[u8]) -> Result<Self, BlsError> {
        Ok(Self(min_pk::SecretKey::derive_master_eip2333(seed)?))
    }

    pub(super) fn derive_child(&self, index: u32) -> Self {
        Self(self.0.derive_child_eip2333(index))
    }
}

/// Decompresses a signature and checks its subgroup. Infinity is a point like any other here.
///
/// # Errors
/// Not a point, or outside the subgroup.
pub fn check_signature(signature: &Signature) -> Result<(), BlsError> {
    point(signature).map(|_| ())
}

/// Whether `signature` is `key`'s over `message`.
#[must_use]
pub fn verify(key: &Key, message: &Root, signature: &Signature) -> bool {
    fast_aggregate_verify(&[*key], message, signature)
}

/// Whether `signature` is the aggregate of the signatures of all `keys` over one `message`. False without keys.
#[must_use]
pub fn fast_aggregate_verify(keys: &[Key], message: &Root, signature: &Signature) -> bool {
    let keys: Vec<_> = keys.iter().map(|key| &key.0).collect();
    match point(signature) {
        Ok(point) if !keys.is_empty() => {
            point.fast_aggregate_verify(false, &message.0, CIPHERSUITE, &keys) == BLST_ERROR::BLST_SUCCESS
        }
        _ => false,
    }
}

/// Whether `signature` is the aggregate of each key's signature over its own message. False without keys.
#[must_use]
pub fn aggregate_verify(signers: &[(Key, Root)], signature: &Signature) -> bool {
    let keys: Vec<_> = signers.iter().map(|(key, _)| &key.0).collect();
    let messages: Vec<&[u8]> = signers.iter().map(|(_, message)| message.0.as_slice()).collect();
    match point(signature) {
        Ok(point) if !keys.is_empty() => {
            point.aggregate_verify(false, &messages, CIPHERSUITE, &keys, false) == BLST_ERROR::BLST_SUCCESS
        }
        _ => false,
    }
}

/// The aggregate of signatures.
///
/// # Errors
/// No signature, or one that is no point of the subgroup.
pub fn aggregate(signatures: &[Signature]) -> Result<Signature, BlsError> {
    let points = signatures.iter().map(point).collect::<Result<Vec<_>, _>>()?;
    let points: Vec<_> = points.iter().collect();
    let sum = min_pk::AggregateSignature::aggregate(&points, false)?;
    Ok(Signature(sum.to_signature().compress()))
}

/// One signature of a batch: an aggregate of `keys` over `message`.
#[derive(Debug, Clone)]
pub struct SignatureSet {
    /// Who signed.
    pub keys: Vec<Key>,
    /// What was signed.
    pub message: Root,
    /// Their aggregate signature.
    pub signature: Signature,
}

impl SignatureSet {
    /// Whether this signature alone is good.
    #[must_use]
    pub fn verify(&self) -> bool {
        fast_aggregate_verify(&self.keys, &self.message, &self.signature)
    }
}

/// Verifies many sets with about one pairing each instead of two. `seed` must be unpredictable to who made the
/// signatures; each set's multiplier is drawn from it.
///
/// # Errors
/// The position of the first set that is bad by itself.
pub fn verify_sets(sets: &[SignatureSet], seed: &[u8; 32]) -> Result<(), usize> {
    if sets.len() > 1 && verify_batch(sets, seed).is_some() {
        return Ok(());
    }
    sets.iter().position(|set| !set.verify()).map_or(Ok(()), Err)
}

fn verify_batch(sets: &[SignatureSet], seed: &[u8; 32]) -> Option<()> {
    let points = sets.iter().map(|set| point(&set.signature)).collect::<Result<Vec<_>, _>>().ok()?;
    let keys = sets
        .iter()
        .map(|set| {
            let keys: Vec<_> = set.keys.iter().map(|key| &key.0).collect();
            min_pk::AggregatePublicKey::aggregate(&keys, false).map(|sum| sum.to_public_key())
        })
        .collect::<Result<Vec<_>, _>>()
        .ok()?;
    let messages: Vec<&[u8]> = sets.iter().map(|set| set.message.0.as_slice()).collect();
    let multipliers: Vec<_> = (0u64..).take(sets.len()).map(|at| multiplier(seed, at)).collect();
    let verdict = min_pk::Signature::verify_multiple_aggregate_signatures(
        &messages,
        CIPHERSUITE,
        &keys.iter().collect::<Vec<_>>(),
        false,
        &points.iter().collect::<Vec<_>>(),
        false,
        &multipliers,
        MULTIPLIER_BITS,
    );
    (verdict == BLST_ERROR::BLST_SUCCESS).then_some(())
}

/// A non-zero 64-bit multiplier.
fn multiplier(seed: &[u8; 32], at: u64) -> blst_scalar {
    let digest = sha256(&[seed.as_slice(), &at.to_le_bytes()].concat());
    let mut scalar = blst_scalar::default();
    for (to, from) in scalar.b.iter_mut().zip(digest).take(MULTIPLIER_BITS / 8) {
        *to = from;
    }
    if let Some(low) = scalar.b.first_mut() {
        *low |= 1;
    }
    scalar
}

/// The point of G2 that a message hashes to under a domain separation tag, uncompressed: x.c1, x.c0, y.c1, y.c0.
#[must_use]
pub fn hash_to_g2(message: &[u8], tag: &[u8]) -> [u8; 192] {
    let mut one = [0; 32];
    if let Some(last) = one.last_mut() {
        *last = 1;
    }
    let one = min_pk::SecretKey::from_bytes(&one).expect("one is below the group order");
    one.sign(message, tag, &[]).serialize() // multiplication by one leaves the hash itself
}

fn point(signature: &Signature) -> Result<min_pk::Signature, BlsError> {
    Ok(min_pk::Signature::sig_validate(&signature.0, false)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(at: u8) -> SignatureSet {
        let secret = SecretKey::from_bytes(&[at + 1; 32]).expect("in range");
        let message = Root([at; 32]);
        let key = Key::new(&secret.public_key()).expect("valid key");
        SignatureSet { keys: vec![key], message, signature: secret.sign(&message) }
    }

    #[test]
    fn a_batch_names_its_first_bad_member() {
        let mut sets: Vec<_> = (0..8).map(set).collect();
        assert_eq!(verify_sets(&sets, &[9; 32]), Ok(()));
        let (a, b) = (sets[3].signature, sets[5].signature);
        (sets[3].signature, sets[5].signature) = (b, a);
        assert_eq!(verify_sets(&sets, &[9; 32]), Err(3));
        assert_eq!(verify_sets(&[], &[9; 32]), Ok(()));
    }

    #[test]
    fn a_set_without_keys_is_bad_alone_and_in_a_batch() {
        let mut sets = vec![set(1), set(2)];
        sets[1].keys.clear();
        assert_eq!(verify_sets(&sets, &[0; 32]), Err(1));
    }
}
