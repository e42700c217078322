//! What a key may still sign, given what it signed (EIP-3076). The complete rule knows every message; the minimal one
//! only the highest numbers and so refuses more. Pure: whoever holds the history on disk must write and sync a message
//! before its signature leaves.

use super::interchange::{Interchange, Metadata, Record, SignedAttestation, SignedBlock, VERSION};
use crate::types::primitives::{Epoch, PublicKey, Root, Slot};
use std::collections::{BTreeMap, BTreeSet};

/// How much of the history the decision is based on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Every message ever signed.
    Complete,
    /// The highest slot, source and target.
    Minimal,
}

/// Why a message must not be signed: one variant per condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A different (or unknown) block of this slot was signed.
    #[error("another block was signed for this slot")]
    DoubleBlock,
    /// The slot is not above the limit: everything at or below it may have been signed.
    #[error("slot is not above {0}")]
    SlotTooLow(Slot),
    /// The source is after the target.
    #[error("source is after the target")]
    SourceAfterTarget,
    /// A different (or unknown) vote with this target was signed.
    #[error("another vote was signed for this target")]
    DoubleVote,
    /// An earlier vote surrounds this one.
    #[error("an earlier vote surrounds this one")]
    Surrounded,
    /// This vote surrounds an earlier one.
    #[error("this vote surrounds an earlier one")]
    Surrounds,
    /// A different finality vote of this epoch was signed.
    #[error("another finality vote was signed for this epoch")]
    DoubleFinalityVote,
    /// The source is below the limit.
    #[error("source is below {0}")]
    SourceTooLow(Epoch),
    /// The target is not above the limit.
    #[error("target is not above {0}")]
    TargetTooLow(Epoch),
}

/// Why an interchange file cannot be imported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// Another version of the format.
    #[error("interchange version {0} is not known")]
    Version(String),
    /// The file is for another chain.
    #[error("interchange file is for the chain {0}")]
    Chain(Root),
}

/// What one key signed. A message whose root is unknown equals no other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    blocks: BTreeSet<(Slot, Option<Root>)>,
    votes: BTreeSet<(Epoch, Epoch, Option<Root>)>, // target, source, root
}

impl History {
    /// Whether a block may be signed. A block that was signed before may be signed again under the complete rule.
    ///
    /// # Errors
    /// The condition that forbids it.
    pub fn check_block(&self, rule: Rule, slot: Slot, signing_root: Root) -> Result<(), Refusal> {
        let limit = match rule {
            Rule::Minimal => self.blocks.last(),
            Rule::Complete => {
                let mut same_slot =
                    self.blocks.range((slot, None)..=(slot, Some(Root([0xff; 32])))).peekable();
                if same_slot.peek().is_some() {
                    return same_slot
                        .all(|(_, root)| *root == Some(signing_root))
                        .then_some(())
                        .ok_or(Refusal::DoubleBlock);
                }
                self.blocks.first()
            }
        };
        match limit {
            Some((limit, _)) if slot <= *limit => Err(Refusal::SlotTooLow(*limit)),
            _ => Ok(()),
        }
    }

    /// Whether a vote may be signed. A vote that was signed before may be signed again under the complete rule.
    ///
    /// # Errors
    /// The condition that forbids it.
    pub fn check_vote(
        &self,
        rule: Rule,
        source: Epoch,
        target: Epoch,
        signing_root: Root,
    ) -> Result<(), Refusal> {
        if source > target {
            return Err(Refusal::SourceAfterTarget);
        }
        if rule == Rule::Complete {
            let mut same_target = self.votes.iter().filter(|vote| vote.0 == target).peekable();
            if same_target.peek().is_some() {
                return same_target
                    .all(|vote| *vote == (target, source, Some(signing_root)))
                    .then_some(())
                    .ok_or(Refusal::DoubleVote);
            }
            for (old_target, old_source, _) in &self.votes {
                if *old_source < source && target < *old_target {
                    return Err(Refusal::Surrounded);
                }
                if source < *old_source && *old_target < target {
                    return Err(Refusal::Surrounds);
                }
            }
        }
        let sources = self.votes.iter().map(|vote| vote.1);
        let targets = self.votes.iter().map(|vote| vote.0);
        let (lowest_source, highest_passed_target) = match rule {
            Rule::Complete => (sources.min(), targets.min()),
            Rule::Minimal => (sources.max(), targets.max()),
        };
        if let Some(limit) = lowest_source.filter(|limit| source < *limit) {
            return Err(Refusal::SourceTooLow(limit));
        }
        if let Some(limit) = highest_passed_target.filter(|limit| target <= *limit) {
            return Err(Refusal::TargetTooLow(limit));
        }
        Ok(())
    }

    /// Adds a signed block.
    pub fn record_block(&mut self, slot: Slot, signing_root: Option<Root>) {
        self.blocks.insert((slot, signing_root));
    }

    /// Adds a signed vote.
    pub fn record_vote(&mut self, source: Epoch, target: Epoch, signing_root: Option<Root>) {
        self.votes.insert((target, source, signing_root));
    }
}

/// The histories of all keys on one chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protection {
    rule: Rule,
    genesis_validators_root: Root,
    histories: BTreeMap<PublicKey, History>,
}

