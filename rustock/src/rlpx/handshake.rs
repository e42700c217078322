//! The RLPx handshake: the initiator's auth packet, the responder's ack, and the secrets both derive.
//!
//! State machines over bytes: a driver reads exactly `needed()` bytes and hands them to `advance()`. We initiate in the
//! EIP-8 form; as responder we also take the older fixed-size form and answer in the form we were asked. rskj drops the
//! bytes of an incomplete packet, so a driver sends auth and ack with one write each.
//! Mirrors `EncryptionHandshake.java`, `HandshakeHandler.java` and the `Auth*Message*.java` classes of rskj.

use rand::RngExt;
use sha3::{Digest, Keccak256};
use shared_vendor::bytes::{ReadError, Reader, Writer};

use super::{
    ecies::{self, EciesError, Envelope},
    identity::{IdentityError, NodeId, NodeKey, Recoverable, recover},
    secrets::{Secrets, Transcript, xor},
};
use crate::codec::rlp::{self, Items, RlpError};

/// Size of the older auth packet; also the least that an EIP-8 auth may announce.
const PLAIN_AUTH_BYTES: usize = 65 + 32 + 64 + 32 + 1 + ecies::OVERHEAD;
/// Size of the older ack packet; also the least that an EIP-8 ack may announce.
const PLAIN_ACK_BYTES: usize = 64 + 32 + 1 + ecies::OVERHEAD;
/// rskj reads the size prefix as a signed 16-bit integer.
const MAX_PACKET_BYTES: usize = 0x7fff;
const PREFIX_BYTES: usize = 2;
const VERSION: u64 = 4;

