//! What a peer must say about itself before anything else is heard. Pure: time and the peer's standing come as
//! arguments. Mirrors `handleHandshake` and `shouldDisconnect` of `network/peer/peer.go`, rule by rule in their order.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

use avalanche_crypto::{bls, staking::Certificate};
use avalanche_ids::Id;
use avalanche_proto::p2p;
use avalanche_utils::bloom::{BloomError, Filter};

use crate::{
    signed_ip::{SignedIp, SignedIpError, UnsignedIp},
    version::{self, Version},
};

/// Seconds by which clocks may differ.
pub const MAX_CLOCK_DIFFERENCE: u64 = 60;
/// Subnets beside the primary network that a peer may track.
pub const MAX_TRACKED_SUBNETS: usize = 16;
/// Longest salt of a bloom filter, in bytes.
pub const MAX_BLOOM_SALT_LEN: usize = 32;
/// The proposals that peers state their support of or objection to. The release this node follows lists none.
pub const CURRENT_ACPS: [u32; 0] = [];

/// Which rule a handshake breaks. The connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// The peer is on another network.
    #[error("peer is on network {0}")]
    Network(u32),
    /// The clocks differ by more than [`MAX_CLOCK_DIFFERENCE`].
    #[error("peer's clock is at {0}")]
    Clock(u64),
    /// More subnets than [`MAX_TRACKED_SUBNETS`].
    #[error("peer tracks {0} subnets")]
    TooManySubnets(usize),
    /// A subnet id that has not 32 bytes.
    #[error("malformed subnet id")]
    SubnetId,
    /// Support of and objection to the same proposal.
    #[error("peer supports and objects to the same proposal")]
    Acps,
    /// A bloom filter that cannot be read.
    #[error("malformed filter of known peers")]
    KnownPeers(#[from] BloomError),
    /// A salt longer than [`MAX_BLOOM_SALT_LEN`].
    #[error("salt of {0} bytes")]
    Salt(usize),
    /// An address of neither 4 nor 16 bytes.
    #[error("address of {0} bytes")]
    Address(usize),
    /// Port zero.
    #[error("port is zero")]
    Port,
    /// An address that is not signed by the peer's certificate, or in the future.
    #[error("address is not signed")]
    SignedIp(#[from] SignedIpError),
    /// A BLS signature that is none.
    #[error("malformed BLS signature")]
    BlsSignature,
    /// A release too old or of a later major version.
    #[error("incompatible version {}.{}.{}", .0.major, .0.minor, .0.patch)]
    Version(Version),
    /// A validator whose address is not signed by its registered BLS key.
    #[error("address is not signed by the validator's BLS key")]
    BlsKey,
}

/// What the rules depend on besides the message.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// Our network.
    pub network_id: u32,
    /// Unix seconds.
    pub now: u64,
    /// Granite's time, Unix seconds.
    pub upgrade_time: u64,
    /// What the peer showed in the TLS handshake.
    pub certificate: &'a Certificate,
    /// The key the peer registered as a validator of the primary network, if it did.
    pub validator_key: Option<&'a bls::PublicKey>,
}

/// What is known about a peer after its handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerInfo {
    /// Where it listens.
    pub ip: UnsignedIp,
    /// Signature of the address by its TLS key.
    pub tls_signature: Vec<u8>,
    /// Signature of the address by its BLS key.
    pub bls_signature: bls::Signature,
    /// Its release.
    pub version: Version,
    /// Its client's name; not compared with anything.
    pub client: String,
    /// When it thinks the network upgrades, Unix seconds.
    pub upgrade_time: u64,
    /// Subnets it tracks, always with the primary network.
    pub tracked_subnets: BTreeSet<Id>,
    /// True when it wants to hear of peers of all subnets.
    pub all_subnets: bool,
    /// Peers it knows, with the salt of the filter; None knows nobody.
    pub known_peers: Option<(Filter, Vec<u8>)>,
}

/// What this node says about itself to every peer.
#[derive(Debug, Clone)]
pub struct Announcement {
    /// Our network.
    pub network_id: u32,
    /// Granite's time, Unix seconds.
    pub upgrade_time: u64,
    /// Where we listen.
    pub signed_ip: SignedIp,
    /// Subnets we track beside the primary network.
    pub tracked_subnets: Vec<Id>,
    /// True to hear of peers of all subnets.
    pub all_subnets: bool,
}

/// Our client's name.
pub const CLIENT: &str = "avalanche-node";

