//! RedJubjub verification as librustzcash did it before Canopy: the equation is multiplied by the cofactor, and `R` may
//! be any encoding of a point.

use group::GroupEncoding;
use jubjub::{AffinePoint, ExtendedPoint, Fr, SubgroupPoint};
use sapling_crypto::{constants, util::hash_to_scalar};

const PERSONALIZATION: &[u8] = b"Zcash_RedJubjubH";

/// What a signature is for; each use has its own base point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Authorizes a spend.
    SpendAuth,
    /// Binds the value of a transaction.
    Binding,
}

impl Use {
    /// The base point of the use.
    #[must_use]
    pub fn base(self) -> SubgroupPoint {
        match self {
            Self::SpendAuth => constants::SPENDING_KEY_GENERATOR,
            Self::Binding => constants::VALUE_COMMITMENT_RANDOMNESS_GENERATOR,
        }
    }
}

/// A point in any encoding, also those that ZIP-216 later excluded.
#[must_use]
pub fn point(bytes: &[u8; 32]) -> Option<ExtendedPoint> {
    Option::from(AffinePoint::from_bytes_pre_zip216_compatibility(*bytes))
        .map(|point: AffinePoint| point.to_extended())
}

/// True when `signature` by `key` is over the key's encoding followed by `message`.
#[must_use]
pub fn verify(purpose: Use, key: &ExtendedPoint, signature: &[u8; 64], message: &[u8]) -> bool {
    let (Some(r_bytes), Some(s_bytes)) = (signature.first_chunk::<32>(), signature.last_chunk::<32>()) else {
        return false;
    };
    let Some(s) = Option::<Fr>::from(Fr::from_bytes(s_bytes)) else {
        return false;
    };
    let Some(r) = point(r_bytes) else {
        return false;
    };
    let signed = [&key.to_bytes()[..], message].concat();
    let challenge = hash_to_scalar(PERSONALIZATION, r_bytes, &signed);
    let difference = r + key * challenge - ExtendedPoint::from(purpose.base()) * s;
    difference.mul_by_cofactor().is_identity().into()
}
