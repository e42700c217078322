//! Cryptography of Neo N3: hash functions, the curves its signatures use, and the text forms of keys.
//!
//! Not here: what is hashed or signed (that is `neo-base`), wallets, and every rule about when a signature counts.
//! Mirrors `src/Neo/Cryptography` and the key formats of `src/Neo/Wallets` in the C# reference.

pub mod base58;
pub mod bls;
pub mod ed25519;
pub mod hash;
pub mod nep2;
pub mod secp256k1;
pub mod secp256r1;
pub mod wif;
