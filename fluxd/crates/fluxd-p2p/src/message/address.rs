//! Addresses of nodes on the wire: services, 16 bytes of IPv6 (or IPv4 inside), port in network order. Mirrors
//! `CAddress` of `src/protocol.h` and the predicates of `CNetAddr` in `src/netbase.cpp`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use fluxd_primitives::{
    DecodeError,
    codec::{Codec, Reader, Writer},
};

/// Where a node is and what it serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NetAddress {
    /// Services, a set of bits.
    pub services: u64,
    /// Address and port.
    pub socket: SocketAddr,
}

impl Default for NetAddress {
    fn default() -> Self {
        Self { services: 0, socket: SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)) }
    }
}

impl NetAddress {
    /// An address with IPv4 in its own form.
    #[must_use]
    pub fn new(services: u64, socket: SocketAddr) -> Self {
        Self { services, socket: SocketAddr::new(socket.ip().to_canonical(), socket.port()) }
    }
}

impl Codec for NetAddress {
    const MIN_BYTES: usize = 26;

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let services = reader.u64_le()?;
        let ip = Ipv6Addr::from(reader.array::<16>()?);
        Ok(Self::new(services, SocketAddr::new(IpAddr::V6(ip), reader.u16_be()?)))
    }

    fn encode(&self, writer: &mut Writer) {
        let ip = match self.socket.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        writer.u64_le(self.services).put(&ip.octets()).u16_be(self.socket.port());
    }
}

/// An address with the time it was last heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimedAddress {
    /// Unix seconds.
    pub time: u32,
    /// The address.
    pub address: NetAddress,
}

impl Codec for TimedAddress {
    const MIN_BYTES: usize = 30;

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { time: reader.u32_le()?, address: NetAddress::decode(reader)? })
    }

    fn encode(&self, writer: &mut Writer) {
        writer.u32_le(self.time);
        self.address.encode(writer);
    }
}

/// Whether an address can be reached over the public network (`IsRoutable`).
#[must_use]
pub fn is_routable(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            let shared = a == 100 && (64..128).contains(&b);
            let benchmark = a == 198 && (b == 18 || b == 19);
            !(ip.is_unspecified()
                || ip.is_loopback()
                || ip.is_private()
                || ip.is_link_local()
                || ip.is_documentation()
                || ip.is_broadcast()
                || a == 0
                || shared
                || benchmark)
        }
        IpAddr::V6(ip) => {
            let [first, second, ..] = ip.segments();
            let documentation = first == 0x2001 && second == 0xdb8;
            let orchid = first == 0x2001 && second & 0xfff0 == 0x10;
            !(ip.is_unspecified()
                || ip.is_loopback()
                || ip.is_unique_local()
                || ip.is_unicast_link_local()
                || documentation
                || orchid)
        }
    }
}

/// The network that an address belongs to for diversity: /16 of IPv4, /32 of IPv6 (`GetGroup`).
#[must_use]
pub fn group(ip: IpAddr) -> Vec<u8> {
    match ip.to_canonical() {
        ip if !is_routable(ip) => vec![0],
        IpAddr::V4(ip) => {
            let [a, b, ..] = Ipv4Addr::octets(&ip);
            vec![1, a, b]
        }
        IpAddr::V6(ip) => std::iter::once(2).chain(ip.octets().into_iter().take(4)).collect(),
    }
}
