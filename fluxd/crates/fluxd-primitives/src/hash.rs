//! Hash functions and 32- and 20-byte identifiers. Ids keep wire order; their textual form is reversed; their `Ord` is
//! the byte order of the wire form, which is the order the C++ node sorts by (`memcmp`), never the numeric one.

use std::{fmt, str::FromStr};

use ripemd::Ripemd160;
use sha2::{Digest, Sha256};
use shared_vendor::hex::{HexError, decode_array_reversed, encode_reversed};

use crate::codec::{Codec, Reader, Result, Writer};

/// SHA-256.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// SHA-256 applied twice: the hash behind every id of the protocol.
#[must_use]
pub fn sha256d(bytes: &[u8]) -> [u8; 32] {
    sha256(&sha256(bytes))
}

/// RIPEMD-160 of SHA-256: key ids and script ids.
#[must_use]
pub fn hash160(bytes: &[u8]) -> Hash160 {
    Hash160(ripemd160(&sha256(bytes)))
}

/// RIPEMD-160.
#[must_use]
pub fn ripemd160(bytes: &[u8]) -> [u8; 20] {
    Ripemd160::digest(bytes).into()
}

macro_rules! hash_type {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// All bytes zero: the null value of the protocol.
            pub const ZERO: Self = Self([0; $len]);

            /// The bytes in wire order.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }

            /// True when all bytes are zero.
            #[must_use]
            pub fn is_zero(&self) -> bool {
                *self == Self::ZERO
            }

            /// Hexadecimal text in reverse (display) order.
            #[must_use]
            pub fn to_display_hex(&self) -> String {
                encode_reversed(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = HexError;

            /// Reads the display form.
            fn from_str(text: &str) -> std::result::Result<Self, HexError> {
                decode_array_reversed(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.to_display_hex())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.to_display_hex())
            }
        }

        impl Codec for $name {
            const MIN_BYTES: usize = $len;

            fn decode(reader: &mut Reader<'_>) -> Result<Self> {
                Ok(Self(reader.array()?))
            }

            fn encode(&self, writer: &mut Writer) {
                writer.put(&self.0);
            }
        }
    };
}

hash_type!(
    /// A 32-byte hash without a more specific meaning: merkle roots, tree roots, nullifiers, commitments, sighashes.
    Hash256,
    32
);
hash_type!(
    /// The id of a transaction; of fluxnode transactions it does not cover the signatures.
    TxId,
    32
);
hash_type!(
    /// The id of a block; of PoN blocks it does not cover the signature.
    BlockHash,
    32
);
hash_type!(
    /// RIPEMD-160 of SHA-256 of a public key or script.
    Hash160,
    20
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_reversed_and_order_is_wire_order() {
        let mut bytes = [0; 32];
        bytes[31] = 1;
        let high = Hash256(bytes);
        assert!(high.to_display_hex().starts_with("01"));
        assert_eq!(high.to_string().parse(), Ok(high));
        bytes = [0; 32];
        bytes[0] = 1;
        assert!(Hash256(bytes) > high);
    }
}
