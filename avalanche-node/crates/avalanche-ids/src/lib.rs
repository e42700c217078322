//! The three identifiers of the network and their text forms. Knows nothing of what is identified.
//! Mirrors `ids/` and `utils/cb58` of the reference.

pub mod bits;
pub mod cb58;

use std::{fmt, str::FromStr};

use sha2::{Digest, Sha256};

/// Bytes of an [`Id`].
pub const ID_LEN: usize = 32;
/// Bytes of a [`ShortId`] and of a [`NodeId`].
pub const SHORT_ID_LEN: usize = 20;
/// What the text form of a [`NodeId`] starts with.
pub const NODE_ID_PREFIX: &str = "NodeID-";

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseIdError {
    /// The text is not CB58.
    #[error(transparent)]
    Cb58(#[from] cb58::Cb58Error),
    /// The text decodes to another number of bytes.
    #[error("{found} bytes instead of {expected}")]
    Length {
        /// Bytes of this kind of identifier.
        expected: usize,
        /// Bytes decoded.
        found: usize,
    },
    /// A node id without its prefix.
    #[error("node id does not start with {NODE_ID_PREFIX}")]
    Prefix,
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $len:expr, $prefix:literal, $no_prefix:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// All bytes zero.
            pub const EMPTY: Self = Self([0; $len]);

            /// The bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }
        }

        impl From<[u8; $len]> for $name {
            fn from(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}{}", $prefix, cb58::encode(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                let bytes = cb58::decode(text.strip_prefix($prefix).ok_or($no_prefix)?)?;
                let found = bytes.len();
                bytes.try_into().map(Self).map_err(|_| ParseIdError::Length { expected: $len, found })
            }
        }
    };
}

identifier! {
    /// 32 bytes naming a block, transaction, chain, subnet, asset or virtual machine.
    Id, ID_LEN, "", ParseIdError::Prefix
}
identifier! {
    /// 20 bytes naming the owner of a secp256k1 key.
    ShortId, SHORT_ID_LEN, "", ParseIdError::Prefix
}
identifier! {
    /// 20 bytes naming a node: RIPEMD-160 of SHA-256 of its staking certificate.
    NodeId, SHORT_ID_LEN, "NodeID-", ParseIdError::Prefix
}

impl Id {
    /// SHA-256 of `bytes`.
    #[must_use]
    pub fn hash_of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// SHA-256 of the prefixes (big-endian) followed by this id; names a UTXO by its transaction and index.
    #[must_use]
    pub fn prefix(&self, prefixes: &[u64]) -> Self {
        let mut hasher = Sha256::new();
        for prefix in prefixes {
            hasher.update(prefix.to_be_bytes());
        }
        hasher.update(self.0);
        Self(hasher.finalize().into())
    }

    /// SHA-256 of this id followed by the suffixes (big-endian); names an L1 validator by its subnet and index.
    #[must_use]
    pub fn append(&self, suffixes: &[u32]) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(self.0);
        for suffix in suffixes {
            hasher.update(suffix.to_be_bytes());
        }
        Self(hasher.finalize().into())
    }

    /// Virtual machine and fx ids: the ASCII name padded on the right with zeros; what is longer than 32 bytes is cut.
    #[must_use]
    pub const fn from_name(name: &str) -> Self {
        let mut bytes = [0; ID_LEN];
        let (mut rest, mut index) = (name.as_bytes(), 0);
        while let [first, tail @ ..] = rest
            && index < ID_LEN
        {
            bytes[index] = *first;
            rest = tail;
            index += 1;
        }
        Self(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_the_wrong_kind_are_refused() {
        let node = NodeId([7; 20]);
        assert_eq!(node.to_string().parse(), Ok(node));
        assert_eq!(ShortId([7; 20]).to_string().parse::<NodeId>(), Err(ParseIdError::Prefix));
        assert_eq!(
            ShortId([7; 20]).to_string().parse::<Id>(),
            Err(ParseIdError::Length { expected: 32, found: 20 })
        );
    }
}
