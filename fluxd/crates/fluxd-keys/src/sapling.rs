//! Keys of Sapling, each the child of another (ZIP-32), and their texts.
//!
//! `sapling-crypto` knows hardened children only and refuses to read others, which the node of the reference makes and
//! reads. So a key is held here as the first of a tree of its own, with its true place beside it.

use std::fmt;

use blake2b_simd::Params;
use fluxd_primitives::{
    AddressFormat,
    address::{decode_bech32, encode_bech32},
};
use group::GroupEncoding;
use jubjub::{Fr, SubgroupPoint};
use sapling_crypto::{
    Diversifier, NullifierDerivingKey, PaymentAddress, SaplingIvk,
    constants::{PROOF_GENERATION_KEY_GENERATOR, SPENDING_KEY_GENERATOR},
    zip32::{DiversifiableFullViewingKey, ExtendedFullViewingKey, ExtendedSpendingKey},
};
use zip32::{ChildIndex, DiversifierIndex, Scope};

use crate::HARDENED;

/// Purpose of such accounts in paths.
pub const PURPOSE: u32 = 32;
/// Bytes of a spending key, and of a viewing key: place, chain code, three keys, diversifier key.
pub const KEY_BYTES: usize = 169;
/// Bytes of depth, parent and index.
const PLACE_BYTES: usize = 9;

/// Domains of `PRF^expand`.
const CHILD: u8 = 0x12;
const CHILD_ASK: u8 = 0x13;
const CHILD_NSK: u8 = 0x14;
const CHILD_OVK: u8 = 0x15;
const CHILD_DK: u8 = 0x16;

/// Where a key stands below the first of its tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    depth: u8,
    parent: [u8; 4],
    index: u32,
}

impl Place {
    const FIRST: Self = Self { depth: 0, parent: [0; 4], index: 0 };

    /// The place of a child.
    fn below(&self, parent: &ViewingKey, index: u32) -> Option<Self> {
        let [a, b, c, d, ..] = parent.fingerprint();
        Some(Self { depth: self.depth.checked_add(1)?, parent: [a, b, c, d], index })
    }

    fn split(bytes: &[u8]) -> Option<(Self, [u8; KEY_BYTES])> {
        let mut key: [u8; KEY_BYTES] = bytes.try_into().ok()?;
        let (place, _) = key.split_first_chunk_mut::<PLACE_BYTES>()?;
        let [depth, p0, p1, p2, p3, i0, i1, i2, i3] = std::mem::take(place);
        let index = u32::from_le_bytes([i0, i1, i2, i3]);
        Some((Self { depth, parent: [p0, p1, p2, p3], index }, key))
    }

    fn join(&self, mut key: [u8; KEY_BYTES]) -> [u8; KEY_BYTES] {
        let ([p0, p1, p2, p3], [i0, i1, i2, i3]) = (self.parent, self.index.to_le_bytes());
        if let Some((place, _)) = key.split_first_chunk_mut::<PLACE_BYTES>() {
            *place = [self.depth, p0, p1, p2, p3, i0, i1, i2, i3];
        }
        key
    }
}

/// The parts of a key behind its place.
struct Parts {
    chain_code: [u8; 32],
    /// `ask`, `nsk`, `ovk` of a spending key; `ak`, `nk`, `ovk` of a viewing key.
    keys: [[u8; 32]; 3],
    dk: [u8; 32],
}

impl Parts {
    fn of(key: &[u8; KEY_BYTES]) -> Option<Self> {
        let (_, rest) = key.split_at(PLACE_BYTES);
        let (chunks, _) = rest.as_chunks::<32>();
        let [chain_code, first, second, ovk, dk] = *chunks.first_chunk::<5>()?;
        Some(Self { chain_code, keys: [first, second, ovk], dk })
    }

    fn join(&self) -> [u8; KEY_BYTES] {
        let [first, second, ovk] = self.keys;
        let mut key = [0; KEY_BYTES];
        let (_, rest) = key.split_at_mut(PLACE_BYTES);
        let (chunks, _) = rest.as_chunks_mut::<32>();
        for (to, from) in chunks.iter_mut().zip([self.chain_code, first, second, ovk, self.dk]) {
            *to = from;
        }
        key
    }

    /// Chain code, outgoing viewing key and diversifier key of a child; the first two keys follow from `seed`.
    fn child(&self, seed: &[u8; 32], chain_code: [u8; 32], keys: [[u8; 32]; 2]) -> Self {
        let [_, _, ovk] = self.keys;
        let [first, second] = keys;
        let (ovk, _) = halves(expand(seed, &[&[CHILD_OVK], &ovk]));
        let (dk, _) = halves(expand(seed, &[&[CHILD_DK], &self.dk]));
        Self { chain_code, keys: [first, second, ovk], dk }
    }
}

