//! What the downloading side knows of each peer: what it claims, how quickly it answers, how much it may still be asked.

use std::{collections::BTreeMap, time::Duration};

use shared_vendor::{clock::Time, limit::TokenBucket};

use super::{Ask, PeerKey};
use crate::wire::rsk::BlockId;

/// How long a peer that failed is left alone.
const PAUSE: Duration = Duration::from_secs(10);
/// Requests under way at one peer.
const WINDOW: usize = 4;
/// A reference node drops what goes beyond 1,000 messages in a minute of the clock. Two thirds of them are ours to use:
/// statuses and answers count too.
const BURST: u32 = 60;
const PER_SECOND: u32 = 14;
/// A peer may take this long to answer when we know nothing of it; it stays silent when it has no answer.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
const SHORTEST_WAIT: Duration = Duration::from_secs(5);
/// A second peer is asked when an answer takes this many times as long as answers usually take.
const OVERDUE: u32 = 3;
const SOONEST_OVERDUE: Duration = Duration::from_millis(300);

#[derive(Debug)]
pub(super) struct Peer {
    /// The block it says it is at.
    pub(super) best: Option<BlockId>,
    paused_until: Time,
    governor: TokenBucket,
    in_flight: usize,
    /// Smoothed time to answer.
    latency: Option<Duration>,
    /// When it last answered anything.
    heard: Time,
}

impl Peer {
    fn new(now: Time) -> Self {
        let governor = TokenBucket::new(BURST, PER_SECOND, now.since(Time::ZERO));
        Self {
            best: None,
            paused_until: Time::ZERO,
            governor,
            in_flight: 0,
            latency: None,
            heard: Time::ZERO,
        }
    }

    pub(super) fn is_paused(&self, now: Time) -> bool {
        now < self.paused_until
    }

    /// Claims to have a block at this height.
    pub(super) fn claims(&self, number: u64) -> bool {
        self.best.is_some_and(|best| best.number.0 >= number)
    }

    fn has_place(&self, now: Time) -> bool {
        !self.is_paused(now) && self.in_flight < WINDOW
    }

    fn tokens_in(&self, now: Time) -> Duration {
        self.governor.wait(1, now.since(Time::ZERO)).unwrap_or(LONGEST_WAIT)
    }
}

/// All peers, in the order of their keys.
#[derive(Debug, Default)]
pub(super) struct Peers {
    all: BTreeMap<PeerKey, Peer>,
    /// Smoothed time to answer over all of them.
    typical: Option<Duration>,
}

impl Peers {
    pub(super) fn add(&mut self, now: Time, key: PeerKey) {
        self.all.insert(key, Peer::new(now));
    }

    pub(super) fn remove(&mut self, key: PeerKey) {
        self.all.remove(&key);
    }

    pub(super) fn get_mut(&mut self, key: PeerKey) -> Option<&mut Peer> {
        self.all.get_mut(&key)
    }

    /// Those that are asked anything at present.
    pub(super) fn active(&self, now: Time) -> impl Iterator<Item = (PeerKey, &Peer)> {
        self.all.iter().filter(move |(_, peer)| !peer.is_paused(now)).map(|(key, peer)| (*key, peer))
    }

    pub(super) fn pause(&mut self, now: Time, key: PeerKey) {
        if let Some(peer) = self.all.get_mut(&key) {
            peer.paused_until = now.after(PAUSE);
        }
    }

    /// The peer to ask among those that `fits`: the least busy, then the quickest.
    pub(super) fn pick(&self, now: Time, fits: impl Fn(PeerKey, &Peer) -> bool) -> Option<PeerKey> {
        self.all
            .iter()
            .filter(|(key, peer)| peer.has_place(now) && peer.tokens_in(now).is_zero() && fits(**key, peer))
            .min_by_key(|(key, peer)| (peer.in_flight, peer.latency, **key))
            .map(|(key, _)| *key)
    }

    /// Counts a request to the peer; returns until when its answer is waited for.
    pub(super) fn asked(&mut self, now: Time, key: PeerKey) -> Time {
        let Some(peer) = self.all.get_mut(&key) else { return now };
        let _ = peer.governor.take(1, now.since(Time::ZERO));
        peer.in_flight = peer.in_flight.saturating_add(1);
        let usual = peer.latency.or(self.typical);
        let wait = usual.map_or(LONGEST_WAIT, |latency| latency.saturating_mul(10));
        now.after(wait.clamp(SHORTEST_WAIT, LONGEST_WAIT))
    }

    /// A request was answered.
    pub(super) fn answered(&mut self, now: Time, ask: &Ask) {
        let Some(peer) = self.all.get_mut(&ask.peer) else { return };
        let took = now.since(ask.at);
        peer.in_flight = peer.in_flight.saturating_sub(1);
        peer.heard = now;
        peer.latency = Some(smooth(peer.latency, took));
        self.typical = Some(smooth(self.typical, took));
    }

    /// A request is given up; true when the peer has been silent altogether since it was asked, so that it is the peer
    /// that fails and not what was asked for.
    pub(super) fn gave_up(&mut self, ask: &Ask) -> bool {
        let Some(peer) = self.all.get_mut(&ask.peer) else { return false };
        peer.in_flight = peer.in_flight.saturating_sub(1);
        peer.heard <= ask.at
    }

    /// Nothing is under way at any peer.
    pub(super) fn forget_requests(&mut self) {
        self.all.values_mut().for_each(|peer| peer.in_flight = 0);
    }

    /// After which time another peer is asked for the same.
    pub(super) fn overdue_after(&self) -> Duration {
        self.typical.map_or(LONGEST_WAIT, |typical| typical.saturating_mul(OVERDUE)).max(SOONEST_OVERDUE)
    }

    /// When a peer becomes askable by the passing of time alone, later than now.
    pub(super) fn next_ready(&self, now: Time) -> Option<Time> {
        let ready = self.all.values().filter_map(|peer| {
            if peer.is_paused(now) {
                return Some(peer.paused_until);
            }
            let wait = peer.tokens_in(now);
            (peer.in_flight < WINDOW && !wait.is_zero()).then(|| now.after(wait))
        });
        ready.min()
    }
}

fn smooth(old: Option<Duration>, new: Duration) -> Duration {
    old.map_or(new, |old| old.saturating_mul(7).saturating_add(new) / 8)
}
