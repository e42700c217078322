//! Bounded cursors over bytes: a [`Reader`] that never trusts a length prefix and a [`Writer`] that only appends.
//! Every decoder of hostile bytes in the daemons is built on `Reader`: total functions, no indexing, no allocation
//! larger than what is left in the input.

/// Why bytes could not be decoded. Each chain's decode errors carry this one as a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The input ended before the value was complete.
    #[error("need {needed} more bytes at offset {offset}, only {left} left")]
    Short {
        /// Where the read began, counted from the start of the input.
        offset: usize,
        /// Bytes asked for.
        needed: usize,
        /// Bytes that were left.
        left: usize,
    },
    /// A count or length is above the bound of its field.
    #[error("length {len} at offset {offset} is above the limit of {limit}")]
    TooLong {
        /// Offset just after the length was read.
        offset: usize,
        /// The claimed length.
        len: u64,
        /// The bound of this field.
        limit: usize,
    },
    /// The value was complete but bytes were left over.
    #[error("{left} bytes left over at offset {offset}")]
    TrailingBytes {
        /// Where the value ended.
        offset: usize,
        /// How many bytes follow it.
        left: usize,
    },
    /// Nesting went deeper than the reader's budget.
    #[error("nesting deeper than {limit} levels at offset {offset}")]
    TooDeep {
        /// Where the last level began.
        offset: usize,
        /// The budget of levels.
        limit: usize,
    },
}

/// Result of a read.
pub type Result<T> = std::result::Result<T, ReadError>;

/// Levels of nesting a [`Reader`] allows unless [`Reader::with_depth`] says otherwise.
pub const DEFAULT_DEPTH: usize = 64;

/// A cursor over borrowed bytes. Cheap to copy; a failed read leaves the position unchanged.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    input: &'a [u8],
    offset: usize,
    depth_left: usize,
    depth_limit: usize,
}

macro_rules! integers {
    ($($le:ident $be:ident $ty:ty),*) => {$(
        #[doc = concat!("Reads a little-endian `", stringify!($ty), "`.\n\n# Errors\nThe input is too short.")]
        pub fn $le(&mut self) -> Result<$ty> {
            self.array().map(<$ty>::from_le_bytes)
        }

        #[doc = concat!("Reads a big-endian `", stringify!($ty), "`.\n\n# Errors\nThe input is too short.")]
        pub fn $be(&mut self) -> Result<$ty> {
            self.array().map(<$ty>::from_be_bytes)
        }
    )*};
}

impl<'a> Reader<'a> {
    /// A cursor at the start of `input` that allows [`DEFAULT_DEPTH`] levels of nesting.
    #[must_use]
    pub fn new(input: &'a [u8]) -> Self {
        Self::with_depth(input, DEFAULT_DEPTH)
    }

    /// A cursor that allows `depth` levels of [`Reader::nested`].
    #[must_use]
    pub fn with_depth(input: &'a [u8], depth: usize) -> Self {
        Self { input, offset: 0, depth_left: depth, depth_limit: depth }
    }

    /// Bytes read so far.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Bytes not read yet.
    #[must_use]
    pub fn left(&self) -> usize {
        self.rest().len()
    }

    /// True when everything has been read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.left() == 0
    }

    /// The bytes not read yet, without moving.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.input.get(self.offset..).unwrap_or_default()
    }

    /// The bytes between an earlier [`Reader::offset`] and the present one: the exact encoding of what was read.
    #[must_use]
    pub fn since(&self, start: usize) -> &'a [u8] {
        self.input.get(start..self.offset).unwrap_or_default()
    }

    /// The next byte, without moving.
    ///
    /// # Errors
    /// The input is at its end.
    pub fn peek(&self) -> Result<u8> {
        self.rest().first().copied().ok_or_else(|| self.short(1))
    }

    /// Takes `len` bytes without copying.
    ///
    /// # Errors
    /// Fewer than `len` bytes are left.
    pub fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let bytes = self.rest().get(..len).ok_or_else(|| self.short(len))?;
        self.offset = self.offset.saturating_add(len);
        Ok(bytes)
    }

    /// Takes exactly `N` bytes by value.
    ///
    /// # Errors
    /// Fewer than `N` bytes are left.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let bytes = self.rest().first_chunk::<N>().ok_or_else(|| self.short(N))?;
        self.offset = self.offset.saturating_add(N);
        Ok(*bytes)
    }

    /// Reads one byte.
    ///
    /// # Errors
    /// The input is at its end.
    pub fn u8(&mut self) -> Result<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    integers!(u16_le u16_be u16, u32_le u32_be u32, u64_le u64_be u64, i32_le i32_be i32, i64_le i64_be i64);

    /// Checks a claimed byte length against the bound of its field and against what is left, then takes the bytes.
    ///
    /// # Errors
    /// `len` is above `limit`, or more than what is left.
    pub fn bounded(&mut self, len: u64, limit: usize) -> Result<&'a [u8]> {
        let len = self.count(len, limit, 1)?;
        self.take(len)
    }

    /// Checks a claimed number of items: not above `limit`, and not more than the input can still hold when each
    /// item takes at least `min_item_bytes` (at least 1). The result is safe to reserve memory for.
    ///
    /// # Errors
    /// The count is above `limit`, or the input cannot hold so many items.
    pub fn count(&self, claimed: u64, limit: usize, min_item_bytes: usize) -> Result<usize> {
        let count = usize::try_from(claimed).unwrap_or(usize::MAX);
        if count > limit {
            return Err(ReadError::TooLong { offset: self.offset, len: claimed, limit });
        }
        let needed = count.saturating_mul(min_item_bytes.max(1));
        if needed > self.left() {
            return Err(self.short(needed));
        }
        Ok(count)
    }

    /// Runs `read` one level deeper; decoders of recursive structures call it at each level.
    ///
    /// # Errors
    /// The depth budget is spent, or `read` fails.
    pub fn nested<T, E: From<ReadError>>(
        &mut self,
        read: impl FnOnce(&mut Self) -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        let Some(left) = self.depth_left.checked_sub(1) else {
            return Err(ReadError::TooDeep { offset: self.offset, limit: self.depth_limit }.into());
        };
        self.depth_left = left;
        let result = read(self);
        self.depth_left = left.saturating_add(1);
        result
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// Bytes are left over.
    pub fn finish(self) -> Result<()> {
        match self.left() {
            0 => Ok(()),
            left => Err(ReadError::TrailingBytes { offset: self.offset, left }),
        }
    }

    fn short(&self, needed: usize) -> ReadError {
        ReadError::Short { offset: self.offset, needed, left: self.left() }
    }
}

