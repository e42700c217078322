//! Addresses and networks that nobody talks to until a time, kept over restarts in `banlist.dat`. Mirrors
//! `CNode::Ban`, `CSubNet` and `CBanDB`; the file is our own.

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
};

use serde_json::{Value, json};

/// How long a ban lasts unless told otherwise (`-bantime`), seconds.
pub const BAN_SECONDS: i64 = 24 * 60 * 60;
/// Most entries that misbehaviour can add; the one that ends first makes room.
const MAX_ENTRIES: usize = 10_000;

/// A network: an address and how many of its leading bits count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subnet {
    /// First address, as IPv6.
    base: u128,
    /// Bits, of 128.
    bits: u8,
}

impl Subnet {
    /// One address.
    #[must_use]
    pub fn single(ip: IpAddr) -> Self {
        Self { base: wide(ip), bits: 128 }
    }

    /// Whether an address is in it.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        wide(ip) & mask(self.bits) == self.base
    }
}

fn wide(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

fn mask(bits: u8) -> u128 {
    u128::MAX.checked_shl(128_u32.saturating_sub(bits.into())).unwrap_or_default()
}

/// The text is no network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an address or network")]
pub struct NotASubnet;

impl FromStr for Subnet {
    type Err = NotASubnet;

    /// `1.2.3.4`, `1.2.3.0/24`, `1.2.3.0/255.255.255.0`, and the same with IPv6.
    fn from_str(text: &str) -> Result<Self, NotASubnet> {
        let (ip, suffix) = text.split_once('/').map_or((text, None), |(ip, suffix)| (ip, Some(suffix)));
        let ip: IpAddr = ip.parse().map_err(|_| NotASubnet)?;
        let offset = if ip.is_ipv4() { 96 } else { 0 };
        let bits = match suffix {
            None => 128,
            Some(suffix) => match (suffix.parse::<u8>(), suffix.parse::<IpAddr>()) {
                (Ok(bits), _) => bits.checked_add(offset).filter(|bits| *bits <= 128).ok_or(NotASubnet)?,
                (_, Ok(IpAddr::V4(netmask))) if ip.is_ipv4() => {
                    let ones = netmask.to_bits().leading_ones();
                    let plain = netmask.to_bits().count_ones() == ones;
                    u8::try_from(ones).ok().filter(|_| plain).ok_or(NotASubnet)?.saturating_add(offset)
                }
                (_, Ok(IpAddr::V6(netmask))) if ip.is_ipv6() => {
                    let ones = netmask.to_bits().leading_ones();
                    let plain = netmask.to_bits().count_ones() == ones;
                    u8::try_from(ones).ok().filter(|_| plain).ok_or(NotASubnet)?
                }
                _ => return Err(NotASubnet),
            },
        };
        Ok(Self { base: wide(ip) & mask(bits), bits })
    }
}

impl fmt::Display for Subnet {
    /// As the reference: IPv4 with a netmask in dots, IPv6 in full.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ip = Ipv6Addr::from_bits(self.base);
        match (ip.to_ipv4_mapped(), self.bits.checked_sub(96)) {
            (Some(ip), Some(bits)) => {
                let netmask = u32::MAX.checked_shl(32_u32.saturating_sub(bits.into())).unwrap_or_default();
                write!(f, "{ip}/{}", std::net::Ipv4Addr::from_bits(netmask))
            }
            _ => write!(f, "{ip}/{}", Ipv6Addr::from_bits(mask(self.bits))),
        }
    }
}

/// All bans.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bans {
    /// Until when, Unix seconds.
    entries: BTreeMap<Subnet, i64>,
}

impl Bans {
    /// Bans until a time; a longer ban stays.
    pub fn ban(&mut self, subnet: Subnet, until: i64) {
        if self.entries.len() >= MAX_ENTRIES
            && let Some(soonest) =
                self.entries.iter().min_by_key(|(_, until)| **until).map(|(subnet, _)| *subnet)
        {
            self.entries.remove(&soonest);
        }
        let entry = self.entries.entry(subnet).or_insert(until);
        *entry = (*entry).max(until);
    }

