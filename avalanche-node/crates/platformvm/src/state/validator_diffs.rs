//! Validator sets at past heights: each block leaves the difference it made, and a set is found by undoing differences
//! from the present one. Mirrors `vms/platformvm/state/disk_staker_diff_iterator.go` and the `Apply…Diffs` methods of
//! `state.go`; keys and values have the reference's layout.

use avalanche_codec::{ReadError, Reader, Writer};
use avalanche_crypto::bls;
use avalanche_db::{Batch, Database, DbError, Prefixed};
use avalanche_ids::{Id, NodeId};
use avalanche_vm::chain::{Validator as ValidatorOutput, ValidatorSet};

const WEIGHTS: &[u8] = b"flatValidatorDiffs";
const KEYS: &[u8] = b"flatPublicKeyDiffs";

/// How a validator's weight changed in a block.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WeightDiff {
    /// True when it became less.
    pub decrease: bool,
    /// By how much.
    pub amount: u64,
}

/// Why a past set cannot be found.
#[derive(Debug, thiserror::Error)]
pub enum DiffError {
    /// The store failed.
    #[error("the store failed")]
    Db(#[from] DbError),
    /// A difference that cannot be read.
    #[error("malformed difference")]
    Malformed(#[from] ReadError),
    /// A key that is none.
    #[error("malformed public key")]
    Key(#[from] bls::BlsError),
    /// A weight below zero or beyond 64 bits.
    #[error("weight of {0} out of range")]
    Weight(NodeId),
}

impl WeightDiff {
    /// This change followed by a gain.
    #[must_use]
    pub fn gain(self, amount: u64) -> Option<Self> {
        self.then(Self { decrease: false, amount })
    }

    /// This change followed by a loss.
    #[must_use]
    pub fn lose(self, amount: u64) -> Option<Self> {
        self.then(Self { decrease: true, amount })
    }

    fn then(self, next: Self) -> Option<Self> {
        if self.decrease == next.decrease {
            return Some(Self { amount: self.amount.checked_add(next.amount)?, ..self });
        }
        Some(match self.amount.checked_sub(next.amount) {
            Some(amount) if amount > 0 => Self { amount, ..self },
            _ => Self { amount: next.amount - self.amount, ..next },
        })
    }
}

/// Differences of all subnets.
#[derive(Debug)]
pub struct ValidatorDiffs<D> {
    weights: Prefixed<D>,
    keys: Prefixed<D>,
}

impl<D: Database + Clone> ValidatorDiffs<D> {
    /// The differences kept in a store.
    pub fn new(store: D) -> Self {
        Self { weights: Prefixed::new(store.clone(), WEIGHTS), keys: Prefixed::new(store, KEYS) }
    }
}

impl<D: Database> ValidatorDiffs<D> {
    /// The changes to the store that remember how a block changed a validator's weight.
    #[must_use]
    pub fn record_weight(&self, subnet: Id, height: u64, node: NodeId, diff: WeightDiff) -> Batch {
        let mut value = Writer::new();
        value.u8(u8::from(diff.decrease)).u64_be(diff.amount);
        let mut batch = Batch::new();
        batch.put(&key(subnet, height, Some(node)), value.as_slice());
        self.weights.outer_batch(&batch)
    }

    /// The changes to the store that remember which key a validator had before a block changed it.
    #[must_use]
    pub fn record_key(
        &self,
        subnet: Id,
        height: u64,
        node: NodeId,
        before: Option<&bls::PublicKey>,
    ) -> Batch {
        let before = before.map(bls::PublicKey::to_uncompressed);
        let mut batch = Batch::new();
        batch.put(&key(subnet, height, Some(node)), before.as_ref().map_or(&[], <[u8; 96]>::as_slice));
        self.keys.outer_batch(&batch)
    }

    /// Turns the set at `height` into that at the earlier `target`.
    ///
    /// # Errors
    /// As [`DiffError`] says; the set is of no use then.
    pub fn rewind(
        &self,
        set: &mut ValidatorSet,
        subnet: Id,
        height: u64,
        target: u64,
    ) -> Result<(), DiffError> {
        for entry in self.weights.iterate(&key(subnet, height, None), subnet.as_bytes()) {
            let (key, value) = entry?;
            let (changed, node) = parse_key(&key)?;
            if changed <= target {
                break;
            }
            undo_weight(set, node, parse_weight(&value)?)?;
        }
        for entry in self.keys.iterate(&key(subnet, height, None), subnet.as_bytes()) {
            let (key, value) = entry?;
            let (changed, node) = parse_key(&key)?;
            if changed <= target {
                break;
            }
            // A validator that was removed since, and was not there at the target, can have left a key.
            if let Some(validator) = set.get_mut(&node) {
                validator.public_key = parse_public_key(&value)?;
            }
        }
        Ok(())
    }
}

fn undo_weight(set: &mut ValidatorSet, node: NodeId, diff: WeightDiff) -> Result<(), DiffError> {
    let validator = set.entry(node).or_insert(ValidatorOutput { weight: 0, public_key: None });
    let before = if diff.decrease {
        validator.weight.checked_add(diff.amount)
    } else {
        validator.weight.checked_sub(diff.amount)
    };
    validator.weight = before.ok_or(DiffError::Weight(node))?;
    if validator.weight == 0 {
        set.remove(&node);
    }
    Ok(())
}

/// Heights are inverted, so that ascending keys are descending heights.
fn key(subnet: Id, height: u64, node: Option<NodeId>) -> Vec<u8> {
    let mut key = Writer::new();
    key.put(subnet.as_bytes()).u64_be(!height);
    if let Some(node) = node {
        key.put(node.as_bytes());
    }
    key.into_vec()
}

fn parse_key(key: &[u8]) -> Result<(u64, NodeId), ReadError> {
    let mut input = Reader::new(key);
    input.array::<32>()?;
    let height = !input.u64_be()?;
    let node = NodeId(input.array()?);
    input.finish()?;
    Ok((height, node))
}

fn parse_weight(value: &[u8]) -> Result<WeightDiff, ReadError> {
    let mut input = Reader::new(value);
    let diff = WeightDiff { decrease: input.u8()? == 1, amount: input.u64_be()? };
    input.finish()?;
    Ok(diff)
}

fn parse_public_key(value: &[u8]) -> Result<Option<bls::PublicKey>, DiffError> {
    if value.is_empty() {
        return Ok(None);
    }
    let mut input = Reader::new(value);
    let uncompressed = input.array()?;
    input.finish()?;
    Ok(Some(bls::PublicKey::from_uncompressed(&uncompressed)?))
}

#[cfg(test)]
mod tests {
    use avalanche_db::Memory;

    use super::*;

    #[test]
    fn changes_within_a_block_add_up() {
        let diff = WeightDiff::default().gain(5).unwrap().lose(7).unwrap();
        assert_eq!(diff, WeightDiff { decrease: true, amount: 2 });
        assert_eq!(diff.gain(2), Some(WeightDiff { decrease: false, amount: 0 }));
        assert_eq!(WeightDiff { decrease: false, amount: u64::MAX }.gain(1), None);
    }

    #[test]
    fn a_difference_that_does_not_fit_the_set_is_an_error() {
        let store = Memory::new();
        let diffs = ValidatorDiffs::new(&store);
        let gain = WeightDiff { decrease: false, amount: 1 };
        store.write(&diffs.record_weight(Id::EMPTY, 3, NodeId([1; 20]), gain)).unwrap();
        let mut set = ValidatorSet::new();
        assert!(matches!(diffs.rewind(&mut set, Id::EMPTY, 5, 2), Err(DiffError::Weight(_))));
        assert!(diffs.rewind(&mut ValidatorSet::new(), Id::EMPTY, 5, 3).is_ok());
    }
}