/// Appends values to a byte vector.
#[derive(Debug, Clone, Default)]
pub struct Writer {
    out: Vec<u8>,
}

macro_rules! put_integers {
    ($($le:ident $be:ident $ty:ty),*) => {$(
        #[doc = concat!("Appends a little-endian `", stringify!($ty), "`.")]
        pub fn $le(&mut self, value: $ty) -> &mut Self {
            self.put(&value.to_le_bytes())
        }

        #[doc = concat!("Appends a big-endian `", stringify!($ty), "`.")]
        pub fn $be(&mut self, value: $ty) -> &mut Self {
            self.put(&value.to_be_bytes())
        }
    )*};
}

impl Writer {
    /// An empty writer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty writer with room for `capacity` bytes.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self { out: Vec::with_capacity(capacity) }
    }

    /// Appends bytes as they are.
    pub fn put(&mut self, bytes: &[u8]) -> &mut Self {
        self.out.extend_from_slice(bytes);
        self
    }

    /// Appends one byte.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.out.push(value);
        self
    }

    put_integers!(u16_le u16_be u16, u32_le u32_be u32, u64_le u64_be u64, i32_le i32_be i32, i64_le i64_be i64);

    /// Bytes written so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// True before the first byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// What was written.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.out
    }

    /// The finished bytes.
    #[must_use]
    pub fn into_vec(self) -> Vec<u8> {
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_read_leaves_the_position() {
        let mut reader = Reader::new(&[1, 2, 3]);
        assert_eq!(reader.u16_le(), Ok(0x0201));
        assert_eq!(reader.u32_be(), Err(ReadError::Short { offset: 2, needed: 4, left: 1 }));
        assert_eq!(reader.u8(), Ok(3));
        assert_eq!(reader.finish(), Ok(()));
    }

    #[test]
    fn a_claimed_length_is_checked_against_limit_and_input() {
        let mut reader = Reader::new(&[0; 10]);
        assert!(matches!(reader.bounded(11, 100), Err(ReadError::Short { needed: 11, left: 10, .. })));
        assert!(matches!(reader.bounded(5, 4), Err(ReadError::TooLong { len: 5, limit: 4, .. })));
        assert!(reader.count(u64::MAX, usize::MAX, 32).is_err());
        assert_eq!(reader.bounded(10, 10).map(<[u8]>::len), Ok(10));
    }

    #[test]
    fn nesting_is_bounded() {
        fn dive(reader: &mut Reader<'_>, levels: usize) -> Result<()> {
            if levels == 0 { Ok(()) } else { reader.nested(|inner| dive(inner, levels - 1)) }
        }
        let mut reader = Reader::with_depth(&[], 3);
        assert_eq!(dive(&mut reader, 3), Ok(()));
        assert_eq!(dive(&mut reader, 4), Err(ReadError::TooDeep { offset: 0, limit: 3 }));
        assert_eq!(dive(&mut reader, 3), Ok(()));
    }

    #[test]
    fn what_is_written_reads_back() {
        let mut writer = Writer::new();
        writer.u8(7).u16_le(1).u32_be(2).u64_le(3).i64_be(-4).put(b"xy");
        let mut reader = Reader::new(writer.as_slice());
        assert_eq!(reader.u8(), Ok(7));
        assert_eq!(reader.u16_le(), Ok(1));
        assert_eq!(reader.u32_be(), Ok(2));
        assert_eq!(reader.u64_le(), Ok(3));
        assert_eq!(reader.i64_be(), Ok(-4));
        assert_eq!(reader.take(2), Ok(&b"xy"[..]));
        assert!(reader.is_empty());
    }
}
