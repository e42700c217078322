//! Stack items: plain values inline, byte strings shared, everything that can change by index into the heap.
//! Mirrors `Types/*.cs`.

use std::{any::Any, fmt, sync::Arc};

use neo_base::Int;

use crate::{
    fault::{Fault, Result},
    heap::{BufferId, CompoundId},
    limits::MAX_KEY_SIZE,
    script::Script,
};

/// Immutable bytes, cheap to copy.
pub type Bytes = Arc<[u8]>;

/// Types of items with their numbers in scripts and serialised form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ItemType {
    /// Null, and "any type" in scripts.
    Any = 0x00,
    /// A position in a script.
    Pointer = 0x10,
    /// True or false.
    Boolean = 0x20,
    /// An integer of at most 32 bytes.
    Integer = 0x21,
    /// Immutable bytes.
    ByteString = 0x28,
    /// Mutable bytes.
    Buffer = 0x30,
    /// A list, copied by reference.
    Array = 0x40,
    /// A list, copied by value.
    Struct = 0x41,
    /// Keys and values in order of insertion.
    Map = 0x48,
    /// An object of the host.
    InteropInterface = 0x60,
}

impl ItemType {
    /// The type with this number.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            0x00 => Self::Any,
            0x10 => Self::Pointer,
            0x20 => Self::Boolean,
            0x21 => Self::Integer,
            0x28 => Self::ByteString,
            0x30 => Self::Buffer,
            0x40 => Self::Array,
            0x41 => Self::Struct,
            0x48 => Self::Map,
            0x60 => Self::InteropInterface,
            _ => return None,
        })
    }
}

/// A position in a script; equal when both are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer {
    /// The loaded script.
    pub script: Script,
    /// Offset in bytes, at most the length of the script.
    pub position: usize,
}

/// An object of the host on the stack.
pub trait InteropObject: Any + Send + Sync + fmt::Debug {
    /// The object as `Any`, for downcasting.
    fn as_any(&self) -> &dyn Any;

    /// True when `EQUAL` says so. Only called for two objects that are not the same one.
    fn equals(&self, _other: &dyn InteropObject) -> bool {
        false
    }
}

/// A shared object of the host.
#[derive(Debug, Clone)]
pub struct Interop(pub Arc<dyn InteropObject>);

impl PartialEq for Interop {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.equals(&*other.0)
    }
}

/// An item of a stack, slot, array or map. Indexes belong to the heap of one engine.
#[derive(Debug, Clone)]
pub enum StackItem {
    /// No value.
    Null,
    /// True or false.
    Boolean(bool),
    /// An integer of at most 32 bytes.
    Integer(Int),
    /// Immutable bytes.
    ByteString(Bytes),
    /// Mutable bytes.
    Buffer(BufferId),
    /// A list, copied by reference.
    Array(CompoundId),
    /// A list, copied by value where it is stored.
    Struct(CompoundId),
    /// Keys and values.
    Map(CompoundId),
    /// A position in a script.
    Pointer(Pointer),
    /// An object of the host.
    Interop(Interop),
}

impl StackItem {
    /// The type of the item.
    #[must_use]
    pub fn item_type(&self) -> ItemType {
        match self {
            Self::Null => ItemType::Any,
            Self::Boolean(_) => ItemType::Boolean,
            Self::Integer(_) => ItemType::Integer,
            Self::ByteString(_) => ItemType::ByteString,
            Self::Buffer(_) => ItemType::Buffer,
            Self::Array(_) => ItemType::Array,
            Self::Struct(_) => ItemType::Struct,
            Self::Map(_) => ItemType::Map,
            Self::Pointer(_) => ItemType::Pointer,
            Self::Interop(_) => ItemType::InteropInterface,
        }
    }

