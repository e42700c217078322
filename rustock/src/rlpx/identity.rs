//! The key pair of a node and its public name. Not where keys are kept: that is the data directory's business.

use std::fmt;

use secp256k1::{
    Message, PublicKey, SecretKey,
    ecdh::shared_secret_point,
    ecdsa::{RecoverableSignature, RecoveryId},
};
use sha3::{Digest, Keccak256};

/// Why bytes are no key, point or signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Zero, or not below the order of the curve.
    #[error("not a private key of secp256k1")]
    PrivateKey,
    /// Not a point of the curve.
    #[error("not a public key of secp256k1")]
    PublicKey,
    /// No key can have made this signature.
    #[error("not a recoverable signature")]
    Signature,
}

/// A node's public key without the `04` prefix: its name on the network.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub [u8; 64]);

impl NodeId {
    /// The curve point of this id.
    ///
    /// # Errors
    /// The bytes are not a point of the curve.
    pub fn point(&self) -> Result<PublicKey, IdentityError> {
        let mut bytes = [4; 65];
        if let Some(tail) = bytes.last_chunk_mut::<64>() {
            *tail = self.0;
        }
        PublicKey::from_byte_array_uncompressed(bytes).map_err(|_| IdentityError::PublicKey)
    }

    /// Keccak-256 of the id: where the node stands in the discovery table.
    #[must_use]
    pub fn keccak(&self) -> [u8; 32] {
        Keccak256::digest(self.0).into()
    }

    /// The first eight hex digits, for logs.
    #[must_use]
    pub fn short(&self) -> String {
        shared_vendor::hex::encode(self.0.first_chunk::<4>().unwrap_or(&[0; 4]))
    }
}

impl From<PublicKey> for NodeId {
    fn from(key: PublicKey) -> Self {
        let bytes = key.serialize_uncompressed();
        Self(*bytes.last_chunk::<64>().unwrap_or(&[0; 64]))
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shared_vendor::hex::encode(self.0))
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({})", self.short())
    }
}

impl std::str::FromStr for NodeId {
    type Err = IdentityError;

    /// Reads 128 hex digits that name a point of the curve.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let id = Self(shared_vendor::hex::decode_array(text).map_err(|_| IdentityError::PublicKey)?);
        id.point().map(|_| id)
    }
}

/// A signature from which the signer's key can be recovered: r, s, and the recovery id 0..=3.
pub type Recoverable = [u8; 65];

/// A node's private key. Its `Debug` prints the public id only.
#[derive(Clone)]
pub struct NodeKey {
    secret: SecretKey,
    id: NodeId,
}

impl NodeKey {
    /// A key from its 32 bytes.
    ///
    /// # Errors
    /// The bytes are zero or not below the order of the curve.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, IdentityError> {
        let secret = SecretKey::from_secret_bytes(bytes).map_err(|_| IdentityError::PrivateKey)?;
        Ok(Self { id: NodeId::from(secret.public_key()), secret })
    }

    /// A fresh key drawn from `rng`.
    pub fn generate(rng: &mut impl rand::CryptoRng) -> Self {
        loop {
            let mut bytes = [0; 32];
            rng.fill_bytes(&mut bytes);
            if let Ok(key) = Self::from_bytes(bytes) {
                return key;
            }
        }
    }

    /// The 32 secret bytes, for the key file.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        self.secret.to_secret_bytes()
    }

    /// The public name.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// The x coordinate of the shared point of this key and another node's.
    ///
    /// # Errors
    /// `other` is not a point of the curve.
    pub fn agree(&self, other: &NodeId) -> Result<[u8; 32], IdentityError> {
        let shared = shared_secret_point(&other.point()?, &self.secret);
        Ok(*shared.first_chunk::<32>().unwrap_or(&[0; 32]))
    }

    /// Signs a 32-byte digest.
    #[must_use]
    pub fn sign(&self, digest: [u8; 32]) -> Recoverable {
        let signature =
            RecoverableSignature::sign_ecdsa_recoverable(Message::from_digest(digest), &self.secret);
        let (recovery, compact) = signature.serialize_compact();
        let mut out = [recovery.to_u8(); 65];
        if let Some(head) = out.first_chunk_mut::<64>() {
            *head = compact;
        }
        out
    }
}

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeKey(of {})", self.id.short())
    }
}

/// The id whose key signed `digest`.
///
/// # Errors
/// The recovery id is above 3, or no key can have made the signature.
pub fn recover(signature: &Recoverable, digest: [u8; 32]) -> Result<NodeId, IdentityError> {
    let [compact @ .., recovery] = signature;
    let recovery = RecoveryId::try_from(i32::from(*recovery)).map_err(|_| IdentityError::Signature)?;
    let signature =
        RecoverableSignature::from_compact(compact, recovery).map_err(|_| IdentityError::Signature)?;
    signature
        .recover_ecdsa(Message::from_digest(digest))
        .map(NodeId::from)
        .map_err(|_| IdentityError::Signature)
}
