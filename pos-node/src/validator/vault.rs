//! The gate of signatures: nothing is signed before the record of signed messages has allowed it and is on disk. The
//! keys themselves are behind [`Keys`]: in memory, or with a signer elsewhere.

use std::collections::BTreeMap;

use crate::{
    crypto::bls::SecretKey,
    slashing_protection::{
        database::{Database, DatabaseError},
        rules::{Protection, Refusal},
    },
    types::{
        domain::signing_root,
        operation::{AttestationData, BlockHeader, FinalityVote, VoluntaryExit},
        primitives::{Epoch, PublicKey, Root, Signature, Slot},
    },
};

/// Holds keys and signs with them. Knows no rules: only the [`Vault`] calls it.
pub trait Keys: Send {
    /// The keys it can sign with.
    fn list(&self) -> Vec<PublicKey>;
    /// The signature over a root; `None` when the key is not there or the signer does not answer.
    fn sign(&self, key: &PublicKey, root: &Root) -> Option<Signature>;
}

/// Keys in memory.
#[derive(Debug, Default)]
pub struct LocalKeys(BTreeMap<PublicKey, SecretKey>);

impl LocalKeys {
    /// These keys.
    #[must_use]
    pub fn new(keys: impl IntoIterator<Item = SecretKey>) -> Self {
        Self(keys.into_iter().map(|key| (key.public_key(), key)).collect())
    }
}

impl Keys for LocalKeys {
    fn list(&self) -> Vec<PublicKey> {
        self.0.keys().copied().collect()
    }

    fn sign(&self, key: &PublicKey, root: &Root) -> Option<Signature> {
        self.0.get(key).map(|key| key.sign(root))
    }
}

/// The record of signed messages. When a call returns `Ok` the message is recorded for good and may be signed.
pub trait Record: Send {
    /// Allows a block and records it.
    ///
    /// # Errors
    /// A rule forbids it, or the record fails.
    fn block(&mut self, key: &PublicKey, slot: Slot, root: Root) -> Result<(), SignError>;
    /// Allows a vote and records it.
    ///
    /// # Errors
    /// A rule forbids it, or the record fails.
    fn vote(&mut self, key: &PublicKey, source: Epoch, target: Epoch, root: Root) -> Result<(), SignError>;
    /// Allows a finality vote and records it.
    ///
    /// # Errors
    /// A rule forbids it, or the record fails.
    fn finality_vote(&mut self, key: &PublicKey, epoch: Epoch, root: Root) -> Result<(), SignError>;
}

/// Why there is no signature.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// A rule of slashing protection forbids it.
    #[error("signing refused")]
    Refused(#[from] Refusal),
    /// The record cannot be written: nothing may be signed any more.
    #[error("record of signed messages failed")]
    Record(#[source] DatabaseError),
    /// The key is not there, or the signer does not answer.
    #[error("no signature from the holder of the key")]
    NoSignature,
}

impl From<DatabaseError> for SignError {
    fn from(err: DatabaseError) -> Self {
        match err {
            DatabaseError::Refused(refusal) => Self::Refused(refusal),
            other => Self::Record(other),
        }
    }
}

impl Record for Database {
    fn block(&mut self, key: &PublicKey, slot: Slot, root: Root) -> Result<(), SignError> {
        Ok(self.sign_block(key, slot, root)?)
    }

    fn vote(&mut self, key: &PublicKey, source: Epoch, target: Epoch, root: Root) -> Result<(), SignError> {
        Ok(self.sign_vote(key, source, target, root)?)
    }

    fn finality_vote(&mut self, key: &PublicKey, epoch: Epoch, root: Root) -> Result<(), SignError> {
        Ok(self.sign_finality_vote(key, epoch, root)?)
    }
}

/// The rules in memory, for simulations. Finality votes are not its business.
impl Record for Protection {
    fn block(&mut self, key: &PublicKey, slot: Slot, root: Root) -> Result<(), SignError> {
        Ok(self.sign_block(key, slot, root)?)
    }

    fn vote(&mut self, key: &PublicKey, source: Epoch, target: Epoch, root: Root) -> Result<(), SignError> {
        Ok(self.sign_vote(key, source, target, root)?)
    }

    fn finality_vote(&mut self, _: &PublicKey, _: Epoch, _: Root) -> Result<(), SignError> {
        Ok(())
    }
}

/// Keys and record together. A signature of anything that can be an offence comes from nowhere else.
pub struct Vault {
    keys: Box<dyn Keys>,
    record: Box<dyn Record>,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vault").field("keys", &self.keys.list()).finish_non_exhaustive()
    }
}

impl Vault {
    /// These keys behind this record.
    #[must_use]
    pub fn new(keys: Box<dyn Keys>, record: Box<dyn Record>) -> Self {
        Self { keys, record }
    }

    /// The keys.
    #[must_use]
    pub fn list(&self) -> Vec<PublicKey> {
        self.keys.list()
    }

