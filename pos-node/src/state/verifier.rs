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
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, HashSet},
    sync::{PoisonError, RwLock},
};

/// Fewest signatures of a part that a thread verifies alone.
const LEAST_BATCH: usize = 256;
/// Parts per thread, so that threads that do something else meanwhile do not hold up the others.
const PARTS_PER_THREAD: usize = 3;

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

/// Most account signatures of a generation of [`Verified`].
const MAX_VERIFIED: usize = 1 << 17;

/// Account signatures that were found good, by a hash of everything that was verified: a transaction is verified when it
/// enters the pool and need not be verified again in its block. Two generations; the older one goes when the younger is
/// full.
#[derive(Debug, Default)]
struct Verified {
    young: HashSet<[u8; 32]>,
    old: HashSet<[u8; 32]>,
}

impl Verified {
    fn contains(&self, item: &[u8; 32]) -> bool {
        self.young.contains(item) || self.old.contains(item)
    }

    fn insert(&mut self, item: [u8; 32]) {
        if self.young.len() >= MAX_VERIFIED {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(item);
    }
}

/// What identifies a verification: key, signature and message.
fn identity(item: &ed25519::Item<'_>) -> [u8; 32] {
    let parts = Sha256::new().chain_update(item.key).chain_update(item.signature);
    parts.chain_update(item.message).finalize().into()
}

/// The real rules, in batches, with every decompressed key kept, and account signatures not verified twice.
#[derive(Debug)]
pub struct BatchVerifier {
    seed: [u8; 32],
    keys: RwLock<BTreeMap<PublicKey, Key>>,
    verified: RwLock<Verified>,
}

impl BatchVerifier {
    /// `seed` must be unpredictable to those who make signatures: the multipliers of batches come from it.
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Self {
        Self { seed, keys: RwLock::default(), verified: RwLock::default() }
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
        let identities: Vec<[u8; 32]> = items.par_iter().with_min_len(LEAST_BATCH).map(identity).collect();
        let unknown: Vec<(usize, ed25519::Item<'_>)> = {
            let verified = self.verified.read().unwrap_or_else(PoisonError::into_inner);
            let all = items.iter().copied().enumerate().zip(&identities);
            all.filter(|(_, identity)| !verified.contains(identity)).map(|(item, _)| item).collect()
        };
        let verify = |part: &[(usize, ed25519::Item<'_>)]| {
            let items: Vec<ed25519::Item<'_>> = part.iter().map(|(_, item)| *item).collect();
            let position = |within: usize| part.get(within).map_or(0, |(at, _)| *at);
            ed25519::verify_batch(&items).map_err(position)
        };
        let part = unknown.len().div_ceil(PARTS_PER_THREAD * rayon::current_num_threads()).max(LEAST_BATCH);
        let verdicts: Vec<Result<(), usize>> = unknown.par_chunks(part).map(verify).collect();
        verdicts.into_iter().find(Result::is_err).unwrap_or(Ok(()))?;
        let mut verified = self.verified.write().unwrap_or_else(PoisonError::into_inner);
        unknown
            .iter()
            .filter_map(|(at, _)| identities.get(*at))
            .for_each(|identity| verified.insert(*identity));
        Ok(())
    }

    fn aggregate(&self, signatures: &[Signature]) -> Option<Signature> {
        bls::aggregate(signatures).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_found_good_before_changes_no_verdict_on_others() {
        let verifier = BatchVerifier::new([1; 32]);
        let key = ed25519::public_key(&[5; 32]);
        let messages: Vec<[u8; 32]> = (0u32..600).map(|at| sha256(&at.to_le_bytes())).collect();
        let mut signatures: Vec<[u8; 64]> =
            messages.iter().map(|message| ed25519::sign(&[5; 32], message)).collect();
        let verify = |signatures: &[[u8; 64]], range: std::ops::Range<usize>| {
            let of = messages.iter().zip(signatures);
            let items: Vec<ed25519::Item<'_>> =
                of.map(|(message, signature)| ed25519::Item { key: &key, signature, message }).collect();
            verifier.accounts(&items[range])
        };
        assert_eq!(verify(&signatures, 0..300), Ok(()));
        let good = signatures.clone();
        signatures[450][3] ^= 1;
        signatures[550][3] ^= 1;
        assert_eq!(verify(&signatures, 0..600), Err(450), "the first bad one");
        signatures[20][3] ^= 1;
        assert_eq!(verify(&signatures, 0..600), Err(20), "another signature of a message that was verified");
        assert_eq!(verify(&good, 0..600), Ok(()));
        let mut swapped = good;
        swapped.swap(7, 8);
        assert_eq!(verify(&swapped, 0..600), Err(7), "a good signature of another message");
        assert_eq!(verify(&[], 0..0), Ok(()));
    }
}
