//! ECIES over secp256k1 as RLPx defines it: `04 ++ ephemeral key 64 ++ iv 16 ++ ciphertext ++ tag 32`.
//! Keys come from the concatenation KDF over SHA-256, the cipher is AES-128-CTR, the tag HMAC-SHA-256 over iv,
//! ciphertext and associated data. Mirrors `org/ethereum/crypto/{ECIESCoder,EthereumIESEngine}.java`.

use aes::Aes128;
use ctr::{
    Ctr128BE,
    cipher::{KeyIvInit, StreamCipher},
};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use shared_vendor::bytes::{ReadError, Reader, Writer};

use super::identity::{IdentityError, NodeId, NodeKey};

/// Bytes that encryption adds to a plaintext.
pub(crate) const OVERHEAD: usize = 65 + 16 + 32;

/// Why a ciphertext was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EciesError {
    /// Shorter than its fixed parts.
    #[error("ciphertext is cut short")]
    Short(#[from] ReadError),
    /// The ephemeral key is not an uncompressed point of the curve.
    #[error("ephemeral key is not a point")]
    Point(#[from] IdentityError),
    /// The tag differs: another recipient, or altered bytes.
    #[error("authentication tag differs")]
    Tag,
}

/// What one encryption consumes besides its input; used once.
#[derive(Debug, Clone)]
pub struct Envelope {
    /// The ephemeral key of the sender.
    pub key: NodeKey,
    /// The counter block the cipher starts from.
    pub iv: [u8; 16],
}

/// Encrypts `plaintext` for `recipient`; `associated` is authenticated but not included.
///
/// # Errors
/// `recipient` is not a point of the curve.
pub fn encrypt(
    recipient: &NodeId,
    plaintext: &[u8],
    associated: &[u8],
    envelope: &Envelope,
) -> Result<Vec<u8>, EciesError> {
    let keys = Keys::derive(&envelope.key.agree(recipient)?);
    let mut ciphertext = plaintext.to_vec();
    keys.cipher(&envelope.iv).apply_keystream(&mut ciphertext);
    let tag = keys.mac(&envelope.iv, &ciphertext, associated).finalize().into_bytes();
    let mut out = Writer::with_capacity(plaintext.len().saturating_add(OVERHEAD));
    out.u8(4).put(&envelope.key.id().0).put(&envelope.iv).put(&ciphertext).put(&tag);
    Ok(out.into_vec())
}

/// Decrypts what was made for `key` with the same `associated` data.
///
/// # Errors
/// The bytes are too short, hold no point, or were made for another key or altered.
pub fn decrypt(key: &NodeKey, bytes: &[u8], associated: &[u8]) -> Result<Vec<u8>, EciesError> {
    let mut reader = Reader::new(bytes);
    if reader.u8()? != 4 {
        return Err(IdentityError::PublicKey.into());
    }
    let ephemeral = NodeId(reader.array()?);
    let iv: [u8; 16] = reader.array()?;
    let ciphertext = reader.take(reader.left().saturating_sub(32))?;
    let tag: [u8; 32] = reader.array()?;
    let keys = Keys::derive(&key.agree(&ephemeral)?);
    keys.mac(&iv, ciphertext, associated).verify_slice(&tag).map_err(|_| EciesError::Tag)?;
    let mut plaintext = ciphertext.to_vec();
    keys.cipher(&iv).apply_keystream(&mut plaintext);
    Ok(plaintext)
}

struct Keys {
    cipher: [u8; 16],
    mac: [u8; 32],
}

impl Keys {
    /// One block of the concatenation KDF gives both keys; the MAC key is hashed once more.
    fn derive(shared: &[u8; 32]) -> Self {
        let block = Sha256::new().chain_update([0, 0, 0, 1]).chain_update(shared).finalize();
        let (cipher, mac) = block.split_at(16);
        Self { cipher: *cipher.first_chunk().unwrap_or(&[0; 16]), mac: Sha256::digest(mac).into() }
    }

    fn cipher(&self, iv: &[u8; 16]) -> Ctr128BE<Aes128> {
        Ctr128BE::new(&self.cipher.into(), &(*iv).into())
    }

    fn mac(&self, iv: &[u8; 16], ciphertext: &[u8], associated: &[u8]) -> Hmac<Sha256> {
        <Hmac<Sha256> as KeyInit>::new(&hmac_key(&self.mac))
            .chain_update(iv)
            .chain_update(ciphertext)
            .chain_update(associated)
    }
}

/// HMAC-SHA-256 takes keys padded with zeros to its block of 64 bytes.
fn hmac_key(key: &[u8; 32]) -> hmac::digest::Key<Hmac<Sha256>> {
    let mut padded = [0; 64];
    if let Some(head) = padded.first_chunk_mut::<32>() {
        *head = *key;
    }
    padded.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> NodeKey {
        NodeKey::from_bytes([byte; 32]).unwrap()
    }

    #[test]
    fn only_the_recipient_with_the_same_associated_data_can_decrypt() {
        let envelope = Envelope { key: key(7), iv: [9; 16] };
        let sealed = encrypt(&key(1).id(), b"attack at dawn", b"size", &envelope).unwrap();
        assert_eq!(sealed.len(), 14 + OVERHEAD);
        assert_eq!(decrypt(&key(1), &sealed, b"size").unwrap(), b"attack at dawn");
        assert_eq!(decrypt(&key(2), &sealed, b"size"), Err(EciesError::Tag));
        assert_eq!(decrypt(&key(1), &sealed, b"other"), Err(EciesError::Tag));
        for cut in 0..sealed.len() {
            assert!(decrypt(&key(1), sealed.get(..cut).unwrap(), b"size").is_err());
        }
    }
}
