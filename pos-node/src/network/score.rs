//! What peers did, from -100 to 100, and who is cut off or banned for it. Scores halve every ten minutes.
//! Mirrors the thresholds of Lighthouse's `peer_manager/peerdb/score.rs`.

use std::{collections::BTreeMap, time::Duration};

use shared_vendor::clock::Time;

/// Scores stay within plus and minus this.
pub const LIMIT: f64 = 100.0;
/// A peer below this is disconnected.
pub const DISCONNECT_BELOW: f64 = -20.0;
/// A peer below this is banned.
pub const BAN_BELOW: f64 = -50.0;
/// How long a ban lasts.
pub const BAN: Duration = Duration::from_secs(3600);
/// Scores go halfway to zero in this time.
pub const HALF_LIFE: Duration = Duration::from_secs(600);
/// Peers that are remembered; the least interesting are forgotten first.
const REMEMBERED: usize = 4096;

/// What a peer did wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Broke the protocol in a way no honest program does: bad signatures, bytes that do not decode, a forged answer.
    Breach,
    /// A block or answer that is wrong but may come from a confused program.
    Invalid,
    /// Promised something and did not deliver it, or asked too much.
    Unreliable,
    /// Did not answer in time.
    Timeout,
}

impl Fault {
    /// A name for logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Breach => "breach",
            Self::Invalid => "invalid",
            Self::Unreliable => "unreliable",
            Self::Timeout => "timeout",
        }
    }

    const fn change(self) -> f64 {
        match self {
            Self::Breach => -100.0,
            Self::Invalid => -20.0,
            Self::Unreliable => -5.0,
            Self::Timeout => -2.0,
        }
    }
}

/// What to do about a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nothing.
    Good,
    /// End the connection; it may come back.
    Disconnect,
    /// End the connection and refuse it until the ban is over.
    Banned,
}

#[derive(Debug, Clone, Copy)]
struct Record {
    score: f64,
    at: Time,
    banned_until: Option<Time>,
}

impl Record {
    fn now(&mut self, now: Time) {
        let halves = now.since(self.at).as_secs_f64() / HALF_LIFE.as_secs_f64();
        self.score *= 0.5_f64.powf(halves);
        self.at = self.at.max(now);
        if self.banned_until.is_some_and(|until| until <= now) {
            self.banned_until = None;
            self.score = 0.0;
        }
    }

    fn standing(&self) -> Standing {
        if self.banned_until.is_some() {
            Standing::Banned
        } else if self.score < DISCONNECT_BELOW {
            Standing::Disconnect
        } else {
            Standing::Good
        }
    }
}

/// The scores of all peers.
#[derive(Debug)]
pub struct Scores<P: Ord> {
    records: BTreeMap<P, Record>,
}

impl<P: Ord> Default for Scores<P> {
    fn default() -> Self {
        Self { records: BTreeMap::new() }
    }
}

impl<P: Ord + Copy> Scores<P> {
    /// Writes a fault down; says what is to be done.
    pub fn fault(&mut self, now: Time, peer: P, fault: Fault) -> Standing {
        let before = self.score(now, peer);
        let record = self.change(now, peer, fault.change());
        if fault == Fault::Timeout {
            // whoever is slow is left, and may come back when it is faster
            record.score = record.score.max(before.min(BAN_BELOW));
        }
        if record.score < BAN_BELOW && record.banned_until.is_none() {
            record.banned_until = Some(now.after(BAN));
        }
        record.standing()
    }

    /// A useful answer or message.
    pub fn useful(&mut self, now: Time, peer: P) {
        self.change(now, peer, 0.5);
    }

    /// What is to be done about a peer.
    pub fn standing(&mut self, now: Time, peer: P) -> Standing {
        let Some(record) = self.records.get_mut(&peer) else { return Standing::Good };
        record.now(now);
        record.standing()
    }

    /// The score of a peer, for gossip and RPC.
    pub fn score(&mut self, now: Time, peer: P) -> f64 {
        let Some(record) = self.records.get_mut(&peer) else { return 0.0 };
        record.now(now);
        record.score
    }

