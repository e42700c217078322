//! What goes when the pool is full: one transaction at random, by weight; and what went lately stays out. Mirrors
//! `src/mempool_limit.cpp`.

use std::collections::{HashMap, HashSet, VecDeque};

use fluxd_primitives::{Amount, TxId};
use rand::{RngExt, rngs::StdRng};

/// Least cost of a transaction.
const MIN_COST: i64 = 4000;
/// Weight that is added to a transaction with a lower fee than the default.
const LOW_FEE_PENALTY: i64 = 16_000;
/// The default fee, in zatoshi.
const DEFAULT_FEE: i64 = 10_000;

/// What a transaction counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Weight {
    cost: i64,
    eviction: i64,
}

impl Weight {
    fn plus(self, other: Self) -> Self {
        Self { cost: self.cost + other.cost, eviction: self.eviction + other.eviction }
    }

    fn minus(self, other: Self) -> Self {
        Self { cost: self.cost - other.cost, eviction: self.eviction - other.eviction }
    }
}

/// Transactions with weights: a complete binary tree in which every node knows the sum of those below it.
#[derive(Debug)]
pub(crate) struct WeightedTree {
    capacity: i64,
    /// Each transaction with its own weight, and the sum of the weights below it.
    nodes: Vec<(TxId, Weight, Weight)>,
    places: HashMap<TxId, usize>,
}

impl WeightedTree {
    pub(crate) fn new(capacity: i64) -> Self {
        Self { capacity, nodes: Vec::new(), places: HashMap::new() }
    }

    pub(crate) fn add(&mut self, txid: TxId, cost: usize, fee: Amount) {
        if self.places.contains_key(&txid) {
            return;
        }
        let cost = i64::try_from(cost).unwrap_or(i64::MAX).max(MIN_COST);
        let penalty = if fee.zat() < DEFAULT_FEE { LOW_FEE_PENALTY } else { 0 };
        let weight = Weight { cost, eviction: cost.saturating_add(penalty) };
        self.places.insert(txid, self.nodes.len());
        self.nodes.push((txid, weight, Weight::default()));
        self.propagate(self.nodes.len() - 1, weight);
    }

    pub(crate) fn remove(&mut self, txid: &TxId) {
        let Some(place) = self.places.remove(txid) else { return };
        let Some((last, weight, _)) = self.nodes.last().copied() else { return };
        self.propagate(self.nodes.len() - 1, Weight::default().minus(weight));
        self.nodes.pop();
        if let Some((own_txid, own_weight, _)) = self.nodes.get_mut(place) {
            let delta = weight.minus(*own_weight);
            (*own_txid, *own_weight) = (last, weight);
            self.places.insert(last, place);
            self.propagate(place, delta);
        }
    }

    /// Takes a transaction out when all together cost more than the pool may hold.
    pub(crate) fn drop_one(&mut self, rng: &mut StdRng) -> Option<TxId> {
        let total = self.total(0);
        if total.cost <= self.capacity {
            return None;
        }
        let mut wanted = rng.random_range(0..total.eviction.max(1));
        let mut place = 0;
        loop {
            let left = self.total(place * 2 + 1).eviction;
            let right_from = self.total(place).eviction - self.total(place * 2 + 2).eviction;
            if wanted < left {
                place = place * 2 + 1;
            } else if wanted < right_from {
                break;
            } else {
                wanted -= right_from;
                place = place * 2 + 2;
            }
            if place >= self.nodes.len() {
                break;
            }
        }
        let txid = self.nodes.get(place).or(self.nodes.last())?.0;
        self.remove(&txid);
        Some(txid)
    }

    /// Cost of everything.
    pub(crate) fn cost(&self) -> i64 {
        self.total(0).cost
    }

    /// Weight of a node and all below it.
    fn total(&self, place: usize) -> Weight {
        self.nodes.get(place).map_or_else(Weight::default, |(_, own, below)| own.plus(*below))
    }

    fn propagate(&mut self, mut place: usize, delta: Weight) {
        while place > 0 {
            place = (place - 1) / 2;
            if let Some((_, _, below)) = self.nodes.get_mut(place) {
                *below = below.plus(delta);
            }
        }
    }
}

/// Ids that are remembered for some time, up to a number of them.
#[derive(Debug)]
pub(crate) struct RecentIds {
    capacity: usize,
    seconds: i64,
    order: VecDeque<(TxId, i64)>,
    ids: HashSet<TxId>,
}

impl RecentIds {
    pub(crate) fn new(capacity: usize, seconds: i64) -> Self {
        Self { capacity, seconds, order: VecDeque::new(), ids: HashSet::new() }
    }

    pub(crate) fn add(&mut self, txid: TxId, now: i64) {
        self.prune(now);
        if self.order.len() >= self.capacity
            && let Some((oldest, _)) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        self.order.push_back((txid, now));
        self.ids.insert(txid);
    }

    pub(crate) fn contains(&mut self, txid: &TxId, now: i64) -> bool {
        self.prune(now);
        self.ids.contains(txid)
    }

    pub(crate) fn clear(&mut self) {
        self.order.clear();
        self.ids.clear();
    }

    fn prune(&mut self, now: i64) {
        while let Some((txid, time)) = self.order.front() {
            if now.saturating_sub(*time) <= self.seconds {
                return;
            }
            self.ids.remove(txid);
            self.order.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn id(number: u8) -> TxId {
        TxId([number; 32])
    }

    #[test]
    fn the_sums_of_the_tree_stay_right_and_the_pool_shrinks_to_its_limit() {
        let mut tree = WeightedTree::new(40_000);
        for number in 0..30 {
            tree.add(id(number), 1000 * usize::from(number), Amount::from_zat(i64::from(number) * 1000));
        }
        for number in [3, 29, 0, 17] {
            tree.remove(&id(number));
        }
        let expected: i64 = (0..30_i64)
            .filter(|number| ![3, 29, 0, 17].contains(number))
            .map(|number| (1000 * number).max(MIN_COST))
            .sum();
        assert_eq!(tree.cost(), expected);
        let mut rng = StdRng::seed_from_u64(5);
        while tree.drop_one(&mut rng).is_some() {}
        assert!(tree.cost() <= 40_000 && tree.cost() > 0);
    }

    #[test]
    fn low_fees_are_evicted_more_often() {
        let mut rng = StdRng::seed_from_u64(9);
        let mut low = 0;
        for _ in 0..300 {
            let mut tree = WeightedTree::new(7999);
            tree.add(id(1), 100, Amount::from_zat(DEFAULT_FEE));
            tree.add(id(2), 100, Amount::ZERO);
            low += u32::from(tree.drop_one(&mut rng) == Some(id(2)));
        }
        assert!((220..280).contains(&low), "five of six: {low}");
    }

    #[test]
    fn recent_ids_are_forgotten_by_age_and_by_number() {
        let mut recent = RecentIds::new(2, 60);
        recent.add(id(1), 0);
        recent.add(id(2), 30);
        assert!(recent.contains(&id(1), 60));
        assert!(!recent.contains(&id(1), 61));
        recent.add(id(3), 62);
        recent.add(id(4), 63);
        assert!(!recent.contains(&id(2), 63));
        assert!(recent.contains(&id(4), 63));
    }
}
