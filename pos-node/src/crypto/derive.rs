//! Keys from seeds: EIP-2333 trees for validator keys, SLIP-0010 for account keys, and the well-known keys of
//! development networks.

use super::bls::{BlsError, SecretKey};
use crate::types::ssz::sha256;
use hmac::{Hmac, KeyInit, Mac};
use ruint::{aliases::U256, uint};
use sha2::Sha512;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Order of the BLS12-381 groups.
const GROUP_ORDER: U256 = uint!(0x73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001_U256);

/// Why a key cannot be derived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DeriveError {
    /// The path is not `m` followed by numbers below 2^31, each after a slash and before an optional `'`.
    #[error("malformed derivation path")]
    Path,
    /// Ed25519 keys have hardened children only.
    #[error("account keys derive hardened children only")]
    NotHardened,
    /// BLS paths have no hardened parts.
    #[error("validator key paths have no hardened parts")]
    Hardened,
    /// The seed is shorter than 32 bytes.
    #[error("seed too short")]
    Seed(#[from] BlsError),
}

/// The validator key at an EIP-2334 path such as `m/12381/3600/0/0/0`.
///
/// # Errors
/// A seed under 32 bytes, or a path that is malformed or has hardened parts.
pub fn validator_key(seed: &[u8], path: &str) -> Result<SecretKey, DeriveError> {
    let mut key = SecretKey::derive_master(seed)?;
    for (index, hardened) in parse(path)? {
        if hardened {
            return Err(DeriveError::Hardened);
        }
        key = key.derive_child(index);
    }
    Ok(key)
}

/// The validator key that EIP-2333 makes child number `index` of `parent`.
#[must_use]
pub fn child(parent: &SecretKey, index: u32) -> SecretKey {
    parent.derive_child(index)
}

/// An account key with the chain code that its children come from; wiped when dropped.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct AccountNode {
    /// Secret seed of the key.
    pub secret: [u8; 32],
    /// Chain code.
    pub chain_code: [u8; 32],
}

impl std::fmt::Debug for AccountNode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AccountNode(..)")
    }
}

/// The account key at a SLIP-0010 path such as `m/44'/7777'/0'`.
///
/// # Errors
/// A path that is malformed or has a part that is not hardened.
pub fn account_key(seed: &[u8], path: &str) -> Result<AccountNode, DeriveError> {
    let mut node = split(&hmac_sha512(b"ed25519 seed", &[seed]));
    for (index, hardened) in parse(path)? {
        if !hardened {
            return Err(DeriveError::NotHardened);
        }
        let index = (index | 1 << 31).to_be_bytes();
        node = split(&hmac_sha512(&node.chain_code, &[&[0], &node.secret, &index]));
    }
    Ok(node)
}

/// The publicly known key number `index` of development networks: SHA-256 of the number, as a little-endian integer
/// modulo the group order.
///
/// # Errors
/// Never for an index anyone can reach: the value would have to be zero.
pub fn interop_key(index: u64) -> Result<SecretKey, BlsError> {
    let mut number = [0; 32];
    for (to, from) in number.iter_mut().zip(index.to_le_bytes()) {
        *to = from;
    }
    let value = U256::from_le_bytes(sha256(&number)) % GROUP_ORDER;
    SecretKey::from_bytes(&value.to_be_bytes())
}

/// The parts of a path, each with whether it is hardened.
fn parse(path: &str) -> Result<Vec<(u32, bool)>, DeriveError> {
    let mut parts = path.split('/');
    if parts.next() != Some("m") {
        return Err(DeriveError::Path);
    }
    parts
        .map(|part| {
            let (number, hardened) = match part.strip_suffix(['\'', 'h', 'H']) {
                Some(number) => (number, true),
                None => (part, false),
            };
            let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
            match number.parse::<u32>() {
                Ok(index) if digits && index < 1 << 31 => Ok((index, hardened)),
                _ => Err(DeriveError::Path),
            }
        })
        .collect()
}

fn hmac_sha512(key: &[u8], parts: &[&[u8]]) -> [u8; 64] {
    let mut mac = Hmac::<Sha512>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

fn split(bytes: &[u8; 64]) -> AccountNode {
    let (mut secret, mut chain_code) = ([0; 32], [0; 32]);
    for (to, from) in secret.iter_mut().chain(&mut chain_code).zip(bytes) {
        *to = *from;
    }
    AccountNode { secret, chain_code }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_paths_are_refused() {
        for path in ["", "n/1", "m/", "m/-1", "m/+1", "m/1''", "m/2147483648", "m//1", "m/x"] {
            assert_eq!(parse(path), Err(DeriveError::Path), "{path}");
        }
        assert_eq!(parse("m/44'/7"), Ok(vec![(44, true), (7, false)]));
    }
}
