//! Private keys for transparent outputs, each the child of another (BIP-32).

use std::fmt;

use fluxd_primitives::{
    Address, AddressFormat, PublicKey,
    address::{SecretText, encode_base58check},
    hash160,
};
use hmac::{Hmac, KeyInit, Mac};
use secp256k1::{Scalar, SecretKey};
use sha2::Sha512;

use crate::HARDENED;

/// Key of the hash that makes a seed into the first key.
const SEED: &[u8] = b"Bitcoin seed";
/// Purpose of such accounts in paths (BIP-44).
pub const PURPOSE: u32 = 44;

/// A private key that has children.
#[derive(Clone)]
pub struct ExtendedKey {
    depth: u8,
    parent: [u8; 4],
    index: u32,
    chain_code: [u8; 32],
    secret: SecretKey,
}

impl ExtendedKey {
    /// The first key of a seed; `None` for one seed in 2^127, which has none.
    #[must_use]
    pub fn master(seed: &[u8]) -> Option<Self> {
        let (secret, chain_code) = halves(SEED, &[seed])?;
        let secret = SecretKey::from_secret_bytes(secret).ok()?;
        Some(Self { depth: 0, parent: [0; 4], index: 0, chain_code, secret })
    }

    /// A child; [`HARDENED`] is part of the index. `None` for one index in 2^127, and below the deepest level.
    #[must_use]
    pub fn child(&self, index: u32) -> Option<Self> {
        let public = self.public();
        let number = index.to_be_bytes();
        let (tweak, chain_code) = if index & HARDENED != 0 {
            halves(&self.chain_code, &[&[0], self.secret.as_secret_bytes(), &number])?
        } else {
            halves(&self.chain_code, &[public.as_bytes(), &number])?
        };
        let secret = self.secret.add_tweak(&Scalar::from_be_bytes(tweak).ok()?).ok()?;
        let [a, b, c, d, ..] = public.id().0;
        Some(Self { depth: self.depth.checked_add(1)?, parent: [a, b, c, d], index, chain_code, secret })
    }

    /// A child of a child, as often as the path is long.
    #[must_use]
    pub fn descend(&self, path: &[u32]) -> Option<Self> {
        path.iter().try_fold(self.clone(), |key, index| key.child(*index))
    }

    /// The public key, compressed.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey::from_serialized(&self.secret.public_key().serialize())
    }

    /// What children are made with beside the key.
    #[must_use]
    pub fn chain_code(&self) -> &[u8; 32] {
        &self.chain_code
    }

    /// The address that pays to this key.
    #[must_use]
    pub fn address(&self) -> Address {
        Address::PubkeyHash(hash160(self.public().as_bytes()))
    }

    /// The key for wallets that import keys one by one.
    #[must_use]
    pub fn secret_text(&self) -> SecretText {
        SecretText { secret: self.secret.to_secret_bytes(), compressed: true }
    }

    /// The text of the private key with all its children, `xprv...` on the main network.
    #[must_use]
    pub fn encode_secret(&self, format: &AddressFormat) -> String {
        self.encode(format.ext_secret, &[&[0][..], self.secret.as_secret_bytes()].concat())
    }

    /// The text of the public key with all children that are not hardened, `xpub...` on the main network.
    #[must_use]
    pub fn encode_public(&self, format: &AddressFormat) -> String {
        self.encode(format.ext_public, self.public().as_bytes())
    }

    fn encode(&self, prefix: [u8; 4], key: &[u8]) -> String {
        let index = self.index.to_be_bytes();
        let parts: [&[u8]; 6] = [&prefix, &[self.depth], &self.parent, &index, &self.chain_code, key];
        encode_base58check(&parts.concat())
    }
}

impl fmt::Debug for ExtendedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExtendedKey")
            .field("depth", &self.depth)
            .field("index", &self.index)
            .finish_non_exhaustive()
    }
}

/// HMAC-SHA-512 of parts, in two halves.
fn halves(key: &[u8], parts: &[&[u8]]) -> Option<([u8; 32], [u8; 32])> {
    let mut mac = Hmac::<Sha512>::new_from_slice(key).ok()?;
    for part in parts {
        mac.update(part);
    }
    let hash: [u8; 64] = mac.finalize().into_bytes().into();
    let (left, right) = hash.split_at(32);
    Some((left.try_into().ok()?, right.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first vector of BIP-32.
    #[test]
    fn keys_have_the_texts_of_the_standard() {
        let seed: Vec<u8> = (0..16).collect();
        let master = ExtendedKey::master(&seed).expect("a key");
        let format = &AddressFormat::MAIN;
        for (path, public, secret) in [
            (
                &[][..],
                "xpub661MyMwAqRbcFtXgS5sYJABqqG9YLmC4Q1Rdap9gSE8NqtwybGhePY2gZ29ESFjqJoCu1Rupje8YtGqsefD265TMg7usUDFdp6W1EGMcet8",
                "xprv9s21ZrQH143K3QTDL4LXw2F7HEK3wJUD2nW2nRk4stbPy6cq3jPPqjiChkVvvNKmPGJxWUtg6LnF5kejMRNNU3TGtRBeJgk33yuGBxrMPHi",
            ),
            (
                &[HARDENED, 1],
                "xpub6ASuArnXKPbfEwhqN6e3mwBcDTgzisQN1wXN9BJcM47sSikHjJf3UFHKkNAWbWMiGj7Wf5uMash7SyYq527Hqck2AxYysAA7xmALppuCkwQ",
                "xprv9wTYmMFdV23N2TdNG573QoEsfRrWKQgWeibmLntzniatZvR9BmLnvSxqu53Kw1UmYPxLgboyZQaXwTCg8MSY3H2EU4pWcQDnRnrVA1xe8fs",
            ),
        ] {
            let key = master.descend(path).expect("a key");
            assert_eq!(
                (key.encode_public(format), key.encode_secret(format)),
                (public.into(), secret.into())
            );
        }
    }
}
