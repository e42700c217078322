//! Keys of a seed by BIP-32, on the curve of the network's accounts. Mirrors `Wallets/BIP32/ExtendedKey.cs` and `KeyPath.cs`.

use std::{fmt, str::FromStr};

use hmac::{Hmac, KeyInit, Mac};
use neo_crypto::secp256r1::PrivateKey;
use sha2::Sha512;
use zeroize::Zeroizing;

/// The first hardened index: such children cannot be told from the public key of their parent.
pub const HARDENED: u32 = 1 << 31;

/// Where the first account of wallets lies: 888 is the registered number of Neo (SLIP-44).
pub const FIRST_ACCOUNT: &str = "m/44'/888'/0'/0/0";

/// Why there is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DerivationError {
    /// Not `m`, followed by indices below 2^31 after slashes, with an apostrophe when they are hardened.
    #[error("not a path of keys, such as {FIRST_ACCOUNT}")]
    Path,
    /// Less than once in 2^127 seeds or indices there is no key; the next index has one.
    #[error("this seed or index has no key")]
    NoKey,
}

/// A way from the first key of a seed to another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPath(Vec<u32>);

impl KeyPath {
    /// The path whose last index is greater by a number.
    ///
    /// # Errors
    /// The first key has no index, or the sum is out of range.
    pub fn next(&self, number: u32) -> Result<Self, DerivationError> {
        let mut indices = self.0.clone();
        let last = indices.last_mut().ok_or(DerivationError::Path)?;
        let sum = last.checked_add(number).filter(|sum| (sum ^ *last) < HARDENED);
        *last = sum.ok_or(DerivationError::Path)?;
        Ok(Self(indices))
    }
}

impl FromStr for KeyPath {
    type Err = DerivationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split('/').map(str::trim);
        if parts.next() != Some("m") {
            return Err(DerivationError::Path);
        }
        let indices = parts.map(|part| {
            let (digits, mark) = match part.strip_suffix('\'') {
                Some(digits) => (digits.trim_end(), HARDENED),
                None => (part, 0),
            };
            let is_number = digits.bytes().all(|digit| digit.is_ascii_digit());
            let index = digits.parse().ok().filter(|index: &u32| is_number && *index < HARDENED);
            index.map(|index| index | mark).ok_or(DerivationError::Path)
        });
        indices.collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("m")?;
        self.0.iter().try_for_each(|index| {
            write!(f, "/{}{}", index & !HARDENED, if *index >= HARDENED { "'" } else { "" })
        })
    }
}

/// What derivation needs of a private key; [`PrivateKey`] for accounts.
pub trait Key: Sized {
    /// The key with these big-endian bytes, if there is one.
    fn from_number(bytes: &[u8; 32]) -> Option<Self>;
    /// Its big-endian bytes.
    fn number(&self) -> Zeroizing<[u8; 32]>;
    /// Its public key, compressed.
    fn public(&self) -> [u8; 33];
    /// The key whose number is greater by this one, modulo the order; `None` for zero and for numbers that are not below the order.
    fn plus(&self, number: &[u8; 32]) -> Option<Self>;
}

impl Key for PrivateKey {
    fn from_number(bytes: &[u8; 32]) -> Option<Self> {
        Self::from_bytes(bytes)
    }

    fn number(&self) -> Zeroizing<[u8; 32]> {
        self.to_bytes()
    }

    fn public(&self) -> [u8; 33] {
        self.public_key().to_bytes()
    }

    fn plus(&self, number: &[u8; 32]) -> Option<Self> {
        Self::plus(self, number)
    }
}

/// A key with what its children are made from.
pub struct ExtendedKey<K = PrivateKey> {
    key: K,
    chain_code: Zeroizing<[u8; 32]>,
}

impl<K: Key> ExtendedKey<K> {
    /// The first key of a seed.
    ///
    /// # Errors
    /// The seed has no key.
    pub fn from_seed(seed: &[u8]) -> Result<Self, DerivationError> {
        let (left, chain_code) = keyed_hash(b"Bitcoin seed", &[seed]);
        let key = K::from_number(&left).ok_or(DerivationError::NoKey)?;
        Ok(Self { key, chain_code })
    }

    /// The key at the end of a path.
    ///
    /// # Errors
    /// One on the way has no child of that index.
    pub fn at(self, path: &KeyPath) -> Result<Self, DerivationError> {
        path.0.iter().try_fold(self, |key, index| key.child(*index))
    }

    /// The private key.
    #[must_use]
    pub fn into_key(self) -> K {
        self.key
    }

    fn child(&self, index: u32) -> Result<Self, DerivationError> {
        let number = index.to_be_bytes();
        let (left, chain_code) = if index >= HARDENED {
            keyed_hash(&*self.chain_code, &[&[0], self.key.number().as_slice(), &number])
        } else {
            keyed_hash(&*self.chain_code, &[&self.key.public(), &number])
        };
        let key = self.key.plus(&left).ok_or(DerivationError::NoKey)?;
        Ok(Self { key, chain_code })
    }
}

impl<K> fmt::Debug for ExtendedKey<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ExtendedKey(..)")
    }
}

