//! What peers did, per node and per address, and for how long nobody talks to those who broke a rule.
//! Mirrors `co/rsk/scoring/{PeerScoring,PunishmentCalculator,ScoreCalculator}.java`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use shared_vendor::clock::Time;

use crate::rlpx::NodeId;

/// Nodes, and addresses, that are remembered.
const REMEMBERED: usize = 1_000;
const FIRST_PUNISHMENT: Duration = Duration::from_secs(12 * 60);
/// Each further punishment is longer by this many hundredths.
const INCREMENT_PERCENT: u32 = 10;
/// An address may be shared by innocents, so it is never banned for longer.
const LONGEST_FOR_ADDRESS: Duration = Duration::from_secs(6_000 * 60);
const LONGEST_FOR_NODE: Duration = Duration::from_secs(365 * 24 * 3_600);
/// A record without a punishment is forgotten after so much quiet.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3_600);

/// What a peer did, by the reference's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Event {
    InvalidBlock,
    ValidBlock,
    InvalidTransaction,
    ValidTransaction,
    FailedHandshake,
    SuccessfulHandshake,
    InvalidNetwork,
    IncompatibleProtocol,
    UnexpectedGenesis,
    Disconnection,
    RepeatedMessage,
    InvalidMessage,
    UnexpectedMessage,
    TimeoutMessage,
    InvalidHeader,
}

impl Event {
    fn change(self) -> Change {
        match self {
            Self::InvalidBlock
            | Self::InvalidTransaction
            | Self::InvalidMessage
            | Self::InvalidHeader
            | Self::InvalidNetwork => Change::Offence,
            Self::FailedHandshake
            | Self::SuccessfulHandshake
            | Self::RepeatedMessage
            | Self::UnexpectedMessage
            | Self::TimeoutMessage => Change::None,
            Self::ValidBlock
            | Self::ValidTransaction
            | Self::IncompatibleProtocol
            | Self::UnexpectedGenesis
            | Self::Disconnection => Change::Credit,
        }
    }

    /// One such event ends the reputation.
    fn is_banned_at_once(self) -> bool {
        matches!(self, Self::InvalidBlock | Self::InvalidMessage | Self::InvalidHeader)
    }
}

enum Change {
    Offence,
    Credit,
    None,
}

/// The record of one node or address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// Above zero for good conduct, below for offences.
    pub score: i32,
    /// Punishments so far.
    pub punishments: u32,
    /// Until when nobody talks to it.
    pub banned_until: Option<Time>,
    /// What it did since the last punishment ended, and how often.
    events: BTreeMap<Event, u32>,
    touched: Time,
}

impl Record {
    /// How often an event was seen since the last punishment ended.
    #[must_use]
    pub fn count(&self, event: Event) -> u32 {
        self.events.get(&event).copied().unwrap_or_default()
    }

    fn add(&mut self, now: Time, event: Event, longest: Duration) {
        self.touched = now;
        let count = self.events.entry(event).or_default();
        *count = count.saturating_add(1);
        match event.change() {
            Change::Offence => self.score = self.score.min(0).saturating_sub(1),
            Change::Credit if self.score >= 0 => self.score = self.score.saturating_add(1),
            Change::Credit | Change::None => {}
        }
        if event.is_banned_at_once() && !self.is_banned(now) {
            let factor = self.score.min(0).unsigned_abs().max(1);
            let length = punishment(self.punishments).saturating_mul(factor).min(longest);
            self.banned_until = Some(now.after(length));
            self.punishments = self.punishments.saturating_add(1);
        }
    }

    /// True while it serves a punishment.
    #[must_use]
    pub fn is_banned(&self, now: Time) -> bool {
        self.banned_until.is_some_and(|until| now < until)
    }

    /// When a punishment has been served, the counters start again; the number of punishments stays.
    fn forgive(&mut self, now: Time) {
        if self.banned_until.is_some_and(|until| until <= now) {
            self.banned_until = None;
            self.score = 0;
            self.events.clear();
        }
    }
}

fn punishment(previous: u32) -> Duration {
    let mut length = FIRST_PUNISHMENT;
    for _ in 0..previous.min(200) {
        length = length.saturating_add(length / 100 * INCREMENT_PERCENT);
    }
    length
}

/// Addresses that share their first bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Block {
    address: IpAddr,
    bits: u8,
}

