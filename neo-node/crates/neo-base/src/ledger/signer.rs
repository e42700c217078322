//! An account that consents to a transaction, and how far. Mirrors `Payloads/Signer.cs`.

use neo_crypto::secp256r1::PublicKey;
use shared_vendor::bytes::{Reader, Writer};

use super::condition::WitnessRule;
use crate::{
    codec::{DecodeError, Result, Wire, read_list, write_list},
    hash::UInt160,
};

/// Largest number of contracts, groups or rules.
const MAX_ITEMS: usize = 16;

/// The set of scopes of a signer; never `GLOBAL` together with another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scopes(u8);

impl Scopes {
    /// Only pays fees.
    pub const NONE: Self = Self(0);
    /// Counts in the entry script and in contracts it calls directly.
    pub const CALLED_BY_ENTRY: Self = Self(0x01);
    /// Counts in listed contracts.
    pub const CUSTOM_CONTRACTS: Self = Self(0x10);
    /// Counts in contracts of listed groups.
    pub const CUSTOM_GROUPS: Self = Self(0x20);
    /// Counts where the rules allow it.
    pub const WITNESS_RULES: Self = Self(0x40);
    /// Counts everywhere.
    pub const GLOBAL: Self = Self(0x80);

    /// The set of these bits; `None` for unknown bits or `GLOBAL` with others.
    #[must_use]
    pub fn from_bits(bits: u8) -> Option<Self> {
        (bits & !0xf1 == 0 && (bits & 0x80 == 0 || bits == 0x80)).then_some(Self(bits))
    }

    /// The bits of the wire form.
    #[must_use]
    pub fn bits(self) -> u8 {
        self.0
    }

    /// True when all scopes of `other` are in this set.
    #[must_use]
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// An account that signs, with the scope of its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// Who signs.
    pub account: UInt160,
    /// Where the signature counts.
    pub scopes: Scopes,
    /// With scope `CUSTOM_CONTRACTS`: the contracts, at most 16.
    pub allowed_contracts: Vec<UInt160>,
    /// With scope `CUSTOM_GROUPS`: the groups, at most 16.
    pub allowed_groups: Vec<PublicKey>,
    /// With scope `WITNESS_RULES`: the rules, at most 16; the first that matches decides.
    pub rules: Vec<WitnessRule>,
}

impl Signer {
    /// A signer with a scope that needs no list.
    #[must_use]
    pub fn new(account: UInt160, scopes: Scopes) -> Self {
        Self { account, scopes, allowed_contracts: Vec::new(), allowed_groups: Vec::new(), rules: Vec::new() }
    }
}

impl Wire for Signer {
    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let account = Wire::read(reader)?;
        let scopes =
            Scopes::from_bits(reader.u8()?).ok_or(DecodeError::Invalid("invalid combination of scopes"))?;
        let mut signer = Self::new(account, scopes);
        if scopes.contains(Scopes::CUSTOM_CONTRACTS) {
            signer.allowed_contracts = read_list(reader, MAX_ITEMS, 20)?;
        }
        if scopes.contains(Scopes::CUSTOM_GROUPS) {
            signer.allowed_groups = read_list(reader, MAX_ITEMS, 33)?;
        }
        if scopes.contains(Scopes::WITNESS_RULES) {
            signer.rules = read_list(reader, MAX_ITEMS, 2)?;
        }
        Ok(signer)
    }

    fn write(&self, writer: &mut Writer) {
        self.account.write(writer);
        writer.u8(self.scopes.bits());
        if self.scopes.contains(Scopes::CUSTOM_CONTRACTS) {
            write_list(writer, &self.allowed_contracts);
        }
        if self.scopes.contains(Scopes::CUSTOM_GROUPS) {
            write_list(writer, &self.allowed_groups);
        }
        if self.scopes.contains(Scopes::WITNESS_RULES) {
            write_list(writer, &self.rules);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn global_excludes_other_scopes_and_unknown_bits_are_refused() {
        for bits in 0..=u8::MAX {
            let valid = bits == 0x80 || bits & !0x71 == 0;
            assert_eq!(Scopes::from_bits(bits).is_some(), valid, "{bits:#x}");
        }
    }
}
