//! Answers that are waited for, and how long: twice the recent average of latencies, within bounds.
//! Mirrors `utils/timer/adaptive_timeout_manager.go` and `utils/math/continuous_averager.go`.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use avalanche_ids::NodeId;
use shared_vendor::clock::Time;

use crate::message::Answer;

/// Bounds of the time limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// The limit before anything was measured.
    pub initial: Duration,
    /// Never less.
    pub minimum: Duration,
    /// Never more.
    pub maximum: Duration,
    /// Time after which a measurement counts half.
    pub halflife: Duration,
    /// The limit as a multiple of the average latency.
    pub coefficient: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            initial: Duration::from_secs(5),
            minimum: Duration::from_secs(2),
            maximum: Duration::from_secs(10),
            halflife: Duration::from_secs(300),
            coefficient: 2.0,
        }
    }
}

/// An average of measurements that count less as they age.
#[derive(Debug, Clone, Copy)]
pub struct Averager {
    /// Nanoseconds after which a weight shrinks by the factor e.
    scale: f64,
    sum: f64,
    normalizer: f64,
    updated: Time,
}

impl Averager {
    /// Starts with a guess.
    #[must_use]
    pub const fn new(initial: f64, halflife: Duration, now: Time) -> Self {
        let scale = nanos(halflife) / std::f64::consts::LN_2;
        Self { scale, sum: initial, normalizer: 1.0, updated: now }
    }

    /// Adds a measurement.
    pub fn observe(&mut self, value: f64, now: Time) {
        let aged = (-nanos(now.since(self.updated)) / self.scale).exp();
        self.sum = value + aged * self.sum;
        self.normalizer = 1.0 + aged * self.normalizer;
        self.updated = self.updated.max(now);
    }

    /// The average.
    #[must_use]
    pub const fn read(&self) -> f64 {
        self.sum / self.normalizer
    }
}

#[allow(clippy::cast_precision_loss)] // an average of latencies needs no more than 53 bits
const fn nanos(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e9
}

/// One answer that is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Who was asked.
    pub node: NodeId,
    /// Number of the request.
    pub request: u32,
    /// What is expected.
    pub answer: Answer,
}

/// Answers that are waited for.
#[derive(Debug)]
pub struct Timeouts {
    settings: Settings,
    average: Averager,
    current: Duration,
    waiting: HashMap<Key, (Time, Time)>,
    by_deadline: BTreeSet<(Time, Key)>,
}

impl Timeouts {
    /// Nothing is waited for.
    #[must_use]
    pub fn new(settings: Settings, now: Time) -> Self {
        Self {
            average: Averager::new(nanos(settings.initial), settings.halflife, now),
            current: settings.initial,
            settings,
            waiting: HashMap::new(),
            by_deadline: BTreeSet::new(),
        }
    }

    /// How long an answer is waited for now.
    #[must_use]
    pub const fn limit(&self) -> Duration {
        self.current
    }

    /// Answers that are waited for.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// True when nothing is waited for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// When the next one is late.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        self.by_deadline.first().map(|(at, _)| *at)
    }

    /// Waits for an answer.
    pub fn expect(&mut self, key: Key, now: Time) {
        let deadline = now.after(self.current);
        if let Some((old, _)) = self.waiting.insert(key, (deadline, now)) {
            self.by_deadline.remove(&(old, key));
        }
        self.by_deadline.insert((deadline, key));
    }

    /// An answer came; false when it was not waited for. `measure` is false for answers that say nothing about the
    /// network, as our own.
    pub fn answered(&mut self, key: Key, measure: bool, now: Time) -> bool {
        let Some((deadline, sent)) = self.waiting.remove(&key) else { return false };
        self.by_deadline.remove(&(deadline, key));
        if measure {
            self.measured(now.since(sent), now);
        }
        true
    }

    /// Takes out what is late.
    pub fn late(&mut self, now: Time) -> Vec<Key> {
        let mut late = Vec::new();
        while let Some((at, key)) = self.by_deadline.first().copied()
            && at <= now
        {
            self.by_deadline.pop_first();
            if let Some((deadline, sent)) = self.waiting.remove(&key)
                && key.answer != Answer::Put
            {
                self.measured(deadline.since(sent), now);
            }
            late.push(key);
        }
        late
    }

    fn measured(&mut self, latency: Duration, now: Time) {
        self.average.observe(nanos(latency), now);
        let limit = self.settings.coefficient * self.average.read() / 1e9;
        let limit = limit.clamp(self.settings.minimum.as_secs_f64(), self.settings.maximum.as_secs_f64());
        self.current = Duration::try_from_secs_f64(limit).unwrap_or(self.settings.maximum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(request: u32) -> Key {
        Key { node: NodeId([1; 20]), request, answer: Answer::Chits }
    }

    #[test]
    fn quick_answers_shorten_the_limit_to_the_minimum_and_late_ones_lengthen_it_to_the_maximum() {
        let mut timeouts = Timeouts::new(Settings::default(), Time::ZERO);
        assert_eq!(timeouts.limit(), Duration::from_secs(5));
        for request in 0..99 {
            timeouts.expect(key(request), Time::ZERO);
            assert!(timeouts.answered(key(request), true, Time::from_millis(10)));
        }
        assert_eq!(timeouts.limit(), Duration::from_secs(2));
        let mut now = Time::from_millis(10);
        for request in 0..999 {
            timeouts.expect(key(request), now);
            now = timeouts.deadline().unwrap();
            assert_eq!(timeouts.late(now), [key(request)]);
        }
        assert_eq!(timeouts.limit(), Duration::from_secs(10));
        assert!(timeouts.is_empty());
    }

    #[test]
    fn only_what_was_asked_for_is_an_answer_and_only_once() {
        let mut timeouts = Timeouts::new(Settings::default(), Time::ZERO);
        timeouts.expect(key(1), Time::ZERO);
        assert!(!timeouts.answered(key(2), true, Time::ZERO));
        assert!(!timeouts.answered(Key { answer: Answer::Put, ..key(1) }, true, Time::ZERO));
        assert!(timeouts.answered(key(1), true, Time::ZERO));
        assert!(!timeouts.answered(key(1), true, Time::ZERO));
        assert_eq!(timeouts.deadline(), None);
    }
}
