//! How long peers take to answer: the time between a request and its answer, smoothed.

use std::{collections::BTreeMap, time::Duration};

use shared_vendor::clock::Time;

use crate::{sync::PeerKey, wire::rsk::Message};

/// Requests whose answers are waited for; the oldest makes room.
const MOST: usize = 1_024;

/// The type of an answer and the number that it shares with its request.
type Pair = (u8, u64);

fn asked(message: &Message) -> Option<Pair> {
    Some(match message {
        Message::BlockHashRequest { id, .. } => (18, *id),
        Message::HeadersRequest { id, .. } => (10, *id),
        Message::SkeletonRequest { id, .. } => (13, *id),
        Message::BodyRequest { id, .. } => (15, *id),
        _ => return None,
    })
}

fn answered(message: &Message) -> Option<Pair> {
    Some(match message {
        Message::BlockHashResponse { id, .. }
        | Message::HeadersResponse { id, .. }
        | Message::SkeletonResponse { id, .. }
        | Message::BodyResponse { id, .. } => (message.kind(), *id),
        _ => return None,
    })
}

#[derive(Debug, Default)]
pub(super) struct Latencies {
    sent: BTreeMap<(PeerKey, Pair), Time>,
    means: BTreeMap<PeerKey, Duration>,
}

impl Latencies {
    pub(super) fn sent(&mut self, now: Time, peer: PeerKey, message: &Message) {
        let Some(pair) = asked(message) else { return };
        if self.sent.len() >= MOST
            && let Some(oldest) = self.sent.iter().min_by_key(|(_, time)| **time).map(|(key, _)| *key)
        {
            self.sent.remove(&oldest);
        }
        self.sent.insert((peer, pair), now);
    }

    pub(super) fn received(&mut self, now: Time, peer: PeerKey, message: &Message) {
        let sent = answered(message).and_then(|pair| self.sent.remove(&(peer, pair)));
        if let Some(sent) = sent {
            self.measured(peer, now.since(sent));
        }
    }

    /// A peer took so long to answer, a ping for example.
    pub(super) fn measured(&mut self, peer: PeerKey, took: Duration) {
        self.means.entry(peer).and_modify(|mean| *mean = (*mean * 7 + took) / 8).or_insert(took);
    }

    pub(super) fn gone(&mut self, peer: PeerKey) {
        self.sent.retain(|(of, _), _| *of != peer);
        self.means.remove(&peer);
    }

    pub(super) fn of(&self, peer: PeerKey) -> Option<Duration> {
        self.means.get(&peer).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::BlockHash;

    #[test]
    fn an_answer_is_timed_from_its_request_and_smoothed() {
        let mut latencies = Latencies::default();
        let at = Time::from_millis;
        let request = |id| Message::BodyRequest { id, hash: BlockHash::ZERO };
        let answer = |id| Message::BodyResponse { id, transactions: vec![], uncles: vec![], extension: None };
        latencies.sent(at(0), 1, &request(5));
        latencies.received(at(10), 1, &answer(6));
        latencies.received(at(10), 2, &answer(5));
        assert_eq!(latencies.of(1), None);
        latencies.received(at(80), 1, &answer(5));
        assert_eq!(latencies.of(1), Some(Duration::from_millis(80)));
        latencies.sent(at(100), 1, &request(7));
        latencies.received(at(260), 1, &answer(7));
        assert_eq!(latencies.of(1), Some(Duration::from_millis(90)));
        latencies.gone(1);
        assert_eq!(latencies.of(1), None);
    }
}