    /// Ends a ban of exactly this network; false when there was none.
    pub fn unban(&mut self, subnet: &Subnet) -> bool {
        self.entries.remove(subnet).is_some()
    }

    /// Ends all bans.
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// Whether an address is banned at `now`.
    #[must_use]
    pub fn is_banned(&self, ip: IpAddr, now: i64) -> bool {
        self.entries.iter().any(|(subnet, until)| now < *until && subnet.contains(ip))
    }

    /// Whether exactly this network is banned.
    #[must_use]
    pub fn has(&self, subnet: &Subnet) -> bool {
        self.entries.contains_key(subnet)
    }

    /// Bans with their ends, Unix seconds; those that have ended are forgotten.
    pub fn list(&mut self, now: i64) -> Vec<(Subnet, i64)> {
        self.entries.retain(|_, until| now < *until);
        self.entries.iter().map(|(subnet, until)| (*subnet, *until)).collect()
    }

    /// The bytes of `banlist.dat`.
    #[must_use]
    pub fn to_file(&self) -> Vec<u8> {
        let list: Vec<Value> = self
            .entries
            .iter()
            .map(|(subnet, until)| json!({ "subnet": subnet.to_string(), "until": until }))
            .collect();
        json!({ "version": 1, "bans": list }).to_string().into_bytes()
    }

    /// Reads `banlist.dat`; entries that are not understood are left out.
    #[must_use]
    pub fn from_file(bytes: &[u8]) -> Self {
        let value: Value = serde_json::from_slice(bytes).unwrap_or_default();
        let list = value.get("bans").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let entries = list.iter().take(MAX_ENTRIES).filter_map(|one| {
            Some((one.get("subnet")?.as_str()?.parse().ok()?, one.get("until")?.as_i64()?))
        });
        Self { entries: entries.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_written_in_three_forms_and_shown_in_one() {
        for (text, shown) in [
            ("127.0.0.1", "127.0.0.1/255.255.255.255"),
            ("127.0.0.77/24", "127.0.0.0/255.255.255.0"),
            ("10.1.2.3/255.255.0.0", "10.1.0.0/255.255.0.0"),
            ("0.0.0.0/0", "0.0.0.0/0.0.0.0"),
        ] {
            assert_eq!(text.parse::<Subnet>().unwrap().to_string(), shown);
            assert_eq!(shown.parse::<Subnet>().unwrap(), text.parse().unwrap());
        }
        let six: Subnet = "2001:4860:4860::8888/32".parse().unwrap();
        assert_eq!(six.to_string(), "2001:4860::/ffff:ffff::");
        assert_eq!("2001:4860::/ffff:ffff::".parse(), Ok(six));
        for bad in ["", "1.2.3", "1.2.3.4/33", "1.2.3.4/255.0.255.0", "::/129", "host"] {
            assert!(bad.parse::<Subnet>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_ban_holds_until_its_end_and_over_a_restart() {
        let mut bans = Bans::default();
        bans.ban("10.1.0.0/16".parse().unwrap(), 100);
        bans.ban("10.1.0.0/16".parse().unwrap(), 50);
        let mut again = Bans::from_file(&bans.to_file());
        assert_eq!(again, bans);
        let inside: IpAddr = "10.1.200.3".parse().unwrap();
        assert!(again.is_banned(inside, 99) && !again.is_banned(inside, 100));
        assert!(!again.is_banned("10.2.0.1".parse().unwrap(), 0));
        assert!(again.is_banned("::ffff:10.1.0.9".parse().unwrap(), 0));
        assert_eq!(again.list(100), []);
        assert_eq!(Bans::from_file(b"rubbish"), Bans::default());
    }
}