/// Text that is no address and no block of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected an address, or a block such as 10.0.0.0/8")]
pub struct ParseBlockError;

impl Block {
    /// The neighbourhood that one operator is taken to hold: a /16, or a /32 of version 6.
    #[must_use]
    pub fn neighbourhood(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => {
                let first = Ipv4Addr::from_bits(address.to_bits() & 0xffff_0000);
                Self { address: first.into(), bits: 16 }
            }
            IpAddr::V6(address) => {
                let first = Ipv6Addr::from_bits(address.to_bits() >> 96 << 96);
                Self { address: first.into(), bits: 32 }
            }
        }
    }

    fn holds(&self, address: IpAddr) -> bool {
        let (ours, theirs, width) = match (self.address, address) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                (u128::from(ours.to_bits()), u128::from(theirs.to_bits()), 32_u32)
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => (ours.to_bits(), theirs.to_bits(), 128),
            _ => return false,
        };
        (ours ^ theirs).checked_shr(width.saturating_sub(u32::from(self.bits))).unwrap_or_default() == 0
    }
}

impl FromStr for Block {
    type Err = ParseBlockError;

    fn from_str(text: &str) -> Result<Self, ParseBlockError> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| ParseBlockError)?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(width), str::parse).map_err(|_| ParseBlockError)?;
        if (1..=width).contains(&bits) { Ok(Self { address, bits }) } else { Err(ParseBlockError) }
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = if self.address.is_ipv4() { 32 } else { 128 };
        if self.bits == width { self.address.fmt(f) } else { write!(f, "{}/{}", self.address, self.bits) }
    }
}

/// All records.
#[derive(Debug, Default)]
pub struct Scores {
    nodes: BTreeMap<NodeId, Record>,
    addresses: BTreeMap<IpAddr, Record>,
    /// Banned by hand, until they are unbanned.
    banned: BTreeSet<Block>,
}

impl Scores {
    /// Adds an event to the records of a node and of its address. Loopback addresses have no record: everything on
    /// this machine shares them.
    pub fn record(&mut self, now: Time, node: NodeId, address: IpAddr, event: Event) {
        make_room(&mut self.nodes, &node);
        self.nodes.entry(node).or_default().add(now, event, LONGEST_FOR_NODE);
        if !address.is_loopback() {
            make_room(&mut self.addresses, &address);
            self.addresses.entry(address).or_default().add(now, event, LONGEST_FOR_ADDRESS);
        }
    }

    /// True while the node or the address serves a punishment, or the operator has banned the address.
    pub fn is_banned(&mut self, now: Time, node: Option<&NodeId>, address: IpAddr) -> bool {
        let of_node = node.and_then(|node| self.nodes.get_mut(node));
        let mut banned = self.banned.iter().any(|block| block.holds(address));
        for record in of_node.into_iter().chain(self.addresses.get_mut(&address)) {
            record.forgive(now);
            banned |= record.is_banned(now);
        }
        banned
    }

    /// Bans an address or a block of addresses until it is taken back.
    pub fn ban(&mut self, block: Block) {
        self.banned.insert(block);
    }

    /// Takes a ban back.
    pub fn unban(&mut self, block: &Block) {
        self.banned.remove(block);
    }

    /// What is banned by hand.
    pub fn blocks(&self) -> impl Iterator<Item = &Block> {
        self.banned.iter()
    }

    /// The records of nodes.
    pub fn nodes(&self) -> impl Iterator<Item = (&NodeId, &Record)> {
        self.nodes.iter()
    }

    /// The records of addresses.
    pub fn addresses(&self) -> impl Iterator<Item = (&IpAddr, &Record)> {
        self.addresses.iter()
    }

    /// Forgets what a node did.
    pub fn clear_node(&mut self, node: &NodeId) {
        self.nodes.remove(node);
    }

    /// Forgets what an address did.
    pub fn clear_address(&mut self, address: &IpAddr) {
        self.addresses.remove(address);
    }

    /// The record of a node.
    #[must_use]
    pub fn of(&self, node: &NodeId) -> Record {
        self.nodes.get(node).cloned().unwrap_or_default()
    }