/// `PRF^expand`.
fn expand(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 64] {
    let mut state = Params::new().hash_length(64).personal(b"Zcash_ExpandSeed").to_state();
    state.update(key);
    for part in parts {
        state.update(part);
    }
    *state.finalize().as_array()
}

fn halves(hash: [u8; 64]) -> ([u8; 32], [u8; 32]) {
    let (chunks, _) = hash.as_chunks::<32>();
    match chunks {
        [left, right] => (*left, *right),
        _ => ([0; 32], [0; 32]), // never: 64 bytes are two such chunks
    }
}

/// Scalars that a child which is not hardened adds to the first two keys.
fn steps(seed: &[u8; 32]) -> [Fr; 2] {
    [CHILD_ASK, CHILD_NSK].map(|domain| Fr::from_bytes_wide(&expand(seed, &[&[domain]])))
}

/// A key that spends, with its children.
#[derive(Clone)]
pub struct SpendingKey {
    place: Place,
    key: ExtendedSpendingKey,
}

impl SpendingKey {
    /// The first key of a seed; `None` for seeds that have none, which nobody meets.
    #[must_use]
    pub fn master(seed: &[u8]) -> Option<Self> {
        Some(Self { place: Place::FIRST, key: ExtendedSpendingKey::master(seed)? })
    }

    /// Reads the bytes of a key.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (place, key) = Place::split(bytes)?;
        Some(Self { place, key: ExtendedSpendingKey::from_bytes(&key).ok()? })
    }

    /// The bytes of the key.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; KEY_BYTES] {
        self.place.join(self.key.to_bytes())
    }

    /// Reads the text of a key of a network.
    #[must_use]
    pub fn decode(text: &str, format: &AddressFormat) -> Option<Self> {
        Self::from_bytes(&decode_bech32(text, format.sapling_spending_key)?)
    }

    /// The text of the key; `None` where the format has no room for it.
    #[must_use]
    pub fn encode(&self, format: &AddressFormat) -> Option<String> {
        encode_bech32(&self.to_bytes(), format.sapling_spending_key)
    }

    /// A child; [`HARDENED`] is part of the index.
    #[must_use]
    pub fn child(&self, index: u32) -> Option<Self> {
        let viewing = self.viewing_key()?;
        let place = self.place.below(&viewing, index)?;
        let bytes = if index & HARDENED != 0 {
            self.key.derive_child(ChildIndex::from_index(index)?)?.to_bytes()
        } else {
            let parts = Parts::of(&self.key.to_bytes())?;
            let (seed, chain_code) = viewing.child_seed(index)?;
            let [ask, nsk, _] = parts.keys;
            let sum =
                |key: &[u8; 32], step: Fr| Option::<Fr>::from(Fr::from_bytes(key)).map(|key| key + step);
            let [ask_step, nsk_step] = steps(&seed);
            let keys = [sum(&ask, ask_step)?.to_bytes(), sum(&nsk, nsk_step)?.to_bytes()];
            parts.child(&seed, chain_code, keys).join()
        };
        let (_, key) = Place::split(&bytes)?;
        Some(Self { place, key: ExtendedSpendingKey::from_bytes(&key).ok()? })
    }

    /// A child of a child, as often as the path is long.
    #[must_use]
    pub fn descend(&self, path: &[u32]) -> Option<Self> {
        path.iter().try_fold(self.clone(), |key, index| key.child(*index))
    }

    /// The key of the same place for change and other payments to oneself.
    #[must_use]
    pub fn internal(&self) -> Option<Self> {
        Some(Self { place: self.place, key: self.key.derive_internal()? })
    }

    /// The key that sees what this one spends.
    #[must_use]
    pub fn viewing_key(&self) -> Option<ViewingKey> {
        let mut bytes = self.key.to_bytes();
        let mut parts = Parts::of(&bytes)?;
        let keys = self.key.to_diversifiable_full_viewing_key().fvk().to_bytes();
        let (keys, _) = keys.as_chunks::<32>();
        parts.keys = *keys.first_chunk::<3>()?;
        bytes = parts.join();
        Some(ViewingKey { place: self.place, key: ExtendedFullViewingKey::read(&bytes[..]).ok()? })
    }
}

impl fmt::Debug for SpendingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpendingKey").field("place", &self.place).finish_non_exhaustive()
    }
}

/// A key that sees payments, with those of its children that are not hardened.
#[derive(Debug, Clone, PartialEq)]
pub struct ViewingKey {
    place: Place,
    key: ExtendedFullViewingKey,
}

