//! 160 and 256 bit hash values. Mirrors `UInt160.cs` and `UInt256.cs`.
//!
//! Bytes are kept in wire order, which is little-endian; text is `0x` and the bytes reversed; order is that of the
//! numbers, so it compares from the last byte.

use std::{cmp::Ordering, fmt, str::FromStr};

use shared_vendor::hex::{self, HexError};

macro_rules! uint {
    ($name:ident, $len:literal, $doc:literal) => {
        #[doc = $doc]
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// The value with all bytes zero.
            pub const ZERO: Self = Self([0; $len]);

            /// The bytes in wire order.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }

            /// The value whose wire bytes are `bytes`; `None` when their number is another.
            #[must_use]
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }
        }

        impl Ord for $name {
            fn cmp(&self, other: &Self) -> Ordering {
                self.0.iter().rev().cmp(other.0.iter().rev())
            }
        }

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "0x{}", hex::encode_reversed(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = HexError;

            fn from_str(text: &str) -> Result<Self, HexError> {
                hex::decode_array_reversed(text).map(Self)
            }
        }
    };
}

uint!(UInt160, 20, "A script hash: Hash160 of a script, or of what identifies a contract.");
uint!(UInt256, 32, "A block, transaction, payload, Merkle or state root hash.");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_reversed_and_order_is_numeric() {
        let mut low = UInt160::ZERO;
        low.0[0] = 0xff;
        let mut high = UInt160::ZERO;
        high.0[19] = 1;
        assert!(low < high);
        assert_eq!(high.to_string(), "0x0100000000000000000000000000000000000000");
        assert_eq!(high.to_string().parse(), Ok(high));
        assert!("0x01".parse::<UInt160>().is_err());
    }
}
