//! Nodes of the Unitrie (RSKIP-107), the binary trie of Rootstock since wasabi.
//!
//! Reads single nodes as messages carry them; walking and hashing them into a proof is in `verify::receipt`. Mirrors
//! `Trie.fromMessage` in `co/rsk/trie/Trie.java`.

use shared_vendor::bytes::{ReadError, Reader};

/// Why bytes are not a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NodeError {
    /// The bytes end early or are left over.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The version bits are not 01.
    #[error("node has version bits {0:02b}, expected 01")]
    Version(u8),
    /// A child is marked as embedded but not as present, or a path is longer than any key.
    #[error("node has contradicting flags or lengths")]
    Structure,
}

/// A child of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Child<'a> {
    /// Keccak-256 of the child's message.
    Hash(&'a [u8; 32]),
    /// The child's message itself.
    Embedded(&'a [u8]),
}

/// The value of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// Nothing is stored under this key.
    None,
    /// The value itself, at most 32 bytes.
    Short(&'a [u8]),
    /// Keccak-256 and length of a value of more than 32 bytes.
    Long {
        /// Its hash.
        hash: &'a [u8; 32],
        /// Its length in bytes.
        len: u32,
    },
}

/// A node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node<'a> {
    /// Bits of the key that all keys below share, most significant first.
    path: &'a [u8],
    path_bits: usize,
    /// Keys that go on with 0.
    pub left: Option<Child<'a>>,
    /// Keys that go on with 1.
    pub right: Option<Child<'a>>,
    /// The value of the key that ends here.
    pub value: Value<'a>,
}

/// No key of the state has more bits than an account, a prefix and a storage slot.
const MAX_PATH_BITS: u64 = 8 * 256;

impl<'a> Node<'a> {
    /// Reads a node's message.
    ///
    /// # Errors
    /// The bytes are not one node.
    pub fn decode(message: &'a [u8]) -> Result<Self, NodeError> {
        let mut reader = Reader::new(message);
        let flags = reader.u8()?;
        let flag = |bit: u8| flags >> bit & 1 == 1;
        if flags >> 6 != 1 {
            return Err(NodeError::Version(flags >> 6));
        }
        let path_bits = if flag(4) { path_bits(&mut reader)? } else { 0 };
        let path = reader.take(path_bits.div_ceil(8))?;
        let left = child(&mut reader, flag(3), flag(1))?;
        let right = child(&mut reader, flag(2), flag(0))?;
        if left.is_some() || right.is_some() {
            var_int(&mut reader)?; // total size of the children: bound by the hash, not needed here
        }
        let value = if flag(5) {
            let (hash, len) = (reader.take(32)?, reader.array::<3>()?);
            let [high, middle, low] = len;
            let hash = hash.first_chunk().ok_or(NodeError::Structure)?;
            Value::Long { hash, len: u32::from_be_bytes([0, high, middle, low]) }
        } else if reader.is_empty() {
            Value::None
        } else {
            Value::Short(reader.take(reader.left())?)
        };
        reader.finish()?;
        Ok(Self { path, path_bits, left, right, value })
    }

    /// The shared bits of the key.
    pub fn path(&self) -> impl Iterator<Item = bool> {
        bits(self.path).take(self.path_bits)
    }
}

/// Bits of bytes, most significant first.
pub fn bits(bytes: &[u8]) -> impl Iterator<Item = bool> {
    bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1))
}

fn path_bits(reader: &mut Reader<'_>) -> Result<usize, NodeError> {
    let bits = match reader.u8()? {
        first @ 0..=31 => u64::from(first) + 1,
        first @ 32..=254 => u64::from(first) + 128,
        255 => var_int(reader)?,
    };
    if bits > MAX_PATH_BITS {
        return Err(NodeError::Structure);
    }
    usize::try_from(bits).map_err(|_| NodeError::Structure)
}

fn child<'a>(reader: &mut Reader<'a>, present: bool, embedded: bool) -> Result<Option<Child<'a>>, NodeError> {
    match (present, embedded) {
        (false, false) => Ok(None),
        (false, true) => Err(NodeError::Structure),
        (true, true) => {
            let len = reader.u8()?;
            Ok(Some(Child::Embedded(reader.take(usize::from(len))?)))
        }
        (true, false) => Ok(reader.take(32)?.first_chunk().map(Child::Hash)),
    }
}

fn var_int(reader: &mut Reader<'_>) -> Result<u64, ReadError> {
    Ok(match reader.u8()? {
        0xff => reader.u64_le()?,
        0xfe => reader.u32_le()?.into(),
        0xfd => reader.u16_le()?.into(),
        small => small.into(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_path_of_more_than_32_bits_has_a_gap_in_its_length_byte() {
        let bits = |prefix: &[u8]| {
            let message = [&[0x50], prefix, &[0xff; 60]].concat();
            Node::decode(&message).map(|node| node.path().count())
        };
        assert_eq!(bits(&[0]), Ok(1));
        assert_eq!(bits(&[31]), Ok(32));
        assert_eq!(bits(&[32]), Ok(160));
        assert_eq!(bits(&[254]), Ok(382));
        assert_eq!(bits(&[255, 40]), Ok(40));
        assert_eq!(bits(&[255, 0xfd, 1, 0x10]), Err(NodeError::Structure));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = Node::decode(&bytes);
        }
    }
}
