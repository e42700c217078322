//! How much a peer may ask: one quota per protocol, counted in what an answer costs. Mirrors the shape of Lighthouse's
//! `rpc/rate_limiter.rs`; the numbers are this chain's.

use std::{collections::BTreeMap, time::Duration};

use shared_vendor::clock::Time;

use super::request::{Protocol, Request};

/// Requests that one peer may have under way per protocol; askers keep to it, and what is more is refused.
pub const CONCURRENT: usize = 2;

/// `tokens` per `period`; all of them may be used at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// How many.
    pub tokens: u64,
    /// Per this time.
    pub period: Duration,
}

/// What a peer may ask of a protocol.
#[must_use]
pub const fn quota(protocol: Protocol) -> Quota {
    let (tokens, seconds) = match protocol {
        Protocol::Status => (5, 15),
        Protocol::Goodbye => (1, 10),
        Protocol::Ping => (2, 10),
        Protocol::Metadata => (2, 5),
        Protocol::BlocksByRange => (1024, 10),
        Protocol::BlocksByRoot => (128, 10),
        Protocol::TxsById => (65_536, 10),
        Protocol::StateManifest => (1, 10),
        Protocol::StateChunk => (64, 10),
        Protocol::ConsensusState => (2, 60),
        Protocol::FinalityCerts => (4, 10),
    };
    Quota { tokens, period: Duration::from_secs(seconds) }
}

/// What is left of a quota, in nanoseconds of refill time, so that no rate loses anything to rounding.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// When the bucket would have been empty, had it only been filled since.
    empty_at: u64,
}

/// The quotas of all peers. Peers are forgotten by whoever sees them leave.
#[derive(Debug)]
pub struct RateLimits<P: Ord> {
    buckets: BTreeMap<(P, Protocol), Bucket>,
}

impl<P: Ord> Default for RateLimits<P> {
    fn default() -> Self {
        Self { buckets: BTreeMap::new() }
    }
}

impl<P: Ord + Copy> RateLimits<P> {
    /// Whether a peer may have this answered now; if so its quota is charged. A request for more than a whole quota is
    /// never granted.
    pub fn take(&mut self, now: Time, peer: P, request: &Request) -> bool {
        let Quota { tokens, period } = quota(request.protocol());
        let period = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX);
        let cost = request.cost().max(1).saturating_mul(period.checked_div(tokens).unwrap_or(period));
        let full = now.as_nanos().saturating_add(period);
        let bucket =
            self.buckets.entry((peer, request.protocol())).or_insert(Bucket { empty_at: now.as_nanos() });
        let used = bucket.empty_at.max(now.as_nanos()).saturating_add(cost);
        if used > full {
            return false;
        }
        bucket.empty_at = used;
        true
    }

    /// Forgets a peer that has left.
    pub fn forget(&mut self, peer: P) {
        self.buckets.retain(|(owner, _), _| *owner != peer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::primitives::{List, Root};

    #[test]
    fn a_quota_may_be_used_at_once_and_comes_back_evenly() {
        let mut limits = RateLimits::default();
        let status = Request::Status(Box::default());
        let at = Time::from_millis;
        for _ in 0..5 {
            assert!(limits.take(at(0), 1, &status));
        }
        assert!(!limits.take(at(2_999), 1, &status));
        assert!(limits.take(at(2_999), 2, &status), "another peer");
        assert!(limits.take(at(3_000), 1, &status));
        assert!(!limits.take(at(3_001), 1, &status));
        limits.forget(1);
        assert!(limits.take(at(3_001), 1, &status));
    }

    #[test]
    fn requests_cost_what_their_answer_may_hold() {
        let mut limits = RateLimits::default();
        let range = |count| Request::BlocksByRange { start_slot: 0, count, with_txs: false };
        for _ in 0..16 {
            assert!(limits.take(Time::ZERO, 1, &range(64)));
        }
        assert!(!limits.take(Time::ZERO, 1, &range(1)));
        let ids = |count: usize| Request::TxsById(List::new(vec![Root::ZERO; count]).expect("in bounds"));
        for _ in 0..16 {
            assert!(limits.take(Time::ZERO, 1, &ids(4096)));
        }
        assert!(!limits.take(Time::ZERO, 1, &ids(1)));
    }
}