/// Why a handshake failed.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// Fewer bytes than `needed()` were given, or a fixed-size body is cut short.
    #[error("handshake packet is cut short")]
    Short(#[from] ReadError),
    /// The announced size is outside what either form can have.
    #[error("handshake packet announces {size} bytes, which is out of range")]
    Size {
        /// What the prefix says.
        size: usize,
    },
    /// The packet was made for another key, or altered.
    #[error("handshake packet cannot be decrypted")]
    Ecies(#[from] EciesError),
    /// The body is not the list of fields that EIP-8 describes.
    #[error("handshake body is malformed")]
    Body(#[from] RlpError),
    /// A key or signature in the body is none.
    #[error("handshake names an impossible key")]
    Identity(#[from] IdentityError),
    /// `advance` was called after the handshake had ended.
    #[error("handshake is already over")]
    Over,
}

/// The randomness of one handshake; used once.
#[derive(Debug, Clone)]
pub struct Entropy {
    /// The key whose agreement gives the secrets.
    pub ephemeral: NodeKey,
    /// What both MAC states start from.
    pub nonce: [u8; 32],
    /// Key and counter block of the packet's own encryption.
    pub envelope: Envelope,
    /// 100 to 299 bytes that make the packet distinguishable from the older form.
    pub padding: Vec<u8>,
}

impl Entropy {
    /// Draws everything from `rng`.
    pub fn draw(rng: &mut impl rand::CryptoRng) -> Self {
        let mut nonce = [0; 32];
        let mut iv = [0; 16];
        rng.fill_bytes(&mut nonce);
        rng.fill_bytes(&mut iv);
        let mut padding = vec![0; rng.random_range(100..300)];
        rng.fill_bytes(&mut padding);
        Self {
            ephemeral: NodeKey::generate(rng),
            nonce,
            envelope: Envelope { key: NodeKey::generate(rng), iv },
            padding,
        }
    }
}

/// How a handshake ended well.
#[derive(Debug)]
pub struct Outcome {
    /// Who is at the other end.
    pub remote: NodeId,
    /// Keys of the frames.
    pub secrets: Secrets,
    /// The ack to send, in one write, before any frame. Empty for the initiator.
    pub reply: Vec<u8>,
}

/// Our end of a connection that we opened.
#[derive(Debug)]
pub struct Initiator {
    key: NodeKey,
    remote: NodeId,
    ephemeral: NodeKey,
    nonce: [u8; 32],
    auth: Vec<u8>,
    received: Vec<u8>,
}

impl Initiator {
    /// Builds the auth packet for `remote`, to be sent in one write.
    ///
    /// # Errors
    /// `remote` is not a point of the curve.
    pub fn new(key: NodeKey, remote: NodeId, entropy: Entropy) -> Result<(Self, Vec<u8>), HandshakeError> {
        let token = xor(&key.agree(&remote)?, &entropy.nonce);
        let signature = entropy.ephemeral.sign(token);
        let body = rlp::encode_list(|list| {
            list.string(&signature).string(&key.id().0).string(&entropy.nonce).u64(VERSION);
        });
        let auth = seal_eip8(&remote, body, &entropy)?;
        Ok((Self::resume(key, remote, entropy.ephemeral, entropy.nonce, auth.clone()), auth))
    }

    /// An initiator whose `auth` packet, made with these keys and this nonce, is already on its way.
    #[must_use]
    pub fn resume(key: NodeKey, remote: NodeId, ephemeral: NodeKey, nonce: [u8; 32], auth: Vec<u8>) -> Self {
        Self { key, remote, ephemeral, nonce, auth, received: Vec::new() }
    }

    /// How many bytes [`Initiator::advance`] takes next.
    #[must_use]
    pub fn needed(&self) -> usize {
        match size_prefix(&self.received) {
            None => PREFIX_BYTES,
            Some(size) => size,
        }
    }

    /// Takes the next bytes of the stream.
    ///
    /// # Errors
    /// The ack is malformed or was not made for us.
    pub fn advance(&mut self, bytes: &[u8]) -> Result<Option<Outcome>, HandshakeError> {
        self.received.extend_from_slice(bytes);
        let Some(size) = size_prefix(&self.received) else {
            return Err(ReadError::Short { offset: 0, needed: PREFIX_BYTES, left: bytes.len() }.into());
        };
        check_size(size, PLAIN_ACK_BYTES)?;
        if self.received.len() == PREFIX_BYTES {
            return Ok(None);
        }
        let ack = Ack::open(&self.key, &self.received)?;
        let transcript = Transcript {
            initiator_nonce: self.nonce,
            responder_nonce: ack.nonce,
            auth: &self.auth,
            ack: &self.received,
        };
        let secrets = Secrets::derive(&self.ephemeral.agree(&ack.ephemeral)?, &transcript, true);
        Ok(Some(Outcome { remote: self.remote, secrets, reply: Vec::new() }))
    }
}

/// Our end of a connection that a peer opened.
#[derive(Debug)]
pub struct Responder {
    key: NodeKey,
    entropy: Option<Entropy>,
    received: Vec<u8>,
}

impl Responder {
    /// Waits for the auth packet of whoever has connected.
    #[must_use]
    pub fn new(key: NodeKey, entropy: Entropy) -> Self {
        Self { key, entropy: Some(entropy), received: Vec::new() }
    }

    /// How many bytes [`Responder::advance`] takes next.
    #[must_use]
    pub fn needed(&self) -> usize {
        match size_prefix(&self.received) {
            None => PLAIN_AUTH_BYTES,
            Some(size) => (size.saturating_add(PREFIX_BYTES)).saturating_sub(self.received.len()),
        }
    }

    /// Takes the next bytes of the stream: first the size of the older form, then the rest of an EIP-8 packet.
    ///
    /// # Errors
    /// The auth packet is malformed, was made for another key, or signed by none.
    pub fn advance(&mut self, bytes: &[u8]) -> Result<Option<Outcome>, HandshakeError> {
        let first = self.received.is_empty();
        self.received.extend_from_slice(bytes);
        if first && let Ok(auth) = Auth::open_plain(&self.key, &self.received) {
            return self.answer(&auth, true).map(Some);
        }
        let size = size_prefix(&self.received).unwrap_or_default();
        check_size(size, PLAIN_AUTH_BYTES)?;
        if self.needed() > 0 {
            return Ok(None);
        }
        let auth = Auth::open(&self.key, &self.received)?;
        self.answer(&auth, false).map(Some)
    }

    fn answer(&mut self, auth: &Auth, plain: bool) -> Result<Outcome, HandshakeError> {
        let entropy = self.entropy.take().ok_or(HandshakeError::Over)?;
        let ack = if plain {
            let mut body = Writer::with_capacity(PLAIN_ACK_BYTES);
            body.put(&entropy.ephemeral.id().0).put(&entropy.nonce).u8(0);
            ecies::encrypt(&auth.remote, body.as_slice(), &[], &entropy.envelope)?
        } else {
            let body = rlp::encode_list(|list| {
                list.string(&entropy.ephemeral.id().0).string(&entropy.nonce).u64(VERSION);
            });
            seal_eip8(&auth.remote, body, &entropy)?
        };
        let transcript = Transcript {
            initiator_nonce: auth.nonce,
            responder_nonce: entropy.nonce,
            auth: &self.received,
            ack: &ack,
        };
        let secrets = Secrets::derive(&entropy.ephemeral.agree(&auth.ephemeral)?, &transcript, false);
        Ok(Outcome { remote: auth.remote, secrets, reply: ack })
    }
}

/// What an auth packet says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Auth {
    /// Who wants to talk.
    pub remote: NodeId,
    /// Recovered from the signature over the static agreement and the nonce.
    pub ephemeral: NodeId,
    /// The initiator's nonce.
    pub nonce: [u8; 32],
}

impl Auth {
    /// Opens an EIP-8 packet with its size prefix. Its version and any further fields are ignored, as the EIP demands.
    ///
    /// # Errors
    /// The packet cannot be decrypted with `key`, or its body is malformed.
    pub fn open(key: &NodeKey, packet: &[u8]) -> Result<Self, HandshakeError> {
        let body = open_eip8(key, packet)?;
        let mut list = Items::new(&body).list()?;
        let signature = list.array()?;
        let remote = NodeId(list.array()?);
        Self::recover(key, &signature, remote, list.array()?)
    }

    /// Opens the older packet of fixed size.
    ///
    /// # Errors
    /// The packet cannot be decrypted with `key`, or its body is malformed.
    pub fn open_plain(key: &NodeKey, packet: &[u8]) -> Result<Self, HandshakeError> {
        let body = ecies::decrypt(key, packet, &[])?;
        let mut reader = Reader::new(&body);
        let signature: Recoverable = reader.array()?;
        let claimed_hash: [u8; 32] = reader.array()?;
        let remote = NodeId(reader.array()?);
        let auth = Self::recover(key, &signature, remote, reader.array()?)?;
        if <[u8; 32]>::from(Keccak256::digest(auth.ephemeral.0)) != claimed_hash || reader.u8()? > 1 {
            return Err(IdentityError::Signature.into());
        }
        Ok(auth)
    }

    fn recover(
        key: &NodeKey,
        signature: &Recoverable,
        remote: NodeId,
        nonce: [u8; 32],
    ) -> Result<Self, HandshakeError> {
        let ephemeral = recover(signature, xor(&key.agree(&remote)?, &nonce))?;
        Ok(Self { remote, ephemeral, nonce })
    }
}

/// What an ack packet says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack {
    /// The responder's key of this connection.
    pub ephemeral: NodeId,
    /// The responder's nonce.
    pub nonce: [u8; 32],
}

impl Ack {
    /// Opens an EIP-8 packet with its size prefix.
    ///
    /// # Errors
    /// The packet cannot be decrypted with `key`, or its body is malformed.
    pub fn open(key: &NodeKey, packet: &[u8]) -> Result<Self, HandshakeError> {
        let body = open_eip8(key, packet)?;
        let mut list = Items::new(&body).list()?;
        Ok(Self { ephemeral: NodeId(list.array()?), nonce: list.array()? })
    }
}

fn seal_eip8(remote: &NodeId, mut body: Vec<u8>, entropy: &Entropy) -> Result<Vec<u8>, HandshakeError> {
    body.extend_from_slice(&entropy.padding);
    let size = body.len().saturating_add(ecies::OVERHEAD);
    let prefix = u16::try_from(size).map_err(|_| HandshakeError::Size { size })?.to_be_bytes();
    let sealed = ecies::encrypt(remote, &body, &prefix, &entropy.envelope)?;
    Ok([prefix.as_slice(), &sealed].concat())
}

fn open_eip8(key: &NodeKey, packet: &[u8]) -> Result<Vec<u8>, HandshakeError> {
    let mut reader = Reader::new(packet);
    let prefix: [u8; PREFIX_BYTES] = reader.array()?;
    let sealed = reader.bounded(u16::from_be_bytes(prefix).into(), MAX_PACKET_BYTES)?;
    reader.finish()?;
    Ok(ecies::decrypt(key, sealed, &prefix)?)
}

fn size_prefix(received: &[u8]) -> Option<usize> {
    received.first_chunk().map(|prefix| usize::from(u16::from_be_bytes(*prefix)))
}

fn check_size(size: usize, least: usize) -> Result<(), HandshakeError> {
    if (least..=MAX_PACKET_BYTES).contains(&size) { Ok(()) } else { Err(HandshakeError::Size { size }) }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;
    use crate::rlpx::FrameCodec;

    fn key(byte: u8) -> NodeKey {
        NodeKey::from_bytes([byte; 32]).unwrap()
    }

    fn entropy(seed: u64) -> Entropy {
        Entropy::draw(&mut StdRng::seed_from_u64(seed))
    }

    fn respond(packet: &[u8]) -> Result<Outcome, HandshakeError> {
        let mut responder = Responder::new(key(2), entropy(2));
        let mut rest = Reader::new(packet);
        loop {
            let needed = responder.needed();
            if let Some(outcome) = responder.advance(rest.take(needed)?)? {
                return Ok(outcome);
            }
        }
    }

    #[test]
    fn both_ends_derive_the_same_secrets_and_exchange_frames() {
        let (mut initiator, auth) = Initiator::new(key(1), key(2).id(), entropy(1)).unwrap();
        let responder = respond(&auth).unwrap();
        assert_eq!(responder.remote, key(1).id());
        let (prefix, rest) = responder.reply.split_at(2);
        assert!(initiator.advance(prefix).unwrap().is_none());
        assert_eq!(initiator.needed(), rest.len());
        let outcome = initiator.advance(rest).unwrap().unwrap();
        let (mut ours, mut theirs) = (FrameCodec::new(outcome.secrets), FrameCodec::new(responder.secrets));
        for payload in [&b"hello"[..], &[], &[7; 1000]] {
            let wire = ours.seal(0x18, payload).unwrap();
            let (header, body) = wire.split_at(theirs.needed());
            assert_eq!(theirs.advance(header), Ok(None));
            assert_eq!(theirs.needed(), body.len());
            assert_eq!(theirs.advance(body).unwrap().unwrap().payload, payload);
        }
    }

    #[test]
    fn the_older_form_is_answered_in_the_older_form() {
        let (alice, entropy_a) = (key(1), entropy(1));
        let token = xor(&alice.agree(&key(2).id()).unwrap(), &entropy_a.nonce);
        let mut body = Writer::new();
        body.put(&entropy_a.ephemeral.sign(token)).put(&entropy_a.ephemeral.id().keccak());
        body.put(&alice.id().0).put(&entropy_a.nonce).u8(0);
        let auth = ecies::encrypt(&key(2).id(), body.as_slice(), &[], &entropy_a.envelope).unwrap();
        assert_eq!(auth.len(), PLAIN_AUTH_BYTES);
        let outcome = respond(&auth).unwrap();
        assert_eq!(outcome.remote, alice.id());
        assert_eq!(outcome.reply.len(), PLAIN_ACK_BYTES);
        let ack = ecies::decrypt(&alice, &outcome.reply, &[]).unwrap();
        assert_eq!(ack.get(..64), Some(&entropy(2).ephemeral.id().0[..]));
    }

    #[test]
    fn altered_packets_are_refused() {
        let (_, auth) = Initiator::new(key(1), key(2).id(), entropy(1)).unwrap();
        for at in (0..auth.len()).step_by(17) {
            let mut bad = auth.clone();
            *bad.get_mut(at).unwrap() ^= 1;
            assert!(respond(&bad).is_err(), "byte {at}");
        }
    }
}
