//! Validators that fail to answer are not asked for a while, up to a part of the stake.
//! Mirrors `snow/networking/benchlist/benchlist.go`.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use avalanche_ids::NodeId;
use shared_vendor::clock::Time;

use super::{timeouts::Averager, validators::Validators};

/// When a validator is benched and for how long.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Time after which an observation counts half.
    pub halflife: Duration,
    /// Benched when it fails more often.
    pub bench_above: f64,
    /// Asked again when it fails less often.
    pub unbench_below: f64,
    /// Asked again after this time, with a clean slate.
    pub duration: Duration,
    /// Largest part of the stake that may be benched.
    pub max_portion: f64,
}

impl Settings {
    /// The network's settings for a quorum of `alpha` of `k`.
    #[must_use]
    pub fn for_quorum(alpha: u32, k: u32) -> Self {
        Self {
            halflife: Duration::from_secs(60),
            bench_above: 0.5,
            unbench_below: 0.2,
            duration: Duration::from_secs(300),
            max_portion: (1.0 - f64::from(alpha) / f64::from(k)) / 3.0,
        }
    }
}

#[derive(Debug)]
struct Record {
    failures: Averager,
    benched_until: Option<Time>,
}

/// How often validators failed, and which are benched.
#[derive(Debug)]
pub struct Bench {
    settings: Settings,
    records: BTreeMap<NodeId, Record>,
    benched: BTreeSet<NodeId>,
}

impl Bench {
    /// Nobody is benched.
    #[must_use]
    pub const fn new(settings: Settings) -> Self {
        Self { settings, records: BTreeMap::new(), benched: BTreeSet::new() }
    }

    /// True when the node is not to be asked.
    #[must_use]
    pub fn is_benched(&self, node: NodeId) -> bool {
        self.benched.contains(&node)
    }

    /// Who is benched.
    #[must_use]
    pub const fn benched(&self) -> &BTreeSet<NodeId> {
        &self.benched
    }

    /// A node answered or failed to.
    pub fn observe(&mut self, node: NodeId, failed: bool, validators: &Validators, now: Time) {
        if validators.weight(node) == 0 {
            if !self.is_benched(node) {
                self.records.remove(&node);
            }
            return;
        }
        let halflife = self.settings.halflife;
        let record = self
            .records
            .entry(node)
            .or_insert_with(|| Record { failures: Averager::new(0.0, halflife, now), benched_until: None });
        record.failures.observe(if failed { 1.0 } else { 0.0 }, now);
        let probability = record.failures.read();
        if record.benched_until.is_none() && probability > self.settings.bench_above {
            if self.make_room(node, probability, validators) {
                let until = now.after(self.settings.duration);
                if let Some(record) = self.records.get_mut(&node) {
                    record.benched_until = Some(until);
                }
                self.benched.insert(node);
            }
        } else if record.benched_until.is_some() && probability < self.settings.unbench_below {
            self.release(node);
        }
    }

    /// When somebody's time on the bench is over.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        self.benched.iter().filter_map(|node| self.records.get(node)?.benched_until).min()
    }

    /// Lets those go whose time is over, with a clean slate.
    pub fn expire(&mut self, now: Time) {
        let over: Vec<_> = self
            .benched
            .iter()
            .copied()
            .filter(|node| {
                self.records.get(node).is_none_or(|record| record.benched_until.is_none_or(|at| at <= now))
            })
            .collect();
        for node in over {
            self.benched.remove(&node);
            self.records.remove(&node);
        }
    }

    fn release(&mut self, node: NodeId) {
        self.benched.remove(&node);
        if let Some(record) = self.records.get_mut(&node) {
            record.benched_until = None;
        }
    }

    /// Makes sure that the benched stake stays within its part, if need be by releasing nodes that fail less often.
    fn make_room(&mut self, node: NodeId, probability: f64, validators: &Validators) -> bool {
        let most = portion(validators.total(), self.settings.max_portion);
        let wanted = validators.weight_of(&self.benched).saturating_add(validators.weight(node));
        let Some(excess) = wanted.checked_sub(most).filter(|excess| *excess > 0) else { return true };
        let mut candidates: Vec<_> = self
            .benched
            .iter()
            .filter_map(|other| Some((self.records.get(other)?.failures.read(), *other)))
            .filter(|(other, _)| *other < probability)
            .collect();
        candidates.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        let (mut freed, mut count) = (0_u64, 0);
        for (_, other) in &candidates {
            if freed >= excess {
                break;
            }
            freed = freed.saturating_add(validators.weight(*other));
            count += 1;
        }
        if freed < excess {
            return false;
        }
        for (_, other) in candidates.into_iter().take(count) {
            self.release(other);
        }
        true
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
fn portion(total: u64, part: f64) -> u64 {
    (total as f64 * part) as u64 // a bound on inconvenience, not an amount
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(number: u8) -> NodeId {
        NodeId([number; 20])
    }

    fn validators() -> Validators {
        Validators::new((0..40).map(|number| (node(number), 1)).collect()).unwrap()
    }

    #[test]
    fn a_node_that_keeps_failing_is_benched_and_comes_back_in_time() {
        let (validators, mut bench) = (validators(), Bench::new(Settings::for_quorum(15, 20)));
        bench.observe(node(1), true, &validators, Time::ZERO);
        assert!(!bench.is_benched(node(1)), "half is not more than half");
        bench.observe(node(1), true, &validators, Time::ZERO);
        assert!(bench.is_benched(node(1)));
        let end = bench.deadline().unwrap();
        assert_eq!(end, Time::from_millis(300_000));
        bench.expire(end);
        assert!(!bench.is_benched(node(1)));
        bench.observe(node(1), true, &validators, end);
        assert!(!bench.is_benched(node(1)), "its slate was clean");
    }

    #[test]
    fn nobody_but_validators_is_benched_and_no_more_than_a_part_of_the_stake() {
        let (validators, mut bench) = (validators(), Bench::new(Settings::for_quorum(15, 20)));
        for number in (0..60).rev() {
            for _ in 0..3 {
                bench.observe(node(number), true, &validators, Time::ZERO);
            }
        }
        assert_eq!(bench.benched().len(), 3, "a twelfth of forty");
        for _ in 0..9 {
            bench.observe(node(0), true, &validators, Time::ZERO);
        }
        assert!(bench.is_benched(node(0)), "it fails more often than one of the three");
        assert_eq!(bench.benched().len(), 3);
    }
}
