//! The base protocol: Hello, Disconnect, Ping, Pong. Mirrors `org/ethereum/net/p2p` of rskj.

use std::fmt;

use crate::{
    codec::rlp::{Items, encode_list},
    rlpx::NodeId,
    wire::WireError,
};

/// Version that we announce: one frame per message. Peers answer with the same.
pub const P2P_VERSION: u64 = 4;
/// Versions a peer may announce; 5 splits long messages into chunks.
pub const ACCEPTED_P2P_VERSIONS: std::ops::RangeInclusive<u64> = 4..=5;
/// Name and version of the capability that every Rootstock node must have.
pub const RSK_CAPABILITY: (&str, u64) = ("rsk", 62);

/// Said by nodes that pack protocol messages (code 0x18) with raw Snappy where the other end says so, too. Only ours do:
/// the reference knows neither the capability nor compression, and takes no code offset for what it does not know.
pub const PACKED_CAPABILITY: (&str, u64) = ("rustock-snappy", 1);

/// Longest client name that is kept, in bytes.
const MAX_CLIENT_BYTES: usize = 256;
const MAX_CAPABILITIES: usize = 64;

/// Frame codes of this protocol; the capability's own codes start at 0x10.
pub mod code {
    /// [`super::Hello`].
    pub const HELLO: u8 = 0;
    /// [`super::Reason`].
    pub const DISCONNECT: u8 = 1;
    /// Empty list; answered with [`PONG`].
    pub const PING: u8 = 2;
    /// Empty list.
    pub const PONG: u8 = 3;
    /// Never answered by the reference.
    pub const GET_PEERS: u8 = 4;
    /// Never sent by the reference.
    pub const PEERS: u8 = 5;
}

/// Payload of Ping and Pong.
pub const EMPTY_LIST: [u8; 1] = [0xc0];

/// The first frame in each direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Version of the base protocol.
    pub version: u64,
    /// Name of the program; untrusted text.
    pub client: String,
    /// Protocols the node speaks.
    pub capabilities: Vec<(String, u64)>,
    /// TCP port the node listens on.
    pub port: u64,
    /// The node's id; must equal the key of the handshake.
    pub id: NodeId,
}

impl Hello {
    /// True when the node speaks the protocol of [`RSK_CAPABILITY`].
    #[must_use]
    pub fn speaks_rsk(&self) -> bool {
        self.capabilities.iter().any(|(name, version)| (name.as_str(), *version) == RSK_CAPABILITY)
    }

    /// True when the node packs messages for those who can unpack them.
    #[must_use]
    pub fn packs(&self) -> bool {
        self.capabilities.iter().any(|(name, version)| (name.as_str(), *version) == PACKED_CAPABILITY)
    }

    /// The payload.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode_list(|list| {
            list.u64(self.version).string(self.client.as_bytes());
            list.list(|capabilities| {
                for (name, version) in &self.capabilities {
                    capabilities.list(|capability| {
                        capability.string(name.as_bytes()).u64(*version);
                    });
                }
            });
            list.u64(self.port).string(&self.id.0);
        })
    }

    /// Reads the payload; further items are ignored.
    ///
    /// # Errors
    /// Not a list of these fields, or too many capabilities.
    pub fn decode(payload: &[u8]) -> Result<Self, WireError> {
        let mut list = Items::new(payload).list()?;
        let version = list.u64()?;
        let client = list.string()?;
        let client = String::from_utf8_lossy(client.get(..MAX_CLIENT_BYTES).unwrap_or(client)).into_owned();
        let mut items = list.list()?;
        let mut capabilities = Vec::new();
        while !items.is_empty() {
            if capabilities.len() == MAX_CAPABILITIES {
                return Err(WireError::TooMany { limit: MAX_CAPABILITIES });
            }
            let mut capability = items.list()?;
            let name = String::from_utf8_lossy(capability.string()?).into_owned();
            capabilities.push((name, capability.u64()?));
        }
        Ok(Self { version, client, capabilities, port: list.u64()?, id: NodeId(list.array()?) })
    }
}

/// Why a connection ends, as told to the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reason(pub u8);

impl Reason {
    /// The operator or the program asked for it.
    pub const REQUESTED: Self = Self(0x00);
    /// The socket failed.
    pub const TCP_ERROR: Self = Self(0x01);
    /// A message broke the protocol.
    pub const BAD_PROTOCOL: Self = Self(0x02);
    /// The peer has nothing we need.
    pub const USELESS_PEER: Self = Self(0x03);
    /// All places are taken.
    pub const TOO_MANY_PEERS: Self = Self(0x04);
    /// This peer is already connected.
    pub const DUPLICATE_PEER: Self = Self(0x05);
    /// No common version.
    pub const INCOMPATIBLE_PROTOCOL: Self = Self(0x06);
    /// Sent by rskj for a wrong network id.
    pub const NULL_IDENTITY: Self = Self(0x07);
    /// The program is stopping.
    pub const PEER_QUITTING: Self = Self(0x08);
    /// Another key than expected.
    pub const UNEXPECTED_IDENTITY: Self = Self(0x09);
    /// Connected to itself.
    pub const LOCAL_IDENTITY: Self = Self(0x0a);
    /// No answer to a ping.
    pub const PING_TIMEOUT: Self = Self(0x0b);
    /// The peer follows another chain.
    pub const UNEXPECTED_GENESIS: Self = Self(0x11);
    /// Anything else.
    pub const UNKNOWN: Self = Self(0xff);

    /// The payload.
    #[must_use]
    pub fn encode(self) -> Vec<u8> {
        encode_list(|list| {
            list.string(&[self.0]);
        })
    }

    /// Reads the payload; anything unreadable is [`Reason::UNKNOWN`], since the connection ends either way.
    #[must_use]
    pub fn decode(payload: &[u8]) -> Self {
        let read = || Items::new(payload).list()?.string();
        match read() {
            Ok([]) => Self::REQUESTED,
            Ok([code, ..]) => Self(*code),
            Err(_) => Self::UNKNOWN,
        }
    }

    /// A short stable name, for logs and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::REQUESTED => "requested",
            Self::TCP_ERROR => "tcp_error",
            Self::BAD_PROTOCOL => "bad_protocol",
            Self::USELESS_PEER => "useless_peer",
            Self::TOO_MANY_PEERS => "too_many_peers",
            Self::DUPLICATE_PEER => "duplicate_peer",
            Self::INCOMPATIBLE_PROTOCOL => "incompatible_protocol",
            Self::NULL_IDENTITY => "null_identity",
            Self::PEER_QUITTING => "peer_quitting",
            Self::UNEXPECTED_IDENTITY => "unexpected_identity",
            Self::LOCAL_IDENTITY => "local_identity",
            Self::PING_TIMEOUT => "ping_timeout",
            Self::UNEXPECTED_GENESIS => "unexpected_genesis",
            Self(0x10) => "user_reason",
            Self(_) => "unknown",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
