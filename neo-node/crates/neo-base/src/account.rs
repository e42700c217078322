//! Accounts: the scripts that stand for one key or for m of n keys, and addresses.
//! Mirrors `SmartContract/Contract.cs`, `SmartContract/Helper.cs` and `Wallets/Helper.cs`.

use neo_crypto::{
    base58::{self, Base58Error},
    hash::{hash160, sha256},
    secp256r1::PublicKey,
};

use crate::hash::UInt160;

const PUSHINT8: u8 = 0x00;
const PUSHINT16: u8 = 0x01;
const PUSHDATA1: u8 = 0x0c;
const PUSH0: u8 = 0x10;
const SYSCALL: u8 = 0x41;

/// Largest number of keys of a multisig account.
pub const MAX_KEYS: usize = 1024;

/// Number of an interop service: the first four bytes of SHA-256 of its name, little-endian.
#[must_use]
pub fn interop_id(name: &str) -> u32 {
    let [a, b, c, d, ..] = sha256(name.as_bytes());
    u32::from_le_bytes([a, b, c, d])
}

/// Hash of a script: the account or contract it stands for.
#[must_use]
pub fn script_hash(script: &[u8]) -> UInt160 {
    UInt160(hash160(script))
}

/// The script that checks one signature.
#[must_use]
pub fn signature_script(key: &PublicKey) -> Vec<u8> {
    let mut script = vec![PUSHDATA1, 33];
    script.extend_from_slice(&key.to_bytes());
    push_syscall(&mut script, "System.Crypto.CheckSig");
    script
}

/// The script that checks `m` signatures of the keys, which it holds sorted; `None` unless 1 <= m <= n <= 1024.
#[must_use]
pub fn multisig_script(m: usize, keys: &[PublicKey]) -> Option<Vec<u8>> {
    if m < 1 || m > keys.len() || keys.len() > MAX_KEYS {
        return None;
    }
    let mut sorted = keys.to_vec();
    sorted.sort_unstable();
    let mut script = Vec::new();
    push_count(&mut script, m);
    for key in sorted {
        script.extend_from_slice(&[PUSHDATA1, 33]);
        script.extend_from_slice(&key.to_bytes());
    }
    push_count(&mut script, keys.len());
    push_syscall(&mut script, "System.Crypto.CheckMultisig");
    Some(script)
}

/// Signatures that dBFT needs of `n` validators: all but a third.
#[must_use]
pub fn bft_threshold(n: usize) -> usize {
    n.saturating_sub(n.saturating_sub(1) / 3)
}

/// Signatures that the committee needs of `n` members: more than half.
#[must_use]
pub fn committee_threshold(n: usize) -> usize {
    n.saturating_sub(n.saturating_sub(1) / 2)
}

/// The key of a script that checks one signature; `None` when the script is another.
#[must_use]
pub fn parse_signature_script(script: &[u8]) -> Option<&[u8; 33]> {
    let (key, rest) = script.strip_prefix(&[PUSHDATA1, 33])?.split_first_chunk::<33>()?;
    is_syscall(rest, "System.Crypto.CheckSig").then_some(key)
}

/// Threshold and keys of a script that checks signatures of several keys; `None` when the script is another.
#[must_use]
pub fn parse_multisig_script(script: &[u8]) -> Option<(usize, Vec<PublicKey>)> {
    let (m, mut rest) = read_count(script)?;
    let mut keys = Vec::new();
    while let Some(tail) = rest.strip_prefix(&[PUSHDATA1, 33]) {
        let (key, tail) = tail.split_first_chunk::<33>()?;
        keys.push(PublicKey::from_bytes(key)?);
        rest = tail;
    }
    let (n, rest) = read_count(rest)?;
    let valid = (1..=keys.len()).contains(&m) && keys.len() <= MAX_KEYS && n == keys.len();
    (valid && is_syscall(rest, "System.Crypto.CheckMultisig")).then_some((m, keys))
}

