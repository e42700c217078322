//! JSON as the reference reads and writes it (`Neo.Json`, over .NET's `Utf8JsonReader` and `Utf8JsonWriter`).
//!
//! Numbers are doubles in .NET's shortest form, objects keep the order of insertion and refuse repeated names,
//! comments are skipped, and everything outside printable ASCII, and a few characters inside it, is escaped with
//! upper-case hexadecimal. Written JSON is stored by contracts, so every byte counts.

mod read;
mod write;

use indexmap::IndexMap;

pub use read::JsonError;
pub use write::format_number;

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A finite double.
    Number(f64),
    /// Text.
    Text(String),
    /// A list.
    Array(Vec<Self>),
    /// Names and values in order.
    Object(IndexMap<String, Self>),
}

impl Json {
    /// Reads a value that takes up all the bytes, nested at most `depth` deep.
    ///
    /// # Errors
    /// The bytes are not JSON, or a name is repeated.
    pub fn parse(bytes: &[u8], depth: usize) -> Result<Self, JsonError> {
        read::parse(bytes, depth)
    }

    /// An object of these members.
    #[must_use]
    pub fn object<const N: usize>(members: [(&str, Self); N]) -> Self {
        Self::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// A list.
    #[must_use]
    pub fn array(items: impl IntoIterator<Item = Self>) -> Self {
        Self::Array(items.into_iter().collect())
    }

    /// Text.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// The member with this name; `None` when there is none or it is `null`, which the reference does not tell apart.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.get(name).filter(|value| **value != Self::Null),
            _ => None,
        }
    }

    /// The text, if it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The items, if it is a list.
    #[must_use]
    pub fn as_array(&self) -> Option<&[Self]> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }
}
