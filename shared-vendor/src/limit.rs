//! Rates and retries: [`TokenBucket`] bounds how often something may happen, [`Backoff`] spaces repeated attempts.
//! Both take the time or the randomness as an argument, so that state machines can own them.

use std::time::Duration;

/// Allows `burst` events at once and `per_second` on average.
#[derive(Debug, Clone)]
pub struct TokenBucket {
    /// Tokens in millionths, so that slow rates lose nothing to rounding.
    tokens: u64,
    burst: u64,
    per_second: u64,
    last: Duration,
}

const UNIT: u64 = 1_000_000;

impl TokenBucket {
    /// A full bucket. `now` is the time since any fixed point, the same for every call.
    #[must_use]
    pub fn new(burst: u32, per_second: u32, now: Duration) -> Self {
        let burst = u64::from(burst).saturating_mul(UNIT);
        Self { tokens: burst, burst, per_second: u64::from(per_second), last: now }
    }

    /// Takes `count` tokens if there are so many; a clock that steps back adds nothing.
    pub fn take(&mut self, count: u32, now: Duration) -> bool {
        self.tokens = self.at(now);
        self.last = self.last.max(now);
        let wanted = u64::from(count).saturating_mul(UNIT);
        if wanted > self.tokens {
            return false;
        }
        self.tokens = self.tokens.saturating_sub(wanted);
        true
    }

    /// How long from `now` until `count` tokens can be taken, if nobody takes others; `None` when that many are never
    /// there.
    #[must_use]
    pub fn wait(&self, count: u32, now: Duration) -> Option<Duration> {
        let wanted = u64::from(count).saturating_mul(UNIT);
        if wanted > self.burst {
            return None;
        }
        let missing = wanted.saturating_sub(self.at(now));
        let wait = if missing == 0 { 0 } else { missing.div_ceil(self.per_second.max(1)) };
        (missing == 0 || self.per_second > 0).then_some(Duration::from_micros(wait))
    }

    fn at(&self, now: Duration) -> u64 {
        let elapsed = u64::try_from(now.saturating_sub(self.last).as_micros()).unwrap_or(u64::MAX);
        // micro-seconds times tokens per second = millionths of tokens
        self.tokens.saturating_add(elapsed.saturating_mul(self.per_second)).min(self.burst)
    }
}

/// Exponential spacing of attempts with jitter between half and the whole of the step.
#[derive(Debug, Clone)]
pub struct Backoff {
    next: Duration,
    first: Duration,
    longest: Duration,
}

impl Backoff {
    /// Starts at `first` and doubles up to `longest`.
    #[must_use]
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { next: first, first, longest }
    }

    /// How long to wait before the next attempt. `random` is one value of the caller's generator.
    pub fn delay(&mut self, random: u32) -> Duration {
        let step = self.next;
        self.next = step.saturating_mul(2).min(self.longest);
        let half = step / 2;
        half.saturating_add(half.saturating_mul(random >> 16) / (1 << 16))
    }

    /// Back to the first step, after a success.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_refills_at_its_rate_and_never_above_its_burst() {
        let mut bucket = TokenBucket::new(2, 10, Duration::ZERO);
        assert!(bucket.take(2, Duration::ZERO));
        assert!(!bucket.take(1, Duration::from_millis(99)));
        assert!(bucket.take(1, Duration::from_millis(100)));
        assert!(!bucket.take(3, Duration::from_secs(3600)));
        assert!(bucket.take(2, Duration::from_secs(3600)));
        assert!(!bucket.take(1, Duration::from_secs(1)));
    }

    #[test]
    fn after_the_named_wait_the_tokens_are_there() {
        let mut bucket = TokenBucket::new(3, 7, Duration::ZERO);
        assert_eq!(bucket.wait(3, Duration::ZERO), Some(Duration::ZERO));
        assert_eq!(bucket.wait(4, Duration::ZERO), None);
        assert!(bucket.take(3, Duration::ZERO));
        let wait = bucket.wait(2, Duration::from_millis(1)).unwrap();
        let ready = Duration::from_millis(1) + wait;
        assert!(!bucket.take(2, ready - Duration::from_micros(2)) && bucket.take(2, ready));
    }

    #[test]
    fn delays_double_up_to_the_longest_and_keep_half_of_the_step() {
        let mut backoff = Backoff::new(Duration::from_secs(2), Duration::from_secs(5));
        assert_eq!(backoff.delay(0), Duration::from_secs(1));
        assert!(backoff.delay(u32::MAX) < Duration::from_secs(4));
        assert_eq!(backoff.delay(0), Duration::from_millis(2500));
        backoff.reset();
        assert_eq!(backoff.delay(0), Duration::from_secs(1));
    }
}
