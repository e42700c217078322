//! Account addresses: SHA-256 of a scheme byte and key material, written as bech32m with a prefix per network
//! (BIP-350).

use super::{primitives::Address, ssz::sha256, transaction::AccountKey};
use bech32::{Bech32m, Hrp};

/// Prefix of addresses on the main network.
pub const MAINNET_PREFIX: &str = "pos";
/// Prefix of addresses on every other network.
pub const TESTNET_PREFIX: &str = "tpos";

const SCHEME_SINGLE: u8 = 0;
const SCHEME_MULTI: u8 = 1;
const SCHEME_CONTRACT: u8 = 0xC0;

/// Why text is not an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not bech32m, or the checksum is wrong.
    #[error("not bech32m text")]
    Text(#[from] bech32::primitives::decode::CheckedHrpstringError),
    /// An address of another network.
    #[error("prefix {found} where {expected} is expected")]
    Prefix {
        /// Prefix of the text.
        found: String,
        /// Prefix of this network.
        expected: &'static str,
    },
    /// The text holds another number of bytes than 32, or non-zero padding.
    #[error("an address holds 32 bytes")]
    Length,
}

/// The account of one Ed25519 key.
#[must_use]
pub fn single(key: &AccountKey) -> Address {
    hash(&[&[SCHEME_SINGLE], key])
}

/// The account of which any `k` of `keys` together dispose; `keys` must be strictly increasing.
#[must_use]
pub fn multi(k: u8, keys: &[AccountKey]) -> Address {
    let n = u8::try_from(keys.len()).unwrap_or(u8::MAX);
    hash(&[&[SCHEME_MULTI, k, n], keys.as_flattened()])
}

/// The account of a contract deployed by `deployer` in its transaction number `nonce`.
#[must_use]
pub fn contract(deployer: &Address, nonce: u64) -> Address {
    hash(&[&[SCHEME_CONTRACT], &deployer.0, &nonce.to_le_bytes()])
}

/// Text of an address under a network's prefix.
#[must_use]
pub fn to_text(address: &Address, prefix: &'static str) -> String {
    let prefix = Hrp::parse(prefix).expect("the prefixes of this module are valid");
    bech32::encode::<Bech32m>(prefix, &address.0).expect("32 bytes are within the length of bech32m")
}

/// The address that `text` writes, which must carry this network's prefix.
///
/// # Errors
/// Bad checksum or characters, another prefix, or another length.
pub fn from_text(text: &str, prefix: &'static str) -> Result<Address, AddressError> {
    let parsed = bech32::primitives::decode::CheckedHrpstring::new::<Bech32m>(text)?;
    let found = parsed.hrp().to_lowercase();
    if found != prefix {
        return Err(AddressError::Prefix { found, expected: prefix });
    }
    parsed.validate_segwit_padding().map_err(|_| AddressError::Length)?;
    let bytes: Vec<u8> = parsed.byte_iter().collect();
    bytes.try_into().map(Address).map_err(|_| AddressError::Length)
}

/// Whether `text` is valid bech32m under any prefix.
#[must_use]
pub fn is_bech32m(text: &str) -> bool {
    bech32::primitives::decode::CheckedHrpstring::new::<Bech32m>(text).is_ok()
}

fn hash(parts: &[&[u8]]) -> Address {
    Address(sha256(&parts.concat()))
}
