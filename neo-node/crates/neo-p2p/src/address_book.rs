//! Where other nodes can be dialled, and who is not talked to for a while. Mirrors the lists of unconnected peers in
//! `Peer.cs` and neo-go's `network/discovery.go`.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use shared_vendor::clock::Time;

use crate::payload::{Address, Capability};

/// Addresses that are remembered.
const CAPACITY: usize = 1_000;
/// First pause after a failed attempt; it doubles up to the last.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LAST_PAUSE: Duration = Duration::from_secs(10 * 60);
/// Failures in a row after which an address is forgotten, unless it was named by the operator.
const MAX_FAILURES: u32 = 8;
/// How long an address is not talked to after an offence.
const BAN: Duration = Duration::from_secs(24 * 3_600);

/// The state of one address.
#[derive(Debug, Clone, Copy)]
struct Entry {
    seed: bool,
    failures: u32,
    not_before: Time,
    in_use: bool,
}

/// The book.
#[derive(Debug, Default)]
pub struct AddressBook {
    entries: BTreeMap<SocketAddr, Entry>,
    banned: BTreeMap<IpAddr, Time>,
}

impl AddressBook {
    /// Adds an address that the operator has named; it is never forgotten.
    pub fn add_seed(&mut self, address: SocketAddr) {
        let entry = Entry { seed: true, failures: 0, not_before: Time::ZERO, in_use: false };
        self.entries.entry(address).and_modify(|entry| entry.seed = true).or_insert(entry);
    }

    /// Adds what a peer has told, as far as there is room and it can be dialled.
    pub fn learn(&mut self, addresses: &[Address]) {
        for address in addresses {
            let port = address.capabilities.iter().find_map(|capability| match capability {
                Capability::TcpServer(port) => Some(*port),
                _ => None,
            });
            let ip = IpAddr::V6(address.ip).to_canonical();
            let Some(port) = port.filter(|port| *port != 0 && !ip.is_unspecified() && !ip.is_multicast())
            else {
                continue;
            };
            if self.entries.len() >= CAPACITY {
                return;
            }
            let entry = Entry { seed: false, failures: 0, not_before: Time::ZERO, in_use: false };
            self.entries.entry(SocketAddr::new(ip, port)).or_insert(entry);
        }
    }

    /// Up to `count` addresses to dial now: those with the fewest failures first. They count as in use.
    pub fn take(&mut self, now: Time, count: usize) -> Vec<SocketAddr> {
        let mut ready: Vec<_> = self
            .entries
            .iter()
            .filter(|(address, entry)| {
                !entry.in_use && entry.not_before <= now && !self.is_banned(now, address.ip())
            })
            .map(|(address, entry)| (entry.failures, *address))
            .collect();
        ready.sort_unstable();
        let chosen: Vec<_> = ready.into_iter().take(count).map(|(_, address)| address).collect();
        for address in &chosen {
            if let Some(entry) = self.entries.get_mut(address) {
                entry.in_use = true;
            }
        }
        chosen
    }

    /// A connection to an address has ended, or was never made.
    pub fn release(&mut self, now: Time, address: SocketAddr, was_ready: bool) {
        let Some(entry) = self.entries.get_mut(&address) else { return };
        entry.in_use = false;
        entry.failures = if was_ready { 0 } else { entry.failures.saturating_add(1) };
        let pause = FIRST_PAUSE.saturating_mul(1 << entry.failures.min(16)).min(LAST_PAUSE);
        entry.not_before = now.after(pause);
        if entry.failures >= MAX_FAILURES && !entry.seed {
            self.entries.remove(&address);
        }
    }

    /// The node at an address turned out to be this one: it is never dialled again.
    pub fn forget(&mut self, address: SocketAddr) {
        if let Some(entry) = self.entries.get_mut(&address) {
            entry.in_use = true;
        }
    }

    /// Nobody talks to this address for a while. Loopback is shared by everything on this machine and never banned.
    pub fn ban(&mut self, now: Time, ip: IpAddr) {
        let ip = ip.to_canonical();
        if !ip.is_loopback() {
            self.banned.retain(|_, until| *until > now);
            if self.banned.len() < CAPACITY {
                self.banned.insert(ip, now.after(BAN));
            }
        }
    }

    /// Whether nobody talks to this address.
    #[must_use]
    pub fn is_banned(&self, now: Time, ip: IpAddr) -> bool {
        self.banned.get(&ip.to_canonical()).is_some_and(|until| *until > now)
    }

    /// Addresses that are known and not connected.
    #[must_use]
    pub fn unconnected(&self) -> Vec<SocketAddr> {
        self.entries.iter().filter(|(_, entry)| !entry.in_use).map(|(address, _)| *address).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(last: u8, port: u16) -> Address {
        let ip = std::net::Ipv4Addr::new(10, 0, 0, last).to_ipv6_mapped();
        Address { timestamp: 0, ip, capabilities: vec![Capability::TcpServer(port)] }
    }

    #[test]
    fn a_failing_address_is_tried_less_and_less_and_then_forgotten_unless_it_is_a_seed() {
        let mut book = AddressBook::default();
        book.add_seed("10.0.0.9:1".parse().unwrap());
        book.learn(&[told(1, 5), told(2, 0)]);
        let (mut now, mut tries) = (Time::ZERO, 0);
        for _ in 0..2_000 {
            for address in book.take(now, 5) {
                tries += 1;
                book.release(now, address, false);
            }
            now = now.after(Duration::from_secs(1));
        }
        assert!(tries < 25, "{tries}");
        assert_eq!(book.unconnected(), ["10.0.0.9:1".parse().unwrap()]);
    }

    #[test]
    fn a_banned_address_is_not_dialled() {
        let mut book = AddressBook::default();
        book.learn(&[told(1, 5)]);
        book.ban(Time::ZERO, "10.0.0.1".parse().unwrap());
        book.ban(Time::ZERO, "127.0.0.1".parse().unwrap());
        assert!(book.take(Time::ZERO, 5).is_empty());
        assert!(!book.is_banned(Time::ZERO, "127.0.0.1".parse().unwrap()));
        assert_eq!(book.take(Time::ZERO.after(BAN), 5).len(), 1);
    }
}