    /// A byte string.
    #[must_use]
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        Self::ByteString(bytes.into())
    }

    /// An integer.
    #[must_use]
    pub fn int(value: impl Into<Int>) -> Self {
        Self::Integer(value.into())
    }

    /// The heap entry of an array, struct or map.
    #[inline]
    #[must_use]
    pub fn compound(&self) -> Option<CompoundId> {
        match self {
            Self::Array(id) | Self::Struct(id) | Self::Map(id) => Some(*id),
            _ => None,
        }
    }

    /// The item as a condition. Byte strings longer than an integer have none.
    ///
    /// # Errors
    /// A byte string of more than 32 bytes.
    pub fn to_bool(&self) -> Result<bool> {
        match self {
            Self::Null => Ok(false),
            Self::Boolean(value) => Ok(*value),
            Self::Integer(value) => Ok(!value.is_zero()),
            Self::ByteString(bytes) if bytes.len() > 32 => Err(Fault::BytesTooLong),
            Self::ByteString(bytes) => Ok(bytes.iter().any(|byte| *byte != 0)),
            _ => Ok(true),
        }
    }

    /// The item as an integer.
    ///
    /// # Errors
    /// Not a boolean, integer or byte string of at most 32 bytes.
    #[inline]
    pub fn to_int(&self) -> Result<Int> {
        match self {
            Self::Integer(value) => Ok(value.clone()),
            Self::Boolean(value) => Ok(Int::from(*value)),
            Self::ByteString(bytes) if bytes.len() > 32 => Err(Fault::BytesTooLong),
            Self::ByteString(bytes) => Ok(Int::from_bytes(bytes)),
            other => Err(Fault::InvalidType(other.item_type())),
        }
    }

    /// The bytes of a primitive item (boolean, integer, byte string).
    ///
    /// # Errors
    /// Another type.
    pub fn primitive_bytes(&self) -> Result<Bytes> {
        match self {
            Self::Boolean(value) => Ok([u8::from(*value)].into()),
            Self::Integer(value) => Ok(value.to_bytes().into()),
            Self::ByteString(bytes) => Ok(bytes.clone()),
            other => Err(Fault::InvalidType(other.item_type())),
        }
    }
}

impl From<bool> for StackItem {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

/// A key of a map: a primitive item. Keys of different types differ.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum MapKey {
    /// True or false.
    Boolean(bool),
    /// An integer.
    Integer(Int),
    /// Bytes.
    ByteString(Bytes),
}

impl MapKey {
    /// The key of a primitive item of at most 64 bytes.
    ///
    /// # Errors
    /// Another type, or too large.
    pub fn from_item(item: &StackItem) -> Result<Self> {
        let key = match item {
            StackItem::Boolean(value) => Self::Boolean(*value),
            StackItem::Integer(value) => Self::Integer(value.clone()),
            StackItem::ByteString(bytes) => Self::ByteString(bytes.clone()),
            other => return Err(Fault::InvalidType(other.item_type())),
        };
        match &key {
            Self::ByteString(bytes) if bytes.len() > MAX_KEY_SIZE => Err(Fault::KeyTooLarge(bytes.len())),
            _ => Ok(key),
        }
    }

    /// The key as an item.
    #[must_use]
    pub fn to_item(&self) -> StackItem {
        match self {
            Self::Boolean(value) => StackItem::Boolean(*value),
            Self::Integer(value) => StackItem::Integer(value.clone()),
            Self::ByteString(bytes) => StackItem::ByteString(bytes.clone()),
        }
    }
}

/// The form that appears in the text of the exception for a missing key.
impl fmt::Display for MapKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(true) => f.write_str("True"),
            Self::Boolean(false) => f.write_str("False"),
            Self::Integer(value) => fmt::Display::fmt(value, f),
            Self::ByteString(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => write!(f, "\"{text}\""),
                Err(_) => write!(f, "\"Base64: {}\"", base64(bytes)),
            },
        }
    }
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let [a, b, c] = [0, 1, 2].map(|at| u32::from(chunk.get(at).copied().unwrap_or(0)));
        let bits = (a << 16) | (b << 8) | c;
        for at in 0..4usize {
            let symbol = usize::try_from((bits >> (18 - 6 * at)) & 63).ok().and_then(|i| ALPHABET.get(i));
            out.push(if at <= chunk.len() { symbol.map_or('=', |symbol| char::from(*symbol)) } else { '=' });
        }
    }
    out
}
