//! Verifying the signatures that the transition collects. The transition itself only says what must be verified; who
//! does it, and with which cache of keys, is a value passed in.

use super::{State, transition::operation::Signed};
use crate::{
    crypto::{
        bls::{self, Key, SignatureSet},
        ed25519,
    },
    types::{
        primitives::{PublicKey, Signature, ValidatorIndex},
        ssz::sha256,
    },
};
use rayon::prelude::*;
use std::{
    collections::BTreeMap,
    sync::{PoisonError, RwLock},
};

/// Fewest signatures of a part that a thread verifies alone.
const LEAST_BATCH: usize = 256;

/// Verifies and adds up signatures.
pub trait Verifier: Send + Sync {
    /// Verifies signatures of validators of `state`.
    ///
    /// # Errors
    /// The position of the first bad one.
    fn validators(&self, state: &State, signed: &[Signed]) -> Result<(), usize>;

    /// Verifies signatures of accounts.
    ///
    /// # Errors
    /// The position of the first bad one.
    fn accounts(&self, items: &[ed25519::Item<'_>]) -> Result<(), usize>;

    /// The aggregate of signatures; `None` of nothing, or when one is no signature at all.
    fn aggregate(&self, signatures: &[Signature]) -> Option<Signature>;
}

/// The real rules, in batches, with every decompressed key kept.
#[derive(Debug)]
pub struct BatchVerifier {
    seed: [u8; 32],
    keys: RwLock<BTreeMap<PublicKey, Key>>,
}

impl BatchVerifier {
    /// `seed` must be unpredictable to those who make signatures: the multipliers of batches come from it.
    #[must_use]
    pub const fn new(seed: [u8; 32]) -> Self {
        Self { seed, keys: RwLock::new(BTreeMap::new()) }
    }

    /// The decompressed key of a validator.
    #[must_use]
    pub fn key(&self, state: &State, index: ValidatorIndex) -> Option<Key> {
        let bytes = state.validators.pubkey.at(index)?;
        if let Some(key) = self.keys.read().unwrap_or_else(PoisonError::into_inner).get(bytes) {
            return Some(*key);
        }
        let key = Key::new(bytes).ok()?;
        self.keys.write().unwrap_or_else(PoisonError::into_inner).insert(*bytes, key);
        Some(key)
    }
}

impl Verifier for BatchVerifier {
    fn validators(&self, state: &State, signed: &[Signed]) -> Result<(), usize> {
        let mut sets: Vec<SignatureSet> = Vec::with_capacity(signed.len());
        let mut seed = self.seed.to_vec();
        for (at, signed) in signed.iter().enumerate() {
            sets.push(signed.with_keys(|index| self.key(state, index)).map_err(|_| at)?);
            seed.extend(signed.signature.0);
        }
        bls::verify_sets(&sets, &sha256(&seed))
    }

    fn accounts(&self, items: &[ed25519::Item<'_>]) -> Result<(), usize> {
        let part = items.len().div_ceil(rayon::current_num_threads()).max(LEAST_BATCH);
        let verdicts: Vec<Result<(), usize>> = items.par_chunks(part).map(ed25519::verify_batch).collect();
        let bad = verdicts.iter().enumerate().find_map(|(at, verdict)| {
            verdict.err().map(|within| at.saturating_mul(part).saturating_add(within))
        });
        bad.map_or(Ok(()), Err)
    }

    fn aggregate(&self, signatures: &[Signature]) -> Option<Signature> {
        bls::aggregate(signatures).ok()
    }
}
