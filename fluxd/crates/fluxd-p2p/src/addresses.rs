//! Who is known: addresses of nodes in buckets, so that no single network can fill the table, kept over restarts in
//! `peers.dat`. Addresses that worked are in the tried table, others in the new one. Mirrors `CAddrMan` of
//! `src/addrman.{h,cpp}`, except that an address has one place in the new table, not up to eight; the file is our own.

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, SocketAddr},
};

use rand::{RngExt, rngs::StdRng, seq::SliceRandom};
use serde_json::{Value, json};

use crate::{
    message::address::{NetAddress, TimedAddress, group, is_routable},
    siphash::siphash,
};

const NEW_BUCKETS: u64 = 1024;
const TRIED_BUCKETS: u64 = 256;
const BUCKET_SIZE: u64 = 64;
/// New buckets that addresses from one source network can reach.
const NEW_BUCKETS_PER_SOURCE: u64 = 64;
/// Tried buckets that addresses of one network can reach.
const TRIED_BUCKETS_PER_GROUP: u64 = 8;
const HORIZON: i64 = 30 * 24 * 60 * 60;
const RETRIES: u32 = 3;
const MAX_FAILURES: u32 = 10;
const FAILURE_HORIZON: i64 = 7 * 24 * 60 * 60;
/// Most addresses in answer to `getaddr`, and the percentage of all.
const ANSWER_MOST: usize = 2500;
const ANSWER_PERCENT: usize = 23;

#[derive(Debug, Clone, PartialEq)]
struct Entry {
    address: NetAddress,
    /// When it was last heard of, Unix seconds.
    time: i64,
    source: IpAddr,
    tried: bool,
    last_try: i64,
    last_success: i64,
    attempts: u32,
}

impl Entry {
    /// Not worth keeping.
    fn is_terrible(&self, now: i64) -> bool {
        if self.last_try > 0 && self.last_try >= now.saturating_sub(60) {
            return false;
        }
        self.time > now.saturating_add(600)
            || now.saturating_sub(self.time) > HORIZON
            || (self.last_success == 0 && self.attempts >= RETRIES)
            || (now.saturating_sub(self.last_success) > FAILURE_HORIZON && self.attempts >= MAX_FAILURES)
    }

    /// How willingly it is chosen, 0 to 1.
    fn chance(&self, now: i64) -> f64 {
        let recent = if now.saturating_sub(self.last_try) < 600 { 0.01 } else { 1.0 };
        recent * 0.66_f64.powi(i32::try_from(self.attempts.min(8)).unwrap_or(8))
    }
}

type Place = (u64, u64);

/// The table of addresses.
#[derive(Debug)]
pub struct Addresses {
    keys: (u64, u64),
    random: StdRng,
    entries: HashMap<SocketAddr, Entry>,
    new: BTreeMap<Place, SocketAddr>,
    tried: BTreeMap<Place, SocketAddr>,
    /// Addresses that only this machine can reach are taken too: test networks on loopback.
    local: bool,
}

impl Addresses {
    /// An empty table; its buckets depend on the generator.
    #[must_use]
    pub fn new(mut random: StdRng, local: bool) -> Self {
        let keys = (random.random(), random.random());
        Self { keys, random, entries: HashMap::new(), new: BTreeMap::new(), tried: BTreeMap::new(), local }
    }

    /// Known addresses.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True when none is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Takes addresses that `source` told. `penalty` seconds are taken off their times. Returns how many are new.
    pub fn add(&mut self, addresses: &[TimedAddress], source: IpAddr, penalty: i64, now: i64) -> usize {
        addresses.iter().filter(|address| self.add_one(address, source, penalty, now)).count()
    }

    fn add_one(&mut self, told: &TimedAddress, source: IpAddr, penalty: i64, now: i64) -> bool {
        let socket = told.address.socket;
        if socket.port() == 0 || !(self.local || is_routable(socket.ip())) {
            return false;
        }
        let told_time = i64::from(told.time);
        let time = if told_time <= 100_000_000 || told_time > now.saturating_add(600) {
            now.saturating_sub(5 * 24 * 60 * 60)
        } else {
            told_time.saturating_sub(if socket.ip() == source { 0 } else { penalty })
        };
        if let Some(entry) = self.entries.get_mut(&socket) {
            let online = now.saturating_sub(told_time) < 24 * 60 * 60;
            let interval = if online { 60 * 60 } else { 24 * 60 * 60 };
            if entry.time < time.saturating_sub(interval) {
                entry.time = time;
            }
            entry.address.services |= told.address.services;
            return false;
        }
        let entry = Entry {
            address: told.address,
            time,
            source,
            tried: false,
            last_try: 0,
            last_success: 0,
            attempts: 0,
        };
        self.put_new(entry, now)
    }