impl ViewingKey {
    /// Reads the bytes of a key.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (place, key) = Place::split(bytes)?;
        Some(Self { place, key: ExtendedFullViewingKey::read(&key[..]).ok()? })
    }

    /// The bytes of the key.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; KEY_BYTES] {
        let mut bytes = [0; KEY_BYTES];
        // A slice of that length takes all of it.
        let _ = self.key.write(&mut bytes[..]);
        self.place.join(bytes)
    }

    /// Reads the text of a key of a network.
    #[must_use]
    pub fn decode(text: &str, format: &AddressFormat) -> Option<Self> {
        Self::from_bytes(&decode_bech32(text, format.sapling_full_viewing_key)?)
    }

    /// The text of the key; `None` where the format has no room for it.
    #[must_use]
    pub fn encode(&self, format: &AddressFormat) -> Option<String> {
        encode_bech32(&self.to_bytes(), format.sapling_full_viewing_key)
    }

    /// A child; `None` for a hardened one, which only the spending key leads to.
    #[must_use]
    pub fn child(&self, index: u32) -> Option<Self> {
        let place = self.place.below(self, index)?;
        let parts = Parts::of(&self.to_bytes())?;
        let (seed, chain_code) = self.child_seed(index)?;
        let [ak, nk, _] = parts.keys;
        let sum = |key: &[u8; 32], step: SubgroupPoint| {
            Option::<SubgroupPoint>::from(SubgroupPoint::from_bytes(key)).map(|key| (key + step).to_bytes())
        };
        let [ask_step, nsk_step] = steps(&seed);
        let keys = [
            sum(&ak, SPENDING_KEY_GENERATOR * ask_step)?,
            sum(&nk, PROOF_GENERATION_KEY_GENERATOR * nsk_step)?,
        ];
        let bytes = parts.child(&seed, chain_code, keys).join();
        Some(Self { place, key: ExtendedFullViewingKey::read(&bytes[..]).ok()? })
    }

    /// The key of the same place for change and other payments to oneself.
    #[must_use]
    pub fn internal(&self) -> Option<Self> {
        Some(Self { place: self.place, key: self.key.derive_internal()? })
    }

    /// What the key is known by.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut state = Params::new().hash_length(32).personal(b"ZcashSaplingFVFP").to_state();
        state.update(&self.key.fvk().to_bytes());
        let hash = state.finalize();
        hash.as_bytes().try_into().unwrap_or_default()
    }

    /// The keys that open notes.
    #[must_use]
    pub fn keys(&self) -> DiversifiableFullViewingKey {
        self.key.to_diversifiable_full_viewing_key()
    }

    /// What opens notes of others and notes to oneself, and what makes the nullifiers of both.
    #[must_use]
    pub fn opening_keys(&self) -> [(Scope, SaplingIvk, NullifierDerivingKey); 2] {
        let keys = self.keys();
        [Scope::External, Scope::Internal].map(|scope| (scope, keys.to_ivk(scope), keys.to_nk(scope)))
    }

    /// The diversifier with a number; half of the numbers have none.
    #[must_use]
    pub fn diversifier(&self, number: DiversifierIndex) -> Option<Diversifier> {
        self.key.address(number).map(|address| *address.diversifier())
    }

    /// Addresses from the first number on that has one.
    pub fn addresses(&self) -> impl Iterator<Item = PaymentAddress> {
        let keys = self.keys();
        let mut next = Some(DiversifierIndex::new());
        std::iter::from_fn(move || {
            let (mut number, address) = keys.find_address(next?)?;
            next = number.increment().ok().map(|()| number);
            Some(address)
        })
    }

    /// Left half of the hash that a child comes from, and its chain code; `None` for a hardened one.
    fn child_seed(&self, index: u32) -> Option<([u8; 32], [u8; 32])> {
        if index & HARDENED != 0 {
            return None;
        }
        let parts = Parts::of(&self.to_bytes())?;
        let [ak, nk, ovk] = parts.keys;
        let all: [&[u8]; 6] = [&[CHILD], &ak, &nk, &ovk, &parts.dk, &index.to_le_bytes()];
        Some(halves(expand(&parts.chain_code, &all)))
    }
}

/// The text of an address.
#[must_use]
pub fn encode_address(address: &PaymentAddress, format: &AddressFormat) -> Option<String> {
    encode_bech32(&address.to_bytes(), format.sapling_address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn viewing_keys_of_children_are_children_of_viewing_keys() {
        let key = SpendingKey::master(&[5; 32]).and_then(|key| key.child(HARDENED | 7)).expect("a key");
        let viewing = key.viewing_key().expect("a key");
        assert_eq!(key.child(3).and_then(|child| child.viewing_key()), viewing.child(3));
        assert_eq!(viewing.child(HARDENED), None);
        let format = &AddressFormat::REGTEST;
        let text = viewing.encode(format).expect("a text");
        assert!(text.starts_with("zviewregtestsapling1"));
        assert_eq!(ViewingKey::decode(&text, format), Some(viewing));
        assert_eq!(ViewingKey::decode(&text, &AddressFormat::MAIN), None);
        let text = key.encode(format).expect("a text");
        let again = SpendingKey::decode(&text, format).expect("a key");
        assert_eq!(again.to_bytes(), key.to_bytes());
        assert_eq!(SpendingKey::from_bytes(&[0; 168]).map(|key| key.to_bytes()), None);
    }
}
