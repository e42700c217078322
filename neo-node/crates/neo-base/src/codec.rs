//! Neo's additions to the byte cursors: variable-length integers, bounded bytes, text and lists.
//! Mirrors `Extensions/IO` and `Neo.IO/MemoryReader.cs`.

use neo_crypto::secp256r1::PublicKey;
use shared_vendor::bytes::{ReadError, Reader, Writer};

use crate::hash::{UInt160, UInt256};

/// Why bytes are not the value they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes ended early, a length is above its bound, or nesting is too deep.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A value that the format does not allow; the text names the field.
    #[error("{0}")]
    Invalid(&'static str),
}

/// Result of decoding.
pub type Result<T> = std::result::Result<T, DecodeError>;

/// A value with a wire form.
pub trait Wire: Sized {
    /// Reads one value; the cursor stops behind it.
    ///
    /// # Errors
    /// The bytes are not such a value.
    fn read(reader: &mut Reader<'_>) -> Result<Self>;

    /// Appends the value.
    fn write(&self, writer: &mut Writer);

    /// Reads a value that takes up all the bytes.
    ///
    /// # Errors
    /// The bytes are not such a value, or some are left over.
    fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        let value = Self::read(&mut reader)?;
        reader.finish()?;
        Ok(value)
    }

    /// The wire form.
    fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        self.write(&mut writer);
        writer.into_vec()
    }
}

/// Reads a variable-length integer. Forms longer than needed are accepted, as the reference does.
///
/// # Errors
/// The bytes end early.
pub fn read_var_int(reader: &mut Reader<'_>) -> Result<u64> {
    Ok(match reader.u8()? {
        0xfd => reader.u16_le()?.into(),
        0xfe => reader.u32_le()?.into(),
        0xff => reader.u64_le()?,
        small => small.into(),
    })
}

/// Appends a variable-length integer in its shortest form.
pub fn write_var_int(writer: &mut Writer, value: u64) {
    match (u8::try_from(value), u16::try_from(value), u32::try_from(value)) {
        (Ok(small), ..) if small < 0xfd => writer.u8(small),
        (_, Ok(short), _) => writer.u8(0xfd).u16_le(short),
        (.., Ok(medium)) => writer.u8(0xfe).u32_le(medium),
        _ => writer.u8(0xff).u64_le(value),
    };
}

/// Appends the number of items of a list.
pub fn write_count(writer: &mut Writer, count: usize) {
    write_var_int(writer, u64::try_from(count).unwrap_or(u64::MAX));
}

/// Reads a length and that many bytes, at most `limit`.
///
/// # Errors
/// The length is above the limit, or the bytes end early.
pub fn read_var_bytes<'a>(reader: &mut Reader<'a>, limit: usize) -> Result<&'a [u8]> {
    let len = read_var_int(reader)?;
    Ok(reader.bounded(len, limit)?)
}

/// Appends a length and the bytes.
pub fn write_var_bytes(writer: &mut Writer, bytes: &[u8]) {
    write_count(writer, bytes.len());
    writer.put(bytes);
}

/// Reads text of at most `limit` bytes, which must be UTF-8.
///
/// # Errors
/// The length is above the limit, the bytes end early, or they are not UTF-8.
pub fn read_var_text(reader: &mut Reader<'_>, limit: usize) -> Result<String> {
    let bytes = read_var_bytes(reader, limit)?;
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| DecodeError::Invalid("text is not UTF-8"))
}

/// Reads a list of at most `limit` values that take at least `min_bytes` each.
///
/// # Errors
/// The count is above the limit or cannot fit, or an item is malformed.
pub fn read_list<T: Wire>(reader: &mut Reader<'_>, limit: usize, min_bytes: usize) -> Result<Vec<T>> {
    let count = read_var_int(reader)?;
    let count = reader.count(count, limit, min_bytes)?;
    (0..count).map(|_| T::read(reader)).collect()
}

/// Appends a count and the values.
pub fn write_list<T: Wire>(writer: &mut Writer, items: &[T]) {
    write_count(writer, items.len());
    items.iter().for_each(|item| item.write(writer));
}

/// Reads one byte that must be 0 or 1.
///
/// # Errors
/// Another byte, or the end.
pub fn read_bool(reader: &mut Reader<'_>) -> Result<bool> {
    match reader.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(DecodeError::Invalid("boolean is neither 0 nor 1")),
    }
}

impl Wire for UInt160 {
    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        Ok(Self(reader.array()?))
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.0);
    }
}

impl Wire for UInt256 {
    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        Ok(Self(reader.array()?))
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.0);
    }
}

/// Written compressed (33 bytes); the uncompressed form (65 bytes) is read too, infinity is not.
impl Wire for PublicKey {
    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let size = match reader.peek()? {
            2 | 3 => 33,
            4 => 65,
            _ => return Err(DecodeError::Invalid("public key has an unknown prefix")),
        };
        Self::from_bytes(reader.take(size)?)
            .ok_or(DecodeError::Invalid("public key is no point of the curve"))
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.to_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_of_integer_reads_back_and_long_forms_are_accepted() {
        for value in [0, 0xfc, 0xfd, 0xffff, 0x1_0000, 0xffff_ffff, 0x1_0000_0000, u64::MAX] {
            let mut writer = Writer::new();
            write_var_int(&mut writer, value);
            let mut reader = Reader::new(writer.as_slice());
            assert_eq!(read_var_int(&mut reader), Ok(value));
            assert!(reader.is_empty());
        }
        assert_eq!(read_var_int(&mut Reader::new(&[0xff, 1, 0, 0, 0, 0, 0, 0, 0])), Ok(1));
    }

    #[test]
    fn a_list_cannot_claim_more_than_the_input_holds() {
        assert!(read_list::<UInt256>(&mut Reader::new(&[3; 40]), 16, 32).is_err());
        assert!(read_list::<UInt160>(&mut Reader::new(&[17; 400]), 16, 20).is_err());
    }
}
