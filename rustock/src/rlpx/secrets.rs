//! What both ends know after the handshake: the frame key, the MAC key and the two running MAC states.
//! Mirrors `EncryptionHandshake.agreeSecret` and `FrameCodec.updateMac` of rskj.

use aes::{
    Aes256,
    cipher::{BlockCipherEncrypt, KeyInit},
};
use sha3::{Digest, Keccak256};

/// The keys of one connection, seen from our end.
#[derive(Clone)]
pub struct Secrets {
    /// Key of AES-256-CTR in both directions.
    pub aes: [u8; 32],
    /// Key of the MAC cipher.
    pub mac: [u8; 32],
    /// State of the MAC over what we send.
    pub egress: MacState,
    /// State of the MAC over what we receive.
    pub ingress: MacState,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets")
    }
}

/// The public course of a handshake, which the secrets are bound to.
#[derive(Debug, Clone, Copy)]
pub struct Transcript<'a> {
    /// Nonce of the auth packet.
    pub initiator_nonce: [u8; 32],
    /// Nonce of the ack packet.
    pub responder_nonce: [u8; 32],
    /// The auth packet as sent, size prefix included.
    pub auth: &'a [u8],
    /// The ack packet as sent, size prefix included.
    pub ack: &'a [u8],
}

impl Secrets {
    /// Derives the secrets from the agreement of the two ephemeral keys.
    pub fn derive(agreed: &[u8; 32], transcript: &Transcript<'_>, initiator: bool) -> Self {
        let nonces = keccak(&[&transcript.responder_nonce, &transcript.initiator_nonce]);
        let shared = keccak(&[agreed, &nonces]);
        let aes = keccak(&[agreed, &shared]);
        let mac = keccak(&[agreed, &aes]);
        let from_initiator = MacState::new(&mac, &transcript.responder_nonce, transcript.auth);
        let from_responder = MacState::new(&mac, &transcript.initiator_nonce, transcript.ack);
        let (egress, ingress) =
            if initiator { (from_initiator, from_responder) } else { (from_responder, from_initiator) };
        Self { aes, mac, egress, ingress }
    }
}

/// The running Keccak of one direction. Every header and body is absorbed, so frames cannot be reordered.
#[derive(Clone)]
pub struct MacState {
    keccak: Keccak256,
    cipher: Aes256,
}

impl std::fmt::Debug for MacState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MacState")
    }
}

impl MacState {
    fn new(mac_secret: &[u8; 32], nonce: &[u8; 32], packet: &[u8]) -> Self {
        let mut keccak = Keccak256::new();
        keccak.update(xor(mac_secret, nonce));
        keccak.update(packet);
        Self { keccak, cipher: Aes256::new(&(*mac_secret).into()) }
    }

    /// Absorbs bytes as they are.
    pub fn update(&mut self, bytes: &[u8]) {
        self.keccak.update(bytes);
    }

    /// The digest of everything absorbed so far; the state goes on.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        self.keccak.clone().finalize().into()
    }

    /// The MAC of an encrypted 16-byte frame header.
    #[must_use]
    pub fn header(&mut self, header: &[u8; 16]) -> [u8; 16] {
        self.mix(header)
    }

    /// Absorbs an encrypted frame body and returns its MAC.
    #[must_use]
    pub fn body(&mut self, body: &[u8]) -> [u8; 16] {
        self.keccak.update(body);
        let seed = head(&self.digest());
        self.mix(&seed)
    }

    fn mix(&mut self, seed: &[u8; 16]) -> [u8; 16] {
        let mut block = head(&self.digest()).into();
        self.cipher.encrypt_block(&mut block);
        self.keccak.update(xor(&block.into(), seed));
        head(&self.digest())
    }
}

fn keccak(parts: &[&[u8]]) -> [u8; 32] {
    let mut keccak = Keccak256::new();
    for part in parts {
        keccak.update(part);
    }
    keccak.finalize().into()
}

fn head(digest: &[u8; 32]) -> [u8; 16] {
    *digest.first_chunk().unwrap_or(&[0; 16])
}

/// Byte-wise exclusive or.
pub(crate) fn xor<const N: usize>(a: &[u8; N], b: &[u8; N]) -> [u8; N] {
    let mut out = *a;
    for (byte, other) in out.iter_mut().zip(b) {
        *byte ^= other;
    }
    out
}
