//! Nodes of the Unitrie (RSKIP-107), the binary trie of Rootstock since wasabi.
//!
//! Reads single nodes as messages carry them (walking and hashing them into a proof is in `verify::receipt`), and hashes
//! the trie of a list, as blocks commit to their transactions. Mirrors `co/rsk/trie/Trie.java`.

use shared_vendor::bytes::{ReadError, Reader};

use super::{header::EMPTY_TRIE_ROOT, keccak::keccak256, rlp::Encoder};

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

/// A node without children is a part of its parent's message up to this size.
const MAX_EMBEDDED: usize = 44;
/// Longer values are stored beside the trie.
const MAX_SHORT_VALUE: usize = 32;

/// Root of the trie in which each item stands under the RLP encoding of its place.
#[must_use]
pub fn list_root(items: &[impl AsRef<[u8]>]) -> [u8; 32] {
    let key = |place: u64| {
        let mut key = Encoder::new();
        key.u64(place);
        bits(key.as_slice()).collect()
    };
    let mut entries: Vec<(Vec<bool>, &[u8])> = (0..).map(key).zip(items.iter().map(AsRef::as_ref)).collect();
    entries.sort_unstable();
    if entries.is_empty() { EMPTY_TRIE_ROOT } else { keccak256(&[&Built::of(&entries, 0).message]) }
}

/// A node that was put together.
struct Built {
    message: Vec<u8>,
    terminal: bool,
    /// Bytes of the subtrie: messages and long values.
    size: u64,
}

impl Built {
    /// The node over sorted entries that share their first `depth` bits.
    fn of(entries: &[(Vec<bool>, &[u8])], depth: usize) -> Self {
        let rest = |(key, _): &(Vec<bool>, &[u8])| key.get(depth..).unwrap_or_default().to_vec();
        let first = entries.first().map(rest).unwrap_or_default();
        let last = entries.last().map(rest).unwrap_or_default();
        let path: Vec<bool> = first.iter().zip(&last).take_while(|(a, b)| a == b).map(|(a, _)| *a).collect();
        let end = depth.saturating_add(path.len());
        let (here, below): (&[_], &[_]) = match entries.split_first() {
            Some((entry, others)) if entry.0.len() == end => (std::slice::from_ref(entry), others),
            _ => (&[], entries),
        };
        let split = below.partition_point(|(key, _)| key.get(end) == Some(&false));
        let (left, right) = below.split_at(split);
        let child =
            |side: &[(Vec<bool>, &[u8])]| (!side.is_empty()).then(|| Self::of(side, end.saturating_add(1)));
        let value = here.first().map(|(_, value)| *value);
        Self::put_together(&path, child(left).as_ref(), child(right).as_ref(), value)
    }

    fn put_together(path: &[bool], left: Option<&Self>, right: Option<&Self>, value: Option<&[u8]>) -> Self {
        let terminal = left.is_none() && right.is_none();
        let embedded = |node: &Self| node.terminal && node.message.len() <= MAX_EMBEDDED;
        let long = value.filter(|value| value.len() > MAX_SHORT_VALUE);
        let flags = [
            (5, long.is_some()),
            (4, !path.is_empty()),
            (3, left.is_some()),
            (2, right.is_some()),
            (1, left.is_some_and(embedded)),
            (0, right.is_some_and(embedded)),
        ];
        let flags = flags.iter().fold(0b0100_0000, |flags, (bit, set)| flags | (u8::from(*set) << bit));
        let mut message = vec![flags];
        put_path(&mut message, path);
        let mut size = 0_u64;
        for node in left.into_iter().chain(right) {
            size = size.saturating_add(node.size);
            if embedded(node) {
                message.push(u8::try_from(node.message.len()).unwrap_or(u8::MAX));
                message.extend(&node.message);
            } else {
                message.extend(keccak256(&[&node.message]));
            }
        }
        if !terminal {
            put_var_int(&mut message, size);
        }
        match (long, value) {
            (Some(long), _) => {
                message.extend(keccak256(&[long]));
                let [.., high, middle, low] = (long.len() as u64).to_be_bytes();
                message.extend([high, middle, low]);
                size = size.saturating_add(long.len() as u64);
            }
            (None, Some(short)) => message.extend(short),
            (None, None) => {}
        }
        size = size.saturating_add(message.len() as u64);
        Self { message, terminal, size }
    }
}

fn put_path(message: &mut Vec<u8>, path: &[bool]) {
    match path.len() as u64 {
        0 => return,
        length @ 1..=32 => message.extend(u8::try_from(length - 1)),
        length @ 160..=382 => message.extend(u8::try_from(length - 128)),
        length => {
            message.push(0xff);
            put_var_int(message, length);
        }
    }
    let byte = |bits: &[bool]| {
        bits.iter().zip((0..8).rev()).fold(0, |byte, (bit, at)| byte | (u8::from(*bit) << at))
    };
    message.extend(path.chunks(8).map(byte));
}

fn put_var_int(message: &mut Vec<u8>, value: u64) {
    let bytes = value.to_le_bytes();
    let length = match value {
        0..=0xfc => 1,
        0xfd..=0xffff => 2,
        0x1_0000..=0xffff_ffff => 4,
        _ => 8,
    };
    message.extend(
        [0xfd, 0xfe, 0xff].iter().zip([2, 4, 8]).filter(|(_, of)| *of == length).map(|(mark, _)| *mark),
    );
    message.extend(bytes.iter().take(length));
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

    #[test]
    fn a_list_of_two_is_the_trie_of_its_proofs() {
        // Index 0 (key 0x80) embedded on the right, index 1 (key 0x01) on the left, by its hash when it is long.
        let leaf = |path: u8, value: &[u8]| [&[0x50, 6, path][..], value].concat();
        let (first, second) = (leaf(0, b"first"), leaf(0b0000_0010, b"second"));
        let mut root = vec![0b0100_1111];
        for leaf in [&second, &first] {
            root.push(u8::try_from(leaf.len()).unwrap());
            root.extend(leaf);
        }
        root.push(u8::try_from(first.len() + second.len()).unwrap());
        assert_eq!(list_root(&[b"first".as_slice(), b"second"]), keccak256(&[&root]));
        assert_eq!(list_root(&[b""; 0]), EMPTY_TRIE_ROOT);
    }

    proptest! {
        #[test]
        fn every_item_of_a_list_can_be_reached_from_its_root(lengths in proptest::collection::vec(1..80_usize, 1..200)) {
            let items: Vec<Vec<u8>> = (0_u8..).cycle().zip(lengths).map(|(byte, length)| vec![byte; length]).collect();
            let mut entries: Vec<(Vec<bool>, &[u8])> = (0..)
                .map(|place: u64| {
                    let mut key = Encoder::new();
                    key.u64(place);
                    bits(key.as_slice()).collect()
                })
                .zip(items.iter().map(Vec::as_slice))
                .collect();
            entries.sort_unstable();
            let root = Built::of(&entries, 0).message;
            prop_assert_eq!(keccak256(&[&root]), list_root(&items));
            Node::decode(&root).unwrap();
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = Node::decode(&bytes);
        }
    }
}
