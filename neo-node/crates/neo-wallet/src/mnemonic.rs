//! Wallets as words: entropy as English words of BIP-39, and the seed they stand for. Mirrors `Wallets/Mnemonic.cs`, but for its other
//! languages; keys of the seed are in `derivation.rs`.

use std::fmt;

use zeroize::Zeroizing;

/// Why words or entropy are no mnemonic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MnemonicError {
    /// Entropy has 16, 20, 24, 28 or 32 bytes, a phrase 12, 15, 18, 21 or 24 words.
    #[error("neither 12, 15, 18, 21 nor 24 words")]
    Length,
    /// A word that is not in the list.
    #[error("a word that is not in the list")]
    Word,
    /// The last word holds a checksum of the others.
    #[error("the checksum does not fit the words")]
    Checksum,
}

/// Words that stand for entropy. Wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Mnemonic(bip39::Mnemonic);

impl Mnemonic {
    /// The words of 16 to 32 bytes of entropy.
    ///
    /// # Errors
    /// The number of bytes is no multiple of four, or out of range.
    pub fn from_entropy(entropy: &[u8]) -> Result<Self, MnemonicError> {
        bip39::Mnemonic::from_entropy(entropy).map(Self).map_err(|_| MnemonicError::Length)
    }

    /// Reads words.
    ///
    /// # Errors
    /// See [`MnemonicError`].
    pub fn parse(words: &str) -> Result<Self, MnemonicError> {
        let parsed = bip39::Mnemonic::parse_in(bip39::Language::English, words);
        parsed.map(Self).map_err(|err| match err {
            bip39::Error::UnknownWord(_) => MnemonicError::Word,
            bip39::Error::InvalidChecksum => MnemonicError::Checksum,
            _ => MnemonicError::Length,
        })
    }

    /// The entropy.
    #[must_use]
    pub fn entropy(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.0.to_entropy())
    }

    /// The words, one blank between them.
    #[must_use]
    pub fn words(&self) -> Zeroizing<String> {
        Zeroizing::new(self.0.to_string())
    }

    /// The 64 bytes from which keys are derived; another passphrase gives others.
    #[must_use]
    pub fn seed(&self, passphrase: &str) -> Zeroizing<[u8; 64]> {
        Zeroizing::new(self.0.to_seed(passphrase))
    }
}

impl fmt::Debug for Mnemonic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mnemonic(..)")
    }
}
