//! The wire codec: compact sizes, byte strings and lists over bounded cursors. Mirrors `src/serialize.h`.

pub use shared_vendor::bytes::{ReadError, Reader, Writer};

/// The largest compact size that is ever accepted, in items or bytes (`MAX_SIZE`).
pub const MAX_SIZE: usize = 0x0200_0000;

/// Memory that a claimed item count may reserve before the items have been seen.
const RESERVE_BYTES: usize = 1 << 16;

/// Why bytes are not a value of the protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The cursor refused: too short, too long or trailing bytes.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A compact size uses more bytes than it needs.
    #[error("compact size {0} is not in its shortest form")]
    NonCanonicalSize(u64),
    /// A compact size is above [`MAX_SIZE`].
    #[error("compact size {0} is too large")]
    SizeTooLarge(u64),
    /// An overwintered transaction with an unknown pair of version group and version.
    #[error("unknown transaction format: version {version}, group {group:08x}")]
    UnknownTransactionFormat {
        /// The version without the overwintered bit.
        version: u32,
        /// The version group id.
        group: u32,
    },
    /// A compressed point of a PHGR13 proof begins with a byte that no point has.
    #[error("lead byte {0:#04x} of a proof point is not recognized")]
    ProofPointLeadByte(u8),
}

/// Result of a decode.
pub type Result<T> = std::result::Result<T, DecodeError>;

/// A value with exactly one wire form.
pub trait Codec: Sized {
    /// The fewest bytes any value takes; bounds what a claimed count can promise. At least 1.
    const MIN_BYTES: usize;

    /// Reads one value.
    ///
    /// # Errors
    /// The bytes are not a value; see [`DecodeError`].
    fn decode(reader: &mut Reader<'_>) -> Result<Self>;

    /// Appends the value.
    fn encode(&self, writer: &mut Writer);

    /// Reads a value that takes all of `bytes`.
    ///
    /// # Errors
    /// The bytes are not a value, or some are left over.
    fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        let value = Self::decode(&mut reader)?;
        reader.finish()?;
        Ok(value)
    }

    /// The wire bytes.
    fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        self.encode(&mut writer);
        writer.into_vec()
    }
}

/// Reads a compact size in its shortest form.
///
/// # Errors
/// Too short, not the shortest form, or above [`MAX_SIZE`].
pub fn compact_size(reader: &mut Reader<'_>) -> Result<u64> {
    let (value, least) = match reader.u8()? {
        253 => (u64::from(reader.u16_le()?), 253),
        254 => (u64::from(reader.u32_le()?), 0x1_0000),
        255 => (reader.u64_le()?, 0x1_0000_0000),
        small => (u64::from(small), 0),
    };
    if value < least {
        return Err(DecodeError::NonCanonicalSize(value));
    }
    if usize::try_from(value).map_or(true, |value| value > MAX_SIZE) {
        return Err(DecodeError::SizeTooLarge(value));
    }
    Ok(value)
}

/// Appends `value` as a compact size.
pub fn put_compact_size(writer: &mut Writer, value: usize) {
    if let Ok(short) = u8::try_from(value)
        && short < 253
    {
        writer.u8(short);
    } else if let Ok(short) = u16::try_from(value) {
        writer.u8(253).u16_le(short);
    } else if let Ok(short) = u32::try_from(value) {
        writer.u8(254).u32_le(short);
    } else {
        writer.u8(255).u64_le(u64::try_from(value).unwrap_or(u64::MAX));
    }
}

/// Reads a compact size and that many bytes.
///
/// # Errors
/// As [`compact_size`], or the bytes are not there.
pub fn var_bytes(reader: &mut Reader<'_>) -> Result<Vec<u8>> {
    let len = compact_size(reader)?;
    Ok(reader.bounded(len, MAX_SIZE)?.to_vec())
}

/// Appends the length of `bytes` as a compact size, then the bytes.
pub fn put_var_bytes(writer: &mut Writer, bytes: &[u8]) {
    put_compact_size(writer, bytes.len());
    writer.put(bytes);
}

/// Reads a compact size and that many values.
///
/// # Errors
/// As [`compact_size`], or one of the values is malformed.
pub fn list<T: Codec>(reader: &mut Reader<'_>) -> Result<Vec<T>> {
    let claimed = compact_size(reader)?;
    let count = reader.count(claimed, MAX_SIZE, T::MIN_BYTES)?;
    let mut items = Vec::with_capacity(count.min(RESERVE_BYTES / size_of::<T>().max(1)));
    for _ in 0..count {
        items.push(T::decode(reader)?);
    }
    Ok(items)
}

/// Appends the number of `items` as a compact size, then the items.
pub fn put_list<T: Codec>(writer: &mut Writer, items: &[T]) {
    put_compact_size(writer, items.len());
    for item in items {
        item.encode(writer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compact_sizes_have_one_form_each() {
        for value in [0, 1, 252, 253, 0xffff, 0x1_0000, MAX_SIZE] {
            let mut writer = Writer::new();
            put_compact_size(&mut writer, value);
            assert_eq!(compact_size(&mut Reader::new(writer.as_slice())), Ok(value as u64));
        }
        for bytes in [&[253, 252, 0][..], &[254, 255, 255, 0, 0], &[255, 255, 255, 255, 255, 0, 0, 0, 0]] {
            assert!(matches!(compact_size(&mut Reader::new(bytes)), Err(DecodeError::NonCanonicalSize(_))));
        }
        assert_eq!(
            compact_size(&mut Reader::new(&[254, 1, 0, 0, 2])),
            Err(DecodeError::SizeTooLarge(0x0200_0001))
        );
    }
}
