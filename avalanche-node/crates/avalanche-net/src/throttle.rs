//! How fast the bytes of one peer are read. Pure: time is an argument, the caller waits. Mirrors
//! `network/throttling/bandwidth_throttler.go`.

use std::time::Duration;

use shared_vendor::clock::Time;

/// Bytes per second that a peer may send for long.
pub const REFILL_PER_SECOND: u64 = 512 * 1024;
/// Bytes that a peer may send at once; a whole message fits.
pub const BURST: u64 = 2 * 1024 * 1024;

const NANOS: u64 = 1_000_000_000;

/// The budget of one peer. Bytes are reserved before they are read, and the reader waits until they are paid for.
#[derive(Debug, Clone)]
pub struct Bandwidth {
    /// When the bucket is, or was, full again.
    full_at: Time,
}

impl Bandwidth {
    /// A full bucket.
    #[must_use]
    pub const fn new(now: Time) -> Self {
        Self { full_at: now }
    }

    /// Takes `len` bytes, at most [`BURST`], and says how long to wait before reading them.
    pub fn reserve(&mut self, len: usize, now: Time) -> Duration {
        let len = u64::try_from(len).unwrap_or(BURST).min(BURST);
        let cost = Duration::from_nanos(len.saturating_mul(NANOS) / REFILL_PER_SECOND);
        let whole = Duration::from_nanos(BURST.saturating_mul(NANOS) / REFILL_PER_SECOND);
        self.full_at = self.full_at.max(now).after(cost);
        self.full_at.since(now).saturating_sub(whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1024 * 1024;

    #[test]
    fn a_burst_passes_at_once_and_more_waits_for_the_refill() {
        let mut bandwidth = Bandwidth::new(Time::ZERO);
        assert_eq!(bandwidth.reserve(MIB, Time::ZERO), Duration::ZERO);
        assert_eq!(bandwidth.reserve(MIB, Time::ZERO), Duration::ZERO);
        assert_eq!(bandwidth.reserve(MIB, Time::ZERO), Duration::from_secs(2));
        assert_eq!(bandwidth.reserve(0, Time::from_millis(2000)), Duration::ZERO);
    }

    #[test]
    fn a_peer_that_rests_saves_one_burst_and_no_more() {
        let mut bandwidth = Bandwidth::new(Time::ZERO);
        let later = Time::from_millis(3_600_000);
        assert_eq!(bandwidth.reserve(2 * MIB, later), Duration::ZERO);
        assert_eq!(bandwidth.reserve(MIB / 2, later), Duration::from_secs(1));
    }
}