impl Announcement {
    /// The first message to a peer at `now`, Unix seconds.
    #[must_use]
    pub fn message(&self, now: u64, known_peers: p2p::BloomFilter) -> p2p::Handshake {
        let SignedIp { ip, tls_signature, bls_signature } = &self.signed_ip;
        let Version { major, minor, patch } = version::CURRENT;
        p2p::Handshake {
            network_id: self.network_id,
            my_time: now,
            ip_addr: ip_bytes(ip.address.ip()),
            ip_port: u32::from(ip.address.port()),
            upgrade_time: self.upgrade_time,
            ip_signing_time: ip.timestamp,
            ip_node_id_sig: tls_signature.clone(),
            tracked_subnets: self.tracked_subnets.iter().map(|id| id.0.to_vec()).collect(),
            client: Some(p2p::Client { name: CLIENT.to_owned(), major, minor, patch }),
            supported_acps: Vec::new(),
            objected_acps: Vec::new(),
            known_peers: Some(known_peers),
            ip_bls_sig: bls_signature.to_bytes().to_vec(),
            all_subnets: self.all_subnets,
        }
    }
}

/// An address as messages carry it: 16 bytes, IPv4 mapped.
#[must_use]
pub fn ip_bytes(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
    .octets()
    .to_vec()
}

/// Checks a handshake.
///
/// # Errors
/// The first rule that is broken.
pub fn verify(message: &p2p::Handshake, context: &Context<'_>) -> Result<PeerInfo, HandshakeError> {
    if message.network_id != context.network_id {
        return Err(HandshakeError::Network(message.network_id));
    }
    if message.my_time.abs_diff(context.now) > MAX_CLOCK_DIFFERENCE {
        return Err(HandshakeError::Clock(message.my_time));
    }
    let tracked_subnets = tracked_subnets(&message.tracked_subnets)?;
    let contradicts = |acp: &u32| CURRENT_ACPS.contains(acp) && message.objected_acps.contains(acp);
    if message.supported_acps.iter().any(contradicts) {
        return Err(HandshakeError::Acps);
    }
    let known_peers = message.known_peers.as_ref().map(known_peers).transpose()?;
    let ip = UnsignedIp {
        address: socket_address(&message.ip_addr, message.ip_port)?,
        timestamp: message.ip_signing_time,
    };
    let max_timestamp = context.now.saturating_add(MAX_CLOCK_DIFFERENCE);
    ip.verify_tls(context.certificate, &message.ip_node_id_sig, max_timestamp)?;
    let bls_signature = <&[u8; bls::SIGNATURE_LEN]>::try_from(message.ip_bls_sig.as_slice())
        .ok()
        .and_then(|bytes| bls::Signature::from_bytes(bytes).ok())
        .ok_or(HandshakeError::BlsSignature)?;
    let client = message.client.clone().unwrap_or_default();
    let version = Version { major: client.major, minor: client.minor, patch: client.patch };
    if !version::is_compatible(version, context.now, context.upgrade_time) {
        return Err(HandshakeError::Version(version));
    }
    if context.validator_key.is_some_and(|key| !ip.verify_bls(key, &bls_signature)) {
        return Err(HandshakeError::BlsKey);
    }
    Ok(PeerInfo {
        ip,
        tls_signature: message.ip_node_id_sig.clone(),
        bls_signature,
        version,
        client: client.name,
        upgrade_time: message.upgrade_time,
        tracked_subnets,
        all_subnets: message.all_subnets,
        known_peers,
    })
}

fn tracked_subnets(subnets: &[Vec<u8>]) -> Result<BTreeSet<Id>, HandshakeError> {
    if subnets.len() > MAX_TRACKED_SUBNETS {
        return Err(HandshakeError::TooManySubnets(subnets.len()));
    }
    let ids =
        subnets.iter().map(|bytes| bytes.as_slice().try_into().map(Id).map_err(|_| HandshakeError::SubnetId));
    ids.chain([Ok(Id::EMPTY)]).collect()
}

/// Filter and salt of a message about known peers.
///
/// # Errors
/// [`HandshakeError::KnownPeers`] and [`HandshakeError::Salt`].
pub fn known_peers(message: &p2p::BloomFilter) -> Result<(Filter, Vec<u8>), HandshakeError> {
    let filter = Filter::parse(&message.filter)?;
    if message.salt.len() > MAX_BLOOM_SALT_LEN {
        return Err(HandshakeError::Salt(message.salt.len()));
    }
    Ok((filter, message.salt.clone()))
}

/// The address of a message; IPv4 within IPv6 becomes IPv4, and only the low 16 bits of the port count.
///
/// # Errors
/// [`HandshakeError::Address`] and [`HandshakeError::Port`].
pub fn socket_address(ip: &[u8], port: u32) -> Result<SocketAddr, HandshakeError> {
    let ip = match (<[u8; 4]>::try_from(ip), <[u8; 16]>::try_from(ip)) {
        (Ok(v4), _) => IpAddr::from(v4),
        (_, Ok(v6)) => IpAddr::from(v6).to_canonical(),
        _ => return Err(HandshakeError::Address(ip.len())),
    };
    match u16::try_from(port & u32::from(u16::MAX)) {
        Ok(0) | Err(_) => Err(HandshakeError::Port),
        Ok(port) => Ok(SocketAddr::new(ip, port)),
    }
}
