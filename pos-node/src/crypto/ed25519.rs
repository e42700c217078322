//! Ed25519 signatures of accounts under the chain's own acceptance rule: ZIP-215 (cofactored equation, canonical `S`,
//! any decompressible `R`) with the key required to be canonical and not of small order. Under this rule a batch
//! accepts exactly what single verification accepts, so the two may be mixed freely.

use curve25519_dalek::{
    constants::ED25519_BASEPOINT_POINT,
    edwards::{CompressedEdwardsY, EdwardsPoint},
    scalar::Scalar,
    traits::{IsIdentity, VartimeMultiscalarMul},
};
use ed25519_dalek::{Signer, SigningKey};
use sha2::{Digest, Sha512};

/// An account's public key whose encoding was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    bytes: [u8; 32],
    point: EdwardsPoint,
}

impl Key {
    /// Decompresses a key; `None` when it is not canonical, not on the curve, or of small order.
    #[must_use]
    pub fn new(bytes: &[u8; 32]) -> Option<Self> {
        // a sign without a coordinate to have one is not canonical either, but such points are of small order
        if !is_below_modulus(bytes) {
            return None;
        }
        let point = CompressedEdwardsY(*bytes).decompress()?;
        (!point.is_small_order()).then_some(Self { bytes: *bytes, point })
    }
}

/// Whether the coordinate in an encoding is below 2^255 - 19.
fn is_below_modulus(bytes: &[u8; 32]) -> bool {
    let [first, middle @ .., last] = bytes;
    *first < 0xed || last & 0x7f != 0x7f || middle.iter().any(|byte| *byte != 0xff)
}

/// One signature to verify.
#[derive(Debug, Clone, Copy)]
pub struct Item<'a> {
    /// Signer's key as bytes.
    pub key: &'a [u8; 32],
    /// `R` and `S`.
    pub signature: &'a [u8; 64],
    /// What was signed.
    pub message: &'a [u8],
}

/// A signature taken apart: the terms of its equation `[8](S·B - R - k·A) = O`.
struct Terms {
    key: EdwardsPoint,
    commitment: EdwardsPoint,
    response: Scalar,
    challenge: Scalar,
}

impl Terms {
    fn new(item: &Item<'_>) -> Option<Self> {
        let (commitment, response) = item.signature.split_first_chunk::<32>()?;
        let response = *response.first_chunk::<32>()?;
        let challenge = Sha512::new()
            .chain_update(commitment)
            .chain_update(item.key)
            .chain_update(item.message)
            .finalize();
        Some(Self {
            key: Key::new(item.key)?.point,
            commitment: CompressedEdwardsY(*commitment).decompress()?,
            response: Option::from(Scalar::from_canonical_bytes(response))?,
            challenge: Scalar::from_bytes_mod_order_wide(&challenge.into()),
        })
    }

    fn holds(&self) -> bool {
        let difference =
            EdwardsPoint::vartime_double_scalar_mul_basepoint(&self.challenge, &-self.key, &self.response)
                - self.commitment;
        difference.mul_by_cofactor().is_identity()
    }
}

/// Whether one signature is good.
#[must_use]
pub fn verify(item: &Item<'_>) -> bool {
    Terms::new(item).is_some_and(|terms| terms.holds())
}

/// Verifies many signatures together, about twice as fast as one by one.
///
/// # Errors
/// The position of the first signature that is bad.
pub fn verify_batch(items: &[Item<'_>]) -> Result<(), usize> {
    let all = items.iter().map(Terms::new).collect::<Option<Vec<_>>>();
    if all.is_some_and(|all| equation_of_all(items, &all)) {
        return Ok(());
    }
    items.iter().position(|item| !verify(item)).map_or(Ok(()), Err)
}

/// The sum of all equations, each times its own 128-bit multiplier. The multipliers are drawn from a hash of the whole
/// batch, so nobody can choose signatures to fit them.
fn equation_of_all(items: &[Item<'_>], all: &[Terms]) -> bool {
    let mut transcript = Sha512::new();
    for item in items {
        let message_len = u64::try_from(item.message.len()).unwrap_or(u64::MAX);
        transcript.update(item.key);
        transcript.update(item.signature);
        transcript.update(message_len.to_le_bytes());
        transcript.update(item.message);
    }
    let transcript = transcript.finalize();
    let mut base = Scalar::ZERO;
    let mut scalars = vec![Scalar::ZERO];
    let mut points = vec![ED25519_BASEPOINT_POINT];
    for (at, terms) in (0u64..).zip(all) {
        let multiplier = multiplier(&transcript, at);
        base -= multiplier * terms.response;
        scalars.extend([multiplier, multiplier * terms.challenge]);
        points.extend([terms.commitment, terms.key]);
    }
    if let Some(first) = scalars.first_mut() {
        *first = base;
    }
    EdwardsPoint::vartime_multiscalar_mul(scalars, points).mul_by_cofactor().is_identity()
}

fn multiplier(transcript: &[u8], at: u64) -> Scalar {
    let digest = Sha512::new().chain_update(transcript).chain_update(at.to_le_bytes()).finalize();
    let mut bytes = [0; 16];
    for (to, from) in bytes.iter_mut().zip(digest) {
        *to = from;
    }
    Scalar::from(u128::from_le_bytes(bytes).max(1))
}

/// The public key of a 32-byte secret seed.
#[must_use]
pub fn public_key(seed: &[u8; 32]) -> [u8; 32] {
    SigningKey::from_bytes(seed).verifying_key().to_bytes()
}

/// The deterministic signature of RFC 8032.
#[must_use]
pub fn sign(seed: &[u8; 32], message: &[u8]) -> [u8; 64] {
    SigningKey::from_bytes(seed).sign(message).to_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_key_is_canonical_when_it_is_the_compression_of_its_point() {
        let near_modulus = (0u8..=255).flat_map(|first| [0x7f, 0xff].map(|last| (first, last)));
        let mut encodings: Vec<[u8; 32]> = near_modulus
            .map(|(first, last)| {
                let mut bytes = [0xff; 32];
                (bytes[0], bytes[31]) = (first, last);
                bytes
            })
            .collect();
        encodings.extend((0..=255).map(|seed| public_key(&[seed; 32])));
        encodings.extend((0..=255).flat_map(|first| {
            [0, 0x80].map(|last| {
                let mut bytes = [0; 32];
                (bytes[0], bytes[31]) = (first, last);
                bytes
            })
        }));
        for bytes in encodings {
            let point = CompressedEdwardsY(bytes).decompress();
            let good = point.is_some_and(|point| point.compress().0 == bytes && !point.is_small_order());
            assert_eq!(Key::new(&bytes).is_some(), good, "{bytes:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn a_batch_accepts_exactly_what_single_verification_accepts(
            seeds in proptest::collection::vec(any::<[u8; 32]>(), 1..12),
            flip in proptest::option::of((0usize..12, 0usize..64, 0u8..8)),
        ) {
            let keys: Vec<_> = seeds.iter().map(public_key).collect();
            let mut signatures: Vec<_> = seeds.iter().map(|seed| sign(seed, seed)).collect();
            if let Some((at, byte, bit)) = flip {
                let at = at % signatures.len();
                signatures[at][byte] ^= 1 << bit;
            }
            let items: Vec<_> = keys
                .iter()
                .zip(&signatures)
                .zip(&seeds)
                .map(|((key, signature), message)| Item { key, signature, message })
                .collect();
            let single = items.iter().position(|item| !verify(item)).map_or(Ok(()), Err);
            prop_assert_eq!(verify_batch(&items), single);
            prop_assert_eq!(single.is_err(), flip.is_some());
        }
    }
}