/// Text of an account on a network with this address version.
#[must_use]
pub fn to_address(account: &UInt160, version: u8) -> String {
    let mut data = vec![version];
    data.extend_from_slice(account.as_bytes());
    base58::encode_check(&data)
}

/// Why a text is not an address of the network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not Base58Check.
    #[error("not Base58Check text")]
    Text(#[from] Base58Error),
    /// Not a version byte and 20 bytes.
    #[error("not the length of an address")]
    Length,
    /// The version byte of another network.
    #[error("address version {found}, this network has {expected}")]
    Version {
        /// The version in the text.
        found: u8,
        /// The version of the network.
        expected: u8,
    },
}

/// Account of an address.
///
/// # Errors
/// Not Base58Check, another length, or the version of another network.
pub fn from_address(text: &str, version: u8) -> Result<UInt160, AddressError> {
    let data = base58::decode_check(text)?;
    let (&found, hash) = data.split_first().ok_or(AddressError::Length)?;
    let account = UInt160::from_slice(hash).ok_or(AddressError::Length)?;
    if found == version { Ok(account) } else { Err(AddressError::Version { found, expected: version }) }
}

fn push_syscall(script: &mut Vec<u8>, name: &str) {
    script.push(SYSCALL);
    script.extend_from_slice(&interop_id(name).to_le_bytes());
}

fn is_syscall(bytes: &[u8], name: &str) -> bool {
    bytes.strip_prefix(&[SYSCALL]).is_some_and(|id| id == interop_id(name).to_le_bytes())
}

/// Pushes 1 to 1024 in the shortest form.
fn push_count(script: &mut Vec<u8>, count: usize) {
    match (u8::try_from(count), i8::try_from(count), u16::try_from(count)) {
        (Ok(small), ..) if small <= 16 => script.push(PUSH0.saturating_add(small)),
        (_, Ok(byte), _) => script.extend_from_slice(&[PUSHINT8, byte.cast_unsigned()]),
        (.., Ok(short)) => {
            script.push(PUSHINT16);
            script.extend_from_slice(&short.to_le_bytes());
        }
        _ => {}
    }
}

fn read_count(script: &[u8]) -> Option<(usize, &[u8])> {
    match script {
        [PUSHINT8, count, rest @ ..] => Some((usize::from(*count), rest)),
        [PUSHINT16, low, high, rest @ ..] => Some((u16::from_le_bytes([*low, *high]).into(), rest)),
        [op @ 0x11..=0x20, rest @ ..] => Some((usize::from(op.checked_sub(PUSH0)?), rest)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use neo_crypto::secp256r1::PrivateKey;

    fn keys(n: u16) -> Vec<PublicKey> {
        (1..=n)
            .map(|i| {
                let mut bytes = [0; 32];
                bytes[30..].copy_from_slice(&i.to_be_bytes());
                PrivateKey::from_bytes(&bytes).expect("small number").public_key()
            })
            .collect()
    }

    #[test]
    fn scripts_parse_back_at_every_form_of_count() {
        let keys = keys(130);
        for (m, n) in [(1, 1), (16, 16), (17, 17), (100, 127), (128, 130)] {
            let script = multisig_script(m, &keys[..n]).expect("valid counts");
            let (parsed_m, parsed) = parse_multisig_script(&script).expect("own script");
            assert_eq!((parsed_m, parsed.len()), (m, n));
            assert!(parsed.is_sorted());
            assert!(parse_multisig_script(&script[..script.len() - 1]).is_none());
        }
        assert!(multisig_script(0, &keys).is_none());
        assert!(multisig_script(2, &keys[..1]).is_none());
    }

    #[test]
    fn thresholds_are_those_of_the_protocol() {
        assert_eq!([1, 4, 7, 21].map(bft_threshold), [1, 3, 5, 15]);
        assert_eq!([1, 4, 7, 21].map(committee_threshold), [1, 3, 4, 11]);
    }
}
