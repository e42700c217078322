//! secp256k1 signatures as the protocol uses them: strict DER with any S in scripts and blocks, 65-byte recoverable
//! ones over text messages in fluxnode transactions. Mirrors `src/pubkey.cpp`.

mod batch;
#[cfg(target_arch = "x86_64")]
mod kernel;
#[cfg(target_arch = "x86_64")]
mod lanes;
#[cfg(target_arch = "x86_64")]
mod scalar;

use fluxd_primitives::{
    PublicKey,
    codec::{Writer, put_var_bytes},
    hash::sha256d,
};
use secp256k1::{
    Message,
    ecdsa::{RecoverableSignature, RecoveryId, Signature},
};

pub use batch::{SignedMessage, recover_all, verify_messages};

/// What every signed text message begins with.
const MESSAGE_MAGIC: &[u8] = b"Zelcash Signed Message:\n";

/// Verifies a DER signature over a 32-byte hash. A high S is accepted; a loose DER form is not.
#[must_use]
pub fn verify(key: &PublicKey, hash: &[u8; 32], der: &[u8]) -> bool {
    let Ok(point) = secp256k1::PublicKey::from_slice(key.as_bytes()) else {
        return false;
    };
    let Ok(mut signature) = Signature::from_der(der) else {
        return false;
    };
    signature.normalize_s();
    signature.verify(Message::from_digest(*hash), &point).is_ok()
}

/// True when the S of a DER signature is in the lower half of its range.
#[must_use]
pub fn has_low_s(der: &[u8]) -> bool {
    let Ok(signature) = Signature::from_der(der) else {
        return false;
    };
    let mut normalized = signature;
    normalized.normalize_s();
    normalized == signature
}

/// Recovers the key of a 65-byte signature over a hash; the first byte names the candidate and the key's form.
#[must_use]
pub fn recover(hash: &[u8; 32], signature: &[u8]) -> Option<PublicKey> {
    let (header, compact) = signature.split_first()?;
    let flags = header.wrapping_sub(27);
    let signature = RecoverableSignature::from_compact(compact, RecoveryId::from_u8_masked(flags)).ok()?;
    let key = signature.recover(Message::from_digest(*hash)).ok()?;
    Some(if flags & 4 == 0 {
        PublicKey::from_serialized(&key.serialize_uncompressed())
    } else {
        PublicKey::from_serialized(&key.serialize())
    })
}

/// The hash that a signature over a text message signs.
#[must_use]
pub fn message_hash(message: &[u8]) -> [u8; 32] {
    let mut writer = Writer::with_capacity(message.len().saturating_add(32));
    put_var_bytes(&mut writer, MESSAGE_MAGIC);
    put_var_bytes(&mut writer, message);
    sha256d(writer.as_slice())
}

/// True when a message was signed by the key with the id of `key`. The form of the recovered key is the one that the
/// signature states, so a signature for the other form does not match (`CObfuScationSigner::VerifyMessage`).
#[must_use]
pub fn verify_message(key: &PublicKey, signature: &[u8], message: &[u8]) -> bool {
    recover(&message_hash(message), signature).is_some_and(|recovered| recovered.id() == key.id())
}

/// True when the key is a point of the curve.
#[must_use]
pub fn is_on_curve(key: &PublicKey) -> bool {
    secp256k1::PublicKey::from_slice(key.as_bytes()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_of_the_key_is_part_of_a_message_signature() {
        let secret = secp256k1::SecretKey::from_secret_bytes([7; 32]).expect("a scalar");
        let point = secp256k1::PublicKey::from_secret_key(&secret);
        let (short, long) = (
            PublicKey::from_serialized(&point.serialize()),
            PublicKey::from_serialized(&point.serialize_uncompressed()),
        );
        let signed = RecoverableSignature::sign_ecdsa_recoverable(
            Message::from_digest(message_hash(b"hello")),
            &secret,
        );
        let (id, compact) = signed.serialize_compact();
        let with_header = |form: u8| [&[27 + form + id.to_u8()][..], &compact].concat();
        assert!(verify_message(&short, &with_header(4), b"hello"));
        assert!(!verify_message(&short, &with_header(0), b"hello"));
        assert!(verify_message(&long, &with_header(0), b"hello"));
        assert!(!verify_message(&short, &with_header(4), b"hallo"));
        assert_eq!(recover(&[0; 32], &[]), None);
    }
}