    /// Signs a block's header.
    ///
    /// # Errors
    /// See [`SignError`].
    pub fn block(
        &mut self,
        key: &PublicKey,
        header: &BlockHeader,
        domain: [u8; 32],
    ) -> Result<Signature, SignError> {
        let root = signing_root(header, domain);
        self.record.block(key, header.slot, root)?;
        self.signed(key, &root)
    }

    /// Signs a vote.
    ///
    /// # Errors
    /// See [`SignError`].
    pub fn vote(
        &mut self,
        key: &PublicKey,
        data: &AttestationData,
        domain: [u8; 32],
    ) -> Result<Signature, SignError> {
        let root = signing_root(data, domain);
        self.record.vote(key, data.source.epoch, data.target.epoch, root)?;
        self.signed(key, &root)
    }

    /// Signs a finality vote.
    ///
    /// # Errors
    /// See [`SignError`].
    pub fn finality_vote(
        &mut self,
        key: &PublicKey,
        vote: &FinalityVote,
        domain: [u8; 32],
    ) -> Result<Signature, SignError> {
        let root = signing_root(vote, domain);
        self.record.finality_vote(key, vote.epoch, root)?;
        self.signed(key, &root)
    }

    /// Signs the epoch: the proposer's part of the randomness. Never an offence.
    ///
    /// # Errors
    /// See [`SignError`].
    pub fn randao(&self, key: &PublicKey, epoch: Epoch, domain: [u8; 32]) -> Result<Signature, SignError> {
        self.signed(key, &signing_root(&epoch, domain))
    }

    /// Signs the wish to leave. Never an offence.
    ///
    /// # Errors
    /// See [`SignError`].
    pub fn exit(
        &self,
        key: &PublicKey,
        exit: &VoluntaryExit,
        domain: [u8; 32],
    ) -> Result<Signature, SignError> {
        self.signed(key, &signing_root(exit, domain))
    }

    fn signed(&self, key: &PublicKey, root: &Root) -> Result<Signature, SignError> {
        self.keys.sign(key, root).ok_or(SignError::NoSignature)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::{slashing_protection::rules::Rule, types::operation::Checkpoint};

    type Events = Arc<Mutex<Vec<&'static str>>>;

    struct Watched(Events);

    impl Keys for Watched {
        fn list(&self) -> Vec<PublicKey> {
            vec![PublicKey::ZERO]
        }

        fn sign(&self, _: &PublicKey, _: &Root) -> Option<Signature> {
            self.0.lock().unwrap().push("signed");
            Some(Signature::ZERO)
        }
    }

    struct Recorded(Events, Protection);

    impl Record for Recorded {
        fn block(&mut self, key: &PublicKey, slot: Slot, root: Root) -> Result<(), SignError> {
            self.1.block(key, slot, root)?;
            self.0.lock().unwrap().push("recorded");
            Ok(())
        }

        fn vote(&mut self, key: &PublicKey, from: Epoch, to: Epoch, root: Root) -> Result<(), SignError> {
            self.1.vote(key, from, to, root)?;
            self.0.lock().unwrap().push("recorded");
            Ok(())
        }

        fn finality_vote(&mut self, _: &PublicKey, _: Epoch, _: Root) -> Result<(), SignError> {
            Err(SignError::NoSignature)
        }
    }

    #[test]
    fn nothing_is_signed_before_it_is_recorded_or_when_that_is_refused() {
        let events = Events::default();
        let record = Recorded(Arc::clone(&events), Protection::new(Rule::Complete, Root::ZERO));
        let mut vault = Vault::new(Box::new(Watched(Arc::clone(&events))), Box::new(record));
        let taken = || std::mem::take(&mut *events.lock().unwrap());
        let header = BlockHeader { slot: 3, ..BlockHeader::default() };
        vault.block(&PublicKey::ZERO, &header, [0; 32]).expect("first block");
        assert_eq!(taken(), ["recorded", "signed"]);
        let other = BlockHeader { state_root: Root([1; 32]), ..header };
        assert!(matches!(vault.block(&PublicKey::ZERO, &other, [0; 32]), Err(SignError::Refused(_))));
        let vote = |source, target| AttestationData {
            source: Checkpoint { epoch: source, root: Root::ZERO },
            target: Checkpoint { epoch: target, root: Root::ZERO },
            ..AttestationData::default()
        };
        assert!(taken().is_empty());
        vault.vote(&PublicKey::ZERO, &vote(2, 3), [0; 32]).expect("first vote");
        assert_eq!(taken(), ["recorded", "signed"]);
        assert!(matches!(
            vault.vote(&PublicKey::ZERO, &vote(1, 4), [0; 32]),
            Err(SignError::Refused(Refusal::Surrounds))
        ));
        let finality = FinalityVote::default();
        assert!(vault.finality_vote(&PublicKey::ZERO, &finality, [0; 32]).is_err());
        assert!(taken().is_empty());
    }
}
