//! A node's address, signed by its TLS key and its BLS key. Mirrors `network/peer/ip.go` and `network/ip_tracker.go`.

use std::net::{IpAddr, SocketAddr};

use avalanche_crypto::{
    bls,
    staking::{Certificate, InvalidSignature, KeyError, PrivateKey},
};
use avalanche_ids::{Id, NodeId};
use ring::rand::SecureRandom;

/// Bytes that are signed.
pub const PREIMAGE_LEN: usize = 26;

/// An address and when it was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UnsignedIp {
    /// Where the node listens.
    pub address: SocketAddr,
    /// Unix seconds.
    pub timestamp: u64,
}

/// Why an address is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignedIpError {
    /// Signed in the future (`errTimestampTooFarInFuture`).
    #[error("timestamp {0} is too far in the future")]
    Future(u64),
    /// Not signed by the certificate's key (`errInvalidTLSSignature`).
    #[error("invalid TLS signature")]
    Signature(#[from] InvalidSignature),
}

impl UnsignedIp {
    /// The bytes that are signed: the address as IPv6 (IPv4 mapped), port and time.
    #[must_use]
    pub fn preimage(&self) -> [u8; PREIMAGE_LEN] {
        let address = match self.address.ip() {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        };
        let parts = address.octets().into_iter().chain(self.address.port().to_be_bytes());
        let mut preimage = [0; PREIMAGE_LEN];
        for (to, from) in preimage.iter_mut().zip(parts.chain(self.timestamp.to_be_bytes())) {
            *to = from;
        }
        preimage
    }

    /// Signs with the BLS key, under the proof-of-possession suite.
    #[must_use]
    pub fn sign_bls(&self, key: &bls::SecretKey) -> bls::Signature {
        key.sign_possession(&self.preimage())
    }

    /// Checks the BLS signature.
    #[must_use]
    pub fn verify_bls(&self, key: &bls::PublicKey, signature: &bls::Signature) -> bool {
        key.verify_possession(signature, &self.preimage())
    }

    /// Checks the TLS signature and that the time is at most `max_timestamp`.
    ///
    /// # Errors
    /// As [`SignedIpError`] says.
    pub fn verify_tls(
        &self,
        certificate: &Certificate,
        signature: &[u8],
        max_timestamp: u64,
    ) -> Result<(), SignedIpError> {
        if self.timestamp > max_timestamp {
            return Err(SignedIpError::Future(self.timestamp));
        }
        Ok(certificate.check_signature(&self.preimage(), signature)?)
    }
}

/// An address with both signatures of its node, as a handshake carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIp {
    /// What is signed.
    pub ip: UnsignedIp,
    /// By the TLS key.
    pub tls_signature: Vec<u8>,
    /// By the BLS key.
    pub bls_signature: bls::Signature,
}

impl SignedIp {
    /// Signs an address.
    ///
    /// # Errors
    /// The source of randomness failed.
    pub fn sign(
        ip: UnsignedIp,
        tls: &PrivateKey,
        bls: &bls::SecretKey,
        random: &dyn SecureRandom,
    ) -> Result<Self, KeyError> {
        let tls_signature = tls.sign(&ip.preimage(), random)?;
        Ok(Self { ip, tls_signature, bls_signature: ip.sign_bls(bls) })
    }
}

/// By what an address is entered into the bloom filters of peer gossip.
#[must_use]
pub fn gossip_id(node: NodeId, timestamp: u64) -> Id {
    let mut bytes = [0; 40];
    for (to, from) in bytes.iter_mut().zip(node.0.into_iter().chain(timestamp.to_be_bytes())) {
        *to = from;
    }
    Id::hash_of(&bytes)
}