    /// A place in the new table that is taken is given up only by an address not worth keeping.
    fn put_new(&mut self, entry: Entry, now: i64) -> bool {
        let socket = entry.address.socket;
        let place = self.new_place(socket, entry.source);
        if let Some(holder) = self.new.get(&place).copied() {
            if self.entries.get(&holder).is_some_and(|held| !held.is_terrible(now)) {
                return false;
            }
            self.entries.remove(&holder);
        }
        self.new.insert(place, socket);
        self.entries.insert(socket, entry);
        true
    }

    /// A connection to this address is tried.
    pub fn attempt(&mut self, socket: SocketAddr, now: i64) {
        if let Some(entry) = self.entries.get_mut(&socket) {
            entry.last_try = now;
            entry.attempts = entry.attempts.saturating_add(1);
        }
    }

    /// A handshake with this address has succeeded: it moves to the tried table. Whoever held its place there goes
    /// back to the new one.
    pub fn good(&mut self, socket: SocketAddr, services: u64, now: i64) {
        let Some(entry) = self.entries.get_mut(&socket) else { return };
        entry.last_success = now;
        entry.last_try = now;
        entry.attempts = 0;
        entry.address.services = services;
        if std::mem::replace(&mut entry.tried, true) {
            return;
        }
        let source = entry.source;
        let new_place = self.new_place(socket, source);
        self.new.remove(&new_place);
        let place = self.tried_place(socket);
        if let Some(evicted) = self.tried.insert(place, socket)
            && let Some(mut entry) = self.entries.remove(&evicted)
        {
            entry.tried = false;
            self.put_new(entry, now);
        }
    }

    /// A connection to this address was alive until now.
    pub fn seen(&mut self, socket: SocketAddr, now: i64) {
        if let Some(entry) = self.entries.get_mut(&socket)
            && now.saturating_sub(entry.time) > 20 * 60
        {
            entry.time = now;
        }
    }

    /// An address to dial that `wanted` agrees to; from the new table only for trial connections. Gives up after a
    /// bounded number of draws.
    pub fn select(
        &mut self,
        new_only: bool,
        now: i64,
        wanted: impl Fn(SocketAddr) -> bool,
    ) -> Option<SocketAddr> {
        let mut factor = 1.0;
        for _ in 0..200 {
            let tried =
                !new_only && !self.tried.is_empty() && (self.new.is_empty() || self.random.random_bool(0.5));
            let (table, buckets) =
                if tried { (&self.tried, TRIED_BUCKETS) } else { (&self.new, NEW_BUCKETS) };
            let point = (self.random.random_range(0..buckets), self.random.random_range(0..BUCKET_SIZE));
            let (_, socket) = table.range(point..).next().or_else(|| table.iter().next())?;
            let socket = *socket;
            let chance = self.entries.get(&socket).map_or(0.0, |entry| entry.chance(now) * factor);
            if wanted(socket) && self.random.random_bool(chance.clamp(0.0, 1.0)) {
                return Some(socket);
            }
            factor *= 1.2;
        }
        None
    }

    /// What is told to a peer that asks.
    pub fn answer(&mut self, now: i64) -> Vec<TimedAddress> {
        let mut all: Vec<TimedAddress> = self
            .entries
            .values()
            .filter(|entry| !entry.is_terrible(now))
            .map(|entry| TimedAddress {
                time: u32::try_from(entry.time).unwrap_or_default(),
                address: entry.address,
            })
            .collect();
        all.sort_by_key(|one| one.address.socket);
        all.shuffle(&mut self.random);
        let most = self.entries.len().saturating_mul(ANSWER_PERCENT) / 100;
        all.truncate(most.clamp(all.len().min(1), ANSWER_MOST));
        all
    }

    /// The bytes of `peers.dat`.
    #[must_use]
    pub fn to_file(&self) -> Vec<u8> {
        let list: Vec<Value> = self
            .entries
            .values()
            .map(|entry| {
                json!([
                    entry.address.socket.to_string(),
                    entry.address.services,
                    entry.time,
                    entry.source.to_string(),
                    entry.tried,
                    entry.last_try,
                    entry.last_success,
                    entry.attempts,
                ])
            })
            .collect();
        json!({ "version": 1, "addresses": list }).to_string().into_bytes()
    }

    /// Adds what `peers.dat` holds; entries that are not understood are left out.
    pub fn load(&mut self, bytes: &[u8], now: i64) {
        let value: Value = serde_json::from_slice(bytes).unwrap_or_default();
        let list = value.get("addresses").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        for one in list {
            let Some(entry) = read_entry(one) else { continue };
            let (socket, services, tried) = (entry.address.socket, entry.address.services, entry.tried);
            let last = (entry.last_try, entry.last_success, entry.attempts);
            if self.put_new(Entry { tried: false, ..entry }, now) && tried {
                self.good(socket, services, now);
            }
            if let Some(entry) = self.entries.get_mut(&socket) {
                (entry.last_try, entry.last_success, entry.attempts) = last;
            }
        }
    }

