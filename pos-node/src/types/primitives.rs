//! Small building blocks of every type: byte-string newtypes, bounded lists, bit lists, and the plain integers that the
//! protocol's own documentation names. Integers are aliases of `u64`: all arithmetic on them is checked where it
//! happens (docs/adr/0001).

use super::{
    codec::{DecodeError, Result, Wire, put_len},
    ssz::{self, Chunk, TreeHash},
};
use shared_vendor::bytes::{Reader, Writer};
use std::{fmt, ops::Deref};

/// Number of a slot, counted from genesis.
pub type Slot = u64;
/// Number of an epoch.
pub type Epoch = u64;
/// Amount in nano (10^-9 POS).
pub type Nano = u64;
/// Position of a validator in the registry.
pub type ValidatorIndex = u64;
/// Version of the rules, part of every signing domain.
pub type ForkVersion = [u8; 4];

/// An epoch that never comes.
pub const FAR_FUTURE: Epoch = u64::MAX;

macro_rules! byte_string {
    ($($(#[$meta:meta])* $name:ident[$len:literal];)*) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// All bytes zero.
            pub const ZERO: Self = Self([0; $len]);
        }

        impl Default for $name {
            fn default() -> Self {
                Self::ZERO
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "0x{}", shared_vendor::hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = shared_vendor::hex::HexError;

            fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
                shared_vendor::hex::decode_array(text).map(Self)
            }
        }

        impl Wire for $name {
            const MIN_BYTES: usize = $len;

            fn put(&self, out: &mut Writer) {
                out.put(&self.0);
            }

            fn take(input: &mut Reader<'_>) -> Result<Self> {
                Ok(Self(input.array()?))
            }
        }

        impl TreeHash for $name {
            fn tree_root(&self) -> Chunk {
                self.0.tree_root()
            }
        }
    )*};
}

byte_string! {
    /// A Merkle root or other SHA-256 digest.
    Root[32];
    /// An account: hash of a signature scheme and its key material.
    Address[32];
    /// A compressed BLS public key (not necessarily valid).
    PublicKey[48];
    /// A compressed BLS signature (not necessarily valid).
    Signature[96];
}

/// A list of at most `N` items; longer ones are refused before memory is reserved.
#[derive(Clone, PartialEq, Eq)]
pub struct List<T, const N: usize>(Vec<T>);

impl<T, const N: usize> Default for List<T, N> {
    fn default() -> Self {
        Self::empty()
    }
}

impl<T, const N: usize> List<T, N> {
    /// The list, or `None` when there are more than `N` items.
    #[must_use]
    pub fn new(items: Vec<T>) -> Option<Self> {
        (items.len() <= N).then_some(Self(items))
    }

    /// An empty list.
    #[must_use]
    pub const fn empty() -> Self {
        Self(Vec::new())
    }

    /// The items.
    #[must_use]
    pub fn into_vec(self) -> Vec<T> {
        self.0
    }
}

impl<T, const N: usize> Deref for List<T, N> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<'a, T, const N: usize> IntoIterator for &'a List<T, N> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<T: fmt::Debug, const N: usize> fmt::Debug for List<T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T: Wire, const N: usize> Wire for List<T, N> {
    const MIN_BYTES: usize = 8;

    fn put(&self, out: &mut Writer) {
        put_len(self.0.len(), out);
        for item in &self.0 {
            item.put(out);
        }
    }

    fn take(input: &mut Reader<'_>) -> Result<Self> {
        let claimed = input.u64_le()?;
        let count = input.count(claimed, N, T::MIN_BYTES)?;
        let mut items = Vec::with_capacity(count);
        for _ in 0..count {
            items.push(T::take(input)?);
        }
        Ok(Self(items))
    }
}

impl<T: TreeHash, const N: usize> TreeHash for List<T, N> {
    fn tree_root(&self) -> Chunk {
        ssz::list_root(&self.0, N)
    }
}

/// A list of at most `N` bits. On the wire: bit count, then packed bits, least significant first, padding zero.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Bitlist<const N: usize> {
    bytes: Vec<u8>,
    bits: usize,
}

impl<const N: usize> Bitlist<N> {
    /// `bits` bits, all zero; `None` above the bound.
    #[must_use]
    pub fn zeros(bits: usize) -> Option<Self> {
        (bits <= N).then(|| Self { bytes: vec![0; bits.div_ceil(8)], bits })
    }

    /// The list with these bits; `None` above the bound.
    #[must_use]
    pub fn from_bools(values: &[bool]) -> Option<Self> {
        let mut list = Self::zeros(values.len())?;
        for (at, _) in values.iter().enumerate().filter(|(_, set)| **set) {
            list.set(at);
        }
        Some(list)
    }

    /// Number of bits.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bits
    }

    /// True when there is no bit at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bits == 0
    }

    /// The bit at `at`; false beyond the end.
    #[must_use]
    pub fn get(&self, at: usize) -> bool {
        at < self.bits && self.bytes.get(at / 8).is_some_and(|byte| byte >> (at % 8) & 1 == 1)
    }

    /// Sets the bit at `at`; nothing happens beyond the end.
    pub fn set(&mut self, at: usize) {
        if at < self.bits
            && let Some(byte) = self.bytes.get_mut(at / 8)
        {
            *byte |= 1 << (at % 8);
        }
    }

    /// Every bit in order.
    pub fn iter(&self) -> impl Iterator<Item = bool> {
        (0..self.bits).map(|at| self.get(at))
    }

    /// How many bits are set.
    #[must_use]
    pub fn count_ones(&self) -> usize {
        self.iter().filter(|set| *set).count()
    }
}

impl<const N: usize> fmt::Debug for Bitlist<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bitlist({} bits 0x{})", self.bits, shared_vendor::hex::encode(&self.bytes))
    }
}

impl<const N: usize> Wire for Bitlist<N> {
    const MIN_BYTES: usize = 8;

    fn put(&self, out: &mut Writer) {
        put_len(self.bits, out);
        out.put(&self.bytes);
    }

    fn take(input: &mut Reader<'_>) -> Result<Self> {
        let claimed = input.u64_le()?;
        let room = u64::try_from(input.left().saturating_mul(8)).unwrap_or(u64::MAX);
        let bits = match usize::try_from(claimed) {
            Ok(bits) if bits <= N && claimed <= room => bits,
            _ => {
                let offset = input.offset();
                return Err(
                    shared_vendor::bytes::ReadError::TooLong { offset, len: claimed, limit: N }.into()
                );
            }
        };
        let bytes = input.take(bits.div_ceil(8))?.to_vec();
        let used = bits % 8;
        if used != 0 && bytes.last().is_some_and(|last| last >> used != 0) {
            return Err(DecodeError::Padding);
        }
        Ok(Self { bytes, bits })
    }
}

impl<const N: usize> TreeHash for Bitlist<N> {
    fn tree_root(&self) -> Chunk {
        ssz::bitlist_root(&self.bytes, self.bits, N)
    }
}
