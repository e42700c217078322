//! Who is there: version, capabilities, addresses, ping.

use std::net::Ipv6Addr;

use neo_base::codec::{
    DecodeError, Result, Wire, read_list, read_var_bytes, read_var_text, write_list, write_var_bytes,
};
use shared_vendor::bytes::{Reader, Writer};

const MAX_CAPABILITIES: usize = 32;
const MAX_CAPABILITY_DATA: usize = 1024;
const MAX_USER_AGENT: usize = 1024;
/// Addresses of one message.
pub const MAX_ADDRESSES: usize = 200;

/// What a node offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Capability {
    /// 01: takes TCP connections on this port.
    TcpServer(u16),
    /// 02: takes WebSocket connections on this port; no longer used.
    WsServer(u16),
    /// 03: wants no compressed messages.
    DisableCompression,
    /// 10: has the chain up to this height.
    FullNode(u32),
    /// 11: has all blocks since genesis.
    ArchivalNode,
    /// Any other, kept as it is.
    Unknown(u8, Vec<u8>),
}

impl Capability {
    fn kind(&self) -> u8 {
        match self {
            Self::TcpServer(_) => 0x01,
            Self::WsServer(_) => 0x02,
            Self::DisableCompression => 0x03,
            Self::FullNode(_) => 0x10,
            Self::ArchivalNode => 0x11,
            Self::Unknown(kind, _) => *kind,
        }
    }
}

impl Wire for Capability {
    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        Ok(match reader.u8()? {
            0x01 => Self::TcpServer(reader.u16_le()?),
            0x02 => Self::WsServer(reader.u16_le()?),
            0x10 => Self::FullNode(reader.u32_le()?),
            0x11 if reader.u8()? == 0 => Self::ArchivalNode,
            0x11 => return Err(DecodeError::Invalid("archival capability carries data")),
            kind => match read_var_bytes(reader, MAX_CAPABILITY_DATA)? {
                [] if kind == 0x03 => Self::DisableCompression,
                data => Self::Unknown(kind, data.to_vec()),
            },
        })
    }

    fn write(&self, writer: &mut Writer) {
        writer.u8(self.kind());
        match self {
            Self::TcpServer(port) | Self::WsServer(port) => {
                writer.u16_le(*port);
            }
            Self::FullNode(height) => {
                writer.u32_le(*height);
            }
            Self::DisableCompression | Self::ArchivalNode => {
                writer.u8(0);
            }
            Self::Unknown(_, data) => write_var_bytes(writer, data),
        }
    }
}

fn read_capabilities(reader: &mut Reader<'_>) -> Result<Vec<Capability>> {
    let capabilities: Vec<Capability> = read_list(reader, MAX_CAPABILITIES, 2)?;
    let mut kinds: Vec<u8> = capabilities
        .iter()
        .filter(|capability| !matches!(capability, Capability::Unknown(..)))
        .map(Capability::kind)
        .collect();
    kinds.sort_unstable();
    if kinds.windows(2).any(|pair| matches!(pair, [a, b] if a == b)) {
        return Err(DecodeError::Invalid("a capability is stated twice"));
    }
    Ok(capabilities)
}

/// The first message of both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Magic number of the network.
    pub network: u32,
    /// Version of the protocol: 0.
    pub version: u32,
    /// Seconds since 1970.
    pub timestamp: u32,
    /// Drawn at start; tells a connection to oneself.
    pub nonce: u32,
    /// Name and version of the program, at most 1,024 bytes.
    pub user_agent: String,
    /// What it offers, at most 32.
    pub capabilities: Vec<Capability>,
}

impl Wire for Version {
    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        Ok(Self {
            network: reader.u32_le()?,
            version: reader.u32_le()?,
            timestamp: reader.u32_le()?,
            nonce: reader.u32_le()?,
            user_agent: read_var_text(reader, MAX_USER_AGENT)?,
            capabilities: read_capabilities(reader)?,
        })
    }

    fn write(&self, writer: &mut Writer) {
        writer.u32_le(self.network).u32_le(self.version).u32_le(self.timestamp).u32_le(self.nonce);
        write_var_bytes(writer, self.user_agent.as_bytes());
        write_list(writer, &self.capabilities);
    }
}

/// Where a node was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// When, in seconds since 1970.
    pub timestamp: u32,
    /// Its address; IPv4 mapped into IPv6.
    pub ip: Ipv6Addr,
    /// What it offers; a TCP server's port is where it can be dialled.
    pub capabilities: Vec<Capability>,
}

impl Wire for Address {
    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let timestamp = reader.u32_le()?;
        let ip = Ipv6Addr::from(reader.array::<16>()?);
        Ok(Self { timestamp, ip, capabilities: read_capabilities(reader)? })
    }

    fn write(&self, writer: &mut Writer) {
        writer.u32_le(self.timestamp).put(&self.ip.octets());
        write_list(writer, &self.capabilities);
    }
}

/// Addresses of other nodes: 1 to [`MAX_ADDRESSES`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressList(pub Vec<Address>);

impl Wire for AddressList {
    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        match read_list(reader, MAX_ADDRESSES, 21)? {
            empty if empty.is_empty() => Err(DecodeError::Invalid("a list of addresses is empty")),
            addresses => Ok(Self(addresses)),
        }
    }

    fn write(&self, writer: &mut Writer) {
        write_list(writer, &self.0);
    }
}

/// A sign of life with the sender's height; the answer has the same form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ping {
    /// Height of the sender's chain.
    pub last_block: u32,
    /// Seconds since 1970.
    pub timestamp: u32,
    /// Ties the answer to the question.
    pub nonce: u32,
}

impl Wire for Ping {
    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        Ok(Self { last_block: reader.u32_le()?, timestamp: reader.u32_le()?, nonce: reader.u32_le()? })
    }

    fn write(&self, writer: &mut Writer) {
        writer.u32_le(self.last_block).u32_le(self.timestamp).u32_le(self.nonce);
    }
}
