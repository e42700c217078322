//! Canonical RLP: strings and lists of bytes. Every value has exactly one accepted encoding, so what was received can
//! be hashed as it stands.
//!
//! Stricter than `org/ethereum/util/RLP.java`, which also takes long forms of short lengths: such bytes never come
//! from an honest encoder, and the reference hashes its own re-encoding of them.

use shared_vendor::bytes::{ReadError, Reader};

/// Why bytes are not the expected RLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RlpError {
    /// The bytes end early, are left over, or a length is above its bound.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A list where a string belongs.
    #[error("expected a string at offset {0}, found a list")]
    ExpectedString(usize),
    /// A string where a list belongs.
    #[error("expected a list at offset {0}, found a string")]
    ExpectedList(usize),
    /// The same value has a shorter encoding.
    #[error("encoding at offset {0} is not the shortest one")]
    NotCanonical(usize),
    /// An integer has leading zeros.
    #[error("integer at offset {0} has leading zeros")]
    LeadingZeros(usize),
    /// An integer or a fixed-size string has another length than its type.
    #[error("value at offset {offset} has {len} bytes, expected {expected}")]
    WrongLength {
        /// Where the content begins.
        offset: usize,
        /// Its length.
        len: usize,
        /// The required or greatest length.
        expected: usize,
    },
}

/// Result of a read.
pub type Result<T> = std::result::Result<T, RlpError>;

/// What one encoded value is, with its content still encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item<'a> {
    /// A byte string.
    String(&'a [u8]),
    /// A list; the content is the items one after another.
    List(&'a [u8]),
}

/// A cursor over the items of a list.
#[derive(Debug, Clone, Copy)]
pub struct Items<'a> {
    reader: Reader<'a>,
}

impl<'a> Items<'a> {
    /// A cursor over items that follow one another.
    #[must_use]
    pub fn new(items: &'a [u8]) -> Self {
        Self { reader: Reader::new(items) }
    }

    /// A cursor over the items of the one list that `bytes` holds.
    ///
    /// # Errors
    /// Not exactly one list.
    pub fn of_list(bytes: &'a [u8]) -> Result<Self> {
        let mut outer = Self::new(bytes);
        let list = outer.list()?;
        outer.finish()?;
        Ok(list)
    }

