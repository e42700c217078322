//! Wallets as words: entropy as words of BIP-39 in one of ten languages, and the seed they stand for. Mirrors `Wallets/Mnemonic.cs`; keys of the
//! seed are in `derivation.rs`.

use std::{fmt, str::FromStr};

use bip39::Language as List;
use zeroize::Zeroizing;

/// Why words or entropy are no mnemonic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MnemonicError {
    /// Entropy has 16, 20, 24, 28 or 32 bytes, a phrase 12, 15, 18, 21 or 24 words.
    #[error("neither 12, 15, 18, 21 nor 24 words")]
    Length,
    /// No list has all the words.
    #[error("a word that is not in the list")]
    Word,
    /// The last word holds a checksum of the others.
    #[error("the checksum does not fit the words")]
    Checksum,
    /// There are no words in this language.
    #[error("the language is none of {}", codes())]
    Language,
}

/// A list of words, by the code that the C# node has for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Language(List);

/// All of them; where two lists have all words of a phrase, the first is taken. The seed is the same.
const LANGUAGES: [(&str, List); 10] = [
    ("en", List::English),
    ("cs", List::Czech),
    ("es", List::Spanish),
    ("fr", List::French),
    ("it", List::Italian),
    ("ja", List::Japanese),
    ("ko", List::Korean),
    ("pt", List::Portuguese),
    ("zh", List::SimplifiedChinese),
    ("zh-Hant", List::TraditionalChinese),
];

fn codes() -> String {
    LANGUAGES.map(|(code, _)| code).join(", ")
}

impl Language {
    /// English.
    pub const ENGLISH: Self = Self(List::English);

    /// Every language.
    pub fn all() -> impl Iterator<Item = Self> {
        LANGUAGES.into_iter().map(|(_, list)| Self(list))
    }
}

impl FromStr for Language {
    type Err = MnemonicError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = LANGUAGES.into_iter().find(|(code, _)| *code == text);
        found.map(|(_, list)| Self(list)).ok_or(MnemonicError::Language)
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(LANGUAGES.iter().find(|(_, list)| *list == self.0).map_or("", |(code, _)| code))
    }
}

/// Words that stand for entropy. Wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Mnemonic(bip39::Mnemonic);

impl Mnemonic {
    /// The words of 16 to 32 bytes of entropy in a language.
    ///
    /// # Errors
    /// The number of bytes is no multiple of four, or out of range.
    pub fn from_entropy(entropy: &[u8], language: Language) -> Result<Self, MnemonicError> {
        bip39::Mnemonic::from_entropy_in(language.0, entropy).map(Self).map_err(|_| MnemonicError::Length)
    }

    /// Reads words in any language, with white space between them.
    ///
    /// # Errors
    /// See [`MnemonicError`]: of the list that knows the words, if one does.
    pub fn parse(words: &str) -> Result<Self, MnemonicError> {
        let mut reason = MnemonicError::Word;
        for (_, list) in LANGUAGES {
            match bip39::Mnemonic::parse_in(list, words) {
                Ok(parsed) => return Ok(Self(parsed)),
                Err(bip39::Error::UnknownWord(_)) => {}
                Err(bip39::Error::InvalidChecksum) => reason = MnemonicError::Checksum,
                Err(_) => return Err(MnemonicError::Length),
            }
        }
        Err(reason)
    }

    /// The language of the words.
    #[must_use]
    pub fn language(&self) -> Language {
        Language(self.0.language())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_every_language_are_read_again_and_mean_the_same() {
        for language in Language::all() {
            for (size, byte) in [(16, 0x17), (24, 0xa5), (32, 0xff)] {
                let entropy = vec![byte; size];
                let made = Mnemonic::from_entropy(&entropy, language).unwrap();
                let read =
                    Mnemonic::parse(&format!("  {}\n", made.words().replace(' ', "\u{3000} "))).unwrap();
                assert_eq!(*read.seed("x"), *made.seed("x"), "{language}");
                if read.language() == language {
                    assert_eq!(*read.entropy(), entropy, "{language}");
                }
                assert_eq!(language.to_string().parse(), Ok(language));
            }
        }
        assert_eq!("de".parse::<Language>(), Err(MnemonicError::Language));
    }

    #[test]
    fn what_is_wrong_with_words_is_told_apart() {
        let words = Mnemonic::from_entropy(&[0; 16], "ko".parse().unwrap()).unwrap().words();
        let first = words.split(' ').next().unwrap();
        assert_eq!(Mnemonic::parse(&[first; 12].join(" ")), Err(MnemonicError::Checksum));
        assert_eq!(Mnemonic::parse(&[first; 11].join(" ")), Err(MnemonicError::Length));
        assert_eq!(Mnemonic::parse(&words.replacen(first, "abandon", 1)), Err(MnemonicError::Word));
    }

    /// The first of the vectors that the authors of the Japanese list have published: composed letters in the passphrase and wide blanks.
    #[test]
    fn japanese_words_and_passphrases_are_decomposed_before_they_are_hashed() {
        let words = format!("{}\u{3000}あおぞら", ["あいこくしん"; 11].join("\u{3000}"));
        let read = Mnemonic::parse(&words).unwrap();
        assert_eq!(*read.entropy(), vec![0; 16]);
        let seed = read.seed("㍍ガバヴァぱばぐゞちぢ十人十色");
        assert_eq!(
            seed.iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
            "a262d6fb6122ecf45be09c50492b31f92e9beb7d9a845987a02cefda57a15f9c467a17872029a9e92299b5cbdf306e3a0ee620245cbd508959b6cb7ca637bd55"
        );
    }
}
