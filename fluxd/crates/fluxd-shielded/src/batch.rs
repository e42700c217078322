//! Proofs of many transactions, verified together: each equation is multiplied with a number of its own that who made the
//! proofs cannot know, and their sum is checked. Several times faster than one by one, but without saying which proof was
//! wrong.
//!
//! The work is in two steps, so that threads can share it: [`Batch::weigh`] does what is needed per proof, and what came
//! of several batches is [merged](Weighed::merge) before the one exponentiation of [`Weighed::verify`].

use bls12_381::{Bls12, G1Affine, G1Projective, G2Prepared, Gt, MillerLoopResult, Scalar, multi_miller_loop};
use fluxd_primitives::{Hash256, Transaction};
use groth16::Proof;
use rand::CryptoRng;

use crate::{
    keys::{CircuitKey, ProofKeys},
    verify::{CIRCUITS, Circuit, ShieldedError, Statement, statements},
};

/// Bits of a weight's digits.
const DIGIT: usize = 4;
/// Values of a digit besides zero.
const MULTIPLES: usize = (1 << DIGIT) - 1;
/// Pairings that share their squarings: more would not fit near the processor.
const TOGETHER: usize = 16;

/// Proofs that wait for their verification.
#[derive(Default)]
pub struct Batch(Vec<Statement>);

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Batch({} proofs)", self.0.len())
    }
}

impl Batch {
    /// Verifies the signatures of a transaction and queues its proofs.
    ///
    /// # Errors
    /// A signature or encoding is wrong; nothing was queued.
    pub fn add(&mut self, tx: &Transaction, sighash: &Hash256) -> Result<(), ShieldedError> {
        self.0.extend(statements(tx, sighash)?);
        Ok(())
    }

    /// Verifies all queued proofs. `rng` must not be predictable by who made them.
    ///
    /// # Errors
    /// The kind of proof of which at least one is wrong.
    pub fn verify(self, keys: &ProofKeys, rng: impl CryptoRng) -> Result<(), ShieldedError> {
        self.weigh(keys, rng).verify(keys)
    }

    /// Multiplies each proof with a number of 128 bits. `rng` must not be predictable by who made the proofs.
    #[must_use]
    pub fn weigh(self, keys: &ProofKeys, mut rng: impl CryptoRng) -> Weighed {
        let Self(statements) = self;
        Weighed(CIRCUITS.map(|circuit| {
            let of_circuit = statements.iter().filter(|statement| statement.circuit == circuit);
            let of_circuit = of_circuit.map(|Statement { proof, inputs, .. }| {
                let weight = u128::from(rng.next_u64()) << 64 | u128::from(rng.next_u64());
                (proof, inputs.as_slice(), weight.max(1))
            });
            Sums::of(circuit.key(keys), &of_circuit.collect::<Vec<_>>())
        }))
    }
}

/// Proofs of one or more batches, summed up.
#[derive(Debug)]
pub struct Weighed([Option<Sums>; CIRCUITS.len()]);

impl Weighed {
    /// The proofs of both.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        for (mine, other) in self.0.iter_mut().zip(other.0) {
            match (mine.as_mut(), other) {
                (Some(mine), Some(other)) => mine.add(other),
                (None, Some(other)) => *mine = Some(other),
                (_, None) => {}
            }
        }
        self
    }

    /// Verifies all proofs.
    ///
    /// # Errors
    /// The kind of proof of which at least one is wrong.
    pub fn verify(self, keys: &ProofKeys) -> Result<(), ShieldedError> {
        let pairs = self.0.iter().zip(CIRCUITS);
        let parts: Vec<(Circuit, MillerLoopResult)> = pairs
            .filter_map(|(sums, circuit)| Some((circuit, sums.as_ref()?.finish(circuit.key(keys)))))
            .collect();
        let holds = |product: &MillerLoopResult| product.final_exponentiation() == Gt::identity();
        // All at once, and only where that fails each kind by itself.
        let all = parts.iter().fold(MillerLoopResult::default(), |product, (_, part)| product + part);
        if holds(&all) {
            return Ok(());
        }
        let wrong = parts.iter().find(|(_, part)| !holds(part));
        Err(wrong.map_or(ShieldedError::Output, |(circuit, _)| circuit.error()))
    }
}

/// The weighed proofs (A, B, C) of one circuit.
#[derive(Debug)]
struct Sums {
    /// The product of the pairings of A with -B.
    product: MillerLoopResult,
    /// The sum of C.
    c: G1Projective,
    /// The sums of the inputs; the first is the sum of the weights.
    inputs: Vec<Scalar>,
}

