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
        let elapsed = u64::try_from(now.saturating_sub(self.last).as_micros()).unwrap_or(u64::MAX);
        self.last = self.last.max(now);
        // micro-seconds times tokens per second = millionths of tokens
        self.tokens = self.tokens.saturating_add(elapsed.saturating_mul(self.per_second)).min(self.burst);
        let wanted = u64::from(count).saturating_mul(UNIT);
        if wanted > self.tokens {
            return false;
        }
        self.tokens = self.tokens.saturating_sub(wanted);
        true
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
    fn delays_double_up_to_the_longest_and_keep_half_of_the_step() {
        let mut backoff = Backoff::new(Duration::from_secs(2), Duration::from_secs(5));
        assert_eq!(backoff.delay(0), Duration::from_secs(1));
        assert!(backoff.delay(u32::MAX) < Duration::from_secs(4));
        assert_eq!(backoff.delay(0), Duration::from_millis(2500));
        backoff.reset();
        assert_eq!(backoff.delay(0), Duration::from_secs(1));
    }
}
