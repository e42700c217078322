//! secp256r1: keys, RFC 6979 signing and verification. Mirrors `Cryptography/Crypto.cs` and `ECC/ECPoint.cs`.
//!
//! Signatures are `r || s`, any `s` is accepted. Verification uses ring, which is several times faster than a pure
//! Rust curve and wants the uncompressed point, so a [`PublicKey`] keeps both coordinates. Keys that have signed often
//! get a table (`table.rs`), with which it is faster still.

mod field;
mod table;

use std::{
    cmp::Ordering,
    collections::HashMap,
    fmt, hash,
    sync::{
        Arc, LazyLock, OnceLock, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use p256::{
    AffinePoint, FieldBytes, Scalar, Sec1Point,
    ecdsa::{
        Signature, SigningKey, VerifyingKey,
        signature::{Signer, hazmat::PrehashVerifier},
    },
    elliptic_curve::{
        PrimeField,
        sec1::{FromSec1Point, ToSec1Point},
    },
};
use zeroize::Zeroizing;

use self::table::Table;
use crate::hash::sha256;

/// n, the order of the curve, big-endian.
pub const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa,
    0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// A private key: a number from 1 to the order of the curve less one. Wiped when dropped.
#[derive(Clone)]
pub struct PrivateKey(SigningKey);

impl PrivateKey {
    /// The key with these big-endian bytes; `None` when the number is zero or not below the order.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        SigningKey::from_slice(bytes).ok().map(Self)
    }

    /// The big-endian bytes of the key.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes().into())
    }

    /// The key that is greater by a big-endian number, modulo the order of the curve. `None` for zero, and when the number is not below
    /// the order.
    #[must_use]
    pub fn plus(&self, number: &[u8; 32]) -> Option<Self> {
        let number = Option::<Scalar>::from(Scalar::from_repr(FieldBytes::from(*number)))?;
        let sum = Zeroizing::new(<[u8; 32]>::from((**self.0.as_nonzero_scalar() + number).to_repr()));
        Self::from_bytes(&sum)
    }

    /// The public key.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        PublicKey::from_affine(self.0.verifying_key().as_affine())
    }

    /// Signs SHA-256 of the message with the deterministic nonce of RFC 6979.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        let signature: Signature = self.0.sign(message);
        signature.to_bytes().into()
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(..)")
    }
}

/// A point of the curve other than infinity. Ordered by X, then by Y, as the protocol sorts validators.
#[derive(Clone, Copy)]
pub struct PublicKey {
    /// `04 || x || y`
    uncompressed: [u8; 65],
}

/// Keys that this process has met: the same ones sign again and again, and to decompress one takes as long as half a
/// signature.
static KNOWN: LazyLock<RwLock<Known>> = LazyLock::new(RwLock::default);

/// Most keys that are kept; beyond it all are forgotten.
const MAX_KNOWN: usize = 8192;

/// Most keys of these that have a table.
const MAX_TABLES: usize = 64;

/// As many checks as making a table takes time.
const CHECKS_BEFORE_TABLE: usize = 16;

#[derive(Debug, Default)]
struct Known {
    keys: HashMap<[u8; 33], Arc<KnownKey>>,
    tables: AtomicUsize,
}

#[derive(Debug)]
struct KnownKey {
    key: PublicKey,
    checks: AtomicUsize,
    table: OnceLock<Option<Table>>,
}

/// What is known of a key that may have a table, or gets one now.
fn with_table(key: &[u8; 33]) -> Option<Arc<KnownKey>> {
    let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner);
    let found = known.keys.get(key)?;
    if found.table.get().is_some() {
        return Some(found.clone());
    }
    let deserves = found.checks.fetch_add(1, Relaxed) == CHECKS_BEFORE_TABLE;
    (deserves && known.tables.fetch_add(1, Relaxed) < MAX_TABLES).then(|| found.clone())
}

