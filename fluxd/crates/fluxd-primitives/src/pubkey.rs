//! Public keys as the wire carries them: a length by first byte, not yet a point of the curve. Mirrors `CPubKey`.

use std::fmt;

use crate::{
    codec::{Codec, MAX_SIZE, Reader, Result, Writer, compact_size, put_var_bytes},
    hash::{Hash160, hash160},
};

/// Largest serialized key.
const UNCOMPRESSED: usize = 65;
const COMPRESSED: usize = 33;

/// A serialized secp256k1 key of 33 or 65 bytes, or the invalid key (empty). Whether it is a point is not known.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PublicKey(Vec<u8>);

impl PublicKey {
    /// A key from exactly its serialized bytes; the invalid key when the length does not fit the first byte.
    #[must_use]
    pub fn from_serialized(bytes: &[u8]) -> Self {
        if bytes.is_empty() || length_by_first_byte(bytes) != bytes.len() {
            Self::default()
        } else {
            Self(bytes.to_vec())
        }
    }

    /// The serialized key; empty for the invalid key.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// True unless this is the invalid key.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        !self.0.is_empty()
    }

    /// True for the 33-byte form.
    #[must_use]
    pub fn is_compressed(&self) -> bool {
        self.0.len() == COMPRESSED
    }

    /// The key id: hash of the serialized form, so it depends on compression.
    #[must_use]
    pub fn id(&self) -> Hash160 {
        hash160(&self.0)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shared_vendor::hex::encode(&self.0))
    }
}

impl Codec for PublicKey {
    const MIN_BYTES: usize = 1;

    /// Up to 65 bytes are taken as they are and then cut (or, where the reference leaves memory unset, zero-filled) to
    /// the length that the first byte names; longer strings are skipped and give the invalid key.
    fn decode(reader: &mut Reader<'_>) -> Result<Self> {
        let len = compact_size(reader)?;
        let mut bytes = reader.bounded(len, MAX_SIZE)?.to_vec();
        if bytes.len() > UNCOMPRESSED {
            return Ok(Self::default());
        }
        bytes.resize(length_by_first_byte(&bytes), 0);
        Ok(Self(bytes))
    }

    fn encode(&self, writer: &mut Writer) {
        put_var_bytes(writer, &self.0);
    }
}

fn length_by_first_byte(bytes: &[u8]) -> usize {
    match bytes.first() {
        Some(2 | 3) => COMPRESSED,
        Some(4 | 6 | 7) => UNCOMPRESSED,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_decides_the_length() {
        let mut wire = vec![65, 2];
        wire.extend([7; 64]);
        let key = PublicKey::from_bytes(&wire).expect("65 bytes are read");
        assert_eq!(key.as_bytes().len(), 33);
        assert!(!PublicKey::from_bytes(&[2, 5, 5]).expect("any first byte is read").is_valid());
        assert!(!PublicKey::from_serialized(&wire[1..]).is_valid());
    }
}