    /// What is to be kept over a restart, as text. `wall` is the time of day.
    #[must_use]
    pub fn save(&self, now: Time, wall: Duration) -> String {
        let line = |name: String, record: &Record| Line {
            name,
            score: record.score,
            punishments: record.punishments,
            banned_until: record.banned_until.map(|until| wall.saturating_add(until.since(now)).as_secs()),
            touched: wall.saturating_sub(now.since(record.touched)).as_secs(),
            events: record.events.clone(),
        };
        let kept = Kept {
            nodes: self.nodes.iter().map(|(id, record)| line(id.to_string(), record)).collect(),
            addresses: self
                .addresses
                .iter()
                .map(|(address, record)| line(address.to_string(), record))
                .collect(),
            banned: self.banned.iter().map(ToString::to_string).collect(),
        };
        serde_json::to_string_pretty(&kept).unwrap_or_default()
    }

    /// Reads what [`Scores::save`] wrote. Punishments that have ended in between are over, records that were quiet for
    /// a week are forgotten, and what cannot be read is left out.
    #[must_use]
    pub fn load(text: &str, now: Time, wall: Duration) -> Self {
        let kept: Kept = serde_json::from_str(text).unwrap_or_default();
        let record = |line: Line| {
            let quiet = wall.saturating_sub(Duration::from_secs(line.touched));
            let mut record = Record {
                score: line.score,
                punishments: line.punishments,
                banned_until: line
                    .banned_until
                    .map(|until| now.after(Duration::from_secs(until).saturating_sub(wall))),
                events: line.events,
                touched: Time::ZERO.after(now.since(Time::ZERO).saturating_sub(quiet)),
            };
            record.forgive(now);
            (record.banned_until.is_some() || quiet < KEPT).then_some(record)
        };
        let mut scores = Self::default();
        for mut line in kept.nodes.into_iter().take(REMEMBERED) {
            if let (Ok(id), Some(record)) = (std::mem::take(&mut line.name).parse(), record(line)) {
                scores.nodes.insert(id, record);
            }
        }
        for mut line in kept.addresses.into_iter().take(REMEMBERED) {
            if let (Ok(address), Some(record)) = (std::mem::take(&mut line.name).parse(), record(line)) {
                scores.addresses.insert(address, record);
            }
        }
        scores.banned = kept.banned.iter().filter_map(|block| block.parse().ok()).collect();
        scores
    }
}

/// The file of records. Times are seconds since 1970.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Kept {
    nodes: Vec<Line>,
    addresses: Vec<Line>,
    banned: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Line {
    name: String,
    score: i32,
    punishments: u32,
    banned_until: Option<u64>,
    touched: u64,
    events: BTreeMap<Event, u32>,
}

