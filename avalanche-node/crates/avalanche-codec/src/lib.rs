//! The linear codec: a `u16` version, then fields in declaration order, big-endian, lengths as `u32`, interface values
//! behind a `u32` type id. Knows no concrete type of any chain.
//! Mirrors `codec/manager.go`, `codec/reflectcodec` and `codec/linearcodec`.

mod macros;
mod values;

pub use shared_vendor::bytes::{ReadError, Reader, Writer};
pub use values::Text;

/// The version of almost everything on the network.
pub const VERSION: u16 = 0;
/// Largest encoding of blocks and transactions, in bytes.
pub const DEFAULT_MAX_SIZE: usize = 256 * 1024;
/// Longest slice and largest encoding of genesis data (the reference's `MaxInt32`).
pub const MAX_SLICE_LEN: usize = 0x7fff_ffff;

/// Why bytes are not a value, or a value has no bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// Length, count or end of input.
    #[error("malformed encoding")]
    Read(#[from] ReadError),
    /// The encoding is longer than this codec allows.
    #[error("{len} bytes are above the limit of {limit}")]
    TooLarge {
        /// Bytes of the encoding.
        len: usize,
        /// Limit of the codec.
        limit: usize,
    },
    /// Another codec version than expected.
    #[error("unknown codec version {0}")]
    UnknownVersion(u16),
    /// No type with this id can stand here.
    #[error("type id {id} is not a {interface}")]
    UnknownType {
        /// The type id read.
        id: u32,
        /// What was expected.
        interface: &'static str,
    },
    /// A boolean that is neither 0 nor 1.
    #[error("boolean byte {0}")]
    BadBool(u8),
    /// A text longer than its `u16` length can say.
    #[error("text of {0} bytes")]
    TextTooLong(usize),
}

/// A value with a linear encoding. Decoding is total: no panic and no allocation beyond what the input justifies.
pub trait Wire: Sized {
    /// Appends the encoding.
    fn encode(&self, out: &mut Writer);

    /// Reads one value.
    ///
    /// # Errors
    /// The bytes are not an encoding of such a value.
    fn decode(input: &mut Reader<'_>) -> Result<Self, CodecError>;

    /// Appends the elements of a slice, without the count.
    fn encode_all(values: &[Self], out: &mut Writer) {
        for value in values {
            value.encode(out);
        }
    }

    /// Reads `count` elements; the count is already known to be at most the bytes left.
    ///
    /// # Errors
    /// As [`Wire::decode`].
    fn decode_all(count: usize, input: &mut Reader<'_>) -> Result<Vec<Self>, CodecError> {
        let mut values = Vec::with_capacity(count.min(INITIAL_CAPACITY));
        for _ in 0..count {
            values.push(Self::decode(input)?);
        }
        Ok(values)
    }
}

/// Elements reserved before the first one has been read, so that a length prefix alone costs little.
const INITIAL_CAPACITY: usize = 16;

/// The encoding behind a version.
#[must_use]
pub fn marshal_versioned<T: Wire>(version: u16, value: &T) -> Vec<u8> {
    let mut out = Writer::new();
    out.u16_be(version);
    value.encode(&mut out);
    out.into_vec()
}

/// The encoding behind version 0.
#[must_use]
pub fn marshal<T: Wire>(value: &T) -> Vec<u8> {
    marshal_versioned(VERSION, value)
}

/// The encoding without a version: how a value lies inside another one.
#[must_use]
pub fn body<T: Wire>(value: &T) -> Vec<u8> {
    let mut out = Writer::new();
    value.encode(&mut out);
    out.into_vec()
}

/// Reads exactly one value behind `version`, from at most `limit` bytes.
///
/// # Errors
/// Too many bytes, another version, a malformed value, or bytes left over.
pub fn unmarshal_versioned<T: Wire>(version: u16, bytes: &[u8], limit: usize) -> Result<T, CodecError> {
    if bytes.len() > limit {
        return Err(CodecError::TooLarge { len: bytes.len(), limit });
    }
    let mut input = Reader::new(bytes);
    let found = input.u16_be()?;
    if found != version {
        return Err(CodecError::UnknownVersion(found));
    }
    let value = T::decode(&mut input)?;
    input.finish()?;
    Ok(value)
}

/// Reads exactly one value behind version 0, from at most [`DEFAULT_MAX_SIZE`] bytes.
///
/// # Errors
/// As [`unmarshal_versioned`].
pub fn unmarshal<T: Wire>(bytes: &[u8]) -> Result<T, CodecError> {
    unmarshal_versioned(VERSION, bytes, DEFAULT_MAX_SIZE)
}