/// Both halves of HMAC-SHA512.
fn keyed_hash(key: &[u8], parts: &[&[u8]]) -> (Zeroizing<[u8; 32]>, Zeroizing<[u8; 32]>) {
    let mut mac = Hmac::<Sha512>::new_from_slice(key).expect("a key of any length will do");
    parts.iter().for_each(|part| mac.update(part));
    let hash = mac.finalize().into_bytes();
    let (mut left, mut right) = (Zeroizing::new([0; 32]), Zeroizing::new([0; 32]));
    left.copy_from_slice(&hash[..32]);
    right.copy_from_slice(&hash[32..]);
    (left, right)
}

#[cfg(test)]
mod tests {
    use secp256k1::{PublicKey, Scalar, SecretKey};

    use super::*;

    impl Key for SecretKey {
        fn from_number(bytes: &[u8; 32]) -> Option<Self> {
            Self::from_secret_bytes(*bytes).ok()
        }

        fn number(&self) -> Zeroizing<[u8; 32]> {
            Zeroizing::new(self.to_secret_bytes())
        }

        fn public(&self) -> [u8; 33] {
            PublicKey::from_secret_key(self).serialize()
        }

        fn plus(&self, number: &[u8; 32]) -> Option<Self> {
            self.add_tweak(&Scalar::from_be_bytes(*number).ok()?).ok()
        }
    }

    /// Paths and extended keys of the seed 000102...0f, from the test vectors of BIP-32, which are of another curve.
    const VECTORS: [(&str, &str); 6] = [
        (
            "m",
            "xprv9s21ZrQH143K3QTDL4LXw2F7HEK3wJUD2nW2nRk4stbPy6cq3jPPqjiChkVvvNKmPGJxWUtg6LnF5kejMRNNU3TGtRBeJgk33yuGBxrMPHi",
        ),
        (
            "m/0'",
            "xprv9uHRZZhk6KAJC1avXpDAp4MDc3sQKNxDiPvvkX8Br5ngLNv1TxvUxt4cV1rGL5hj6KCesnDYUhd7oWgT11eZG7XnxHrnYeSvkzY7d2bhkJ7",
        ),
        (
            "m/0'/1",
            "xprv9wTYmMFdV23N2TdNG573QoEsfRrWKQgWeibmLntzniatZvR9BmLnvSxqu53Kw1UmYPxLgboyZQaXwTCg8MSY3H2EU4pWcQDnRnrVA1xe8fs",
        ),
        (
            "m/0'/1/2'",
            "xprv9z4pot5VBttmtdRTWfWQmoH1taj2axGVzFqSb8C9xaxKymcFzXBDptWmT7FwuEzG3ryjH4ktypQSAewRiNMjANTtpgP4mLTj34bhnZX7UiM",
        ),
        (
            "m/0'/1/2'/2",
            "xprvA2JDeKCSNNZky6uBCviVfJSKyQ1mDYahRjijr5idH2WwLsEd4Hsb2Tyh8RfQMuPh7f7RtyzTtdrbdqqsunu5Mm3wDvUAKRHSC34sJ7in334",
        ),
        (
            "m/0'/1/2'/2/1000000000",
            "xprvA41z7zogVVwxVSgdKUHDy1SKmdb533PjDz7J6N6mV6uS3ze1ai8FHa8kmHScGpWmj4WggLyQjgPie1rFSruoUihUZREPSL39UNdE3BBDu76",
        ),
    ];

    #[test]
    fn keys_and_chain_codes_are_those_of_the_standard() {
        let seed: Vec<u8> = (0..16).collect();
        for (path, expected) in VECTORS {
            let expected = neo_crypto::base58::decode_check(expected).expect("a key of the standard");
            let parsed: KeyPath = path.parse().expect("a path");
            let key =
                ExtendedKey::<SecretKey>::from_seed(&seed).and_then(|key| key.at(&parsed)).expect("a key");
            assert_eq!(*key.chain_code, expected[13..45], "{path}");
            assert_eq!(*key.into_key().number(), expected[46..78], "{path}");
            assert_eq!(parsed.to_string(), path);
        }
    }

    #[test]
    fn paths_are_read_as_the_reference_reads_them() {
        let path: KeyPath = " m / 44 ' /888'/0'/0/ 7 ".parse().expect("blanks are allowed");
        assert_eq!(path.to_string(), "m/44'/888'/0'/0/7");
        assert_eq!(path.next(3).map(|path| path.to_string()), Ok("m/44'/888'/0'/0/10".to_owned()));
        let last: KeyPath = "m/2147483647".parse().expect("the last index");
        assert_eq!(last.next(1), Err(DerivationError::Path));
        for bad in
            ["", "M", "m/", "m//1", "m/+1", "m/-1", "m/1h", "m/2147483648", "m/4294967296", "0/1", "m/1''"]
        {
            assert_eq!(bad.parse::<KeyPath>(), Err(DerivationError::Path), "{bad}");
        }
    }

    #[test]
    fn keys_of_accounts_wrap_around_the_order_and_are_never_zero() {
        let one = PrivateKey::from_number(&std::array::from_fn(|at| u8::from(at == 31))).expect("one");
        let order = neo_crypto::secp256r1::ORDER;
        let mut number = order;
        number[31] -= 1;
        assert!(one.plus(&number).is_none() && one.plus(&order).is_none());
        let last = PrivateKey::from_number(&number).expect("the last key");
        let two = one.plus(&one.number()).expect("two");
        assert_eq!(*last.plus(&two.number()).expect("one again").number(), *one.number());
        assert_eq!(*one.plus(&[0; 32]).expect("the same").number(), *one.number());
    }
}