/// Keeps the number of records bounded: the one that has been quiet for longest, and is not banned, is forgotten.
fn make_room<K: Ord + Copy>(records: &mut BTreeMap<K, Record>, key: &K) {
    if records.len() < REMEMBERED || records.contains_key(key) {
        return;
    }
    let oldest = records
        .iter()
        .min_by_key(|(_, record)| (record.banned_until.is_some(), record.touched))
        .map(|(key, _)| *key);
    if let Some(oldest) = oldest {
        records.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: NodeId = NodeId([7; 64]);

    fn address(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[test]
    fn one_invalid_header_bans_for_twelve_minutes_and_the_next_time_for_longer() {
        let mut scores = Scores::default();
        let mut now = Time::from_millis(1);
        scores.record(now, NODE, address(1), Event::ValidBlock);
        scores.record(now, NODE, address(1), Event::InvalidHeader);
        assert!(scores.is_banned(now, Some(&NODE), address(2)));
        assert!(scores.is_banned(now, None, address(1)));
        now = now.after(Duration::from_secs(720));
        assert!(!scores.is_banned(now, Some(&NODE), address(1)));
        scores.record(now, NODE, address(1), Event::InvalidHeader);
        now = now.after(Duration::from_secs(791));
        assert!(scores.is_banned(now, Some(&NODE), address(2)));
        assert!(!scores.is_banned(now.after(Duration::from_secs(1)), Some(&NODE), address(2)));
    }

    #[test]
    fn silence_and_failed_handshakes_are_no_offence() {
        let mut scores = Scores::default();
        for _ in 0..100 {
            scores.record(Time::ZERO, NODE, address(1), Event::TimeoutMessage);
            scores.record(Time::ZERO, NODE, address(1), Event::FailedHandshake);
        }
        assert!(!scores.is_banned(Time::ZERO, Some(&NODE), address(1)));
        assert_eq!(scores.of(&NODE).score, 0);
    }

    #[test]
    fn records_are_bounded_and_bans_are_kept() {
        let mut scores = Scores::default();
        scores.record(Time::ZERO, NODE, address(1), Event::InvalidMessage);
        for number in 0..2_000_u32 {
            let mut id = [0; 64];
            id[..4].copy_from_slice(&number.to_be_bytes());
            scores.record(Time::from_millis(5), NodeId(id), address(2), Event::ValidBlock);
        }
        assert_eq!(scores.nodes.len(), REMEMBERED);
        assert!(scores.is_banned(Time::from_millis(6), Some(&NODE), address(2)));
    }

    #[test]
    fn a_restart_forgets_neither_punishments_nor_how_many_there_were() {
        let mut scores = Scores::default();
        let node = crate::rlpx::NodeKey::from_bytes([1; 32]).unwrap().id();
        let (now, wall) = (Time::from_millis(50_000), Duration::from_secs(1_700_000_000));
        scores.record(now, node, address(1), Event::SuccessfulHandshake);
        scores.record(now, node, address(1), Event::InvalidHeader);
        scores.ban("192.0.2.0/24".parse().unwrap());
        let text = scores.save(now.after(Duration::from_secs(20)), wall);

        // 600 seconds later, in a process that has just begun.
        let start = Time::from_millis(3);
        let mut loaded = Scores::load(&text, start, wall + Duration::from_secs(600));
        assert!(loaded.is_banned(start, Some(&node), address(2)));
        assert!(loaded.is_banned(start, None, address(1)));
        assert!(loaded.is_banned(start, None, "192.0.2.200".parse().unwrap()));
        assert_eq!(loaded.of(&node).count(Event::InvalidHeader), 1);
        let end = start.after(Duration::from_secs(100));
        assert!(loaded.is_banned(Time::from_millis(99_000), Some(&node), address(1)));
        assert!(!loaded.is_banned(end, Some(&node), address(1)));
        assert_eq!((loaded.of(&node).punishments, loaded.of(&node).events.len()), (1, 0));

        let week = Duration::from_secs(8 * 24 * 3600);
        assert_eq!(Scores::load(&text, start, wall + week).nodes().count(), 0);
        assert_eq!(Scores::load("{ broken", start, wall).nodes().count(), 0);
    }

    #[test]
    fn addresses_are_banned_by_hand_alone_or_in_blocks() {
        let mut scores = Scores::default();
        for (text, inside, outside) in [
            ("10.0.0.7", "10.0.0.7", "10.0.0.8"),
            ("10.1.0.0/16", "10.1.200.3", "10.2.0.1"),
            ("::5/64", "::9", "1::9"),
        ] {
            let block: Block = text.parse().unwrap();
            assert_eq!(block.to_string(), text);
            scores.ban(block);
            assert!(scores.is_banned(Time::ZERO, None, inside.parse().unwrap()), "{text}");
            assert!(!scores.is_banned(Time::ZERO, None, outside.parse().unwrap()), "{text}");
            scores.unban(&block);
            assert!(!scores.is_banned(Time::ZERO, None, inside.parse().unwrap()), "{text}");
        }
        for wrong in ["", "10.0.0.0/33", "10.0.0.0/0", "name"] {
            assert_eq!(wrong.parse::<Block>(), Err(ParseBlockError), "{wrong}");
        }
    }

    #[test]
    fn events_are_counted() {
        let mut scores = Scores::default();
        for _ in 0..3 {
            scores.record(Time::ZERO, NODE, address(1), Event::ValidBlock);
        }
        assert_eq!(scores.of(&NODE).count(Event::ValidBlock), 3);
        assert_eq!(scores.of(&NODE).count(Event::TimeoutMessage), 0);
    }

    #[test]
    fn a_neighbourhood_is_the_first_half_of_an_address() {
        let of = |text: &str| Block::neighbourhood(text.parse().unwrap()).to_string();
        assert_eq!(of("10.1.77.3"), "10.1.0.0/16");
        assert_eq!(of("2001:db8:5::9"), "2001:db8::/32");
    }
}
