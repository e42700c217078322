//! Base58 with the Bitcoin alphabet and its checked form. Mirrors `Cryptography/Base58.cs`.

/// Why a text is not Base58 or Base58Check.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Base58Error {
    /// A character outside the alphabet.
    #[error("not Base58 text")]
    Text(#[source] bs58::decode::Error),
    /// Shorter than the four bytes of the checksum.
    #[error("too short to hold a checksum")]
    Short,
    /// The last four bytes are not the start of Hash256 of the others.
    #[error("wrong checksum")]
    Checksum,
}

/// Text of the bytes; each leading zero byte is a leading `1`.
#[must_use]
pub fn encode(data: &[u8]) -> String {
    bs58::encode(data).into_string()
}

/// Bytes of the text.
///
/// # Errors
/// A character outside the alphabet.
pub fn decode(text: &str) -> Result<Vec<u8>, Base58Error> {
    bs58::decode(text).into_vec().map_err(Base58Error::Text)
}

/// Text of the bytes followed by the first four bytes of their Hash256.
#[must_use]
pub fn encode_check(data: &[u8]) -> String {
    bs58::encode(data).with_check().into_string()
}

/// Bytes of the text without the checksum.
///
/// # Errors
/// Not Base58, too short, or another checksum.
pub fn decode_check(text: &str) -> Result<Vec<u8>, Base58Error> {
    let mut data = decode(text)?;
    let (payload, checksum) = data.split_last_chunk::<4>().ok_or(Base58Error::Short)?;
    if !crate::hash::hash256(payload).starts_with(checksum) {
        return Err(Base58Error::Checksum);
    }
    let len = payload.len();
    data.truncate(len);
    Ok(data)
}
