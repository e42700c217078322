//! Textual forms: Base58, Base58Check with the prefixes of a network, Bech32. Mirrors `src/base58.cpp` and
//! `src/key_io.cpp`. Text is judged by length and prefix only; nobody asks here whether a key is on its curve.

use crate::hash::Hash160;

/// Longest text that is decoded; every address and key of the protocol is shorter.
const MAX_TEXT: usize = 1024;

/// Prefixes and human-readable parts of one network (`src/chainparams.cpp`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressFormat {
    /// P2PKH addresses.
    pub pubkey_hash: [u8; 2],
    /// P2SH addresses.
    pub script_hash: [u8; 2],
    /// Private keys in wallet import format.
    pub secret_key: u8,
    /// BIP-32 public keys.
    pub ext_public: [u8; 4],
    /// BIP-32 private keys.
    pub ext_secret: [u8; 4],
    /// Sprout payment addresses.
    pub sprout_address: [u8; 2],
    /// Sprout viewing keys.
    pub sprout_viewing_key: [u8; 3],
    /// Sprout spending keys.
    pub sprout_spending_key: [u8; 2],
    /// Sapling payment addresses.
    pub sapling_address: &'static str,
    /// Sapling full viewing keys.
    pub sapling_full_viewing_key: &'static str,
    /// Sapling incoming viewing keys.
    pub sapling_incoming_viewing_key: &'static str,
    /// Sapling extended spending keys.
    pub sapling_spending_key: &'static str,
}

impl AddressFormat {
    /// The main network.
    pub const MAIN: Self = Self {
        pubkey_hash: [0x1c, 0xb8],
        script_hash: [0x1c, 0xbd],
        secret_key: 0x80,
        ext_public: [0x04, 0x88, 0xb2, 0x1e],
        ext_secret: [0x04, 0x88, 0xad, 0xe4],
        sprout_address: [0x16, 0x9a],
        sprout_viewing_key: [0xa8, 0xab, 0xd3],
        sprout_spending_key: [0xab, 0x36],
        sapling_address: "za",
        sapling_full_viewing_key: "zviewa",
        sapling_incoming_viewing_key: "zivka",
        sapling_spending_key: "secret-extended-key-main",
    };
    /// The test network.
    pub const TEST: Self = Self {
        pubkey_hash: [0x1d, 0x25],
        script_hash: [0x1c, 0xba],
        secret_key: 0xef,
        ext_public: [0x04, 0x35, 0x87, 0xcf],
        ext_secret: [0x04, 0x35, 0x83, 0x94],
        sprout_address: [0x16, 0xb6],
        sprout_viewing_key: [0xa8, 0xac, 0x0c],
        sprout_spending_key: [0xac, 0x08],
        sapling_address: "ztestacadia",
        sapling_full_viewing_key: "zviewtestacadia",
        sapling_incoming_viewing_key: "zivktestacadia",
        sapling_spending_key: "secret-extended-key-test",
    };
    /// Regression tests: as the test network but for the Sapling parts.
    pub const REGTEST: Self = Self {
        sapling_address: "zregtestsapling",
        sapling_full_viewing_key: "zviewregtestsapling",
        sapling_incoming_viewing_key: "zivkregtestsapling",
        sapling_spending_key: "secret-extended-key-regtest",
        ..Self::TEST
    };
}

/// A transparent destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    /// Hash of a public key.
    PubkeyHash(Hash160),
    /// Hash of a redeem script.
    ScriptHash(Hash160),
}

impl Address {
    /// Reads a transparent address of a network; `None` for anything else.
    #[must_use]
    pub fn decode(text: &str, format: &AddressFormat) -> Option<Self> {
        let data = decode_base58check(text)?;
        let (prefix, hash) = data.split_first_chunk::<2>()?;
        let hash = Hash160(hash.try_into().ok()?);
        if *prefix == format.pubkey_hash {
            Some(Self::PubkeyHash(hash))
        } else if *prefix == format.script_hash {
            Some(Self::ScriptHash(hash))
        } else {
            None
        }
    }

    /// The text of the address on a network.
    #[must_use]
    pub fn encode(&self, format: &AddressFormat) -> String {
        let (prefix, hash) = match self {
            Self::PubkeyHash(hash) => (format.pubkey_hash, hash),
            Self::ScriptHash(hash) => (format.script_hash, hash),
        };
        encode_base58check(&[&prefix[..], &hash.0].concat())
    }
}