    /// True when every item has been read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.reader.is_empty()
    }

    /// Bytes read so far.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.reader.offset()
    }

    /// The items not read yet, encoded.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.reader.rest()
    }

    /// Reads any item.
    ///
    /// # Errors
    /// The bytes end early or the encoding is not canonical.
    pub fn item(&mut self) -> Result<Item<'a>> {
        let (is_list, len) = prefix(&mut self.reader)?;
        let content = self.reader.take(len)?;
        Ok(if is_list { Item::List(content) } else { Item::String(content) })
    }

    /// Reads any item and returns its whole encoding.
    ///
    /// # Errors
    /// As [`Items::item`].
    pub fn raw(&mut self) -> Result<&'a [u8]> {
        let start = self.reader.offset();
        self.item()?;
        Ok(self.reader.since(start))
    }

    /// Reads a string.
    ///
    /// # Errors
    /// As [`Items::item`], or the item is a list.
    pub fn string(&mut self) -> Result<&'a [u8]> {
        let start = self.reader.offset();
        match self.item()? {
            Item::String(content) => Ok(content),
            Item::List(_) => Err(RlpError::ExpectedString(start)),
        }
    }

    /// Reads a string of exactly `N` bytes.
    ///
    /// # Errors
    /// As [`Items::string`], or another length.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let content = self.string()?;
        content.try_into().map_err(|_| self.wrong_length(content, N))
    }

    /// Reads an unsigned integer: no leading zeros, the empty string is zero.
    ///
    /// # Errors
    /// As [`Items::string`], or leading zeros, or more than 8 bytes.
    pub fn u64(&mut self) -> Result<u64> {
        let content = self.string()?;
        if content.first() == Some(&0) {
            return Err(RlpError::LeadingZeros(self.offset_of(content)));
        }
        if content.len() > 8 {
            return Err(self.wrong_length(content, 8));
        }
        Ok(content.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    /// Reads a list and returns a cursor over its items.
    ///
    /// # Errors
    /// As [`Items::item`], or the item is a string.
    pub fn list(&mut self) -> Result<Self> {
        let start = self.reader.offset();
        match self.item()? {
            Item::List(content) => Ok(Self::new(content)),
            Item::String(_) => Err(RlpError::ExpectedList(start)),
        }
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// Items are left over.
    pub fn finish(self) -> Result<()> {
        Ok(self.reader.finish()?)
    }

    fn offset_of(&self, content: &[u8]) -> usize {
        self.reader.offset().saturating_sub(content.len())
    }

    fn wrong_length(&self, content: &[u8], expected: usize) -> RlpError {
        RlpError::WrongLength { offset: self.offset_of(content), len: content.len(), expected }
    }
}

/// Reads the prefix of an item: is it a list, and how many bytes of content follow. A single byte below 0x80 is its
/// own content, so nothing is consumed for it.
///
/// # Errors
/// The bytes end early, or the prefix is not canonical for what follows.
pub fn prefix(reader: &mut Reader<'_>) -> Result<(bool, usize)> {
    let start = reader.offset();
    let first = reader.peek()?;
    if first < 0x80 {
        return Ok((false, 1));
    }
    reader.u8()?;
    let is_list = first >= 0xc0;
    let short = usize::from(first & 0x3f);
    if short <= 55 {
        if !is_list && short == 1 && reader.peek()? < 0x80 {
            return Err(RlpError::NotCanonical(start));
        }
        return Ok((is_list, short));
    }
    let digits = reader.take(short.saturating_sub(55))?;
    if digits.first() == Some(&0) {
        return Err(RlpError::NotCanonical(start));
    }
    let len = digits.iter().fold(0_u64, |len, digit| len << 8 | u64::from(*digit));
    if len <= 55 {
        return Err(RlpError::NotCanonical(start));
    }
    Ok((is_list, reader.count(len, usize::MAX, 1)?))
}

/// Checks that `bytes` is exactly one item in which every nested item is canonical, not deeper than `depth` lists.
///
/// # Errors
/// It is not.
pub fn check(bytes: &[u8], depth: usize) -> Result<()> {
    fn level(reader: &mut Reader<'_>) -> Result<()> {
        let (is_list, len) = prefix(reader)?;
        if !is_list {
            reader.take(len)?;
            return Ok(());
        }
        let end = reader.offset().saturating_add(len);
        if len > reader.left() {
            reader.take(len)?;
        }
        while reader.offset() < end {
            reader.nested(level)?;
        }
        if reader.offset() > end {
            return Err(RlpError::Read(ReadError::Short {
                offset: end,
                needed: reader.offset() - end,
                left: 0,
            }));
        }
        Ok(())
    }
    let mut reader = Reader::with_depth(bytes, depth);
    level(&mut reader)?;
    Ok(reader.finish()?)
}

/// Appends encoded items to a buffer.
#[derive(Debug, Clone, Default)]
pub struct Encoder {
    out: Vec<u8>,
}

impl Encoder {
    /// An empty encoder.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a string.
    pub fn string(&mut self, content: &[u8]) -> &mut Self {
        match content {
            [byte] if *byte < 0x80 => self.out.push(*byte),
            _ => {
                let (prefix, len) = prefix_bytes(0x80, content.len());
                self.out.extend_from_slice(prefix.get(..len).unwrap_or_default());
                self.out.extend_from_slice(content);
            }
        }
        self
    }

    /// Appends an unsigned integer: big-endian without leading zeros, zero as the empty string.
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.unsigned(&value.to_be_bytes())
    }

    /// Appends a big-endian unsigned integer of any size, without its leading zeros.
    pub fn unsigned(&mut self, big_endian: &[u8]) -> &mut Self {
        self.string(without_leading_zeros(big_endian))
    }

    /// Appends a big-endian non-negative integer in the reference's signed form: a zero byte comes first when the top
    /// bit is set, and zero is one zero byte.
    pub fn signed(&mut self, big_endian: &[u8]) -> &mut Self {
        let digits = without_leading_zeros(big_endian);
        match digits.first() {
            Some(top) if *top < 0x80 => self.string(digits),
            _ => {
                let mut content = Vec::with_capacity(digits.len().saturating_add(1));
                content.push(0);
                content.extend_from_slice(digits);
                self.string(&content)
            }
        }
    }

    /// Appends a list whose items `fill` appends.
    pub fn list(&mut self, fill: impl FnOnce(&mut Self)) -> &mut Self {
        let mut inner = Self::new();
        fill(&mut inner);
        self.list_of(&inner.out)
    }

    /// Appends a list whose items are already encoded.
    pub fn list_of(&mut self, items: &[u8]) -> &mut Self {
        let (prefix, len) = prefix_bytes(0xc0, items.len());
        self.out.extend_from_slice(prefix.get(..len).unwrap_or_default());
        self.out.extend_from_slice(items);
        self
    }

    /// Appends bytes that are already encoded items.
    pub fn raw(&mut self, encoded: &[u8]) -> &mut Self {
        self.out.extend_from_slice(encoded);
        self
    }

    /// What was appended so far.
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

/// One list whose items `fill` appends.
#[must_use]
pub fn encode_list(fill: impl FnOnce(&mut Encoder)) -> Vec<u8> {
    let mut encoder = Encoder::new();
    encoder.list(fill);
    encoder.into_vec()
}

/// The prefix of a list whose items take `len` bytes: the buffer, and how much of it is used.
#[must_use]
pub fn list_prefix(len: usize) -> ([u8; 9], usize) {
    prefix_bytes(0xc0, len)
}

fn prefix_bytes(base: u8, len: usize) -> ([u8; 9], usize) {
    let mut out = [0; 9];
    let [first, rest @ ..] = &mut out;
    let digits = len.to_be_bytes();
    let digits = without_leading_zeros(&digits);
    match digits {
        [] => *first = base,
        [short] if *short <= 55 => *first = base.wrapping_add(*short),
        _ => {
            let count = u8::try_from(digits.len()).unwrap_or(8);
            *first = base.wrapping_add(55).wrapping_add(count);
            for (to, from) in rest.iter_mut().zip(digits) {
                *to = *from;
            }
            return (out, digits.len().saturating_add(1));
        }
    }
    (out, 1)
}

fn without_leading_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn integers_without_leading_zeros_and_strings_read_back() {
        let bytes = encode_list(|list| {
            list.u64(0).u64(0x1234).string(&[0]).list(|inner| {
                inner.string(&[7; 60]);
            });
        });
        let mut items = Items::of_list(&bytes).unwrap();
        assert_eq!(items.u64(), Ok(0));
        assert_eq!(items.u64(), Ok(0x1234));
        assert_eq!(items.string(), Ok(&[0][..]));
        assert_eq!(items.list().and_then(|mut inner| inner.array::<60>()), Ok([7; 60]));
        assert_eq!(items.finish(), Ok(()));
        assert_eq!(Items::new(&[0x82, 0, 1]).u64(), Err(RlpError::LeadingZeros(1)));
        assert!(matches!(
            Items::new(&[0x89; 10]).u64(),
            Err(RlpError::WrongLength { len: 9, expected: 8, .. })
        ));
    }

    #[test]
    fn signed_integers_carry_a_sign_byte_and_zero_is_one_byte() {
        let mut encoder = Encoder::new();
        encoder.signed(&[0, 0]).signed(&[0x7f]).signed(&[0x80]).signed(&[0x98, 0x96, 0x80]);
        assert_eq!(encoder.as_slice(), [0, 0x7f, 0x82, 0, 0x80, 0x84, 0, 0x98, 0x96, 0x80]);
    }

    #[test]
    fn nesting_deeper_than_the_budget_is_refused() {
        let mut bytes = vec![0xc0];
        for _ in 0..10 {
            let mut encoder = Encoder::new();
            encoder.list_of(&bytes);
            bytes = encoder.into_vec();
        }
        assert_eq!(check(&bytes, 10), Ok(()));
        assert!(matches!(check(&bytes, 9), Err(RlpError::Read(ReadError::TooDeep { .. }))));
    }

    proptest! {
        #[test]
        fn any_string_reads_back(content in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut encoder = Encoder::new();
            encoder.string(&content);
            prop_assert_eq!(Items::new(encoder.as_slice()).string(), Ok(&content[..]));
            prop_assert_eq!(check(encoder.as_slice(), 1), Ok(()));
        }

        #[test]
        fn any_bytes_are_read_or_refused_and_what_is_read_encodes_to_the_same(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let mut items = Items::new(&bytes);
            if let Ok(item) = items.item() {
                let mut encoder = Encoder::new();
                match item {
                    Item::String(content) => encoder.string(content),
                    Item::List(content) => encoder.list_of(content),
                };
                prop_assert_eq!(encoder.as_slice(), &bytes[..items.offset()]);
            }
            let _ = check(&bytes, 8);
        }
    }
}
