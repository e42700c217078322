//! Signatures of simulated validators. `Real` is BLS, each signature verified once for all nodes. `Cheap` replaces the
//! curve by tags (a hash of key and message; an aggregate is their sum) so that thousands of seeds can be run: who signed
//! what is still checked by the same code, only forging is not hard any more, which no actor here does.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use pos_node::{
    crypto::{bls::SecretKey, derive::interop_key, ed25519},
    state::{
        State,
        transition::operation::Signed,
        verifier::{BatchVerifier, Verifier},
    },
    types::{
        primitives::{PublicKey, Root, Signature},
        ssz::sha256,
    },
    validator::vault::Keys,
};

/// How validators sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    Real,
    Cheap,
}

/// Verifies for all nodes of a simulation.
pub(super) struct SharedVerifier {
    scheme: Scheme,
    real: BatchVerifier,
    known: Mutex<HashMap<[u8; 32], bool>>,
}

impl SharedVerifier {
    pub(super) fn new(scheme: Scheme) -> Self {
        Self { scheme, real: BatchVerifier::new([7; 32]), known: Mutex::default() }
    }

    fn is_good(&self, state: &State, signed: &Signed) -> bool {
        let mut identity = signed.message.0.to_vec();
        identity.extend(signed.signature.0);
        let mut tags = [0; 96];
        for signer in &signed.signers {
            let Some(key) = state.validators.pubkey.at(*signer) else { return false };
            identity.extend(key.0);
            if self.scheme == Scheme::Cheap {
                add(&mut tags, &tag(key, &signed.message));
            }
        }
        if self.scheme == Scheme::Cheap {
            return !signed.signers.is_empty() && tags == signed.signature.0;
        }
        let identity = sha256(&identity);
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&identity).copied();
        known.unwrap_or_else(|| {
            let good = self.real.validators(state, std::slice::from_ref(signed)).is_ok();
            self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(identity, good);
            good
        })
    }
}

impl Verifier for SharedVerifier {
    fn validators(&self, state: &State, signed: &[Signed]) -> Result<(), usize> {
        signed.iter().position(|signed| !self.is_good(state, signed)).map_or(Ok(()), Err)
    }

    fn accounts(&self, items: &[ed25519::Item<'_>]) -> Result<(), usize> {
        self.real.accounts(items)
    }

    fn aggregate(&self, signatures: &[Signature]) -> Option<Signature> {
        if self.scheme == Scheme::Real {
            return self.real.aggregate(signatures);
        }
        let mut sum = [0; 96];
        signatures.iter().for_each(|signature| add(&mut sum, &signature.0));
        (!signatures.is_empty()).then_some(Signature(sum))
    }
}

/// The interop keys with these numbers.
pub(super) struct SimKeys {
    scheme: Scheme,
    keys: Vec<(PublicKey, SecretKey)>,
}

impl SimKeys {
    pub(super) fn new(scheme: Scheme, indices: impl IntoIterator<Item = u64>) -> Self {
        let keys = indices.into_iter().map(|index| interop_key(index).expect("a key"));
        Self { scheme, keys: keys.map(|key| (key.public_key(), key)).collect() }
    }
}

impl Keys for SimKeys {
    fn list(&self) -> Vec<PublicKey> {
        self.keys.iter().map(|(public, _)| *public).collect()
    }

    fn sign(&self, key: &PublicKey, root: &Root) -> Option<Signature> {
        let (_, secret) = self.keys.iter().find(|(public, _)| public == key)?;
        Some(match self.scheme {
            Scheme::Real => secret.sign(root),
            Scheme::Cheap => Signature(tag(key, root)),
        })
    }
}

fn tag(key: &PublicKey, message: &Root) -> [u8; 96] {
    let mut tag = [0; 96];
    for (part, number) in tag.chunks_mut(32).zip(0u8..) {
        part.copy_from_slice(&sha256(&[key.0.as_slice(), &message.0, &[number]].concat()));
    }
    tag
}

fn add(sum: &mut [u8; 96], term: &[u8; 96]) {
    for (to, from) in sum.iter_mut().zip(term) {
        *to = to.wrapping_add(*from);
    }
}