impl Protection {
    /// Nothing signed yet.
    #[must_use]
    pub const fn new(rule: Rule, genesis_validators_root: Root) -> Self {
        Self { rule, genesis_validators_root, histories: BTreeMap::new() }
    }

    /// Checks a block and records it; only then may it be signed.
    ///
    /// # Errors
    /// The condition that forbids it; nothing is recorded then.
    pub fn sign_block(&mut self, key: &PublicKey, slot: Slot, signing_root: Root) -> Result<(), Refusal> {
        let history = self.histories.entry(*key).or_default();
        history.check_block(self.rule, slot, signing_root)?;
        history.record_block(slot, Some(signing_root));
        Ok(())
    }

    /// Checks a vote and records it; only then may it be signed.
    ///
    /// # Errors
    /// The condition that forbids it; nothing is recorded then.
    pub fn sign_vote(
        &mut self,
        key: &PublicKey,
        source: Epoch,
        target: Epoch,
        signing_root: Root,
    ) -> Result<(), Refusal> {
        let history = self.histories.entry(*key).or_default();
        history.check_vote(self.rule, source, target, signing_root)?;
        history.record_vote(source, target, Some(signing_root));
        Ok(())
    }

    /// Adds everything a file says was signed. Contradictions in it are kept: they forbid more, never less.
    ///
    /// # Errors
    /// Another version or chain; nothing is added then.
    pub fn import(&mut self, file: &Interchange) -> Result<(), ImportError> {
        check_file(file, &self.genesis_validators_root)?;
        for record in &file.data {
            let history = self.histories.entry(record.pubkey).or_default();
            for block in &record.signed_blocks {
                history.record_block(block.slot, block.signing_root);
            }
            for vote in &record.signed_attestations {
                history.record_vote(vote.source_epoch, vote.target_epoch, vote.signing_root);
            }
        }
        Ok(())
    }

    /// Everything that was signed, for another client.
    #[must_use]
    pub fn export(&self) -> Interchange {
        let record = |(pubkey, history): (&PublicKey, &History)| Record {
            pubkey: *pubkey,
            signed_blocks: history
                .blocks
                .iter()
                .map(|(slot, signing_root)| SignedBlock { slot: *slot, signing_root: *signing_root })
                .collect(),
            signed_attestations: history
                .votes
                .iter()
                .map(|(target, source, signing_root)| SignedAttestation {
                    source_epoch: *source,
                    target_epoch: *target,
                    signing_root: *signing_root,
                })
                .collect(),
        };
        Interchange {
            metadata: Metadata {
                interchange_format_version: VERSION.into(),
                genesis_validators_root: self.genesis_validators_root,
            },
            data: self.histories.iter().map(record).collect(),
        }
    }
}

/// Checks that a file is of the known version and for this chain.
///
/// # Errors
/// It is not.
pub fn check_file(file: &Interchange, genesis_validators_root: &Root) -> Result<(), ImportError> {
    let Metadata { interchange_format_version, genesis_validators_root: chain } = &file.metadata;
    if interchange_format_version != VERSION {
        return Err(ImportError::Version(interchange_format_version.clone()));
    }
    if chain != genesis_validators_root {
        return Err(ImportError::Chain(*chain));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::operation::{AttestationData, Checkpoint};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_two_signed_votes_are_an_offence_under_either_rule(
            votes in proptest::collection::vec((0u64..12, 0u64..12, 0u8..3), 1..60),
            minimal in any::<bool>(),
        ) {
            let rule = if minimal { Rule::Minimal } else { Rule::Complete };
            let mut protection = Protection::new(rule, Root::ZERO);
            let mut signed: Vec<AttestationData> = Vec::new();
            for (source, target, root) in votes {
                let root = Root([root; 32]);
                if protection.sign_vote(&PublicKey::ZERO, source, target, root).is_ok() {
                    signed.push(AttestationData {
                        beacon_block_root: root,
                        source: Checkpoint { epoch: source, root: Root::ZERO },
                        target: Checkpoint { epoch: target, root: Root::ZERO },
                        ..AttestationData::default()
                    });
                }
            }
            for first in &signed {
                for second in &signed {
                    prop_assert!(!first.is_slashable_with(second));
                }
            }
        }

        #[test]
        fn what_is_exported_imports_to_the_same_history(
            blocks in proptest::collection::vec((any::<u64>(), proptest::option::of(any::<[u8; 32]>())), 0..9),
            votes in proptest::collection::vec((any::<u64>(), any::<u64>()), 0..9),
        ) {
            let mut first = Protection::new(Rule::Complete, Root([7; 32]));
            let history = first.histories.entry(PublicKey([1; 48])).or_default();
            for (slot, root) in blocks {
                history.record_block(slot, root.map(Root));
            }
            for (source, target) in votes {
                history.record_vote(source, target, None);
            }
            let text = serde_json::to_string(&first.export()).expect("serializable");
            let mut second = Protection::new(Rule::Complete, Root([7; 32]));
            second.import(&serde_json::from_str(&text).expect("its own text")).expect("same chain");
            prop_assert_eq!(first, second);
        }
    }
}
