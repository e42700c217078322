//! The interchange format of slashing protection (EIP-3076, version 5): what was signed, as JSON that other clients
//! read and write.

use crate::types::primitives::{Epoch, PublicKey, Root, Slot};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// The version of the format.
pub const VERSION: &str = "5";

/// A whole file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interchange {
    /// What the file is for.
    pub metadata: Metadata,
    /// One record per key; a key may have several.
    pub data: Vec<Record>,
}

/// What a file is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// Always `"5"`.
    pub interchange_format_version: String,
    /// The chain.
    #[serde(with = "text")]
    pub genesis_validators_root: Root,
}

/// What one key signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The key.
    #[serde(with = "text")]
    pub pubkey: PublicKey,
    /// Its blocks.
    pub signed_blocks: Vec<SignedBlock>,
    /// Its votes.
    pub signed_attestations: Vec<SignedAttestation>,
}

/// A block that was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedBlock {
    /// Its slot.
    #[serde(with = "text")]
    pub slot: Slot,
    /// What was signed, if known.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_text")]
    pub signing_root: Option<Root>,
}

/// A vote that was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedAttestation {
    /// Epoch of its source.
    #[serde(with = "text")]
    pub source_epoch: Epoch,
    /// Epoch of its target.
    #[serde(with = "text")]
    pub target_epoch: Epoch,
    /// What was signed, if known.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_text")]
    pub signing_root: Option<Root>,
}

/// Values written as JSON strings.
mod text {
    use super::*;

    pub(super) fn serialize<T: ToString, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&value.to_string())
    }

    pub(super) fn deserialize<'de, T, D>(from: D) -> Result<T, D::Error>
    where
        T: std::str::FromStr<Err: std::fmt::Display>,
        D: Deserializer<'de>,
    {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

/// Values written as JSON strings, or null, or left out.
mod optional_text {
    use super::*;

    pub(super) fn serialize<T: ToString, S: Serializer>(value: &Option<T>, to: S) -> Result<S::Ok, S::Error> {
        value.as_ref().map(ToString::to_string).serialize(to)
    }

    pub(super) fn deserialize<'de, T, D>(from: D) -> Result<Option<T>, D::Error>
    where
        T: std::str::FromStr<Err: std::fmt::Display>,
        D: Deserializer<'de>,
    {
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| text.parse().map_err(D::Error::custom)).transpose()
    }
}
