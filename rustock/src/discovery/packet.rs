//! Layout of a discovery packet: `keccak 32 ++ signature 65 ++ type 1 ++ data`. The hash covers everything after it,
//! the signature type and data. Mirrors `co/rsk/net/discovery/message`.

use std::net::SocketAddr;

use sha3::{Digest, Keccak256};
use shared_vendor::bytes::{ReadError, Reader, Writer};

use crate::{
    codec::rlp::{Encoder, Items, RlpError, encode_list},
    rlpx::{IdentityError, NodeId, NodeKey, recover},
};

/// Largest datagram that is read. Neighbours of 20 nodes with long names stay below.
pub const MAX_PACKET_BYTES: usize = 4_096;
/// Nodes in one answer.
pub const MAX_NEIGHBORS: usize = 20;
/// A longer list is hostile; the reference keeps the first 19 of more than 20.
const MAX_NEIGHBORS_READ: usize = 64;
/// A host name has at most 253 characters.
const MAX_HOST_BYTES: usize = 253;

/// Why a packet was ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// Shorter than its fixed parts.
    #[error("packet is cut short")]
    Short(#[from] ReadError),
    /// The hash does not cover what follows it.
    #[error("hash differs")]
    Hash,
    /// Nobody can have signed it.
    #[error("signature is impossible")]
    Signature(#[from] IdentityError),
    /// The type is none of the four.
    #[error("unknown packet type {0}")]
    Type(u8),
    /// The data is not the list that the type needs.
    #[error("malformed data")]
    Data(#[from] RlpError),
    /// An id that is not a version 4 UUID, a host that is no name, or a port above 65535.
    #[error("{0} is malformed")]
    Field(&'static str),
}

/// Pairs an answer with its question: a random UUID as 36 characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MessageId(String);

impl MessageId {
    /// A version 4 UUID from 16 random bytes.
    #[must_use]
    pub fn new(random: [u8; 16]) -> Self {
        let bits = u128::from_be_bytes(random) & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
        let (time, mid, high) = (bits >> 96, bits >> 80 & 0xffff, bits >> 64 & 0xffff);
        let (clock, node) = (bits >> 48 & 0xffff, bits & 0xffff_ffff_ffff);
        Self(format!("{time:08x}-{mid:04x}-{high:04x}-{clock:04x}-{node:012x}"))
    }

    fn read(bytes: &[u8]) -> Result<Self, PacketError> {
        let good = bytes.len() == 36
            && bytes.iter().enumerate().all(|(at, byte)| match at {
                8 | 13 | 18 | 23 => *byte == b'-',
                14 => *byte == b'4',
                19 => matches!(byte, b'8' | b'9' | b'a' | b'b' | b'A' | b'B'),
                _ => byte.is_ascii_hexdigit(),
            });
        match std::str::from_utf8(bytes) {
            Ok(text) if good => Ok(Self(text.to_owned())),
            _ => Err(PacketError::Field("message id")),
        }
    }
}

/// A node that somebody knows. The host is a name or an address as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbor {
    /// Name or address.
    pub host: String,
    /// Port, for UDP and TCP alike.
    pub port: u16,
    /// The node's id.
    pub id: NodeId,
}

/// What a packet says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// 1: are you there? Carries the sender's own host and port.
    Ping(String, u16),
    /// 2: yes. Carries the sender's own host and port.
    Pong(String, u16),
    /// 3: whom do you know? The id is ignored by the reference.
    FindNode(NodeId),
    /// 4: these.
    Neighbors(Vec<Neighbor>),
}

/// A packet whose hash and signature have been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Who signed it.
    pub sender: NodeId,
    /// Its id, or the id of the question.
    pub message: MessageId,
    /// Missing in packets of old nodes, which are let through.
    pub network_id: Option<u64>,
    /// What it says.
    pub body: Body,
}

/// Encodes and signs a packet.
#[must_use]
pub fn seal(key: &NodeKey, message: &MessageId, network_id: u64, body: &Body) -> Vec<u8> {
    let kind: u8 = match body {
        Body::Ping(..) => 1,
        Body::Pong(..) => 2,
        Body::FindNode(_) => 3,
        Body::Neighbors(_) => 4,
    };
    let data = encode_list(|list| {
        match body {
            Body::Ping(host, port) | Body::Pong(host, port) => {
                put_endpoint(list, host, *port);
                put_endpoint(list, host, *port);
            }
            Body::FindNode(target) => {
                list.string(&target.0);
            }
            Body::Neighbors(nodes) => {
                list.list(|nodes_list| {
                    for node in nodes {
                        nodes_list.list(|fields| {
                            let port = u64::from(node.port);
                            fields.string(node.host.as_bytes()).u64(port).u64(port).string(&node.id.0);
                        });
                    }
                });
            }
        }
        list.string(message.0.as_bytes()).u64(network_id);
    });
    let signed = [[kind].as_slice(), &data].concat();
    let signature = key.sign(Keccak256::digest(&signed).into());
    let mut rest = Writer::with_capacity(signed.len().saturating_add(65));
    rest.put(&signature).put(&signed);
    [Keccak256::digest(rest.as_slice()).as_slice(), rest.as_slice()].concat()
}

