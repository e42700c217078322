//! The rules over the record on disk: what was allowed is synced before the caller learns that it may sign.

use super::{
    interchange::{Interchange, Metadata, Record, SignedAttestation, SignedBlock, VERSION},
    rules::{History, ImportError, Refusal, Rule, check_file},
};
use crate::{
    storage::{
        schema::StoreError,
        signed::{SignedStore, Transaction},
    },
    types::primitives::{Epoch, PublicKey, Root, Slot},
};
use std::path::Path;

/// Why a message must not be signed, or cannot be.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// A rule forbids it.
    #[error("signing refused")]
    Refused(#[from] Refusal),
    /// A file cannot be imported.
    #[error("interchange file refused")]
    Import(#[from] ImportError),
    /// The record failed: nothing may be signed.
    #[error("record of signed messages failed")]
    Store(#[from] StoreError),
}

/// The protection of all keys on one chain.
#[derive(Debug)]
pub struct Database {
    store: SignedStore,
    rule: Rule,
    genesis_validators_root: Root,
}

impl Database {
    /// Opens or makes the record of one chain and locks it.
    ///
    /// # Errors
    /// Another kind of file, chain or newer version, locked by another process, or the engine fails.
    pub fn open(path: &Path, rule: Rule, genesis_validators_root: Root) -> Result<Self, DatabaseError> {
        let store = SignedStore::open(path, &genesis_validators_root)?;
        Ok(Self { store, rule, genesis_validators_root })
    }

    /// Checks a block and records it. Only when this returns `Ok` may it be signed.
    ///
    /// # Errors
    /// The rule that forbids it, or the record fails.
    pub fn sign_block(&mut self, key: &PublicKey, slot: Slot, root: Root) -> Result<(), DatabaseError> {
        let transaction = self.store.begin()?;
        let validator = transaction.validator(key)?;
        let mut history = History::default();
        for (slot, root) in transaction.blocks_about(validator, slot)? {
            history.record_block(slot, root);
        }
        history.check_block(self.rule, slot, root)?;
        transaction.insert_block(validator, (slot, Some(root)))?;
        Ok(transaction.commit()?)
    }

    /// Checks a vote and records it. Only when this returns `Ok` may it be signed.
    ///
    /// # Errors
    /// The rule that forbids it, or the record fails.
    pub fn sign_vote(
        &mut self,
        key: &PublicKey,
        source: Epoch,
        target: Epoch,
        root: Root,
    ) -> Result<(), DatabaseError> {
        let transaction = self.store.begin()?;
        let validator = transaction.validator(key)?;
        let mut history = History::default();
        for (source, target, root) in transaction.votes_about(validator, source, target)? {
            history.record_vote(source, target, root);
        }
        history.check_vote(self.rule, source, target, root)?;
        transaction.insert_vote(validator, (source, target, Some(root)))?;
        Ok(transaction.commit()?)
    }

    /// Checks a finality vote and records it. Only when this returns `Ok` may it be signed.
    ///
    /// # Errors
    /// Another finality vote of this epoch was signed, or the record fails.
    pub fn sign_finality_vote(
        &mut self,
        key: &PublicKey,
        epoch: Epoch,
        root: Root,
    ) -> Result<(), DatabaseError> {
        let transaction = self.store.begin()?;
        let validator = transaction.validator(key)?;
        match transaction.finality_vote(validator, epoch)? {
            Some(signed) if signed == root => return Ok(()),
            Some(_) => return Err(Refusal::DoubleFinalityVote.into()),
            None => transaction.insert_finality_vote(validator, epoch, &root)?,
        }
        Ok(transaction.commit()?)
    }

    /// Adds everything a file says was signed, all of it or nothing.
    ///
    /// # Errors
    /// Another version or chain, or the record fails.
    pub fn import(&mut self, file: &Interchange) -> Result<(), DatabaseError> {
        check_file(file, &self.genesis_validators_root)?;
        let transaction = self.store.begin()?;
        for record in &file.data {
            let validator = transaction.validator(&record.pubkey)?;
            for block in &record.signed_blocks {
                transaction.insert_block(validator, (block.slot, block.signing_root))?;
            }
            for vote in &record.signed_attestations {
                let row = (vote.source_epoch, vote.target_epoch, vote.signing_root);
                transaction.insert_vote(validator, row)?;
            }
        }
        Ok(transaction.commit()?)
    }

    /// Everything that was signed, for another client. The format has no place for finality votes.
    ///
    /// # Errors
    /// The record fails.
    pub fn export(&mut self) -> Result<Interchange, DatabaseError> {
        let transaction = self.store.begin()?;
        let data = transaction
            .validators()?
            .into_iter()
            .map(|(validator, pubkey)| record(&transaction, validator, pubkey))
            .collect::<Result<_, StoreError>>()?;
        let metadata = Metadata {
            interchange_format_version: VERSION.into(),
            genesis_validators_root: self.genesis_validators_root,
        };
        Ok(Interchange { metadata, data })
    }
}

fn record(transaction: &Transaction<'_>, validator: i64, pubkey: PublicKey) -> Result<Record, StoreError> {
    let blocks = transaction.blocks(validator)?.into_iter();
    let votes = transaction.votes(validator)?.into_iter();
    Ok(Record {
        pubkey,
        signed_blocks: blocks.map(|(slot, signing_root)| SignedBlock { slot, signing_root }).collect(),
        signed_attestations: votes
            .map(|(source_epoch, target_epoch, signing_root)| SignedAttestation {
                source_epoch,
                target_epoch,
                signing_root,
            })
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::{super::rules::Protection, *};
    use proptest::prelude::*;

    const CHAIN: Root = Root([7; 32]);

    fn file(folder: &tempfile::TempDir) -> std::path::PathBuf {
        folder.path().join("slashing.db")
    }

    #[test]
    fn what_was_signed_is_remembered_after_reopening_and_the_file_is_locked() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let key = PublicKey([1; 48]);
        let mut first = Database::open(&file(&folder), Rule::Complete, CHAIN).expect("new file");
        first.sign_block(&key, 5, Root([1; 32])).expect("first block");
        first.sign_vote(&key, 2, 3, Root([1; 32])).expect("first vote");
        first.sign_finality_vote(&key, 3, Root([1; 32])).expect("first finality vote");
        assert!(matches!(
            Database::open(&file(&folder), Rule::Complete, CHAIN),
            Err(DatabaseError::Store(StoreError::Sqlite(_)))
        ));
        drop(first);
        let mut again = Database::open(&file(&folder), Rule::Complete, CHAIN).expect("own file");
        assert!(again.sign_block(&key, 5, Root([1; 32])).is_ok());
        assert!(matches!(
            again.sign_block(&key, 5, Root([2; 32])),
            Err(DatabaseError::Refused(Refusal::DoubleBlock))
        ));
        assert!(matches!(
            again.sign_vote(&key, 1, 4, Root([2; 32])),
            Err(DatabaseError::Refused(Refusal::Surrounds))
        ));
        assert!(again.sign_finality_vote(&key, 3, Root([1; 32])).is_ok());
        assert!(matches!(
            again.sign_finality_vote(&key, 3, Root([2; 32])),
            Err(DatabaseError::Refused(Refusal::DoubleFinalityVote))
        ));
    }

    #[test]
    fn files_of_other_chains_versions_and_programs_are_refused() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = file(&folder);
        let open = |chain| Database::open(&path, Rule::Complete, chain).map(|_| ());
        open(CHAIN).expect("new file");
        assert!(matches!(open(Root::ZERO), Err(DatabaseError::Store(StoreError::OtherChain))));
        let change = |pragma: &str, value: i32| {
            let connection = rusqlite::Connection::open(&path).expect("a database");
            connection.pragma_update(None, pragma, value).expect("writable");
        };
        change("user_version", 99);
        assert!(matches!(open(CHAIN), Err(DatabaseError::Store(StoreError::Newer { found: 99, known: 1 }))));
        change("application_id", 5);
        assert!(matches!(open(CHAIN), Err(DatabaseError::Store(StoreError::OtherFile(5)))));
    }

    #[derive(Debug, Clone)]
    enum Act {
        Block(u64, u8),
        Vote(u64, u64, u8),
        Import(Vec<(u64, Option<u8>)>, Vec<(u64, u64)>),
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            3 => (0u64..12, 0u8..3).prop_map(|(slot, root)| Act::Block(slot, root)),
            5 => (0u64..9, 0u64..9, 0u8..3).prop_map(|(source, target, root)| Act::Vote(source, target, root)),
            1 => (
                proptest::collection::vec((0u64..12, proptest::option::of(0u8..3)), 0..3),
                proptest::collection::vec((0u64..9, 0u64..9), 0..3),
            ).prop_map(|(blocks, votes)| Act::Import(blocks, votes)),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn the_database_decides_as_the_rules_over_the_whole_history(
            acts in proptest::collection::vec(act(), 1..30),
            minimal in any::<bool>(),
        ) {
            let folder = tempfile::tempdir().expect("temporary folder");
            let rule = if minimal { Rule::Minimal } else { Rule::Complete };
            let mut database = Database::open(&file(&folder), rule, CHAIN).expect("new file");
            let mut whole = Protection::new(rule, CHAIN);
            let key = PublicKey([9; 48]);
            for act in acts {
                let (on_disk, in_memory) = match act {
                    Act::Block(slot, root) => {
                        let root = Root([root; 32]);
                        (database.sign_block(&key, slot, root), whole.sign_block(&key, slot, root))
                    }
                    Act::Vote(source, target, root) => {
                        let root = Root([root; 32]);
                        (
                            database.sign_vote(&key, source, target, root),
                            whole.sign_vote(&key, source, target, root),
                        )
                    }
                    Act::Import(blocks, votes) => {
                        let block = |(slot, root): (u64, Option<u8>)| SignedBlock {
                            slot,
                            signing_root: root.map(|root| Root([root; 32])),
                        };
                        let vote = |(source_epoch, target_epoch)| SignedAttestation {
                            source_epoch,
                            target_epoch,
                            signing_root: None,
                        };
                        let record = Record {
                            pubkey: key,
                            signed_blocks: blocks.into_iter().map(block).collect(),
                            signed_attestations: votes.into_iter().map(vote).collect(),
                        };
                        let metadata = Metadata {
                            interchange_format_version: VERSION.into(),
                            genesis_validators_root: CHAIN,
                        };
                        let file = Interchange { metadata, data: vec![record] };
                        database.import(&file).expect("imported");
                        whole.import(&file).expect("imported");
                        continue;
                    }
                };
                match (on_disk, in_memory) {
                    (Ok(()), Ok(())) => {}
                    (Err(DatabaseError::Refused(on_disk)), Err(in_memory)) => {
                        prop_assert_eq!(on_disk, in_memory);
                    }
                    other => prop_assert!(false, "{other:?}"),
                }
            }
            let mut exported = database.export().expect("readable");
            exported.data.retain(|record| {
                !record.signed_blocks.is_empty() || !record.signed_attestations.is_empty()
            });
            let mut expected = whole.export();
            expected.data.retain(|record| {
                !record.signed_blocks.is_empty() || !record.signed_attestations.is_empty()
            });
            prop_assert_eq!(exported, expected);
        }
    }
}