/// A private key in wallet import format: 32 bytes that may or may not be a valid scalar.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText {
    /// The scalar, big-endian.
    pub secret: [u8; 32],
    /// Whether the public key is used in its 33-byte form.
    pub compressed: bool,
}

impl SecretText {
    /// Reads a private key of a network; `None` for anything else.
    #[must_use]
    pub fn decode(text: &str, format: &AddressFormat) -> Option<Self> {
        let data = decode_base58check(text)?;
        let rest = data.strip_prefix(&[format.secret_key][..])?;
        match rest.split_first_chunk::<32>()? {
            (secret, []) => Some(Self { secret: *secret, compressed: false }),
            (secret, [1]) => Some(Self { secret: *secret, compressed: true }),
            _ => None,
        }
    }

    /// The text of the key on a network.
    #[must_use]
    pub fn encode(&self, format: &AddressFormat) -> String {
        let suffix: &[u8] = if self.compressed { &[1] } else { &[] };
        encode_base58check(&[&[format.secret_key][..], &self.secret, suffix].concat())
    }
}

/// Decodes Base58; white space around the text is ignored.
#[must_use]
pub fn decode_base58(text: &str) -> Option<Vec<u8>> {
    let text = trimmed(text)?;
    bs58::decode(text).into_vec().ok()
}

/// Encodes Base58.
#[must_use]
pub fn encode_base58(bytes: &[u8]) -> String {
    bs58::encode(bytes).into_string()
}

/// Decodes Base58 with a four-byte checksum, which is verified and removed.
#[must_use]
pub fn decode_base58check(text: &str) -> Option<Vec<u8>> {
    let text = trimmed(text)?;
    bs58::decode(text).with_check(None).into_vec().ok()
}

/// Encodes Base58 with a four-byte checksum.
#[must_use]
pub fn encode_base58check(bytes: &[u8]) -> String {
    bs58::encode(bytes).with_check().into_string()
}

/// Decodes Bech32 (not Bech32m) with this human-readable part.
#[must_use]
pub fn decode_bech32(text: &str, human_readable: &str) -> Option<Vec<u8>> {
    if text.len() > MAX_TEXT {
        return None;
    }
    let checked = bech32::primitives::decode::CheckedHrpstring::new::<LongBech32>(text).ok()?;
    if checked.hrp().as_str() != human_readable || checked.validate_segwit_padding().is_err() {
        return None;
    }
    Some(checked.byte_iter().collect())
}

/// Encodes Bech32; `None` when the part or the length is not allowed.
#[must_use]
pub fn encode_bech32(bytes: &[u8], human_readable: &str) -> Option<String> {
    let hrp = bech32::Hrp::parse(human_readable).ok()?;
    bech32::encode_lower::<LongBech32>(hrp, bytes).ok()
}

/// Bech32 without the limit of 90 characters, as Sapling keys are longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LongBech32 {}

impl bech32::Checksum for LongBech32 {
    type MidstateRepr = u32;
    const CODE_LENGTH: usize = MAX_TEXT;
    const CHECKSUM_LENGTH: usize = bech32::Bech32::CHECKSUM_LENGTH;
    const GENERATOR_SH: [u32; 5] = bech32::Bech32::GENERATOR_SH;
    const TARGET_RESIDUE: u32 = bech32::Bech32::TARGET_RESIDUE;
}

fn trimmed(text: &str) -> Option<&str> {
    let text = text.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\x0b');
    (text.len() <= MAX_TEXT).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bech32_keeps_the_payload_and_refuses_another_network() {
        let payload = [7; 43];
        let text = encode_bech32(&payload, AddressFormat::MAIN.sapling_address).expect("short enough");
        assert!(text.starts_with("za1"));
        assert_eq!(decode_bech32(&text, "za").as_deref(), Some(&payload[..]));
        assert_eq!(decode_bech32(&text, "ztestacadia"), None);
        let long =
            encode_bech32(&[9; 169], AddressFormat::MAIN.sapling_spending_key).expect("longer than 90");
        assert_eq!(
            decode_bech32(&long, AddressFormat::MAIN.sapling_spending_key).map(|key| key.len()),
            Some(169)
        );
    }
}
