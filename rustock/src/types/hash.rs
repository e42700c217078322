//! 32-byte hashes. Rootstock displays its hashes in the byte order in which they are hashed.

use std::{fmt, str::FromStr};

use shared_vendor::hex;

/// Text that is not 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a hash is 64 hexadecimal digits")]
pub struct ParseHashError;

macro_rules! hash_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub [u8; 32]);

        impl $name {
            /// All zeros.
            pub const ZERO: Self = Self([0; 32]);

            /// The bytes.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseHashError;

            fn from_str(text: &str) -> Result<Self, ParseHashError> {
                hex::decode_array(text).map(Self).map_err(|_| ParseHashError)
            }
        }
    };
}

hash_type! {
    /// The hash that names a block: Keccak-256 of the header's hash preimage.
    BlockHash
}

hash_type! {
    /// Any other 32-byte hash: a trie root, the hash for merged mining, a transaction hash.
    Hash32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_read_their_own_text_with_and_without_prefix() {
        let hash = BlockHash([0xab; 32]);
        assert_eq!(hash.to_string().parse(), Ok(hash));
        assert_eq!(format!("0x{hash}").parse(), Ok(hash));
        assert_eq!("abab".parse::<BlockHash>(), Err(ParseHashError));
    }
}