fn put_endpoint(list: &mut Encoder, host: &str, port: u16) {
    list.list(|endpoint| {
        endpoint.string(host.as_bytes()).u64(port.into()).u64(port.into());
    });
}

/// Checks and decodes a packet.
///
/// # Errors
/// The hash or the signature is wrong, or the data malformed.
pub fn open(bytes: &[u8]) -> Result<Packet, PacketError> {
    let mut reader = Reader::new(bytes);
    let hash: [u8; 32] = reader.array()?;
    if <[u8; 32]>::from(Keccak256::digest(reader.rest())) != hash {
        return Err(PacketError::Hash);
    }
    let signature = reader.array()?;
    let sender = recover(&signature, Keccak256::digest(reader.rest()).into())?;
    let kind = reader.u8()?;
    let mut list = Items::new(reader.rest()).list()?;
    let body = match kind {
        1 | 2 => {
            list.list()?;
            let mut endpoint = list.list()?;
            let (host, port) = (host(&mut endpoint)?, port(&mut endpoint)?);
            if kind == 1 { Body::Ping(host, port) } else { Body::Pong(host, port) }
        }
        3 => Body::FindNode(NodeId(list.array()?)),
        4 => Body::Neighbors(neighbors(list.list()?)?),
        other => return Err(PacketError::Type(other)),
    };
    let message = MessageId::read(list.string()?)?;
    let network_id = if list.is_empty() { None } else { Some(list.u64()?) };
    Ok(Packet { sender, message, network_id, body })
}

fn neighbors(mut list: Items<'_>) -> Result<Vec<Neighbor>, PacketError> {
    let mut out = Vec::new();
    while !list.is_empty() {
        if out.len() == MAX_NEIGHBORS_READ {
            return Err(PacketError::Field("list of nodes"));
        }
        let mut fields = list.list()?;
        let (host, port) = (host(&mut fields)?, port(&mut fields)?);
        fields.string()?;
        out.push(Neighbor { host, port, id: NodeId(fields.array()?) });
    }
    if out.len() > MAX_NEIGHBORS {
        out.truncate(MAX_NEIGHBORS.saturating_sub(1));
    }
    Ok(out)
}

fn host(list: &mut Items<'_>) -> Result<String, PacketError> {
    let bytes = list.string()?;
    let good = bytes.len() <= MAX_HOST_BYTES && bytes.iter().all(u8::is_ascii_graphic);
    match std::str::from_utf8(bytes) {
        Ok(text) if good => Ok(text.to_owned()),
        _ => Err(PacketError::Field("host")),
    }
}

fn port(list: &mut Items<'_>) -> Result<u16, PacketError> {
    u16::try_from(list.u64()?).map_err(|_| PacketError::Field("port"))
}

/// The address as the reference writes it in packets.
#[must_use]
pub fn host_of(address: SocketAddr) -> String {
    address.ip().to_canonical().to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ids_are_version_four_uuids_and_others_are_refused() {
        let id = MessageId::new([0xff; 16]);
        assert_eq!(id.0, "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(MessageId::read(id.0.as_bytes()), Ok(id));
        assert!(MessageId::read(b"ffffffff-ffff-1fff-bfff-ffffffffffff").is_err());
        assert!(MessageId::read(&[0xff; 32]).is_err());
    }

    #[test]
    fn altered_packets_are_refused() {
        let key = NodeKey::from_bytes([3; 32]).unwrap();
        let packet = seal(&key, &MessageId::new([1; 16]), 33, &Body::Ping("127.0.0.1".into(), 5050));
        assert_eq!(open(&packet).unwrap().sender, key.id());
        for at in 0..packet.len() {
            let mut bad = packet.clone();
            bad[at] ^= 1;
            assert_eq!(open(&bad), Err(PacketError::Hash));
            assert!(open(&packet[..at]).is_err());
        }
    }

    proptest! {
        #[test]
        fn any_signed_data_is_read_or_refused(kind: u8, data in proptest::collection::vec(any::<u8>(), 0..200)) {
            let key = NodeKey::from_bytes([3; 32]).unwrap();
            let signed = [&[kind][..], &data].concat();
            let rest = [&key.sign(Keccak256::digest(&signed).into())[..], &signed].concat();
            let _ = open(&[Keccak256::digest(&rest).as_slice(), &rest].concat());
        }
    }
}