    /// Bans by hand.
    pub fn ban(&mut self, now: Time, peer: P, length: Duration) {
        self.change(now, peer, -2.0 * LIMIT).banned_until = Some(now.after(length));
    }

    /// Ends a ban.
    pub fn unban(&mut self, peer: P) {
        self.records.remove(&peer);
    }

    /// Who is banned now.
    pub fn banned(&mut self, now: Time) -> Vec<P> {
        self.records.values_mut().for_each(|record| record.now(now));
        self.records
            .iter()
            .filter(|(_, record)| record.banned_until.is_some())
            .map(|(peer, _)| *peer)
            .collect()
    }

    fn change(&mut self, now: Time, peer: P, change: f64) -> &mut Record {
        if self.records.len() >= REMEMBERED && !self.records.contains_key(&peer) {
            self.forget_one();
        }
        let record = self.records.entry(peer).or_insert(Record { score: 0.0, at: now, banned_until: None });
        record.now(now);
        record.score = (record.score + change).clamp(-LIMIT, LIMIT);
        record
    }

    /// The peer whose score says least goes; banned ones only when there is no other.
    fn forget_one(&mut self) {
        let weight = |record: &Record| (record.banned_until.is_some(), record.score.abs());
        let least = self.records.iter().min_by(|(_, a), (_, b)| {
            let (a, b) = (weight(a), weight(b));
            a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
        });
        if let Some(peer) = least.map(|(peer, _)| *peer) {
            self.records.remove(&peer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::from_millis(seconds * 1000)
    }

    #[test]
    fn a_breach_bans_at_once_and_the_ban_ends() {
        let mut scores = Scores::default();
        assert_eq!(scores.fault(at(0), 1, Fault::Breach), Standing::Banned);
        assert_eq!(scores.banned(at(3599)), [1]);
        assert_eq!(scores.standing(at(3600), 1), Standing::Good);
        assert_eq!(scores.score(at(3600), 1), 0.0);
    }

    #[test]
    fn small_faults_disconnect_when_they_come_fast_and_are_forgiven_when_slow() {
        let mut scores = Scores::default();
        for _ in 0..10 {
            assert_eq!(scores.fault(at(0), 1, Fault::Timeout), Standing::Good);
        }
        assert_eq!(scores.fault(at(0), 1, Fault::Timeout), Standing::Disconnect);
        assert_eq!(scores.standing(at(600), 1), Standing::Good);
        for minute in 0..1000u64 {
            assert_eq!(scores.fault(at(10_000 + minute * 120), 2, Fault::Timeout), Standing::Good);
        }
    }

    #[test]
    fn being_slow_bans_nobody() {
        let mut scores = Scores::default();
        for _ in 0..1000 {
            assert_ne!(scores.fault(at(0), 1, Fault::Timeout), Standing::Banned);
        }
        assert_eq!(scores.standing(at(0), 1), Standing::Disconnect);
        assert_eq!(scores.fault(at(0), 1, Fault::Unreliable), Standing::Banned);
    }

    #[test]
    fn useful_peers_survive_more() {
        let mut scores = Scores::default();
        for _ in 0..60 {
            scores.useful(at(0), 1);
        }
        assert_eq!(scores.fault(at(0), 1, Fault::Invalid), Standing::Good);
        assert_eq!(scores.fault(at(0), 1, Fault::Invalid), Standing::Good);
        assert_eq!(scores.fault(at(0), 1, Fault::Breach), Standing::Banned);
    }

    #[test]
    fn the_memory_is_bounded_and_keeps_the_banned() {
        let mut scores = Scores::default();
        scores.fault(at(0), 0u32, Fault::Breach);
        for peer in 1..10_000 {
            scores.useful(at(1), peer);
        }
        assert!(scores.records.len() <= REMEMBERED);
        assert_eq!(scores.standing(at(2), 0), Standing::Banned);
    }
}
