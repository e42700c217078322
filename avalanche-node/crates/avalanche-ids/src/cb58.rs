//! CB58: Base58 (Bitcoin alphabet) of the bytes followed by the LAST four bytes of their single SHA-256.
//! Mirrors `utils/cb58`.

use sha2::{Digest, Sha256};

const CHECKSUM_LEN: usize = 4;
/// Longest text that [`decode`] looks at; Base58 takes quadratic time, and no CB58 text of the protocol comes near.
const MAX_TEXT_LEN: usize = 4096;

/// Why a text is not CB58.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Cb58Error {
    /// A character outside the Base58 alphabet, or a text too long to be looked at.
    #[error("base58 decoding error")]
    Base58,
    /// Fewer bytes than a checksum.
    #[error("input string is smaller than the checksum size")]
    MissingChecksum,
    /// The checksum belongs to other bytes.
    #[error("invalid input checksum")]
    BadChecksum,
}

/// The last four bytes of SHA-256.
#[must_use]
pub fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_LEN] {
    let hash: [u8; 32] = Sha256::digest(bytes).into();
    let [.., a, b, c, d] = hash;
    [a, b, c, d]
}

/// Text of any bytes.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    let mut checked = bytes.to_vec();
    checked.extend_from_slice(&checksum(bytes));
    bs58::encode(checked).into_string()
}

/// Bytes of a text.
///
/// # Errors
/// As [`Cb58Error`] says.
pub fn decode(text: &str) -> Result<Vec<u8>, Cb58Error> {
    if text.len() > MAX_TEXT_LEN {
        return Err(Cb58Error::Base58);
    }
    let mut bytes = bs58::decode(text).into_vec().map_err(|_| Cb58Error::Base58)?;
    let (body, sum) = bytes.split_last_chunk::<CHECKSUM_LEN>().ok_or(Cb58Error::MissingChecksum)?;
    if checksum(body) != *sum {
        return Err(Cb58Error::BadChecksum);
    }
    let len = body.len();
    bytes.truncate(len);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_character_is_noticed() {
        let text = encode(b"hello");
        assert_eq!(decode(&text).as_deref(), Ok(&b"hello"[..]));
        assert_eq!(decode(&text.replacen(|c: char| c != '1', "1", 1)), Err(Cb58Error::BadChecksum));
        assert_eq!(decode("0"), Err(Cb58Error::Base58));
        assert_eq!(decode("2"), Err(Cb58Error::MissingChecksum));
    }
}
