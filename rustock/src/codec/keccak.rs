//! Keccak-256 (the original padding), the hash of headers and tries.

use sha3::{Digest, Keccak256};

/// Hash of the parts one after another.
#[must_use]
pub fn keccak256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Keccak256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_string_and_split_input_hash_as_published() {
        let empty = "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470";
        assert_eq!(shared_vendor::hex::encode(keccak256(&[])), empty);
        assert_eq!(keccak256(&[b"ab", b"c"]), keccak256(&[b"abc"]));
    }
}
