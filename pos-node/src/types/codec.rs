//! The byte layout of everything that is sent, stored or signed: fields in order, little-endian fixed-width integers,
//! `u64` lengths, `u32` enum tags, one-byte booleans and options. It equals the layout of `bincode` 2.0.1 with
//! fixed-width integers (property-tested against it) but decodes under bounds: every list knows its maximum and no
//! length reserves more memory than the input can fill.
//!
//! Not here: whether a decoded value is valid.

use shared_vendor::bytes::{ReadError, Reader, Writer};

/// Why bytes are not the encoding of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes are too short, too long, or a list is above its bound.
    #[error("malformed bytes")]
    Bytes(#[from] ReadError),
    /// A boolean or option byte other than 0 and 1.
    #[error("byte {0} is neither 0 nor 1")]
    Flag(u8),
    /// An enum tag that no variant has.
    #[error("unknown tag {tag} of {kind}")]
    Tag {
        /// The enum.
        kind: &'static str,
        /// What was found.
        tag: u32,
    },
    /// A bit list whose padding bits are not zero.
    #[error("padding bits of a bit list are set")]
    Padding,
    /// Items that must be strictly increasing are not.
    #[error("items of {0} are not strictly increasing")]
    Order(&'static str),
}

/// Result of a decode.
pub type Result<T> = std::result::Result<T, DecodeError>;

/// A value with one canonical encoding.
pub trait Wire: Sized {
    /// Fewest bytes any value of the type takes; bounds how many items a claimed length can hold.
    const MIN_BYTES: usize;

    /// Appends the encoding.
    fn put(&self, out: &mut Writer);

    /// Reads one value.
    ///
    /// # Errors
    /// The bytes are not the canonical encoding of a value within its bounds.
    fn take(input: &mut Reader<'_>) -> Result<Self>;
}

/// The encoding of `value`.
#[must_use]
pub fn encode<T: Wire>(value: &T) -> Vec<u8> {
    let mut out = Writer::new();
    value.put(&mut out);
    out.into_vec()
}

/// Decodes exactly one value that takes at most `limit` bytes.
///
/// # Errors
/// More than `limit` bytes, bytes left over, or not an encoding of `T`.
pub fn decode<T: Wire>(bytes: &[u8], limit: usize) -> Result<T> {
    if bytes.len() > limit {
        let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        return Err(ReadError::TooLong { offset: 0, len, limit }.into());
    }
    let mut input = Reader::new(bytes);
    let value = T::take(&mut input)?;
    input.finish()?;
    Ok(value)
}

/// Appends a length prefix.
pub fn put_len(len: usize, out: &mut Writer) {
    out.u64_le(u64::try_from(len).expect("a length in memory fits 64 bits"));
}

macro_rules! wire_integer {
    ($($ty:ty => $take:ident $put:ident),*) => {$(
        impl Wire for $ty {
            const MIN_BYTES: usize = size_of::<$ty>();

            fn put(&self, out: &mut Writer) {
                out.$put(*self);
            }

            fn take(input: &mut Reader<'_>) -> Result<Self> {
                Ok(input.$take()?)
            }
        }
    )*};
}
wire_integer!(u8 => u8 u8, u16 => u16_le u16_le, u32 => u32_le u32_le, u64 => u64_le u64_le);

impl Wire for u128 {
    const MIN_BYTES: usize = 16;

    fn put(&self, out: &mut Writer) {
        out.put(&self.to_le_bytes());
    }

    fn take(input: &mut Reader<'_>) -> Result<Self> {
        Ok(Self::from_le_bytes(input.array()?))
    }
}

impl Wire for bool {
    const MIN_BYTES: usize = 1;

    fn put(&self, out: &mut Writer) {
        out.u8(u8::from(*self));
    }

    fn take(input: &mut Reader<'_>) -> Result<Self> {
        match input.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(DecodeError::Flag(other)),
        }
    }
}

impl<T: Wire> Wire for Option<T> {
    const MIN_BYTES: usize = 1;

    fn put(&self, out: &mut Writer) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }

    fn take(input: &mut Reader<'_>) -> Result<Self> {
        bool::take(input)?.then(|| T::take(input)).transpose()
    }
}

impl<const N: usize> Wire for [u8; N] {
    const MIN_BYTES: usize = N;

    fn put(&self, out: &mut Writer) {
        out.put(self);
    }

    fn take(input: &mut Reader<'_>) -> Result<Self> {
        Ok(input.array()?)
    }
}

impl<A: Wire, B: Wire> Wire for (A, B) {
    const MIN_BYTES: usize = A::MIN_BYTES + B::MIN_BYTES;

    fn put(&self, out: &mut Writer) {
        self.0.put(out);
        self.1.put(out);
    }

    fn take(input: &mut Reader<'_>) -> Result<Self> {
        Ok((A::take(input)?, B::take(input)?))
    }
}

/// Declares a struct whose encoding (and, when `rooted`, whose Merkle root) is that of its fields in order.
macro_rules! container {
    ($(#[$meta:meta])* rooted struct $name:ident { $($(#[$field_meta:meta])* $field:ident: $ty:ty,)* }) => {
        $crate::types::codec::container! { $(#[$meta])* plain struct $name { $($(#[$field_meta])* $field: $ty,)* } }

        impl $crate::types::ssz::TreeHash for $name {
            fn tree_root(&self) -> $crate::types::ssz::Chunk {
                $crate::types::ssz::container_root(&[
                    $($crate::types::ssz::TreeHash::tree_root(&self.$field)),*
                ])
            }
        }
    };
    ($(#[$meta:meta])* plain struct $name:ident { $($(#[$field_meta:meta])* $field:ident: $ty:ty,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name { $($(#[$field_meta])* pub $field: $ty,)* }

        impl $crate::types::codec::Wire for $name {
            const MIN_BYTES: usize = 0 $(+ <$ty as $crate::types::codec::Wire>::MIN_BYTES)*;

            fn put(&self, out: &mut shared_vendor::bytes::Writer) {
                $($crate::types::codec::Wire::put(&self.$field, out);)*
            }

            fn take(input: &mut shared_vendor::bytes::Reader<'_>) -> $crate::types::codec::Result<Self> {
                Ok(Self { $($field: $crate::types::codec::Wire::take(input)?,)* })
            }
        }
    };
}
pub(crate) use container;

#[cfg(test)]
mod tests;
