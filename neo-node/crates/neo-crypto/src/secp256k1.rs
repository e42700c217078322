//! secp256k1 as CryptoLib offers it to contracts: verification and key recovery. Mirrors `Cryptography/Crypto.cs`.

use secp256k1::{
    Message, PublicKey,
    ecdsa::{RecoverableSignature, RecoveryId, Signature},
};

/// Decodes a public key of 33 or 65 bytes; `None` when it is no point of the curve. The hybrid form (`06`, `07`) is
/// refused, as the reference does.
#[must_use]
pub fn public_key(bytes: &[u8]) -> Option<PublicKey> {
    matches!(bytes.first(), Some(2..=4)).then(|| PublicKey::from_slice(bytes).ok()).flatten()
}

/// True when `signature` (`r || s`, any `s`) signs these 32 bytes under the key.
#[must_use]
pub fn verify_prehashed(key: &PublicKey, hash: [u8; 32], signature: &[u8; 64]) -> bool {
    let Ok(mut signature) = Signature::from_compact(signature) else { return false };
    signature.normalize_s();
    signature.verify(Message::from_digest(hash), key).is_ok()
}

/// Recovers the compressed public key that made the signature over these 32 bytes; `None` when there is none.
///
/// The signature has 65 bytes (`r || s || v`, `v` from 0 to 3 or from 27 to 30) or 64 (`r || s`, the parity of Y in
/// the top bit of `s`, as EIP-2098).
#[must_use]
pub fn recover(hash: &[u8], signature: &[u8]) -> Option<[u8; 33]> {
    let hash: [u8; 32] = hash.try_into().ok()?;
    let (compact, recovery) = match *signature {
        [ref rs @ .., v] if rs.len() == 64 => {
            (<[u8; 64]>::try_from(rs).ok()?, if v >= 27 { v.checked_sub(27)? } else { v })
        }
        _ => {
            let mut compact = <[u8; 64]>::try_from(signature).ok()?;
            let parity = compact[32] >> 7;
            compact[32] &= 0x7f;
            (compact, parity)
        }
    };
    let recovery = recovery_id(recovery)?;
    let signature = RecoverableSignature::from_compact(&compact, recovery).ok()?;
    signature.recover(Message::from_digest(hash)).ok().map(|key| key.serialize())
}

fn recovery_id(value: u8) -> Option<RecoveryId> {
    match value {
        0 => Some(RecoveryId::Zero),
        1 => Some(RecoveryId::One),
        2 => Some(RecoveryId::Two),
        3 => Some(RecoveryId::Three),
        _ => None,
    }
}