impl Sums {
    /// Nothing where there is no proof. A statement has as many inputs as its circuit.
    fn of(key: &CircuitKey, proofs: &[(&Proof<Bls12>, &[Scalar], u128)]) -> Option<Self> {
        let mut sums = Self {
            product: MillerLoopResult::default(),
            c: weighed_sum(&proofs.iter().map(|(proof, _, weight)| (proof.c, *weight)).collect::<Vec<_>>()),
            inputs: vec![Scalar::zero(); key.plain.ic.len()],
        };
        for part in proofs.chunks(TOGETHER) {
            let projective: Vec<_> = part.iter().map(|(proof, _, weight)| times(&proof.a, *weight)).collect();
            let mut affine = vec![G1Affine::identity(); part.len()];
            G1Projective::batch_normalize(&projective, &mut affine);
            let prepared: Vec<_> = part.iter().map(|(proof, ..)| G2Prepared::from(-proof.b)).collect();
            sums.product += multi_miller_loop(&affine.iter().zip(&prepared).collect::<Vec<_>>());
        }
        for (_, inputs, weight) in proofs {
            let weight = scalar(*weight);
            let (first, rest) = sums.inputs.split_first_mut()?;
            *first += weight;
            for (sum, input) in rest.iter_mut().zip(*inputs) {
                *sum += weight * input;
            }
        }
        (!proofs.is_empty()).then_some(sums)
    }

    fn add(&mut self, other: Self) {
        self.product += other.product;
        self.c += other.c;
        for (sum, other) in self.inputs.iter_mut().zip(other.inputs) {
            *sum += other;
        }
    }

    /// The product with the pairings that all proofs share: one where all proofs hold.
    fn finish(&self, key: &CircuitKey) -> MillerLoopResult {
        let inputs: G1Projective =
            key.plain.ic.iter().zip(&self.inputs).map(|(point, sum)| point * sum).sum();
        let weights = self.inputs.first().copied().unwrap_or_default();
        let shared = [inputs, self.c, key.plain.alpha_g1 * weights].map(G1Affine::from);
        let [gamma, delta, beta] = &key.shared;
        let [inputs, c, alpha] = &shared;
        self.product + multi_miller_loop(&[(inputs, gamma), (c, delta), (alpha, beta)])
    }
}

fn scalar(weight: u128) -> Scalar {
    let [low, high] =
        [weight, weight >> 64].map(|word| u64::try_from(word & u128::from(u64::MAX)).unwrap_or_default());
    Scalar::from_raw([low, high, 0, 0])
}

/// The digits of a weight, the highest first.
fn digits(weight: u128) -> impl Iterator<Item = usize> {
    let shifts = (0..u128::BITS).step_by(DIGIT).rev();
    shifts.map(move |shift| usize::try_from(weight >> shift & 0xf).unwrap_or_default())
}

fn doubled(sum: &G1Projective) -> G1Projective {
    (0..DIGIT).fold(*sum, |sum, _| sum.double())
}

/// `weight * point`; how long it takes depends on the weight.
fn times(point: &G1Affine, weight: u128) -> G1Projective {
    let mut multiples = [G1Projective::from(point); MULTIPLES];
    for place in 1..MULTIPLES {
        multiples[place] = multiples[place - 1].add_mixed(point);
    }
    let mut sum = G1Projective::identity();
    for digit in digits(weight) {
        sum = doubled(&sum);
        if let Some(multiple) = digit.checked_sub(1).and_then(|place| multiples.get(place)) {
            sum += multiple;
        }
    }
    sum
}

/// The sum of weighed points: in each place, points with the same digit are added before they are multiplied.
fn weighed_sum(points: &[(G1Affine, u128)]) -> G1Projective {
    let mut sum = G1Projective::identity();
    for place in (0..u128::BITS).step_by(DIGIT).rev() {
        let mut buckets = [G1Projective::identity(); MULTIPLES];
        for (point, weight) in points {
            let digit = usize::try_from(weight >> place & 0xf).unwrap_or_default();
            if let Some(bucket) = digit.checked_sub(1).and_then(|digit| buckets.get_mut(digit)) {
                *bucket += point;
            }
        }
        sum = doubled(&sum);
        let mut above = G1Projective::identity();
        for bucket in buckets.iter().rev() {
            above += bucket;
            sum += above;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weighed_points_are_those_of_the_library() {
        let weights = [
            1,
            15,
            16,
            0x8000_0000_0000_0000_0000_0000_0000_0000,
            u128::MAX,
            0x0123_4567_89ab_cdef_0f00_00f0,
        ];
        let points: Vec<(G1Affine, u128)> = (2..)
            .zip(weights)
            .map(|(number, weight)| (G1Affine::from(G1Affine::generator() * Scalar::from(number)), weight))
            .collect();
        for (point, weight) in &points {
            assert_eq!(times(point, *weight), point * scalar(*weight));
        }
        let sum: G1Projective = points.iter().map(|(point, weight)| point * scalar(*weight)).sum();
        assert_eq!(weighed_sum(&points), sum);
    }
}