impl PublicKey {
    /// Decodes 33 bytes (compressed) or 65 bytes (uncompressed); `None` when they are no point of the curve.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        match (bytes.first()?, bytes.len()) {
            (2 | 3, 33) => {}
            (4, 65) => return Self::decode(bytes),
            _ => return None,
        }
        let compressed: [u8; 33] = bytes.try_into().ok()?;
        if let Some(known) = KNOWN.read().unwrap_or_else(PoisonError::into_inner).keys.get(&compressed) {
            return Some(known.key);
        }
        let key = Self::decode(bytes)?;
        let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
        if known.keys.len() >= MAX_KNOWN {
            *known = Known::default();
        }
        let (checks, table) = (AtomicUsize::new(0), OnceLock::new());
        known.keys.insert(compressed, Arc::new(KnownKey { key, checks, table }));
        Some(key)
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let encoded = Sec1Point::from_bytes(bytes).ok()?;
        let point: Option<AffinePoint> = AffinePoint::from_sec1_point(&encoded).into();
        point.map(|point| Self::from_affine(&point))
    }

    /// The 33 compressed bytes: `02` or `03` by the parity of Y, then X.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 33] {
        let mut out = [0; 33];
        out[0] = 2 | (self.uncompressed[64] & 1);
        out[1..].copy_from_slice(&self.uncompressed[1..33]);
        out
    }

    /// The 65 bytes `04 || X || Y`.
    #[must_use]
    pub fn to_uncompressed(&self) -> &[u8; 65] {
        &self.uncompressed
    }

    /// True when `signature` (`r || s`) signs SHA-256 of `message` under this key.
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        let known = with_table(&self.to_bytes());
        let table = known.as_ref().map(|known| known.table.get_or_init(|| Table::of_key(&self.uncompressed)));
        if let Some(Some(table)) = table {
            return table.verify(&sha256(message), signature);
        }
        ring::signature::UnparsedPublicKey::new(&ring::signature::ECDSA_P256_SHA256_FIXED, self.uncompressed)
            .verify(message, signature)
            .is_ok()
    }

    /// True when `signature` (`r || s`) signs these 32 bytes, the output of some other hash function.
    #[must_use]
    pub fn verify_prehashed(&self, hash: &[u8; 32], signature: &[u8; 64]) -> bool {
        let Ok(signature) = Signature::from_slice(signature) else { return false };
        VerifyingKey::from_sec1_bytes(&self.uncompressed)
            .is_ok_and(|key| key.verify_prehash(hash, &signature).is_ok())
    }

    fn from_affine(point: &AffinePoint) -> Self {
        let encoded = point.to_sec1_point(false);
        let mut uncompressed = [0; 65];
        uncompressed.copy_from_slice(encoded.as_bytes());
        Self { uncompressed }
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.uncompressed == other.uncompressed
    }
}

impl Eq for PublicKey {}

impl hash::Hash for PublicKey {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.uncompressed.hash(state);
    }
}

impl Ord for PublicKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.uncompressed.cmp(&other.uncompressed)
    }
}

impl PartialOrd for PublicKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> PrivateKey {
        PrivateKey::from_bytes(&[seed; 32]).expect("below the order")
    }

    #[test]
    fn both_verifiers_accept_a_signature_with_either_s() {
        let signature = key(7).sign(b"message");
        let public = key(7).public_key();
        let negated = {
            let parsed = Signature::from_slice(&signature).expect("own signature");
            let (r, s) = parsed.split_scalars();
            let flipped = Signature::from_scalars(r.to_bytes(), (-s).to_bytes()).expect("in range");
            <[u8; 64]>::from(flipped.to_bytes())
        };
        for signature in [signature, negated] {
            assert!(public.verify(b"message", &signature));
            assert!(public.verify_prehashed(&crate::hash::sha256(b"message"), &signature));
            assert!(!public.verify(b"messagf", &signature));
        }
        assert!(!public.verify(b"message", &[0; 64]));
        assert!(!public.verify(b"message", &[0xff; 64]));
    }

    #[test]
    fn a_key_with_a_table_judges_as_one_without() {
        let signer = key(11);
        let public = PublicKey::from_bytes(&signer.public_key().to_bytes()).expect("a point");
        for round in 0..60_u8 {
            let message = [round; 40];
            let mut signature = signer.sign(&message);
            assert!(public.verify(&message, &signature), "{round}");
            signature[usize::from(round)] ^= 1;
            assert!(!public.verify(&message, &signature), "{round}");
        }
        assert!(with_table(&public.to_bytes()).is_some_and(|known| known.table.get().is_some()));
        assert!(!public.verify(&[1; 40], &[0; 64]) && !public.verify(&[1; 40], &[0xff; 64]));
    }

    #[test]
    fn points_with_equal_x_are_ordered_by_y() {
        let mut bytes = key(9).public_key().to_bytes();
        let one = PublicKey::from_bytes(&bytes).expect("a point");
        bytes[0] ^= 1;
        let other = PublicKey::from_bytes(&bytes).expect("its mirror");
        assert_ne!(one, other);
        assert_eq!(one.cmp(&other), one.to_uncompressed()[33..].cmp(&other.to_uncompressed()[33..]));
    }

    #[test]
    fn bytes_that_are_no_point_are_refused() {
        assert!(PublicKey::from_bytes(&[]).is_none());
        assert!(PublicKey::from_bytes(&[0]).is_none());
        assert!(PublicKey::from_bytes(&[2; 32]).is_none());
        assert!(PublicKey::from_bytes(&[0xff; 33]).is_none());
        let mut off_curve = *key(3).public_key().to_uncompressed();
        off_curve[64] ^= 1;
        assert!(PublicKey::from_bytes(&off_curve).is_none());
    }
}
