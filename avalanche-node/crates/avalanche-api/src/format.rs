//! How values are written: numbers as texts, bytes as hexadecimal with a checksum, times, addresses.
//! Mirrors `utils/json` and `utils/formatting`.

use avalanche_codec::CodecError;
use avalanche_crypto::{address, sha256};
use avalanche_ids::{Id, ShortId};
use avalanche_vm::secp256k1fx::OutputOwners;
use serde_json::{Value, json};
use shared_vendor::{clock::Wall, hex, rpc::Error};

use crate::{Context, failure};

const CHECKSUM_LEN: usize = 4;

/// How bytes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// With checksum; also called `hexc`.
    Hex,
    /// The same under its other name.
    HexC,
    /// Without checksum.
    HexNc,
    /// As an object.
    Json,
}

impl Encoding {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "" | "hex" => Some(Self::Hex),
            "hexc" => Some(Self::HexC),
            "hexnc" => Some(Self::HexNc),
            "json" => Some(Self::Json),
            _ => None,
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Hex => "hex",
            Self::HexC => "hexc",
            Self::HexNc => "hexnc",
            Self::Json => "json",
        }
    }

    /// # Errors
    /// The encoding is `json`, which only transactions and blocks have.
    pub(crate) fn encode(self, bytes: &[u8]) -> Result<String, Error> {
        match self {
            Self::Hex | Self::HexC => Ok(with_checksum(bytes)),
            Self::HexNc => Ok(plain_hex(bytes)),
            Self::Json => Err(failure("unsupported encoding in method")),
        }
    }

    /// The reply to a question for a transaction or block: its bytes, or its object.
    pub(crate) fn reply(
        self,
        name: &str,
        bytes: &[u8],
        object: impl FnOnce() -> Result<Value, Error>,
    ) -> Result<Value, Error> {
        let value = if self == Self::Json { object()? } else { Value::String(self.encode(bytes)?) };
        Ok(json!({ name: value, "encoding": self.name() }))
    }

    /// # Errors
    /// Not this encoding.
    pub(crate) fn decode(self, text: &str) -> Result<Vec<u8>, Error> {
        if text.is_empty() {
            return Ok(Vec::new());
        }
        let malformed = |why: &str| failure(format!("problem decoding transaction: {why}"));
        if self == Self::Json {
            return Err(malformed("unsupported encoding in method"));
        }
        let digits = text.strip_prefix("0x").ok_or_else(|| malformed("missing 0x prefix to hex encoding"))?;
        let mut bytes = hex::decode(digits).map_err(|err| malformed(&err.to_string()))?;
        if self == Self::HexNc {
            return Ok(bytes);
        }
        let len = bytes.len().checked_sub(CHECKSUM_LEN);
        let len = len.ok_or_else(|| malformed("input string is smaller than the checksum size"))?;
        let sum = bytes.split_off(len);
        if sha256(&bytes).ends_with(&sum) { Ok(bytes) } else { Err(malformed("invalid input checksum")) }
    }
}

/// `0x` and the bytes.
pub(crate) fn plain_hex(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

fn with_checksum(bytes: &[u8]) -> String {
    let sum = sha256(bytes);
    let sum = sum.last_chunk::<CHECKSUM_LEN>().map_or_else(String::new, hex::encode);
    format!("0x{}{sum}", hex::encode(bytes))
}

/// What is said of a text that names no chain.
pub(crate) fn no_alias(alias: &str) -> String {
    let alias: String = alias.escape_debug().take(96).collect();
    format!("there is no ID with alias: {alias}")
}

/// What is said of bytes that are no transaction.
pub(crate) fn unpacked(bytes: &[u8], err: &CodecError) -> String {
    if bytes.len() < size_of::<u16>() { "couldn't unpack codec version".to_owned() } else { err.to_string() }
}

/// A number of a reply.
pub(crate) fn number(value: u64) -> Value {
    Value::String(value.to_string())
}

/// A part of a reply, with four decimals.
pub(crate) fn decimal(value: f64) -> Value {
    Value::String(format!("{value:.4}"))
}

/// A time of whole seconds.
pub(crate) fn time(seconds: u64) -> Value {
    let text = Wall::from_secs(seconds).to_string();
    Value::String(text.split_once('.').map_or_else(|| text.clone(), |(whole, _)| format!("{whole}Z")))
}

impl Context {
    /// An address of a chain.
    pub(crate) fn address(&self, chain: &str, owner: &ShortId) -> String {
        address::format(chain, self.facts.hrp, owner)
    }

    /// The owner of an address of a chain of this network, or of an address without chain.
    pub(crate) fn owner(&self, chain: Id, text: &str) -> Result<ShortId, Error> {
        if let Ok(owner) = text.parse() {
            return Ok(owner);
        }
        self.local_owner(chain, text)
            .map_err(|why| failure(format!("couldn't parse address \"{text}\": {why}")))
    }

    fn local_owner(&self, chain: Id, text: &str) -> Result<ShortId, String> {
        let (alias, hrp, owner) = address::parse(text).map_err(|err| err.to_string())?;
        let id = self.chain(&alias).ok_or_else(|| no_alias(&alias))?;
        if hrp != self.facts.hrp {
            return Err(format!("expected hrp \"{}\" but got \"{hrp}\"", self.facts.hrp));
        }
        if id != chain {
            return Err(format!("mismatched chainIDs: expected \"{chain}\" but got \"{id}\""));
        }
        Ok(owner)
    }

    pub(crate) fn owners(&self, owners: &OutputOwners) -> Value {
        let addresses: Vec<_> = owners.addrs.iter().map(|owner| self.address("P", owner)).collect();
        json!({
            "locktime": number(owners.locktime),
            "threshold": number(u64::from(owners.threshold)),
            "addresses": addresses,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_carry_a_checksum_that_is_checked() {
        let text = Encoding::Hex.encode(&[0x14, 0x15]).unwrap();
        assert_eq!(Encoding::Hex.decode(&text).unwrap(), [0x14, 0x15]);
        assert!(Encoding::Hex.decode(&text.replace("1415", "1416")).is_err());
        assert!(Encoding::Hex.decode("1415").is_err());
        assert!(Encoding::Hex.decode("0x14").is_err());
        assert_eq!(Encoding::HexNc.decode("0x1415").unwrap(), [0x14, 0x15]);
    }

    #[test]
    fn times_have_no_fraction_and_parts_four_decimals() {
        assert_eq!(time(1_795_255_579), "2026-11-21T10:06:19Z");
        assert_eq!(decimal(91.5), "91.5000");
    }
}
