//! Ed25519 verification exactly as libsodium 1.0.15 does it, which JoinSplit signatures are judged by: some encodings
//! of `R` are refused by their bytes, the key may be any encoding of a point but zeros, and `R` is recomputed and
//! compared as bytes.

use curve25519_dalek::{
    edwards::{CompressedEdwardsY, EdwardsPoint},
    scalar::Scalar,
};
use sha2::{Digest, Sha512};
use shared_vendor::hex;

/// Encodings of `R` that are refused: 0, 1, the two `y` of order 8 and the same plus the field prime, and -1, 0, 1
/// written as p-1, p, p+1, 2p-1 and 2p.
const REFUSED: [&str; 11] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "13e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "b4176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "d9ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "daffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
];

/// True when `signature` over `message` is by `key`.
#[must_use]
pub fn verify(key: &[u8; 32], signature: &[u8; 64], message: &[u8]) -> bool {
    let (Some(r), Some(s)) = (signature.first_chunk::<32>(), signature.last_chunk::<32>()) else {
        return false;
    };
    let Some(s) = Option::<Scalar>::from(Scalar::from_canonical_bytes(*s)) else {
        return false;
    };
    if *key == [0; 32] || REFUSED.contains(&hex::encode(r).as_str()) {
        return false;
    }
    let Some(point) = CompressedEdwardsY(*key).decompress() else {
        return false;
    };
    let digest = Sha512::new().chain_update(r).chain_update(key).chain_update(message).finalize();
    let challenge = Scalar::from_bytes_mod_order_wide(&digest.into());
    let recomputed = EdwardsPoint::vartime_double_scalar_mul_basepoint(&challenge, &-point, &s);
    recomputed.compress().0 == *r
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_vector_of_rfc_8032_passes_and_nothing_near_it_does() {
        let key = hex::decode_array("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
            .expect("32 bytes");
        let signature: [u8; 64] = hex::decode_array(
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        )
        .expect("64 bytes");
        assert!(verify(&key, &signature, b""));
        assert!(!verify(&key, &signature, b"x"));
        let mut high_s = signature;
        high_s[63] |= 0x20;
        assert!(!verify(&key, &high_s, b""));
    }

    #[test]
    fn a_trivial_signature_is_refused_by_the_bytes_of_its_r() {
        let mut identity = [0; 32];
        identity[0] = 1;
        let mut signature = [0; 64];
        signature[0] = 1;
        assert!(!verify(&identity, &signature, b"any"));
        assert!(!verify(&[0; 32], &signature, b"any"));
    }
}
