//! Places in the tree: the first nibbles of a key hash.

use crate::types::ssz::Chunk;

/// Nibbles of a whole key hash.
pub const MAX_NIBBLES: u8 = 64;

/// Up to 64 nibbles, most significant first; what follows them in the last bytes is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path {
    nibbles: Chunk,
    len: u8,
}

impl Path {
    /// The root of the tree.
    pub const ROOT: Self = Self { nibbles: [0; 32], len: 0 };

    /// Number of nibbles.
    #[must_use]
    pub const fn len(&self) -> u8 {
        self.len
    }

    /// Whether this is the root.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The path one nibble further down; the path itself at full length, below which nothing is.
    #[must_use]
    pub fn child(&self, nibble: usize) -> Self {
        let mut child = *self;
        let low = u8::try_from(nibble & 0xf).unwrap_or(0);
        if self.len < MAX_NIBBLES
            && let Some(byte) = child.nibbles.get_mut(usize::from(self.len / 2))
        {
            *byte |= if self.len.is_multiple_of(2) { low << 4 } else { low };
            child.len = self.len.saturating_add(1);
        }
        child
    }

    /// The path as a store key: its length, then its bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let bytes = usize::from(self.len.div_ceil(2));
        [&[self.len], self.nibbles.get(..bytes).unwrap_or_default()].concat()
    }
}

/// The nibble of a key hash at a depth.
#[must_use]
pub fn nibble(key_hash: &Chunk, depth: u8) -> usize {
    let byte = key_hash.get(usize::from(depth / 2)).copied().unwrap_or(0);
    usize::from(if depth.is_multiple_of(2) { byte >> 4 } else { byte & 0xf })
}

/// The bit of a key hash at a depth, most significant first.
#[must_use]
pub fn bit(key_hash: &Chunk, depth: usize) -> bool {
    key_hash.get(depth / 8).is_some_and(|byte| byte >> (7 - depth % 8) & 1 == 1)
}

/// The next key hash; `None` after the last one.
#[must_use]
pub fn successor(key_hash: &Chunk) -> Option<Chunk> {
    let mut next = *key_hash;
    for byte in next.iter_mut().rev() {
        (*byte, _) = byte.overflowing_add(1);
        if *byte != 0 {
            return Some(next);
        }
    }
    None
}
