//! `version`: the first message of a connection.

use fluxd_primitives::{
    DecodeError,
    codec::{Codec, Reader, Writer, compact_size, put_var_bytes},
};

use super::address::NetAddress;

/// The version that this node speaks.
pub const PROTOCOL_VERSION: i32 = 170_021;
/// Compact blocks, compact headers and announcements by header from this version on.
pub const COMPACT_VERSION: i32 = 170_021;
/// The node serves blocks.
pub const NODE_NETWORK: u64 = 1;
/// The node serves filtered connections.
pub const NODE_BLOOM: u64 = 1 << 2;
/// Most bytes of a user agent.
pub const MAX_USER_AGENT: usize = 256;

/// What a node says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Protocol version.
    pub version: i32,
    /// Services, a set of bits.
    pub services: u64,
    /// Its clock, Unix seconds.
    pub time: i64,
    /// The address at which it sees the receiver.
    pub receiver: NetAddress,
    /// Its own address, if it knows one.
    pub sender: NetAddress,
    /// Random; finds connections to oneself.
    pub nonce: u64,
    /// Name of its program; untrusted text.
    pub user_agent: String,
    /// Height of its best chain.
    pub height: i32,
    /// False: no transactions until a filter is loaded.
    pub relay: bool,
}

impl Codec for Version {
    const MIN_BYTES: usize = 46;

    /// Everything behind the receiver's address may be left out.
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut version = Self {
            version: reader.i32_le()?,
            services: reader.u64_le()?,
            time: reader.i64_le()?,
            receiver: NetAddress::decode(reader)?,
            sender: NetAddress::default(),
            nonce: 1,
            user_agent: String::new(),
            height: -1,
            relay: true,
        };
        if !reader.is_empty() {
            version.sender = NetAddress::decode(reader)?;
            version.nonce = reader.u64_le()?;
        }
        if !reader.is_empty() {
            let len = compact_size(reader)?;
            version.user_agent = String::from_utf8_lossy(reader.bounded(len, MAX_USER_AGENT)?).into_owned();
        }
        if !reader.is_empty() {
            version.height = reader.i32_le()?;
        }
        if !reader.is_empty() {
            version.relay = reader.u8()? != 0;
        }
        Ok(version)
    }

    fn encode(&self, writer: &mut Writer) {
        writer.i32_le(self.version).u64_le(self.services).i64_le(self.time);
        self.receiver.encode(writer);
        self.sender.encode(writer);
        writer.u64_le(self.nonce);
        put_var_bytes(writer, self.user_agent.as_bytes());
        writer.i32_le(self.height).u8(u8::from(self.relay));
    }
}

/// Keeps the characters that the reference keeps of untrusted text (`SanitizeString`).
#[must_use]
pub fn sanitize(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_alphanumeric() || " .,;-_/:?@()".contains(*c)).collect()
}
