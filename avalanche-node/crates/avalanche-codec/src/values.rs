//! Encodings of primitive values, arrays, slices, texts and identifiers. Mirrors `utils/wrappers/packing.go`.

use avalanche_ids::{Id, NodeId, ShortId};

use crate::{CodecError, MAX_SLICE_LEN, Reader, Wire, Writer};

/// A text on the wire: up to 65,535 bytes, which need not be UTF-8.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(Vec<u8>);

impl Text {
    /// Wraps a text.
    ///
    /// # Errors
    /// It is longer than 65,535 bytes.
    pub fn new(text: impl Into<Vec<u8>>) -> Result<Self, CodecError> {
        let bytes = text.into();
        match u16::try_from(bytes.len()) {
            Ok(_) => Ok(Self(bytes)),
            Err(_) => Err(CodecError::TextTooLong(bytes.len())),
        }
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Wire for Text {
    fn encode(&self, out: &mut Writer) {
        out.u16_be(u16::try_from(self.0.len()).unwrap_or(u16::MAX)).put(&self.0);
    }

    fn decode(input: &mut Reader<'_>) -> Result<Self, CodecError> {
        let len = input.u16_be()?;
        Ok(Self(input.bounded(u64::from(len), usize::from(u16::MAX))?.to_vec()))
    }
}

impl Wire for bool {
    fn encode(&self, out: &mut Writer) {
        out.u8(u8::from(*self));
    }

    fn decode(input: &mut Reader<'_>) -> Result<Self, CodecError> {
        match input.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(CodecError::BadBool(other)),
        }
    }
}

impl Wire for u8 {
    fn encode(&self, out: &mut Writer) {
        out.u8(*self);
    }

    fn decode(input: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(input.u8()?)
    }

    fn encode_all(values: &[Self], out: &mut Writer) {
        out.put(values);
    }

    fn decode_all(count: usize, input: &mut Reader<'_>) -> Result<Vec<Self>, CodecError> {
        Ok(input.take(count)?.to_vec())
    }
}

macro_rules! integers {
    ($($ty:ty => $method:ident),*) => {$(
        impl Wire for $ty {
            fn encode(&self, out: &mut Writer) {
                out.$method(*self);
            }

            fn decode(input: &mut Reader<'_>) -> Result<Self, CodecError> {
                Ok(input.$method()?)
            }
        }
    )*};
}

integers!(u16 => u16_be, u32 => u32_be, u64 => u64_be, i64 => i64_be);

impl<const N: usize> Wire for [u8; N] {
    fn encode(&self, out: &mut Writer) {
        out.put(self);
    }

    fn decode(input: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(input.array()?)
    }
}

macro_rules! identifiers {
    ($($ty:ident),*) => {$(
        impl Wire for $ty {
            fn encode(&self, out: &mut Writer) {
                out.put(&self.0);
            }

            fn decode(input: &mut Reader<'_>) -> Result<Self, CodecError> {
                Ok(Self(input.array()?))
            }
        }
    )*};
}

identifiers!(Id, ShortId, NodeId);

impl<T: Wire> Wire for Vec<T> {
    /// A slice above [`MAX_SLICE_LEN`] elements does not arise: every codec's size limit is below it.
    fn encode(&self, out: &mut Writer) {
        out.u32_be(u32::try_from(self.len()).unwrap_or(u32::MAX));
        T::encode_all(self, out);
    }

    fn decode(input: &mut Reader<'_>) -> Result<Self, CodecError> {
        let claimed = input.u32_be()?;
        let count = input.count(u64::from(claimed), MAX_SLICE_LEN, 1)?;
        T::decode_all(count, input)
    }
}

impl<T: Wire> Wire for Box<T> {
    fn encode(&self, out: &mut Writer) {
        (**self).encode(out);
    }

    fn decode(input: &mut Reader<'_>) -> Result<Self, CodecError> {
        T::decode(input).map(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ReadError, marshal, unmarshal};

    #[derive(Debug, PartialEq)]
    struct Sample {
        flag: bool,
        name: Text,
        items: Vec<u32>,
        raw: Vec<u8>,
    }
    crate::wire_struct!(Sample { flag, name, items, raw });

    #[test]
    fn a_struct_is_its_fields_in_order() {
        let sample = Sample { flag: true, name: Text::new("ab").unwrap(), items: vec![1, 2], raw: vec![9] };
        let bytes = marshal(&sample);
        assert_eq!(bytes, [0, 0, 1, 0, 2, b'a', b'b', 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1, 9]);
        assert_eq!(unmarshal::<Sample>(&bytes), Ok(sample));
    }

    #[test]
    fn hostile_lengths_versions_booleans_and_tails_are_errors() {
        assert!(matches!(
            unmarshal::<Vec<u32>>(&[0, 0, 0x7f, 0xff, 0xff, 0xff, 1]),
            Err(CodecError::Read(ReadError::Short { .. }))
        ));
        assert!(matches!(
            unmarshal::<Vec<u8>>(&[0, 0, 0xff, 0xff, 0xff, 0xff, 1]),
            Err(CodecError::Read(ReadError::TooLong { .. }))
        ));
        assert_eq!(unmarshal::<bool>(&[0, 1, 1]), Err(CodecError::UnknownVersion(1)));
        assert_eq!(unmarshal::<bool>(&[0, 0, 2]), Err(CodecError::BadBool(2)));
        assert!(matches!(
            unmarshal::<bool>(&[0, 0, 1, 1]),
            Err(CodecError::Read(ReadError::TrailingBytes { .. }))
        ));
        assert!(Text::new(vec![0; 65_536]).is_err());
    }
}