    fn new_place(&self, socket: SocketAddr, source: IpAddr) -> Place {
        let source = group(source);
        let within = self.hash(&[b"n", &group(socket.ip()), &source]) % NEW_BUCKETS_PER_SOURCE;
        let bucket = self.hash(&[b"N", &source, &within.to_le_bytes()]) % NEW_BUCKETS;
        (bucket, self.slot(b"s", bucket, socket))
    }

    fn tried_place(&self, socket: SocketAddr) -> Place {
        let within = self.hash(&[b"t", socket.to_string().as_bytes()]) % TRIED_BUCKETS_PER_GROUP;
        let bucket = self.hash(&[b"T", &group(socket.ip()), &within.to_le_bytes()]) % TRIED_BUCKETS;
        (bucket, self.slot(b"S", bucket, socket))
    }

    fn slot(&self, table: &[u8], bucket: u64, socket: SocketAddr) -> u64 {
        self.hash(&[table, &bucket.to_le_bytes(), socket.to_string().as_bytes()]) % BUCKET_SIZE
    }

    fn hash(&self, parts: &[&[u8]]) -> u64 {
        siphash(self.keys, &parts.join(&0xff))
    }
}

fn read_entry(value: &Value) -> Option<Entry> {
    let [socket, services, time, source, tried, last_try, last_success, attempts] =
        value.as_array()?.as_slice()
    else {
        return None;
    };
    Some(Entry {
        address: NetAddress::new(services.as_u64()?, socket.as_str()?.parse().ok()?),
        time: time.as_i64()?,
        source: source.as_str()?.parse().ok()?,
        tried: tried.as_bool()?,
        last_try: last_try.as_i64()?,
        last_success: last_success.as_i64()?,
        attempts: u32::try_from(attempts.as_u64()?).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    const NOW: i64 = 1_700_000_000;

    fn table(seed: u64) -> Addresses {
        Addresses::new(StdRng::seed_from_u64(seed), false)
    }

    fn told(ip: [u8; 4]) -> TimedAddress {
        let socket = SocketAddr::from((ip, 16_125));
        TimedAddress { time: u32::try_from(NOW).unwrap() - 3600, address: NetAddress::new(1, socket) }
    }

    fn ip(ip: [u8; 4]) -> IpAddr {
        IpAddr::from(ip)
    }

    #[test]
    fn one_source_cannot_fill_the_table() {
        let mut table = table(1);
        let flood: Vec<_> =
            (0..60_000_u32).map(|n| told([(n % 200 + 20) as u8, (n >> 8) as u8, n as u8, 1])).collect();
        table.add(&flood, ip([8, 8, 8, 8]), 0, NOW);
        assert!(table.len() <= 64 * 64, "{}", table.len());
        let honest: Vec<_> = (0..200).map(|n| told([9, n, 1, 1])).collect();
        let taken = table.add(&honest, ip([77, 1, 1, 1]), 0, NOW);
        assert!(taken > 100, "{taken}");
    }

    #[test]
    fn addresses_that_worked_survive_a_restart_and_a_flood() {
        let mut table = table(2);
        let good: Vec<_> = (1..=20).map(|n| told([50 + n, 3, 3, 3])).collect();
        table.add(&good, ip([8, 8, 8, 8]), 0, NOW);
        for one in &good {
            table.good(one.address.socket, 1, NOW);
        }
        let tried = table.tried.len();
        assert!(tried >= 19, "{tried}");
        let mut again = self::table(3);
        again.load(&table.to_file(), NOW);
        assert_eq!((again.len(), again.tried.len()), (table.len(), tried));
        let flood: Vec<_> = (0..20_000_u32).map(|n| told([30, (n >> 8) as u8, n as u8, 1])).collect();
        again.add(&flood, ip([9, 9, 9, 9]), 0, NOW);
        assert_eq!(again.tried.len(), tried);
        let chosen = (0..200).filter_map(|_| again.select(false, NOW + 3600, |_| true));
        let from_tried = chosen.filter(|socket| again_tried(&good, *socket)).count();
        assert!((60..140).contains(&from_tried), "{from_tried}");
    }

    fn again_tried(good: &[TimedAddress], socket: SocketAddr) -> bool {
        good.iter().any(|one| one.address.socket == socket)
    }

    #[test]
    fn what_failed_too_often_is_neither_told_nor_kept() {
        let mut table = table(4);
        let one = told([60, 1, 1, 1]);
        table.add(&[one], ip([8, 8, 8, 8]), 0, NOW);
        for _ in 0..3 {
            table.attempt(one.address.socket, NOW);
        }
        assert_eq!(table.answer(NOW + 61).len(), 0);
        assert_eq!(table.answer(NOW + 1).len(), 1);
        assert_eq!(table.add(&[told([10, 0, 0, 1]), told([127, 0, 0, 1])], ip([8, 8, 8, 8]), 0, NOW), 0);
    }
}
