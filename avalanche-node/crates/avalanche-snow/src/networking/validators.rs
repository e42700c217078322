//! The validators of a subnet at one moment, as a value. Mirrors `snow/validators/set.go`.

use std::collections::BTreeMap;

use avalanche_ids::NodeId;
use avalanche_utils::{
    prng::Source,
    sampler::{WeightOverflow, WeightedSampler},
};
use rand::Rng;

/// Nodes and their weights. Made once, replaced as a whole.
#[derive(Debug, Clone, Default)]
pub struct Validators {
    weights: BTreeMap<NodeId, u64>,
    nodes: Vec<NodeId>,
    sampler: Option<WeightedSampler>,
}

/// Draws of a general generator for the network's samplers.
struct Draws<'a, R>(&'a mut R);

impl<R: Rng> Source for Draws<'_, R> {
    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }
}

impl Validators {
    /// Validators with these weights.
    ///
    /// # Errors
    /// Their sum overflows.
    pub fn new(weights: BTreeMap<NodeId, u64>) -> Result<Self, WeightOverflow> {
        let sampler = WeightedSampler::new(weights.values().copied())?;
        Ok(Self { nodes: weights.keys().copied().collect(), sampler: Some(sampler), weights })
    }

    /// Validators.
    #[must_use]
    pub fn len(&self) -> usize {
        self.weights.len()
    }

    /// True without validators.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.weights.is_empty()
    }

    /// A node's weight; zero when it does not validate.
    #[must_use]
    pub fn weight(&self, node: NodeId) -> u64 {
        self.weights.get(&node).copied().unwrap_or_default()
    }

    /// The sum of all weights.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.sampler.as_ref().map_or(0, WeightedSampler::total_weight)
    }

    /// The weight of some of them.
    #[must_use]
    pub fn weight_of<'a>(&self, nodes: impl IntoIterator<Item = &'a NodeId>) -> u64 {
        nodes.into_iter().fold(0, |sum: u64, node| sum.saturating_add(self.weight(*node)))
    }

    /// All nodes and weights.
    pub fn iter(&self) -> impl Iterator<Item = (NodeId, u64)> + '_ {
        self.weights.iter().map(|(node, weight)| (*node, *weight))
    }

    /// Draws `count` weight units without replacement and answers their owners; None when there are fewer.
    pub fn sample(&self, random: &mut impl Rng, count: usize) -> Option<Vec<NodeId>> {
        let drawn = self.sampler.as_ref()?.sample(&mut Draws(random), count)?;
        drawn.into_iter().map(|index| self.nodes.get(index).copied()).collect()
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    #[test]
    fn samples_are_of_weight_units() {
        let (heavy, light) = (NodeId([1; 20]), NodeId([2; 20]));
        let validators = Validators::new(BTreeMap::from([(heavy, 3), (light, 1)])).unwrap();
        let mut random = StdRng::seed_from_u64(1);
        let mut all = validators.sample(&mut random, 4).unwrap();
        all.sort_unstable();
        assert_eq!(all, [heavy, heavy, heavy, light]);
        assert_eq!(validators.sample(&mut random, 5), None);
        assert_eq!((validators.total(), validators.weight_of([&heavy, &NodeId([9; 20])])), (4, 3));
    }
}
