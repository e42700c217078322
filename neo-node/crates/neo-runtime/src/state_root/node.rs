//! Nodes of the trie and their bytes.
//!
//! | kind | bytes |
//! |---|---|
//! | branch | `00`, then 17 children: one for each nibble, the last for the value that ends here |
//! | extension | `01`, var-bytes of nibbles (one a byte), child |
//! | leaf | `02`, var-bytes of the value |
//! | hash | `03`, 32 bytes |
//! | empty | `04` |
//!
//! A child is written as empty or as the hash of its bytes. Mirrors `MPTTrie/Cryptography/MPTTrie/Node*.cs`.

use neo_base::{
    UInt256,
    codec::{DecodeError, read_var_bytes, write_var_bytes},
};
use neo_crypto::hash::hash256;
use shared_vendor::bytes::{Reader, Writer};

/// Longest key in bytes: contract id and storage key.
pub const MAX_KEY_BYTES: usize = 4 + 64;
/// Longest value: the longest serialised item, which a contract's state may be. The reference's plugin stops for good at a value above
/// 65,539 bytes while its chain goes on; neo-go takes such a value into the trie, and so do we.
pub const MAX_VALUE_BYTES: usize = 131_070;
/// Children of a branch: one for each nibble and one for the value.
pub(super) const CHILDREN: usize = 17;
/// The child that holds the value ending at a branch.
pub(super) const VALUE: usize = 16;

/// Why bytes are no node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NodeError {
    /// Too short, too long, or with bytes left over.
    #[error("malformed trie node")]
    Bytes(#[from] DecodeError),
    /// The first byte names no kind of node.
    #[error("unknown kind of trie node {0:#04x}")]
    Kind(u8),
    /// A path holds a byte above 15, or an extension has no path.
    #[error("invalid path in a trie node")]
    Path,
    /// A child is neither empty nor a hash.
    #[error("a child of a trie node is neither empty nor a hash")]
    Child,
}

/// A node in memory. Children are whole nodes where they were changed or read, hashes elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Node {
    #[default]
    Empty,
    Hash(UInt256),
    Leaf(Body<Box<[u8]>>),
    Extension(Body<(Box<[u8]>, Box<Self>)>),
    Branch(Body<Box<[Self; CHILDREN]>>),
}

/// A node's content with its hash, if that is known: a node that was not changed since it was stored or hashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Body<T> {
    pub(super) stored: Option<UInt256>,
    pub(super) content: T,
}

impl<T> Body<T> {
    pub(super) fn new(content: T) -> Self {
        Self { stored: None, content }
    }
}

impl Node {
    pub(super) fn leaf(value: &[u8]) -> Self {
        Self::Leaf(Body::new(value.into()))
    }

    /// An extension, or the child itself where the path is empty.
    pub(super) fn extension(path: &[u8], child: Self) -> Self {
        if path.is_empty() { child } else { Self::Extension(Body::new((path.into(), Box::new(child)))) }
    }

    pub(super) fn branch(children: [Self; CHILDREN]) -> Self {
        Self::Branch(Body::new(Box::new(children)))
    }

    /// The hash under which the node is stored unchanged, if it is.
    pub(super) fn stored(&self) -> Option<UInt256> {
        match self {
            Self::Empty => None,
            Self::Hash(hash) => Some(*hash),
            Self::Leaf(body) => body.stored,
            Self::Extension(body) => body.stored,
            Self::Branch(body) => body.stored,
        }
    }

    /// Reads a node's bytes; `hash` is what they hash to.
    pub(super) fn decode(bytes: &[u8], hash: UInt256) -> Result<Self, NodeError> {
        let mut reader = Reader::new(bytes);
        let node = match reader.u8().map_err(DecodeError::from)? {
            0 => {
                let mut children = std::array::from_fn(|_| Self::Empty);
                for child in &mut children {
                    *child = decode_child(&mut reader)?;
                }
                Self::Branch(Body { stored: Some(hash), content: Box::new(children) })
            }
            1 => {
                let path = read_var_bytes(&mut reader, MAX_KEY_BYTES.saturating_mul(2))?;
                if path.is_empty() || path.iter().any(|nibble| *nibble > 15) {
                    return Err(NodeError::Path);
                }
                let child = decode_child(&mut reader)?;
                Self::Extension(Body { stored: Some(hash), content: (path.into(), Box::new(child)) })
            }
            2 => {
                let value = read_var_bytes(&mut reader, MAX_VALUE_BYTES)?;
                Self::Leaf(Body { stored: Some(hash), content: value.into() })
            }
            kind => return Err(NodeError::Kind(kind)),
        };
        reader.finish().map_err(DecodeError::from)?;
        Ok(node)
    }

    /// The bytes of a node whose children are hashed. `None` for an empty node and for a bare hash.
    pub(super) fn encode(&self) -> Option<Vec<u8>> {
        let mut out = Writer::new();
        match self {
            Self::Empty | Self::Hash(_) => return None,
            Self::Leaf(body) => {
                out.u8(2);
                write_var_bytes(&mut out, &body.content);
            }
            Self::Extension(body) => {
                out.u8(1);
                write_var_bytes(&mut out, &body.content.0);
                encode_child(&mut out, &body.content.1);
            }
            Self::Branch(body) => {
                out.u8(0);
                body.content.iter().for_each(|child| encode_child(&mut out, child));
            }
        }
        Some(out.into_vec())
    }
}

fn decode_child(reader: &mut Reader<'_>) -> Result<Node, NodeError> {
    match reader.u8().map_err(DecodeError::from)? {
        3 => Ok(Node::Hash(UInt256(reader.array().map_err(DecodeError::from)?))),
        4 => Ok(Node::Empty),
        _ => Err(NodeError::Child),
    }
}

fn encode_child(out: &mut Writer, child: &Node) {
    match child.stored() {
        Some(hash) => out.u8(3).put(hash.as_bytes()),
        None => out.u8(4),
    };
}

/// The hash of a node's bytes.
#[must_use]
pub fn node_hash(bytes: &[u8]) -> UInt256 {
    UInt256(hash256(bytes))
}

/// The nibbles of a key, high one first.
#[must_use]
pub fn nibbles(key: &[u8]) -> Vec<u8> {
    key.iter().flat_map(|byte| [byte >> 4, byte & 15]).collect()
}
